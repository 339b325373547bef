"""One experiment, one JSON file: settings, seeds, command, versions, results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lstm.checkpoint import replace_file
from lstm_book.checkout import ROOT
from lstm_book.recipes import records

FOLDER = ROOT / "results" / "experiments"


def command(name: str) -> str:
    """Return the command that makes a record today."""
    timed = name == "cost"
    return "python -m benchmarks.cost" if timed else f"python -m lstm_book.experiments {name}"


def load_record(name: str) -> dict[str, Any]:
    """Return what an experiment wrote; its ``"command"`` is the one that repeats it today.

    Raises
    ------
    FileNotFoundError
        If it was never run in this checkout; the message holds the command.
    """
    path = FOLDER / f"{name}.json"
    if not path.exists():
        raise FileNotFoundError(f"no {path}: make it with `{command(name)}`")
    return json.loads(path.read_text(encoding="utf-8")) | {"command": command(name)}


def runs_of(record: dict[str, Any], name: str, **wanted: Any) -> list[dict[str, Any]]:
    """Return the runs of one contestant, those alone whose settings are the wanted ones.

    Parameters
    ----------
    record : dict
        What :func:`load_record` returns.
    name : str
        A key of its ``"parameters"``.
    **wanted
        Settings, for example ``steps=50, lr=0.01``.
    """
    return [
        run
        for run in record["runs"]
        if run["name"] == name and all(run[key] == value for key, value in wanted.items())
    ]


def save_record(name: str, content: dict[str, Any], seconds: float) -> Path:
    """Write a record beside the others and return its path."""
    path = FOLDER / f"{name}.json"
    about = {"experiment": name, "command": command(name), **records.environment()}
    record = about | {"seconds": round(seconds, 1)} | content
    replace_file(path, (json.dumps(record, indent=1) + "\n").encode())
    return path
