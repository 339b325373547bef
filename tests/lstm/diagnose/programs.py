"""Programs as people publish them, rebuilt from their description: the file, and what is said."""

from __future__ import annotations

SIGMOID = """
import numpy as np

def sigmoid(x):
    return 1 / (1 + np.exp(-x))
"""
# A cell as a class, its gates in four matrices, [h, x] in columns, with an output layer.
COLUMNS = """
class LSTMCell:
    def __init__(self, input_size, hidden_size):
        for gate in "figo":
            setattr(self, "W" + gate, np.random.randn(hidden_size, hidden_size + input_size))
            setattr(self, "b" + gate, np.zeros((hidden_size, 1)))
        self.Wy = np.random.randn(2, hidden_size)

    def forward(self, x, h_prev, c_prev):
        z = np.vstack([h_prev, x])
        f, i = sigmoid(self.Wf @ z + self.bf), sigmoid(self.Wi @ z + self.bi)
        g, o = np.tanh(self.Wg @ z + self.bg), sigmoid(self.Wo @ z + self.bo)
        c = f * c_prev + i * g
        h = o * np.tanh(c)
        return h, c, self.Wy @ h
"""
# A layer in the style of a textbook: parameters and gradients in lists, order f, g, i, o.
LISTS = """
class LSTM:
    def __init__(self, Wx, Wh, b):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)]

    def forward(self, x, h_prev, c_prev):
        Wx, Wh, b = self.params
        f, g, i, o = np.split(x @ Wx + h_prev @ Wh + b, 4, axis=1)
        f, g, i, o = sigmoid(f), np.tanh(g), sigmoid(i), sigmoid(o)
        c = f * c_prev + g * i
        self.cache = x, h_prev, c_prev, i, f, g, o, c
        return o * np.tanh(c), c

    def backward(self, dh, dc):
        Wx, Wh, b = self.params
        x, h_prev, c_prev, i, f, g, o, c = self.cache
        ds = dc + dh * o * (1 - np.tanh(c) ** 2)
        di, df, dg = ds * g * i * (1 - i), ds * c_prev * f * (1 - f), ds * i * (1 - g**2)
        da = np.hstack([df, dg, di, dh * np.tanh(c) * o * (1 - o)])
        for grad, value in zip(self.grads, (x.T @ da, h_prev.T @ da, da.sum(axis=0))):
            grad[...] = value
        return da @ Wx.T, da @ Wh.T, ds * f
"""
# A course's two functions with a cache, and its loops over time; dc is changed in place.
COURSE = """
def step_forward(x, prev_h, prev_c, Wx, Wh, b):
    i, f, o, g = np.split(x.dot(Wx) + prev_h.dot(Wh) + b, 4, axis=1)
    i, f, o, g = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(g)
    next_c = f * prev_c + i * g
    next_h = o * np.tanh(next_c)
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, next_c)

def step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, next_c = cache
    dnext_c += dnext_h * o * (1 - np.tanh(next_c) ** 2)
    do, df, di, dg = dnext_h * np.tanh(next_c), dnext_c * prev_c, dnext_c * g, dnext_c * i
    da = np.hstack([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)])
    return da @ Wx.T, da @ Wh.T, dnext_c * f, x.T @ da, prev_h.T @ da, da.sum(axis=0)

def lstm_forward(x, h0, Wx, Wh, b):
    h, c, outputs, caches = h0, np.zeros_like(h0), [], []
    for t in range(x.shape[1]):
        h, c, cache = step_forward(x[:, t], h, c, Wx, Wh, b)
        outputs.append(h)
        caches.append(cache)
    return np.stack(outputs, axis=1), caches

def lstm_backward(dh, caches):
    dprev, dc, dx, dWx, dWh, db = np.zeros_like(dh[:, 0]), np.zeros_like(dh[:, 0]), [], 0, 0, 0
    for t in reversed(range(dh.shape[1])):
        now, dprev, dc, *more = step_backward(dh[:, t] + dprev, dc, caches[t])
        dx.append(now)
        dWx, dWh, db = dWx + more[0], dWh + more[1], db + more[2]
    return np.stack(dx[::-1], axis=1), dprev, dWx, dWh, db
"""
# Weights around a function that takes columns, one at a time, and returns a list.
GLOBALS = """
H, D = 5, 2
Wf, Wi, Wc, Wo = (np.random.randn(H, H + D) for _ in range(4))
bf, bi, bc, bo = (np.zeros((H, 1)) for _ in range(4))

def forward(xs):
    h, c, outputs = np.zeros((H, 1)), np.zeros((H, 1)), []
    for x in xs:
        z = np.vstack((h, x.reshape(D, 1)))
        f, i, o = sigmoid(Wf @ z + bf), sigmoid(Wi @ z + bi), sigmoid(Wo @ z + bo)
        c = f * c + i * np.tanh(Wc @ z + bc)
        h = o * np.tanh(c)
        outputs.append(h)
    return outputs, c
"""
TORCH = """
import torch

class LSTM(torch.nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.x2h = torch.nn.Linear(input_size, 4 * hidden_size)
        self.h2h = torch.nn.Linear(hidden_size, 4 * hidden_size, bias=False)

    def forward(self, x, hidden):
        h, c = hidden
        i, f, g, o = (self.x2h(x) + self.h2h(h)).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c
"""
STATE = """
class LSTM:
    def __init__(self, input_size, hidden_size):
        for gate in "ifco":
            setattr(self, "W" + gate, np.random.randn(hidden_size, input_size))
            setattr(self, "U" + gate, np.random.randn(hidden_size, hidden_size))
        self.h, self.c = np.zeros((hidden_size, 1)), np.zeros((hidden_size, 1))

    def forward(self, xs):
        outputs = []
        for x in xs:
            f, i = self.Wf @ x + self.Uf @ self.h, self.Wi @ x + self.Ui @ self.h
            g, o = self.Wc @ x + self.Uc @ self.h, self.Wo @ x + self.Uo @ self.h
            self.c = sigmoid(f) * self.c + sigmoid(i) * np.tanh(g)
            self.h = sigmoid(o) * np.tanh(self.c)
            outputs.append(self.h)
        return outputs
"""

# Long names for the two states, forward and backward; gradients are left in attributes.
MEMORIES = """
class Cell:
    def __init__(self, input_size, memory_size):
        self.size = memory_size
        for gate in "fico":
            setattr(self, "W" + gate, np.random.randn(memory_size, memory_size + input_size))
            setattr(self, "b" + gate, np.zeros((memory_size, 1)))

    def forward(self, x, short_memory, long_memory):
        z = np.vstack((short_memory, x))
        f, i, o = (sigmoid(getattr(self, "W" + n) @ z + getattr(self, "b" + n)) for n in "fio")
        g, old = np.tanh(self.Wc @ z + self.bc), long_memory
        new = f * old + i * g
        self.kept = z, f, i, g, o, old, new
        return o * np.tanh(new), new

    def backward(self, d_short_memory, d_long_memory_next):
        z, f, i, g, o, old, new = self.kept
        d = d_long_memory_next + d_short_memory * o * (1 - np.tanh(new) ** 2)
        d_f, d_i, d_c = d * old * f * (1 - f), d * g * i * (1 - i), d * i * (1 - g**2)
        d_o = d_short_memory * np.tanh(new) * o * (1 - o)
        for name, value in zip("fico", (d_f, d_i, d_c, d_o)):
            setattr(self, "dW" + name, value @ z.T)
            setattr(self, "db" + name, value.sum(axis=1, keepdims=True))
"""

# One matrix, and its gates as attributes that are views of it; a backward pass of the inputs alone.
VIEWS = """
class Cell:
    def __init__(self, input_size, hidden_size):
        self.n = n = hidden_size
        self.W = np.random.randn(input_size + n, 4 * n)
        self.Wf, self.Wi, self.Wg, self.Wo = np.split(self.W, 4, axis=1)

    def forward(self, x, h, c):
        self.kept = f, i, g, o = np.split(np.concatenate([x, h], axis=1) @ self.W, 4, axis=1)
        self.old, self.new = c, sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(self.new), self.new

    def backward(self, dh, dc):
        f, i, g, o = self.kept
        f, i, g, o, t = sigmoid(f), sigmoid(i), np.tanh(g), sigmoid(o), np.tanh(self.new)
        d = dc + dh * o * (1 - t**2)
        da = [d * self.old * f * (1 - f), d * g * i * (1 - i), d * i * (1 - g**2)]
        dz = np.hstack([*da, dh * t * o * (1 - o)]) @ self.W.T
        return dz[:, :-self.n], dz[:, -self.n:], d * f
"""
# A plain object that holds tensors.
TENSORS = """
import torch

class Cell:
    def __init__(self, input_size, hidden_size):
        self.W = torch.randn(4 * hidden_size, input_size + hidden_size, requires_grad=True)

    def forward(self, x, h_prev, c_prev):
        f, i, g, o = (self.W @ torch.cat((h_prev, x), dim=0)).chunk(4, dim=0)
        c = torch.sigmoid(f) * c_prev + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c
"""
# Tokens; h is kept in an object that the functions share.
SHARED = """
class Net:
    pass

net, V, H = Net(), 5, 4
net.U, net.W, net.Y = np.random.randn(4 * H, V), np.random.randn(4 * H, H), np.random.randn(V, H)
net.h = np.zeros(H)

def run(tokens):
    h, c, states = net.h, np.zeros(H), []
    for t in tokens:
        i, f, o, g = np.split(net.U[:, t] + net.W @ h, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        states.append(h)
    net.h = h
    return states
"""

# Peepholes in code that only runs sequences: the cell state is never seen.
PEEPHOLES = """
class LSTM:
    def __init__(self, input_size, hidden_size):
        for gate in "ifgo":
            setattr(self, "W" + gate, np.random.randn(input_size, hidden_size))
            setattr(self, "U" + gate, np.random.randn(hidden_size, hidden_size))
            setattr(self, "p" + gate, np.random.randn(hidden_size))

    def forward(self, xs):
        c, outputs = 0 * (xs[0] @ self.Wi), []
        h = c
        for x in xs:
            a = {gate: x @ getattr(self, "W" + gate) + h @ getattr(self, "U" + gate)
                 for gate in "ifgo"}
            f, i = sigmoid(a["f"] + self.pf * c), sigmoid(a["i"] + self.pi * c)
            c = f * c + i * np.tanh(a["g"])
            h = sigmoid(a["o"] + self.po * c) * np.tanh(c)
            outputs.append(h)
        return outputs
"""
OUTPUT_GATE = 'sigmoid(a["o"] + self.po * c)'
PEEPHOLE_STEP = """
def step(x, h, c, W, U, pi, pf, po):
    i, f, g, o = np.split(x @ W + h @ U, 4, axis=1)
    new = sigmoid(f + pf * c) * c + sigmoid(i + pi * c) * np.tanh(g)
    return sigmoid(o + po * new) * np.tanh(new), new
"""
# Lists of numbers, and one unit after the other.
NUMBERS = """
import math, random

def dot(row, z):
    return sum(w * value for w, value in zip(row, z))

class LSTM:
    def __init__(self, input_size, hidden_size):
        self.n = hidden_size
        for gate in "ifgo":
            rows = [[random.gauss(0, 1) for _ in range(input_size + self.n)] for _ in range(self.n)]
            setattr(self, "W" + gate, rows)

    def step(self, x, h, c):
        z, states, outputs = [*x, *h], [], []
        for k in range(self.n):
            i, f, o = (sigmoid(dot(W[k], z)) for W in (self.Wi, self.Wf, self.Wo))
            states.append(f * c[k] + i * math.tanh(dot(self.Wg[k], z)))
            outputs.append(o * math.tanh(states[-1]))
        return outputs, states
"""
# No memory cell at all.
GRU = """
class LSTMCell:
    def __init__(self, input_size, hidden_size):
        self.W = np.random.randn(3 * hidden_size, input_size)
        self.U = np.random.randn(3 * hidden_size, hidden_size)

    def forward(self, x, h):
        (z, r, n), (u, v, w) = np.split(self.W @ x, 3), np.split(self.U @ h, 3)
        z, r = sigmoid(z + u), sigmoid(r + v)
        return (1 - z) * h + z * np.tanh(n + r * w)
"""
# Three blocks for four gates, as a module.
COUPLED = """
import torch

class Cell(torch.nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.all = torch.nn.Linear(input_size + hidden_size, 3 * hidden_size)

    def forward(self, x, state):
        i, o, g = self.all(torch.cat([x, state[0]], -1)).chunk(3, -1)
        c = (1 - i.sigmoid()) * state[1] + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c
"""
# Gradients in a tuple of dicts, a dict for each kind of weight.
DICTS = """
class LSTM:
    def __init__(self, input_size, hidden_size):
        self.W = {k: np.random.randn(hidden_size, input_size) for k in "ifgo"}
        self.U = {k: np.random.randn(hidden_size, hidden_size) for k in "ifgo"}
        self.n = hidden_size

    def forward(self, xs):
        self.xs, self.h, self.c, self.gates = xs, {-1: np.zeros((self.n, 1))}, {}, []
        self.c[-1] = self.h[-1]
        for t, x in enumerate(xs):
            a = {k: self.W[k] @ x + self.U[k] @ self.h[t - 1] for k in "ifgo"}
            i, f, g, o = sigmoid(a["i"]), sigmoid(a["f"]), np.tanh(a["g"]), sigmoid(a["o"])
            self.c[t] = f * self.c[t - 1] + i * g
            self.h[t] = o * np.tanh(self.c[t])
            self.gates.append((i, f, g, o))
        return [self.h[t] for t in range(len(xs))]

    def backward(self, dh):
        dW, dU = ({k: 0 * a for k, a in kind.items()} for kind in (self.W, self.U))
        dh_next = dc_next = np.zeros((self.n, 1))
        for t in reversed(range(len(self.xs))):
            (i, f, g, o), d = self.gates[t], dh[t] + dh_next
            dc = dc_next + d * o * (1 - np.tanh(self.c[t]) ** 2)
            da = {"i": dc * g * i * (1 - i), "f": dc * self.c[t - 1] * f * (1 - f),
                  "g": dc * i * (1 - g**2), "o": d * np.tanh(self.c[t]) * o * (1 - o)}
            for k, value in da.items():
                dW[k] += value @ self.xs[t].T
                dU[k] += value @ self.h[t - 1].T
            dh_next, dc_next = sum(self.U[k].T @ value for k, value in da.items()), dc * f
        return dW, dU
"""

# One step a layer, and a loop over them with its own backward pass.
TIME = (
    LISTS
    + """
class TimeLSTM:
    def __init__(self, Wx, Wh, b):
        self.params = [Wx, Wh, b]
        self.grads = [0 * a for a in self.params]

    def forward(self, xs):
        self.layers, h = [], np.zeros((len(xs), len(self.params[1])))
        c, outputs = h, []
        for t in range(xs.shape[1]):
            self.layers.append(LSTM(*self.params))
            h, c = self.layers[-1].forward(xs[:, t], h, c)
            outputs.append(h)
        return np.stack(outputs, axis=1)

    def backward(self, dhs):
        dh, dc = 0, 0
        self.grads = [0 * a for a in self.params]
        for t in reversed(range(dhs.shape[1])):
            dx, dh, dc = self.layers[t].backward(dhs[:, t] + dh, dc)
            for total, grad in zip(self.grads, self.layers[t].grads):
                total += grad
"""
)
# Four matrices in one array.
CUBES = """
class LSTM:
    def __init__(self, input_size, hidden_size):
        self.U = np.random.randn(4, hidden_size, input_size)
        self.W = np.random.randn(4, hidden_size, hidden_size)

    def forward(self, xs):
        h, c, outputs = np.zeros(len(self.W[0])), 0, []
        for x in xs:
            i, f, o, g = self.U @ x + self.W @ h
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            outputs.append(h)
        return outputs
"""
# Gradients are added up until they are cleared.
ADDED = (
    LISTS.replace("grad[...] =", "grad +=")
    + """
    def zero_grad(self):
        self.grads = [0 * a for a in self.params]
"""
)
# All weights in one vector.
VECTOR = """
class LSTM:
    def __init__(self, num_inputs, num_cells):
        self.shape = num_cells, num_inputs + num_cells + 1
        self.theta = np.random.randn(4 * np.prod(self.shape))

    def step(self, x, h, c):
        W = self.theta.reshape(4, *self.shape)
        f, i, g, o = W @ np.hstack([x, h, np.ones((len(x), 1))]).T
        c = sigmoid(f.T) * c + sigmoid(i.T) * np.tanh(g.T)
        return sigmoid(o.T) * np.tanh(c), c
"""
# A function of PyTorch with a backward pass of its own.
FUNCTION = """
import torch

class Gates(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, c):
        i, f, o, g = a.chunk(4, dim=1)
        i, f, o, g = i.sigmoid(), f.sigmoid(), o.sigmoid(), g.tanh()
        new = f * c + i * g
        ctx.save_for_backward(i, f, o, g, c, new)
        return o * new.tanh(), new

    @staticmethod
    def backward(ctx, dh, dc):
        i, f, o, g, c, new = ctx.saved_tensors
        d = dc + dh * o * (1 - new.tanh() ** 2)
        di, df, dg = d * g * i * (1 - i), d * c * f * (1 - f), d * i * (1 - g**2)
        return torch.cat([di, df, dh * new.tanh() * o * (1 - o), dg], dim=1), d * f

class LSTM(torch.nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.all = torch.nn.Linear(input_size + hidden_size, 4 * hidden_size)

    def forward(self, x, state):
        return Gates.apply(self.all(torch.cat([x, state[0]], 1)), state[1])
"""

# A pure function; its weights stand beside it, and the pair that is carried begins with c.
PURE = """
params = [np.random.randn(8, 20), np.random.randn(20)]

def lstm_step(params, carry, x):
    c, h = carry
    i, g, f, o = np.split(np.concatenate([x, h], axis=-1) @ params[0] + params[1], 4, axis=-1)
    c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return (c, h), h
"""
# Two layers at once.
LAYERS = """
class Stacked:
    def __init__(self, input_size, hidden_size):
        self.n, self.W = hidden_size, [np.random.randn(input_size + hidden_size, 4 * hidden_size)]
        self.W.append(np.random.randn(2 * hidden_size, 4 * hidden_size))

    def forward(self, xs):
        for W in self.W:
            h, c, outputs = np.zeros((xs.shape[1], self.n)), 0, []
            for x in xs:
                i, f, g, o = np.split(np.concatenate([x, h], axis=1) @ W, 4, axis=1)
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(c)
                outputs.append(h)
            xs = np.stack(outputs)
        return xs
"""


def changed(program: str, old: str, new: str) -> str:
    """Return a program with one line of it changed."""
    assert program.count(old) == 1, old
    return program.replace(old, new)


# Name → (file, what in it, whether it is right, what must be named).
PROGRAMS: dict[str, tuple[str, str | None, bool, str]] = {
    "columns": (COLUMNS, "LSTMCell", True, ""),
    "lists": (LISTS, "LSTM", True, ""),
    "step of a course": (COURSE, "step_forward", True, ""),
    "sequence of a course": (COURSE, "lstm_forward", True, ""),
    "globals": (GLOBALS, "forward", True, ""),
    "torch": (TORCH, "LSTM", True, ""),
    "long names": (MEMORIES, "Cell", True, ""),
    "long names, copied line": (
        changed(MEMORIES, "d * i * (1 - g**2)", "d * i * (1 - np.tanh(g) ** 2)"),
        "Cell", False, "already activated (g)",
    ),
    "views": (VIEWS, "Cell", True, ""),
    "tensors": (TENSORS, "Cell", True, "by autograd, is that of its own"),
    "output beside a pair": (
        changed(TORCH, "torch.tanh(c), c", "torch.tanh(c), (torch.sigmoid(o) * torch.tanh(c), c)"),
        "LSTM", True, "is that of its own",
    ),
    "state in a shared object": (SHARED, "run", False, "a state is left over"),
    "state left over": (STATE, "LSTM", False, "a state is left over"),
    "no tanh on the way out": (
        changed(COLUMNS, "h = o * np.tanh(c)", "h = o * c"),
        "LSTMCell", False, "no tanh on the way out",
    ),
    "tanh(c) carried": (
        changed(COLUMNS, "c = f * c_prev + i * g", "c = np.tanh(f * c_prev + i * g)"),
        "LSTMCell", False, "the state carried is tanh(c)",
    ),
    "i from f, activated": (
        changed(LISTS, "np.tanh(g), sigmoid(i)", "np.tanh(g), sigmoid(sigmoid(f))"),
        "LSTM", False, "read the same preactivation",
    ),
    "another gate's weights": (
        changed(COLUMNS, "sigmoid(self.Wo @ z", "sigmoid(self.Wi @ z"),
        "LSTMCell", False, "weights of one gate in another",
    ),
    "coupled": (
        changed(COLUMNS, "sigmoid(self.Wi @ z + self.bi)", "1 - sigmoid(self.Wf @ z + self.bf)"),
        "LSTMCell", False, "coupled gates",
    ),
    "derivative of an activated value": (
        changed(COURSE, "di * i * (1 - i)", "di * sigmoid(i) * (1 - sigmoid(i))"),
        "step_forward", False, "already activated",
    ),
    "peepholes in a sequence": (
        PEEPHOLES, "LSTM", False, "pf in the forget gate, po in the output gate"
    ),
    "peepholes on the old cell state": (
        changed(
            changed(PEEPHOLES, f"h = {OUTPUT_GATE}", "h = o"),
            "c = f * c +", f"o = {OUTPUT_GATE}\n            c = f * c +",
        ),
        "LSTM", False, "the output gate sees the old cell state",
    ),
    "peepholes of a step": (
        PEEPHOLE_STEP, "step", False, "pf in the forget gate, po in the output gate"
    ),
    "peepholes of a step, old": (
        changed(PEEPHOLE_STEP, "po * new", "po * c"),
        "step", False, "the output gate sees the old cell state",
    ),
    "lists of numbers": (NUMBERS, "LSTM", True, ""),
    "GRU": (GRU, "LSTMCell", False, "no cell state"),
    "coupled, three blocks": (COUPLED, "Cell", False, "coupled gates"),
    "dicts": (DICTS, "LSTM", True, "and so is its backward pass"),
    "dicts, index one off": (
        changed(DICTS, "value @ self.h[t - 1].T", "value @ self.h[t].T"),
        "LSTM", False, "index one off: h_t for h_(t−1)",
    ),
    "loop beside a step": (TIME, "TimeLSTM", True, "and so is its backward pass"),
    "loop beside a right step": (
        changed(TIME, "dhs[:, t] + dh,", "dhs[:, t],"), None, False, "dh is not carried"
    ),
    "four matrices in one array": (CUBES, "LSTM", True, ""),
    "gradients with a g": (
        changed(changed(MEMORIES, '"dW" + name', '"gW" + name'), '"db" + name', '"gb" + name'),
        "Cell", True, "and so is its backward pass",
    ),
    "backward behind the name": (
        COURSE.replace("step_forward", "lstm_cell").replace("step_backward", "lstm_cell_backward"),
        "lstm_cell", True, "and so is its backward pass",
    ),
    "a loss's share beside the state's": (
        changed(
            changed(LISTS, "backward(self, dh, dc)", "backward(self, dh, dstate)"),
            "        ds = dc", "        dh, dc = dh + dstate[0], dstate[1]\n        ds = dc",
        ),
        "LSTM", True, "and so is its backward pass",
    ),
    "gradients that are cleared": (ADDED, "LSTM", True, "and so is its backward pass"),
    "gradients that are never cleared": (
        changed(ADDED, "zero_grad(self", "begin(self"),
        "LSTM", False, "keep the last call's gradients",
    ),
    "a rate is asked for": (
        LISTS.replace("self, dh, dc", "self, dh, dc, lr")
        .replace("zip(self.grads,", "zip(self.params,")
        .replace("grad[...] =", "grad -= lr *")
        .replace("        return da @ Wx.T, da @ Wh.T, ds * f", ""),
        "LSTM", True, "and so is its backward pass",
    ),
    "one vector": (VECTOR, "LSTM", True, ""),
    "function of one's own": (FUNCTION, "LSTM", True, "and so is its backward pass"),
    "wrong function of one's own": (
        changed(FUNCTION, " * (1 - new.tanh() ** 2)", ""), "LSTM", False, "d_c: tanh′ missing"
    ),
    "wrong gradient of c of a function": (
        changed(FUNCTION, "dim=1), d * f", "dim=1), d"),
        "LSTM", False, "dc is carried without the forget gate",
    ),
    "detached": (
        changed(TORCH, "h, c = hidden", "h, c = hidden[0], hidden[1].detach()"),
        "LSTM", False, "dc is not carried",
    ),
    "weights called like an argument, carried as (c, h)": (PURE, "lstm_step", True, "i, g, f, o"),
    "a pair that comes out the other way": (
        changed(PURE, "return (c, h), h", "return h, c"),
        "lstm_step", True, "(c, h) goes in, (h, c) comes out",
    ),
    "what is called h is c": (
        changed(COURSE, "x, prev_h, prev_c, Wx, Wh, b):", "x, prev_c, prev_h, Wx, Wh, b):"),
        "step_forward", True, "",
    ),
    "h and c exchanged inside": (
        changed(COLUMNS, "z = np", "h_prev, c_prev = c_prev, h_prev\n        z = np"),
        "LSTMCell", False, "what is called h is used as c",
    ),
    "h and c exchanged from step to step": (
        changed(GLOBALS, "outputs.append(h)", "h, c = c, h\n        outputs.append(h)"),
        "forward", False, "exchanged from one step to the next",
    ),
    "projection": (
        changed(LISTS, "return o * np.tanh(c), c", "return o * np.tanh(c) @ self.P, c").replace(
            "    self.params =", "    self.P = np.eye(len(Wh))\n        self.params ="
        ),
        "LSTM", False, "a projection of h",
    ),
    "gradient of c alone": (
        changed(LISTS, "return da @ Wx.T, da @ Wh.T, ds * f", "return ds * f"),
        "LSTM", True, "and so is its backward pass",
    ),
    "no candidate": (
        changed(COLUMNS, "f * c_prev + i * g", "f * c_prev + i"),
        "LSTMCell", False, "no candidate",
    ),
    "copied line": (
        changed(COURSE, "dg * (1 - g**2)", "di * (1 - g**2)"),
        "step_forward", False, "copied line",
    ),
    "dh not carried": (
        changed(COURSE, "dh[:, t] + dprev, dc, caches", "dh[:, t], dc, caches"),
        "lstm_forward", False, "dh is not carried",
    ),
    "dc not carried": (
        changed(COURSE, "dh[:, t] + dprev, dc, caches", "dh[:, t] + dprev, 0 * dc, caches"),
        "lstm_forward", False, "dc is not carried",
    ),
    "gradient of one step": (
        changed(COURSE, "= dWx + more[0],", "= more[0],"),
        "lstm_forward", False, "gradient of W overwritten",
    ),
    "accumulators": (
        changed(COURSE, "[], 0, 0, 0", "[], 0.1, 0.2, 0.3"),
        "lstm_forward", False, "accumulators do not start at zero",
    ),
}  # fmt: skip
