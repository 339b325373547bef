"""A whole model: an LSTM that reads a sequence, and a head that judges its last hidden state."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from lstm.module import Module


class SequenceClassifier(Module):
    """Embedding (if any) → recurrent layer → head on the final hidden state.

    Parameters
    ----------
    recurrent : Module
        A layer with the contract of :class:`lstm.LSTM`. With two directions the head sees both
        final states side by side.
    head : Module
        Maps the final hidden state, shape (B, directions · H), to logits.
    embedding : Module, optional
        Maps integers to the vectors that the recurrent layer reads.
    """

    def __init__(self, recurrent: Module, head: Module, embedding: Module | None = None) -> None:
        self.embedding = embedding
        self.recurrent = recurrent
        self.head = head

    def forward(self, x: ArrayLike, lengths: ArrayLike | None = None) -> np.ndarray:
        """Judge sequences.

        Parameters
        ----------
        x : ndarray
            What the first part takes: vectors (B, T, D) or integers (B, T), with ``batch_first``.
        lengths : ndarray of int, shape (B,), optional
            How many steps of each sequence count; the state after the last of them is judged.

        Returns
        -------
        ndarray, shape (B, K)
            Logits.
        """
        if self.embedding is not None:
            x = self.embedding(x)
        _, state = self.recurrent(x, lengths=lengths)
        h_n = state[0] if isinstance(state, tuple) else state
        directions = self.recurrent.num_directions
        if self.training:
            self._saved = h_n.shape
        return self.head(np.concatenate(h_n[-directions:], axis=-1))

    def backward(self, d_logits: ArrayLike) -> np.ndarray | None:
        """Return the gradient of ``x``, None for integers."""
        shape = self._take_saved()
        directions = self.recurrent.num_directions
        d_final = self.head.backward(d_logits)
        d_h_n = np.zeros(shape, d_final.dtype)
        d_h_n[-directions:] = np.split(d_final, directions, axis=-1)
        has_cell = len(self.recurrent._state_sizes()) > 1
        d_x, _ = self.recurrent.backward(None, (d_h_n, None) if has_cell else d_h_n)
        return d_x if self.embedding is None else self.embedding.backward(d_x)
