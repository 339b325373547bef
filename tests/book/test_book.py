"""The built pages: links, anchors, text alternatives, titles, nothing from elsewhere."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

HTML = Path(__file__).resolve().parents[2] / "_build" / "html"
PAGES = sorted(path for path in HTML.rglob("*.html") if "_static" not in path.parts)
WRITTEN = [path for path in PAGES if path.parent.name == "book"]
REFERENCES = {"a": "href", "link": "href", "script": "src", "img": "src", "source": "src"}
REFERENCES |= {"iframe": "src", "video": "src", "audio": "src", "object": "data", "use": "href"}

pytestmark = pytest.mark.book
each_page = pytest.mark.parametrize(
    "path", PAGES, ids=lambda path: str(path.relative_to(HTML)).removesuffix(".html")
)
each_chapter = pytest.mark.parametrize(
    "path", [page for page in WRITTEN if page.stem[:2].isdigit()], ids=lambda path: path.stem
)


@cache
def parse(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@cache
def anchors(path: Path) -> frozenset[str]:
    elements = parse(path).find_all(attrs={"id": True}) + parse(path).find_all(
        "a", attrs={"name": True}
    )
    return frozenset(element.get("id") or element.get("name") for element in elements)


def references(path: Path):
    """Yield (tag, address) of everything that a page links to or loads."""
    for tag, attribute in REFERENCES.items():
        for element in parse(path).find_all(tag, attrs={attribute: True}):
            yield tag, element[attribute]
    for refresh in parse(path).find_all("meta", attrs={"http-equiv": "Refresh"}):
        yield "a", refresh["content"].partition("url=")[2]


def problem(page: Path, address: str) -> str | None:
    """Return what is wrong with an internal link, or None."""
    parts = urlsplit(address)
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.is_relative_to(HTML) or not target.is_file():
        return f"{address}: no such file"
    if (
        parts.fragment
        and target.suffix == ".html"
        and unquote(parts.fragment) not in anchors(target)
    ):
        return f"{address}: no such anchor"
    return None


@each_page
def test_internal_links_lead_somewhere(path):
    internal = {address for _, address in references(path) if not urlsplit(address).scheme}
    assert [text for address in sorted(internal) if (text := problem(path, address))] == []


@each_page
def test_nothing_is_loaded_from_elsewhere(path):
    loaded = [
        address
        for tag, address in references(path)
        if tag != "a" and (urlsplit(address).scheme not in ("", "data") or address.startswith("//"))
    ]
    assert loaded == []


@each_page
def test_links_to_the_chinese_page_say_so(path):
    for link in parse(path).select('a[href*="zh.html"]'):
        assert link.get("hreflang") == "zh"
        for text in link.find_all(string=re.compile("[\u4e00-\u9fff]")):
            assert text.find_parent(lang=True)["lang"] == "zh"


@each_page
def test_pictures_have_text_alternatives(path):
    images = [img for img in parse(path).find_all("img") if not img.get("alt", "").strip()]
    drawings = [
        svg.attrs
        for svg in parse(path).find_all("svg")
        if svg.get("aria-hidden") != "true"
        and not (
            svg.get("role") == "img"
            and (svg.get("aria-label", "").strip() or svg.get("aria-labelledby") or svg.title)
        )
    ]
    assert images == []
    assert drawings == []


@each_page
def test_ids_are_unique(path):
    ids = Counter(element["id"] for element in parse(path).find_all(attrs={"id": True}))
    assert [name for name, count in ids.items() if count > 1] == []


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_page_has_one_heading_a_title_and_a_language(path):
    page = parse(path)
    assert len(page.select("article h1")) == 1
    assert page.title.get_text(strip=True)
    assert page.html.get("lang") == ("zh" if path.stem == "zh" else "en")


def test_titles_tell_pages_apart():
    titles = Counter(parse(path).title.get_text(strip=True) for path in WRITTEN)
    assert [title for title, count in titles.items() if count > 1] == []
    assert parse(HTML / "book" / "intro.html").title.get_text(strip=True) == "LSTM, Checked"


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_tables_have_headings(path):
    tables = parse(path).select("article table:not([role=presentation])")
    assert [table.get_text(" ", strip=True)[:60] for table in tables if not table.find("th")] == []


@each_chapter
def test_chapter_has_the_number_of_its_file(path):
    numbers = [number.get_text() for number in parse(path).select("article .section-number")]
    equations = [label.contents[0] for label in parse(path).select("article .eqno")]
    assert numbers
    first = {text.strip(" .()").partition(".")[0] for text in numbers + equations}
    assert first == {str(int(path.stem[:2]))}


@each_chapter
def test_figures_are_numbered_in_the_chapter(path):
    captions = [each.get_text() for each in parse(path).select("article figcaption")]
    numbers = [f"Figure {int(path.stem[:2])}.{n} " for n in range(1, len(captions) + 1)]
    assert [caption[: len(n)] for caption, n in zip(captions, numbers, strict=True)] == numbers


@each_chapter
def test_prose_has_typographic_quotes(path):
    article = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser").article
    for element in article.select("pre, code, script, .math, .cell_output, blockquote, [lang]"):
        element.decompose()
    text = " ".join(article.get_text().split())
    assert re.findall(r""".{0,30}["'].{0,30}""", text) == []


# ------------------------------------------------------------------------------------------ weight
def loaded(path: Path) -> set[Path]:
    """Return the files that a page loads with itself."""
    files = set()
    for element in parse(path).select("link[rel=stylesheet], link[rel=icon], script, img, source"):
        address = element.get("href") or element.get("src")
        if address and not urlsplit(address).scheme:
            files.add((path.parent / unquote(urlsplit(address).path)).resolve())
    return files


@cache
def shared() -> frozenset[Path]:
    """Return what more than one page loads: a reader has it after the first."""
    counts = Counter(file for path in PAGES for file in loaded(path))
    return frozenset(file for file, count in counts.items() if count > 1)


@each_page
def test_page_is_light(path):
    own = [path, *(loaded(path) - shared())]
    assert sum(file.stat().st_size for file in own) <= 1_000_000


def test_first_page_waits_for_little():
    """Text shows once what stands in the head without "defer" is there: measured, 0.3 to 0.5 s."""
    first = parse(HTML / "book" / "intro.html")
    waited = first.head.select("link[rel=stylesheet], script[src]:not([defer]):not([async])")
    files = {
        (HTML / "book" / urlsplit(element.get("href") or element["src"]).path).resolve()
        for element in waited
    }
    assert len(files) <= 25
    assert sum(file.stat().st_size for file in files) <= 1_000_000
    assert (HTML / "book" / "intro.html").stat().st_size <= 150_000


@each_chapter
def test_a_hint_stands_before_each_solution(path):
    boxes = [
        next(kind for kind in ("exercise", "hint", "solution") if kind in box["class"])
        for box in parse(path).select(".admonition:is(.exercise, .hint, .solution)")
    ]
    solved = [boxes[at - 1] for at, kind in enumerate(boxes) if kind == "solution"]
    assert solved
    assert set(solved) == {"hint"}


@each_chapter
def test_the_imports_of_a_page_are_called_so(path):
    """A bare "Code" before the first sentence tells a newcomer nothing."""
    hidden = parse(path).select("details.above-input")
    imports = [code for code in hidden if re.match(r"import |from ", code.pre.get_text())][:1]
    for code in hidden:
        name = code.summary.get_text(" ", strip=True)
        assert name == ("Imports Hide imports" if code in imports else "Code Hide code")
