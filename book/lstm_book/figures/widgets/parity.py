"""The lamp: the LSTM of chapter 15 that has learnt parity."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import lstm
from lstm import equations as eq
from lstm_book.figures.widgets import files, reader
from lstm_book.figures.widgets.page import figure_page
from lstm_book.figures.widgets.ribbons import Run, ribbons, unroll

UPDATES, LONGEST, UNITS = 300, 40, 16
SHOWN = 8
"""Cells: those that tell odd from even best."""
STEPS = 1000
"""Of the sequence by which they are chosen, and of the test."""


def data(folder: Path, train: bool) -> dict:
    """Return the weights, the cells that are shown, and the first bits of a sequence."""
    weights = _train() if train else files.read_data(folder / "data" / "parity.js")["weights"]
    x, y = sequences(np.random.default_rng(99), STEPS, 1)
    gap = apart(unroll(weights, x[:, 0])["c"], y.ravel() == 1)
    best = np.argsort(-gap)[:SHOWN]
    example = "".join(str(int(bit)) for bit in x[:LONGEST, 0, 0])
    holding = int((gap > 0).sum())
    return {"weights": weights, "cells": best.tolist(), "holding": holding, "example": example}


def sequences(rng: np.random.Generator, steps: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Return bits (T, B, 1) and their parity after each step."""
    bits = rng.integers(2, size=(steps, batch, 1))
    return bits.astype(float), np.cumsum(bits, axis=0) % 2.0


def apart(cells: np.ndarray, odd: np.ndarray) -> np.ndarray:
    """Return how far each cell's numbers (T, H) for odd and for even lie apart, (H,)."""
    yes, no = cells[odd], cells[~odd]
    return np.maximum(yes.min(axis=0) - no.max(axis=0), no.min(axis=0) - yes.max(axis=0))


def read(data: dict, bits: str) -> Run:
    """Return, from :func:`unroll`, what happens at each bit."""
    return unroll(data["weights"], np.array([[float(bit)] for bit in bits]))


def page(data: dict) -> str:
    """Return the cells while the example is read, and the answers."""
    run = read(data, data["example"])
    shown = {name: run[name][:, data["cells"]] for name in "ifgoch"}
    shares = eq.sigmoid(run["logits"][:, 0])
    marks = ["press" if bit == "1" else "" for bit in data["example"]]
    alt = (
        f"{SHOWN} ribbons, one for each cell shown, over {len(marks)} steps; below them the "
        f"probability of on, which changes sides at each of {data['example'].count('1')} presses."
    )
    still = ribbons(shown, marks, shares, alt=alt, answers=("on", "off"))
    return figure_page("parity", still, _caption(data), ("cell", "watch"))


def _caption(data: dict) -> str:
    return f"""
    The LSTM of {UNITS} cells that was just trained follows a switch. Shown are the {SHOWN} cells
    that tell odd from even best, each in a scale of its own; {data["holding"]} of them do it at
    every one of {STEPS:,} steps.
    <span class="widget-read">Each ribbon is as wide as the number that the cell holds, filled above
    0 and hollow below; the blue curve is the probability that the lamp is on.</span>
    """


def _train() -> dict:
    """Train as the chapter does."""
    rng = np.random.default_rng(0)
    layer = lstm.LSTM(1, UNITS, dtype=np.float64, rng=1)
    head = lstm.Linear(UNITS, 1, dtype=np.float64, rng=rng)
    adam = lstm.Adam([*layer.parameters(), *head.parameters()], lr=0.01)
    for _ in range(UPDATES):
        x, y = sequences(rng, rng.integers(1, LONGEST + 1), 32)
        (h, _), backward = layer.vjp(x)
        logits, head_backward = head.vjp(h)
        d_logits = lstm.binary_cross_entropy_with_logits(logits, y)[1]
        adam.zero_grad()
        backward(head_backward(d_logits))
        adam.clip_grad_norm_(1.0)
        adam.step()
    return reader.packed_weights(reader.Reader(layer, head), {})
