"""Numbers and words in the text come from runs, where a run gave them; none changes unseen."""

import re

import pytest
import yaml

from tests.book import changes, numbers

FREE, WRONG = numbers.read()
DATA = yaml.safe_load(numbers.DATA.read_text(encoding="utf-8"))


def test_numbers_of_runs_are_what_the_runs_gave():
    assert not WRONG, "\n".join(WRONG)


def test_every_other_number_was_accepted():
    """A template is better than an entry of this list: see the head of the data file."""
    accepted = {name: text.split(" | ") for name, text in DATA["accepted"].items()}
    news = {
        name: {
            "new": set(FREE.get(name, [])) - set(accepted.get(name, [])),
            "gone": set(accepted.get(name, [])) - set(FREE.get(name, [])),
        }
        for name in FREE.keys() | accepted.keys()
    }
    news = {name: each for name, each in news.items() if any(each.values())}
    assert not news, f"numbers that no template binds changed; accept: {numbers.COMMAND}\n{news}"


@pytest.mark.parametrize("name", sorted(numbers.pages()))
def test_no_passage_changed_unseen(name):
    """What compares, and rests on a run, is better bound by a template: see the data file."""
    text, sealed = numbers.page_text(name), DATA["passages"][name].split()
    parts = zip(numbers.passages(text), numbers.seals(text), strict=True)
    news = [part for part, seal in parts if seal not in sealed]
    assert not news, f"passages that changed; accept: {numbers.COMMAND}\n" + "\n".join(news)
    assert numbers.seals(text) == sealed, f"passages that are gone; accept: {numbers.COMMAND}"


def other(number: str) -> str:
    """Return a number with another last digit, or another word."""
    if number.lower() in numbers.WORDS:
        return "seven" if number.lower() != "seven" else "nine"
    return re.sub(r"\d(?=\D*$)", lambda digit: str((int(digit[0]) + 3) % 10), number)


@pytest.mark.parametrize("name", sorted(numbers.pages()))
def test_a_changed_number_is_noticed(name):
    """Each number of the page in turn: a template fails, or the list does."""
    text = numbers.prose(numbers.page_text(name))
    templates = DATA["templates"].get(name, {})
    places, _ = numbers.bound(name, text, templates)
    before = numbers.listed(text, places)
    for match in list(re.finditer(numbers.NUMBER, text, re.IGNORECASE))[::7]:
        changed = text[: match.start()] + other(match[0]) + text[match.end() :]
        places, wrong = numbers.bound(name, changed, templates)
        assert wrong or numbers.listed(changed, places) != before, match[0]


@pytest.mark.parametrize("name", sorted(DATA["templates"]))
def test_a_turned_word_is_noticed(name):
    """In a sentence that a template binds: by the template alone, without list and hash."""
    text, templates = numbers.prose(numbers.page_text(name)), DATA["templates"][name]
    for template in templates:
        _, (found,) = numbers.read_by(template, text)
        for place, turned in changes.turns(found[0]):
            new = text[: found.start()] + turned + text[found.end() :]
            _, wrong = numbers.bound(name, new, {template: templates[template]})
            assert wrong or turned.startswith(found[0]), (place, turned)  # not behind its end


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
    assert numbers.listed(numbers.prose(text), set()) == [
        "10^{-3} and",
        "10^{-7} or",
        "12",
        "17 runs",
    ]
