"""From texts to arrays of integers: a tokeniser, and a vocabulary made from the training part."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from lstm import checks

Tokeniser = Callable[[str], list[str]]

PADDING, UNKNOWN = "<pad>", "<unk>"
PADDING_ID, UNKNOWN_ID = 0, 1

# A tag is a name, then attributes with a value: "a < b, c > d" holds none.
_VALUE = r"""(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>]+)"""
_TAG = re.compile(rf"</?[a-z][a-z0-9]*(?:\s+[\w:-]+\s*=\s*{_VALUE})*\s*/?>", re.IGNORECASE)
# A word may hold apostrophes ("don't") but not end in one; ! and ? say something about the mood.
_TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[!?]")


def tokenise(text: str) -> list[str]:
    """Split a text into lower-case words, numbers, ``!`` and ``?``; HTML tags are dropped.

    Examples
    --------
    >>> tokenise("It's not bad!<br />But 2 hours?")
    ["it's", 'not', 'bad', '!', 'but', '2', 'hours', '?']
    """
    return _TOKEN.findall(_TAG.sub(" ", checks.text("text", text)).replace("\u2019", "'").lower())


class Vocabulary:
    """A number for each frequent word: 0 is padding, 1 stands for every other word.

    Make it with :meth:`from_texts` from the training part alone: a word that occurs only in the
    test part must be unknown, as it would be in use.

    Parameters
    ----------
    words : sequence of str
        The words that get the numbers 2, 3, …, each once.
    tokeniser : callable
        Splits a text into words.

    Attributes
    ----------
    tokens : list of str
        ``tokens[number]`` is the word, the two special ones included.
    """

    def __init__(self, words: Sequence[str], tokeniser: Tokeniser = tokenise) -> None:
        words = checks.texts("words", words)
        self.tokens = [PADDING, UNKNOWN, *words]
        self.tokeniser = checks.function("tokeniser", tokeniser, 1)
        self._ids = {word: number for number, word in enumerate(words, start=UNKNOWN_ID + 1)}
        if len(set(self.tokens)) < len(self.tokens):
            twice = next(word for word, count in Counter(self.tokens).items() if count > 1)
            raise ValueError(f"words must be distinct, got {twice!r} more than once")

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        max_size: int | None = None,
        min_count: int = 1,
        tokeniser: Tokeniser = tokenise,
    ) -> Vocabulary:
        """Count the words of the training texts and keep the most frequent.

        Parameters
        ----------
        texts : iterable of str
            The training part, nothing else.
        max_size : int, optional
            Size V of the vocabulary, the two special numbers included.
        min_count : int
            Drop words that occur less often.
        tokeniser : callable
            Splits a text into words.

        Returns
        -------
        Vocabulary
            Most frequent words first, equally frequent ones in alphabetical order: the same texts
            give the same vocabulary, in whatever order they come.
        """
        checks.function("tokeniser", tokeniser, 1)
        min_count = checks.positive_int("min_count", min_count)
        texts = checks.texts("texts", texts)
        counts = Counter(word for text in texts for word in _words(tokeniser, text))
        words = [word for word, count in counts.items() if count >= min_count]
        words = sorted(set(words) - {PADDING, UNKNOWN}, key=lambda word: (-counts[word], word))
        if max_size is not None:
            words = words[: checks.positive_int("max_size", max_size, minimum=3) - 2]
        return cls(words, tokeniser)

    def __len__(self) -> int:
        """Size V: as many embeddings are needed."""
        return len(self.tokens)

    def __contains__(self, word: str) -> bool:
        """Tell whether a word has a number of its own."""
        return isinstance(word, str) and word in self._ids

    def __repr__(self) -> str:
        return f"Vocabulary({len(self):,} tokens)"

    def encode(
        self, texts: Sequence[str], max_length: int | None = None, keep: str = "end"
    ) -> tuple[np.ndarray, np.ndarray]:
        """Write texts as numbers, padded at the end to the longest of them.

        Parameters
        ----------
        texts : sequence of str
            N texts. One without any word is written as a single unknown word.
        max_length : int, optional
            Cut longer texts to so many words.
        keep : {"end", "start"}
            What remains of a text that is cut: its last words (a review comes to its verdict at
            the end) or its first.

        Returns
        -------
        ids : ndarray of int32, shape (N, T)
            Numbers of the words, padded with 0.
        lengths : ndarray of int64, shape (N,)
            How many of them count, at least 1.
        """
        texts, _ = checks.texts("texts", texts), checks.one_of("keep", keep, ("end", "start"))
        if max_length is not None:
            max_length = checks.positive_int("max_length", max_length)
        cut = (
            slice(max_length) if keep == "start" or max_length is None else slice(-max_length, None)
        )
        rows = [
            [self._ids.get(word, UNKNOWN_ID) for word in words[cut]] or [UNKNOWN_ID]
            for words in (_words(self.tokeniser, text) for text in texts)
        ]
        lengths = np.array([len(row) for row in rows], np.int64)
        ids = np.full((len(rows), lengths.max(initial=0)), PADDING_ID, np.int32)
        for row, numbers in zip(ids, rows, strict=True):
            row[: len(numbers)] = numbers
        return ids, lengths

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Return the words of one row of numbers, without the padding."""
        ids = checks.integers("ids", ids, 0, len(self) - 1)
        return [self.tokens[number] for number in ids.ravel() if number != PADDING_ID]


def _words(tokeniser: Tokeniser, text: str) -> list[str]:
    """Return what a tokeniser, which may be the caller's own, makes of a text."""
    return checks.texts("what tokeniser returns", tokeniser(text))
