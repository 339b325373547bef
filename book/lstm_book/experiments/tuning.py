"""The same effort for everyone: rates tried on some seeds, the best one reported on others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lstm.signatures import checked

RATES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0, 30.0)
"""Learning rates, two in a decade."""
FIRST = RATES[4:8]
"""Those that everyone is tried with."""
LAST = RATES[3:11]
"""Those that one is tried with who succeeds at none of the first."""
CHANCE = 0.55
"""A mean accuracy that guessing does not reach, four standard errors of 1,600 answers above 1/2."""


def tune(
    run: Callable[[float], Any], score: Callable[[Any], tuple[float, ...]]
) -> tuple[float, dict[float, Any]]:
    """Try learning rates until the best one has a worse one on each side.

    Parameters
    ----------
    run : callable
        From a rate to a result.
    score : callable
        From a result to what is to be large; its first number is 0 where there was no success.

    Returns
    -------
    best : float
        The rate with the largest score; of equal ones that in the middle.
    results : dict
        Rate → result, of all that were tried, in ascending order.
    """
    results = {rate: run(rate) for rate in FIRST}
    while True:
        best, tried = choose({rate: score(result) for rate, result in results.items()}), [*results]
        ends = RATES.index(min(tried)), RATES.index(max(tried))
        wanted = (
            {ends[0] - 1} if best == min(tried) else {ends[1] + 1} if best == max(tried) else ()
        )
        if not score(results[best])[0]:
            wanted = {RATES.index(rate) for rate in LAST if rate not in results}
        new = [RATES[n] for n in wanted if 0 <= n < len(RATES)]
        if not new:
            return best, dict(sorted(results.items()))
        results |= {rate: run(rate) for rate in new}


@checked
def choose(scores: dict[float, tuple[float, ...]]) -> float:
    """Return the rate with the largest score; of several that in their middle."""
    largest = max(scores.values())
    equal = sorted(rate for rate, score in scores.items() if score == largest)
    return equal[(len(equal) - 1) // 2]


def score_of_learning(result: dict[str, Sequence]) -> tuple[float, ...]:
    """Prefer more seeds that learnt, then earlier ones, then a better end than chance's."""
    learnt = [update for update in result["learnt_at"] if update is not None]
    early = -float(np.median(learnt)) if learnt else 0.0
    return len(learnt), early, max(float(np.mean(result["accuracy"])), CHANCE)
