"""Words, pairs and triples of words as numbers, sentence by sentence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from lstm import checks
from lstm.signatures import checked

ORDERS = 3
"""Words alone, pairs, triples."""

_TAG = re.compile(r"<[^<>]*>")
_TOKEN = re.compile(r"""[^\W_]+(?:'[^\W_]+)*|[!?.,;:()"*/\n]""")
_ENDS = frozenset(".!?\n")


@checked
def sentences(text: str) -> list[list[str]]:
    """Split a text into sentences of lower-case words and punctuation marks.

    A sentence ends at ``.``, ``!``, ``?`` or the end of a line; one of marks alone belongs to the
    sentence before it.

    Examples
    --------
    >>> sentences("Not bad... It's long!<br />But why?")
    [['not', 'bad', '.', '.', '.'], ["it's", 'long', '!'], ['but', 'why', '?']]
    """
    plain = _TAG.sub("\n", text).replace("\u2019", "'").lower()
    found, ended = [[]], False
    for token in _TOKEN.findall(plain):
        if ended and token[0].isalnum():
            found.append([])
            ended = False
        ended |= token in _ENDS
        if token != "\n":
            found[-1].append(token)
    return found if found[0] or len(found) == 1 else found[1:]


class Reviews(NamedTuple):
    """Texts as numbers, one after the other.

    Parameters
    ----------
    grams : ndarray of int32, shape (M, 3)
        For every token the numbers of the word, of the pair and of the triple that end there; 0
        where there is none that is known.
    starts : ndarray of int64, shape (N + 1,)
        Where each review begins among the tokens; the last entry is M.
    sentence_of : ndarray of int64, shape (M,)
        The sentence of each token, counted within its review.
    """

    grams: np.ndarray
    starts: np.ndarray
    sentence_of: np.ndarray

    def __len__(self) -> int:
        """Number of reviews."""
        return len(self.starts) - 1

    @property
    def sizes(self) -> np.ndarray:
        """Tokens of each review, at least 1, shape (N,)."""
        return np.maximum(np.diff(self.starts), 1)

    @property
    def review_of(self) -> np.ndarray:
        """The review of each token, shape (M,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    @checked
    def take(self, chosen: np.ndarray) -> Reviews:
        """Return some of the reviews, in the order of ``chosen``."""
        counts = np.diff(self.starts)[chosen]
        starts = np.concatenate([[0], counts.cumsum()])
        tokens = np.repeat(self.starts[chosen] - starts[:-1], counts) + np.arange(starts[-1])
        return Reviews(self.grams[tokens], starts, self.sentence_of[tokens])


class NGrams:
    """A number for each word, pair and triple that at least two training texts contain.

    Parameters
    ----------
    words : sequence of str
        They get the numbers 1, 2, …
    codes : sequence of two ndarrays of int64
        Sorted: pairs and triples, each as (number of what comes before) · (number of words + 1) +
        (number of the last word). Their numbers follow.
    """

    @checked
    def __init__(self, words: Sequence[str], codes: Sequence[np.ndarray] = ()) -> None:
        self.words = words
        self.codes = [checks.integers(f"codes[{k}]", c, 0, 2**62) for k, c in enumerate(codes)]
        self._ids = {word: number for number, word in enumerate(self.words, start=1)}

    @classmethod
    @checked
    def counted(cls, texts: Iterable[str], min_texts: int = 2) -> tuple[NGrams, Reviews]:
        """Count in how many of the training texts each occurs; labels are not looked at.

        Returns
        -------
        ngrams : NGrams
            Those that occur in at least ``min_texts`` of the texts.
        reviews : Reviews
            The same texts, encoded.
        """
        split = [sentences(text) for text in texts]
        counts = Counter(word for text in split for word in {w for part in text for w in part})
        words = sorted(
            (word for word, count in counts.items() if count >= min_texts),
            key=lambda word: (-counts[word], word),
        )
        ngrams = cls(words)
        reviews = ngrams._numbered(split)
        for known in range(1, ORDERS):
            codes, review_of = ngrams._codes(reviews, known), reviews.review_of
            order = np.argsort(codes, kind="stable")  # equal codes stay in the order of the texts
            codes, review_of = codes[order], review_of[order]
            new_code = np.diff(codes, prepend=-1) != 0
            new_text = new_code | (np.diff(review_of, prepend=-1) != 0)
            first = np.flatnonzero(new_code)
            found = np.add.reduceat(new_text.astype(np.int64), first) if len(first) else first
            ngrams.codes.append(codes[first][(found >= min_texts) & (codes[first] > 0)])
            ngrams._number(reviews, known)
        return ngrams, reviews

    def __len__(self) -> int:
        """Count the numbers, 0 among them: as many weights are needed."""
        return 1 + len(self.words) + sum(map(len, self.codes))

    def __contains__(self, word: str) -> bool:
        """Tell whether a word has a number."""
        return word in self._ids

    @checked
    def encode(self, texts: Iterable[str]) -> Reviews:
        """Write texts as numbers."""
        return self._numbered([sentences(text) for text in texts])

    def _numbered(self, split: list[list[list[str]]]) -> Reviews:
        """Return texts that are split as numbers, as far as codes are known."""
        parts = list(chain.from_iterable(split))
        sizes = np.fromiter(map(len, parts), np.int64, len(parts))
        place = np.fromiter(chain.from_iterable(range(len(t)) for t in split), np.int64, len(parts))
        ends = np.concatenate([[0], sizes.cumsum()])
        starts = ends[np.concatenate([[0], np.cumsum([len(t) for t in split], dtype=np.int64)])]
        words = (self._ids.get(word, 0) for word in chain.from_iterable(parts))
        grams = np.zeros((starts[-1], ORDERS), np.int32)
        grams[:, 0] = np.fromiter(words, np.int32, starts[-1])
        reviews = Reviews(grams, starts, np.repeat(place, sizes))
        for order in range(1, len(self.codes) + 1):
            self._number(reviews, order)
        return reviews

    def _number(self, reviews: Reviews, order: int) -> None:
        """Write down the numbers of pairs (order 1) or triples (2) whose codes are known."""
        codes, known = self._codes(reviews, order), self.codes[order - 1]
        place = np.searchsorted(known, codes)
        found = (codes > 0) & (np.append(known, -1)[place] == codes)
        offset = 1 + len(self.words) + sum(map(len, self.codes[: order - 1]))
        reviews.grams[:, order] = np.where(found, offset + place, 0)

    def _codes(self, reviews: Reviews, order: int) -> np.ndarray:
        """Return the code of the n-gram that ends at each token; 0 where a part is unknown."""
        last, before = reviews.grams[:, 0].astype(np.int64), np.zeros(len(reviews.grams), np.int64)
        before[1:] = reviews.grams[:-1, order - 1]
        before[reviews.starts[:-1][np.diff(reviews.starts) > 0]] = 0  # no text before the first
        return np.where((before > 0) & (last > 0), before * (len(self.words) + 1) + last, 0)
