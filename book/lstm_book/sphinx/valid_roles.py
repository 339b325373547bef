"""Sphinx extension: give the entries of the bibliography a role that a screen reader knows.

Docutils writes a list of citations whose entries have the role ``doc-biblioentry``, which DPUB-ARIA
1.1 deprecates: an entry of a list is a list item.
"""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx


def list_items(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Replace the deprecated role in the text of a page."""
    if body := context.get("body"):
        context["body"] = body.replace('role="doc-biblioentry"', 'role="listitem"')


def setup(app: Sphinx) -> dict[str, bool]:
    """Look at every page just before it is written."""
    app.connect("html-page-context", list_items)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
