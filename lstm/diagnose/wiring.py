"""Which weight multiplies what, in which unit and gate: measured, not guessed.

A weight betrays its place. Where its input is zero, changing it changes nothing: that tells what it
multiplies. The outputs that do change tell its unit. And how they change, divided by the input, is
the derivative by the preactivation, which all weights of one gate share: that tells the gate. So no
layout has to be known.
"""

from __future__ import annotations

import collections
import functools
import itertools
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lstm.diagnose.calling import Step
from lstm.diagnose.sequences import Sequence
from lstm.diagnose.weights import Arrays

# What multiplies a weight: ("x", j), ("h", j), ("c", j), ("1", 0) for a bias, ("c'", j).
Source = tuple[str, int]


@dataclass
class Row:
    """Weights that are summed into one preactivation: of one array, of one unit."""

    array: str
    index: tuple
    """What to write in brackets behind the array, to get its weights along the sources."""
    sources: list[tuple[Source, ...]]
    """What each of these weights multiplies."""
    unit: int = -1
    signature: np.ndarray = field(default=None, repr=False)
    scale: float = 1.0

    @property
    def place(self) -> tuple[int, ...]:
        """Where it stands in its array, for an order that all units share."""
        return tuple(i for i in self.index if isinstance(i, int))

    @property
    def kinds(self) -> set[str]:
        """What is multiplied."""
        return {name for sources in self.sources for name, _ in sources}


@dataclass
class Wiring:
    """The preactivations as functions of the weights.

    ``gates`` has for each block, for each of the H units, the rows that are summed; ``idle``
    arrays change nothing; it is ``mixed`` where a unit depends on others, as with a softmax.
    """

    D: int
    H: int
    gates: list[list[list[Row]]]
    idle: list[str]
    mixed: bool

    def assemble(self, weights: Arrays) -> dict[str, np.ndarray]:
        """Return W, U (K, H, D or H), b, and peepholes on c and c′ (K, H, H), from the weights.

        Gradients of the weights are put together in the same way.
        """
        K, D, H = len(self.gates), self.D, self.H
        widths = {"x": D, "h": H, "1": 1, "c": H, "c'": H}
        found = {name: np.zeros((K, H, width)) for name, width in widths.items()}
        for (array, name), (there, here, scale) in self._entries.items():
            values = np.atleast_1d(np.asarray(weights[array], np.float64))[there]
            np.add.at(found[name], here, scale * values)
        return found

    def scatter(self, parts: dict[str, np.ndarray], weights: Arrays, power: int = 1) -> Arrays:
        """Return gradients of the weights from those of W, U and b; with power −1, the weights."""
        found = {name: np.zeros(array.shape) for name, array in weights.items()}
        for (array, name), (there, here, scale) in self._entries.items():
            if name in parts:
                values = scale**power * parts[name][here]
                np.add.at(np.atleast_1d(found[array]), there, values)
        return found

    @functools.cached_property
    def _entries(self) -> dict[tuple[str, str], tuple]:
        """For an array and a part: indices of each, of what belongs together, and the scales."""
        listed = collections.defaultdict(list)
        for k, unit, row in self.rows():
            for n, sources in enumerate(row.sources):
                there = tuple(n if isinstance(i, slice) else i for i in row.index) or (0,)
                for name, j in sources:
                    listed[row.array, name].append((there, (k, unit, j), row.scale))
        found = {key: map(np.array, zip(*entries, strict=True)) for key, entries in listed.items()}
        return {key: (tuple(a.T), tuple(b.T), scale) for key, (a, b, scale) in found.items()}

    def rows(self) -> Iterator[tuple[int, int, Row]]:
        """Yield block, unit and row of every row."""
        for k, units in enumerate(self.gates):
            for unit, rows in enumerate(units):
                for row in rows:
                    yield k, unit, row

    def arrays(self, k: int) -> list[str]:
        """Return the names of the arrays that a block uses."""
        return list(dict.fromkeys(row.array for rows in self.gates[k] for row in rows))

    def kinds(self, k: int) -> set[str]:
        """Return what a block reads: a set of "x", "h", "1", "c" and "c'"."""
        return {name for rows in self.gates[k] for row in rows for name in row.kinds}

    def preactivations(self, parts: dict[str, np.ndarray], x, h, c) -> np.ndarray:
        """Return a (K, S, H), but for what peepholes read from the new cell state."""
        return (
            np.einsum("khd,sd->ksh", parts["x"], x)
            + np.einsum("khj,sj->ksh", parts["h"], h)
            + np.einsum("khj,sj->ksh", parts["c"], c)
            + parts["1"][:, None, :, 0]
        )


def settle_weights(step: Step, seed: int = 0) -> None:
    """Set all weights to numbers of order 1, in place: small ones would hide everything."""
    rng, spread = np.random.default_rng(seed), 1.5 / np.sqrt(step.D + step.H)
    for array in step.weights.values():
        array[...] = rng.normal(size=array.shape) * (
            spread if min(array.shape, default=1) > 1 else 0.3
        )


FREE = 24
"""Number of samples in which nothing is zero: for the derivatives. Half, if each is a call."""
MOST_GROUPS = 16
"""Of more it is not asked which follow from others: nothing explains so many."""
REPEATS = 4
"""So often is a pattern of zeros tried, with other numbers: a relu may hide an effect. Not for
tokens, which have no other numbers."""


class Probe:
    """Samples in which known inputs are zero, and the answers of the step to a changed weight."""

    few = 0
    """If so many samples change all do."""

    def __init__(self, step: Step) -> None:
        self.step, D, H = step, step.D, step.H
        rng = np.random.default_rng(3)
        self.outer, self.inner = codes(D + H, one=step.tokens), codes(H)
        self.repeats = 1 if step.tokens else REPEATS
        outer, inner = (np.repeat(code, self.repeats, axis=0) for code in (self.outer, self.inner))
        n, m = len(outer), len(inner)
        count = n + m + (FREE if step.layout.several else FREE // 2)
        x, h, c = (rng.uniform(0.4, 1.4, size=(count, k)) for k in (D, H, H))
        for value in (x, h):
            value[: n + m] *= rng.choice([-1, 1], size=value[: n + m].shape)
        x[:n] *= outer[:, :D]
        h[:n] *= outer[:, D:]
        c[n : n + m] *= inner
        # Of one sign each in most free samples, so that no sum of them vanishes.
        x[n + m :: 2] *= -1
        h[n + m :: 4] *= -1
        h[n + m + 1 :: 4] *= -1
        x[-8:] *= rng.choice([-1, 1], size=(8, D))
        h[-8:] *= rng.choice([-1, 1], size=(8, H))
        if step.tokens:
            x = np.eye(D)[rng.integers(D, size=count)]
            x[:n] = outer[:, :D]
            x[x.sum(axis=1) == 0, 0] = 1
            self.outer[:, 0] |= ~self.outer[:, :D].any(axis=1)
        self.inputs, self.spans = (x, h, c), (slice(0, n), slice(n, n + m), slice(n + m, None))
        self.base = self.run()
        self.exact = 1e-9 if step.dtype == np.float64 else 1e-5

    def run(self, span: slice = slice(None)) -> np.ndarray:
        """Return the outputs for some samples, (outputs, samples, H)."""
        x, h, c = (value[span] for value in self.inputs)
        return np.array(self.step(x=x, h=h, c=c))

    def changed(self, array: np.ndarray, index: tuple) -> np.ndarray:
        """Return which outputs change with weights, (outputs, samples with zeros, H)."""
        kept, n = array[index].copy(), self.spans[1].stop
        array[index] += 0.3
        for few in dict.fromkeys((self.few or n, n)):
            after, before = self.run(slice(few)), self.base[:, :few]
            found = np.abs(after - before) > self.exact * (1 + np.abs(before))
            if found.any(axis=(0, 2)).all():
                break
        array[index] = kept
        return found[:, np.arange(n) % few]

    def derivative(
        self, array: np.ndarray, rows: list[Row], along: Any = 1.0, own: Callable = np.asarray
    ) -> np.ndarray:
        """Return the free samples' change of outputs by that of rows' weights, in a direction.

        Many rows at once are fewer calls: where each is of another unit, and they stand in the
        order of the units, each unit's output changes in proportion to its own row: ``own`` returns
        of some slopes those of which this is true.
        """
        once = self._derivative(array, rows, along, np.ones(len(rows)))
        if len(rows) > 1:
            factors = np.random.default_rng(4).permutation(np.linspace(0.5, 1.5, len(rows)))
            other = own(self._derivative(array, rows, along, factors))
            error, size = (
                np.abs(value).reshape(-1, len(rows)).max(axis=0)
                for value in (other - factors * own(once), own(once))
            )
            loose = self.exact**0.4
            if (error > loose * (size + 1e-2)).any():
                raise EntangledError
        return once

    def _derivative(
        self, array: np.ndarray, rows: list[Row], along: Any, factors: np.ndarray
    ) -> np.ndarray:
        step = 1e-5 if self.step.dtype == np.float64 else 3e-2
        kept, direction = array.copy(), np.zeros(array.shape)
        for row, factor in zip(rows, factors, strict=True):
            part = direction[row.index]
            direction[row.index] = factor * (
                np.reshape(along, part.shape) if np.ndim(along) else along
            )
        array[...] = kept + step * direction
        above = self.run(self.spans[2])
        array[...] = kept - step * direction
        below = self.run(self.spans[2])
        array[...] = kept
        return (above - below) / (2 * step)

    def sign(self, rows: list[Row], array: np.ndarray) -> np.ndarray:
        """Return rows' signatures, the derivative by the preactivation, (outputs, samples, H)."""
        total = self.total(rows[0])
        most = np.abs(total).max()  # a wide step would not be a derivative
        slopes = self.derivative(array, rows, 1 / most) * most
        return slopes / np.where(np.abs(total) < 0.3, np.nan, total)[None, :, None]

    def sources(self, change: np.ndarray) -> tuple[Source, ...]:
        """Return what the weights multiply that made this change."""
        if not change.any():
            return ()
        moved = change.any(axis=(0, 2))
        outer, inner = (
            moved[span].reshape(-1, self.repeats).any(axis=1) for span in self.spans[:2]
        )
        found = cover(outer, self.outer)
        if len(found) < self.outer.shape[1] and not outer.all():  # no bias and no peephole
            D = self.step.D
            return tuple(("x", j) if j < D else ("h", j - D) for j in found)
        # A forget gate's bias does nothing either where its own c is zero: it is of one unit.
        found = cover(inner, self.inner)
        several = change.any(axis=(0, 1)).sum() > 1
        return (("c", found[0]),) if len(found) == 1 and several else (("1", 0),)

    def total(self, row: Row) -> np.ndarray:
        """Return the sum of what a row's weights multiply in the free samples."""
        x, h, c = (value[self.spans[2]] for value in self.inputs)
        values = {"x": x, "h": h, "c": c, "1": np.ones((len(x), 1))}
        return sum(values[name][:, j] for sources in row.sources for name, j in sources)


class SequenceProbe(Probe):
    """The same for code that runs sequences: the outputs are those of a first and a second step.

    What multiplies the output of the step before acts from the second step on, and what belongs
    to the forget gate, too: the first cell state is zero.
    """

    def __init__(self, step: Sequence) -> None:
        self.step, D = step, step.D
        rng = np.random.default_rng(3)
        self.outer = codes(D, one=step.tokens)
        self.repeats = 1 if step.tokens else REPEATS
        outer = np.repeat(self.outer, self.repeats, axis=0)
        n = len(outer)
        free = FREE if step.layout.several else FREE // 2
        self.x = rng.uniform(0.4, 1.4, size=(2, n + free, D))
        self.x[:, :n] *= outer * rng.choice([-1, 1], size=(2, n, D))
        # All first inputs are multiples of one: weights can change across it, without effect.
        self.first = rng.uniform(0.4, 1.4, size=D)
        self.x[0, n:] = rng.uniform(0.5, 1.5, size=(free, 1)) * self.first
        self.x[1, n::2] *= -1
        if D == 1:  # nothing lies across one number: without a first input only the second counts
            self.x[0, n::2] = 0
        if step.tokens:
            self.few = 2  # what two tokens have in common is of none
            self.first = np.eye(D)[0]
            self.x[:, :n] = np.where(outer.any(axis=1, keepdims=True), outer, self.first)
            self.x[0, n:], self.x[1, n:] = self.first, np.eye(D)[rng.integers(1, D, size=free)]
        self.spans = (slice(0, n), slice(n, n), slice(n, None))
        self.base = self.run()
        self.exact = 1e-9 if step.dtype == np.float64 else 1e-5

    def run(self, span: slice = slice(None)) -> np.ndarray:
        """Return the outputs of both steps for some samples, (2, samples, H)."""
        return self.step(x=self.x[:, span])[0]

    def sources(self, change: np.ndarray) -> tuple[Source, ...]:
        """Return what the weights multiply; of h not which entry, which the order tells."""
        if not change.any():
            return ()
        outer = change[:, self.spans[0]].any(axis=(0, 2)).reshape(-1, self.repeats).any(axis=1)
        found = cover(outer, self.outer)
        if not outer.all() and (len(found) < self.step.D or self.step.D == 1):
            return tuple(("x", j) for j in found)
        late = not change[0].any() and (change.any(axis=(0, 1)).sum() > 1 or self.step.H == 1)
        return LATE if late else (("1", 0),)

    def sign(self, rows: list[Row], array: np.ndarray) -> np.ndarray:
        """Return the derivatives by the preactivations of both steps, NaN where not known."""
        free, sources = self.spans[2], rows[0].sources
        kinds = np.array([s[0][0] if s else "" for s in sources])
        found = np.full((2, self.x.shape[1] - free.start, self.step.H), np.nan)
        if "x" in kinds:
            which = np.array([s[0][1] for s in sources if s and s[0][0] == "x"])
            along, first = np.zeros(len(kinds)), self.first[which]
            total = self.x[0][free][:, which].sum(axis=1)
            most = np.abs(total).max()
            along[kinds == "x"] = 1 / most
            early = self.derivative(array, rows, along, FIRST)[0] * most
            found[0] = early / np.where(total == 0, np.nan, total)[:, None]
            across = np.arange(1.0, len(which) + 1)
            if self.step.D > 1 and first.any():
                across -= first * (across @ first) / (first @ first)
            across /= np.abs(across).sum()
            along[kinds == "x"] = across
            slopes = self.derivative(array, rows, along, SECOND)[1]
            total = self.x[1][free][:, which] @ across
            if self.step.D == 1:
                total = np.where(self.x[0][free][:, 0] == 0, total, np.nan)
            found[1] = slopes / np.where(np.abs(total) < 1e-3, np.nan, total)[:, None]
        elif "h" in kinds:
            h = self.base[0][free][:, [s[0][1] for s in sources if s and s[0][0] == "h"]]
            along = np.zeros(len(kinds))
            along[kinds == "h"] = np.sign(h.mean(axis=0))
            total = h @ along[kinds == "h"]
            most = np.abs(total).max()
            slopes = self.derivative(array, rows, along / most, SECOND) * most
            found[1] = slopes[1] / np.where(np.abs(total) < 1e-3, np.nan, total)[:, None]
        else:
            slopes = self.derivative(array, rows, own=soonest)
            found[0], late = slopes[0], ~moves(slopes[0])
            found[1][:, late] = slopes[1][:, late]
        return found

    def multiply_h(self, array: np.ndarray, axis: int, indices: list[int]) -> bool:
        """Whether weights multiply the first h in order: a change across it changes nothing."""
        one = self.spans[2].start
        h, kept = self.base[0][one], array.copy()
        across = np.random.default_rng(6).normal(size=len(h))
        across -= (across @ h) / (h @ h) * h
        np.moveaxis(array, axis, -1)[..., indices] += 0.3 * (across if len(h) > 1 else 0)
        change = self.run(slice(one, one + 1)) - self.base[:, one : one + 1]
        array[...] = kept
        return bool(np.abs(change).max() <= 1e3 * self.exact)

    def bias_among(self, array: np.ndarray, indices: list[tuple]) -> int:
        """Return which weights are a bias, of some that else multiply the first step's h in order.

        Those of h change the output by h times what the bias does.
        """
        if len(indices) == 1:
            return 0
        moves = [self.derivative(array, [Row("", index, [])])[1] for index in indices]
        h = self.base[0][self.spans[2]][:, :, None]

        def error(k: int) -> float:
            others = moves[:k] + moves[k + 1 :]
            return max(np.abs(moves[k] * h[:, n] - move).max() for n, move in enumerate(others))

        return min(range(len(moves)), key=error)


class EntangledError(Exception):
    """Rows that are changed together are not each of another unit, in the order of the units."""


def moves(slopes: np.ndarray) -> np.ndarray:
    """Return which units move, of (samples, H)."""
    return (np.abs(slopes) > 1e-7).any(axis=0)


def soonest(slopes: np.ndarray) -> np.ndarray:
    """Return the slopes of the step in which a change acts first: later all units depend on all."""
    return np.where(moves(slopes[0]), slopes[0], slopes[1])


FIRST, SECOND = operator.itemgetter(0), operator.itemgetter(1)


def reached(signature: np.ndarray, exact: float) -> list[int]:
    """Return the units in which anything changes, of the output in which they are fewest."""
    sizes = np.nan_to_num(np.abs(signature)).max(axis=1)
    units = [np.flatnonzero(one > max(1e-7, 300 * exact * one.max())) for one in sizes]
    return min(([int(u) for u in one] for one in units if len(one)), key=len, default=[])


def sign(probe: Probe, rows: list[Row], array: np.ndarray) -> tuple[list[Row], bool]:
    """Give rows their units and signatures; return those that reach one, and whether any several.

    Runs of H rows are tried together, one behind the other or interleaved, then each row alone.
    """
    H, alike = probe.step.H, all(row.sources == rows[0].sources for row in rows)
    count, mixed = len(rows) // H if alike and len(rows) % H == 0 else 0, False
    ways = [
        [range(k * H, k * H + H) for k in range(count)],
        [range(k, len(rows), count) for k in range(count)],
        [range(k, k + 1) for k in range(len(rows))],
    ]
    for runs in ways:
        try:
            for run in runs:
                signatures = probe.sign([rows[k] for k in run], array)
                units = reached(signatures, probe.exact)
                for unit, k in enumerate(run):
                    alone = len(run) == 1 and H > 1
                    mixed |= alone and len(units) > 1
                    unit = (units[0] if len(units) == 1 else k % H) if alone else unit
                    rows[k].unit = unit if unit in units else -1
                    rows[k].signature = signatures[..., [unit]]
        except EntangledError:
            continue
        if runs:
            break
    return [row for row in rows if row.unit >= 0], mixed


def cover(moved: np.ndarray, patterns: np.ndarray) -> list[int]:
    """Return the inputs that explain which samples moved, by the samples where each is not zero."""
    left, found = moved.copy(), []
    for j in np.argsort(-patterns.sum(axis=0), kind="stable"):
        if not (patterns[:, j] & ~moved).any() and (patterns[:, j] & left).any():
            found.append(int(j))
            left &= ~patterns[:, j]
    return sorted(found)


def codes(n: int, *, one: bool = False) -> np.ndarray:
    """Return for each of n inputs in which samples it is not zero, (samples, n), a code each.

    With ``one`` no two are not zero at once.
    """
    if n <= 40 or one:
        return np.vstack([np.eye(n, dtype=bool), np.zeros((1, n), bool)])
    bits = (np.arange(n) >> np.arange(int(n).bit_length())[:, None] & 1).astype(bool)
    return np.vstack([bits, ~bits, np.zeros((1, n), bool)])


LATE: tuple[Source, ...] = (("h", -1),)
"""What a weight multiplies that acts from the second step on: h, which entry is not known yet."""


def rows_of(probe: Probe, name: str, array: np.ndarray) -> list[Row]:
    """Find an array's rows and what they multiply: along one axis the sources differ."""
    for axis in range(array.ndim):
        if array.shape[axis] == 1 and array.ndim > 1:
            continue
        before, sources = (slice(None),) * axis, []
        for j in range(array.shape[axis]):
            sources.append(probe.sources(probe.changed(array, (*before, j))))
            if j == 2 and not any(n in "xhc" and len(s) < 3 for s in sources for n, _ in s):
                break  # a look at three is enough to see that these are no sources
        late, H = [j for j, one in enumerate(sources) if one == LATE], probe.step.H
        if len(late) == H + 1 or len(late) == 1 < H:  # a bias of the forget gate is late, too
            bias = probe.bias_among(array, [(*before, j) for j in late])
            sources[late.pop(bias)] = (("1", 0),)
        if len(late) == H and probe.multiply_h(array, axis, late):
            for k, j in enumerate(late):
                sources[j] = (("h", k),)
        named = [s for one in sources for s in one]
        # A source axis names each input once, in weights that reach more than one unit.
        inputs = sum(name in "xhc" for name, _ in named)
        whole = len(sources) == array.shape[axis]
        if whole and inputs > 1 and len(set(named)) == len(named):
            others = [range(n) for k, n in enumerate(array.shape) if k != axis]
            indices = [(*i[:axis], slice(None), *i[axis:]) for i in grid(others)]
            return [Row(name, index, sources) for index in indices]
    rows, first = [], set()
    for index in grid([range(n) for n in array.shape]):
        if len(rows) < 8 or len(first) > 1:  # eight that are alike speak for the others
            sources = probe.sources(probe.changed(array, index))
            # A single weight is a bias, whatever its effect hangs on; or it is that of one input,
            # or one of a vector of all weights.
            small = {"x": probe.step.D, "h": probe.step.H}
            lone = sources in [((name, 0),) for name, size in small.items() if size == 1]
            lone |= array.ndim == 1 and array.size > 8 * probe.step.H
            sources = (("1", 0),) if sources and not lone and sources != LATE else sources
            first |= {sources} if sources else set()
        rows.append(Row(name, index, [sources or (("1", 0),)]))
    # With one unit, what acts late in all gates multiplies h, in one gate it is a forget bias.
    late = [row for row in rows if row.sources == [LATE]]
    several = array.ndim > 1 and len(late) in range(min(2, len(rows)), len(rows) + 1)
    for row in rows if several else late:
        row.sources = [(("h" if several else "1", 0),)]
    return rows


def grid(ranges: list[range]) -> list[tuple]:
    """Return all combinations of indices."""
    return [tuple(map(int, i)) for i in np.ndindex(*(len(r) for r in ranges))]


def measure(step: Step | Sequence, seed: int = 0) -> Wiring:
    """Find which weights are summed into which gate of which unit.

    The weights are set to numbers of order 1 on the way; the caller restores them.
    """
    settle_weights(step, seed)
    probe = SequenceProbe(step) if isinstance(step, Sequence) else Probe(step)
    rows, idle, mixed = [], [], False
    for name, array in step.weights.items():
        acts = probe.changed(array, (Ellipsis,)).any()
        found = [row for row in rows_of(probe, name, array) if any(row.sources)] if acts else []
        if found:
            found, several = sign(probe, found, array)
            mixed |= several
            rows += found
        if not any(row.array == name for row in rows):
            idle.append(name)
    cells = None if isinstance(step, Sequence) or len(probe.base) < 2 else 1
    scale = 1e-5 if step.dtype == np.float64 else 1e-2
    rows.sort(key=lambda row: (np.isnan(row.signature).sum(), "x" not in row.kinds))
    units = [
        gates_of_unit([r for r in rows if r.unit == u], probe, cells, u, scale)
        for u in range(step.H)
    ]
    count = max(map(len, units), default=0)
    gates = [[unit[k] if k < len(unit) else [] for unit in units] for k in range(count)]
    return Wiring(step.D, step.H, gates, idle, mixed)


def gates_of_unit(
    rows: list[Row], probe: Probe, cells: int | None, unit: int, tolerance: float
) -> list[list[Row]]:
    """Group a unit's rows by the derivative that they share: one group is one gate."""

    def off(a: np.ndarray, b: np.ndarray) -> float:
        known = ~(np.isnan(a) | np.isnan(b))
        error = np.sort(np.abs(a - b)[known])
        if tolerance > 1e-3:  # in float32 steps are wide, and a kink may lie in one
            error = error[: -max(1, error.size // 50)]
        return error[-1] / max(np.abs(b[known]).max(), 1e-3) if error.size else np.inf

    def close(a: np.ndarray, b: np.ndarray) -> bool:
        return off(a, b) <= tolerance

    groups: list[list[Row]] = []
    for row in rows:
        errors = [off(row.signature, group[0].signature) for group in groups]
        near = int(np.argmin([*errors, tolerance]))
        groups[near].append(row) if near < len(groups) else groups.append([row])
    free, follow = probe.spans[2], []
    narrow = sorted(groups, key=lambda g: sum(len(r.sources) for r in g))
    for group in narrow if len(groups) <= MOST_GROUPS else ():
        others = [g for g in groups if g is not group]
        single = all(s == (("1", 0),) for row in group for s in row.sources)
        follow = follows(group[0].signature, others, probe, free, cells if single else -1, close)
        if not follow:
            continue
        groups.remove(group)
        for gate, scale, source in follow:
            for row in group:
                sources = [(source,)] * len(row.sources) if source else row.sources
                gate.append(Row(row.array, row.index, sources, unit, gate[0].signature, scale))
    order = {name: k for k, name in enumerate(probe.step.weights)}
    widest = max((len(row.sources) for row in rows), default=0)  # a bias may stand anywhere
    groups.sort(
        key=lambda g: sorted((len(row.sources) < widest, order[row.array], row.place) for row in g)
    )
    return groups


def follows(target, others, probe, free, cells, close) -> list[tuple[list[Row], float, Any]]:
    """Return of which gates weights are that have the derivative ``target``, if of others'.

    They may be multiplied by a number, by a cell state (a peephole), or be used in two gates: a
    list of the gate, the number and the source.
    """
    several = isinstance(probe, SequenceProbe) or cells == -1  # these multiply x or h
    states = {} if several else {"c": probe.inputs[2][free]}
    if cells is not None and not several:
        states["c'"] = probe.base[cells][free]
    for other in others:
        base = other[0].signature
        known = (base != 0) & ~np.isnan(base + target)
        if not known.any():
            continue
        scale = float(np.median(target[known] / base[known]))
        if abs(scale) > 1e-6 and close(scale * base, target):
            return [(other, scale, None)]
        for name, values in states.items():
            for j in range(values.shape[1]):
                if close(values[:, j][None, :, None] * base, target):
                    return [(other, 1.0, (name, j))]
    for first, second in itertools.combinations(others, 2):
        if close(first[0].signature + second[0].signature, target):
            return [(first, 1.0, None), (second, 1.0, None)]
    return []
