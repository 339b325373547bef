"""The recorded experiments: what is run, with which settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from multiprocessing import get_context
from typing import Any

import torch

from lstm_book.experiments import digits
from lstm_book.experiments.memory import Cell, train_to_remember

PROCESSES = 2
SEEDS = tuple(range(10))
UPDATES = 600
LEARNING_RATES = (0.003, 0.01)

# Equal units: H = 16. Equal parameters: with H = 33 an Elman network comes closest to the 1,216
# numbers of the LSTM (1,188).
MEMORY_CELLS = {
    "RNN": Cell("rnn", 16),
    "RNN, equal parameters": Cell("rnn", 33),
    "RNN, orthogonal start": Cell("rnn", 16, orthogonal=True),
    "LSTM, forget bias 0": Cell("lstm", 16, forget_bias=0.0),
    "LSTM, forget bias 1": Cell("lstm", 16, forget_bias=1.0),
    "LSTM, forget bias 3": Cell("lstm", 16, forget_bias=3.0),
    "LSTM, forget bias 5": Cell("lstm", 16, forget_bias=5.0),
}
MEMORY_STEPS = (10, 20, 50, 100, 200)

# The article's activation="relu" replaces both tanh of the cell.
ACTIVATION_CELLS = {
    "tanh": Cell("lstm", 16, forget_bias=3.0),
    "ReLU for both tanh": Cell(
        "lstm", 16, forget_bias=3.0, activation="relu", output_activation="relu"
    ),
    "no output tanh": Cell("lstm", 16, forget_bias=3.0, output_activation="identity"),
}
ACTIVATION_STEPS = (10, 50, 100)


@dataclass(frozen=True)
class Run:
    """One entry of a record: a named cell and the arguments of its training."""

    name: str
    cell: Cell
    options: dict[str, Any]

    def __call__(self) -> dict[str, Any]:
        """Train every seed."""
        result = train_to_remember(self.cell, seeds=SEEDS, **{"updates": UPDATES} | self.options)
        return {"name": self.name, **asdict(self.cell), **self.options, **result}


def _call(run: Callable[[], Any]) -> Any:
    return run()


def _processes() -> ProcessPoolExecutor:
    """Start fresh processes that return what they free: 0.4 GB each in place of 11."""
    # PyTorch asks glibc for aligned blocks, and their holes in its heap are seldom filled again:
    # 3 MB are lost at every update. A large block mapped for itself is unmapped when it is freed.
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**18))
    # One thread each, so that they can share the processor.
    threads = {"initializer": torch.set_num_threads, "initargs": (1,)}
    return ProcessPoolExecutor(PROCESSES, get_context("spawn"), **threads)


def _record(cells: dict[str, Cell], **options: Sequence[Any]) -> dict[str, Any]:
    """Run every cell with every choice of options, the longest first, in two processes."""
    choices = [dict(zip(options, values, strict=True)) for values in product(*options.values())]
    runs = [Run(name, cell, choice) for name, cell in cells.items() for choice in choices]
    longest_first = sorted(runs, key=lambda run: -run.options["steps"] * run.cell.blocks)
    with _processes() as pool:
        results = dict(zip(map(id, longest_first), pool.map(_call, longest_first), strict=True))
    return {
        "seeds": list(SEEDS),
        "updates": UPDATES,  # of every run that does not name its own
        "batch": 32,
        "parameters": {name: cell.num_parameters for name, cell in cells.items()},
        "runs": [results[id(run)] for run in runs],
    }


def remember() -> dict[str, Any]:
    """Measure success against T: RNNs, and LSTMs by forget bias, at two learning rates."""
    return _record(MEMORY_CELLS, steps=MEMORY_STEPS, lr=LEARNING_RATES)


def activations() -> dict[str, Any]:
    """Replace the tanh of the LSTM by ReLU, or leave out the one at the output."""
    return _record(
        ACTIVATION_CELLS, steps=ACTIVATION_STEPS, lr=LEARNING_RATES, max_norm=(1.0, None)
    )


def clipping() -> dict[str, Any]:
    """Train with and without norm clipping where gradients were seen to explode."""
    cells = {name: MEMORY_CELLS[name] for name in ("RNN, orthogonal start", "LSTM, forget bias 5")}
    return _record(cells, steps=(100,), lr=LEARNING_RATES, max_norm=(1.0, None))


def budget() -> dict[str, Any]:
    """Give those that failed at T = 50 five times as many updates."""
    names = ("RNN", "RNN, equal parameters", "LSTM, forget bias 0", "LSTM, forget bias 1")
    cells = {name: MEMORY_CELLS[name] for name in names}
    return _record(cells, steps=(50,), lr=LEARNING_RATES, updates=(5 * UPDATES,))


def data() -> dict[str, Any]:
    """Measure test accuracy and overfitting against the number of training images."""
    runs = [
        partial(digits.train_on_digits, *choice)
        for choice in product(digits.MODELS, digits.TRAIN_SIZES, digits.SEEDS)
    ]
    with _processes() as pool:
        return digits.about() | {"runs": list(pool.map(_call, runs))}


EXPERIMENTS = {run.__name__: run for run in (remember, activations, clipping, budget, data)}
"""Name → what runs the experiment and returns its settings and results."""
