"""The pages show the whole ledger, as it is now, and link to what exists."""

import json
import re

import pytest
import yaml
from bs4 import BeautifulSoup
from lstm_book import ledger
from lstm_book.checkout import ROOT
from lstm_book.ledger import ARTICLES, FINDINGS

from tests.lstm_book.frameworks import run

each_article = pytest.mark.parametrize("article", ARTICLES)


def first_in(article: str) -> list[dict]:
    """Return the findings that stand first in an article: the rows of its table."""
    return [finding for finding in FINDINGS if finding["article"] == article]


def parse(html: str) -> BeautifulSoup:
    return BeautifulSoup(html, "html.parser")


def cells(notebook: str) -> list[dict]:
    return json.loads((ROOT / "book" / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]


def shown(notebook: str) -> dict[str, str]:
    """Return what the cells that call the ledger show, by their source."""
    return {
        "".join(cell["source"]): "".join(output["data"]["text/html"])
        for cell in cells(notebook)
        if cell["cell_type"] == "code" and "HTML(ledger." in "".join(cell["source"])
        for output in cell["outputs"]
    }


# ---------------------------------------------------------------------------------- the texts
@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a < b & c", "a &lt; b &amp; c"),
        ("so $h_t < 1$", r'so <span class="math notranslate nohighlight">\(h_t &lt; 1\)</span>'),
        ("$h_t$, and", '<span class="ledger-whole"><span class="math notranslate nohighlight">'),
        ("$$W$$是", r'<span class="math notranslate nohighlight">\(W\)</span><span lang="zh">是'),
        ("`x[0] <$$ 1`", "<code>x[0] &lt;$$ 1</code>"),
        ("循环 is recurrent", '<span lang="zh">循环</span> is recurrent'),
        ('the "gate" (a "number"), `"x"`', 'the “gate” (a “number”), <code>"x"</code>'),
        ("Keras' layer, the article's $f'$", "Keras’ layer, the article’s <span"),
        ("`# 序列`", '<code># <span lang="zh">序列</span></code>'),
    ],
)
def test_inline_marks_formulas_code_and_chinese(text, html):
    assert ledger.inline(text).startswith(html)


def test_every_chinese_word_of_the_pages_is_marked():
    """A screen reader changes its voice, a browser its font."""
    for notebook in ("17_five_articles", "ledger"):
        for html in shown(notebook).values():
            for text in parse(html).find_all(string=re.compile(r"[\u3400-\u9fff]")):
                assert text.find_parent(lang="zh"), text


# ------------------------------------------------------------------------------- the findings
@each_article
def test_table_has_every_finding_with_its_own_address(article):
    rows = parse(ledger.findings_table(article)).select("tbody > tr")
    expected = first_in(article)
    assert [row["id"] for row in rows] == [f"e-{finding['id']}" for finding in expected]
    for row, finding in zip(rows, expected, strict=True):
        assert row.th.a["href"] == f"#{row['id']}"
        places = ledger.places(finding)
        assert [span["id"] for span in row.select("dd span[id]")] == [
            f"e-{place['id']}" for place in places[1:]
        ]
        assert set(row["data-article"].split()) == {place["article"] for place in places}
        assert row["data-severity"] == finding["severity"]
        assert row["data-kind"] == finding["kind"]
        assert row.select("details[open] > summary"), "without scripts everything is open"


@each_article
def test_table_says_all_that_the_ledger_says(article):
    rows = parse(ledger.findings_table(article)).select("tbody > tr")
    for row, finding in zip(rows, first_in(article), strict=True):
        items = dict(zip(row.select("dt"), row.select("dd"), strict=True))
        texts = {name.get_text(): text for name, text in items.items()}
        for key, name in ledger.TEXTS.items():
            assert (key in finding) == (name in texts)
            if key in finding:
                assert str(texts[name]) == f"<dd>{ledger.inline(finding[key])}</dd>".replace(
                    "&quot;", '"'
                )
        assert ("also" in finding) == ("And again" in texts)
        for place in finding.get("also", []):
            again = str(texts["And again"])
            assert ledger.inline(place["printed"]).replace("&quot;", '"') in again
            assert f"section {place['section']}, " in again
        evidence = str(texts.get("Evidence", ""))
        for entry in finding["evidence"]:
            (target,) = entry.values()
            assert target.split("#")[-1].split("::")[-1] in evidence


def test_counts_add_up():
    rows = parse(ledger.severity_table()).select("tbody tr")
    numbers = [[int(cell.get_text()) for cell in row.select("td")] for row in rows]
    assert all(sum(row[:-1]) == row[-1] for row in numbers)
    assert numbers[-1][-1] == len(FINDINGS)
    # What stands in several articles counts in each of them, once.
    again = sum(len({place["article"] for place in ledger.places(f)}) - 1 for f in FINDINGS)
    assert sum(row[-1] for row in numbers[:-1]) == len(FINDINGS) + again


# --------------------------------------------------------------------------------- the links
def test_every_source_of_the_ledger_is_cited_on_the_page():
    """Only what a page cites stands in the bibliography, where the links go."""
    text = "\n".join("".join(c["source"]) for c in cells("ledger") if c["cell_type"] != "code")
    keys = {
        key for group in re.findall(r"\{cite:[pt]\}`([^`]+)`", text) for key in group.split(",")
    }
    assert keys >= set(ledger.cited())
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    prefix = config["sphinx"]["config"]["bibtex_cite_id"].format(key="")
    assert f'href="bibliography.html#{prefix}elman1990finding"' in ledger.citation_link(
        "elman1990finding"
    )


@pytest.mark.parametrize("key", ledger.cited())
def test_every_source_has_a_name_and_an_address(key):
    assert ledger.author_year(key)
    assert not re.search(r"[{}\\]", ledger.author_year(key))
    entry = ledger.bibliography()[key]
    assert set(entry.fields) & {"doi", "url", "eprint", "isbn"}, f"{key}: no DOI, no address"


def test_concordance_has_every_section_and_links_to_what_exists():
    rows = parse(ledger.concordance()).select("tbody > tr")
    pages = [row.th.a["href"] for row in rows]
    assert pages == sorted(set(pages))
    for row, page in zip(rows, pages, strict=True):
        assert (ROOT / "book" / page.replace(".html", ".ipynb")).is_file()
        assert page.startswith(row.th.a.get_text())
    for column, article in enumerate(ARTICLES.values()):
        cells = [row.select("td")[column].get_text() for row in rows]
        for section in article["sections"]:
            treated = [
                p[3:-5] for p, c in zip(pages, cells, strict=True) if section["id"] in c.split(", ")
            ]
            assert sorted(treated) == sorted(section["chapters"]), section


def test_what_is_not_right_links_to_a_finding():
    things = parse(ledger.contents_table())
    assert len(things.select(".ledger-right, .ledger-wrong, .ledger-missing")) == 13 * len(ARTICLES)
    numbers = {place["id"] for finding in FINDINGS for place in ledger.places(finding)}
    for state in things.select(".ledger-wrong, .ledger-missing"):
        assert state.a["href"] == f"ledger.html#e-{state.a.get_text()}"
        assert state.a.get_text() in numbers


def test_each_article_is_named_and_its_text_identified():
    rows = parse(ledger.articles_table()).select("tbody > tr")
    assert [row.th.get_text() for row in rows] == [ledger.name(article) for article in ARTICLES]
    for row, article in zip(rows, ARTICLES.values(), strict=True):
        assert article["sha256"] in row.get_text()


# --------------------------------------------------------------------------------- the counts
WORDS = {1: "One", 2: "two", 3: "three", 13: "Thirteen"}
LINES = ("forget gate", "input gate", "candidate", "output gate", "cell state", "hidden state")


def test_the_chapters_counts_are_the_ledgers():
    """What the two pages say in number words follows from the ledger and the programs."""
    text = "\n".join("".join(cell["source"]) for cell in cells("17_five_articles"))
    contents = [article["contains"] for article in ARTICLES.values()]
    whole = [c for c in contents if all(c[line] == "right" for line in LINES)]
    assert f"{WORDS[len(contents[0])]} things one may look for" in text
    assert f"{WORDS[len(whole)]} article has all six lines right" in text
    assert all(c["program"] != "right" and c["result"] != "right" for c in contents)
    given = "import numpy as np\n" + "".join(
        f"{name}_train = {name}_test = np.zeros({shape})\n"
        for name, shape in {"x": "(8, 100, 10)", "y": "8"}.items()
    )
    programs = [about["program"].replace("(100, 1)", "(100, 10)") for about in ARTICLES.values()]
    assert all(run(program).error for program in programs)
    only_data = [program for program in programs if not run(given + program).error]
    assert f"No program runs as printed, {WORDS[len(only_data)]} of them only because" in text
    wrong = [f for f in FINDINGS if f["id"] in ("000-29", "000-31", "000-32")]
    assert f"all {WORDS[len(wrong)]} works that article 000 recommends" in text
    pieces = re.split(r"^## 00\d", text, flags=re.MULTILINE)[1:]
    worst = [len(re.findall(r"^\(errata-(?!reversed)", piece, re.MULTILINE)) for piece in pieces]
    assert worst == [3] * len(ARTICLES)
    linked = set(re.findall(r"\{ref\}`e-(\d{3}-\d{2})`", text))
    assert {finding["id"] for finding in FINDINGS if finding["severity"] == "fatal"} <= linked
