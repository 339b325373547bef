"""What people write where the book has something else: one table of forms for each place.

Weights are free: an LSTM that calls its gates by other names, or negates a weight, is an LSTM. So
every form has a kind. ``right`` is the equation; a ``convention`` is the same with other weights; a
``variant`` is a relative, made on purpose; a ``mistake`` is an LSTM under no convention.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lstm.equations import sigmoid

GATES = {"i": "input gate", "f": "forget gate", "g": "candidate", "o": "output gate"}
GATE_EQUATION = {role: "eq-" + name.replace(" ", "-") for role, name in GATES.items()}
EQUATION = {  # what the book has, to be printed beside a mistake
    "eq-preactivation": "a = W x + U h + b",
    "eq-input-gate": "i = σ(a_i)",
    "eq-forget-gate": "f = σ(a_f)",
    "eq-candidate": "g = tanh(a_g)",
    "eq-output-gate": "o = σ(a_o)",
    "eq-cell-state": "c = f c_prev + i g",
    "eq-hidden-state": "h = o tanh(c)",
    "eq-peephole-output-gate": "o = σ(a_o + p_o c)",
    "eq-d-cell-state": "d_c = d_c_next + d_h o (1 − tanh²(c))",
    "eq-d-output-gate": "d_o = d_h tanh(c)",
    "eq-d-forget-gate": "d_f = d_c c_prev",
    "eq-d-input-gate": "d_i = d_c g",
    "eq-d-candidate": "d_g = d_c i",
    "eq-d-preactivation": "d_a = d_i i (1 − i), …, d_g (1 − g²), …",
    "eq-d-cell-previous": "d_c_prev = d_c f",
    "eq-d-inputs": "d_x = Wᵀ d_a, d_h_prev = Uᵀ d_a",
    "eq-d-hidden-state": "d_h = d_loss + Uᵀ d_a_next",
    "eq-d-weights": "d_W = d_a xᵀ, d_U = d_a h_prevᵀ, d_b = d_a",
    "eq-d-weights-sum": "d_W = Σ d_a xᵀ, d_U = Σ d_a h_prevᵀ, d_b = Σ d_a",
}
COST = {"right": 0.0, "convention": 0.1, "variant": 1.0, "mistake": 1.0}
"""What a form costs: the explanation that costs least is given."""


class Form(NamedTuple):
    """One way to write one place: its formula as text.

    ``weights`` is of a convention: the book's preactivation is the first times this one plus the
    second. ``back`` is the cell state from o and h, where an output can be turned round.
    """

    name: str
    kind: str
    text: str
    weights: tuple[float, float] = (1.0, 0.0)
    back: str = ""

    @property
    def needs(self) -> str:
        """The gates that the formula uses."""
        return "".join(role for role in "ifgo" if re.search(rf"\b{role}\b", self.text))

    def compute(self, *values: np.ndarray) -> np.ndarray:
        """Compute a gate from a, the cell state from i, f, g, c, h, or h from o, c, old, g, h."""
        output = self in OUTPUT
        names = ("a",) if len(values) == 1 else ("o", "c", "old", "g", "h") if output else "ifgch"
        return formula(self.text, names)(*values)


@functools.cache
def formula(text: str, names: Iterable[str]) -> Callable[..., np.ndarray]:
    """Return a function of these names from its text."""
    space = {"σ": sigmoid, "tanh": np.tanh, "relu": relu, "softmax": softmax, "np": np}
    return eval(f"lambda {', '.join(names)}: {text}", space)


@dataclass(frozen=True)
class Finding:
    """One thing found: its name, of which kind it is, and the equation of the book that says."""

    name: str
    kind: str
    equation: str
    detail: str = ""

    def __str__(self) -> str:
        return self.name + (f" ({self.detail})" if self.detail else "") + f" [{self.equation}]"


def mistake(text: str, equation: str = "eq-preactivation", detail: str = "") -> Finding:
    """Return a finding of the commonest kind."""
    return Finding(text, "mistake", equation, detail)


def softmax(a: np.ndarray) -> np.ndarray:
    """Softmax over the units."""
    powers = np.exp(a - a.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def relu(a: np.ndarray) -> np.ndarray:
    """Keep what is positive."""
    return np.maximum(a, 0)


GATE = (  # what is computed from a preactivation; {} is the gate
    Form("σ", "right", "σ(a)"),
    Form("1 added to the {}'s preactivation", "convention", "σ(a + 1)", (1, 1)),
    Form("the {} is 1 − σ: all its weights are negated", "convention", "σ(-a)", (-1, 0)),
    Form("the {} reads half of its preactivation", "convention", "σ(a / 2)", (0.5, 0)),
    Form("the {} reads twice its preactivation", "convention", "σ(a * 2)", (2, 0)),
    Form("hard sigmoid (0.2 a + 0.5) in the {}", "variant", "np.clip(0.2 * a + 0.5, 0, 1)"),
    Form("hard sigmoid (a / 6 + 0.5) in the {}", "variant", "np.clip(a / 6 + 0.5, 0, 1)"),
    Form("tanh for σ in the {}", "mistake", "tanh(a)"),
    Form("no activation in the {}", "mistake", "a"),
    Form("σ twice in the {}", "mistake", "σ(σ(a))"),
    Form("relu for σ in the {}", "mistake", "relu(a)"),
    Form("softmax for σ in the {}", "mistake", "softmax(a)"),
    Form("σ′ for σ in the {}", "mistake", "σ(a) * σ(-a)"),
    Form("σ of tanh in the {}", "mistake", "σ(tanh(a))"),
    Form("tanh of σ in the {}", "mistake", "tanh(σ(a))"),
    Form("σ + tanh for σ in the {}", "mistake", "σ(a) + tanh(a)"),
    Form("exp(−a) without 1 + … in the {}", "mistake", "1 / np.exp(-a)"),
    Form("exp(a) for exp(−a), not negated everywhere, in the {}", "mistake", "1 + σ(a)"),
)
CANDIDATE = (
    Form("tanh", "right", "tanh(a)"),
    Form("the {} is negated: all its weights are", "convention", "-tanh(a)", (-1, 0)),
    Form("the {} reads half of its preactivation", "convention", "tanh(a / 2)", (0.5, 0)),
    Form("the {} reads twice its preactivation", "convention", "tanh(a * 2)", (2, 0)),
    Form("softsign for tanh in the {}", "variant", "a / (1 + np.abs(a))"),
    Form("4σ − 2 for tanh in the {}", "variant", "4 * σ(a) - 2"),
    Form("hard tanh in the {}", "variant", "np.clip(a, -1, 1)"),
    Form("relu for tanh in the {}", "variant", "relu(a)"),
    Form("σ for tanh in the {}", "mistake", "σ(a)"),
    Form("no tanh in the {}", "mistake", "a"),
    Form("tanh twice in the {}", "mistake", "tanh(tanh(a))"),
    Form("tanh of σ in the {}", "mistake", "tanh(σ(a))"),
    Form("σ of tanh in the {}", "mistake", "σ(tanh(a))"),
    Form("softmax for tanh in the {}", "mistake", "softmax(a)"),
    Form("tanh′ for tanh in the {}", "mistake", "1 - tanh(a) ** 2"),
    Form("σ + tanh for tanh in the {}", "mistake", "σ(a) + tanh(a)"),
)
CELL = (  # from i, f, g and what came from the step before, c and h
    Form("f c + i g", "right", "f * c + i * g"),
    Form("coupled gates: f = 1 − i", "variant", "(1 - i) * c + i * g"),
    Form("no forget gate (1997)", "variant", "c + i * g"),
    Form("no input gate", "variant", "f * c + g"),
    Form("no candidate: the input gate itself is added", "mistake", "f * c + i"),
    Form("c is not carried", "mistake", "i * g"),
    Form("nothing is written: no i g", "mistake", "f * c"),
    Form("the state carried is tanh(c)", "mistake", "tanh(f * c + i * g)"),
    Form("the state carried is σ(c)", "mistake", "σ(f * c + i * g)"),
    Form("tanh of the old cell state", "mistake", "f * tanh(c) + i * g"),
    Form("h for c in the cell state", "mistake", "f * h + i * g"),
    Form("i + g for i g", "mistake", "f * c + i + g"),
    Form("f + c for f c", "mistake", "f + c + i * g"),
    Form("product for the sum", "mistake", "f * c * i * g"),
    Form("the forget gate on both terms", "mistake", "f * (c + i * g)"),
    Form("the forget gate on both terms", "mistake", "f * c + f * g"),
    Form("the input gate on both terms", "mistake", "i * (f * c + g)"),
    Form("f c twice", "mistake", "2 * f * c + i * g"),
    Form("the mean of the two terms", "mistake", "(f * c + i * g) / 2"),
    Form("the cell state is added once more", "mistake", "c + f * c + i * g"),
    Form("1 − f for f, and f kept", "mistake", "(1 - f) * c + f * i * g"),
    Form("minus for plus", "mistake", "i * g - f * c"),
)
OUTPUT = (  # from o, the new c, the old c, g and the old h
    Form("o tanh(c)", "right", "o * tanh(c)", back="np.arctanh(h / o)"),
    Form("no tanh on the way out", "mistake", "o * c", back="h / o"),
    Form("hard tanh on the way out", "variant", "o * np.clip(c, -1, 1)"),
    Form("σ for tanh on the way out", "mistake", "o * σ(c)", back="np.log(h / (o - h))"),
    Form("relu for tanh on the way out", "mistake", "o * relu(c)"),
    Form("tanh of the product o c", "mistake", "tanh(o * c)", back="np.arctanh(h) / o"),
    Form("h from the old cell state", "mistake", "o * tanh(old)"),
    Form("h from the candidate", "mistake", "o * tanh(g)"),
    Form("h from the candidate, o g", "mistake", "o * g"),
    Form("tanh twice on the way out", "mistake", "o * tanh(tanh(c))",
         back="np.arctanh(np.arctanh(h / o))"),
    Form("tanh of half of c on the way out", "mistake", "o * tanh(c / 2)",
         back="2 * np.arctanh(h / o)"),
    Form("tanh of twice c on the way out", "mistake", "o * tanh(c * 2)",
         back="np.arctanh(h / o) / 2"),
    Form("sum for the product o tanh(c)", "mistake", "o + tanh(c)", back="np.arctanh(h - o)"),
    Form("tanh(o) c for o tanh(c)", "mistake", "tanh(o) * c", back="h / tanh(o)"),
    Form("softmax on the way out", "mistake", "o * softmax(c)"),
    Form("h is the output gate alone", "mistake", "o"),
    Form("no output gate: h = tanh(c)", "mistake", "tanh(c)", back="np.arctanh(h)"),
    Form("no output gate: h = c", "mistake", "c", back="h"),
)  # fmt: skip
