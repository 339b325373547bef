"""How a person's backward pass is called: what it asks for, and what its answers belong to."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from lstm.diagnose.conventions import CACHE, RATE, is_gradient, plain_name, role_of, same_weight
from lstm.diagnose.weights import Arrays, as_numbers


def arguments(
    function: Callable, result: Any, parts: dict[str, Any], weights: Any
) -> tuple[list[Any], dict[str, Any]]:
    """Return what a backward pass asks for by its arguments' names, as far as they tell.

    At hand are what the forward pass returned, whose last part is taken for the cache, inputs and
    outputs' gradients by name, and what holds the weights.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return list(parts.values()), {}
    cache = result[-1] if isinstance(result, list | tuple) else result
    asked = [p for p in parameters if not p.kind.name.startswith("VAR")]
    if not asked and parameters:
        return list(parts.values()), {}
    keys = {p.name: part_of(p.name, parts) for p in asked}
    left = [key for key in ("d_h", "d_c") if key in parts and key not in keys.values()]
    slots, named, used = [], {}, set()
    for parameter in asked:
        name, key = parameter.name, keys[parameter.name]
        needed = parameter.default is parameter.empty
        if key is None and re.fullmatch(CACHE, name.lower()):
            value = cache
        elif key is None and isinstance(weights, Mapping) and name in weights:
            value = weights[name]
        elif key is None and role_of(name, ("weights",)):
            value = weights
        elif key == "d_pair":  # the loss's share may be asked for beside it
            value = parts["d_h"] * ("d_h" not in keys.values()), parts["d_c"]
        elif key is not None and key in used:  # the loss's share and the next step's are added
            value = parts[key] * 0
        elif key is not None:
            value = parts[key]
        elif needed and re.fullmatch(RATE, name.lower()):
            value = 1.0
        elif needed:
            value = parts[left.pop(0)] if left else cache
        else:
            continue
        used.add(key)
        if needed:
            slots.append(value)
        elif key in parts:
            named[name] = value
    return slots, named


def part_of(name: str, parts: dict[str, Any]) -> str | None:
    """Return which input or output's gradient a name means."""
    if re.fullmatch(CACHE, name.lower()):
        return None
    word = re.sub(r"^(next|out|top)_?|_?(next|out|top)$", "", plain_name(name))
    role = role_of(word, ("c", "h", "x", "pair"))
    if role is None:
        return None
    key = f"d_{role}" if is_gradient(name) else role
    if key == "d_pair":
        return key if "d_c" in parts else None
    return key if key in parts else f"d_{role}" if f"d_{role}" in parts and role == "h" else None


def gradients_by_name(
    result: Any, weights: Arrays, inputs: dict[str, tuple]
) -> tuple[Arrays, set[str]]:
    """Return gradients by the names of the weights and of the inputs, and which had no name.

    A mapping may write ``d``, ``d_`` or ``grad_`` before a name. An array without a name belongs to
    the first of inputs (names and shapes) and weights that has its shape and has none yet.
    """
    shapes = inputs | {name: array.shape for name, array in weights.items()}
    found: Arrays = {}
    nameless: list[np.ndarray] = []
    for path, value in parts_of(result):
        if not re.search(r"[A-Za-z]", path):
            nameless.append(value)
            continue
        likely = [n for n in weights if same_weight(path, n)]
        fits = [n for n in likely if n not in found and shapes[n] == value.shape]
        name = next(iter(fits or likely), None)
        if name is None:
            word = plain_name(path.split(".")[-1])
            name = role_of(word, tuple(n for n in "chx" if n in inputs))
        if name in shapes and value.size == np.prod(shapes[name]):
            found.setdefault(name, np.array(value, np.float64).reshape(shapes[name]))
    placed = set()
    for array in nameless:
        for same in (lambda a, b: a == b, lambda a, b: squeezed(a) == squeezed(b)):
            free = [n for n, s in shapes.items() if n not in found and same(s, array.shape)]
            if free:
                found[free[0]] = np.array(array, np.float64).reshape(shapes[free[0]])
                placed.add(free[0])
                break
    return found, placed


def squeezed(shape: tuple[int, ...]) -> list[int]:
    """Return a shape without its axes of length one."""
    return [n for n in shape if n != 1]


def parts_of(result: Any, path: str = "", depth: int = 4) -> Iterator[tuple[str, np.ndarray]]:
    """Yield path and array of all that a backward pass returned."""
    array = np.array(result) if isinstance(result, float) else as_numbers(result, table=True)
    if array is not None:
        yield path, array
        return
    items: Any = ()
    if isinstance(result, Mapping):
        items = result.items()
    elif isinstance(result, list | tuple):
        names = getattr(result, "_fields", range(len(result)))
        items = zip(names, result, strict=True)
    elif hasattr(result, "__dict__") and not inspect.isroutine(result):
        items = vars(result).items()
    for key, value in items if depth else ():
        yield from parts_of(value, f"{path}.{key}" if path else str(key), depth - 1)
