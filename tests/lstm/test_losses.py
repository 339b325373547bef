"""Losses against ``torch.nn.functional``, the complex step, and numbers at the edge of float64."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import lstm
from lstm.gradcheck import complex_step, relative_error

B, K = 7, 5
rng = np.random.default_rng(0)
LABELS = rng.integers(0, K, B)
CROSS_ENTROPY = lstm.cross_entropy, F.cross_entropy, rng.normal(size=(B, K)), LABELS
BINARY = lstm.binary_cross_entropy_with_logits, F.binary_cross_entropy_with_logits
SQUARED = lstm.mse_loss, F.mse_loss, rng.normal(size=(B, K)), rng.normal(size=(B, K))
HARD, SOFT = rng.integers(0, 2, B).astype(float), rng.random((B, K))
CASES = [
    pytest.param(CROSS_ENTROPY, marks=pytest.mark.equation("eq-cross-entropy")),
    pytest.param((*BINARY, 3 * rng.normal(size=B), HARD), id="binary, hard targets"),
    pytest.param(
        (*BINARY, rng.normal(size=(B, K)), SOFT),
        marks=pytest.mark.equation("eq-binary-cross-entropy"),
    ),
    pytest.param(SQUARED, marks=pytest.mark.equation("eq-squared-error")),
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("scale", [1e-8, 1.0, 30.0])
def test_parity_with_torch(case, scale):
    ours, theirs, prediction, target = case
    tensor = torch.tensor(prediction * scale, requires_grad=True)
    expected = theirs(tensor, torch.tensor(target))
    expected.backward()
    loss, gradient = ours(prediction * scale, target)
    assert loss == pytest.approx(expected.item(), rel=1e-12, abs=1e-15)
    np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("case", CASES)
def test_gradient_by_complex_step(case):
    loss, _, prediction, target = case
    numerical = complex_step(lambda point: loss(point, target)[0], prediction)
    assert relative_error(loss(prediction, target)[1], numerical) < 1e-12


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [0.0, 50.0, 1e4, 1e30])
def test_extreme_logits_neither_overflow_nor_lose_the_loss(size, dtype):
    """Pushed to saturation the loss is exactly the logit's size, and the gradient exactly ±1/B."""
    logits = np.array([size, -size], dtype)
    loss, gradient = lstm.binary_cross_entropy_with_logits(logits, np.array([0, 1]))
    right, _ = lstm.binary_cross_entropy_with_logits(logits, np.array([1, 0]))
    assert gradient.dtype == dtype
    if size:
        assert loss == dtype(size)
        np.testing.assert_allclose(gradient, [0.5, -0.5], rtol=1e-6)
        assert 0 <= right <= np.exp(-50.0) * 1.01
    else:
        assert loss == pytest.approx(np.log(2), rel=1e-6)

    rows = np.array([[size, 0, -size]], dtype)
    loss, gradient = lstm.cross_entropy(rows, [2])
    assert gradient.dtype == dtype
    assert loss == pytest.approx(2 * size if size else np.log(3), rel=1e-6)
    np.testing.assert_allclose(
        gradient, [[1, 0, -1]] if size else [[1 / 3, 1 / 3, -2 / 3]], atol=1e-6
    )


def test_tiny_losses_keep_their_digits():
    """log(1 + e^-z) is computed as such: 1 + e^-40 would be 1."""
    loss, _ = lstm.binary_cross_entropy_with_logits([40.0], [1.0])
    assert loss == pytest.approx(np.exp(-40.0), rel=1e-12)


def test_loss_is_a_mean_over_the_batch():
    prediction, labels = CROSS_ENTROPY[2:]
    once, gradient = lstm.cross_entropy(prediction, labels)
    twice, gradients = lstm.cross_entropy(np.tile(prediction, (2, 1)), np.tile(labels, 2))
    assert once == pytest.approx(twice, rel=1e-14)
    np.testing.assert_allclose(gradients[:B], gradient / 2, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e20, 1e38, 1e200, np.inf, np.nan])
def test_overflow_gives_what_torch_gives_without_a_warning(size, dtype):
    with np.errstate(over="ignore"):
        values = np.array([[size, -size, 1.0]]).astype(dtype)  # 1e200 is infinite in float32
    for ours, theirs, target in (
        (lstm.mse_loss, F.mse_loss, np.zeros_like(values)),
        (lstm.cross_entropy, F.cross_entropy, np.array([1])),
        (
            lstm.binary_cross_entropy_with_logits,
            F.binary_cross_entropy_with_logits,
            np.array([[0, 1, 1]], dtype),
        ),
    ):
        tensor = torch.tensor(values, requires_grad=True)
        expected = theirs(tensor, torch.tensor(target))
        expected.backward()
        loss, gradient = ours(values, target)
        np.testing.assert_allclose(loss, expected.item(), rtol=1e-6)
        np.testing.assert_allclose(gradient, tensor.grad, rtol=1e-6)


def test_targets_of_0_and_1_may_be_of_any_integer_dtype():
    logits = np.float32([1, -2])
    expected, gradient = lstm.binary_cross_entropy_with_logits(logits, np.float32([0, 1]))
    for kind in (bool, np.uint8, np.int64):
        loss, same = lstm.binary_cross_entropy_with_logits(logits, np.array([0, 1], kind))
        assert loss == expected
        np.testing.assert_array_equal(same, gradient)
