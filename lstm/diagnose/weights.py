"""The weights of a person's code: found in an object or around a function, or made up."""

from __future__ import annotations

import inspect
import itertools
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from lstm.diagnose.conventions import SIZES, role_of

Arrays = dict[str, np.ndarray]
D, H, OUT = 3, 4, 2
"""Sizes of what is made up."""


@contextmanager
def kept(weights: Arrays) -> Iterator[Arrays]:
    """Put the weights back, whatever happens; yield copies of them."""
    before = {name: array.copy() for name, array in weights.items()}
    try:
        yield before
    finally:
        for name, array in weights.items():
            array[...] = before[name]


def is_torch(value: Any) -> bool:
    """Whether ``value`` is a tensor or a module of PyTorch, which need not be installed."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor | torch.nn.Module)


@contextmanager
def in_double(*things: Any) -> Iterator[None]:
    """Let the tensors that things hold, and those that are made, be of double precision."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before, found = torch.get_default_dtype(), {}
    for thing in things:
        thing = used_by(thing) | handed_to(thing) if inspect.isfunction(thing) else thing
        parts = thing.modules() if isinstance(thing, torch.nn.Module) else ()
        for part in (thing, *map(vars, parts)):
            tensors = (t for _, t in leaves(part) if is_torch(t) and t.dtype == torch.float32)
            found |= {id(tensor): tensor for tensor in tensors}
    if len({tensor.untyped_storage().data_ptr() for tensor in found.values()}) < len(found):
        found = {}  # of views of one another there would be copies
    torch.set_default_dtype(torch.float64)
    for tensor in found.values():
        tensor.data = tensor.data.double()
    try:
        yield
    finally:
        torch.set_default_dtype(before)
        for tensor in found.values():
            tensor.data = tensor.data.float()


def as_array(value: Any) -> np.ndarray | None:
    """Return a tensor's or array's numbers without copying them; None for anything else."""
    if is_torch(value) and hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return value if isinstance(value, np.ndarray) else None


def as_numbers(value: Any, *, table: bool = False) -> np.ndarray | None:
    """Return the same, or a list of numbers as an array; with ``table`` also one of such lists."""
    first = value
    while isinstance(first, list | tuple) and first and (table or first is value):
        first = first[0]
    if isinstance(value, list | tuple) and isinstance(first, float | int):
        try:
            return np.array(value, float)
        except (TypeError, ValueError):  # it holds something else
            return None
    return as_array(value)


def leaves(thing: Any, prefix: str = "", depth: int = 3) -> Iterator[tuple[str, Any]]:
    """Yield name and value of every array and tensor in an object, a dict or a list."""
    if is_torch(thing) and hasattr(thing, "named_parameters"):
        items = thing.named_parameters()
    elif isinstance(thing, Mapping):
        items = thing.items()
    elif isinstance(thing, list | tuple):
        items = enumerate(thing)
    elif hasattr(thing, "__dict__") and not isinstance(thing, type | ModuleType):
        items = vars(thing).items()
    else:
        return
    for key, value in items:
        name = f"{prefix}{key}"
        if as_array(value) is not None:
            yield name, value
        elif depth and not inspect.isroutine(value):
            yield from leaves(value, f"{name}.", depth - 1)


def arrays_of(thing: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and numbers of every array or tensor of floats in a thing."""
    for name, value in leaves(thing):
        array = as_array(value)
        if array.dtype.kind == "f" and array.size:
            yield re.sub(r"\.(data|value|v)$", "", name), array


def weights_of(thing: Any) -> Arrays:
    """Return the arrays of a thing by name, each piece of memory once."""
    found: Arrays = {}
    for name, array in arrays_of(thing):
        if not any(np.shares_memory(array, other) for other in found.values()):
            found[name] = array
    return found


def tables_as_arrays(space: dict[str, Any], names: list[str]) -> None:
    """Put arrays in the place of lists of numbers, which could not be changed all at once."""
    for name in names:
        first = space[name]
        while isinstance(first, list) and first:
            first = first[0]
        array = as_numbers(space[name], table=True) if isinstance(first, float) else None
        if isinstance(space[name], list) and array is not None:
            space[name] = array


def around(function: Callable) -> dict[str, Any]:
    """Return what a function finds outside of itself, by name."""
    try:
        names = inspect.getclosurevars(inspect.unwrap(function))
    except TypeError:
        return {}
    return names.globals | names.nonlocals


def used_by(function: Callable, depth: int = 2) -> dict[str, Any]:
    """Return the arrays, and what holds them, that a function finds outside of itself."""
    space = getattr(function, "__globals__", {})
    tables_as_arrays(space, [name for name in around(function) if name in space])
    found: dict[str, Any] = {}
    for name, value in around(function).items():
        if inspect.ismethod(value):
            found[name] = value.__self__
        elif inspect.isfunction(value) and depth:
            found |= used_by(value, depth - 1)
        elif not (inspect.ismodule(value) or inspect.isclass(value) or inspect.isroutine(value)):
            found[name] = value
    return found


def handed_to(function: Callable) -> dict[str, Any]:
    """Return the weights that are defaults of a function's arguments, or called like one."""
    found, space = {}, getattr(function, "__globals__", {})
    for name, parameter in inspect.signature(function).parameters.items():
        needed = parameter.default is parameter.empty
        value = space.get(name) if needed else parameter.default
        if role_of(name, ("c", "h", "x", "pair")) is None and weights_of({name: value}):
            found[name] = value
    return found


class Scheme(NamedTuple):
    """How weights may be laid out: shapes follow from it and from their names."""

    columns: bool
    joined: bool
    concatenated: bool
    bias: str

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of the weight of this name."""
        word = re.sub(r"[^a-z]", "", name.lower())
        output = re.fullmatch(r"(w|b|wh|u)y|v|why|.*(dense|fc|logit).*", word)
        rows = OUT if output else 4 * H if self.joined else H
        peephole = re.fullmatch(r"w?p[ifo]|wc[ifo]|.*peep.*", word)
        if word.startswith("b") or "bias" in word or peephole:
            rows = H if peephole else rows
            return {"flat": (rows,), "column": (rows, 1), "row": (1, rows)}[self.bias]
        recurrent = re.match(r"[ur](?!p)|.h|rec|.*(hh|hid|recurrent)", word)
        width = D + H if self.concatenated else H if recurrent else D
        width = H if output else width
        return (rows, width) if self.columns else (width, rows)


BOTH = (False, True)
CHOICES = itertools.product(BOTH, BOTH[::-1], BOTH, ("flat", "column", "row"))
SCHEMES = [Scheme(*choice) for choice in CHOICES]


class Weights(dict):
    """Weights that are made when they are first asked for."""

    def __init__(self, scheme: Scheme, asked: list[str]) -> None:
        super().__init__()
        self.scheme = scheme
        for name in asked:
            self.__missing__(name)

    def __missing__(self, name: str) -> np.ndarray:
        self[name] = np.random.default_rng(len(self)).normal(size=self.scheme.shape(name))
        return self[name]


def invented(asked: list[str]) -> Iterator[Weights]:
    """Yield weights for arguments of these names, in one scheme after the other."""
    yield from (Weights(scheme, asked) for scheme in SCHEMES)


def made(kind: type) -> Iterator[tuple[Any, tuple[int, int] | None]]:
    """Yield objects of a class, and D and H where they are known.

    Its arguments' names say sizes or weights, or their number does.
    """
    try:
        parameters = inspect.signature(kind).parameters.values()
    except ValueError:  # some classes that are written in C do not tell
        return
    needed = [
        p.name for p in parameters if p.default is p.empty and not p.kind.name.startswith("V")
    ]
    sizes = {
        p.name: next((s for s, e in SIZES.items() if re.fullmatch(e, p.name)), None)
        for p in parameters
    }
    for numbers in ({"D": D, "H": H}, {"D": H, "H": H}):
        named = {name: numbers[size] for name, size in sizes.items() if size}
        ways: list[tuple[tuple, dict]] = [((), named), (tuple(numbers.values()), {})]
        ways += [((*numbers.values(), OUT), {}), ((numbers["H"],), {})]
        if not all(sizes[name] for name in needed):
            ways += [((), weights) for weights in invented(needed)]
        for arguments, keywords in ways:
            try:
                told = keywords is named and set(sizes.values()) >= {"D", "H"}
                yield kind(*arguments, **keywords), tuple(numbers.values()) if told else None
            except Exception:  # not made in this way
                continue
