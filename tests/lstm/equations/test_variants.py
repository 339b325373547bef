"""The 1997 cell, peepholes, coupled gates and projection: against PyTorch, ONNX and loops."""

import math

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from lstm import equations as eq
from lstm.gradcheck import complex_step

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


# ------------------------------------------------------------------------------------ peepholes
class Peephole:
    """A sequence through an LSTM with peepholes, forward and backward, by the equations."""

    def __init__(self, rng):
        self.x = rng.normal(size=(T, B, D))
        self.W, self.U, self.b = (rng.normal(size=s) for s in ((4 * H, D), (4 * H, H), (4 * H,)))
        self.p = rng.normal(size=(3, H))
        self.weight = rng.normal(size=(T, B, H))

    def forward(self, x=None, p=None, c_0=None):
        x, p = self.x if x is None else x, self.p if p is None else p
        h, c = np.zeros((B, H)), np.zeros((B, H)) if c_0 is None else c_0
        (W_i, W_f, W_g, W_o), (U_i, U_f, U_g, U_o) = np.split(self.W, 4), np.split(self.U, 4)
        b_i, b_f, b_g, b_o = np.split(self.b, 4)
        self.saved, output = [], []
        for t in range(T):
            i = eq.peephole_input_gate(x[t], h, c, W_i, U_i, p[0], b_i)
            f = eq.peephole_forget_gate(x[t], h, c, W_f, U_f, p[1], b_f)
            g = eq.candidate(x[t], h, W_g, U_g, b_g)
            c_prev, c = c, eq.cell_state(f, c, i, g)
            o = eq.peephole_output_gate(x[t], h, c, W_o, U_o, p[2], b_o)
            h = eq.hidden_state(o, c)
            self.saved.append((i, f, g, o, c_prev, c))
            output.append(h)
        self.h, self.c = np.stack(output), c
        return (self.weight * self.h).sum()

    def backward(self):
        self.forward()
        d_a, d_p, d_c_next = np.zeros((B, 4 * H)), np.zeros((3, H)), np.zeros((B, H))
        self.d_c = []
        for t in reversed(range(T)):
            i, f, g, o, c_prev, c = self.saved[t]
            d_h = eq.d_hidden_state(self.weight[t], d_a, self.U)
            d_o = eq.d_output_gate(d_h, c)
            d_c = eq.d_peephole_cell_state(d_c_next, d_h, o, c, self.p[2], d_o * o * (1 - o))
            d_a = eq.d_preactivation(d_c * g, d_c * c_prev, d_c * i, d_o, i, f, g, o)
            d_a_i, d_a_f, _, d_a_o = np.split(d_a, 4, axis=1)
            d_p += eq.d_peephole_weights(d_a_i, d_a_f, d_a_o, c_prev, c)
            d_c_next = eq.d_peephole_cell_previous(d_c, f, self.p[0], d_a_i, self.p[1], d_a_f)
            self.d_c.insert(0, d_c)
        return d_p, d_c_next


@pytest.fixture
def peephole(rng):
    return Peephole(rng)


def onnx_lstm(model):
    """Run ONNX's reference LSTM, whose gate order is i, o, f, c and peephole order i, o, f."""

    def iofc(array):
        i, f, g, o = np.split(array, 4)
        return np.concatenate([i, o, f, g])[None].astype(np.float32)

    bias = np.concatenate([iofc(model.b)[0], np.zeros(4 * H, np.float32)])[None]
    peepholes = model.p[[0, 2, 1]].reshape(1, -1).astype(np.float32)
    values = {"X": model.x.astype(np.float32), "W": iofc(model.W), "R": iofc(model.U)}
    values |= {"B": bias, "P": peepholes}
    node = onnx.helper.make_node(
        "LSTM", ["X", "W", "R", "B", "", "", "", "P"], ["Y", "Y_h"], hidden_size=H
    )
    inputs = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, value.shape)
        for name, value in values.items()
    ]
    outputs = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in ("Y", "Y_h")
    ]
    graph = onnx.helper.make_graph([node], "lstm", inputs, outputs)
    opset = [onnx.helper.make_opsetid("", 14)]
    model_proto = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    return ReferenceEvaluator(model_proto).run(["Y"], values)[0][:, 0]


@pytest.mark.equation("eq-peephole-input-gate")
@pytest.mark.equation("eq-peephole-forget-gate")
@pytest.mark.equation("eq-peephole-output-gate")
def test_peephole_gates_are_onnxs(peephole):
    peephole.forward()
    np.testing.assert_allclose(peephole.h, onnx_lstm(peephole), rtol=0, atol=2e-6)


def test_peepholes_of_zero_leave_todays_lstm(arrays, rng):
    x, h, W, U, b = arrays
    c, zero = rng.normal(size=(B, H)), np.zeros(H)
    for gate in (eq.peephole_input_gate, eq.peephole_forget_gate, eq.peephole_output_gate):
        np.testing.assert_array_equal(gate(x, h, c, W, U, zero, b), eq.input_gate(*arrays))


@pytest.mark.equation("eq-d-peephole-weights")
def test_d_peephole_weights(peephole):
    d_p, _ = peephole.backward()
    expected = complex_step(lambda p: peephole.forward(p=p), peephole.p)
    np.testing.assert_allclose(d_p, expected, **EXACT)


@pytest.mark.equation("eq-d-peephole-cell")
@pytest.mark.equation("eq-d-peephole-cell-previous")
def test_d_peephole_cell(peephole):
    _, d_c_0 = peephole.backward()
    expected = complex_step(lambda c: peephole.forward(c_0=c), np.zeros((B, H)))
    np.testing.assert_allclose(d_c_0, expected, **EXACT)


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


@pytest.mark.equation("eq-parameter-count-projection")
def test_parameter_count_with_projection():
    layer = torch.nn.LSTM(D, H, proj_size=P)
    expected = sum(parameter.numel() for parameter in layer.parameters())
    assert eq.parameter_count_projection(D, H, P) == expected
