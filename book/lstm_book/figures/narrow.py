"""Draw a figure again for a phone: narrower, its letters as large, its panels one below another."""

from __future__ import annotations

import pickle
import textwrap
import warnings
from itertools import combinations

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.path import Path
from matplotlib.text import Text

__all__ = ["WIDTH", "is_stacked", "redrawn"]

WIDTH = 340
"""Points, as many as a phone has pixels for the text."""
_LETTERS = 11
_LINE = 16


def redrawn(fig: Figure) -> Figure | None:
    """Return a copy of ``fig`` that is :data:`WIDTH` points wide, for the caller to close.

    Returns
    -------
    matplotlib.figure.Figure or None
        None where there is nothing to gain: the figure is as narrow; it is a drawing of lines and
        boxes, which have no other places; its texts would meet; or it cannot be copied.
    """
    if 72 * fig.get_figwidth() < 1.1 * WIDTH or not any(ax.axison for ax in fig.axes):
        return None
    try:
        slim = pickle.loads(pickle.dumps(fig))
    except (AttributeError, pickle.PicklingError):  # it holds a function that has no name
        return None
    before = _meetings(slim)
    for text in slim.findobj(Text):
        text.set_fontsize(max(_LETTERS, text.get_fontsize()))
    with warnings.catch_warnings():  # a legend that has not moved yet may leave no room
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        _set_height(slim, 72 * fig.get_figheight() * _stack(slim))
        _break_names(slim)
        _place_legends(slim)
    if _meetings(slim) <= before:
        return slim
    plt.close(slim)
    return None


def is_stacked(slim: Figure) -> bool:
    """Return whether the panels of a figure that was drawn again stand one below another."""
    places = [ax.get_subplotspec() for ax in slim.axes if ax.get_subplotspec()]
    return len(places) > 1 and all(place.get_gridspec().ncols == 1 for place in places)


def _set_height(fig: Figure, points: float) -> None:
    fig.set_size_inches(WIDTH / 72, points / 72)
    fig.draw_without_rendering()


def _stack(fig: Figure) -> float:
    """Put a row of panels one below another, four and more in pairs; return how much higher."""
    specs = {ax: ax.get_subplotspec() for ax in fig.axes if ax.get_subplotspec()}
    grids = {spec.get_gridspec() for spec in specs.values()}
    if len(grids) != 1 or (grid := grids.pop()).nrows > 1 or grid.ncols == 1:
        return 1
    across = 1 if grid.ncols <= 3 else 2
    rows = -(-grid.ncols // across)
    places = fig.add_gridspec(rows, across)
    for ax, spec in specs.items():
        place = spec.colspan.start
        ax.set_subplotspec(places[divmod(place, across)])
        if not place % across:
            ax.tick_params(labelleft=True)
    return 0.8 * rows


def _break_names(fig: Figure) -> None:
    """Write the names of axes that are longer than the figure in two lines."""
    for label in (axis.label for ax in fig.axes for axis in (ax.xaxis, ax.yaxis)):
        box, text = label.get_window_extent(), label.get_text()
        if not (fig.bbox.x0 <= box.x0 and box.x1 <= fig.bbox.x1 and fig.bbox.containsy(box.y1)):
            label.set_text(textwrap.fill(text, len(text) // 2 + 8))


def _place_legends(fig: Figure) -> None:
    """Move the legends that lie on a line, and below all panels those without room beside it."""
    for legend in fig.findobj(Legend):
        if _on_a_line(legend) or _on_a_mark(legend):
            legend.set_loc("best")
    fig.draw_without_rendering()
    for legend in fig.findobj(Legend):
        box, ax = legend.get_window_extent(), legend.axes
        beside = ax is not None and box.x0 >= ax.bbox.x1
        if beside or box.x0 < 0 or box.x1 > fig.bbox.x1 + 1 or _on_a_line(legend):
            _move_below(legend)


def _paths(legend: Legend) -> list[tuple[Path, bool]]:
    """Return what the axes of a legend show, in pixels, and whether it is a line or its marks."""
    return [
        (line.get_path().transformed(line.get_transform()), line.get_linestyle() != "None")
        for line in (legend.axes.lines if legend.axes else ())
    ]


def _on_a_line(legend: Legend) -> bool:
    box = legend.get_window_extent()
    return any(path.intersects_bbox(box, filled=False) for path, line in _paths(legend) if line)


def _on_a_mark(legend: Legend) -> bool:
    box = legend.get_window_extent()
    return any(box.count_contains(path.vertices) for path, _ in _paths(legend))


def _move_below(legend: Legend) -> None:
    """Draw a legend anew below the figure, in as many columns as have room."""
    fig, texts = legend.get_figure(root=True), legend.get_texts()
    names, title = [text.get_text() for text in texts], legend.get_title().get_text()
    widest = max(text.get_window_extent().width for text in texts) * 72 / fig.dpi + 60
    columns = max(1, min(len(names), int(WIDTH // widest)))
    fig.legend(
        legend.legend_handles,
        names,
        loc="outside lower center",
        ncols=columns,
        title=title or None,
    )
    legend.remove()
    rows = -(-len(names) // columns) + bool(title)
    _set_height(fig, 72 * fig.get_figheight() + rows * _LINE)


def _meetings(fig: Figure) -> int:
    """Return how many pairs of texts overlap, or nearly so, besides the names of axes."""
    fig.draw_without_rendering()
    left_out = set()
    for axis in (axis for ax in fig.axes for axis in (ax.xaxis, ax.yaxis)):
        left_out.add(axis.label)
        low, high = sorted(axis.get_view_interval())
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
            if not axis.axes.axison or not low <= tick.get_loc() <= high:
                left_out |= {tick.label1, tick.label2}
    boxes = [
        text.get_window_extent().padded(3, -1)
        for text in fig.findobj(Text)
        if text.get_visible() and text.get_text().strip() and text not in left_out
    ]
    return sum(a.overlaps(b) for a, b in combinations(boxes, 2))
