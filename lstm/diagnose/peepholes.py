"""Peepholes of code that runs whole sequences, where no cell state can be seen or changed.

A peephole's weight looks like a bias that belongs to no gate: it acts where there is a cell state.
Without it the rest is explained; then each is put back alone, in each place in which it may stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from lstm.diagnose.catalogue import GATES, Finding
from lstm.diagnose.forward import Explanation
from lstm.diagnose.sequences import Sequence
from lstm.diagnose.weights import kept
from lstm.diagnose.wiring import Row, Wiring

PLACES = (("i", "old"), ("f", "old"), ("o", "new"), ("o", "old"), ("g", "old"))
Lone = list[list[list[Row]]]
Peephole = tuple[str, str, np.ndarray]
"""A gate, which cell state it sees, and the weights, (H,)."""


def without(wiring: Wiring) -> tuple[Wiring, Lone]:
    """Return the wiring without blocks that read neither x nor h, and these blocks."""
    lone = [units for k, units in enumerate(wiring.gates) if wiring.kinds(k) <= {"1"}]
    kept = [units for units in wiring.gates if not any(units is other for other in lone)]
    return Wiring(wiring.D, wiring.H, kept, wiring.idle, wiring.mixed), lone


def arrays_of(lone: Lone) -> set[str]:
    """Return the names of the arrays of some blocks."""
    return {row.array for units in lone for rows in units for row in rows}


def findings(places: Iterable[tuple[str, str, str]]) -> list[Finding]:
    """Return what is said of peepholes: the array of each, its gate, and which cell state it sees.

    All see the old one, but the output gate, which sees the new.
    """
    places = list(dict.fromkeys(places))
    text = ", ".join(f"{array} in the {GATES[role]}" for array, role, _ in places)
    found = [Finding("peepholes", "variant", "eq-peephole-forget-gate", text)] if places else []
    if any(place[1:] == ("o", "old") for place in places):
        text = "the output gate sees the old cell state"
        found.append(Finding(text, "variant", "eq-peephole-output-gate"))
    return found


def of_step(wiring: Wiring, best: Explanation) -> list[Finding]:
    """Return the same for a step, whose wiring shows them."""
    role = {k: r for r, k in best.blocks.items()}
    return findings(
        (row.array, role[k], "new" if "c'" in row.kinds else "old")
        for k, _, row in wiring.rows()
        if k in role and row.kinds & {"c", "c'"}
    )


def named(code: Sequence, wiring: Wiring, best: Explanation, lone: Lone) -> list[Finding]:
    """Say of which gate each block is a peephole; nothing if one of them is of none."""
    own = {name: code.weights[name] for name in arrays_of(lone)}
    found = []
    x = code.draw(np.random.default_rng(9), 5, 6)["x"]
    exact = 1e-7 if code.dtype == np.float64 else 3e-3
    for units in lone:
        names = arrays_of([units])
        block = Wiring(wiring.D, wiring.H, [units], [], False)
        weights = block.assemble(code.weights)["1"][0, :, 0]
        with kept(own):
            for name in own.keys() - names:
                own[name][...] = 0
            seen = code(x=x)[0]
        near = (
            (", ".join(sorted(names)), role, when)
            for role, when in PLACES
            if role in best.blocks
            and np.abs(run(code, wiring, best, x, (role, when, weights)) - seen).max() < exact
        )
        found.append(next(near, None))
    return findings(found) if all(found) else []


def run(
    code: Sequence, wiring: Wiring, best: Explanation, x: np.ndarray, peephole: Peephole
) -> np.ndarray:
    """Return all h of an explanation with a peephole in one place."""
    parts, (where, when, weights) = wiring.assemble(code.weights), peephole
    h = c = np.zeros((x.shape[1], code.H))

    def gate(role: str, a: np.ndarray, old: np.ndarray, new: np.ndarray) -> np.ndarray:
        if role not in best.blocks:
            return np.zeros_like(h)
        more = weights * (old if when == "old" else new) if role == where else 0
        return best.forms[role].compute(a[best.blocks[role]] + more)

    def steps() -> Iterator[np.ndarray]:
        nonlocal h, c
        for x_t in x:
            a = wiring.preactivations(parts, x_t, h, c)
            i, f, g = (gate(role, a, c, c) for role in "ifg")
            new = best.forms["c"].compute(i, f, g, c, h)
            h = best.forms["h"].compute(gate("o", a, c, new), new, c, g, h)
            c = new
            yield h

    return np.array(list(steps()))
