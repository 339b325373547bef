r"""One direction of one layer over time, forward and backward: what ``LSTM`` runs on.

It computes what :class:`lstm.LSTMCell` computes, for all steps, and differentiates it. Three things
make it fast without making it long:

* *Rows.* The sequences are sorted, the longest first, and the rows of a step, one for each sequence
  that still runs, lie together behind those of the step before. So a ragged batch needs no masks,
  and nothing is computed for padding. A reversed direction is the same with the rows of each
  sequence in the other order. In ``h`` the rows of the initial state come before all others.
* *One product a step* gives all four gates, and one product for all steps the gradients of all
  weights.
* *Steps* are taken by :class:`NumpySteps`, or by :mod:`lstm.compiled`, which does the same
  where numba is installed and works. Set the environment variable ``LSTM_ENGINE`` to ``numpy``
  before the first call to do without, or pass ``steps=NumpySteps`` to :func:`forward`.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from lstm import checks

State = tuple[np.ndarray, np.ndarray]
Weights = Mapping[str, np.ndarray]


class Rows(NamedTuple):
    """Where the rows of all steps are; slices where nothing has to be rearranged."""

    sizes: np.ndarray
    """How many rows each step has."""
    order: np.ndarray | slice
    """Row r of a step is of sequence ``order[r]``."""
    where: np.ndarray | slice
    """Places of the rows in an array (T · B, ·) of the caller."""
    last: np.ndarray | slice
    """For each sequence, in that order, the row of ``h`` after its last step."""
    shape: tuple[int, int]
    """T and B."""

    @classmethod
    def arrange(cls, T: int, B: int, lengths: np.ndarray | None, reverse: bool) -> Rows:
        """Sort the sequences by length and number the rows step by step."""
        if lengths is None and not reverse:
            return cls(np.full(T, B), slice(None), slice(None), slice(T * B, None), (T, B))
        lengths = np.full(B, T) if lengths is None else lengths
        order = np.argsort(-lengths, kind="stable")
        lengths = lengths[order]
        runs = np.arange(lengths.max(initial=0))[:, None] < lengths
        step, r = np.nonzero(runs)
        time = lengths[r] - 1 - step if reverse else step
        sizes = np.count_nonzero(runs, axis=1)
        starts = np.concatenate([[0], B + np.cumsum(sizes) - sizes])
        last = starts[lengths] + np.arange(B)
        return cls(sizes, order, time * B + order[r], last, (T, B))

    def take(self, array: np.ndarray) -> np.ndarray:
        """Return the rows of the caller's (T, B, ·): (N, ·)."""
        return array.reshape(-1, array.shape[2])[self.where]

    def put(self, rows: np.ndarray) -> np.ndarray:
        """Return (N, ·) as (T, B, ·), with zeros behind the ends of the sequences."""
        if not isinstance(self.where, slice):
            all_rows = np.zeros((self.shape[0] * self.shape[1], rows.shape[1]), rows.dtype)
            all_rows[self.where] = rows
            rows = all_rows
        return rows.reshape(*self.shape, rows.shape[1])

    def restore(self, state: np.ndarray) -> np.ndarray:
        """Return a state (B, ·) in the caller's order."""
        array = np.empty_like(state, order="C")
        array[self.order] = state
        return array


@checks.quiet
def forward(
    weights: Weights,
    x: np.ndarray,
    state: State,
    lengths: np.ndarray | None = None,
    reverse: bool = False,
    keep: bool = True,
    *,
    steps: Any = None,
) -> tuple[np.ndarray, State, list | None]:
    """Run one direction of one layer over time.

    Parameters
    ----------
    weights : mapping of str to ndarray
        ``weight_ih`` (4H, D), ``weight_hh`` (4H, P); if the layer has biases ``bias_ih`` and
        ``bias_hh`` (4H,), and if it projects ``weight_hr`` (P, H); else P = H. Gates are in the
        order i, f, g, o. All arrays have the data type of ``x``, real or complex.
    x : ndarray, shape (T, B, D)
        Input. Nothing is read behind the end of a sequence.
    state : (h_0, c_0), ndarrays of shape (B, P) and (B, H)
        Initial state.
    lengths : ndarray of int, shape (B,), optional
        Length of each sequence, from 1 to T, in any order. Without, all have T steps.
    reverse : bool
        Whether to run from the end of each sequence to its start.
    keep : bool
        Whether to return a tape.
    steps : optional
        Who takes the steps: :class:`NumpySteps`, or :mod:`lstm.compiled`. Without, the latter
        if it can.

    Returns
    -------
    output : ndarray, shape (T, B, P)
        All :math:`h_t`, zero behind the end of a sequence.
    state : (h_n, c_n), ndarrays of shape (B, P) and (B, H)
        State after each sequence's own last step: with ``reverse``, that at its start.
    tape : list or None
        What :func:`backward` needs, once. Nothing in it changes when the caller changes arrays.
    """
    T, B, _ = x.shape
    rows = Rows.arrange(T, B, lengths, reverse)
    steps = steps or fastest_steps(x.dtype)
    x = rows.take(x)
    c = np.array(state[1][rows.order], order="C")
    h = np.empty((B + len(x), state[0].shape[1]), x.dtype)
    h[:B] = state[0][rows.order]
    kept = steps.forward(weights, x, h, c, rows.sizes, keep)
    output, final = rows.put(h[B:]), (rows.restore(h[rows.last]), rows.restore(c))
    return output, final, [steps, rows, kept] if keep else None


@checks.quiet
def backward(
    tape: list, d_output: np.ndarray | None, d_state: State
) -> tuple[np.ndarray, State, dict[str, np.ndarray]]:
    """Differentiate one direction of one layer.

    Parameters
    ----------
    tape : list
        From :func:`forward`. It is used up, and empty afterwards.
    d_output : ndarray, shape (T, B, P), or None
        Gradient of the output; None for zeros. It is not read behind the end of a sequence.
    d_state : (d_h_n, d_c_n), ndarrays of shape (B, P) and (B, H)
        Gradients of the final state.

    Returns
    -------
    d_x : ndarray, shape (T, B, D)
        Zero behind the end of a sequence.
    d_state : (d_h_0, d_c_0), ndarrays of shape (B, P) and (B, H)
        Gradients of the initial state.
    gradients : dict of str to ndarray
        Those of the weights, by their names.

    Raises
    ------
    RuntimeError
        If the tape has been used before.
    """
    if not tape:
        raise RuntimeError("the tape is empty: backward has used it up; run forward again")
    steps, rows, kept = tape
    tape.clear()
    d_c = np.array(d_state[1][rows.order], order="C")
    d_output = None if d_output is None else rows.take(d_output)
    d_x, d_h, d_V, d_W_hr = steps.backward(kept, rows.sizes, d_output, d_state[0][rows.order], d_c)
    D, P = d_x.shape[1], d_h.shape[1]
    gradients = {"weight_ih": d_V[:, :D], "weight_hh": d_V[:, D : D + P]}
    if d_V.shape[1] > D + P:
        gradients["bias_ih"] = gradients["bias_hh"] = d_V[:, -1]
    if d_W_hr is not None:
        gradients["weight_hr"] = d_W_hr
    return rows.put(d_x), (rows.restore(d_h), rows.restore(d_c)), gradients


@cache
def fastest_steps(dtype: np.dtype) -> Any:
    """Return :mod:`lstm.compiled` where it can take the steps, else :class:`NumpySteps`.

    The first call for a data type loads or compiles the code, and says so if that takes a while.
    If numba is there but broken, a warning tells why it is not used.
    """
    if dtype not in (np.float32, np.float64) or os.environ.get("LSTM_ENGINE") == "numpy":
        return NumpySteps
    done = threading.Event()
    try:
        try:
            from lstm import compiled
        except SystemExit as end:  # not one that a signal asks for while the code compiles
            raise ImportError(f"numba ends the program: {end!r}") from end

        threading.Thread(target=say_if_it_compiles, args=[done], daemon=True).start()
        if not np.allclose(trial(compiled, dtype), trial(NumpySteps, dtype), 1e-3, 1e-3):
            raise ArithmeticError("what it has compiled computes something else: clear its cache")
    except Exception as problem:  # whatever is wrong with it, NumPy can do its work
        if not (isinstance(problem, ModuleNotFoundError) and problem.name == "numba"):
            text = f"lstm does without numba, which fails here: {type(problem).__name__}: {problem}"
            warnings.warn(text, RuntimeWarning, stacklevel=3)
        return NumpySteps
    finally:
        done.set()
    return compiled


def trial(steps: Any, dtype: np.dtype) -> np.ndarray:
    """Return what a small layer computes, outputs and gradients, as one row of numbers."""
    rng, (T, B, D, H) = np.random.default_rng(0), (3, 5, 2, 19)
    shapes = ((4 * H, D), (4 * H, H), (T, B, D), (B, H), (B, H))
    W, U, x, *state = (rng.uniform(-1, 1, shape).astype(dtype) for shape in shapes)
    output, final, tape = forward({"weight_ih": W, "weight_hh": U}, x, state, steps=steps)
    d_x, d_state, gradients = backward(tape, output, final)
    found = (output, *final, d_x, *d_state, *gradients.values())
    return np.concatenate([array.ravel() for array in found])


def say_if_it_compiles(done: threading.Event) -> None:
    """Say why the first call takes so long, unless it only loads what is compiled already."""
    from lstm import compiled

    while not done.wait(0.5):
        if compiled.forward_steps.stats.cache_misses or compiled.backward_steps.stats.cache_misses:
            text = "lstm: compiling its steps with numba, once for this machine, for some seconds"
            if sys.stderr is not None:  # closed
                print(text, file=sys.stderr, flush=True)
            return


class NumpySteps:
    """The steps in NumPy, for all real and complex numbers.

    Arrays are *gate-major*: ``blocks`` has six blocks of (rows, H), and neighbours are one operand,
    so that a call on three gates costs little more than a call on one. The forward pass fills them,
    then :func:`factors` replaces each by the derivative that the way back multiplies by the
    gradient of its denominator. m_t is o_t ⊙ tanh(c_t), which is h_t before the projection:

    ===========  ===================  ===================  ===================  ==========  =======
    tanh(c_t)    1 / o_t              1 / i_t              1 / f_t              g_t         c_{t-1}
    ∂c_t / ∂m_t  ∂a_o / ∂m_t          ∂a_i / ∂c_t          ∂a_f / ∂c_t          ∂a_g / ∂c_t f_t
    ===========  ===================  ===================  ===================  ==========  =======

    σ(a) is 1 / (1 + exp(-a)), and i ⊙ g is one division: g / (1 + exp(-a_i)). Two calls would be
    saved by tanh(a/2)/2 + 1/2, but for gates that are nearly shut that has no correct digit.
    """

    AHEAD = 512
    """Rows whose factors are computed at once, while they are in the cache (training: 1.14)."""

    @staticmethod
    def forward(
        weights: Weights, x: np.ndarray, h: np.ndarray, c: np.ndarray, sizes: np.ndarray, keep: bool
    ) -> tuple | None:
        """Take the steps forward.

        Parameters
        ----------
        weights : mapping of str to ndarray
            As in :func:`forward`.
        x : ndarray, shape (N, D)
            Inputs, a row for each sequence and step; not to be changed.
        h : ndarray, shape (B + N, P)
            The first B rows are the initial state; the others are filled.
        c : ndarray, shape (B, H)
            Initial cell states; they become the final ones.
        sizes : ndarray of int
            Number of rows of each step, none with more than the one before.
        keep : bool
            Whether to return what :meth:`backward` needs.
        """
        W, U, W_hr = (weights.get(name) for name in ("weight_ih", "weight_hh", "weight_hr"))
        (N, D), (B, H), P, dtype = x.shape, c.shape, h.shape[1], x.dtype
        bias = [(weights["bias_ih"] + weights["bias_hh"])[:, None]] if "bias_ih" in weights else []
        V = by_gate([W, U, *bias])  # one product a step is fewer calls than one for each of them
        z = np.ones((N if keep else B, V.shape[1]), dtype)  # [x_t h_{t-1} 1]
        blocks = np.empty((6, len(z), H), dtype)
        products, one = np.empty((2, B, H), dtype), dtype.type(1)

        row, before, seen = 0, 0, -1
        for n in sizes.tolist():
            if keep or n != seen:  # new views, unless one step's memory serves for all
                rows, seen = slice(row, row + n) if keep else slice(n), n
                z_t, block = z[rows], blocks[:, rows]
                h_prev, x_t = z_t[:, D : D + P], z_t[:, :D]
                a, sigmoids, i_f, g_c = block[1:5], block[1:4], block[2:4], block[4:]
                tanh_c, o, _, _, g, c_prev = block
                i_g_and_f_c, c_t = products[:, :n], c[:n]
            x_t[...] = x[row : row + n]
            h_prev[...] = h[before : before + n]
            c_prev[...] = c_t
            np.matmul(z_t, V, out=a)
            np.exp(sigmoids, out=sigmoids)
            np.add(sigmoids, one, out=sigmoids)
            np.tanh(g, out=g)
            np.divide(g_c, i_f, out=i_g_and_f_c)
            np.add(*i_g_and_f_c, out=c_t)
            np.tanh(c_t, out=tanh_c)
            h_t = h[len(c) + row : len(c) + row + n]
            if W_hr is None:
                np.divide(tanh_c, o, out=h_t)
            else:
                np.matmul(tanh_c / o, W_hr.T, out=h_t)
            before, row = len(c) + row, row + n
        if not keep:
            return None
        W, U = by_gate([W], False), by_gate([U], False)
        return W, U, None if W_hr is None else W_hr.copy(), z, blocks

    @staticmethod
    def backward(
        kept: tuple,
        sizes: np.ndarray,
        d_output: np.ndarray | None,
        d_h: np.ndarray,
        d_c: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
        """Take the steps backward.

        Parameters
        ----------
        kept : tuple
            From :meth:`forward`, with the same ``sizes``; it is used up.
        d_output : ndarray, shape (N, P), or None
            Gradients of the h_t; None for zeros.
        d_h : ndarray, shape (B, P)
            Gradient of the final h; not changed.
        d_c : ndarray, shape (B, H)
            Gradient of the final c; it becomes that of the initial one.

        Returns
        -------
        d_x : ndarray, shape (N, D)
        d_h : ndarray, shape (B, P)
            Gradient of the initial h.
        d_V : ndarray, shape (4H, D + P + 1)
            Gradients of W, U and b side by side; without the last column if there is no b.
        d_W_hr : ndarray, shape (P, H), or None
        """
        W, U, W_hr, z, blocks = kept
        (N, H), P, dtype = blocks.shape[1:], d_h.shape[1], z.dtype
        shares, d_h = np.empty((4, *d_h.shape), dtype), d_h.copy()
        d_h_all, m = (np.empty((0 if W_hr is None else N, width), dtype) for width in (P, H))

        starts = np.cumsum(sizes) - sizes
        ready = N
        for n, row in zip(sizes[::-1].tolist(), starts[::-1].tolist(), strict=True):
            if row < ready:
                first = starts[np.searchsorted(starts, min(row, ready - NumpySteps.AHEAD))]
                factors(blocks[:, first:ready], m[first:ready])
                ready = first
            block, d_h_t, d_c_t = blocks[:, row : row + n], d_h[:n], d_c[:n]
            if d_output is not None:
                np.add(d_h_t, d_output[row : row + n], out=d_h_t)
            d_m = d_h_t
            if W_hr is not None:
                d_h_all[row : row + n], d_m = d_h_t, d_h_t @ W_hr
            of_m, of_c = block[:2], block[2:5]
            np.multiply(of_m, d_m, out=of_m)
            np.add(d_c_t, block[0], out=d_c_t)
            np.multiply(of_c, d_c_t, out=of_c)
            np.multiply(d_c_t, block[5], out=d_c_t)
            np.matmul(block[1:5], U, out=shares[:, :n])
            np.add.reduce(shares[:, :n], axis=0, out=d_h_t)

        d_a = blocks[1:5]
        d_V = np.matmul(d_a.transpose(0, 2, 1), z)[[1, 2, 3, 0]].reshape(4 * H, -1)
        d_x = d_a[0] @ W[0]
        for k in (1, 2, 3):
            d_x += d_a[k] @ W[k]
        return d_x, d_h, d_V, None if W_hr is None else d_h_all.T @ m


def by_gate(columns: list[np.ndarray], negate: bool = True) -> np.ndarray:
    """Join matrices of 4H rows, in the order o, i, f, g.

    With ``negate`` return (4, columns, H), to multiply by, for -a_o, -a_i, -a_f and a_g; else
    (4, H, columns).
    """
    matrix = np.concatenate(columns, axis=1)
    matrix = matrix.reshape(4, -1, matrix.shape[1])[[3, 0, 1, 2]]
    if negate:
        np.negative(matrix[:3], out=matrix[:3])
        matrix = matrix.transpose(0, 2, 1).copy()
    return matrix


def factors(blocks: np.ndarray, m: np.ndarray) -> None:
    """Replace the blocks of some rows by the factors of the way back; fill m_t if it has rows."""
    tanh_c, o, i, f, g, c_prev = blocks
    np.divide(1, blocks[1:4], out=blocks[1:4])
    products = np.empty((3, *o.shape), o.dtype)
    o_tanh_c, i_g, _ = products
    np.multiply(o, tanh_c, out=o_tanh_c)
    np.multiply(blocks[2:4], blocks[4:], out=products[1:])
    if len(m):
        m[...] = o_tanh_c
    np.multiply(o_tanh_c, tanh_c, out=tanh_c)  # ∂c/∂m = o (1 - tanh²c) = o - m tanh(c)
    np.subtract(o, tanh_c, out=tanh_c)
    np.multiply(i_g, g, out=g)  # ∂a_g/∂c = i (1 - g²) = i - (i g) g
    np.subtract(i, g, out=g)
    np.copyto(c_prev, f)
    np.subtract(1, blocks[1:4], out=blocks[1:4])  # σ' = σ (1 - σ), times tanh(c), g and c_prev
    np.multiply(blocks[1:4], products, out=blocks[1:4])
