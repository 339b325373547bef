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


def chosen_at_an_edge(record: Record) -> list[tuple[str, str, float]]:
    """Return task, contestant and rate wherever the chosen rate is the lowest or highest tried."""
    edges = min(record["learning_rates"]), max(record["learning_rates"])
    found = {(run["task"], run["name"], run["lr"]) for run in record["runs"]}
    results = {(r["task"], r["name"], r["lr"]) for r in record["runs"] if r["part"] == "result"}
    return sorted(each for each in found & results if each[2] in edges)
