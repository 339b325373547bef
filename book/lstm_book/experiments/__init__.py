"""The experiments on what the LSTM solves: small tasks, many seeds, every result recorded.

``python -m lstm_book.experiments NAME`` runs one of them and writes
``results/experiments/NAME.json`` with its settings, seeds, command and versions; broken off, it
goes on where it was. The chapters read those files, and repeat a small part of each on the page.
To run one needs numba; to read a record does not.
"""

from __future__ import annotations

from lstm_book.experiments.fresh import train_on_fresh
from lstm_book.experiments.reading import (
    at_an_edge,
    best_of,
    compare,
    comparisons,
    count,
    family,
    learnt,
    lost,
    meetings,
    run_of,
)
from lstm_book.experiments.record import load_record, runs_of

__all__ = [
    "Cell",
    "at_an_edge",
    "best_of",
    "compare",
    "comparisons",
    "count",
    "family",
    "learnt",
    "load_record",
    "lost",
    "meetings",
    "remember_task",
    "run_of",
    "runs_of",
    "train_on_fresh",
    "train_to_remember",
]


def __getattr__(name: str) -> object:
    # What trains is imported when it is asked for: a page that reads records runs without numba.
    if name in {"Cell", "remember_task", "train_to_remember"}:
        from lstm_book.experiments import memory

        return getattr(memory, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
