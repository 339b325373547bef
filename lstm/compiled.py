"""The steps of :mod:`lstm.scan`, compiled by numba; used where it is installed and works.

NumPy needs eight calls a step, each with a fraction of a microsecond of its own, and each writes
its result to memory. Here a pass over time is one call, and a number is read once, goes through all
of a step's arithmetic in a register, and is written once. What pays for its lines was measured with
float32 on an AMD EPYC with AVX-512, one thread; where a comment gives a ratio, it is that of the
times of the pass without and with the trick.

Compiling takes some seconds, once: the result is stored beside this file in ``__pycache__``, or
where that is read-only in the user's cache folder, or in the folder that NUMBA_CACHE_DIR names.
"""

from __future__ import annotations

import math
import threading
from itertools import pairwise

import numba
import numpy as np
from llvmlite import binding, ir
from numba.core import types
from numba.extending import intrinsic, overload

from lstm.threads import threads

# "contract" lets a multiplication and an addition become one instruction. All else of IEEE 754
# stands, so infinities and NaN are what they are in NumPy. "_nrt" off: a loop over slices need not
# count who uses an array, which outlives the call anyway (inference of small layers: 1.1).
compiled = numba.njit(
    cache=True, nogil=True, error_model="numpy", fastmath={"contract"}, _nrt=False
)

# --- products --------------------------------------------------------------------------------

VECTOR, ROWS = (64, 8) if binding.get_host_cpu_features().get("avx512f") else (32, 4)
"""Bytes of a vector register, and rows of a tile: twice as many sums fill half of the registers.

BLAS copies both factors of each product into an order of its own first, and that is most of its
time where a factor is a batch of 32 rows. The weights stay the same for a whole pass, so they are
put into such an order (*panels*) once. (32, 128) times (128, 512) then runs at 250 GFLOP/s, where
``np.dot`` reaches 165, and this processor 260. With vectors of 32 bytes it runs at 115.
"""
ONE = 1
PANEL, PANEL_OF_ONE = 2 * VECTOR, 256
"""Bytes of a row of a panel; wider for a batch of one, since a single row times two vectors has too
few sums to keep the processor busy (inference where B is 1, and D and H are 128: 2.2)."""
BLOCK = 64
"""Rows whose inputs are multiplied at once, so that W is not read again for each step of a small
batch (inference of a batch of one: 2.2), and whose d_x are, while d_a is in the cache (training
where D is 28 to 128: 1.05 to 1.15; 0.91 to 0.93 where D or B is 1)."""

MANY, WIDE = 256, 512
"""Rows of a product over time that are multiplied while they are in the cache; columns of its left
factor above which NumPy's product is faster (training with 512 units: 1.06)."""

WORTH = 10_000_000
"""Multiplications of a pass that pay for one more thread."""


@intrinsic(prefer_literal=True)
def tile(context, rows, left, first, panel, start, out, column):
    """Write ``start + left @ panel`` to a tile of ``out``, with all of its sums in registers.

    LLVM is asked for vectors by hand here: from plain loops it makes code that runs at 65 GFLOP/s
    instead of 250. The tile has ``rows`` (a constant) rows from ``first``, and the columns from
    ``column`` that the panel has. Rows behind the last one are the last one again. ``start`` may be
    ``out`` itself, or a single row.
    """
    number, count = left.dtype, rows.literal_value
    size = number.bitwidth // 8
    lanes, vectors = VECTOR // size, (PANEL if count > 1 else PANEL_OF_ONE) // VECTOR

    def generate(context, builder, signature, values):
        integer, index = ir.IntType(64), ir.IntType(32)
        vector = ir.VectorType(context.get_value_type(number), lanes)
        first_lane = ir.Constant(ir.VectorType(index, lanes), None)
        left, panel, start, out = (
            context.make_array(signature.args[k])(context, builder, values[k]) for k in (1, 3, 4, 5)
        )

        def least(a, b):
            return builder.select(builder.icmp_signed("<", a, b), a, b)

        def stride(array, axis):
            return builder.udiv(builder.extract_value(array.strides, axis), integer(size))

        def last_row(array):
            return builder.sub(builder.extract_value(array.shape, 0), integer(1))

        def pointers_to_rows(array, column):
            to_next = stride(array, 0)
            offsets = (builder.mul(least(row, last_row(array)), to_next) for row in chosen)
            return [builder.gep(array.data, [builder.add(each, column)]) for each in offsets]

        def pointers_to_vectors(row):
            offsets = ([integer(v * lanes)] for v in range(vectors))
            return [builder.bitcast(builder.gep(row, o), vector.as_pointer()) for o in offsets]

        def load(row):
            return [builder.load(at, align=size) for at in pointers_to_vectors(row)]

        indices = (builder.add(values[2], integer(row)) for row in range(count))
        chosen = [least(row, last_row(left)) for row in indices]
        lefts = pointers_to_rows(left, integer(0))
        starts = [each for row in pointers_to_rows(start, values[6]) for each in load(row)]
        outs = pointers_to_rows(out, values[6])

        before, loop, after = builder.block, *(builder.append_basic_block() for _ in range(2))
        builder.branch(loop)
        builder.position_at_end(loop)
        k, sums = builder.phi(integer), [builder.phi(vector) for _ in starts]
        weights = load(builder.gep(panel.data, [builder.mul(k, stride(panel, 0))]))
        new = []
        for row in lefts:
            element = builder.load(builder.gep(row, [builder.mul(k, stride(left, 1))]))
            element = builder.insert_element(vector(ir.Undefined), element, index(0))
            element = builder.shuffle_vector(element, element, first_lane)  # in every lane
            for weight in weights:
                product = builder.fmul(element, weight, flags=["contract"])
                new.append(builder.fadd(product, sums[len(new)], flags=["contract"]))
        following = builder.add(k, integer(1))
        at_first, later = [integer(0), *starts], [following, *new]
        for phi, initial, result in zip([k, *sums], at_first, later, strict=True):
            phi.add_incoming(initial, before)
            phi.add_incoming(result, loop)
        inner = builder.extract_value(panel.shape, 0)
        builder.cbranch(builder.icmp_signed("<", following, inner), loop, after)

        builder.position_at_end(after)
        places = (at for row in outs for at in pointers_to_vectors(row))
        for total, at in zip(new, places, strict=True):
            builder.store(total, at, align=size)
        return context.get_dummy_value()

    return types.void(rows, left, first, panel, start, out, column), generate


@compiled
def multiply(left, panels, start, out):
    """Write ``start + left @ matrix`` to ``out``, for a matrix in panels."""
    width = panels.shape[2]
    for p in range(len(panels)):
        if width * panels.itemsize == PANEL_OF_ONE:
            for r in range(len(left)):
                tile(ONE, left, r, panels[p], start, out, p * width)
        else:
            for r in range(0, len(left), ROWS):
                tile(ROWS, left, r, panels[p], start, out, p * width)


@compiled
def add_product(first, end, left, panels, out):
    """Add ``left.T @ right`` to ``out``, for the panels ``first`` to ``end`` of right."""
    width = panels.shape[2]
    part = out[:, first * width : end * width]
    for k in range(0, len(left), MANY):
        multiply(left[k : k + MANY].T, panels[first:end, k : k + MANY], part, part)


def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return ``left.T @ right``; right has whole panels as columns.

    The threads of NumPy's own product wait for the next one in a loop, which takes the processors
    from ours: where there may be several of ours, they do this too (training in two threads: 1.2
    to 2.6). In one thread theirs is as fast, and faster where left is wide.
    """
    (N, K), columns, width = left.shape, right.shape[1], PANEL // right.itemsize
    if K > WIDE or N * K * columns < 2 * WORTH:
        return (right.T @ left).T
    panels = right.reshape(N, columns // width, width).transpose(1, 0, 2)
    out = np.zeros((K, columns), right.dtype)
    parts = parts_of(N * K * columns, len(panels))
    bounds = np.linspace(0, len(panels), parts + 1).astype(int).tolist()
    in_threads(add_product, bounds, left, panels, out)
    return out


def in_panels(matrix: np.ndarray, panel: int = PANEL) -> np.ndarray:
    """Cut a matrix (columns, inner) into panels of its transpose: (panels, inner, width).

    The columns that the last panel has too many are zero.
    """
    columns, inner = matrix.shape
    width = panel // matrix.itemsize
    whole, rest = divmod(columns, width)
    panels = np.zeros((whole + (rest > 0), inner, width), matrix.dtype)
    panels[:whole] = matrix[: whole * width].reshape(whole, width, inner).transpose(0, 2, 1)
    if rest:
        panels[whole, :, :rest] = matrix[whole * width :].T
    return panels


def width_of(panels: np.ndarray) -> int:
    """Return how many columns :func:`multiply` writes."""
    return panels.shape[0] * panels.shape[2]


# --- activations -----------------------------------------------------------------------------


@compiled
def clip(x, limit):
    """Return the nearest number in [-limit, limit]; NaN stays NaN.

    A function of its own, since LLVM makes slower code of the same lines in its caller (the gates'
    part of a step: 1.15).
    """
    x = -limit if x < -limit else x
    return limit if x > limit else x


def exponential(x):
    """Return s and p with exp(x) = s (1 + p), where s is a power of 2, and p small where x is.

    By arithmetic alone, so that loops become vector code: x = n log 2 + r, where adding a large
    number rounds x / log 2 to the integer n and leaves it, with the exponent's bias, in the last
    bits: shifted to the left they are 2ⁿ. p is the Taylor series of exp(r) - 1. x is clipped to
    where s is an ordinary number: no gate is less than 1e-38, and exp(x) is finite.
    """


@overload(exponential)
def _exponential(x):
    number, integer, degree, limit, log_2_high, log_2_low = {
        types.float32: (np.float32, np.int32, 7, 87, 0.693359375, -2.12194440e-4),
        types.float64: (np.float64, np.int64, 13, 708, 0.6931471803691238, 1.908214929e-10),
    }[x]
    bits = np.finfo(number).nmant
    factors = tuple(number(1 / math.factorial(k)) for k in range(degree, 0, -1))
    large = number(1.5 * 2**bits + np.finfo(number).maxexp - 1)
    per_log_2, limit = number(1 / math.log(2)), number(limit)
    # log 2 in two parts, of which the first has so few bits that its product with n is exact.
    log_2_high, log_2_low = number(log_2_high), number(log_2_low)

    def implementation(x):
        x = clip(x, limit)
        shifted = number(x * per_log_2 + large)
        n = shifted - large
        r = (x - n * log_2_high) - n * log_2_low
        series = factors[0]
        for k in range(1, degree):
            series = series * r + factors[k]
        return number(integer(shifted.view(integer) << bits).view(number)), series * r

    return implementation


@compiled
def sigmoid(x):
    """Return 1 / (1 + exp(-x)), with a small relative error also where it is nearly 0."""
    s, p = exponential(-x)
    one = type(x)(1)
    return one / (one + s * (one + p))


@compiled
def tanh(x):
    """Return e / (e + 2) for e = exp(2x) - 1, which is accurate near 0 too."""
    one = type(x)(1)
    s, p = exponential(x + x)
    e = s * p + (s - one)
    return e / (e + one + one)


# --- forward ---------------------------------------------------------------------------------


@compiled
def copy(matrix, to, columns):
    """Copy the first columns; slices instead of loops would double the time of compiling."""
    for r in range(len(matrix)):
        for k in range(columns):
            to[r, k] = matrix[r, k]


@compiled
def forward_steps(
    first, end, sizes, x, W, b, U, W_hr, zero, z, gates, c, c_prev, m, projected, h, keep
):
    """Compute all h of the sequences ``first`` to ``end``.

    With ``keep`` store what the way back needs, else no more than a block.
    """
    (B, H), D, P = c.shape, x.shape[1], h.shape[1]
    whole, c, projected = end - first == B, c[first:end], projected[first:end]
    row = base = ready = before = 0  # gates[0] are those of row base
    for n in sizes:
        at, count = row + min(first, n), min(end, n) - min(first, n)
        if row + n > ready:
            ready = row + max(n, BLOCK // n * n) if whole else at + count
            base = 0 if keep else row
            multiply(x[at:ready], W, b, gates[at - base : ready - base])
        a, kept = gates[at - base : at - base + count], at if keep else at - row
        h_prev, h_t = h[before + at - row :][:count], h[B + at : B + at + count]
        m_t, c_prev_t = m[kept : kept + count] if W_hr.size else h_t, c_prev[kept : kept + count]
        multiply(h_prev, U, a, a)
        if keep:
            copy(h_prev, z[at : at + count, D:], P)
        for r in range(count):
            m_r, c_r, c_prev_r = m_t[r], c[r], c_prev_t[r]
            i, f, g, o = a[r, :H], a[r, H : 2 * H], a[r, 2 * H : 3 * H], a[r, 3 * H :]
            # Two loops need fewer registers at once than one (inference: 1.04 to 1.3).
            for k in range(H):
                i[k], f[k], g[k] = sigmoid(i[k]), sigmoid(f[k]), tanh(g[k])
                c_prev_r[k] = c_r[k]
                c_r[k] = f[k] * c_r[k] + i[k] * g[k]
            for k in range(H):
                o[k] = sigmoid(o[k])
                m_r[k] = o[k] * tanh(c_r[k])
        if W_hr.size:
            multiply(m_t, W_hr, zero, projected)
            copy(projected[:count], h_t, P)
        before, row = B + row, row + n


def forward(weights, x, h, c, sizes, keep):
    """Take the steps forward, as :meth:`lstm.scan.NumpySteps.forward`."""
    W, U, W_hr = (weights.get(name) for name in ("weight_ih", "weight_hh", "weight_hr"))
    (N, D), (B, H), P, dtype = x.shape, c.shape, h.shape[1], x.dtype
    x = np.require(x, requirements="CAW")  # or numba compiles once more, for what it may not write
    panel = PANEL if B > 1 else PANEL_OF_ONE
    U_panels, projects = in_panels(U, panel), W_hr is not None
    W_hr_panels, W_hr_T = (
        (in_panels(W_hr, panel), in_panels(W_hr.T, panel)) if projects else (U_panels[:0],) * 2
    )
    b = np.zeros((1, width_of(U_panels)), dtype)
    if "bias_ih" in weights:
        b[0, : 4 * H] = weights["bias_ih"] + weights["bias_hh"]
    rows = N if keep else B
    z, gates, c_prev, m = arrays(
        dtype,
        (N, P + D + ("bias_ih" in weights)) if keep else (0, 0),
        (N if keep else max(B, BLOCK), b.shape[1]),
        (rows, H),
        (rows if projects else 0, width_of(W_hr_T)),
    )
    if keep:
        z[:, :D], z[:, D + P :] = x, 1
    projected = np.empty((B, width_of(W_hr_panels)), dtype)
    zero = np.zeros((1, projected.shape[1]), dtype)
    weights_of_steps = in_panels(W), b, U_panels, W_hr_panels, zero
    of_rows = z, gates, c, c_prev, m, projected, h
    take(forward_steps, sizes, W.size + U.size, x, *weights_of_steps, *of_rows, keep)
    if not keep:
        return None
    return in_panels(W.T), in_panels(U.T, panel), W_hr_T, D, z, gates, c_prev, m


def arrays(dtype: np.dtype, *shapes: tuple[int, int]) -> list[np.ndarray]:
    """Cut one block of memory into arrays.

    The system gives memory page by page, each at its first use, for 3 microseconds; a C library
    keeps some for the next pass, but not many blocks together (1.3 at B, T, D, H = 32, 200, 128,
    128).
    """
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    parts = np.split(np.empty(ends[-1], dtype), ends[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def take(steps, sizes, work_of_row, *arguments):
    """Take the steps, of a large batch in several threads, each with its own sequences.

    No sequence needs the numbers of another, so no thread waits for another, and the bits do not
    depend on how many there are.
    """
    B = int(sizes[0]) if len(sizes) else 0
    bounds, parts = [0, B], parts_of(int(sizes.sum()) * work_of_row, B // ROWS)
    if parts > 1:
        done = np.cumsum(np.searchsorted(-sizes, -np.arange(B)))  # steps of the first r sequences
        shares = done[-1] * np.arange(1, parts) / parts
        cuts = np.rint((np.searchsorted(done, shares) + 1) / ROWS).astype(int) * ROWS
        bounds = sorted({0, *cuts.clip(0, B).tolist(), B})
    in_threads(steps, bounds, sizes, *arguments)


def parts_of(work: int, most: int) -> int:
    """Return in how many parts, ``most`` at most, so many multiplications are worth doing."""
    return max(1, min(threads(), most, work // WORTH))


def in_threads(function, bounds: list[int], *arguments) -> None:
    """Call ``function`` for each part, from one bound to the next, all at once."""
    mine, *others = pairwise(bounds)
    others = [threading.Thread(target=function, args=(*part, *arguments)) for part in others]
    for thread in others:
        thread.start()
    function(*mine, *arguments)
    for thread in others:
        thread.join()


# --- backward --------------------------------------------------------------------------------


@compiled
def backward_steps(
    first, end, sizes, W, U, W_hr, zero, gates, c_prev, d_output, d_h, d_c, d_h_all, d_m, d_x
):
    """Replace gates by the gradients of their preactivations, d_h and d_c by the first step's.

    Those of the sequences ``first`` to ``end``.
    """
    (B, H), P, one = d_c.shape, d_output.shape[1], c_prev.dtype.type(1)
    whole, d_h, d_c, d_m = end - first == B, d_h[first:end], d_c[first:end], d_m[first:end]
    row = done = len(gates)
    for n in sizes[::-1]:
        row -= n
        at, count = row + min(first, n), min(end, n) - min(first, n)
        a, c_prev_t = gates[at : at + count], c_prev[at : at + count]
        d_output_t = d_output[at : at + count]
        for r in range(count):
            d_h_r, d_output_r = d_h[r], d_output_t[r]
            for k in range(P):
                d_h_r[k] += d_output_r[k]
        if W_hr.size:
            copy(d_h[:count], d_h_all[at : at + count], P)
            multiply(d_h[:count], W_hr, zero, d_m)
        for r in range(count):
            d_m_r = d_m[r] if W_hr.size else d_h[r]
            d_c_r, c_prev_r = d_c[r], c_prev_t[r]
            i, f, g, o = a[r, :H], a[r, H : 2 * H], a[r, 2 * H : 3 * H], a[r, 3 * H :]
            for k in range(H):
                i_k, f_k, g_k, o_k, d = i[k], f[k], g[k], o[k], d_m_r[k]
                tanh_c = tanh(f_k * c_prev_r[k] + i_k * g_k)
                o[k] = d * tanh_c * o_k * (one - o_k)
                d = d_c_r[k] + d * o_k * (one - tanh_c * tanh_c)
                i[k] = d * g_k * i_k * (one - i_k)
                f[k] = d * c_prev_r[k] * f_k * (one - f_k)
                g[k] = d * i_k * (one - g_k * g_k)
                d_c_r[k] = d * f_k
        multiply(a, U, zero, d_h)
        done = done if whole else at + count
        if done - at >= BLOCK or row == 0 or not whole:
            multiply(gates[at:done], W, zero, d_x[at:done])
            done = at


def backward(kept, sizes, d_output, d_h_n, d_c):
    """Take the steps backward, as :meth:`lstm.scan.NumpySteps.backward`."""
    W, U, W_hr, D, z, gates, c_prev, m = kept
    (B, H), P, N, dtype = d_c.shape, d_h_n.shape[1], len(gates), gates.dtype
    d_h, d_m = np.empty((B, width_of(U)), dtype), np.empty((B, width_of(W_hr)), dtype)
    d_h[:, :P] = d_h_n
    if d_output is None:
        d_output = np.zeros((N, P), dtype)
    d_output = np.require(d_output, requirements="CAW")
    d_h_all, d_x = np.empty((N if W_hr.size else 0, P), dtype), np.empty((N, width_of(W)), dtype)
    zero = np.zeros((1, max(d_h.shape[1], d_m.shape[1], d_x.shape[1])), dtype)
    changed = gates, c_prev, d_output, d_h, d_c, d_h_all, d_m, d_x
    take(backward_steps, sizes, W.size + U.size, W, U, W_hr, zero, *changed)

    d_V, d_W_hr = product(z, gates)[:, : 4 * H].T, None  # one product for W, U and b
    if W_hr.size:
        d_W_hr = product(d_h_all, m)[:, :H]
    return d_x[:, :D], d_h[:, :P], d_V, d_W_hr
