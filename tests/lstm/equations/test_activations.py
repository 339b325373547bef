"""The squashing functions and the softmax against the standard library and PyTorch."""

import math

import numpy as np
import pytest
import torch

from lstm import equations as eq

Z = np.concatenate([np.linspace(-30, 30, 61), [-0.3, 0.7, 1e-9]])
SIGMOID = [1 / (1 + math.exp(-z)) for z in Z]


@pytest.mark.equation("eq-sigmoid")
def test_sigmoid_is_one_over_one_plus_exp():
    np.testing.assert_allclose(eq.sigmoid(Z), SIGMOID, rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_neither_overflows_nor_changes_the_dtype(dtype):
    value = eq.sigmoid(np.array([-1e4, -800.0, 0.0, 800.0, 1e4], dtype))
    assert value.dtype == dtype
    np.testing.assert_array_equal(value, [0, 0, 0.5, 1, 1])


@pytest.mark.equation("eq-sigmoid-tanh")
def test_sigmoid_is_a_stretched_tanh():
    np.testing.assert_allclose(eq.sigmoid_from_tanh(Z), SIGMOID, rtol=1e-13, atol=1e-16)


def test_slopes_at_zero_are_the_steepest():
    assert eq.sigmoid_derivative(eq.sigmoid(np.zeros(1)))[0] == 0.25
    assert eq.tanh_derivative(np.tanh(np.zeros(1)))[0] == 1


@pytest.mark.equation("eq-softmax")
def test_softmax_is_pytorchs():
    logits = Z.reshape(8, 8)
    expected = torch.tensor(logits).softmax(dim=-1)
    np.testing.assert_allclose(eq.softmax(logits), expected, rtol=1e-13)
