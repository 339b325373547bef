"""Sphinx extension: what makes the book's pages found, shared and quoted on the web.

Every page says in its head what it is about, the Chinese one in which language, and so do all links
to it. With a repository on GitHub (``repository: url`` in ``_config.yml``, see
:mod:`lstm_book.sphinx.address`) the book has an address on GitHub Pages: then pages name it, their
picture and their other language, an error on a page can be reported from it, and there are a
sitemap, a page for addresses that are not there, and, on the first page, the PDF and an entry for
BibTeX. Without it none of these is written.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

from lstm_book.sphinx.address import clean

REPOSITORY = re.compile(r"https://github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?")
CHINESE = "book/zh"
CHINESE_LINK = re.compile(
    r'<a (?![^>]*hreflang)([^>]*href="[^"]*\bzh\.html[^>]*)>(.*?)</a>', re.DOTALL
)
HAN = re.compile(r"(?<=>)[^<>]*[\u4e00-\u9fff][^<>]*(?=<)")
LONGEST = 160
"""Letters of a description that a search engine shows."""


def address(repository: str) -> str:
    """Return the address of the book on GitHub Pages, with a slash at its end, or ``""``."""
    match = REPOSITORY.fullmatch(repository)
    return f"https://{match[1].lower()}.github.io/{match[2]}/" if match else ""


def description(tree: nodes.Node | None) -> str:
    """Return how a page begins: its first sentence of some length."""
    for paragraph in tree.findall(nodes.paragraph) if tree else ():
        text = " ".join(paragraph.astext().split())
        if len(text) >= 40 or (len(text) >= 20 and not text.isascii()):
            return text if len(text) <= LONGEST else f"{text[: LONGEST - 1].rsplit(' ', 1)[0]}…"
    return ""


def head(page: str, title: str, about: str, base: str) -> str:
    """Return the tags of a page's head."""
    tags = {"og:title": title, "og:description": about, "og:type": "article"}
    links = ""
    if base:
        tags |= {"og:url": f"{base}{page}.html", "og:image": f"{base}_static/card.png"}
        tags["twitter:card"] = "summary_large_image"
        if page in {CHINESE, "book/intro"}:
            for language, other in (("en", "book/intro"), ("zh", CHINESE)):
                link = f'<link rel="alternate" hreflang="{language}" href="{base}{other}.html">'
                links += link
    metas = "".join(f'<meta property="{k}" content="{escape(v)}">' for k, v in tags.items() if v)
    return f'<meta name="description" content="{escape(about)}">{metas}{links}'


def foot(page: str, repository: str, base: str) -> str:
    """Return what stands below a page: where to report an error, and how to cite the book."""
    issue = f"{repository}/issues/new?title={quote(f'Error on {page}')}"
    text = f'<p class="report"><a href="{issue}">Report an error on this page</a></p>'
    if page != "book/intro":
        return text
    return f"""<section id="cite-it"><h2>Print it, cite it</h2>
<p><a href="{base}lstm-checked.pdf">The book as one PDF</a></p>
<pre>@misc{{lstm-checked,
  title  = {{LSTM, Checked: every equation derived, every claim run}},
  author = {{{{The authors of LSTM, Checked}}}},
  year   = {{2026}},
  url    = {{{base}}}
}}</pre></section>{text}"""


def set_base(app: Sphinx, config: Config) -> None:
    """Tell Sphinx where the book is: it names each page's own address."""
    config.html_baseurl = address(clean(config.html_theme_options.get("repository_url")))


def add(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: nodes.Node) -> None:
    """Add to a page before it is written."""
    repository, base = (
        clean(app.config.html_theme_options.get("repository_url")),
        app.config.html_baseurl,
    )
    title = re.sub("<[^>]+>", "", context.get("title", ""))
    if tree is not None:
        context["metatags"] += head(page, title, description(tree), base)
    if page == CHINESE:
        context["language"] = "zh"
    if base and "body" in context:
        context["body"] += foot(page, repository, base)


def chinese_link(link: re.Match[str]) -> str:
    """Return a link to the Chinese page, which says in which language it is."""
    text = HAN.sub(r'<span lang="zh">\g<0></span>', f">{link[2]}<")[1:-1]
    return f'<a {link[1]} hreflang="zh">{text}</a>'


def mark_chinese(app: Sphinx, error: Exception | None) -> None:
    """Mark the links to the Chinese page, those in the sidebars and footers of pages too."""
    if error or app.builder.name != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        html = path.read_text(encoding="utf-8")
        marked = CHINESE_LINK.sub(chinese_link, html)
        if marked != html:
            path.write_text(marked, encoding="utf-8")


def finish(app: Sphinx, error: Exception | None) -> None:
    """Write the sitemap, and the page for addresses that are not there."""
    base = app.config.html_baseurl
    if error or not base or app.builder.name != "html":
        return
    urls = "".join(
        f"<url><loc>{base}{name}.html</loc></url>" for name in sorted(app.env.found_docs)
    )
    sitemap = f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{urls}</urlset>\n'
    Path(app.outdir, "sitemap.xml").write_text(sitemap, encoding="utf-8")
    Path(app.outdir, "404.html").write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Not here</title>'
        '<meta name="viewport" content="width=device-width">'
        "<style>:root { color-scheme: light dark; font: 1.06rem/1.6 system-ui, sans-serif }"
        "body { max-width: 40rem; margin: 12vh auto; padding: 0 1rem }</style>"
        "<body><h1>This page is not here</h1>"
        f'<p>Begin at <a href="{base}">LSTM, Checked</a>, or '
        f'<a href="{base}search.html">search</a>.</p></body></html>\n',
        encoding="utf-8",
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect it, after the address is known."""
    app.connect("config-inited", set_base, priority=900)
    app.connect("html-page-context", add)
    app.connect("build-finished", finish)
    app.connect("build-finished", mark_chinese)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
