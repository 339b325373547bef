"""Losses, each with its gradient: ``loss, d_prediction = cross_entropy(logits, labels)``.

Every loss is a mean, over the examples or over all entries, so its gradient does not grow with the
batch. Predictions are float32 or float64, and so is the gradient; what overflows becomes infinite
or NaN without a warning, as in PyTorch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from lstm import checks
from lstm import equations as eq
from lstm.equations.registry import equation


@equation(
    "eq-cross-entropy",
    r"p_{n,k} = \frac{e^{z_{n,k}}}{\sum_j e^{z_{n,j}}}",
    logits="z_n",
    labels="y_n - 1",
)
@checks.quiet
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
    logits = checks.array("logits", logits)
    if logits.ndim != 2 or not logits.size:
        raise ValueError(f"logits must have shape (B, K), got {logits.shape}")
    labels = checks.integers("labels", labels, 0, logits.shape[1] - 1, shape=logits.shape[:1])
    shifted = logits - np.real(logits).max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1))
    rows = np.arange(len(labels))
    loss = (log_sum - shifted[rows, labels]).mean()
    d_logits = eq.softmax(logits)
    d_logits[rows, labels] -= 1
    return loss[()], d_logits / len(labels)


@equation("eq-binary-cross-entropy", logits="z_n", targets="y_n")
@checks.quiet
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
        The right answers: of the dtype of ``logits`` in [0, 1], or integers or booleans 0 and 1.

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
    logits = checks.array("logits", logits)
    if not logits.size:
        raise ValueError(f"logits must hold at least one value, got shape {logits.shape}")
    targets = checks.numbers("targets", targets)
    if targets.dtype.kind not in "biu":
        targets = checks.array("targets", targets, np.real(logits).dtype)
    checks.of_shape("targets", targets, logits.shape)
    if not ((targets >= 0) & (targets <= 1)).all():
        raise ValueError(
            f"targets must be in [0, 1], got values from {targets.min()} to {targets.max()}"
        )
    targets = targets.astype(np.real(logits).dtype)
    # (1 - y) z + log(1 + e^-z), with the exponential of a negative number only.
    negative = np.real(logits) < 0
    size = np.where(negative, -logits, logits)
    softplus = np.where(negative, -logits, 0) + np.log1p(np.exp(-size))
    loss = ((1 - targets) * logits + softplus).mean()
    return loss[()], (eq.sigmoid(logits) - targets) / targets.size


@equation("eq-squared-error", prediction=r"\hat{y}_n", target="y_n")
@checks.quiet
def mse_loss(prediction: ArrayLike, target: ArrayLike) -> tuple[float, np.ndarray]:
    r"""Mean squared error, equation ``eq-squared-error``.

    .. math:: \mathcal{L} = \frac{1}{N} \sum_{n=1}^{N} (\hat{y}_n - y_n)^2

    Parameters
    ----------
    prediction, target : ndarray, same shape
        N numbers each, of one dtype; the targets finite.

    Returns
    -------
    loss : float
        Mean over all entries.
    d_prediction : ndarray, same shape
        Its gradient, :math:`2(\hat{y} - y) / N`.

    Raises
    ------
    ValueError
        If shapes or dtypes differ, or a target is not finite.
    """
    prediction = checks.array("prediction", prediction)
    if not prediction.size:
        raise ValueError(f"prediction must hold at least one value, got {prediction.shape}")
    target = checks.array("target", target, np.real(prediction).dtype, prediction.shape)
    difference = prediction - checks.finite("target", target)
    return (difference * difference).mean()[()], 2 * difference / difference.size
