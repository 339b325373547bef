"""The exercises with their minutes, which :mod:`lstm_book.sphinx.lists` lists on a page.

The minutes are an estimate, not a measurement: to read the exercise, to write its solution, twenty
words a minute and a line of code a minute, rounded up to five minutes. An exercise that is called
"two minutes" takes two, one that is open takes as long as somebody likes.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import NamedTuple

from lstm_book import binding
from lstm_book.sphinx.chapter_times import WORDS_A_MINUTE

STATED = {"two minutes": 2, "open": None}
WRITTEN_A_MINUTE = 20
"""Words of a solution, which one has to find first."""
_EXERCISE = re.compile(r"\{exercise\} ?(.*)\n:label: (\S+)\n(.*?)^(?::::|```)$", re.DOTALL | re.M)
_SOLUTION = re.compile(r"```\{solution-start\} (\S+)")


class Exercise(NamedTuple):
    """An exercise: its label, and its minutes, ``None`` for an open one."""

    label: str
    minutes: int | None


def exercises(chapter: Path) -> list[Exercise]:
    """Return the exercises of a notebook, in its order."""
    titles: dict[str, str] = {}
    minutes: dict[str, float] = {}
    solved = None
    for cell in json.loads(chapter.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "code":
            if solved:
                minutes[solved] += sum(bool(line.strip()) for line in text.splitlines())
            continue
        for title, label, question in _EXERCISE.findall(text):
            titles[label] = title
            minutes[label] = len(question.split()) / WORDS_A_MINUTE
        for part in re.split(r"(?=```\{solution-)", text):
            begins = _SOLUTION.match(part)
            if begins:
                solved = begins[1]
            elif part.startswith("```{solution-end}"):
                solved = None
            if solved:
                minutes[solved] += len(part.split()) / WRITTEN_A_MINUTE
    return [
        Exercise(label, STATED.get(title, 5 * math.ceil(minutes[label] / 5)))
        for label, title in titles.items()
    ]


def table(book: Path) -> str:
    """Return the list of all chapters that have exercises, as a table in Markdown."""
    rows = ["| chapter | to read | exercises, with minutes |", "| --- | --- | --- |"]
    for path in sorted(book.glob("[0-9]*.ipynb")):
        label = re.match(r"\((.*)\)=", binding.page_text(path))[1]
        row = ", ".join(
            f"{{ref}}`{each.label}`&nbsp;({each.minutes or 'open'})" for each in exercises(path)
        )
        chapter = f"{{numref}}`{{number}}. {{name}} <{label}>`"
        rows.append(f"| {chapter} | {{reading-time}}`{path.stem}` | {row} |")
    return "\n".join(rows)
