"""Initial weights and schedules."""

import numpy as np
import pytest

import lstm
from lstm.initialise import glorot_uniform, initialise_lstm, orthogonal
from lstm.schedules import SCHEDULES
from lstm.variants import MLSTM


@pytest.mark.parametrize("shape", [(20, 5), (5, 20), (7, 7), (1, 4)])
def test_orthogonal(shape):
    q = orthogonal(*shape, rng=0)
    assert q.shape == shape
    small = q.T @ q if shape[0] >= shape[1] else q @ q.T
    np.testing.assert_allclose(small, np.eye(min(shape)), atol=1e-13)
    np.testing.assert_array_equal(q, orthogonal(*shape, rng=0))


def test_orthogonal_draws_every_direction_alike():
    """The first entry of a random unit vector in three dimensions is uniform in (-1, 1)."""
    rng = np.random.default_rng(0)
    entries = np.array([orthogonal(3, 3, rng=rng)[[0, 1, 2], [0, 1, 2]] for _ in range(4000)])
    for column in entries.T:
        share = np.histogram(column, bins=4, range=(-1, 1))[0] / 4000
        np.testing.assert_allclose(share, 0.25, atol=0.03)


def test_glorot():
    values = glorot_uniform(300, 100, rng=0)
    bound = np.sqrt(6 / 400)
    assert 0.999 * bound < np.abs(values).max() <= bound
    assert values.var() == pytest.approx(2 / 400, rel=0.02)


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}, {"bias": False}])
def test_an_lstm_as_keras_starts_it(options):
    layer = initialise_lstm(lstm.LSTM(3, 8, dtype=np.float64, **options), forget_bias=2.0, rng=0)
    for name, parameter in layer.named_parameters():
        values = parameter.data
        if name.startswith("weight_hh"):
            np.testing.assert_allclose(values.T @ values, np.eye(8), atol=1e-12)
        elif name.startswith("weight_ih"):
            bound = np.sqrt(6 / sum(parameter.shape))
            assert 0.9 * bound < np.abs(values).max() <= bound
        else:
            expected = np.zeros(32)
            expected[8:16] = 2.0 if name.startswith("bias_ih") else 0.0
            np.testing.assert_array_equal(values, expected)


def test_an_lstm_for_long_dependencies():
    """Forget biases log u with u uniform; then 1 / (1 - f) = 1 + u, and i + f = 1."""
    layer = initialise_lstm(lstm.LSTM(1, 400, dtype=np.float64), longest=784, rng=0)
    i, f, g, o = 1 / (1 + np.exp(-layer.bias_ih_l0.data.reshape(4, -1)))
    np.testing.assert_allclose(i + f, 1, atol=1e-12)
    memory = np.sort(1 / (1 - f))
    assert memory[0] >= 2
    assert memory[-1] <= 784
    np.testing.assert_allclose(memory, np.linspace(2, 784, 400), atol=80)
    assert set(g) == set(o) == {0.5}


@pytest.mark.parametrize("kind", [lstm.PeepholeLSTM, lstm.LayerNormLSTM])
@pytest.mark.parametrize("longest", [None, 50])
def test_relatives_with_a_forget_gate(kind, longest):
    """The same values at the same gates as in the LSTM; gains 1, peepholes 0."""
    options = {"num_layers": 2, "bidirectional": True, "dtype": np.float64}
    plain, relative = lstm.LSTM(3, 8, **options), kind(3, 8, **options)
    for layer in (plain, relative):
        initialise_lstm(layer, forget_bias=2.0, longest=longest, rng=0)
    for name, value in relative.state_dict().items():
        if name.startswith("bias_l"):
            name = name.replace("bias_", "bias_ih_")
        if name.startswith("bias_ih") and longest:
            i, f, g, o = np.split(value, 4)
            np.testing.assert_array_equal(i, -f)
            assert 0 <= f.min() < f.max() <= np.log(49)
            assert not g.any()
            assert not o.any()
        elif name.startswith(("bias_ih", "bias_hh")):
            np.testing.assert_array_equal(value, plain.state_dict()[name])
        elif name.startswith(("weight_ih", "weight_hh")):
            np.testing.assert_array_equal(value.std() > 0.1, True)
        else:
            np.testing.assert_array_equal(value, 1.0 if name.startswith("gain") else 0.0)
    x = np.random.default_rng(0).standard_normal((4, 2, 3))
    assert relative(x)[0].any()


@pytest.mark.parametrize("kind", [lstm.GRU, lstm.CIFGLSTM, lstm.LSTM1997, lstm.RNN])
def test_relatives_without_a_forget_gate(kind):
    layer = initialise_lstm(kind(3, 4, dtype=np.float64), forget_bias=0, rng=0)
    assert not layer.bias_ih_l0.data.any()
    U = layer.weight_hh_l0.data
    np.testing.assert_allclose(U.T @ U, np.eye(4), atol=1e-12)


def test_schedules():
    assert [f(0.0) for f in SCHEDULES.values()] == [1.0, 1.0, 1.0]
    assert [f(0.5) for f in SCHEDULES.values()] == [1.0, 0.5, pytest.approx(0.5)]
    assert [f(1.0) for f in SCHEDULES.values()] == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("hidden_size", [2, 3, 4])
def test_the_forget_gate_of_an_mlstm_is_one_row(hidden_size):
    """Its weights are no blocks of H rows alone: a row of keys was taken for the gate."""
    layer = initialise_lstm(MLSTM(3, hidden_size), rng=0)
    np.testing.assert_array_equal(layer.bias_ih_l0.data, [0] * (4 * hidden_size + 1) + [1])
    initialise_lstm(layer, longest=9, rng=0)
    *others, i, f = layer.bias_ih_l0.data
    assert i == -f < 0
    assert not any(others)
