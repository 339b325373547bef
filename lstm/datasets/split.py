"""Splitting examples so that every class keeps its share."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from lstm import checks
from lstm.module import Rng


def stratified_split(
    labels: ArrayLike, test_size: int, *, rng: Rng = None
) -> tuple[np.ndarray, np.ndarray]:
    """Split the indices of ``labels`` in two, every class in proportion.

    Parameters
    ----------
    labels : ndarray of int, shape (N,)
        Class of each example.
    test_size : int
        Number of examples M of the second part, 0 < M < N.
    rng : Generator, int or None
        Source of the shuffling.

    Returns
    -------
    train, test : ndarray of int, shapes (N - M,), (M,)
        Shuffled indices; together they are each index once.
    """
    labels = checks.numbers("labels", labels)
    checks.of_shape("labels", labels, (labels.size,))
    test_size = checks.positive_int("test_size", test_size)
    if test_size >= labels.size:
        raise ValueError(f"test_size must be less than {labels.size} examples, got {test_size}")
    rng = checks.generator(rng)
    order = rng.permutation(labels.size)
    # Sorted by class, every (N/M)-th example is a sample with each class in its proportion.
    by_class = order[np.argsort(labels[order], kind="stable")]
    is_test = np.zeros(labels.size, bool)
    is_test[(np.arange(test_size) * labels.size) // test_size] = True
    return rng.permutation(by_class[~is_test]), rng.permutation(by_class[is_test])
