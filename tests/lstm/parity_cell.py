"""Checks of an LSTM cell, as plain functions of the cell to check; see :mod:`tests.lstm.parity`.

A ``factory`` is a callable with the arguments of ``lstm.LSTMCell``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import torch

import lstm
from lstm.gradcheck import check_module

B, D, H = 4, 3, 5
TOLERANCE = {np.float64: (1e-12, 1e-10), np.float32: (5e-5, 5e-5)}
"""Largest absolute difference of results and of gradients; values are of order 1."""

GRID = list(
    itertools.product([True, False], [np.float64, np.float32], [True, False], [True, False])
)
"""Bias, dtype, a batch or one example, states given or absent."""

Arrays = dict[str, np.ndarray]
Factory = Callable[..., lstm.LSTMCell]


def pair(
    factory: Factory, bias: bool = True, dtype: type = np.float64
) -> tuple[lstm.LSTMCell, torch.nn.LSTMCell]:
    """Return the cell to check and PyTorch's, with the same weights, large enough to matter."""
    cell = factory(D, H, bias, dtype=dtype, rng=0)
    for parameter in cell.parameters():
        parameter.data *= 2
    theirs = torch.nn.LSTMCell(D, H, bias, dtype=getattr(torch, np.dtype(dtype).name))
    theirs.load_state_dict({name: torch.tensor(p) for name, p in cell.state_dict().items()})
    return cell, theirs


def arrays(batched: bool = True, dtype: type = np.float64, seed: int = 1) -> list[np.ndarray]:
    """Return x, h, c and gradients of the new h and c."""
    rng = np.random.default_rng(seed)
    batch = (B,) if batched else ()
    return [rng.standard_normal((*batch, n)).astype(dtype) for n in (D, H, H, H, H)]


def run(cell: lstm.LSTMCell, x, h, c, d_h, d_c, given: bool = True) -> Arrays:
    """Return every result and gradient of the cell to check."""
    new_h, new_c = cell(x, (h, c) if given else None)
    d_x, (d_h_prev, d_c_prev) = cell.backward(d_h, d_c)
    results = {"h": new_h, "c": new_c, "d_x": d_x}
    if given:
        results |= {"d_h": d_h_prev, "d_c": d_c_prev}
    return results | {"d_" + name: p.grad.copy() for name, p in cell.named_parameters()}


def run_torch(theirs: torch.nn.LSTMCell, x, h, c, d_h, d_c, given: bool = True) -> Arrays:
    """Return every result and gradient of PyTorch's cell."""
    x, h, c = (torch.tensor(array, requires_grad=True) for array in (x, h, c))
    new_h, new_c = theirs(x, (h, c) if given else None)
    torch.autograd.backward([new_h, new_c], [torch.tensor(d_h), torch.tensor(d_c)])
    results = {"h": new_h, "c": new_c, "d_x": x.grad}
    if given:
        results |= {"d_h": h.grad, "d_c": c.grad}
    results |= {"d_" + name: p.grad for name, p in theirs.named_parameters()}
    return {name: value.detach().numpy().copy() for name, value in results.items()}


def compare(actual: Arrays, expected: Arrays, dtype: type = np.float64) -> None:
    """Raise unless both hold the same arrays, to :data:`TOLERANCE`."""
    assert actual.keys() == expected.keys()
    for name, wanted in expected.items():
        got, limit = actual[name], TOLERANCE[dtype][name.startswith("d_")]
        assert got.shape == wanted.shape, f"{name}: shape {got.shape}, wanted {wanted.shape}"
        assert got.dtype == wanted.dtype, f"{name}: dtype {got.dtype}, wanted {wanted.dtype}"
        difference = np.abs(got - wanted).max()
        assert difference <= limit, f"{name} is off by {difference:.1e}, more than {limit}"


# --- the checks ---------------------------------------------------------------------------------


def check_torch(factory: Factory, bias: bool, dtype: type, batched: bool, given: bool) -> None:
    """Results and every gradient are those of ``torch.nn.LSTMCell``."""
    cell, theirs = pair(factory, bias, dtype)
    values = arrays(batched, dtype)
    compare(run(cell, *values, given), run_torch(theirs, *values, given), dtype)


def check_torch_grid(factory: Factory) -> None:
    """``check_torch`` for every combination."""
    for case in GRID:
        check_torch(factory, *case)


def check_training_steps(factory: Factory) -> None:
    """Two steps of gradient descent in a row, then a third gradient on top of the second."""
    cell, theirs = pair(factory)
    for seed in range(3):
        values = arrays(seed=seed)
        compare(run(cell, *values), run_torch(theirs, *values))
        if seed == 1:
            continue  # no step and no zero_grad: the third gradient has to be added
        for parameter in cell.parameters():
            parameter.data -= 0.1 * parameter.grad
        with torch.no_grad():
            for parameter in theirs.parameters():
                parameter -= 0.1 * parameter.grad
        cell.zero_grad()
        theirs.zero_grad(set_to_none=True)


def check_many_steps(factory: Factory) -> None:
    """States pass from step to step, their gradients back: the loop of chapter 07."""
    cell, theirs = pair(factory)
    rng = np.random.default_rng(2)
    x, d_outputs = rng.standard_normal((6, B, D)), rng.standard_normal((6, B, H))
    states = [(np.zeros((B, H)), np.zeros((B, H)))]
    for x_t in x:
        states.append(cell(x_t, states[-1]))
    d_h, d_c, d_x = np.zeros((B, H)), None, np.empty_like(x)
    for t in reversed(range(6)):
        cell(x[t], states[t])  # the cell keeps one step: run it again
        d_x[t], (d_h, d_c) = cell.backward(d_h + d_outputs[t], d_c)

    leaf, state, loss = torch.tensor(x, requires_grad=True), None, 0
    for t in range(6):
        state = theirs(leaf[t], state)
        loss = loss + (state[0] * torch.tensor(d_outputs[t])).sum()
    loss.backward()
    actual = {"d_x": d_x} | {"d_" + name: p.grad for name, p in cell.named_parameters()}
    expected = {"d_x": leaf.grad} | {"d_" + name: p.grad for name, p in theirs.named_parameters()}
    compare(actual, {name: value.numpy() for name, value in expected.items()})


def gradient_errors(factory: Factory, method: str, bias: bool, batched: bool) -> dict[str, float]:
    """Return the relative error of every gradient against a numerical derivative."""
    cell, _ = pair(factory, bias)
    x, h, c, d_h, d_c = arrays(batched)

    def loss(x, h, c):
        new_h, new_c = cell(x, (h, c))

        def backward():
            d_x, (d_h_prev, d_c_prev) = cell.backward(2 * d_h * new_h, 2 * d_c * new_c)
            return {"x": d_x, "h": d_h_prev, "c": d_c_prev}

        return (d_h * new_h**2).sum() + (d_c * new_c**2).sum(), backward

    return check_module(cell, {"x": x, "h": h, "c": c}, loss, method)


LIMITS = {"complex": 1e-12, "central": 1e-7}


def check_gradients(factory: Factory, method: str, bias: bool = True, batched: bool = True) -> None:
    """Every gradient is the derivative of the forward pass."""
    errors = gradient_errors(factory, method, bias, batched)
    assert len(errors) == (7 if bias else 5)
    worst = max(errors, key=errors.get)
    assert errors[worst] < LIMITS[method], f"{worst} is off by {errors[worst]:.1e} (relative)"


def check_absent_gradients(factory: Factory) -> None:
    """Absent gradients count as zeros."""
    for batched in (True, False):
        x, h, c, d_h, d_c = arrays(batched)
        zeros = np.zeros_like(d_h)
        for absent, written in [((None, d_c), (zeros, d_c)), ((d_h, None), (d_h, zeros))]:
            actual, expected = (
                run(pair(factory)[0], x, h, c, *gradients) for gradients in (absent, written)
            )
            compare(actual, expected)


def check_arguments_untouched(factory: Factory) -> None:
    """The caller's arrays are neither changed nor kept."""
    cell, _ = pair(factory)
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


def check_large_inputs(factory: Factory) -> None:
    """Saturated gates neither overflow nor divide by zero."""
    cell, _ = pair(factory, dtype=np.float32)
    values = arrays(dtype=np.float32)
    values[0] *= 1e4
    with np.errstate(all="raise", under="ignore"):
        results = run(cell, *values)
    assert all(np.isfinite(array).all() for array in results.values())


CHECKS: dict[str, Callable[[Factory], None]] = {
    "torch.nn.LSTMCell": check_torch_grid,
    "training steps": check_training_steps,
    "many steps": check_many_steps,
    "complex step": lambda factory: check_gradients(factory, "complex"),
    "central differences": lambda factory: check_gradients(factory, "central"),
    "absent gradients": check_absent_gradients,
    "arguments untouched": check_arguments_untouched,
    "large inputs": check_large_inputs,
}
"""Every check that needs only a factory, by the name shown in tables; each under a second."""
