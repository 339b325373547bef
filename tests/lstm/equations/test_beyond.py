"""minLSTM, sLSTM, mLSTM: each formula against another way to the same numbers."""

import numpy as np
import pytest

from lstm import equations as eq
from lstm import variants

B, D, H = 3, 4, 5
CLOSE = {"rtol": 1e-12, "atol": 1e-13}


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.mark.equation("eq-log-sigmoid")
def test_log_sigmoid_is_the_logarithm_and_never_overflows(rng):
    z = 5 * rng.normal(size=(B, H))
    np.testing.assert_allclose(eq.log_sigmoid(z), np.log(eq.sigmoid(z)), **CLOSE)
    np.testing.assert_allclose(eq.log_sigmoid(np.array([-1e4, 1e4])), [-1e4, 0], **CLOSE)


@pytest.mark.equation("eq-minlstm-forget-gate")
@pytest.mark.equation("eq-minlstm-input-gate")
@pytest.mark.equation("eq-minlstm-state")
@pytest.mark.equation("eq-minlstm-signed")
@pytest.mark.parametrize("signed", [False, True])
def test_a_step_of_min_lstm_is_its_formulas(rng, signed):
    layer = variants.MinLSTM(D, H, signed=signed, dtype=np.float64, rng=rng)
    x, h = rng.normal(size=(B, D)), rng.normal(size=(B, H))
    a_f, a_i, g = np.split(x @ layer.weight_ih_l0.data.T + layer.bias_ih_l0.data, 3, axis=1)
    f, i = eq.sigmoid(a_f), eq.sigmoid(a_i)
    keep, write = eq.min_lstm_forget_gate(f, i), eq.min_lstm_input_gate(f, i)
    np.testing.assert_allclose(keep + write, 1, **CLOSE)
    state = (eq.min_lstm_signed if signed else eq.min_lstm_state)(keep, h, write, g)
    np.testing.assert_allclose(layer(x[None], h[None])[1][0], state, **CLOSE)


@pytest.mark.equation("eq-slstm-normaliser")
@pytest.mark.equation("eq-slstm-hidden-state")
@pytest.mark.equation("eq-slstm-stabiliser")
def test_a_step_of_slstm_is_its_formulas_in_another_scale(rng):
    layer = variants.SLSTM(D, H, dtype=np.float64, rng=rng)
    x, h, c, m = rng.normal(size=(B, D)), *rng.normal(size=(3, B, H))
    nu = rng.uniform(0.5, 2, (B, H))
    W, U, b_ih, b_hh = (p.data for p in layer.parameters())
    a_i, a_f, a_g, a_o = np.split(x @ W.T + h @ U.T + b_ih + b_hh, 4, axis=1)
    _, (h_t, c_t, nu_t, m_t) = layer(x[None], tuple(s[None] for s in (h, c, nu, m)))
    f, i, scale = eq.sigmoid(a_f), np.exp(a_i), np.exp(m_t[0])
    np.testing.assert_allclose(m_t[0], eq.stabiliser(eq.log_sigmoid(a_f), m, a_i), **CLOSE)
    cell = eq.cell_state(f, c * np.exp(m), i, np.tanh(a_g))
    np.testing.assert_allclose(c_t[0] * scale, cell, **CLOSE)
    total = eq.normaliser(f, nu * np.exp(m), i)
    np.testing.assert_allclose(nu_t[0] * scale, total, **CLOSE)
    hidden = eq.normalised_hidden_state(eq.sigmoid(a_o), cell, total)
    np.testing.assert_allclose(h_t[0], hidden, **CLOSE)


@pytest.mark.equation("eq-mlstm-memory")
@pytest.mark.equation("eq-mlstm-normaliser")
@pytest.mark.equation("eq-mlstm-hidden-state")
def test_a_step_of_mlstm_is_its_formulas_in_another_scale(rng):
    layer = variants.MLSTM(D, H, dtype=np.float64, rng=rng)
    layer.weight_ih_l0.data *= 3
    x, C, nu = rng.normal(size=(B, D)), rng.normal(size=(B, H, H)), rng.normal(size=(B, H))
    a = x @ layer.weight_ih_l0.data.T + layer.bias_ih_l0.data
    q, k, v, a_o = np.split(a[:, : 4 * H], 4, axis=1)
    i, f, k = np.exp(a[:, -2]), eq.sigmoid(a[:, -1]), k / np.sqrt(H)
    given = np.zeros((B, H)), C.reshape(B, -1), nu, np.zeros((B, 1))
    _, (h_t, C_t, nu_t, m_t) = layer(x[None], tuple(s[None] for s in given))
    memory, total = eq.matrix_memory(f, C, i, v, k), eq.matrix_normaliser(f, nu, i, k)
    scale = np.exp(m_t[0])
    np.testing.assert_allclose((C_t[0] * scale).reshape(B, H, H), memory, **CLOSE)
    np.testing.assert_allclose(nu_t[0] * scale, total, **CLOSE)
    hidden = eq.matrix_hidden_state(eq.sigmoid(a_o), memory, q, total)
    np.testing.assert_allclose(h_t[0], hidden, **CLOSE)
