"""Softmax, losses, clipping and optimisers: each formula computed once more, number by number."""

import math

import numpy as np
import pytest

import lstm
from lstm import equations as eq

LOGITS = [[0.3, -1.2, 2.0], [1.5, 0.1, -0.4]]


@pytest.mark.equation("eq-softmax")
def test_softmax():
    expected = [[math.exp(z) / sum(map(math.exp, row)) for z in row] for row in LOGITS]
    np.testing.assert_allclose(eq.softmax(np.array(LOGITS)), expected, rtol=1e-14)


@pytest.mark.equation("eq-cross-entropy")
def test_cross_entropy():
    labels = [2, 1]
    picked = [
        math.exp(row[y]) / sum(map(math.exp, row)) for row, y in zip(LOGITS, labels, strict=True)
    ]
    loss, _ = lstm.cross_entropy(np.array(LOGITS), np.array(labels))
    assert loss == pytest.approx(-sum(map(math.log, picked)) / 2, rel=1e-14)


@pytest.mark.equation("eq-binary-cross-entropy")
def test_binary_cross_entropy():
    z, y = [0.3, -1.2, 2.0], [1.0, 0.0, 0.25]
    p = [1 / (1 + math.exp(-v)) for v in z]
    terms = [t * math.log(q) + (1 - t) * math.log(1 - q) for q, t in zip(p, y, strict=True)]
    loss, _ = lstm.binary_cross_entropy_with_logits(np.array(z), np.array(y))
    assert loss == pytest.approx(-sum(terms) / 3, rel=1e-14)


@pytest.mark.equation("eq-squared-error")
def test_squared_error():
    loss, _ = lstm.mse_loss(np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[0.0, 2.5], [3.0, 1.0]]))
    assert loss == (1.0 + 0.25 + 0.0 + 16.0) / 4


def parameter(value, grad):
    result = lstm.Parameter(np.array([value]))
    result.grad[...] = grad
    return result


@pytest.mark.equation("eq-clip-norm")
def test_clip_norm():
    parts = [parameter(0.0, 3.0), parameter(0.0, -4.0)]
    assert lstm.clip_grad_norm_(parts, 2.5) == 5.0
    assert [part.grad[0] for part in parts] == [1.5, -2.0]
    lstm.clip_grad_norm_(parts, 100.0)
    assert [part.grad[0] for part in parts] == [1.5, -2.0]


def steps(make, gradients):
    """Return the parameter after one step for each gradient, from 1."""
    theta = parameter(1.0, 0.0)
    optimizer = make([theta])
    for gradient in gradients:
        theta.grad[...] = gradient
        optimizer.step()
    return theta.data[0]


@pytest.mark.equation("eq-sgd")
def test_sgd():
    theta, m = 1.0, 0.0
    for g in (0.5, -2.0, 0.3):
        m = 0.9 * m + g
        theta -= 0.1 * m
    value = steps(lambda p: lstm.SGD(p, lr=0.1, momentum=0.9), (0.5, -2.0, 0.3))
    assert value == pytest.approx(theta, rel=1e-14)


@pytest.mark.equation("eq-rmsprop")
def test_rmsprop():
    theta, v = 1.0, 0.0
    for g in (0.5, -2.0, 0.3):
        v = 0.8 * v + 0.2 * g**2
        theta -= 0.1 * g / (math.sqrt(v) + 0.01)
    value = steps(lambda p: lstm.RMSprop(p, lr=0.1, alpha=0.8, eps=0.01), (0.5, -2.0, 0.3))
    assert value == pytest.approx(theta, rel=1e-14)


def test_rmsprop_with_epsilon_under_the_root():
    """As in Keras 3: v + eps, then the root."""
    theta, v = 1.0, 0.0
    for g in (0.5, -0.002, 0.3):
        v = 0.8 * v + 0.2 * g**2
        theta -= 0.1 * g / math.sqrt(v + 0.01)
    options = {"lr": 0.1, "alpha": 0.8, "eps": 0.01, "eps_inside": True}
    value = steps(lambda p: lstm.RMSprop(p, **options), (0.5, -0.002, 0.3))
    assert value == pytest.approx(theta, rel=1e-14)


@pytest.mark.equation("eq-adam")
def test_adam():
    theta, m, v = 1.0, 0.0, 0.0
    for k, g in enumerate((0.5, -2.0, 0.3), start=1):
        m, v = 0.7 * m + 0.3 * g, 0.8 * v + 0.2 * g**2
        theta -= 0.1 * (m / (1 - 0.7**k)) / (math.sqrt(v / (1 - 0.8**k)) + 0.01)
    value = steps(lambda p: lstm.Adam(p, lr=0.1, betas=(0.7, 0.8), eps=0.01), (0.5, -2.0, 0.3))
    assert value == pytest.approx(theta, rel=1e-13)
