"""The 1997 cell, peepholes, coupled gates and projection: against PyTorch and loops."""

import math

import numpy as np
import pytest
import torch

from lstm import equations as eq

T, B, D, H, P = 4, 2, 3, 5, 2
EXACT = {"rtol": 0, "atol": 1e-13}


@pytest.fixture
def rng():
    return np.random.default_rng(8)


@pytest.fixture
def arrays(rng):
    """x_t, h_prev, W, U, b of one gate."""
    shapes = ((B, D), (B, H), (H, D), (H, H), (H,))
    return tuple(rng.normal(size=shape) for shape in shapes)


# ------------------------------------------------------------------ the constant error carousel
@pytest.mark.equation("eq-local-error-flow")
def test_local_error_flow():
    w, y_0 = 1.3, 0.4

    def last(y):
        for _ in range(7):
            y = np.tanh(w * y)
        return y

    y, slopes = y_0, []
    for _ in range(7):
        y = math.tanh(w * y)
        slopes.append(1 - y**2)
    expected = np.imag(last(y_0 + 1e-30j)) / 1e-30
    assert eq.local_error_flow(w, np.array(slopes)) == pytest.approx(expected, rel=1e-13)
    assert eq.local_error_flow(1.0, np.ones(1000)) == 1


@pytest.mark.equation("eq-carousel")
def test_carousel_adds_up():
    c = np.array([[0.25]])
    for u in (0.5, -2.0, 8.0):
        c = eq.carousel(c, np.array([[u]]))
    assert c[0, 0] == 6.75


@pytest.mark.equation("eq-input-conflict")
def test_input_conflict_is_the_least_error_of_one_weight(rng):
    T = 5
    # Whitened inputs: mean 0, variance 1 and no correlation, exactly, in the sample.
    x = rng.normal(size=(400, T))
    x = np.linalg.qr(x - x.mean(axis=0))[0] * math.sqrt(400)
    total = x.sum(axis=1)
    w = (total @ x[:, 0]) / (total @ total)
    assert w == pytest.approx(1 / T, rel=1e-10)
    assert eq.input_conflict(T) == pytest.approx(((w * total - x[:, 0]) ** 2).mean(), rel=1e-10)


# ---------------------------------------------------------------------------- the cell of 1997
@pytest.mark.equation("eq-candidate-1997")
def test_candidate_1997_is_the_papers_g(arrays):
    a = eq.preactivation(*arrays)
    paper = np.vectorize(lambda z: 4 / (1 + math.exp(-z)) - 2)(a)
    np.testing.assert_allclose(eq.candidate_1997(*arrays), paper, **EXACT)


@pytest.mark.equation("eq-cell-1997")
def test_cell_1997_is_todays_with_the_forget_gate_at_one(rng):
    c_prev, i_t, g_t = rng.normal(size=(3, B, H))
    expected = [[c_prev[n, k] + i_t[n, k] * g_t[n, k] for k in range(H)] for n in range(B)]
    np.testing.assert_array_equal(eq.cell_state_1997(c_prev, i_t, g_t), expected)


@pytest.mark.equation("eq-hidden-1997")
def test_hidden_1997_is_the_papers_h(rng):
    o_t, c_t = rng.normal(size=(2, B, H))
    paper = o_t * np.vectorize(lambda s: 2 / (1 + math.exp(-s)) - 1)(c_t)
    np.testing.assert_allclose(eq.hidden_state_1997(o_t, c_t), paper, **EXACT)


@pytest.mark.equation("eq-truncated-1997")
def test_gradient_forwards_in_time_is_the_one_backwards_cut_at_the_gates(rng):
    """The way back of 1997, one sequence and one step at a time."""
    d_loss, o, c, i, g, h_prev = rng.normal(size=(6, 4, 3, 2))
    expected = np.zeros((2, 2))
    for b in range(3):
        d_c = np.zeros(2)
        for t in reversed(range(4)):
            d_c = eq.d_cell_state_1997(d_c, d_loss[t, b], o[t, b], c[t, b])
            d_a_g = eq.d_candidate_preactivation_1997(d_c, i[t, b], g[t, b])
            expected += np.outer(d_a_g, h_prev[t, b])
    found = eq.d_recurrent_weights_1997(d_loss, o, c, i, g, h_prev)
    np.testing.assert_allclose(found, expected, **EXACT)


# ------------------------------------------------------------------------------------ peepholes
PEEPHOLES = [
    pytest.param(eq.peephole_input_gate, marks=pytest.mark.equation("eq-peephole-input-gate")),
    pytest.param(eq.peephole_forget_gate, marks=pytest.mark.equation("eq-peephole-forget-gate")),
    pytest.param(eq.peephole_output_gate, marks=pytest.mark.equation("eq-peephole-output-gate")),
]


@pytest.mark.parametrize("gate", PEEPHOLES)
def test_a_peephole_gate_looks_at_its_own_cell(gate, arrays, rng):
    x, h, W, U, b = arrays
    c, p = rng.normal(size=(B, H)), rng.normal(size=H)
    expected = [
        [1 / (1 + math.exp(-W[k] @ x[n] - U[k] @ h[n] - p[k] * c[n, k] - b[k])) for k in range(H)]
        for n in range(B)
    ]
    np.testing.assert_allclose(gate(x, h, c, W, U, p, b), expected, **EXACT)


# ----------------------------------------------------------------------------- coupled, projected
@pytest.mark.equation("eq-coupled-cell-state")
def test_coupled_cell_state_is_a_weighted_mean(rng):
    f, c, g = rng.uniform(size=(B, H)), 3 * rng.normal(size=(B, H)), rng.uniform(-1, 1, (B, H))
    value = eq.coupled_cell_state(f, c, g)
    np.testing.assert_allclose(value, eq.cell_state(f, c, 1 - f, g), **EXACT)
    assert (np.abs(value) <= np.maximum(np.abs(c), np.abs(g))).all()


@pytest.mark.equation("eq-projection")
def test_projection_is_pytorchs(rng):
    layer = torch.nn.LSTM(D, H, proj_size=P, dtype=torch.float64)
    for parameter in layer.parameters():
        parameter.data = torch.tensor(rng.normal(size=parameter.shape))
    W, U, b_ih, b_hh, W_hr = (parameter.detach().numpy() for parameter in layer.parameters())
    x, h, c, y = rng.normal(size=(T, B, D)), np.zeros((B, P)), np.zeros((B, H)), []
    for x_t in x:
        i, f, g, o = eq.gates(eq.preactivation(x_t, h, W, U, b_ih + b_hh))
        c = eq.cell_state(f, c, i, g)
        h = eq.projected_hidden_state(o, c, W_hr)
        y.append(h)
    np.testing.assert_allclose(np.stack(y), layer(torch.tensor(x))[0].detach(), **EXACT)
