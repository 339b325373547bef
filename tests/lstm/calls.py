"""Any order of calls and backward passes, of any module, against the same program in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import lstm
from lstm.gradcheck import check_module

# On arrays as small as these, a second thread only waits for the first.
torch.set_num_threads(1)

Program = Sequence[str | int]

PROGRAM: Program = ("call", 0, "weights", "call", "call", 0, "weights", "call", 1, 0)
"""A call and its backward; two calls and their backwards, with other weights in between; …"""


@dataclass
class Subject:
    """A module of ours, the same of PyTorch's, and arguments for both."""

    ours: Callable[[], lstm.Module]
    theirs: Callable[[], torch.nn.Module]
    draw: Callable[[np.random.Generator], tuple]
    """Draws the arguments of a call: arrays, None, tuples of them; new ones each time."""
    call: Callable = lambda theirs, *arguments: theirs(*arguments)
    """Calls PyTorch's module."""


def check_calls(subject: Subject, program: Program = PROGRAM) -> None:
    """Results and every gradient are those of PyTorch's autograd, in any order of calls.

    A program is a list of steps: "call" calls the module on new arguments, and then overwrites
    arguments and results; "weights" changes the weights; a number runs the backward pass of one of
    the calls that still have theirs. Those that are left run at the end. Nothing is written to what
    is given.
    """
    rng, ours = np.random.default_rng(0), subject.ours()
    versions, pending = [], []

    def renew() -> None:
        versions.append(subject.theirs())
        weights = ours.state_dict()
        versions[-1].load_state_dict({name: torch.tensor(w) for name, w in weights.items()})

    def call() -> None:
        arguments = subject.draw(rng)
        leaves = mapped(leaf, arguments)
        given = [array.copy() for array in flat(arguments)]
        output, backward = ours.vjp(*arguments)
        same(flat(arguments), given, 0)
        expected = flat(subject.call(versions[-1], *leaves))
        same(flat(output), [value.detach().numpy() for value in expected], limit)
        d_output = mapped(
            lambda value: rng.standard_normal(value.shape).astype(value.dtype), output
        )
        for array in flat(arguments) + flat(output):
            array[...] = 0
        pending.append((leaves, expected, d_output, backward))

    def run(leaves, expected, d_output, backward) -> None:
        copies = [array.copy() for array in flat(d_output)]
        torch.autograd.backward(expected, [torch.tensor(array) for array in copies])
        gradients = backward(*d_output) if isinstance(d_output, tuple) else backward(d_output)
        if isinstance(gradients, tuple) and not isinstance(leaves[1], tuple | torch.Tensor):
            gradients = gradients[0]  # that of a state that was not given is nowhere in PyTorch
        wanted = [t.grad.numpy() for t in flat(leaves) if t.requires_grad]
        same([array for array in flat(gradients) if array is not None], wanted, limit)
        same(flat(d_output), copies, 0)

    renew()
    limit = 5e-5 if any(p.dtype == np.float32 for p in ours.parameters()) else 1e-10
    for step in program:
        if step == "call":
            call()
        elif step == "weights":
            for parameter in ours.parameters():
                parameter.data += 0.1 * rng.standard_normal(parameter.shape)
            renew()
        elif pending:
            run(*pending.pop(step % len(pending)))
    for last in pending:
        run(*last)
    for name, parameter in ours.named_parameters():
        sums = [dict(version.named_parameters())[name].grad for version in versions]
        wanted = sum(grad.numpy() for grad in sums if grad is not None)
        same([parameter.grad], [wanted + np.zeros_like(parameter.data)], limit, name)


def check_gradients(
    module: lstm.Module, arguments: tuple, method: str = "complex", limit: float = 1e-12
) -> None:
    """Gradients of parameters and arguments are derivatives of a loss that weighs all results."""
    given = {str(k): array for k, array in enumerate(flat(arguments))}
    inputs = {name: array for name, array in given.items() if array.dtype.kind == "f"}

    def run(**changed: np.ndarray) -> tuple:
        values = iter((given | changed).values())
        module.rng = np.random.default_rng(7)  # the same dropout every time
        results, backward = module.vjp(
            *mapped(lambda array: None if array is None else next(values), arguments)
        )
        weights = np.random.default_rng(8)
        weighted = mapped(lambda result: weights.standard_normal(result.shape), results)
        # Not linear in the results, so that a gradient depends on them too.
        loss = sum((w * r**2).sum() for w, r in zip(flat(weighted), flat(results), strict=True))

        def gradients() -> dict[str, np.ndarray]:
            incoming = iter([2 * w * r for w, r in zip(flat(weighted), flat(results), strict=True)])
            d_results = mapped(lambda _: next(incoming), results)
            found = backward(*d_results) if isinstance(results, tuple) else backward(d_results)
            return dict(
                zip(inputs, flat(found), strict=False)
            )  # of a state only where one is given

        return loss, gradients

    errors = check_module(module, inputs, run, method)
    assert len(errors) == len(inputs) + len(list(module.parameters()))
    assert max(errors.values(), default=0) < limit, errors


def leaf(array: np.ndarray | None) -> torch.Tensor | None:
    """Return an array as a tensor, to be differentiated if it can be."""
    if array is None:
        return None
    return torch.tensor(array, requires_grad=array.dtype.kind == "f")


def mapped(function: Callable, values: Any) -> Any:
    """Apply a function to what is in nested tuples."""
    if isinstance(values, tuple):
        return tuple(mapped(function, value) for value in values)
    return function(values)


def flat(values: Any) -> list:
    """Return what is in nested tuples as a list, without None."""
    if isinstance(values, tuple):
        return [one for value in values for one in flat(value)]
    return [] if values is None else [values]


def same(actual: list, expected: list, limit: float, name: str = "") -> None:
    """Raise unless all arrays agree in shape, dtype and, to an absolute limit, in value."""
    assert len(actual) == len(expected), f"{name}: {len(actual)} arrays, wanted {len(expected)}"
    for k, (got, wanted) in enumerate(zip(actual, expected, strict=True)):
        name_k = name or f"array {k}"
        assert got.shape == wanted.shape, f"{name_k}: shape {got.shape}, wanted {wanted.shape}"
        assert got.dtype == wanted.dtype, f"{name_k}: dtype {got.dtype}, wanted {wanted.dtype}"
        difference = np.abs(got - wanted).max(initial=0)
        assert difference <= limit, f"{name_k} is off by {difference:.1e}, more than {limit}"


def tied() -> lstm.Module:
    """Return a language model whose output weights are those of its embedding, as in PyTorch."""
    ours = lstm.Sequential(
        lstm.Embedding(7, 3, dtype=np.float64), lstm.ReLU(), lstm.Linear(3, 7, dtype=np.float64)
    )
    ours.layers[2].weight = ours.layers[0].weight
    return ours


def tied_torch() -> torch.nn.Module:
    """Return PyTorch's."""
    nn = torch.nn
    theirs = nn.Sequential(nn.Embedding(7, 3), nn.ReLU(), nn.Linear(3, 7)).double()
    theirs[2].weight = theirs[0].weight
    return theirs
