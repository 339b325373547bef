"""``lstm.LSTMCell``: against ``torch.nn.LSTMCell`` and numerical derivatives, and its errors."""

from __future__ import annotations

import numpy as np
import pytest

import lstm
from tests.lstm import parity_cell
from tests.lstm.parity_cell import B, D, H, arrays, compare, run, run_torch


def pair(bias=True):
    return parity_cell.pair(lstm.LSTMCell, bias)


@pytest.mark.parametrize("name", parity_cell.CHECKS)
def test_check(name):
    parity_cell.CHECKS[name](lstm.LSTMCell)


@pytest.mark.parametrize(("bias", "dtype", "batched", "given"), parity_cell.GRID)
def test_parity_with_torch(bias, dtype, batched, given):
    parity_cell.check_torch(lstm.LSTMCell, bias, dtype, batched, given)


@pytest.mark.parametrize("method", parity_cell.LIMITS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batched", [True, False])
def test_gradients_are_numerical_derivatives(method, bias, batched):
    parity_cell.check_gradients(lstm.LSTMCell, method, bias, batched)


def test_strides_do_not_matter():
    cell, theirs = pair()
    values = arrays()
    strided = [np.repeat(array, 2, axis=1)[:, ::2] for array in values]
    assert not any(array.flags.c_contiguous for array in strided)
    compare(run(cell, *strided), run_torch(theirs, *values))


def test_names_shapes_and_repr_are_those_of_torch():
    for bias in (True, False):
        cell, theirs = pair(bias)
        shapes = {name: value.shape for name, value in cell.state_dict().items()}
        assert shapes == {name: tuple(value.shape) for name, value in theirs.state_dict().items()}
        assert repr(cell) == repr(theirs)


def test_initial_weights_fill_their_interval():
    cell = lstm.LSTMCell(30, 25, rng=0)
    for name, value in cell.state_dict().items():
        assert 0.15 < np.abs(value).max() <= 0.2, name
    again = lstm.LSTMCell(30, 25, rng=np.random.default_rng(0))
    assert (again.weight_hh.data == cell.weight_hh.data).all()


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


BAD_ARGUMENTS = [
    ((0, H), {}, "input_size must be a positive integer, got 0"),
    ((D, -1), {}, "hidden_size must be a positive integer, got -1"),
    ((D, 2.5), {}, "hidden_size must be a positive integer, got 2.5"),
    ((D, H), {"bias": "yes"}, "bias must be"),
    ((D, H), {"dtype": np.float16}, "dtype must be float32 or float64, got float16"),
]


@pytest.mark.parametrize(("sizes", "options", "message"), BAD_ARGUMENTS)
def test_bad_argument(sizes, options, message):
    with pytest.raises(ValueError, match=message):
        lstm.LSTMCell(*sizes, **options)


BAD_CALLS = {
    "scalar": ((zeros(),), r"x must have shape \(B, D\) or \(D,\), got \(\)"),
    "rank 3": ((zeros(2, B, D),), r"x must have shape \(B, D\) or \(D,\), got \(2, 4, 3\)"),
    "features": ((zeros(B, 7),), r"x must have shape \(..., 3\), got \(4, 7\)"),
    "dtype": ((zeros(B, D, dtype=np.float64),), "x must have dtype float32, got float64"),
    "no pair": ((zeros(B, D), zeros(B, H)), r"state must be a pair \(h, c\), got ndarray"),
    "h": ((zeros(B, D), (zeros(B, 7), zeros(B, H))), r"h must have shape \(4, 5\), got \(4, 7\)"),
    "c": ((zeros(B, D), (zeros(B, H), zeros(1, H))), r"c must have shape \(4, 5\), got \(1, 5\)"),
    "rank": ((zeros(D), (zeros(1, H), zeros(1, H))), r"h must have shape \(5,\), got \(1, 5\)"),
    "state dtype": (
        (zeros(B, D), (zeros(B, H, dtype=np.float64), zeros(B, H))),
        "h must have dtype float32, got float64",
    ),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_bad_call(case):
    arguments, message = BAD_CALLS[case]
    with pytest.raises(ValueError, match=message):
        lstm.LSTMCell(D, H)(*arguments)


BAD_GRADIENTS = {
    "d_h": ((B, D), (zeros(B, 7), None), r"d_h must have shape \(4, 5\), got \(4, 7\)"),
    "d_c": ((B, D), (zeros(B, H), zeros(H)), r"d_c must have shape \(4, 5\), got \(5,\)"),
    "one for a batch": ((1, D), (zeros(H), None), r"d_h must have shape \(1, 5\), got \(5,\)"),
    "a batch for one": ((D,), (zeros(1, H), None), r"d_h must have shape \(5,\), got \(1, 5\)"),
    "dtype": ((D,), (zeros(H, dtype=np.float64), None), "d_h must have dtype float32, got float64"),
}


@pytest.mark.parametrize("case", BAD_GRADIENTS)
def test_bad_gradient(case):
    shape, gradients, message = BAD_GRADIENTS[case]
    cell = lstm.LSTMCell(D, H)
    cell(zeros(*shape))
    with pytest.raises(ValueError, match=message):
        cell.backward(*gradients)


def test_backward_needs_a_forward_pass_in_training_mode():
    cell = lstm.LSTMCell(D, H)
    with pytest.raises(RuntimeError, match=r"LSTMCell\.backward was called before a forward pass"):
        cell.backward(zeros(B, H))
    cell(zeros(B, D))
    cell.eval()
    cell(zeros(B, D))
    with pytest.raises(RuntimeError, match=r"LSTMCell\.backward was called in evaluation mode"):
        cell.backward(zeros(B, H))


def test_a_wrong_state_dict_changes_nothing():
    cell, _ = pair()
    before = cell.state_dict()
    with pytest.raises(ValueError, match=r"missing \['bias_hh'\], unexpected \['bias'\]"):
        cell.load_state_dict({"bias" if k == "bias_hh" else k: v for k, v in before.items()})
    with pytest.raises(ValueError, match=r"weight_hh must have shape \(20, 5\), got \(5, 20\)"):
        cell.load_state_dict(before | {"weight_hh": before["weight_hh"].T})
    assert all((cell.state_dict()[name] == value).all() for name, value in before.items())
