"""The two squashing functions, what ties them together, and their derivatives."""

from __future__ import annotations

import numpy as np

from lstm.equations.registry import equation


@equation("eq-sigmoid")
def sigmoid(z):
    r"""Logistic function, equation ``eq-sigmoid``.

    .. math:: \sigma(z) = \frac{1}{1 + e^{-z}}

    Parameters
    ----------
    z : ndarray
        Any shape.

    Returns
    -------
    ndarray, same shape
        Values in (0, 1), without overflow for any ``z``.
    """
    negative = np.real(z) < 0
    # e^{-|z|} never overflows; either branch is analytic, so a complex step passes through.
    decay = np.exp(np.where(negative, z, -z))
    return np.where(negative, decay, 1) / (1 + decay)


@equation("eq-log-sigmoid")
def log_sigmoid(z):
    r"""Logarithm of the logistic function, equation ``eq-log-sigmoid``.

    .. math:: \log \sigma(z) = -\log\left(1 + e^{-z}\right)

    Parameters
    ----------
    z : ndarray
        Any shape.

    Returns
    -------
    ndarray, same shape
        Below 0, without overflow for any ``z``.
    """
    negative = np.real(z) < 0
    return np.where(negative, z, 0) - np.log1p(np.exp(np.where(negative, z, -z)))


@equation("eq-sigmoid-tanh")
def sigmoid_from_tanh(z):
    r"""Logistic function as a stretched hyperbolic tangent, equation ``eq-sigmoid-tanh``.

    .. math:: \sigma(z) = \tfrac{1}{2} + \tfrac{1}{2} \tanh\left(\tfrac{z}{2}\right)

    Parameters
    ----------
    z : ndarray
        Any shape.

    Returns
    -------
    ndarray, same shape
        The values of :func:`sigmoid`.
    """
    return 0.5 + 0.5 * np.tanh(z / 2)


@equation("eq-sigmoid-derivative", s=r"\sigma(z)")
def sigmoid_derivative(s):
    r"""Derivative of the logistic function from its value, equation ``eq-sigmoid-derivative``.

    .. math:: \sigma'(z) = \sigma(z) \left(1 - \sigma(z)\right)

    Parameters
    ----------
    s : ndarray
        The values :math:`\sigma(z)`.

    Returns
    -------
    ndarray, same shape
        At most 1/4.
    """
    return s * (1 - s)


@equation("eq-tanh-derivative", y=r"\tanh(z)")
def tanh_derivative(y):
    r"""Derivative of the hyperbolic tangent from its value, equation ``eq-tanh-derivative``.

    .. math:: \tanh'(z) = 1 - \tanh^2(z)

    Parameters
    ----------
    y : ndarray
        The values :math:`\tanh(z)`.

    Returns
    -------
    ndarray, same shape
        At most 1.
    """
    return 1 - y * y
