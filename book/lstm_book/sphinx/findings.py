"""Sphinx extension: ``{ref}`e-000-06` `` leads to a finding of the ledger, and shows its number.

Cells of the ledger write the findings as HTML, in which Sphinx sees no labels.
"""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

FINDING = re.compile(r'\bid="(e-(\d{3}-\d\d))"')


class NameFindings(SphinxTransform):
    """Tell Sphinx where each finding stands."""

    default_priority = 400

    def apply(self, **_: object) -> None:
        """Label what the cells of a page show."""
        domain, page = self.env.get_domain("std"), self.env.docname
        for html in self.document.findall(nodes.raw):
            for anchor, number in FINDING.findall(html.astext()):
                domain.anonlabels[anchor] = page, anchor
                domain.labels[anchor] = page, anchor, number


def setup(app: Sphinx) -> dict[str, bool]:
    """Look at every page that was read."""
    app.add_transform(NameFindings)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
