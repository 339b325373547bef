"""Every numbered equation has one page, one function with the same LaTeX, and a test of its own."""

import re
from collections import Counter
from pathlib import Path

import pytest
from lstm_book import binding

from lstm.equations import EQUATIONS

ROOT = Path(__file__).parents[2]
PAGES = binding.page_equations(ROOT / "book")
TESTS = binding.marked_tests(ROOT / "tests")
ON_PAGES = {equation.label: equation for equation in PAGES}


def test_a_label_stands_on_one_page_only():
    counts = Counter(label for label, _, _ in PAGES)
    twice = [equation[:2] for equation in PAGES if counts[equation.label] > 1]
    assert not twice, f"labels defined more than once: {twice}"


def test_equations_are_numbered_in_math_blocks_alone():
    """The reader of pages knows no other way; Sphinx does."""
    for path in [*(ROOT / "book").glob("*.ipynb"), *(ROOT / "book").glob("*.md")]:
        text = binding.page_text(path)
        read = [label for label, _, _ in binding.equations_in(text, path.name)]
        assert re.findall(r"^[ \t]*:label:[ \t]*(eq-\S+)", text, re.MULTILINE) == read
        assert not re.search(r"\$\$[ \t]*\([\w-]+\)", text)


def test_every_label_has_a_page_a_function_and_a_test():
    assert set(ON_PAGES) == set(EQUATIONS)
    assert set(TESTS) == set(EQUATIONS)


@pytest.mark.parametrize("label", sorted(ON_PAGES.keys() & EQUATIONS.keys()))
def test_page_and_function_write_the_same_formula(label):
    function = EQUATIONS[label]
    assert f"``{label}``" in function.__doc__
    latex = binding.docstring_latex(function)
    assert latex == ON_PAGES[label].latex, f"{ON_PAGES[label].page} and {function} differ"


SIX_LINES = ["forget-gate", "input-gate", "candidate", "output-gate", "cell-state", "hidden-state"]
REPEATED = {
    "01_ten_minutes.ipynb": SIX_LINES,
    "03_gates.ipynb": [*SIX_LINES, *SIX_LINES, "preactivation"],
    "intro.md": ["preactivation"],
    "notation.md": ["preactivation"],
    "zh.md": SIX_LINES,
}


@pytest.mark.parametrize("page", REPEATED)
def test_the_six_lines_are_the_same_wherever_they_stand(page):
    """In colour, too: each as often as it is listed."""
    text = binding.normalized(binding.page_text(ROOT / "book" / page)).replace("&=", "=")
    text = re.sub(r"\\(?:class|style)\{[^{}]*\}\{((?:[^{}]|\{[^{}]*\})*)\}", r"\1", text)
    counts = {
        name: text.count(ON_PAGES[f"eq-{name}"].latex) for name in [*SIX_LINES, "preactivation"]
    }
    assert +Counter(counts) == Counter(REPEATED[page])


def test_the_index_lists_every_equation():
    listed = binding.index(ROOT)
    for label in ON_PAGES:
        (line,) = (line for line in listed.splitlines() if f"{{eq}}`{label}`" in line)
        assert all(f"`{test}`" in line for test in TESTS[label])
