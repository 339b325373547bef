"""The elementwise part of the steps, compiled; :mod:`lstm.kernel` takes it where numba is there.

NumPy reads and writes a whole block for each arithmetic operation, and each call costs a fraction
of a microsecond. Here all operations on an element are done while it is in a register. Matrix
products and tanh stay NumPy's: they are as fast as they get. The results are the same to rounding.

:func:`forward_steps`, :func:`factors` and :func:`backward_steps` stand in for those of
:mod:`lstm.kernel`, with the same arguments and results.
"""

from __future__ import annotations

import numba
import numpy as np

from lstm.runs import Run, in_parts, parts

# "contract" lets a multiplication and an addition become one instruction.
compiled = numba.njit(cache=True, error_model="numpy", fastmath={"contract"})


@compiled
def sigmoids(o_i_f: np.ndarray) -> None:
    """σ(a) from tanh(a/2), in place."""
    half = o_i_f.dtype.type(0.5)
    for k in range(o_i_f.size):
        o_i_f[k] = o_i_f[k] * half + half


@compiled
def cell_state(i: np.ndarray, f: np.ndarray, g: np.ndarray, c_prev: np.ndarray, c: np.ndarray):
    """``eq-cell-state``."""
    for k in range(c.size):
        c[k] = f[k] * c_prev[k] + i[k] * g[k]


@compiled
def gates(step: np.ndarray, c_t: np.ndarray) -> None:
    """Compute what comes between the two tanh of a step."""
    N = c_t.size
    sigmoids(step.reshape(-1)[N : 4 * N])
    b = step.reshape(6, N)
    cell_state(b[2], b[3], b[4], b[5], c_t.reshape(-1))


@compiled
def d_cell_state(
    tanh_c: np.ndarray, o: np.ndarray, d_m: np.ndarray, d_c_next: np.ndarray, d_c: np.ndarray
) -> None:
    """``eq-d-cell-state``."""
    one = o.dtype.type(1)
    for k in range(d_c.size):
        d_c[k] = d_c_next[k] + d_m[k] * o[k] * (one - tanh_c[k] * tanh_c[k])


@compiled
def d_output_gate(tanh_c: np.ndarray, o: np.ndarray, d_m: np.ndarray) -> None:
    """``eq-d-output-gate`` and its row of ``eq-d-preactivation``."""
    one = o.dtype.type(1)
    for k in range(o.size):
        o[k] = d_m[k] * tanh_c[k] * o[k] * (one - o[k])


@compiled
def d_input_gate_and_candidate(i: np.ndarray, g: np.ndarray, d_c: np.ndarray) -> None:
    """``eq-d-input-gate``, ``eq-d-candidate`` and their rows of ``eq-d-preactivation``."""
    one = i.dtype.type(1)
    for k in range(i.size):
        i_k, g_k = i[k], g[k]
        i[k] = d_c[k] * g_k * i_k * (one - i_k)
        g[k] = d_c[k] * i_k * (one - g_k * g_k)


@compiled
def d_forget_gate(f: np.ndarray, c_prev: np.ndarray, d_c: np.ndarray) -> None:
    """``eq-d-forget-gate``, its row of ``eq-d-preactivation``, and ``eq-d-cell-previous``."""
    one = f.dtype.type(1)
    for k in range(f.size):
        f_k = f[k]
        f[k] = d_c[k] * c_prev[k] * f_k * (one - f_k)
        c_prev[k] = d_c[k] * f_k


@compiled
def d_gates(step: np.ndarray, d_m: np.ndarray, d_c_next: np.ndarray, d_c: np.ndarray) -> None:
    """Replace the blocks of a step by the gradients of a_t and c_{t-1}; fill in d_c."""
    d_m, d_c_next, d_c = d_m.reshape(-1), d_c_next.reshape(-1), d_c.reshape(-1)
    b = step.reshape(6, d_c.size)
    d_cell_state(b[0], b[1], d_m, d_c_next, d_c)
    d_output_gate(b[0], b[1], d_m)
    d_input_gate_and_candidate(b[2], b[4], d_c)
    d_forget_gate(b[3], b[5], d_c)


def forward_steps(run: Run, joined: np.ndarray, W_hr: np.ndarray | None) -> None:
    """Compute the steps of a run."""
    m_t = run.plan.scratch("m_t", run.plan.sizes.H, run.columns)
    joined, multiply = in_parts(joined, run.parts), np.dot if run.parts == 1 else np.matmul
    steps = enumerate(run.forward_steps)
    for t, (z_t, a_parts, a_t, _, _, _, c_t, tanh_c, o_t, h_t) in steps:
        multiply(joined, z_t, out=a_parts)
        if run.plan.sizes.hoisted:
            np.add(a_t, run.W_x_steps[t], out=a_t)
        np.tanh(a_t, out=a_t)
        gates(run.blocks_in_use[t], c_t)
        np.tanh(c_t, out=tanh_c)
        if W_hr is None:
            np.multiply(o_t, tanh_c, out=h_t)
        else:
            np.multiply(o_t, tanh_c, out=m_t)
            np.dot(W_hr, m_t, out=h_t)


def factors(run: Run) -> np.ndarray | None:
    """Return all m_t where there is a projection; the factors are left to the steps."""
    H, P = run.plan.sizes.H, run.plan.sizes.P
    if P == H:
        return None
    m = run.plan.scratch("all m_t", run.steps, H, run.columns)
    return np.multiply(run.blocks[:, :H], run.blocks[:, H : 2 * H], out=m)


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
    for t, (_, _, _, d_a, d_c_prev) in enumerate(run.backward_steps):
        if d_out is not None:
            np.add(d_h_running, d_out[t], out=d_h_running)
        if W_hr is not None:
            d_h_all[order][t] = d_h
            np.dot(W_hr.T, d_h, out=d_m)
        d_gates(run.blocks_in_use[-1 - t], d_m, d_c_next, d_c)
        d_c_next = d_c_prev
        multiply(U_T, d_a, out=d_h_parts)
    return d_c_next, d_h_all
