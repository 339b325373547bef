"""How people write: what names say, which is never a proof, and how arrays may lie."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

NAMES = {  # what an argument's name says it is; the first that fits
    "c": r"(prev_?|old_?|last_?)?(c|cs|ct|c_?prev.*|c_?t.*|c_?0|c_?next.*|c_.*)"
    r"|mem.*|.*cell.*|.*long.*|.*ltm.*",
    "h": r"(prev_?|old_?|last_?)?(h|hs|ht|a|s|h_?prev.*|h_?t.*|h_?next.*|[ash]_?0|[ash]_.*)"
    r"|.*hidden.*|.*short.*|.*stm.*",
    "x": r"x.*|inp.*|.*input.*|data|word.*|token.*|feature.*|embed.*|seq.*",
    "pair": r".*states?.*|hx|hc|h_c|prev|next|carry",
    "weights": r"p|params?|parameters|weights|theta|model",
}
CACHE = r".*(cache|saved|ctx|tape|kept|fwd).*"
RATE = r"lr|learning_?rate|eta|alpha|step_?size"
CLEAR = r"(zero|clear|reset)_?grad\w*"
"""Names of the rate that a backward pass asks for, and of the method that sets gradients to 0."""
METHODS = ("step", "forward_step", "forward", "lstm_step", "lstm_cell", "cell", "__call__")
RUNS = ("forward", "run", "__call__", "forward_pass", "forward_propagation", "predict")
"""Names of the method that computes a step or a sequence, in the order in which they are tried."""

SIZES = {  # what a constructor's argument says it is
    "D": r".*(in(put)?s?_?(size|dim|dimension|units|features|channels)?|n_?x|x_?dim|D|embed.*"
    r"|vocab.*|word.*|n_chars)",
    "H": r".*(hid(den)?.*|units|n_?h|n_?a|h_?dim|H|size|mem_cell_ct|num_units|cells?)",
}
GATE_NAMES = {  # what a weight's name says of its gate
    "f": r"f|forget|fg|forgetgate",
    "i": r"i|u|in|input|update|ig|inputgate",
    "g": r"g|c|j|z|a|cell|cand|candidate|cc|tilde|block|gate|cbar",
    "o": r"o|out|output|og|outputgate",
}


def role_of(name: str, roles: str | tuple[str, ...] = tuple(NAMES)) -> str | None:
    """Return what an argument's name says: "x", "h", "c", "pair" or "weights"."""
    return next((role for role in roles if re.fullmatch(NAMES[role], name.lower())), None)


def plain_name(name: str) -> str:
    """Return a name without what says that it is a gradient."""
    before = r"^(grads?_?|delta_?|[dg]_|g(?=[A-Z]|[bxhc]_?[a-z]?$)|d(?=[a-zA-Z]))"
    name = re.sub(rf"{before}|_?grads?$", "", name)
    return name.lower().removeprefix("self.")


def is_gradient(name: str) -> bool:
    """Whether a name says that it is a gradient."""
    return bool(
        re.fullmatch(
            r"d[a-zA-Z_].*|g([A-Z_].*|[bxhc]_?[a-z]?)|.*(grad|delta|diff|err|loss).*", name
        )
    )


def same_weight(gradient: str, weight: str) -> bool:
    """Whether a gradient's path of names, such as ``grads.W.f``, is that of a weight."""
    holders = {"", "grad", "gradients", "param", "params", "parameters", "weights"}

    def path(name: str, strip: bool) -> str:
        words = [plain_name(word) if strip else word.lower() for word in name.split(".")]
        words = [word for word in words if word not in holders]
        while len(words) > 1 and words[0].isdigit():  # a place in a tuple
            del words[0]
        return "." + ".".join(words)

    own = path(weight, False)
    return any(
        theirs != "." and (theirs.endswith(own) or own.endswith(theirs))
        for theirs in (path(gradient, True), path(gradient, False))
    )


def gate_of(name: str) -> str | None:
    """Return the gate that a weight's name says, if it says one."""
    words = [w for w in re.split(r"[^a-z]+|(?<=[a-z])(?=[A-Z])", name) if w]
    tail = re.sub(r"^(weights?|bias|[wubvr])?_?(x|h)?_?", "", name.lower().split(".")[-1])
    for word in (tail, tail.removesuffix("_gate"), *map(str.lower, words)):
        for role, pattern in GATE_NAMES.items():
            if re.fullmatch(pattern, word.strip("_")):
                return role
    return None


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
