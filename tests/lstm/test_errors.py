"""What an error says: the argument, what it got and what was wanted, once for every message.

That every bad argument of every callable is named, ``test_arguments`` shows.
"""

import re
from textwrap import dedent

import numpy as np
import pytest
import torch

import lstm
from lstm.initialise import initialise_lstm
from tests.lstm.parity import KINDS

F32 = np.float32


def zeros(*shape, dtype=F32):
    return np.zeros(shape, dtype)


X = zeros(5, 2, 3)
PARAMETER = lstm.Parameter(np.zeros((3, 2)))

REFUSED = """
    # --- numbers, switches, dtypes and sources of randomness
    LSTM(0, 4) : input_size must be a positive integer, got 0
    LSTM(3, '4') : hidden_size must be a positive integer, got '4'
    LSTM(3, 4, True) : num_layers must be a positive integer, got True
    LSTM(3, 4, bias=1) : bias must be True or False, got 1
    LSTM(3, 4, 2, dropout=1.5) : dropout must be a number in [0, 1], got 1.5
    LSTM(3, 4, proj_size=-1) : proj_size must be an integer of at least 0, got -1
    LSTM(3, 4, proj_size=4) : proj_size must be smaller than hidden_size = 4, got 4
    LSTM(3, 4, dtype=np.float16) : dtype must be float32 or float64, got float16
    LSTM(3, 4, rng="x") : rng must be a Generator, a seed or None, got 'x'
    RNN(3, 4, nonlinearity="sine") : nonlinearity must be one of ['tanh', 'relu'], got 'sine'
    Embedding(7, 3, 7) : padding_idx must be None or in [0, 7), got 7
    Sequential(ReLU(), 3) : layers must be a Module, got 3
    Parameter([1, 2]) : data must have dtype float32 or float64, got int64
    SGD([], 0.1) : parameters must hold at least one
    SGD(zeros(2, dtype=float), 0.1) : parameters must be Parameters, got float64
    Adam([PARAMETER], betas=0.9) : betas must be a pair of numbers, got 0.9
    Adam([PARAMETER], betas=(0.9, 1.0)) : betas[1] must be a number in [0, 1), got 1.0
    clip_grad_norm_([PARAMETER], 0) : max_norm must be a number in (0, inf], got 0
    initialise_lstm(Linear(3, 4)) : layer must be a RecurrentLayer, got Linear
    initialise_lstm(LSTM(3, 4), forget_bias=None) : forget_bias must be a number in (-inf, inf)
    initialise_lstm(LSTM(3, 4), longest=1) : longest must be an integer of at least 2, got 1
    # --- arrays
    LSTM(3, 4)(None) : input must be an array of numbers, got None
    ReLU()(np.ma.ones(2)) : input must be a plain array, got a MaskedArray
    Linear(3, 2)([[1.0], [1.0, 2.0]]) : input must be an array, got [[1.0], [1.0, 2.0]]
    Linear(3, 2)(zeros(4, 5)) : input must have shape (..., 3), got (4, 5)
    Linear(3, 2)(zeros(4, 3, dtype=float)) : input must have dtype float32, got float64; \
convert it: input.astype(np.float32)
    Linear(3, 2)([[1.0, 2.0, 3.0]]) : input must have dtype float32, got float64; \
convert it: np.array(input, np.float32)
    Dropout(0.3)(np.ones(3, int)) : input must have dtype float32 or float64, got int64
    Embedding(7, 3)([0, 7]) : input must be in [0, 6], got values from 0 to 7
    Embedding(7, 3)([0.5]) : input must hold integers, got dtype float64
    LSTM(3, 4)(zeros(3)) : input must have shape (T, B, D) or (T, D), got (3,)
    LSTM(3, 4, batch_first=True)(zeros(3)) : input must have shape (B, T, D) or (T, D), got (3,)
    LSTM(3, 4)(zeros(5, 2, 4)) : input must have shape (..., 3), got (5, 2, 4)
    LSTM(3, 4)(zeros(0, 3)) : input must have at least one step, got shape (0, 3)
    LSTM(3, 4, batch_first=True)(zeros(2, 0, 3)) : input must have at least one step
    LSTM(3, 4)(X, zeros(1, 2, 4)) : hx must be (h_0, c_0), got array(
    LSTM(3, 4)(X, (None,)) : hx must be (h_0, c_0), got (None,)
    LSTM(3, 4)(X, (zeros(1, 3, 4), None)) : h_0 must have shape (1, 2, 4), got (1, 3, 4)
    LSTM(3, 4)(X[:, 0], (zeros(1, 1, 4), None)) : h_0 must have shape (1, 4), got (1, 1, 4)
    LSTM(3, 4, batch_first=True)(X, (zeros(2, 5, 4), None)) : h_0 must have shape (1, 5, 4), got
    LSTM(3, 4, proj_size=2)(X, (zeros(1, 2, 4), None)) : h_0 must have shape (1, 2, 2), got
    LSTM(3, 4, 2, bidirectional=True)(X, (zeros(2, 2, 4), None)) : h_0 must have shape (4, 2, 4)
    LSTM(3, 4)(X, (None, zeros(1, 2, 4, dtype=float))) : c_0 must have dtype float32, got float64
    LSTM(3, 4)(X, None, [5]) : lengths must have shape (2,), got (1,)
    LSTM(3, 4)(X, None, [6, 0]) : lengths must be in [1, 5], got values from 0 to 6
    LSTM(3, 4)(X, None, [5.0, 2.0]) : lengths must hold integers, got dtype float64
    LSTM(3, 4)(X[:, 0], None, [5]) : lengths must be None for a single sequence (T, D), got [5]
    LSTMCell(3, 5)(zeros(4, 2, 3)) : input must have shape (B, D) or (D,), got (4, 2, 3)
    LSTMCell(3, 5)(zeros(3), zeros(2, 5)) : hx must be (h, c), got array(
    LSTMCell(3, 5)(zeros(3), (zeros(1, 5), zeros(5))) : h must have shape (5,), got (1, 5)
    # --- gradients: of what was given, and one example is no batch of one
    LSTM(3, 4).vjp(X)[1](X) : d_output must have shape (5, 2, 4), got (5, 2, 3)
    LSTM(3, 4).vjp(X)[1](None, zeros(1, 2, 4)) : d_state must be (d_h_n, d_c_n), got array(
    LSTM(3, 4).vjp(X)[1](None, (X, None)) : d_h_n must have shape (1, 2, 4), got (5, 2, 3)
    LSTMCell(3, 5).vjp(zeros(1, 3))[1](zeros(5)) : d_h must have shape (1, 5), got (5,)
    Linear(3, 2).vjp(zeros(4, 3))[1](zeros(4, 3)) : d_output must have shape (4, 2), got (4, 3)
    ReLU().vjp(zeros(3, 2))[1](F32(1)) : d_output must have shape (3, 2), got ()
    Dropout(0.5).eval().vjp(zeros(3, 2))[1](zeros(2)) : d_output must have shape (3, 2), got (2,)
    PARAMETER.accumulate(np.ones((1, 2))) : gradient must have shape (3, 2), got (1, 2)
    PARAMETER.accumulate(np.ones(2), np.array([0, 2])) : gradient must have shape (2, 2), got (2,)
    # --- losses
    cross_entropy(zeros(2, 3), [0, 3]) : labels must be in [0, 2], got values from 0 to 3
    cross_entropy(zeros(3), [0]) : logits must have shape (B, K), got (3,)
    cross_entropy(zeros(0, 3), []) : logits must have shape (B, K)
    binary_cross_entropy_with_logits(zeros(2, 1), [0, 1]) : targets must have shape (2, 1), got
    binary_cross_entropy_with_logits(zeros(2), [0, 2]) : targets must be in [0, 1], got values from
    binary_cross_entropy_with_logits(zeros(1), [0.9]) : targets must have dtype float32, got float64
    mse_loss(zeros(2, 1), zeros(2)) : target must have shape (2, 1), got (2,)
    mse_loss(zeros(0), zeros(0)) : prediction must hold at least one value, got (0,)
    mse_loss([1, 2], [1.5, 2.5]) : prediction must have dtype float32 or float64, got int64; \
convert it: np.array(prediction, np.float32)
    mse_loss(zeros(2), F32([0, np.nan])) : target must be finite, got nan
    # --- models
    SequenceClassifier(LSTM(3, 5), ReLU(), pooling="sum") : pooling must be one of
    SequenceClassifier(LSTM(3, 4), Linear(4, 2))(X, [0, 9]) : lengths must be in [1, 5], got values
"""
ROWS = [row.split(" : ") for row in dedent(REFUSED).splitlines() if row and row[0] != "#"]


@pytest.mark.parametrize(("call", "message"), ROWS, ids=[row[0] for row in ROWS])
def test_error(call, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        eval(call, vars(lstm) | globals())


@pytest.mark.parametrize("kind", KINDS[1:])
def test_errors_of_the_relatives(kind):
    layer, wrong = getattr(lstm, kind), zeros(1, 2, 9)
    with pytest.raises(ValueError, match=f"proj_size must be 0 in a {kind}, got 2"):
        layer(3, 4, proj_size=2)
    with pytest.raises(ValueError, match=r"h_0 must have shape \(1, 2, 4\), got \(1, 2, 9\)"):
        layer(3, 4)(X, wrong if kind in ("RNN", "GRU") else (wrong, wrong))


@pytest.mark.parametrize("kind", [lstm.GRU, lstm.CIFGLSTM, lstm.LSTM1997, lstm.RNN])
def test_what_has_no_forget_gate_is_not_given_a_bias_for_it(kind):
    name = kind.__name__
    with pytest.raises(ValueError, match=f"forget_bias must be 0 for a {name}: no forget gate"):
        initialise_lstm(kind(3, 4))
    with pytest.raises(ValueError, match=f"longest must be None for a {name}: no forget gate"):
        initialise_lstm(kind(3, 4), forget_bias=0, longest=9)


def test_dropout_without_a_layer_above_warns():
    for layer in (lstm.LSTM, lstm.torch.LSTM, lstm.torch.NumpyLSTM):
        with pytest.warns(UserWarning, match=r"got dropout=0.5 with num_layers=1") as ours:
            layer(3, 4, dropout=0.5)
        assert ours[0].filename == __file__
    with pytest.warns(UserWarning, match="num_layers greater than 1"):
        torch.nn.LSTM(3, 4, dropout=0.5)


VALUES = {"weight": np.ones((2, 3), F32), "bias": np.ones(2, F32)}


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"weight": VALUES["weight"]}, r"missing \['bias'\]"),
        (VALUES | {"extra": 0}, r"unexpected \['extra'\]"),
        (VALUES | {"bias": zeros(3)}, r"bias must have shape \(2,\), got \(3,\)"),
        (VALUES | {"bias": np.zeros(2)}, "bias must have dtype float32, got float64; convert it"),
        (VALUES | {"bias": np.zeros(2, int)}, "bias must have dtype float32, got int64"),
        (VALUES | {"bias": np.array([None, 1])}, "bias must be an array of numbers, got object"),
        (VALUES | {"bias": ["a", "b"]}, r"bias must be an array of numbers, got \['a', 'b'\]"),
        (list(VALUES), "mapping must be a mapping of names to arrays, got "),
    ],
)
def test_a_state_dict_is_taken_whole_or_not_at_all(mapping, message):
    layer = lstm.Linear(3, 2, rng=0)
    before = layer.state_dict()
    with pytest.raises(ValueError, match=message):
        layer.load_state_dict(mapping)
    assert all((layer.state_dict()[name] == before[name]).all() for name in before)
