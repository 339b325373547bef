"""Sphinx extension: take out what Jupyter Book 1 always loads and our pages do not need.

``sphinx-thebe`` would run code on a public server; all that it adds to pages that make no request
outside their folder is that server's address. ``sphinx-togglebutton`` closes boxes by a script,
after the reader saw them open; :mod:`lstm_book.sphinx.boxes` writes elements that a browser can
close. Sphinx's own search knows pages and not sections: :mod:`lstm_book.sphinx.search`.
"""

from __future__ import annotations

from sphinx.application import Sphinx

MODULES = ("sphinx_thebe", "sphinx_togglebutton")
STYLES = ("sphinx-thebe.css", "togglebutton.css")


def setup(app: Sphinx) -> dict[str, bool]:
    """Disconnect everything that these have connected, and leave out their style sheets."""
    for listeners in app.events.listeners.values():
        listeners[:] = [each for each in listeners if each.handler.__module__ not in MODULES]
    styles = app.registry.css_files
    styles[:] = [(name, attributes) for name, attributes in styles if name not in STYLES]
    return {"parallel_read_safe": True, "parallel_write_safe": True}
