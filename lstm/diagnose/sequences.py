"""How a person's code for whole sequences is called, as :mod:`lstm.diagnose.calling` for a step."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from lstm.diagnose.calling import CannotCall, Step, moved
from lstm.diagnose.conventions import OUTPUTS, RUNS, SEQUENCES, back, fits, shape_of
from lstm.diagnose.weights import as_array, as_numbers, is_torch


class Sequence(Step):
    """A person's code that runs whole sequences: ``outputs = run(x)``, time first.

    It must return all outputs h or the last one, alone or among other things. Where only the last
    comes out, it is called with every beginning of a sequence. Where it takes initial states, it
    gets zeros.
    """

    called = "run"
    inputs: ClassVar = {"x": "tsd"}
    outputs = ("tsh",)
    methods, layouts, most, lengths = RUNS, SEQUENCES, 2, (1, 3)
    orders = (("x",), ("x", "h"), ("x", "h", "c"), ("x", ("h", "c")), ("h", "x"))
    places: Iterable = ()
    known: ClassVar[dict] = {}
    """What came out for each beginning, in a call with several samples."""

    def everything(self, **inputs: np.ndarray) -> list[np.ndarray]:
        """Return all that comes out with the shape of outputs, as rows."""
        self.known = {}
        return super().everything(**inputs)

    def _call(self, x: np.ndarray) -> list[np.ndarray]:
        if not self.only_last:
            return super()._call(x=x)
        ends = []
        for t in range(len(x)):
            beginning = x[: t + 1].tobytes()
            if beginning not in self.known:
                self.known[beginning] = super()._call(x=x[: t + 1])
            ends.append(self.known[beginning])
        return [np.concatenate(column) for column in zip(*ends, strict=True)]

    def states_in(self, result: Any, x: np.ndarray) -> list[Any]:
        """Return what may be all outputs, or the last ones, where it was found before."""
        found, (T, S) = [], (1 if self.only_last else len(x), x.shape[1])
        for path, letters, more in self.places or self._places(result, T, S):
            array = at(result, path)
            shape = shape_of(letters, {"t": T + more, "s": S, "h": self.H})
            outputs = back(array.reshape(shape), "tsh", letters)
            if more:  # the initial state stands before, or behind
                outputs = outputs[:-1] if outputs[0].any() else outputs[1:]
            found.append(outputs)
        if not found:
            raise CannotCall(f"no outputs h of {T} steps and {self.H} units, nor the last ones")
        return found

    def _places(self, result: Any, T: int, S: int) -> Iterator[tuple[tuple, str, int]]:
        """Yield where arrays of the right shape are, and how they lie."""
        every = (self.layout.first,) if self.only_last else (self.layout.state, *OUTPUTS)
        for path, array in places(result):
            for more, letters in itertools.product((0, 1), every):
                shape = shape_of(letters, {"t": T + more, "s": S, "h": self.H})
                if fits(array, shape) and (not more or "t" in letters):
                    yield path, letters, more
                    break

    def _try(self, errors: dict[str, int]) -> int:
        rng = np.random.default_rng(0)
        S = next(s for s in (5, 7, 9) if s not in (self.D, self.H)) if self.layout.several else 1
        T = next(t for t in (6, 8, 11) if {t, t + 1}.isdisjoint((self.D, self.H, S)))
        best = 0
        for self.only_last in (False, True):
            try:
                self.places = []
                x = self.draw(rng, T, S)["x"]
                steps = 1 if self.only_last else T
                self.places = list(self._places(self.raw(x=x[:steps]), steps, S))
                before, other = self.everything(x=x), x.copy()
                other[0, 0] = np.roll(x[0, 0], 1) if self.tokens else x[0, 0] + 1
                changes = map(moved, self.everything(x=other), before)
                # Time and batch are not exchanged where a sequence's start reaches its end alone.
                right = any(m[1:, 0].any() and not m[:, 1:].any() for m in changes)
                best = 2 if right else max(best, 1 - self.only_last)
            except Exception as error:  # whatever a person's code raises
                message = f"{type(error).__name__}: {error}"
                errors[message] = errors.get(message, 0) + 1
            if best:
                break
        return best

    def _settle(self) -> None:
        """See whether two calls give the same, and which output is h: a weight moves one unit."""
        x = self.draw(np.random.default_rng(1), 3, 1)["x"]
        self._remember(lambda: self.everything(x=x))
        self._see_precision(self.everything, {"x": x})
        outputs = self.everything(x=x)
        good = [k for k, a in enumerate(outputs) if not any((a == b).all() for b in outputs[:k])]
        if len(good) > 1:
            reach, units = self._reached(lambda: self.everything(x=x[:1]))
            good = [k for k in good if reach[k] and units[k] == 1] or [0]
            good = sorted(good, key=lambda k: -reach[k])[:2]
        self.places = [self.places[k] for k in good]
        self.choices = [(k,) for k in range(len(good))]


def places(result: Any, path: tuple = (), depth: int = 3) -> Iterator[tuple[tuple, np.ndarray]]:
    """Yield the arrays in what a run returned, and lists of one for each step, by their place."""
    array = as_numbers(result)
    if array is not None:
        yield path, array
    elif depth and isinstance(result, Mapping | list | tuple):
        parts = [as_array(part) for part in steps_of(result)]
        if parts and all(p is not None and p.shape == parts[0].shape for p in parts):
            yield (*path, ALL), np.stack(parts)
        for key in result if isinstance(result, Mapping) else range(len(result)):
            yield from places(result[key], (*path, key), depth - 1)


ALL = "all steps"


def steps_of(result: Any) -> list[Any]:
    """Return the values of a list, or of a dict whose keys are steps, the first is 0."""
    if isinstance(result, Mapping):
        steps = all(isinstance(key, int) for key in result)
        return [result[key] for key in sorted(result) if key >= 0] if steps else []
    return list(result)


def at(result: Any, path: tuple) -> Any:
    """Return the array or tensor at a place."""
    for key in path:
        if key == ALL:
            parts = steps_of(result)
            result = (sys.modules["torch"] if is_torch(parts[0]) else np).stack(parts)
        else:
            result = result[key]
    return result if is_torch(result) else as_numbers(result)
