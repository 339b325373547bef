"""Measure how long the chapters take, and write the page that says so.

``make times`` runs every notebook and records ``results/run_times.json``; then, or alone with
``python book/run_times.py --page``, the records in ``results/`` become ``book/run_times.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "results" / "run_times.json"
PAGE = ROOT / "book" / "run_times.md"
INTRODUCTION = """\
<!-- Written by `python book/run_times.py --page` from the records in results/. -->
# How long everything takes

No number on this page was typed: `python book/run_times.py --page` writes it from the records in
`results/`, and a test compares the two. Each chapter says at its top how long it takes.
"""


def measure(paths: list[Path]) -> dict:
    """Run each notebook; return wall and processor seconds, with the machine."""
    from execute import run  # beside this script

    chapters = {}
    for path in paths:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = run(nbformat.read(path, as_version=4), path.parent)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        chapters[path.stem] = {"seconds": round(seconds, 1), "cpu": round(busy, 1)}
        print(f"{path.stem}: {seconds:.1f} s")
    machine = {"cores": os.cpu_count(), "system": platform.system()}
    return {"command": "make times", "machine": machine, "chapters": chapters}


def title(path: Path) -> str:
    """Return the heading of a notebook."""
    cells = nbformat.read(path, as_version=4).cells
    return cells[0].source.splitlines()[0].removeprefix("# ")


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
        f"{record['machine']['cores']} cores: `{record['command']}`.",
        "",
        "| | chapter | seconds | of a processor |",
        "| --- | --- | ---: | ---: |",
        *rows,
        "",
    ]


def recorded(root: Path) -> list[tuple[str, float, int]]:
    """Return (command, seconds, number of runs) of every recorded run that says its seconds."""
    found = []
    for path in sorted((root / "results").rglob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict) or "command" not in record:
            continue
        runs = record.get("runs", [])
        seconds = record.get("seconds")
        if seconds is None and runs:
            parts = [run.get("seconds") for run in runs if isinstance(run, dict)]
            if not parts or None in parts:
                continue
            seconds = sum(parts)
        if seconds is not None:
            found.append((record["command"], float(seconds), len(runs)))
    return found


def page(root: Path) -> str:
    """Return the page that the records give."""
    rows = [
        f"| `{command}` | {runs or 1} | {seconds / 60:.1f} |"
        for command, seconds, runs in recorded(root)
    ]
    return "\n".join(
        [
            INTRODUCTION,
            *chapters(root),
            "## Recorded runs",
            "",
            "What takes too long for a chapter is run once, and its record read by the chapters.",
            "",
            "| command | runs | minutes |",
            "| --- | ---: | ---: |",
            *rows,
            "",
        ]
    )


def main() -> None:
    """Measure, if asked to, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--page", action="store_true", help="write the page, run nothing"
    )
    if not parser.parse_args().page:
        record = measure(sorted((ROOT / "book").glob("[0-9]*.ipynb")))
        RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(ROOT), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
