"""Worlds in which the ledger's formulas are computed: one real run each, and its symbols' values.

A formula that the ledger calls correct must hold in the LSTM's world: both sides, computed from the
symbols' values, are equal. What an article prints in its place does not hold there.
"""

from __future__ import annotations

import re

import numpy as np
from lstm_book import errata

import lstm
from lstm import equations as eq
from lstm.gradcheck import complex_step
from tests.book import latex

D, H, T = 3, 4, 5
SIZES = {"D": D, "H": H, "T": T, "t": 3, "k": 2, "j": 1}


def column(values) -> np.ndarray:
    """Return a vector as the text writes it."""
    return np.asarray(values, float).reshape(-1, 1)


def over_time(**sequences) -> dict:
    """Return the values of symbols with an index: each sequence begins at step 0."""
    return {
        (name, step): column(value)
        for name, values in sequences.items()
        for step, value in enumerate(values)
    }


def weights_of(W, U, b, gates: str = "") -> dict:
    """Return the values of W, U and b, whole and by gate."""
    values = {("W",): W, ("U",): U, ("b",): column(b)}
    for at, gate in enumerate(gates):
        part = slice(at * H, (at + 1) * H)
        values |= {
            (f"W_{gate}",): W[part],
            (f"U_{gate}",): U[part],
            (f"b_{gate}",): column(b[part]),
        }
    return values


def updated(values: dict, d_W) -> dict:
    """Add a gradient, a learning rate and what one step of SGD makes of the weight."""
    weight = lstm.Parameter(values["W",].copy())
    weight.grad[...] = d_W
    lstm.SGD([weight], lr=0.1).step()
    return {
        ("eta",): 0.1,
        ("d_W",): d_W,
        ("theta",): values["W",],
        ("g",): d_W,
        ("new W",): weight.data,
        ("new theta",): weight.data,
    }


def lstm_world(seed: int = 0) -> dict:
    """Return the symbols of an LSTM that reads T steps from the state zero, and its gradients."""
    cell = lstm.LSTMCell(D, H, dtype=np.float64, rng=seed)
    W, U, b, zero = (parameter.data for parameter in cell.parameters())
    b += zero
    zero[...] = 0
    rng = np.random.default_rng(seed)
    x, h, c = rng.standard_normal((T + 1, D)), [np.zeros(H)], [np.zeros(H)]
    gates = {gate: [np.full(H, np.nan)] for gate in "ifgo"}
    a = [np.full(4 * H, np.nan)]
    for x_t in x[1:]:
        a.append(W @ x_t + U @ h[-1] + b)
        for gate, z in zip("ifgo", np.split(a[-1], 4), strict=True):
            gates[gate].append(np.tanh(z) if gate == "g" else eq.sigmoid(z))
        new_h, new_c = cell(x_t[None], (h[-1][None], c[-1][None]))
        h.append(new_h[0])
        c.append(new_c[0])
    values = weights_of(W, U, b, "ifgo") | over_time(x=x, a=a, h=h, c=c, **gates)

    def along_the_cell(c_0):
        for step in range(1, T + 1):
            f, i, g = (gates[gate][step] for gate in "fig")
            c_0 = eq.cell_state(f, c_0, i, g)
        return c_0.sum()

    values["∂c/∂c", T, 0] = column(complex_step(along_the_cell, np.zeros(H)))
    return values | updated(values, rng.standard_normal(W.shape))


def elman_world(seed: int = 0) -> dict:
    """Return the symbols of an Elman network, with the gradients of a loss at every step."""
    rng = np.random.default_rng(seed)
    W, U, b = (0.5 * rng.standard_normal(shape) for shape in ((H, D), (H, H), H))
    nothing = [np.full(H, np.nan)]
    x, a, h = rng.standard_normal((T + 1, D)), nothing.copy(), [np.zeros(H)]
    for x_t in x[1:]:
        a.append(W @ x_t + U @ h[-1] + b)
        h.append(np.tanh(a[-1]))
    direct = rng.standard_normal((T, H))
    d_h = errata.whole_gradients_elman(direct, np.array(h[1:]), U)
    d_a = d_h * eq.tanh_derivative(np.array(h[1:]))
    values = weights_of(W, U, b) | over_time(
        x=x, a=a, h=h, d_h=[*nothing, *d_h], d_a=[*nothing, *d_a]
    )
    values |= {("d_h_direct", step + 1): column(each) for step, each in enumerate(direct)}
    d_W, d_U, d_b = errata.gradients_elman(d_h, np.array(h[1:]), x[1:], np.array(h[:-1]))
    return values | updated(values, d_W) | {("d_U",): d_U, ("d_b",): column(d_b)}


def world_000(start: float, seed: int = 0) -> dict:
    """Return the symbols of article 000's recurrence, with s the sigmoid in its output gate."""
    rng, weights = np.random.default_rng(seed), errata.random_weights(D, H, seed)
    x, h, gates = (
        rng.standard_normal((T + 1, D)),
        [np.full(H, start)],
        {k: [np.zeros(H)] for k in "ifgs"},
    )
    for x_t in x[1:]:
        i, f, g, s = errata.gates(x_t, h[-1], weights)
        for gate, value in zip("ifgs", (i, f, g, s), strict=True):
            gates[gate].append(value)
        h.append(errata.step_000(x_t, h[-1], None, weights)[0])
    return over_time(x=x, h=h, **gates)


def readable(formula: str) -> str:
    """Return a formula of the ledger in the letters and signs that the book's grammar knows."""
    text = re.sub(r"\\tilde\{C\}|\\tilde C", "g", formula).replace("C", "c")
    text = re.sub(r"(?<![a-z_])f('?)\(", r"\\tanh\1(", text)  # article 003's f
    both = r"\begin{bmatrix} h_{t-1} \\ x_t \end{bmatrix}"
    text = re.sub(r"\[h_\{t-1\}, ?x_\{?t\}?\]", lambda _: both, text)
    blocks = r"\begin{bmatrix} U%s & W%s \end{bmatrix} \begin"
    text = re.sub(r"W(_\w)? *\\begin", lambda m: blocks % (m[1] or "", m[1] or ""), text)
    text = re.sub(
        r"\\partial (\w_\w) / \\partial (\w_\w)", r"\\frac{\\partial \1}{\\partial \2}", text
    )
    return text.replace(r"\times", r"\odot")


def value(formula: str, world: dict):
    """Return the value of one side of a formula."""
    return latex.Evaluator(dict(world), SIZES, {}).of(latex.plain(readable(formula)))


def sides(formula: str) -> tuple[list[str], list[str]]:
    """Return the sides of a formula and the relations between them; of an expression, itself."""
    try:
        ((found, relations),) = latex.Display(readable(formula)).statements
    except latex.FormulaError:
        return [formula], []
    return found, relations


def holds(formula: str, world: dict) -> bool:
    """Return whether every side of a formula has the same value, or the one that it shall get."""
    (first, *rest), relations = sides(formula)
    new = relations == [r"\leftarrow"]
    left = world["new " + first.strip("\\"),] if new else value(first, world)
    return all(
        np.all(latex.RELATIONS.get(relation, _equal)(left, value(side, world)))
        for side, relation in zip(rest, relations, strict=True)
    )


def _equal(a, b) -> bool:
    if np.ndim(a) and np.ndim(b) and np.shape(a) != np.shape(b):
        return False
    return np.allclose(a, b, rtol=1e-9, atol=1e-12)
