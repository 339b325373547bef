"""Recurrent layers and independent ones side by side: configurations, examples, references."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import lstm
from lstm import scan
from tests.lstm.calls import Subject, flat, same

Arrays = dict[str, np.ndarray]

KINDS = ("LSTM", "RNN", "GRU", "PeepholeLSTM", "CIFGLSTM", "LSTM1997", "LayerNormLSTM")
TOLERANCE = {
    np.float64: {"forward": 1e-12, "gradient": 1e-10},
    np.float32: {"forward": 5e-5, "gradient": 5e-5},
}
"""Largest difference allowed: absolute where values are of order 1, relative to larger ones."""


class NumpyLSTM(lstm.LSTM):
    """An LSTM whose steps are taken in NumPy, compiled ones or not."""

    def scan(self, weights, x, state, lengths=None, reverse=False, keep=True):
        return scan.forward(weights, x, state, lengths, reverse, keep, steps=scan.NumpySteps)


@dataclass(frozen=True)
class Case:
    """One configuration of a layer and of a call."""

    kind: str = "LSTM"
    num_layers: int = 1
    bias: bool = True
    batch_first: bool = False
    bidirectional: bool = False
    proj_size: int = 0
    nonlinearity: str = "tanh"
    dtype: type = np.float64
    lengths: str = "none"  # none, equal or ragged
    state: bool = True  # given, or the default zeros
    batched: bool = True
    input_size: int = 3
    hidden_size: int = 5
    steps: int = 6
    batch: int = 4
    numpy: bool = False  # of an LSTM: without the compiled steps

    @property
    def layer(self) -> type[lstm.layer.RecurrentLayer]:
        """The class of ours."""
        return NumpyLSTM if self.numpy else getattr(lstm, self.kind)

    @property
    def arguments(self) -> dict:
        """Arguments that PyTorch's layer and ours share."""
        names = ["input_size", "hidden_size", "num_layers", "bias", "batch_first", "bidirectional"]
        names += {"LSTM": ["proj_size"], "RNN": ["nonlinearity"]}.get(self.kind, [])
        return {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        default = Case(self.kind)
        changed = {k: v for k, v in vars(self).items() if v != getattr(default, k)}
        shown = (f"{k}={getattr(v, '__name__', v)}" for k, v in changed.items())
        return "-".join([self.kind, *shown])


EVERY = [
    Case(kind, num_layers=2, bidirectional=True, proj_size=2 * (kind == "LSTM"), numpy=numpy)
    for kind, numpy in [*((kind, False) for kind in KINDS), ("LSTM", True)]
]
"""A case of each class, and of both kinds of steps of the LSTM."""


def covering(kind: str, strength: int = 2) -> list[Case]:
    """Return few cases in which any values of any two features, or more, meet."""
    features = {
        "bias": [True, False],
        "batch_first": [False, True],
        "bidirectional": [False, True],
        "num_layers": [1, 2, 3],
        "dtype": [np.float64, np.float32],
        "lengths": ["none", "equal", "ragged"],
        "state": [False, True],
        "batched": [True, False],
    }
    features |= {"proj_size": [0, 3], "numpy": [False, True]} if kind == "LSTM" else {}
    features |= {"nonlinearity": ["tanh", "relu"]} if kind == "RNN" else {}
    rows = [dict(zip(features, row, strict=True)) for row in itertools.product(*features.values())]
    rows = [row for row in rows if row["batched"] or row["lengths"] == "none"]
    meetings = [set(itertools.combinations(row.items(), strength)) for row in rows]
    missing, chosen = set().union(*meetings), []
    while missing:
        best = max(range(len(rows)), key=lambda k: len(meetings[k] & missing))
        missing -= meetings[best]
        chosen.append(Case(kind, **rows[best]))
    return chosen


@dataclass
class Example:
    """Random arrays that fit a case: what goes in, and the gradients that come back."""

    weights: Arrays
    x: np.ndarray
    hx: tuple | np.ndarray | None
    lengths: np.ndarray | None
    d_output: np.ndarray
    d_state: tuple | np.ndarray


def packed(states: list | tuple) -> Any:
    """Return several states as a tuple, and one as it is: so are they passed."""
    return tuple(states) if len(states) > 1 else states[0]


def draw(case: Case, seed: int = 0) -> Example:
    """Draw an example; weights are large enough to drive the gates away from one half."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(case.dtype)

    layout = getattr(lstm, case.kind)(**case.arguments)  # for names and shapes alone
    weights = {name: 0.5 * normal(*shape) for name, shape in layout.named_shapes().items()}
    many = case.num_layers * layout.num_directions
    if not case.batched:
        leading, rows = (case.steps,), (many,)
    else:
        leading, rows = (case.steps, case.batch), (many, case.batch)
        leading = leading[::-1] if case.batch_first else leading
    widths = layout.state_sizes().values()

    def states() -> tuple | np.ndarray:
        return packed([normal(*rows, width) for width in widths])

    lengths = {
        "none": None,
        "equal": np.full(case.batch, case.steps),
        # One sequence of one step; none has all the steps, so the end is padding for all.
        "ragged": rng.permutation(np.resize([2, max(case.steps - 1, 1), 1, 3], case.batch)),
    }[case.lengths]
    x, hx = normal(*leading, case.input_size), states() if case.state else None
    return Example(weights, x, hx, lengths, normal(*leading, layout.output_size), states())


# --- the references ----------------------------------------------------------------------------


def affine(w, x, h):
    zero = torch.zeros(())
    b = w.get("bias_ih", zero) + w.get("bias_hh", zero)
    return w["weight_ih"] @ x + w["weight_hh"] @ h + b


def step_peephole(w, x, h, c):
    a_i, a_f, a_g, a_o = affine(w, x, h).chunk(4)
    i, f = torch.sigmoid(a_i + w["weight_ci"] * c), torch.sigmoid(a_f + w["weight_cf"] * c)
    c = f * c + i * torch.tanh(a_g)
    return torch.sigmoid(a_o + w["weight_co"] * c) * torch.tanh(c), c


def step_cifg(w, x, h, c):
    a_i, a_g, a_o = affine(w, x, h).chunk(3)
    c = (1 - torch.sigmoid(a_i)) * c + torch.sigmoid(a_i) * torch.tanh(a_g)
    return torch.sigmoid(a_o) * torch.tanh(c), c


def step_1997(w, x, h, c):
    a_i, a_g, a_o = affine(w, x, h).chunk(3)
    c = c + torch.sigmoid(a_i) * (4 / (1 + torch.exp(-a_g)) - 2)
    return torch.sigmoid(a_o) * (2 / (1 + torch.exp(-c)) - 1), c


def step_layer_norm(w, x, h, c):
    rows, zero = w["gain_ih"].shape, torch.zeros(())
    a_x = F.layer_norm(w["weight_ih"] @ x, rows, w["gain_ih"])
    a_h = F.layer_norm(w["weight_hh"] @ h, rows, w["gain_hh"])
    a_i, a_f, a_g, a_o = (a_x + a_h + w.get("bias", zero)).chunk(4)
    c = torch.sigmoid(a_f) * c + torch.sigmoid(a_i) * torch.tanh(a_g)
    normed = F.layer_norm(c, c.shape, w["gain_c"], w.get("bias_c"))
    return torch.sigmoid(a_o) * torch.tanh(normed), c


STEPS = {
    "PeepholeLSTM": step_peephole,
    "CIFGLSTM": step_cifg,
    "LSTM1997": step_1997,
    "LayerNormLSTM": step_layer_norm,
}
"""What PyTorch does not have: one step of one sequence, for autograd to differentiate."""


class Loop(torch.nn.Module):
    """One plain loop per sequence, with the names of our parameters."""

    def __init__(self, case: Case, step: Callable | None = None) -> None:
        super().__init__()
        self.layout = getattr(lstm, case.kind)(**case.arguments)
        self.step, self.batch_first = step or STEPS[case.kind], case.batch_first
        dtype = getattr(torch, np.dtype(case.dtype).name)
        for name, shape in self.layout.named_shapes().items():
            self.register_parameter(name, torch.nn.Parameter(torch.zeros(shape, dtype=dtype)))

    def forward(self, x, hx, lengths=None):
        """Run every sequence on its own; arguments as of our layers."""
        if x.dim() == 2:
            output, states = self.forward(
                x[None] if self.batch_first else x[:, None],
                hx and tuple(state[:, None] for state in hx),
            )
            return output.reshape(len(x), -1), tuple(state[:, 0] for state in states)
        sequences = x if self.batch_first else x.transpose(0, 1)
        many = self.layout.num_layers * self.layout.num_directions
        if hx is None:
            hx = x.new_zeros(2, many, len(sequences), self.layout.hidden_size)
        outputs, finals = [], []
        for b, sequence in enumerate(sequences):
            length = len(sequence) if lengths is None else int(lengths[b])
            output, final = self.run(list(sequence[:length]), [state[:, b] for state in hx])
            outputs.append(F.pad(torch.stack(output), (0, 0, 0, len(sequence) - length)))
            finals.append(final)
        output = torch.stack(outputs, dim=0 if self.batch_first else 1)
        return output, tuple(torch.stack(list(state), 1) for state in zip(*finals, strict=True))

    def run(self, sequence, initial):
        """Run all layers over one sequence."""
        finals = []
        for k in range(self.layout.num_layers):
            above = []
            for suffix in self.layout.suffixes(k):
                own = {n.removesuffix(suffix): p for n, p in self.named_parameters()}
                own = {n: own[n] for n in self.layout.parameter_shapes(1)}
                state, hidden = [array[len(finals)] for array in initial], []
                backwards = suffix.endswith("_reverse")
                for x_t in reversed(sequence) if backwards else sequence:
                    state = self.step(own, x_t, *state)
                    hidden.append(state[0])
                above.append(hidden[::-1] if backwards else hidden)
                finals.append(state)
            sequence = [torch.cat(both) for both in zip(*above, strict=True)]
        return sequence, [torch.stack(list(state)) for state in zip(*finals, strict=True)]


def reference(case: Case) -> torch.nn.Module:
    """Return PyTorch's layer, or a loop where it has none."""
    if case.kind in STEPS:
        return Loop(case)
    dtype = getattr(torch, np.dtype(case.dtype).name)
    return getattr(torch.nn, case.kind)(**case.arguments, dtype=dtype)


def call_reference(layer: torch.nn.Module, x, hx=None, lengths=None) -> tuple:
    """Call it as ours is called."""
    if lengths is None or isinstance(layer, Loop):
        with warnings.catch_warnings():
            # PyTorch says that its projections run without oneDNN.
            warnings.filterwarnings("ignore", "LSTM with projections is not supported")
            return layer(x, hx, lengths) if isinstance(layer, Loop) else layer(x, hx)
    steps = x.shape[1 if layer.batch_first else 0]
    packed = pack_padded_sequence(x, torch.as_tensor(lengths), layer.batch_first, False)
    packed, state = call_reference(layer, packed, hx)
    return pad_packed_sequence(packed, layer.batch_first, total_length=steps)[0], state


# --- runs, and their comparison ----------------------------------------------------------------


def named(results: tuple, gradients: tuple, parameters: Arrays, given: bool) -> Arrays:
    """Return results and gradients by name."""
    (output, *finals), (d_x, *d_initials) = flat(results), flat(gradients)
    named = {"output": output, "d_x": d_x}
    named |= {f"{name}_n": final for name, final in zip("hc", finals, strict=False)}
    if given:
        named |= {f"d_{name}_0": d for name, d in zip("hc", d_initials, strict=False)}
    return named | {"d_" + name: grad for name, grad in parameters.items()}


def make(case: Case, weights: Arrays, **options: Any) -> lstm.layer.RecurrentLayer:
    """Return our layer, with given weights."""
    layer = case.layer(**case.arguments, **options, dtype=case.dtype)
    layer.load_state_dict(weights)
    return layer


def run(layer: lstm.layer.RecurrentLayer, example: Example) -> Arrays:
    """Return every result and gradient of our layer."""
    results = layer(example.x, example.hx, example.lengths)
    gradients = layer.backward(example.d_output, example.d_state)
    parameters = {name: p.grad.copy() for name, p in layer.named_parameters()}
    return named(results, gradients, parameters, example.hx is not None)


def run_reference(case: Case, example: Example, layer: torch.nn.Module | None = None) -> Arrays:
    """Return every result and gradient of the reference."""
    if layer is None:
        layer = reference(case)
    layer.load_state_dict({name: torch.tensor(w) for name, w in example.weights.items()})
    x = torch.tensor(example.x, requires_grad=True)
    states = [torch.tensor(array, requires_grad=True) for array in flat(example.hx)]
    hx = packed(states) if states else None
    results = call_reference(layer, x, hx, example.lengths)
    gradients = [torch.tensor(array) for array in flat((example.d_output, example.d_state))]
    torch.autograd.backward(flat(results), gradients)
    parameters = {name: p.grad for name, p in layer.named_parameters()}
    all_gradients = (x.grad, *(state.grad for state in states))
    everything = named(results, all_gradients, parameters, bool(states))
    return {name: value.detach().numpy().copy() for name, value in everything.items()}


def compare(actual: Arrays, expected: Arrays, dtype: type = np.float64) -> None:
    """Raise unless both hold the same arrays, to :data:`TOLERANCE`."""
    assert actual.keys() == expected.keys(), f"{sorted(actual)} against {sorted(expected)}"
    for name, wanted in expected.items():
        limit = TOLERANCE[dtype]["gradient" if name.startswith("d_") else "forward"]
        # Some networks drawn at random explode: their gradients have no more digits than others.
        same([actual[name]], [wanted], limit * max(1, np.abs(wanted).max(initial=0)), name)


def check_reference(case: Case, seed: int = 0) -> None:
    """Outputs, final states and every gradient are those of the reference, in both modes."""
    example = draw(case, seed)
    layer, expected = make(case, example.weights), run_reference(case, example)
    compare(run(layer, example), expected, case.dtype)
    output, *finals = flat(layer.eval()(example.x, example.hx, example.lengths))
    inferred = {"output": output} | {f"{n}_n": a for n, a in zip("hc", finals, strict=False)}
    compare(inferred, {name: expected[name] for name in inferred}, case.dtype)


def subject(case: Case) -> Subject:
    """Return a layer and its reference for calls of any shape, some of them ragged."""
    weights, shapes = draw(case).weights, [(6, 4), (2, 7), (9, 1)]

    def arguments(rng: np.random.Generator) -> tuple:
        steps, batch = shapes[rng.integers(len(shapes))]
        lengths = "ragged" if steps > 3 and rng.random() < 0.5 else "none"
        call = replace(case, steps=steps, batch=batch, lengths=lengths)
        example = draw(call, seed=int(rng.integers(2**31)))
        return example.x, example.hx, example.lengths

    return Subject(lambda: make(case, weights), lambda: reference(case), arguments, call_reference)
