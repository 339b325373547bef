"""The equations of the chapter on writing."""

import numpy as np
import pytest

import lstm
from lstm import equations as eq


@pytest.mark.equation("eq-bits-per-character")
def test_one_of_eight_equally_likely_characters_costs_three_bits():
    loss, _ = lstm.cross_entropy(np.zeros((5, 8)), np.arange(5))
    assert eq.bits_per_character(np.full(5, loss)) == pytest.approx(3)


@pytest.mark.equation("eq-kneser-ney")
def test_what_is_discounted_goes_to_the_shorter_context():
    k, d = np.array([3.0, 1.0, 0.0, 0.0]), np.array([0.8, 0.5, 0.0, 0.0])
    shorter = np.array([0.1, 0.2, 0.3, 0.4])
    p = eq.kneser_ney(k, d, d.sum(), shorter, k.sum())
    np.testing.assert_allclose(p, [(2.2 + 0.13) / 4, (0.5 + 0.26) / 4, 0.39 / 4, 0.52 / 4])
    assert p.sum() == pytest.approx(1)


@pytest.mark.equation("eq-temperature")
def test_cold_takes_the_likeliest_hot_takes_anything():
    z = np.array([2.0, 1.0, -1.0])
    np.testing.assert_allclose(eq.temperature(z, 1.0), eq.softmax(z))
    np.testing.assert_allclose(eq.temperature(z, 1e-3), [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(eq.temperature(z, 1e6), 1 / 3, rtol=1e-5)


@pytest.mark.equation("eq-dropped-gradient")
def test_the_full_gradient_is_the_windows_own_and_what_they_drop():
    """Jacobians by one backward pass for each unit of the state."""
    layer, rng = lstm.LSTM(2, 3, dtype=np.float64, rng=0), np.random.default_rng(1)
    x, d_output = rng.normal(size=(12, 1, 2)), rng.normal(size=(12, 1, 3))

    def gradient(runs):
        for parameter in layer.parameters():
            parameter.grad[...] = 0
        for backward, *arguments in runs:
            backward(*arguments)
        return np.concatenate([parameter.grad.ravel() for parameter in layer.parameters()])

    full = gradient([(layer.vjp(x)[1], d_output)])
    pieces, state = [slice(0, 4), slice(4, 8), slice(8, 12)], None
    own, starts = np.zeros_like(full), []
    for piece in pieces:
        starts.append(state)
        (_, state), backward = layer.vjp(x[piece], state)
        own += gradient([(backward, d_output[piece])])
    P, d_s, later = [], [], None
    for piece, start in zip(reversed(pieces), reversed(starts), strict=True):
        _, back = layer.vjp(x[piece], start)
        if later is not None:
            d_s.append(np.concatenate([each.ravel() for each in later]))
            P.append([])
            for unit in np.eye(6):
                h, c = unit.reshape(2, 1, 1, 3)
                P[-1].append(gradient([(layer.vjp(x[piece], start)[1], None, (h, c))]))
        _, later = back(d_output[piece], later)
    dropped = eq.dropped_gradient(np.array(P), np.array(d_s))
    np.testing.assert_allclose(own + dropped, full, rtol=1e-10)
    assert np.abs(dropped).max() > 1e-3


@pytest.mark.equation("eq-kept-share")
def test_pairs_are_counted():
    steps = np.arange(600)
    for T in (6, 20):
        for K in (0, 3, 5, 7, 19, 25):
            together = steps[K:] // T == steps[: len(steps) - K] // T
            assert eq.kept_share(K, T) == pytest.approx(together.mean(), abs=0.02)
