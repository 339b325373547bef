"""Sphinx extension: a dropdown that holds cells, so that a reader can guess before seeing.

A directive of MyST ends with its Markdown cell. Here an admonition of the class ``guess`` takes the
cells tagged ``answer`` right before it to its top, inside: a question, the cells, then the box in
the notebook; a question, then the closed box on the page.
"""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform


class Answers(SphinxTransform):
    """Move answers into their boxes, once all cells are nodes."""

    default_priority = 700

    def apply(self, **kwargs: object) -> None:
        """Change the page."""
        for box in list(self.document.findall(nodes.admonition)):
            while "guess" in box["classes"] and _is_answer(before := _before(box)):
                before.parent.remove(before)
                box.insert(1, before)  # behind the title


def _before(node: nodes.Element) -> nodes.Node | None:
    place = node.parent.index(node)
    return node.parent[place - 1] if place else None


def _is_answer(node: nodes.Node | None) -> bool:
    return isinstance(node, nodes.container) and "tag_answer" in node["classes"]


def setup(app: Sphinx) -> dict[str, bool]:
    """Look at every page that was read."""
    app.add_transform(Answers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
