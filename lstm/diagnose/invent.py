"""Weights for code that is given none: from its globals, or made up from what it asks for."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

D, H, OUT = 3, 4, 2


class Scheme(NamedTuple):
    """How weights may be laid out: shapes follow from it and from their names."""

    columns: bool
    joined: bool
    concatenated: bool
    bias: str

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of the weight of this name."""
        word = re.sub(r"[^a-z]", "", name.lower())
        output = re.fullmatch(r"(w|b|wh|u)y|v|why|.*(dense|fc|logit).*", word)
        rows = OUT if output else 4 * H if self.joined else H
        if word.startswith("b") or "bias" in word:
            return {"flat": (rows,), "column": (rows, 1), "row": (1, rows)}[self.bias]
        recurrent = re.match(r"[ur](?!p)|wh|rec|.*(hh|hid|recurrent)", word) or word[1:].startswith(
            "h"
        )
        width = D + H if self.concatenated else H if recurrent else D
        width = H if output else width
        return (rows, width) if self.columns else (width, rows)


SCHEMES = [
    Scheme(*choice)
    for choice in itertools.product(
        (False, True), (True, False), (False, True), ("flat", "column", "row")
    )
]


class Weights(dict):
    """Weights that are made when they are first asked for."""

    def __init__(self, scheme: Scheme) -> None:
        super().__init__()
        self.scheme = scheme

    def __missing__(self, name: str) -> np.ndarray:
        self[name] = np.random.default_rng(len(self)).normal(size=self.scheme.shape(name))
        return self[name]


def used_by(function: Callable, depth: int = 2) -> dict[str, Any]:
    """Return the arrays, and what holds them, that a function finds outside of itself."""
    try:
        names = inspect.getclosurevars(inspect.unwrap(function))
    except TypeError:
        return {}
    found: dict[str, Any] = {}
    for name, value in (names.globals | names.nonlocals).items():
        if inspect.isfunction(value) and depth:
            found |= used_by(value, depth - 1)
        elif not inspect.ismodule(value) and not callable(value):
            found[name] = value
    return found


def invented(asked: list[str]) -> Iterator[Weights]:
    """Yield weights for a function's arguments of these names, in one scheme after the other.

    A mapping among them is filled when the function asks for its keys.
    """
    for scheme in SCHEMES:
        weights = Weights(scheme)
        for name in asked:
            weights.__missing__(name)
        yield weights
