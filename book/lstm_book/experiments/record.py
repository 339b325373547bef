"""One experiment, one JSON file: settings, seeds, command, versions, results."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lstm_book.checkout import ROOT


def load_record(name: str) -> dict[str, Any]:
    """Return what ``python -m lstm_book.experiments NAME`` wrote.

    Raises
    ------
    FileNotFoundError
        If it was never run in this checkout; the message holds the command.
    """
    path = ROOT / "results" / "experiments" / f"{name}.json"
    if not path.exists():
        raise FileNotFoundError(f"no {path}: make it with `{command(name)}`")
    return json.loads(path.read_text(encoding="utf-8"))


def save_record(name: str, content: dict[str, Any], seconds: float) -> Path:
    """Write a record beside the others and return its path."""
    about = {
        "experiment": name,
        "command": command(name),
        "versions": {
            "python": platform.python_version(),
            "numpy": version("numpy"),
            "torch": version("torch"),
        },
        "machine": platform.machine(),
        "seconds": round(seconds, 1),
    }
    path = ROOT / "results" / "experiments" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(about | content, indent=1) + "\n", encoding="utf-8")
    return path


def command(name: str) -> str:
    """Return the command that makes a record."""
    return f"python -m lstm_book.experiments {name}"
