"""Numbers and words in the text come from runs, where a run gave them; none changes unseen."""

import re

import pytest
import yaml
from lstm_book import binding, ledger

from tests.book import changes, numbers

DATA = yaml.safe_load(numbers.DATA.read_text(encoding="utf-8"))
each_page = pytest.mark.parametrize("name", sorted(DATA["templates"]))


def test_what_a_run_gave_is_what_the_text_says():
    assert numbers.read() == []


@pytest.mark.parametrize("name", sorted(numbers.pages()))
def test_no_passage_changed_unseen(name):
    """What compares, and rests on a run, is better bound by a template: see the data file."""
    text, sealed = numbers.page_text(name), DATA["passages"][name].split()
    parts = zip(numbers.passages(text), numbers.seals(text), strict=True)
    news = [part for part, seal in parts if seal not in sealed]
    assert not news, f"passages that changed; accept: {numbers.COMMAND}\n" + "\n".join(news)
    assert numbers.seals(text) == sealed, f"passages that are gone; accept: {numbers.COMMAND}"


ELSEWHERE = [each for expressions in DATA["elsewhere"].values() for each in expressions]


@pytest.mark.parametrize("name", sorted(numbers.pages()))
def test_what_looks_measured_is_bound(name):
    """Decimals, percent and powers of ten; a count looks like a setting, and is left to people."""
    assert not numbers.unbound(name, DATA["templates"].get(name, {}), ELSEWHERE)


def test_a_measured_number_that_nothing_binds_is_noticed():
    """Without the templates a hundred are; without the expressions what each of them is for."""
    bound, needed = 0, set()
    for page in numbers.pages():
        templates, text = DATA["templates"].get(page, {}), numbers.prose(numbers.page_text(page))
        places = numbers.unbound(page, templates, [])
        bound += len(numbers.unbound(page, {}, [])) - len(places)
        for each in ELSEWHERE:
            spans = [match.span() for match in re.finditer(each, text)]
            needed |= {each for low, high in spans if any(low <= at < high for at in places)}
    assert bound > 100
    assert needed == set(ELSEWHERE)


@pytest.mark.parametrize("name", sorted(numbers.pages()))
def test_a_comparative_beside_a_result_is_bound(name):
    templates = DATA["templates"].get(name, {})
    assert not numbers.open_comparatives(name, templates, DATA["no comparison of results"])


def test_each_exception_from_the_comparatives_is_needed():
    needed = set()
    for page in numbers.pages():
        text = numbers.prose(numbers.page_text(page))
        places = numbers.open_comparatives(page, DATA["templates"].get(page, {}), [])
        for each in DATA["no comparison of results"]:
            spans = [match.span() for match in re.finditer(each, text)]
            needed |= {each for low, high in spans if any(low <= at < high for at in places)}
    assert needed == set(DATA["no comparison of results"])


FOUND_IN = {
    place["id"]: {each["article"] for each in ledger.places(finding)}
    for finding in ledger.FINDINGS
    for place in ledger.places(finding)
}


def strangers(part: str) -> set[str]:
    """Return the articles in a passage with findings that none of these findings is of."""
    articles = [FOUND_IN[number] for number in re.findall(r"\b00\d-\d\d\b", part)]
    named = set(re.findall(r"(?<![\d.,\-e/])00\d\b(?![.,]\d|-\d)", part))
    return named - set().union(*articles) if articles else named - set(ledger.ARTICLES)


def other_years(text: str) -> set[str]:
    """Return the years in a page's prose that no work is of which the page cites."""
    works = [ledger.bibliography().get(key) for key in re.findall(r"[a-z]+\d{4}[a-z]+", text)]
    said = set(re.findall(r"(?<![\d./-])(?:19|20)\d\d(?![\d/-]|\.\d)", numbers.prose(text)))
    return said - {work.fields.get("year") for work in works if work}


@pytest.mark.parametrize("name", sorted(numbers.pages()))
def test_articles_and_years_are_those_of_the_findings_and_works_beside_them(name):
    text = binding.page_text(numbers.pages()[name])
    assert not [part for part in numbers.passages(text) if strangers(part)]
    assert not other_years(text)


def test_a_wrong_article_or_year_is_noticed():
    text = "As 003 says (003-12), after {cite:p}`hochreiter1997long` in 1997."
    assert not strangers(text)
    assert not other_years(text)
    assert strangers(text.replace("As 003", "As 001"))
    assert strangers("As 005 says.")
    assert other_years(text.replace("in 1997", "in 1998"))


def other(number: str) -> str:
    """Return a number with another last digit, or another word."""
    if number.lower() in numbers.WORDS:
        return "seven" if number.lower() != "seven" else "nine"
    return re.sub(r"\d(?=\D*$)", lambda digit: str((int(digit[0]) + 3) % 10), number)


@each_page
def test_a_change_of_a_bound_sentence_is_noticed(name):
    """Of each number, and each turn of a word: by the template alone, without the hash."""
    text, templates = numbers.prose(numbers.page_text(name)), DATA["templates"][name]
    for template, source in templates.items():
        signs, (found,) = numbers.read_by(template, text)
        turned = [each for _, each in changes.turns(found[0])]
        for group, sign in enumerate(signs, 1):
            if "|" not in sign:
                start, end = (place - found.start() for place in found.span(group))
                turned.append(found[0][:start] + other(found[group]) + found[0][end:])
        for each in turned:
            new = text[: found.start()] + each + text[found.end() :]
            assert numbers.bound(name, new, {template: source}) or each.startswith(found[0]), each


@pytest.mark.parametrize(
    ("said", "sign", "exact", "fit"),
    [
        ("0.45", "", 0.4549, True),
        ("0.45", "", 0.4551, False),
        ("5,000", "", 5000, True),
        ("five", "", 5, True),
        ("five", "", 4, False),
        ("−0.3", "", -0.31, True),
        ("60", "~", 58, True),
        ("60", "", 58, False),
        ("400", ">", 412, True),
        ("300", ">", 412, False),
        ("500", "<", 412, True),
        ("1.4 \\cdot 10^{17}", "", 1.36e17, True),
        ("10^{-20}", "", 2e-20, False),
        ("10^{-20}", "", 1.2e-20, True),
        ("More", "more|fewer", True, True),
        ("more", "more|fewer", False, False),
        ("none", "all|some|none", "none", True),
        ("some", "all|some|none", "none", False),
    ],
)
def test_precision_is_that_of_the_text(said, sign, exact, fit):
    assert numbers.fits(said, sign, exact) == fit


def test_what_is_prose():
    text = """(label)=
Seen $x_1$, $10^{-3}$ and `4 lines` of {numref}`chapter %s <c>` in <b>17</b> runs.

```python
n = 5
```
```{exercise} 2
:label: ex-6
Take 10⁻⁷, or [12](./13.md).
```
$$ 8 $$
"""
    found = re.findall(numbers.NUMBER, numbers.prose(text))
    assert found == ["10^{-3}", "17", "10^{-7}", "12"]
