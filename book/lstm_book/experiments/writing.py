"""Writing, run: a character at a time, by an LSTM, by a small Transformer, and by counting.

Everybody learns from the same part of one novel, and is judged in bits a character on its last
pages, on another novel of its author and on one of another author. The two networks have equally
many parameters and the same processor time on one thread; the LSTM is this book's NumPy, the
Transformer is PyTorch. A learning rate is chosen as in :mod:`lstm_book.experiments.contest`, by the
validation part. What is learnt by counting takes seconds and is done once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

import lstm
from lstm_book.experiments import counting
from lstm_book.experiments.writer import SYMBOLS, WARM_UP, WINDOW, Writer, cost
from lstm_book.novels import load_novels

VALIDATION, TEST = 40_000, 60_000
"""Characters of the end of the novel: the last ones are the test, those before choose."""
ORDERS = tuple(range(2, 13))
PPM_ORDERS = tuple(range(2, 9))
FRACTIONS = (1 / 16, 1 / 4, 1)
"""Of the training part, from its beginning, for the learning curve."""
AT_ONCE = {"LSTM": 512, "Transformer": 1024}
"""Characters of a batch; tried by hand on the validation part, as were the Transformer's heads."""
SECONDS = 45.0
"""Processor time of a run."""
CHECKS, CHECKED = 8, 15_000
"""So often a run is judged by so much of the validation part; its best state is what counts."""
SAMPLED = (0, 0.01, 0.05, 0.2, 1)
"""Shares of the time after which a sample is drawn, by the first seed."""
SAMPLE = 240
"""Its characters."""


# ------------------------------------------------------------------------------------------- texts
def encode(text: str) -> np.ndarray:
    """Return the number of each character: the end of a line is 0, a space 1, a tilde 95."""
    codes = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64)
    return np.maximum(codes - 31, 0)


def decode(ids: np.ndarray) -> str:
    """Return the text of numbers."""
    return bytes(10 if n == 0 else n + 31 for n in ids).decode("ascii")


@cache
def texts() -> dict[str, str]:
    """Return the parts: ``train``, ``validation`` and ``test`` of *Emma*, ``author``, ``other``."""
    novels = load_novels()
    emma = novels["emma"]
    return {
        "train": emma[: -VALIDATION - TEST],
        "validation": emma[-VALIDATION - TEST : -TEST],
        "test": emma[-TEST:],
        "author": novels["persuasion"],
        "other": novels["moby_dick"],
    }


JUDGED = ("validation", "test", "author", "other")


# ------------------------------------------------------------------------------------------ models
class LSTMLearner:
    """A :class:`Writer` with Adam.

    Parameters
    ----------
    seed : int
        Of the initial weights.
    carry : bool
        Whether the state at the end of a window is that at the beginning of the next.
    longest : int, optional
        Of the dependencies that it starts with: see :func:`lstm.initialise.initialise_lstm`.
    """

    def __init__(self, seed: int, carry: bool = True, longest: int | None = None) -> None:
        rng = np.random.default_rng([seed, 0])
        self.model, self.carry = Writer(rng=rng, longest=longest), carry
        self.optimizer = lstm.Adam(self.model.parameters())
        self.num_parameters = sum(p.size for p in self.model.parameters())
        self._state: tuple | None = None

    def learn(self, x: np.ndarray, y: np.ndarray, lr: float) -> float:
        """Take one step on a batch (T, B) that follows the last one; return its loss in nats."""
        (logits, state), backward = self.model.vjp(x, self._state)
        self._state = state if self.carry else None
        loss, d_logits = lstm.cross_entropy(logits.reshape(-1, SYMBOLS), y.ravel())
        self.optimizer.lr = lr
        self.optimizer.zero_grad()
        backward(d_logits.reshape(logits.shape))
        self.optimizer.clip_grad_norm_(1.0)
        self.optimizer.step()
        return float(loss)

    def bits(self, ids: np.ndarray) -> np.ndarray:
        """Return what each character costs after all before it, the first ``WARM_UP`` left out."""
        return bits_of(self.model, ids)

    def next_logits(self, ids: np.ndarray) -> np.ndarray:
        """Return the logits of what comes after some characters, (V,)."""
        return self.model.forward(ids[:, None])[0][-1, 0]

    def weights(self) -> list[np.ndarray]:
        """Return copies of all parameters."""
        return [p.data.copy() for p in self.model.parameters()]

    def set_weights(self, weights: list[np.ndarray]) -> None:
        """Put such copies back."""
        for parameter, value in zip(self.model.parameters(), weights, strict=True):
            parameter.data[...] = value

    def save(self, path: Path) -> None:
        """Write the weights in half precision."""
        named = self.model.state_dict().items()
        np.savez_compressed(path, **{name: value.astype(np.float16) for name, value in named})


def bits_of(model: Writer, ids: np.ndarray, streams: int = 20) -> np.ndarray:
    """Return the bits of each character but the first ``WARM_UP``, (N - WARM_UP,).

    The text is cut into overlapping streams that are read side by side: each begins ``WARM_UP``
    characters early, from a zero state.
    """
    length = -(-(len(ids) - WARM_UP) // streams)
    padded = np.concatenate([ids, np.zeros(streams * length, ids.dtype)])
    starts = length * np.arange(streams)
    rows = padded[starts[:, None] + np.arange(WARM_UP + length)]
    logits = model.forward(rows[:, :-1].T)[0][WARM_UP - 1 :]
    return cost(logits, rows.T[WARM_UP:]).T.ravel()[: len(ids) - WARM_UP]


def sample(
    next_logits: Callable[[np.ndarray], np.ndarray],
    begin: str,
    length: int,
    rng: np.random.Generator,
    temperature: float = 1.0,
) -> str:
    """Write on, a character at a time, each drawn from the softmax of logits over temperature."""
    ids = encode(begin)
    for _ in range(length):
        z = next_logits(ids[-200:]).astype(float) / temperature
        p = np.exp(z - z.max())
        ids = np.append(ids, rng.choice(SYMBOLS, p=p / p.sum()))
    return decode(ids)[len(begin) :]


# ------------------------------------------------------------------------------------------- a run
def batches(ids: np.ndarray, at_once: int, window: int, rng: np.random.Generator) -> Any:
    """Yield characters and those after them, (T, B), for ever: B streams through the whole text.

    Each stream goes on where its last window ended; at the end of the text it begins again.
    """
    many = at_once // window
    place = len(ids) * np.arange(many) // many + rng.integers(len(ids))
    while True:
        where = place + np.arange(window + 1)[:, None]
        both = ids[where % len(ids)]
        yield both[:-1], both[1:]
        place += window


def learner(name: str, seed: int, *options: Any) -> Any:
    """Return a network that has learnt nothing yet."""
    if name == "LSTM":
        return LSTMLearner(seed, *options)
    from lstm_book.experiments.parallel import TransformerWriter

    return TransformerWriter(seed)


def train(
    name: str,
    lr: float,
    seed: int,
    seconds: float,
    fraction: float = 1,
    window: int = WINDOW,
    carry: bool = True,
    at_once: int | None = None,
    longest: int | None = None,
    part: str = "result",
    keep: Path | None = None,
) -> dict[str, Any]:
    """Train one network for so many seconds of processor time, and judge it.

    Parameters
    ----------
    name : {"LSTM", "Transformer"}
        Which network.
    lr : float
        Learning rate: it rises for a twentieth of the time, and falls in a straight line to 0.
    seed, seconds
        From where, and processor time for the updates; the judging in between is not counted.
    fraction : float
        Of the training part.
    window, carry
        Steps through which the gradient flows, and whether the state is carried on.
    at_once, longest : int, optional
        Characters of a batch, and see :class:`LSTMLearner`.
    part : str
        What the run is for: a ``"choice"`` is judged by the validation part alone, a ``"curve"``
        and a ``"fresh"`` seed by the test part, too.
    keep : Path, optional
        Where to write the weights of the best state, in half precision.

    Returns
    -------
    dict
        ``updates``, ``parameters``; ``curve``, bits a character of the validation part at the
        checks; ``bits`` of each part judged; ``blocks`` of the test part, of 1,000 characters.
    """
    ids = {key: encode(text) for key, text in texts().items()}
    network = learner(name, seed, carry, longest)
    text = ids["train"][: int(len(ids["train"]) * fraction)]
    stream = batches(text, at_once or AT_ONCE[name], window, _rng(seed, 1))
    learner(name, seed).learn(*next(batches(text, AT_ONCE[name], window, _rng(seed, 2))), lr)
    updates, spent, curve, samples, best = 0, 0.0, [], [], None
    shares = SAMPLED if keep else ()
    while True:
        share = min(spent / seconds, 1.0)
        if len(samples) < len(shares) and share >= shares[len(samples)]:
            text = sample(network.next_logits, "\n\n", SAMPLE, _rng(seed, 3))
            samples.append({"updates": updates, "text": text})
        if share * CHECKS >= len(curve) + 1:
            curve.append(float(network.bits(ids["validation"][:CHECKED]).mean()))
            if curve[-1] <= min(curve):
                best = network.weights()
        if share == 1:
            break
        start = process_time()
        loss = network.learn(*next(stream), lr * min(1.0, 20 * share + 0.01) * (1 - share))
        updates, spent = updates + 1, spent + process_time() - start
        if not np.isfinite(loss):
            return {"updates": updates, "error": "the loss is not finite"}
    if best is None:
        return {"updates": updates, "error": "the loss is not finite"}
    network.set_weights(best)
    result = {"updates": updates, "parameters": network.num_parameters, "curve": curve}
    judged = JUDGED[: {"choice": 1, "curve": 2, "fresh": 2}.get(part)]
    found = {key: network.bits(ids[key]) for key in judged}
    result["bits"] = {key: float(bits.mean()) for key, bits in found.items()}
    if part == "result":
        result["blocks"] = blocks(found["test"])
    if keep:
        result["samples"] = samples
        network.save(keep)
    return result


def blocks(bits: np.ndarray) -> list[float]:
    """Return the means of 1,000 characters each."""
    return bits[: len(bits) // 1000 * 1000].reshape(-1, 1000).mean(axis=1).tolist()


def _rng(seed: int, stream: int) -> np.random.Generator:
    return np.random.default_rng([seed, stream])


# ---------------------------------------------------------------------------------------- counting
def count(fraction: float) -> dict[str, Any]:
    """Judge all that is learnt by counting, on a fraction of the training part.

    The orders are chosen by the validation part; every n-gram's and context's order is in the
    result. A compressor has read the same text before, and is judged by what the part adds.
    """
    parts = texts()
    before = parts["train"][: int(len(parts["train"]) * fraction)]
    ids = {key: encode(parts[key]) for key in JUDGED}
    start = process_time()
    ngrams = counting.KneserNey(encode(before), SYMBOLS, max(ORDERS))
    seconds = process_time() - start
    orders = {str(n): {k: _mean(ngrams, i, n) for k, i in ids.items()} for n in ORDERS}
    best = min(orders, key=lambda n: orders[n]["validation"])
    ppm = {
        str(n): {
            "validation": counting.partial_matching(
                before + parts["validation"], len(before), n, SYMBOLS
            )
        }
        for n in PPM_ORDERS
    }
    chosen = min(ppm, key=lambda n: ppm[n]["validation"])
    for key in JUDGED[1:]:
        ppm[chosen][key] = counting.partial_matching(
            before + parts[key], len(before), int(chosen), SYMBOLS
        )
    return {
        "fraction": fraction,
        "characters": len(before),
        "seconds": seconds,
        "orders": orders,
        "order": int(best),
        "blocks": blocks(ngrams.bits(ids["test"], int(best))[WARM_UP:]),
        "ppm": ppm,
        "ppm_order": int(chosen),
        "compressors": {
            name: {key: counting.compressed(name, before, parts[key]) for key in JUDGED}
            for name in counting.COMPRESSORS
        },
    }


def _mean(ngrams: counting.KneserNey, ids: np.ndarray, order: int) -> float:
    return float(ngrams.bits(ids, order)[WARM_UP:].mean())
