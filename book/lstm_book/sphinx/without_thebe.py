"""Sphinx extension: take out sphinx-thebe, which Jupyter Book 1 always loads.

It would run code on a public server. Our pages make no request outside their folder, so all that it
adds is an address of that server on every page, and a script that raises because it is there twice.
"""

from __future__ import annotations

from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, bool]:
    """Disconnect everything that sphinx-thebe has connected, and leave out its style sheet."""
    for listeners in app.events.listeners.values():
        listeners[:] = [each for each in listeners if each.handler.__module__ != "sphinx_thebe"]
    styles = app.registry.css_files
    styles[:] = [(name, attributes) for name, attributes in styles if name != "sphinx-thebe.css"]
    return {"parallel_read_safe": True, "parallel_write_safe": True}
