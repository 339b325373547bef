"""Make the picture of a page that README shows: ``python -m lstm_book.press.picture``.

It shows the section of the forget gate, wherever that stands, as Chromium shows the built book on a
laptop. The words that the section and the table of contents had are kept in the picture's file, so
that a test can say when it is no longer today's.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from bs4 import BeautifulSoup, Tag
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lstm_book.checkout import ROOT
from lstm_book.press.pdf import HTML, browser, started

PICTURE = ROOT / "book" / "assets" / "page.png"
EQUATION = "equation-eq-forget-gate"
SIZE = {"width": 1280, "height": 860}
SHOW = """async (section) => {
  await window.MathJax.startup.promise;
  await document.fonts.ready;
  document.getElementById(section).scrollIntoView({ behavior: "instant" });
}"""
WORDS = "Words"  # the name of the text in the file


def found(folder: Path) -> tuple[Path, Tag, Tag]:
    """Return the page with the equation, its section, and the table of contents beside it."""
    for path in sorted((folder / "book").glob("*.html")):
        text = path.read_text(encoding="utf-8")
        if f'id="{EQUATION}"' in text:
            page = BeautifulSoup(text, "html.parser")
            section = page.find(id=EQUATION).find_parent("section")
            return path, section, page.select_one("nav.bd-links")
    raise LookupError(f"no page in {folder} defines {EQUATION}")


def words(section: Tag, contents: Tag) -> str:
    """Return what the picture shows, without its layout."""
    return "\n".join(part.get_text(" ", strip=True) for part in (contents, section))


def main() -> None:
    """Take the picture."""
    executable = browser()
    if executable is None or not (HTML / "index.html").is_file():
        sys.exit("This needs Chromium, and the built book: make book.")
    path, section, contents = found(HTML)
    with started(executable) as chromium:
        tab = chromium.new_page(viewport=SIZE, color_scheme="light", reduced_motion="reduce")
        tab.goto(path.as_uri())
        tab.evaluate(SHOW, section["id"])
        taken = tab.screenshot()
    kept = PngInfo()
    kept.add_itxt(WORDS, words(section, contents), zip=True)
    # 256 colours are enough for a page, and take half of the bytes.
    Image.open(io.BytesIO(taken)).convert("RGB").quantize(256).save(
        PICTURE, optimize=True, pnginfo=kept
    )
    print(f"wrote {PICTURE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
