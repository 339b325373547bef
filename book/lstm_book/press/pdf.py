"""Print the built book: ``make pdf`` writes one PDF of all pages in the order of the contents.

The pages become one document in the book's own style, so that a link from chapter to chapter is a
link inside the PDF. Chromium prints it twice: the first time tells on which sheet every place
falls, and the second has these numbers in the contents and in the index.
"""

from __future__ import annotations

import argparse
import html
import io
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag
from pikepdf import Name, ObjectStreamMode, OutlineItem, Pdf
from playwright.sync_api import Browser, Page, sync_playwright

from lstm_book.checkout import ROOT

HTML = ROOT / "_build" / "html"
PDF = ROOT / "_build" / "pdf" / "lstm-checked.pdf"
STYLE = Path(__file__).with_suffix(".css")
BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
FIRST = "book/intro.html"

# What only a screen can use. Code that does nothing but draw a figure is hidden on the page, too.
SCREEN = (
    "script, .headerlink, .errata-filter, .genindex-jumpbox, .toctree-wrapper,"
    ".tag_hide-input > details, details.hide > summary"
)

# Set the equations. MathJax draws glyphs with style sheets alone: make them text, which can be
# found and copied, and tell who listens how each formula was written. Then make narrower what is
# wider than the paper.
SET = """async () => {
  await window.MathJax?.startup?.promise;
  await document.fonts.ready;
  const looks = Array.from(document.querySelectorAll("mjx-c"), (glyph) => {
    const { content, padding } = getComputedStyle(glyph, "::before");
    return { glyph, content, padding };
  });
  for (const { glyph, content, padding } of looks) {
    const text = document.createElement("span");
    text.textContent = content.startsWith('"') ? JSON.parse(content) : "";
    text.style.cssText = `display: block; width: 0; padding: ${padding}`;
    glyph.classList.add("as-text");
    glyph.append(text);
  }
  for (const { typesetRoot, math } of window.MathJax?.startup?.document?.math ?? []) {
    typesetRoot.querySelector("mjx-assistive-mml")?.remove();
    typesetRoot.querySelector("mjx-math").removeAttribute("aria-hidden");
    typesetRoot.setAttribute("role", "img");
    typesetRoot.setAttribute("aria-label", math.trim());
  }
  for (const wide of document.querySelectorAll("div.math > mjx-container, table")) {
    const box = wide.tagName === "TABLE" ? wide.parentElement : wide;
    const part = box.clientWidth / wide.scrollWidth;
    if (part < 0.99) wide.style.zoom = part.toFixed(3);
  }
}"""


class Entry(NamedTuple):
    """One page of the book: its file, the caption of the part that it begins, its text."""

    path: Path
    part: str | None
    body: Tag


def entries(folder: Path, only: list[str] | None = None) -> list[Entry]:
    """Return the pages of the built book in the order of its sidebar; ``only`` those named."""
    first = (folder / FIRST).resolve()
    found, part = [], None
    for element in _soup(first).select("nav.bd-links p.caption, nav.bd-links a[href]"):
        if element.name == "p":
            part = element.get_text(strip=True)
            continue
        address = urlsplit(element["href"]).path
        path = (first.parent / address).resolve() if address else first
        if only is None or path.stem in only:
            found.append(Entry(path, part, _on_paper(_soup(path).article)))
            part = None
    return found


def _soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def _on_paper(body: Tag) -> Tag:
    """Return a page's text without what only a screen can use, and with everything open."""
    for element in body.select(SCREEN):
        element.decompose()
    for element in body.select("details, summary"):
        element.name = "div"
    return body


def place(page: str, fragment: str = "") -> str:
    """Return what a place of a page is called in the document that has all pages."""
    return f"{page}--{fragment}" if fragment else page


def join(entry: Entry, pages: Mapping[Path, str]) -> None:
    """Make names of places unique in the whole book, and links to its pages links inside it."""
    name = entry.path.stem
    for element in entry.body.find_all(True):
        for key, value in list(element.attrs.items()):
            if key in {"id", "for", "aria-labelledby", "aria-describedby"}:
                element[key] = " ".join(place(name, each) for each in str(value).split())
            elif isinstance(value, str) and "url(#" in value:  # a part of a drawing
                element[key] = value.replace("url(#", f"url(#{place(name, '-')[:-1]}")
            elif element.name == "use" and key in {"href", "xlink:href"}:
                element[key] = "#" + place(name, value.removeprefix("#"))
    for link in entry.body.select("a[href]"):
        parts = urlsplit(link["href"])
        if parts.scheme:
            continue
        path = (entry.path.parent / unquote(parts.path)).resolve() if parts.path else entry.path
        if path in pages:
            link["href"] = "#" + place(pages[path], unquote(parts.fragment))
        else:  # a file to download: it leads nowhere on paper
            del link["href"]


def sheet_of(name: str, sheets: Mapping[str, int]) -> str:
    """Return the number of the sheet on which a place falls, once it is known."""
    return f'<span class="sheet" data-place="{name}">{sheets.get(name, "000")}</span>'


def contents(found: list[Entry], sheets: Mapping[str, int]) -> Iterator[str]:
    """Yield the lines of the contents: parts, pages, and the sections of numbered chapters."""
    for entry in found:
        if entry.part:
            yield f"<li class='part'>{html.escape(entry.part)}</li>"
        lines = [(entry.path.stem, entry.body.h1, "page")]
        for heading in entry.body.select("h2:has(.section-number)"):
            lines.append((heading.parent["id"], heading, "section"))
        for name, heading, kind in lines:
            title = html.escape(" ".join(heading.get_text().split()))
            yield f'<li class="{kind}"><a href="#{name}">{title}</a>{sheet_of(name, sheets)}</li>'


def answers(found: list[Entry]) -> Iterator[str]:
    """Take the hints and solutions out of the chapters, and yield them for the end of the book."""
    for entry in found:
        boxes = entry.body.select(".hint, .solution")
        if boxes:
            yield f"<h2>{html.escape(' '.join(entry.body.h1.get_text().split()))}</h2>"
        for box in boxes:
            if "hint" in box["class"]:
                exercise = box.find_previous(class_="exercise")
                title = f"Hint for {exercise.select_one('.caption-number').get_text()}"
                box.select_one(".admonition-title").string = title
            yield str(box.extract())


def cover(found: list[Entry]) -> str:
    """Return the first sheet: title, subtitle, the picture of the first page, edition."""
    pictures = (entry.body.select_one(".widget-still svg") for entry in found)
    return (
        '<div class="cover"><p class="cover-title">LSTM, Checked</p>'
        "<p>Every equation derived, every claim run</p>"
        f'<figure class="lstm-widget">{next(filter(None, pictures), "")}</figure>'
        f"<p>Version {metadata.version('lstm-checked')}</p></div>"
    )


def compose(
    folder: Path, only: list[str] | None = None, sheets: Mapping[str, int] | None = None
) -> str:
    """Return the whole book as one HTML document, to be read beside its first page."""
    found, sheets = entries(folder, only), sheets or {}
    pages = {entry.path: entry.path.stem for entry in found}
    for entry in found:
        join(entry, pages)
        for link in entry.body.select("table.indextable a[href]"):
            number = sheet_of(link["href"].removeprefix("#"), sheets)
            link.insert_after(BeautifulSoup(f" {number}", "html.parser"))
    head = _soup(folder / FIRST).head
    for script in head.select("script"):
        if "mathjax" not in str(script).lower():
            script.decompose()
    head.append(BeautifulSoup(f"<style>{STYLE.read_text(encoding='utf-8')}</style>", "html.parser"))
    ends = "".join(answers(found))
    line = ""
    if ends:
        ends = f'<div class="printed" id="answers"><h1>Hints and solutions</h1>{ends}</div>'
        link = f'<a href="#answers">Hints and solutions</a>{sheet_of("answers", sheets)}'
        line = f'<li class="page">{link}</li>'
    chapters = "".join(
        f'<div class="printed" id="{entry.path.stem}">{entry.body.decode_contents()}</div>'
        for entry in found
    )
    return (
        f'<!doctype html><html lang="en" data-theme="light">{head}<body>'
        f'<article class="bd-article">{cover(found)}'
        f'<div class="printed" id="contents"><h1>Contents</h1><ul>'
        f"{''.join(contents(found, sheets))}{line}</ul><p>LSTM, Checked, version "
        f"{metadata.version('lstm-checked')}. Code: MIT licence. Text and figures: CC BY 4.0.</p>"
        f"</div>{chapters}{ends}</article></body></html>"
    )


# ---------------------------------------------------------------------------------- the printing
def sheet_numbers(printed: Pdf) -> dict[str, int]:
    """Return the sheet on which every place falls that a link leads to."""
    numbers = {sheet.objgen: n for n, sheet in enumerate(printed.pages, start=1)}
    return {
        str(name).removeprefix("/"): numbers[target[0].objgen]
        for name, target in printed.Root.Dests.items()
    }


def print_document(tab: Page, document: Path, text: str) -> bytes:
    """Print a document that stands in a file for as long as that takes."""
    document.write_text(text, encoding="utf-8")
    try:
        tab.goto(document.as_uri(), timeout=0)
        tab.evaluate(SET)
        return tab.pdf(prefer_css_page_size=True, print_background=True, tagged=True, outline=True)
    finally:
        document.unlink()


def title_outline(printed: Pdf, document: str) -> None:
    """Write the headings into the outline: Chromium doubles some that begin a page."""

    def below(items: list[OutlineItem]) -> Iterator[OutlineItem]:
        for item in items:
            yield item
            yield from below(item.children)

    headings = BeautifulSoup(document, "html.parser").find_all(re.compile(r"^h\d$"))
    with printed.open_outline() as outline:
        for item, heading in zip(below(outline.root), headings, strict=True):
            item.title = " ".join(heading.get_text().split())


def make(folder: Path, target: Path, executable: str, only: list[str] | None = None) -> int:
    """Print a built book, or some pages of it, into one PDF; return how many sheets it has."""
    target.parent.mkdir(parents=True, exist_ok=True)
    document = folder / "book" / "_printed.html"  # where the addresses of the pages are right
    sheets: dict[str, int] = {}
    with started(executable) as chromium:
        tab = chromium.new_page(viewport={"width": 627, "height": 1000}, color_scheme="light")
        tab.emulate_media(media="print", reduced_motion="reduce")
        for _ in range(2):
            text = compose(folder, only, sheets)
            printed = print_document(tab, document, text)
            with Pdf.open(io.BytesIO(printed)) as pdf:
                sheets = sheet_numbers(pdf)
    with Pdf.open(io.BytesIO(printed)) as pdf:
        title_outline(pdf, text)
        pdf.Root.PageMode = Name.UseOutlines  # what a reader first sees beside the pages
        # A third of the size: Chromium writes what each piece of text is uncompressed.
        pdf.save(target, object_stream_mode=ObjectStreamMode.generate)
        return len(pdf.pages)


def browser() -> str | None:
    """Return the path of a Chromium or Chrome on this machine."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@contextmanager
def started(executable: str) -> Iterator[Browser]:
    """Start Chromium for the files of this machine: it finds no host."""
    with sync_playwright() as playwright:
        # A container's root user cannot start the sandbox; the pages are our own.
        options = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND"]
        with playwright.chromium.launch(executable_path=executable, args=options) as chromium:
            yield chromium


def main() -> None:
    """Print the whole book."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*", help="names of pages, such as 03_gates; default: all")
    parser.add_argument("--out", type=Path, default=PDF, metavar="FILE")
    parser.add_argument("--check", action="store_true", help="only say whether Chromium is here")
    options = parser.parse_args()
    executable = browser()
    if executable is None:
        sys.exit("Chromium prints the PDF, and is not here (on Debian: apt install chromium).")
    if options.check:
        return
    if not (HTML / FIRST).is_file():
        sys.exit("The book is not built: run  make book  first.")
    count = make(HTML, options.out, executable, options.pages or None)
    print(f"{count} pages: {options.out}")


if __name__ == "__main__":
    main()
