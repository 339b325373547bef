"""What the record of writing says, read without numba and PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np

Record = dict[str, Any]


def runs(record: Record, name: str, part: str = "result", **options: Any) -> list[dict[str, Any]]:
    """Return a network's runs of one kind, those alone whose options are the wanted ones.

    Parameters
    ----------
    record : dict
        What :func:`lstm_book.experiments.load_record` returns for ``"writing"``.
    name : {"LSTM", "Transformer"}
        Which network.
    part : {"result", "choice", "window", "curve", "longer", "fresh"}
        What the runs are for.
    **options
        For example ``lr=0.01``, ``window=16, carry=False`` or ``fraction=0.25``.
    """
    wanted = {"name": name, "part": part} | options
    return [run for run in record["runs"] if wanted.items() <= run.items()]


def bits(record: Record, name: str, text: str, part: str = "result", **options: Any) -> np.ndarray:
    """Return the bits a character of one text, a number for each seed."""
    return np.array([run["bits"][text] for run in runs(record, name, part, **options)])


def counted(record: Record, fraction: float = 1) -> dict[str, Any]:
    """Return what was learnt by counting from a fraction of the text."""
    return next(each for each in record["counted"] if each["fraction"] == fraction)


def ngram(record: Record, text: str, fraction: float = 1) -> float:
    """Return the bits a character of the n-grams of the chosen order."""
    found = counted(record, fraction)
    return found["orders"][str(found["order"])][text]


def rates(record: Record, name: str) -> tuple[list[float], float]:
    """Return the learning rates that a network tried, and the one chosen."""
    tried = sorted({run["lr"] for run in runs(record, name, "choice")})
    return tried, runs(record, name)[0]["lr"]
