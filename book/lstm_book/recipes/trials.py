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


def add(folder: Path, line: Trial) -> None:
    """Add a line to the log of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / NAME).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read(folder: Path) -> list[Trial]:
    """Return the log of a folder, empty if there is none."""
    path = folder / NAME
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]
