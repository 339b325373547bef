"""What was run: one JSON file for each recipe, model, engine and scale, with all its seeds."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

import lstm
from lstm_book.statistics import Summary, summary

Record = dict[str, Any]


KEYS = {"recipe", "model", "engine", "scale", "settings", "data", "parameters", "runs"}


class RecordError(RuntimeError):
    """A record cannot be read or added to; the message says why and what to do."""


def read(path: Path) -> Record:
    """Read one record."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not all("test" in run for run in record["runs"]) or not record.keys() >= KEYS:
            raise ValueError(f"it lacks one of {sorted(KEYS)}, or a run its test scores")
        return record
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(
            f"{path} is not a record of `python -m lstm_book train` ({error!r})"
        ) from None


def read_all(folder: Path, *scales: str) -> dict[str, Record]:
    """Return all records of a folder that hold a run, by their names; of some scales, or of all."""
    endings = scales or ("quick", "full")
    paths = sorted(path for scale in endings for path in folder.glob(f"*-{scale}.json"))
    found = {path.stem: read(path) for path in paths}
    return {name: record for name, record in found.items() if record["runs"]}


def write(path: Path, record: Record) -> None:
    """Write one record, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise RecordError(
            f"{path} could not be written ({error}): make room, and run it again"
        ) from None


def environment(threads: int | None = None) -> Record:
    """Return what a run depended on besides its settings."""
    packages = ("numpy", "torch", "scikit-learn", "numba")
    return {
        "commit": commit(),
        "versions": {"python": platform.python_version(), "lstm": lstm.__version__}
        | {name: found for name in packages if (found := _version(name))},
        "machine": {
            "cpu": cpu(),
            "cores": len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count(),
            "threads": threads or int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1),
            "system": platform.system(),
        },
    }


def commit() -> str | None:
    """Return the commit of this checkout, with ``+`` where the package was changed since."""
    root = Path(lstm.__file__).parents[1]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + (
            "+" if git("status", "--porcelain", "--", "lstm") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def cpu() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


HEAD = {
    "recipe": "recipe",
    "scale": "scale",
    "model": "model",
    "engine": "engine",
    "seeds": "seeds",
    "test": "test",
    "mean": "mean",
    "deviation": "sd",
    "of_mean": "95 % of the mean",
    "of_seed": "95 % of a seed",
    "parameters": "parameters",
    "minutes": "CPU minutes a seed",
}
"""What a line of the table says, and the heading of its column."""


def line(record: Record) -> dict[str, str]:
    """Return a record as texts, one for each of :data:`HEAD`; empty where nothing is known."""
    found, metric = _scores(record)
    factor, digits = (100, 2) if metric == "accuracy" else (1, 4)
    mean, *spread = ("" if np.isnan(x) else f"{factor * x:.{digits}f}" for x in found)
    deviation, of_mean, of_seed = ("± " * bool(text) + text for text in spread)
    seconds = [run["cpu_seconds"] for run in record["runs"] if not run.get("resumed")]
    return {name: record[name] or "" for name in ("recipe", "scale", "model", "engine")} | {
        "seeds": str(len(record["runs"])),
        "test": metric,
        "mean": mean + " %" * (metric == "accuracy"),
        "deviation": deviation,
        "of_mean": of_mean,
        "of_seed": of_seed,
        "parameters": f"{record['parameters']:,}" if record["parameters"] else "",
        "minutes": f"{np.mean(seconds) / 60:.1f}" if seconds else "",
    }


def _scores(record: Record) -> tuple[Summary, str]:
    """Return what the test part says, and in which metric."""
    scores = [run["test"] for run in record["runs"]]
    metric = "accuracy" if "accuracy" in scores[0] else "loss"
    return summary([each[metric] for each in scores]), metric


def _rank(record: Record) -> tuple[str, str, float]:
    """Return what records are sorted by: the best comes first within a recipe and scale."""
    found, metric = _scores(record)
    return record["recipe"], record["scale"], found.mean * (-1 if metric == "accuracy" else 1)


def table(records: Iterable[Record]) -> str:
    """Return records as a table in text, the best accuracy first within a recipe and scale."""
    rows = [HEAD, *map(line, sorted(records, key=_rank))]
    widths = {name: max(len(row[name]) for row in rows) for name in HEAD}
    rows.insert(1, {name: "-" * width for name, width in widths.items()})
    return "\n".join(
        "  ".join(row[name].ljust(width) for name, width in widths.items()).rstrip() for row in rows
    )
