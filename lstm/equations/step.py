"""From an input and the states before it to gates and new states."""

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
    a_t : ndarray, shape (B, K)
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
    i_t : ndarray, shape (B, H)
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
    f_t : ndarray, shape (B, H)
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
    g_t : ndarray, shape (B, H)
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
    o_t : ndarray, shape (B, H)
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
    c_t : ndarray, shape (B, H)
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
    h_t : ndarray, shape (B, H)
        The cell's output, in (-1, 1).
    """
    return o_t * np.tanh(c_t)


@equation("eq-concatenated", M=r"\begin{bmatrix} U & W \end{bmatrix}")
def preactivation_concatenated(x_t, h_prev, M, b):
    r"""Affine part with one matrix for both inputs, equation ``eq-concatenated``.

    .. math::

        a_t = \begin{bmatrix} U & W \end{bmatrix}
        \begin{bmatrix} h_{t-1} \\ x_t \end{bmatrix} + b

    Parameters
    ----------
    x_t, h_prev : ndarray, shapes (B, D), (B, H)
        Input, and hidden state of the previous step.
    M, b : ndarray, shapes (K, H + D), (K,)
        The matrix :math:`[U \; W]` and the bias.

    Returns
    -------
    a_t : ndarray, shape (B, K)
        The same value as :func:`preactivation`.
    """
    return np.concatenate([h_prev, x_t], axis=-1) @ M.T + b


@equation("eq-gates")
def gates(a_t):
    r"""Four nonlinearities on the four blocks of rows, equation ``eq-gates``.

    .. math::

        \begin{bmatrix} i_t \\ f_t \\ g_t \\ o_t \end{bmatrix} =
        \begin{bmatrix} \sigma \\ \sigma \\ \tanh \\ \sigma \end{bmatrix} (a_t)

    Parameters
    ----------
    a_t : ndarray, shape (B, 4H)
        Affine part of all four, in the order i, f, g, o.

    Returns
    -------
    i_t, f_t, g_t, o_t : ndarray, shape (B, H)
        Three gates in (0, 1), and the candidate in (-1, 1).
    """
    a_i, a_f, a_g, a_o = np.split(a_t, 4, axis=-1)
    return sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)


@equation("eq-two-biases")
def two_biases(b_ih, b_hh):
    r"""The bias when it is stored in two parts, equation ``eq-two-biases``.

    .. math:: b = b_{ih} + b_{hh}

    Parameters
    ----------
    b_ih, b_hh : ndarray, shape (4H,)
        ``bias_ih`` and ``bias_hh`` of ``torch.nn.LSTM``.

    Returns
    -------
    b : ndarray, shape (4H,)
        The one bias of the equations.
    """
    return b_ih + b_hh


@equation("eq-cell-unrolled")
def cell_state_unrolled(f, c_0, i, g):
    r"""Cell state as a weighted sum of all that was written, equation ``eq-cell-unrolled``.

    .. math::

        c_t = \left(\prod_{s=1}^{t} f_s\right) \odot c_0
        + \sum_{s=1}^{t} \left(\prod_{r=s+1}^{t} f_r\right) \odot i_s \odot g_s

    Parameters
    ----------
    f, i, g : ndarray, shape (t, B, H)
        Gates and candidates of the steps 1 to t. (The products and the sum run over the steps
        because the formula's do.)
    c_0 : ndarray, shape (B, H)
        Initial cell state.

    Returns
    -------
    c_t : ndarray, shape (B, H)
        The cell state of step t.
    """
    kept = [np.prod(f[s:], axis=0) for s in range(len(f) + 1)]
    return kept[0] * c_0 + sum(kept[s + 1] * i[s] * g[s] for s in range(len(f)))


@equation("eq-half-life")
def half_life(f):
    r"""Steps after which a constant forget gate has halved a memory, equation ``eq-half-life``.

    .. math:: t_{1/2} = \frac{\ln 2}{-\ln f}

    Parameters
    ----------
    f : ndarray
        A forget gate in (0, 1), the same at every step.

    Returns
    -------
    ndarray, same shape
        :math:`t_{1/2}`, a number of steps; not an integer in general.
    """
    return np.log(2) / -np.log(f)


@equation("eq-cell-bound")
def cell_bound(q, t, c_0):
    r"""Bound of the cell state while no forget gate exceeds q, equation ``eq-cell-bound``.

    .. math:: |c_t| \le q^t \, |c_0| + \frac{1 - q^t}{1 - q}

    Parameters
    ----------
    q : float
        :math:`q < 1` with :math:`f_s \le q` at the steps s = 1, …, t.
    t : int
        Number of steps.
    c_0 : ndarray
        Initial cell state, any shape.

    Returns
    -------
    ndarray, same shape as ``c_0``
        At least :math:`|c_t|`, unit by unit.
    """
    return q**t * np.abs(c_0) + (1 - q**t) / (1 - q)


@equation("eq-parameter-count", input_size="D", hidden_size="H")
def parameter_count(input_size, hidden_size):
    r"""Number of weights and biases of one LSTM layer, equation ``eq-parameter-count``.

    .. math:: N = 4 \left( H D + H^2 + H \right)

    Parameters
    ----------
    input_size, hidden_size : int
        D and H.

    Returns
    -------
    N : int
        With one bias, as in the equations and in Keras.
    """
    D, H = input_size, hidden_size
    return 4 * (H * D + H**2 + H)


@equation("eq-parameter-count-two-biases", input_size="D", hidden_size="H")
def parameter_count_two_biases(input_size, hidden_size):
    r"""The same with PyTorch's two biases, equation ``eq-parameter-count-two-biases``.

    .. math:: N = 4 \left( H D + H^2 + 2 H \right)

    Parameters
    ----------
    input_size, hidden_size : int
        D and H.

    Returns
    -------
    N : int
        4H more than :func:`parameter_count`.
    """
    D, H = input_size, hidden_size
    return 4 * (H * D + H**2 + 2 * H)
