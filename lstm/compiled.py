"""The steps of a run, compiled; :mod:`lstm.kernel` takes them where numba and SciPy are there.

NumPy reads and writes a whole block for each arithmetic operation, and each call from Python costs
a fraction of a microsecond: for small layers that is most of the time. Here a run is one call, and
all operations on an element are done while it is in a register. Matrix products stay those of
BLAS (numba takes them from SciPy). The results are the same to rounding.

:func:`forward_steps`, :func:`factors` and :func:`backward_steps` stand in for those of
:mod:`lstm.kernel`, with the same arguments and results.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numba
import numpy as np
import scipy.linalg.cython_blas  # noqa: F401 - without it numba could not compile np.dot
from numba.extending import overload
from threadpoolctl import ThreadpoolController

from lstm.runs import Run, parts

BLAS_OF_SCIPY = [
    library
    for library in ThreadpoolController().lib_controllers
    if "scipy.libs" in (library.filepath or "")
]

# "contract" lets a multiplication and an addition become one instruction.
compiled = numba.njit(cache=True, error_model="numpy", fastmath={"contract"})


@contextmanager
def one_thread() -> Iterator[None]:
    """Let SciPy's BLAS use one thread.

    It has threads of its own beside those of NumPy's BLAS. Those that have nothing to do wait
    busily, and two such crews on the same processors take ten times as long as one.
    """
    threads = [library.get_num_threads() for library in BLAS_OF_SCIPY]
    for library in BLAS_OF_SCIPY:
        library.set_num_threads(1)
    try:
        yield
    finally:
        for library, count in zip(BLAS_OF_SCIPY, threads, strict=True):
            library.set_num_threads(count)


# --- tanh --------------------------------------------------------------------------------------

single = np.float32
LOG_2 = math.log(2)
LOG_2_HIGH = float.fromhex("0x1.62e42feep-1")  # its first 33 bits: a product with n is exact
LOG_2_LOW = 1.9082149292705877e-10
DEGREE = 13
INVERSE_FACTORIALS = tuple(1 / math.factorial(k) for k in range(1, DEGREE + 1))


@compiled
def tanh_single(x):
    """Return x P(x²) / Q(x²) in float32, fitted for the least relative error up to ±9.02.

    Beyond, tanh is 1. The fit is off by 2.1e-8, relative, and its evaluation by 6 units in the
    last place at most: 3.1e-7.
    """
    x = min(max(x, single(-9.02)), single(9.02))
    u = x * x
    p = single(1.3319061e-08) * u + single(2.0583473e-05)
    p = (p * u + single(3.4940338e-03)) * u + single(1.3379717e-01)
    q = single(7.7620149e-07) * u + single(3.2830919e-04)
    q = (q * u + single(2.5871070e-02)) * u + single(4.6713033e-01)
    return x * (p * u + single(1)) / (q * u + single(1))


@compiled
def tanh_double(x):
    """Return -e / (e + 2) in float64, where e = exp(y) - 1 and y = -2 |x| = n log 2 + r."""
    y = max(-2.0 * abs(x), -80.0)
    n = math.floor(y * (1 / LOG_2) + 0.5)
    r = (y - n * LOG_2_HIGH) - n * LOG_2_LOW
    series = INVERSE_FACTORIALS[-1]  # of exp(r) - 1, which is small where x is
    for k in range(DEGREE - 1, 0, -1):
        series = series * r + INVERSE_FACTORIALS[k - 1]
    power = np.int64((np.int64(n) + 1023) << 52).view(np.float64)  # n is its exponent
    e = power * (series * r) + (power - 1.0)
    return math.copysign(e / (e + 2.0), x)


def tanh(x: float) -> float:
    """Return tanh of a scalar; compiled, by arithmetic alone, so that loops become vector code."""
    return np.tanh(x)


@overload(tanh)
def _tanh(x):
    if x == numba.float32:
        return lambda x: tanh_single(x)
    return lambda x: tanh_double(x)


# --- forward -----------------------------------------------------------------------------------


@compiled
def cell_states(a_o, a_i, a_f, a_g, c_prev, c) -> None:
    """Replace preactivations by gates: σ(a) from tanh(a/2), the halves are there; ``c`` is new."""
    half = c.dtype.type(0.5)
    for k in range(c.size):
        i = tanh(a_i[k]) * half + half
        f = tanh(a_f[k]) * half + half
        g = tanh(a_g[k])
        a_o[k] = tanh(a_o[k]) * half + half
        a_i[k], a_f[k], a_g[k] = i, f, g
        c[k] = f * c_prev[k] + i * g


@compiled
def hidden_states(c, o, c_next, m) -> None:
    """Move ``c`` to where the next step looks for it, put its tanh there, and compute m."""
    for k in range(c.size):
        c_next[k] = c[k]
        tanh_c = tanh(c[k])
        c[k] = tanh_c
        m[k] = o[k] * tanh_c


@compiled
def multiply(matrix, columns, out, parts) -> None:
    """Matrix product, in parts of fewer rows where that is faster."""
    if columns.shape[1] == 1:
        np.dot(matrix, columns.reshape(-1), out.reshape(-1))
        return
    rows = len(matrix) // parts
    for k in range(0, len(matrix), rows):
        np.dot(matrix[k : k + rows], columns, out[k : k + rows])


@compiled
def forward_run(slots, blocks, c_last, joined, W_x, W_hr, m_t, reverse, parts) -> None:
    """Compute the steps of a run."""
    steps, kept, N = len(slots) - 1, len(blocks) > 1, c_last.size
    H, P = len(c_last), len(W_hr) if W_hr.size else len(c_last)
    for k in range(steps):
        t = steps - 1 - k if reverse else k
        z_t, h_t = slots[t + reverse], slots[t + 1 - reverse][:P]
        step = blocks[t if kept else 0]
        b, a_t = step.reshape(6, N), step[H : 5 * H]
        multiply(joined, z_t, a_t, parts)
        if W_x.size:
            add(a_t, W_x[t])
        last = k == steps - 1 or not kept
        c_t = c_last if last else blocks[t + 1 - 2 * reverse][5 * H :]
        cell_states(b[1], b[2], b[3], b[4], b[5], b[0])
        if W_hr.size:
            hidden_states(b[0], b[1], c_t.reshape(-1), m_t.reshape(-1))
            np.dot(W_hr, m_t, h_t)
        else:
            hidden_states(b[0], b[1], c_t.reshape(-1), h_t.reshape(-1))


@compiled
def add(to, summand) -> None:
    """Add in place."""
    rows, columns = to.shape
    for r in range(rows):
        for s in range(columns):
            to[r, s] += summand[r, s]


def forward_steps(run: Run, joined: np.ndarray, W_hr: np.ndarray | None) -> None:
    """Compute the steps of a run."""
    sizes, empty = run.plan.sizes, np.empty((0, 0), joined.dtype)
    m_t = empty if W_hr is None else run.plan.scratch("m_t", sizes.H, run.columns)
    W_x = run.W_x_in_time if sizes.hoisted else np.empty((0, 0, 0), joined.dtype)
    W_hr = empty if W_hr is None else np.ascontiguousarray(W_hr)
    arrays = (run.slots, run.blocks, run.c_last, joined, W_x, W_hr, m_t)
    with one_thread():
        forward_run(*arrays, int(sizes.reverse), run.parts)


# --- backward ----------------------------------------------------------------------------------


@compiled
def d_gates(tanh_c, o, i, f, g, c_prev, d_m, d_c) -> None:
    """Replace gates by the gradients of their preactivations, and d_c_t by d_c_{t-1}.

    ``eq-d-output-gate``, ``eq-d-cell-state``, ``eq-d-input-gate``, ``eq-d-forget-gate``,
    ``eq-d-candidate``, their rows of ``eq-d-preactivation``, and ``eq-d-cell-previous``.
    """
    one = d_c.dtype.type(1)
    for k in range(d_c.size):
        o_k, i_k, f_k, g_k, tanh_k = o[k], i[k], f[k], g[k], tanh_c[k]
        d = d_c[k] + d_m[k] * o_k * (one - tanh_k * tanh_k)
        o[k] = d_m[k] * tanh_k * o_k * (one - o_k)
        i[k] = d * g_k * i_k * (one - i_k)
        f[k] = d * c_prev[k] * f_k * (one - f_k)
        g[k] = d * i_k * (one - g_k * g_k)
        d_c[k] = d * f_k


@compiled
def add_transposed(to, summand) -> None:
    """Add the transpose of a matrix to columns of another."""
    rows, columns = summand.shape
    for r in range(0, rows, 8):
        for k in range(columns):
            for s in range(r, min(r + 8, rows)):
                to[k, s] += summand[s, k]


@compiled
def backward_run(blocks, U, U_T, W_hr_T, d_h, d_h_all, d_m, d_c, d_out, reverse, parts) -> None:
    """Compute the steps of a run backwards."""
    steps, N, H = len(blocks), d_c.size, len(d_c)
    for k in range(steps):
        t = k if reverse else steps - 1 - k
        if d_out.size:
            add_transposed(d_h, d_out[t])
        b, d_a = blocks[t].reshape(6, N), blocks[t][H : 5 * H]
        if W_hr_T.size:
            d_h_all[t] = d_h
            np.dot(W_hr_T, d_h, d_m)
            d_gates(b[0], b[1], b[2], b[3], b[4], b[5], d_m.reshape(-1), d_c.reshape(-1))
        else:
            d_gates(b[0], b[1], b[2], b[3], b[4], b[5], d_h.reshape(-1), d_c.reshape(-1))
        if U.size:
            np.dot(d_a.reshape(-1), U, d_h.reshape(-1))
        else:
            multiply(U_T, d_a, d_h, parts)


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
    d_c: np.ndarray,
    d_out: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Compute the steps of a run backwards; ``d_h`` is changed, d_c and all d_h are returned."""
    sizes, empty = run.plan.sizes, np.empty((0, 0), d_h.dtype)
    none = np.empty((0, 0, 0), d_h.dtype)
    d_out = none if d_out is None else np.ascontiguousarray(d_out.transpose(0, 2, 1))
    projected = W_hr is not None
    d_m = run.plan.scratch("d_m", *d_c.shape) if projected else empty
    d_h_all = run.plan.scratch("d_h_all", run.steps, *d_h.shape) if projected else none
    W_hr_T = np.ascontiguousarray(W_hr.T) if projected else empty
    U, U_T = (empty, U_T) if U_T.flags.c_contiguous else (U_T.T, empty)
    count = parts(*U_T.shape, run.columns)
    arrays = (U, U_T, W_hr_T, d_h, d_h_all, d_m, d_c, d_out)
    with one_thread():
        backward_run(run.blocks, *arrays, int(sizes.reverse), count)
    return d_c, d_h_all if projected else None
