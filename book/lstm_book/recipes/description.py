"""What a training is, by value: so that it goes on from its own checkpoint and from no other."""

from __future__ import annotations

import functools
import hashlib
import operator
import sys
import types
from typing import Any

import numpy as np

from lstm import checks
from lstm.module import Parameter

# What a training changes, and what it starts anew: not what it is.
STATE = {"training", "steps", "grad", "_state", "_last"}
DEEPEST = 30
HEAP = 1 << 9
"""The flag by which Python tells a class that was made at run time from one that is built in."""


def describe(value: Any, name: str = "it", depth: int = 0) -> Any:
    """Return what something is, as JSON: the same in every process, another for another value.

    Only what can be compared is described. Numbers, texts, None, True and False stand for
    themselves, arrays for their type, shape and content; lists, tuples and dicts with texts as keys
    are described member by member. A :class:`lstm.Parameter` stands for its type and shape, a
    generator for its kind: what they hold is state. **A function or a class is its name alone**:
    whether its code is still the same, this does not tell. Any other object is its class with its
    attributes.

    Parameters
    ----------
    value : object
        What makes up a training.
    name : str
        What messages call it.
    depth : int
        How deep inside of another value it is.

    Returns
    -------
    object
        Whatever JSON can hold.

    Raises
    ------
    ValueError
        If there is something in it that cannot be compared: a function that Python does not find
        by its name (a lambda, one inside another), an object that is written in C, one of a
        subclass of list or dict, or one that holds itself.
    """
    if depth > DEEPEST:
        raise checks.wrong(name, f"at most {DEEPEST} levels deep", value)
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if named := _named(value):
        return named
    if isinstance(value, Parameter):
        return f"{value.dtype} {value.shape}"
    if isinstance(value, np.generic) or (kind is np.ndarray and not value.dtype.hasobject):
        return f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
    if isinstance(value, np.random.Generator):
        return type(value.bit_generator).__name__
    if kind is functools.partial:
        members = {"function": value.func, "args": value.args, "keywords": value.keywords}
    elif kind is types.MethodType:
        members = {"function": value.__func__, "self": value.__self__}
    elif kind in (list, tuple):
        members = dict(enumerate(value))
    elif kind in (dict, types.MappingProxyType) and all(type(key) is str for key in value):
        members = value
    else:
        members = _attributes(value)
        if members is None:
            wanted = "made of data, of functions that have a name, and of objects with attributes"
            raise checks.wrong(name, wanted, value)
        members = {"class": kind} | {n: each for n, each in members.items() if n not in STATE}
    return {str(key): describe(each, f"{name}.{key}", depth + 1) for key, each in members.items()}


def _named(value: Any) -> str | None:
    """Return the name by which Python finds a function or a class, if there is one."""
    try:
        found = operator.attrgetter(value.__qualname__)(sys.modules[value.__module__])
    except Exception:  # whatever a foreign __getattr__ raises, too
        return None
    return f"{value.__module__}.{value.__qualname__}" if found is value else None


def _attributes(value: Any) -> dict[str, Any] | None:
    """Return the attributes of an object by name, or None if it is more than these."""
    built_in = next(each for each in type(value).__mro__ if not each.__flags__ & HEAP)
    state = object.__getstate__(value)
    if built_in is not object or (state is None and not hasattr(value, "__dict__")):
        return None
    own, of_slots = state if isinstance(state, tuple) else (state, {})
    return (own or {}) | of_slots
