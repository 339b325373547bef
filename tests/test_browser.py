"""The built pages in Chromium, opened as files: offline, light and dark, laptop and phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests import conftest
from tests.test_book import HTML, PAGES, WRITTEN

LAPTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}

pytestmark = [
    pytest.mark.book,
    pytest.mark.browser,
    pytest.mark.skipif(not PAGES, reason="the book is not built: make book"),
]
each_page = pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def chromium():
    # A container's root user cannot start Chromium's sandbox; the pages are our own.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=conftest.browser(), args=["--no-sandbox"]
        )
        yield browser
        browser.close()


class Visit:
    """A page that remembers what went wrong while it was open."""

    def __init__(self, browser: Browser, viewport: dict, scheme: str) -> None:
        self.context = browser.new_context(viewport=viewport, color_scheme=scheme)
        self.page: Page = self.context.new_page()
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("requestfailed", lambda request: self.errors.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._note)

    def _note(self, message) -> None:
        if message.type in {"error", "warning"}:
            self.errors.append(message.text)

    def open(self, address: str) -> Page:
        self.page.goto(address)
        # Equations are set after the page has loaded.
        self.page.wait_for_function("!window.MathJax || MathJax.startup?.promise")
        self.page.evaluate("window.MathJax?.startup?.promise?.then(() => true)")
        return self.page


@pytest.fixture
def visit(chromium, request):
    viewport, scheme = getattr(request, "param", (LAPTOP, "light"))
    visit = Visit(chromium, viewport, scheme)
    yield visit
    visit.context.close()


@each_page
@pytest.mark.parametrize(
    "visit",
    [(LAPTOP, "light"), (PHONE, "dark")],
    ids=["laptop-light", "phone-dark"],
    indirect=True,
)
def test_page_opens_offline_and_fits(visit, path):
    page = visit.open(path.as_uri())
    elsewhere = [url for url in visit.requests if not url.startswith((HTML.as_uri(), "data:"))]
    assert elsewhere == []
    assert visit.errors == []
    width, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width <= window, "the page scrolls sideways"
    # MathJax sets a command that it does not know as red text.
    assert page.locator("mjx-merror, mtext[mathcolor=red]").count() == 0, "an equation is wrong"
    written, drawn = page.evaluate(
        "[document.querySelectorAll('.math').length,"
        " document.querySelectorAll('.math mjx-container').length]"
    )
    assert drawn >= written


def test_search_finds_a_page(visit):
    page = visit.open((HTML / "search.html").as_uri() + "?q=sequence")
    page.wait_for_selector("#search-results li a")
    assert visit.errors == []
