"""The table of the mutants as a file, and as a page of the book."""

from __future__ import annotations

import json
from collections import Counter
from itertools import groupby
from pathlib import Path
from string import ascii_uppercase

ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / "results" / "mutants.json"
PAGE = ROOT / "book" / "appendix_mutants.md"

HEAD = """\
<!-- Written by `{command}`: change the mutants, the package or the checks, and run it again. -->
# {count} wrong LSTMs, and the checks that catch them

A check that never fails proves nothing. So here the package is made wrong on purpose, {count}
times: each *mutant* below is the package with one line replaced, by a slip that is easy to make or
by a formula that one of the five articles prints. Every mutant then goes through the same checks
as the right code. A check *catches* it when it raises an error; the right code passes all of them.
`tests/test_mutants.py` repeats this on every run and fails if a mutant gets through, or if this
page is out of date.

Read it from either side. As a reader of the derivation: this is what each factor is for. As an
author of code: these are the checks that your own LSTM should pass, and what each would miss.
Letters stand for the checks of the section.
"""

SUBJECT = """
## `lstm.{subject}`: {count} mutants

| letter | check | catches | it alone |
| --- | --- | ---: | ---: |
{rows}
"""

PART = """
### `lstm.{subject}`: {part}

| wrong | the line, and what it becomes | caught by |
| --- | --- | --- |
{rows}
"""


def render(table: dict) -> str:
    """Return the page as Markdown."""
    text = HEAD.format(command=table["command"], count=len(table["mutants"]))
    for subject, checks in table["checks"].items():
        letters = dict(zip(checks, ascii_uppercase, strict=False))
        mutants = [mutant for mutant in table["mutants"] if mutant["subject"] == subject]
        rows = "\n".join(_check_rows(letters, mutants))
        text += SUBJECT.format(subject=subject, count=len(mutants), rows=rows)
        for part, group in groupby(mutants, key=lambda mutant: mutant["part"]):
            rows = "\n".join(_mutant_row(mutant, letters) for mutant in group)
            text += PART.format(subject=subject, part=part, rows=rows)
    return text


def _check_rows(letters: dict[str, str], mutants: list[dict]) -> list[str]:
    caught = Counter(name for mutant in mutants for name in mutant["killed_by"])
    alone = Counter(m["killed_by"][0] for m in mutants if len(m["killed_by"]) == 1)
    return [
        f"| {letter} | {name} | {caught[name]} | {alone[name]} |"
        for name, letter in letters.items()
    ]


def _mutant_row(mutant: dict, letters: dict[str, str]) -> str:
    by = "\u00a0".join(letters[name] for name in mutant["killed_by"])
    old, new = (f"`{mutant[key]}`".replace("|", "\\|") for key in ("old", "new"))
    return f"| {mutant['wrong']} | {old}<br>{new} | {by} |"


def write(table: dict) -> None:
    """Write both files."""
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(render(table))
