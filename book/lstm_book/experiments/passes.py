"""Forward and backward passes of four small recurrent networks, compiled by numba.

Some thousand trainings of networks with 16 to 33 units take hours step by step in NumPy; here a
step takes a few microseconds. All four kinds have one matrix M for everything that they read:
column t of what a sequence shows holds h_{t-1}, the two inputs and a 1, so that one product gives
all preactivations, and another one the gradient of M. What a kind does not read (:func:`mask`)
stays zero.

========  ================================  ==============================================
kind      blocks of H rows                  step
========  ================================  ==============================================
rnn       n                                 h = act(n)
leaky     k (reads nothing: a bias), n      h = k h + (1 - k) tanh(n)
gru       r, z, n from h, n from x          h = z h + (1 - z) tanh(n_x + r n_h)
lstm      i, f, g, o                        c = f c + i act(g), h = o out(c)
========  ================================  ==============================================
"""

from __future__ import annotations

import numpy as np

from lstm.compiled import PANEL, compiled, multiply, sigmoid, tanh

INPUT_SIZE = 2
KINDS = {"rnn": 1, "leaky": 2, "gru": 4, "lstm": 4}
"""Kind → blocks of rows in its matrix."""
RNN, LEAKY, GRU, LSTM = range(4)
ACTIVATIONS = ("tanh", "relu", "identity")
TANH, RELU, IDENTITY = range(3)


def mask(kind: str, hidden_size: int) -> np.ndarray:
    """Return which weights a kind has: 1 or 0, in the shape (blocks · H, H + 3) of its matrix."""
    H = hidden_size
    M = np.ones((KINDS[kind] * H, H + INPUT_SIZE + 1))
    if kind == "leaky":
        M[:H, :-1] = 0
    if kind == "gru":
        M[2 * H : 3 * H, H:-1] = 0  # from h, with a bias of its own, as in PyTorch
        M[3 * H :, :H] = 0
    return M


# Loops without a branch become vector code: the branches stand around them. They do not, where an
# array is read and written under two names: so no `to` is one of the arrays that are read.


@compiled
def squash(code, x, to):
    """Write the activation of x."""
    zero = type(x[0])(0)
    if code == TANH:
        for k in range(len(x)):
            to[k] = tanh(x[k])
    elif code == RELU:
        for k in range(len(x)):
            to[k] = x[k] if x[k] > zero else zero
    else:
        for k in range(len(x)):
            to[k] = x[k]


@compiled
def slope(code, y, to):
    """Write the derivative of the activation whose value is y."""
    zero, one = type(y[0])(0), type(y[0])(1)
    if code == TANH:
        for k in range(len(y)):
            to[k] = one - y[k] * y[k]
    elif code == RELU:
        for k in range(len(y)):
            to[k] = one if y[k] > zero else zero
    else:
        for k in range(len(y)):
            to[k] = one


@compiled
def step(kind, act, out, a, h, c, h_next, c_next):
    """Take one step; ``a`` becomes what the gates and the candidate are."""
    n, one = len(h), type(h[0])(1)
    first, second, third, fourth = a[:n], a[n : 2 * n], a[2 * n : 3 * n], a[3 * n :]
    if kind == RNN:
        squash(act, first, h_next)
        for k in range(n):
            first[k] = h_next[k]
    elif kind == LEAKY:
        for k in range(n):
            first[k], second[k] = sigmoid(first[k]), tanh(second[k])
            h_next[k] = first[k] * h[k] + (one - first[k]) * second[k]
    elif kind == GRU:
        for k in range(n):
            first[k], second[k] = sigmoid(first[k]), sigmoid(second[k])
        for k in range(n):
            fourth[k] = tanh(fourth[k] + first[k] * third[k])
            h_next[k] = second[k] * h[k] + (one - second[k]) * fourth[k]
    else:
        squash(act, third, h_next)
        for k in range(n):
            first[k], second[k], third[k] = sigmoid(first[k]), sigmoid(second[k]), h_next[k]
            c_next[k] = second[k] * c[k] + first[k] * third[k]
        squash(out, c_next, h_next)
        for k in range(n):
            fourth[k] = sigmoid(fourth[k])
            h_next[k] *= fourth[k]


@compiled
def step_back(kind, act, out, a, h, c, c_next, d_h, d_c, y, s):
    """Make ``a`` its gradient, and d_h and d_c what reaches the state before, past the matrix."""
    n, zero, one = len(h), type(h[0])(0), type(h[0])(1)
    first, second, third, fourth = a[:n], a[n : 2 * n], a[2 * n : 3 * n], a[3 * n :]
    if kind == RNN:
        slope(act, first, s)
        for k in range(n):
            first[k] = d_h[k] * s[k]
            d_h[k] = zero
    elif kind == LEAKY:
        for k in range(n):
            keep, candidate, d = first[k], second[k], d_h[k]
            first[k] = d * (h[k] - candidate) * keep * (one - keep)
            second[k] = d * (one - keep) * (one - candidate * candidate)
            d_h[k] = d * keep
    elif kind == GRU:
        for k in range(n):
            r, z, n_h, candidate, d = first[k], second[k], third[k], fourth[k], d_h[k]
            d_n = d * (one - z) * (one - candidate * candidate)
            first[k] = d_n * n_h * r * (one - r)
            second[k] = d * (h[k] - candidate) * z * (one - z)
            third[k] = d_n * r
            fourth[k] = d_n
            d_h[k] = d * z
    else:
        squash(out, c_next, y)
        slope(out, y, s)
        for k in range(n):
            o, d = fourth[k], d_h[k]
            fourth[k] = d * y[k] * o * (one - o)
            d_c[k] += d * o * s[k]
            d_h[k] = zero
        slope(act, third, s)
        for k in range(n):
            i, f, g, d = first[k], second[k], third[k], d_c[k]
            first[k] = d * g * i * (one - i)
            second[k] = d * c[k] * f * (one - f)
            third[k] = d * i * s[k]
            d_c[k] = d * f


@compiled
def forward_steps(codes, M, start, z, gates, c):
    """Fill the h of ``z[1:]``, ``gates`` and ``c[1:]``."""
    kind, act, out = codes
    H = c.shape[2]
    for t in range(len(gates)):
        for p in range(z.shape[1]):
            multiply(M, z[t, p : p + 1], start, gates[t, p])
            h, h_next = z[t, p, :H].reshape(-1), z[t + 1, p, :H].reshape(-1)
            before, after = c[t, p].reshape(-1), c[t + 1, p].reshape(-1)
            step(kind, act, out, gates[t, p].reshape(-1), h, before, h_next, after)


@compiled
def backward_steps(codes, U_T, start, z, gates, c, d_h, d_c, first, through, y, s):
    """Make ``gates`` their gradients; copy those of the state after the first step to ``first``."""
    kind, act, out = codes
    H = c.shape[2]
    for t in range(len(gates) - 1, -1, -1):
        for p in range(z.shape[1]):
            a, h = gates[t, p].reshape(-1), z[t, p, :H].reshape(-1)
            before, after = c[t, p].reshape(-1), c[t + 1, p].reshape(-1)
            d_h_p, d_c_p = d_h[p].reshape(-1), d_c[p].reshape(-1)
            if t == 0:
                first_h, first_c = first[0, p].reshape(-1), first[1, p].reshape(-1)
                for k in range(len(h)):
                    first_h[k], first_c[k] = d_h_p[k], d_c_p[k]
            step_back(kind, act, out, a, h, before, after, d_h_p, d_c_p, y, s)
            if t > 0:
                multiply(U_T, gates[t, p : p + 1], start, through)
                more = through.reshape(-1)
                for k in range(len(more)):
                    d_h_p[k] += more[k]


class Passes:
    """Both passes over B sequences of T steps, with the memory that they need.

    Parameters
    ----------
    kind : str
        A key of ``KINDS``.
    hidden_size, steps, batch : int
        H, T and B, a multiple of 32.
    activation, output_activation : str
        Of the plain network or the LSTM's candidate, and of the LSTM's cell state.
    dtype : dtype
        float32 or float64.
    """

    def __init__(
        self,
        kind: str,
        hidden_size: int,
        steps: int,
        batch: int,
        activation: str = "tanh",
        output_activation: str = "tanh",
        dtype: np.dtype | type = np.float32,
    ) -> None:
        H, blocks = hidden_size, KINDS[kind]
        self.codes = (
            list(KINDS).index(kind),
            ACTIVATIONS.index(activation),
            ACTIVATIONS.index(output_activation),
        )
        # Sequences are the last axis, in panels as wide as the products of the engine want them.
        width = PANEL // np.dtype(dtype).itemsize
        self.shape = (steps, batch // width, width)
        shape, panels = (steps + 1, batch // width), batch // width
        self.z = np.zeros((*shape, H + INPUT_SIZE + 1, width), dtype)
        self.z[:, :, -1] = 1
        self.c = np.zeros((*shape, H, width), dtype)
        self.gates = np.zeros((steps, panels, blocks * H, width), dtype)
        self.d_state, self.d_first = np.zeros((2, 2, panels, H, width), dtype)
        self.start = np.zeros((1, width), dtype)
        self.rest = np.zeros((H, width), dtype), *np.zeros((2, H * width), dtype)

    @property
    def hidden_size(self) -> int:
        """Units H."""
        return self.c.shape[2]

    def forward(self, M: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Read x (T, B, 2) from a state of zeros; return h_T, (B, H)."""
        H = self.hidden_size
        self.z[:-1, :, H:-1] = x.reshape(*self.shape, INPUT_SIZE).swapaxes(2, 3)
        forward_steps(self.codes, M, self.start, self.z, self.gates, self.c)
        return self.z[-1, :, :H].swapaxes(1, 2).reshape(-1, H)

    def keep(self) -> np.ndarray | None:
        """Return, after the pass forward, what multiplies the old state: mean for each unit."""
        block = {LEAKY: 0, GRU: 1, LSTM: 1}.get(self.codes[0])
        if block is None:
            return None
        H = self.hidden_size
        return self.gates[:, :, block * H : (block + 1) * H].mean((0, 1, 3))

    def backward(self, M: np.ndarray, d_h: np.ndarray) -> np.ndarray:
        """Return the gradient of M, given that of h_T, (B, H); once for each pass forward."""
        H = self.hidden_size
        self.d_state[0] = d_h.reshape(*self.shape[1:], H).swapaxes(1, 2)
        self.d_state[1] = 0
        U_T = np.ascontiguousarray(M[:, :H].T)
        arrays = self.z, self.gates, self.c, *self.d_state, self.d_first
        backward_steps(self.codes, U_T, self.start, *arrays, *self.rest)
        products = self.gates @ self.z[:-1].mT
        return products.reshape(-1, M.size).sum(0).reshape(M.shape)

    def share(self, d_h: np.ndarray) -> float:
        """Return, after the pass backward, how much of d_h reached the state after the first step.

        That is the norm of the gradient of (h_1, c_1) over that of h_T, each the mean over the
        sequences.
        """
        # In float64: the square of 1e-25 is 0 in float32.
        first = np.sqrt(np.square(self.d_first, dtype=float).sum((0, 2))).mean()
        last = np.linalg.norm(d_h, axis=1).mean()
        return float(first / last) if last > 0 else 0.0
