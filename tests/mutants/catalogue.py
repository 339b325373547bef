"""The mistakes that people make in LSTMs of their own, each where it is made.

A name of more than one letter in a rule is a function, an attribute or a parameter.
"""

from __future__ import annotations

from tests.mutants.mutant import Mutant

# (file, probes that catch it): (what is wrong, function, rule, which match)
TABLE = {
    ("equations/step.py", "cell"): [
        ("bias ignored", "preactivation", "a + b -> a"),
        ("recurrent weights never used", "preactivation", "a + b -> a", 1),
        ("U for its transpose", "preactivation", "a.T -> a", 1),
        ("cell state: no forget gate", "cell_state", "a * b -> b"),
        ("cell state: nothing carried", "cell_state", "a + b -> b"),
        ("cell state: minus the candidate", "cell_state", "a + b -> a - b"),
        ("hidden state: no tanh on the way out", "hidden_state", "np.tanh(a) -> a"),
        ("hidden state: sigmoid for tanh", "hidden_state", "np.tanh(a) -> sigmoid(a)"),
    ],
    ("equations/activations.py", "cell"): [
        ("sigmoid overflows", "sigmoid", "-a -> a"),
        ("sigmoid for its derivative", "sigmoid_derivative", "a * b -> a"),
        ("derivative of tanh: 1 - y", "tanh_derivative", "a * a -> a"),
    ],
    ("equations/backward.py", "cell"): [
        ("d_o: cell state without tanh", "d_output_gate", "np.tanh(a) -> a"),
        ("d_c: nothing from the next step", "d_cell_state", "a + b -> b"),
        ("d_c: tanh for its derivative", "d_cell_state", "tanh_derivative(a) -> a"),
        ("d_c: derivative at a value without tanh", "d_cell_state", "np.tanh(a) -> a"),
        ("d_c_prev: no forget gate", "d_cell_previous", "a * b -> a"),
        ("d_a: a gate not differentiated", "d_preactivation", "a * sigmoid_derivative(b) -> a"),
        ("d_a: tanh twice", "d_preactivation", "tanh_derivative(a) -> 1 - np.tanh(a) ** 2"),
        ("d_a: sigmoid's derivative for g", "d_preactivation", "tanh_derivative(a) -> a * (1 - a)"),
        ("d_a: f's line copied for i", "d_preactivation", "[a, b, c, d] -> [b, b, c, d]"),
        ("d_b: mean over the batch", "d_weights", "a.sum(axis=0) -> a.mean(axis=0)"),
        ("d_b: sum over the wrong axis", "d_weights", "a.sum(axis=0) -> a.sum(axis=1)"),
        ("dh not handed on", "d_inputs", "a, b -> a, 0 * b"),
    ],
    ("cell.py", "cell"): [
        ("input and forget gate exchanged", "step", "a, b, c, d = e -> b, a, c, d = e"),
        ("blocks in the order i, f, o, g", "step", "a, b, c, d = e -> a, b, d, c = e"),
        ("input gate with a tanh", "step", "eq.sigmoid(a) -> np.tanh(a)"),
        ("forget gate without its sigmoid", "step", "eq.sigmoid(a) -> a", 1),
        ("candidate with a sigmoid", "step", "np.tanh(a) -> eq.sigmoid(a)"),
        ("hidden state from the old cell", "step", "eq.hidden_state(a, b) -> a * np.tanh(c_prev)"),
        ("second bias ignored", "_sum_of_biases", "a + b -> a"),
        ("d_f from the new cell", "step_backward", "eq.d_forget_gate(a, b) -> a * saved[7]"),
        ("d_c_prev without h's share", "step_backward", "eq.d_cell_previous(a, b) -> d_c * b"),
        (
            "d_U: h_t for h_(t-1)",
            "backward",
            "saved[:2] -> (saved[0], saved[6] * np.tanh(saved[7]))",
        ),
    ],
    ("module.py", "cell"): [
        ("gradients of one call only", "Parameter.accumulate", "a += b -> a = b"),
    ],
    ("layer.py", "layer dropout"): [
        ("lengths ignored", "LSTM.scan", "f(w, x, s, a, b, k) -> f(w, x, s, None, b, k)"),
        ("reverse ignored", "LSTM.scan", "f(w, x, s, a, b, k) -> f(w, x, s, a, False, k)"),
        ("one direction for the layer above", "_run", "a if len(b) == 1 else c -> a"),
        ("index one off: -1 wraps round", "_run", "(a[b] for a in c) -> (a[b - 1] for a in c)"),
        ("dropout in evaluation too", "_run", "a and self.training and b -> a and b"),
        ("dropout not differentiated", "_run_backward", "a if b is None else a * b -> a"),
        ("d_x of one direction", "_run_backward", "a + b if c else a -> a"),
    ],
    ("scan.py", "layer"): [
        ("reversed direction not reversed", "Rows.arrange", "a if reverse else b -> b"),
        ("final state one step early", "Rows.arrange", "a[lengths] + b -> a[lengths - 1] + b"),
        ("states in the order of lengths", "Rows.restore", "a[self.order] = b -> a[...] = b"),
        ("padding not zero", "Rows.put", "np.zeros(a, b) -> np.ones(a, b)"),
        ("h not carried", "NumpySteps.forward", "a, b = len(c) + b, b + d -> b = b + d"),
        ("c not carried", "NumpySteps.forward", "a[...] = b -> a[...] = 0", 2),
        ("one bias twice", "NumpySteps.forward", "a['bias_ih'] + b -> 2 * a['bias_ih']"),
        ("candidate without tanh", "NumpySteps.forward", "np.tanh(a, out=a) -> a"),
        ("no tanh on the way out", "NumpySteps.forward", "np.tanh(a, out=b) -> np.copyto(b, a)", 1),
        ("gates in another order", "by_gate", "[3, 0, 1, 2] -> [3, 1, 0, 2]"),
        ("gradients in the engine's order", "NumpySteps.backward", "[1, 2, 3, 0] -> [0, 1, 2, 3]"),
        ("gradient of the output ignored", "NumpySteps.backward", "d_output is not None -> False"),
        ("d_c: nothing from h", "NumpySteps.backward", "np.add(a, b[0], out=a) -> a"),
        ("dh not handed on", "NumpySteps.backward", "np.add.reduce(a, axis=0, out=b) -> b.fill(0)"),
        ("derivative of tanh: no square", "factors", "np.multiply(a, b, out=b) -> b", 1),
        ("sigmoid for its derivative", "factors", "np.subtract(1, a, out=a) -> a"),
    ],
    ("variants/stepwise.py", "relatives"): [
        ("state not carried", "scan", "a[b] = c -> pass"),
        ("runs on behind the end", "scan", "a if lengths is None else b -> a"),
        ("back from the first step on", "scan_backward", "reversed(a) -> a"),
        ("dh not carried", "scan_backward", "a += b @ c -> pass"),
        ("dc not carried", "scan_backward", "a[b] = c -> pass", 2),
        ("accumulators not zero", "scan_backward", "np.zeros_like(a) -> np.ones_like(a)", 1),
        ("d_W of one step only", "scan_backward", "a[b] += c -> a[b] = c", 1),
    ],
    ("equations/variants.py", "relatives"): [
        ("peephole path of o missing", "d_peephole_cell_state", "a + b * c -> a"),
        ("peephole path of f missing", "d_peephole_cell_previous", "a + b * c -> a"),
    ],
    ("variants/peephole.py", "relatives"): [
        ("peephole after the activation", "step", "eq.sigmoid(a + b) -> eq.sigmoid(a) + b"),
    ],
    ("variants/gru.py", "relatives"): [
        ("reset gate not applied", "step", "a + b * c -> a + c"),
        ("reset gate missing in d_U", "step_backward", "[a, b, c * d] -> [a, b, c]"),
    ],
    ("losses.py", "losses"): [
        ("sum over the batch for the mean", "cross_entropy", "a / len(b) -> a"),
        ("right class not subtracted", "cross_entropy", "a -= 1 -> pass"),
        ("target added", "binary_cross_entropy_with_logits", "f(z) - y -> f(z) + y"),
        ("factor 2 missing", "mse_loss", "2 * a -> a"),
    ],
    ("optim.py", "optimisers"): [
        ("velocity replaced by the gradient", "SGD._update", "a += b -> a = b"),
        ("uphill", "SGD._update", "a -= b -> a += b"),
        ("epsilon under the root", "RMSprop._update", "a if self.eps_inside else b -> a"),
        ("bias not corrected", "Adam._update", "self.lr / a -> self.lr"),
        ("steps counted from zero", "Optimizer.step", "a += 1 -> pass"),
        ("small gradients scaled up", "clip_grad_norm_", "a > max_norm -> True"),
    ],
    ("initialise.py", "initialise"): [
        (
            "forget bias on the input gate",
            "initialise_lstm",
            "a.gate_rows('f') -> a.gate_rows('i')",
        ),
        ("recurrent weights not orthogonal", "initialise_lstm", "a == 'weight_hh' -> False"),
        ("Glorot's bound from the rows alone", "glorot_uniform", "rows + columns -> rows"),
    ],
}

MUTANTS = [
    Mutant(file, tuple(probes.split()), *entry)
    for (file, probes), entries in TABLE.items()
    for entry in entries
]
