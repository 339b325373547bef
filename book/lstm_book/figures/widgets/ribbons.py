"""Ribbons of cell states, still: what ``watch.js`` draws, for paper or a page without scripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

import numpy as np
from numpy.typing import ArrayLike

from lstm import equations as eq
from lstm_book.figures.widgets.files import unpack

Run = dict[str, np.ndarray]
_WIDTH, _LEFT, _RIGHT, _TOP, _ROW = 640, 60, 26, 68, 25
# Where in a step a ribbon leaves the old state, has passed the forget gate, and has the new state.
_PLACES = np.array([0.05, 0.4, 0.5, 0.85])


def unroll(packed: dict, inputs: np.ndarray, h: ArrayLike = 0.0, c: ArrayLike = 0.0) -> Run:
    """Run the LSTM of :func:`lstm_book.figures.widgets.reader.packed_weights` over one sequence.

    Parameters
    ----------
    packed : dict
        Its packed weights.
    inputs : ndarray, shape (T, D)
        The sequence.
    h, c : array_like, shape (H,)
        The state before it.

    Returns
    -------
    dict
        ``i``, ``f``, ``g``, ``o``, ``c`` and ``h``, each (T, H), and ``logits`` (T, K).
    """
    weights = {name: unpack(value) for name, value in packed.items()}
    h, c = (value + np.zeros((1, len(weights["b"]) // 4)) for value in (h, c))
    steps = []
    for x_t in np.asarray(inputs, dtype=float):
        i, f, g, o = eq.gates(eq.preactivation(x_t[None], h, *(weights[name] for name in "WUb")))
        c = eq.cell_state(f, c, i, g)
        h = eq.hidden_state(o, c)
        steps.append((i, f, g, o, c, h))
    arrays = (np.concatenate(values) for values in zip(*steps, strict=True))
    run = dict(zip("ifgoch", arrays, strict=True))
    return run | {"logits": run["h"] @ weights["V"].T + weights["v"]}


def ribbons(
    run: Run,
    words: Sequence[str],
    shares: np.ndarray,
    *,
    alt: str,
    answers: tuple[str, str] = ("positive", "negative"),
) -> str:
    """Return an SVG: a ribbon for each cell, as wide as its state, and the answers below.

    Parameters
    ----------
    run : dict
        From :func:`unroll`.
    words : sequence of str
        What is read at each step.
    shares : ndarray, shape (T,)
        The answer after each step, between 0 and 1.
    alt : str
        Description for a reader who cannot see the figure.
    answers : (str, str)
        What shares of 1 and of 0 mean.
    """
    steps, cells = run["c"].shape
    column = (_WIDTH - _LEFT - _RIGHT) / steps
    bottom = _TOP + cells * _ROW + 8
    parts = []
    for t, word in enumerate(words):
        place = f"translate({_LEFT + (t + 0.6) * column:.1f} {_TOP - 6}) rotate(-42)"
        parts.append(f'<text class="watch-word" transform="{place}">{escape(word)}</text>')
    scale = (_ROW - 3) / max(1.0, np.abs(run["c"]).max())
    for k in range(cells):
        middle = _TOP + (k + 0.5) * _ROW
        parts.append(_label(middle + 4, f"cell {k + 1}"))
        parts += _ribbon({name: run[name][:, k] for name in "ifgc"}, middle, column, scale)
    heights = bottom + 2 + (1 - shares) * 46
    places = _LEFT + (np.arange(steps) + _PLACES[-1]) * column
    curve = "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(places, heights, strict=True))
    parts += [
        _label(bottom + 9, answers[0]),
        _label(bottom + 51, answers[1]),
        f'<path class="watch-axis" d="M{_LEFT} {bottom + 25}H{_WIDTH - _RIGHT}"/>',
        f'<path class="watch-answer" d="M{curve}"/>',
    ]
    return (
        f'<svg class="watch-run" viewBox="0 0 {_WIDTH} {bottom + 58}" role="img" '
        f'aria-label="{escape(alt)}">{"".join(parts)}</svg>'
    )


def _label(y: float, text: str) -> str:
    return f'<text class="watch-label" x="{_LEFT - 6}" y="{y}" text-anchor="end">{text}</text>'


def _ribbon(run: Run, middle: float, column: float, scale: float) -> Iterator[str]:
    """Draw the memory of one cell: filled above 0, hollow below, bites and beads on it."""
    old = np.concatenate(([0.0], run["c"]))[:-1]
    kept = run["f"] * old
    half = scale / 2 * np.stack([old, kept, kept, run["c"]], axis=1)
    x = _LEFT + (np.arange(len(old))[:, None] + _PLACES) * column
    for sign, name in ((1, "positive"), (-1, "negative")):
        band = ""
        for at, width in _pieces(x.ravel(), np.maximum(sign * half, 0).ravel()):
            back = _edge(at[::-1], middle + width[::-1])
            band += f"M{_edge(at, middle - width)}L{back}Z"
        if band:
            yield f'<path class="watch-ribbon watch-{name}" d="{band}"/>'
    bites = ""
    for at, (before, left) in zip(x[:, :2], np.abs(half[:, :2]), strict=True):
        if before - left > 0.2:
            for side in (-1, 1):
                edge = _edge(at, middle + side * np.array([before, left]))
                bites += f"M{edge}V{middle + side * before:.1f}Z"
    if bites:
        yield f'<path class="watch-bite" d="{bites}"/>'
    written = run["i"] * run["g"]
    radii = np.sqrt(scale * np.abs(written) * (_ROW - 3)) / 2.6
    for t in np.flatnonzero(radii > 0.8):
        name = "positive" if written[t] > 0 else "negative"
        where = f'cx="{_LEFT + (t + 0.66) * column:.1f}" cy="{middle}" r="{radii[t]:.1f}"'
        yield f'<circle class="watch-drop watch-{name}" {where}/>'


def _pieces(x: np.ndarray, half: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut a band where it has no width."""
    wide = np.maximum(half[:-1], half[1:]) > 0.05
    ends = np.flatnonzero(np.diff(wide, prepend=False, append=False)).reshape(-1, 2)
    return [(x[first : last + 1], half[first : last + 1]) for first, last in ends]


def _edge(x: np.ndarray, y: np.ndarray) -> str:
    """Join points by curves that are level at each of them."""
    text = f"{x[0]:.1f} {y[0]:.1f}"
    for n in range(1, len(x)):
        middle = (x[n - 1] + x[n]) / 2
        text += f"C{middle:.1f} {y[n - 1]:.1f} {middle:.1f} {y[n]:.1f} {x[n]:.1f} {y[n]:.1f}"
    return text
