"""Print the built book: ``make pdf`` writes one PDF of all pages in the order of the contents.

The pages become one document, so that a link from chapter to chapter is a link inside the PDF, and
Chromium prints it with ``pdf.css``. It is printed twice: the first time tells on which page every
heading falls, and the second has these numbers in the contents and in the index.
"""

from __future__ import annotations

import argparse
import html
import io
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata, resources
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag
from pikepdf import Name, ObjectStreamMode, OutlineItem, Pdf
from playwright.sync_api import Page, sync_playwright

from lstm_book.checkout import ROOT

HTML = ROOT / "_build" / "html"
PDF = ROOT / "_build" / "pdf" / "lstm-checked.pdf"
WIDTH = 627  # pixels of 1/96 inch: what pdf.css leaves of the width of A4
STYLE = Path(__file__).with_suffix(".css")
COVER = ROOT / "book" / "assets" / "cover.html"
BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
TITLE, TAGLINE = "LSTM, Checked", "Every equation derived, every claim run."
FRONT = "Introduction"  # the first page's heading; the cover has the book's name

# What only a screen can use. Code that does nothing but draw a figure is hidden on the page, too.
SCREEN = (
    "script, noscript, link, .headerlink, .errata-filter, .genindex-jumpbox, .toctree-wrapper,"
    ".tag_hide-input > details, summary[aria-label='Toggle hidden content']"
)
SHEETS = ("pygments", "proof", "figures", "errata", "widgets/widgets")
# sphinx-proof gives these to the text of every theorem and to every proof.
REPEATED_IDS = ("proof", "proof-content")
FONTS = {  # (family, weight, style) -> package, file
    ("Source Serif", 400, "normal"): (
        "font_source_serif_pro",
        "SourceSerifPro-Regular",
    ),
    ("Source Serif", 400, "italic"): ("font_source_serif_pro", "SourceSerifPro-It"),
    ("Source Serif", 600, "normal"): (
        "font_source_serif_pro",
        "SourceSerifPro-Semibold",
    ),
    ("Source Serif", 600, "italic"): (
        "font_source_serif_pro",
        "SourceSerifPro-SemiboldIt",
    ),
    ("STIX", 400, "normal"): ("matplotlib", "STIXGeneral"),
    ("DejaVu Sans", 400, "normal"): ("matplotlib", "DejaVuSans"),
    ("DejaVu Sans", 600, "normal"): ("matplotlib", "DejaVuSans-Bold"),
    ("Code", 400, "normal"): ("matplotlib", "DejaVuSansMono"),
    ("Code", 400, "italic"): ("matplotlib", "DejaVuSansMono-Oblique"),
    ("Code", 600, "normal"): ("matplotlib", "DejaVuSansMono-Bold"),
}
FOLDERS = {"font_source_serif_pro": "files", "matplotlib": "mpl-data/fonts/ttf"}

# Set the equations, then make narrower what is wider than the paper.
SET = """async () => {
  await window.MathJax?.startup?.promise;
  await document.fonts.ready;
  // MathJax draws glyphs with style sheets alone: make them text, which can be found and copied,
  // and tell who listens the formula as it was written.
  const looks = new Map();
  for (const glyph of document.querySelectorAll("mjx-c")) {
    const look = getComputedStyle(glyph, "::before");
    const text = JSON.parse(look.content.startsWith('"') ? look.content : '""');
    if (!text) continue;
    const made = document.createElement("span");
    made.textContent = text;
    made.style.cssText = `display: block; width: 0; padding: ${look.padding}`;
    looks.set(glyph, made);
  }
  for (const [glyph, made] of looks) {
    glyph.classList.add("as-text");
    glyph.append(made);
  }
  for (const formula of window.MathJax?.startup?.document?.math ?? []) {
    const drawn = formula.typesetRoot;
    drawn.querySelector("mjx-assistive-mml")?.remove();
    drawn.querySelector("mjx-math").removeAttribute("aria-hidden");
    drawn.setAttribute("role", "img");
    drawn.setAttribute("aria-label", formula.math.trim());
  }
  const fit = (element, needed, there) => {
    if (needed > there + 1) element.style.zoom = (there / needed).toFixed(3);
  };
  for (const line of document.querySelectorAll("div.math")) {
    const drawing = line.querySelector("mjx-container");
    if (drawing) fit(drawing, drawing.scrollWidth, drawing.clientWidth);
  }
  for (const table of document.querySelectorAll("table")) {
    fit(table, table.scrollWidth, table.parentElement.clientWidth);
  }
}"""
NUMBER = """pages => {
  for (const place of document.querySelectorAll("[data-page-of]")) {
    place.textContent = pages[place.dataset.pageOf] ?? "000";
  }
}"""


@dataclass
class Entry:
    """One page of the book: its file, the name that its anchors start with, its text."""

    path: Path
    name: str
    body: Tag
    title: str = ""


@dataclass
class Part:
    """A part of the contents: its caption, none in front of the first, and its pages."""

    caption: str | None
    entries: list[Entry] = field(default_factory=list)


def entries_of(parts: list[Part]) -> list[Entry]:
    """Return all pages of some parts."""
    return [entry for part in parts for entry in part.entries]


# ------------------------------------------------------------------------------------- the pages
def contents(folder: Path, only: list[str] | None = None) -> list[Part]:
    """Return the parts of the built book as its sidebar lists them; ``only`` these pages."""
    first = (folder / "book" / "intro.html").resolve()
    sidebar = BeautifulSoup(first.read_text(encoding="utf-8"), "html.parser").select_one(
        "nav.bd-links"
    )
    parts = [Part(None)]
    for element in sidebar.select("p.caption, a[href]"):
        if element.name == "p":
            parts.append(Part(element.get_text(strip=True)))
        else:
            address = urlsplit(element["href"]).path
            path = (first.parent / address).resolve() if address else first
            if only is None or path.stem in only:
                parts[-1].entries.append(read(path))
    return [part for part in parts if part.entries]


def read(path: Path) -> Entry:
    """Return a page without what only a screen can use."""
    body = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser").article
    for element in body.select(SCREEN):
        element.decompose()
    for element in body.select("details, summary"):  # open, and nothing to press
        element.name = "div"
        element["class"] = [*element.get("class", []), "opened"]
    for element in body.select(", ".join(f"[id={name}]" for name in REPEATED_IDS)):
        del element["id"]
    return Entry(path, path.stem, body)


def anchor(name: str, fragment: str = "") -> str:
    """Return what a place of a page is called in the document that has all pages."""
    return f"{name}--{fragment}" if fragment else name


def prefix_ids(entry: Entry) -> None:
    """Make the names of places, and of the parts of drawings, unique in the whole book."""
    for element in entry.body.find_all(True):
        for attribute, value in list(element.attrs.items()):
            if attribute in {"id", "for", "aria-labelledby", "aria-describedby"}:
                element[attribute] = " ".join(anchor(entry.name, v) for v in str(value).split())
            elif isinstance(value, str) and "url(#" in value:
                element[attribute] = value.replace("url(#", f"url(#{anchor(entry.name, '-')[:-1]}")
            elif attribute in {"href", "xlink:href"} and element.name == "use":
                element[attribute] = "#" + anchor(entry.name, value.removeprefix("#"))


def relink(entry: Entry, names: dict[Path, str]) -> None:
    """Turn links to pages of the book into links inside the document."""
    for link in entry.body.select("a[href]"):
        parts = urlsplit(link["href"])
        if parts.scheme:
            continue
        path = (entry.path.parent / unquote(parts.path)).resolve() if parts.path else entry.path
        if path in names:
            link["href"] = "#" + anchor(names[path], unquote(parts.fragment))
        else:  # a file to download: it leads nowhere on paper
            del link["href"]
    for image in entry.body.select("img[src]"):
        if not urlsplit(image["src"]).scheme:
            image["src"] = (entry.path.parent / unquote(image["src"])).resolve().as_uri()


def name_headings(entry: Entry, depth: int) -> None:
    """Give headings the level that they have in the outline, and the look that they have here."""
    for level in (4, 3, 2, 1):
        for heading in entry.body.select(f"h{level}"):
            heading.name = f"h{level + depth}"
            heading["class"] = [*heading.get("class", []), f"level-{level}"]
            if not heading.get("id") and heading.parent.get("id"):
                heading["id"] = f"{heading.parent['id']}-heading"
    heading = entry.body.select_one(".level-1")
    if entry.name == "intro":
        heading.string = FRONT
    entry.title = " ".join(heading.get_text().split())


def number_index(entry: Entry) -> None:
    """Give each entry of the index a place for its page number."""
    for link in entry.body.select("table.indextable a[href]"):
        link.append(", ")
        link.append(page_of(link["href"].removeprefix("#")))
    for table in entry.body.select("table.indextable"):  # columns are for style sheets to make
        for element in table.select("tr, td"):
            element.unwrap()
        table.name = "div"
        del table["style"]


# ---------------------------------------------------------------------------------- the document
def page_of(name: str) -> Tag:
    """Return the place of a page number that the first printing tells."""
    place = BeautifulSoup("", "html.parser").new_tag("span")
    place["data-page-of"] = name
    place.string = "000"
    return place


def contents_line(title: str, name: str, level: int) -> str:
    """Return one line of the contents."""
    return (
        f'<li class="contents-{level}"><a href="#{name}"><span>{html.escape(title)}</span>'
        f"<i></i>{page_of(name)}</a></li>"
    )


def contents_lines(parts: list[Part], *, sections: bool = True) -> Iterator[str]:
    """Yield the lines of the contents: parts, pages, and the sections of numbered chapters."""
    for n, part in enumerate(parts):
        if part.caption and sections:
            yield contents_line(part.caption, f"part-{n}", 0)
        for entry in part.entries:
            yield contents_line(entry.title, entry.name, 1)
            for heading in entry.body.select(".level-2:has(.section-number)") if sections else ():
                yield contents_line(" ".join(heading.get_text().split()), heading["id"], 2)


def style(parts: list[Part]) -> str:
    """Return the style sheet: its fonts, and the running title of each page of the book."""
    sheets = []
    for (family, weight, slant), (package, name) in FONTS.items():
        font = Path(str(resources.files(package))) / FOLDERS[package] / f"{name}.ttf"
        sheets.append(
            f"@font-face {{ font-family: '{family}'; font-weight: {weight};"
            f" font-style: {slant}; src: url('{font.as_uri()}'); }}"
        )
    for entry in entries_of(parts):
        title = entry.title.replace("\\", "").replace('"', "'")
        sheets += [
            f'@page page-{entry.name} {{ @top-left {{ content: "{title}"; }} }}',
            f'[id="{entry.name}"] {{ page: page-{entry.name}; }}',
        ]
    return "\n".join([*sheets, STYLE.read_text(encoding="utf-8")])


def head(folder: Path, parts: list[Part]) -> str:
    """Return the head of the document; MathJax as the pages load it."""
    soup = BeautifulSoup((folder / "book" / "intro.html").read_text("utf-8"), "html.parser")
    scripts = [str(s) for s in soup.head.select("script") if "mathjax" in str(s).lower()]
    static = (folder / "_static").resolve().as_uri()
    links = [f'<link rel="stylesheet" href="{static}/{name}.css">' for name in SHEETS]
    return (
        f'<head><meta charset="utf-8"><title>{TITLE}</title>'
        f"{''.join(links)}<style>{style(parts)}</style>"
        f"{''.join(scripts).replace('../_static', static)}</head>"
    )


def front(parts: list[Part]) -> str:
    """Return the cover and the contents."""
    return (
        f'<div class="cover"><p class="cover-title">{TITLE}</p>'
        f'<p class="cover-tagline">{TAGLINE}</p>{COVER.read_text(encoding="utf-8")}'
        f'<p class="cover-foot">Version {metadata.version("lstm-checked")}. '
        "Code: MIT licence. Text and figures: CC BY 4.0.</p></div>"
        '<div class="page contents-page"><h1 class="level-1" id="contents">Contents</h1>'
        f'<ul class="contents">{"".join(contents_lines(parts))}</ul></div>'
    )


def compose(folder: Path, only: list[str] | None = None) -> str:
    """Return the whole book as one HTML document."""
    parts = contents(folder, only)
    names = {entry.path: entry.name for entry in entries_of(parts)}
    body = []
    for n, part in enumerate(parts):
        for entry in part.entries:
            prefix_ids(entry)
            relink(entry, names)
            name_headings(entry, depth=1 if part.caption else 0)
            number_index(entry)
        if part.caption:
            lines = "".join(contents_lines([part], sections=False))
            body.append(
                f'<div class="part"><h1 id="part-{n}">{html.escape(part.caption)}</h1>'
                f'<ul class="contents">{lines}</ul></div>'
            )
        body += [
            f'<div class="page" id="{entry.name}">{entry.body.decode_contents()}</div>'
            for entry in part.entries
        ]
    return (
        f'<!doctype html><html lang="en" data-theme="light">{head(folder, parts)}'
        f"<body>{front(parts)}{''.join(body)}</body></html>"
    )


# ---------------------------------------------------------------------------------- the printing
def page_numbers(printed: Pdf) -> dict[str, int]:
    """Return the page on which every place falls that a link leads to."""
    sheets = {sheet.objgen: n for n, sheet in enumerate(printed.pages, start=1)}
    return {
        str(name).removeprefix("/"): sheets[place[0].objgen]
        for name, place in printed.Root.Dests.items()
    }


def print_document(tab: Page, document: Path) -> bytes:
    """Print a document, with the numbers of pages in their places."""
    numbers: dict[str, int] = {}
    # Loaded again for the second time: what it printed before changes where Chromium breaks pages.
    for _ in range(2):
        tab.goto(document.as_uri(), timeout=0)
        tab.evaluate(SET)
        tab.evaluate(NUMBER, numbers)
        printed = tab.pdf(
            prefer_css_page_size=True, print_background=True, tagged=True, outline=True
        )
        with Pdf.open(io.BytesIO(printed)) as pdf:
            numbers = page_numbers(pdf)
    return printed


def entries_below(items: list[OutlineItem]) -> Iterator[OutlineItem]:
    """Yield the entries of an outline from top to bottom."""
    for item in items:
        yield item
        yield from entries_below(item.children)


def title_outline(printed: Pdf, document: str) -> None:
    """Write the headings into the outline: Chromium doubles some that begin a page."""
    headings = BeautifulSoup(document, "html.parser").find_all(re.compile(r"^h\d$"))
    with printed.open_outline() as outline:
        for item, heading in zip(entries_below(outline.root), headings, strict=True):
            item.title = " ".join(heading.get_text().split())


def make(folder: Path, target: Path, executable: str, only: list[str] | None = None) -> int:
    """Print a built book, or some pages of it, into one PDF; return how many sheets it has."""
    target.parent.mkdir(parents=True, exist_ok=True)
    text = compose(folder, only)
    document = target.with_suffix(".html")
    document.write_text(text, encoding="utf-8")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=executable,
            # A container's root user cannot start the sandbox; the pages are our own.
            args=["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND"],
        )
        tab = chromium.new_page(viewport={"width": WIDTH, "height": 1000}, color_scheme="light")
        tab.emulate_media(media="print", reduced_motion="reduce")
        printed = print_document(tab, document)
        chromium.close()
    document.unlink()
    with Pdf.open(io.BytesIO(printed)) as pdf:
        title_outline(pdf, text)
        # What a reader first sees beside the pages.
        pdf.Root.PageMode = Name.UseOutlines
        # A third of the size: Chromium writes what each piece of text is uncompressed.
        pdf.save(target, object_stream_mode=ObjectStreamMode.generate)
        return len(pdf.pages)


def browser() -> str | None:
    """Return the path of a Chromium or Chrome on this machine."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def main() -> None:
    """Print the whole book."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*", help="names of pages, such as 04_gates; default: all")
    parser.add_argument("--out", type=Path, default=PDF, metavar="FILE")
    parser.add_argument("--check", action="store_true", help="only say whether Chromium is here")
    options = parser.parse_args()
    executable = browser()
    if executable is None:
        sys.exit("Chromium prints the PDF, and is not here (on Debian: apt install chromium).")
    if options.check:
        return
    if not (HTML / "book" / "intro.html").is_file():
        sys.exit("The book is not built: run  make book  first.")
    count = make(HTML, options.out, executable, options.pages or None)
    print(f"{count} pages: {options.out}")


if __name__ == "__main__":
    main()
