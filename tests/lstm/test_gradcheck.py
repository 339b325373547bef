"""The gradient checks themselves: right where the answer is known, and able to say no."""

import numpy as np
import pytest

import lstm
from lstm.gradcheck import central_difference, check_module, complex_step, relative_error

POINT = np.array([[0.3, -1.2], [2.0, 0.7]])


@pytest.mark.parametrize(("method", "bound"), [(central_difference, 1e-9), (complex_step, 1e-15)])
def test_known_gradient(method, bound):
    expected = np.cos(POINT) * np.exp(np.sin(POINT))
    gradient = method(lambda z: np.exp(np.sin(z)).sum(), POINT)
    assert relative_error(gradient, expected) <= bound


def test_the_point_is_not_changed():
    before = POINT.copy()
    for method in (central_difference, complex_step):
        method(lambda z: (z * z).sum(), POINT)
    assert (before == POINT).all()


def test_relative_error_counts_the_largest_difference():
    assert relative_error(np.array([1.0, 2.2]), np.array([1.0, 2.0])) == pytest.approx(0.1)
    assert relative_error(np.zeros(0), np.zeros(0)) == 0
    with pytest.raises(ValueError, match="actual must have shape"):
        relative_error(np.zeros(2), np.zeros(3))


@pytest.mark.parametrize("method", ["central", "complex"])
@pytest.mark.parametrize("factor", [1.0, 1.001])
def test_a_wrong_backward_is_noticed(method, factor):
    class Square(lstm.Module):
        def vjp(self, x):
            return x * x, lambda d_output: factor * 2 * x * d_output

    module = Square()

    def run(x):
        return module(x).sum(), lambda: {"x": module.backward(np.ones_like(x))}

    error = check_module(module, {"x": POINT}, run, method)["x"]
    assert (error < 1e-7) == (factor == 1.0)


def test_parameters_and_gradients_are_left_as_they_were():
    layer = lstm.Linear(2, 3, dtype=np.float64, rng=0)
    layer.weight.grad += 5
    values, grads = layer.state_dict(), [p.grad.copy() for p in layer.parameters()]

    def run(x):
        y = layer(x)
        return y.sum(), lambda: {"x": layer.backward(np.ones_like(y))}

    errors = check_module(layer, {"x": POINT}, run)
    assert set(errors) == {"x", "weight", "bias"}
    assert all((layer.state_dict()[name] == values[name]).all() for name in values)
    assert all((p.grad == g).all() for p, g in zip(layer.parameters(), grads, strict=True))
    assert layer.weight.dtype == np.float64
    with pytest.raises(RuntimeError, match="before a call"):  # nor is a backward pass left
        layer.backward(np.ones((2, 3)))


def test_unknown_method():
    with pytest.raises(ValueError, match="method must be one of"):
        check_module(lstm.Linear(1, 1), {}, lambda: None, "magic")
