"""How arrays may lie: letters for the axes, in the order in which a person's code has them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Layout(NamedTuple):
    """Axes of x and of a state or the outputs: t time, s samples, d inputs, h units, 1 one.

    An axis of ours that is not named has length one and is left out. Without ``d`` an input is
    the number of a token.
    """

    name: str
    x: str
    state: str
    alone: bool = False
    """Whether only one sample can be given at once, though there is an axis for it."""

    @property
    def several(self) -> bool:
        """Whether several samples can be given at once."""
        return "s" in self.x and not self.alone

    @property
    def first(self) -> str:
        """Axes of an initial state, or of the last one alone."""
        return self.state.replace("t", "")

    def of_tokens(self) -> Layout:
        """Return the same for numbers of tokens."""
        axes = "".join(letter for letter in self.x if letter in ("t" if self.alone else "ts"))
        return Layout(f"token numbers, {self.name}", axes, self.state, self.alone)


STEPS = (
    Layout("rows", "sd", "sh"),
    Layout("columns", "ds", "hs"),
    Layout("a sequence of one step", "1sd", "1sh"),
    Layout("batch first", "s1d", "1sh"),
    Layout("batch first, flat states", "s1d", "sh"),
    Layout("vectors", "d", "h"),
    Layout("one row", "sd", "sh", alone=True),
    Layout("one column", "ds", "hs", alone=True),
    Layout("a vector and columns", "d", "hs"),
)
SEQUENCES = (
    Layout("time first", "tsd", "tsh"),
    Layout("batch first", "std", "sth"),
    Layout("time last, columns", "dst", "hst"),
    Layout("time first, columns", "tds", "ths"),
    Layout("one sequence", "td", "th"),
    Layout("one sequence of rows", "tsd", "tsh", alone=True),
    Layout("one sequence of columns", "tds", "ths", alone=True),
)
OUTPUTS = ("tsh", "sth", "hst", "ths")


def arrange(array: np.ndarray, ours: str, theirs: str) -> np.ndarray:
    """Return an array with axes ``ours`` as one with axes ``theirs``, of others the last part."""
    array = array[tuple(slice(None) if letter in theirs else -1 for letter in ours)]
    left = [letter for letter in ours if letter in theirs]
    array = array.transpose([left.index(letter) for letter in theirs if letter != "1"])
    return array[tuple(None if letter == "1" else slice(None) for letter in theirs)]


def back(array: np.ndarray, ours: str, theirs: str) -> np.ndarray:
    """Return an array with axes ``theirs`` as one with axes ``ours``."""
    array = array[tuple(0 if letter == "1" else slice(None) for letter in theirs)]
    left = theirs.replace("1", "")
    turn = getattr(array, "permute", array.transpose)  # of a tensor, or of an array
    array = turn([left.index(letter) for letter in ours if letter in left])
    return array[tuple(slice(None) if letter in left else None for letter in ours)]


def shape_of(axes: str, sizes: dict[str, int]) -> tuple[int, ...]:
    """Return the shape of an array with these axes."""
    return tuple(sizes.get(letter, 1) for letter in axes)


def fits(array: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether an array has a shape, but for axes of length one."""
    return [n for n in array.shape if n > 1] == [n for n in shape if n > 1]
