"""The figures that several chapters share, and ``show``, which puts any figure on the page.

The functions here return a matplotlib ``Figure`` drawn in the book's style: calm axes, the colours
of :data:`COLORS`, sizes that can be read on a phone. :func:`show` displays it as a ``<figure>``
with a caption and a text alternative, in colours that follow a light or dark page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from html import escape

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from lstm import checks
from lstm.signatures import checked
from lstm_book.figures import narrow
from lstm_book.figures.palette import COLORS
from lstm_book.figures.svg import inline_svg

__all__ = [
    "COLORS",
    "WIDTHS",
    "confusion_matrix",
    "figure",
    "figure_html",
    "heatmap",
    "image_grid",
    "loss_curve",
    "matrices",
    "probabilities_over_time",
    "show",
    "spread",
    "style",
    "use_style",
]

# In points; the page shows them up to 1.3 times larger. A phone has room for the narrow ones.
WIDTHS = {"text": 480, "narrow": narrow.WIDTH}

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
    "figure.constrained_layout.wspace": 0.06,
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
    "mathtext.fontset": "dejavusans",
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


@checked
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
@checked
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


@checked
def figure_html(fig: Figure, *, name: str, alt: str, caption: str) -> str:
    """Return the ``<figure>`` that :func:`show` displays; same arguments.

    A chart is in it twice, the second time for a phone: the stylesheet chooses.
    """
    _check_texts(name, alt, caption)
    alt = " ".join(alt.split())
    with style():
        drawings = inline_svg(fig, name=name, alt=alt) + "\n"
        if slim := narrow.redrawn(fig):
            svg = inline_svg(slim, name=f"{name}-narrow", alt=alt)
            kind = "narrow stacked" if narrow.is_stacked(slim) else "narrow"
            plt.close(slim)
            svg = svg.replace(' role="img"', f' class="{kind}" role="img"', 1)
            drawings += svg.replace(' style="', ' style="display: none; ', 1) + "\n"
    return (
        f'<figure class="lstm-figure" id="{name}" style="margin: 0.5rem auto; padding: 0">\n'
        f"{drawings}"
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
    """Escape ``caption``; set ``$...$`` for MathJax, backticks as code, quotes as in print."""
    text = escape(" ".join(caption.split()), quote=False)
    parts = re.split(r"(\$[^$]+\$|`[^`]+`)", text)
    for place, part in enumerate(parts):
        if part.startswith("$"):
            parts[place] = f"\\({part[1:-1]}\\)"
        elif part.startswith("`"):
            parts[place] = f"<code>{part[1:-1]}</code>"
        else:
            parts[place] = re.sub(r'"([^"]*)"', r"“\1”", part).replace("'", "’")
    return "".join(parts)


# -------------------------------------------------------------------------------------- training
@checked
def loss_curve(history: Sequence[Mapping[str, float]], *, ylabel: str = "mean loss") -> Figure:
    """Draw the loss per epoch, and beside it the validation accuracy where there is one.

    Parameters
    ----------
    history : list of dict
        What :meth:`lstm.Trainer.fit` returns: ``"epoch"``, ``"loss"`` and, with validation,
        ``"validation_loss"`` and ``"validation_accuracy"``.
    ylabel : str
        Name of the loss, with its unit.
    """
    if not history:
        raise ValueError("history must hold at least one epoch, got none")
    epochs = [row["epoch"] for row in history]
    columns = {key: [row[key] for row in history] for key in history[0]}
    panels = 2 if "validation_accuracy" in columns else 1
    with style():
        fig, axes = _subplots(1, panels, width="text", height=230, squeeze=False)
        ax = axes[0, 0]
        ax.plot(epochs, columns["loss"], "-o", color=COLORS["train"], label="training")
        if "validation_loss" in columns:
            scores = columns["validation_loss"]
            ax.plot(epochs, scores, "--s", color=COLORS["validation"], label="validation")
            ax.legend()
        ax.set_ylabel(ylabel)
        ax.set_ylim(bottom=0)
        if panels == 2:
            accuracy = 100 * np.array(columns["validation_accuracy"])
            axes[0, 1].plot(epochs, accuracy, "--s", color=COLORS["validation"])
            axes[0, 1].set_ylabel("validation accuracy (%)")
        for ax in axes.flat:
            ax.set_xlabel("epoch")
            ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    return fig


@checked
def spread(
    x: ArrayLike,
    runs: Mapping[str, ArrayLike],
    *,
    xlabel: str,
    ylabel: str,
    band: str = "range",
    xscale: str = "linear",
    yscale: str = "linear",
    colors: Mapping[str, str] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw the median of several runs, a band of their spread, and every run faintly.

    Parameters
    ----------
    x : array_like, shape (N,)
        Where the runs were measured.
    runs : mapping of str to array_like, shape (S, N)
        For each label (it stands in the legend) S runs, one per seed.
    xlabel, ylabel : str
        Names of the axes, with units.
    band : {"range", "quartiles"}
        Shade from the smallest to the largest run, or the middle half.
    xscale, yscale : str
        ``"linear"`` or ``"log"``.
    colors : mapping of str to str, optional
        Colour of each label; by default RNN, LSTM and GRU have their own.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; a new figure by default.
    """
    if band not in ("range", "quartiles"):
        raise ValueError(f"band must be 'range' or 'quartiles', got {band!r}")
    x, low, high = np.asarray(x), *((0, 100) if band == "range" else (25, 75))
    with style():
        if ax is None:
            _, ax = _subplots(width="text", height=270)
        for number, (label, values) in enumerate(runs.items()):
            values = np.atleast_2d(np.asarray(values, dtype=float))
            if values.shape[1:] != x.shape:
                wanted = f"(seeds, {len(x)})"
                raise ValueError(f"runs[{label!r}] must have shape {wanted}, got {values.shape}")
            color = (colors or {}).get(label) or _series_color(label, number)
            dash, marker = _DASHES[number % len(_DASHES)], "osD^vP"[number % 6]
            ax.plot(x, values.T, color=color, alpha=0.25, linewidth=0.8, linestyle="-")
            edges = np.nanpercentile(values, (low, high), axis=0)
            ax.fill_between(x, *edges, color=color, alpha=0.15, linewidth=0)
            middle = np.nanmedian(values, axis=0)
            marks = marker if len(x) <= 20 else "none"
            ax.plot(x, middle, color=color, linestyle=dash, marker=marks, label=label)
        ax.set(xlabel=xlabel, ylabel=ylabel, xscale=xscale, yscale=yscale)
        if len(runs) > 1:
            ax.legend()
    return ax.figure


def _series_color(label: str, number: int) -> str:
    first = label.lower().split()[0] if label.split() else ""
    return COLORS[first if first in COLORS else _SERIES[number % len(_SERIES)]]


# ---------------------------------------------------------------------------- classes and digits
@checked
def confusion_matrix(matrix: ArrayLike, labels: Sequence[str] | None = None) -> Figure:
    """Draw counts by true class (row) and predicted class (column).

    Right answers and mistakes have colours of their own, each scaled to its largest count: the
    mistakes, small beside the diagonal, remain visible.

    Parameters
    ----------
    matrix : array_like of int, shape (K, K)
        ``matrix[true, predicted]``.
    labels : sequence of str, optional
        Names of the K classes; 0 to K - 1 by default.
    """
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or len(set(matrix.shape)) != 1:
        raise ValueError(f"matrix must be square, got shape {matrix.shape}")
    names = [str(name) for name in (labels if labels is not None else range(len(matrix)))]
    if len(names) != len(matrix):
        raise ValueError(f"labels must name {len(matrix)} classes, got {len(names)}")
    right = np.eye(len(matrix), dtype=bool)
    with style():
        fig, ax = _subplots(width=400, height=390)
        for part, color in ((right, "hidden"), (~right, "forget")):
            counts = np.where(part, matrix, 0)
            _tint(ax, 0.55 * counts / max(counts.max(), 1), color)
        for (row, column), count in np.ndenumerate(matrix):
            if count:
                ax.text(column, row, f"{count}", ha="center", va="center", fontsize=10.5)
        _label_cells(ax, names, names)
        ax.set(xlabel="predicted", ylabel="true")
    return fig


@checked
def image_grid(images: ArrayLike, titles: Sequence[str], *, ncols: int = 6) -> Figure:
    """Draw grey images (digits, say) in rows, each with a short title above.

    Parameters
    ----------
    images : array_like, shape (N, height, width)
        0 is the page, the largest value is ink.
    titles : sequence of str
        One per image, such as ``"4, read as 9"``.
    ncols : int
        Images per row.
    """
    images = np.asarray(images, dtype=float)
    if images.ndim != 3 or len(images) != len(titles):
        raise ValueError(
            f"images must have shape ({len(titles)}, height, width), one per title, "
            f"got {images.shape}"
        )
    ncols = checks.positive_int("ncols", ncols, maximum=100)
    nrows = -(-len(images) // ncols)
    with style():
        fig, axes = _subplots(
            nrows, ncols, width="text", height=nrows * (480 / ncols + 16), squeeze=False
        )
        for ax in axes.flat:
            ax.set_axis_off()
        for ax, image, title in zip(axes.flat, images, titles, strict=False):
            ax.add_patch(_frame(image.shape))
            _tint(ax, image / max(image.max(), 1e-12), "ink")
            ax.set_title(title, fontsize=11, pad=4)
    return fig


@checked
def probabilities_over_time(
    probabilities: ArrayLike,
    image: ArrayLike | None = None,
    *,
    label: int | None = None,
    classes: Sequence[str] | None = None,
) -> Figure:
    """Draw what a classifier believes after each step, beside the image whose rows it reads.

    Time runs downwards. In both panels row t is step t: on the left what arrives, on the right the
    probability of every class once it has arrived.

    Parameters
    ----------
    probabilities : array_like, shape (T, K)
        Class probabilities after step 1 to T.
    image : array_like, shape (T, width), optional
        The sequence as a picture, one row per step.
    label : int, optional
        The true class; its column is framed.
    classes : sequence of str, optional
        Names of the K classes; 0 to K - 1 by default.
    """
    probabilities = np.asarray(probabilities, dtype=float)
    if probabilities.ndim != 2:
        raise ValueError(f"probabilities must have shape (T, K), got {probabilities.shape}")
    steps, count = probabilities.shape
    names = [str(name) for name in (classes if classes is not None else range(count))]
    if image is not None and len(image) != steps:
        raise ValueError(f"image must have one row per step ({steps}), got {len(image)}")
    with style():
        columns = 1 if image is None else 2
        ratios = [1] if image is None else [1, 1.15]
        fig, axes = _subplots(
            1, columns, width="text", height=250, squeeze=False, width_ratios=ratios
        )
        extent = (-0.5, count - 0.5, steps + 0.5, 0.5)
        ax = axes[0, -1]
        _tint(ax, probabilities, "lstm", extent=extent, aspect="auto")
        _label_cells(ax, names, None, steps)
        ax.set_xlabel("class, shaded by its probability")
        if label is not None:
            ax.axvspan(label - 0.5, label + 0.5, fill=False, color=COLORS["ink"], linewidth=1.2)
        if image is not None:
            image = np.asarray(image, dtype=float)
            ink = image / max(image.max(), 1e-12)
            _tint(
                axes[0, 0], ink, "ink", extent=(0, image.shape[1], steps + 0.5, 0.5), aspect="auto"
            )
            _label_cells(axes[0, 0], [], None, steps)
            axes[0, 0].set_xlabel("one row of pixels per step")
        axes[0, 0].set_ylabel("step $t$")
    return fig


# --------------------------------------------------------------------------------------- heatmap
@checked
def heatmap(
    array: ArrayLike,
    *,
    xlabel: str,
    ylabel: str,
    scale: str = "value",
    color: str = "cell",
    limit: float | None = None,
) -> Figure:
    """Draw a matrix: no colour is 0, full colour the largest value.

    Parameters
    ----------
    array : array_like, shape (rows, columns)
        Negative values, where there are any, have a colour of their own (blue), positive ones then
        red.
    xlabel, ylabel, scale : str
        Names of the axes and of what the colour means, with units.
    color : str
        A name in :data:`COLORS`, for an array without negative values.
    limit : float, optional
        The value of full colour; the largest size in the array by default.
    """
    array = np.asarray(array, dtype=float)
    if array.ndim != 2:
        raise ValueError(f"array must have shape (rows, columns), got {array.shape}")
    limit = float(limit or np.abs(array).max() or 1)
    signed = array.min() < 0
    positive, lowest = ("forget", -limit) if signed else (color, 0.0)
    ramp = np.linspace(limit, lowest, 128)[:, None]
    with style():
        fig, (ax, bar) = _subplots(1, 2, width="text", height=250, width_ratios=[1, 0.04])
        for axes, values, extent in ((ax, array, None), (bar, ramp, (0, 1, lowest, limit))):
            share = np.clip(values / limit, -1, 1)
            _tint(axes, np.maximum(share, 0), positive, extent=extent, aspect="auto")
            if signed:
                _tint(axes, np.maximum(-share, 0), "input", extent=extent, aspect="auto")
            axes.grid(False)
        ax.set(xlabel=xlabel, ylabel=ylabel)
        bar.set(ylabel=scale, xticks=[])
        bar.yaxis.tick_right()
        bar.yaxis.set_label_position("right")
        bar.spines[["left", "bottom"]].set_visible(False)
    return fig


# --------------------------------------------------------------------------------- small tables
@checked
def matrices(
    arrays: Sequence[ArrayLike],
    titles: Sequence[str],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    numbers: bool = False,
) -> Figure:
    """Draw matrices of one shape side by side: red is positive, blue negative, no colour 0.

    Parameters
    ----------
    arrays : sequence of array_like, shape (rows, columns)
        Full colour is the largest size in any of them.
    titles : sequence of str
        One for each matrix.
    rows, columns : sequence of str
        Names, the same for every matrix.
    numbers : bool
        Write the value into each cell.
    """
    arrays = [np.asarray(array, dtype=float) for array in arrays]
    wanted = (len(rows), len(columns))
    for array in arrays:
        if array.shape != wanted:
            raise ValueError(f"arrays must have shape {wanted}, got {array.shape}")
    limit = max(np.abs(array).max() for array in arrays) or 1
    with style():
        fig, axes = _subplots(
            1, len(arrays), width="text", height=22 * len(rows) + 50, sharey=True, squeeze=False
        )
        for ax, array, title in zip(axes[0], arrays, titles, strict=True):
            share = array / limit
            _tint(ax, np.maximum(share, 0) * 0.5, "forget", aspect="auto")
            _tint(ax, np.maximum(-share, 0) * 0.5, "input", aspect="auto")
            _label_cells(ax, columns, rows)
            ax.set_title(title)
            if numbers:
                for (row, column), value in np.ndenumerate(array):
                    text = f"{value:.4f}".replace("-", "\N{MINUS SIGN}")
                    ax.text(column, row, text, ha="center", va="center", fontsize=12)
    return fig


# ---------------------------------------------------------------------------------------- pieces
def _tint(ax: Axes, share: np.ndarray, color: str, **imshow: object) -> None:
    """Paint ``share`` in [0, 1] as the opacity of one colour: the page shows through, any theme."""
    rgba = np.empty((*share.shape, 4), dtype=np.uint8)
    rgba[..., :3] = np.rint(255 * np.array(to_rgb(COLORS[color])))
    rgba[..., 3] = np.rint(255 * np.clip(share, 0, 1))
    ax.imshow(rgba, interpolation="none", **imshow)


def _label_cells(
    ax: Axes, columns: Sequence[str], rows: Sequence[str] | None, steps: int | None = None
) -> None:
    """Name the columns and rows of an image; ``steps`` puts a time axis in place of the rows."""
    ax.grid(False)
    ax.tick_params(length=0)
    ax.set_xticks(range(len(columns)), columns)
    if rows is not None:
        ax.set_yticks(range(len(rows)), rows)
    else:
        ax.set_yticks([1, *range(7, steps + 1, 7)])
    for spine in ax.spines.values():
        spine.set_visible(True)


def _frame(shape: tuple[int, ...]) -> Rectangle:
    height, width = shape
    look = {"fill": False, "edgecolor": COLORS["muted"], "linewidth": 0.6, "alpha": 0.5}
    return Rectangle((-0.5, -0.5), width, height, **look)
