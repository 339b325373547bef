"""``lstm.LSTMCell``: against ``torch.nn.LSTMCell`` and numerical derivatives, and its errors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import lstm
from lstm.gradcheck import check_module

B, D, H = 4, 3, 5
TOLERANCE = {np.float64: (1e-12, 1e-10), np.float32: (5e-5, 5e-5)}


def pair(bias=True, dtype=np.float64, seed=0):
    """Return our cell and PyTorch's with the same weights, large enough to matter."""
    cell = lstm.LSTMCell(D, H, bias, dtype=dtype, rng=seed)
    for parameter in cell.parameters():
        parameter.data *= 2
    theirs = torch.nn.LSTMCell(D, H, bias, dtype=getattr(torch, np.dtype(dtype).name))
    theirs.load_state_dict({name: torch.tensor(p) for name, p in cell.state_dict().items()})
    return cell, theirs


def arrays(batched=True, dtype=np.float64, seed=1):
    """Return x, h, c and gradients of the new h and c."""
    rng = np.random.default_rng(seed)
    batch = (B,) if batched else ()
    return [rng.standard_normal((*batch, n)).astype(dtype) for n in (D, H, H, H, H)]


def run(cell, x, h, c, d_h, d_c, given=True):
    """Return every result and gradient of our cell."""
    new_h, new_c = cell(x, (h, c) if given else None)
    d_x, (d_h_prev, d_c_prev) = cell.backward(d_h, d_c)
    results = {"h": new_h, "c": new_c, "d_x": d_x}
    if given:
        results |= {"d_h": d_h_prev, "d_c": d_c_prev}
    return results | {"d_" + name: p.grad.copy() for name, p in cell.named_parameters()}


def run_torch(theirs, x, h, c, d_h, d_c, given=True):
    """Return every result and gradient of PyTorch's cell."""
    x, h, c = (torch.tensor(array, requires_grad=True) for array in (x, h, c))
    new_h, new_c = theirs(x, (h, c) if given else None)
    torch.autograd.backward([new_h, new_c], [torch.tensor(d_h), torch.tensor(d_c)])
    results = {"h": new_h, "c": new_c, "d_x": x.grad}
    if given:
        results |= {"d_h": h.grad, "d_c": c.grad}
    results |= {"d_" + name: p.grad for name, p in theirs.named_parameters()}
    return {name: value.detach().numpy().copy() for name, value in results.items()}


def compare(actual, expected, dtype=np.float64):
    assert actual.keys() == expected.keys()
    for name, wanted in expected.items():
        assert actual[name].shape == wanted.shape, name
        assert actual[name].dtype == wanted.dtype, name
        limit = TOLERANCE[dtype][name.startswith("d_")]
        assert np.abs(actual[name] - wanted).max() <= limit, name


GRID = list(
    itertools.product([True, False], [np.float64, np.float32], [True, False], [True, False])
)


@pytest.mark.parametrize(("bias", "dtype", "batched", "given"), GRID)
def test_parity_with_torch(bias, dtype, batched, given):
    cell, theirs = pair(bias, dtype)
    values = arrays(batched, dtype)
    compare(run(cell, *values, given), run_torch(theirs, *values, given), dtype)


def test_two_training_steps_and_accumulated_gradients():
    cell, theirs = pair()
    for seed in range(3):
        values = arrays(seed=seed)
        compare(run(cell, *values), run_torch(theirs, *values))
        if seed == 1:
            continue  # the third gradient is added to the second
        for parameter in cell.parameters():
            parameter.data -= 0.1 * parameter.grad
        with torch.no_grad():
            for parameter in theirs.parameters():
                parameter -= 0.1 * parameter.grad
        cell.zero_grad()
        theirs.zero_grad(set_to_none=True)


def test_a_step_at_a_time_is_torch_over_many_steps():
    """The states and their gradients pass from step to step, as in the loop of chapter 07."""
    cell, theirs = pair()
    rng = np.random.default_rng(2)
    x, d_outputs = rng.standard_normal((6, B, D)), rng.standard_normal((6, B, H))
    states = [(np.zeros((B, H)), np.zeros((B, H)))]
    for x_t in x:
        states.append(cell(x_t, states[-1]))
    d_h, d_c, d_x = np.zeros((B, H)), None, np.empty_like(x)
    for t in reversed(range(6)):
        cell(x[t], states[t])
        d_x[t], (d_h, d_c) = cell.backward(d_h + d_outputs[t], d_c)

    leaf, state, loss = torch.tensor(x, requires_grad=True), None, 0
    for t in range(6):
        state = theirs(leaf[t], state)
        loss = loss + (state[0] * torch.tensor(d_outputs[t])).sum()
    loss.backward()
    actual = {"d_x": d_x} | {"d_" + name: p.grad for name, p in cell.named_parameters()}
    expected = {"d_x": leaf.grad} | {"d_" + name: p.grad for name, p in theirs.named_parameters()}
    compare(actual, {name: value.numpy() for name, value in expected.items()})


@pytest.mark.parametrize(("method", "limit"), [("complex", 1e-12), ("central", 1e-7)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batched", [True, False])
def test_gradients_are_numerical_derivatives(method, limit, bias, batched):
    cell, _ = pair(bias)
    x, h, c, d_h, d_c = arrays(batched)

    def loss(x, h, c):
        new_h, new_c = cell(x, (h, c))

        def backward():
            d_x, (d_h_prev, d_c_prev) = cell.backward(2 * d_h * new_h, 2 * d_c * new_c)
            return {"x": d_x, "h": d_h_prev, "c": d_c_prev}

        return (d_h * new_h**2).sum() + (d_c * new_c**2).sum(), backward

    errors = check_module(cell, {"x": x, "h": h, "c": c}, loss, method)
    assert len(errors) == (7 if bias else 5)
    assert max(errors.values()) < limit, errors


@pytest.mark.parametrize("batched", [True, False])
def test_absent_gradients_are_zeros(batched):
    x, h, c, d_h, d_c = arrays(batched)
    zeros = np.zeros_like(d_h)
    for absent, written in [((None, d_c), (zeros, d_c)), ((d_h, None), (d_h, zeros))]:
        compare(run(pair()[0], x, h, c, *absent), run(pair()[0], x, h, c, *written))


def test_the_callers_arrays_are_neither_changed_nor_kept():
    cell, _ = pair()
    values = arrays()
    before = [array.copy() for array in values]
    expected = run(cell, *values)
    assert all((a == b).all() for a, b in zip(values, before, strict=True))

    cell.zero_grad()
    x, h, c, d_h, d_c = values
    results = cell(x, (h, c))
    for array in (x, h, c, *results):
        array[...] = 0  # a finished sequence starts again, say
    d_x, _ = cell.backward(d_h, d_c)
    assert (d_x == expected["d_x"]).all()
    assert (cell.weight_hh.grad == expected["d_weight_hh"]).all()
    assert (cell.weight_ih.grad == expected["d_weight_ih"]).all()


def test_strides_do_not_matter():
    cell, theirs = pair()
    values = arrays()
    strided = [np.repeat(array, 2, axis=1)[:, ::2] for array in values]
    assert not any(array.flags.c_contiguous for array in strided)
    compare(run(cell, *strided), run_torch(theirs, *values))


def test_large_inputs_do_not_overflow():
    cell, theirs = pair(dtype=np.float32)
    values = arrays(dtype=np.float32)
    values[0] *= 1e4
    compare(run(cell, *values), run_torch(theirs, *values), np.float32)


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
