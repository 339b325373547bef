"""What a cell of a writer keeps: every cell against something that the text knows.

A cell follows a quantity as far as the two are correlated. What chance gives is measured in two
ways: with the quantity shifted against the cells by every number of characters, which keeps the
rhythm of both, and with networks that have learnt nothing.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from lstm_book.experiments.writing import WARM_UP, Writer, encode, texts

HELD_OUT = ("test", "author", "other")
MOST = {"validation": 30_000} | dict.fromkeys(HELD_OUT, 20_000)
"""Characters of each part that the test of cells reads, from its beginning."""
APART = 2000
"""Shifts of fewer characters are left out: there both still know of each other."""
OPEN = 40.0
"""A gate with this before its sigmoid is 1 in float32, and with the opposite sign 0."""


def inside_quotation(text: str) -> np.ndarray:
    """Return whether a quotation is open after each character; a blank line ends it."""
    inside, found = False, np.zeros(len(text), bool)
    for n, character in enumerate(text):
        if character == '"':
            inside = not inside
        elif text[n - 1 : n + 1] == "\n\n":
            inside = False
        found[n] = inside
    return found


def since(ends: str, text: str) -> np.ndarray:
    """Return how many characters have been read after each since the last one of ``ends``."""
    ended = np.array([character in ends for character in text])
    place = np.arange(1, len(text) + 1)
    return place - np.maximum.accumulate(np.where(ended, place, 0))


FOLLOWED = {
    "inside a quotation": inside_quotation,
    "place in the line": partial(since, "\n"),
    "place in the word": partial(since, " \n"),
    "place in the sentence": lambda text: np.log1p(since(".!?", text)),
}
"""Name → from a text to one number for each character; of a sentence the logarithm."""
ENDS = {
    "inside a quotation": '"',
    "place in the line": "\n",
    "place in the word": " \n",
    "place in the sentence": ".!?",
}
"""Name → the characters that are due when it is far on."""


def read(
    model: Writer, ids: np.ndarray, held: tuple[int, float] | None = None, streams: int = 20
) -> tuple[np.ndarray, np.ndarray]:
    """Read a text, with one cell held at a number where that is wanted.

    Parameters
    ----------
    model : Writer
        Who reads.
    ids : ndarray of int, shape (N,)
        The text; it is read in overlapping streams, each from ``WARM_UP`` characters before.
    held : (int, float), optional
        A cell, and the number at which it stays: its forget gate is open, its input gate shut.
    streams : int
        How many are read side by side.

    Returns
    -------
    logits, cells : ndarray, shapes (N - WARM_UP, V) and (N - WARM_UP, H)
        After each character but the first ``WARM_UP``.
    """
    H = model.recurrent.hidden_size
    h, c = np.zeros((1, streams, H), np.float32), np.zeros((1, streams, H), np.float32)
    if held:
        model, c[..., held[0]] = holding(model, held[0]), held[1]
    length = -(-(len(ids) - WARM_UP) // streams)
    padded = np.concatenate([ids, np.zeros(streams * length, ids.dtype)])
    rows = padded[length * np.arange(streams) + np.arange(WARM_UP + length)[:, None]]
    vectors, outputs, cells = model.embedding.forward(rows), [], []
    for x in vectors:
        output, (h, c) = model.recurrent.forward(x[None], (h, c))
        outputs.append(output[0])
        cells.append(c[0])
    found = model.head.forward(np.array(outputs[WARM_UP:])), np.array(cells[WARM_UP:])
    kept = len(ids) - WARM_UP
    return tuple(each.swapaxes(0, 1).reshape(-1, each.shape[2])[:kept] for each in found)


def holding(model: Writer, cell: int) -> Writer:
    """Return a copy in which a cell keeps what it holds: forget gate open, input gate shut."""
    model = copy.deepcopy(model)
    layer, H = model.recurrent, model.recurrent.hidden_size
    for row, bias in ((cell, -OPEN), (H + cell, OPEN)):
        layer.weight_ih_l0.data[row] = layer.weight_hh_l0.data[row] = 0
        layer.bias_ih_l0.data[row], layer.bias_hh_l0.data[row] = bias, 0
    return model


def most_variable(shown: np.ndarray, but: int, count: int) -> list[int]:
    """Return the cells that vary most, (N, H), without one: most of a network stand still."""
    order = np.argsort(-shown.std(axis=0))
    return order[order != but][:count].tolist()


def correlations(cells: np.ndarray, followed: np.ndarray) -> np.ndarray:
    """Return the correlation of each cell, (N, H), with what it may follow, (N,)."""
    return _standard(cells).T @ _standard(followed) / len(followed)


def best_scores(model: Writer, most: int = 30_000) -> dict[str, float]:
    """Return the largest absolute score of any cell on the validation part, for each quantity.

    A cell's score is the correlation of what it can show, tanh of its state, with the quantity.
    """
    text = texts()["validation"][:most]
    shown = np.tanh(read(model, encode(text))[1])
    return {
        name: float(np.abs(correlations(shown, follow(text)[WARM_UP:])).max())
        for name, follow in FOLLOWED.items()
    }


class Found(NamedTuple):
    """What the test of all cells, :func:`follow`, says of one quantity."""

    scores: np.ndarray
    """Of each cell on the validation part, (H,)."""
    shifted: float
    """What the highest score of any cell stays below at 99 of 100 shifts."""
    untrained: float
    """The highest score of any cell of the untrained networks."""
    chance: float
    """Share of the shifts at which the score of any cell is above both."""
    passed: np.ndarray
    """Which cells are above both, (H,)."""
    kept: np.ndarray
    """Which of these are above both, with the same sign, on every held-out part, too, (H,)."""

    @property
    def best(self) -> int | None:
        """The best cell of those that keep track."""
        return int(np.argmax(np.abs(self.scores) * self.kept)) if self.kept.any() else None


def follow(model: Writer, untrained: list[Writer]) -> dict[str, Found]:
    """Test all cells of a network against each quantity of :data:`FOLLOWED`.

    Parameters
    ----------
    model : Writer
        Whose cells.
    untrained : list of Writer
        Networks that have learnt nothing: what their cells follow needs no learning.

    Returns
    -------
    dict of str to Found
    """
    shown = {part: _shown(model, part) for part in MOST}
    new = [_shown(each, "validation") for each in untrained]
    found = {}
    for name in FOLLOWED:
        truth = {part: _truth(name, part) for part in MOST}
        r = {part: correlations(shown[part], truth[part]) for part in MOST}
        shifts = by_chance(shown["validation"], truth["validation"])
        shifted = float(np.quantile(shifts, 0.99))
        unlearnt = max(np.abs(correlations(c, truth["validation"])).max() for c in new)
        limit, sign = max(shifted, unlearnt), np.sign(r["validation"])
        passed = np.abs(r["validation"]) > limit
        kept = passed & np.all([sign * r[part] > limit for part in HELD_OUT], axis=0)
        chance = float((shifts > limit).mean())
        found[name] = Found(r["validation"], shifted, float(unlearnt), chance, passed, kept)
    return found


def tested(model: Writer, seed: int) -> dict[str, dict[str, Any]]:
    """Return :func:`follow` in JSON's types; the untrained have both starts of a seed."""
    untrained = [Writer(rng=seed), Writer(rng=seed, longest=256)]
    return {
        name: {
            "best": float(np.abs(found.scores).max()),
            "limit": max(found.shifted, found.untrained),
            "chance": found.chance,
            "passed": int(found.passed.sum()),
            "kept": int(found.kept.sum()),
            "cell": found.best,
        }
        for name, found in follow(model, untrained).items()
    }


def _shown(model: Writer, part: str) -> np.ndarray:
    """Return what each cell can show after each character of a part, tanh of its state."""
    return np.tanh(read(model, encode(texts()[part][: MOST[part]]))[1])


def _truth(name: str, part: str) -> np.ndarray:
    return FOLLOWED[name](texts()[part][: MOST[part]])[WARM_UP:].astype(float)


def by_chance(cells: np.ndarray, followed: np.ndarray) -> np.ndarray:
    """Return the largest absolute correlation of any cell, for every shift but the small ones."""
    wanted = np.conj(np.fft.rfft(_standard(followed)))
    largest = np.zeros(len(followed))
    for cell in _standard(cells).T:  # one by one: a spectrum is large
        shifted = np.fft.irfft(np.fft.rfft(cell) * wanted, len(followed)) / len(followed)
        np.maximum(largest, np.abs(shifted), out=largest)
    return largest[APART:-APART]


def best_threshold(values: np.ndarray, truth: np.ndarray) -> tuple[float, bool]:
    """Return the threshold that tells a truth best, and whether values above it say yes."""
    order = np.argsort(values)
    yes = np.concatenate([[0], np.cumsum(truth[order])])  # below the threshold
    below = np.arange(len(values) + 1)
    right_above = (below - yes) + (yes[-1] - yes)
    above = right_above.max() >= (len(values) - right_above).max()
    place = int(np.argmax(right_above if above else -right_above))
    edges = np.concatenate([[-np.inf], values[order], [np.inf]])
    return float((edges[place] + edges[place + 1]) / 2), bool(above)


def _standard(values: np.ndarray) -> np.ndarray:
    values = values.astype(float) - values.mean(axis=0)
    deviation = values.std(axis=0)
    return values / np.where(deviation > 0, deviation, 1)
