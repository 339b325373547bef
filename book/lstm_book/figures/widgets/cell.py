"""The cell: one step of an LSTM with two cells, every number in reach (chapter on gates)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lstm import equations as eq
from lstm_book.figures.widgets.page import figure_page, number

GATES = {"i": "input", "f": "forget", "g": "candidate", "o": "output"}
"""Letter of a gate -> its name, and its colour in ``lstm_book.figures.palette``."""

# The step that the chapter on gates works by hand.
START = {
    "x": [0.5, -1.0],
    "h": [0.2, -0.4],
    "c": [0.6, -0.8],
    "W": {
        "i": [[0.4, -0.3], [0.1, 0.5]],
        "f": [[0.3, 0.2], [-0.4, 0.1]],
        "g": [[0.6, -0.5], [0.3, 0.8]],
        "o": [[0.2, 0.6], [0.5, -0.2]],
    },
    "U": {
        "i": [[0.2, 0.1], [-0.5, 0.3]],
        "f": [[0.5, -0.2], [0.2, 0.4]],
        "g": [[-0.1, 0.4], [0.7, -0.3]],
        "o": [[0.3, -0.6], [-0.2, 0.1]],
    },
    "b": {"i": [0.1, -0.2], "f": [1.0, 1.0], "g": [0.0, 0.1], "o": [0.3, -0.1]},
}

_CAPTION = """
One step of an LSTM with two inputs and two cells, with the numbers of the worked example. Move an
input, a state, a weight or a bias: whatever depends on it lights up. <em>Feed back</em> makes
<var>h<sub>t</sub></var> and <var>c<sub>t</sub></var> the old states of the next step.
"""


def _var(letter: str, index: str) -> str:
    return f"<var>{letter}<sub>{index}</sub></var>"


def _rows() -> list[tuple[str, str, str, str]]:
    """Return key, colour, symbol and equation of every number of a step."""
    x, h, c = _var("x", "t"), _var("h", "t\u22121"), _var("c", "t\u22121")
    rows = []
    for k, name in GATES.items():
        affine = f"{_var('W', k)} {x} + {_var('U', k)} {h} + {_var('b', k)}"
        rows.append((f"a_{k}", name, _var("a", k), affine))
    for k, name in GATES.items():
        function = "tanh" if k == "g" else "\u03c3"
        rows.append((f"{k}_t", name, _var(k, "t"), f"{function}({_var('a', k)})"))
    i, f, g, o = (_var(k, "t") for k in GATES)
    new = _var("c", "t")
    return [
        *rows,
        ("kept", "forget", f"{f} \u2299 {c}", "what is kept"),
        ("written", "input", f"{i} \u2299 {g}", "what is written"),
        ("c_t", "cell", new, f"{f} \u2299 {c} + {i} \u2299 {g}"),
        ("tanh", "cell", f"tanh {new}", "squashed"),
        ("h_t", "hidden", _var("h", "t"), f"{o} \u2299 tanh {new}"),
    ]


def numbers(state: dict) -> dict[str, np.ndarray]:
    """Return every number of one step, key -> values of the two cells."""
    x, h, c = (np.array([state[key]]) for key in "xhc")
    W, U = (np.vstack([state[name][k] for k in GATES]) for name in "WU")
    a = eq.preactivation(x, h, W, U, np.hstack([state["b"][k] for k in GATES]))
    i, f, g, o = eq.gates(a)
    new = eq.cell_state(f, c, i, g)
    affine = zip((f"a_{k}" for k in GATES), np.split(a, 4, axis=1), strict=True)
    values = dict(affine) | {"i_t": i, "f_t": f, "g_t": g, "o_t": o}
    values |= {"kept": f * c, "written": i * g, "c_t": new, "tanh": np.tanh(new)}
    values["h_t"] = eq.hidden_state(o, new)
    return {key: value[0] for key, value in values.items()}


def data(folder: Path, train: bool) -> dict:
    """Return the numbers that the widget starts with."""
    return {"start": START, "gates": GATES}


def page(data: dict) -> str:
    """Return the step as a table; the script puts the controls before it."""
    values = numbers(data["start"])
    body = "\n".join(_row(row, values[row[0]]) for row in _rows())
    table = (
        '<table class="widget-numbers">\n<thead><tr><th scope="col">number</th>'
        '<th scope="col" class="widget-equation">equation</th>'
        '<th scope="col">cell 1</th><th scope="col">cell 2</th></tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table>"
    )
    return figure_page("cell", table, _CAPTION)


def _row(row: tuple[str, str, str, str], values: np.ndarray) -> str:
    key, color, symbol, equation = row
    cells = "".join(
        f'<td data-key="{key}" data-cell="{n}" data-value="{value:.12g}"{_bar(value)}>'
        f"{number(value)}</td>"
        for n, value in enumerate(values)
    )
    return (
        f'<tr class="widget-{color}" data-row="{key}"><th scope="row">{symbol}</th>'
        f'<td class="widget-equation">{equation}</td>{cells}</tr>'
    )


def _bar(value: float) -> str:
    """Return the bar under a number as CSS variables: it runs from 0 to the value, in [-1, 1]."""
    end = float(np.clip(value, -1, 1))
    return f' style="--from: {50 + 50 * min(end, 0):.1f}%; --to: {50 + 50 * max(end, 0):.1f}%"'
