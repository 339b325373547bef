"""One direction of one LSTM layer over time, forward and backward: the fast path.

It computes what :class:`lstm.LSTMCell` computes, by the same equations, run by run
(:mod:`lstm.runs`). What differs is the arrangement, and each part of it was measured to pay (where
numba is installed, :mod:`lstm.compiled` has another one):

* Arrays are *feature-major*: a step is (features, rows), one column for each sequence, as in the
  text. So a gate is one contiguous block, and neighbours are one block together: a call on i and f
  costs little more than a call on i. :class:`lstm.runs.Run` shows the order of the blocks.
* With ``z_t = [h_{t-1}; x_t; 1]``, one product with ``[U W b]`` gives all preactivations.
* σ(a) = tanh(a/2)/2 + 1/2: with the rows of the three sigmoids halved, one tanh serves all gates.
* The factors of the backward pass that do not depend on the incoming gradient replace the values
  that they are made of, for a run at once. Then a step back needs five calls and no memory, and
  one product for each run gives its share of all gradients of the weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from types import ModuleType

import numpy as np

from lstm.runs import Plan, Pool, Run, Sizes, in_parts, parts

State = tuple[np.ndarray, np.ndarray]
Weights = Mapping[str, np.ndarray]

USE_COMPILED = True
"""Whether :mod:`lstm.compiled` makes the passes where numba and SciPy are installed."""


@cache
def compiled_passes() -> ModuleType | None:
    """Import :mod:`lstm.compiled`, at the first pass that can use it; None if that fails."""
    try:
        from lstm import compiled
    except ImportError:
        return None
    return compiled


def use_compiled(dtype: np.dtype, H: int) -> bool:
    """Whether :mod:`lstm.compiled` makes the passes over arrays of ``dtype`` for H units.

    Complex numbers, which are for checks, it does not know.
    """
    compiled = compiled_passes() if USE_COMPILED and dtype.kind == "f" else None
    return compiled is not None and compiled.pays(H)


# --- forward ---------------------------------------------------------------------------------


def forward(
    weights: Weights,
    x: np.ndarray,
    state: State,
    batch_sizes: Sequence[int],
    reverse: bool,
    keep: bool,
    pool: Pool,
) -> tuple[np.ndarray, State, Plan | None]:
    """Run over time; see :meth:`lstm.layer.RecurrentLayer._scan`."""
    W, U, W_hr = weights["weight_ih"], weights["weight_hh"], weights.get("weight_hr")
    D, H, P, bias = W.shape[1], len(W) // 4, U.shape[1], "bias_ih" in weights
    sizes = Sizes(D, H, P, bias, x.dtype, tuple(batch_sizes), reverse, keep)
    if use_compiled(x.dtype, H):
        return compiled_passes().forward(weights, x, state, sizes, pool)
    plan = pool.take(sizes)
    b = [(weights["bias_ih"] + weights["bias_hh"])[:, None]] if bias else []
    joined = halved([U, *b]) if sizes.hoisted else halved([U, W, *b])
    W_hoisted = halved([W]) if sizes.hoisted else None

    h, c = (array.T.copy() for array in state)
    output = padded(sizes, P, x.shape[1])
    for time, run in plan.runs:
        running = slice(run.rows)
        for idle in run.idle:
            idle[...] = 0
        if sizes.hoisted:
            run.x_steps[:, running] = x[time, running]
            np.matmul(W_hoisted, run.x.T, out=run.W_x)
        else:
            run.z[:, P : P + D, running] = x[time, running].transpose(0, 2, 1)
        run.z[:, sizes.K - bias :] = 1
        run.h_first[:, running], run.c_first[:, running] = h[:, running], c[:, running]
        forward_steps(run, joined, W_hr)
        h[:, running], c[:, running] = run.h_last[:, running], run.c_last[:, running]
        output[time, running] = run.h[:, :, running].transpose(0, 2, 1)

    final = h.T.copy(), c.T.copy()
    if not keep:
        pool.give_back(plan)
        return output, final, None
    plan.weights = {name: value.copy() for name, value in weights.items()}
    return output, final, plan


def halved(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Join matrices of 4H rows; reorder i, f, g, o to o, i, f, g; halve the sigmoids' rows."""
    matrix = np.concatenate(columns, axis=1)
    H = len(matrix) // 4
    matrix = np.concatenate([matrix[3 * H :], matrix[: 3 * H]])
    matrix[: 3 * H] *= 0.5
    return matrix


def padded(sizes: Sizes, features: int, batch: int) -> np.ndarray:
    """Return memory for (T, B, features), zero if some of it stays unused."""
    allocate = np.zeros if sizes.batch_sizes[-1] < batch else np.empty
    return allocate((len(sizes.batch_sizes), batch, features), sizes.dtype)


def forward_steps(run: Run, joined: np.ndarray, W_hr: np.ndarray | None) -> None:
    """Compute the steps of a run."""
    H, hoisted = run.plan.sizes.H, run.plan.sizes.hoisted
    half = np.array(0.5, joined.dtype)  # a Python number would be converted at each call
    products = run.plan.scratch("products", 2 * H, run.columns)
    i_g, f_c = products[:H], products[H:]
    m_t = run.plan.scratch("m_t", H, run.columns)
    joined, multiply = in_parts(joined, run.parts), np.dot if run.parts == 1 else np.matmul
    steps = enumerate(run.forward_steps)
    for t, (z_t, a_parts, a_t, o_i_f, i_f, g_c, c_t, tanh_c, o_t, h_t) in steps:
        multiply(joined, z_t, out=a_parts)
        if hoisted:
            np.add(a_t, run.W_x_steps[t], out=a_t)
        np.tanh(a_t, out=a_t)
        np.multiply(o_i_f, half, out=o_i_f)
        np.add(o_i_f, half, out=o_i_f)
        np.multiply(i_f, g_c, out=products)
        np.add(i_g, f_c, out=c_t)
        np.tanh(c_t, out=tanh_c)
        if W_hr is None:
            np.multiply(o_t, tanh_c, out=h_t)
        else:
            np.multiply(o_t, tanh_c, out=m_t)
            np.dot(W_hr, m_t, out=h_t)


# --- backward --------------------------------------------------------------------------------


def backward(
    plan: Plan, d_output: np.ndarray | None, d_state: State, pool: Pool
) -> tuple[np.ndarray, State, dict[str, np.ndarray]]:
    """Run back over time; see :meth:`lstm.layer.RecurrentLayer._scan_backward`."""
    if plan.kind is not Run:
        return compiled_passes().backward(plan, d_output, d_state, pool)
    sizes, weights = plan.sizes, plan.weights
    D, H, P = sizes.D, sizes.H, sizes.P
    W, U, W_hr = weights["weight_ih"], weights["weight_hh"], weights.get("weight_hr")
    U_T = np.roll(U, H, axis=0).T  # columns in the order of the blocks
    if sizes.batch_sizes[0] != 1:
        U_T = U_T.copy()

    d_h, d_c = (array.T.copy() for array in d_state)
    d_x = padded(sizes, D, d_h.shape[1])
    d_joined = np.zeros((4 * H, sizes.K), sizes.dtype)
    d_W = np.zeros_like(W) if sizes.hoisted else d_joined[:, P : P + D]
    d_W_hr = None if W_hr is None else np.zeros_like(W_hr)
    for time, run in reversed(plan.runs):
        running = slice(run.rows)
        m = factors(run)
        d_h_run, d_c_run = run.widen(d_h), run.widen(d_c)
        d_out = None if d_output is None else d_output[time, running].transpose(0, 2, 1)
        d_c_run, d_h_all = backward_steps(run, U_T, W_hr, d_h_run, d_c_run, d_out)
        d_h[:, running], d_c[:, running] = d_h_run[:, running], d_c_run[:, running]

        d_a_o, d_a_i_f_g = run.blocks[:, H : 2 * H], run.blocks[:, 2 * H : 5 * H]
        d_a = run.by_feature("d_a", d_a_i_f_g, d_a_o)
        share = plan.scratch("share", *d_joined.shape)
        d_joined += np.matmul(d_a, run.by_feature("z", run.z).T, out=share)
        if sizes.hoisted:
            d_W += d_a @ run.x
        d_x[time, running] = (d_a.T @ W).reshape(run.steps, run.columns, D)[:, running]
        if W_hr is not None:
            d_W_hr += run.by_feature("d_h", d_h_all) @ run.by_feature("m", m).T

    pool.give_back(plan)
    gradients = {"weight_ih": d_W, "weight_hh": d_joined[:, :P]}
    if sizes.bias:
        gradients["bias_ih"] = gradients["bias_hh"] = d_joined[:, -1]
    if W_hr is not None:
        gradients["weight_hr"] = d_W_hr
    return d_x, (d_h.T.copy(), d_c.T.copy()), gradients


def factors(run: Run) -> np.ndarray:
    """Replace the blocks of a run by the factors of its backward pass; return all m_t."""
    H = run.plan.sizes.H
    tanh_c, o, i, f, g, c_prev = (run.blocks[:, k * H : (k + 1) * H] for k in range(6))
    o_i_f, i_f, g_c = run.blocks[:, H : 4 * H], run.blocks[:, 2 * H : 4 * H], run.blocks[:, 4 * H :]
    products = run.plan.scratch("m, i_g, f_c", run.steps, 3 * H, run.columns)
    m, i_g = products[:, :H], products[:, H : 2 * H]
    np.multiply(o, tanh_c, out=m)
    np.multiply(i_f, g_c, out=products[:, H:])

    np.multiply(m, tanh_c, out=tanh_c)  # ∂c/∂m = o (1 - tanh²c) = o - m tanh(c)
    np.subtract(o, tanh_c, out=tanh_c)
    np.multiply(i_g, g, out=g)  # ∂a_g/∂c = i (1 - g²) = i - (i g) g
    np.subtract(i, g, out=g)
    np.copyto(c_prev, f)
    np.subtract(1, o_i_f, out=o_i_f)  # σ' = σ (1 - σ), times tanh(c), g and c_prev
    np.multiply(o_i_f, products, out=o_i_f)
    return m


def backward_steps(
    run: Run,
    U_T: np.ndarray,
    W_hr: np.ndarray | None,
    d_h: np.ndarray,
    d_c_next: np.ndarray,
    d_out: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Compute the steps of a run backwards; ``d_h`` is changed, d_c and all d_h are returned."""
    order = slice(None, None, 1 if run.plan.sizes.reverse else -1)
    d_c = run.plan.scratch("d_c", *d_c_next.shape)
    d_m = d_h if W_hr is None else run.plan.scratch("d_m", *d_c_next.shape)
    d_h_all = None if W_hr is None else run.plan.scratch("d_h_all", run.steps, *d_h.shape)
    d_out = None if d_out is None else list(d_out[order])
    d_h_running = d_h[:, : run.rows]
    count = parts(*U_T.shape, run.columns)
    U_T, d_h_parts = in_parts(U_T, count), in_parts(d_h, count)
    multiply = np.dot if count == 1 else np.matmul
    for t, (of_m, d_c_of_m, of_c, d_a, d_c_prev) in enumerate(run.backward_steps):
        if d_out is not None:
            np.add(d_h_running, d_out[t], out=d_h_running)
        if W_hr is not None:
            d_h_all[order][t] = d_h
            np.dot(W_hr.T, d_h, out=d_m)
        np.multiply(of_m, d_m, out=of_m)
        np.add(d_c_next, d_c_of_m, out=d_c)
        np.multiply(of_c, d_c, out=of_c)
        d_c_next = d_c_prev
        multiply(U_T, d_a, out=d_h_parts)
    return d_c_next, d_h_all
