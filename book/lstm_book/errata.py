r"""The five articles' formulas exactly as printed, each beside the right one.

The ledger of all findings is ``book/errata.yml``; a name here ends with the number of its article
and its docstring names the finding. The articles write one example at a time, the code here a row
per example, as everywhere in the package: :math:`W x_t` is ``x_t @ W.T``.

These functions are wrong on purpose. :data:`CORRECTIONS` says what stands in their place, and
``tests/lstm_book/test_errata_*.py`` show that the two differ and that the right one is right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from lstm import equations as eq

Weights = Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Gate name (``i``, ``f``, ``g``, ``o``) → its W (H, D), U (H, H) and b (H,)."""

Step = Callable[..., tuple[np.ndarray, np.ndarray]]


def random_weights(input_size: int, hidden_size: int, rng, scale: float = 1.0) -> Weights:
    """Draw weights and biases of all four gates from a normal distribution, shapes as above."""
    rng = np.random.default_rng(rng)
    shapes = (hidden_size, input_size), (hidden_size, hidden_size), (hidden_size,)
    return {gate: tuple(scale * rng.standard_normal(s) for s in shapes) for gate in "ifgo"}


GATES = {"i": eq.input_gate, "f": eq.forget_gate, "g": eq.candidate, "o": eq.output_gate}


def gates(x_t, h_prev, weights: Weights, **instead: Callable) -> tuple[np.ndarray, ...]:
    """Return i, f, g and o of one step; ``instead`` computes one of them by another function."""
    functions = GATES | instead
    return tuple(functions[gate](x_t, h_prev, *weights[gate]) for gate in "ifgo")


def step(x_t, h_prev, c_prev, weights: Weights):
    """One step of the LSTM, as it should be: arrays (B, D), (B, H), (B, H) → ``h_t, c_t``."""
    i_t, f_t, g_t, o_t = gates(x_t, h_prev, weights)
    c_t = eq.cell_state(f_t, c_prev, i_t, g_t)
    return eq.hidden_state(o_t, c_t), c_t


def unroll(one_step: Step, x, h_0, c_0, weights: Weights) -> tuple[np.ndarray, np.ndarray]:
    """Run ``one_step`` over ``x`` (T, B, D) and return all ``h`` and ``c``, each (T, B, H)."""
    h_t, c_t, states = h_0, c_0, []
    for x_t in x:
        h_t, c_t = one_step(x_t, h_t, c_t, weights)
        states.append((h_t, c_t))
    h, c = zip(*states, strict=True)
    return np.stack(h), np.stack(c)


# ------------------------------------------------------------------------------- article 000


def output_gate_000(x_t, h_prev, W, U, b):
    r"""Article 000, section 3.3, finding 000-14: a gate times the last output.

    .. math:: o_t = \sigma(W_{oi}x_t + W_{oh}h_{t-1} + b_o) \odot h_{t-1}

    Right: :func:`lstm.equations.output_gate`.
    """
    return eq.sigmoid(x_t @ W.T + h_prev @ U.T + b) * h_prev


def hidden_state_000(f_t, h_prev, i_t, g_t, o_t):
    r"""Article 000, section 4, finding 000-16: no memory cell, no squashing.

    .. math:: h_t = f_t \odot h_{t-1} + i_t \odot \tanh(W_{xi}x_t + W_{xh}h_{t-1} + b_x) \odot o_t

    Right: :func:`lstm.equations.cell_state`, then :func:`lstm.equations.hidden_state`.
    """
    return f_t * h_prev + i_t * g_t * o_t


def step_000(x_t, h_prev, c_prev, weights: Weights):
    """Article 000, sections 3 and 4 together: one step; ``c_prev`` passes through unused."""
    i_t, f_t, g_t, o_t = gates(x_t, h_prev, weights, o=output_gate_000)
    return hidden_state_000(f_t, h_prev, i_t, g_t, o_t), c_prev


def gradient_along_cell_000(f):
    r"""Article 000, finding 000-06, and others: "the gradient does not vanish", as a formula.

    .. math:: \partial c_T / \partial c_0 = 1
    """
    return np.ones_like(f[0])


def gradient_along_cell(f):
    r"""Return :math:`\partial c_T / \partial c_0 = \prod_t f_t` along the cell, ``f`` (T, H)."""
    return np.prod(f, axis=0)


# ------------------------------------------------------------------------------- article 001


def kept_001(f_t, c_prev):
    r"""Article 001, section 3.2 (1), finding 001-10: :math:`f_t` as "the proportion to forget"."""
    return (1 - f_t) * c_prev


def kept(f_t, c_prev):
    r"""Return what stays of the old cell state: :math:`f_t \odot c_{t-1}`."""
    return eq.cell_state(f_t, c_prev, np.zeros_like(f_t), np.zeros_like(f_t))


def forgotten_001(f_t, c_prev):
    r"""Article 001, section 3.2 (4), finding 001-12: what is "to be forgotten"."""
    return f_t * c_prev


def forgotten(f_t, c_prev):
    r"""Return what is lost of the old cell state: :math:`(1 - f_t) \odot c_{t-1}`."""
    return c_prev - kept(f_t, c_prev)


def output_001(o_t, c_t):
    r"""Article 001, section 3.1 (4), finding 001-08: the cell state "as the output".

    .. math:: h_t = c_t
    """
    return c_t + 0 * o_t


def hidden_state_001(o_t, c_t):
    r"""Articles 001, section 3.2 (6), and 004, section 3.5, in words: no tanh.

    Finding 001-13.

    .. math:: h_t = o_t \odot c_t

    Right: :func:`lstm.equations.hidden_state`.
    """
    return o_t * c_t


def gate_001(x_t, h_prev, W, U, b):
    r"""Article 001, section 3.2, in words, finding 001-09: a "linear transformation".

    .. math:: f_t = W x_t + U h_{t-1} + b

    Right: the same inside a sigmoid, :func:`lstm.equations.forget_gate`.
    """
    return eq.preactivation(x_t, h_prev, W, U, b)


def cell_state_001(f_t, c_prev, i_t, g_t):
    r"""Article 001, section 4.1, finding 001-17: the dot that stands for :math:`W\cdot x`.

    .. math:: C_t = f_t \cdot C_{t-1} + i_t \cdot \tilde{C}_t

    Read as the matrix product that it is in the gates' lines; arrays (B, H) → (B, 1).
    """
    return (f_t * c_prev).sum(-1, keepdims=True) + (i_t * g_t).sum(-1, keepdims=True)


# --------------------------------------------------------------------- articles 002 and 003


def hidden_state_002(x_t, h_prev, c_t, W, U, b, f):
    r"""Article 002, section 4, finding 002-12: an "activation function" of two arguments.

    .. math:: h_t = f(W \cdot X_t + U \cdot h_{t-1} + b, c_t)
    """
    return f(eq.preactivation(x_t, h_prev, W, U, b), c_t)


def hidden_state_two_gates_002(o_t, c_t):
    r"""Article 002, section 2 (1), finding 002-06: no output gate, so :math:`o_t = 1`."""
    return eq.hidden_state(np.ones_like(o_t), c_t)


def kept_002(i_t, f_t, c_prev):
    r"""Article 002, section 2 (2), finding 002-07: the input gate "retains".

    .. math:: i_t \odot c_{t-1}
    """
    return i_t * c_prev


def step_003(x_t, h_prev, c_prev, weights: Weights):
    r"""Article 003, section 4.1, finding 003-08: the "LSTM" is an Elman network.

    .. math:: h_{t} = f(Wx_{t}+Uh_{t-1}+b)

    With :math:`f = \tanh`, on the candidate's weights; ``c_prev`` passes through unused. The same
    is left of article 002's formula when its :math:`c_t` is dropped.
    """
    return eq.candidate(x_t, h_prev, *weights["g"]), c_prev


def gradients_003(d_h, h, x, h_prev):
    r"""Article 003, section 4.2, findings 003-12 to 003-16.

    .. math:: \Delta W = \Delta h_t x_t, \quad \Delta U = \Delta h_t h_{t-1}, \quad
        \Delta b = \Delta h_t

    In the most charitable reading: outer products, summed over the steps. It is exact for the
    identity :math:`f(a) = a` and for nothing else.

    Parameters
    ----------
    d_h, h : ndarray, shape (T, H)
        Gradient of the loss with respect to each hidden state, and the hidden states.
    x, h_prev : ndarray, shapes (T, D), (T, H)
        Inputs, and the hidden states one step earlier.

    Returns
    -------
    d_W, d_U, d_b : ndarray, shapes (H, D), (H, H), (H,)
    """
    return d_h.T @ x, d_h.T @ h_prev, d_h.sum(axis=0)


def gradients_elman(d_h, h, x, h_prev):
    r"""Return the Elman network's gradients; arguments and result as in :func:`gradients_003`.

    .. math:: \bar{a}_t = \bar{h}_t \odot (1 - h_t^2), \qquad
        \bar{W} = \sum_t \bar{a}_t x_t^\top, \quad
        \bar{U} = \sum_t \bar{a}_t h_{t-1}^\top, \quad
        \bar{b} = \sum_t \bar{a}_t
    """
    return eq.d_weights(d_h * eq.tanh_derivative(h), x, h_prev)


def whole_gradients_elman(d_h_direct, h, U):
    r"""Carry the gradient of each hidden state back through time, which article 003 leaves out.

    .. math:: \bar{h}_{t} = \bar{h}_t^{\text{direct}}
        + U^\top \left(\bar{h}_{t+1} \odot (1 - h_{t+1}^2)\right)

    Arrays (T, H) → (T, H).
    """
    d_h = np.array(d_h_direct, copy=True)
    for t in range(len(d_h) - 2, -1, -1):
        d_h[t] += (d_h[t + 1] * eq.tanh_derivative(h[t + 1])) @ U
    return d_h


# ------------------------------------------------------------------------------- article 004


def step_relu_004(x_t, h_prev, c_prev, weights: Weights):
    r"""Article 004, section 5.1, finding 004-42: ``LSTM(128, activation='relu')``.

    .. math:: g_t = \max(0, W x_t + U h_{t-1} + b), \qquad h_t = o_t \odot \max(0, c_t)
    """
    i_t, f_t, _, o_t = gates(x_t, h_prev, weights)
    g_t = np.maximum(0, eq.preactivation(x_t, h_prev, *weights["g"]))
    c_t = eq.cell_state(f_t, c_prev, i_t, g_t)
    return o_t * np.maximum(0, c_t), c_t


def reshape_004(images):
    """Article 004, section 5.1, finding 004-39: (N, 28, 28) "to" (N, 28, 1)."""
    return images.reshape(images.shape[0], images.shape[1], 1)


# ------------------------------------------------------------ the worked example of article 004

WORKED_W = {
    "f": [[0.1, 0.2], [0.3, 0.4]],
    "i": [[0.7, 0.8], [0.9, 1.0]],
    "g": [[1.3, 1.4], [1.5, 1.6]],
    "o": [[1.9, 2.0], [2.1, 2.2]],
}
"""The printed :math:`W_{fg}, W_{fi}, W_{fc}, W_{fo}`: each (2, 2) where (2, 4) is needed."""

WORKED_B = {"f": [0.5, 0.6], "i": [1.1, 1.2], "g": [1.7, 1.8], "o": [2.3, 2.4]}
"""The printed biases."""

WORKED_X, WORKED_H = [1.0, 2.0], [3.0, 4.0]
"""The printed :math:`x_t` and :math:`h_{t-1}`; no LSTM puts out an :math:`h` of 3 or 4."""

SHAPE_NEEDED = (2, 4)
"""(H, H + D): :math:`W [h_{t-1}, x_t]` with two units and two inputs."""


class PrintedNumber(NamedTuple):
    """One number of article 004, section 4, and what its own expression is worth."""

    section: str
    quantity: str
    expression: str  # the printed left side, as Python
    printed: float  # the printed right side
    value: float  # what the expression is worth


WORKED_NUMBERS = (
    PrintedNumber("4.1", "g_t", "sigmoid(0.1*3 + 0.2*2 + 0.5 + 0.6)", 0.34, float(eq.sigmoid(1.8))),
    PrintedNumber("4.2", "i_t", "sigmoid(0.7*3 + 0.8*2 + 1.1 + 1.2)", 0.78, float(eq.sigmoid(6.0))),
    PrintedNumber("4.3", "candidate, before tanh", "1.3*3 + 1.4*2 + 1.7 + 1.8", 10.34, 10.2),
    PrintedNumber("4.3", "candidate", "tanh(10.34)", 2.31, float(np.tanh(10.34))),
    PrintedNumber("4.3", "constant of C_t", "0.78*2.31", 0.8752, 0.78 * 2.31),
    PrintedNumber("4.3", "factor of C_{t-1}", "0.34", 0.78, 0.34),
    PrintedNumber(
        "4.4", "o_t", "sigmoid(1.9*3 + 2.0*4 + 2.3 + 2.4)", 0.92, float(eq.sigmoid(18.4))
    ),
)
"""Every number that section 4 computes, in the order of the text."""


def worked_article_reading(c_prev: float = 0.0) -> dict[str, float]:
    r"""Compute section 4 as the article's own sums are written, with the arithmetic done right.

    The sums use the first row of each matrix only, on :math:`h_1 = 3` and :math:`x_2 = 2`, and add
    both entries of the bias. That is a legal LSTM with *one* unit and one input whose weight is
    the row :math:`[u, w]` and which has two biases, as PyTorch's has. Section 4.4 departs from it:
    it multiplies :math:`2.0` by :math:`h_2 = 4`; here it is :math:`x_2 = 2`, as in the others.

    Parameters
    ----------
    c_prev : float
        :math:`C_{t-1}`, which the article never gives.

    Returns
    -------
    dict
        ``f_t, i_t, g_t, o_t, c_t, h_t``.
    """
    weights = {
        gate: (np.array([[w]]), np.array([[u]]), np.array([sum(WORKED_B[gate])]))
        for gate, ((u, w), _) in WORKED_W.items()
    }
    return _named_step(np.array([[WORKED_X[1]]]), np.array([[WORKED_H[0]]]), [[c_prev]], weights)


def worked_repair(c_prev=(0.0, 0.0)) -> dict[str, np.ndarray]:
    r"""Compute section 4 in the smallest repair that uses every printed number and no other.

    Two units, two inputs; each (2, 2) matrix is used twice, once for :math:`h_{t-1}` and once for
    :math:`x_t`, so that :math:`[W\; W]` has the shape (2, 4) that the formula needs.
    """
    weights = {
        gate: (np.array(w), np.array(w), np.array(WORKED_B[gate])) for gate, w in WORKED_W.items()
    }
    return _named_step(np.array([WORKED_X]), np.array([WORKED_H]), [c_prev], weights)


def worked_teaching_version(c_prev=(0.5, -0.5)) -> dict[str, np.ndarray]:
    """Compute the repair with weights, biases and ``h_prev`` divided by ten: nothing saturates."""
    weights = {
        gate: (np.array(w) / 10, np.array(w) / 10, np.array(WORKED_B[gate]) / 10)
        for gate, w in WORKED_W.items()
    }
    return _named_step(np.array([WORKED_X]), np.array([WORKED_H]) / 10, [c_prev], weights)


def _named_step(x_t, h_prev, c_prev, weights: Weights) -> dict:
    i_t, f_t, g_t, o_t = gates(x_t, h_prev, weights)
    c_t = eq.cell_state(f_t, np.asarray(c_prev), i_t, g_t)
    named = {"f_t": f_t, "i_t": i_t, "g_t": g_t, "o_t": o_t, "c_t": c_t}
    named["h_t"] = eq.hidden_state(o_t, c_t)
    return {
        name: float(value[0, 0]) if value.size == 1 else value[0] for name, value in named.items()
    }


CORRECTIONS: dict[Callable, Callable] = {
    output_gate_000: eq.output_gate,
    step_000: step,
    gradient_along_cell_000: gradient_along_cell,
    kept_001: kept,
    forgotten_001: forgotten,
    output_001: eq.hidden_state,
    hidden_state_001: eq.hidden_state,
    gate_001: eq.forget_gate,
    cell_state_001: eq.cell_state,
    hidden_state_two_gates_002: eq.hidden_state,
    kept_002: lambda i_t, f_t, c_prev: kept(f_t, c_prev),
    step_003: step,
    gradients_003: gradients_elman,
    step_relu_004: step,
    reshape_004: np.asarray,  # N images are N sequences of 28 rows
}
"""Printed function → the right function with the same arguments."""
