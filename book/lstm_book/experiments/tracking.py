"""State and recall: what a network must keep up to date, and what it must find again.

Every contestant has as many parameters as an LSTM of 64 units, as nearly as its width allows, and
the same processor time on one thread; its learning rate is chosen with seeds of its own. The
Transformer, mLSTM and minLSTM read all steps at once, in PyTorch; the others are this book's NumPy.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import lstm
from lstm import variants
from lstm.initialise import initialise_lstm
from lstm_book.recipes.pairs import SummedEmbedding

WIDTH = 32
"""Numbers that stand for a token, in every network."""
UNITS = 64
"""Units of the LSTM; its number of parameters is everybody's."""
BATCH = 64
IGNORED = -1
"""Label of a step at which nothing is asked."""
TESTED = 64
"""Sequences of a test; no network has seen them before."""


# ------------------------------------------------------------------------------------------ tasks
def permutations(size: int, *, even: bool = False) -> list[tuple[int, ...]]:
    """Return the permutations of ``size`` things, or the even ones alone; the identity first."""
    every = itertools.permutations(range(size))
    return [p for p in every if not even or _inversions(p) % 2 == 0]


def _inversions(p: tuple[int, ...]) -> int:
    return sum(a > b for a, b in itertools.combinations(p, 2))


def multiplication_table(elements: list[tuple[int, ...]]) -> np.ndarray:
    """Return the number of "first a, then b" for all numbers a and b of elements of a group."""
    number = {element: k for k, element in enumerate(elements)}
    return np.array([[number[tuple(a[j] for j in b)] for b in elements] for a in elements])


@dataclass(frozen=True)
class Task:
    """Tokens in, a label at every step (or :data:`IGNORED`).

    Parameters
    ----------
    tokens, classes : int
        Numbers of different tokens and labels.
    draw : callable
        ``draw(rng, batch, size)`` returns tokens (T, B), or several a step (T, B, n), and labels
        (T, B).
    train_sizes, test_sizes : tuple of int
        Sizes that a batch of training may have; sizes at which the network is tested.
    seconds : float
        Processor time for a run.
    every_step : bool
        Whether a size is a number of steps, each with a label.
    """

    tokens: int
    classes: int
    draw: Callable[[np.random.Generator, int, int], tuple[np.ndarray, np.ndarray]]
    train_sizes: tuple[int, ...]
    test_sizes: tuple[int, ...]
    seconds: float
    every_step: bool = True


def word_problem(
    elements: list[tuple[int, ...]], seconds: float, generators: tuple[tuple[int, ...], ...] = ()
) -> Task:
    """Tell, after each element of a group, the product of all so far.

    Parameters
    ----------
    elements : list of tuple
        The group.
    seconds : float
        As in :class:`Task`.
    generators : tuple of tuple
        The elements that occur in a sequence; without, all.
    """
    table = multiplication_table(elements)
    letters = np.array([elements.index(g) for g in generators or elements])

    def draw(rng: np.random.Generator, batch: int, size: int) -> tuple[np.ndarray, np.ndarray]:
        x = rng.integers(len(letters), size=(size, batch))
        y = itertools.accumulate(letters[x], lambda product, letter: table[product, letter])
        return x, np.array(list(y))

    lengths = (10, 20, 40, 80, 160, 320, 640, 1000)
    return Task(len(letters), len(table), draw, tuple(range(1, 41)), lengths, seconds)


def recall(keys: int, values: int, seconds: float) -> Task:
    """See pairs of a key and a value, a pair a step, then keys alone: tell each one's value."""
    nothing = keys + values

    def draw(rng: np.random.Generator, batch: int, size: int) -> tuple[np.ndarray, np.ndarray]:
        key = rng.permuted(np.tile(np.arange(keys), (batch, 1)), axis=1)[:, :size].T
        value = rng.integers(values, size=(size, batch))
        order = rng.permuted(np.tile(np.arange(size), (batch, 1)), axis=1).T
        asked, answer = (np.take_along_axis(a, order, 0) for a in (key, value))
        pairs = np.stack([key, keys + value], axis=2)
        questions = np.stack([asked, np.full_like(asked, nothing)], axis=2)
        return np.concatenate([pairs, questions]), np.concatenate([0 * value + IGNORED, answer])

    return Task(nothing + 1, values, draw, (2, 4, 8, 16, 32), (4, 8, 16, 32, 64), seconds, False)


A5 = permutations(5, even=True)
TWO_OF_A5 = (1, 2, 0, 3, 4), (1, 2, 3, 4, 0)
"""A cycle of three and one of five: their products are all of A5."""
TASKS = {
    "parity": word_problem(permutations(2), seconds=5),
    "S3": word_problem(permutations(3), seconds=9),
    "A5": word_problem(A5, seconds=22, generators=TWO_OF_A5),
    "recall": recall(keys=64, values=8, seconds=24),
}


# ------------------------------------------------------------------------------------ contestants
class Outputs(lstm.Module):
    """A recurrent layer whose final state nobody asks for."""

    def __init__(self, recurrent: lstm.Module) -> None:
        self.recurrent = recurrent

    def forward(self, input: np.ndarray) -> np.ndarray:
        """Vectors (T, B, D) to outputs (T, B, H)."""
        return self.recurrent.forward(input)[0]

    def vjp(self, input: np.ndarray) -> tuple[np.ndarray, Callable]:
        """Do the same; ``backward`` takes their gradient and returns that of the vectors."""
        (output, _), backward = self.recurrent.vjp(input)
        return output, lambda d_output: backward(d_output)[0]


def tagger(task: Task, recurrent: lstm.Module, rng: np.random.Generator) -> lstm.Sequential:
    """Return tokens (T, B), or several a step (T, B, n), → vectors → outputs → logits (T, B, K)."""
    embedding = lstm.Embedding if task.every_step else SummedEmbedding
    return lstm.Sequential(
        embedding(task.tokens, WIDTH, rng=rng),
        Outputs(recurrent),
        lstm.Linear(recurrent.output_size, task.classes, rng=rng),
    )


RECURRENT: dict[str, Callable[[int, np.random.Generator], lstm.Module]] = {
    "LSTM": lambda H, rng: initialise_lstm(lstm.LSTM(WIDTH, H, rng=rng), rng=rng),
    "RNN": lambda H, rng: initialise_lstm(lstm.RNN(WIDTH, H, rng=rng), forget_bias=0, rng=rng),
    "GRU": lambda H, rng: initialise_lstm(lstm.GRU(WIDTH, H, rng=rng), forget_bias=0, rng=rng),
    "sLSTM": lambda H, rng: initialise_lstm(variants.SLSTM(WIDTH, H, rng=rng), rng=rng),
}
"""Name → a layer of so many units, in NumPy."""
CONTESTANTS = (
    *RECURRENT,
    "minLSTM",
    "minLSTM, signed",
    "mLSTM",
    "Transformer, no positions",
    "Transformer, distances",
)
"""The LSTM and who runs against it; two layers where one is linear in its state."""
DIM = 40
"""Of the Transformer's two layers; what is made as wide as it may be is what is dense in them."""


def num_parameters(name: str, size: int, task: Task) -> int:
    """Count a contestant's numbers; ``size`` is that of its state, or of a dense layer."""
    blocks = {"LSTM": 4, "sLSTM": 4, "GRU": 3, "RNN": 1}
    output = size
    if name in blocks:
        body = blocks[name] * size * (WIDTH + size + 2)
    elif name.startswith("minLSTM"):
        body = 3 * size * (WIDTH + 1 + size + 1)
    elif name == "mLSTM":
        body = (4 * size + 2) * (WIDTH + 1 + size + 1)
    else:
        block = 4 * DIM * (DIM + 1) + 4 * DIM + 2 * DIM * size + size + DIM
        output, body = DIM, (WIDTH + 1) * DIM + 2 * block + 2 * DIM
    return task.tokens * WIDTH + body + task.classes * (output + 1)


def fitting_size(name: str, task: Task) -> int:
    """Return the size at which a contestant's parameters come closest to the LSTM's."""
    wanted = num_parameters("LSTM", UNITS, task)
    return min(range(8, 256), key=lambda size: abs(num_parameters(name, size, task) - wanted))


class NumpyLearner:
    """One of the recurrent networks with Adam."""

    def __init__(self, name: str, task: Task, seed: int) -> None:
        rng = np.random.default_rng([seed, 0])
        self.model = tagger(task, RECURRENT[name](fitting_size(name, task), rng), rng)
        self.optimizer = lstm.Adam(self.model.parameters())
        self.num_parameters = sum(p.size for p in self.model.parameters())

    def learn(self, x: np.ndarray, y: np.ndarray, lr: float) -> float:
        """Take one step on a batch and return its loss."""
        logits, backward = self.model.vjp(x)
        asked = y != IGNORED
        loss, d_asked = lstm.cross_entropy(logits[asked], y[asked])
        d_logits = np.zeros_like(logits)
        d_logits[asked] = d_asked
        self.optimizer.lr = lr
        self.optimizer.zero_grad()
        backward(d_logits)
        self.optimizer.clip_grad_norm_(1.0)
        self.optimizer.step()
        return loss

    def answers(self, x: np.ndarray) -> np.ndarray:
        """Return the likeliest label at each step, (T, B)."""
        return self.model.forward(x).argmax(axis=-1)
