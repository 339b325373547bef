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
`tests/mutants/test_mutants.py` repeats this on every run and fails if a mutant gets through, or if this
page is out of date.

Read it from either side. As a reader of the derivation: this is what each factor is for. As an
author of code: these are the checks that your own LSTM should pass, and what each would miss.
Letters stand for the checks of the section; − is the right line, + what it becomes.

The relatives of the LSTM share code: layers, lengths and layout, which are made wrong under
`lstm.LSTM`, and the loop over time, which is made wrong under `lstm.PeepholeLSTM`. The others pass
through the same checks; listed under them are only those that a mutant of their own lines needs.
"""

SUBJECT = """
## {count} mutants of `lstm.{subject}`

| letter | check | catches (it alone) |
| --- | --- | ---: |
{rows}
"""

PART = """
### `lstm.{subject}`: {part}

| wrong | the line, and what it becomes | caught by |
| --- | --- | --- |
{rows}
"""

CHECKS = {
    "ONNX reference": "results are those of ONNX's own implementation of the operator",
    "LSTMCell in a loop": "one layer is `lstm.LSTMCell` step by step, forward and backward",
    "absent gradients": "a gradient that is not given counts as zeros",
    "arguments untouched": "the caller's arrays are neither changed nor kept",
    "autograd": "results and gradients are those of a plain loop in PyTorch",
    "central differences": "gradients are those of small differences of the loss",
    "chunks": "a sequence in pieces, states and their gradients handed on, is the whole sequence",
    "complex step": "gradients are those of the complex step, to rounding",
    "dropout": "dropout acts between the layers, in training only, and is differentiated",
    "inference": "evaluation mode gives the same results",
    "large inputs": "saturated gates neither overflow nor divide by zero",
    "large matrices": "matrices that are multiplied in parts",
    "layouts": "batch first, one sequence alone, absent states and gradients",
    "long sequences": "150 steps: more than are computed at a time",
    "many steps": "six steps in a loop: states go forward, gradients back",
    "non-contiguous": "views and strides do not matter",
    "padding never read": "NaN behind the end of a sequence does no harm",
    "peepholes of zero": "without peepholes it is `lstm.LSTM`",
    "reuse": "one layer, batches of many shapes: no call changes what another returned",
    "torch.nn.LSTM": "results and gradients are PyTorch's, for every feature",
    "torch.nn.LSTMCell": "results and gradients are PyTorch's, for every feature",
    "training steps": "two steps of gradient descent and an added gradient are PyTorch's",
    "truncated": "states go on to the next piece of a sequence, gradients do not",
    "without bias": "no bias is the same as biases of zero",
}
"""What each check asks, in a line."""


def render(table: dict) -> str:
    """Return the page as Markdown."""
    text = HEAD.format(command=table["command"], count=len(table["mutants"]))
    for subject, checks in table["checks"].items():
        mutants = [mutant for mutant in table["mutants"] if mutant["subject"] == subject]
        needed = {name for mutant in mutants for name in mutant["killed_by"]}
        letters = dict(zip(filter(needed.__contains__, checks), ascii_uppercase, strict=False))
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
        f"| {letter} | **{name}**: {CHECKS[name]} | {caught[name]}\u00a0({alone[name]}) |"
        for name, letter in letters.items()
    ]


def _mutant_row(mutant: dict, letters: dict[str, str]) -> str:
    found = [letters[name] for name in mutant["killed_by"]]
    by = " ".join("\u00a0".join(found[start : start + 5]) for start in range(0, len(found), 5))
    old, new = (f"`{mutant[key]}`".replace("|", "\\|") for key in ("old", "new"))
    return f"| {mutant['wrong']} | −\u00a0{old}<br>+\u00a0{new} | {by} |"


def write(table: dict) -> None:
    """Write both files."""
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(render(table))
