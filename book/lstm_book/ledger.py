"""The ledger of errata as HTML: what the pages show of ``book/errata.yml``.

Everything here returns a string of HTML that is complete without scripts and without a network;
``book/assets/errata.js`` adds the search and ``book/assets/errata.css`` the look. In the ledger's
texts ``$...$`` is LaTeX and backticks are code.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape

import yaml
from pybtex.database import Entry, parse_file
from pybtex.richtext import Text

from lstm_book.binding import title
from lstm_book.checkout import ROOT

LEDGER = yaml.safe_load((ROOT / "book" / "errata.yml").read_text(encoding="utf-8"))
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
_STYLE = '<link rel="stylesheet" href="../_static/errata.css">'
_SCRIPT = '<script src="../_static/errata.js"></script>'


# -------------------------------------------------------------------------------------- inline
def inline(text: str) -> str:
    """Return a text of the ledger as HTML: formulas for MathJax, code, Chinese marked as such."""
    html = "".join(map(_piece, _MARKED.split(text)))
    return _FORMULA_AND_STOP.sub(r'<span class="ledger-whole">\1</span>', html)


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
def of_article(article: str) -> list[dict]:
    """Return the findings in one article."""
    return [finding for finding in FINDINGS if finding["article"] == article]


def count(key: str, findings: Iterable[dict] = FINDINGS) -> Counter[str]:
    """Count findings by ``"severity"``, ``"kind"`` or another key."""
    return Counter(finding[key] for finding in findings)


def severity_table() -> str:
    """Return the number of findings by article and severity."""
    groups = {f"article {article}": of_article(article) for article in ARTICLES}
    return _severities("article", groups | {"all": FINDINGS})


def kind_table() -> str:
    """Return the number of findings by kind and severity."""
    return _severities("kind", {k: [f for f in FINDINGS if f["kind"] == k] for k in KINDS})


def _severities(by: str, groups: dict[str, list[dict]]) -> str:
    rows = []
    for name, found in groups.items():
        each = count("severity", found)
        rows.append([name, *(str(each[severity]) for severity in SEVERITIES), str(len(found))])
    return _table(["", *SEVERITIES, "all"], rows, f"Findings by {by} and severity")


# -------------------------------------------------------------------------------------- findings
def finding_link(number: str, page: str = "ledger.html") -> str:
    """Return a link to one finding, from the chapter on errata itself with ``page=""``."""
    return _tag("a", number, href=f"{page}#finding-{number}")


def filter_bar() -> str:
    """Return the place that ``errata.js`` fills with the controls; without scripts it is empty."""
    return _page('<div class="errata-filter"></div>')


def findings_table(article: str, *, last: bool = False) -> str:
    """Return all findings in one article as a table, one row each; the last brings the script."""
    found = of_article(article)
    caption = f"<span>{len(found)} findings</span>"
    rows = "\n".join(map(_finding, found))
    attributes = 'class="ledger-table errata" role="table"'
    table = f"<table {attributes}><caption>{caption}</caption><tbody>\n{rows}\n</tbody></table>"
    return _page(table) + (_SCRIPT if last else "")


def _finding(finding: dict) -> str:
    number, severity, kind = finding["id"], finding["severity"], finding["kind"]
    sections = ARTICLES[finding["article"]]["sections"]
    section = next(each for each in sections if each["id"] == finding["section"])
    head = (
        finding_link(number, page="")
        + _tag("span", severity, class_=f"errata-severity errata-{severity}")
        + _tag("span", kind, class_="errata-kind")
    )
    where = f"section {escape(section['id'])}, {escape(section['gloss'])}"
    items = [("Where", where)]
    items += [(name, inline(finding[key])) for key, name in TEXTS.items() if key in finding]
    if finding["evidence"]:
        items.append(("Evidence", "<br>".join(map(_evidence, finding["evidence"]))))
    body = "".join(_tag("dt", name) + _tag("dd", text) for name, text in items)
    summary = _tag("summary", inline(finding["title"]))
    details = f"<details open>{summary}<dl>{body}</dl></details>"
    return (
        f'<tr role="row" id="finding-{number}" data-article="{finding["article"]}" '
        f'data-severity="{severity}" data-kind="{kind}">'
        f'<th role="rowheader" scope="row">{head}</th><td role="cell">{details}</td></tr>'
    )


def _evidence(item: dict[str, str]) -> str:
    ((kind, target),) = item.items()
    if kind == "test":
        return f"test {_tag('code', target.replace('::', '::<wbr>'))}"
    if kind == "computation":
        return f"computation {_tag('code', target)}"
    if kind == "citation":
        return f"source {citation_link(target)}"
    anchor = target.partition("#")[2]
    words = anchor.removeprefix("errata-").replace("-", " ")
    return f"run {_tag('a', words, href=f'#{anchor}')}"


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
def chapter_link(number: str) -> str:
    """Return a chapter's number, as a link that names its title."""
    (path,) = (ROOT / "book").glob(f"{number}_*.ipynb")
    return _tag("a", number, href=f"{path.stem}.html", title=title(path))


def chapter_links(numbers: Iterable[str]) -> str:
    """Return several chapters, separated by commas."""
    return ", ".join(map(chapter_link, numbers))


def system_table(article: str) -> str:
    """Return what one article builds, promises and leaves out."""
    about = ARTICLES[article]
    builds = about["builds"]
    counts = builds["parameters"]
    parameters = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in counts.items())
    if "parameters_note" in builds:
        parameters += f" ({builds['parameters_note']})"
    rows = [(name, inline(str(builds[name]))) for name in ("data", "model", "sizes")]
    rows += [("parameters", inline(parameters))]
    others = ("loss", "optimiser", "metric", "epochs", "batch", "framework")
    rows += [(name, inline(str(builds[name]))) for name in others]
    rows += [
        ("it promises", inline(about["promises"])),
        ("it does not give", inline(about["missing"])),
    ]
    rows += [("chapters that rebuild it", chapter_links(about["rebuilt_in"]))]
    rows += [("its recipe", _tag("code", f"python -m lstm_book train {about['recipe']}"))]
    return _table(["", f"article {article}"], rows)


def credit_list(article: str) -> str:
    """Return what one article gets right, section by section."""
    items = "".join(
        _tag("li", f"{inline(credit['text'])} <small>(section {credit['section']})</small>")
        for credit in ARTICLES[article]["credits"]
    )
    return _page(_tag("ul", items, class_="ledger-credits"))


def concordance(article: str) -> str:
    """Return every section of one article with the chapters and the findings that treat it."""
    rows = []
    for section in ARTICLES[article]["sections"]:
        found = [f["id"] for f in of_article(article) if f["section"] == section["id"]]
        printed = f"{_chinese(section['printed'])}<br>" if section["printed"] else ""
        heading = printed + escape(section["gloss"], quote=False)
        treated = chapter_links(section["chapters"]), " ".join(map(finding_link, found))
        rows.append([escape(section["id"]), heading, *treated])
    return _table(["section", "its heading", "chapters", "findings"], rows)


# ----------------------------------------------------------------------- what an article contains
def contents() -> dict[str, list[str]]:
    """Return, for each thing one looks for, its state in the five articles, in their order.

    A state is ``"right"``, ``"wrong"`` or ``"missing"``.
    """
    return {
        thing: [_state(article["contains"][thing]) for article in ARTICLES.values()]
        for thing in next(iter(ARTICLES.values()))["contains"]
    }


def contents_table() -> str:
    """Return :func:`contents` in words, each state with the finding that says why."""
    rows = [
        [thing, *(_state_html(article["contains"][thing]) for article in ARTICLES.values())]
        for thing in contents()
    ]
    return _table(["", *ARTICLES], rows, "What each article contains")


def _state(entry: str | dict[str, str]) -> str:
    return entry if isinstance(entry, str) else next(iter(entry))


def _state_html(entry: str | dict[str, str]) -> str:
    numbers = [] if isinstance(entry, str) else entry.values()
    return " ".join([_state(entry), *map(finding_link, numbers)])


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
