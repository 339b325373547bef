"""One step of the LSTM, forward (chapter 04)."""

from __future__ import annotations

import numpy as np

from lstm.equations.activations import sigmoid
from lstm.equations.registry import equation


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
