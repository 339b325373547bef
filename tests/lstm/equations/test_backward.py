"""The derivatives of the recursion over time against the complex step and PyTorch."""

import numpy as np
import pytest
import torch

from lstm import equations as eq
from lstm.gradcheck import complex_step

B, T, D, H = 2, 5, 3, 4
EXACT = {"rtol": 0, "atol": 1e-13}


class Run:
    """A whole sequence, forward and backward, written here once more with the equations alone."""

    def __init__(self, seed=5):
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(T, B, D))
        self.W, self.U = rng.normal(size=(4 * H, D)), 0.7 * rng.normal(size=(4 * H, H))
        self.b, self.h_0, self.c_0 = (rng.normal(size=s) for s in ((4 * H,), (B, H), (B, H)))
        self.weight = rng.normal(size=(T, B, H))  # the loss is sum(weight * sin(h))
        self.forward()

    def forward(self, **changed):
        """Return the loss with the named arrays replaced; keep everything on the way."""
        x, W, U, b, h_0, c_0 = (
            changed.get(name, getattr(self, name)) for name in ("x", "W", "U", "b", "h_0", "c_0")
        )
        h, c, rows = h_0, c_0, []
        for t in range(T):
            i, f, g, o = eq.gates(eq.preactivation(x[t], h, W, U, b))
            h_prev, c_prev = h, c
            c = eq.cell_state(f, c_prev, i, g)
            h = eq.hidden_state(o, c)
            rows.append((i, f, g, o, c, h, c_prev, h_prev))
        names = ("i", "f", "g", "o", "c", "h", "c_prev", "h_prev")
        values = dict(zip(names, (np.stack(v) for v in zip(*rows, strict=True)), strict=True))
        if not changed:
            vars(self).update(values)
        return (self.weight * np.sin(values["h"])).sum()

    def backward(self):
        """Return d_a, d_h, d_c (T, B, ·) by the recursion."""
        d_a, d_h, d_c = np.zeros((T + 1, B, 4 * H)), np.zeros((T, B, H)), np.zeros((T, B, H))
        d_c_from_next = np.zeros((B, H))
        for t in reversed(range(T)):
            i, f, g, o, c = (getattr(self, name)[t] for name in "ifgoc")
            d_loss_t = self.weight[t] * np.cos(self.h[t])
            d_h[t] = eq.d_hidden_state(d_loss_t, d_a[t + 1], self.U)
            d_c[t] = eq.d_cell_state(d_c_from_next, d_h[t], o, c)
            d_a[t] = eq.d_preactivation(
                eq.d_input_gate(d_c[t], g),
                eq.d_forget_gate(d_c[t], self.c_prev[t]),
                eq.d_candidate(d_c[t], i),
                eq.d_output_gate(d_h[t], c),
                *(i, f, g, o),
            )
            d_c_from_next = eq.d_cell_previous(d_c[t], f)
        return d_a[:T], d_h, d_c


@pytest.fixture(scope="module")
def run():
    return Run()


# ------------------------------------------------------------------------------------- over time
@pytest.mark.equation("eq-d-hidden-state")
def test_d_hidden_state(run):
    # Complex step of the tail of the loss: everything from h_t on, with h_t moved on its own.
    _, d_h, _ = run.backward()
    for t in range(T):

        def tail(h_t, t=t):
            total, h, c = (run.weight[t] * np.sin(h_t)).sum(), h_t, run.c[t]
            for s in range(t + 1, T):
                i, f, g, o = eq.gates(eq.preactivation(run.x[s], h, run.W, run.U, run.b))
                c = f * c + i * g
                h = o * np.tanh(c)
                total = total + (run.weight[s] * np.sin(h)).sum()
            return total

        np.testing.assert_allclose(d_h[t], complex_step(tail, run.h[t]), **EXACT)


@pytest.mark.equation("eq-d-initial-state")
def test_d_initial_state(run):
    d_a, _, d_c = run.backward()
    d_h_0, d_c_0 = eq.d_initial_state(d_a[0], d_c[0], run.U, run.f[0])
    expected = complex_step(lambda v: run.forward(h_0=v), run.h_0)
    np.testing.assert_allclose(d_h_0, expected, **EXACT)
    expected = complex_step(lambda v: run.forward(c_0=v), run.c_0)
    np.testing.assert_allclose(d_c_0, expected, **EXACT)


@pytest.mark.equation("eq-d-weights-sum")
def test_d_weights_sum(run):
    gradients = eq.d_weights_sum(run.backward()[0], run.x, run.h_prev)
    for name, gradient in zip("WUb", gradients, strict=True):
        expected = complex_step(lambda v, n=name: run.forward(**{n: v}), getattr(run, name))
        np.testing.assert_allclose(gradient, expected, **EXACT)


@pytest.mark.equation("eq-d-two-biases")
def test_d_weights_sum_and_two_biases_are_pytorchs(run):
    layer = torch.nn.LSTM(D, H, dtype=torch.float64)
    layer.load_state_dict(
        {
            "weight_ih_l0": torch.tensor(run.W),
            "weight_hh_l0": torch.tensor(run.U),
            "bias_ih_l0": torch.tensor(run.b),
            "bias_hh_l0": torch.zeros(4 * H, dtype=torch.float64),
        }
    )
    state = torch.tensor(run.h_0)[None], torch.tensor(run.c_0)[None]
    output, _ = layer(torch.tensor(run.x), state)
    (torch.tensor(run.weight) * output.sin()).sum().backward()
    gradients = eq.d_weights_sum(run.backward()[0], run.x, run.h_prev)
    gradients = (*gradients[:2], *eq.d_two_biases(gradients[2]))
    for gradient, parameter in zip(gradients, layer.parameters(), strict=True):
        np.testing.assert_allclose(gradient, parameter.grad, **EXACT)


@pytest.mark.equation("eq-bptt-cell")
def test_cell_gradient_as_a_sum_is_the_recursion(run):
    _, d_h, d_c = run.backward()
    for t in range(T):
        value = eq.bptt_cell(run.f[t:], d_h[t:], run.o[t:], run.c[t:])
        np.testing.assert_allclose(value, d_c[t], **EXACT)


# -------------------------------------------------------------------------------------- Jacobians
def jacobian(function, at):
    """Differentiate a vector function of a vector by complex step, column by column."""
    columns = [np.imag(function(at + 1e-30j * unit)) / 1e-30 for unit in np.eye(len(at))]
    return np.stack(columns, axis=1)


def next_state(run, t, n):
    """The step from (c, h) of example n before step t to (c, h) after it."""

    def function(state):
        c, h = state[None, :H], state[None, H:]
        i, f, g, o = eq.gates(eq.preactivation(run.x[t, n : n + 1], h, run.W, run.U, run.b))
        c = f * c + i * g
        return np.concatenate([c[0], (o * np.tanh(c))[0]])

    return jacobian(function, np.concatenate([run.c_prev[t, n], run.h_prev[t, n]]))


@pytest.mark.equation("eq-jacobian-cell-hidden")
def test_jacobian_cell_hidden(run):
    t, n = 2, 1
    K_t = eq.jacobian_cell_hidden(*(getattr(run, k)[t, n] for k in ("c_prev", *"ifg")), run.U)
    np.testing.assert_allclose(K_t, next_state(run, t, n)[:H, H:], **EXACT)


@pytest.mark.equation("eq-jacobian-state")
def test_jacobian_state_of_a_batch(run):
    t = 2
    J_t = eq.jacobian_state(*(getattr(run, k)[t] for k in ("c_prev", *"ifgoc")), run.U)
    assert J_t.shape == (B, 2 * H, 2 * H)
    for n in range(B):
        np.testing.assert_allclose(J_t[n], next_state(run, t, n), **EXACT)
