"""Every wrong argument and every wrong order of calls has an error that says what was wrong."""

import re

import numpy as np
import pytest
import torch

import lstm


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


ARGUMENTS = [
    ({"input_size": 0}, "input_size must be a positive integer, got 0"),
    ({"input_size": 2.0}, "input_size must be a positive integer, got 2.0"),
    ({"hidden_size": -1}, "hidden_size must be a positive integer, got -1"),
    ({"hidden_size": "4"}, "hidden_size must be a positive integer, got '4'"),
    ({"num_layers": 0}, "num_layers must be a positive integer, got 0"),
    ({"num_layers": True}, "num_layers must be a positive integer, got True"),
    ({"bias": 1}, "bias must be True or False, got 1"),
    ({"batch_first": "yes"}, "batch_first must be True or False, got 'yes'"),
    ({"bidirectional": None}, "bidirectional must be True or False, got None"),
    ({"dropout": 1.5}, "dropout must be a number in [0, 1], got 1.5"),
    ({"dropout": -0.1}, "dropout must be a number in [0, 1], got -0.1"),
    ({"dropout": float("nan")}, "dropout must be a number in [0, 1], got nan"),
    ({"dropout": True}, "dropout must be a number in [0, 1], got True"),
    ({"dropout": "half"}, "dropout must be a number in [0, 1], got 'half'"),
    ({"proj_size": -1}, "proj_size must be an integer of at least 0, got -1"),
    ({"proj_size": 4}, "proj_size must be smaller than hidden_size = 4, got 4"),
    ({"proj_size": 5}, "proj_size must be smaller than hidden_size = 4, got 5"),
    ({"dtype": np.float16}, "dtype must be float32 or float64, got float16"),
    ({"dtype": np.int64}, "dtype must be float32 or float64, got int64"),
]


@pytest.mark.parametrize(("arguments", "message"), ARGUMENTS)
def test_constructor(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        lstm.LSTM(**{"input_size": 3, "hidden_size": 4, "num_layers": 2} | arguments)


def test_dropout_without_a_layer_above_warns():
    with pytest.warns(UserWarning, match=r"got dropout=0.5 with num_layers=1") as ours:
        lstm.LSTM(3, 4, dropout=0.5)
    assert ours[0].filename == __file__
    with pytest.warns(UserWarning, match="num_layers greater than 1"):
        torch.nn.LSTM(3, 4, dropout=0.5)


FORWARD = [
    ({}, (zeros(3),), "input must have shape (T, B, D) or (T, D), got (3,)"),
    ({}, (zeros(5, 2, 3, 1),), "input must have shape (T, B, D) or (T, D), got (5, 2, 3, 1)"),
    ({"batch_first": True}, (zeros(3),), "input must have shape (B, T, D) or (T, D), got (3,)"),
    ({}, (zeros(5, 2, 4),), "input must have shape (..., 3), got (5, 2, 4)"),
    ({}, (zeros(5, 4),), "input must have shape (..., 3), got (5, 4)"),
    ({}, (zeros(0, 2, 3),), "input must have at least one step, got shape (0, 2, 3)"),
    ({}, (zeros(0, 3),), "input must have at least one step, got shape (0, 3)"),
    ({"batch_first": True}, (zeros(2, 0, 3),), "input must have at least one step"),
    ({}, (zeros(5, 2, 3, dtype=np.float64),), "input must have dtype float32, got float64"),
    ({}, (zeros(5, 2, 3, dtype=int),), "input must have dtype float32, got int64"),
    ({}, (zeros(5, 2, 3), zeros(1, 2, 4)), "hx must be a pair (h_0, c_0), got ndarray"),
    ({}, (zeros(5, 2, 3), (zeros(1, 2, 4),)), "hx must be a pair (h_0, c_0), got 1 array"),
    (
        {},
        (zeros(5, 2, 3), (zeros(1, 3, 4), zeros(1, 2, 4))),
        "h_0 must have shape (1, 2, 4), got (1, 3, 4)",
    ),
    (
        {},
        (zeros(5, 2, 3), (zeros(1, 2, 4), zeros(2, 2, 4))),
        "c_0 must have shape (1, 2, 4), got (2, 2, 4)",
    ),
    (
        {},
        (zeros(5, 2, 3), (zeros(2, 4), zeros(2, 4))),
        "h_0 must have shape (1, 2, 4), got (2, 4)",
    ),
    (
        {},
        (zeros(5, 3), (zeros(1, 1, 4), zeros(1, 1, 4))),
        "h_0 must have shape (1, 4), got (1, 1, 4)",
    ),
    (
        {"batch_first": True},
        (zeros(2, 5, 3), (zeros(2, 1, 4), zeros(2, 1, 4))),
        "h_0 must have shape (1, 2, 4), got (2, 1, 4)",
    ),
    (
        {"proj_size": 2},
        (zeros(5, 2, 3), (zeros(1, 2, 4), zeros(1, 2, 4))),
        "h_0 must have shape (1, 2, 2), got (1, 2, 4)",
    ),
    (
        {"proj_size": 2},
        (zeros(5, 2, 3), (zeros(1, 2, 2), zeros(1, 2, 2))),
        "c_0 must have shape (1, 2, 4), got (1, 2, 2)",
    ),
    (
        {"bidirectional": True, "num_layers": 2},
        (zeros(5, 2, 3), (zeros(2, 2, 4), zeros(2, 2, 4))),
        "h_0 must have shape (4, 2, 4), got (2, 2, 4)",
    ),
    (
        {},
        (zeros(5, 2, 3), (zeros(1, 2, 4), zeros(1, 2, 4, dtype=np.float64))),
        "c_0 must have dtype float32, got float64",
    ),
    ({}, (zeros(5, 2, 3), None, [5]), "lengths must have shape (2,), got (1,)"),
    ({}, (zeros(5, 2, 3), None, [[5, 2]]), "lengths must have shape (2,), got (1, 2)"),
    ({}, (zeros(5, 2, 3), None, 5), "lengths must have shape (2,), got ()"),
    ({}, (zeros(5, 2, 3), None, [6, 2]), "lengths must be in [1, 5], got values from 2 to 6"),
    ({}, (zeros(5, 2, 3), None, [5, 0]), "lengths must be in [1, 5], got values from 0 to 5"),
    ({}, (zeros(5, 2, 3), None, [5, -1]), "lengths must be in [1, 5], got values from -1 to 5"),
    ({}, (zeros(5, 2, 3), None, [5.0, 2.0]), "lengths must hold integers, got dtype float64"),
    ({}, (zeros(5, 2, 3), None, []), "lengths must have shape (2,), got (0,)"),
    ({}, (zeros(5, 2, 3), None, "52"), "lengths must be an array of numbers, got '52'"),
    ({}, (None,), "input must be an array of numbers, got None"),
    ({}, (zeros(5, 2, 3), (None, "c")), "c_0 must be an array of numbers, got 'c'"),
    ({}, (zeros(5, 2, 3), None, [True, True]), "lengths must hold integers, got dtype bool"),
    ({}, (zeros(5, 3), None, [5]), "lengths must be None for a single sequence (T, D), got [5]"),
]


@pytest.mark.parametrize(("arguments", "call", "message"), FORWARD)
def test_forward(arguments, call, message):
    layer = lstm.LSTM(3, 4, **arguments)
    with pytest.raises(ValueError, match=re.escape(message)):
        layer(*call)


BACKWARD = [
    ((zeros(5, 2, 3),), "d_output must have shape (5, 2, 4), got (5, 2, 3)"),
    ((zeros(2, 5, 4),), "d_output must have shape (5, 2, 4), got (2, 5, 4)"),
    ((zeros(5, 2, 4, dtype=np.float64),), "d_output must have dtype float32, got float64"),
    ((zeros(5, 2, 4), zeros(1, 2, 4)), "d_state must be a pair (d_h_n, d_c_n), got ndarray"),
    (
        (zeros(5, 2, 4), (zeros(1, 2, 3), None)),
        "d_h_n must have shape (1, 2, 4), got (1, 2, 3)",
    ),
    (
        (zeros(5, 2, 4), (None, zeros(2, 4))),
        "d_c_n must have shape (1, 2, 4), got (2, 4)",
    ),
]


@pytest.mark.parametrize(("call", "message"), BACKWARD)
def test_backward(call, message):
    layer = lstm.LSTM(3, 4)
    output, _ = layer(zeros(5, 2, 3))
    with pytest.raises(ValueError, match=re.escape(message)):
        layer.backward(*call)
    layer.backward(output)  # a refused call uses nothing up


def test_state_dict():
    layer = lstm.LSTM(3, 4)
    weights = layer.state_dict()
    with pytest.raises(ValueError, match=r"missing \['bias_hh_l0'\]"):
        layer.load_state_dict({k: v for k, v in weights.items() if k != "bias_hh_l0"})
    with pytest.raises(ValueError, match=r"unexpected \['weight_hr_l0'\]"):
        layer.load_state_dict(weights | {"weight_hr_l0": zeros(2, 4)})
    with pytest.raises(ValueError, match=r"weight_ih_l0 must have shape \(16, 3\)"):
        layer.load_state_dict(weights | {"weight_ih_l0": zeros(3, 16)})
