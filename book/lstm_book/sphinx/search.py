"""Sphinx extension: an index of sections, terms, equations, names and sources, with their text.

A section has what it emphasises, too: there a word is explained, elsewhere it is used.

``_static/index.js`` is a script, because a browser refuses a page that was opened as a file to read
another file. ``book/assets/search.js`` searches it, ``book/assets/previews.js`` shows what a link
leads to. It is made from the pages as they were written: their numbers and captions are final.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

from bs4 import BeautifulSoup, Tag
from sphinx.application import Sphinx

ARTICLE = re.compile(r"<article\b.*</article>", re.DOTALL)
# What is no text to search; drawings and code are most of a page.
LEFT_OUT = re.compile(r"<(svg|pre|script|style|colgroup)\b.*?</\1>", re.DOTALL)
NO_TEXT = ".headerlink, nav, summary, table.indextable, .widget-still"


class Entry(NamedTuple):
    """One place of the book: its kind, the address behind ``#``, a title, a text, its terms."""

    kind: str
    anchor: str
    title: str
    text: str
    terms: tuple[str, ...] = ()


def plain(element: Tag) -> str:
    r"""Return the text of an element on one line; formulas stay as ``\(...\)``."""
    return " ".join(element.get_text().split())


def entries(html: str) -> list[Entry]:
    """Return the entries of a page, from its HTML."""
    article = BeautifulSoup(LEFT_OUT.sub("", ARTICLE.search(html)[0]), "html.parser")
    found = []
    for box in article.select("div.math[id]"):
        number = box.select_one(".eqno").find(string=True)
        name = box["id"].removeprefix("equation-eq-").replace("-", " ")
        box.select_one(".eqno").decompose()
        found.append(Entry("equation", box["id"], f"{name} {number}", plain(box)))
    for element in article.select(NO_TEXT):
        element.decompose()
    for term in article.select("dl.glossary > dt[id]"):
        definition = term.find_next_sibling("dd")
        found.append(Entry("term", term["id"], plain(term), plain(definition)))
    for name in article.select("dt.sig[id]"):
        lines = map(plain, name.find_next_sibling("dd").select("p"))
        about = next((line for line in lines if not line.startswith("Bases:")), "")
        found.append(Entry("name", name["id"], name["id"], about))
    for source in article.select("div.citation[id]"):
        found.append(Entry("source", source["id"], "", plain(source.p)))
    for part in article.select("dl.glossary, dl.py, div.citation"):
        part.decompose()
    for section in reversed(article.select("section[id]")):  # what is inside another comes first
        heading = section.find(re.compile(r"^h\d$"), recursive=False)
        if heading:
            title = plain(heading.extract())
            terms = tuple(dict.fromkeys(map(plain, section.select("strong, em"))))
            found.append(Entry("section", section["id"], title, plain(section.extract()), terms))
    return found


def write(app: Sphinx, error: Exception | None) -> None:
    """Write the index of all pages, in the order of the book."""
    if error:
        return
    tree = app.env.toctree_includes
    order = [app.config.root_doc, *tree[app.config.root_doc]]
    pages, found = [], []
    for number, name in enumerate(page for page in order if page in app.env.found_docs):
        html = (Path(app.outdir) / f"{name}.html").read_text(encoding="utf-8")
        pages.append([f"{name}.html", app.env.titles[name].astext()])
        found += [[number, *entry] for entry in entries(html)]
    index = json.dumps({"pages": pages, "entries": found}, ensure_ascii=False)
    target = Path(app.outdir) / "_static" / "index.js"
    target.write_text(f"window.bookIndex = {index};\n", encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Search ourselves: the page for it has the theme's frame, and Sphinx makes no index."""
    app.connect("builder-inited", lambda app: setattr(app.builder, "search", False))
    app.connect("html-collect-pages", lambda _: [("search", {"title": "Search"}, "search.html")])
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
