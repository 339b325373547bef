"""One experiment, one JSON file: settings, seeds, command, versions, results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from lstm.checkpoint import replace_file
from lstm.signatures import checked
from lstm_book.checkout import ROOT
from lstm_book.recipes import records

FOLDER = ROOT / "results" / "experiments"


def command(name: str) -> str:
    """Return the command that makes a record today."""
    timed = name == "cost"
    return "python -m benchmarks.cost" if timed else f"python -m lstm_book.experiments {name}"


@checked
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


def save_record(
    name: str, content: dict[str, Any], seconds: float, folder: Path | None = None
) -> Path:
    """Write a record beside the others, or to another folder, and return its path."""
    path = (folder or FOLDER) / f"{name}.json"
    about = {"experiment": name, "command": command(name), **records.environment()}
    record = about | {"seconds": round(seconds, 1)} | content
    replace_file(path, _text(record).encode())
    return path


def _text(record: dict[str, Any]) -> str:
    """Write a line for each setting and each run."""
    lines = []
    for key, value in record.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            text = "[\n  " + ",\n  ".join(map(json.dumps, value)) + "\n ]"
        else:
            text = json.dumps(value)
        lines.append(f" {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


class Journal:
    """What an experiment has computed so far, so that one that was broken off goes on.

    Parameters
    ----------
    path : Path
        A file of its own, a JSON line for each result; deleted by :meth:`close`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines(True) if path.exists() else []
        whole = [line for line in lines if line.endswith("\n")]
        if len(whole) < len(lines):  # it was broken off within a line
            path.write_text("".join(whole), encoding="utf-8")
        entries = [json.loads(line) for line in whole]
        self.results = {entry["key"]: entry["result"] for entry in entries}
        self.seconds = sum(entry["seconds"] for entry in entries)

    def once(self, key: str, compute: Callable[[], Any]) -> Any:
        """Return the result of that name; compute it if it is not here yet."""
        if key not in self.results:
            start = perf_counter()
            result = compute()
            self.keep(key, result, perf_counter() - start)
        return self.results[key]

    def keep(self, key: str, result: Any, seconds: float) -> None:
        """Add a result that was computed elsewhere, and the seconds that it took."""
        line = {"key": key, "seconds": seconds, "result": rounded(result)}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.results[key] = line["result"]
        self.seconds += seconds

    def close(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)


def rounded(value: Any, digits: int = 4) -> Any:
    """Return a result with its floats rounded to so many significant digits."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, dict):
        return {key: rounded(item, digits) for key, item in value.items()}
    return [rounded(item, digits) for item in value] if isinstance(value, list) else value
