"""Every numbered formula is computed from its LaTeX and compared with its function.

A page and a docstring that are wrong together are noticed here: tests/book/test_binding.py
compares them with each other only.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from lstm_book import binding

from lstm.equations import EQUATIONS
from tests.book import changes, latex
from tests.book.formulas import Case

LABELS = sorted(EQUATIONS)
# A change may leave the meaning as it is: a sum from 0 whose first term is empty, 2 for 2. It may
# be a condition that still holds.
EQUIVALENT = 1


def formula(label: str) -> str:
    return binding.docstring_latex(EQUATIONS[label])


@pytest.mark.parametrize("label", LABELS)
def test_the_formula_gives_what_its_function_gives(label):
    for seed in range(2):
        Case(label, seed).compare(formula(label))


def test_a_wrong_formula_is_noticed():
    """Three slips for every formula, drawn anew only when a formula changes."""
    rng, missed, count = np.random.default_rng(1), [], 0
    for label in LABELS:
        case, all_changes = Case(label, 0), list(changes.changes(formula(label)))
        for place in rng.permutation(len(all_changes))[:3]:
            kind, changed = all_changes[place]
            count += 1
            if case.agrees(changed):
                missed.append((label, kind, changed))
    assert count > 280
    assert len(missed) <= EQUIVALENT, missed


def test_a_formula_with_a_token_of_another_is_noticed():
    rng = np.random.default_rng(2)
    wrong = [changes.blind(formula(label), rng) for label in LABELS]
    missed = [
        changed
        for label, changed in zip(LABELS, wrong, strict=True)
        if Case(label, 0).agrees(changed)
    ]
    assert len(missed) <= 3, missed


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


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"2 x^\top x", 28),
        (r"\sum_{k=1}^{3} x_k", 6),
        (r"\prod_{k=3}^{1} x_k", 1),
        (r"\max_j x_j - \min(1, 4)", 2),
        (r"J_3 J_2 \cdots J_1", 2 * 3 * 5),
        (r"J_1 J_2 \cdots J_0", 1),
        (r"\frac{6}{2} / 3", 1),
        (r"\begin{cases} 1 \amp n \le 1 \cr 7 \amp n > 1 \end{cases}", 7),
        (r"\ln e^2", 2),
        (r"\tanh'(0) + 4 \sigma'(0)", 2),
    ],
)
def test_values_that_are_known(text, value):
    values = {("x",): np.array([[1.0], [2], [3]]), ("J", 1): 2, ("J", 2): 3, ("J", 3): 5}
    evaluator = latex.Evaluator(values, {"n": 2}, {})
    assert evaluator.of(text) == pytest.approx(value, rel=1e-12)
