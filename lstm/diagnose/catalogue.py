"""What people write where the book has something else: one table of forms for each place.

Weights are free: an LSTM that calls its gates by other names, or negates a weight, is an LSTM. So
every form has a kind. ``right`` is the equation; a ``convention`` is the same with other weights; a
``variant`` is a relative, made on purpose; a ``mistake`` is an LSTM under no convention.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lstm.equations import sigmoid

GATES = {"i": "input gate", "f": "forget gate", "g": "candidate", "o": "output gate"}
GATE_EQUATION = {
    "i": "eq-input-gate",
    "f": "eq-forget-gate",
    "g": "eq-candidate",
    "o": "eq-output-gate",
}
EQUATION = {  # what the book has, to be printed beside a mistake
    "eq-preactivation": "a = W x + U h + b",
    "eq-input-gate": "i = σ(a_i)",
    "eq-forget-gate": "f = σ(a_f)",
    "eq-candidate": "g = tanh(a_g)",
    "eq-output-gate": "o = σ(a_o)",
    "eq-cell-state": "c = f c_prev + i g",
    "eq-hidden-state": "h = o tanh(c)",
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
    """One way to write one place."""

    name: str
    kind: str
    compute: Callable
    needs: str = "ifg"
    """Gates that a form of the cell state uses."""
    weights: tuple[float, float] = (1.0, 0.0)
    """Of a convention: the book's preactivation is the first times this one plus the second."""


@dataclass(frozen=True)
class Finding:
    """One thing found: its name, of which kind it is, and the equation of the book that says."""

    name: str
    kind: str
    equation: str
    detail: str = ""

    def __str__(self) -> str:
        return self.name + (f" ({self.detail})" if self.detail else "") + f" [{self.equation}]"


def softmax(a: np.ndarray) -> np.ndarray:
    """Softmax over the units."""
    powers = np.exp(a - a.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def relu(a: np.ndarray) -> np.ndarray:
    """Keep what is positive."""
    return np.maximum(a, 0)


# Name → what is computed from a preactivation. {} is the gate.
GATE = (
    Form("σ", "right", sigmoid),
    Form(
        "1 added to the {}'s preactivation", "convention", lambda a: sigmoid(a + 1), weights=(1, 1)
    ),
    Form(
        "the {} is 1 − σ: all its weights are negated",
        "convention",
        lambda a: sigmoid(-a),
        weights=(-1, 0),
    ),
    Form(
        "the {} reads half of its preactivation",
        "convention",
        lambda a: sigmoid(a / 2),
        weights=(0.5, 0),
    ),
    Form(
        "the {} reads twice its preactivation",
        "convention",
        lambda a: sigmoid(a * 2),
        weights=(2, 0),
    ),
    Form("hard sigmoid (0.2 a + 0.5) in the {}", "variant", lambda a: np.clip(0.2 * a + 0.5, 0, 1)),
    Form("hard sigmoid (a / 6 + 0.5) in the {}", "variant", lambda a: np.clip(a / 6 + 0.5, 0, 1)),
    Form("tanh for σ in the {}", "mistake", np.tanh),
    Form("no activation in the {}", "mistake", lambda a: a),
    Form("σ twice in the {}", "mistake", lambda a: sigmoid(sigmoid(a))),
    Form("relu for σ in the {}", "mistake", relu),
    Form("softmax for σ in the {}", "mistake", softmax),
    Form("σ′ for σ in the {}", "mistake", lambda a: sigmoid(a) * sigmoid(-a)),
    Form("σ of tanh in the {}", "mistake", lambda a: sigmoid(np.tanh(a))),
    Form("tanh of σ in the {}", "mistake", lambda a: np.tanh(sigmoid(a))),
    Form("σ + tanh for σ in the {}", "mistake", lambda a: sigmoid(a) + np.tanh(a)),
    Form("exp(−a) without 1 + … in the {}", "mistake", lambda a: 1 / np.exp(-a)),
    Form(
        "exp(a) for exp(−a), not negated everywhere, in the {}", "mistake", lambda a: 1 + sigmoid(a)
    ),
)
CANDIDATE = (
    Form("tanh", "right", np.tanh),
    Form(
        "the {} is negated: all its weights are",
        "convention",
        lambda a: -np.tanh(a),
        weights=(-1, 0),
    ),
    Form(
        "the {} reads half of its preactivation",
        "convention",
        lambda a: np.tanh(a / 2),
        weights=(0.5, 0),
    ),
    Form(
        "the {} reads twice its preactivation",
        "convention",
        lambda a: np.tanh(a * 2),
        weights=(2, 0),
    ),
    Form("softsign for tanh in the {}", "variant", lambda a: a / (1 + np.abs(a))),
    Form("4σ − 2 for tanh in the {}", "variant", lambda a: 4 * sigmoid(a) - 2),
    Form("hard tanh in the {}", "variant", lambda a: np.clip(a, -1, 1)),
    Form("relu for tanh in the {}", "variant", relu),
    Form("σ for tanh in the {}", "mistake", sigmoid),
    Form("no tanh in the {}", "mistake", lambda a: a),
    Form("tanh twice in the {}", "mistake", lambda a: np.tanh(np.tanh(a))),
    Form("tanh of σ in the {}", "mistake", lambda a: np.tanh(sigmoid(a))),
    Form("σ of tanh in the {}", "mistake", lambda a: sigmoid(np.tanh(a))),
    Form("softmax for tanh in the {}", "mistake", softmax),
    Form("tanh′ for tanh in the {}", "mistake", lambda a: 1 - np.tanh(a) ** 2),
    Form("σ + tanh for tanh in the {}", "mistake", lambda a: sigmoid(a) + np.tanh(a)),
)
# From i, f, g and what came from the step before, c and h.
CELL = (
    Form("f c + i g", "right", lambda i, f, g, c, h: f * c + i * g),
    Form("coupled gates: f = 1 − i", "variant", lambda i, f, g, c, h: (1 - i) * c + i * g, "ig"),
    Form("no forget gate (1997)", "variant", lambda i, f, g, c, h: c + i * g, "ig"),
    Form("no input gate", "variant", lambda i, f, g, c, h: f * c + g, "fg"),
    Form("c is not carried", "mistake", lambda i, f, g, c, h: i * g, "ig"),
    Form("nothing is written: no i g", "mistake", lambda i, f, g, c, h: f * c, "f"),
    Form("the state carried is tanh(c)", "mistake", lambda i, f, g, c, h: np.tanh(f * c + i * g)),
    Form("the state carried is σ(c)", "mistake", lambda i, f, g, c, h: sigmoid(f * c + i * g)),
    Form("tanh of the old cell state", "mistake", lambda i, f, g, c, h: f * np.tanh(c) + i * g),
    Form("h for c in the cell state", "mistake", lambda i, f, g, c, h: f * h + i * g),
    Form("i + g for i g", "mistake", lambda i, f, g, c, h: f * c + i + g),
    Form("f + c for f c", "mistake", lambda i, f, g, c, h: f + c + i * g),
    Form("product for the sum", "mistake", lambda i, f, g, c, h: f * c * i * g),
    Form("the forget gate on both terms", "mistake", lambda i, f, g, c, h: f * (c + i * g)),
    Form("the forget gate on both terms", "mistake", lambda i, f, g, c, h: f * c + f * g, "fg"),
    Form("the input gate on both terms", "mistake", lambda i, f, g, c, h: i * (f * c + g)),
    Form("f c twice", "mistake", lambda i, f, g, c, h: 2 * f * c + i * g),
    Form("the mean of the two terms", "mistake", lambda i, f, g, c, h: (f * c + i * g) / 2),
    Form("the cell state is added once more", "mistake", lambda i, f, g, c, h: c + f * c + i * g),
    Form("1 − f for f, and f kept", "mistake", lambda i, f, g, c, h: (1 - f) * c + f * i * g),
)
# From o, the new c, the old c, g, and the old h; then its inverse where c is not seen.
OUTPUT = (
    Form("o tanh(c)", "right", lambda o, c, old, g, h: o * np.tanh(c)),
    Form("no tanh on the way out", "mistake", lambda o, c, old, g, h: o * c),
    Form("hard tanh on the way out", "variant", lambda o, c, old, g, h: o * np.clip(c, -1, 1)),
    Form("σ for tanh on the way out", "mistake", lambda o, c, old, g, h: o * sigmoid(c)),
    Form("relu for tanh on the way out", "mistake", lambda o, c, old, g, h: o * relu(c)),
    Form("tanh of the product o c", "mistake", lambda o, c, old, g, h: np.tanh(o * c)),
    Form("h from the old cell state", "mistake", lambda o, c, old, g, h: o * np.tanh(old)),
    Form("h from the candidate", "mistake", lambda o, c, old, g, h: o * np.tanh(g)),
    Form("h from the candidate, o g", "mistake", lambda o, c, old, g, h: o * g),
    Form("tanh twice on the way out", "mistake", lambda o, c, old, g, h: o * np.tanh(np.tanh(c))),
    Form("tanh of half of c on the way out", "mistake", lambda o, c, old, g, h: o * np.tanh(c / 2)),
    Form("tanh of twice c on the way out", "mistake", lambda o, c, old, g, h: o * np.tanh(c * 2)),
    Form("sum for the product o tanh(c)", "mistake", lambda o, c, old, g, h: o + np.tanh(c)),
    Form("tanh(o) c for o tanh(c)", "mistake", lambda o, c, old, g, h: np.tanh(o) * c),
    Form("softmax on the way out", "mistake", lambda o, c, old, g, h: o * softmax(c)),
    Form("h is the output gate alone", "mistake", lambda o, c, old, g, h: o),
    Form("no output gate: h = tanh(c)", "mistake", lambda o, c, old, g, h: np.tanh(c), ""),
    Form("no output gate: h = c", "mistake", lambda o, c, old, g, h: c, ""),
)
# Where c is not seen it is computed from h: only these can be turned round.
INVERSE: dict[str, Callable] = {
    "o tanh(c)": lambda o, h: np.arctanh(h / o),
    "no tanh on the way out": lambda o, h: h / o,
    "σ for tanh on the way out": lambda o, h: np.log(h / (o - h)),
    "tanh of the product o c": lambda o, h: np.arctanh(h) / o,
    "tanh twice on the way out": lambda o, h: np.arctanh(np.arctanh(h / o)),
    "tanh of half of c on the way out": lambda o, h: 2 * np.arctanh(h / o),
    "tanh of twice c on the way out": lambda o, h: np.arctanh(h / o) / 2,
    "sum for the product o tanh(c)": lambda o, h: np.arctanh(h - o),
    "tanh(o) c for o tanh(c)": lambda o, h: h / np.tanh(o),
    "no output gate: h = tanh(c)": lambda o, h: np.arctanh(h),
    "no output gate: h = c": lambda o, h: h,
}
