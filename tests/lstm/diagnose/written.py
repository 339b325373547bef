"""LSTMs as people write them, made to order: a convention, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

D, H = 3, 4


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


@dataclass(frozen=True)
class Written:
    """A step, by its convention and its formulas."""

    order: str = "ifgo"
    columns: bool = False
    joined: bool = True  # one array for all gates
    concatenated: bool = False  # one for x and h
    x_first: bool = True
    biases: int = 1  # 0, 1 or 2; 3: as a row or column of W
    returns: str = "hc"
    arguments: str = "xhc"
    seed: int = 0
    gate: dict[str, Callable] = field(default_factory=dict, hash=False)
    cell: Callable = lambda i, f, g, c, h: f * c + i * g
    output: Callable = lambda o, c, old, g, h: o * np.tanh(c)

    def weights(self) -> dict[str, np.ndarray]:
        """Return weights in this convention."""
        rng = np.random.default_rng(self.seed)
        names = [""] if self.joined else list(self.order)
        rows = H * (4 if self.joined else 1)
        inputs = {"W": D, "U": H} if not self.concatenated else {"W": D + H}
        if self.biases == 3:
            inputs["W"] += 1
        made = {}
        for name in names:
            for array, width in inputs.items():
                made[array + name] = rng.normal(size=(rows, width))
            for k in range(self.biases % 3):
                made[f"b{k}{name}"] = rng.normal(size=(rows, 1) if self.columns else rows)
        return {n: a if self.columns or a.ndim == 1 else a.T.copy() for n, a in made.items()}

    def preactivations(self, w, x, h):
        """Return a of each gate; x and h are arranged as the arrays are."""
        axis = 0 if self.columns else -1
        parts = {"W": x, "U": h}
        if self.concatenated:
            parts = {"W": np.concatenate([x, h] if self.x_first else [h, x], axis)}
        if self.biases == 3:
            shape = list(x.shape)
            shape[axis] = 1
            parts["W"] = np.concatenate([parts["W"], np.ones(shape)], axis)
        found = {}
        for name in [""] if self.joined else list(self.order):
            a = 0
            for array, value in parts.items():
                a = a + (w[array + name] @ value if self.columns else value @ w[array + name])
            for k in range(self.biases % 3):
                a = a + w[f"b{k}{name}"]
            found[name] = a
        if self.joined:
            return dict(zip(self.order, np.split(found[""], 4, axis), strict=True))
        return found

    def step(self, w):
        """Return the step, with its weights inside."""

        def computed(x, h, c):
            a = self.preactivations(w, x, h)
            right = {"i": sigmoid, "f": sigmoid, "g": np.tanh, "o": sigmoid} | self.gate
            i, f, g, o = (right[r](a[r]) for r in "ifgo")
            new = self.cell(i, f, g, c, h)
            results = {"h": self.output(o, new, c, g, h), "c": new}
            return tuple(results[name] for name in self.returns)

        calls = {
            "xhc": computed,
            "hcx": lambda h, c, x: computed(x, h, c),
            "xch": lambda x, c, h: computed(x, h, c),
            "x(hc)": lambda x, state: computed(x, *state),
        }
        return calls[self.arguments]

    def run(self, w):
        """Return the same over sequences (T, B, D); rows only."""

        def computed(x):
            h = c = np.zeros((x.shape[1], H))
            outputs = []
            for x_t in x:
                h, c = replace(self, arguments="xhc", returns="hc").step(w)(x_t, h, c)
                outputs.append(h)
            return np.stack(outputs)

        return computed

    def torch_weights(self, w) -> dict[str, np.ndarray]:
        """Return W, U and b in PyTorch's order, from the convention."""
        x, h = np.eye(D + H)[:, :D], np.eye(D + H)[:, D:]
        turn = np.transpose if self.columns else np.asarray
        zero = self.preactivations(w, turn(np.zeros((1, D))), turn(np.zeros((1, H))))
        a = self.preactivations(w, turn(x), turn(h))
        both = np.concatenate([turn(a[r] - zero[r]).T for r in "ifgo"])
        b = np.concatenate([np.ravel(np.broadcast_to(zero[r], zero[r].shape)) for r in "ifgo"])
        return {"weight_ih": both[:, :D], "weight_hh": both[:, D:], "bias": b}
