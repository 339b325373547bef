"""Two independent ways to check a hand-written gradient: central differences and complex step."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from lstm import checks
from lstm.module import Module, is_module

Arrays = Mapping[str, np.ndarray]


def central_difference(
    function: Callable[[np.ndarray], float], at: np.ndarray, step: float = 1e-5
) -> np.ndarray:
    r"""Differentiate by :math:`(f(\theta + \epsilon) - f(\theta - \epsilon)) / 2\epsilon`.

    Parameters
    ----------
    function : callable
        Takes an array like ``at``, returns a number.
    at : ndarray, float64
        Where to differentiate.
    step : float
        The step; the error is of order step² plus rounding/step.

    Returns
    -------
    ndarray, same shape as ``at``
        The gradient, good to about ten digits.
    """
    at = checks.finite("at", checks.array("at", at, np.dtype(np.float64)))
    checks.function("function", function, 1)
    step = checks.number("step", step, "(0, inf)")
    gradient, point = np.empty(at.shape), np.array(at)
    for index in np.ndindex(at.shape):
        centre = point[index]
        point[index] = centre + step
        above = _number(function(point))
        point[index] = centre - step
        gradient[index] = (above - _number(function(point))) / (2 * step)
        point[index] = centre
    return gradient


def complex_step(
    function: Callable[[np.ndarray], complex], at: np.ndarray, step: float = 1e-30
) -> np.ndarray:
    r"""Differentiate by :math:`\operatorname{Im} f(\theta + i\epsilon) / \epsilon`.

    Nothing is subtracted, so nothing cancels: the result is exact to rounding (Squire and Trapp,
    1998). ``function`` must accept complex numbers and be analytic: no ``abs``, no conjugate.

    Parameters
    ----------
    function : callable
        Takes a complex array like ``at``, returns a complex number.
    at : ndarray, float64
        Where to differentiate.
    step : float
        The step, as small as you like.

    Returns
    -------
    ndarray, same shape as ``at``
        The gradient.
    """
    at = checks.finite("at", checks.array("at", at, np.dtype(np.float64)))
    checks.function("function", function, 1)
    step = checks.number("step", step, "(0, inf)")
    gradient, point = np.empty(at.shape), np.array(at, np.complex128)
    for index in np.ndindex(at.shape):
        point[index] += 1j * step
        gradient[index] = np.imag(_number(function(point))) / step
        point[index] = at[index]
    return gradient


def _number(value: complex) -> complex:
    value = checks.numbers("what function returns", value)
    checks.of_shape("what function returns", value, ())
    return value[()]


@checks.quiet
def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    r"""Return :math:`\max|a - e| / \max|e|`: one number for a whole array.

    Where every entry of ``expected`` is below 0.001 the difference is divided by 0.001: smaller
    gradients drown in the rounding of a central difference.
    """
    expected = checks.numbers("expected", expected)
    actual = checks.numbers("actual", actual)
    checks.of_shape("actual", actual, expected.shape)
    scale = max(np.abs(expected).max(initial=0), 1e-3)
    return float(np.abs(actual - expected).max(initial=0) / scale)


METHODS = {"central": central_difference, "complex": complex_step}


def check_module(
    module: Module,
    inputs: Arrays,
    run: Callable[..., tuple[complex, Callable[[], Arrays]]],
    method: str = "complex",
) -> dict[str, float]:
    """Compare a module's backward pass with numerical gradients of every input and parameter.

    Parameters
    ----------
    module : Module
        In float64. Its parameters and their gradients are as before when this returns.
    inputs : mapping of str to ndarray
        The float64 arrays to differentiate with respect to.
    run : callable
        ``run(**inputs)`` runs the module and returns the loss and a function
        that runs the backward pass and returns the gradient of each input by name.
    method : {"complex", "central"}
        Which numerical derivative.

    Returns
    -------
    dict of str to float
        :func:`relative_error` of each input and each parameter.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> layer = lstm.Linear(3, 2, dtype=np.float64, rng=rng)
    >>> def run(x):
    ...     y, backward = layer.vjp(x)
    ...     return (y**2).sum(), lambda: {"x": backward(2 * y)}
    >>> errors = check_module(layer, {"x": rng.normal(size=(4, 3))}, run)
    >>> max(errors.values()) < 1e-12
    True
    """
    checks.one_of("method", method, METHODS)
    inputs = checks.mapping("inputs", inputs)
    checks.function("run", run, 0, **dict.fromkeys(inputs))
    parameters = dict(is_module("module", module).named_parameters())
    values = {name: parameter.data for name, parameter in parameters.items()}
    grads = {name: parameter.grad.copy() for name, parameter in parameters.items()}
    try:
        module.zero_grad()
        _, gradients = checks.several("what run returns", run(**inputs), "a loss and a function")
        analytic = checks.mapping("what run's function returns", gradients())
        if not analytic.keys() >= inputs.keys():
            wanted = f"a gradient for each of {[*inputs]}"
            raise checks.wrong("what run's function returns", wanted, [*analytic])
        analytic |= {name: parameter.grad.copy() for name, parameter in parameters.items()}
        # A complex input needs complex parameters beside it, and the other way round.
        dtype = np.complex128 if method == "complex" else np.float64

        def loss_at(name: str, value: np.ndarray) -> complex:
            for key, parameter in parameters.items():
                parameter.data = value if key == name else values[key].astype(dtype)
            point = {
                key: value if key == name else np.asarray(x, dtype) for key, x in inputs.items()
            }
            return run(**point)[0]

        return {
            name: relative_error(
                analytic[name], METHODS[method](lambda value, n=name: loss_at(n, value), at)
            )
            for name, at in {**inputs, **values}.items()
        }
    finally:
        for name, parameter in parameters.items():
            parameter.data, parameter.grad = values[name], grads[name]
        module.forget()
