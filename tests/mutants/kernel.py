"""Wrong lines of the fast path: :mod:`lstm.kernel`, :mod:`lstm.runs`, :mod:`lstm.compiled`."""

from __future__ import annotations

from tests.mutants.mutant import lines

MATRIX = 'd_joined += np.matmul(d_a, run.by_feature("z", run.z).T, out=share)'
REORDERED = "matrix = np.concatenate([matrix[3 * H :], matrix[: 3 * H]])"
HALVED = "matrix[: 3 * H] *= 0.5"
FIRST = "run.h_first[:, running], run.c_first[:, running] = h[:, running], c[:, running]"
LAST = "h[:, running], c[:, running] = run.h_last[:, running], run.c_last[:, running]"
OUTPUT = "output[time, running] = run.h[:, :, running].transpose(0, 2, 1)"
D_X = "d_x[time, running] = (d_a.T @ W).reshape(run.steps, run.columns, D)[:, running]"
D_OUT = "np.add(d_h_running, d_out[t], out=d_h_running)"
D_STATE = "d_h[:, running], d_c[:, running] = d_h_run[:, running], d_c_run[:, running]"
CUT = "if stop == len(batch_sizes) or batch_sizes[stop] != rows or stop - start == longest:"
INPUT_GATE = "i = tanh(a_i[k]) * half + half"
CELL = "c[k] = f * c_prev[k] + i * g"
ADD_OUTPUT = "to[k, s] += summand[s, k]"
D_C = "d = d_c[k] + d_m[k] * o_k * (one - tanh_k * tanh_k)"
D_O = "o[k] = d_m[k] * tanh_k * o_k * (one - o_k)"
D_I = "i[k] = d * g_k * i_k * (one - i_k)"
D_G = "g[k] = d * i_k * (one - g_k * g_k)"
D_F = "f[k] = d * c_prev[k] * f_k * (one - f_k)"
D_C_PREV = "d_c[k] = d * f_k"

KERNEL = [
    *lines(
        "LSTM",
        "kernel, forward",
        "kernel.py",
        (
            "second bias ignored",
            'b = [(weights["bias_ih"] + weights["bias_hh"])[:, None]] if bias else []',
            'b = [weights["bias_ih"][:, None]] if bias else []',
        ),
        ("bias ignored", "run.z[:, sizes.K - bias :] = 1", "run.z[:, sizes.K - bias :] = 0"),
        (
            "gates one block further on",
            REORDERED,
            "matrix = np.roll(matrix, 2 * H, axis=0)",
        ),
        ("gates not reordered", REORDERED, "matrix = matrix.copy()"),
        ("forget gate twice as steep", HALVED, "matrix[: 2 * H] *= 0.5"),
        ("candidate half as steep", HALVED, "matrix *= 0.5"),
        ("sigmoids from -1/2 to 1/2", "np.add(o_i_f, half, out=o_i_f)", "pass"),
        ("sigmoids from -1/2 to 3/2", "np.multiply(o_i_f, half, out=o_i_f)", "pass"),
        (
            "gates added, not multiplied",
            "np.multiply(i_f, g_c, out=products)",
            "np.add(i_f, g_c, out=products)",
        ),
        ("cell state: no memory", "np.add(i_g, f_c, out=c_t)", "np.copyto(c_t, i_g)"),
        ("cell state: nothing written", "np.add(i_g, f_c, out=c_t)", "np.copyto(c_t, f_c)"),
        (
            "cell state: minus the old",
            "np.add(i_g, f_c, out=c_t)",
            "np.subtract(i_g, f_c, out=c_t)",
        ),
        ("hidden state: no tanh", "np.tanh(c_t, out=tanh_c)", "np.copyto(tanh_c, c_t)"),
        (
            "hidden state: no output gate",
            "np.multiply(o_t, tanh_c, out=h_t)",
            "np.copyto(h_t, tanh_c)",
        ),
        (
            "projection: no output gate",
            "np.multiply(o_t, tanh_c, out=m_t)",
            "np.copyto(m_t, tanh_c)",
        ),
        (
            "no projection, only fewer units",
            "np.dot(W_hr, m_t, out=h_t)",
            "np.copyto(h_t, m_t[: len(h_t)])",
        ),
        ("hoisted input never added", "np.add(a_t, run.W_x_steps[t], out=a_t)", "pass"),
        (
            "initial states exchanged",
            FIRST,
            "run.c_first[:, running], run.h_first[:, running] = h[:, running], c[:, running]",
        ),
        (
            "states not carried to the next run of steps",
            LAST,
            "pass",
        ),
        (
            "output of the step before",
            OUTPUT,
            OUTPUT.replace("run.h[:, :,", "run.z[:, :P,"),
        ),
        (
            "weights not copied for the way back",
            "plan.weights = {name: value.copy() for name, value in weights.items()}",
            "plan.weights = dict(weights)",
        ),
        (
            "ones after the end",
            "allocate = np.zeros if sizes.batch_sizes[-1] < batch else np.empty",
            "allocate = np.ones if sizes.batch_sizes[-1] < batch else np.empty",
        ),
    ),
    *lines(
        "LSTM",
        "kernel, factors of the way back",
        "kernel.py",
        (
            "d_c: o (1 - tanh c) for o (1 - tanh² c)",
            "np.multiply(m, tanh_c, out=tanh_c)  # ∂c/∂m = o (1 - tanh²c) = o - m tanh(c)",
            "np.copyto(tanh_c, m)",
        ),
        (
            "d_c: o (1 + tanh² c)",
            "np.subtract(o, tanh_c, out=tanh_c)",
            "np.add(o, tanh_c, out=tanh_c)",
        ),
        ("d_a_g: i (1 + g²)", "np.subtract(i, g, out=g)", "np.add(i, g, out=g)"),
        ("d_a_g: no derivative of tanh", "np.subtract(i, g, out=g)", "np.copyto(g, i)"),
        (
            "d_a_g: i (1 - g)",
            "np.multiply(i_g, g, out=g)  # ∂a_g/∂c = i (1 - g²) = i - (i g) g",
            "np.copyto(g, i_g)",
        ),
        ("d_c_prev: no forget gate", "np.copyto(c_prev, f)", "np.copyto(c_prev, 1)"),
        ("d_c_prev: input gate for forget gate", "np.copyto(c_prev, f)", "np.copyto(c_prev, i)"),
        (
            "d_a: σ² for σ (1 - σ)",
            "np.subtract(1, o_i_f, out=o_i_f)  # σ' = σ (1 - σ), times tanh(c), g and c_prev",
            "pass",
        ),
        (
            "d_a: 1 - σ alone",
            "np.multiply(o_i_f, products, out=o_i_f)",
            "pass",
        ),
        (
            "d_m: no output gate in the projection's gradient",
            "np.multiply(o, tanh_c, out=m)",
            "np.copyto(m, tanh_c)",
        ),
    ),
    *lines(
        "LSTM",
        "kernel, backward",
        "kernel.py",
        (
            "recurrent weights not reordered",
            "U_T = np.roll(U, H, axis=0).T  # columns in the order of the blocks",
            "U_T = U.T",
        ),
        (
            "nothing through the recurrent weights",
            "multiply(U_T, d_a, out=d_h_parts)",
            "multiply(0 * U_T, d_a, out=d_h_parts)",
        ),
        (
            "hidden state's gradient of the step alone",
            D_OUT,
            "np.copyto(d_h_running, d_out[t])",
        ),
        ("gradient of the output ignored", D_OUT, "pass"),
        (
            "nothing along the cell state",
            "np.add(d_c_next, d_c_of_m, out=d_c)",
            "np.copyto(d_c, d_c_of_m)",
        ),
        (
            "nothing from the hidden state to the cell",
            "np.add(d_c_next, d_c_of_m, out=d_c)",
            "np.copyto(d_c, d_c_next)",
        ),
        (
            "gates without the hidden state's part",
            "np.multiply(of_c, d_c, out=of_c)",
            "np.multiply(of_c, d_c_next, out=of_c)",
        ),
        ("carousel without the forget gate", "d_c_next = d_c_prev", "d_c_next = d_c"),
        (
            "projection not transposed back to its steps",
            "d_h_all[order][t] = d_h",
            "d_h_all[t] = d_h",
        ),
        (
            "gradients of one run of steps only",
            MATRIX,
            MATRIX.replace("d_joined +=", "d_joined[...] ="),
        ),
        (
            "hoisted input weights without a gradient",
            "d_W += d_a @ run.x",
            "d_W += 0 * (d_a @ run.x)",
        ),
        (
            "d_x from gates one block further on",
            D_X,
            D_X.replace("d_a.T", "np.roll(d_a, H, axis=0).T"),
        ),
        (
            "gradients of the gates not reordered",
            'd_a = run.by_feature("d_a", d_a_i_f_g, d_a_o)',
            'd_a = run.by_feature("d_a", d_a_o, d_a_i_f_g)',
        ),
        (
            "each bias with half of the gradient",
            'gradients["bias_ih"] = gradients["bias_hh"] = d_joined[:, -1]',
            'gradients["bias_ih"] = gradients["bias_hh"] = d_joined[:, -1] / 2',
        ),
        (
            "projection without a gradient",
            'd_W_hr += run.by_feature("d_h", d_h_all) @ run.by_feature("m", m).T',
            "pass",
        ),
        (
            "backward from the first run of steps to the last",
            "for time, run in reversed(plan.runs):",
            "for time, run in plan.runs:",
        ),
        (
            "gradients of the states not carried from run to run",
            D_STATE,
            "pass",
        ),
        (
            "gradients of h and c exchanged between runs",
            D_STATE,
            D_STATE.replace("d_h[:, running], d_c[:", "d_c[:, running], d_h[:"),
        ),
        (
            "way back always from the last step",
            "order = slice(None, None, 1 if run.plan.sizes.reverse else -1)",
            "order = slice(None, None, -1)",
        ),
    ),
    *lines(
        "LSTM",
        "kernel, memory",
        "runs.py",
        (
            "reverse direction not reversed in its runs",
            "order = slice(None, None, -1 if sizes.reverse else 1)",
            "order = slice(None, None, 1)",
        ),
        ("runs of the reverse direction not reversed", "self.runs.reverse()", "pass"),
        (
            "all runs share their memory",
            "key = (start if sizes.keep else 0, stop - start, rows)",
            "key = (0, stop - start, rows)",
        ),
        (
            "runs of steps go on over the ends of sequences",
            CUT,
            CUT.replace("batch_sizes[stop] != rows", "False"),
        ),
        (
            "idle columns with the gradients of sequences that have ended",
            "wide[:, : self.rows] = state[:, : self.rows]",
            "wide[...] = np.resize(state, wide.shape)",
        ),
        ("two passes share their memory", "return self._plans.pop(index)", "return plan"),
        (
            "memory of other sizes",
            "if plan.sizes == sizes:",
            "if plan.sizes.batch_sizes == sizes.batch_sizes:",
        ),
    ),
]

WRONG_LOOPS = [
    ("input gate from -1/2 to 1/2", INPUT_GATE, "i = tanh(a_i[k]) * half"),
    ("output gate without its sigmoid", "a_o[k] = tanh(a_o[k]) * half + half", "pass"),
    ("candidate without its tanh", "g = tanh(a_g[k])", "g = a_g[k]"),
    (
        "gates exchanged",
        "cell_states(b[1], b[2], b[3], b[4], b[5], b[0])",
        "cell_states(b[1], b[3], b[2], b[4], b[5], b[0])",
    ),
    ("cell state: minus the old", CELL, "c[k] = i * g - f * c_prev[k]"),
    ("cell state: no memory", CELL, "c[k] = i * g"),
    ("hidden state: no tanh", "tanh_c = tanh(c[k])", "tanh_c = c[k]"),
    ("hidden state: no output gate", "m[k] = o[k] * tanh_c", "m[k] = tanh_c"),
    ("tanh of the cell state carried on", "c_next[k] = c[k]", "c_next[k] = tanh(c[k])"),
    (
        "steps of the reverse direction not reversed",
        "t = steps - 1 - k if reverse else k",
        "t = k",
    ),
    ("hoisted input never added", "to[r, s] += summand[r, s]", "pass"),
    ("d_c: nothing along the cell state", D_C, D_C.replace("d_c[k] + ", "")),
    ("d_c: o (1 - tanh c)", D_C, D_C.replace("tanh_k * tanh_k", "tanh_k")),
    ("d_c: no output gate", D_C, D_C.replace("d_m[k] * o_k", "d_m[k]")),
    ("d_a_o: no derivative of the sigmoid", D_O, "o[k] = d_m[k] * tanh_k"),
    ("d_a_o: the gradient for tanh c", D_O, D_O.replace("tanh_k", "d_m[k]")),
    ("d_a_i: the input gate for the candidate", D_I, D_I.replace("g_k * i_k", "i_k * i_k")),
    ("d_a_i: 1 - i alone", D_I, D_I.replace("* i_k *", "*")),
    ("d_a_g: i (1 - g)", D_G, D_G.replace("g_k * g_k", "g_k")),
    ("d_a_g: the new input gate", D_G, D_G.replace("i_k *", "i[k] *")),
    ("d_a_f: no cell state", D_F, D_F.replace(" * c_prev[k]", "")),
    ("d_c_prev: no forget gate", D_C_PREV, "d_c[k] = d"),
    ("d_c_prev: the new value of the forget gate", D_C_PREV, "d_c[k] = d * f[k]"),
    (
        "d_m: no output gate in the projection's gradient",
        "return np.multiply(run.blocks[:, :H], run.blocks[:, H : 2 * H], out=m)",
        "return np.multiply(run.blocks[:, :H], 1, out=m)",
    ),
    ("gradient of the output ignored", ADD_OUTPUT, "pass"),
    (
        "gradient of the output in place of the hidden state's",
        ADD_OUTPUT,
        "to[k, s] = summand[s, k]",
    ),
    (
        "nothing through the recurrent weights",
        "multiply(U_T, d_a, d_h, parts)",
        "multiply(0 * U_T, d_a, d_h, parts)",
    ),
    (
        "single sequence: nothing through the recurrent weights",
        "np.dot(d_a.reshape(-1), U, d_h.reshape(-1))",
        "np.dot(d_a.reshape(-1), 0 * U, d_h.reshape(-1))",
    ),
]

COMPILED = [
    *lines(
        "LSTM",
        "compiled loops",
        "compiled.py",
        *(("compiled: " + wrong, old, new) for wrong, old, new in WRONG_LOOPS),
    ),
]
