"""One run of the contest of state and recall: a contestant learns a task, and is tested."""

from __future__ import annotations

from time import process_time
from typing import Any

import numpy as np

from lstm import checks
from lstm_book.experiments.tracking import (
    BATCH,
    CONTESTANTS,
    IGNORED,
    RECURRENT,
    TESTED,
    NumpyLearner,
    Task,
)


def learner(name: str, task: Task, seed: int) -> Any:
    """Return a contestant that has learnt nothing yet, with ``learn`` and ``answers``."""
    checks.one_of("name", name, CONTESTANTS)
    if name in RECURRENT:
        return NumpyLearner(name, task, seed)
    from lstm_book.experiments import parallel

    return parallel.ParallelLearner(name, task, seed)


def train(name: str, task: Task, lr: float, seed: int, seconds: float, most: int) -> dict[str, Any]:
    """Train one network for so many seconds of processor time, and test it.

    Parameters
    ----------
    name, task, seed
        Which contestant, with what and from where.
    lr : float
        Learning rate of the first update; it falls in a straight line to 0 at the last.
    seconds : float
        Processor time for the updates, the drawing of their batches included.
    most : int
        Largest size at which it is tested.

    Returns
    -------
    dict
        ``updates``; ``losses``, the means of twenty equal parts of them; ``error`` where the loss
        was not finite; ``parameters``; ``accuracy`` and ``unbroken``: see :func:`accuracies`.
    """
    network, data = learner(name, task, seed), np.random.default_rng([seed, 1])
    sizes = [int(size) for size in task.train_sizes]
    learner(name, task, seed).learn(*task.draw(np.random.default_rng(0), BATCH, 2), lr)  # compiles
    losses, start, spent = [], process_time(), 0.0
    while spent < seconds:
        batch = task.draw(data, BATCH, int(data.choice(sizes)))
        losses.append(network.learn(*batch, lr * (1 - spent / seconds)))
        if not np.isfinite(losses[-1]):
            return {"updates": len(losses), "error": "the loss is not finite"}
        spent = process_time() - start
    return {
        "updates": len(losses),
        "losses": [float(np.mean(part)) for part in np.array_split(losses, min(20, len(losses)))],
        "parameters": network.num_parameters,
        **accuracies(network, task, seed, most),
    }


def accuracies(network: Any, task: Task, seed: int, most: int) -> dict[str, dict[str, float]]:
    """Return what share of the answers is right, on sequences that no network has seen.

    No network looks ahead, so one pass over the longest sequences tells all lengths.

    Returns
    -------
    dict
        ``accuracy``: size → share; of the last tenth of so many steps, or of all questions about
        so many pairs. ``unbroken``: length → share of the sequences without a mistake so far.
    """
    rng = np.random.default_rng([seed, 2])
    sizes = [size for size in task.test_sizes if size <= most]
    if not task.every_step:
        accuracy = {}
        for size in sizes:
            x, y = task.draw(rng, TESTED, size)
            accuracy[str(size)] = float((network.answers(x) == y)[y != IGNORED].mean())
        return {"accuracy": accuracy}
    x, y = task.draw(rng, TESTED, max(sizes))
    right = network.answers(x) == y
    return {
        "accuracy": {str(size): float(right[size - size // 10 : size].mean()) for size in sizes},
        "unbroken": {str(size): float(right[:size].all(axis=0).mean()) for size in sizes},
    }
