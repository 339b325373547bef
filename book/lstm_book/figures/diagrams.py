"""Networks, cells and the paths of their gradients, drawn by code.

A gate has the same colour here as in every chart. A circle with a dot is an elementwise product, a
circle with a cross a sum, a box an activation function with its own weights. Every function returns
a matplotlib ``Figure`` for :func:`lstm_book.figures.plots.show`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, PathPatch, Polygon, Rectangle
from matplotlib.path import Path

from lstm.signatures import checked
from lstm_book.figures.palette import COLORS
from lstm_book.figures.plots import style

__all__ = [
    "PARTS",
    "backward_graph",
    "backward_step",
    "lstm_cell",
    "peephole_cell",
    "stacked_bidirectional",
    "unrolled_rnn",
]

#: What a highlight may name, in the order in which a step computes it.
PARTS = ("input", "forget", "candidate", "output", "cell", "hidden")

Point = tuple[float, float]

# What recedes keeps a contrast of 3:1, so that it can be read on a phone.
_FAINT = 0.75


# --------------------------------------------------------------------------------------- drawing
class _Canvas:
    """An empty page measured in points, and the few marks from which every diagram is made."""

    def __init__(self, width: float, height: float, highlight: Collection[str] = ()) -> None:
        self.highlight = frozenset(highlight)
        self.figure = plt.figure(figsize=(width / 72, height / 72), layout="none")
        self.ax = self.figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
        self.ax.set_axis_off()

    def _look(self, role: str) -> dict[str, object]:
        """Return colour and opacity; what is not highlighted recedes. ``ink`` never does."""
        if self.highlight and role not in self.highlight and role != "ink":
            return {"color": COLORS["muted"], "alpha": _FAINT}
        return {"color": COLORS[role], "alpha": 1.0}

    @contextmanager
    def lit(self, role: str, *, when: bool) -> Iterator[None]:
        """Draw ``role`` at full strength in this block, although it is not highlighted."""
        before = self.highlight
        if before and when:
            self.highlight = before | {role}
        yield
        self.highlight = before

    def wire(
        self,
        *points: Point,
        role: str = "ink",
        width: float = 1.5,
        head: float = 8,
        dashes: str | tuple = "-",
        corner: float = 9,
        order: float = 2,
        alpha: float = 1,
    ) -> None:
        """Draw a line through ``points`` with rounded corners; ``head`` 0 leaves out the arrow."""
        look = self._look(role)
        look["alpha"] *= alpha
        corners = np.array(points, dtype=float)
        tip, before = corners[-1].copy(), corners[-2]
        along = (tip - before) / np.hypot(*(tip - before))
        if head:
            corners[-1] = tip - 0.8 * head * along
            side = 0.42 * head * np.array([-along[1], along[0]])
            back = tip - head * along
            notch = tip - 0.75 * head * along
            shape = [tip, back + side, notch, back - side]
            self.ax.add_patch(Polygon(shape, linewidth=0, zorder=order + 0.1, **look))
        self.ax.add_patch(
            PathPatch(
                _rounded(corners, corner),
                fill=False,
                linewidth=width,
                linestyle=dashes,
                capstyle="butt",
                joinstyle="round",
                zorder=order,
                **look,
            )
        )

    def dot(self, x: float, y: float, role: str = "ink", radius: float = 2.8) -> None:
        """Mark where a line branches."""
        self.ax.add_patch(Circle((x, y), radius, linewidth=0, zorder=4, **self._look(role)))

    def product(self, x: float, y: float, role: str) -> None:
        """Draw the elementwise product, a circle with a dot."""
        self._ring(x, y, role)
        self.dot(x, y, role, radius=2.6)

    def total(self, x: float, y: float, role: str) -> None:
        """Draw the sum, a circle with a cross."""
        self._ring(x, y, role)
        for step in ((6, 0), (0, 6)):
            across, up = zip((x - step[0], y - step[1]), (x + step[0], y + step[1]), strict=True)
            self.ax.plot(across, up, linewidth=1.7, linestyle="-", zorder=4, **self._look(role))

    def _ring(self, x: float, y: float, role: str, radius: float = 11) -> None:
        look = self._look(role)
        ring = Circle((x, y), radius, fill=False, linewidth=1.7, zorder=3, **look)
        self.ax.add_patch(ring)

    def box(
        self,
        x: float,
        y: float,
        text: str,
        role: str,
        *,
        width: float = 50,
        height: float = 32,
        size: float = 15,
    ) -> None:
        """Draw an activation function, or a whole cell, as a tinted box around (x, y)."""
        look = self._look(role)
        corner = (x - width / 2 + 6, y - height / 2 + 6)
        shape = FancyBboxPatch(
            corner, width - 12, height - 12, boxstyle="round,pad=6,rounding_size=7"
        )
        shape.set(facecolor=(look["color"], 0.14 * look["alpha"]), linewidth=1.6, zorder=3)
        shape.set_edgecolor((look["color"], look["alpha"]))
        self.ax.add_patch(shape)
        self.label(x, y, text, "ink" if look["alpha"] == 1 else role, size=size)

    def variable(self, x: float, y: float, text: str, role: str, radius: float = 15) -> None:
        """Draw a variable as a tinted circle."""
        color = COLORS[role]
        disc = Circle((x, y), radius, facecolor=(color, 0.14), edgecolor=color, linewidth=1.6)
        disc.set_zorder(3)
        self.ax.add_patch(disc)
        self.label(x, y, text, size=14)

    def label(self, x: float, y: float, text: str, role: str = "ink", **options: object) -> None:
        """Write ``text`` centred on (x, y); mathematics in the face of the book's equations."""
        size = options.pop("size", 17)
        aligned = {"ha": "center", "va": "center"} | options
        self.ax.text(
            x,
            y,
            text,
            fontsize=size,
            math_fontfamily="cm",
            zorder=5,
            **aligned,
            **self._look(role),
        )


def _rounded(corners: np.ndarray, radius: float) -> Path:
    """Return the path through ``corners``, each turn replaced by a quarter of a curve."""
    vertices, codes = [corners[0]], [Path.MOVETO]
    for before, corner, after in zip(corners[:-2], corners[1:-1], corners[2:], strict=True):
        turn = []
        for end in (before, after):
            length = np.hypot(*(end - corner))
            turn.append(corner + (end - corner) * min(radius, length / 2) / length)
        vertices += [turn[0], corner, turn[1]]
        codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
    return Path([*vertices, corners[-1]], [*codes, Path.LINETO])


# ----------------------------------------------------------------------------------------- cells
# Where the parts of a cell stand, in points; the same with peepholes, so that the two compare. A
# phone shows all of it, with its smallest letters 11 pixels high.
_WIDTH, _HEIGHT = 352, 300
_CELL_LINE, _PRODUCT_LINE, _GATE_LINE, _BUS_LINE = 248, 178, 112, 52
_SOURCE, _COLUMNS = 50, {"forget": 77, "input": 129, "candidate": 181, "output": 247}
_HIDDEN, _RIGHT = 298, 338
_SYMBOLS = {"forget": "f", "input": "i", "candidate": "g", "output": "o"}


@checked
def lstm_cell(highlight: str | Collection[str] | None = None) -> Figure:
    """Draw today's LSTM cell; the cell state is the thick line on top.

    Parameters
    ----------
    highlight : str or collection of str, optional
        One or more of :data:`PARTS`; the rest turns grey. By default everything is in colour.
    """
    if highlight is None:
        highlight = ()
    names = (highlight,) if isinstance(highlight, str) else tuple(highlight)
    for name in names:
        if name not in PARTS:
            raise ValueError(f"highlight must be among {', '.join(PARTS)}, got {name!r}")
    return _cell(names)


def peephole_cell() -> Figure:
    """Draw the cell with peepholes: dashed, the gates also see the cell state."""
    return _cell((), peepholes=True)


def _cell(highlight: Collection[str], *, peepholes: bool = False) -> Figure:
    with style():
        canvas = _Canvas(_WIDTH, _HEIGHT, highlight)
        _draw_frame(canvas)
        _draw_cell_state(canvas)
        _draw_gates(canvas)
        _draw_hidden_state(canvas)
        if peepholes:
            _draw_peepholes(canvas)
    return canvas.figure


def _draw_frame(canvas: _Canvas) -> None:
    frame = FancyBboxPatch((40, 32), 286, 246, boxstyle="round,pad=0,rounding_size=14")
    frame.set(fill=False, edgecolor=COLORS["muted"], alpha=0.45, linewidth=1, zorder=0)
    canvas.ax.add_patch(frame)


def _draw_cell_state(canvas: _Canvas) -> None:
    """Draw the carousel: c_{t-1}, times the forget gate, plus what is written, is c_t.

    Of the line, a highlighted part leaves in colour what it acts on: the old state up to the
    product or the sum, the new one where it is shown.
    """
    y, forget, add = _CELL_LINE, _COLUMNS["forget"], _COLUMNS["candidate"]
    thick = {"role": "cell", "width": 3.6, "head": 0}
    writes = bool(canvas.highlight & {"input", "candidate"})
    with canvas.lit("cell", when=writes or "forget" in canvas.highlight):
        canvas.label(18, y, "$c_{t-1}$", "cell")
        canvas.wire((36, y), (forget - 11, y), **thick)
        canvas.product(forget, y, "forget" if "forget" in canvas.highlight else "cell")
    with canvas.lit("cell", when=writes):
        canvas.wire((forget + 11, y), (add - 11, y), **thick)
        canvas.total(add, y, "cell")
    with canvas.lit("cell", when=_shows(canvas)):
        canvas.label(_RIGHT + 4, y, "$c_t$", "cell")
        canvas.wire((add + 11, y), (_RIGHT - 8, y), **thick | {"head": 11})
    with canvas.lit("cell", when=writes):
        canvas.wire((add, _PRODUCT_LINE + 11), (add, y - 11), role="cell")
    role = "cell"
    if writes:
        role = "input" if "input" in canvas.highlight else "candidate"
    canvas.product(add, _PRODUCT_LINE, role)


def _draw_gates(canvas: _Canvas) -> None:
    """Draw the inputs, the bus that every gate reads, the gates and where each one acts."""
    # What a highlighted gate reads stays visible; of no gate's business, it recedes.
    lit = canvas.highlight & set(_COLUMNS)
    bus = "muted" if canvas.highlight and not lit else "ink"
    source = bus if canvas.highlight else "hidden"
    canvas.label(18, _BUS_LINE, "$h_{t-1}$", source)
    canvas.label(_SOURCE, 14, "$x_t$", bus)
    canvas.wire((37, _BUS_LINE), (_SOURCE, _BUS_LINE), role=source, width=2.4, head=0)
    canvas.wire((_SOURCE, 25), (_SOURCE, _BUS_LINE), role=bus, head=0)
    reached = max((_COLUMNS[name] for name in lit), default=max(_COLUMNS.values()))
    for start, (name, x) in zip([_SOURCE, *_COLUMNS.values()], _COLUMNS.items(), strict=False):
        part = bus if x <= reached else "muted"
        branch = "ink" if name in lit or not canvas.highlight else "muted"
        canvas.dot(start, _BUS_LINE, part)
        foot = (x, _BUS_LINE)
        if name == "output":
            canvas.wire((start, _BUS_LINE), foot, (x, _GATE_LINE - 16), role=part)
        else:
            canvas.wire((start, _BUS_LINE), foot, role=part, head=0)
            canvas.wire(foot, (x, _GATE_LINE - 16), role=branch)
        function = r"$\tanh$" if name == "candidate" else r"$\sigma$"
        canvas.box(x, _GATE_LINE, function, name, width=44)
        canvas.label(x + 5, 74, name, name, size=11, ha="left")
    top = _GATE_LINE + 16
    x = _COLUMNS["forget"]
    canvas.wire((x, top), (x, _CELL_LINE - 11), role="forget")
    x, product = _COLUMNS["input"], _COLUMNS["candidate"]
    canvas.wire((x, top), (x, _PRODUCT_LINE), (product - 11, _PRODUCT_LINE), role="input")
    canvas.wire((product, top), (product, _PRODUCT_LINE - 11), role="candidate")
    x = _COLUMNS["output"]
    canvas.wire(
        (x, top), (x, _PRODUCT_LINE - 20), (_HIDDEN - 11, _PRODUCT_LINE - 20), role="output"
    )
    for name, x in _COLUMNS.items():
        canvas.label(x + 5, top + 13, f"${_SYMBOLS[name]}_t$", name, ha="left")


def _shows(canvas: _Canvas) -> bool:
    return bool(canvas.highlight & {"output", "hidden"})


def _draw_hidden_state(canvas: _Canvas) -> None:
    x, product = _HIDDEN, _PRODUCT_LINE - 20
    with canvas.lit("cell", when=_shows(canvas)):
        canvas.dot(x, _CELL_LINE, "cell", radius=3.6)
    canvas.wire((x, _CELL_LINE), (x, 220), role="hidden")
    canvas.box(x, 206, r"$\tanh$", "hidden", width=44, height=27)
    canvas.wire((x, 192), (x, product + 11), role="hidden")
    canvas.product(x, product, "hidden")
    canvas.wire(
        (x, product - 11), (x, _BUS_LINE), (_RIGHT - 8, _BUS_LINE), role="hidden", width=2.4
    )
    canvas.label(_RIGHT + 4, _BUS_LINE, "$h_t$", "hidden")


def _draw_peepholes(canvas: _Canvas) -> None:
    look = {"role": "cell", "dashes": (0, (3.2, 2)), "width": 1.5, "head": 7, "corner": 7}
    left, forget, write = 48, _COLUMNS["forget"], _COLUMNS["input"]
    canvas.dot(left, _CELL_LINE, "cell", radius=3.6)
    canvas.wire((left, _CELL_LINE), (left, _GATE_LINE), (forget - 22, _GATE_LINE), **look)
    canvas.dot(left, 200, "cell")
    canvas.wire((left, 200), (forget - 4, 200), **look | {"head": 0})
    canvas.wire((forget + 4, 200), (write - 16, 200), (write - 16, _GATE_LINE + 16), **look)
    after = _COLUMNS["output"] - 16
    canvas.dot(after, _CELL_LINE, "cell", radius=3.6)
    canvas.wire((after, _CELL_LINE), (after, _GATE_LINE + 16), **look)


# ------------------------------------------------------------------------------ recurrent network
def unrolled_rnn() -> Figure:
    """Draw a recurrent network folded, and unrolled over T steps with the same weights.

    Every hidden state goes to the next step and to its own step's loss.
    """
    with style():
        canvas = _Canvas(480, 240)
        for step, x in {"t": 44, "1": 240, "2": 330, "T": 450}.items():
            _draw_rnn_step(canvas, x, step)
        # Folded: the hidden state that leaves the cell enters it at the next step.
        canvas.dot(44, 146, "hidden", radius=3.4)
        loop = ((44, 146), (98, 146), (98, _RNN_LINE), (70, _RNN_LINE))
        canvas.wire(*loop, role="hidden", width=2.4, head=10)
        canvas.label(106, 124, "$U$", ha="left", size=15)
        canvas.label(148, _RNN_LINE, "$=$", size=22)
        canvas.label(176, _RNN_LINE, "$h_0$", "hidden")
        for start, end in ((190, 214), (266, 304), (356, 376), (404, 424)):
            line = ((start, _RNN_LINE), (end, _RNN_LINE))
            canvas.wire(*line, role="hidden", width=2.4, head=10)
        for x in (199, 283, 412):
            canvas.label(x, _RNN_LINE + 14, "$U$", size=15)
        canvas.label(390, _RNN_LINE, r"$\cdots$", "hidden")
    return canvas.figure


_RNN_LINE = 96


def _draw_rnn_step(canvas: _Canvas, x: float, step: str) -> None:
    canvas.label(x, 16, f"$x_{step}$")
    canvas.wire((x, 30), (x, _RNN_LINE - 18))
    canvas.label(x - 8, 54, "$W$", ha="right", size=15)
    canvas.box(x, _RNN_LINE, r"$\tanh$", "hidden", height=36)
    canvas.wire((x, _RNN_LINE + 18), (x, 168), role="hidden", width=2.4, head=10)
    canvas.label(x, 182, f"$h_{step}$", "hidden")
    canvas.wire((x, 194), (x, 214))
    canvas.label(x, 228, rf"$\ell_{step}$")


# ----------------------------------------------------------------------------------- the gradient
_STATE_LINE, _PRODUCT_ROW, _OUTPUT_ROW, _GATE_ROW, _SUM_ROW, _LOSS_ROW = 402, 330, 292, 226, 142, 76
_STATES = (22, 239, 456)
_ROUND = 17


def backward_graph() -> Figure:
    """Draw two steps and how the gradient flows back through them.

    The grey bands are the forward computation. On every band runs the gradient, against it; its
    label is what the gradient is multiplied with on the way. Where arrows meet, gradients add.
    """
    with style():
        canvas = _Canvas(480, 430)
        for step, (left, right) in enumerate(pairwise(_STATES), start=1):
            _draw_gradient_of_cell(canvas, left, right, step)
            _draw_gradient_of_gates(canvas, left, step)
            _road(canvas, (right, _SUM_ROW - _ROUND), (right, _LOSS_ROW - 16), role="ink")
            canvas.label(right, 46, rf"$\ell_{step}$")
        for step, x in enumerate(_STATES):
            canvas.variable(x, _STATE_LINE, f"$c_{step}$", "cell", _ROUND)
            canvas.variable(x, _SUM_ROW, f"$h_{step}$", "hidden", _ROUND)
        canvas.wire((70, 12), (104, 12), role="muted", width=8, head=0, alpha=0.3)
        canvas.label(112, 12, "computed forward", size=11, ha="left")
        canvas.wire((264, 12), (230, 12), role="ink")
        canvas.label(272, 12, "gradient, times its label", size=11, ha="left")
    return canvas.figure


def _road(canvas: _Canvas, *points: Point, role: str, width: float = 1.6) -> None:
    """Draw a band for a forward edge and on it, the other way, the gradient."""
    canvas.wire(*points, role="muted", width=8, head=0, alpha=0.22, order=1)
    canvas.wire(*points[::-1], role=role, width=width, head=6 + 1.6 * width)


def _gate_places(left: float) -> dict[str, float]:
    return {
        "forget": left + 52,
        "input": left + 88,
        "candidate": left + 124,
        "output": left + 167,
    }


def _draw_gradient_of_cell(canvas: _Canvas, left: float, right: float, step: int) -> None:
    """Draw the paths from c_t and h_t back to c_{t-1} and to the four gates."""
    state, product, output, top = _STATE_LINE, _PRODUCT_ROW, _OUTPUT_ROW, _GATE_ROW + 14
    forget, write, add, expose = _gate_places(left).values()
    note = {"size": 12, "ha": "left"}
    # Along the cell state only the forget gate is in the way.
    for start, end in ((left + _ROUND, forget - 11), (forget + 11, add - 11)):
        _road(canvas, (start, state), (end, state), role="cell", width=3.2)
    _road(canvas, (add + 11, state), (right - _ROUND, state), role="cell", width=3.2)
    canvas.product(forget, state, "cell")
    canvas.total(add, state, "cell")
    canvas.label(left + 21, state + 17, f"$f_{step}$", **note)
    _road(canvas, (forget, top), (forget, state - 11), role="forget")
    canvas.label(forget + 6, 266, f"$c_{step - 1}$", **note)
    _road(canvas, (add, product + 11), (add, state - 11), role="cell")
    canvas.product(add, product, "cell")
    _road(canvas, (write, top), (write, product), (add - 11, product), role="input")
    canvas.label(write + 6, 266, f"$g_{step}$", **note)
    _road(canvas, (add, top), (add, product - 11), role="candidate")
    canvas.label(add + 6, 266, f"$i_{step}$", **note)
    # From the hidden state to the output gate and, through tanh, to the cell state.
    _road(canvas, (right, state - _ROUND), (right, output + 11), role="cell")
    canvas.product(right, output, "hidden")
    _road(canvas, (right, output - 11), (right, _SUM_ROW + _ROUND), role="hidden")
    _road(canvas, (expose, top), (expose, output), (right - 11, output), role="output")
    note["ha"] = "right"
    canvas.label(right - 9, 368, rf"$o_{step}\;\odot$", **note)
    canvas.label(right - 9, 352, rf"$(1-\tanh^2 c_{step})$", **note)
    canvas.label(right - 13, output + 13, rf"$\tanh\,c_{step}$", **note)


def _draw_gradient_of_gates(canvas: _Canvas, left: float, step: int) -> None:
    """Draw the paths from the four gates through a_t back to h_{t-1} and x_t."""
    gates = _gate_places(left)
    for name, x in gates.items():
        _road(canvas, (x, _SUM_ROW + 16), (x, _GATE_ROW - 14), role=name)
        canvas.variable(x, _GATE_ROW, f"${_SYMBOLS[name]}_{step}$", name, 14)
        slope = r"\tanh'" if name == "candidate" else r"\sigma'"
        canvas.label(x + 5, 186, f"${slope}$", size=12, ha="left")
    first, last = gates["forget"], gates["output"]
    middle, width = (first + last) / 2, last - first + 28
    canvas.box(middle, _SUM_ROW, f"$a_{step}$", "muted", width=width)
    end = middle - width / 2
    _road(canvas, (left + _ROUND, _SUM_ROW), (end, _SUM_ROW), role="hidden", width=2.4)
    canvas.label((left + _ROUND + end) / 2 + 3, _SUM_ROW + 16, r"$U^{\!\top}$", size=12)
    _road(canvas, (middle, _LOSS_ROW - 16), (middle, _SUM_ROW - 16), role="ink")
    canvas.label(middle + 7, 92, r"$W^{\!\top}$", size=12, ha="left")
    canvas.label(middle, 46, f"$x_{step}$")


# Where the nodes of one step stand, in points, and how each is written.
_STEP_STATE, _STEP_PRODUCT, _STEP_HIDDEN, _STEP_GATES, _STEP_AFFINE = 316, 222, 162, 116, 30
_STEP_COLUMNS = {"f": (112, "forget"), "i": (192, "input"), "g": (272, "candidate")}
_STEP_COLUMNS |= {"o": (352, "output")}
_NODES = {
    "c_prev": (42, _STEP_STATE, "cell", "c_{t-1}"),
    "c": (434, _STEP_STATE, "cell", "c_t"),
    "h": (434, _STEP_HIDDEN, "hidden", "h_t"),
}
for _name, (_x, _role) in _STEP_COLUMNS.items():
    _NODES[_name] = (_x, _STEP_GATES, _role, f"{_name}_t")
    _NODES[f"a_{_name}"] = (_x, _STEP_AFFINE, _role, f"a_{_name}")
_HALF = 21


def backward_step(
    values: Mapping[str, float], gradients: Mapping[str, float], arriving: Mapping[str, float]
) -> Figure:
    """Draw one step of one cell with its numbers: above the value, below the gradient.

    Parameters
    ----------
    values, gradients : mapping of str to float
        Of ``c_prev``, ``c``, ``h``, the gates ``f``, ``i``, ``g``, ``o``, and ``a_f`` to ``a_o``.
    arriving : mapping of str to float
        What is added up in the two states: ``h``, ``c`` (along the cell), and ``h to c``.
    """
    with style():
        canvas = _Canvas(480, 376)
        _draw_roads_of_step(canvas)
        _label_roads_of_step(canvas)
        for name, (x, y, role, symbol) in _NODES.items():
            canvas.box(x, y, "", role, width=80 if name == "c_prev" else 72, height=2 * _HALF)
            canvas.label(x, y + 9, f"${symbol}$ {_four(values[name])}", size=11.5)
            bar = symbol.replace(symbol[0], rf"\bar{{{symbol[0]}}}", 1)
            canvas.label(x, y - 9, f"${bar}$ {_four(gradients[name])}", role, size=11.5)
        note = {"size": 11.5, "ha": "right"}
        canvas.label(424, _STEP_STATE + 42, f"along the cell: {_four(arriving['c'])}", **note)
        canvas.label(424, _STEP_STATE - 36, f"from $h_t$: {_four(arriving['h to c'])}", **note)
        canvas.label(434, 88, "from the right:", size=11.5)
        canvas.label(434, 72, _four(arriving["h"]), size=11.5)
    return canvas.figure


def _four(number: float) -> str:
    return f"{number:.4f}".replace("-", "\N{MINUS SIGN}")


def _draw_roads_of_step(canvas: _Canvas) -> None:
    """Draw the computation of one step as bands and on them, the other way, the gradients."""
    state, product, gates = _STEP_STATE, _STEP_PRODUCT, _STEP_GATES + _HALF
    (forget, _), (write, _), (add, _), (expose, _) = _STEP_COLUMNS.values()
    right, hidden = 434, _STEP_HIDDEN
    for start, end in ((82, forget - 11), (forget + 11, add - 11), (add + 11, right - 36)):
        _road(canvas, (start, state), (end, state), role="cell", width=2.6)
    _road(canvas, (forget, gates), (forget, state - 11), role="forget")
    _road(canvas, (write, gates), (write, product), (add - 11, product), role="input")
    _road(canvas, (add, gates), (add, product - 11), role="candidate")
    _road(canvas, (add, product + 11), (add, state - 11), role="cell")
    _road(canvas, (expose, gates), (expose, product), (right - 11, product), role="output")
    _road(canvas, (right, state - _HALF), (right, product + 11), role="cell")
    _road(canvas, (right, product - 11), (right, hidden + _HALF), role="hidden")
    for x, role in _STEP_COLUMNS.values():
        _road(canvas, (x, _STEP_AFFINE + _HALF), (x, _STEP_GATES - _HALF), role=role)
    for x, y, role in ((forget, state, "cell"), (add, product, "cell"), (right, product, "hidden")):
        canvas.product(x, y, role)
    canvas.total(add, state, "cell")
    canvas.wire((right, 372), (right, state + _HALF), role="cell", width=2.6, head=10)
    canvas.wire((right, 98), (right, hidden - _HALF), role="hidden", head=9)


def _label_roads_of_step(canvas: _Canvas) -> None:
    """Write what the gradient is multiplied with on its way."""
    factors = {"f": "c_{t-1}", "i": "g_t", "g": "i_t", "o": r"\tanh\,c_t"}
    for name, (x, _) in _STEP_COLUMNS.items():
        slope = r"\tanh'" if name == "g" else r"\sigma'"
        canvas.label(x + 6, 198, f"${factors[name]}$", size=12, ha="left")
        canvas.label(x + 6, 73, f"${slope}$", size=12, ha="left")
    canvas.label(92, _STEP_STATE + 17, "$f_t$", size=12)


# ------------------------------------------------------------------------- deep and in both ways
def stacked_bidirectional() -> Figure:
    """Draw two bidirectional layers over three steps, and where each direction ends."""
    columns = (100, 240, 380)
    with style():
        canvas = _Canvas(480, 390)
        for step, x in enumerate(columns, start=1):
            canvas.label(x, 16, f"$x_{step}$")
            canvas.wire((x, 28), (x, 42), head=0)
        for layer, base in enumerate((42, 216), start=1):
            _draw_layer(canvas, columns, base, layer)
    return canvas.figure


def _draw_layer(canvas: _Canvas, columns: Sequence[float], base: float, layer: int) -> None:
    """Draw both directions of a layer that reads at height ``base``, and their joined outputs."""
    forward, backward, joined, shift = base + 34, base + 82, base + 130, 28
    directions = ((forward, -shift, "hidden"), (backward, shift, "validation"))
    for step, x in enumerate(columns, start=1):
        for y, offset, role in directions:
            side = x + offset
            canvas.wire((x, base), (x, base + 7), (side, base + 7), (side, y - 14), corner=6)
            canvas.box(side, y, "LSTM", role, width=46, height=28, size=11)
            canvas.wire((side, y + 14), (side, joined - 12), role=role)
        _draw_joined(canvas, x, joined)
        canvas.label(x + 55, joined, f"$h_{step}^{{({layer})}}$", size=15, ha="left")
        if layer == 1:
            canvas.wire((x, joined + 12), (x, base + 174), head=0)
    # A line that would run through another is interrupted there.
    for x, after in zip(columns, (*columns[1:], None), strict=True):
        end = after - shift - 23 if after else x + shift + 34
        canvas.wire((x - shift + 23, forward), (x + shift - 4, forward), role="hidden", head=0)
        canvas.wire((x + shift + 4, forward), (end, forward), role="hidden")
    for x, before in zip(columns, (None, *columns), strict=False):
        end = before + shift + 23 if before else x - shift - 34
        canvas.wire(
            (x + shift - 23, backward), (x - shift + 4, backward), role="validation", head=0
        )
        canvas.wire((x - shift - 4, backward), (end, backward), role="validation")
    canvas.label(2, joined, f"layer {layer}", size=11, ha="left")
    canvas.label(columns[-1] + shift + 37, forward, "$h_n$", "hidden", size=15, ha="left")
    canvas.label(columns[0] - shift - 37, backward, "$h_n$", "validation", size=15, ha="right")


def _draw_joined(canvas: _Canvas, x: float, y: float) -> None:
    """Draw the two directions' hidden states side by side as one vector."""
    for left, role, arrow in ((x - 51, "hidden", "→"), (x, "validation", "←")):
        color = COLORS[role]
        half = Rectangle((left, y - 12), 51, 24, facecolor=(color, 0.14), edgecolor=color)
        half.set_linewidth(1.4)
        canvas.ax.add_patch(half)
        canvas.label(left + 25.5, y, arrow, role, size=13)
