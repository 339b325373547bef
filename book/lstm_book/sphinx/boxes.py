"""Sphinx extension: boxes that a reader opens are ``<details>``, without a script.

An admonition of class ``dropdown``, a hint say, and every solution that has this class: closed on
the page, open in print, found by a browser's own search, and where they are before a script runs.
"""

from __future__ import annotations

from collections.abc import Callable

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator
from sphinx_exercise.nodes import depart_solution_node, solution_node, visit_solution_node

Visit = Callable[[HTML5Translator, nodes.Element], None]


def opened(visit: Visit) -> Visit:
    """Return a visitor that begins a box with its summary, or begins it as ``visit`` does."""

    def begin(writer: HTML5Translator, box: nodes.Element) -> None:
        if "dropdown" not in box["classes"]:
            visit(writer, box)
            return
        writer.body.append(writer.starttag(box, "details", CLASS="admonition"))
        writer.body.append('<summary class="admonition-title">')
        title = box.pop(0)
        for link in list(title.findall(nodes.reference)):  # in what is a button already
            link.replace_self(link.children)
        for part in title:
            part.walkabout(writer)
        writer.body.append("</summary>\n")

    return begin


def closed(depart: Visit) -> Visit:
    """Return a visitor that ends what ``opened`` began."""

    def end(writer: HTML5Translator, box: nodes.Element) -> None:
        if "dropdown" in box["classes"]:
            writer.body.append("</details>\n")
        else:
            depart(writer, box)

    return end


def setup(app: Sphinx) -> dict[str, bool]:
    """Take over how two kinds of boxes are written."""
    for node, visit, depart in (
        (
            nodes.admonition,
            HTML5Translator.visit_admonition,
            HTML5Translator.depart_admonition,
        ),
        (solution_node, visit_solution_node, depart_solution_node),
    ):
        app.add_node(node, override=True, html=(opened(visit), closed(depart)))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
