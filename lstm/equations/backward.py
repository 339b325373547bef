"""One step of the LSTM, backward (chapter 05)."""

from __future__ import annotations

import numpy as np

from lstm.equations.activations import sigmoid_derivative, tanh_derivative
from lstm.equations.registry import equation


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
