"""The backward pass line by line, and what people write in each line instead.

:data:`LINES` is the book's backward pass, one function for each line; a mistake puts another
function in the place of one or more of them. ``v`` holds the values at hand in step t: gates by
letter, ``h``, ``c`` and the ones before, gradients so far, and what the next step handed on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from lstm.equations import sigmoid

Line = Callable[[SimpleNamespace], np.ndarray]
ROLES = "ifgo"


class Wrong(NamedTuple):
    """A mistake of the backward pass: what stands in some lines instead."""

    name: str
    equation: str
    lines: dict[str, Callable]


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


def slope(role: str, value: np.ndarray) -> np.ndarray:
    """Derivative of a gate's activation, from its value."""
    return 1 - value**2 if role == "g" else value * (1 - value)


def through(gradients: dict[str, np.ndarray], weights: np.ndarray) -> np.ndarray:
    """Sum over the gates of the gradient times its weights."""
    return sum(gradients[role] @ weights[k] for k, role in enumerate(ROLES))


LINES: dict[str, Callable] = {
    "stored": lambda t, steps: t,
    "c": lambda c, t: c[t + 1],
    "c_prev": lambda c, t: c[t],
    "h_prev": lambda h, t: h[t],
    "last d_c": lambda v: v.d_c_given,
    "d_h": lambda v: v.d_out + v.next_h,
    "d_o": lambda v: v.d_h * np.tanh(v.c),
    "d_c": lambda v: v.next_c + v.d_h * v.o * (1 - np.tanh(v.c) ** 2),
    "d_i": lambda v: v.d_c * v.g,
    "d_f": lambda v: v.d_c * v.c_prev,
    "d_g": lambda v: v.d_c * v.i,
    "next_c": lambda v: v.d_c * v.f,
    "next_h": lambda v: through(v.a, v.U),
    "d_x": lambda v: through(v.a, v.W),
    "sum": lambda total, new, v: total + new,
}
for _role in ROLES:
    LINES |= {
        f"a_{_role}": lambda v, r=_role: getattr(v, "d_" + r) * slope(r, getattr(v, r)),
        f"W_{_role}": lambda v, r=_role: v.a[r].T @ v.x,
        f"U_{_role}": lambda v, r=_role: v.a[r].T @ v.h_prev,
        f"b_{_role}": lambda v, r=_role: v.a[r].sum(axis=0)[:, None],
    }


def backward(run: Pass, d_out: np.ndarray, d_c: np.ndarray, wrong: tuple[Wrong, ...] = ()) -> dict:
    """Return the gradients of all weights and inputs with some lines replaced.

    Parameters
    ----------
    run : Pass
    d_out, d_c : ndarray, shapes (T, S, H) and (S, H)
        Gradients of the outputs, and of the last cell state.
    wrong : tuple of Wrong
        Mistakes to make.

    Returns
    -------
    dict
        ``"x"``, ``"h"``, ``"c"``: gradients of the inputs; ``"W"``, ``"U"``, ``"b"``: of the
        weights, (4, H, ·).
    """
    lines = LINES.copy()
    for mistake in wrong:
        lines |= mistake.lines
    steps = len(run.x)
    v = SimpleNamespace(U=run.U, W=run.W, d_c_given=d_c, steps=steps)
    v.h_last, v.c_last, v.next_h = run.h[-1], run.c[-1], np.zeros_like(d_c)
    v.next_c = lines["last d_c"](v)
    sums = {name + role: 0.0 for name in "WUb" for role in ROLES}
    d_x = [np.zeros(0)] * steps
    for t in reversed(range(steps)):
        kept = lines["stored"](t, steps)
        v.t, v.d_out, v.pre = t, d_out[t], {}
        v.x, v.h, v.h_prev = run.x[kept], run.h[kept + 1], lines["h_prev"](run.h, kept)
        v.c, v.c_prev = lines["c"](run.c, kept), lines["c_prev"](run.c, kept)
        for k, role in enumerate(ROLES):
            a = v.pre[role] = run.a[kept, k]
            setattr(v, role, np.tanh(a) if role == "g" else sigmoid(a))
        for name in ("d_h", "d_o", "d_c", "d_i", "d_f", "d_g"):
            setattr(v, name, lines[name](v))
        v.a = {role: lines["a_" + role](v) for role in ROLES}
        for name in sums:
            new = lines[f"{name[0]}_{name[1]}"](v)
            add = lines.get("sum " + name[0], lines["sum"])
            sums[name] = add(sums[name], new, v)
        v.next_c, v.next_h, d_x[t] = lines["next_c"](v), lines["next_h"](v), lines["d_x"](v)
    found = {name: np.stack([sums[name + role] for role in ROLES]) for name in "WUb"}
    return found | {"x": np.stack(d_x), "h": v.next_h, "c": v.next_c}


def mistakes(square: bool) -> list[Wrong]:
    """Return all mistakes of one line, or of one line for several gates at once."""
    return [*of_time(), *of_activations(), *of_gates(), *of_the_cell(), *of_weights(square)]


def gates_at_once(text: str, equation: str, line: str, make: Callable, groups: tuple[str, ...]):
    """Yield the same mistake for each group of gates."""
    for group in groups:
        where = {"ifgo": "all gates", "ifo": "i, f and o", "ifg": "i, f and g"}.get(group, group)
        yield Wrong(f"{text} ({where})", equation, {f"{line}_{r}": make(r) for r in group})


def of_activations() -> Iterator[Wrong]:
    """Yield what is written for σ′ and tanh′."""
    once = ("i", "f", "g", "o", "ifo", "ifgo")
    gate, candidate, both = {"i", "f", "o"}, {"g"}, set(ROLES)

    def squash(r: str, y: np.ndarray) -> np.ndarray:
        return np.tanh(y) if r == "g" else sigmoid(y)

    slopes: dict[str, tuple[Callable, set[str]]] = {
        "σ′ or tanh′ at a value already activated": (lambda r, y, a: slope(r, squash(r, y)), both),
        "the activation for its derivative": (lambda r, y, a: y, both),
        "no derivative of the activation": (lambda r, y, a: np.ones_like(y), both),
        "the derivative's formula at the preactivation": (lambda r, y, a: slope(r, a), both),
        "1 − y for the derivative": (lambda r, y, a: 1 - y, both),
        "the activation twice for its derivative": (lambda r, y, a: squash(r, y), both),
        "tanh′ for σ′": (lambda r, y, a: 1 - y**2, gate),
        "σ′ for tanh′": (lambda r, y, a: y * (1 - y), candidate),
        "σ′(g) for tanh′": (lambda r, y, a: sigmoid(y) * sigmoid(-y), candidate),
    }  # fmt: skip
    for text, (derivative, allowed) in slopes.items():
        groups = tuple(g for g in once if set(g) <= allowed)

        def make(r: str, derivative: Callable = derivative) -> Line:
            return lambda v: getattr(v, "d_" + r) * derivative(r, getattr(v, r), v.pre[r])

        yield from gates_at_once(text, "eq-d-preactivation", "a", make, groups)
    yield Wrong("1 − c² for 1 − g²", "eq-d-preactivation", {"a_g": lambda v: v.d_g * (1 - v.c**2)})
    for r in ROLES:
        for s in ROLES.replace(r, ""):
            yield Wrong(
                f"copied line: d_{s} for d_{r} before the derivative", "eq-d-preactivation",
                {f"a_{r}": lambda v, r=r, s=s: getattr(v, "d_" + s) * slope(r, getattr(v, r))},
            )  # fmt: skip
            yield Wrong(
                f"copied line: d_a of {s} for {r}",
                "eq-d-preactivation",
                {f"a_{r}": lambda v, s=s: LINES[f"a_{s}"](v)},
            )
            yield Wrong(
                f"copied line: the derivative of {s} for that of {r}", "eq-d-preactivation",
                {f"a_{r}": lambda v, r=r, s=s: getattr(v, "d_" + r) * slope(s, getattr(v, s))},
            )  # fmt: skip


def of_gates() -> Iterator[Wrong]:
    """Yield what is written for the gradients of the gates and the candidate."""
    others: dict[str, tuple[str, dict[str, Line]]] = {
        "d_o": ("eq-d-output-gate", {
            "c without tanh": lambda v: v.d_h * v.c,
            "factor tanh(c) missing": lambda v: v.d_h,
            "the old cell state for the new": lambda v: v.d_h * np.tanh(v.c_prev),
            "tanh′(c) for tanh(c)": lambda v: v.d_h * (1 - np.tanh(v.c) ** 2),
            "tanh(tanh(c)) for tanh(c)": lambda v: v.d_h * np.tanh(np.tanh(v.c)),
            "d_c for d_h": lambda v: v.next_c * np.tanh(v.c),
        }),
        "d_f": ("eq-d-forget-gate", {
            "index one off: c_t for c_(t−1)": lambda v: v.d_c * v.c,
            "index −1 wraps round at the first step": lambda v: (
                v.d_c * (v.c_prev if v.t else v.c_last)
            ),
            "factor c_(t−1) missing": lambda v: v.d_c,
            "tanh(c_(t−1)) for c_(t−1)": lambda v: v.d_c * np.tanh(v.c_prev),
            "g for c_(t−1)": lambda v: v.d_c * v.g,
            "h for c_(t−1)": lambda v: v.d_c * v.h_prev,
            "nothing": lambda v: 0 * v.d_c,
        }),
        "d_i": ("eq-d-input-gate", {
            "factor g missing": lambda v: v.d_c,
            "i for g": lambda v: v.d_c * v.i,
            "c_(t−1) for g": lambda v: v.d_c * v.c_prev,
            "c_t for g": lambda v: v.d_c * v.c,
        }),
        "d_g": ("eq-d-candidate", {
            "factor i missing": lambda v: v.d_c,
            "g for i": lambda v: v.d_c * v.g,
            "f for i": lambda v: v.d_c * v.f,
            "c_(t−1) for i": lambda v: v.d_c * v.c_prev,
        }),
    }  # fmt: skip
    for line, (equation, forms) in others.items():
        for text, form in forms.items():
            yield Wrong(f"{line}: {text}", equation, {line: form})
    factor = {"i": lambda v: v.g, "f": lambda v: v.c_prev, "g": lambda v: v.i}
    equations = {"i": "eq-d-input-gate", "f": "eq-d-forget-gate", "g": "eq-d-candidate"}
    for text, upstream in {
        "d_h for d_c": lambda v: v.d_h,
        "only what the next step hands on for d_c": lambda v: v.next_c,
        "d_h o for d_c": lambda v: v.d_h * v.o,
    }.items():
        for group in ("i", "f", "g", "ifg"):
            lines = {f"d_{r}": lambda v, r=r, up=upstream: up(v) * factor[r](v) for r in group}
            yield Wrong(f"{text} ({', '.join(group)})", equations[group[0]], lines)


def of_the_cell() -> Iterator[Wrong]:
    """Yield what is written for the gradient of the cell state."""
    share = lambda v: v.d_h * v.o * (1 - np.tanh(v.c) ** 2)  # noqa: E731 - a line like the others
    forms: dict[str, Line] = {
        "h's share missing": lambda v: v.next_c,
        "what the next step hands on is not added": share,
        "tanh′ at c without tanh: 1 − c²": lambda v: v.next_c + v.d_h * v.o * (1 - v.c**2),
        "tanh′ at a value already activated": lambda v: (
            v.next_c + v.d_h * v.o * (1 - np.tanh(np.tanh(v.c)) ** 2)
        ),
        "tanh′ missing": lambda v: v.next_c + v.d_h * v.o,
        "tanh for tanh′": lambda v: v.next_c + v.d_h * v.o * np.tanh(v.c),
        "1 − tanh for 1 − tanh²": lambda v: v.next_c + v.d_h * v.o * (1 - np.tanh(v.c)),
        "(1 − tanh)² for 1 − tanh²": lambda v: v.next_c + v.d_h * v.o * (1 - np.tanh(v.c)) ** 2,
        "σ′ for tanh′": lambda v: v.next_c + v.d_h * v.o * sigmoid(v.c) * sigmoid(-v.c),
        "the output gate missing": lambda v: v.next_c + v.d_h * (1 - np.tanh(v.c) ** 2),
        "the old cell state for the new": lambda v: (
            v.next_c + v.d_h * v.o * (1 - np.tanh(v.c_prev) ** 2)
        ),
        "counted twice": lambda v: 2 * v.next_c + share(v),
        "h's share counted twice": lambda v: v.next_c + 2 * share(v),
        "only the loss's own d_h": lambda v: v.next_c + v.d_out * v.o * (1 - np.tanh(v.c) ** 2),
        "d_h itself": lambda v: v.next_c + v.d_h,
    }
    for text, form in forms.items():
        yield Wrong(f"d_c: {text}", "eq-d-cell-state", {"d_c": form})


def of_time() -> Iterator[Wrong]:
    """Yield what goes wrong from step to step."""
    share = lambda v: v.d_h * v.o * (1 - np.tanh(v.c) ** 2)  # noqa: E731 - a line like the others
    for text, form in {
        "dc is not carried": lambda v: 0 * v.d_c,
        "dc is carried without the forget gate": lambda v: v.d_c,
        "dc is carried without h's share": lambda v: v.next_c * v.f,
        "dc is carried with i for f": lambda v: v.d_c * v.i,
        "dc of h's share alone is carried": lambda v: share(v) * v.f,
    }.items():
        yield Wrong(text, "eq-d-cell-previous", {"next_c": form})
    yield Wrong(
        "dh itself is added to what is carried", "eq-d-inputs",
        {"next_h": lambda v: through(v.a, v.U) + v.d_h},
    )  # fmt: skip
    yield Wrong("dh is not carried", "eq-d-hidden-state", {"next_h": lambda v: 0 * v.d_h})
    yield Wrong(
        "dh is not added to the loss's own", "eq-d-hidden-state", {"d_h": lambda v: v.d_out}
    )
    yield Wrong(
        "neither dh nor dc is carried", "eq-d-hidden-state",
        {"next_h": lambda v: 0 * v.d_h, "next_c": lambda v: 0 * v.d_c},
    )  # fmt: skip
    yield Wrong(
        "only the last step's loss is used", "eq-d-hidden-state",
        {"d_h": lambda v: v.next_h + (v.d_out if v.t == v.steps - 1 else 0)},
    )  # fmt: skip
    yield Wrong(
        "dc of the last step is 1",
        "eq-d-cell-state",
        {"last d_c": lambda v: np.ones_like(v.d_c_given)},
    )
    yield Wrong(
        "the given dc is not used", "eq-d-cell-state", {"last d_c": lambda v: 0 * v.d_c_given}
    )
    yield Wrong(
        "the values kept are those of the last step", "eq-d-weights-sum",
        {"stored": lambda t, steps: steps - 1},
    )  # fmt: skip
    early: dict[str, Line] = {"c": lambda c, t: c[t], "c_prev": lambda c, t: c[t - 1]}
    early["h_prev"] = lambda h, t: h[t - 1]
    for which in (("c", "c_prev"), ("c_prev",), ("h_prev",), ("c_prev", "h_prev"), tuple(early)):
        yield Wrong(
            f"index one off: a list begins with the initial state ({', '.join(which)})",
            "eq-d-cell-state",
            {name: early[name] for name in which},
        )
    for name, arrays in {"W": "W", "U": "U", "b": "b", "all weights": "WUb"}.items():
        for text, add in {
            "overwritten in each step, not added": lambda total, new, v: new,
            "from the last step only": lambda total, new, v: new if v.t == v.steps - 1 else total,
        }.items():
            lines = {f"sum {array}": add for array in arrays}
            yield Wrong(f"gradient of {name} {text}", "eq-d-weights-sum", lines)


def of_weights(square: bool) -> Iterator[Wrong]:
    """Yield what is written for the gradients of weights, biases and inputs."""
    names = {
        "W": lambda v, a: a.T @ v.x,
        "U": lambda v, a: a.T @ v.h_prev,
        "b": lambda v, a: a.sum(axis=0)[:, None],
    }
    for array, product in names.items():
        for s in ROLES:
            for group in (*ROLES.replace(s, ""), ROLES):
                lines = {f"{array}_{r}": lambda v, s=s, p=product: p(v, v.a[s]) for r in group}
                where = "all" if group == ROLES else array + "_" + group
                yield Wrong(f"copied line: d_a of {s} for {array} ({where})", "eq-d-weights", lines)

        def before(r: str, p: Callable = product) -> Line:
            return lambda v: p(v, getattr(v, "d_" + r))

        yield from gates_at_once(
            f"{array}'s gradient from the gate, before its derivative", "eq-d-weights", array,
            before, ("i", "f", "g", "o", "ifgo"),
        )  # fmt: skip
        for r in (*ROLES, ROLES):
            lines = {f"{array}_{k}": lambda v, line=f"{array}_{k}": 0 * LINES[line](v) for k in r}
            yield Wrong(
                f"gradient of {array} is zero ({'all' if r == ROLES else r})", "eq-d-weights", lines
            )
    mean = {f"b_{r}": lambda v, r=r: v.a[r].mean(axis=0)[:, None] for r in ROLES}
    yield Wrong("mean over the batch for the sum in b", "eq-d-weights", mean)
    shifted: dict[str, tuple[str, Line]] = {
        "index one off: h_t for h_(t−1)": ("U", lambda v: v.h),
        "index −1 wraps round: h_T for h_0": ("U", lambda v: v.h_prev if v.t else v.h_last),
        "c for h in U": ("U", lambda v: v.c_prev),
    }
    for text, (array, values) in shifted.items():
        lines = {f"{array}_{r}": lambda v, r=r, f=values: v.a[r].T @ f(v) for r in ROLES}
        yield Wrong(text, "eq-d-weights", lines)
    paths = {"dh": ("next_h", "U"), "dx": ("d_x", "W")}
    for text, (line, array) in paths.items():

        def without(v: SimpleNamespace, r: str, array: str = array) -> np.ndarray:
            return through(v.a | {r: 0 * v.a[r]}, getattr(v, array))

        def before_slopes(v: SimpleNamespace, array: str = array) -> np.ndarray:
            return through({r: getattr(v, "d_" + r) for r in ROLES}, getattr(v, array))

        for r in ROLES:
            name = f"{text}: the path through {r} missing"
            yield Wrong(name, "eq-d-inputs", {line: lambda v, r=r, f=without: f(v, r)})
        name = f"{text}: gates before their derivative"
        yield Wrong(name, "eq-d-inputs", {line: before_slopes})
        if line == "next_h" or square:
            yield Wrong(
                f"{text}: {array} for its transpose", "eq-d-inputs",
                {line: lambda v, n=array: through(v.a, getattr(v, n).swapaxes(1, 2))},
            )  # fmt: skip
    yield Wrong("dx is zero", "eq-d-inputs", {"d_x": lambda v: 0 * v.x})
