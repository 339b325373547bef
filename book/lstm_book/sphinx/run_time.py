"""Sphinx extension: how long a chapter runs is read from the measurement, never typed.

``{run-time}`here` `` becomes "13 seconds on 2 CPU cores", as ``make times`` measured it for the
page on which it stands; ``{run-time}`longest` `` is the same of the chapter that takes longest.
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

from lstm_book.checkout import ROOT

RECORD = ROOT / "results" / "run_times.json"


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


def setup(app: Sphinx) -> dict[str, bool]:
    """Give the book the role."""
    app.add_role("run-time", RunTime())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
