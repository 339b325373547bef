"""A whole model: an LSTM that reads a sequence, and a head that judges what it has read."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from lstm import checks
from lstm.module import Backward, Module, is_module

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
        self.pooling = checks.one_of("pooling", pooling, POOLINGS)
        self.embedding = None if embedding is None else is_module("embedding", embedding)
        self.recurrent = _recurrent("recurrent", recurrent)
        self.head = is_module("head", head)

    @checks.quiet
    def forward(self, input: ArrayLike, lengths: ArrayLike | None = None) -> np.ndarray:
        """Judge sequences.

        Parameters
        ----------
        input : ndarray
            What the first part takes: vectors (B, T, D) or integers (B, T), with ``batch_first``.
        lengths : ndarray of int, shape (B,), optional
            How many steps of each sequence count; nothing behind the last of them is read.

        Returns
        -------
        ndarray, shape (B, K)
            Logits.
        """
        x, lengths = self._check(input, lengths)
        x = x if self.embedding is None else self.embedding.forward(x)
        output, state = self.recurrent.forward(x, lengths=lengths)
        return self.head.forward(self._pool(output, state, lengths)[0])

    @checks.quiet
    def vjp(
        self, input: ArrayLike, lengths: ArrayLike | None = None
    ) -> tuple[np.ndarray, Backward]:
        """Do the same; ``backward`` returns the gradient of ``input``, None for integers."""
        x, lengths = self._check(input, lengths)
        if self.embedding is not None:
            x, embedding_backward = self.embedding.vjp(x)
        (output, state), recurrent_backward = self.recurrent.vjp(x, lengths=lengths)
        features, pool_backward = self._pool(output, state, lengths)
        logits, head_backward = self.head.vjp(features)

        def backward(d_logits: ArrayLike) -> np.ndarray | None:
            d_logits = checks.array("d_logits", d_logits, logits.dtype, logits.shape)
            d_x, _ = recurrent_backward(*pool_backward(head_backward(d_logits)))
            return d_x if self.embedding is None else embedding_backward(d_x)

        return logits, backward

    @property
    def _time(self) -> int:
        """The axis of the input and of the hidden states that counts the steps."""
        return 1 if self.recurrent.batch_first else 0

    def _check(
        self, input: ArrayLike, lengths: ArrayLike | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return input and lengths as arrays; embed no step that all of the batch pads."""
        x = checks.numbers("input", input)
        if x.ndim < (3 if self.embedding is None else 2):
            raise ValueError(f"input must be a batch of sequences, got shape {x.shape}")
        if lengths is None or self.embedding is None:
            return x, lengths
        steps, batch = x.shape[self._time], x.shape[1 - self._time]
        lengths = checks.integers("lengths", lengths, 1, steps, shape=(batch,))
        used = slice(lengths.max(initial=1))
        return x[:, used] if self._time else x[used], lengths

    def _pool(
        self, output: np.ndarray, state: tuple | np.ndarray, lengths: np.ndarray | None
    ) -> tuple[np.ndarray, Callable]:
        """Return what the head sees, and from its gradient those of output and state."""
        if self.pooling == "last":
            several, directions = isinstance(state, tuple), self.recurrent.num_directions
            h_n = state[0] if several else state
            others = (None,) * (len(state) - 1) if several else ()

            def to_state(d_features: np.ndarray) -> tuple:
                d_h_n = np.zeros(h_n.shape, d_features.dtype)
                d_h_n[-directions:] = np.split(d_features, directions, axis=-1)
                return None, (d_h_n, *others) if several else d_h_n

            return np.concatenate(h_n[-directions:], axis=-1), to_state

        steps_first = np.moveaxis(output, self._time, 0)
        share = _shares(self.pooling, steps_first, lengths)

        @checks.quiet
        def to_output(d_features: np.ndarray) -> tuple:
            return np.moveaxis(_shared(share, d_features), 0, self._time), None

        return _shared(share, steps_first).sum(axis=0), to_output

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
        if not layers:
            raise ValueError("layers must hold at least one layer, got none")
        self.layers = [_recurrent("layers", layer) for layer in layers]
        self.num_directions, self.batch_first = layers[-1].num_directions, layers[-1].batch_first
        if any(layer.batch_first != self.batch_first for layer in layers):
            raise ValueError(
                "layers must have one batch_first, or some would take sequences for steps: got "
                f"{[layer.batch_first for layer in layers]}"
            )

    def forward(self, input: ArrayLike, lengths: ArrayLike | None = None) -> tuple:
        """Return the hidden states of the last layer, and its final states."""
        for layer in self.layers:
            input, state = layer.forward(input, lengths=lengths)
        return input, state

    def vjp(self, input: ArrayLike, lengths: ArrayLike | None = None) -> tuple[tuple, Backward]:
        """Do the same; ``backward`` returns the gradients of ``input`` and of the first state."""
        passes = []
        for layer in self.layers:
            (input, state), one = layer.vjp(input, lengths=lengths)
            passes.append(one)

        def backward(d_output: ArrayLike | None, d_state: tuple | None = None) -> tuple:
            for one in reversed(passes):
                d_output, d_initial = one(d_output, d_state)
                d_state = None
            return d_output, d_initial

        return (input, state), backward


def _recurrent(name: str, value: Module) -> Module:
    """Return ``value`` if it says what a reader of its output must know."""
    wanted, attributes = "a layer with the contract of lstm.LSTM", ("num_directions", "batch_first")
    return checks.having(name, is_module(name, value), wanted, *attributes)


def _shared(share: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return ``share * values``; infinity that does not count is 0 then, and not NaN."""
    return np.where(share == 0, 0, share * values)


def _shares(pooling: str, output: np.ndarray, lengths: ArrayLike | None) -> np.ndarray:
    """Return by how much each step counts, (T, B, 1 or H), so that pooling is a weighted sum."""
    steps = np.arange(len(output))[:, None]
    counts = np.full(output.shape[1], len(output)) if lengths is None else np.asarray(lengths)
    inside = (steps < counts)[..., None]
    if pooling == "mean":
        return (inside / counts[:, None]).astype(output.dtype)
    largest = np.where(inside, np.real(output), -np.inf).argmax(axis=0)
    return (steps[..., None] == largest).astype(output.dtype)
