"""What the page for teachers says of chapters and exercises is true of them."""

from __future__ import annotations

import re

import nbformat
import pytest
from lstm_book import binding
from lstm_book.sphinx import teaching

from tests.conftest import ROOT

BOOK = ROOT / "book"
CHAPTERS = sorted(BOOK.glob("[0-9]*.ipynb"))
PAGE = (BOOK / "teaching.md").read_text(encoding="utf-8")
QUESTION = "```{exercise} a title\n:label: ex-a\n\n" + 180 * "word " + "\n```"


def minutes(tmp_path, *sources):
    """Return the exercises of a chapter with these cells; a list is a cell of code."""
    cells = [
        nbformat.v4.new_code_cell("\n".join(source))
        if isinstance(source, list)
        else nbformat.v4.new_markdown_cell(source)
        for source in sources
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "01_chapter.ipynb")
    return teaching.exercises(tmp_path / "01_chapter.ipynb")


def test_minutes_follow_from_question_and_solution(tmp_path):
    solution = "```{solution-start} ex-a\n:class: dropdown\n```"
    end = "```{solution-end}\n```"
    code = [f"line({n})" for n in range(7)]
    assert minutes(tmp_path, QUESTION) == [("ex-a", 5)]
    # A minute to read; two words and "```" of the directive are half a minute; seven lines.
    assert minutes(tmp_path, QUESTION, solution, code, end, code) == [("ex-a", 10)]
    long = solution + "\n" + 100 * "word "
    assert minutes(tmp_path, QUESTION, long, code, end) == [("ex-a", 15)]
    for title, stated in (("two minutes", 2), ("open", None)):
        question = QUESTION.replace("a title", title)
        assert minutes(tmp_path, question, long, code, end) == [("ex-a", stated)]


def test_every_exercise_is_listed_once():
    listed = re.findall(r"\{ref\}`(ex-[\w-]+)`&nbsp;\((\d+|open)\)", teaching.table(BOOK))
    there = [
        label
        for path in CHAPTERS
        for label in re.findall(r"\{exercise\}.*\n:label: (\S+)", binding.page_text(path))
    ]
    assert [label for label, _ in listed] == there
    assert len(there) > 50


def test_a_term_covers_every_chapter():
    (term,) = re.findall(r"^## One term$(.*?)^## ", PAGE, re.DOTALL | re.MULTILINE)
    labels = [re.match(r"\((.*)\)=", binding.page_text(path))[1] for path in CHAPTERS]
    assert re.findall(r"<(ch-[\w-]+)>", term) == labels


@pytest.mark.parametrize("words", re.findall(r"\{reading-time\}`([^`]+)`", PAGE))
def test_reading_times_are_of_chapters(words):
    assert all(len(list(BOOK.glob(f"{word}*.ipynb"))) == 1 for word in words.split())
