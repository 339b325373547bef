"""The two intervals of seeds: against a printed table, and by drawing seeds many times."""

from __future__ import annotations

import numpy as np
import pytest
from lstm_book.statistics import interval_of_mean, interval_of_seed, summary


def test_summary():
    """Numbers 1 to 5: mean 3, deviation sqrt(2.5), Student's 2.776 for 4 degrees of freedom."""
    mean, deviation, of_mean, of_seed = summary([1, 2, 3, 4, 5])
    assert mean == 3
    assert deviation == pytest.approx(2.5**0.5)
    assert of_mean == pytest.approx(2.776445 * (2.5 / 5) ** 0.5)
    assert of_seed == pytest.approx(2.776445 * (2.5 + 2.5 / 5) ** 0.5)


def test_summary_of_one_seed_knows_the_mean_alone():
    assert summary([0.5]).mean == 0.5
    assert np.isnan(summary([0.5])[1:]).all()


@pytest.mark.parametrize("count", [2, 5, 20])
@pytest.mark.equation("eq-interval-of-mean")
@pytest.mark.equation("eq-interval-of-seed")
def test_intervals_hold_in_95_of_100_cases(count):
    """Draw so many seeds and one more, 40,000 times: 0.95 has a standard error of 0.0011."""
    rng = np.random.default_rng(0)
    seeds, new = rng.normal(3, 0.2, (40_000, count)), rng.normal(3, 0.2, 40_000)
    mean, deviation = seeds.mean(axis=1), seeds.std(axis=1, ddof=1)
    holds = np.abs(mean - 3) < interval_of_mean(deviation, count)
    assert np.mean(holds) == pytest.approx(0.95, abs=0.004)
    holds = np.abs(mean - new) < interval_of_seed(deviation, count)
    assert np.mean(holds) == pytest.approx(0.95, abs=0.004)
