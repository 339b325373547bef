"""What a handful of seeds says: their mean, their spread, and what to expect of another one.

Two intervals are easily mixed up: that of the mean of all seeds, and that of one more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lstm import checks
from lstm.equations.registry import equation
from lstm.signatures import checked

MOST = 100_000
"""Degrees of freedom; nobody has more seeds."""
Z = 1.959963984540054
"""The 97.5 % point of the normal distribution."""


@checked
def student(freedom: int) -> float:
    """Return the 97.5 % point of Student's t distribution with so many degrees of freedom."""
    from scipy.special import stdtrit  # here: chapters run in a browser without SciPy, up to this

    freedom = checks.positive_int("freedom", freedom, maximum=MOST)
    return float(stdtrit(freedom, 0.975))


@equation("eq-interval-of-mean", deviation="s", count="n")
@checked
def interval_of_mean(deviation: float | np.ndarray, count: int) -> float:
    r"""Half width of the 95 % interval of the mean, equation ``eq-interval-of-mean``.

    .. math:: \hat a \pm t_{n-1} \, \frac{s}{\sqrt n}

    Parameters
    ----------
    deviation : float or ndarray
        s, the standard deviation of the values.
    count : int
        n, how many there are; at least 2.

    Returns
    -------
    d_a : float
        How far the ends are from :math:`\hat a`.
    """
    return _student_of(count) * deviation / count**0.5


@equation("eq-interval-of-seed", deviation="s", count="n")
@checked
def interval_of_seed(deviation: float | np.ndarray, count: int) -> float:
    r"""Half width of the interval for one more value, equation ``eq-interval-of-seed``.

    .. math:: \hat a \pm t_{n-1} \, s \sqrt{1 + \frac{1}{n}}

    Parameters
    ----------
    deviation : float or ndarray
        s, the standard deviation of the values.
    count : int
        n, how many there are; at least 2.

    Returns
    -------
    d_a : float
        How far the ends are from :math:`\hat a`.
    """
    return _student_of(count) * deviation * (1 + 1 / count) ** 0.5


def _student_of(count: int) -> float:
    return student(checks.positive_int("count", count, minimum=2, maximum=MOST) - 1)


class Comparison(NamedTuple):
    """How two systems did on the same examples."""

    #: Examples that the first alone answered rightly.
    first: int
    #: Examples that the second alone answered rightly.
    second: int
    #: Points of accuracy by which the first is ahead.
    ahead: float
    #: Half width of the 95 % interval of that, for new examples.
    half_width: float
    #: Probability of such a difference, or a larger one, between two systems that are equally good.
    p: float


@checked
def mcnemar(first: np.ndarray, second: np.ndarray) -> Comparison:
    """Compare two systems by the examples on which they differ (McNemar, 1947).

    Where both are right, or both wrong, says nothing. Of the others each has half if both systems
    are equally good: the exact test of a coin.

    Parameters
    ----------
    first, second : ndarray of bool, shape (N,)
        Which of the same examples each answered rightly.

    Returns
    -------
    Comparison
        The counts, and what follows from them.
    """
    if (
        first.shape != second.shape
        or first.ndim != 1
        or {first.dtype, second.dtype} != {np.dtype(bool)}
    ):
        raise ValueError(
            f"first and second must be bool of one shape (N,), got {first.dtype} {first.shape} "
            f"and {second.dtype} {second.shape}"
        )
    ours, theirs = int((first & ~second).sum()), int((second & ~first).sum())
    difference = (ours - theirs) / len(first)
    variance = ((ours + theirs) / len(first) - difference**2) / len(first)
    return Comparison(
        ours, theirs, 100 * difference, float(100 * Z * variance**0.5), _coin(ours, theirs)
    )


def _coin(heads: int, tails: int) -> float:
    """Return how likely a fair coin gives numbers at least so far apart."""
    count = heads + tails
    tail = sum(math.comb(count, k) for k in range(min(heads, tails) + 1))
    return min(1.0, 2 * tail / 2**count)


@checked
def paired(first: Sequence[float], second: Sequence[float]) -> Summary:
    """Summarise the differences of two systems, seed by seed.

    What both share with a seed, such as the weights below them, cancels.
    """
    checks.of_shape("second", second, first.shape)
    with np.errstate(invalid="ignore"):
        return summary(first.astype(float) - second)


class Summary(NamedTuple):
    """Mean, standard deviation, and the half widths of two intervals; NaN where not known."""

    #: Mean of the values.
    mean: float
    #: Their standard deviation.
    deviation: float
    #: Half width of the 95 % interval of the mean.
    of_mean: float
    #: Half width of the interval in which one more seed falls with 95 %.
    of_seed: float


@checked
def summary(values: Sequence[float]) -> Summary:
    """Summarise one value per seed.

    Parameters
    ----------
    values : sequence of float
        With a single one, or one that is not finite, all but the mean is not known: NaN.

    Returns
    -------
    Summary
        Mean, standard deviation, and half widths of the 95 % intervals of the mean of all seeds
        and of one more seed.
    """
    checks.of_shape("values", values, (values.size,))
    if not values.size:
        raise ValueError("values must hold at least one, got none")
    count, mean = len(values), float(np.mean(values))
    if count < 2 or not np.isfinite(values).all():
        return Summary(mean, *[float("nan")] * 3)
    deviation = float(np.std(values, ddof=1))
    return Summary(
        mean, deviation, interval_of_mean(deviation, count), interval_of_seed(deviation, count)
    )


@checked
def wilson(successes: int, count: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a rate of success, which also holds near 0 and 1.

    Parameters
    ----------
    successes, count : int
        How many of how many independent tries.

    Returns
    -------
    low, high : float
        The rates that the count does not contradict (Wilson, 1927).
    """
    z, rate = Z, successes / count
    middle = (rate + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * (rate * (1 - rate) / count + z**2 / (4 * count**2)) ** 0.5
    return max(middle - half, 0.0), min(middle + half, 1.0)
