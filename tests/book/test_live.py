"""Chapters that run in the page: what they show is what is stored, in a real browser."""

from __future__ import annotations

import functools
import io
import json
import zipfile

import pytest
from lstm_book.press import live
from playwright.sync_api import expect

from tests import conftest
from tests.book.test_book import HTML
from tests.conftest import ROOT

CHAPTERS = sorted((ROOT / "book").glob(live.CHAPTERS))
SERVED = HTML / "_static" / "live"
needs_live = pytest.mark.skipif(
    not any(SERVED.glob("*/lock.json")), reason="chapters do not run in the page: make live"
)
each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


# ---------------------------------------------------------------------------------- what is written
@pytest.mark.book
@each_chapter
def test_cells_find_their_places(path, tmp_path):
    page = tmp_path / "page.html"
    built = (HTML / "book" / f"{path.stem}.html").read_text(encoding="utf-8")
    page.write_text(live.ADDED.sub("", built), encoding="utf-8")
    for _ in range(2):  # the second time changes nothing
        live.enliven(page, read(path), "folder", 25_000_000)
        html = page.read_text(encoding="utf-8")
        assert html.count('id="live-cells"') == html.count("live/live.js") == 1
    assert live.ADDED.sub("", html) == live.ADDED.sub("", built)


def test_a_page_with_another_number_of_cells_is_refused(tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<head></head><body><div class="cell docutils"></div></body>', encoding="utf-8")
    with pytest.raises(ValueError, match=r"must show \d+ cells, got 1"):
        live.enliven(page, read(CHAPTERS[0]), "folder", 1)


def test_a_changed_file_is_refused():
    lock = {"packages": {name: {"file_name": name, "depends": []} for name in live.PACKAGES}}
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("somewhere/pyodide-lock.json", json.dumps(lock))
        for name in (*live.RUNTIME, *live.PACKAGES):
            archive.writestr(f"somewhere/{name}", "not it")
    with (
        zipfile.ZipFile(wheel) as archive,
        pytest.raises(ValueError, match=r"pyodide\.js must have the SHA-256 b4cb23"),
    ):
        live.pyodide(archive)


def test_cells_that_are_called_slow_are_there():
    ids = {cell["id"] for path in CHAPTERS for cell in read(path)["cells"]}
    assert ids >= live.SLOW


# ----------------------------------------------------------------------------------- what runs
@pytest.fixture(scope="module")
def served(loopback, chromium):
    """Return a function that opens a page of the book, served; it may ask for nothing elsewhere."""
    asked = []

    def served(name):
        page = chromium.new_context().new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/book/{name}.html")
        return page

    with conftest.serving(functools.partial(conftest.Quiet, directory=HTML)) as address:
        yield served
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


def stored(cell):
    """Return what a cell printed, its last value and its tables."""
    printed, values, tables = "", [], []
    for output in cell["outputs"]:
        html = "".join(output.get("data", {}).get("text/html", ""))
        if output["output_type"] == "stream":
            printed += "".join(output["text"])
        elif "lstm-table" in html:
            tables.append(html)
        elif not html and "data" in output:
            values.append("".join(output["data"]["text/plain"]))
    return printed.strip(), values, tables


def shown(outputs):
    """Return the same of what ran in the page."""
    kinds = {kind: [o["text"] for o in outputs if o["kind"] == kind] for kind in OUTPUTS}
    tables = [html for html in kinds["html"] if "lstm-table" in html]
    return "".join(kinds["print"]).strip(), kinds["value"], tables


OUTPUTS = "print", "value", "html"


@pytest.mark.book
@pytest.mark.browser
@pytest.mark.slow
@needs_live
@each_chapter
def test_a_chapter_prints_in_the_page_what_is_stored(served, path):
    page = served(path.stem)
    page.evaluate("() => { liveBook.runUntil(liveBook.cells.length - 1); }")
    page.get_by_role("button", name="Load and run").click()
    page.get_by_text("Ready.").wait_for(timeout=1_800_000)  # chapter 9 trains
    ran = page.evaluate("liveBook.cells.map((cell) => cell.outputs ?? null)")
    code = [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]
    compared, left = 0, False
    for cell, outputs in zip(code, ran, strict=True):
        tags = set(cell["metadata"].get("tags", []))
        errors = [output["text"] for output in outputs or [] if output["kind"] == "error"]
        if outputs is None:
            assert cell["id"] in live.SLOW
            left = True
        elif errors:
            absent = any(output.get("absent") for output in outputs)
            assert absent or (left and "NameError" in errors[0]) or "raises-exception" in tags, (
                errors
            )
            left |= absent
        elif "nbval-ignore-output" not in tags:
            assert shown(outputs) == stored(cell)
            compared += 1
    assert compared > len(code) / 2


@pytest.mark.book
@pytest.mark.browser
@pytest.mark.slow
@needs_live
def test_a_cell_is_changed_stopped_and_reset(served):
    page = served("01_ten_minutes")
    place = 4 + page.evaluate("liveBook.cells.slice(4).findIndex((c) => c.code.includes('flag '))")
    cell = page.locator("div.cell").nth(page.evaluate(f"liveBook.cells[{place}].place"))
    stored = cell.inner_text()

    def run(code):
        cell.locator("pre").first.click()
        page.keyboard.press("Control+A")
        page.keyboard.type(code)
        page.keyboard.press("Shift+Enter")

    run("print(1 / 7)")
    page.get_by_role("button", name="No", exact=True).click()
    assert page.evaluate("liveBook.cells.every((cell) => !cell.outputs)")
    run("print(1 / 7)\nfor step in range(2):\n    print(W.shape)")
    page.get_by_role("button", name="Load and run").click()
    expect(cell.locator(".cell_output")).to_have_text("0.14285714285714285\n" + 2 * "(4, 2)\n")
    run("while True: pass")
    expect(page.get_by_text("Running cell")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped.")).to_be_visible()
    run("W.shape")
    expect(cell.locator(".cell_output")).to_have_text("(4, 2)")
    run("W[")
    expect(cell.locator(".cell_output")).to_contain_text("SyntaxError")
    with page.expect_navigation():
        page.get_by_role("button", name="Reset the page").click()
    assert cell.inner_text() == stored
    run("W.shape")  # and it can be run again
    expect(cell.locator(".cell_output")).to_have_text("(4, 2)")


@pytest.mark.book
@pytest.mark.browser
@needs_live
def test_a_page_that_was_opened_as_a_file_says_what_to_do(chromium):
    page = chromium.new_page()
    page.goto((HTML / "book" / "01_ten_minutes.html").as_uri())
    page.locator("button.live-run").first.click()
    assert "python -m http.server" in page.locator(".live-bar").inner_text()
    assert page.locator("[contenteditable]").count() == 0
