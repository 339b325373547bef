"""Checks of recurrent layers against independent ones, as plain functions of the class to check.

Each check takes a ``factory``, a callable with the arguments of the layer's class, and a
:class:`Case`, whose ``kind`` says what it has to be: ``LSTM`` or one of its relatives. A check
returns None or raises an AssertionError. They are functions and not tests because they run twice:
on our layers, where they have to pass, and on wrong ones, which they have to catch.
"""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import lstm
from lstm.gradcheck import check_module
from tests.lstm.calls import PROGRAM, Program, Subject, check_calls, flat, mapped, same

Arrays = dict[str, np.ndarray]
Factory = Callable[..., lstm.layer.RecurrentLayer]

KINDS = ("LSTM", "RNN", "GRU", "PeepholeLSTM", "CIFGLSTM", "LSTM1997", "LayerNormLSTM")
TOLERANCE = {
    np.float64: {"forward": 1e-12, "gradient": 1e-10},
    np.float32: {"forward": 5e-5, "gradient": 5e-5},
}
"""Largest difference allowed: absolute where values are of order 1, relative to larger ones."""


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
    features |= {"proj_size": [0, 3]} if kind == "LSTM" else {}
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


def make(factory: Factory, case: Case, weights: Arrays) -> lstm.layer.RecurrentLayer:
    """Return the layer to check, with given weights."""
    layer = factory(**case.arguments, dtype=case.dtype)
    layer.load_state_dict(weights)
    return layer


def run(layer: lstm.layer.RecurrentLayer, example: Example) -> Arrays:
    """Return every result and gradient of the layer to check."""
    results = layer(example.x, example.hx, example.lengths)
    gradients = layer.backward(example.d_output, example.d_state)
    parameters = {name: p.grad.copy() for name, p in layer.named_parameters()}
    return named(results, gradients, parameters, example.hx is not None)


@functools.lru_cache(maxsize=64)
def expected_results(case: Case, seed: int = 0) -> Arrays:
    """Return every result and gradient of the reference; nobody may change the arrays."""
    return run_reference(case, draw(case, seed))


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


# --- the checks --------------------------------------------------------------------------------


def check_reference(factory: Factory, case: Case, seed: int = 0) -> None:
    """Outputs, final states and every gradient are those of the reference, in both modes."""
    example, expected = draw(case, seed), expected_results(case, seed)
    layer = make(factory, case, example.weights)
    compare(run(layer, example), expected, case.dtype)
    output, *finals = flat(layer.eval()(example.x, example.hx, example.lengths))
    inferred = {"output": output} | {f"{n}_n": a for n, a in zip("hc", finals, strict=False)}
    compare(inferred, {name: expected[name] for name in inferred}, case.dtype)


def check_features(factory: Factory, kind: str) -> None:
    """``check_reference`` for cases in which any two features meet."""
    for case in covering(kind):
        check_reference(factory, case)


def check_orders(factory: Factory, case: Case, program: Program = PROGRAM) -> None:
    """Any order of calls of any shape has the reference's gradients, with weights that change."""
    shapes = itertools.cycle([(6, 4), (2, 7), (9, 1), (6, 4)])

    def arguments(rng: np.random.Generator) -> tuple:
        steps, batch = next(shapes)
        lengths = "ragged" if case.lengths == "ragged" and steps > 3 else "none"
        call = replace(case, steps=steps, batch=batch, lengths=lengths, state=True)
        example = draw(call, seed=int(rng.integers(2**31)))
        return example.x, example.hx, example.lengths

    weights = draw(case).weights
    check_calls(
        Subject(
            lambda: make(factory, case, weights), lambda: reference(case), arguments, call_reference
        ),
        program,
    )


def check_padding(factory: Factory, case: Case) -> None:
    """What stands behind the end of a sequence is never read: even NaN does no harm."""
    case = replace(case, lengths="ragged")
    example, expected = draw(case), expected_results(case)
    layer = make(factory, case, example.weights)
    padding = np.arange(case.steps)[:, None] >= example.lengths
    padding = padding.T if case.batch_first else padding
    example.x[padding] = np.nan
    example.d_output[padding] = np.nan
    results = run(layer, example)
    compare(results, expected)
    assert (results["output"][padding] == 0).all()
    assert (results["d_x"][padding] == 0).all()


def check_absent_gradients(factory: Factory, case: Case) -> None:
    """Absent gradients count as zeros, each on its own."""
    example = draw(case)
    given = flat((example.d_output, example.d_state))
    for absent in itertools.product([False, True], repeat=len(given)):
        results = []
        for nothing in (np.zeros_like, lambda array: None):
            d_output, *d_state = (
                nothing(g) if a else g for a, g in zip(absent, given, strict=True)
            )
            changed = replace(example, d_output=d_output, d_state=packed(d_state))
            results.append(run(make(factory, case, example.weights), changed))
        compare(*results)


def check_strides(factory: Factory, case: Case) -> None:
    """Strides do not matter."""
    example, expected = draw(case), expected_results(case)

    def strided(array: np.ndarray) -> np.ndarray:
        wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), np.nan)
        wide[..., ::-2] = array
        return wide[..., ::-2]

    example.x, example.d_output = strided(example.x), np.asfortranarray(example.d_output)
    example.hx, example.d_state = mapped(strided, example.hx), mapped(strided, example.d_state)
    assert not example.x.flags.c_contiguous
    compare(run(make(factory, case, example.weights), example), expected)


def gradient_errors(factory: Factory, case: Case, method: str) -> dict[str, float]:
    """Return the relative error of every gradient against a numerical derivative."""
    example = draw(case)
    layer = factory(**case.arguments, dtype=case.dtype)
    layer.load_state_dict(example.weights)
    names = [f"{name}_0" for name in layer.state_sizes()]

    def loss(x: np.ndarray, **states: np.ndarray):
        layer.rng = np.random.default_rng(7)  # the same dropout mask every time
        results = flat(layer(x, packed(list(states.values())), example.lengths))
        factors = flat((example.d_output, example.d_state))
        # Not linear in the results, so that a gradient depends on them too.
        value = sum((d * y**2).sum() for d, y in zip(factors, results, strict=True))

        def backward() -> Arrays:
            d_output, *d_state = (2 * d * y for d, y in zip(factors, results, strict=True))
            gradients = flat(layer.backward(d_output, packed(d_state)))
            return dict(zip(["x", *names], gradients, strict=True))

        return value, backward

    inputs = {"x": example.x} | dict(zip(names, flat(example.hx), strict=True))
    errors = check_module(layer, inputs, loss, method)
    assert len(errors) == len(inputs) + len(example.weights)
    return errors


LIMITS = {"complex": 1e-12, "central": 1e-7}


def check_gradients(factory: Factory, case: Case, method: str = "complex") -> None:
    """Every gradient is the derivative of the forward pass."""
    case = replace(case, input_size=2, hidden_size=3, steps=4, batch=3)
    errors = gradient_errors(factory, case, method)
    worst = max(errors, key=errors.get)
    assert errors[worst] < LIMITS[method], f"{worst} is off by {errors[worst]:.1e} (relative)"


def check_dropout(factory: Factory, case: Case) -> None:
    """Every gradient is the derivative with dropout too, and in evaluation there is none."""

    def dropping(**arguments: Any) -> lstm.layer.RecurrentLayer:
        return factory(**arguments, dropout=0.4)

    check_gradients(dropping, replace(case, num_layers=3))
    example = draw(case)
    layer = make(dropping, case, example.weights)
    dropped = layer(example.x, example.hx)[0]
    same([layer.eval()(example.x, example.hx)[0]], [expected_results(case)["output"]], 1e-12)
    assert np.abs(dropped - expected_results(case)["output"]).max() > 0.01


OPERATORS = {
    "LSTM": ("LSTM", [0, 3, 1, 2], {}),
    "RNN": ("RNN", [0], {}),
    "GRU": ("GRU", [1, 0, 2], {"linear_before_reset": 1}),
    "PeepholeLSTM": ("LSTM", [0, 3, 1, 2], {}),
}
"""Class → operator of ONNX, its order of our blocks, its attributes."""


def check_onnx(factory: Factory, case: Case) -> None:
    """Results are those of the reference implementation of ONNX's operator."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    operator, order, attributes = OPERATORS[case.kind]
    case = replace(case, num_layers=1, bidirectional=True, proj_size=0)
    example = draw(case)
    weights, directions = example.weights, ("_l0", "_l0_reverse")

    def blocks(name: str) -> np.ndarray:
        parts = [np.split(weights[name + suffix], len(order)) for suffix in directions]
        return np.stack([np.concatenate([one[k] for k in order]) for one in parts])

    states = flat(example.hx)
    inputs = {
        "X": example.x,
        "W": blocks("weight_ih"),
        "R": blocks("weight_hh"),
        "B": np.concatenate([blocks("bias_ih"), blocks("bias_hh")], axis=1),
        "sequence_lens": np.full(case.batch, case.steps, np.int32),
        "initial_h": states[0],
    }
    if len(states) > 1:
        inputs["initial_c"] = states[1]
    if case.kind == "PeepholeLSTM":
        gates = [[weights[f"weight_c{gate}{suffix}"] for gate in "iof"] for suffix in directions]
        inputs["P"] = np.stack([np.concatenate(both) for both in gates])
    outputs = ["Y", "Y_h", "Y_c"][: 1 + len(states)]
    node = onnx.helper.make_node(
        operator,
        list(inputs),
        outputs,
        hidden_size=case.hidden_size,
        direction="bidirectional",
        **attributes,
    )
    kinds = {np.dtype("f8"): onnx.TensorProto.DOUBLE, np.dtype("i4"): onnx.TensorProto.INT32}
    value = onnx.helper.make_tensor_value_info
    values = [value(name, kinds[array.dtype], array.shape) for name, array in inputs.items()]
    results = [value(name, onnx.TensorProto.DOUBLE, None) for name in outputs]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], operator, values, results))
    Y, *finals = ReferenceEvaluator(model).run(None, inputs)  # Y is (T, directions, B, H)
    output = np.concatenate(list(Y.swapaxes(0, 1)), axis=-1)
    same(flat(make(factory, case, weights)(example.x, example.hx)), [output, *finals], 1e-12)


CHECKS: dict[str, Callable[[Factory, Case], None]] = {
    "reference": lambda factory, case: check_features(factory, case.kind),
    "orders of calls": check_orders,
    "padding never read": check_padding,
    "absent gradients": check_absent_gradients,
    "strides": check_strides,
    "complex step": check_gradients,
    "central differences": lambda factory, case: check_gradients(factory, case, "central"),
    "dropout": check_dropout,
    "ONNX reference": check_onnx,
}
"""Every check by the name shown in tables; each takes a factory and a case of its kind."""


def checks_for(kind: str) -> Iterator[tuple[str, Callable[[Factory], None]]]:
    """Yield the name of each check that applies to a class, and a function of the factory."""
    case = Case(kind, num_layers=2, bidirectional=True, proj_size=2 if kind == "LSTM" else 0)
    for name, check in CHECKS.items():
        if check is not check_onnx or kind in OPERATORS:
            yield name, functools.partial(check, case=case)
