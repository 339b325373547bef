"""An LSTM that writes: its layers, the characters that it knows, and what a guess costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import lstm
from lstm.initialise import initialise_lstm

SYMBOLS = 96
"""Printable ASCII, and the end of a line, which is number 0."""
WARM_UP = 128
"""Characters at the beginning of each text that are read and not counted."""
WIDTH, UNITS = 32, 192
"""Numbers that stand for a character in the LSTM, and its units."""
WINDOW = 64
"""Characters in a row in a batch: through so many the gradient flows."""


class Writer(lstm.Module):
    """Embedding → LSTM → logits for the next character; the state goes in and comes out."""

    def __init__(
        self,
        units: int = UNITS,
        rng: np.random.Generator | int | None = None,
        longest: int | None = None,
    ) -> None:
        rng = np.random.default_rng(rng)
        self.embedding = lstm.Embedding(SYMBOLS, WIDTH, rng=rng)
        layer = lstm.LSTM(WIDTH, units, rng=rng)
        self.recurrent = initialise_lstm(layer, longest=longest, rng=rng)
        self.head = lstm.Linear(units, SYMBOLS, rng=rng)

    def forward(self, input: np.ndarray, state: tuple | None = None) -> tuple[np.ndarray, tuple]:
        """Characters (T, B) to logits (T, B, V), and the state after them."""
        output, state = self.recurrent.forward(self.embedding.forward(input), state)
        return self.head.forward(output), state

    def vjp(self, input: np.ndarray, state: tuple | None = None) -> tuple:
        """Do the same; ``backward`` takes the gradients of both, and returns that of the state."""
        vectors, embedding_backward = self.embedding.vjp(input)
        (output, state), recurrent_backward = self.recurrent.vjp(vectors, state)
        logits, head_backward = self.head.vjp(output)

        def backward(d_logits: np.ndarray, d_state: tuple | None = None) -> tuple:
            d_vectors, d_state = recurrent_backward(head_backward(d_logits), d_state)
            embedding_backward(d_vectors)
            return d_state

        return (logits, state), backward


def load_writer(path: Path) -> Writer:
    """Return a :class:`Writer` with weights that were saved in half precision."""
    model = Writer(rng=0)
    with np.load(path) as file:
        model.load_state_dict({name: file[name].astype(np.float32) for name in file.files})
    return model


def cost(logits: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return what characters cost, in bits: logits (..., V), numbers (...)."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    chosen = np.take_along_axis(shifted, ids[..., None], -1)[..., 0]
    return (np.log(np.exp(shifted).sum(axis=-1)) - chosen) / np.log(2)
