"""How a person's code for whole sequences is called, as :mod:`lstm.diagnose.calling` for a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from lstm.diagnose.calling import Arrays, Step, as_array, flatten

RUNS = ("forward", "run", "__call__", "forward_pass", "forward_propagation", "predict")
"""Names of the method that runs a sequence, in the order in which they are tried."""

# Name → (arrange X (T, B, D), take the outputs (T, B, H) apart, several sequences at once).
SEQUENCES: dict[str, tuple[Callable, Callable, bool]] = {
    "time first": (lambda v: v, lambda v: v, True),
    "batch first": (lambda v: v.swapaxes(0, 1), lambda v: v.swapaxes(0, 1), True),
    "time last, columns": (lambda v: v.transpose(2, 1, 0), lambda v: v.transpose(2, 1, 0), True),
    "one sequence": (lambda v: v[:, 0], lambda v: v[:, None], False),
    "one sequence of columns": (lambda v: v[:, 0, :, None], lambda v: v.swapaxes(1, 2), False),
}


class Sequence(Step):
    """A person's code that runs whole sequences: ``outputs = run(x)``, time first.

    It must return all outputs h, alone or first among other things; where it takes initial states,
    it gets zeros.
    """

    methods, layouts, most, lengths = RUNS, tuple(SEQUENCES), 2, (1, 3)
    orders = (("x",), ("x", "h"), ("x", "h", "c"), ("x", ("h", "c")), ("h", "x"))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return the outputs (T, S, H) for x (T, S, D)."""
        if self.several:
            return self._call(x)
        return np.concatenate([self._call(x[:, k : k + 1]) for k in range(x.shape[1])], axis=1)

    def raw(self, x: np.ndarray) -> Any:
        """Call it with these sequences; return what it returns."""
        arrange = SEQUENCES[self.layout][0]
        S = x.shape[1]
        given = {"x": self._convert(np.array(arrange(x), self.dtype))}
        zeros = (
            np.zeros((S, self.H)) if self.layout != "time last, columns" else np.zeros((self.H, S))
        )
        zeros = {"one sequence": zeros[0], "one sequence of columns": zeros.T}.get(
            self.layout, zeros
        )
        given |= {name: self._convert(np.array(zeros, self.dtype)) for name in "hc"}
        slots = [
            tuple(given[part] for part in slot) if isinstance(slot, tuple) else given[slot]
            for slot in self.order
        ]
        if self.forgetful:
            self._restore()
        with np.errstate(all="ignore"):
            return self.function(*slots, **self.named)

    def _call(self, x: np.ndarray) -> np.ndarray:
        (arrange, back, _), (T, S) = SEQUENCES[self.layout], x.shape[:2]
        result = self.raw(x)
        shape = arrange(np.empty((T, S, self.H))).shape
        for array in self._stacked(result):
            if array.shape == shape:
                return back(np.array(array, np.float64))
        raise ValueError(f"run returned nothing of the outputs' shape {shape}")

    def _stacked(self, result: Any) -> Iterator[np.ndarray]:
        """Yield arrays, and lists of one array for each step put together."""
        if isinstance(result, Mapping) and all(isinstance(key, int) for key in result):
            result = [result[key] for key in sorted(result) if key >= 0]
        parts = [as_array(part) for part in result] if isinstance(result, list | tuple) else []
        if parts and all(p is not None and p.shape == parts[0].shape for p in parts):
            yield np.stack(parts)
        yield from flatten(result)
        for part in result if isinstance(result, tuple) else ():
            if isinstance(part, list | Mapping) and part:
                yield from self._stacked(part)

    def _try(self, errors: dict[str, int]) -> int:
        rng = np.random.default_rng(0)
        S = next(s for s in (5, 7, 9) if s not in self.sizes) if self.several else 1
        T = next(t for t in (6, 8, 10) if t not in self.sizes)
        try:
            x = rng.normal(size=(T, S, self.D))
            before = self._call(x)
            x[0, 0] += 1
            moved = (self._call(x) != before).any(axis=-1)
            # Time and batch are not exchanged where a sequence's start reaches its end alone.
            return 2 if moved[1:, 0].any() and not moved[:, 1:].any() else 1
        except Exception as error:  # whatever a person's code raises
            message = f"{type(error).__name__}: {error}"
            errors[message] = errors.get(message, 0) + 1
            return 0

    def _settle(self) -> None:
        """See whether two calls give the same."""
        x = np.random.default_rng(1).normal(size=(3, 1, self.D))
        self._remember(lambda: [self(x)])

    def loses_an_axis(self) -> bool:
        """Return False: the outputs' shape is asked for."""
        return False

    def changes_its_arguments(self) -> list[str]:
        """Return nothing: whole sequences are copied."""
        return []

    @property
    def several(self) -> bool:
        """Whether it takes several sequences at once."""
        return SEQUENCES[self.layout][2]

    def input_shapes(self, steps: int, samples: int) -> dict[str, tuple[int, ...]]:
        """Return names and shapes of what goes in."""
        return {"x": (steps, samples, self.D)}

    def output_shapes(self, steps: int, samples: int) -> list[tuple[int, ...]]:
        """Return the shape of the gradient given: of the outputs."""
        return [(steps, samples, self.H)]

    def loss(self, inputs: Arrays, given: list[np.ndarray]) -> float:
        """Return what these gradients of the outputs are the gradients of."""
        return float((given[0] * self(inputs["x"])).sum())

    def gradients(self, function: Callable, inputs: Arrays, given: list[np.ndarray]) -> Arrays:
        """Call a person's gradients; return them by name, that of x with time first."""
        arrange, back, _ = SEQUENCES[self.layout]
        x, d_h = arrange(inputs["x"]), arrange(given[0])
        parts = {
            name: self._convert(np.array(v, self.dtype)) for name, v in (("x", x), ("d_h", d_h))
        }
        forward = self.raw(inputs["x"])
        with np.errstate(all="ignore"):
            result = function(*self.asked(function, forward, parts))
        found = self.collected(result, {"x": x.shape})
        return {name: back(v) if name == "x" else v for name, v in found.items()}

    def as_pass(self, inputs: Arrays, given: list[np.ndarray]) -> tuple[np.ndarray, ...]:
        """Return x, h, c and the gradients of all h and the last c."""
        zero = np.zeros((inputs["x"].shape[1], self.H))
        return inputs["x"], zero, zero, given[0], zero

    def from_pass(self, found: dict) -> Arrays:
        """Return the gradients of the inputs."""
        return {"x": found["x"]}
