"""Writing: bits a character, counting, temperature, and what windows drop."""

from __future__ import annotations

import numpy as np

from lstm.equations.around import softmax
from lstm.equations.registry import equation


@equation("eq-bits-per-character", loss=r"\ell_n")
def bits_per_character(loss):
    r"""Price of a text, in bits a character, equation ``eq-bits-per-character``.

    .. math:: M = \frac{1}{N \ln 2} \sum_{n=1}^{N} \ell_n

    Parameters
    ----------
    loss : ndarray, shape (N,)
        Cross-entropy :math:`\ell_n = -\ln p_n` of each character, in nats.

    Returns
    -------
    M : float
        So many bits an ideal code spends on a character.
    """
    return np.sum(loss) / (len(loss) * np.log(2))


@equation("eq-kneser-ney")
def kneser_ney(k, d, q, p_hat, N):
    r"""Probability of a character by counting, equation ``eq-kneser-ney``.

    .. math:: p = \frac{k - d + q \, \hat{p}}{N}

    Parameters
    ----------
    k : float
        How often the character followed the context.
    d : float
        Discount for that count.
    q : float
        Sum of the discounts of all characters after the context.
    p_hat : float
        Probability of the character after the context without its first character.
    N : float
        How often the context was seen: the sum of all k.

    Returns
    -------
    p : float
        Over all characters it adds up to 1 where :math:`\hat{p}` does.
    """
    return (k - d + q * p_hat) / N


@equation("eq-temperature", tau=r"\tau")
def temperature(z, tau):
    r"""Probabilities from logits, colder or hotter, equation ``eq-temperature``.

    .. math:: p_k = \frac{e^{z_k / \tau}}{\sum_{j} e^{z_j / \tau}}

    Parameters
    ----------
    z : ndarray, shape (..., K)
        Logits.
    tau : float
        Temperature: 1 leaves the softmax as it is, towards 0 the largest logit takes all.

    Returns
    -------
    p_k : ndarray, shape (..., K)
        For every k.
    """
    return softmax(z / tau)


@equation("eq-dropped-gradient", P="P_n", d_s=r"\bar{s}_n")
def dropped_gradient(P, d_s):
    r"""Part of the gradient that windows leave out, equation ``eq-dropped-gradient``.

    .. math:: \epsilon = \sum_{n=1}^{N} P_n^\top \bar{s}_n

    Parameters
    ----------
    P : ndarray, shape (N, H, D)
        Jacobian of the state at the end of window n by the D parameters, used in that window alone.
    d_s : ndarray, shape (N, H)
        Gradient that all later windows hand back to that state.

    Returns
    -------
    epsilon : ndarray, shape (D,)
        The full gradient, less the sum of the windows' own.
    """
    return np.einsum("nhd,nh->d", P, d_s)


@equation("eq-kept-share")
def kept_share(K, T):
    r"""Share of the pairs K steps apart that fall into one window, equation ``eq-kept-share``.

    .. math:: q = \max\left(0, 1 - \frac{K}{T}\right)

    Parameters
    ----------
    K : int
        Steps from where a weight is used to a loss.
    T : int
        Steps in a window.

    Returns
    -------
    q : float
        The rest of these pairs teach nothing.
    """
    return max(0.0, 1 - K / T)
