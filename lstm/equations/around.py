"""What stands around an LSTM: the affine map and the softmax."""

from __future__ import annotations

import numpy as np

from lstm.equations.registry import equation


@equation("eq-linear")
def linear(x, W, b):
    r"""Affine map, equation ``eq-linear``.

    .. math:: y = W x + b

    Parameters
    ----------
    x : ndarray, shape (B, D)
        Input.
    W, b : ndarray, shapes (K, D), (K,)
        Weights and bias.

    Returns
    -------
    y : ndarray, shape (B, K)
        Output.
    """
    return x @ W.T + b


@equation("eq-softmax")
def softmax(z):
    r"""Probabilities from logits, equation ``eq-softmax``.

    .. math:: p_k = \frac{e^{z_k}}{\sum_{j} e^{z_j}}

    Parameters
    ----------
    z : ndarray, shape (..., K)
        Logits.

    Returns
    -------
    p_k : ndarray, shape (..., K)
        For every k. Positive numbers that sum to 1 over the last axis, without overflow.
    """
    powers = np.exp(z - np.real(z).max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
