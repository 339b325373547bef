"""How gradients flow through the LSTM over many steps, in closed form.

The one-unit formulas are for a cell at rest: zero state and zero input, so that the gates i, f, o
are constants (σ of their biases), and the candidate's weights are w (input) and u (recurrent).
"""

from __future__ import annotations

import numpy as np

from lstm.equations.registry import equation
from lstm.equations.rnn import rnn_parameter_count


@equation("eq-cell-path")
def cell_path(f):
    r"""Gradient along the cell alone, equation ``eq-cell-path``.

    .. math::

        \frac{\partial c_T}{\partial c_0}\bigg|_{\text{cell path}}
        = \operatorname{diag}\left( \prod_{t=1}^{T} f_t \right)

    Parameters
    ----------
    f : ndarray, shape (T, ..., H)
        Forget gates of steps 1 to T.

    Returns
    -------
    ndarray, shape (..., H)
        The diagonal of :math:`\frac{\partial c_T}{\partial c_0}\bigg|_{\text{cell path}}`: all of
        :math:`\partial c_T/\partial c_0` only where no gate and no candidate reads the hidden
        state.
    """
    return np.prod(f, axis=0)


@equation("eq-one-unit-gain")
def one_unit_gain(i, f, o, u):
    r"""Growth per step of a one-unit LSTM at rest, equation ``eq-one-unit-gain``.

    .. math:: \lambda = \frac{\partial c_t}{\partial c_{t-1}} = f + i \, u \, o

    Parameters
    ----------
    i, f, o : float
        Gates.
    u : float
        Recurrent weight of the candidate.

    Returns
    -------
    float
        :math:`\lambda`, which is :math:`\frac{\partial c_t}{\partial c_{t-1}}`: the forget gate,
        and the loop through the output gate, the candidate and the input gate.
    """
    return f + i * u * o


@equation("eq-one-unit-gradient")
def one_unit_gradient(i, f, o, u, w, T):
    r"""Gradient of a one-unit LSTM at rest over T steps, equation ``eq-one-unit-gradient``.

    .. math:: \frac{\partial h_T}{\partial x_1} = o \left( f + i \, u \, o \right)^{T-1} i \, w

    Parameters
    ----------
    i, f, o : float
        Gates.
    u, w : float
        Recurrent and input weight of the candidate.
    T : int
        Number of steps.

    Returns
    -------
    float
        What the last output knows of the first input, :math:`\frac{\partial h_T}{\partial x_1}`.
    """
    return o * one_unit_gain(i, f, o, u) ** (T - 1) * i * w


@equation("eq-one-unit-bias-gradient")
def one_unit_bias_gradient(i, f, o, u, T):
    r"""Gradient of the candidate's bias at rest, equation ``eq-one-unit-bias-gradient``.

    .. math::

        \frac{\partial h_T}{\partial b_g} = o \, i \, \frac{\lambda^T - 1}{\lambda - 1},
        \qquad \lambda = f + i \, u \, o \ne 1

    Parameters
    ----------
    i, f, o : float
        Gates.
    u : float
        Recurrent weight of the candidate.
    T : int
        Number of steps.

    Returns
    -------
    float
        :math:`\frac{\partial h_T}{\partial b_g}`, the gradient that a training step would follow.
    """
    gain = one_unit_gain(i, f, o, u)
    return o * i * (gain**T - 1) / (gain - 1)


@equation("eq-relu-growth")
def relu_growth(c_0, i, f, o, u, T):
    r"""Cell state of a one-unit LSTM with ReLU for both tanh, equation ``eq-relu-growth``.

    .. math:: c_T = \left( f + i \, u \, o \right)^T c_0 \qquad (c_0, u > 0)

    Parameters
    ----------
    c_0 : float
        Initial cell state; positive, with :math:`h_0 = o \, c_0`.
    i, f, o : float
        Gates, constant.
    u : float
        Recurrent weight of the candidate; positive.
    T : int
        Number of steps.

    Returns
    -------
    c_T : float
        The cell state itself, not its derivative: exponential in T.
    """
    return one_unit_gain(i, f, o, u) ** T * c_0


@equation("eq-parameter-ratio")
def parameter_ratio(D, H):
    r"""Compare the parameters of an LSTM and an Elman network, equation ``eq-parameter-ratio``.

    .. math::

        \frac{N_{\text{LSTM}}}{N_{\text{RNN}}}
        = \frac{4 \left(HD + H^2 + H\right)}{HD + H^2 + H} = 4

    Parameters
    ----------
    D, H : int
        Input and hidden size of both.

    Returns
    -------
    float
        :math:`\frac{N_{\text{LSTM}}}{N_{\text{RNN}}}`, 4 at every size: three gates and a
        candidate, each with the weights of one network.
    """
    lstm = 4 * (H * D + H**2 + H)
    return lstm / rnn_parameter_count(D, H)


@equation("eq-equal-parameters")
def equal_parameters(N, D):
    r"""Units of an Elman network with N parameters, equation ``eq-equal-parameters``.

    .. math:: H = \frac{\sqrt{(D+1)^2 + 4N} - (D+1)}{2}

    Parameters
    ----------
    N : int
        Number of parameters.
    D : int
        Input size.

    Returns
    -------
    H : float
        The positive root of :math:`H^2 + (D+1)H = N`; round it.
    """
    return (np.sqrt((D + 1) ** 2 + 4 * N) - (D + 1)) / 2
