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
INPUT_GATE = "i_k = tanh(i[k] * half) * half + half"
CELL = "c_r[k] = f_k * c_prev_r[k] + i_k * g_k"
OUTPUT_GATE = "o_k = tanh(o[k] * half) * half + half"
ADD = "to_r[k] += summand_r[k]"
D_C = "d = d_c_r[k] + d_m_r[k] * o_k * (one - tanh_k * tanh_k)"
D_O = "o[k] = d_m_r[k] * tanh_k * o_k * (one - o_k)"
D_I = "i[k] = d * g_k * i_k * (one - i_k)"
D_G = "g[k] = d * i_k * (one - g_k * g_k)"
D_F = "f[k] = d * c_prev_r[k] * f_k * (one - f_k)"
D_C_PREV = "d_c_r[k] = d * f_k"
D_HIDDEN = "multiply_packed(gemm, d_a, packed_U, d_h[rows], 0)"
D_JOINED = "d_joined += np.matmul(d_a.T, run.z_matrix, out=share)"
FIRST_OF_RUN = "run.h_first[...], run.c_first[...] = h[running], c[running]"
STEP_BACKWARD = "d_a, c_prev, tanh_c_t = gates[t][rows], c[t + reverse][rows], tanh_c[t][rows]"

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
            "if (plan.sizes, plan.kind) == (sizes, kind):",
            "if (plan.sizes.batch_sizes, plan.kind) == (sizes.batch_sizes, kind):",
        ),
    ),
]

WRONG_PASSES = [
    ("input gate from -1/2 to 1/2", INPUT_GATE, "i_k = tanh(i[k] * half) * half"),
    ("input gate twice as steep", INPUT_GATE, "i_k = tanh(i[k]) * half + half"),
    ("output gate without its sigmoid", OUTPUT_GATE, "o_k = o[k]"),
    ("candidate without its tanh", "g_k = tanh(g[k])", "g_k = g[k]"),
    (
        "gates exchanged",
        "i, f, g, o = a[r, :H], a[r, H : 2 * H], a[r, 2 * H : 3 * H], a[r, 3 * H :]",
        "f, i, g, o = a[r, :H], a[r, H : 2 * H], a[r, 2 * H : 3 * H], a[r, 3 * H :]",
    ),
    ("cell state: minus the old", CELL, "c_r[k] = i_k * g_k - f_k * c_prev_r[k]"),
    ("cell state: no memory", CELL, "c_r[k] = i_k * g_k"),
    ("hidden state: no tanh", "tanh_k = tanh(c_r[k])", "tanh_k = c_r[k]"),
    ("hidden state: no output gate", "m_r[k] = o_k * tanh_k", "m_r[k] = tanh_k"),
    (
        "steps of the reverse direction not reversed",
        "t = steps - 1 - k if reverse else k",
        "t = k",
    ),
    (
        "cell state of the step before, in both directions",
        "before, after = t + reverse, t + 1 - reverse",
        "before, after = t, t + 1",
    ),
    (
        "no projection, only fewer units",
        "multiply_packed(gemm, m[rows], W_hr, z_next[:, :P], 0)",
        "z_next[:, :P] = m[rows][:, :P]",
    ),
    (
        "second bias ignored",
        'b = [(weights["bias_ih"] + weights["bias_hh"])[:, None]] if bias else []',
        'b = [weights["bias_ih"][:, None]] if bias else []',
    ),
    (
        "bias ignored",
        "run.z[..., P : P + D], run.z[..., P + D :] = x[time, running], 1",
        "run.z[..., P : P + D], run.z[..., P + D :] = x[time, running], 0",
    ),
    (
        "hoisted input never added",
        "forward_steps(gemm, *arrays, joined, int(hoisted), W_hr, int(reverse))",
        "forward_steps(gemm, *arrays, joined, 0, W_hr, int(reverse))",
    ),
    (
        "initial states of the first sequences for all",
        FIRST_OF_RUN,
        "run.h_first[...], run.c_first[...] = h[:1], c[:1]",
    ),
    (
        "states not carried to the next run of steps",
        "h[running], c[running] = run.h_last, run.c_last",
        "pass",
    ),
    (
        "weights not copied for the way back",
        "plan.weights = {name: value.copy() for name, value in weights.items()}",
        "plan.weights = dict(weights)",
    ),
    (
        "products in parts: the last part alone",
        "multiply(gemm, part, tiles[start:stop], out_part, 1 if j else beta)",
        "multiply(gemm, part, tiles[start:stop], out_part, beta)",
    ),
    (
        "products in parts: a wrong tile",
        "start = stop",
        "start = 0",
    ),
    (
        "one sequence by the whole matrix: always its first number",
        "out[s] += row[k] * matrix[k * out.size + s]",
        "out[s] += row[0] * matrix[k * out.size + s]",
    ),
    (
        "one sequence by the whole matrix: added to what was there",
        "out[:] = 0",
        "pass",
    ),
    ("d_c: nothing along the cell state", D_C, D_C.replace("d_c_r[k] + ", "")),
    ("d_c: o (1 - tanh c)", D_C, D_C.replace("tanh_k * tanh_k", "tanh_k")),
    ("d_c: no output gate", D_C, D_C.replace("d_m_r[k] * o_k", "d_m_r[k]")),
    ("d_a_o: no derivative of the sigmoid", D_O, "o[k] = d_m_r[k] * tanh_k"),
    ("d_a_o: the gradient for tanh c", D_O, D_O.replace("tanh_k", "d_m_r[k]")),
    ("d_a_i: the input gate for the candidate", D_I, D_I.replace("g_k * i_k", "i_k * i_k")),
    ("d_a_i: 1 - i alone", D_I, D_I.replace("* i_k *", "*")),
    ("d_a_g: i (1 - g)", D_G, D_G.replace("g_k * g_k", "g_k")),
    ("d_a_g: the new input gate", D_G, D_G.replace("i_k *", "i[k] *")),
    ("d_a_f: no cell state", D_F, D_F.replace(" * c_prev_r[k]", "")),
    ("d_c_prev: no forget gate", D_C_PREV, "d_c_r[k] = d"),
    ("d_c_prev: the new value of the forget gate", D_C_PREV, "d_c_r[k] = d * f[k]"),
    (
        "d_a_f: the new cell state",
        STEP_BACKWARD,
        STEP_BACKWARD.replace("c[t + reverse]", "c[t + 1 - reverse]"),
    ),
    (
        "d_m: no output gate in the projection's gradient",
        "m = run.gates[:projected, :, 3 * H :] * run.tanh_c[:projected]",
        "m = 1 * run.tanh_c[:projected]",
    ),
    ("gradient of the output ignored", ADD, "pass"),
    ("gradient of the output in place of the hidden state's", ADD, "to_r[k] = summand_r[k]"),
    ("nothing through the recurrent weights", D_HIDDEN, D_HIDDEN.replace("d_a", "0 * d_a")),
    ("gradients of one run of steps only", D_JOINED, D_JOINED.replace("d_joined +=", "d_joined =")),
    (
        "way back always from the last step",
        "t = k if reverse else steps - 1 - k",
        "t = steps - 1 - k",
    ),
    (
        "backward from the first run of steps to the last",
        "for time, run in reversed(plan.runs):",
        "for time, run in plan.runs:",
    ),
    (
        "each bias with half of the gradient",
        'gradients["bias_ih"] = gradients["bias_hh"] = d_joined[:, -1]',
        'gradients["bias_ih"] = gradients["bias_hh"] = d_joined[:, -1] / 2',
    ),
    (
        "projection without a gradient",
        "d_W_hr += d_h_all.reshape(-1, P).T @ m.reshape(-1, H)",
        "pass",
    ),
]

COMPILED = [
    *lines(
        "LSTM",
        "compiled passes",
        "compiled.py",
        *(("compiled: " + wrong, old, new) for wrong, old, new in WRONG_PASSES),
    ),
]
