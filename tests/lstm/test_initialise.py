"""Initial weights and schedules."""

import numpy as np
import pytest
from lstm.init import glorot_uniform, initialise_lstm, orthogonal

import lstm
from lstm.schedules import SCHEDULES


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


def test_longest_must_be_a_number_of_steps():
    for wrong in (1, 2.5, "long"):
        with pytest.raises(ValueError, match=r"longest must be an integer of at least 2, got"):
            initialise_lstm(lstm.LSTM(1, 2), longest=wrong)


def test_schedules():
    assert [f(0.0) for f in SCHEDULES.values()] == [1.0, 1.0, 1.0]
    assert [f(0.5) for f in SCHEDULES.values()] == [1.0, 0.5, pytest.approx(0.5)]
    assert [f(1.0) for f in SCHEDULES.values()] == [1.0, 0.0, 0.0]
