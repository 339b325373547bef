"""A formula of the book against the function that computes it, on random values.

All sizes are different, so that a transpose is noticed; a symbol without a value is an error.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable

import numpy as np
from lark import Tree
from lstm_book import binding, statistics

import lstm
from lstm.equations.registry import EQUATIONS, READINGS
from tests.book.latex import RELATIONS, Display, Evaluator, FormulaError, Key, parse, plain

SIZES = {"B": 3, "D": 7, "H": 5, "P": 11, "K": 6, "T": 10, "t": 8, "N": 13, "n": 9}
TIME = {"T": range(1, SIZES["T"] + 1), "t": range(1, SIZES["t"] + 1)}
TIME["T - t + 1"] = range(SIZES["t"], SIZES["T"] + 1)
GATES = {"i", "f", "o", "m", "q"}
"""What lies between 0 and 1; all single numbers do, too."""
SHAPES = {"W": "KD", "U": "KH", "d_a": "K"} | dict.fromkeys(["U_i", "U_f", "U_g", "U_o"], "HH")
"""Symbols that arguments are made of, with shapes of their own."""
WORDS = {r"\le": "At least", r"\ge": "At most"}
CONDITIONS = {relation: check for relation, check in RELATIONS.items() if relation not in WORDS}
BUFFERS = {"momentum": "m", "mean": "m", "square": "v"}
"""An optimiser's arrays, and what its formula calls them."""


def described(function: Callable, name: str) -> tuple[dict[str, tuple[str, list[str]]], str]:
    """Return a section of a docstring: name → (what its line says, its axes); and its text."""
    text = inspect.cleandoc(function.__doc__) + "\n"
    match = re.search(rf"^{name}\n-+\n(.*?)(?=\n\w+\n---|\Z)", text, re.DOTALL | re.MULTILINE)
    found, text = {}, match[1] if match else ""
    for line in re.findall(r"^\w.*", text, re.MULTILINE):
        names, _, says = line.rpartition(" : ")
        number, shaped = re.match(r"\(?float|int", says or line), "shape" in line
        default = "" if number else "B, H" if shaped else "B"
        shapes = re.findall(r"\(([^()]*)\)", says.partition("shape")[2]) or [default]
        for place, each in enumerate(names.split(", ")):
            axes = shapes[place if len(shapes) > 1 else 0].replace("...", "B").split(",")
            found[each] = says, [axis.strip() for axis in axes if axis.strip()]
    return found, " ".join(text.split())


class Case:
    """One equation with values: whatever is written for its formula can be compared.

    Parameters
    ----------
    label : str
        The equation.
    seed : int
        Of the values.
    """

    def __init__(self, label: str, seed: int) -> None:
        self.function, reading = EQUATIONS[label], READINGS[label]
        self.rng = np.random.default_rng(seed)
        self.returns, text = described(self.function, "Returns")
        self.diagonal = "diagonal" in text
        # Formula → what the description says before it.
        self.said = {
            plain(latex): before for before, latex in re.findall(r"([\w ]*):math:`([^`]*)`", text)
        }
        parameters, _ = described(self.function, "Parameters")
        # Values that all sequences share, and those of each sequence.
        self.shared = {("t", SIZES["n"] - 1): statistics.student(SIZES["n"] - 1)}
        self.own: list[dict] = [{} for _ in range(SIZES["B"])]
        self.batch, self.definitions = False, {}
        optimiser = "parameters" in parameters
        names = reading.arguments if optimiser else parameters
        arguments = {
            name: self._argument(name, *parameters[name], plain(reading.arguments.get(name, "")))
            for name in names
        }
        for each in reading.where:
            latex = binding.docstring_latex(EQUATIONS[each]) if each in EQUATIONS else each
            for sides, _ in Display(latex).statements:
                self._define(sides, self.definitions)
        if optimiser:
            self.expected = self._optimised(arguments)
        else:
            results = self.function(**arguments)
            results = results if isinstance(results, tuple) else (results,)
            self.expected = dict(zip(self.returns, map(np.asarray, results), strict=True))

    # ------------------------------------------------------------------------------ arguments
    def _argument(self, name: str, says: str, axes: list[str], latex: str):
        """Make an argument; the symbols that it is made of keep their values."""
        if re.match("int", says):
            return SIZES[latex or name]
        counted = bool(re.search(r"_\{?n", latex))  # over what is summed, no batch
        if counted and "shape (" not in says and "shapes (" not in says:
            axes = ["N"]
        time = TIME[axes[0]] if axes and axes[0] in TIME else [None]
        rest = axes[time != [None] :]
        batch = "B" in rest or counted
        shape = tuple(map(_size, rest[batch:]))
        self.batch |= batch and not counted
        sequences = range(_size(rest[0])) if batch else [None]
        values = [
            [self._entry(name, latex, shape, step, n, counted, "int" in says) for n in sequences]
            for step in time
        ]
        values = [np.array(row) if batch else row[0] for row in values]
        return np.array(values) if time != [None] else values[0]

    def _entry(self, name, latex, shape, step, n, counted, whole):
        """Make an argument's entry of one step and one sequence."""
        place = self.shared if n is None or counted else self.own[n]
        if not latex:
            base, mark = re.fullmatch(r"(.+?)(?:_(prev|next|t|\d+))?", name).groups()
            at = [int(mark)] if (mark or "").isdigit() else []
            if step or (mark and not at):
                at = [(step or SIZES["t"]) + {"prev": -1, "next": 1}.get(mark, 0)]
            value = place[base, *at] = self._sample(base, shape)
            if shape == (1,):  # one number for all units
                place[base, *at] = np.full((SIZES["H"], 1), value)
            return _array(value, shape)
        bound = SIZES | ({"t": step} if step else {}) | ({} if n is None else {"n": n + 1})

        class Fresh(Evaluator):
            """Give a symbol that has no value yet a random one."""

            def lookup(fresh, key: Key):
                try:
                    return super().lookup(key)
                except FormulaError:
                    own = SHAPES.get(re.sub("_(right|left)arrow", "", key[0]), "")
                    value = self._sample(key[0], tuple(map(_size, own)) or shape, whole)
                    place[key] = fresh.values[key] = value
                    return value

        values = [Fresh(self.shared | place, bound, {}).of(part) for part in latex.split(", ")]
        return _array(values[0], shape) if len(values) == 1 else values

    def _sample(self, name: str, shape: tuple[int, ...], whole: bool = False):
        """Return a value for a symbol: a number, a column or a matrix."""
        if whole:
            return int(self.rng.integers(1, SIZES["K"], endpoint=True))
        shape = tuple(n for n in shape if n != 1)
        if not shape or name in GATES:
            value = self.rng.uniform(0.2, 0.8, shape)
        else:
            scale = 0.15 if name[0] == "U" else self.rng.choice([0.1, 1])
            value = scale * self.rng.normal(size=shape)
        return value[:, None] if len(shape) == 1 else value

    def _optimised(self, arguments: dict) -> dict[str, np.ndarray]:
        """Return what an optimiser, or clipping, makes of a parameter, its gradient and state."""
        for name in ("theta", "g"):
            self.shared[name,] = self._sample(name, (SIZES["H"],))
        parameter = lstm.Parameter(self.shared["theta",][:, 0].copy())
        parameter.grad[...] = self.shared["g",][:, 0]
        if not isinstance(self.function, type):
            self.function([parameter], **arguments)
            return {"g": parameter.grad}
        optimiser = self.function([parameter], **arguments)
        state, names = optimiser.state_dict(), {}
        for name in state.keys() - {"lr", "steps"}:
            names[name] = BUFFERS[name.removesuffix(".0")]
            self.shared[names[name],] = np.abs(self._sample(name, (SIZES["H"],)))
            state[name] = self.shared[names[name],][:, 0].copy()
        self.shared["k",] = 3
        optimiser.load_state_dict(state | {"steps": np.int64(2)})
        optimiser.step()
        after = optimiser.state_dict()
        return {"theta": parameter.data} | {names[name]: after[name] for name in names}

    # ------------------------------------------------------------------------------- the formula
    def scopes(self, definitions: dict) -> list[Evaluator]:
        """Return an evaluator for each sequence of the batch; one, where there is no batch."""
        return [
            Evaluator(self.shared | own, SIZES | ({"n": n} if self.batch else {}), definitions)
            for n, own in enumerate(self.own[: None if self.batch else 1], 1)
        ]

    def _define(self, sides: list[str], definitions: dict) -> Key:
        """Let the last side say what the first one is; return its name and number of indices."""
        letters = {"t": 1000, "k": 2000, "n": 3000}
        name, *at = Evaluator({}, letters, {}).key(_lone(sides[0]))
        back = {number: letter for letter, number in letters.items()}
        at = [back.get(each, each) for each in at]
        definitions[name, len(at)] = at, parse(sides[-1])
        return name, len(at)

    def agrees(self, latex: str) -> bool:
        """Return whether the formula can be computed, and gives what the function gives."""
        try:
            with np.errstate(all="ignore"):
                self.compare(latex)
        except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError):
            return False
        return True

    def compare(self, latex: str) -> None:
        """Raise a FormulaError where the formula and the function differ."""
        display, definitions = Display(latex), dict(self.definitions)
        scopes = self.scopes(definitions)
        results, conditions, defined = [], [], []
        for sides, relations in display.statements:
            if relations[-1] in CONDITIONS:
                conditions.append((sides[0], sides[-2], relations[-1], sides[-1]))
                sides = sides[:-1]
            found = {side: self._result(side, relations[0]) for side in sides}
            values = [side for side in sides if found[side] is None]
            if values == sides and len(sides) > 1:
                if _lone(sides[0]).data in ("symbol", "power"):
                    defined.append(self._define(sides, definitions))
                else:  # σ(z) = …: what is computed on both sides is the only result
                    found[sides[0]] = next(iter(self.expected))
            results += [
                (name, side, relations[0])
                for name in found.values()
                if name is not None
                for side in values
            ]
        if not results:
            raise FormulaError("no side is what the function returns")
        for name, side, relation in results:
            self._equal(side, name, scopes)
            if relation == r"\leftarrow":  # what follows means the new value
                scopes[0].values[name,] = self.expected[name][:, None]
        for scope in scopes:
            for name, left, relation, right in conditions:
                if not CONDITIONS[relation](scope.of(left), scope.of(right)):
                    raise FormulaError(f"{left} {relation} {right} does not hold")
                if relation == r"\ne":
                    self._needed(scope, name, right, results[0][1])
            if display.premise:
                self._follows(display, scope)
            if not scope.used.issuperset(defined):
                raise FormulaError(f"defines what is not used: {set(defined) - scope.used}")

    def _result(self, side: str, relation: str) -> str | None:
        """Return the name of the result that a side stands for; None where it is none of them."""
        if side in self.said and ("" in self.expected or not re.fullmatch(r"\w_\w", side)):
            if not self.said[side].rstrip().endswith(WORDS.get(relation, "")):
                raise FormulaError(f"{relation} is not what the function's description says")
            return next(iter(self.expected))
        try:
            tree = _lone(side)
            if tree.data != "matrix":
                return self._named(tree)
            names = [self._named(_lone(row)) for row in tree.children]
        except FormulaError:
            return None
        if None in names:
            return None
        whole = " ".join(names)
        self.expected[whole] = np.concatenate([self.expected[name] for name in names], -1)
        self.returns[whole] = self.returns[names[0]]
        return whole

    def _named(self, tree: Tree) -> str | None:
        """Return the name of the result that a symbol is, by the way of naming in the code."""
        name, *at = Evaluator({}, SIZES | {"k": -1}, {}).key(tree)
        t = SIZES["t"]
        marks = {t: "_t", t - 1: "_prev", t + 1: "_next", SIZES["T"]: "_T", -1: "_k"}
        name += "".join(marks.get(each, f"_{each}") for each in at)
        return name if name in self.expected else None

    def _equal(self, side: str, name: str, scopes: list[Evaluator]) -> None:
        """Compare a side with a result of the function."""
        expected, axes = self.expected[name], self.returns.get(name, ("", []))[1]
        free = {"t": TIME["T"]} if axes[:1] == ["T"] else {}
        free |= {"k": range(1, SIZES["K"] + 1)} if name == "p_k" else {}
        values = [
            np.stack([_array(scope.within({letter: step}).of(side)) for step in steps])
            for scope in scopes
            for letter, steps in free.items()
        ] or [_array(scope.of(side)) for scope in scopes]
        if self.diagonal:
            values = [_diagonal(value) for value in values]
        value = np.stack(values, axis=axes.index("B")) if "B" in axes else sum(values)
        tolerance = 0.02 if "lim" in side else 1e-9
        # Of the largest entry: products over many steps can be tiny.
        far = tolerance * np.abs(expected).max()
        if value.shape != expected.shape or not np.abs(value - expected).max() <= far:
            raise FormulaError(f"{side} is not {name}")

    @staticmethod
    def _needed(scope: Evaluator, name: str, excluded: str, side: str) -> None:
        """Check that a formula gives no number where a value is excluded."""
        values = scope.values | {scope.key(_lone(name)): np.float64(scope.of(excluded))}
        with np.errstate(all="ignore"):
            if np.isfinite(Evaluator(values, scope.bound, {}).of(side)):
                raise FormulaError(f"{name} may well be {excluded}")

    def _follows(self, display: Display, scope: Evaluator) -> None:
        """Check by the complex step that the gradients are those of the premise."""
        ((y, formula), _) = Display(display.premise).statements[0]
        values, gradients = scope.values, {}
        for (gradient, *_, side), _ in display.statements:
            name = scope.key(_lone(gradient))[0].removeprefix("d_")
            gradients[name] = np.atleast_2d(scope.of(side))
            values.setdefault((name,), self._sample(name, gradients[name].shape))
        for name, found in gradients.items():
            value = np.atleast_2d(values[name,])
            for place in np.ndindex(found.shape):
                step = np.zeros(value.shape, complex)
                step[place] = 1e-30j
                stepped = (value + step)[0, 0] if np.ndim(values[name,]) == 0 else value + step
                moved = Evaluator(values | {(name,): stepped}, scope.bound, {}).of(formula)
                slope = np.sum(scope.of(rf"\bar{{{y}}}") * np.imag(moved)) / 1e-30
                if not np.isclose(slope, found[place], 1e-9, 1e-14):
                    raise FormulaError(f"the gradient of {name} does not follow")


def _size(axis: str) -> int:
    """Return the size of an axis: 4H, H + D, 1."""
    return eval(re.sub(r"(\d)([A-Z])", r"\1*\2", axis), {}, SIZES)


def _array(value, shape=None) -> np.ndarray:
    """Return a column as a vector."""
    value = np.asarray(value)
    value = value[:, 0] if value.ndim == 2 and value.shape[1] == 1 else value
    return value if shape is None else value.reshape(shape)[()]


def _diagonal(value: np.ndarray) -> np.ndarray:
    if value.ndim != 2 or np.any(value - np.diag(np.diagonal(value))):
        raise FormulaError("not a diagonal matrix")
    return np.diagonal(value)


def _lone(side: str | Tree) -> Tree:
    """Return the tree of a side, or of a row, that is one factor."""
    tree = parse(side) if isinstance(side, str) else side
    while len(tree.children) == 1 and tree.data in ("sum", "product", "row"):
        (tree,) = tree.children
    return tree
