"""The relatives of the LSTM: against PyTorch, ONNX, autograd, numerical derivatives and limits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import lstm
from lstm import variants
from tests.lstm import parity_variants as parity
from tests.lstm.parity_variants import (
    FORWARD,
    GRADIENT,
    LENGTHS,
    STEPS,
    B,
    D,
    H,
    T,
    compare,
    example,
    one,
    run,
    run_autograd,
)

RELATIVES = list(STEPS)


def make(name, **options):
    return parity.make(getattr(variants, name), **options)


@pytest.mark.parametrize(
    ("name", "check"), [(name, check) for name in RELATIVES for check in parity.checks_for(name)]
)
def test_check(name, check):
    parity.CHECKS[check](getattr(variants, name))


@pytest.mark.parametrize("name", RELATIVES)
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
def test_results_and_gradients_are_those_of_a_plain_loop(name, num_layers, bidirectional, ragged):
    parity.check_autograd(getattr(variants, name), num_layers, bidirectional, ragged)


@pytest.mark.parametrize("name", RELATIVES)
@pytest.mark.parametrize("method", parity.LIMITS)
def test_gradients_are_numerical_derivatives(name, method):
    parity.check_gradients(getattr(variants, name), method, bidirectional=True)


@pytest.mark.parametrize("name", parity.OPERATORS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_results_are_those_of_the_onnx_reference(name, bidirectional):
    parity.check_onnx(getattr(variants, name), bidirectional)


@pytest.mark.parametrize("name", RELATIVES)
def test_evaluation_mode_keeps_nothing(name):
    layer = make(name)
    x, states, d_output, _ = example(layer)
    expected, _ = layer(x, one(states))
    actual, _ = layer.eval()(x, one(states))
    assert (actual == expected).all()
    with pytest.raises(RuntimeError, match=f"{name}.backward was called in evaluation mode"):
        layer.backward(d_output)


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


# --- limits: where one relative is another ------------------------------------------------------


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

    def step(w, x, h, c):
        return STEPS["LSTM1997"](w, x, h.detach() + 0 * h, c)

    expected = run_autograd(step, layer, x, states, d_output, d_states, [T] * B)
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
