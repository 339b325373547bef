"""Sphinx extension: small changes in the HTML of every page.

A browser breaks a line between a formula and the full stop behind it, and long names of code
anywhere or nowhere: here a formula keeps its punctuation, and a name in a table or in a signature
of the reference may break after a point, an underline, a slash, a colon, a hyphen or a bracket.
What extensions write wrong is mended: entries of the bibliography have a role that DPUB-ARIA 1.1
deprecates, what opens hidden code has a name other than the words one reads, what opens a hidden
output calls it code, imports are called so, and the texts of all exercises of a page have one id.
The empty corner of a table heads nothing: the first cells of its rows are their headers. A number
in a table stays on one line with its spread, interval or pair, an option with its value, and
"chapter" with its number. A line of code knows its indentation: what a phone wraps of it hangs
below, Python keeps its shape; it is wrapped at a space, a bracket or a point, not within a name.
What steers the formatter is left out. In the text a number keeps its per cent sign, its unit and
its exponent, and its minus is one; a command in a caption is code.
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
HIDDEN = re.compile(r'(hide below-input">\s*<summary>\s*<p[^>]*>)Code(</p>\s*<p[^>]*>Hide )code')
# What says "Code" of hidden code that begins with an import: a page's first has its imports.
IMPORTS = re.compile(
    r'(title">)Code(</p>\s*<p[^>]*>Hide )code(</p>\s*</summary>\s*<div class="cell_input[^>]*>\s*'
    r'<div class="highlight-\w+ notranslate"><div class="highlight"><pre><span></span>'
    r'<span class="kn">)'
)
# The spaces of 1 ± 2, 1 : 2, 1 to 2, 1 of 2, 1 [2, 3], 1 (2), 1: 2 and < .1
NUMBERS = re.compile(
    r"(?<=\d) (?=(?:±|:|to|of) [-−+]?\d)|(?<=\d [±:]) (?=[-−+]?\d)|(?<=\d (?:to|of)) (?=[-−+]?\d)"
    r"|(?<=\d) (?=[\[(][-−+]?\d)|(?<=\d,) (?=[-−+]?[\d.]+\])|(?<=\d:) (?=\d)|(?<=&lt;) (?=[\d.])"
)
COMMAND = re.compile(r"<code>.*?</code>|(python -m [^·<]*[^·<\s]|(?<!\w)--[a-z]+ [\w-]+)")
CAPTION = re.compile(r"<(fig)?caption\b[^>]*>.*?</(fig)?caption>", re.DOTALL)
# In the text, not in code, drawings, formulas and tags: the space before a unit, exponent, minus.
NUMBER = re.compile(
    rf'<(pre|script|svg|code)\b.*?</\1>|{FORMULA}|<div class="math .*?</div>|<[^>]*>'
    r"|(?P<space>(?<=\d) (?=%|(?:[kMG]B|m?s)\b))|(?P<exponent>\d[\d.]*e-\d+)"
    r"|(?P<minus>(?<![\w.-])-(?=\.?\d))",
    re.DOTALL,
)
OPTION = re.compile(r"(?<![\w-])--?[a-z]+ [\w.-]+")
REFERENCE = re.compile(r'(?<=<span class="std std-numref">)([A-Z]?[a-z]+) (?=[\dR])')
SPACE = "\N{NO-BREAK SPACE}"
TABLE = re.compile(r"<table\b.*?</table>", re.DOTALL)
CODE = re.compile(
    r'(<div class="highlight-\w+ notranslate"><div class="highlight"><pre>)(.*?)(\n*</pre>)',
    re.DOTALL,
)
# Where a line of Python may end: behind a bracket that opens, and before the name of a part.
OPENS = re.compile(r'<span class="p">[^<]*[(\[{]</span>(?!$)')
PART = re.compile(r'(?<=>)<span class="o">\.</span>(?=<span class="(?:n|fm|vm)">)')
FORMATTER = re.compile(r' *<span class="c1"># fmt: \w+</span>')
CORNER = re.compile(r"(<thead>\s*<tr[^>]*>\s*)<th\b[^>]*>\s*(?:<p>\s*</p>)?\s*</th>")
FIRST = re.compile(r"(<tr[^>]*>\s*)<td\b([^>]*)>(.*?)</td>", re.DOTALL)


def row_headers(table: str) -> str:
    """Return the HTML of a table whose rows have headers if its corner is empty."""
    corner = CORNER.search(table)
    if not corner:
        return table
    head = f"{table[: corner.start()]}{corner[1]}<td></td>"
    return head + FIRST.sub(r'\1<th scope="row"\2>\3</th>', table[corner.end() :])


def whole(table: str) -> str:
    """Return the HTML of a table whose numbers and options stay on one line."""
    table = NUMBERS.sub(SPACE, row_headers(table))
    return OPTION.sub(r'<span class="one-line">\g<0></span>', table)


def commands(caption: str) -> str:
    """Return the HTML of a caption in which commands are code."""
    return COMMAND.sub(lambda found: f"<code>{found[1]}</code>" if found[1] else found[0], caption)


def lines(code: re.Match[str]) -> str:
    """Return the HTML of a listing in which each line is an element that has its indentation."""

    def line(html: str) -> str:
        text = re.sub(r"<[^>]+>", "", html)
        indentation = len(text) - len(text.lstrip(" "))
        html = PART.sub(r"<wbr>\g<0>", OPENS.sub(r"\g<0><wbr>", html))
        return f'<span class="line" style="--in: {indentation}ch">{html}</span>'

    text = FORMATTER.sub("", code[2])
    return code[1] + "\n".join(map(line, text.split("\n"))) + code[3]


def together(found: re.Match[str]) -> str:
    """Return what :data:`NUMBER` has found, as it is set: no line ends in it."""
    if found["exponent"]:
        return f'<span class="one-line">{found[0]}</span>'
    if found["minus"]:
        return "\N{MINUS SIGN}"
    return SPACE if found["space"] else found[0]


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
        html = HIDDEN.sub(r"\1Output\2output", WRONG.sub("", html))
        html = IMPORTS.sub(r"\1Imports\2imports\3", html, count=1)
        html = CAPTION.sub(lambda caption: commands(caption[0]), html)
        html = TABLE.sub(lambda table: whole(table[0]), REFERENCE.sub(rf"\1{SPACE}", html))
        context["body"] = NUMBER.sub(together, CODE.sub(lines, breaks(html)))


def setup(app: Sphinx) -> dict[str, bool]:
    """Look at every page before it is written."""
    app.connect("html-page-context", change)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
