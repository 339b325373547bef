"""The equations of one step, its unrolled sum and its parameters, against PyTorch and loops."""

import numpy as np
import pytest
import torch

from lstm import equations as eq

B, D, H = 3, 2, 4


@pytest.fixture
def rng():
    return np.random.default_rng(4)


@pytest.mark.equation("eq-preactivation")
@pytest.mark.equation("eq-input-gate")
@pytest.mark.equation("eq-forget-gate")
@pytest.mark.equation("eq-candidate")
@pytest.mark.equation("eq-output-gate")
@pytest.mark.equation("eq-cell-state")
@pytest.mark.equation("eq-hidden-state")
@pytest.mark.equation("eq-concatenated")
@pytest.mark.equation("eq-gates")
@pytest.mark.equation("eq-two-biases")
@pytest.mark.parametrize("way", ["gate by gate", "one product", "one matrix"])
def test_a_step_is_pytorchs(rng, way):
    """In the order i, f, g, o, whichever way the gates are computed."""
    cell = torch.nn.LSTMCell(D, H, dtype=torch.float64)
    for parameter in cell.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(1))
    W, U, b_ih, b_hh = (parameter.detach().numpy() for parameter in cell.parameters())
    x, h, c = (rng.normal(size=(B, size)) for size in (D, H, H))
    b = eq.two_biases(b_ih, b_hh)
    if way == "gate by gate":
        blocks = zip(*(np.split(matrix, 4) for matrix in (W, U, b)), strict=True)
        gates = (eq.input_gate, eq.forget_gate, eq.candidate, eq.output_gate)
        i, f, g, o = (gate(x, h, *block) for gate, block in zip(gates, blocks, strict=True))
    elif way == "one product":
        i, f, g, o = eq.gates(eq.preactivation(x, h, W, U, b))
    else:
        i, f, g, o = eq.gates(eq.preactivation_concatenated(x, h, np.hstack([U, W]), b))
    c_t = eq.cell_state(f, c, i, g)
    h_torch, c_torch = cell(torch.tensor(x), (torch.tensor(h), torch.tensor(c)))
    np.testing.assert_allclose(c_t, c_torch.detach(), rtol=0, atol=1e-14)
    np.testing.assert_allclose(eq.hidden_state(o, c_t), h_torch.detach(), rtol=0, atol=1e-14)


@pytest.mark.equation("eq-cell-unrolled")
def test_unrolled_cell_state_is_the_recursion(rng):
    T = 6
    f, i = rng.uniform(size=(2, T, B, H))
    g, c_0 = rng.normal(size=(T, B, H)), rng.normal(size=(B, H))
    c_t = c_0
    for t in range(T):
        c_t = f[t] * c_t + i[t] * g[t]
        unrolled = eq.cell_state_unrolled(f[: t + 1], c_0, i[: t + 1], g[: t + 1])
        np.testing.assert_allclose(unrolled, c_t, rtol=1e-13, atol=1e-15)


@pytest.mark.equation("eq-half-life")
def test_half_life_halves():
    f = np.array([0.1, 0.5, 0.9, 0.999])
    np.testing.assert_allclose(f ** eq.half_life(f), 0.5, rtol=1e-12)


@pytest.mark.equation("eq-cell-bound")
def test_cell_bound_holds_and_is_reached():
    q, T, c_0 = 0.8, 12, np.array([-3.0, 0.4])
    worst = np.abs(c_0)
    for _ in range(T):
        worst = q * worst + 1  # f = q, and i g as large as it can nearly be
    np.testing.assert_allclose(eq.cell_bound(q, T, c_0), worst, rtol=1e-13)


def numbers(kind, D, H, biases=2, **options):
    """Count the parameters of a layer of PyTorch's, with one bias or both."""
    named = kind(D, H, **options).named_parameters()
    return sum(p.numel() for name, p in named if biases == 2 or "bias_hh" not in name)


@pytest.mark.equation("eq-parameter-count")
@pytest.mark.equation("eq-parameter-count-two-biases")
@pytest.mark.equation("eq-parameter-count-projection")
@pytest.mark.equation("eq-rnn-parameter-count")
@pytest.mark.equation("eq-parameter-ratio")
@pytest.mark.equation("eq-equal-parameters")
@pytest.mark.parametrize(("D", "H"), [(1, 1), (3, 5), (28, 140)])
def test_parameters_are_as_many_as_pytorchs(D, H):
    LSTM, RNN = torch.nn.LSTM, torch.nn.RNN
    assert eq.parameter_count(D, H) == numbers(LSTM, D, H, 1)
    assert eq.parameter_count_two_biases(D, H) == numbers(LSTM, D, H)
    assert eq.parameter_count_projection(D, H + 2, H) == numbers(LSTM, D, H + 2, proj_size=H)
    assert eq.rnn_parameter_count(D, H) == numbers(RNN, D, H, 1)
    assert eq.parameter_ratio(D, H) == numbers(LSTM, D, H) / numbers(RNN, D, H) == 4
    assert eq.equal_parameters(numbers(RNN, D, H, 1), D) == pytest.approx(H)


@pytest.mark.parametrize(
    ("sizes", "count"), [((1, 50), 10_400), ((10, 64), 19_200), ((64, 32), 12_416), ((10, 10), 840)]
)
def test_parameter_count_of_the_articles_keras_layers(sizes, count):
    assert eq.parameter_count(*sizes) == count
