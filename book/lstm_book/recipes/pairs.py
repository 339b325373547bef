"""Pairs of words beside the words: what an LSTM of few reviews does not learn by itself.

A network that has read twenty thousand reviews knows "good" and "not", but has hardly seen "not
good". A vector for each frequent pair, added to that of its second word, tells it directly, as
pairs help the linear methods (Wang and Manning, 2012; regions of words in Johnson and Zhang, 2016).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from lstm import checks
from lstm.module import Backward, Embedding
from lstm.signatures import checked
from lstm.text import PADDING_ID, UNKNOWN_ID


class Pairs:
    """The pairs of neighbouring words that are frequent in the training part.

    Parameters
    ----------
    ids : ndarray of int, shape (N, T)
        The training part.
    vocabulary_size : int
        V; the pairs get the numbers from V on.
    min_count : int
        How often a pair must occur.
    """

    @checked
    def __init__(self, ids: np.ndarray, vocabulary_size: int, min_count: int) -> None:
        min_count = checks.positive_int("min_count", min_count)
        self.vocabulary_size = vocabulary_size
        codes, counts = np.unique(self._codes(ids), return_counts=True)
        self.codes = codes[(counts >= min_count) & (codes > 0)]

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.codes)

    def _codes(self, ids: np.ndarray) -> np.ndarray:
        """Return one number for each word and the one before; 0 where either is none of ours."""
        before = np.zeros_like(ids, np.int64)
        before[:, 1:] = ids[:, :-1]
        known = np.minimum(before, ids) > max(PADDING_ID, UNKNOWN_ID)
        return np.where(known, before * self.vocabulary_size + ids, 0)

    @checked
    def beside(self, ids: np.ndarray) -> np.ndarray:
        """Return each word's number and, beside it, that of the pair it ends: (N, T, 2).

        A pair that is not frequent is 0, like padding.
        """
        codes = self._codes(ids)
        place = np.searchsorted(self.codes, codes)
        found = np.append(self.codes, -1)[place] == codes
        pairs = np.where(found, self.vocabulary_size + place, PADDING_ID)
        return np.stack([ids, pairs], axis=-1).astype(np.int32)


class SummedEmbedding(Embedding):
    """The sum of the vectors of several integers, as ``torch.nn.EmbeddingBag`` with mode "sum"."""

    @checked
    def vjp(self, input: ArrayLike) -> tuple[np.ndarray, Backward]:
        """Map integers of shape (..., K) to vectors of shape (..., D), the sums of K."""
        vectors, backward = super().vjp(input)
        output, shape = vectors.sum(axis=-2), vectors.shape

        def backward_of_sum(d_output: ArrayLike) -> None:
            d_output = checks.array("d_output", d_output, output.dtype, output.shape)
            backward(np.broadcast_to(d_output[..., None, :], shape))

        return output, backward_of_sum
