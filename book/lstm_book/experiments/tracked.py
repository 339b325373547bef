"""What the record of state and recall says, read without numba and PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np

Record = dict[str, Any]


def runs(record: Record, task: str, name: str, part: str = "result") -> list[dict[str, Any]]:
    """Return a contestant's runs on a task: those that count, or those that chose the rate."""
    wanted = {"task": task, "name": name, "part": part}
    return [run for run in record["runs"] if wanted.items() <= run.items()]


def sizes(record: Record, task: str) -> list[int]:
    """Return the lengths, or numbers of pairs, at which a task was tested."""
    found = [run for run in record["runs"] if run["task"] == task and run["part"] == "result"]
    return [int(size) for size in next(run["accuracy"] for run in found if "accuracy" in run)]


def scores(record: Record, task: str, name: str, key: str = "accuracy") -> np.ndarray:
    """Return the shares of right answers, (seeds, sizes); 0 where a training diverged.

    Parameters
    ----------
    record : dict
        What :func:`lstm_book.experiments.load_record` returns for ``"tracking"``.
    task, name : str
        Which task and contestant.
    key : {"accuracy", "unbroken"}
        Of the answers around each length, or of sequences without a mistake up to it.
    """
    columns = [str(size) for size in sizes(record, task)]
    found = runs(record, task, name)
    return np.array([[run.get(key, {}).get(c, 0.0) for c in columns] for run in found])


def loss_after(record: Record, task: str, name: str, updates: int) -> np.ndarray:
    """Return each seed's training loss around an update, (seeds,).

    The mean of that twentieth of the run in which the update lies; of the last one where the run
    had fewer.
    """
    losses = []
    for run in runs(record, task, name):
        parts = np.array_split(np.arange(run["updates"]), len(run["losses"]))
        place = sum(updates > part[-1] + 1 for part in parts[:-1])
        losses.append(run["losses"][place])
    return np.array(losses)


def rates(record: Record, task: str, name: str) -> tuple[list[float], float]:
    """Return the learning rates that a contestant tried on a task, and the one chosen."""
    tried = sorted({run["lr"] for run in runs(record, task, name, "choice")})
    return tried, runs(record, task, name)[0]["lr"]


def chosen_at_an_edge(record: Record) -> list[tuple[str, str, float]]:
    """Return task, contestant and rate wherever nothing lower, or nothing higher, was tried."""
    found = sorted({(run["task"], run["name"]) for run in record["runs"]})
    chosen = [(*pair, *rates(record, *pair)) for pair in found]
    return [(task, name, lr) for task, name, tried, lr in chosen if lr in (tried[0], tried[-1])]
