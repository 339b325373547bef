"""Every numbered formula is computed from its LaTeX and compared with its function.

A page and a docstring that are wrong together are noticed here: tests/book/test_binding.py
compares them with each other only.
"""

import re
from collections import Counter
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from lstm_book import binding

from lstm.equations import EQUATIONS
from tests.book import changes, latex, numbers
from tests.book.formulas import Case

LABELS = sorted(EQUATIONS)
# A sum from 0 with an empty first term; the gradient before a tanh, which is handed over whichever
# step it is of.
NOT_NOTICED = {"eq-bptt-double-sum": 1, "eq-truncated-bptt": 1, "eq-rnn-d-inputs": 1}


def formula(label: str) -> str:
    return binding.docstring_latex(EQUATIONS[label])


@pytest.mark.parametrize("label", LABELS)
def test_the_formula_gives_what_its_function_gives(label):
    for seed in range(2):
        Case(label, seed).compare(formula(label))


@pytest.mark.slow
def test_every_slip_is_noticed():
    """A sign, an index, a gate, a function, a transpose, a factor or a limit: each, everywhere."""
    missed, count = Counter(), 0
    for label in LABELS:
        case = Case(label, 0)
        for _, changed in changes.changes(formula(label)):
            missed[label] += case.agrees(changed)
            count += 1
    assert +missed == NOT_NOTICED
    assert count > 1600


def test_a_formula_with_a_token_of_another_is_noticed():
    """Blindly: some commas and spaces are among them."""
    missed = []
    for label in LABELS:
        changed = changes.blind(formula(label), np.random.default_rng(crc32(label.encode())))
        missed += [changed] * Case(label, 0).agrees(changed)
    assert len(missed) <= 2, missed


def test_every_symbol_of_a_formula_stands_in_the_notation():
    """In a first column; the gates' and the times' indices are left out."""
    page = binding.page_text(Path(__file__).parents[2] / "book" / "notation.md")
    listed = set()
    for row in re.findall(r"^\| (\$.*?) \|", page, re.MULTILINE):
        for side in re.findall(r"[^$;,]*(?:\$([^$]*)\$)", row):
            listed |= set().union(*map(readable, re.split(", (?![^{(]*[})])", side)))
    missing = {}
    for label in LABELS:
        display = latex.Display(formula(label))
        for side in [display.premise, *(side for sides, _ in display.statements for side in sides)]:
            for symbol in set().union(*map(readable, side.split(" = "))) - listed:
                missing[symbol] = label
    assert not missing


def calculations() -> list[tuple[str, str, str]]:
    """Return page, left and right side of every equals sign between sides that can be computed."""
    found = []
    for name, path in numbers.pages().items():
        text = re.sub(r"`[^`\n]*`", "", numbers.without_blocks(binding.page_text(path)))
        for display, inline in re.findall(r"\$\$(.*?)\$\$|\$([^$]+)\$", text, re.DOTALL):
            math = latex.plain(re.sub(r"\\(begin|end)\{aligned\}", "", display or inline))
            for line in re.split(r"\\\\(?! *&? *=)|(?<=,) *&|\\qquad", math):
                sides = latex.split(re.sub(r"&|\\\\", " ", line.replace(r"\approx", "=")))
                pairs = zip(sides[::2], sides[1::2], sides[2::2], strict=False)
                found += [
                    (name, a.strip(" ,."), b.strip(" ,.")) for a, sign, b in pairs if sign == "="
                ]
    return [
        each for each in found if computed(each[1]) is not None and computed(each[2]) is not None
    ]


def computed(side: str) -> float | None:
    """Return the value of a side without symbols."""
    try:
        return float(latex.Evaluator({}, {}, {}).of(side))
    except (latex.FormulaError, TypeError, ValueError):
        return None


def decimals(side: str) -> int:
    return max([len(each) for each in re.findall(r"\.(\d+)", side)], default=0)


def holds(left: str, right: str) -> bool:
    """Return whether the sides agree: exactly, or to the last digit where something was rounded."""
    step = 10.0 ** -decimals(right)
    if decimals(left) > 2:
        step *= 1.01  # what is rounded on the left is rounded once more
    else:
        step *= 0.51 if re.search(r"\\(?!cdot)|[\^/]", left) and decimals(right) else 1e-9
    return abs(computed(left) - computed(right)) <= step


CALCULATIONS = calculations()


def test_calculations_in_the_text_are_right():
    """Worked examples, step by step; the one exception is what an article prints."""
    assert len(CALCULATIONS) > 30
    wrong = [each for each in CALCULATIONS if not holds(*each[1:])]
    assert [each[1:] for each in wrong] == [(r"\tanh(10.34)", "2.31")]


def readable(side: str) -> set[str]:
    """Return the symbols of a side; none where the grammar cannot read it."""
    try:
        return latex.symbols(latex.plain(side))
    except latex.FormulaError:
        return set()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x y", "a product of shapes"),
        ("x + A", "side by side"),
        ("z", "an unknown symbol"),
        ("x_4", "an unknown symbol|4"),
        (r"\sum_{k=1} x_k", "one limit"),
        (r"\sum_{k} 2", "nothing ends"),
        (r"\sum^{3} x", "cannot read"),
        (r"\lVert x \rVert_7", "a norm"),
        (r"\diag(A)", "no function"),
        (r"x_{q}", "an unknown symbol"),
        (r"x_q", "an unknown index"),
    ],
)
def test_what_cannot_be_computed_is_an_error(text, says):
    values = {("x",): np.ones((3, 1)), ("y",): np.ones((3, 1)), ("A",): np.ones((3, 4))}
    with pytest.raises((latex.FormulaError, IndexError, ValueError), match=says):
        latex.Evaluator(values, {}, {}).of(text)
