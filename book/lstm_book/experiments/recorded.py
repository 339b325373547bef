"""The recorded experiments: what is run, with which settings."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
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

CLIPPED_CELLS = {
    name: MEMORY_CELLS[name] for name in ("RNN, orthogonal start", "LSTM, forget bias 5")
}
CLIPPED_STEPS = 100


@dataclass(frozen=True)
class Run:
    """One entry of a record: a named cell and the arguments of its training."""

    name: str
    cell: Cell
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def work(self) -> int:
        """How long it may take, in arbitrary units."""
        return self.options["steps"] * self.cell.blocks

    def __call__(self) -> dict[str, Any]:
        """Train every seed, on one thread so that runs can share the processor."""
        torch.set_num_threads(1)
        result = train_to_remember(self.cell, seeds=SEEDS, **{"updates": UPDATES} | self.options)
        return {"name": self.name, **asdict(self.cell), **self.options, **result}


def _call(run: Run) -> dict[str, Any]:
    return run()


def _processes() -> ProcessPoolExecutor:
    """Start fresh processes that return what they free: 0.4 GB each in place of 11."""
    # PyTorch asks glibc for aligned blocks, and their holes in its heap are seldom filled again:
    # 3 MB are lost at every update. A large block mapped for itself is unmapped when it is freed.
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**18))
    return ProcessPoolExecutor(PROCESSES, get_context("spawn"))


def _record(runs: list[Run]) -> dict[str, Any]:
    """Run all of them, the longest first, in processes of their own."""
    order = sorted(range(len(runs)), key=lambda index: -runs[index].work)
    with _processes() as pool:
        results = dict(zip(order, pool.map(_call, [runs[i] for i in order]), strict=True))
    return {
        "seeds": list(SEEDS),
        "updates": UPDATES,  # of every run that does not name its own
        "batch": 32,
        "parameters": {run.name: run.cell.num_parameters for run in runs},
        "runs": [results[index] for index in range(len(runs))],
    }


def remember() -> dict[str, Any]:
    """Measure success against T: RNNs, and LSTMs by forget bias, at two learning rates."""
    return _record(
        [
            Run(name, cell, {"steps": steps, "lr": lr})
            for name, cell in MEMORY_CELLS.items()
            for steps in MEMORY_STEPS
            for lr in LEARNING_RATES
        ]
    )


def activations() -> dict[str, Any]:
    """Replace the tanh of the LSTM by ReLU, or leave out the one at the output."""
    return _record(
        [
            Run(name, cell, {"steps": steps, "lr": lr, "max_norm": max_norm})
            for name, cell in ACTIVATION_CELLS.items()
            for steps in ACTIVATION_STEPS
            for lr in LEARNING_RATES
            for max_norm in (1.0, None)
        ]
    )


def clipping() -> dict[str, Any]:
    """Train with and without norm clipping where gradients were seen to explode."""
    return _record(
        [
            Run(name, cell, {"steps": CLIPPED_STEPS, "lr": lr, "max_norm": max_norm})
            for name, cell in CLIPPED_CELLS.items()
            for lr in LEARNING_RATES
            for max_norm in (1.0, None)
        ]
    )


def budget() -> dict[str, Any]:
    """Give those that failed at T = 50 five times as many updates."""
    names = ("RNN", "RNN, equal parameters", "LSTM, forget bias 0", "LSTM, forget bias 1")
    return _record(
        [
            Run(name, MEMORY_CELLS[name], {"steps": 50, "lr": lr, "updates": 5 * UPDATES})
            for name in names
            for lr in LEARNING_RATES
        ]
    )


def _train_on_digits(arguments: tuple[str, int, int]) -> dict[str, Any]:
    torch.set_num_threads(1)
    name, size, seed = arguments
    return {"name": name, "size": size, "seed": seed, **digits.train_on_digits(name, size, seed)}


def data() -> dict[str, Any]:
    """Measure test accuracy and overfitting against the number of training images."""
    arguments = [
        (name, size, seed)
        for name in digits.MODELS
        for size in digits.TRAIN_SIZES
        for seed in digits.SEEDS
    ]
    with _processes() as pool:
        return digits.about() | {"runs": list(pool.map(_train_on_digits, arguments))}


EXPERIMENTS = {run.__name__: run for run in (remember, activations, clipping, budget, data)}
"""Name → what runs the experiment and returns its settings and results."""
