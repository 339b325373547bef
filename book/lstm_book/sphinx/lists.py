"""Sphinx extension: ``{equation-index}`` and ``{exercise-list}`` are lists of all in the book."""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx

from lstm_book import binding
from lstm_book.sphinx import teaching

LISTS = {
    "equation-index": binding.index,
    "exercise-list": lambda root: teaching.table(root / "book"),
}
"""What a page says in braces → from the folder of the project to Markdown."""


def fill(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the lists in their places in the text of a page, before it is read as Markdown."""
    for name, make in LISTS.items():
        place = f"```{{{name}}}\n```"
        if place in source[0]:
            source[0] = source[0].replace(place, make(Path(app.srcdir)))


def setup(app: Sphinx) -> dict[str, bool]:
    """Look at the text of every page."""
    app.connect("source-read", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
