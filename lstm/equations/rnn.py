"""A plain recurrent network, its gradient, and how that gradient grows or shrinks.

The functions of one step take rows of a batch, as everywhere. Those of a whole sequence take it
with time first: ``h[t]`` is the hidden state after step t + 1.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from lstm.equations.activations import tanh_derivative
from lstm.equations.registry import equation


@equation("eq-rnn-hidden")
def rnn_hidden_state(x_t, h_prev, W, U, b):
    r"""Hidden state of the Elman network, equation ``eq-rnn-hidden``.

    .. math:: h_t = \tanh(W x_t + U h_{t-1} + b)

    Parameters
    ----------
    x_t, h_prev : ndarray, shapes (B, D), (B, H)
        Input, and hidden state of the previous step.
    W, U, b : ndarray, shapes (H, D), (H, H), (H,)
        Input weights, recurrent weights and bias: the same at every step.

    Returns
    -------
    h_t : ndarray, shape (B, H)
        The new hidden state, in (-1, 1).
    """
    return np.tanh(x_t @ W.T + h_prev @ U.T + b)


@equation("eq-rnn-parameter-count")
def rnn_parameter_count(D, H):
    r"""Count the parameters of the Elman network, equation ``eq-rnn-parameter-count``.

    .. math:: N = HD + H^2 + H

    Parameters
    ----------
    D, H : int
        Input and hidden size.

    Returns
    -------
    N : int
        Numbers in W, U and b, whatever the length of the sequence.
    """
    return H * D + H**2 + H


@equation("eq-rnn-d-hidden")
def d_rnn_hidden_state(d_loss_t, d_a_next, U):
    r"""Whole gradient of a hidden state, equation ``eq-rnn-d-hidden``.

    .. math:: \bar{h}_t = \frac{\partial \ell_t}{\partial h_t} + U^\top \bar{a}_{t+1}

    Parameters
    ----------
    d_loss_t : ndarray, shape (B, H)
        :math:`\partial\ell_t/\partial h_t`: what this step's own loss says.
    d_a_next : ndarray, shape (B, H)
        Gradient before the next step's tanh; zero at the last step.
    U : ndarray, shape (H, H)
        Recurrent weights.

    Returns
    -------
    d_h_t : ndarray, shape (B, H)
    """
    return d_loss_t + d_a_next @ U


@equation("eq-rnn-d-preactivation")
def d_rnn_preactivation(d_h_t, h_t):
    r"""Gradient before the tanh, equation ``eq-rnn-d-preactivation``.

    .. math:: \bar{a}_t = \bar{h}_t \odot \left(1 - h_t^2\right)

    Parameters
    ----------
    d_h_t, h_t : ndarray, shape (B, H)
        Whole gradient of the hidden state, and the hidden state.

    Returns
    -------
    d_a_t : ndarray, shape (B, H)
    """
    return d_h_t * tanh_derivative(h_t)


@equation("eq-rnn-d-weights")
def d_rnn_weights(d_a, x, h_prev):
    r"""Gradients of the weights, summed over time, equation ``eq-rnn-d-weights``.

    .. math::

        \bar{W} = \sum_{t=1}^{T} \bar{a}_t x_t^\top, \qquad
        \bar{U} = \sum_{t=1}^{T} \bar{a}_t h_{t-1}^\top, \qquad
        \bar{b} = \sum_{t=1}^{T} \bar{a}_t

    Parameters
    ----------
    d_a : ndarray, shape (T, B, H)
        Gradients before the tanh.
    x, h_prev : ndarray, shapes (T, B, D), (T, B, H)
        Inputs, and the hidden state *before* each step: ``h_prev[0]`` is :math:`h_0`.

    Returns
    -------
    d_W, d_U, d_b : ndarray, shapes (H, D), (H, H), (H,)
        Sums over time and batch.
    """
    time_and_batch = ([0, 1], [0, 1])
    return (
        np.tensordot(d_a, x, time_and_batch),
        np.tensordot(d_a, h_prev, time_and_batch),
        d_a.sum(axis=(0, 1)),
    )


@equation("eq-rnn-d-inputs", r"\bar{a}_1 = \bar{a}_t")
def d_rnn_inputs(d_a_t, W, U):
    r"""Gradients of a step's two inputs, equation ``eq-rnn-d-inputs``.

    .. math:: \bar{x}_t = W^\top \bar{a}_t, \qquad \bar{h}_0 = U^\top \bar{a}_1

    Parameters
    ----------
    d_a_t : ndarray, shape (B, H)
        Gradient before the tanh; that of step 1 for the second result to be :math:`\bar{h}_0`.
    W, U : ndarray, shapes (H, D), (H, H)
        Input and recurrent weights.

    Returns
    -------
    d_x_t, d_h_0 : ndarray, shapes (B, D), (B, H)
        Gradients of the input and, through this step, of the previous hidden state.
    """
    return d_a_t @ W, d_a_t @ U


@equation("eq-rnn-jacobian")
def rnn_jacobian(h_t, U):
    r"""Jacobian of one step, equation ``eq-rnn-jacobian``.

    .. math::

        J_t = \frac{\partial h_t}{\partial h_{t-1}} = \operatorname{diag}\left(1 - h_t^2\right) U

    Parameters
    ----------
    h_t : ndarray, shape (..., H)
        Hidden state after the step.
    U : ndarray, shape (H, H)
        Recurrent weights.

    Returns
    -------
    J_t : ndarray, shape (..., H, H)
        :math:`\frac{\partial h_t}{\partial h_{t-1}}`: row j holds the derivatives of unit j.
    """
    return tanh_derivative(h_t)[..., :, None] * U


@equation("eq-jacobian-product", jacobians="J_t")
def jacobian_product(jacobians):
    r"""Jacobian of many steps, equation ``eq-jacobian-product``.

    .. math:: \frac{\partial h_T}{\partial h_0} = J_T J_{T-1} \cdots J_1

    Parameters
    ----------
    jacobians : ndarray, shape (T, ..., H, H)
        :math:`J_1` first.

    Returns
    -------
    ndarray, shape (..., H, H)
        :math:`\frac{\partial h_T}{\partial h_0}`: the last step leftmost.
    """
    return reduce(lambda product, J_t: J_t @ product, jacobians)


@equation("eq-gradient-upper-bound")
def gradient_upper_bound(h, U):
    r"""Bound the Jacobian from above, equation ``eq-gradient-upper-bound``.

    .. math::

        \left\lVert \frac{\partial h_T}{\partial h_0} \right\rVert_2
        \le \prod_{t=1}^{T} \sigma_{\max}(U) \max_j \left(1 - h_{t,j}^2\right)

    Parameters
    ----------
    h : ndarray, shape (T, ..., H)
        Hidden states after steps 1 to T.
    U : ndarray, shape (H, H)
        Recurrent weights.

    Returns
    -------
    ndarray, shape (...)
        At least :math:`\left\lVert \frac{\partial h_T}{\partial h_0} \right\rVert_2`.
    """
    return (np.linalg.norm(U, 2) * tanh_derivative(h).max(axis=-1)).prod(axis=0)


@equation("eq-gradient-lower-bound")
def gradient_lower_bound(h, U):
    r"""Bound the smallest singular value from below, equation ``eq-gradient-lower-bound``.

    .. math::

        \sigma_{\min}\left(\frac{\partial h_T}{\partial h_0}\right)
        \ge \prod_{t=1}^{T} \sigma_{\min}(U) \min_j \left(1 - h_{t,j}^2\right)

    Parameters
    ----------
    h : ndarray, shape (T, ..., H)
        Hidden states after steps 1 to T.
    U : ndarray, shape (H, H)
        Recurrent weights.

    Returns
    -------
    ndarray, shape (...)
        At most :math:`\sigma_{\min}\left(\frac{\partial h_T}{\partial h_0}\right)`.
    """
    return (np.linalg.norm(U, -2) * tanh_derivative(h).min(axis=-1)).prod(axis=0)


@equation("eq-gelfand")
def spectral_radius(U):
    r"""Largest modulus of an eigenvalue, equation ``eq-gelfand`` (Gelfand's formula).

    .. math::

        \rho(U) = \max_j \lvert \lambda_j(U) \rvert
        = \lim_{k \to \infty} \lVert U^k \rVert_2^{1/k}

    Parameters
    ----------
    U : ndarray, shape (..., H, H)
        Any square matrix.

    Returns
    -------
    ndarray, shape (...)
        :math:`\rho(U)`, never more than the largest singular value.
    """
    return np.abs(np.linalg.eigvals(U)).max(axis=-1)


def _window_sum(d_loss, h, h_0, U, window):
    """Sum the terms (t, k) of d_U with ``t - k < window``."""
    before = np.concatenate([h_0[None], h[:-1]])
    d_U = np.zeros_like(U)
    for t in range(len(h)):
        d_h = d_loss[t]
        for k in range(t, max(t - window, -1), -1):
            d_a = d_h * tanh_derivative(h[k])
            d_U = d_U + d_a.T @ before[k]
            d_h = d_a @ U
    return d_U


@equation(
    "eq-bptt-double-sum",
    "eq-rnn-jacobian",
    r"\frac{\partial h_t}{\partial h_k} = J_t J_{t-1} \cdots J_{k+1}",
)
def d_rnn_recurrent_weights(d_loss, h, h_0, U):
    r"""Gradient of the recurrent weights without the recursion, equation ``eq-bptt-double-sum``.

    .. math::

        \bar{U} = \sum_{t=1}^{T} \sum_{k=1}^{t}
        \operatorname{diag}\left(1 - h_k^2\right)
        \left(\frac{\partial h_t}{\partial h_k}\right)^{\!\top}
        \frac{\partial \ell_t}{\partial h_t} \, h_{k-1}^\top

    Parameters
    ----------
    d_loss, h : ndarray, shape (T, B, H)
        :math:`\partial\ell_t/\partial h_t`, and the hidden states after steps 1 to T.
    h_0 : ndarray, shape (B, H)
        Initial state.
    U : ndarray, shape (H, H)
        Recurrent weights.

    Returns
    -------
    d_U : ndarray, shape (H, H)
        ``d_U``, in T² steps of work: what the recursion does in T.
    """
    return _window_sum(d_loss, h, h_0, U, len(h))


@equation(
    "eq-truncated-bptt",
    "eq-rnn-jacobian",
    r"\frac{\partial h_t}{\partial h_k} = J_t J_{t-1} \cdots J_{k+1}",
)
def d_rnn_recurrent_weights_truncated(d_loss, h, h_0, U, K):
    r"""Truncated gradient of the recurrent weights, equation ``eq-truncated-bptt``.

    .. math::

        \bar{U}^{(K)} = \sum_{t=1}^{T} \; \sum_{k=\max(1,\, t-K+1)}^{t}
        \operatorname{diag}\left(1 - h_k^2\right)
        \left(\frac{\partial h_t}{\partial h_k}\right)^{\!\top}
        \frac{\partial \ell_t}{\partial h_t} \, h_{k-1}^\top

    Parameters
    ----------
    d_loss, h, h_0, U : ndarray, shapes (T, B, H), (T, B, H), (B, H), (H, H)
        As in :func:`d_rnn_recurrent_weights`.
    K : int
        Each loss reaches back over the last K steps, its own included.

    Returns
    -------
    ndarray, shape (H, H)
        :math:`\bar{U}^{(K)}`: without the terms that reach back further.
    """
    return _window_sum(d_loss, h, h_0, U, K)


@equation("eq-truncation-bound", r"\eta = \sigma_{\max}(U)")
def truncation_bound(d_loss, U, K):
    r"""Bound what truncation drops when U contracts, equation ``eq-truncation-bound``.

    .. math::

        \left\lVert \bar{U} - \bar{U}^{(K)} \right\rVert_F
        \le \sqrt{H} \, \frac{\eta^K}{1 - \eta}
        \sum_{t=1}^{T} \left\lVert \frac{\partial \ell_t}{\partial h_t} \right\rVert_2

    Parameters
    ----------
    d_loss : ndarray, shape (T, B, H)
        :math:`\partial\ell_t/\partial h_t`; the bound holds for each sequence, so for their sum.
    U : ndarray, shape (H, H)
        Recurrent weights; :math:`\eta = \sigma_{\max}(U)` must be below 1.
    K : int
        The window.

    Returns
    -------
    float
        At least :math:`\left\lVert \bar{U} - \bar{U}^{(K)} \right\rVert_F`.
    """
    eta = np.linalg.norm(U, 2)
    if not eta < 1:
        raise ValueError(f"U must have a largest singular value below 1, got {eta:.6g}")
    norms = np.linalg.norm(d_loss, axis=-1).sum()
    return float(np.sqrt(len(U)) * eta**K / (1 - eta) * norms)
