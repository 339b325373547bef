"""Sphinx extension: small changes in the HTML of every page.

A browser breaks a line between a formula and the full stop behind it, and long names of code
anywhere or nowhere: here a formula keeps its punctuation, and a name in a table or in a signature
of the reference may break after a point, an underline, a slash, a colon, a hyphen or a bracket.
What extensions write wrong is mended: entries of the bibliography have a role that DPUB-ARIA 1.1
deprecates, what opens hidden code has a name other than the words one reads, and the texts of all
exercises of a page have one id.
"""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

FORMULA = r'<span class="math notranslate nohighlight">[^<]*</span>'
GLUED = re.compile(rf"(?:\(\s*)?{FORMULA}[-.,;:!?…)\]”’\"、]+|\({FORMULA}")
CELL = re.compile(r"<td\b.*?</td>|<dt class=\"sig .*?</dt>", re.DOTALL)
WORD = re.compile(r'(?<=<span class="pre">)[^<]+')
JOINT = re.compile(
    r"(?<=\w)(::|[./(\[])(?=[^\W\d]|&)|(?<=\w)-(?=[^\W\d]{2})|(?<=[^\W_]{3})_(?=[^\W\d_]{3})"
)
WRONG = re.compile(
    r' aria-label="Toggle hidden content"| id="(?:(?:exercise|solution|proof)-content|proof)"'
)


def breaks(html: str) -> str:
    """Return a page's HTML with its formulas glued and its long names made breakable."""
    html = GLUED.sub(r'<span class="one-line">\g<0></span>', html)
    return CELL.sub(
        lambda cell: WORD.sub(lambda word: JOINT.sub(r"\g<0><wbr>", word[0]), cell[0]),
        html,
    )


def change(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: object) -> None:
    """Change a page before it is written."""
    if "body" in context:
        html = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')
        context["body"] = breaks(WRONG.sub("", html))


def setup(app: Sphinx) -> dict[str, bool]:
    """Look at every page before it is written."""
    app.connect("html-page-context", change)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
