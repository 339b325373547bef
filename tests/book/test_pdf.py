"""The book in print: page numbers, outline, links, fonts, text, as two other programs read them.

Some light pages are printed for every run; the whole book too is looked at where ``make pdf`` has
printed the pages that are built now.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import pikepdf
import pypdfium2
import pytest
from bs4 import BeautifulSoup
from lstm_book.press import pdf as book_pdf

from tests import conftest
from tests.book.test_book import HTML, parse

FEW = ["intro", "notation", "12_mnist_rows", "how_checked", "bibliography", "genindex"]
BUILT = HTML / "book" / "intro.html"

pytestmark = [
    pytest.mark.book,
    pytest.mark.browser,
    pytest.mark.skipif(not BUILT.exists(), reason="the book is not built: make book"),
]


@dataclass
class Printed:
    """A printed book: its source, what is in the file, the text of its sheets."""

    document: BeautifulSoup
    entries: list[book_pdf.Entry]
    file: pikepdf.Pdf
    text: list[str]

    def sheet(self, place: pikepdf.Object) -> int:
        """Return the index of the sheet that a name or a place leads to."""
        if isinstance(place, (pikepdf.Name, pikepdf.String)):
            name = str(place)
            place = self.file.Root.Dests[name if name.startswith("/") else f"/{name}"]
        return pikepdf.Page(place[0]).index

    def links(self):
        """Yield every link."""
        for sheet in self.file.pages:
            yield from (a for a in sheet.get("/Annots", []) if a.Subtype == "/Link")


def plain(text: str) -> str:
    """Return text without spaces, which a line break may have changed, nor ligatures."""
    text = text.replace("ﬁ", "fi").replace("ﬂ", "fl").replace("ﬀ", "ff").replace("ﬃ", "ffi")
    return re.sub(r"[\s\u00ad\u2010\ufffe-]+", "", text)


@pytest.fixture(scope="module", params=["few pages", "whole book"])
def printed(request, tmp_path_factory):
    only = FEW if request.param == "few pages" else None
    path = book_pdf.PDF
    if only:
        path = tmp_path_factory.mktemp("pdf") / "few.pdf"
        book_pdf.make(HTML, path, conftest.browser(), only)
    elif not path.exists() or path.stat().st_mtime < BUILT.stat().st_mtime:
        pytest.skip("the whole book is not printed, or was before it was built: make pdf")
    document = BeautifulSoup(book_pdf.compose(HTML, only), "html.parser")
    with pikepdf.open(path) as file, pypdfium2.PdfDocument(path) as reader:
        text = [sheet.get_textpage().get_text_bounded() for sheet in reader]
        entries = book_pdf.entries_of(book_pdf.contents(HTML, only))
        yield Printed(document, entries, file, text)


def test_each_page_starts_on_a_sheet_of_its_own_and_is_in_the_outline(printed):
    found = []

    def walk(items):
        for item in items:
            found.append((item.title, printed.sheet(item.destination or item.action.D)))
            walk(item.children)

    with printed.file.open_outline() as outline:
        walk(outline.root)
    titles = [plain(title) for title, _ in found]
    pages = printed.document.select("div.page")
    starts, place = [], 0
    for page in pages:
        title = plain(page.select_one(".level-1").get_text())
        assert title in titles[place:]
        place = titles.index(title, place)
        starts.append(found[place][1])
        assert title in plain(printed.text[starts[-1]])
    assert starts == sorted(set(starts))
    sections = [plain(heading.get_text()) for heading in printed.document.select(".level-2")]
    assert [title for title in sections if title not in titles] == []


def test_sheets_are_numbered(printed):
    bare = 1 + len(printed.document.select("div.part"))
    numbered = [
        n for n, text in enumerate(printed.text, 1) if re.search(rf"(?m)^{n}\s*$", text.strip())
    ]
    assert len(printed.text) - len(numbered) <= bare
    assert len(printed.text) >= len(printed.document.select("div.page, div.part, div.cover"))


def test_contents_and_index_give_the_numbers_of_pages(printed):
    wanted = book_pdf.page_numbers(printed.file)
    places = [place["data-page-of"] for place in printed.document.select("[data-page-of]")]
    assert [name for name in places if name not in wanted] == []
    contents = "\n".join(printed.text[1 : wanted[printed.document.select("div.page")[1]["id"]] - 1])
    lines = plain(contents)
    for line in printed.document.select(".contents-page li"):
        name = line.select_one("[data-page-of]")["data-page-of"]
        assert f"{plain(line.span.get_text())}{wanted[name]}" in lines
    assert "000" not in re.findall(r"\d+$", contents, re.MULTILINE)


def test_links_lead_to_sheets_or_to_the_web(printed):
    inside = 0
    for link in printed.links():
        if "/Dest" in link:
            assert 0 <= printed.sheet(link.Dest) < len(printed.text)
            inside += 1
        elif link.A.S == "/URI":
            assert str(link.A.URI).startswith(("https://", "http://", "mailto:"))
        else:
            assert printed.sheet(link.A.D) < len(printed.text)
            inside += 1
    # A link that breaks over a line has two rectangles.
    written = printed.document.select('a[href^="#"]')
    assert inside >= len(written) > 0
    ids = {element["id"] for element in printed.document.select("[id]")}
    assert [link["href"] for link in written if link["href"][1:] not in ids] == []


def test_no_link_between_printed_pages_is_lost(printed):
    names = {entry.path: entry.name for entry in printed.entries}
    for path, name in names.items():
        article = parse(path).article
        gone = {id(part) for part in article.select(book_pdf.SCREEN)}
        targets = [
            urlsplit(link["href"])
            for link in article.select("a[href]")
            if not gone & {id(link), *map(id, link.parents)}
        ]
        inside = [
            target
            for target in targets
            if not target.scheme
            and (not target.path or (path.parent / unquote(target.path)).resolve() in names)
        ]
        page = printed.document.find(id=name)
        assert len(page.select('a[href^="#"]')) >= len(inside), name


def test_fonts_are_in_the_file(printed):
    missing = set()
    for sheet in printed.file.pages:
        for font in sheet.resources.get("/Font", {}).values():
            if font.Subtype == "/Type3":  # its glyphs are drawn in the file itself
                continue
            for part in font.get("/DescendantFonts", [font]):
                described = part.get("/FontDescriptor", {})
                if not {"/FontFile", "/FontFile2", "/FontFile3"} & set(described):
                    missing.add(str(font.BaseFont))
    assert missing == set()


def test_formulas_can_be_heard_and_keep_their_numbers(printed):
    heard = set()

    def walk(part):
        if isinstance(part, pikepdf.Array):
            for each in part:
                walk(each)
        elif isinstance(part, pikepdf.Dictionary):
            if "/Alt" in part:
                heard.add(plain(str(part.Alt)))
            if "/K" in part:
                walk(part.K)

    walk(printed.file.Root.StructTreeRoot)
    formulas = printed.document.select("div.math, span.math")
    assert formulas
    for formula in formulas:
        for number in formula.select(".eqno"):
            number.extract()
    written = {plain(formula.get_text()[2:-2]) for formula in formulas}
    written = {formula.strip("()[]\\") for formula in written}
    heard = {formula.strip("()[]\\") for formula in heard}
    assert len(written - heard) <= 0.02 * len(written), sorted(written - heard)[:5]


def test_what_a_page_hides_is_open_and_what_only_works_on_a_screen_is_gone(printed):
    text = plain("".join(printed.text))
    assert "Showcode" not in text
    assert "Skiptomaincontent" not in text
    for answer in printed.document.select(
        ".tag_hide-cell .cell_input pre, .admonition.dropdown p:not(:has(.math))"
    ):
        assert plain(answer.get_text())[:20] in text


def test_nothing_is_loaded_from_elsewhere(printed):
    loaded = [
        element.get("src") or element.get("href")
        for element in printed.document.select("script[src], link[href], img[src]")
    ]
    assert loaded
    assert [address for address in loaded if not address.startswith("file:")] == []
    assert "http" not in "".join(style.get_text() for style in printed.document.select("style"))
