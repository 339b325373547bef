"""The ledger in Chromium: search, filters, links, keyboard, a phone, no scripts."""

from __future__ import annotations

import pytest
from lstm_book import ledger
from playwright.sync_api import expect

from tests.book.test_book import HTML

PAGE = HTML / "book" / "ledger.html"
ALL = len(ledger.FINDINGS)
LAPTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

pytestmark = [pytest.mark.book, pytest.mark.browser]


@pytest.fixture
def open_page(chromium):
    """Return a function that opens the chapter at a fragment, in a fresh window."""
    contexts = []

    def open_page(fragment="", viewport=LAPTOP, **options):
        contexts.append(chromium.new_context(viewport=viewport, **options))
        page = contexts[-1].new_page()
        page.goto(PAGE.as_uri() + fragment)
        return page

    yield open_page
    for context in contexts:
        context.close()


def shown(page):
    return page.locator("table.errata tbody > tr:visible")


def number_of(**wanted):
    return sum(all(f[key] == value for key, value in wanted.items()) for f in ledger.FINDINGS)


def test_filters_narrow_and_reset_widens(open_page):
    page = open_page()
    expect(shown(page)).to_have_count(ALL)
    page.get_by_label("Severity", exact=True).select_option("fatal")
    expect(shown(page)).to_have_count(number_of(severity="fatal"))
    page.get_by_label("Kind", exact=True).select_option("equation")
    expect(shown(page)).to_have_count(number_of(severity="fatal", kind="equation"))
    page.get_by_label("Article", exact=True).select_option("003")
    left = number_of(severity="fatal", kind="equation", article="003")
    expect(shown(page)).to_have_count(left)
    expect(page.locator(".errata-status")).to_have_text(f"{left} of {ALL} findings")
    page.get_by_role("button", name="Show all").click()
    expect(shown(page)).to_have_count(ALL)


def test_search_wants_every_word_and_reads_formulas(open_page):
    page = open_page()
    search = page.get_by_label("Search the findings")
    search.fill("Vietnamese")
    expect(shown(page).locator("th a")).to_have_text(["000-36"])
    search.fill("Vietnamese Manning")
    expect(shown(page)).to_have_count(0)
    search.fill(r"\odot h_{t-1}")
    expect(page.locator("#e-000-14")).to_be_visible()
    search.fill("no such word anywhere")
    expect(shown(page)).to_have_count(0)
    search.fill("")
    expect(shown(page)).to_have_count(ALL)


def test_a_link_opens_its_finding_also_through_a_filter(open_page):
    page = open_page("#e-003-12")
    row = page.locator("#e-003-12")
    expect(row.locator("dl")).to_be_visible()
    expect(row).to_be_in_viewport()
    page.get_by_label("Article", exact=True).select_option("000")
    expect(row).to_be_hidden()
    page.evaluate("location.hash = '#e-003-08'")
    expect(page.locator("#e-003-08 dl")).to_be_visible()


def test_a_merged_finding_is_found_under_its_old_number_and_in_each_article(open_page):
    page = open_page("#e-002-35")
    row = page.locator("#e-000-42")
    expect(row.locator("dl")).to_be_visible()
    expect(page.locator("#e-002-35")).to_be_in_viewport()
    for article in ledger.ARTICLES:
        page.get_by_label("Article", exact=True).select_option(article)
        expect(shown(page)).to_have_count(len(ledger.of_article(article)))
        expect(row).to_be_visible()  # it stands in all five


def test_keyboard_alone_is_enough(open_page):
    page = open_page()
    page.get_by_label("Search the findings").focus()
    page.keyboard.type("upside down or not")
    page.keyboard.press("Control+A")
    page.keyboard.type("elman network")
    found = shown(page).count()
    assert 0 < found < ALL
    page.keyboard.press("Enter")  # does not leave the page
    for _ in range(4):  # three choices, then the button
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("table.errata tr:visible details[open]")).to_have_count(found)
    page.locator("#e-003-08 summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#e-003-08 dl")).to_be_hidden()


def test_a_phone_gets_cards(open_page):
    page = open_page("#e-000-16", viewport=PHONE)
    page.get_by_role("button", name="Open these").click()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    widest = page.evaluate(
        "Math.max(...[...document.querySelectorAll('.errata tr *')]"
        ".filter(e => !e.closest('dd') || e.matches('dd'))"
        ".map(e => e.getBoundingClientRect().right))"
    )
    assert widest <= PHONE["width"]


def test_without_scripts_everything_is_there(open_page):
    page = open_page(java_script_enabled=False)
    assert shown(page).count() == ALL
    assert page.locator("table.errata details[open] dl:visible").count() == ALL
    assert page.locator(".errata-filter form").count() == 0
