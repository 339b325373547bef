"""Sphinx extension: chapter 12 is the one in ``12_mnist_rows``, also before chapter 11 is written.

Sphinx numbers chapters by counting. The text says "chapter 12" and "exercise 12.1", so the number
comes from the name of the file.
"""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx_external_toc.collectors import (
    TocTreeCollectorWithStyles as TocTreeCollector,
)


def renumber(env: BuildEnvironment, docname: str, chapter: int) -> None:
    """Put ``chapter`` in the place of the first number of every heading of a page."""
    headings = env.toc_secnumbers[docname]
    for anchor, number in headings.items():
        if number:  # deep headings have none
            headings[anchor] = (chapter, *number[1:])
    entries = [env.titles[docname], *env.tocs[docname].findall(nodes.reference)]
    for entry in entries:
        if number := entry.get("secnumber"):
            entry["secnumber"] = (chapter, *number[1:])


def setup(app: Sphinx) -> dict[str, bool]:
    """Renumber after the numbers are given and before figures and equations take them over."""
    assign = TocTreeCollector.assign_section_numbers

    def assign_and_renumber(self: TocTreeCollector, env: BuildEnvironment) -> list[str]:
        changed = assign(self, env)
        for docname in env.toc_secnumbers:
            if match := re.search(r"(?:^|/)(\d\d)_[^/]*$", docname):
                renumber(env, docname, int(match[1]))
        return changed

    TocTreeCollector.assign_section_numbers = assign_and_renumber
    return {"parallel_read_safe": True, "parallel_write_safe": True}
