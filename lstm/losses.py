"""Losses, each with its gradient: ``loss, d_prediction = cross_entropy(logits, labels)``.

Every loss is a mean, over the examples or over all entries, so its gradient does not grow with the
batch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from lstm import checks
from lstm import equations as eq
from lstm.equations.registry import equation


@equation("eq-cross-entropy")
def cross_entropy(logits: ArrayLike, labels: ArrayLike) -> tuple[float, np.ndarray]:
    r"""Softmax cross-entropy, equation ``eq-cross-entropy``.

    .. math:: \mathcal{L} = -\frac{1}{B} \sum_{n=1}^{B} \log p_{n, y_n}

    Parameters
    ----------
    logits : ndarray, shape (B, K)
        Scores before the softmax.
    labels : ndarray of int, shape (B,)
        The right class of each example, in [0, K).

    Returns
    -------
    loss : float
        Mean over the batch, in nats.
    d_logits : ndarray, shape (B, K)
        Its gradient, :math:`(p - \text{onehot}(y)) / B`.

    Raises
    ------
    ValueError
        If a label is out of range or the shapes do not fit.
    """
    logits = np.asarray(logits)
    if logits.ndim != 2 or not logits.size:
        raise ValueError(f"logits must have shape (B, K), got {logits.shape}")
    labels = checks.index_array("labels", labels, logits.shape[1])
    checks.shape("labels", labels, logits.shape[:1])
    shifted = logits - np.real(logits).max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1))
    rows = np.arange(len(labels))
    loss = (log_sum - shifted[rows, labels]).mean()
    d_logits = eq.softmax(logits)
    d_logits[rows, labels] -= 1
    return loss[()], d_logits / len(labels)


@equation("eq-binary-cross-entropy")
def binary_cross_entropy_with_logits(
    logits: ArrayLike, targets: ArrayLike
) -> tuple[float, np.ndarray]:
    r"""Logistic cross-entropy, equation ``eq-binary-cross-entropy``.

    .. math::

        \begin{aligned}
            \mathcal{L} = {} & {-\frac{1}{N}} \sum_{n=1}^{N} \bigl[ y_n \log \sigma(z_n) \\
            & \quad {} + (1 - y_n) \log(1 - \sigma(z_n)) \bigr]
        \end{aligned}

    Parameters
    ----------
    logits : ndarray, any shape
        N scores z before the logistic function.
    targets : ndarray, same shape
        The right answers in [0, 1].

    Returns
    -------
    loss : float
        Mean over all entries, in nats.
    d_logits : ndarray, same shape
        Its gradient, :math:`(\sigma(z) - y) / N`.

    Raises
    ------
    ValueError
        If a target is outside [0, 1] or the shapes differ.
    """
    logits = np.asarray(logits)
    if not logits.size:
        raise ValueError(f"logits must hold at least one value, got shape {logits.shape}")
    targets = np.asarray(targets)
    checks.shape("targets", targets, logits.shape)
    if not ((targets >= 0) & (targets <= 1)).all():
        raise ValueError(
            f"targets must be in [0, 1], got values from {targets.min()} to {targets.max()}"
        )
    targets = targets.astype(np.real(logits).dtype)
    # log(1 + e^z) - yz, with the exponential of a negative number only.
    size = np.where(np.real(logits) < 0, -logits, logits)
    softplus = np.where(np.real(logits) < 0, 0, logits) + np.log1p(np.exp(-size))
    loss = (softplus - targets * logits).mean()
    return loss[()], (eq.sigmoid(logits) - targets) / targets.size


@equation("eq-squared-error")
def mse_loss(prediction: ArrayLike, target: ArrayLike) -> tuple[float, np.ndarray]:
    r"""Mean squared error, equation ``eq-squared-error``.

    .. math:: \mathcal{L} = \frac{1}{N} \sum_{n=1}^{N} (\hat{y}_n - y_n)^2

    Parameters
    ----------
    prediction, target : ndarray, same shape
        N numbers each.

    Returns
    -------
    loss : float
        Mean over all entries.
    d_prediction : ndarray, same shape
        Its gradient, :math:`2(\hat{y} - y) / N`.
    """
    prediction, target = np.asarray(prediction), np.asarray(target)
    checks.shape("target", target, prediction.shape)
    if not prediction.size:
        raise ValueError(f"prediction must hold at least one value, got {prediction.shape}")
    difference = prediction - target.astype(np.real(prediction).dtype)
    return (difference * difference).mean()[()], 2 * difference / difference.size
