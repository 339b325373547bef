"""The reader of a novel: a passage coloured by the cell that counts the line."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lstm_book.checkout import ROOT
from lstm_book.experiments import cells
from lstm_book.experiments.writer import WARM_UP, load_writer
from lstm_book.experiments.writing import encode, texts
from lstm_book.figures.widgets.files import pack, unpack
from lstm_book.figures.widgets.page import figure_page
from lstm_book.figures.widgets.reader import packed_weights
from lstm_book.figures.widgets.ribbons import Run, unroll
from lstm_book.saliency import shades

WEIGHTS = ROOT / "results" / "experiments" / "writing-longer-256-2048-256.npz"
"""Of the recorded run in which a cell counts the line."""
BITS = {"W": 8, "U": 8}
PLACES = (9_000, 30_000)
"""Of the last pages of *Emma*: a passage begins with the first paragraph after each."""
LEAST = 400
"""Characters of a passage; it ends with its line."""
FOLLOWED = "place in the line"


def data(folder: Path, train: bool) -> dict:
    """Return the weights, the cells that are shown, and passages with the state before them."""
    del folder, train  # the weights are the record's
    model = load_writer(WEIGHTS)
    weights = packed_weights(model, BITS)
    text = texts()["validation"][: cells.MOST["validation"]]
    shown = np.tanh(cells.read(model, encode(text))[1])
    followed = cells.correlations(shown, cells.FOLLOWED[FOLLOWED](text)[WARM_UP:])
    cell = int(np.abs(followed).argmax())
    return {
        "weights": weights,
        "cells": [cell, *cells.most_variable(shown, cell, 3)],
        "passages": [_passage(weights, place) for place in PLACES],
    }


def _passage(weights: dict, place: int) -> dict:
    text = texts()["test"]
    start = text.index("\n\n", place) + 2
    stop = text.index("\n", start + LEAST) + 1
    run = _read(weights, text[start - 2 * WARM_UP : start])
    state = {name: pack(run[name][-1]) for name in "hc"}
    return {"text": text[start:stop], "state": state}


def _read(weights: dict, text: str, state: dict | None = None) -> Run:
    begin = {name: unpack(value) for name, value in (state or {}).items()}
    return unroll(weights, unpack(weights["E"])[encode(text)], **begin)


def read(data: dict, text: str, passage: int = 0) -> Run:
    """Return, from :func:`unroll`, what happens at each letter after the state of a passage."""
    return _read(data["weights"], text, data["passages"][passage]["state"])


def page(data: dict) -> str:
    """Return the first passage, each word shaded by what the cell shows after it."""
    text, cell = data["passages"][0]["text"], data["cells"][0]
    shown = np.tanh(read(data, text)["c"][:, cell])
    words = text.rstrip("\n").replace("\n", "\n ").split(" ")
    ends = np.cumsum([len(word.strip()) + 1 for word in words]) - 2
    spans = shades(words, shown[ends] - shown.mean(), limit=1.4 * np.ptp(shown) / 2)
    return figure_page("writing", f'<p class="watch-page">{spans}</p>', _caption(cell), SCRIPTS)


SCRIPTS = ("cell", "watch")


def _caption(cell: int) -> str:
    return f"""
    The LSTM with 192 cells that is stored beside the record reads a passage of the last pages of
    <em>Emma</em>, chosen by its place; the lines are the book’s. It is shaded by cell {cell + 1}:
    green and underlined where the cell is high, early in the line, orange and dotted where it is
    low, late in it. The ribbons are this cell and the three others that vary most, each in a scale
    of its own; the blue curve is the probability that the line ends here. A hold is one of the
    chosen cell alone. The weights are rounded further here, two matrices to 8 bits, for 0.006 bits
    a character.
    """
