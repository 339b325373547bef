"""What keeping a state asks of a network, and what keeping pairs does."""

from __future__ import annotations

import numpy as np

from lstm.equations.registry import equation


@equation("eq-parity")
def parity(s_prev, x_t):
    r"""Whether the number of ones so far is odd, equation ``eq-parity``.

    .. math:: s_t = s_{t-1} + x_t - 2 \, s_{t-1} x_t

    Parameters
    ----------
    s_prev, x_t : ndarray, shape (B,)
        Parity so far and the new bit, each 0 or 1.

    Returns
    -------
    s_t : ndarray, shape (B,)
        0 or 1: changed by a one, kept by a zero.
    """
    return s_prev + x_t - 2 * s_prev * x_t


@equation("eq-repeated-input", lam=r"\lambda")
def repeated_input(lam, h_0, b, T):
    r"""State of a linear unit that sees the same input T times, equation ``eq-repeated-input``.

    .. math:: h_T = \lambda^T h_0 + \frac{1 - \lambda^T}{1 - \lambda} \, b

    Parameters
    ----------
    lam : float
        What each step multiplies the state by, not 1: a function of the input alone.
    h_0 : float
        State before.
    b : float
        What each step adds.
    T : int
        Number of steps.

    Returns
    -------
    h_T : float
        It goes one way for ever where :math:`\lambda` is not negative.
    """
    return lam**T * h_0 + (1 - lam**T) / (1 - lam) * b


@equation("eq-recall-bits")
def recall_bits(N, V):
    r"""Bits that a memory of N values needs, equation ``eq-recall-bits``.

    .. math:: M = N \, \frac{\ln V}{\ln 2}

    Parameters
    ----------
    N : int
        Number of pairs.
    V : float
        Number of different values.

    Returns
    -------
    M : float
        With fewer bits two different lists of values leave the same state.
    """
    return N * np.log(V) / np.log(2)
