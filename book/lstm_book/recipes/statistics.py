"""What a handful of seeds says: their mean, their spread, and what to expect of another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lstm_book.statistics import interval_of_mean, interval_of_seed


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
