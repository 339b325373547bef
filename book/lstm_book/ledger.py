"""The ledger of errata as HTML: what the pages show of ``book/errata.yml``.

Everything here returns a string of HTML that is complete without scripts and without a network;
``book/assets/errata.js`` adds the search and ``book/assets/errata.css`` the look. In the ledger's
texts ``$...$`` is LaTeX and backticks are code.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape
from textwrap import shorten

import yaml
from pybtex.database import Entry, parse_file
from pybtex.richtext import Text

from lstm_book.binding import title
from lstm_book.checkout import ROOT

LEDGER = yaml.safe_load((ROOT / "book" / "errata.yml").read_text(encoding="utf-8"))
OBSERVED = json.loads((ROOT / "book" / "errata_observed.json").read_text(encoding="utf-8"))
"""What TensorFlow answered to the programs of :mod:`lstm_book.observe`, which writes it."""
ARTICLES = {article["id"]: article for article in LEDGER["articles"]}
FINDINGS = LEDGER["findings"]

SEVERITIES = ("fatal", "major", "minor")
TEXTS = {
    "printed": "Printed",
    "gloss": "In English",
    "why": "Why it is wrong",
    "correct": "Correct",
    "fair_reading": "In fairness",
}
"""What a finding says, and what the page calls it."""
KINDS = ("equation", "number", "prose", "claim", "code", "citation", "editorial")

_MARKED = re.compile(r"(\$\$?[^$]+\$\$?|`[^`]+`)")
# Chinese words with the punctuation and the spaces between them.
_CHINESE = re.compile(r"([\u3400-\u9fff][\u3000-\u303f\u3400-\u9fff\uff00-\uffef《》…]*)")
# A browser may break a line between a formula and the full stop after it.
_FORMULA_AND_STOP = re.compile(r'(<span class="math [^>]*>[^<]*</span>[.,;:)]+)')
# Quotes in the text, not those in formulas and code; one opens after a space or a bracket.
_QUOTE = re.compile(rf"{_MARKED.pattern}|(?:^|(?<=[\s(]))(\")|([\"'])")
_STYLE = '<link rel="stylesheet" href="../_static/errata.css">'
_SCRIPT = '<script src="../_static/errata.js"></script>'


def name(article: str) -> str:
    """Return what the book calls an article: ``000 “gates”``."""
    return f"{article} “{ARTICLES[article]['name']}”"


# -------------------------------------------------------------------------------------- inline
def inline(text: str) -> str:
    """Return a text of the ledger as HTML: formulas for MathJax, code, Chinese marked as such."""
    quoted = _QUOTE.sub(_curly, text)
    html = "".join(map(_piece, _MARKED.split(quoted)))
    return _FORMULA_AND_STOP.sub(r'<span class="ledger-whole">\1</span>', html)


def _curly(found: re.Match) -> str:
    marked, opening, closing = found.groups()
    return marked or ("“" if opening else {'"': "”", "'": "’"}[closing])


def _piece(part: str) -> str:
    if part.startswith("$"):
        formula = escape(part.strip("$"), quote=False)
        return f'<span class="math notranslate nohighlight">\\({formula}\\)</span>'
    if part.startswith("`"):
        return f"<code>{_chinese(part.strip('`'))}</code>"
    return _chinese(part)


def _chinese(text: str) -> str:
    return _CHINESE.sub(r'<span lang="zh">\1</span>', escape(text, quote=False))


def _tag(name: str, content: str, **attributes: str) -> str:
    text = "".join(f' {key.rstrip("_")}="{value}"' for key, value in attributes.items())
    return f"<{name}{text}>{content}</{name}>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """Return a table whose first column heads its rows; cells are HTML."""
    top = "".join(_tag("th", cell, scope="col") for cell in head)
    body = "".join(
        _tag("tr", _tag("th", first, scope="row") + "".join(_tag("td", c) for c in rest))
        for first, *rest in rows
    )
    named = _tag("caption", caption) if caption else ""
    parts = named + _tag("thead", _tag("tr", top)) + _tag("tbody", body)
    return _page(_tag("table", parts, class_="ledger-table"))


def _page(content: str) -> str:
    """Put HTML into the box that the style sheet knows."""
    return f'{_STYLE}\n<div class="ledger">\n{content}\n</div>'


# -------------------------------------------------------------------------------------- counting
def places(finding: dict) -> list[dict]:
    """Return every place of a finding, as mappings with ``id``, ``article`` and what is printed."""
    also = finding.get("also", [])
    return [finding, *({"article": place["id"][:3]} | place for place in also)]


def of_article(article: str) -> list[dict]:
    """Return the findings in one article, also those that stand first in another."""
    return [f for f in FINDINGS if any(place["article"] == article for place in places(f))]


def count(key: str, findings: Iterable[dict] = FINDINGS) -> Counter[str]:
    """Count findings by ``"severity"``, ``"kind"`` or another key."""
    return Counter(finding[key] for finding in findings)


def severity_table() -> str:
    """Return the number of findings by article and severity."""
    groups = {name(article): of_article(article) for article in ARTICLES} | {"together": FINDINGS}
    rows = []
    for group, found in groups.items():
        each = count("severity", found)
        rows.append([group, *(str(each[s]) for s in SEVERITIES), str(len(found))])
    return _table(
        ["article", *SEVERITIES, "all"], rows, "A mistake in several articles counts once in each"
    )


# -------------------------------------------------------------------------------------- findings
def finding_link(number: str, page: str = "ledger.html") -> str:
    """Return a link to one finding, from the ledger itself with ``page=""``."""
    return _tag("a", number, href=f"{page}#e-{number}")


def filter_bar() -> str:
    """Return the place that ``errata.js`` fills with the controls; without scripts it is empty."""
    return _page('<div class="errata-filter"></div>')


def findings_table(article: str, *, last: bool = False) -> str:
    """Return the findings that stand first in an article; the last table brings the script."""
    found = [finding for finding in FINDINGS if finding["article"] == article]
    caption = f"<span>{len(found)} findings</span>"
    rows = "\n".join(map(_finding, found))
    attributes = 'class="ledger-table errata" role="table"'
    table = f"<table {attributes}><caption>{caption}</caption><tbody>\n{rows}\n</tbody></table>"
    return _page(table) + (_SCRIPT if last else "")


def _finding(finding: dict) -> str:
    number, severity, kind = finding["id"], finding["severity"], finding["kind"]
    head = (
        finding_link(number, page="")
        + _tag("span", severity, class_=f"errata-severity errata-{severity}")
        + _tag("span", kind, class_="errata-kind")
    )
    items = [("Where", _where(finding))]
    items += [(shown, inline(finding[key])) for key, shown in TEXTS.items() if key in finding]
    if len(places(finding)) > 1:
        again = "<br>".join(map(_again, places(finding)[1:]))
        items.insert(3, ("And again", again))
    if finding["evidence"]:
        items.append(("Evidence", "<br>".join(map(_evidence, finding["evidence"]))))
    body = "".join(_tag("dt", term) + _tag("dd", text) for term, text in items)
    details = f"<details open>{_tag('summary', inline(finding['title']))}<dl>{body}</dl></details>"
    articles = " ".join(dict.fromkeys(place["article"] for place in places(finding)))
    return (
        f'<tr role="row" id="e-{number}" data-article="{articles}" '
        f'data-severity="{severity}" data-kind="{kind}">'
        f'<th role="rowheader" scope="row">{head}</th><td role="cell">{details}</td></tr>'
    )


def _where(place: dict) -> str:
    sections = ARTICLES[place["article"]]["sections"]
    section = next(each for each in sections if each["id"] == place["section"])
    return escape(f"{name(place['article'])}, section {section['id']}, {section['gloss']}")


def _again(place: dict) -> str:
    words = f"{inline(place['printed'])} ({inline(place['gloss'])})"
    return f'<span id="e-{place["id"]}">{_where(place)}: {words}</span>'


def _evidence(item: dict[str, str]) -> str:
    ((kind, target),) = item.items()
    if kind == "test":
        return f"test {_tag('code', target.replace('::', '::<wbr>'))}"
    if kind == "observed":
        return f"seen with “{escape(target)}”: {'; '.join(_answers(target))}"
    if kind == "computation":
        return f"computation {_tag('code', target)}"
    if kind == "citation":
        return f"source {citation_link(target)}"
    page, _, anchor = target.removeprefix("book/").partition("#")
    words = anchor.removeprefix("errata-").replace("-", " ")
    return f"run {_tag('a', words, href=page.replace('.ipynb', '.html#') + anchor)}"


def _answers(program: str) -> list[str]:
    """Return what each version of TensorFlow answered to a program, cut where it is long."""
    answers = []
    for version, seen in OBSERVED["observed"].items():
        line = shorten(seen[program], 90, placeholder=" …")
        answers.append(f"{version.partition(' with')[0]} {_tag('code', escape(line))}")
    return answers


# ----------------------------------------------------------------------------------- bibliography
@cache
def bibliography() -> Mapping[str, Entry]:
    """Return the works in ``references.bib``, by their keys."""
    return parse_file(str(ROOT / "book" / "references.bib")).entries


def citation_link(key: str) -> str:
    """Return a link to an entry of the bibliography, in words: author and year."""
    return _tag("a", author_year(key), href=f"bibliography.html#cite-{key}")


def author_year(key: str) -> str:
    """Return ``Gers et al. (2000)`` for a key of ``references.bib``."""
    entry = bibliography()[key]
    people = entry.persons.get("author") or entry.persons.get("editor") or []
    names = [_plain(" ".join([*p.prelast_names, *p.last_names])) for p in people]
    who = " et al.".join([names[0], ""]) if len(names) > 2 else " and ".join(names)
    year = entry.fields.get("year")
    return escape(f"{who.strip()} ({year})" if year else who, quote=False)


def _plain(latex: str) -> str:
    return str(Text.from_latex(latex))


def cited() -> list[str]:
    """Return every key of the bibliography that a finding cites, in alphabetical order."""
    items = (item for finding in FINDINGS for item in finding["evidence"])
    return sorted({item["citation"] for item in items if "citation" in item})


# --------------------------------------------------------------------------- the five articles
def articles_table() -> str:
    """Return which texts were read: name, language, first heading, length and SHA-256."""
    rows = []
    for number, article in ARTICLES.items():
        text = article["text"]
        length = f"{text['characters']:,} characters, {text['bytes']:,} bytes"
        digest = _tag("code", article["sha256"])
        rows.append([name(number), text["language"], _chinese(text["heading"]), length, digest])
    head = ["article", "language", "first heading", "length", "SHA-256 of the text"]
    return _table(head, rows)


def system_table(article: str) -> str:
    """Return what one article builds, promises and leaves out."""
    about = ARTICLES[article]
    builds = dict(about["builds"])
    weights = ", ".join(
        f"{part.replace('_', ' ')} {number:,}" for part, number in builds.pop("parameters").items()
    )
    note = builds.pop("parameters_note", "")
    builds |= {"weights": f"{weights} ({note})" if note else weights}
    builds |= {"promises": about["promises"], "does not give": about["missing"]}
    rows = [(part, inline(str(value))) for part, value in builds.items()]
    rows += [("chapters that rebuild it", ", ".join(map(chapter_link, about["rebuilt_in"])))]
    rows += [("its recipe", _tag("code", f"python -m lstm_book train {about['recipe']}"))]
    return _table(["part", name(article)], rows)


def credit_list(article: str) -> str:
    """Return what one article gets right, section by section."""
    items = "".join(
        _tag("li", f"{inline(credit['text'])} <small>(section {credit['section']})</small>")
        for credit in ARTICLES[article]["credits"]
    )
    return _page(_tag("ul", items, class_="ledger-credits"))


def chapter_link(stem: str) -> str:
    """Return a chapter's number as a link, for its file's name without the number."""
    (path,) = (ROOT / "book").glob(f"[0-9][0-9]_{stem}.ipynb")
    return _tag("a", path.stem[:2], href=f"{path.stem}.html")


def concordance() -> str:
    """Return, for each chapter, the sections of the articles whose subject it treats."""
    rows = []
    for path in sorted((ROOT / "book").glob("[0-9][0-9]_*.ipynb")):
        treated = [
            [s["id"] for s in article["sections"] if path.stem[3:] in s["chapters"]]
            for article in ARTICLES.values()
        ]
        if any(treated):
            chapter = f"{chapter_link(path.stem[3:])} {escape(title(path), quote=False)}"
            rows.append([chapter, *(", ".join(sections) or "–" for sections in treated)])
    return _table(["chapter", *map(name, ARTICLES)], rows)


def contents_table() -> str:
    """Return what each article contains: what is wrong or missing links to its finding."""
    things = next(iter(ARTICLES.values()))["contains"]
    rows = [
        [thing, *(_state(article["contains"][thing]) for article in ARTICLES.values())]
        for thing in things
    ]
    return _table(["does it have", *map(name, ARTICLES)], rows)


def _state(entry: str | dict[str, str]) -> str:
    if isinstance(entry, str):
        return _tag("span", entry, class_=f"ledger-{entry}")
    ((state, number),) = entry.items()
    return _tag("span", f"{state} {finding_link(number)}", class_=f"ledger-{state}")


def programs(article: str) -> str:
    """Return one article's program, as printed and as repaired, each to be opened."""
    about = ARTICLES[article]
    parts = [("as printed", about["program"]), ("repaired", about["program_corrected"])]
    return _page(
        "".join(
            f"<details><summary>Article {article}, {name}</summary>"
            f"<pre><code>{_chinese(text)}</code></pre></details>"
            for name, text in parts
        )
    )
