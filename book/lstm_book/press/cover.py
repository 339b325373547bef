"""``python -m lstm_book.press.cover``: draw the first page's picture, ``assets/cover.html``."""

from __future__ import annotations

from lstm_book.checkout import ROOT
from lstm_book.figures.diagrams import lstm_cell
from lstm_book.figures.plots import figure_html

PATH = ROOT / "book" / "assets" / "cover.html"
ALT = (
    "One step of an LSTM from left to right. The cell state runs along the top as a thick line: it "
    "is multiplied by the forget gate, then the product of input gate and candidate is added. "
    "Below, previous hidden state and input reach four boxes in four colours: forget gate, "
    "input gate, candidate and output gate. The cell state passes a hyperbolic tangent and the "
    "output gate and leaves as the new hidden state."
)
CAPTION = (
    "One step of the LSTM, drawn by the package. Each gate has its colour on every page; the thick "
    "line is the memory that the gates keep, write and show."
)


def cover() -> str:
    """Return the picture as an HTML figure."""
    return figure_html(lstm_cell(), name="fig-cover", alt=ALT, caption=CAPTION) + "\n"


if __name__ == "__main__":
    PATH.write_text(cover(), encoding="utf-8")
    print(f"wrote {PATH}")
