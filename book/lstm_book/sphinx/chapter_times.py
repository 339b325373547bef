"""Sphinx extension: how long a chapter takes to read and to run, never typed.

``{run-time}`here` `` becomes "13 seconds on 2 CPU cores", as ``make times`` measured it for the
page on which it stands; ``{run-time}`longest` `` is the same of the chapter that takes longest.
``{reading-time}`here` `` becomes "15 minutes": the words of the page's text. Names of pages in the
place of ``here`` give the minutes of all of them.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

from lstm_book.binding import page_text
from lstm_book.checkout import ROOT

RECORD = ROOT / "results" / "run_times.json"
WORDS_A_MINUTE = 180
"""Of a text with formulas, which count as words, and figures, which do not."""


class RunTime(SphinxRole):
    """Seconds on the clock, from a fresh kernel to the last cell."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Read the page again when the measurement changes."""
        self.env.note_dependency(str(RECORD))
        record = json.loads(RECORD.read_text(encoding="utf-8"))
        seconds = {name: times["seconds"] for name, times in record["chapters"].items()}
        page = PurePosixPath(self.env.docname).name
        if self.text == "longest":
            page = max(seconds, key=seconds.get)
        if page not in seconds:
            message = f"run-time: {page} was not measured yet: make times NB=book/{page}.ipynb"
            logging.getLogger(__name__).warning(message, location=self.get_location())
            return [], []
        cores = record["machine"]["cores"]
        return [nodes.Text(f"{seconds[page]:.0f} seconds on {cores} CPU cores")], []


class ReadingTime(SphinxRole):
    """Minutes for the text, without the exercises' code."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Count the words of the page on which the role stands, or of those it names."""
        page = Path(self.env.doc2path(self.env.docname))
        pages = [page] if self.text == "here" else self._named(page.parent)
        words = sum(len(page_text(each).split()) for each in pages)
        minutes = max(1, round(words / WORDS_A_MINUTE))
        return [nodes.Text(f"{minutes}\N{NO-BREAK SPACE}minute{'s' * (minutes > 1)}")], []

    def _named(self, folder: Path) -> list[Path]:
        """Return the notebooks whose names begin with the words of the role."""
        return [path for word in self.text.split() for path in folder.glob(f"{word}*.ipynb")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Give the book the roles."""
    app.add_role("run-time", RunTime())
    app.add_role("reading-time", ReadingTime())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
