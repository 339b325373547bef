"""The memory of :mod:`lstm.kernel`: which arrays a pass over time uses, and what a step sees.

Time is cut into *runs*: consecutive steps with the same number of running sequences, few enough
to stay in the cache. A ragged batch is then a chain of dense runs, and what is not recurrent is
done for a run at once.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Sizes(NamedTuple):
    """All that decides which arrays a pass needs."""

    D: int
    H: int
    P: int
    bias: bool
    dtype: np.dtype
    batch_sizes: tuple[int, ...]
    reverse: bool
    keep: bool

    @property
    def hoisted(self) -> bool:
        """Whether :math:`W x_t` is computed for a run at once, and not inside the steps.

        That makes one large product of many small ones, for one more addition a step: it pays for
        single sequences and for large layers.
        """
        return self.batch_sizes[0] == 1 or min(self.D, self.H) >= 256

    @property
    def K(self) -> int:
        """Rows of ``z_t``: h_{t-1}, then x_t unless it is hoisted, then 1 if there is a bias."""
        return self.P + (0 if self.hoisted else self.D) + self.bias


class Run:
    """The arrays of a run, in the order of time, and views for its steps, in the order of use.

    ``blocks`` has six blocks of H rows for each step. The forward pass fills them, then
    :func:`lstm.kernel.factors` replaces each by the derivative that the way back needs, and that
    multiplies it by the gradient of the denominator; m_t is o_t ⊙ tanh(c_t), which is h_t before
    the projection:

    ===========  ============  =============  =============  =============  ===================
    tanh(c_t)    o_t           i_t            f_t            g_t            c_{t-1}
    ∂c_t / ∂m_t  ∂a_o / ∂m_t   ∂a_i / ∂c_t    ∂a_f / ∂c_t    ∂a_g / ∂c_t    ∂c_{t-1} / ∂c_t = f_t
    ===========  ============  =============  =============  =============  ===================
    """

    COLUMNS = 512
    """Steps times sequences, at most: with more, the arrays leave the second-level cache."""

    def __init__(self, plan: Plan, steps: int, rows: int) -> None:
        # Weakly: the plan holds its runs, and a circle would wait for the garbage collector.
        self.plan, self.steps, self.rows = weakref.proxy(plan), steps, rows
        self.columns = columns = widened(rows)
        sizes = plan.sizes
        H, P = sizes.H, sizes.P
        order = slice(None, None, -1 if sizes.reverse else 1)

        # A step reads z_t from its slot and writes h_t into the slot of the next.
        self.slots = slots = plan.kept("slots", steps + 1, sizes.K, columns)
        self.z, next_z = (slots[1:], slots[:-1]) if sizes.reverse else (slots[:-1], slots[1:])
        self.h = next_z[:, :P]
        self.h_first, self.h_last = self.z[order][0, :P], self.h[order][-1]

        # Inference has the blocks of one step only: there c_t takes the place of c_{t-1}.
        self.blocks = plan.kept("blocks", steps if sizes.keep else 1, 6 * H, columns)
        blocks = list(self.blocks[order]) if sizes.keep else [self.blocks[0]] * steps
        self.c_first = blocks[0][5 * H :]
        self.c_last = np.empty_like(self.c_first) if sizes.keep else self.c_first
        next_c = [block[5 * H :] for block in blocks[1:]] + [self.c_last]

        self.parts = parts(4 * H, sizes.K, columns)
        self.forward_steps = [
            (
                z_t,
                in_parts(b[H : 5 * H], self.parts),  # all preactivations
                b[H : 5 * H],
                b[H : 4 * H],  # o, i, f
                b[2 * H : 4 * H],  # i, f
                b[4 * H :],  # g, c_{t-1}
                c_t,
                b[:H],  # tanh(c_t)
                b[H : 2 * H],  # o
                h_t,
            )
            for z_t, b, c_t, h_t in zip(self.z[order], blocks, next_c, self.h[order], strict=True)
        ]
        if sizes.hoisted:
            x_steps = plan.kept("x", steps, columns, sizes.D)
            self.x, self.x_steps = x_steps.reshape(-1, sizes.D), x_steps
            self.W_x, self.W_x_in_time = self.matrix("W_x", 4 * H)
            self.W_x_steps = list(self.W_x_in_time[order])
        idle_x = self.x_steps[:, rows:] if sizes.hoisted else self.z[:, P:, rows:]
        self.idle = [idle_x, self.h_first[:, rows:], self.c_first[:, rows:]]
        if sizes.keep:
            self.backward_steps = [
                (
                    b[:2],  # both factors of d_m_t
                    b[0],
                    b[2:],  # all four factors of d_c_t
                    b[1:5].reshape(4 * H, columns),  # d_a_t
                    b[5],  # d_c_{t-1}
                )
                for b in (block.reshape(6, H, columns) for block in reversed(blocks))
            ]

    def widen(self, state: np.ndarray) -> np.ndarray:
        """Return a copy of the running sequences' columns, with zeros for the idle ones."""
        wide = np.zeros((len(state), self.columns), state.dtype)
        wide[:, : self.rows] = state[:, : self.rows]
        return wide

    def matrix(self, name: str, features: int) -> tuple[np.ndarray, np.ndarray]:
        """Return scratch memory (features, steps · columns), and as (steps, features, columns)."""
        if self.columns == 1:
            steps = self.plan.scratch(name, self.steps, features, 1)
            return steps[:, :, 0].T, steps
        matrix = self.plan.scratch(name, features, self.steps, self.columns)
        return matrix.reshape(features, -1), matrix.transpose(1, 0, 2)

    def by_feature(self, name: str, *parts: np.ndarray) -> np.ndarray:
        """Copy arrays (steps, features, columns) below each other: (features, steps · columns)."""
        matrix, steps = self.matrix(name, sum(part.shape[1] for part in parts))
        if self.columns > 1:
            # One element for all the columns: NumPy copies it whole, twice as fast.
            whole = np.dtype((np.void, self.columns * steps.itemsize))
            steps, parts = steps.view(whole), tuple(part.view(whole) for part in parts)
        start = 0
        for part in parts:
            stop = start + part.shape[1]
            steps[:, start:stop] = part
            start = stop
        return matrix


class Plan:
    """The runs of one pass over time in the order of use; after the forward pass, its tape.

    Their arrays are those of ``kind``: :class:`Run`, or what :mod:`lstm.compiled` has in its place.
    """

    def __init__(self, sizes: Sizes, kind: type) -> None:
        self.sizes, self.kind = sizes, kind
        self.weights: dict[str, np.ndarray] = {}
        self.runs: list[tuple[slice, Any]] = []
        self._scratch: dict[str, np.ndarray] = {}
        made: dict[tuple, Any] = {}
        for start, stop, rows in cut(sizes.batch_sizes, kind.COLUMNS):
            # Without a backward pass to come, one run serves for all of its shape.
            key = (start if sizes.keep else 0, stop - start, rows)
            if key not in made:
                made[key] = kind(self, stop - start, rows)
            self.runs.append((slice(start, stop), made[key]))
        if sizes.reverse:
            self.runs.reverse()

    def kept(self, name: str, *shape: int) -> np.ndarray:
        """Return an array that lasts until the backward pass, if there is one to come."""
        return np.empty(shape, self.sizes.dtype) if self.sizes.keep else self.scratch(name, *shape)

    def scratch(self, name: str, *shape: int) -> np.ndarray:
        """Return an array that lasts until the next request for ``name``."""
        size = int(np.prod(shape))
        if name not in self._scratch or self._scratch[name].size < size:
            self._scratch[name] = np.empty(size, self.sizes.dtype)
        return self._scratch[name][:size].reshape(shape)


def parts(rows: int, inner: int, columns: int) -> int:
    """Return into how many products of fewer rows to cut one of these sizes, for speed.

    For AVX-512, OpenBLAS multiplies without first copying its arguments up to 100³ operations.
    A product that is a little larger is faster in parts.
    """
    wanted = rows * inner * columns / 100**3
    fitting = (count for count in (1, 2, 4, 8, 16) if wanted <= count and rows % count == 0)
    return next(fitting, 1) if columns <= 64 else 1


def in_parts(matrix: np.ndarray, count: int) -> np.ndarray:
    """Return a matrix as ``count`` matrices below each other."""
    return matrix if count == 1 else matrix.reshape(count, -1, matrix.shape[1])


def widened(rows: int) -> int:
    """Return how many columns a run of ``rows`` sequences has: a multiple of 8, if more than 8.

    Matrix products with 31 columns take two thirds longer than with 32. The columns behind those
    of the sequences are *idle*: they start at zero, and nobody looks at them.
    """
    return rows if rows <= 8 else -(-rows // 8) * 8


def cut(batch_sizes: Sequence[int], columns: int) -> list[tuple[int, int, int]]:
    """Return (start, stop, rows) of the runs, in the order of time."""
    runs, start = [], 0
    for stop in range(1, len(batch_sizes) + 1):
        rows = batch_sizes[start]
        longest = max(1, columns // max(1, rows))
        if stop == len(batch_sizes) or batch_sizes[stop] != rows or stop - start == longest:
            runs.append((start, stop, rows))
            start = stop
    return runs


class Pool:
    """Plans to be used again: making the arrays and the views anew would cost a tenth of a pass."""

    def __init__(self) -> None:
        self._plans: list[Plan] = []

    def take(self, sizes: Sizes, kind: type = Run) -> Plan:
        """Return a plan for ``sizes``, whose arrays hold anything."""
        for index, plan in enumerate(self._plans):
            if (plan.sizes, plan.kind) == (sizes, kind):
                return self._plans.pop(index)
        # Other batches than before: free what they needed.
        same = (sizes.batch_sizes, sizes.dtype, sizes.keep)
        self._plans = [
            plan
            for plan in self._plans
            if (plan.sizes.batch_sizes, plan.sizes.dtype, plan.sizes.keep) == same
        ]
        return Plan(sizes, kind)

    def give_back(self, plan: Plan) -> None:
        """Keep a plan for later."""
        plan.weights = {}
        self._plans.append(plan)

    def __reduce__(self) -> tuple:
        return Pool, ()  # a copy, or a pickle, starts empty
