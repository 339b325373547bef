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

CHAPTERS = """\
## Chapters

From a fresh kernel to the last cell, each chapter on its own, on {machine[cores]} cores of \
{machine[cpu]}: `{command}`.

| | chapter | seconds | of a processor |
| --- | --- | ---: | ---: |"""

RUNS = """\
## Recorded runs

What takes too long for a chapter is run once, and its record read by the chapters. The processor
was {processors}. The machine did other things at the same time, so the minutes on the clock say
little; those of a processor are what a run needs. Where a record does not have them, nothing stands
there.

| command | runs | minutes | of a processor |
| --- | ---: | ---: | ---: |"""


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
    return [CHAPTERS.format(**record), *rows, ""]


def recorded(root: Path) -> tuple[list[str], set[str]]:
    """Return a line for the command of every record that says its seconds, and the processors.

    The command is the one that repeats a record today: the record keeps the one that made it.
    """
    rows, processors = [], set()
    for path in sorted((root / "results").rglob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if "experiment" in record:
            command = experiments.command(record["experiment"])
        elif "recipe" in record:
            command = records.command(record)
        else:
            continue
        runs = [run for run in record.get("runs", []) if isinstance(run, dict)]
        seconds = record.get("seconds", total(runs, "seconds"))
        if seconds is not None:
            times = f"{minutes(seconds)} | {minutes(total(runs, 'cpu_seconds'))}"
            rows.append(f"| `{command}` | {len(runs) or 1} | {times} |")
            processors |= {run["machine"]["cpu"] for run in runs if "machine" in run}
    return rows, processors


def total(runs: list[dict], name: str) -> float | None:
    """Return the sum of a number over all runs; None where a run does not say it."""
    values = [run.get(name) for run in runs]
    return None if not values or None in values else sum(values)


def minutes(seconds: float | None) -> str:
    """Return seconds as minutes, and nothing where they are not known."""
    return "" if seconds is None else f"{seconds / 60:.1f}"


def page(root: Path) -> str:
    """Return the page that the records give."""
    rows, processors = recorded(root)
    runs = RUNS.format(processors=" or ".join(sorted(processors)))
    return "\n".join([INTRODUCTION, *chapters(root), runs, *rows, ""])


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
