"""What was run: one JSON file for each recipe, model, engine and scale, with all its seeds."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

import lstm

Record = dict[str, Any]

# 97.5 % points of Student's t for 1, 2, ... degrees of freedom: half widths of 95 % intervals.
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


class RecordError(RuntimeError):
    """A record cannot be read or added to; the message says why and what to do."""


def read(path: Path) -> Record:
    """Read one record."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return record | {"runs": list(record["runs"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{path} is not a record of `python -m lstm train` ({error!r})") from None


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


def summary(values: Sequence[float]) -> tuple[float, float, float]:
    """Return mean, standard deviation and the half width of the 95 % interval of the mean.

    Parameters
    ----------
    values : sequence of float
        One per seed. With a single one the last two are not known: NaN.
    """
    count = len(values)
    if count < 2:
        return float(np.mean(values)), float("nan"), float("nan")
    deviation = float(np.std(values, ddof=1))
    freedom = count - 1
    # Beyond the table its expansion in 1/freedom is good to a thousandth.
    far = 1.96 + 2.372 / freedom + 2.822 / freedom**2
    student = STUDENT[freedom - 1] if freedom <= len(STUDENT) else far
    return float(np.mean(values)), deviation, student * deviation / count**0.5


def table(records: Iterable[Record]) -> str:
    """Return records as a table in text, the best accuracy first within a recipe and scale."""
    lines = []
    for record in records:
        runs = record["runs"]
        metric = "accuracy" if "accuracy" in runs[0]["test"] else "loss"
        mean, deviation, interval = summary([run["test"][metric] for run in runs])
        shown = f"{100 * mean:.2f} %" if metric == "accuracy" else f"{mean:.4f}"
        factor, digits = (100, 2) if metric == "accuracy" else (1, 4)
        spread = "" if np.isnan(deviation) else f"± {factor * deviation:.{digits}f}"
        interval = "" if np.isnan(interval) else f"± {factor * interval:.{digits}f}"
        seconds = [run["cpu_seconds"] for run in runs if not run.get("resumed")]
        minutes = f"{np.mean(seconds) / 60:.1f}" if seconds else ""
        parameters = f"{record['parameters']:,}" if record.get("parameters") else ""
        lines.append(
            (
                (record["recipe"], record["scale"], -mean if metric == "accuracy" else mean),
                (
                    record["recipe"],
                    record["scale"],
                    record["model"],
                    record["engine"] or "",
                    str(len(runs)),
                    metric,
                    shown,
                    spread,
                    interval,
                    parameters,
                    minutes,
                ),
            )
        )
    head = ("recipe", "scale", "model", "engine", "seeds", "test", "mean", "sd", "95 % interval")
    rows = [(*head, "parameters", "CPU minutes a seed"), *(row for _, row in sorted(lines))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
