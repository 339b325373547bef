"""The colours of the book: one name for one idea, the same in every figure, light and dark.

Each colour has three values. ``both`` reaches a contrast of 3:1 on a white page and on a dark one:
matplotlib draws with it, and a page without our stylesheet shows it. ``light`` and ``dark`` are
what the stylesheet (:func:`stylesheet`, stored as ``book/assets/figures.css``) gives to the CSS
variable ``--lstm-<name>``. They start from the palette of Okabe and Ito, whose hues remain apart
under colour blindness; no figure depends on hue alone.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple


class Tone(NamedTuple):
    """One colour on any page, on a light page and on a dark page, as ``#rrggbb``."""

    both: str
    light: str
    dark: str


TONES = MappingProxyType(
    {
        "input": Tone("#0072B2", "#0067A8", "#5AA9F0"),
        "forget": Tone("#D55E00", "#C04A00", "#FF8552"),
        "candidate": Tone("#009E73", "#00855F", "#3CC9A0"),
        "output": Tone("#C25E97", "#AD4684", "#EA90C5"),
        "cell": Tone("#C08400", "#B87F00", "#F5B83D"),
        "hidden": Tone("#3496D0", "#2F93CF", "#8CD3FF"),
        "validation": Tone("#7A67D8", "#6650C8", "#ADA0FF"),
        "muted": Tone("#767D88", "#69717E", "#9CA4AF"),
    }
)

# What matplotlib draws with, name -> "#RRGGBB". ``ink`` is the colour of the text around the
# figure, ``surface`` the page behind it; an LSTM has the colour of the cell state that only it has.
COLORS = MappingProxyType(
    {name: tone.both for name, tone in TONES.items()}
    | {
        "ink": "#24292F",
        "surface": "#FDFDFE",
        "rnn": TONES["hidden"].both,
        "lstm": TONES["cell"].both,
        "gru": TONES["candidate"].both,
        "train": TONES["muted"].both,
    }
)

_SURFACE = "var(--pst-color-background, var(--jp-layout-color0, Canvas))"


def css_values() -> dict[str, str]:
    """Return what stands in the SVG for each colour, ``"#rrggbb"`` -> CSS value."""
    values = {tone.both.lower(): f"var(--lstm-{name}, {tone.both})" for name, tone in TONES.items()}
    values |= dict.fromkeys((COLORS["ink"].lower(), "#000000", "black"), "currentColor")
    surface = f"var(--lstm-surface, {_SURFACE})"
    return values | dict.fromkeys((COLORS["surface"].lower(), "#ffffff", "white"), surface)


def stylesheet() -> str:
    """Return the text of ``book/assets/figures.css``: variables for a light and a dark page."""
    light = "".join(f"\n  --lstm-{name}: {tone.light};" for name, tone in TONES.items())
    dark = "".join(f"\n  --lstm-{name}: {tone.dark};" for name, tone in TONES.items())
    return _STYLESHEET.replace("LIGHT", light).replace("DARK", dark)


_STYLESHEET = """\
/* Written by `python -m lstm_book.figures.palette`: edit that file and run it again. */
:root {LIGHT
}

html[data-theme="dark"],
body[data-jp-theme-light="false"] {DARK
}

/* On a dark page the theme puts HTML outputs on a light ground; our figures follow the page. */
html[data-theme="dark"] .bd-content div.cell_output .text_html:has(figure.lstm-figure) {
  background: none !important;
  color: inherit !important;
  padding: 0 !important;
}

/* On a phone a figure needs the whole width of the text. */
.bd-article div.cell_output:has(> .text_html > figure.lstm-figure) {
  padding-inline: 0;
}

figure.lstm-figure > svg {
  display: block;
  margin: 0 auto;
}

/* A chart that was drawn a second time, for a phone. */
figure.lstm-figure .below {
  display: none;
}

@media screen and (max-width: 600px) {
  figure.lstm-figure .beside {
    display: none;
  }

  figure.lstm-figure .below {
    display: inline;
  }

  figure.lstm-figure > .drawing:has(+ .drawing > .narrow),
  figure.lstm-figure > svg:has(+ .narrow) {
    display: none;
  }

  figure.lstm-figure .narrow {
    display: block !important;
  }
}

figure.lstm-figure > figcaption {
  max-width: 38rem;
  margin: 0.75rem auto 0;
  font-size: 0.9rem;
  font-weight: 400;
  line-height: 1.45;
  text-align: start;
}

@media print {
  html[data-theme="dark"] {LIGHT
  }

  figure.lstm-figure {
    break-inside: avoid;
  }
}
"""


if __name__ == "__main__":
    from pathlib import Path

    Path("book/assets/figures.css").write_text(stylesheet(), encoding="utf-8")
