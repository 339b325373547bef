"""The passes over time, compiled; :mod:`lstm.kernel` takes them where numba and SciPy are there.

NumPy reads and writes a whole block for each arithmetic operation, and each call from Python costs
a fraction of a microsecond: for small layers that is most of the time. Here the steps of a run are
one call, and all operations on an element are done while it is in a register. That allows another
arrangement than :mod:`lstm.kernel` has, and each part of it was measured to pay:

* Arrays are *batch-major*, (steps, rows, features), like those of the caller: nothing has to be
  transposed. Gates are in the order of the weights, i, f, g, o, a row after the other.
* Where BLAS multiplies small matrices without first copying them into an order of its own
  (``SMALL``), weights are packed into tiles, once a pass, and a step takes a few sequences at a
  time: then the preactivations are still in the nearest cache when they become gates.
* On the way back the gradients of the preactivations replace the gates. So for a run they are one
  matrix, in the right order for the gradients of the weights and of the input.

The results are the same to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numba
import numpy as np
import scipy.linalg.cython_blas  # noqa: F401 - its BLAS must be there when the threads are looked up
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import get_cython_function_address, intrinsic, overload
from threadpoolctl import ThreadpoolController

from lstm.kernel import State, Weights, padded
from lstm.runs import Plan, Pool, Sizes

BLAS_OF_NUMPY, BLAS_OF_SCIPY = (
    [each for each in ThreadpoolController().lib_controllers if folder in (each.filepath or "")]
    for folder in ("numpy.libs", "scipy.libs")
)
SMALL = {"skylakex", "cooperlake", "sapphirerapids"}
"""Kernels of OpenBLAS that multiply up to 100³ operations without copying their arguments."""
TILE = (
    (16, 64, 512)
    if {each.architecture.lower() for each in BLAS_OF_SCIPY} & SMALL
    else (1 << 30,) * 3
)
"""Sizes of the largest product in a step: (ROWS, INNER) times (INNER, COLUMNS) is (16, 512, 64)."""
GEMM = {
    np.dtype(dtype): (get_cython_function_address("scipy.linalg.cython_blas", name), *TILE)
    for dtype, name in ((np.float32, "sgemm"), (np.float64, "dgemm"))
}
"""Addresses of BLAS's product of matrices, for compiled code, and the sizes of a tile."""

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


def pays(H: int) -> bool:
    """Whether these passes are faster than NumPy's for H units.

    In a large layer the products take nearly all of the time, and those of NumPy's steps may use
    several threads.
    """
    return H < 256 or all(library.get_num_threads() == 1 for library in BLAS_OF_NUMPY)


# --- products ----------------------------------------------------------------------------------


@intrinsic
def call_fortran(typing_context, address, arguments):
    """Call a Fortran subroutine, which takes pointers: to numbers, and to elements of arrays."""

    def generate(context, builder, signature, values):
        pointers = [
            context.make_array(kind)(context, builder, value).data
            if isinstance(kind, types.Array)
            else cgutils.alloca_once_value(builder, value)
            for kind, value in zip(arguments, cgutils.unpack_tuple(builder, values[1]), strict=True)
        ]
        subroutine = ir.FunctionType(ir.VoidType(), [pointer.type for pointer in pointers])
        builder.call(builder.inttoptr(values[0], subroutine.as_pointer()), pointers)
        return context.get_dummy_value()

    return types.void(address, arguments), generate


def multiply(gemm: tuple, matrix: np.ndarray, tile: np.ndarray, out: np.ndarray, beta: int) -> None:
    """Add the product of a matrix and a tile to ``beta`` (0 or 1) times ``out``."""
    product = matrix @ tile.reshape(-1, out.shape[1])
    out[...] = out + product if beta else product


@overload(multiply)
def _multiply(gemm, matrix, tile, out, beta):
    normal, size = np.uint8(ord("N")), out.dtype.bitwidth // 8

    def call_gemm(gemm, matrix, tile, out, beta):
        # BLAS stores matrices by columns: it sees the transposes, and (A B)^T = B^T A^T.
        m, n, k = np.int32(out.shape[1]), np.int32(len(out)), np.int32(matrix.shape[1])
        to_next, to_next_out = np.int32(matrix.strides[0] // size), np.int32(out.strides[0] // size)
        shape, one, beta = (m, n, k), out.dtype.type(1), out.dtype.type(beta)
        tile_and_matrix = (tile, m, matrix, to_next)
        arguments = (normal, normal, *shape, one, *tile_and_matrix, beta, out, to_next_out)
        call_fortran(gemm[0], arguments)

    return call_gemm


@compiled
def pack(gemm, matrix, tiles) -> None:
    """Write the transpose of a matrix, tile by tile, in the order of :func:`multiply_packed`."""
    _, _, COLUMNS, INNER = gemm
    columns, inner = matrix.shape
    start = 0
    for j in range(0, inner, INNER):
        for k in range(0, columns, COLUMNS):
            part = matrix[k : k + COLUMNS, j : j + INNER]
            width, height = part.shape
            for r in range(height):
                for s in range(width):
                    tiles[start + r * width + s] = part[s, r]
            start += part.size


def packed(plan: Plan, name: str, matrix: np.ndarray | None) -> np.ndarray:
    """Return the transpose of a matrix in tiles; nothing for None."""
    if matrix is None:
        return np.empty(0, plan.sizes.dtype)
    tiles = plan.scratch(name, matrix.size)
    pack(GEMM[plan.sizes.dtype], matrix, tiles)
    return tiles


@compiled
def multiply_row(row, matrix, out, beta) -> None:
    """Multiply a single row, which is no work for BLAS unless its products are small."""
    if not beta:
        out[:] = 0
    for k in range(row.size):
        for s in range(out.size):
            out[s] += row[k] * matrix[k * out.size + s]


@compiled
def multiply_packed(gemm, matrix, tiles, out, beta) -> None:
    """Multiply by a packed matrix."""
    _, ROWS, COLUMNS, INNER = gemm
    if len(out) == 1 and ROWS > 16:
        multiply_row(matrix[0], tiles, out[0], beta)
        return
    start = 0
    for j in range(0, matrix.shape[1], INNER):
        part = matrix[:, j : j + INNER]
        for k in range(0, out.shape[1], COLUMNS):
            out_part = out[:, k : k + COLUMNS]
            stop = start + part.shape[1] * out_part.shape[1]
            multiply(gemm, part, tiles[start:stop], out_part, 1 if j else beta)
            start = stop


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
def step(a, c_prev, c, tanh_c, m) -> None:
    """Replace preactivations by gates; compute c_t, its tanh, and m_t, the first H of ``m``.

    ``eq-input-gate`` to ``eq-hidden-state``, with σ(a) = tanh(a/2)/2 + 1/2.
    """
    rows, H = c.shape
    half = c.dtype.type(0.5)
    for r in range(rows):
        i, f, g, o = a[r, :H], a[r, H : 2 * H], a[r, 2 * H : 3 * H], a[r, 3 * H :]
        c_prev_r, c_r, tanh_c_r, m_r = c_prev[r], c[r], tanh_c[r], m[r]
        # Two loops are faster than one: what they need fits into the registers.
        for k in range(H):
            i_k = tanh(i[k] * half) * half + half
            f_k = tanh(f[k] * half) * half + half
            g_k = tanh(g[k])
            i[k], f[k], g[k] = i_k, f_k, g_k
            c_r[k] = f_k * c_prev_r[k] + i_k * g_k
        for k in range(H):
            o_k = tanh(o[k] * half) * half + half
            tanh_k = tanh(c_r[k])
            o[k], tanh_c_r[k] = o_k, tanh_k
            m_r[k] = o_k * tanh_k


@compiled
def forward_steps(gemm, slots, a, c, tanh_c, m, joined, beta, W_hr, reverse) -> None:
    """Compute the steps of a run; arrays of fewer steps than it has are used again."""
    steps, B, H = len(slots) - 1, slots.shape[1], c.shape[2]
    inner, P = joined.size // (4 * H), W_hr.size // H if W_hr.size else H
    for k in range(steps):
        t = steps - 1 - k if reverse else k
        before, after = t + reverse, t + 1 - reverse
        for r in range(0, B, gemm[1]):
            rows = slice(r, r + gemm[1])
            z_t, z_next = slots[before][rows], slots[after][rows]
            c_prev, c_t = c[before % len(c)][rows], c[after % len(c)][rows]
            a_t, tanh_c_t = a[t % len(a)][rows], tanh_c[t % len(tanh_c)][rows]
            multiply_packed(gemm, z_t[:, :inner], joined, a_t, beta)
            if W_hr.size:
                step(a_t, c_prev, c_t, tanh_c_t, m[rows])
                multiply_packed(gemm, m[rows], W_hr, z_next[:, :P], 0)
            else:
                step(a_t, c_prev, c_t, tanh_c_t, z_next)


class CompiledRun:
    """The arrays of a run, batch-major, in the order of time."""

    COLUMNS = 1024
    """As in :class:`lstm.runs.Run`: more, for what is done once for each run costs more here."""

    def __init__(self, plan: Plan, steps: int, rows: int) -> None:
        sizes = plan.sizes
        H, P, keep = sizes.H, sizes.P, sizes.keep
        self.steps, self.rows = steps, rows
        first, last = (steps, 0) if sizes.reverse else (0, steps)

        # A step reads z_t = [h_{t-1}; x_t; 1] from its slot and writes h_t into that of the next.
        self.slots = plan.kept("slots", steps + 1, rows, P + sizes.D + sizes.bias)
        self.z, next_z = self.slots[:-1], self.slots[1:]
        if sizes.reverse:
            self.z, next_z = next_z, self.z
        self.h = next_z[..., :P]
        self.h_first, self.h_last = self.slots[first, :, :P], self.slots[last, :, :P]

        # Inference has the cell states of two steps, and the gates of one unless W x_t is there.
        self.c = plan.kept("c", steps + 1 if keep else 2, rows, H)
        self.c_first, self.c_last = self.c[first % len(self.c)], self.c[last % len(self.c)]
        self.tanh_c = plan.kept("tanh_c", steps if keep else 1, rows, H)
        self.gates = plan.kept("gates", steps if keep or sizes.hoisted else 1, rows, 4 * H)
        self.m = plan.scratch("m", rows, H)
        self.z_matrix, self.gates_matrix = (
            array.reshape(-1, array.shape[2]) for array in (self.z, self.gates)
        )


def forward(
    weights: Weights, x: np.ndarray, state: State, sizes: Sizes, pool: Pool
) -> tuple[np.ndarray, State, Plan | None]:
    """Run over time, as :func:`lstm.kernel.forward`."""
    W, U, W_hr = weights["weight_ih"], weights["weight_hh"], weights.get("weight_hr")
    D, P, bias, reverse = sizes.D, sizes.P, sizes.bias, sizes.reverse
    plan, gemm, hoisted = pool.take(sizes, CompiledRun), GEMM[x.dtype], sizes.hoisted
    b = [(weights["bias_ih"] + weights["bias_hh"])[:, None]] if bias else []
    W_b = np.concatenate([W, *b], axis=1)
    joined = packed(plan, "joined", U if hoisted else np.concatenate([U, W_b], axis=1))
    W_hr = packed(plan, "W_hr", W_hr)

    h, c = (array.copy() for array in state)
    output = padded(sizes, P, x.shape[1])
    with one_thread():
        for time, run in plan.runs:
            running = slice(run.rows)
            run.z[..., P : P + D], run.z[..., P + D :] = x[time, running], 1
            if hoisted:
                np.matmul(run.z_matrix[:, P:], W_b.T, out=run.gates_matrix)
            run.h_first[...], run.c_first[...] = h[running], c[running]
            arrays = (run.slots, run.gates, run.c, run.tanh_c, run.m)
            forward_steps(gemm, *arrays, joined, int(hoisted), W_hr, int(reverse))
            h[running], c[running] = run.h_last, run.c_last
            output[time, running] = run.h

    if not sizes.keep:
        pool.give_back(plan)
        return output, (h, c), None
    plan.weights = {name: value.copy() for name, value in weights.items()}
    return output, (h, c), plan


# --- backward ----------------------------------------------------------------------------------


@compiled
def step_backward(gates, c_prev, tanh_c, d_m, d_c) -> None:
    """Replace gates by the gradients of their preactivations, and d_c_t by d_c_{t-1}.

    ``eq-d-output-gate``, ``eq-d-cell-state``, ``eq-d-input-gate``, ``eq-d-forget-gate``,
    ``eq-d-candidate``, their rows of ``eq-d-preactivation``, and ``eq-d-cell-previous``.
    """
    rows, H = d_c.shape
    one = d_c.dtype.type(1)
    for r in range(rows):
        i, f, g, o = (gates[r, :H], gates[r, H : 2 * H], gates[r, 2 * H : 3 * H], gates[r, 3 * H :])
        c_prev_r, tanh_c_r, d_m_r, d_c_r = c_prev[r], tanh_c[r], d_m[r], d_c[r]
        for k in range(H):
            i_k, f_k, g_k, o_k, tanh_k = i[k], f[k], g[k], o[k], tanh_c_r[k]
            d = d_c_r[k] + d_m_r[k] * o_k * (one - tanh_k * tanh_k)
            o[k] = d_m_r[k] * tanh_k * o_k * (one - o_k)
            i[k] = d * g_k * i_k * (one - i_k)
            f[k] = d * c_prev_r[k] * f_k * (one - f_k)
            g[k] = d * i_k * (one - g_k * g_k)
            d_c_r[k] = d * f_k


@compiled
def add(to, summand) -> None:
    """Add a matrix in place."""
    rows, columns = to.shape
    for r in range(rows):
        to_r, summand_r = to[r], summand[r]
        for k in range(columns):
            to_r[k] += summand_r[k]


@compiled
def backward_steps(
    gemm, gates, c, tanh_c, d_out, d_h, d_c, d_h_all, d_m, packed_U, W_hr, reverse
) -> None:
    """Compute the steps of a run backwards; ``gates``, ``d_h`` and ``d_c`` are changed."""
    steps, B = gates.shape[:2]
    for k in range(steps):
        t = k if reverse else steps - 1 - k
        for r in range(0, B, gemm[1]):
            rows = slice(r, r + gemm[1])
            d_a, c_prev, tanh_c_t = gates[t][rows], c[t + reverse][rows], tanh_c[t][rows]
            if d_out.size:
                add(d_h[rows], d_out[t][rows])
            if W_hr.size:
                d_h_all[t][rows] = d_h[rows]
                multiply_packed(gemm, d_h[rows], W_hr, d_m[rows], 0)
                step_backward(d_a, c_prev, tanh_c_t, d_m[rows], d_c[rows])
            else:
                step_backward(d_a, c_prev, tanh_c_t, d_h[rows], d_c[rows])
            multiply_packed(gemm, d_a, packed_U, d_h[rows], 0)


def backward(
    plan: Plan, d_output: np.ndarray | None, d_state: State, pool: Pool
) -> tuple[np.ndarray, State, dict[str, np.ndarray]]:
    """Run back over time, as :func:`lstm.kernel.backward`."""
    sizes, weights, gemm = plan.sizes, plan.weights, GEMM[plan.sizes.dtype]
    D, H, P = sizes.D, sizes.H, sizes.P
    W, U, W_hr = weights["weight_ih"], weights["weight_hh"], weights.get("weight_hr")
    packed_U = packed(plan, "joined", U.T)
    packed_W_hr = packed(plan, "W_hr", None if W_hr is None else W_hr.T)

    d_h, d_c = (array.copy() for array in d_state)
    d_x = padded(sizes, D, len(d_h))
    d_joined = np.zeros((4 * H, P + D + sizes.bias), sizes.dtype)
    d_W_hr = None if W_hr is None else np.zeros_like(W_hr)
    for time, run in reversed(plan.runs):
        running = slice(run.rows)
        projected = run.steps if W_hr is not None else 0
        d_h_all = plan.scratch("d_h_all", projected, run.rows, P)
        m = run.gates[:projected, :, 3 * H :] * run.tanh_c[:projected]
        d_out = np.empty((0, 0, 0), sizes.dtype) if d_output is None else d_output[time, running]
        arrays = (run.gates, run.c, run.tanh_c, np.ascontiguousarray(d_out))
        d_states = (d_h[running], d_c[running], d_h_all, run.m)
        with one_thread():
            backward_steps(gemm, *arrays, *d_states, packed_U, packed_W_hr, int(sizes.reverse))

        d_a, share = run.gates_matrix, plan.scratch("share", *d_joined.shape)
        d_joined += np.matmul(d_a.T, run.z_matrix, out=share)
        d_x_run = np.matmul(d_a, W, out=plan.scratch("d_x", len(d_a), D))
        d_x[time, running] = d_x_run.reshape(run.steps, run.rows, D)
        if W_hr is not None:
            d_W_hr += d_h_all.reshape(-1, P).T @ m.reshape(-1, H)

    pool.give_back(plan)
    gradients = {"weight_ih": d_joined[:, P : P + D], "weight_hh": d_joined[:, :P]}
    if sizes.bias:
        gradients["bias_ih"] = gradients["bias_hh"] = d_joined[:, -1]
    if W_hr is not None:
        gradients["weight_hr"] = d_W_hr
    return d_x, (d_h, d_c), gradients
