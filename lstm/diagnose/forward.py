"""Which formula a step computes: the cell state first, then the output from the observed one.

The preactivations are known (:mod:`lstm.diagnose.wiring`); what remains is a formula of a few
numbers, composed from the tables of :mod:`lstm.diagnose.catalogue`. Two deviations, one in the
cell state and one in the output, add instead of multiplying.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from lstm.diagnose.catalogue import (
    CANDIDATE,
    CELL,
    COST,
    GATE,
    GATE_EQUATION,
    GATES,
    OUTPUT,
    Finding,
    Form,
    formula,
)
from lstm.diagnose.sequences import Sequence
from lstm.diagnose.weights import kept
from lstm.diagnose.wiring import Row, Wiring
from lstm.equations import sigmoid

MOST = {"seen": 3.2, "unseen": 2.2, "again": 1.2}
"""Up to which cost formulas are tried: three deviations, or two where c is not seen; one where the
first weights gave none."""
FEW = 8
"""So many numbers are looked at before all are."""


@dataclass
class Observed:
    """What was put in and what came out, (T, S, H) each; a is (K, T, S, H)."""

    a: np.ndarray
    peephole: np.ndarray
    """Weights of the new cell state, (K, H, H)."""
    h_prev: np.ndarray
    c_first: np.ndarray
    h: np.ndarray
    c: np.ndarray | None
    tolerance: float

    def agrees(self, found: np.ndarray, wanted: np.ndarray) -> bool:
        """Whether two arrays are equal to the precision of the person's numbers."""
        scale = max(1.0, float(np.abs(wanted).max()))
        return bool(np.abs(found - wanted).max() <= self.tolerance * scale)

    def with_cells(self, c: np.ndarray) -> Observed:
        """Return the same with these cell states, as if they had been seen."""
        same = replace(self, c=c)
        vars(same)["values"] = self.values
        return same

    @functools.cached_property
    def values(self) -> dict[str, np.ndarray]:
        """What each form of each gate gives, (forms times K, T, S, H)."""
        with np.errstate(all="ignore"):
            gate, candidate = (
                np.concatenate([form.compute(self.a) for form in table])
                for table in (GATE, CANDIDATE)
            )
        return {"i": gate, "f": gate, "g": candidate}

    @property
    def c_prev(self) -> np.ndarray:
        """Cell states of the steps before."""
        return np.concatenate([self.c_first[None], self.c[:-1]])


@dataclass
class Explanation:
    """A formula that gives what was observed: of each gate its block, of each place its form."""

    blocks: dict[str, int] = field(default_factory=dict)
    forms: dict[str, Form] = field(default_factory=dict)
    cost: float = 0.0

    def findings(self) -> list[Finding]:
        """Return what is not as in the book, a finding for each place."""
        equations = GATE_EQUATION | {"c": "eq-cell-state", "h": "eq-hidden-state"}
        return [
            Finding(form.name.format(GATES.get(place, "")), form.kind, equations[place])
            for place, form in self.forms.items()
            if form.kind != "right"
        ]


def by_cost(*tables: tuple[Form, ...], most: float) -> list[tuple[float, tuple[Form, ...]]]:
    """Return the combinations of one form of each table, the cheapest first."""
    found: list[tuple[float, tuple[Form, ...]]] = [(0.0, ())]
    for table in tables:
        found = [
            (cost + COST[form.kind], (*forms, form))
            for cost, forms in found
            for form in table
            if cost + COST[form.kind] <= most
        ]
    return sorted(found, key=lambda entry: entry[0])


@functools.lru_cache(maxsize=64)
def choices(K: int, needs: str, most: float) -> tuple[np.ndarray, np.ndarray]:
    """Return every choice of a form and a block for each gate, (N, 3), and what it costs.

    A choice is a number: form times K plus block. A gate that is not needed has the first. No two
    gates read the same block, except where one is missing, which costs as much as a mistake.
    """
    costs, blocks = [], []
    for role, table in zip("ifg", (GATE, GATE, CANDIDATE), strict=True):
        used = table if role in needs else table[:1]
        costs.append(np.repeat([COST[form.kind] for form in used], K if role in needs else 1))
        blocks.append(np.arange(len(costs[-1])) % K if role in needs else np.array([-ord(role)]))
    total = costs[0][:, None, None] + costs[1][:, None] + costs[2]
    i, f, g = blocks[0][:, None, None], blocks[1][:, None], blocks[2]
    twice = (i == f) * 1 + (f == g) + (i == g)
    total = total + 1.2 * twice
    picked = np.argwhere((total <= most) & (twice <= (K < 4)))
    return picked, total[tuple(picked.T)]


def cells(seen: Observed, most: float) -> list[Explanation]:
    """Return the cheapest explanations of the cell state, all of one cost."""
    c_prev, h_prev, K, values = seen.c_prev, seen.h_prev, len(seen.a), seen.values
    tables = {"i": GATE, "f": GATE, "g": CANDIDATE}
    scale = seen.tolerance * max(1, np.abs(seen.c).max())
    T, S, H = seen.c.shape
    some = [(T - 1 - k % T, k * 5 % S, k * 3 % H) for k in range(FEW)]
    tried: list[tuple[float, Form, tuple[int, ...]]] = []
    for cell in CELL:
        if (room := most - COST[cell.kind]) < 0:
            continue
        picked, costs = choices(K, cell.needs, round(room, 2))
        for one in some:  # a few numbers refuse almost every choice
            first = [values[r][(picked[:, n], *one)] for n, r in enumerate("ifg")]
            with np.errstate(all="ignore"):
                error = np.abs(cell.compute(*first, c_prev[one], h_prev[one]) - seen.c[one])
            picked, costs = picked[error <= scale], costs[error <= scale]
        tried += [
            (cost + COST[cell.kind], cell, tuple(numbers))
            for cost, numbers in zip(costs, picked, strict=True)
        ]
    found: list[Explanation] = []
    for cost, cell, numbers in sorted(tried, key=lambda entry: entry[0]):
        if found and cost > found[0].cost + 1e-9:
            break
        with np.errstate(all="ignore"):
            c = cell.compute(
                *(values[r][n] for r, n in zip("ifg", numbers, strict=True)), c_prev, h_prev
            )
        if seen.agrees(c, seen.c):
            chosen = {
                r: divmod(int(n), K) for r, n in zip("ifg", numbers, strict=True) if r in cell.needs
            }
            forms = {r: tables[r][form] for r, (form, _) in chosen.items()} | {"c": cell}
            found.append(Explanation({r: block for r, (_, block) in chosen.items()}, forms, cost))
    return found


def outputs(seen: Observed, cell: Explanation, most: float) -> list[Explanation]:
    """Return the cheapest explanations of the output from the cell state that was seen."""
    found: list[Explanation] = []
    a = seen.a + np.einsum("khj,tsj->ktsh", seen.peephole, seen.c)
    g = np.zeros_like(seen.c)
    if "g" in cell.blocks:
        g = cell.forms["g"].compute(a[cell.blocks["g"]])
    free = [k for k in range(len(a)) if k not in cell.blocks.values()]
    others = [k for k in range(len(a)) if k not in free]
    for cost, (output, gate) in by_cost(OUTPUT, GATE, most=most):
        if found and cost > found[0].cost + 1e-9:
            break
        if not output.needs and gate.kind != "right":
            continue
        for k in (*free, *others) if output.needs else (-1,):
            more = 0.0 if k in free or k < 0 else 1.0  # another gate's block is a mistake, too
            if cost + more > most:
                continue
            with np.errstate(all="ignore"):
                o = gate.compute(a[k]) if k >= 0 else 0.0
                h = output.compute(o, seen.c, seen.c_prev, g, seen.h_prev)
                if not np.isfinite(h).all() or not seen.agrees(h, seen.h):
                    continue
            blocks = {"o": k} if k >= 0 else {}
            forms = ({"o": gate} if k >= 0 else {}) | {"h": output}
            found.append(Explanation(blocks, forms, cost + more))
    return sorted(found, key=lambda e: e.cost)


def explain(seen: Observed, *, again: bool = False) -> tuple[list[Explanation], bool]:
    """Return the cheapest explanations, and whether at least the cell state has one."""
    most = MOST["again" if again else "unseen" if seen.c is None else "seen"]
    if seen.c is None:
        return unseen(seen, most), False
    first = cells(seen, most)
    whole = [join(cell, out) for cell in first for out in outputs(seen, cell, most)]
    least = min((e.cost for e in whole), default=0)
    return [e for e in whole if e.cost <= least + 1e-9] or first, bool(first) and not whole


def unseen(seen: Observed, most: float) -> list[Explanation]:
    """Explain an output whose cell state was not returned: compute it from the output, backwards.

    Whatever the output gate is supposed to be, the cell states follow from it; most suppositions
    give numbers that no cell state can be, and the rest is explained as if they had been seen.
    """
    best: list[Explanation] = []
    forms = tuple(form for form in OUTPUT if form.back)
    for cost, (output, gate) in by_cost(forms, GATE, most=most):
        room = (best[0].cost if best else most) - cost
        if room < -1e-9 or (not output.needs and gate.kind != "right"):
            continue
        for k in range(len(seen.a)) if output.needs else (-1,):
            with np.errstate(all="ignore"):
                o = gate.compute(seen.a[k]) if k >= 0 else 0.0
                c = formula(output.back, ("o", "h"))(o, seen.h)
            if not np.isfinite(c).all():
                continue
            out = Explanation({"o": k} if k >= 0 else {}, {"h": output}, cost)
            if k >= 0:
                out.forms["o"] = gate
            whole = [join(cell, out) for cell in cells(seen.with_cells(c), room + 1e-9)]
            whole = [e for e in whole if k < 0 or k not in list(e.blocks.values())[:-1]]
            best = sorted(best + whole, key=lambda e: e.cost)
            best = [e for e in best if e.cost <= best[0].cost + 1e-9]
    return best


def exchanged(seen: Observed) -> bool:
    """Whether outputs of steps are cell states, and h is carried: what follows for o is a gate."""
    for i, f, g in itertools.permutations(range(len(seen.a)), 3):
        i, f, g = sigmoid(seen.a[i]), sigmoid(seen.a[f]), np.tanh(seen.a[g])
        o = ((seen.h - i * g) / f)[1:] / np.tanh(seen.h[:-1])
        if seen.agrees(i[0] * g[0], seen.h[0]) and ((o > 0) & (o < 1)).all():
            return True
    return False


def join(cell: Explanation, output: Explanation) -> Explanation:
    """Put the two halves of an explanation together."""
    return Explanation(
        cell.blocks | output.blocks, cell.forms | output.forms, cell.cost + output.cost
    )


def ties(explanations: list[Explanation]) -> Iterator[str]:
    """Yield what else gives the same numbers as the first explanation, in words."""
    first = explanations[0]
    for other in explanations[1:4]:
        moved = [GATES[r] for r, k in first.blocks.items() if other.blocks.get(r) not in (k, None)]
        text = "; ".join(finding.name for finding in other.findings())
        yield text + (f", with {' and '.join(moved)} exchanged" if moved else "")


# Peepholes of code that runs whole sequences: a peephole's weight looks like a bias that belongs to
# no gate: it acts where there is a cell state. Without it the rest is explained; then each is put
# back alone, in each place in which it may stand.
PLACES = (("i", "old"), ("f", "old"), ("o", "new"), ("o", "old"), ("g", "old"))
Lone = list[list[list[Row]]]
Peephole = tuple[str, str, np.ndarray]
"""A gate, which cell state it sees, and the weights, (H,)."""


def without_peepholes(wiring: Wiring) -> tuple[Wiring, Lone]:
    """Return the wiring without blocks that read neither x nor h, and these blocks."""
    lone = [units for k, units in enumerate(wiring.gates) if wiring.kinds(k) <= {"1"}]
    kept = [units for units in wiring.gates if not any(units is other for other in lone)]
    return Wiring(wiring.D, wiring.H, kept, wiring.idle, wiring.mixed), lone


def peephole_arrays(lone: Lone) -> set[str]:
    """Return the names of the arrays of some blocks."""
    return {row.array for units in lone for rows in units for row in rows}


def peephole_findings(places: Iterable[tuple[str, str, str]]) -> list[Finding]:
    """Return what is said of peepholes: of array, gate, and the cell state seen, old or new."""
    places = list(dict.fromkeys(places))
    text = ", ".join(f"{array} in the {GATES[role]}" for array, role, _ in places)
    found = [Finding("peepholes", "variant", "eq-peephole-forget-gate", text)] if places else []
    if any(place[1:] == ("o", "old") for place in places):
        text = "the output gate sees the old cell state"
        found.append(Finding(text, "variant", "eq-peephole-output-gate"))
    return found


def peepholes_of_step(wiring: Wiring, best: Explanation) -> list[Finding]:
    """Return the same for a step, whose wiring shows them."""
    role = {k: r for r, k in best.blocks.items()}
    return peephole_findings(
        (row.array, role[k], "new" if "c'" in row.kinds else "old")
        for k, _, row in wiring.rows()
        if k in role and row.kinds & {"c", "c'"}
    )


def named_peepholes(code: Sequence, wiring: Wiring, best: Explanation, lone: Lone) -> list[Finding]:
    """Say of which gate each block is a peephole; nothing if one of them is of none."""
    own = {name: code.weights[name] for name in peephole_arrays(lone)}
    found = []
    x = code.draw(np.random.default_rng(9), 5, 6)["x"]
    exact = 1e-7 if code.dtype == np.float64 else 3e-3
    for units in lone:
        names = peephole_arrays([units])
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
            and np.abs(outputs_with(code, wiring, best, x, (role, when, weights)) - seen).max()
            < exact
        )
        found.append(next(near, None))
    return peephole_findings(found) if all(found) else []


def outputs_with(
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
