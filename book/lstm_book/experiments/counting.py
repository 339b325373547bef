"""Writing by counting: Kneser-Ney n-grams, prediction by partial matching, and compressors.

They learn in one pass over the text. All are judged in bits a character, as the networks are.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

LEAST = 0.01
"""Discount of any count, so that something is left for what was never seen."""


class _Level(NamedTuple):
    """What is counted of the n-grams of one length."""

    counts: np.ndarray
    """Of each n-gram, and a 0 for one that was never seen."""
    totals: np.ndarray
    """Of each context: the sum of its counts, and a 0."""
    left: np.ndarray
    """Of each context: what the discounts take away from its counts, and a 0."""
    discounts: np.ndarray
    """Of an n-gram that was counted 0, 1, 2, 3 times or more often."""

    @classmethod
    def of(cls, counts: np.ndarray, contexts: np.ndarray, num_contexts: int) -> _Level:
        """Count by context, and estimate the discounts (Chen and Goodman, 1999)."""
        n1, n2, n3, n4 = (max(np.count_nonzero(counts == k), 1) for k in (1, 2, 3, 4))
        share = n1 / (n1 + 2 * n2)
        estimates = (
            k - (k + 1) * share * b / a for k, a, b in ((1, n1, n2), (2, n2, n3), (3, n3, n4))
        )
        discounts = np.array([0.0, *(np.clip(d, LEAST, k) for k, d in enumerate(estimates, 1))])
        taken = discounts[np.minimum(counts, 3)]
        totals, left = (
            np.append(np.bincount(contexts, weights, num_contexts), 0.0)
            for weights in (counts, taken)
        )
        return cls(np.append(counts, 0), totals, left, discounts)


class KneserNey:
    """Interpolated Kneser-Ney with three discounts for each order, equation ``eq-kneser-ney``.

    Parameters
    ----------
    ids : ndarray of int, shape (N,)
        The text that is counted, as numbers from 0 to ``symbols`` - 1.
    symbols : int
        How many different characters there may be, V.
    max_order : int
        Longest n-gram that is counted; every shorter one can be asked for, too.
    """

    def __init__(self, ids: np.ndarray, symbols: int, max_order: int) -> None:
        self.symbols = symbols
        self._keys: list[np.ndarray] = []  # of length n: number of its first n-1, times V, + last
        self._raw: list[_Level] = []  # counts, for the highest order
        self._continuations: list[_Level] = []  # in how many contexts it follows, for the others
        numbers, known = np.zeros(len(ids) + 1, np.int64), 1
        for _ in range(max_order):
            keys, first, inverse, counts = np.unique(
                numbers[:-1] * symbols + ids[-len(numbers) + 1 :],
                return_index=True,
                return_inverse=True,
                return_counts=True,
            )
            if self._keys:  # the suffix of each, one character shorter
                suffixes = np.bincount(numbers[1:][first], minlength=known)
                before = self._keys[-1] // symbols
                self._continuations.append(_Level.of(suffixes, before, self._contexts()))
            self._keys.append(keys)
            self._raw.append(_Level.of(counts, keys // symbols, known))
            numbers, known = inverse, len(keys)

    def _contexts(self) -> int:
        """Return how many contexts the longest n-grams so far have."""
        return len(self._keys[-2]) if len(self._keys) > 1 else 1

    def bits(self, ids: np.ndarray, order: int) -> np.ndarray:
        """Return the bits that each character costs after those before it in its row.

        Parameters
        ----------
        ids : ndarray of int, shape (N,) or (B, N)
            Texts; the first characters of each have a short context.
        order : int
            Length n of the n-grams, from 1 to ``max_order``.

        Returns
        -------
        ndarray, same shape
        """
        prob = np.full(ids.shape, 1 / self.symbols)
        before = np.zeros(ids.shape, np.int64)  # number of the context; the empty one has 0
        for n in range(1, order + 1):
            level = (self._raw if n == order else self._continuations)[n - 1]
            number = self._find(n, before * self.symbols + ids, before >= 0)
            total = level.totals[before]
            count = level.counts[number]
            seen = total > 0
            kept = count - level.discounts[np.minimum(count, 3)]
            mixed = (kept + level.left[before] * prob) / np.where(seen, total, 1)
            prob = np.where(seen, mixed, prob)
            before = np.full_like(number, -1)
            before[..., 1:] = number[..., :-1]
        return -np.log2(prob)

    def _find(self, n: int, keys: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Return the numbers of n-grams, -1 for those that were never seen."""
        place = np.minimum(np.searchsorted(self._keys[n - 1], keys), len(self._keys[n - 1]) - 1)
        return np.where(known & (self._keys[n - 1][place] == keys), place, -1)

    def probabilities(self, history: np.ndarray, order: int) -> np.ndarray:
        """Return the probability of each character after a history, shape (V,)."""
        rows = np.tile(history[len(history) - order + 1 :], (self.symbols, 1))
        rows = np.column_stack([rows, np.arange(self.symbols)])
        return 2.0 ** -self.bits(rows, order)[:, -1]


def partial_matching(text: str, start: int, order: int, symbols: int) -> float:
    """Return the bits a character of ``text[start:]`` by prediction by partial matching.

    Method C (Moffat, 1990) with exclusions, as an ideal arithmetic coder would count it. It reads
    ``text[:start]`` first, and goes on learning in the part that counts.

    Parameters
    ----------
    text : str
        All of it.
    start : int
        The first character that counts.
    order : int
        Length of the longest context.
    symbols : int
        How many different characters there may be.
    """
    tables: dict[str, dict[str, int]] = {}
    spent = 0.0
    for i, symbol in enumerate(text):
        longest = min(order, i)
        found, counts = longest, tables.get(text[i - longest : i])
        while found >= 0 and (counts is None or symbol not in counts):
            found -= 1
            counts = tables.get(text[i - found : i]) if found >= 0 else None
        if i >= start:
            spent -= np.log2(_matched(tables, text, i, longest, max(found, 0), symbols))
        for k in range(max(found, 0), longest + 1):  # shorter contexts keep what they have
            counts = tables.setdefault(text[i - k : i], {})
            counts[symbol] = counts.get(symbol, 0) + 1
    return spent / (len(text) - start)


def _matched(
    tables: Mapping[str, Mapping[str, int]],
    text: str,
    i: int,
    longest: int,
    last: int,
    symbols: int,
) -> float:
    """Return the probability of ``text[i]``: escapes from the longest context down to the last."""
    prob, excluded = 1.0, set()
    for k in range(longest, last - 1, -1):
        counts = tables.get(text[i - k : i], {})
        allowed = {s: n for s, n in counts.items() if s not in excluded}
        if not allowed:
            continue
        total = sum(allowed.values()) + len(allowed)
        if text[i] in allowed:
            return prob * allowed[text[i]] / total
        prob *= len(allowed) / total
        excluded |= allowed.keys()
    return prob / (symbols - len(excluded))


COMPRESSORS = {
    "xz": lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME),
    "bz2": lambda data: bz2.compress(data, 9),
    "zlib": lambda data: zlib.compress(data, 9),
}


def compressed(name: str, before: str, text: str) -> float:
    """Return by how many bits a character a compressed file grows when ``text`` is added to it."""
    pack = COMPRESSORS[name]
    sizes = [len(pack(part.encode("ascii"))) for part in (before, before + text)]
    return 8 * (sizes[1] - sizes[0]) / len(text)
