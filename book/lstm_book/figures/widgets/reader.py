"""A network that answers after every step: an LSTM and a linear head, trained for all steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

import lstm
from lstm.module import Backward, Module
from lstm.training import Loss
from lstm_book.figures.widgets.files import pack, unpack

WORDS = {"E": 8}
"""Bits of the vectors of words, of which there are many."""


class Reader(Module):
    """(Embedding →) LSTM → linear head at every step.

    Parameters
    ----------
    recurrent : LSTM
        One layer, one direction, ``batch_first``.
    head : Module
        From the hidden state to the logits; one Linear, and perhaps dropout.
    embedding : Module, optional
        Maps the integers to vectors: one Embedding, and perhaps dropout.
    """

    def __init__(self, recurrent: lstm.LSTM, head: Module, embedding: Module | None = None) -> None:
        self.embedding = embedding
        self.recurrent = recurrent
        self.head = head

    def vjp(self, x: np.ndarray, lengths: np.ndarray | None = None) -> tuple[np.ndarray, Backward]:
        """Return the logits (B, T, K) after every step of ``x``, (B, T, D) or integers (B, T)."""
        embed = None
        if self.embedding is not None:
            x, embed = self.embedding.vjp(x)
        (output, _), read = self.recurrent.vjp(x, lengths=lengths)
        logits, judge = self.head.vjp(output)

        def backward(d_logits: np.ndarray) -> np.ndarray | None:
            d_x, _ = read(judge(d_logits))
            return d_x if embed is None else embed(d_x)

        return logits, backward


def at_every_step(loss: Loss) -> Loss:
    """Return a loss for logits (B, T, K): that of every step, later steps counting more."""

    def mean_over_steps(logits: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray]:
        weight = np.arange(1, logits.shape[1] + 1, dtype=logits.dtype)
        weight /= weight.sum()
        total, d_logits = 0.0, np.empty_like(logits)
        for t, share in enumerate(weight):
            value, d_step = loss(logits[:, t], targets)
            total += share * value
            d_logits[:, t] = share * d_step
        return total, d_logits

    return mean_over_steps


def last_answers(
    reader: Reader, inputs: np.ndarray, lengths: np.ndarray | None = None, batch_size: int = 250
) -> np.ndarray:
    """Return the logits (N, K) after the last step of each sequence."""
    reader.eval()
    rows = []
    for start in range(0, len(inputs), batch_size):
        part = slice(start, start + batch_size)
        logits = reader(inputs[part], None if lengths is None else lengths[part])
        ends = logits.shape[1] if lengths is None else lengths[part]
        rows.append(logits[np.arange(len(logits)), ends - 1])
    return np.concatenate(rows)


def packed_weights(reader: Module, bits: Mapping[str, int] = WORDS) -> dict:
    """Return a reader's weights as :func:`lstm_book.figures.widgets.files.pack` writes them.

    ``b`` is the sum of the LSTM's two biases. What ``bits`` does not name is rounded to 16 bits.
    """
    layer, (weight, bias) = reader.recurrent, reader.head.parameters()
    weights = {
        "W": layer.weight_ih_l0.data,
        "U": layer.weight_hh_l0.data,
        "b": layer.bias_ih_l0.data + layer.bias_hh_l0.data,
        "V": weight.data,
        "v": bias.data,
    }
    if reader.embedding is not None:
        weights["E"] = next(reader.embedding.parameters()).data
    return {name: pack(value, bits.get(name, 16)) for name, value in weights.items()}


def layer_of(weights: Mapping[str, np.ndarray], kind: type = lstm.LSTM, **options: bool) -> Module:
    """Return a recurrent layer, in float64, with weights W, U and one bias b."""
    (_, inputs), (_, units) = weights["W"].shape, weights["U"].shape
    layer = kind(inputs, units, dtype=np.float64, **options)
    names = "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"
    arrays = *(weights[name] for name in "WUb"), 0 * weights["b"]
    layer.load_state_dict(dict(zip(names, arrays, strict=True)))
    return layer


def load_reader(packed: dict) -> Reader:
    """Return the network, in float64, whose weights :func:`packed_weights` wrote."""
    weights = {name: unpack(value) for name, value in packed.items()}
    layer = layer_of(weights, batch_first=True)
    head = lstm.Linear(*weights["V"].shape[::-1], dtype=np.float64)
    head.load_state_dict({"weight": weights["V"], "bias": weights["v"]})
    embedding = None
    if "E" in weights:
        embedding = lstm.Embedding(*weights["E"].shape, dtype=np.float64)
        embedding.load_state_dict({"weight": weights["E"]})
    return Reader(layer, head, embedding).eval()


def train(
    reader: Reader,
    inputs: tuple[np.ndarray, ...],
    targets: np.ndarray,
    loss: Loss,
    augment: Callable,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
) -> None:
    """Train with Adam, a rate that falls to zero, and clipping; seed 0."""
    trainer = lstm.Trainer(
        reader,
        at_every_step(loss),
        lstm.Adam(reader.parameters(), lr=lr),
        batch_size=batch_size,
        schedule=lambda done: 1 - done,
        max_norm=1.0,
        augment=augment,
        rng=0,
    )
    trainer.fit(inputs, targets, epochs=epochs)
