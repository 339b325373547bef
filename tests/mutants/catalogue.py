"""Wrong LSTMs, each one line away from the right one.

A mutant is a file of the package with one line replaced. ``old`` is the whole line without its
indentation and occurs once in the file, or ``nth`` says which of several it is.
"""

from __future__ import annotations

from tests.mutants.kernel import COMPILED, KERNEL
from tests.mutants.mutant import lines

# --- the cell: every equation, forward and backward ---------------------------------------------

STEP, BACKWARD = "equations/step.py", "equations/backward.py"
PREACTIVATION = "return x_t @ W.T + h_prev @ U.T + b"
CELL = "return f_t * c_prev + i_t * g_t"
HIDDEN = "return o_t * np.tanh(c_t)"
GATES = "a_t = eq.preactivation(x_t, h_prev, self.weight_ih.data, self.weight_hh.data, b)"
I_T, F_T = "i_t = eq.sigmoid(a_t[:, :H])", "f_t = eq.sigmoid(a_t[:, H : 2 * H])"
G_T, O_T = "g_t = np.tanh(a_t[:, 2 * H : 3 * H])", "o_t = eq.sigmoid(a_t[:, 3 * H :])"
C_T, H_T = "c_t = eq.cell_state(f_t, c_prev, i_t, g_t)", "h_t = eq.hidden_state(o_t, c_t)"
RESULT = "return (h_t, c_t), (x_t, h_prev, c_prev, i_t, f_t, g_t, o_t, c_t.copy())"
SAVED = "(x_t, h_prev, c_prev, i_t, f_t, g_t, o_t, c_t.copy())"
D_CELL = "return d_c_from_next + d_h_t * o_t * tanh_derivative(np.tanh(c_t))"
D_WEIGHTS = "return d_a_t.T @ x_t, d_a_t.T @ h_prev, d_a_t.sum(axis=0)"


def exchanged(first: int, second: int) -> str:
    """Return the line of the four gates with two of its blocks exchanged."""
    order = list(range(4))
    order[first], order[second] = second, first
    return f"{GATES}.reshape(-1, 4, H)[:, {order}].reshape(-1, 4 * H)"


CELL_FORWARD = [
    *lines(
        "LSTMCell",
        "gates",
        "cell.py",
        ("input and forget gate exchanged", GATES, exchanged(0, 1)),
        ("input gate and candidate exchanged", GATES, exchanged(0, 2)),
        ("input and output gate exchanged", GATES, exchanged(0, 3)),
        ("forget gate and candidate exchanged", GATES, exchanged(1, 2)),
        ("forget and output gate exchanged", GATES, exchanged(1, 3)),
        ("candidate and output gate exchanged", GATES, exchanged(2, 3)),
        ("input gate with a tanh", I_T, "i_t = np.tanh(a_t[:, :H])"),
        ("forget gate with a tanh", F_T, "f_t = np.tanh(a_t[:, H : 2 * H])"),
        ("candidate with a sigmoid", G_T, "g_t = eq.sigmoid(a_t[:, 2 * H : 3 * H])"),
        ("output gate with a tanh", O_T, "o_t = np.tanh(a_t[:, 3 * H :])"),
        ("one more on the forget gate's bias", F_T, "f_t = eq.sigmoid(a_t[:, H : 2 * H] + 1)"),
        ("output gate negated", O_T, "o_t = 1 - eq.sigmoid(a_t[:, 3 * H :])"),
        (
            "second bias ignored",
            "b = self.bias_ih.data + self.bias_hh.data if self.bias else 0",
            "b = self.bias_ih.data if self.bias else 0",
        ),
        (
            "first bias counted twice",
            "b = self.bias_ih.data + self.bias_hh.data if self.bias else 0",
            "b = self.bias_ih.data + self.bias_ih.data if self.bias else 0",
        ),
    ),
    *lines(
        "LSTMCell",
        "gates",
        STEP,
        ("bias ignored", PREACTIVATION, "return x_t @ W.T + h_prev @ U.T"),
        ("hidden state ignored", PREACTIVATION, "return x_t @ W.T + b"),
        ("input ignored", PREACTIVATION, "return h_prev @ U.T + b"),
        ("bias subtracted", PREACTIVATION, "return x_t @ W.T + h_prev @ U.T - b"),
        (
            "recurrent weights transposed, gate by gate",
            PREACTIVATION,
            "return x_t @ W.T + np.einsum('bj,kji->bki', h_prev, U.reshape(-1, *[U.shape[1]] * 2))"
            ".reshape(len(x_t), -1) + b",
        ),
    ),
    *lines(
        "LSTMCell",
        "states",
        STEP,
        ("cell state: gates exchanged", CELL, "return i_t * c_prev + f_t * g_t"),
        ("cell state: no forget gate", CELL, "return c_prev + i_t * g_t"),
        ("cell state: no input gate", CELL, "return f_t * c_prev + g_t"),
        ("cell state: no candidate", CELL, "return f_t * c_prev + i_t"),
        ("cell state: no memory", CELL, "return i_t * g_t"),
        ("cell state: nothing written", CELL, "return f_t * c_prev"),
        ("cell state: minus the candidate", CELL, "return f_t * c_prev - i_t * g_t"),
        ("cell state: forgets the new too", CELL, "return f_t * (c_prev + i_t * g_t)"),
        ("cell state: gates coupled", CELL, "return f_t * c_prev + (1 - f_t) * g_t"),
        ("cell state: squashed", CELL, "return np.tanh(f_t * c_prev + i_t * g_t)"),
        ("hidden state: no output gate", HIDDEN, "return np.tanh(c_t)"),
        ("hidden state: sigmoid for tanh", HIDDEN, "return o_t * sigmoid(c_t)"),
        ("hidden state: tanh around the product", HIDDEN, "return np.tanh(o_t * c_t)"),
    ),
    *lines(
        "LSTMCell",
        "states",
        "cell.py",
        ("output gate on the old cell state", H_T, "h_t = eq.hidden_state(o_t, c_prev)"),
        (
            "given states exchanged",
            "h_prev, c_prev = self._check_state(x.shape[:-1], state)",
            "c_prev, h_prev = self._check_state(x.shape[:-1], state)",
        ),
        (
            "returned states exchanged",
            "return (h_t, c_t) if batched else (h_t[0], c_t[0])",
            "return (c_t, h_t) if batched else (c_t[0], h_t[0])",
        ),
        (
            "given states ignored",
            "h_prev, c_prev = self._check_state(x.shape[:-1], state)",
            "h_prev, c_prev = self._check_state(x.shape[:-1], None)",
        ),
        (
            "keeps the caller's arrays",
            "rows = (np.array(array, ndmin=2) for array in (x, h_prev, c_prev))",
            "rows = (np.atleast_2d(array) for array in (x, h_prev, c_prev))",
        ),
        ("keeps the array that it returned", RESULT, RESULT.replace("c_t.copy()", "c_t")),
        (
            "keeps the new cell state for the old",
            RESULT,
            RESULT.replace("h_prev, c_prev, i_t", "h_prev, c_t.copy(), i_t"),
        ),
    ),
    *lines(
        "LSTMCell",
        "states",
        "equations/activations.py",
        (
            "sigmoid overflows",
            "negative = np.real(z) < 0",
            "negative = np.real(z) > 0",
        ),
        (
            "sigmoid too small",
            "return np.where(negative, decay, 1) / (1 + decay)",
            "return np.where(negative, decay, 1) / (1.001 + decay)",
        ),
    ),
]

CELL_BACKWARD = [
    *lines(
        "LSTMCell",
        "gradients of gates and cell",
        BACKWARD,
        ("d_o: no tanh", "return d_h_t * np.tanh(c_t)", "return d_h_t * c_t"),
        ("d_o: no cell state", "return d_h_t * np.tanh(c_t)", "return d_h_t"),
        ("d_c: nothing from the next step", D_CELL, D_CELL.replace("d_c_from_next + ", "")),
        ("d_c: nothing from the hidden state", D_CELL, "return d_c_from_next"),
        ("d_c: no output gate", D_CELL, D_CELL.replace(" * o_t", "")),
        ("d_c: no derivative of tanh", D_CELL, "return d_c_from_next + d_h_t * o_t"),
        (
            "d_c: tanh for its derivative",
            D_CELL,
            "return d_c_from_next + d_h_t * o_t * np.tanh(c_t)",
        ),
        ("d_c: derivative at the wrong value", D_CELL, D_CELL.replace("np.tanh(c_t)", "c_t")),
        ("d_c: minus the next step", D_CELL, D_CELL.replace("d_c_from_next +", "-d_c_from_next +")),
        ("d_c_prev: no forget gate", "return d_c_t * f_t", "return d_c_t"),
        ("d_c_prev: the gate's complement", "return d_c_t * f_t", "return d_c_t * (1 - f_t)"),
        ("d_f: no cell state", "return d_c_t * c_prev", "return d_c_t"),
        ("d_i: no candidate", "return d_c_t * g_t", "return d_c_t"),
        ("d_g: no input gate", "return d_c_t * i_t", "return d_c_t"),
    ),
    *lines(
        "LSTMCell",
        "gradients before the nonlinearities",
        BACKWARD,
        ("d_a: input gate not differentiated", "d_i_t * sigmoid_derivative(i_t),", "d_i_t,"),
        ("d_a: forget gate not differentiated", "d_f_t * sigmoid_derivative(f_t),", "d_f_t,"),
        ("d_a: candidate not differentiated", "d_g_t * tanh_derivative(g_t),", "d_g_t,"),
        ("d_a: output gate not differentiated", "d_o_t * sigmoid_derivative(o_t),", "d_o_t,"),
        (
            "d_a: input gate differentiated as a tanh",
            "d_i_t * sigmoid_derivative(i_t),",
            "d_i_t * tanh_derivative(i_t),",
        ),
        (
            "d_a: forget gate differentiated at the input gate",
            "d_f_t * sigmoid_derivative(f_t),",
            "d_f_t * sigmoid_derivative(i_t),",
        ),
        (
            "d_a: candidate differentiated as a sigmoid",
            "d_g_t * tanh_derivative(g_t),",
            "d_g_t * sigmoid_derivative(g_t),",
        ),
        (
            "d_a: forget gate's gradient in the input gate's place",
            "d_i_t * sigmoid_derivative(i_t),",
            "d_f_t * sigmoid_derivative(f_t),",
        ),
        (
            "d_a: candidate's gradient in the output gate's place",
            "d_o_t * sigmoid_derivative(o_t),",
            "d_g_t * tanh_derivative(g_t),",
        ),
    ),
    *lines(
        "LSTMCell",
        "gradients before the nonlinearities",
        "equations/activations.py",
        ("derivative of sigmoid: s (1 + s)", "return s * (1 - s)", "return s * (1 + s)"),
        ("derivative of sigmoid: 1 - s", "return s * (1 - s)", "return 1 - s"),
        ("derivative of sigmoid: s", "return s * (1 - s)", "return s"),
        ("derivative of tanh: 1 - y", "return 1 - y * y", "return 1 - y"),
        ("derivative of tanh: 1 + y²", "return 1 - y * y", "return 1 + y * y"),
    ),
    *lines(
        "LSTMCell",
        "gradients of weights and inputs",
        BACKWARD,
        (
            "d_W, d_U, d_b: mean over the batch",
            D_WEIGHTS,
            D_WEIGHTS.replace(".T @ x_t", ".T @ x_t / len(x_t)"),
        ),
        (
            "d_U: no hidden state",
            D_WEIGHTS,
            D_WEIGHTS.replace("d_a_t.T @ h_prev", "0 * d_a_t.T @ h_prev"),
        ),
        ("d_b: mean for sum", D_WEIGHTS, D_WEIGHTS.replace("sum", "mean")),
        ("d_b: one example only", D_WEIGHTS, D_WEIGHTS.replace("d_a_t.sum(axis=0)", "d_a_t[0]")),
        (
            "d_h_prev: nothing through the gates",
            "return d_a_t @ W, d_a_t @ U",
            "return d_a_t @ W, 0 * (d_a_t @ U)",
        ),
        ("d_x: nothing", "return d_a_t @ W, d_a_t @ U", "return 0 * (d_a_t @ W), d_a_t @ U"),
    ),
    *lines(
        "LSTMCell",
        "gradients of weights and inputs",
        "cell.py",
        (
            "d_o from the old cell state",
            "d_o_t = eq.d_output_gate(d_h, c_t)",
            "d_o_t = eq.d_output_gate(d_h, c_prev)",
        ),
        (
            "d_o from the gradient of c",
            "d_o_t = eq.d_output_gate(d_h, c_t)",
            "d_o_t = eq.d_output_gate(d_c, c_t)",
        ),
        (
            "d_c with the forget gate for the output gate",
            "d_c_t = eq.d_cell_state(d_c, d_h, o_t, c_t)",
            "d_c_t = eq.d_cell_state(d_c, d_h, f_t, c_t)",
        ),
        (
            "d_c at the old cell state",
            "d_c_t = eq.d_cell_state(d_c, d_h, o_t, c_t)",
            "d_c_t = eq.d_cell_state(d_c, d_h, o_t, c_prev)",
        ),
        (
            "d_f from the new cell state",
            "d_f_t = eq.d_forget_gate(d_c_t, c_prev)",
            "d_f_t = eq.d_forget_gate(d_c_t, c_t)",
        ),
        (
            "d_f from the gradient that came in",
            "d_f_t = eq.d_forget_gate(d_c_t, c_prev)",
            "d_f_t = eq.d_forget_gate(d_c, c_prev)",
        ),
        (
            "d_i from the input gate",
            "d_i_t = eq.d_input_gate(d_c_t, g_t)",
            "d_i_t = eq.d_input_gate(d_c_t, i_t)",
        ),
        (
            "d_g from the candidate",
            "d_g_t = eq.d_candidate(d_c_t, i_t)",
            "d_g_t = eq.d_candidate(d_c_t, g_t)",
        ),
        (
            "d_g from the forget gate",
            "d_g_t = eq.d_candidate(d_c_t, i_t)",
            "d_g_t = eq.d_candidate(d_c_t, f_t)",
        ),
        (
            "d_c_prev without the hidden state's part",
            "d_c_prev = eq.d_cell_previous(d_c_t, f_t)",
            "d_c_prev = eq.d_cell_previous(d_c, f_t)",
        ),
        (
            "d_c_prev with the input gate",
            "d_c_prev = eq.d_cell_previous(d_c_t, f_t)",
            "d_c_prev = eq.d_cell_previous(d_c_t, i_t)",
        ),
        (
            "d_U from the new hidden state",
            "d_W, d_U, d_b = eq.d_weights(d_a_t, x_t, h_prev)",
            "d_W, d_U, d_b = eq.d_weights(d_a_t, x_t, o_t * np.tanh(c_t))",
        ),
        (
            "d_U from the cell state",
            "d_W, d_U, d_b = eq.d_weights(d_a_t, x_t, h_prev)",
            "d_W, d_U, d_b = eq.d_weights(d_a_t, x_t, c_prev)",
        ),
        ("d_W replaces the sum so far", "self.weight_ih.grad += d_W", "self.weight_ih.grad = d_W"),
        ("d_U replaces the sum so far", "self.weight_hh.grad += d_U", "self.weight_hh.grad = d_U"),
        (
            "second bias without a gradient",
            "self.bias_hh.grad += d_b",
            "self.bias_hh.grad += 0 * d_b",
        ),
        (
            "first bias with half a gradient",
            "self.bias_ih.grad += d_b",
            "self.bias_ih.grad += d_b / 2",
        ),
        (
            "absent gradient counted as ones",
            "gradient = np.zeros(wanted, self.weight_ih.dtype)",
            "gradient = np.ones(wanted, self.weight_ih.dtype)",
        ),
        (
            "gradients of the states exchanged",
            "return d_x, (d_h_prev, d_c_prev)",
            "return d_x, (d_c_prev, d_h_prev)",
        ),
    ),
]

ARTICLES = [
    *lines(
        "LSTMCell",
        "the articles' own formulas",
        "cell.py",
        ("000: o_t = σ(…) ⊙ h_prev", O_T, f"{O_T} * h_prev"),
        (
            "000: h_t = f_t ⊙ h_prev + i_t ⊙ g_t ⊙ o_t",
            H_T,
            "h_t = errata.hidden_state_000(f_t, h_prev, i_t, g_t, o_t)",
        ),
        (
            "000, 002, 004: the gradient along the cell does not vanish",
            "d_c_prev = eq.d_cell_previous(d_c_t, f_t)",
            "d_c_prev = d_c_t * errata.gradient_along_cell_000(f_t[None])",
        ),
        (
            "001: f_t is the fraction that is forgotten",
            C_T,
            "c_t = errata.kept_001(f_t, c_prev) + i_t * g_t",
        ),
        ("001: the cell state is the output", H_T, "h_t = errata.output_001(o_t, c_t)"),
        ("001, 004: h_t = o_t ⊙ c_t", H_T, "h_t = errata.hidden_state_001(o_t, c_t)"),
        ("001: the forget gate is a linear transformation", F_T, "f_t = a_t[:, H : 2 * H]"),
        (
            "001: a dot product in the cell state",
            C_T,
            "c_t = errata.cell_state_001(f_t, c_prev, i_t, g_t) + 0 * g_t",
        ),
        (
            "002: two gates, none for the output",
            H_T,
            "h_t = errata.hidden_state_two_gates_002(o_t, c_t)",
        ),
        ("002: the input gate retains", C_T, "c_t = errata.kept_002(i_t, f_t, c_prev) + i_t * g_t"),
        ("003: the LSTM is an Elman network", RESULT, f"return (g_t, c_prev), {SAVED}"),
        (
            "003: gradients without the derivative of the nonlinearity",
            "d_W, d_U, d_b = eq.d_weights(d_a_t, x_t, h_prev)",
            "d_W, d_U, d_b = "
            "errata.gradients_003(np.hstack([d_i_t, d_f_t, d_g_t, d_o_t]), None, x_t, h_prev)",
        ),
        ("004: relu for the candidate's tanh", G_T, "g_t = np.maximum(0, a_t[:, 2 * H : 3 * H])"),
        ("004: relu for the output's tanh", H_T, "h_t = errata.hidden_state_relu_004(o_t, c_t)"),
    ),
]

# --- whole sequences: layers, directions, lengths, states, dropout -------------------------------

K = "k = layer * self.num_directions + direction"
SEQUENCES = [
    *lines(
        "LSTM",
        "lengths",
        "layer.py",
        (
            "padding read as data",
            "if lengths is None or (lengths == steps).all():",
            "if True:",
        ),
        (
            "sequences end one step late",
            "ended = np.bincount(lengths, minlength=lengths.max() + 1)[:-1].cumsum()",
            "ended = np.bincount(np.minimum(lengths + 1, lengths.max()))[:-1].cumsum()",
        ),
        (
            "sequences end one step early",
            "ended = np.bincount(lengths, minlength=lengths.max() + 1)[:-1].cumsum()",
            "ended = np.bincount(lengths, minlength=lengths.max() + 1)[1:].cumsum()",
        ),
        (
            "shortest sequence first",
            'order = np.argsort(-lengths, kind="stable")',
            'order = np.argsort(lengths, kind="stable")',
        ),
        (
            "states not brought back into their order",
            "return array if self.order is None else array[:, np.argsort(self.order)]",
            "return array",
        ),
        (
            "order applied again instead of undone",
            "return array if self.order is None else array[:, np.argsort(self.order)]",
            "return array if self.order is None else array[:, self.order]",
        ),
        (
            "initial states not sorted with the sequences",
            "states = [rows.sort(array) for array in states]",
            "states = list(states)",
        ),
        (
            "final states not brought back into order",
            "final_states = [rows.restore(array) for array in final_states]",
            "final_states = list(final_states)",
        ),
        (
            "gradients of the final states not sorted",
            "d_states = [rows.sort(array) for array in d_states]",
            "d_states = list(d_states)",
        ),
        (
            "output and d_x not brought back into order",
            "padded[: len(array), self.order] = array",
            "padded[: len(array)] = array",
        ),
        (
            "gradients of the initial states not brought back",
            "d_initial = [rows.restore(array) for array in d_initial]",
            "d_initial = list(d_initial)",
        ),
        (
            "ones after the end of the longest sequence",
            "padded = np.zeros((steps, *array.shape[1:]), array.dtype)",
            "padded = np.ones((steps, *array.shape[1:]), array.dtype)",
        ),
    ),
    *lines(
        "LSTM",
        "directions",
        "layer.py",
        ("reverse direction not reversed", "direction == 1,", "False,"),
        ("both directions reversed", "direction == 1,", "True,"),
        (
            "directions concatenated the wrong way round",
            "below = outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=-1)",
            "below = outputs[0] if len(outputs) == 1 else np.concatenate(outputs[::-1], axis=-1)",
        ),
        (
            "both directions get the first one's gradient",
            "own = slice(direction * width, (direction + 1) * width)",
            "own = slice(0, width)",
        ),
        (
            "d_x of the last direction only",
            "d_below = d_x + d_below if direction else d_x",
            "d_below = d_x",
        ),
        (
            "reverse direction with the forward weights",
            "return {name: getattr(self, name + suffix).data for name in names}",
            'return {n: getattr(self, n + suffix.removesuffix("_reverse")).data for n in names}',
        ),
    ),
    *lines(
        "LSTM",
        "layers and states",
        "layer.py",
        ("initial states of the layers exchanged", K, "k = direction * self.num_layers + layer", 0),
        (
            "gradients of the states of the layers exchanged",
            K,
            "k = direction * self.num_layers + layer",
            1,
        ),
        ("all layers start with the first one's states", K, "k = direction", 0),
        (
            "h_0 and c_0 exchanged",
            "initial = tuple(array[k] for array in states)",
            "initial = tuple(array[k] for array in reversed(states))",
        ),
        (
            "c_n returned as h_n",
            "for array, value in zip(final_states, final, strict=True):",
            "for array, value in zip(final_states[::-1], final, strict=True):",
        ),
        (
            "gradients of h_n and c_n exchanged",
            "final = tuple(array[k] for array in d_states)",
            "final = tuple(array[k] for array in reversed(d_states))",
        ),
        (
            "given states ignored",
            'states = self._check_state("state", "_0", state, batch, batched)',
            'states = self._check_state("state", "_0", None, batch, batched)',
        ),
        (
            "gradients of the final states ignored",
            'd_states = self._check_state("d_state", "_n", d_state, batch, batched)',
            'd_states = self._check_state("d_state", "_n", None, batch, batched)',
        ),
        (
            "absent states and gradients counted as ones",
            "arrays.append(np.zeros((many, batch, width), self.dtype))",
            "arrays.append(np.ones((many, batch, width), self.dtype))",
        ),
        (
            "gradients replace the sum so far",
            "getattr(self, name + suffix).grad += gradient",
            "getattr(self, name + suffix).grad = gradient",
        ),
        (
            "upper layers without a gradient",
            "getattr(self, name + suffix).grad += gradient",
            "getattr(self, name + suffix).grad += 0 * gradient if layer else gradient",
        ),
    ),
    *lines(
        "LSTM",
        "layout",
        "layer.py",
        (
            "batch_first by a reshape on the way in",
            "return array.swapaxes(0, 1) if self.batch_first else array",
            "return array.reshape(*array.shape[1::-1], -1) if self.batch_first else array",
            0,
        ),
        (
            "batch_first by a reshape on the way out",
            "return array.swapaxes(0, 1) if self.batch_first else array",
            "return array.reshape(*array.shape[1::-1], -1) if self.batch_first else array",
            1,
        ),
    ),
    *lines(
        "LSTM",
        "dropout",
        "layer.py",
        (
            "dropout on the input too",
            "if layer and self.training and self.dropout:",
            "if self.training and self.dropout:",
        ),
        (
            "dropout in evaluation mode",
            "if layer and self.training and self.dropout:",
            "if layer and self.dropout:",
        ),
        ("no dropout", "if layer and self.training and self.dropout:", "if False:"),
        ("dropout drawn but not applied", "below = below * mask", "below = below * 1"),
        (
            "dropout not differentiated",
            "d_output = d_below if mask is None else d_below * mask",
            "d_output = d_below",
        ),
    ),
    *lines(
        "LSTM",
        "dropout",
        "module.py",
        (
            "dropout not rescaled",
            "return keep.astype(dtype) * np.asarray(0.0 if p == 1 else 1 / (1 - p), dtype)",
            "return keep.astype(dtype)",
        ),
        (
            "dropout keeps what it should drop",
            "keep = rng.random(shape, dtype=np.float32) >= p",
            "keep = rng.random(shape, dtype=np.float32) < p",
        ),
    ),
]

# --- the relatives ------------------------------------------------------------------------------

PEEPHOLE, VARIANTS = "variants/peephole.py", "equations/variants.py"
PEEPHOLE_IF = "i_t, f_t = eq.sigmoid(a_i + p_i * c_prev), eq.sigmoid(a_f + p_f * c_prev)"
PEEPHOLE_O = "o_t = eq.sigmoid(a_o + p_o * c_t)"
D_PEEPHOLE_C = "return d_h_t * o_t * tanh_derivative(np.tanh(c_t)) + p_o * d_a_o + d_c_from_next"
D_PEEPHOLE_PREV = "return d_c_t * f_t + p_i * d_a_i + p_f * d_a_f"
D_PEEPHOLES = (
    "return (d_a_i * c_prev).sum(axis=0), (d_a_f * c_prev).sum(axis=0), (d_a_o * c_t).sum(axis=0)"
)
RELATIVES = [
    *lines(
        "PeepholeLSTM",
        "peepholes",
        PEEPHOLE,
        ("output gate sees the old cell state", PEEPHOLE_O, "o_t = eq.sigmoid(a_o + p_o * c_prev)"),
        ("output gate without a peephole", PEEPHOLE_O, "o_t = eq.sigmoid(a_o)"),
        (
            "output gate sees tanh of the cell state",
            PEEPHOLE_O,
            "o_t = eq.sigmoid(a_o + p_o * np.tanh(c_t))",
        ),
        ("input gate without a peephole", PEEPHOLE_IF, PEEPHOLE_IF.replace(" + p_i * c_prev", "")),
        ("forget gate without a peephole", PEEPHOLE_IF, PEEPHOLE_IF.replace(" + p_f * c_prev", "")),
        (
            "peepholes of input and forget gate exchanged",
            'p_i, p_f, p_o = weights["weight_ci"], weights["weight_cf"], weights["weight_co"]',
            'p_f, p_i, p_o = weights["weight_ci"], weights["weight_cf"], weights["weight_co"]',
            0,
        ),
        ("peepholes see the hidden state", "_, c_prev = previous", "c_prev, _ = previous"),
        (
            "gradient of the output gate's peephole lost",
            "d_c_t = eqv.d_peephole_cell_state(d_c_next, d_h_t, o_t, c_t, p_o, d_a_o)",
            "d_c_t = eqv.d_peephole_cell_state(d_c_next, d_h_t, o_t, c_t, 0, d_a_o)",
        ),
    ),
    *lines(
        "PeepholeLSTM",
        "peepholes",
        VARIANTS,
        (
            "d_c without the output gate's peephole",
            D_PEEPHOLE_C,
            D_PEEPHOLE_C.replace(" + p_o * d_a_o", ""),
        ),
        (
            "d_c_prev without the input gate's peephole",
            D_PEEPHOLE_PREV,
            "return d_c_t * f_t + p_f * d_a_f",
        ),
        (
            "d_c_prev without the forget gate's peephole",
            D_PEEPHOLE_PREV,
            "return d_c_t * f_t + p_i * d_a_i",
        ),
        (
            "d_c_prev with the peepholes exchanged",
            D_PEEPHOLE_PREV,
            "return d_c_t * f_t + p_f * d_a_i + p_i * d_a_f",
        ),
        (
            "d_p_i from the new cell state",
            D_PEEPHOLES,
            D_PEEPHOLES.replace("d_a_i * c_prev", "d_a_i * c_t"),
        ),
        (
            "d_p_f from the new cell state",
            D_PEEPHOLES,
            D_PEEPHOLES.replace("d_a_f * c_prev", "d_a_f * c_t"),
        ),
        (
            "d_p_o from the old cell state",
            D_PEEPHOLES,
            D_PEEPHOLES.replace("d_a_o * c_t", "d_a_o * c_prev"),
        ),
    ),
    *lines(
        "PeepholeLSTM",
        "loop over time",
        "variants/stepwise.py",
        (
            "reverse direction not reversed",
            "for t in reversed(order) if reverse else order:",
            "for t in order:",
        ),
        (
            "gradients not accumulated over time",
            "gradients[name] += value",
            "gradients[name] = value",
        ),
        (
            "backward from the first step to the last",
            "for t, n, previous, saved in reversed(steps):",
            "for t, n, previous, saved in steps:",
        ),
        (
            "nothing through the recurrent weights",
            "d_through_U = 0 if self.truncated else d_a_h @ U",
            "d_through_U = 0",
        ),
        (
            "hidden state's gradient of the step alone",
            "d_current[0] = d_current[0] + d_output[t, :n]",
            "d_current[0] = 0 * d_current[0] + d_output[t, :n]",
        ),
        (
            "gradient of the output ignored",
            "d_current[0] = d_current[0] + d_output[t, :n]",
            "d_current[0] = d_current[0] + 0 * d_output[t, :n]",
        ),
        ("ended sequences run on", "n = batch_sizes[t]", "n = len(state[0])"),
        (
            "old state overwritten by the new",
            "previous = tuple(array[:n].copy() for array in state)",
            "previous = tuple(array[:n] for array in state)",
        ),
        ("state never carried on", "array[:n] = value", "pass", 0),
        (
            "the caller's states overwritten",
            "state = tuple(array.copy() for array in state)",
            "state = tuple(state)",
        ),
        (
            "weights not copied for the way back",
            "copies = {name: value.copy() for name, value in weights.items()}",
            "copies = dict(weights)",
        ),
        (
            "absent bias counted as ones",
            'b_ih, b_hh = weights.get("bias_ih", 0), weights.get("bias_hh", 0)',
            'b_ih, b_hh = weights.get("bias_ih", 1), weights.get("bias_hh", 0)',
        ),
        ("gradient of the state never carried back", "array[:n] = value", "pass", 1),
    ),
    *lines(
        "PeepholeLSTM",
        "layout",
        "layer.py",
        (
            "batch_first by a reshape on the way in",
            "return array.swapaxes(0, 1) if self.batch_first else array",
            "return array.reshape(*array.shape[1::-1], -1) if self.batch_first else array",
            0,
        ),
    ),
    *lines(
        "GRU",
        "gated recurrent unit",
        "variants/gru.py",
        (
            "reset gate before the product",
            "n_t = np.tanh(x_n + r_t * h_n)",
            'n_t = np.tanh(x_n + (r_t * h_prev) @ weights["weight_hh"][-h_prev.shape[1]:].T)',
        ),
        ("no reset gate", "n_t = np.tanh(x_n + r_t * h_n)", "n_t = np.tanh(x_n + h_n)"),
        (
            "update gate the other way round",
            "h_t = (1 - z_t) * n_t + z_t * h_prev",
            "h_t = z_t * n_t + (1 - z_t) * h_prev",
        ),
        (
            "reset and update gate exchanged",
            "r_t, z_t = sigmoid(x_r + h_r), sigmoid(x_z + h_z)",
            "z_t, r_t = sigmoid(x_r + h_r), sigmoid(x_z + h_z)",
        ),
        (
            "d_r without the product",
            "d_a_r = d_a_n * h_n * sigmoid_derivative(r_t)",
            "d_a_r = d_a_n * h_prev * sigmoid_derivative(r_t)",
        ),
        (
            "d_z without the candidate",
            "d_a_z = d_h_t * (h_prev - n_t) * sigmoid_derivative(z_t)",
            "d_a_z = d_h_t * h_prev * sigmoid_derivative(z_t)",
        ),
        (
            "reset gate not in the recurrent gradient",
            "d_a_h = np.concatenate([d_a_r, d_a_z, d_a_n * r_t], axis=1)",
            "d_a_h = d_a_x",
        ),
        (
            "no gradient along the state",
            "return d_a_x, d_a_h, (d_h_t * z_t,), {}",
            "return d_a_x, d_a_h, (0 * d_h_t,), {}",
        ),
    ),
    *lines(
        "RNN",
        "plain recurrent network",
        "variants/rnn.py",
        ("hidden state ignored", "a_t = a_x + a_h", "a_t = a_x"),
        (
            "gradient without the derivative",
            "return d_a_t, d_a_t, (0,), {}",
            "return d_h_t, d_h_t, (0,), {}",
        ),
        ("hidden state kept", "return d_a_t, d_a_t, (0,), {}", "return d_a_t, d_a_t, (d_h_t,), {}"),
    ),
    *lines(
        "CIFGLSTM",
        "coupled gates",
        "variants/coupled.py",
        (
            "gates not negated",
            "c_t = eqv.coupled_cell_state(1 - i_t, c_prev, g_t)",
            "c_t = eqv.coupled_cell_state(i_t, c_prev, g_t)",
        ),
        (
            "d_i without the old cell state",
            "d_i_t = -eqv.d_coupled_gate(d_c_t, c_prev, g_t)",
            "d_i_t = d_c_t * g_t",
        ),
    ),
    *lines(
        "LSTM1997",
        "the cell of 1997",
        "variants/lstm1997.py",
        (
            "candidate in (-1, 1)",
            "i_t, g_t, o_t = eq.sigmoid(a_i), 4 * eq.sigmoid(a_g) - 2, eq.sigmoid(a_o)",
            "i_t, g_t, o_t = eq.sigmoid(a_i), 2 * eq.sigmoid(a_g) - 1, eq.sigmoid(a_o)",
        ),
        (
            "a gradient that decays along the cell",
            "return d_a_t, d_a_t, (0, d_c_t), {}",
            "return d_a_t, d_a_t, (0, 0.9 * d_c_t), {}",
        ),
    ),
    *lines(
        "LayerNormLSTM",
        "layer normalisation",
        "variants/layer_norm.py",
        (
            "absent bias counted as ones",
            'a_t = weights["gain_ih"] * y_x + weights["gain_hh"] * y_h + weights.get("bias", 0)',
            'a_t = weights["gain_ih"] * y_x + weights["gain_hh"] * y_h + weights.get("bias", 1)',
        ),
        (
            "cell state itself normalised",
            "c_t = eq.cell_state(f_t, c_prev, i_t, g_t)",
            "c_t = normalize(eq.cell_state(f_t, c_prev, i_t, g_t))[0]",
        ),
        (
            "mean not differentiated",
            "return (d_y - mean - y * along) / scale",
            "return (d_y - y * along) / scale",
        ),
        (
            "variance not differentiated",
            "return (d_y - mean - y * along) / scale",
            "return (d_y - mean) / scale",
        ),
        (
            "not scaled back",
            "return (d_y - mean - y * along) / scale",
            "return d_y - mean - y * along",
        ),
    ),
]

MUTANTS = [*CELL_FORWARD, *CELL_BACKWARD, *ARTICLES, *SEQUENCES, *KERNEL, *COMPILED, *RELATIVES]
