"""Make the moving picture that README shows: ``python -m lstm_book.press.moving``.

Chromium opens the first page of the built book and walks through the sentence that stands there,
then shuts the forget gate: README's picture, and the card that others show beside a link. The
picture names the weights it was made from, so that a test can say when they have changed.
"""

from __future__ import annotations

import hashlib
import io
import sys

from PIL import Image
from playwright.sync_api import Browser, Page

from lstm_book.checkout import ROOT
from lstm_book.press.pdf import HTML, browser, started

ASSETS = ROOT / "book" / "assets"
PICTURE = ASSETS / "watch.gif"
CARD = ASSETS / "card.png"
STEP, REST = 550, 2500
"""Milliseconds that a step stands, and the last one."""
COLORS = 64
# Only what moves: the ribbons, the verdict and the step taken apart.
LOOK = """
  .watch-input, .widget-hint, .watch > .widget-buttons, .watch-range, .watch-line button {
    display: none !important;
  }
  .watch {
    position: fixed; z-index: 99999; inset: 0 auto auto 0; align-content: start;
    width: 640px; height: 720px; background: #fff !important;
  }
  .watch-line { font-size: 14px; }
"""
CARD_LOOK = """
  .watch { zoom: 1.5; width: 800px; height: 420px; }
  .watch-step, .watch-says { display: none !important; }
  .watch::before { content: "LSTM, Checked: how an LSTM remembers"; font: 600 25px sans-serif; }
"""


def weights() -> str:
    """Return a digest of the weights and the sentence that the picture shows."""
    data = (ASSETS / "widgets" / "data" / "reviews.js").read_bytes()
    return hashlib.sha256(data).hexdigest()


def opened(chromium: Browser, look: str) -> Page:
    """Return the first page with nothing on it but what ``look`` leaves."""
    page = chromium.new_page(viewport={"width": 1200, "height": 760}, color_scheme="light")
    page.goto((HTML / "book" / "intro.html").as_uri())
    page.add_style_tag(content=look)
    page.wait_for_timeout(500)
    return page


def taken(page: Page) -> Image.Image:
    """Return the instrument as it is now."""
    image = page.locator(".watch").screenshot(animations="disabled")
    return Image.open(io.BytesIO(image)).convert("RGB")


def frames(page: Page) -> list[Image.Image]:
    """Return the picture of every step, and at the end that of a gate held shut."""
    step = page.get_by_label("Step", exact=True)

    def go(number: int) -> None:
        step.evaluate("(s, n) => { s.value = n; s.dispatchEvent(new Event('input')); }", number)

    images = []
    for number in range(1, int(step.get_attribute("max")) + 1):
        go(number)
        images.append(taken(page))
    go(4)
    page.locator("[data-hold=f][data-to='0']").evaluate("button => button.click()")
    go(9)
    return [*images, taken(page)]


def main() -> None:
    """Take the pictures."""
    executable = browser()
    if executable is None or not (HTML / "index.html").is_file():
        sys.exit("This needs Chromium, and the built book: make book.")
    with started(executable) as chromium:
        first, *others = (i.quantize(COLORS, dither=0) for i in frames(opened(chromium, LOOK)))
        card = taken(opened(chromium, LOOK + CARD_LOOK))
    last = len(others) - 1
    first.save(
        PICTURE,
        save_all=True,
        append_images=others,
        duration=[STEP] * last + [REST, REST + STEP],
        loop=0,
        comment=weights().encode(),
    )
    card.quantize(128, dither=0).save(CARD, optimize=True)
    for path in (PICTURE, CARD):
        print(f"wrote {path.relative_to(ROOT)}, {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
