"""The figures that several chapters share, and ``show``, which puts any figure on the page.

The functions here return a matplotlib ``Figure`` drawn in the book's style: calm axes, the colours
of :data:`COLORS`, sizes that can be read on a phone. :func:`show` displays it as a ``<figure>``
with a caption and a text alternative, in colours that follow a light or dark page.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from html import escape

import numpy as np

try:
    import matplotlib as mpl
    from matplotlib import pyplot as plt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ImportError as error:
    raise ImportError("lstm.plots needs matplotlib: pip install 'lstm-checked[plots]'") from error

from lstm.palette import COLORS
from lstm.svg import inline_svg

__all__ = [
    "COLORS",
    "WIDTHS",
    "figure",
    "figure_html",
    "show",
    "style",
    "use_style",
]

# In points; the page shows them up to 1.3 times larger and a phone about 0.75 times.
WIDTHS = {"text": 480, "narrow": 340}

_STYLE = {
    "axes.edgecolor": COLORS["muted"],
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": COLORS["ink"],
    "axes.labelsize": 12,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": COLORS["ink"],
    "axes.titlesize": 12,
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "figure.facecolor": "none",
    "figure.titlesize": 13,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 12,
    "grid.alpha": 0.25,
    "grid.color": COLORS["muted"],
    "grid.linewidth": 0.7,
    "image.interpolation": "none",
    "legend.fontsize": 11,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "lines.solid_capstyle": "round",
    "mathtext.fontset": "cm",
    "patch.edgecolor": COLORS["ink"],
    "savefig.facecolor": "none",
    "text.color": COLORS["ink"],
    "xtick.color": COLORS["muted"],
    "xtick.labelcolor": COLORS["ink"],
    "xtick.labelsize": 11,
    "ytick.color": COLORS["muted"],
    "ytick.labelcolor": COLORS["ink"],
    "ytick.labelsize": 11,
}
# Hue, dash and marker change together: a print in grey and every kind of eye can tell lines apart.
_SERIES = ("input", "forget", "candidate", "output", "cell", "hidden")
_DASHES = ("-", (0, (5, 1.6)), (0, (1.2, 1.4)), (0, (7, 1.5, 1.2, 1.5)), (0, (3, 1)), "-")


# ---------------------------------------------------------------------------------------- style
def style() -> AbstractContextManager[None]:
    """Return a context in which figures get the book's style: ``with style(): ...``."""
    return mpl.rc_context(_settings())


def use_style() -> None:
    """Set the book's style for every figure from now on: the first line of a chapter."""
    mpl.rcParams.update(_settings())


def _settings() -> dict[str, object]:
    colors = [COLORS[name] for name in _SERIES]
    cycle = mpl.cycler(color=colors, linestyle=list(_DASHES))
    return _STYLE | {"axes.prop_cycle": cycle}


def figure(
    nrows: int = 1,
    ncols: int = 1,
    *,
    width: str | float = "text",
    height: float = 270,
    **subplots: object,
) -> tuple[Figure, Axes | np.ndarray]:
    """Return ``(fig, axes)`` like ``plt.subplots``, after :func:`use_style`.

    Parameters
    ----------
    nrows, ncols : int
        Rows and columns of axes.
    width : {"text", "narrow"} or float
        Width of the figure: the text column, a narrower one, or a number of points.
    height : float
        Height in points (1/72 inch; the text column is 480 points wide).
    **subplots
        Passed to ``plt.subplots``, for example ``sharey=True``.
    """
    use_style()
    return _subplots(nrows, ncols, width=width, height=height, **subplots)


def _subplots(
    nrows: int = 1, ncols: int = 1, *, width: str | float, height: float, **subplots: object
) -> tuple[Figure, Axes | np.ndarray]:
    points = WIDTHS.get(width, width) if isinstance(width, str) else width
    if isinstance(points, str):
        raise ValueError(f"width must be one of {', '.join(WIDTHS)} or a number, got {width!r}")
    return plt.subplots(nrows, ncols, figsize=(points / 72, height / 72), **subplots)


# ----------------------------------------------------------------------------------------- show
def show(fig: Figure, *, name: str, alt: str, caption: str) -> None:
    """Display ``fig`` as an HTML ``<figure>`` in a notebook, and close it.

    Parameters
    ----------
    fig : matplotlib.figure.Figure
        The figure to show.
    name : str
        Its id on the page, ``fig-`` and lower-case words joined by hyphens: ``fig-loss-curve``.
    alt : str
        What a reader who cannot see the figure must be told: the finding, in words and numbers.
    caption : str
        What to look at; ``$...$`` is mathematics, backticks are code. Not the text of ``alt``.

    Raises
    ------
    ValueError
        If ``name``, ``alt`` or ``caption`` is not as described.
    ImportError
        If IPython is not installed; :func:`figure_html` works without.
    """
    text = figure_html(fig, name=name, alt=alt, caption=caption)
    plt.close(fig)
    try:
        from IPython.display import HTML, display
    except ImportError as error:
        message = "show needs IPython (a notebook); use fig.savefig(...) or figure_html(...) here"
        raise ImportError(message) from error
    display(HTML(text))


def figure_html(fig: Figure, *, name: str, alt: str, caption: str) -> str:
    """Return the ``<figure>`` that :func:`show` displays; same arguments."""
    _check_texts(name, alt, caption)
    svg = inline_svg(fig, name=name, alt=" ".join(alt.split()))
    return (
        f'<figure class="lstm-figure" id="{name}">\n{svg}\n'
        f'<figcaption class="mathjax_process">{_caption_html(caption)}</figcaption>\n</figure>'
    )


def _check_texts(name: str, alt: str, caption: str) -> None:
    if not isinstance(name, str) or not re.fullmatch(r"fig(-[a-z0-9]+)+", name):
        raise ValueError(f"name must look like 'fig-loss-curve', got {name!r}")
    for key, text in (("alt", alt), ("caption", caption)):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{key} must be a sentence, got {text!r}")
    if alt.split() == caption.split():
        raise ValueError("alt must say what the figure shows, not repeat the caption")


def _caption_html(caption: str) -> str:
    """Escape ``caption``, then set ``$...$`` as MathJax reads it and backticks as code."""
    text = escape(" ".join(caption.split()), quote=False)
    text = re.sub(r"\$([^$]+)\$", r"\\(\1\\)", text)
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
