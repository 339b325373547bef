"""Measure how long the chapters take, and write the page that says so.

``make times`` runs every notebook and records ``results/run_times.json``; then, or alone with
``python -m lstm_book.press.run_times --page``, the records in ``results/`` become
``book/run_times.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
from pathlib import Path
from typing import NamedTuple

import nbformat

from lstm_book.binding import title
from lstm_book.checkout import ROOT
from lstm_book.experiments import record as experiments
from lstm_book.press.execute import run
from lstm_book.recipes import records
from lstm_book.recipes.records import cpu

RECORD = ROOT / "results" / "run_times.json"
PAGE = ROOT / "book" / "run_times.md"
INTRODUCTION = """\
<!-- Written by `python -m lstm_book.press.run_times --page` from the records in results/. -->
# How long everything takes

No number on this page was typed: `python -m lstm_book.press.run_times --page` writes it from the
records in `results/`, and a test compares the two. Each chapter says at its top how long it takes.
"""

RUNS = """\
What takes too long for a chapter is run once, and its record read by the chapters. The processor
was {processors}. The machine did other things at the same time, so the minutes on the clock say
little; those of a processor are what a run needs. Where a record does not have them, nothing stands
there.
"""


def measure(paths: list[Path]) -> dict:
    """Run each notebook; return wall and processor seconds, with the machine."""
    chapters = {}
    for path in paths:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = run(nbformat.read(path, as_version=4), path.parent)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        chapters[path.stem] = {"seconds": round(seconds, 1), "cpu": round(busy, 1)}
        print(f"{path.stem}: {seconds:.1f} s")
    machine = {"cpu": cpu(), "cores": os.cpu_count(), "system": platform.system()}
    return {"command": "make times", "machine": machine, "chapters": chapters}


def joined(old: dict, new: dict) -> dict:
    """Return a record with the newer times, and without chapters that are gone."""
    if old["machine"] != new["machine"]:
        raise SystemExit(f"measured on {old['machine']}: here measure all, with make times")
    chapters = sorted((old["chapters"] | new["chapters"]).items())
    there = [(name, times) for name, times in chapters if (ROOT / f"book/{name}.ipynb").is_file()]
    return new | {"chapters": dict(there)}


def chapters(root: Path) -> list[str]:
    """Return the table of the chapters; nothing where none was measured."""
    path = root / "results" / "run_times.json"
    if not path.is_file():
        return []
    record = json.loads(path.read_text(encoding="utf-8"))
    rows = [
        f"| {name[:2]} | [{title(root / 'book' / f'{name}.ipynb')}](./{name}.ipynb) "
        f"| {times['seconds']:.1f} | {times['cpu']:.1f} |"
        for name, times in sorted(record["chapters"].items())
        if (root / "book" / f"{name}.ipynb").is_file()
    ]
    return [
        "## Chapters",
        "",
        "From a fresh kernel to the last cell, each chapter on its own, on "
        f"{record['machine']['cores']} cores of {record['machine']['cpu']}: "
        f"`{record['command']}`.",
        "",
        "| | chapter | seconds | of a processor |",
        "| --- | --- | ---: | ---: |",
        *rows,
        "",
    ]


class Row(NamedTuple):
    """A recorded command: how often it ran, how long in all, and where."""

    command: str
    runs: int
    seconds: float
    cpu_seconds: float | None
    processors: frozenset[str]


def command(record: dict) -> str:
    """Return the command that repeats a record today: the record keeps the one that made it."""
    if "experiment" in record:
        return experiments.command(record["experiment"])
    return records.command(record)


def recorded(root: Path) -> list[Row]:
    """Return the command of every record that says its seconds."""
    found = []
    for path in sorted((root / "results").rglob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if not record.keys() & {"recipe", "experiment"}:
            continue
        runs = [run for run in record.get("runs", []) if isinstance(run, dict)]
        seconds = record.get("seconds", total(runs, "seconds"))
        if seconds is not None:
            machines = (run.get("machine") or {} for run in runs)
            names = frozenset(machine["cpu"] for machine in machines if "cpu" in machine)
            row = command(record), len(runs) or 1, seconds, total(runs, "cpu_seconds")
            found.append(Row(*row, names))
    return found


def total(runs: list[dict], name: str) -> float | None:
    """Return the sum of a number over all runs; None where a run does not say it."""
    values = [run.get(name) for run in runs]
    return None if not values or None in values else sum(values)


def minutes(seconds: float | None) -> str:
    """Return seconds as minutes, and nothing where they are not known."""
    return "" if seconds is None else f"{seconds / 60:.1f}"


def page(root: Path) -> str:
    """Return the page that the records give."""
    rows = recorded(root)
    names = sorted(set().union(*(row.processors for row in rows)))
    return "\n".join(
        [
            INTRODUCTION,
            *chapters(root),
            "## Recorded runs",
            "",
            RUNS.format(processors=" or ".join(names)),
            "| command | runs | minutes | of a processor |",
            "| --- | ---: | ---: | ---: |",
            *(
                f"| `{row.command}` | {row.runs} | {minutes(row.seconds)} "
                f"| {minutes(row.cpu_seconds)} |"
                for row in rows
            ),
            "",
        ]
    )


def main() -> None:
    """Measure, if asked to, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", action="store_true", help="write the page, run nothing")
    parser.add_argument("notebooks", nargs="*", type=Path, help="these alone; without: every one")
    options = parser.parse_args()
    if not options.page:
        every = sorted((ROOT / "book").glob("[0-9]*.ipynb"))
        record = measure(options.notebooks or every)
        if options.notebooks:
            record = joined(json.loads(RECORD.read_text(encoding="utf-8")), record)
        RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(ROOT), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
