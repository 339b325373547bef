"""Sphinx extension: an index of sections, terms, equations, names and sources, with their text.

A section has what it emphasises, too: there a word is explained, elsewhere it is used. And it has
the names of each term for which the glossary sends a reader there.

``_static/index.js`` is a script, because a browser refuses a page that was opened as a file to read
another file. ``book/assets/search.js`` searches it, ``book/assets/previews.js`` shows what a link
leads to. It is made from the pages as they were written: their numbers and captions are final.
"""

from __future__ import annotations

import json
import re
from dataclasses import astuple, dataclass, field
from pathlib import Path, PurePath

from bs4 import BeautifulSoup, Tag
from sphinx.application import Sphinx

ARTICLE = re.compile(r"<article\b.*</article>", re.DOTALL)
# What is no text to search; drawings and code are most of a page.
LEFT_OUT = re.compile(r"<(svg|pre|script|style|colgroup)\b.*?</\1>", re.DOTALL)
NO_TEXT = ".headerlink, nav, summary, table.indextable, .widget-still"


@dataclass
class Entry:
    """One place of the book.

    Its kind, the address behind ``#``, a title, a text, what is emphasised, the names of what is
    defined there; and the addresses in a section, or that to which a term of the glossary sends.
    """

    kind: str
    anchor: str
    title: str
    text: str
    emphasised: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)


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
        names = [plain(term), *map(plain, definition.select("span[lang], em"))]
        links = [link["href"] for link in definition.select("a.internal")]
        found.append(Entry("term", term["id"], names[0], plain(definition), [], names, links[-1:]))
    for name in article.select("dt.sig[id]"):
        lines = map(plain, name.find_next_sibling("dd").select("p"))
        about = next((line for line in lines if not line.startswith("Bases:")), "")
        found.append(Entry("name", name["id"], name["id"], about))
    for source in article.select("div.citation[id]"):
        found.append(Entry("source", source["id"], "", plain(source.p)))
    for part in article.select("dl.glossary, dl.py, div.citation"):
        part.decompose()
    sections = []
    for section in reversed(article.select("section[id]")):  # what is inside another comes first
        heading = section.find(re.compile(r"^h\d$"), recursive=False)
        if heading:
            title = plain(heading.extract())
            terms = list(dict.fromkeys(map(plain, section.select("strong, em"))))
            ids = [section["id"], *(element["id"] for element in section.select("[id]"))]
            text = plain(section.extract())
            sections.append(Entry("section", section["id"], title, text, terms, [], ids))
    return found + sections[::-1]


def defining(term: str, anchor: str, sections: list[Entry]) -> Entry:
    """Return the section of a page that defines a term for which the glossary sends there.

    That of the equation or figure. In a chapter the first that has the term in its title or
    emphasises it, or else the first with the term in its text.
    """

    def treats(section: Entry) -> int:
        if section.title.endswith(("Exercises", "Summary")):
            return 0
        marked = term in section.title.lower() or term in map(str.lower, section.emphasised)
        return 2 * marked or term in section.text.lower()

    chapter, *parts = sections
    inner = next((part for part in parts if anchor in part.addresses), None)
    return inner or max([*filter(treats, parts)] or [chapter], key=treats)


def name_sections(pages: dict[str, list[Entry]]) -> None:
    """Give the sections of all pages the names of what the glossary says is defined there."""
    for page, found in pages.items():
        for term in found:
            if term.kind == "term" and term.addresses:
                address, _, anchor = term.addresses[0].partition("#")
                target = pages[(PurePath(page).parent / address).as_posix()]
                sections = [each for each in target if each.kind == "section"]
                names = defining(term.title, anchor, sections).names
                names += [name for name in term.names if name not in names]


def write(app: Sphinx, error: Exception | None) -> None:
    """Write the index of all pages, in the order of the book."""
    if error:
        return
    tree = app.env.toctree_includes
    order = [app.config.root_doc, *tree[app.config.root_doc]]
    names = {f"{name}.html": name for name in order if name in app.env.found_docs}
    found = {page: entries((Path(app.outdir) / page).read_text("utf-8")) for page in names}
    name_sections(found)
    pages = [[page, app.env.titles[name].astext()] for page, name in names.items()]
    lists = [[i, *astuple(entry)[:-1]] for i, page in enumerate(found.values()) for entry in page]
    index = json.dumps({"pages": pages, "entries": lists}, ensure_ascii=False)
    target = Path(app.outdir) / "_static" / "index.js"
    target.write_text(f"window.bookIndex = {index};\n", encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Search ourselves: the page for it has the theme's frame, and Sphinx makes no index."""
    app.connect("builder-inited", lambda app: setattr(app.builder, "search", False))
    app.connect("html-collect-pages", lambda _: [("search", {"title": "Search"}, "search.html")])
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
