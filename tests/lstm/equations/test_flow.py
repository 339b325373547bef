"""The equations of the chapter on what the LSTM solves, each against an independent computation."""

import numpy as np
import pytest
import torch

import lstm
from lstm import equations as eq
from lstm.gradcheck import central_difference, complex_step, relative_error

EXACT = 1e-12
# Gates and candidate weights of a one-unit cell, in the order i, f, o, u, w.
AT_REST = [(0.5, 0.5, 0.5, 4.0, 2.0), (0.3, 0.9, 0.6, 2.5, -1.0), (0.8, 0.2, 0.4, -1.5, 0.7)]


def logit(p):
    return np.log(p / (1 - p))


def one_unit(i, f, o, u, w):
    """Weights of an LSTM whose gates do not look at anything."""
    return {
        "W": np.array([[0.0], [0.0], [w], [0.0]]),
        "U": np.array([[0.0], [0.0], [u], [0.0]]),
        "b": np.array([logit(i), logit(f), 0.0, logit(o)]),
    }


def run(W, U, b, x, c_0=0.0, h_0=0.0, activation=np.tanh):
    """The LSTM from its equations; x has shape (T, D); returns c and h of every step."""
    H = len(b) // 4
    h, c = np.zeros((1, H)) + h_0, np.zeros((1, H)) + c_0
    states = []
    for x_t in x:
        a = eq.preactivation(x_t[None], h, W, U, b)
        i, f, o = (eq.sigmoid(a[:, k * H : (k + 1) * H]) for k in (0, 1, 3))
        c = eq.cell_state(f, c, i, activation(a[:, 2 * H : 3 * H]))
        h = o * activation(c)
        states.append((c[0], h[0], f[0]))
    return [np.stack(arrays) for arrays in zip(*states, strict=True)]


@pytest.mark.equation("eq-cell-path")
def test_cell_path_is_the_whole_gradient_where_nothing_reads_h():
    rng, H, D, T = np.random.default_rng(0), 3, 2, 7
    W, b = rng.normal(size=(4 * H, D)), rng.normal(size=4 * H)
    x, c_0 = rng.normal(size=(T, D)), rng.normal(size=H)

    def whole(U):
        rows = [
            complex_step(lambda c, j=j: run(W, U, b, x, c_0=c)[0][-1, j], c_0) for j in range(H)
        ]
        return np.stack(rows)

    U = np.zeros((4 * H, H))
    U[3 * H :] = rng.normal(size=(H, H))  # the output gate may read it: nothing leads back to c
    assert relative_error(whole(U), np.diag(eq.cell_path(run(W, U, b, x, c_0=c_0)[2]))) < EXACT
    # With a candidate that reads h it is only one of the paths.
    U[2 * H : 3 * H] = rng.normal(size=(H, H))
    path = np.diag(eq.cell_path(run(W, U, b, x, c_0=c_0)[2]))
    assert relative_error(path, whole(U)) > 1e-3


@pytest.mark.equation("eq-one-unit-gain")
@pytest.mark.parametrize("values", AT_REST)
def test_one_unit_gain_is_the_slope_at_rest(values):
    i, f, o, u, _ = values

    def next_c(c):
        # h_{t-1} = o tanh(c_{t-1}): the state before the step, seen through the output gate.
        return run(**one_unit(*values), x=np.zeros((1, 1)), c_0=c[0], h_0=o * np.tanh(c[0]))[0][
            0, 0
        ]

    assert complex_step(next_c, np.zeros(1))[0] == pytest.approx(
        eq.one_unit_gain(i, f, o, u), rel=EXACT
    )


@pytest.mark.equation("eq-one-unit-gradient")
@pytest.mark.parametrize("values", AT_REST)
@pytest.mark.parametrize("T", [1, 2, 10, 100])
def test_one_unit_gradient_by_four_methods(values, T):
    i, f, o, u, w = values
    weights, x = one_unit(*values), np.zeros((T, 1))
    expected = eq.one_unit_gradient(i, f, o, u, w, T)

    def h_T(x_1):
        return run(**weights, x=np.concatenate([x_1[None], x[1:]]))[1][-1, 0]

    assert complex_step(h_T, np.zeros(1))[0] == pytest.approx(expected, rel=1e-11)
    # The step must be small against 1/gradient, and may be: near zero floats are dense.
    assert central_difference(h_T, np.zeros(1), step=1e-25)[0] == pytest.approx(expected, rel=1e-11)

    layer = lstm.LSTM(1, 1, dtype=np.float64)
    arrays = weights["W"], weights["U"], weights["b"], np.zeros(4)
    layer.load_state_dict(dict(zip(layer.state_dict(), arrays, strict=True)))
    theirs = lstm.torch.to_torch(layer)
    layer(x[:, None])
    d_output = np.zeros((T, 1, 1))
    d_output[-1] = 1
    d_x, _ = layer.backward(d_output)
    assert d_x[0, 0, 0] == pytest.approx(expected, rel=1e-11)
    leaf = torch.zeros(T, 1, 1, dtype=torch.float64, requires_grad=True)
    theirs(leaf)[0][-1].sum().backward()
    assert leaf.grad[0, 0, 0].item() == pytest.approx(expected, rel=1e-11)


@pytest.mark.equation("eq-one-unit-gradient")
def test_the_gradient_that_the_chapter_names():
    assert f"{eq.one_unit_gradient(0.5, 0.5, 0.5, 4, 2, 100):.2e}" == "1.36e+17"


@pytest.mark.equation("eq-one-unit-bias-gradient")
@pytest.mark.parametrize("values", AT_REST)
@pytest.mark.parametrize("T", [1, 2, 10, 100])
def test_one_unit_bias_gradient(values, T):
    i, f, o, u, _ = values
    weights = one_unit(*values)

    def h_T(b_g):
        b = weights["b"] + np.array([0, 0, 1, 0]) * b_g
        return run(weights["W"], weights["U"], b, np.zeros((T, 1)))[1][-1, 0]

    expected = eq.one_unit_bias_gradient(i, f, o, u, T)
    assert complex_step(h_T, np.zeros(1))[0] == pytest.approx(expected, rel=1e-11)


@pytest.mark.equation("eq-relu-growth")
@pytest.mark.parametrize("values", AT_REST[:2])
def test_relu_growth_is_the_state_itself(values):
    i, f, o, u, _ = values
    c_0, T = 0.01, 40
    c = run(
        **one_unit(*values),
        x=np.zeros((T, 1)),
        c_0=c_0,
        h_0=o * c_0,
        activation=lambda a: np.maximum(a, 0),
    )[0]
    expected = [eq.relu_growth(c_0, i, f, o, u, t) for t in range(1, T + 1)]
    np.testing.assert_allclose(c[:, 0], expected, rtol=1e-11)
