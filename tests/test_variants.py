"""The relatives of the LSTM: against PyTorch, ONNX, autograd, numerical derivatives and limits."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import lstm
from lstm import variants
from lstm.gradcheck import check_module

T, B, D, H = 6, 4, 3, 4
LENGTHS = np.array([2, 5, 1, 3])
RELATIVES = ["RNN", "GRU", "PeepholeLSTM", "CIFGLSTM", "LSTM1997", "LayerNormLSTM"]
FORWARD, GRADIENT = 1e-12, 1e-10


def make(name, **options):
    """Return a relative whose weights drive the gates away from one half."""
    layer = getattr(variants, name)(D, H, **{"dtype": np.float64, "rng": 0} | options)
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
    assert actual.keys() == expected.keys()
    for name, wanted in expected.items():
        assert actual[name].shape == wanted.shape, name
        assert actual[name].dtype == wanted.dtype, name
        limit = gradient if name.startswith("d_") else forward
        assert np.abs(actual[name] - wanted).max() <= limit, name


# --- against torch.nn -------------------------------------------------------------------------


def run_torch(module, x, states, d_output, d_states, lengths, batch_first):
    """Return every result and gradient of ``torch.nn.RNN`` or ``torch.nn.GRU``."""
    x = torch.tensor(x, requires_grad=True)
    h_0 = torch.tensor(states[0], requires_grad=True)
    if lengths is None:
        output, h_n = module(x, h_0)
    else:
        packed = pack_padded_sequence(x, torch.tensor(lengths), batch_first, enforce_sorted=False)
        output, h_n = module(packed, h_0)
        output, _ = pad_packed_sequence(output, batch_first, total_length=T)
    torch.autograd.backward([output, h_n], [torch.tensor(d_output), torch.tensor(d_states[0])])
    results = {"output": output, "d_x": x.grad, "h_n": h_n, "d_h_0": h_0.grad}
    results |= {"d_" + name: p.grad for name, p in module.named_parameters()}
    return {name: value.detach().numpy() for name, value in results.items()}


KINDS = [("RNN", {}), ("RNN", {"nonlinearity": "relu"}), ("GRU", {})]
OPTIONS = [
    {"bias": bias, "batch_first": batch_first, "bidirectional": bidirectional, "num_layers": layers}
    for bias, batch_first, bidirectional, layers in itertools.product(
        [True, False], [False, True], [False, True], [1, 2, 3]
    )
]
WAYS = [("batch", True, None), ("ragged", True, LENGTHS), ("unbatched", False, None)]


@pytest.mark.parametrize(("name", "own"), KINDS, ids=["tanh", "relu", "GRU"])
@pytest.mark.parametrize(("way", "batched", "lengths"), WAYS, ids=[way[0] for way in WAYS])
@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(map(str, o.values())))
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_parity_with_torch(name, own, way, batched, lengths, options, dtype):
    layer = make(name, dtype=dtype, **options, **own)
    module = getattr(torch.nn, name)(D, H, dtype=getattr(torch, dtype.__name__), **options, **own)
    module.load_state_dict({key: torch.tensor(p) for key, p in layer.state_dict().items()})
    arrays = example(layer, batched)
    actual = run(layer, *arrays, lengths)
    expected = run_torch(module, *arrays, lengths, layer.batch_first)
    compare(actual, expected, *((FORWARD, GRADIENT) if dtype == np.float64 else (5e-5, 5e-5)))


@pytest.mark.parametrize("name", ["RNN", "GRU"])
def test_names_order_and_repr_are_those_of_torch(name):
    options = {"num_layers": 2, "bias": False, "batch_first": True, "dropout": 0.5}
    options |= {"bidirectional": True}
    layer, module = (getattr(where, name)(D, H, **options) for where in (variants, torch.nn))
    assert repr(layer) == repr(module)
    assert list(layer.state_dict()) == list(module.state_dict())


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


def run_autograd(name, layer, x, states, d_output, d_states, lengths):
    """Run every sequence of a batch on its own, step by step, and differentiate with autograd."""
    step = STEPS[name]
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


@pytest.mark.parametrize("name", RELATIVES)
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["equal", "ragged"])
def test_results_and_gradients_are_those_of_a_plain_loop(name, num_layers, bidirectional, lengths):
    layer = make(name, num_layers=num_layers, bidirectional=bidirectional)
    arrays = example(layer)
    actual = run(layer, *arrays, lengths)
    expected = run_autograd(name, layer, *arrays, lengths if lengths is not None else np.full(B, T))
    compare(actual, expected)


@pytest.mark.parametrize("name", RELATIVES)
def test_layouts_agree(name):
    """batch_first, one sequence without a batch, absent states and absent gradients."""
    layer = make(name, num_layers=2, bidirectional=True)
    turned = make(name, num_layers=2, bidirectional=True, batch_first=True)
    x, states, d_output, d_states = example(layer)
    expected = run(layer, x, states, d_output, d_states)
    actual = run(turned, x.swapaxes(0, 1), states, d_output.swapaxes(0, 1), d_states)
    for key in ("output", "d_x"):
        actual[key] = actual[key].swapaxes(0, 1)
    compare(actual, expected)

    first = [array[:, 0] for array in (x, *states, d_output, *d_states)]
    count = len(states)
    alone = run(layer, first[0], tuple(first[1 : 1 + count]), first[1 + count],
                tuple(first[2 + count :]))  # fmt: skip
    kept = [key for key in expected if "weight" not in key and "bias" not in key]
    kept = [key for key in kept if "gain" not in key]
    compare({key: alone[key] for key in kept}, {key: expected[key][:, 0] for key in kept})

    zeros = tuple(np.zeros_like(array) for array in states)
    expected = run(layer, x, zeros, d_output, zeros)
    output, _ = layer(x)
    layer.zero_grad()
    d_x, _ = layer.backward(d_output)
    assert (output == expected["output"]).all()
    assert (d_x == expected["d_x"]).all()
    assert all((p.grad == expected["d_" + key]).all() for key, p in layer.named_parameters())


@pytest.mark.parametrize("name", RELATIVES)
def test_without_bias(name):
    """The same as with biases of zero."""
    layer, biased = make(name, bias=False), make(name)
    assert not any("bias" in key for key in layer.state_dict())
    zeros = {key: 0 * value for key, value in biased.state_dict().items() if "bias" in key}
    biased.load_state_dict(layer.state_dict() | zeros)
    arrays = example(layer)
    expected = run(biased, *arrays)
    compare(run(layer, *arrays), {k: v for k, v in expected.items() if "bias" not in k})


@pytest.mark.parametrize("name", RELATIVES)
def test_padding_is_never_read(name):
    layer = make(name, num_layers=2, bidirectional=True)
    x, states, d_output, d_states = example(layer)
    expected = run(layer, x, states, d_output, d_states, LENGTHS)
    padding = np.arange(T)[:, None] >= LENGTHS
    x[padding], d_output[padding] = np.nan, np.nan
    actual = run(layer, x, states, d_output, d_states, LENGTHS)
    compare(actual, expected, 0, 0)
    assert (actual["output"][padding] == 0).all()
    assert (actual["d_x"][padding] == 0).all()


@pytest.mark.parametrize("name", RELATIVES)
def test_evaluation_mode_keeps_nothing(name):
    layer = make(name)
    x, states, d_output, _ = example(layer)
    expected, _ = layer(x, one(states))
    actual, _ = layer.eval()(x, one(states))
    assert (actual == expected).all()
    with pytest.raises(RuntimeError, match=f"{name}.backward was called in evaluation mode"):
        layer.backward(d_output)


# --- against numerical derivatives ------------------------------------------------------------


@pytest.mark.parametrize("name", RELATIVES)
@pytest.mark.parametrize(("method", "limit"), [("complex", 1e-12), ("central", 1e-7)])
def test_gradients_are_numerical_derivatives(name, method, limit):
    layer = make(name, bidirectional=True)
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
    assert max(errors.values()) < limit, errors


# --- against ONNX's reference operators --------------------------------------------------------


def run_onnx(operator, order, layer, x, states, **attributes):
    """Return output and final states of an operator with the parameters of ``layer``."""

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


OPERATORS = {
    "RNN": ("RNN", [0], {}),
    "GRU": ("GRU", [1, 0, 2], {"linear_before_reset": 1}),
    "PeepholeLSTM": ("LSTM", [0, 3, 1, 2], {}),
}


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_results_are_those_of_the_onnx_reference(name, bidirectional):
    operator, order, attributes = OPERATORS[name]
    layer = make(name, bidirectional=bidirectional)
    x, states, _, _ = example(layer)
    expected, expected_finals = run_onnx(operator, order, layer, x, states, **attributes)
    actual, finals = layer(x, one(states))
    assert np.abs(actual - expected).max() <= FORWARD
    for final, expected_final in zip(many(finals), expected_finals, strict=True):
        assert np.abs(final - expected_final).max() <= FORWARD


# --- limits: where one relative is another ------------------------------------------------------


def test_peephole_without_peepholes_is_the_lstm():
    relative = make("PeepholeLSTM", num_layers=2, bidirectional=True)
    plain = lstm.LSTM(D, H, num_layers=2, bidirectional=True, dtype=np.float64)
    for name, parameter in relative.named_parameters():
        if name.startswith("weight_c"):
            parameter.data[...] = 0
    weights = relative.state_dict()
    plain.load_state_dict({k: v for k, v in weights.items() if not k.startswith("weight_c")})
    arrays = example(relative)
    actual, expected = run(relative, *arrays, LENGTHS), run(plain, *arrays, LENGTHS)
    compare({key: actual[key] for key in expected}, expected)


def test_cifg_is_the_lstm_with_a_negated_forget_gate():
    """As σ(-a) = 1 - σ(a), the gradients of the LSTM's i and f rows add up to CIFG's."""
    relative = make("CIFGLSTM")
    plain = lstm.LSTM(D, H, dtype=np.float64)
    weights = {}
    for name, value in relative.state_dict().items():
        i, g, o = np.split(value, 3)
        weights[name] = np.concatenate([i, -i, g, o])
    plain.load_state_dict(weights)
    arrays = example(relative)
    expected = run(plain, *arrays, LENGTHS)
    for name in weights:
        i, f, g, o = np.split(expected["d_" + name], 4)
        expected["d_" + name] = np.concatenate([i - f, g, o])
    compare(run(relative, *arrays, LENGTHS), expected)


def test_cifg_keeps_the_cell_state_bounded():
    layer = make("CIFGLSTM")
    x = 10 * np.random.default_rng(0).standard_normal((200, B, D))
    _, (_, c_n) = layer(x)
    assert np.abs(c_n).max() < 1


def test_the_cell_of_1997_without_input_keeps_its_state_and_its_gradient():
    """The constant error carousel: with both gates shut, nothing changes c or its gradient."""
    layer = make("LSTM1997")
    layer.bias_ih_l0.data[:H] = layer.bias_ih_l0.data[2 * H :] = -1e9
    x, (h_0, c_0), _, (_, d_c_n) = example(layer)
    output, (_, c_n) = layer(x, (h_0, c_0))
    _, (_, d_c_0) = layer.backward(None, (None, d_c_n))
    assert (output == 0).all()
    assert (c_n == c_0).all()
    assert (d_c_0 == d_c_n).all()


def test_truncated_gradient_of_1997_is_autograds_with_the_recurrent_path_detached():
    layer = make("LSTM1997", truncated=True)
    x, states, d_output, d_states = example(layer)
    actual = run(layer, x, states, d_output, d_states)
    try:
        STEPS["truncated"] = lambda w, x, h, c: step_1997(w, x, h.detach() + 0 * h, c)
        expected = run_autograd("truncated", layer, x, states, d_output, d_states, [T] * B)
    finally:
        del STEPS["truncated"]
    compare(actual, expected)
    assert (actual["d_h_0"] == 0).all()
    whole = run(make("LSTM1997"), x, states, d_output, d_states)
    assert (whole["output"] == actual["output"]).all()
    assert np.abs(whole["d_weight_hh_l0"] - actual["d_weight_hh_l0"]).max() > 0.01


def test_truncated_gradient_of_one_step_is_the_whole():
    whole, truncated = make("LSTM1997"), make("LSTM1997", truncated=True)
    x, states, d_output, d_states = example(whole)
    results = [run(layer, x[:1], states, d_output[:1], d_states) for layer in (whole, truncated)]
    for result in results:
        del result["d_h_0"]  # the one path that leaves the step through the recurrent weights
    compare(*results)


def test_layer_norm_ignores_the_scale_of_its_inputs():
    """What it is for: ten times the weights or the input change nothing (but for ε)."""
    layer = make("LayerNormLSTM")
    x, states, _, _ = example(layer)
    x, expected = 1e4 * x, layer(1e4 * x, states)[0]
    layer.weight_ih_l0.data *= 10
    assert np.abs(layer(x, states)[0] - expected).max() < 1e-8


def test_layer_norm_starts_with_gains_of_one_and_biases_of_zero():
    layer = lstm.variants.LayerNormLSTM(D, H, 2, rng=0)
    for name, value in layer.state_dict().items():
        if "weight" not in name:
            assert (value == ("gain" in name)).all(), name
        else:
            assert np.abs(value).max() <= H**-0.5


# --- arguments ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RELATIVES)
def test_bad_arguments(name):
    kind = getattr(variants, name)
    with pytest.raises(ValueError, match="hidden_size must be a positive integer, got 0"):
        kind(D, 0)
    with pytest.raises(ValueError, match=r"dropout must be in \[0, 1\], got 2"):
        kind(D, H, dropout=2)
    with pytest.raises(TypeError, match="proj_size"):
        kind(D, H, proj_size=2)
    layer = kind(D, H)
    with pytest.raises(ValueError, match=r"x must have shape \(..., 3\), got \(6, 4, 5\)"):
        layer(np.zeros((T, B, 5), np.float32))
    with pytest.raises(ValueError, match=r"lengths must be in \[1, 6\]"):
        layer(np.zeros((T, B, D), np.float32), lengths=[1, 2, 3, 7])
    wrong = one((np.zeros((1, B, 9), np.float32),) * len(layer._state_sizes()))
    with pytest.raises(ValueError, match=r"h_0 must have shape \(1, 4, 4\), got \(1, 4, 9\)"):
        layer(np.zeros((T, B, D), np.float32), wrong)
    with pytest.raises(RuntimeError, match=f"{name}.backward was called before a forward pass"):
        layer.backward(None)


def test_bad_arguments_of_one():
    with pytest.raises(ValueError, match=r"nonlinearity must be one of .*, got 'sine'"):
        variants.RNN(D, H, nonlinearity="sine")
    with pytest.raises(ValueError, match="truncated must be"):
        variants.LSTM1997(D, H, truncated=1)
    assert "truncated=True" in repr(variants.LSTM1997(D, H, truncated=True))
