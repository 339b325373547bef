"""Sphinx extension: where a page says ``{equation-index}``, list every equation of the book."""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx

from lstm_book import binding

PLACE = "```{equation-index}\n```"


def fill(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the list in its place in the text of a page, before it is read as Markdown."""
    if PLACE in source[0]:
        source[0] = source[0].replace(PLACE, binding.index(Path(app.srcdir)))


def setup(app: Sphinx) -> dict[str, bool]:
    """Look at the text of every page."""
    app.connect("source-read", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
