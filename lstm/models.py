"""A whole model: an LSTM that reads a sequence, and a head that judges what it has read."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from lstm.module import Module

POOLINGS = ("last", "mean", "max")


class SequenceClassifier(Module):
    """Embedding (if any) → recurrent layer → pooling over time → head.

    Parameters
    ----------
    recurrent : Module
        A layer with the contract of :class:`lstm.LSTM`.
    head : Module
        Maps the pooled hidden states, shape (B, directions · H), to logits.
    embedding : Module, optional
        Maps integers to the vectors that the recurrent layer reads.
    pooling : {"last", "mean", "max"}
        What the head sees: the final hidden state of each direction, side by side; or the mean or
        the largest value of each hidden unit over the steps that count.
    """

    def __init__(
        self,
        recurrent: Module,
        head: Module,
        embedding: Module | None = None,
        *,
        pooling: str = "last",
    ) -> None:
        if pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {list(POOLINGS)}, got {pooling!r}")
        self.embedding = embedding
        self.recurrent = recurrent
        self.pooling = pooling
        self.head = head

    def forward(self, x: ArrayLike, lengths: ArrayLike | None = None) -> np.ndarray:
        """Judge sequences.

        Parameters
        ----------
        x : ndarray
            What the first part takes: vectors (B, T, D) or integers (B, T), with ``batch_first``.
        lengths : ndarray of int, shape (B,), optional
            How many steps of each sequence count; nothing behind the last of them is read.

        Returns
        -------
        ndarray, shape (B, K)
            Logits.
        """
        if self.embedding is not None:
            if lengths is not None:  # embed no step that is padding in the whole batch
                x = np.moveaxis(np.moveaxis(x, self._time, 0)[: np.max(lengths)], 0, self._time)
            x = self.embedding(x)
        output, state = self.recurrent(x, lengths=lengths)
        h_n = state[0] if isinstance(state, tuple) else state
        if self.pooling == "last":
            features = np.concatenate(h_n[-self.recurrent.num_directions :], axis=-1)
        else:
            share = _shares(self.pooling, np.moveaxis(output, self._time, 0), lengths)
            features = (share * np.moveaxis(output, self._time, 0)).sum(axis=0)
        if self.training:
            self._saved = h_n.shape if self.pooling == "last" else share
        return self.head(features)

    def backward(self, d_logits: ArrayLike) -> np.ndarray | None:
        """Return the gradient of ``x``, None for integers."""
        saved = self._take_saved()
        d_features = self.head.backward(d_logits)
        if self.pooling == "last":
            directions = self.recurrent.num_directions
            d_h_n = np.zeros(saved, d_features.dtype)
            d_h_n[-directions:] = np.split(d_features, directions, axis=-1)
            has_cell = len(self.recurrent._state_sizes()) > 1
            d_x, _ = self.recurrent.backward(None, (d_h_n, None) if has_cell else d_h_n)
        else:
            d_x, _ = self.recurrent.backward(np.moveaxis(saved * d_features, 0, self._time))
        return d_x if self.embedding is None else self.embedding.backward(d_x)

    @property
    def _time(self) -> int:
        """The axis of ``x`` and of the hidden states that counts the steps."""
        return 1 if self.recurrent.batch_first else 0

    def extra_repr(self) -> str:
        """Return the arguments shown by ``repr``."""
        return "" if self.pooling == "last" else f"pooling={self.pooling!r}"


class Stack(Module):
    """Recurrent layers of different sizes, one upon the other.

    For layers of one size ``num_layers`` of :class:`lstm.LSTM` does the same.

    Parameters
    ----------
    *layers : Module
        Each with the contract of :class:`lstm.LSTM`; each reads the hidden states of the one below.
    """

    def __init__(self, *layers: Module) -> None:
        self.layers = list(layers)
        self.num_directions, self.batch_first = layers[-1].num_directions, layers[-1].batch_first

    def _state_sizes(self) -> dict[str, int]:
        return self.layers[-1]._state_sizes()

    def forward(self, x: ArrayLike, lengths: ArrayLike | None = None) -> tuple:
        """Return the hidden states of the last layer, and its final states."""
        for layer in self.layers:
            x, state = layer(x, lengths=lengths)
        return x, state

    def backward(self, d_output: ArrayLike | None, d_state: tuple | None = None) -> tuple:
        """Return the gradients of ``x`` and of the first layer's initial states."""
        for layer in reversed(self.layers):
            d_output, d_initial = layer.backward(d_output, d_state)
            d_state = None
        return d_output, d_initial


def _shares(pooling: str, output: np.ndarray, lengths: ArrayLike | None) -> np.ndarray:
    """Return by how much each step counts, (T, B, 1 or H), so that pooling is a weighted sum."""
    steps = np.arange(len(output))[:, None]
    counts = np.full(output.shape[1], len(output)) if lengths is None else np.asarray(lengths)
    inside = (steps < counts)[..., None]
    if pooling == "mean":
        return (inside / counts[:, None]).astype(output.dtype)
    largest = np.where(inside, np.real(output), -np.inf).argmax(axis=0)
    return (steps[..., None] == largest).astype(output.dtype)
