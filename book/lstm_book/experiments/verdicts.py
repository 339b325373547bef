"""From what was measured to the words of a verdict: every rule with its threshold, and no other.

The chapter on what the LSTM solves prints what these functions return.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lstm_book.experiments.reading import Run, compare, learnt
from lstm_book.statistics import Comparison

VANISHED = 1e-3
"""A gradient through 100 steps has vanished below that,"""
EXPLODED = 1e3
"""and exploded above that."""
P = 0.05
"""Two contestants are told apart by a smaller p value of the exact test."""
ERRORS = 2.0
"""Two means are told apart by so many standard errors of their difference."""
GAP = 0.05
"""A model overfits that is right on so many more of its training images than of others."""
EQUAL_RATIO = 1.5
"""Ratios of times belong to the cell where the largest is at most so many times the smallest."""


def vanishing(gradients: Mapping[str, float]) -> str:
    """Judge by the LSTM's gradient through 100 steps, one number for each start."""
    gone = [size < VANISHED for size in gradients.values()]
    if all(gone):
        return "false: it vanishes from every start"
    return "not by itself: the start decides" if any(gone) else "true of every start"


def exploding(largest: float) -> str:
    """Judge by the largest gradient through 100 steps or more that was found."""
    return "false" if largest > EXPLODED else "not refuted"


def rank(comparison: Comparison) -> int:
    """Return 1 where the one is ahead of the other, -1 where it is behind, 0 where none is."""
    if comparison.p >= P:
        return 0
    return 1 if comparison.first > comparison.second else -1


def ranking(comparisons: Mapping[int, Comparison]) -> str:
    """Say at which lengths one is ahead, and at which it is behind."""
    ranks = {steps: rank(comparison) for steps, comparison in comparisons.items()}
    words = []
    for word, wanted in (("ahead", 1), ("behind", -1)):
        if lengths := [str(steps) for steps, found in ranks.items() if found == wanted]:
            words.append(f"{word} at T = {', '.join(lengths)}")
    return ", ".join(words) or "not told apart"


def dependency(starts: Mapping[str, Mapping[int, Comparison]]) -> str:
    """Judge LSTM against plain network, from each of several starts."""
    return "; ".join(f"{name}: {ranking(found)}" for name, found in starts.items())


def errors_apart(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the difference of two means in its standard errors."""
    variance = sum(np.var(values, ddof=1) / len(values) for values in (one, other))
    difference = float(np.mean(one) - np.mean(other))
    if variance == 0:
        return np.inf * np.sign(difference) if difference else 0.0
    return difference / float(variance) ** 0.5


def data_need(lstm: Sequence[float], without_memory: Sequence[float]) -> str:
    """Judge by accuracies with few images: of the LSTM, and of a model without memory."""
    apart = errors_apart(lstm, without_memory)
    if apart < -ERRORS:
        return "true against a model without memory"
    return "false against a model without memory" if apart > ERRORS else "not told apart"


def reason(smallest: Sequence[float], largest: Sequence[float]) -> str:
    """Judge whether parameters are why: accuracies with few images of the LSTM by its size."""
    apart = errors_apart(largest, smallest)
    if apart > ERRORS:
        return "the reason is wrong: the largest LSTM does best with few images"
    return "the reason holds" if apart < -ERRORS else "the reason is not supported"


def overfitting(gaps: Mapping[str, float]) -> str:
    """Judge by training minus test accuracy of each model; the LSTMs’ names begin with LSTM."""
    over = {name: gap > GAP for name, gap in gaps.items()}
    if all(over.values()):
        return "true, as of every model here"
    mine = [fits for name, fits in over.items() if name.startswith("LSTM")]
    return "true of the LSTM" if all(mine) else "by its size" if any(mine) else "not seen"


def cost(parameters: float, ratios: Sequence[float]) -> str:
    """Judge by ratios of LSTM to plain network: of parameters, and of times in several settings."""
    same = max(ratios) <= EQUAL_RATIO * min(ratios)
    return f"parameters {parameters:.0f} times; time: {'the cell’s' if same else 'the library’s'}"


def other_cell(usual: Sequence[Run], other: Sequence[Run]) -> str:
    """Judge a changed cell by its runs, each beside the usual cell's with the same settings."""
    ranks = [rank(compare(b, a)) for a, b in zip(usual, other, strict=True)]
    largest = [max(np.max(run["largest_gradient"]) for run in runs) for runs in (usual, other)]
    if -1 in ranks:
        words = "learns less"
    elif not any(any(learnt(run)) for run in other):
        words = "does not learn"
    else:
        words = "learns more" if 1 in ranks else "learns as much"
    return words + (", explodes" if largest[1] > EXPLODED * largest[0] else "")
