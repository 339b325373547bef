"""The book in print, as two other programs read it: some light pages are printed for every run."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import pikepdf
import pypdfium2
import pytest
from bs4 import BeautifulSoup
from lstm_book.press import pdf as book_pdf

from tests import conftest
from tests.book.test_book import HTML, parse

FEW = ["intro", "glossary", "13_mnist_rows", "how_checked", "bibliography", "genindex"]

pytestmark = [pytest.mark.book, pytest.mark.browser]


class Printed(NamedTuple):
    """A printed book: its source, the file, the text of its sheets."""

    document: BeautifulSoup
    file: pikepdf.Pdf
    text: list[str]

    def sheet(self, place: pikepdf.Object) -> int:
        """Return the index of the sheet that a name or a place leads to."""
        if isinstance(place, (pikepdf.Name, pikepdf.String)):
            place = self.file.Root.Dests[f"/{str(place).removeprefix('/')}"]
        return pikepdf.Page(place[0]).index


def plain(text: str) -> str:
    """Return text without what a line break may have changed."""
    return re.sub(r"[\s\u00ad\u2010\ufffe-]+", "", text)


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    path = tmp_path_factory.mktemp("pdf") / "few.pdf"
    book_pdf.make(HTML, path, conftest.browser(), FEW)
    document = BeautifulSoup(book_pdf.compose(HTML, FEW), "html.parser")
    with pikepdf.open(path) as file, pypdfium2.PdfDocument(path) as reader:
        yield Printed(document, file, [s.get_textpage().get_text_bounded() for s in reader])


def test_pages_start_on_sheets_of_their_own_and_are_in_the_outline_with_their_sections(printed):
    found = {}

    def walk(items):
        for item in items:
            found.setdefault(plain(item.title), printed.sheet(item.destination or item.action.D))
            walk(item.children)

    with printed.file.open_outline() as outline:
        walk(outline.root)
    starts = [found[plain(h.get_text())] for h in printed.document.select("div.printed h1")]
    assert starts == sorted(set(starts))
    assert {plain(h.get_text()) for h in printed.document.select("div.printed h2")} <= found.keys()


def test_contents_and_index_give_the_numbers_of_sheets(printed):
    wanted = book_pdf.sheet_numbers(printed.file)
    text = plain("".join(printed.text))
    for line in printed.document.select("#contents li:has(.sheet)"):
        assert f"{plain(line.a.get_text())}{wanted[line.a['href'][1:]]}" in text
    places = [place["data-place"] for place in printed.document.select(".indextable .sheet")]
    assert len(places) > 5
    assert set(places) <= wanted.keys()
    for n, sheet in enumerate(printed.text, 1):
        assert re.search(rf"(?m)^{n}\s*$", sheet)


def test_no_link_between_printed_pages_is_lost(printed):
    ids = {element["id"] for element in printed.document.select("[id]")}
    for entry in book_pdf.entries(HTML, FEW):
        links = [urlsplit(link["href"]) for link in entry.body.select("a[href]")]
        inside = [
            link
            for link in links
            if not link.scheme
            and (not link.path or (entry.path.parent / unquote(link.path)).stem in FEW)
        ]
        written = printed.document.find(id=entry.path.stem).select('a[href^="#"]')
        assert len(written) >= len(inside), entry.path
        assert [link["href"] for link in written if link["href"][1:] not in ids] == []
    links = [a for sheet in printed.file.pages for a in sheet.get("/Annots", [])]
    leading = [a for a in links if a.Subtype == "/Link" and ("/Dest" in a or "/D" in a.A)]
    assert len(leading) >= len(printed.document.select('a[href^="#"]')) > 0
    for link in leading:
        assert printed.sheet(link.Dest if "/Dest" in link else link.A.D) < len(printed.text)


def test_formulas_can_be_heard(printed):
    heard = {
        plain(str(part.Alt)).strip("()[]\\")
        for part in printed.file.objects
        if isinstance(part, pikepdf.Dictionary) and "/Alt" in part
    }
    for number in printed.document.select("div.math .eqno"):
        number.extract()
    formulas = printed.document.select("div.math, span.math")
    written = {plain(formula.get_text()).strip("()[]\\") for formula in formulas}
    assert len(written) > 20
    assert len(written - heard) <= 0.02 * len(written), sorted(written - heard)[:5]


def test_hints_and_solutions_stand_open_at_the_end(printed):
    text = plain("".join(printed.text))
    boxes = parse(HTML / "book" / "13_mnist_rows.html").select("details:is(.hint, .solution)")
    assert boxes
    end = text.rfind("Hintsandsolutions")
    for code in [box.pre for box in boxes if box.pre]:
        assert text.find(plain(code.get_text())[:60]) > end
    assert printed.document.select("details, summary") == []
    assert len(printed.document.select("#answers :is(.hint, .solution)")) == len(boxes)


def test_nothing_is_loaded_from_elsewhere(printed):
    loaded = printed.document.select("script[src], link[href], img[src]")
    addresses = [element.get("src") or element.get("href") for element in loaded]
    assert addresses
    assert [address for address in addresses if urlsplit(address).scheme] == []
