"""What people write where the book has something else: one table of forms for each place.

Weights are free: an LSTM that calls its gates by other names, or negates a weight, is an LSTM. So
every form has a kind. ``right`` is the equation; a ``convention`` is the same with other weights; a
``variant`` is a relative, made on purpose; a ``mistake`` is an LSTM under no convention.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any, NamedTuple

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


ROLES = "ifgo"


class Wrong(NamedTuple):
    """A mistake of the backward pass: what stands in some lines instead."""

    name: str
    equation: str
    lines: dict[str, str]


@dataclass
class Pass:
    """A forward pass of the LSTM, kept: arrays with time first, h and c from step 0."""

    x: np.ndarray
    h: np.ndarray
    c: np.ndarray
    a: np.ndarray
    """Preactivations (T, 4, S, H), in the order i, f, g, o."""
    W: np.ndarray
    U: np.ndarray
    """Weights (4, H, D) and (4, H, H)."""


def forward(x: np.ndarray, h: np.ndarray, c: np.ndarray, W, U, b) -> Pass:
    """Run the LSTM over x (T, S, D); the weights are (4, H, ·), in the order i, f, g, o."""
    hs, cs, preactivations = [h], [c], []
    for x_t in x:
        a = np.einsum("khd,sd->ksh", W, x_t) + np.einsum("khj,sj->ksh", U, hs[-1]) + b[:, None]
        i, f, o = (sigmoid(a[k]) for k in (0, 1, 3))
        cs.append(f * cs[-1] + i * np.tanh(a[2]))
        hs.append(o * np.tanh(cs[-1]))
        preactivations.append(a)
    return Pass(x, np.array(hs), np.array(cs), np.array(preactivations), W, U)


# The book's backward pass as text, a line for each; a mistake puts another text in the place of one
# or more of them. At hand in step t are the gates by letter with their preactivations z_i, …, c, h,
# x and the ones before, what the loss gives, and what the next step handed on.
PRODUCTS = {"W": "{}.T @ x", "U": "{}.T @ h_prev", "b": "{}.sum(axis=0)[:, None]"}
SLOPES = {role: "1 - g**2" if role == "g" else f"{role} * (1 - {role})" for role in ROLES}
LINES = {
    "last": "d_c_given",  # what the last step gets from behind the end
    "kept": "t",  # of which step the values are
    "x": "X[kept]",
    "h": "H[kept + 1]",
    "c": "C[kept + 1]",
    "c_prev": "C[kept]",
    "h_prev": "H[kept]",
    "d_h": "d_out + next_h",
    "d_o": "d_h * tanh(c)",
    "d_c": "next_c + d_h * o * (1 - tanh(c) ** 2)",
    "d_i": "d_c * g",
    "d_f": "d_c * c_prev",
    "d_g": "d_c * i",
    **{f"a_{role}": f"d_{role} * ({SLOPES[role]})" for role in ROLES},
    **{f"{n}_{r}": text.format("a_" + r) for n, text in PRODUCTS.items() for r in ROLES},
    **{f"sum {name}": "total + new" for name in PRODUCTS},
    "hand_c": "d_c * f",
    "hand_h": "through(U)",
    "d_x": "through(W)",
}
IN_ORDER = ("d_h", "d_o", "d_c", "d_i", "d_f", "d_g", *("a_" + role for role in ROLES))
SUMS = [f"{name}_{role}" for name in PRODUCTS for role in ROLES]


@functools.cache
def compiled(text: str) -> CodeType:
    """Return a line's text as code."""
    return compile(text, "line", "eval")


def backward(run: Pass, d_out: np.ndarray, d_c: np.ndarray, wrong: tuple[Wrong, ...] = ()) -> dict:
    """Return gradients of inputs x, h, c and of W, U, b (4, H, ·) with some lines replaced.

    Given are those of the outputs (T, S, H) and of the last cell state (S, H).
    """
    lines = LINES | {name: text for mistake in wrong for name, text in mistake.lines.items()}

    def through(weights: np.ndarray, roles: str = ROLES, start: str = "a_") -> np.ndarray:
        """Sum over the gates of the gradient times its weights."""
        return sum(v[start + role] @ weights[ROLES.index(role)] for role in roles)

    def value(line: str) -> Any:
        return eval(compiled(lines[line]), v)

    v: dict[str, Any] = {
        "np": np,
        "tanh": np.tanh,
        "σ": sigmoid,
        "through": through,
        "T": len(run.x),
    }
    v |= {"X": run.x, "H": run.h, "C": run.c, "W": run.W, "U": run.U, "d_c_given": d_c}
    v |= {"next_h": np.zeros_like(d_c), "next_c": value("last")}
    sums, d_x = dict.fromkeys(SUMS, 0.0), []
    for v["t"] in reversed(range(len(run.x))):
        v["d_out"] = d_out[v["t"]]
        for name in ("kept", "x", "h", "c", "c_prev", "h_prev"):
            v[name] = value(name)
        for role, a in zip(ROLES, run.a[v["kept"]], strict=True):
            v |= {"z_" + role: a, role: np.tanh(a) if role == "g" else sigmoid(a)}
        for name in IN_ORDER:
            v[name] = value(name)
        for name in sums:
            v |= {"total": sums[name], "new": value(name)}
            sums[name] = value("sum " + name[0])
        v |= {"next_c": value("hand_c"), "next_h": value("hand_h")}
        d_x.insert(0, value("d_x"))
    found = {n: np.stack([sums[f"{n}_{role}"] for role in ROLES]) for n in PRODUCTS}
    return found | {"x": np.stack(d_x), "h": v["next_h"], "c": v["next_c"]}


def mistakes(*, square: bool) -> list[Wrong]:
    """Return all mistakes of one line, or of one line for several gates at once."""
    listed = [Wrong(name, eq, lines) for eq, table in LISTED.items() for name, lines in table]
    return [*listed, *of_activations(), *of_gates(), *of_weights(square)]


def word(group: str, everything: str = "all gates") -> str:
    """Return in words which gates a mistake is in."""
    return everything if group == ROLES else " and ".join(", ".join(group).rsplit(", ", 1))


# What is written for σ′ and tanh′ where the gate's value is y and its preactivation z; "" if not.
SLOPES_WRITTEN = {
    "σ′ or tanh′ at a value already activated": ("σ(y) * (1 - σ(y))", "1 - tanh(y) ** 2"),
    "the activation for its derivative": ("y", "y"),
    "no derivative of the activation": ("1", "1"),
    "the derivative's formula at the preactivation": ("z * (1 - z)", "1 - z**2"),
    "1 − y for the derivative": ("1 - y", "1 - y"),
    "1 − 2y for 1 − y²": ("", "1 - 2 * y"),
    "(1 − y)² for 1 − y²": ("", "(1 - y) ** 2"),
    "the derivative with the other sign": ("y * (y - 1)", "y**2 - 1"),
    "the activation twice for its derivative": ("σ(y)", "tanh(y)"),
    "tanh′ for σ′": ("1 - y**2", ""),
    "σ′ for tanh′": ("", "y * (1 - y)"),
    "σ′(g) for tanh′": ("", "σ(y) * (1 - σ(y))"),
    "1 − c² for 1 − g²": ("", "1 - c**2"),
}


def of_activations() -> Iterator[Wrong]:
    """Yield what is written for σ′ and tanh′, and copied lines."""
    equation = "eq-d-preactivation"
    for text, (gate, candidate) in SLOPES_WRITTEN.items():
        slopes = {r: candidate if r == "g" else gate for r in ROLES}
        for group in ("i", "f", "g", "o", "ifo", ROLES):
            if all(slopes[r] for r in group):
                lines = {
                    f"a_{r}": f"d_{r} * ({slopes[r].replace('y', r).replace('z', 'z_' + r)})"
                    for r in group
                }
                yield Wrong(f"{text} ({word(group)})", equation, lines)
    for r in ROLES:
        for s in ROLES.replace(r, ""):
            for text, line in {
                f"d_{s} for d_{r} before the derivative": f"d_{s} * ({SLOPES[r]})",
                f"d_a of {s} for {r}": f"d_{s} * ({SLOPES[s]})",
                f"the derivative of {s} for that of {r}": f"d_{r} * ({SLOPES[s]})",
            }.items():
                yield Wrong(f"copied line: {text}", equation, {"a_" + r: line})


VALUES = ("c", "c_prev", "tanh(c)", "tanh(c_prev)", "tanh(tanh(c))", "(1 - tanh(c) ** 2)", "h",
          "h_prev", *ROLES)  # fmt: skip
GATE_LINES = {
    "d_o": ("d_h", "tanh(c)", "eq-d-output-gate"),
    "d_f": ("d_c", "c_prev", "eq-d-forget-gate"),
    "d_i": ("d_c", "g", "eq-d-input-gate"),
    "d_g": ("d_c", "i", "eq-d-candidate"),
}


def of_gates() -> Iterator[Wrong]:
    """Yield each factor of the gradients of gates and candidate, missing or another."""
    for line, (upstream, factor, equation) in GATE_LINES.items():
        yield Wrong(f"{line}: factor {factor} missing", equation, {line: upstream})
        yield Wrong(f"{line}: nothing", equation, {line: f"0 * {upstream}"})
        for other in VALUES:
            copied = line != "d_o" and other in ("c_prev", "g", "i")  # another gate's line
            if other != factor and not copied:
                text = f"{line}: {other} for {factor}"
                yield Wrong(text, equation, {line: f"{upstream} * {other}"})
    wraps = "d_c * (c_prev if t else C[-1])"
    text = "d_f: index −1 wraps round at the first step"
    yield Wrong(text, "eq-d-forget-gate", {"d_f": wraps})
    text = "d_o: d_c for d_h"
    yield Wrong(text, "eq-d-output-gate", {"d_o": "next_c * tanh(c)"})
    for other, text in {"d_h": "d_h", "next_c": "only what the next step hands on",
                        "d_h * o": "d_h o"}.items():  # fmt: skip
        for group in ("i", "f", "g", "ifg"):
            lines = {f"d_{r}": f"{other} * {GATE_LINES['d_' + r][1]}" for r in group}
            yield Wrong(f"{text} for d_c ({word(group)})", GATE_LINES["d_" + group[0]][2], lines)


SHARE = "d_h * o * (1 - tanh(c) ** 2)"
ONE_OFF = {"c": "C[kept]", "c_prev": "C[kept - 1]", "h_prev": "H[kept - 1]"}
LISTED: dict[str, list[tuple[str, dict[str, str]]]] = {
    "eq-d-cell-previous": [
        ("dc is not carried", {"hand_c": "0 * d_c"}),
        ("dc is carried without the forget gate", {"hand_c": "d_c"}),
        ("dc is carried without h's share", {"hand_c": "next_c * f"}),
        ("dc is carried with i for f", {"hand_c": "d_c * i"}),
        ("dc of h's share alone is carried", {"hand_c": f"{SHARE} * f"}),
        ("dc is carried with the forget gate of the step before",
         {"d_c": f"next_c * f + {SHARE}", "hand_c": "d_c"}),
    ],
    "eq-d-hidden-state": [
        ("dh is not carried", {"hand_h": "0 * d_h"}),
        ("dh is not added to the loss's own", {"d_h": "d_out"}),
        ("neither dh nor dc is carried", {"hand_h": "0 * d_h", "hand_c": "0 * d_c"}),
        ("only the last step's loss is used", {"d_h": "next_h + (d_out if t == T - 1 else 0)"}),
    ],
    "eq-d-cell-state": [
        ("dc of the last step is 1", {"last": "0 * d_c_given + 1"}),
        ("the given dc is not used", {"last": "0 * d_c_given"}),
        *((f"d_c: {text}", {"d_c": line}) for text, line in {
            "h's share missing": "next_c",
            "what the next step hands on is not added": SHARE,
            "tanh′ at c without tanh: 1 − c²": "next_c + d_h * o * (1 - c**2)",
            "tanh′ at a value already activated": "next_c + d_h * o * (1 - tanh(tanh(c)) ** 2)",
            "tanh′ missing": "next_c + d_h * o",
            "tanh for tanh′": "next_c + d_h * o * tanh(c)",
            "tanh(c²) for tanh²(c)": "next_c + d_h * o * (1 - tanh(c**2))",
            "1 − tanh for 1 − tanh²": "next_c + d_h * o * (1 - tanh(c))",
            "(1 − tanh)² for 1 − tanh²": "next_c + d_h * o * (1 - tanh(c)) ** 2",
            "σ′ for tanh′": "next_c + d_h * o * σ(c) * (1 - σ(c))",
            "the output gate missing": "next_c + d_h * (1 - tanh(c) ** 2)",
            "another gate for the output gate, i": "next_c + d_h * i * (1 - tanh(c) ** 2)",
            "another gate for the output gate, f": "next_c + d_h * f * (1 - tanh(c) ** 2)",
            "the old cell state for the new": "next_c + d_h * o * (1 - tanh(c_prev) ** 2)",
            "the candidate for the cell state": "next_c + d_h * o * (1 - g**2)",
            "counted twice": f"2 * next_c + {SHARE}",
            "h's share counted twice": f"next_c + 2 * {SHARE}",
            "only the loss's own d_h": "next_c + d_out * o * (1 - tanh(c) ** 2)",
            "d_h itself": "next_c + d_h",
        }.items()),
        *((f"index one off: a list begins with the initial state ({', '.join(which)})",
           {name: ONE_OFF[name] for name in which})
          for which in (("c", "c_prev"), ("c_prev",), ("h_prev",), ("c_prev", "h_prev"), ONE_OFF)),
    ],
    "eq-d-inputs": [
        ("dh itself is added to what is carried", {"hand_h": "through(U) + d_h"}),
        ("dx is zero", {"d_x": "0 * x"}),
        *((f"{text}: the path through {r} missing",
           {line: f"through({array}, '{ROLES.replace(r, '')}')"})
          for text, line, array in (("dh", "hand_h", "U"), ("dx", "d_x", "W")) for r in ROLES),
        ("dh: gates before their derivative", {"hand_h": "through(U, start='d_')"}),
        ("dx: gates before their derivative", {"d_x": "through(W, start='d_')"}),
        ("dh: U for its transpose", {"hand_h": "through(U.swapaxes(1, 2))"}),
        *((f"dh: another part of the gradient of {z} than h's", {"hand_h": f"through({part})"})
          for z, part in (("[x, h]", "np.concatenate((W, U), 2)[..., : len(U[0])]"),
                          ("[h, x]", "np.concatenate((U, W), 2)[..., -len(U[0]) :]"))),
    ],
    "eq-d-weights-sum": [
        ("the values kept are those of the last step", {"kept": "T - 1"}),
        ("the first step is left out: truncated",
         {f"sum {array}": "total + new * (t > 0)" for array in "WUb"}),
        *((f"gradient of {name} {text}", {f"sum {array}": line for array in arrays})
          for name, arrays in {"W": "W", "U": "U", "b": "b", "all weights": "WUb"}.items()
          for text, line in {
              "overwritten in each step, not added": "new",
              "from the last step only": "new if t == T - 1 else total",
          }.items()),
    ],
}  # fmt: skip


def of_weights(square: bool) -> Iterator[Wrong]:
    """Yield what is written for the gradients of weights and biases."""
    equation = "eq-d-weights"
    for arrays, s in itertools.product(("W", "U", "b", "WU", "WUb"), ROLES):
        for group in (*ROLES.replace(s, ""), ROLES):
            lines = {f"{n}_{r}": PRODUCTS[n].format("a_" + s) for n in arrays for r in group}
            name = ", ".join(arrays)
            where = "all" if group == ROLES else word(group) if arrays[1:] else f"{name}_{group}"
            yield Wrong(f"copied line: d_a of {s} for {name} ({where})", equation, lines)
    for array, product in PRODUCTS.items():
        for group in (*ROLES, ROLES):
            text = f"{array}'s gradient from the gate, before its derivative ({word(group)})"
            lines = {f"{array}_{r}": product.format("d_" + r) for r in group}
            yield Wrong(text, equation, lines)
            text = f"gradient of {array} is zero ({word(group, 'all')})"
            lines = {f"{array}_{r}": "0 * " + product.format("a_" + r) for r in group}
            yield Wrong(text, equation, lines)
    for text, array, line in (
        ("mean over the batch for the sum in b", "b", "{}.mean(axis=0)[:, None]"),
        ("index one off: h_t for h_(t−1)", "U", "{}.T @ h"),
        ("index −1 wraps round: h_T for h_0", "U", "{}.T @ (h_prev if t else H[-1])"),
        ("index one off: δ_t with h_t, the last step left out", "U",
         "{}.T @ (h if t < T - 1 else 0 * h)"),
        ("c for h in U", "U", "{}.T @ c_prev"),
    ):  # fmt: skip
        yield Wrong(text, equation, {f"{array}_{r}": line.format("a_" + r) for r in ROLES})
    if square:
        line = {"d_x": "through(W.swapaxes(1, 2))"}
        yield Wrong("dx: W for its transpose", "eq-d-inputs", line)
