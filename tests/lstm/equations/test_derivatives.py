"""Every derivative inside a step: its equation against the complex step, a row of a table each."""

import inspect

import numpy as np
import pytest

from lstm import equations as eq
from lstm.gradcheck import complex_step

B, D, H, P = 3, 2, 4, 2
SHAPES = {"x": (B, D), "W": (4 * H, D), "U": (4 * H, H), "b": (4 * H,)}
SHAPES |= {"a": (B, 4 * H), "W_hr": (P, H)}
SHAPES |= dict.fromkeys(("p_i", "p_f", "p_o"), (H,))
"""Shapes of the arguments; of those that are not named, (B, H)."""
MASKS = {"mask": np.array([[1.0], [0.0], [1.0]]), "dropout": np.where(np.eye(B, H), 0.0, 2.0)}


def check(label, forward, backward, wrt):
    """Return a row: ``backward``, the equation, gives the gradients of ``wrt`` in ``forward``.

    ``backward`` takes the gradient of the result, then whichever arguments of ``forward`` it needs.
    """
    mark = pytest.mark.equation(label)
    return pytest.param(forward, backward, wrt.split(), marks=mark, id=f"{label}: {wrt}")


def cell(f, c_prev, i, g):
    return f * c_prev + i * g


def shown(o, c):
    return o * np.tanh(c)


def affine(x, h, W, U, b):
    return x @ W.T + h @ U.T + b


def d_cell_through_peephole(d_c_next, d_h, c, o, p_o):
    return eq.d_peephole_cell_state(d_c_next, d_h, o, c, p_o, d_h * np.tanh(c) * o * (1 - o))


def d_previous_cell_through_peepholes(d_c, c, i, f, g, p_i, p_f):
    d_a_i, d_a_f = d_c * g * i * (1 - i), d_c * c * f * (1 - f)
    return eq.d_peephole_cell_previous(d_c, f, p_i, d_a_i, p_f, d_a_f)


def tanh(z):
    return np.tanh(z)


DERIVATIVES = [
    check(
        "eq-sigmoid-derivative",
        lambda z: 1 / (1 + np.exp(-z)),
        lambda d, z: d * eq.sigmoid_derivative(eq.sigmoid(z)),
        "z",
    ),
    check("eq-tanh-derivative", tanh, lambda d, z: d * eq.tanh_derivative(np.tanh(z)), "z"),
    check("eq-rnn-d-preactivation", tanh, lambda d, z: eq.d_rnn_preactivation(d, np.tanh(z)), "z"),
    check(
        "eq-rule-elementwise",
        lambda z: np.exp(np.sin(z)),
        lambda d, z: eq.rule_elementwise(d, np.cos(z) * np.exp(np.sin(z))),
        "z",
    ),
    check("eq-rule-product", lambda u, v: u * v, lambda d, u, v: eq.rule_product(d, u, v), "u v"),
    check(
        "eq-rule-affine",
        lambda x, W, b: x @ W.T + b,
        lambda d, x, W: eq.rule_affine(d, x, W),
        "x W b",
    ),
    check(
        "eq-d-output-gate", lambda o, c: o * np.tanh(c), lambda d, c: eq.d_output_gate(d, c), "o"
    ),
    check(
        "eq-d-cell-state",
        lambda o, c: np.stack([c, shown(o, c)]),
        lambda d, o, c: eq.d_cell_state(*d, o, c),
        "c",
    ),
    check("eq-d-cell-previous", cell, lambda d, f: eq.d_cell_previous(d, f), "c_prev"),
    check("eq-d-forget-gate", cell, lambda d, c_prev: eq.d_forget_gate(d, c_prev), "f"),
    check("eq-d-input-gate", cell, lambda d, g: eq.d_input_gate(d, g), "i"),
    check("eq-d-candidate", cell, lambda d, i: eq.d_candidate(d, i), "g"),
    check(
        "eq-d-preactivation",
        lambda a: np.stack(eq.gates(a)),
        lambda d, a: eq.d_preactivation(*d, *eq.gates(a)),
        "a",
    ),
    check("eq-d-weights", affine, lambda d, x, h: eq.d_weights(d, x, h), "W U b"),
    check("eq-d-inputs", affine, lambda d, W, U: eq.d_inputs(d, W, U), "x h"),
    check(
        "eq-d-candidate-1997",
        lambda i, z: i * (4 * eq.sigmoid(z) - 2),
        lambda d, i, z: eq.d_candidate_preactivation_1997(d, i, 4 * eq.sigmoid(z) - 2),
        "z",
    ),
    check(
        "eq-d-cell-1997",
        lambda c, o, u: np.stack([c + u, eq.hidden_state_1997(o, c)]),
        lambda d, o, c: eq.d_cell_state_1997(*d, o, c),
        "c",
    ),
    check(
        "eq-d-peephole-weights",
        lambda p_i, p_f, p_o, c_prev, c: np.stack([p_i * c_prev, p_f * c_prev, p_o * c]),
        lambda d, c_prev, c: eq.d_peephole_weights(*d, c_prev, c),
        "p_i p_f p_o",
    ),
    check(
        "eq-d-peephole-cell",
        lambda c, z, p_o: np.stack([c, eq.sigmoid(z + p_o * c) * np.tanh(c)]),
        lambda d, c, z, p_o: d_cell_through_peephole(*d, c, eq.sigmoid(z + p_o * c), p_o),
        "c",
    ),
    check(
        "eq-d-peephole-cell-previous",
        lambda c, z_i, z_f, g, p_i, p_f: (
            eq.sigmoid(z_f + p_f * c) * c + eq.sigmoid(z_i + p_i * c) * g
        ),
        lambda d, c, z_i, z_f, g, p_i, p_f: d_previous_cell_through_peepholes(
            d, c, eq.sigmoid(z_i + p_i * c), eq.sigmoid(z_f + p_f * c), g, p_i, p_f
        ),
        "c",
    ),
    check(
        "eq-d-coupled-gate",
        lambda f, c, g: eq.coupled_cell_state(f, c, g),
        lambda d, c, g: eq.d_coupled_gate(d, c, g),
        "f",
    ),
    check(
        "eq-d-projection",
        lambda r, W_hr: r @ W_hr.T,
        lambda d, r, W_hr: eq.d_projection(d, r, r, W_hr)[0],
        "r",
    ),
    check(
        "eq-d-projection",
        lambda o, c, W_hr: eq.projected_hidden_state(o, c, W_hr),
        lambda d, o, c, W_hr: eq.d_projection(d, o, c, W_hr)[1],
        "W_hr",
    ),
    check(
        "eq-d-mask",
        lambda s_new, s_prev, mask: eq.masked_state(s_new, s_prev, mask),
        lambda d, mask: eq.d_masked_state(d, mask),
        "s_new s_prev",
    ),
    check(
        "eq-d-stacked",
        lambda h, dropout: eq.stacked_input(h, dropout),
        lambda d, dropout: eq.d_stacked_input(d, dropout),
        "h",
    ),
]


@pytest.mark.parametrize(("forward", "backward", "wrt"), DERIVATIVES)
def test_derivative_is_that_of_the_complex_step(forward, backward, wrt):
    rng = np.random.default_rng(6)
    names = inspect.signature(forward).parameters
    arrays = {name: rng.normal(size=SHAPES.get(name, (B, H))) for name in names}
    arrays |= {name: mask for name, mask in MASKS.items() if name in arrays}
    d = rng.normal(size=forward(**arrays).shape)
    _, *needed = inspect.signature(backward).parameters
    gradients = backward(d, *(arrays[name] for name in needed))
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    for name, gradient in zip(wrt, gradients, strict=True):

        def loss(value, name=name):
            return (d * forward(**arrays | {name: value})).sum()

        expected = complex_step(loss, arrays[name])
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-13, err_msg=name)
