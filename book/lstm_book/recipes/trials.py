"""The log of trials: what was tried, on which part, before a number was called a result.

``python -m lstm_book train ... --trial`` measures on the validation part alone, and adds a line to
``trials.jsonl`` in the folder of the records. Every look at a test part is a record, or a line of
this log that says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lstm.checkpoint import replace_file
from lstm.signatures import checked
from lstm_book.recipes import records

Trial = dict[str, Any]

NAME = "trials.jsonl"


def trial(record: dict[str, Any], run: dict[str, Any], changed: Iterable[str]) -> Trial:
    """Return the line of one trial: which settings it changed, and what came out."""
    about = {name: record[name] for name in ("recipe", "model", "engine", "scale")}
    about |= {"seed": run["seed"], "changed": list(changed), "part": "validation"}
    names = ("validation", "chosen", "cpu_seconds", "commit")
    about |= {name: run[name] for name in names if name in run}
    beside = {name: found["validation"] for name, found in run.get("beside", {}).items()}
    return about | ({"beside": beside} if beside else {})


@checked
def add(folder: Path, line: Trial) -> None:
    """Add a line to the log of a folder: it is on disk when this returns, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    with records.locked(folder):
        before = path.read_bytes() if path.exists() else b""
        replace_file(path, before + json.dumps(line).encode() + b"\n")


@checked
def read(folder: Path) -> list[Trial]:
    """Return the log of a folder, empty if there is none.

    Raises
    ------
    RecordError
        If it is damaged.
    """
    path = folder / NAME
    try:
        lines = path.read_bytes().splitlines() if path.exists() else []
        return [records.fits("line", json.loads(line), {}) for line in lines]
    except (OSError, ValueError, RecursionError) as error:
        raise records.RecordError(f"{path} is not a log of trials ({error})") from None
