"""The equations of one step against loops over plain Python numbers, and against PyTorch."""

import math

import numpy as np
import pytest
import torch

from lstm import equations as eq

B, D, H = 3, 2, 4


def logistic(z):
    return 1 / (1 + math.exp(-z))


@pytest.fixture
def rng():
    return np.random.default_rng(4)


@pytest.fixture
def arrays(rng):
    """x_t, h_prev, W, U, b of one gate."""
    return (
        rng.normal(size=(B, D)),
        rng.normal(size=(B, H)),
        rng.normal(size=(H, D)),
        rng.normal(size=(H, H)),
        rng.normal(size=H),
    )


def by_hand(function, x, h, W, U, b):
    """Apply ``function`` to the affine part, entry by entry, from the sum over all inputs."""
    return [
        [
            function(
                sum(W[k][j] * x[n][j] for j in range(len(x[n])))
                + sum(U[k][j] * h[n][j] for j in range(len(h[n])))
                + b[k]
            )
            for k in range(len(b))
        ]
        for n in range(len(x))
    ]


AFFINE = [
    pytest.param(eq.preactivation, float, marks=pytest.mark.equation("eq-preactivation")),
    pytest.param(eq.input_gate, logistic, marks=pytest.mark.equation("eq-input-gate")),
    pytest.param(eq.forget_gate, logistic, marks=pytest.mark.equation("eq-forget-gate")),
    pytest.param(eq.candidate, math.tanh, marks=pytest.mark.equation("eq-candidate")),
    pytest.param(eq.output_gate, logistic, marks=pytest.mark.equation("eq-output-gate")),
]


@pytest.mark.parametrize(("equation", "function"), AFFINE)
def test_gates_by_hand(equation, function, arrays):
    np.testing.assert_allclose(equation(*arrays), by_hand(function, *arrays), rtol=1e-13)


@pytest.mark.equation("eq-cell-state")
def test_cell_state():
    # Exact in binary: each term is seen, and no two can be exchanged.
    f_t, c_prev, i_t, g_t = (np.array([[value]]) for value in (0.5, 3.0, 0.25, -0.75))
    assert eq.cell_state(f_t, c_prev, i_t, g_t)[0, 0] == 0.5 * 3.0 + 0.25 * -0.75


@pytest.mark.equation("eq-hidden-state")
def test_hidden_state():
    value = eq.hidden_state(np.array([[0.25, 0.5]]), np.array([[0.3, -2.0]]))
    np.testing.assert_allclose(value, [[0.25 * math.tanh(0.3), 0.5 * math.tanh(-2.0)]], rtol=1e-15)


@pytest.mark.equation("eq-concatenated")
def test_one_matrix_for_both_inputs(arrays):
    x, h, W, U, b = arrays
    value = eq.preactivation_concatenated(x, h, np.hstack([U, W]), b)
    np.testing.assert_allclose(value, by_hand(float, *arrays), rtol=1e-13)


@pytest.mark.equation("eq-gates")
def test_gates_in_the_order_of_pytorch(rng):
    a_t = rng.normal(size=(B, 4 * H))
    apply = (logistic, logistic, math.tanh, logistic)
    for k, value in enumerate(eq.gates(a_t)):
        expected = np.vectorize(apply[k])(a_t[:, k * H : (k + 1) * H])
        np.testing.assert_allclose(value, expected, rtol=1e-14)


@pytest.mark.equation("eq-two-biases")
def test_step_with_two_biases_is_pytorchs(rng):
    cell = torch.nn.LSTMCell(D, H, dtype=torch.float64)
    for parameter in cell.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(1))
    W, U, b_ih, b_hh = (parameter.detach().numpy() for parameter in cell.parameters())
    x, h, c = (rng.normal(size=(B, size)) for size in (D, H, H))
    i, f, g, o = eq.gates(eq.preactivation(x, h, W, U, eq.two_biases(b_ih, b_hh)))
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


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (10, 64)])
@pytest.mark.equation("eq-parameter-count-two-biases")
def test_parameter_count_of_pytorch(shape):
    layer = torch.nn.LSTM(*shape)
    assert eq.parameter_count_two_biases(*shape) == sum(p.numel() for p in layer.parameters())


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (10, 64)])
@pytest.mark.equation("eq-parameter-count")
def test_parameter_count_with_one_bias(shape):
    layer = torch.nn.LSTM(*shape)
    one_bias = sum(p.numel() for name, p in layer.named_parameters() if "bias_hh" not in name)
    assert eq.parameter_count(*shape) == one_bias


@pytest.mark.parametrize(
    ("sizes", "count"), [((1, 50), 10_400), ((10, 64), 19_200), ((64, 32), 12_416), ((10, 10), 840)]
)
def test_parameter_count_of_the_articles_keras_layers(sizes, count):
    assert eq.parameter_count(*sizes) == count
