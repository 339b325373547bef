"""The squashing functions against the standard library."""

import math

import numpy as np
import pytest

from lstm import equations as eq

Z = np.concatenate([np.linspace(-30, 30, 61), [-0.3, 0.7, 1e-9]])


@pytest.mark.equation("eq-sigmoid")
def test_sigmoid_is_one_over_one_plus_exp():
    expected = [1 / (1 + math.exp(-z)) for z in Z]
    np.testing.assert_allclose(eq.sigmoid(Z), expected, rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_neither_overflows_nor_changes_the_dtype(dtype):
    value = eq.sigmoid(np.array([-1e4, -800.0, 0.0, 800.0, 1e4], dtype))
    assert value.dtype == dtype
    np.testing.assert_array_equal(value, [0, 0, 0.5, 1, 1])


@pytest.mark.equation("eq-sigmoid-tanh")
def test_sigmoid_is_a_stretched_tanh():
    expected = [1 / (1 + math.exp(-z)) for z in Z]
    np.testing.assert_allclose(eq.sigmoid_from_tanh(Z), expected, rtol=1e-13, atol=1e-16)


def test_slopes_at_zero_are_the_steepest():
    assert eq.sigmoid_derivative(eq.sigmoid(np.zeros(1)))[0] == 0.25
    assert eq.tanh_derivative(np.tanh(np.zeros(1)))[0] == 1
