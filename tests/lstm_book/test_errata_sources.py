"""The evidence for findings in what the articles cite, and in what they should have cited.

What exists was looked up once and stands in ``book/references.bib``; these tests hold the printed
author, title or address against it.
"""

import pytest
from lstm_book import ledger

from tests.lstm_book.evidence import evidence

WORKS = ledger.bibliography()


def text(key, field):
    """Return a field of a work without braces."""
    return WORKS[key].fields.get(field, "").replace("{", "").replace("}", "")


def authors(key):
    """Return the last names of a work's authors."""
    return {" ".join(person.last_names) for person in WORKS[key].persons["author"]}


def addresses(key):
    """Return every address of a work: DOI, arXiv number, page."""
    found = {text(key, "url")}
    if "doi" in WORKS[key].fields:
        found.add("https://doi.org/" + text(key, "doi"))
    if "eprint" in WORKS[key].fields:
        found.add("https://arxiv.org/abs/" + text(key, "eprint"))
    return found - {""}


def described(key):
    """Return which of the things that a reader needs to find a work are known of it."""
    names = {"author": bool(WORKS[key].persons), "title": text(key, "title")}
    names["year"] = text(key, "year")
    names["venue"] = text(key, "journal") or text(key, "booktitle") or text(key, "publisher")
    return {name for name, value in names.items() if value}


PRINTED = {
    "000-29": ("hochreiter1997long", "author", "Manning"),
    "000-30": ("hochreiter1997long", "address", "http://www.cs.toronto.edu/~graves/acl2009.pdf"),
    "000-31": ("olah2015understanding", "title", "Recurrent Neural Networks"),
    "000-32": ("cmu11785", "author", "Ng"),
    "000-33": ("cmu11785", "address", "http://deeplearning.cs.cmu.edu/L1/section5.2.html"),
    "001-34": ("lipton2015critical", "title", "Recurrent Neural Networks for Sequence Learning"),
    "003-38": ("graves2014towards", "title", "Recurrent Neural Networks"),
    "003-39": ("graves2014towards", "address", "https://www.cs.toronto.edu/~graves/icml2014.pdf"),
    "003-40": (
        "bengio1994learning",
        "title",
        "Learning Long-Term Dependencies with Gradient Descent",
    ),
    "003-41": (
        "bengio1994learning",
        "address",
        "http://www.jmlr.org/papers/volume3/bengio04a.html",
    ),
}
"""A finding, the work that is meant, and what is printed as its author, title or address."""


@pytest.mark.parametrize("number", PRINTED)
def test_a_printed_reference_is_not_the_works(number):
    (finding,) = (f for f in ledger.FINDINGS if f["id"] == number)
    key, field, printed = PRINTED[number]
    known = {"author": authors, "title": lambda k: {text(k, "title")}, "address": addresses}[field]
    assert {"citation": key} in finding["evidence"]
    assert printed in finding["printed"]
    assert known(key)
    assert printed not in set().union(*(known(each) for each in WORKS if field != "author"))
    assert printed not in known(key)


@evidence(
    {"goodfellow2016deep", "graves2014towards", "bengio1994learning"},
    {"goodfellow2016deep", "graves2012supervised"},
)
def test_books_are_books(printed, corrected):
    assert {WORKS[key].type for key in corrected} == {"book"}
    assert [WORKS[key].type for key in printed].count("book") == 1


@evidence({"title"}, {"author", "title", "year", "venue"})
def test_a_reference_names_more_than_a_title(printed, corrected):
    for key in ("hochreiter1997long", "goodfellow2016deep"):
        assert described(key) == corrected
        assert described(key) > printed


@evidence(
    set(), {"hochreiter1997long", "gers2000learning", "maas2011learning", "lecun1998gradient"}
)
def test_there_was_something_to_cite(printed, corrected):
    # All appeared before TensorFlow (2015), which the articles use, and each can be found.
    assert corrected
    assert all(int(text(key, "year")) < 2015 and addresses(key) for key in corrected)
    assert not printed


@evidence({}, {"translation": "sutskever2014sequence", "role labelling": "he2017deep",
               "stock prices": "fischer2018deep"})  # fmt: skip
def test_an_application_has_a_source(printed, corrected):
    for application in ("translation", "role labelling", "stock prices"):
        assert described(corrected[application]) >= {"author", "title", "year"}
        assert addresses(corrected[application])
        assert application not in printed


# The year that the text makes them of, the library's at the earliest; and the papers' own.
@evidence({"cho2014learning": 2019, "li2016visualizing": 2019},
          {"cho2014learning": 2014, "li2016visualizing": 2016})  # fmt: skip
def test_the_trends_were_published(printed, corrected):
    for key, year in corrected.items():
        assert int(text(key, "year")) == year < printed[key]
