"""The evidence for findings in what the articles cite, and in what they should have cited.

What exists was looked up once and stands in ``book/references.bib``; these tests hold the printed
author, title or address against it.
"""

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


@evidence({"Manning"}, {"Hochreiter", "Schmidhuber"})
def test_the_lstm_paper_has_two_authors(printed, corrected):
    assert authors("hochreiter1997long") == corrected
    assert not authors("hochreiter1997long") & printed


@evidence({"Ng"}, {"Raj"})
def test_the_course_has_another_teacher(printed, corrected):
    assert "deeplearning.cs.cmu.edu" in text("cmu11785", "url")
    assert authors("cmu11785") == corrected
    assert not authors("cmu11785") & printed


@evidence(
    {
        "hochreiter1997long": "http://www.cs.toronto.edu/~graves/acl2009.pdf",
        "cmu11785": "http://deeplearning.cs.cmu.edu/L1/section5.2.html",
        "graves2014towards": "https://www.cs.toronto.edu/~graves/icml2014.pdf",
        "bengio1994learning": "http://www.jmlr.org/papers/volume3/bengio04a.html",
    },
    {
        "hochreiter1997long": "https://doi.org/10.1162/neco.1997.9.8.1735",
        "cmu11785": "http://deeplearning.cs.cmu.edu/",
        "graves2014towards": "https://proceedings.mlr.press/v32/graves14.html",
        "bengio1994learning": "https://doi.org/10.1109/72.279181",
    },
)
def test_addresses_are_those_of_the_works(printed, corrected):
    known = set().union(*map(addresses, WORKS))
    for key in corrected:
        assert corrected[key] in addresses(key)
        assert printed[key] not in known


@evidence(
    {
        "olah2015understanding": "Recurrent Neural Networks",
        "lipton2015critical": "Recurrent Neural Networks for Sequence Learning",
        "graves2014towards": "Recurrent Neural Networks",
        "graves2012supervised": "Recurrent Neural Networks",
        "bengio1994learning": "Learning Long-Term Dependencies with Gradient Descent",
    },
    {
        "olah2015understanding": "Understanding LSTM Networks",
        "lipton2015critical": (
            "A Critical Review of Recurrent Neural Networks for Sequence Learning"
        ),
        "graves2014towards": "Towards End-to-End Speech Recognition with Recurrent Neural Networks",
        "graves2012supervised": "Supervised Sequence Labelling with Recurrent Neural Networks",
        "bengio1994learning": (
            "Learning Long-Term Dependencies with Gradient Descent Is Difficult"
        ),
    },
)
def test_titles_are_those_of_the_works(printed, corrected):
    known = {text(key, "title") for key in WORKS}
    for key in corrected:
        assert text(key, "title") == corrected[key]
        assert printed[key] not in known


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
