"""Tables of results: what a page shows, what a terminal shows."""

from __future__ import annotations

import pytest
from lstm_book.figures import tables

ROWS = [("a < b", "1.5"), ("c", "-10.25")]


@pytest.fixture
def shown(monkeypatch):
    outputs = []
    monkeypatch.setattr(tables, "display", lambda data, raw: outputs.append(data))
    tables.show(ROWS, ["name", "value"], caption="values & names")
    (data,) = outputs
    return data


def test_page_gets_header_cells_with_a_scope(shown):
    html = shown["text/html"]
    assert html.count('<th scope="col">') == 2
    assert '<th scope="row">a &lt; b</th><td>1.5</td>' in html
    assert "<caption>values &amp; names</caption>" in html


def test_terminal_gets_aligned_text(shown):
    assert shown["text/plain"] == "name    value\na < b     1.5\nc      -10.25"


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="a row must have 1 cells"):
        tables.show(ROWS, ["name"])


def test_sentences_are_set_from_the_left(monkeypatch):
    outputs = []
    monkeypatch.setattr(tables, "display", lambda data, raw: outputs.append(data["text/html"]))
    tables.show(ROWS, ["name", "value"], words=True)
    tables.show(ROWS, ["name", "value"])
    assert ["lstm-words" in html for html in outputs] == [True, False]
