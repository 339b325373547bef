"""The two intervals of seeds: against a printed table, and by drawing seeds many times."""

from __future__ import annotations

import numpy as np
import pytest
from lstm_book.statistics import (
    interval_of_mean,
    interval_of_seed,
    mcnemar,
    paired,
    student,
    summary,
    wilson,
)
from scipy import stats


def test_summary():
    """Numbers 1 to 5: mean 3, deviation sqrt(2.5), Student's 2.776 for 4 degrees of freedom."""
    mean, deviation, of_mean, of_seed = summary([1, 2, 3, 4, 5])
    assert mean == 3
    assert deviation == pytest.approx(2.5**0.5)
    assert of_mean == pytest.approx(2.776445 * (2.5 / 5) ** 0.5)
    assert of_seed == pytest.approx(2.776445 * (2.5 + 2.5 / 5) ** 0.5)


def test_without_scipy_as_with_it():
    for freedom in (1, 2, 3, 4, 7, 10, 99, 1000):
        assert student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-12)
    for ours, theirs in ((0, 1), (3, 3), (2, 9), (40, 25), (900, 800)):
        answers = np.repeat([[True, False], [False, True]], (ours, theirs), axis=0).T
        p = stats.binomtest(ours, ours + theirs).pvalue
        assert mcnemar(*answers).p == pytest.approx(p, rel=1e-12)


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


# --- pairs ----------------------------------------------------------------------------------------


def answers(both, first, second, neither):
    counts = {(1, 1): both, (1, 0): first, (0, 1): second, (0, 0): neither}
    rows = np.array([pair for pair, count in counts.items() for _ in range(count)], bool)
    return np.random.default_rng(0).permutation(rows).T


def test_mcnemar_by_hand():
    """8 against 2 of ten coins: 2 · (1 + 10 + 45) / 1024."""
    found = mcnemar(*answers(50, 8, 2, 40))
    assert (found.first, found.second) == (8, 2)
    assert found.ahead == pytest.approx(6)
    assert found.p == pytest.approx(112 / 1024)
    assert found.half_width == pytest.approx(196 * (0.1 - 0.06**2) ** 0.5 / 10, rel=1e-4)


def test_mcnemar_of_equal_answers():
    first, _ = answers(5, 5, 0, 5)
    assert mcnemar(first, first) == (0, 0, 0, 0, 1)


def test_the_interval_of_a_difference_holds_in_95_of_100_cases():
    rng, holds = np.random.default_rng(0), []
    for _ in range(4_000):
        kinds = rng.choice(4, 1_000, p=[0.8, 0.08, 0.05, 0.07])
        found = mcnemar((kinds == 0) | (kinds == 1), (kinds == 0) | (kinds == 2))
        holds.append(abs(found.ahead - 3) < found.half_width)
    assert np.mean(holds) == pytest.approx(0.95, abs=0.012)


@pytest.mark.parametrize(
    ("first", "second"),
    [([1, 0], [True, False]), ([True], [True, False]), ([[True]], [[True]])],
)
def test_mcnemar_refuses_what_is_no_pair(first, second):
    with pytest.raises(ValueError, match="first and second must be bool of one shape"):
        mcnemar(np.array(first), np.array(second))


def test_paired_seeds_lose_what_they_share():
    shared = np.array([0.0, 10, -10, 5])
    found = paired(np.add(shared, [1, 2, 1, 2]), shared)
    assert found.mean == 1.5
    assert found.deviation == pytest.approx(np.std([1, 2, 1, 2], ddof=1))
    with pytest.raises(ValueError, match="second must have shape"):
        paired([1, 2, 3], [1, 2])


def test_wilson_is_that_of_a_table():
    """Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    table = {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605)}
    table |= {(0, 20): (0.0, 0.1611), (1, 29): (0.0061, 0.1718)}
    for (successes, count), interval in table.items():
        assert wilson(successes, count) == pytest.approx(interval, abs=5e-5)
        mirrored = wilson(count - successes, count)
        assert mirrored == pytest.approx((1 - interval[1], 1 - interval[0]), abs=5e-5)
