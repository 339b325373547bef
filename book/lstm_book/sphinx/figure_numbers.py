"""Sphinx extension: figures and tables that a cell shows are numbered, and text can refer to them.

``plots.show(fig, name="fig-loss-curve", ...)`` displays a ``<figure>``: on the page its caption
begins "Figure 3.2", and ``{numref}`fig-loss-curve` `` or ``{ref}`fig-loss-curve` `` leads to it.
The same holds for a ``<table>`` with a ``<caption>`` and an id that begins ``tab-``; an interactive
figure is numbered alone, for it may stand on several pages. A drawing stands in a box of its own,
which can be moved sideways on a phone; where a phone has one whose panels stand one below another,
its texts say so.

A page that is no chapter counts its figures and equations by itself, from 1; where others refer to
them, after a letter: Figure R.1.
"""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform
from sphinx.writers.html5 import HTML5Translator

NAMED = re.compile(r'<(?:figure|table)\b[^>]*\bid="((?:fig|tab|widget)-[\w-]+)"')
CAPTION = re.compile(r"<(fig)?caption\b[^>]*>")
DRAWING = re.compile(
    r'(?<=>)\s*(<svg viewBox="0 0 (\S+) .*?</svg>)(?=\s*<(?:figcaption|svg))', re.DOTALL
)
LETTERS = re.compile(r"scale\((0\.\d+) -")  # how matplotlib sets text of 100 times so many units
READABLE = 0.11
SIDE = re.compile(r"\b(Left|Right)(?=[:,])|(?<=\()(left|right)(?=\))")
STACKED = {"Left": "Top", "left": "top", "Right": "Bottom", "right": "bottom"}
TEXT = re.compile(r"<(?:fig)?caption\b[^>]*>(.*?)</(?:fig)?caption>", re.DOTALL)


LETTERS_OF_PAGES = {"book/relatives": ("R",)}


class ShownFigure(nodes.General, nodes.Element):
    """The HTML of one figure."""


class ShownTable(nodes.General, nodes.Element):
    """The HTML of one table."""


class NameShown(SphinxTransform):
    """Give what a cell shows to Sphinx: a node with a name, which it can count."""

    default_priority = 400  # before labels are collected

    def apply(self, **_: object) -> None:
        """Put every named figure and table into a node of its own."""
        for html in list(self.document.findall(nodes.raw)):
            name = NAMED.search(html.astext())
            if not name or not CAPTION.search(html.astext()):
                continue
            kind = ShownTable if name[1].startswith("tab-") else ShownFigure
            shown = kind("", ids=[name[1]], names=[name[1]])
            html.replace_self(shown)
            shown.append(html)
            if not name[1].startswith("widget-"):  # one of these may stand on several pages
                self.document.note_explicit_target(shown, shown)


def caption(shown: nodes.Element) -> str:
    """Return the caption's text: what ``{ref}`` shows."""
    return " ".join(re.sub(r"<[^>]+>", "", TEXT.search(shown.astext())[1]).split())


def framed(drawing: re.Match[str]) -> str:
    """Return a drawing in its box, with the width in pixels at which its letters have 11."""
    smallest = min(map(float, LETTERS.findall(drawing[1])), default=READABLE)
    width = float(drawing[2]) * READABLE / smallest
    return f'<div class="drawing" style="--least: {width:.0f}px">{drawing[1]}</div>'


def stacked(html: str) -> str:
    """Return a figure whose texts say where its panels are, on a phone too."""
    drawings, caption, text = html.partition("<figcaption")
    wide, slim, rest = drawings.partition('class="narrow stacked"')
    if not slim:
        return html
    both = '<span class="beside">{}</span><span class="below">{}</span>'.format
    text = SIDE.sub(lambda side: both(side[0], STACKED[side[0]]), text)
    return wide + slim + SIDE.sub(lambda side: STACKED[side[0]], rest) + caption + text


def visit(writer: HTML5Translator, shown: nodes.Element) -> None:
    """Write the number where the caption begins."""
    before = len(writer.body)
    writer.add_fignumber(shown)
    number = "".join(writer.body[before:])
    del writer.body[before:]
    html = DRAWING.sub(framed, stacked(shown.astext()))
    writer.body.append(CAPTION.sub(lambda tag: f"{tag[0]}{number}", html, count=1))
    raise nodes.SkipNode


def count_anew(_: Sphinx, env: BuildEnvironment) -> list[str]:
    """Number what stands on pages without a number; return the pages to be written."""
    changed = []
    for page, kinds in env.toc_fignumbers.items():
        if page in env.toc_secnumbers:
            continue
        letter = LETTERS_OF_PAGES.get(page, ())
        for numbers in kinds.values():
            numbers.update((name, (*letter, n)) for n, name in enumerate(numbers, 1))
        changed.append(page)
    return changed


def setup(app: Sphinx) -> dict[str, bool]:
    """Count figures as Sphinx counts its own."""
    for node, kind in ((ShownFigure, "figure"), (ShownTable, "table")):
        app.add_enumerable_node(node, kind, caption, html=(visit, None))
    app.add_transform(NameShown)
    app.connect("env-get-updated", count_anew, priority=600)  # after Sphinx has counted
    return {"parallel_read_safe": True, "parallel_write_safe": True}
