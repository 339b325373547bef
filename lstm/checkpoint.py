"""The state of a training in one ``.npz`` file: whole or not at all, and only for its own training.

A file holds what :meth:`lstm.Trainer.state_dict` returns, as ``numpy.savez`` writes it, and beside
it, as ``belongs_to``, what the training was: with :func:`describe`, by value.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import operator
import os
import secrets
import sys
import time
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lstm import checks
from lstm.module import Parameter

SECONDS_OF_A_WRITE = 600
"""A temporary file that has not grown for so long is nobody's."""


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written or read; the message says why and what to do."""


def save_checkpoint(
    path: str | os.PathLike, state: Mapping[str, np.ndarray], belongs_to: Any = None
) -> None:
    """Write the state of a training to one file, whole or not at all.

    Parameters
    ----------
    path : path-like
        Where to; its folder is made if needed.
    state : mapping of str to ndarray
        What :meth:`lstm.Trainer.state_dict` returns.
    belongs_to : optional
        What :func:`describe` returned for everything that makes up the training.

    Raises
    ------
    CheckpointError
        If the disk is full or the folder cannot be written to. What was there is unchanged.
    """
    path, text = _path(path), _as_json(belongs_to)
    if not isinstance(state, Mapping) or not all(map(_is_plain, state, state.values())):
        raise checks.wrong("state", "a mapping of names to arrays of numbers or texts", state)
    buffer = io.BytesIO()
    np.savez(buffer, belongs_to=np.array(text), **state)
    try:
        replace_file(path, buffer.getvalue())
    except OSError as error:
        raise CheckpointError(
            f"{path} could not be written: {error}. Nothing was changed"
        ) from error


def load_checkpoint(path: str | os.PathLike, belongs_to: Any = None) -> dict[str, np.ndarray]:
    """Return the state that :func:`save_checkpoint` wrote, if it belongs to this training.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, no checkpoint, or of another training; the message then
        says in what they differ.
    """
    path, text = _path(path), _as_json(belongs_to)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            state = dict(content)
        saved = json.loads(str(state.pop("belongs_to")))
    except OSError as error:
        raise CheckpointError(f"{path} could not be read: {error}") from error
    except Exception as error:  # a damaged file can raise anything
        raise CheckpointError(f"{path} is damaged, or no checkpoint: {error!r}") from error
    if different := "; ".join(differences(saved, json.loads(text))):
        raise CheckpointError(
            f"{path} belongs to another training: {different}. "
            "Use what it was begun with, or another file"
        )
    return state


def differences(old: Any, new: Any, name: str = "it") -> Iterator[str]:
    """Yield ``"name was …, is …"`` for every place where two descriptions differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            inner = key if name == "it" else f"{name}.{key}"
            yield from differences(old.get(key), new.get(key), inner)
    elif (was := repr(old)) != (now := repr(new)):  # as texts: NaN is NaN, and True is not 1
        shown = (text if len(text) <= 60 else f"{text[:57]}..." for text in (was, now))
        yield "{} was {}, is {}".format(name, *shown)


def _path(path: str | os.PathLike) -> Path:
    try:
        found = Path(path)
    except TypeError:
        raise checks.wrong("path", "a path", path) from None
    if "\0" in str(found):
        raise checks.wrong("path", "a path without zeros", path)
    return found


def _as_json(belongs_to: Any) -> str:
    try:
        return json.dumps(belongs_to)
    except (TypeError, ValueError, RecursionError):
        raise checks.wrong("belongs_to", "what describe returns", belongs_to) from None


def _is_plain(name: str, value: np.ndarray) -> bool:
    """Tell whether a file can hold this, and be read without running what it holds."""
    try:
        return isinstance(name, str) and name != "file" and np.asarray(value).dtype.kind in "biufcU"
    except ValueError:  # ragged
        return False


def replace_file(path: str | os.PathLike, content: bytes) -> None:
    """Write a file under a name that nobody has, force it to disk, and give it its name.

    Whatever happens, ``path`` is the old file or the new one, never half of one.

    Raises
    ------
    OSError
        If that is not possible; nothing is left behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(".*.partial"):  # by a process that was killed
        with contextlib.suppress(OSError):
            if time.time() - left.lstat().st_mtime > SECONDS_OF_A_WRITE:
                left.unlink()
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
    file = partial.open("xb")  # x: never a file, nor a link, that is there
    try:
        with file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    if os.name == "posix":  # the new name, too, where a folder can be opened (not on Windows)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


# --- what a training is -------------------------------------------------------------------------

# What a training changes, and what it starts anew: not what it is.
STATE = {"training", "steps", "grad", "_state", "_last"}
DEEPEST = 30
# An object of one of these, or of a subclass, is more than its attributes.
BUILT_IN = list | tuple | dict | set | frozenset | str | bytes | int | float | np.ndarray
BUILT_IN |= types.ModuleType | types.FunctionType | type


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
        members = None if isinstance(value, BUILT_IN) else _attributes(value)
        if members is None:
            wanted = "made of data, of functions that have a name, and of objects with attributes"
            raise checks.wrong(name, wanted, value)
        members = {"class": kind} | {n: each for n, each in members.items() if n not in STATE}
    return {str(key): describe(each, f"{name}.{key}", depth + 1) for key, each in members.items()}


def _named(value: Any) -> str | None:
    """Return the name by which Python finds a function or a class, if there is one."""
    try:
        found = operator.attrgetter(value.__qualname__)(sys.modules[value.__module__])
    except (AttributeError, KeyError, TypeError):
        return None
    return f"{value.__module__}.{value.__qualname__}" if found is value else None


def _attributes(value: Any) -> dict[str, Any] | None:
    """Return the attributes of an object by name, or None if it cannot have any."""
    state = object.__getstate__(value)
    if state is None:
        return {} if hasattr(value, "__dict__") else None
    own, of_slots = state if isinstance(state, tuple) else (state, {})
    return (own or {}) | of_slots
