"""The ledger of errata: its schema, and that nothing in it points nowhere."""

import ast
import re
from functools import cache

import pytest
from lstm_book import errata, observe, seals
from lstm_book.binding import docstring_latex, page_text
from lstm_book.checkout import ROOT
from lstm_book.ledger import (
    ARTICLES,
    FINDINGS,
    KINDS,
    SEVERITIES,
    TEXTS,
    bibliography,
    places,
)

from tests.lstm_book.test_errata_programs import UNDONE

OPTIONAL = {"also", "disputable", "fair_reading"}
REQUIRED = {"id", "article", "section", "title", "severity", "kind", "evidence", *TEXTS} - OPTIONAL
CHINESE = re.compile(r"[\u4e00-\u9fff]")
MARKED = re.compile(r"\$\$?[^$]+\$\$?|`[^`]+`")
CONTENT = {"right"}, {"wrong"}, {"missing"}

each_finding = pytest.mark.parametrize("finding", FINDINGS, ids=lambda finding: finding["id"])
each_article = pytest.mark.parametrize(
    "article", ARTICLES.values(), ids=lambda article: article["id"]
)


@cache
def definitions(path: str) -> set[str]:
    """Return the names of a test file's functions."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@cache
def anchors(path: str) -> set[str]:
    """Return the MyST targets of a notebook."""
    return set(re.findall(r"^\(([\w-]+)\)=", page_text(ROOT / path), re.MULTILINE))


def points_somewhere(kind: str, target: str) -> bool:
    file, _, name = target.replace("::", "#").partition("#")
    match kind:
        case "test":
            return name in definitions(file)
        case "notebook":
            return name in anchors(file)
        case "computation":
            return target.startswith("lstm_book.errata.") and hasattr(errata, target.split(".")[-1])
        case "citation":
            return target in bibliography()
        case "observed":
            return target in observe.programs()
    return False


def test_ids_are_unique_and_in_order():
    ids = [finding["id"] for finding in FINDINGS]
    assert ids == sorted(set(ids))
    places = [place["id"] for finding in FINDINGS for place in finding.get("also", [])]
    assert len({*ids, *places}) == len(ids) + len(places)


@each_finding
def test_finding_follows_the_schema(finding):
    assert set(finding) >= REQUIRED
    assert set(finding) <= REQUIRED | OPTIONAL
    assert all(isinstance(finding[key], str) and finding[key] for key in REQUIRED - {"evidence"})
    assert finding["id"].startswith(finding["article"] + "-")
    assert finding["severity"] in SEVERITIES
    assert finding["kind"] in KINDS
    sections = [section["id"] for section in ARTICLES[finding["article"]]["sections"]]
    assert finding["section"] in sections
    for place in finding.get("also", []):
        assert set(place) == {"id", "section", "printed", "gloss"}
        assert place["section"] in [s["id"] for s in ARTICLES[place["id"][:3]]["sections"]]
    assert finding.get("disputable", True) is True
    assert ("disputable" in finding) == ("fair_reading" in finding)


@each_finding
def test_a_reader_without_chinese_can_follow(finding):
    assert not CHINESE.search(finding["title"])
    for place in (finding, *finding.get("also", [])):
        assert len(place["printed"]) < 250
        assert not CHINESE.search(place["gloss"])
    # A correction is Chinese where it is one of Chinese words, and says what they mean.
    chinese = CHINESE.search(finding["correct"])
    assert not chinese or (finding["id"] in ("000-36", "002-02") and "(" in finding["correct"])
    # Elsewhere a Chinese term may be named, within an English sentence.
    assert len(CHINESE.findall(finding["why"])) < 10


@each_finding
def test_formulas_are_marked_as_formulas(finding):
    places = [finding, *finding.get("also", [])]
    texts = [value for place in places for value in place.values() if isinstance(value, str)]
    outside = MARKED.sub("", " ".join(text for text in texts if "http" not in text))
    assert not re.search(r"[\\$`]|[A-Za-z]_\{|\b[a-zA-Z]_[a-z]\b", outside)


@each_finding
def test_evidence_points_somewhere(finding):
    items = [item for entry in finding["evidence"] for item in entry.items()]
    assert all(len(entry) == 1 for entry in finding["evidence"])
    assert len(set(items)) == len(items)
    assert [item for item in items if not points_somewhere(*item)] == []
    # A source alone is no evidence: something must be able to fail.
    assert "test" in dict(items) or finding["kind"] == "editorial"


def test_every_test_of_evidence_is_used():
    used = {
        entry["test"] for finding in FINDINGS for entry in finding["evidence"] if "test" in entry
    }
    files = ("formulas", "worked", "programs", "sources")
    written = {
        f"tests/lstm_book/test_errata_{file}.py::{name}"
        for file in files
        for name in definitions(f"tests/lstm_book/test_errata_{file}.py")
        if name.startswith("test_")
    }
    assert written == used


def test_a_repair_that_is_undone_is_a_findings():
    """A finding names the test of the repairs where one of them is its own."""
    name = {"test": "tests/lstm_book/test_errata_programs.py::test_each_repair_matters"}
    naming = {finding["id"] for finding in FINDINGS if name in finding["evidence"]}
    assert naming == {finding for finding, *_ in UNDONE} - {"pixels"}  # what is right as printed


def test_every_printed_formula_names_its_finding():
    ids = {place["id"] for finding in FINDINGS for place in places(finding)}
    for printed in errata.CORRECTIONS:
        named = re.findall(r"\d{3}-\d{2}", printed.__doc__)
        assert set(named) <= ids
        assert named or printed.__name__.startswith("step")


@pytest.mark.parametrize(
    ("function", "number"),
    [
        (errata.output_gate_000, "000-14"),
        (errata.hidden_state_000, "000-16"),
        (errata.cell_state_001, "001-17"),
        (errata.hidden_state_002, "002-12"),
        (errata.step_003, "003-08"),
        (errata.gradients_003, "003-12"),
    ],
)
def test_a_printed_formulas_function_shows_it(function, number):
    """What the function's docstring says that it computes is what the article prints."""
    (finding,) = (finding for finding in FINDINGS if finding["id"] == number)
    printed = seals.normalized(finding["printed"])
    for formula in docstring_latex(function).split(r", \quad "):
        assert seals.normalized(formula) in printed


@each_article
def test_article_follows_the_schema(article):
    assert article["sections"]
    assert article["credits"]
    ids = [section["id"] for section in article["sections"]]
    assert len(set(ids)) == len(ids)
    assert {credit["section"] for credit in article["credits"]} <= set(ids)
    assert all(section["gloss"] and section["chapters"] for section in article["sections"])
    chapters = {path.stem[3:] for path in (ROOT / "book").glob("[0-9][0-9]_*.ipynb")}
    named = set().union(article["rebuilt_in"], *(s["chapters"] for s in article["sections"]))
    assert named <= chapters
    *parts, total = article["builds"]["parameters"].values()
    assert sum(parts) == total
    for program in (article["program"], article["program_corrected"]):
        assert ast.parse(program)


@each_article
def test_content_that_is_not_right_has_a_finding(article):
    contents = [article["contains"] for article in ARTICLES.values()]
    assert {tuple(content) for content in contents} == {tuple(article["contains"])}
    ids = {place["id"] for finding in FINDINGS for place in places(finding)}
    ids = {number for number in ids if number.startswith(article["id"])}
    for state in article["contains"].values():
        assert state == "right" or (set(state) in CONTENT and set(state.values()) <= ids)


def test_an_editorial_finding_is_minor():
    editorial = [finding for finding in FINDINGS if finding["kind"] == "editorial"]
    assert {finding["severity"] for finding in editorial} == {"minor"}


# ------------------------------------------------------------------------------------- the seals
STORED = seals.stored()
ARTICLE_TEXTS = seals.article_texts()


def test_nothing_of_the_ledger_changed_behind_its_seals():
    """Where a quotation or a sentence is meant to change: python -m lstm_book.seals."""
    quoted = {number: seal for number, (seal, *_) in STORED["quotations"].items()}
    assert quoted == seals.quotations()
    assert STORED["words"] == seals.words()
    assert STORED["normalisation"] == seals.NORMALISATION
    assert STORED["articles"] == {number: about["sha256"] for number, about in ARTICLES.items()}


@pytest.mark.skipif(
    not ARTICLE_TEXTS, reason="needs the articles: name their folder in LSTM_ARTICLES"
)
def test_every_quotation_stands_in_its_article():
    found = seals.offsets(ARTICLE_TEXTS)
    assert found == {number: at for number, (_, *at) in STORED["quotations"].items()}
    for number, article in ARTICLES.items():
        text = ARTICLE_TEXTS[number]
        assert seals.sha256(text) == article["sha256"]
        assert re.search(r"^#+ *(.+)$", text, re.MULTILINE)[1] == article["text"]["heading"]
        assert (len(text), len(text.encode())) == (
            article["text"]["characters"],
            article["text"]["bytes"],
        )
        code = "".join(re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
        assert code.split() == article["program"].split()
