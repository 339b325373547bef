"""What a handful of seeds says: their mean, their spread, and what to expect of another one.

Two intervals are easily mixed up: that of the mean of all seeds, and that of one more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lstm.equations.registry import equation


def student(freedom: int) -> float:
    """Return the 97.5 % point of Student's t distribution with so many degrees of freedom."""
    from scipy import stats  # here: a book is built, and its equations are listed, without SciPy

    return float(stats.t.ppf(0.975, freedom))


@equation("eq-interval-of-mean", deviation="s", count="n")
def interval_of_mean(deviation: float, count: int) -> float:
    r"""Half width of the 95 % interval of the mean, equation ``eq-interval-of-mean``.

    .. math:: \bar a \pm t_{n-1} \, \frac{s}{\sqrt n}

    Parameters
    ----------
    deviation : float
        s, the standard deviation of the values.
    count : int
        n, how many there are; at least 2.

    Returns
    -------
    d_a : float
        How far the ends are from :math:`\bar a`.
    """
    return student(count - 1) * deviation / count**0.5


@equation("eq-interval-of-seed", deviation="s", count="n")
def interval_of_seed(deviation: float, count: int) -> float:
    r"""Half width of the interval for one more value, equation ``eq-interval-of-seed``.

    .. math:: \bar a \pm t_{n-1} \, s \sqrt{1 + \frac{1}{n}}

    Parameters
    ----------
    deviation : float
        s, the standard deviation of the values.
    count : int
        n, how many there are; at least 2.

    Returns
    -------
    d_a : float
        How far the ends are from :math:`\bar a`.
    """
    return student(count - 1) * deviation * (1 + 1 / count) ** 0.5


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


def summary(values: Sequence[float]) -> Summary:
    """Summarise one value per seed.

    Parameters
    ----------
    values : sequence of float
        With a single one, all but the mean is not known: NaN.

    Returns
    -------
    Summary
        Mean, standard deviation, and half widths of the 95 % intervals of the mean of all seeds
        and of one more seed.
    """
    count, mean = len(values), float(np.mean(values))
    if count < 2:
        return Summary(mean, *[float("nan")] * 3)
    deviation = float(np.std(values, ddof=1))
    return Summary(
        mean, deviation, interval_of_mean(deviation, count), interval_of_seed(deviation, count)
    )
