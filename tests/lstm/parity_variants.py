"""Checks of the LSTM's relatives, as functions of the class to check."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import torch
from onnx.reference import ReferenceEvaluator
from torch.nn import functional as F

import lstm
from lstm.gradcheck import check_module
from lstm.variants import StepwiseLayer

T, B, D, H = 6, 4, 3, 4
LENGTHS = np.array([2, 5, 1, 3])
FORWARD, GRADIENT = 1e-12, 1e-10


def make(kind, **options):
    """Return a relative whose weights drive the gates away from one half."""
    layer = kind(D, H, **{"dtype": np.float64, "rng": 0} | options)
    rng = np.random.default_rng(1)
    for parameter in layer.parameters():
        parameter.data += 0.5 * rng.standard_normal(parameter.shape).astype(parameter.dtype)
    return layer


def example(layer, batched=True, seed=2):
    """Return x, the initial states, and gradients of the output and of the final states."""
    rng = np.random.default_rng(seed)
    batch = (B,) if batched else ()
    leading = (B, T) if layer.batch_first and batched else (T, *batch)
    many = layer.num_layers * layer.num_directions
    count = len(layer._state_sizes())

    def normal(*shape):
        return rng.standard_normal(shape).astype(layer.dtype)

    states = [normal(many, *batch, H) for _ in range(2 * count)]
    return (
        normal(*leading, D),
        tuple(states[:count]),
        normal(*leading, layer.output_size),
        tuple(states[count:]),
    )


def one(states):
    """Return a tuple of one as what it holds: one state is passed bare."""
    return states[0] if len(states) == 1 else states


def many(states):
    """Return what holds one or many as a tuple."""
    return states if isinstance(states, tuple) else (states,)


def run(layer, x, states, d_output, d_states, lengths=None):
    """Return every result and gradient by name."""
    output, finals = layer(x, one(states), lengths)
    layer.zero_grad()
    d_x, d_initials = layer.backward(d_output, one(d_states))
    results = {"output": output, "d_x": d_x}
    for name, final, d_initial in zip("hc", many(finals), many(d_initials), strict=False):
        results |= {f"{name}_n": final, f"d_{name}_0": d_initial}
    return results | {"d_" + name: p.grad.copy() for name, p in layer.named_parameters()}


def compare(actual, expected, forward=FORWARD, gradient=GRADIENT):
    """Raise unless both hold the same arrays to these absolute differences."""
    assert actual.keys() == expected.keys()
    for name, wanted in expected.items():
        got, limit = actual[name], gradient if name.startswith("d_") else forward
        assert got.shape == wanted.shape, f"{name}: shape {got.shape}, wanted {wanted.shape}"
        assert got.dtype == wanted.dtype, f"{name}: dtype {got.dtype}, wanted {wanted.dtype}"
        difference = np.abs(got - wanted).max()
        assert difference <= limit, f"{name} is off by {difference:.1e}, more than {limit}"


# --- against autograd: one plain loop per sequence, in PyTorch ---------------------------------


def step_rnn(w, x, h):
    return (torch.tanh(w["weight_ih"] @ x + w["bias_ih"] + w["weight_hh"] @ h + w["bias_hh"]),)


def step_gru(w, x, h):
    i_r, i_z, i_n = (w["weight_ih"] @ x + w["bias_ih"]).chunk(3)
    h_r, h_z, h_n = (w["weight_hh"] @ h + w["bias_hh"]).chunk(3)
    z = torch.sigmoid(i_z + h_z)
    return ((1 - z) * torch.tanh(i_n + torch.sigmoid(i_r + h_r) * h_n) + z * h,)


def affine(w, x, h):
    return w["weight_ih"] @ x + w["bias_ih"] + w["weight_hh"] @ h + w["bias_hh"]


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
    a_x = F.layer_norm(w["weight_ih"] @ x, (4 * H,), w["gain_ih"])
    a_h = F.layer_norm(w["weight_hh"] @ h, (4 * H,), w["gain_hh"])
    a_i, a_f, a_g, a_o = (a_x + a_h + w["bias"]).chunk(4)
    c = torch.sigmoid(a_f) * c + torch.sigmoid(a_i) * torch.tanh(a_g)
    return torch.sigmoid(a_o) * torch.tanh(F.layer_norm(c, (H,), w["gain_c"], w["bias_c"])), c


STEPS = {
    "RNN": step_rnn,
    "GRU": step_gru,
    "PeepholeLSTM": step_peephole,
    "CIFGLSTM": step_cifg,
    "LSTM1997": step_1997,
    "LayerNormLSTM": step_layer_norm,
}


def run_autograd(step, layer, x, states, d_output, d_states, lengths):
    """Run every sequence of a batch on its own, step by step, and differentiate with autograd."""
    weights = {key: torch.tensor(p.data, requires_grad=True) for key, p in layer.named_parameters()}
    leaf, *initials = (torch.tensor(array, requires_grad=True) for array in (x, *states))
    output = torch.zeros(d_output.shape, dtype=torch.float64)
    finals = [torch.zeros(array.shape, dtype=torch.float64) for array in states]
    for b in range(B):
        sequence = list(leaf[: lengths[b], b])
        for k in range(layer.num_layers):
            above = []
            for direction, suffix in enumerate(layer._suffixes(k)):
                own = {
                    key.removesuffix(suffix): value
                    for key, value in weights.items()
                    if key.endswith(suffix)
                }
                row = k * layer.num_directions + direction
                state, hidden = [array[row, b] for array in initials], []
                for x_t in reversed(sequence) if direction else sequence:
                    state = step(own, x_t, *state)
                    hidden.append(state[0])
                above.append(hidden[::-1] if direction else hidden)
                for final, value in zip(finals, state, strict=True):
                    final[row, b] = value
            sequence = [torch.cat(both) for both in zip(*above, strict=True)]
        output[: lengths[b], b] = torch.stack(sequence)
    torch.autograd.backward([output, *finals], [torch.tensor(g) for g in (d_output, *d_states)])
    results = {"output": output, "d_x": leaf.grad}
    for letter, final, initial in zip("hc", finals, initials, strict=False):
        results |= {f"{letter}_n": final, f"d_{letter}_0": initial.grad}
    results |= {"d_" + key: value.grad for key, value in weights.items()}
    return {key: value.detach().numpy() for key, value in results.items()}


# --- against ONNX's reference operators --------------------------------------------------------


OPERATORS = {
    "RNN": ("RNN", [0], {}),
    "GRU": ("GRU", [1, 0, 2], {"linear_before_reset": 1}),
    "PeepholeLSTM": ("LSTM", [0, 3, 1, 2], {}),
}
"""Class → operator, its order of our blocks, its attributes."""


def run_onnx(layer, x, states):
    """Return output and final states of the operator with the parameters of ``layer``."""
    operator, order, attributes = OPERATORS[type(layer).__name__]

    def blocks(name):
        both = []
        for suffix in layer._suffixes(0):
            parts = np.split(getattr(layer, name + suffix).data, len(order))
            both.append(np.concatenate([parts[k] for k in order]))
        return np.stack(both)

    inputs = {
        "X": x,
        "W": blocks("weight_ih"),
        "R": blocks("weight_hh"),
        "B": np.concatenate([blocks("bias_ih"), blocks("bias_hh")], axis=1),
        "sequence_lens": np.full(B, T, np.int32),
        "initial_h": states[0],
    }
    if operator == "LSTM":
        peepholes = [
            [getattr(layer, f"weight_c{gate}{suffix}").data for gate in "iof"]
            for suffix in layer._suffixes(0)
        ]
        inputs |= {"initial_c": states[1], "P": np.stack([np.concatenate(p) for p in peepholes])}
    outputs = ["Y", "Y_h", "Y_c"][: 1 + len(states)]
    direction = "bidirectional" if layer.bidirectional else "forward"
    node = onnx.helper.make_node(
        operator, list(inputs), outputs, hidden_size=H, direction=direction, **attributes
    )
    kinds = {np.dtype("f8"): onnx.TensorProto.DOUBLE, np.dtype("i4"): onnx.TensorProto.INT32}
    values = [
        onnx.helper.make_tensor_value_info(name, kinds[array.dtype], array.shape)
        for name, array in inputs.items()
    ]
    results = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, None) for name in outputs
    ]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], operator, values, results))
    Y, *finals = ReferenceEvaluator(model).run(None, inputs)
    return np.concatenate(list(Y.swapaxes(0, 1)), axis=-1), finals


# --- the checks ---------------------------------------------------------------------------------

Kind = type[StepwiseLayer]


def check_autograd(
    kind: Kind, num_layers: int = 1, bidirectional: bool = False, ragged: bool = True
) -> None:
    """Results and every gradient are those of a plain loop that autograd differentiates."""
    layer = make(kind, num_layers=num_layers, bidirectional=bidirectional)
    arrays, lengths = example(layer), LENGTHS if ragged else np.full(B, T)
    expected = run_autograd(STEPS[kind.__name__], layer, *arrays, lengths)
    compare(run(layer, *arrays, lengths if ragged else None), expected)


def check_layouts(kind: Kind) -> None:
    """Batch first, one sequence without a batch, absent states and absent gradients."""
    layer = make(kind, num_layers=2, bidirectional=True)
    turned = make(kind, num_layers=2, bidirectional=True, batch_first=True)
    x, states, d_output, d_states = example(layer)
    expected = run(layer, x, states, d_output, d_states)
    actual = run(turned, x.swapaxes(0, 1), states, d_output.swapaxes(0, 1), d_states)
    for key in ("output", "d_x"):
        actual[key] = actual[key].swapaxes(0, 1)
    compare(actual, expected)

    def first(arrays):
        return tuple(array[:, 0] for array in arrays)

    alone = run(layer, x[:, 0], first(states), d_output[:, 0], first(d_states))
    kept = [key for key in expected if key.removeprefix("d_") not in layer.state_dict()]
    compare({key: alone[key] for key in kept}, {key: expected[key][:, 0] for key in kept})

    zeros = tuple(np.zeros_like(array) for array in states)
    expected = run(layer, x, zeros, d_output, zeros)
    output, _ = layer(x)
    layer.zero_grad()
    d_x, _ = layer.backward(d_output)
    actual = {"output": output, "d_x": d_x}
    actual |= {"d_" + name: p.grad for name, p in layer.named_parameters()}
    compare(actual, {key: expected[key] for key in actual}, 0, 0)


def check_without_bias(kind: Kind) -> None:
    """Without biases it is the same as with biases of zero."""
    layer, biased = make(kind, bias=False), make(kind)
    assert not any("bias" in key for key in layer.state_dict())
    zeros = {key: 0 * value for key, value in biased.state_dict().items() if "bias" in key}
    biased.load_state_dict(layer.state_dict() | zeros)
    arrays = example(layer)
    expected = run(biased, *arrays)
    compare(run(layer, *arrays), {k: v for k, v in expected.items() if "bias" not in k})


def check_padding(kind: Kind) -> None:
    """What stands behind the end of a sequence is never read: even NaN does no harm."""
    layer = make(kind, num_layers=2, bidirectional=True)
    x, states, d_output, d_states = example(layer)
    expected = run(layer, x, states, d_output, d_states, LENGTHS)
    padding = np.arange(T)[:, None] >= LENGTHS
    x[padding], d_output[padding] = np.nan, np.nan
    actual = run(layer, x, states, d_output, d_states, LENGTHS)
    compare(actual, expected, 0, 0)
    assert (actual["output"][padding] == 0).all()
    assert (actual["d_x"][padding] == 0).all()


def check_arguments_untouched(kind: Kind) -> None:
    """The caller's arrays are neither changed nor kept."""
    layer = make(kind)
    x, states, d_output, d_states = example(layer)
    before = [array.copy() for array in (x, *states, d_output, *d_states)]
    expected = run(layer, x, states, d_output, d_states)
    for array, copy in zip((x, *states, d_output, *d_states), before, strict=True):
        assert (array == copy).all()
    layer.zero_grad()
    output, finals = layer(x, one(states))
    for array in (x, *states, output, *many(finals)):
        array[...] = 0
    for parameter in layer.parameters():
        parameter.data += 1
    d_x, _ = layer.backward(d_output, one(d_states))
    actual = {"d_x": d_x} | {"d_" + name: p.grad for name, p in layer.named_parameters()}
    compare(actual, {key: expected[key] for key in actual}, 0, 0)


LIMITS = {"complex": 1e-12, "central": 1e-7}


def gradient_errors(kind: Kind, method: str, bidirectional: bool) -> dict[str, float]:
    """Return the relative error of every gradient against a numerical derivative."""
    layer = make(kind, bidirectional=bidirectional)
    x, states, d_output, d_states = example(layer)
    names = ["h_0", "c_0"][: len(states)]

    def loss(x, **states):
        output, finals = layer(x, one(tuple(states.values())), LENGTHS)
        value = (d_output * output**2).sum()
        value += sum((d * final**2).sum() for d, final in zip(d_states, many(finals), strict=True))

        def backward():
            d_finals = tuple(2 * d * f for d, f in zip(d_states, many(finals), strict=True))
            d_x, d_initials = layer.backward(2 * d_output * output, one(d_finals))
            return {"x": d_x} | dict(zip(names, many(d_initials), strict=True))

        return value, backward

    inputs = {"x": x} | dict(zip(names, states, strict=True))
    errors = check_module(layer, inputs, loss, method)
    assert len(errors) == len(inputs) + len(layer.state_dict())
    return errors


def check_gradients(kind: Kind, method: str = "complex", bidirectional: bool = False) -> None:
    """Every gradient is the derivative of the forward pass."""
    errors = gradient_errors(kind, method, bidirectional)
    worst = max(errors, key=errors.get)
    assert errors[worst] < LIMITS[method], f"{worst} is off by {errors[worst]:.1e} (relative)"


def check_onnx(kind: Kind, bidirectional: bool = True) -> None:
    """Results are those of the reference implementation of ONNX's operator."""
    layer = make(kind, bidirectional=bidirectional)
    x, states, _, _ = example(layer)
    expected, expected_finals = run_onnx(layer, x, states)
    output, finals = layer(x, one(states))
    compare({"output": output}, {"output": expected})
    for final, wanted in zip(many(finals), expected_finals, strict=True):
        compare({"final": final}, {"final": wanted})


def check_peepholes_of_zero(kind: Kind) -> None:
    """Without peepholes it is ``lstm.LSTM``."""
    relative = make(kind, num_layers=2, bidirectional=True)
    plain = lstm.LSTM(D, H, num_layers=2, bidirectional=True, dtype=np.float64)
    for name, parameter in relative.named_parameters():
        if name.startswith("weight_c"):
            parameter.data[...] = 0
    weights = relative.state_dict()
    plain.load_state_dict({k: v for k, v in weights.items() if not k.startswith("weight_c")})
    arrays = example(relative)
    actual, expected = run(relative, *arrays, LENGTHS), run(plain, *arrays, LENGTHS)
    compare({key: actual[key] for key in expected}, expected)


CHECKS: dict[str, Callable[[Kind], None]] = {
    "autograd": lambda kind: check_autograd(kind, 2, True),
    "complex step": check_gradients,
    "ONNX reference": check_onnx,
    "peepholes of zero": check_peepholes_of_zero,
    "layouts": check_layouts,
    "without bias": check_without_bias,
    "padding never read": check_padding,
    "arguments untouched": check_arguments_untouched,
}
"""Every check of a relative by the name shown in tables; the two of :data:`ONLY` are for some."""

ONLY = {"ONNX reference": set(OPERATORS), "peepholes of zero": {"PeepholeLSTM"}}
"""Check → the classes that have what it compares; others are checked by all."""


def checks_for(kind_name: str) -> dict[str, Callable[[Kind], None]]:
    """Return the checks that apply to a class."""
    return {n: c for n, c in CHECKS.items() if n not in ONLY or kind_name in ONLY[n]}
