r"""Every equation of the book as one function: the oracle that the rest is checked against.

A function computes one equation for a batch. The text writes column vectors, the code rows: a
vector :math:`x_t \in \mathbb{R}^D` of the text is a row of the array ``x_t`` of shape (B, D), and
:math:`W x_t` is ``x_t @ W.T``. No function loops over time, keeps state or changes its arguments.
All of them work in float32, float64 and, for the complex-step check, complex128.

Sizes: B batch, D input, H hidden. A gradient is ``d_`` and the name: ``d_c_t`` is
:math:`\partial\mathcal{L}/\partial c_t`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

EQUATIONS: dict[str, Callable] = {}
"""Label of an equation → the function that computes it."""


def equation(label: str) -> Callable[[Callable], Callable]:
    """Register a function as the one that computes the equation ``label``."""

    def register(function: Callable) -> Callable:
        if label in EQUATIONS:
            raise ValueError(f"label {label!r} already belongs to {EQUATIONS[label].__name__}")
        EQUATIONS[label] = function
        return function

    return register


# --- activations -----------------------------------------------------------------------------


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


@equation("eq-sigmoid-derivative")
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


@equation("eq-tanh-derivative")
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


# --- one LSTM step, forward ------------------------------------------------------------------


@equation("eq-preactivation")
def preactivation(x_t, h_prev, W, U, b):
    r"""Affine part of a gate, equation ``eq-preactivation``.

    .. math:: a_t = W x_t + U h_{t-1} + b

    Parameters
    ----------
    x_t : ndarray, shape (B, D)
        Input of this step.
    h_prev : ndarray, shape (B, H)
        Hidden state of the previous step.
    W, U, b : ndarray, shapes (K, D), (K, H), (K,)
        Input weights, recurrent weights and bias: K = H for one gate, 4H for all four.

    Returns
    -------
    ndarray, shape (B, K)
        The value before the gate's nonlinearity.
    """
    return x_t @ W.T + h_prev @ U.T + b


@equation("eq-input-gate")
def input_gate(x_t, h_prev, W_i, U_i, b_i):
    r"""Input gate, equation ``eq-input-gate``.

    .. math:: i_t = \sigma(W_i x_t + U_i h_{t-1} + b_i)

    Parameters
    ----------
    x_t, h_prev : ndarray, shapes (B, D), (B, H)
        Input, and hidden state of the previous step.
    W_i, U_i, b_i : ndarray, shapes (H, D), (H, H), (H,)
        The gate's weights and bias.

    Returns
    -------
    ndarray, shape (B, H)
        How much of the candidate is written: 0 nothing, 1 all.
    """
    return sigmoid(preactivation(x_t, h_prev, W_i, U_i, b_i))


@equation("eq-forget-gate")
def forget_gate(x_t, h_prev, W_f, U_f, b_f):
    r"""Forget gate, equation ``eq-forget-gate``.

    .. math:: f_t = \sigma(W_f x_t + U_f h_{t-1} + b_f)

    Parameters
    ----------
    x_t, h_prev : ndarray, shapes (B, D), (B, H)
        Input, and hidden state of the previous step.
    W_f, U_f, b_f : ndarray, shapes (H, D), (H, H), (H,)
        The gate's weights and bias.

    Returns
    -------
    ndarray, shape (B, H)
        How much of the old cell state is kept: 0 forgets all, 1 keeps all.
    """
    return sigmoid(preactivation(x_t, h_prev, W_f, U_f, b_f))


@equation("eq-candidate")
def candidate(x_t, h_prev, W_g, U_g, b_g):
    r"""Candidate, equation ``eq-candidate``.

    .. math:: g_t = \tanh(W_g x_t + U_g h_{t-1} + b_g)

    Parameters
    ----------
    x_t, h_prev : ndarray, shapes (B, D), (B, H)
        Input, and hidden state of the previous step.
    W_g, U_g, b_g : ndarray, shapes (H, D), (H, H), (H,)
        The candidate's weights and bias.

    Returns
    -------
    ndarray, shape (B, H)
        What could be written into the cell, in (-1, 1).
    """
    return np.tanh(preactivation(x_t, h_prev, W_g, U_g, b_g))


@equation("eq-output-gate")
def output_gate(x_t, h_prev, W_o, U_o, b_o):
    r"""Output gate, equation ``eq-output-gate``.

    .. math:: o_t = \sigma(W_o x_t + U_o h_{t-1} + b_o)

    Parameters
    ----------
    x_t, h_prev : ndarray, shapes (B, D), (B, H)
        Input, and hidden state of the previous step.
    W_o, U_o, b_o : ndarray, shapes (H, D), (H, H), (H,)
        The gate's weights and bias.

    Returns
    -------
    ndarray, shape (B, H)
        How much of the cell is shown: 0 nothing, 1 all.
    """
    return sigmoid(preactivation(x_t, h_prev, W_o, U_o, b_o))


@equation("eq-cell-state")
def cell_state(f_t, c_prev, i_t, g_t):
    r"""Memory cell, equation ``eq-cell-state``.

    .. math:: c_t = f_t \odot c_{t-1} + i_t \odot g_t

    Parameters
    ----------
    f_t, i_t, g_t : ndarray, shape (B, H)
        Forget gate, input gate (both in (0, 1)) and candidate (in (-1, 1)).
    c_prev : ndarray, shape (B, H)
        Cell state of the previous step.

    Returns
    -------
    ndarray, shape (B, H)
        The new cell state. It is not bounded by 1: only :math:`h_t` is.
    """
    return f_t * c_prev + i_t * g_t


@equation("eq-hidden-state")
def hidden_state(o_t, c_t):
    r"""Hidden state, equation ``eq-hidden-state``.

    .. math:: h_t = o_t \odot \tanh(c_t)

    Parameters
    ----------
    o_t : ndarray, shape (B, H)
        Output gate.
    c_t : ndarray, shape (B, H)
        Cell state of this step.

    Returns
    -------
    ndarray, shape (B, H)
        The cell's output, in (-1, 1).
    """
    return o_t * np.tanh(c_t)


# --- one LSTM step, backward -----------------------------------------------------------------


@equation("eq-d-output-gate")
def d_output_gate(d_h_t, c_t):
    r"""Gradient of the output gate, equation ``eq-d-output-gate``.

    .. math:: \bar{o}_t = \bar{h}_t \odot \tanh(c_t)

    Parameters
    ----------
    d_h_t : ndarray, shape (B, H)
        Whole gradient of the hidden state: from this step's output and from the next step.
    c_t : ndarray, shape (B, H)
        Cell state.

    Returns
    -------
    ndarray, shape (B, H)
        ``d_o_t``.
    """
    return d_h_t * np.tanh(c_t)


@equation("eq-d-cell-state")
def d_cell_state(d_c_from_next, d_h_t, o_t, c_t):
    r"""Whole gradient of the cell state, equation ``eq-d-cell-state``.

    .. math:: \bar{c}_t = \bar{c}_{t+1} \odot f_{t+1} + \bar{h}_t \odot o_t \odot \left(1 - \tanh^2(c_t)\right)

    Parameters
    ----------
    d_c_from_next : ndarray, shape (B, H)
        What comes back along the cell: :math:`\bar{c}_{t+1} \odot f_{t+1}`
        (:func:`d_cell_previous` of the next step).
    d_h_t, o_t, c_t : ndarray, shape (B, H)
        Whole gradient of the hidden state; output gate; cell state.

    Returns
    -------
    ndarray, shape (B, H)
        ``d_c_t``.
    """
    return d_c_from_next + d_h_t * o_t * tanh_derivative(np.tanh(c_t))


@equation("eq-d-cell-previous")
def d_cell_previous(d_c_t, f_t):
    r"""Gradient sent back along the cell, equation ``eq-d-cell-previous``.

    .. math:: \frac{\partial \mathcal{L}}{\partial c_{t-1}}\bigg|_{\text{cell path}} = \bar{c}_t \odot f_t

    Parameters
    ----------
    d_c_t, f_t : ndarray, shape (B, H)
        Whole gradient of the cell state, and forget gate.

    Returns
    -------
    ndarray, shape (B, H)
        The constant error carousel's share of ``d_c_prev``: no weight, no squashing.
    """
    return d_c_t * f_t


@equation("eq-d-forget-gate")
def d_forget_gate(d_c_t, c_prev):
    r"""Gradient of the forget gate, equation ``eq-d-forget-gate``.

    .. math:: \bar{f}_t = \bar{c}_t \odot c_{t-1}

    Parameters
    ----------
    d_c_t, c_prev : ndarray, shape (B, H)
        Whole gradient of the cell state, and the previous cell state.

    Returns
    -------
    ndarray, shape (B, H)
        ``d_f_t``.
    """
    return d_c_t * c_prev


@equation("eq-d-input-gate")
def d_input_gate(d_c_t, g_t):
    r"""Gradient of the input gate, equation ``eq-d-input-gate``.

    .. math:: \bar{i}_t = \bar{c}_t \odot g_t

    Parameters
    ----------
    d_c_t, g_t : ndarray, shape (B, H)
        Whole gradient of the cell state, and the candidate.

    Returns
    -------
    ndarray, shape (B, H)
        ``d_i_t``.
    """
    return d_c_t * g_t


@equation("eq-d-candidate")
def d_candidate(d_c_t, i_t):
    r"""Gradient of the candidate, equation ``eq-d-candidate``.

    .. math:: \bar{g}_t = \bar{c}_t \odot i_t

    Parameters
    ----------
    d_c_t, i_t : ndarray, shape (B, H)
        Whole gradient of the cell state, and the input gate.

    Returns
    -------
    ndarray, shape (B, H)
        ``d_g_t``.
    """
    return d_c_t * i_t


@equation("eq-d-preactivation")
def d_preactivation(d_i_t, d_f_t, d_g_t, d_o_t, i_t, f_t, g_t, o_t):
    r"""Gradient before the nonlinearities, equation ``eq-d-preactivation``.

    .. math::

        \bar{a}_t = \begin{bmatrix}
            \bar{i}_t \odot i_t \odot (1 - i_t) \\
            \bar{f}_t \odot f_t \odot (1 - f_t) \\
            \bar{g}_t \odot (1 - g_t^2) \\
            \bar{o}_t \odot o_t \odot (1 - o_t)
        \end{bmatrix}

    Parameters
    ----------
    d_i_t, d_f_t, d_g_t, d_o_t : ndarray, shape (B, H)
        Gradients of the gates and of the candidate.
    i_t, f_t, g_t, o_t : ndarray, shape (B, H)
        Their values.

    Returns
    -------
    ndarray, shape (B, 4H)
        ``d_a_t`` in the order i, f, g, o.
    """
    return np.concatenate(
        [
            d_i_t * sigmoid_derivative(i_t),
            d_f_t * sigmoid_derivative(f_t),
            d_g_t * tanh_derivative(g_t),
            d_o_t * sigmoid_derivative(o_t),
        ],
        axis=-1,
    )


@equation("eq-d-weights")
def d_weights(d_a_t, x_t, h_prev):
    r"""Gradients of weights and bias from one step, equation ``eq-d-weights``.

    .. math::

        \bar{W} \mathrel{+}= \bar{a}_t x_t^\top, \qquad
        \bar{U} \mathrel{+}= \bar{a}_t h_{t-1}^\top, \qquad
        \bar{b} \mathrel{+}= \bar{a}_t

    Parameters
    ----------
    d_a_t : ndarray, shape (B, K)
        Gradient before the nonlinearity.
    x_t, h_prev : ndarray, shapes (B, D), (B, H)
        Input, and hidden state of the previous step.

    Returns
    -------
    d_W, d_U, d_b : ndarray, shapes (K, D), (K, H), (K,)
        This step's terms, summed over the batch.
    """
    return d_a_t.T @ x_t, d_a_t.T @ h_prev, d_a_t.sum(axis=0)


@equation("eq-d-inputs")
def d_inputs(d_a_t, W, U):
    r"""Gradients of a step's inputs, equation ``eq-d-inputs``.

    .. math::

        \bar{x}_t = W^\top \bar{a}_t, \qquad
        \frac{\partial \mathcal{L}}{\partial h_{t-1}}\bigg|_{\text{gate path}} = U^\top \bar{a}_t

    Parameters
    ----------
    d_a_t : ndarray, shape (B, K)
        Gradient before the nonlinearity.
    W, U : ndarray, shapes (K, D), (K, H)
        Input and recurrent weights.

    Returns
    -------
    d_x_t, d_h_prev : ndarray, shapes (B, D), (B, H)
        Gradients of the input, and of the previous hidden state through the gates.
    """
    return d_a_t @ W, d_a_t @ U


# --- around the LSTM -------------------------------------------------------------------------


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
    ndarray, shape (B, K)
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
    ndarray, shape (..., K)
        Positive numbers that sum to 1 over the last axis, without overflow.
    """
    powers = np.exp(z - np.real(z).max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
