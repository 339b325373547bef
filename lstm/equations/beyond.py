"""Later relatives: gates that see no state, exponential gates, a matrix for a memory.

Sources: Feng et al. (2024) for minLSTM, Beck et al. (2024) for sLSTM and mLSTM, Grazzi et al.
(2025) for the signed gate.
"""

from __future__ import annotations

import numpy as np

from lstm.equations.registry import equation


# ---------------------------------------------------------------------------------------- minLSTM
@equation("eq-minlstm-forget-gate")
def min_lstm_forget_gate(f_t, i_t):
    r"""Share of the past, equation ``eq-minlstm-forget-gate``.

    .. math:: \hat{f}_t = \frac{f_t}{f_t + i_t}

    Parameters
    ----------
    f_t, i_t : ndarray, shape (B, H)
        Forget and input gate, in (0, 1).

    Returns
    -------
    f_hat_t : ndarray, shape (B, H)
        In (0, 1).
    """
    return f_t / (f_t + i_t)


@equation("eq-minlstm-input-gate")
def min_lstm_input_gate(f_t, i_t):
    r"""Share of what is new, equation ``eq-minlstm-input-gate``.

    .. math:: \hat{i}_t = \frac{i_t}{f_t + i_t}

    Parameters
    ----------
    f_t, i_t : ndarray, shape (B, H)
        Forget and input gate, in (0, 1).

    Returns
    -------
    i_hat_t : ndarray, shape (B, H)
        1 less the share of the past.
    """
    return i_t / (f_t + i_t)


@equation("eq-minlstm-state")
def min_lstm_state(f_hat_t, h_prev, i_hat_t, g_t):
    r"""State of minLSTM, equation ``eq-minlstm-state``.

    .. math:: h_t = \hat{f}_t \odot h_{t-1} + \hat{i}_t \odot g_t

    Parameters
    ----------
    f_hat_t, h_prev, i_hat_t, g_t : ndarray, shape (B, H)
        Share of the past :math:`\hat{f}_t`, previous state, share of the new
        :math:`\hat{i}_t`, candidate.

    Returns
    -------
    h_t : ndarray, shape (B, H)
        A mean of all candidates so far and of the initial state.
    """
    return f_hat_t * h_prev + i_hat_t * g_t


@equation("eq-minlstm-signed")
def min_lstm_signed(f_hat_t, h_prev, i_hat_t, g_t):
    r"""State of minLSTM with a gate that can turn the sign, equation ``eq-minlstm-signed``.

    .. math:: h_t = \left(2 \hat{f}_t - 1\right) \odot h_{t-1} + \hat{i}_t \odot g_t

    Parameters
    ----------
    f_hat_t, h_prev, i_hat_t, g_t : ndarray, shape (B, H)
        As in :func:`min_lstm_state`.

    Returns
    -------
    h_t : ndarray, shape (B, H)
        The new state.
    """
    return (2 * f_hat_t - 1) * h_prev + i_hat_t * g_t


# ------------------------------------------------------------------------------------------ sLSTM
@equation("eq-slstm-normaliser")
def normaliser(f_t, nu_prev, i_t):
    r"""What the gates have let in so far, equation ``eq-slstm-normaliser``.

    .. math:: \nu_t = f_t \odot \nu_{t-1} + i_t

    Parameters
    ----------
    f_t, nu_prev, i_t : ndarray, shape (B, H)
        Forget gate, previous normaliser, input gate.

    Returns
    -------
    nu_t : ndarray, shape (B, H)
        Sum of the weights that the candidates have in the cell state.
    """
    return f_t * nu_prev + i_t


@equation("eq-slstm-hidden-state")
def normalised_hidden_state(o_t, c_t, nu_t):
    r"""Hidden state of sLSTM: a weighted mean, let out, equation ``eq-slstm-hidden-state``.

    .. math:: h_t = o_t \odot \frac{c_t}{\nu_t}

    Parameters
    ----------
    o_t, c_t, nu_t : ndarray, shape (B, H)
        Output gate, cell state, normaliser.

    Returns
    -------
    h_t : ndarray, shape (B, H)
        In (-1, 1), as the candidates are.
    """
    return o_t * (c_t / nu_t)


@equation("eq-slstm-stabiliser", log_f=r"\log f_t", log_i=r"\log i_t")
def stabiliser(log_f, m_prev, log_i):
    r"""Logarithm of the scale that the states are kept in, equation ``eq-slstm-stabiliser``.

    .. math:: m_t = \max\left(\log f_t + m_{t-1}, \log i_t\right)

    Parameters
    ----------
    log_f, m_prev, log_i : ndarray, shape (B, H)
        Logarithm of the forget gate, previous logarithm of the scale, logarithm of the input gate.

    Returns
    -------
    m_t : ndarray, shape (B, H)
        The new logarithm of the scale.
    """
    return np.maximum(log_f + m_prev, log_i)


# ------------------------------------------------------------------------------------------ mLSTM
@equation("eq-mlstm-memory")
def matrix_memory(f_t, C_prev, i_t, v_t, k_t):
    r"""Memory of pairs, equation ``eq-mlstm-memory``.

    .. math:: C_t = f_t \, C_{t-1} + i_t \, v_t k_t^\top

    Parameters
    ----------
    f_t, i_t : ndarray, shape (B,)
        Forget and input gate of the whole matrix.
    C_prev : ndarray, shape (B, H, H)
        Previous memory.
    v_t, k_t : ndarray, shape (B, H)
        Value to be stored, and the key under which.

    Returns
    -------
    C_t : ndarray, shape (B, H, H)
        The new memory.
    """
    return f_t[:, None, None] * C_prev + i_t[:, None, None] * v_t[:, :, None] * k_t[:, None]


@equation("eq-mlstm-normaliser")
def matrix_normaliser(f_t, nu_prev, i_t, k_t):
    r"""Sum of the weighted keys, equation ``eq-mlstm-normaliser``.

    .. math:: \nu_t = f_t \, \nu_{t-1} + i_t \, k_t

    Parameters
    ----------
    f_t, i_t : ndarray, shape (B,)
        Forget and input gate.
    nu_prev, k_t : ndarray, shape (B, H)
        Previous normaliser, key.

    Returns
    -------
    nu_t : ndarray, shape (B, H)
        The new normaliser.
    """
    return f_t[:, None] * nu_prev + i_t[:, None] * k_t


@equation("eq-mlstm-hidden-state")
def matrix_hidden_state(o_t, C_t, q_t, nu_t):
    r"""What is read from the memory under a key, equation ``eq-mlstm-hidden-state``.

    .. math:: h_t = o_t \odot \frac{C_t q_t}{\max\left(\left|\nu_t^\top q_t\right|, 1\right)}

    Parameters
    ----------
    o_t, q_t, nu_t : ndarray, shape (B, H)
        Output gate, query, normaliser.
    C_t : ndarray, shape (B, H, H)
        Memory.

    Returns
    -------
    h_t : ndarray, shape (B, H)
        The hidden state.
    """
    match = np.abs((nu_t * q_t).sum(axis=1, keepdims=True))
    return o_t * np.einsum("bij,bj->bi", C_t, q_t) / np.maximum(match, 1)
