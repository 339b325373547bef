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
import os
import re
import secrets
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lstm.module import Parameter


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
    buffer = io.BytesIO()
    np.savez(buffer, belongs_to=np.array(json.dumps(belongs_to)), **state)
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
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as content:
            state = dict(content)
        saved = json.loads(str(state.pop("belongs_to")))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} could not be read: {error}") from error
    except Exception as error:  # a damaged file can raise anything
        raise CheckpointError(f"{path} is damaged, or no checkpoint: {error!r}") from error
    if different := "; ".join(differences(saved, json.loads(json.dumps(belongs_to)))):
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
    elif old != new or type(old) is not type(new):
        was, now = (
            text if len(text) <= 60 else f"{text[:57]}..." for text in map(repr, (old, new))
        )
        yield f"{name} was {was}, is {now}"


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
STATE = {"training", "steps", "grad"}
CONSTANT = bool | int | float | str


def describe(value: Any, around: tuple[int, ...] = ()) -> Any:
    """Return what something is, as JSON: the same in every process, another for another value.

    Parameters
    ----------
    value : object
        Numbers and texts stand for themselves, arrays for their type, shape and content. A
        :class:`lstm.Parameter` stands for its type and shape, a generator for its kind: what they
        hold is state. A function is its code with the values that it refers to, a class the code of
        its methods, and any other object its class with its public attributes.
    around : tuple of int
        Of whom it is a part: some hold themselves.

    Returns
    -------
    object
        Whatever JSON can hold.
    """
    if id(value) in around:
        return "itself"
    part = functools.partial(describe, around=(*around, id(value)))
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Parameter():
            return f"{value.dtype} {value.shape}"
        case np.ndarray():
            content = repr(value.tolist()).encode() if value.dtype.hasobject else value.tobytes()
            return f"{value.dtype} {value.shape} {hashlib.sha256(content).hexdigest()}"
        case np.random.Generator():
            return type(value.bit_generator).__name__
        case Mapping():
            return {str(key): part(each) for key, each in value.items()}
        case list() | tuple():
            return {str(place): part(each) for place, each in enumerate(value)}
        case set() | frozenset():
            return sorted(json.dumps(part(each)) for each in value)
        case functools.partial():
            return part([value.func, value.args, value.keywords])
        case types.MethodType():
            return part([value.__func__, value.__self__])
        case types.FunctionType():
            return {"name": value.__qualname__, "code": _digest(_function(value, part))}
        case types.CodeType():
            return [value.co_code.hex(), list(value.co_names), part(value.co_consts)]
        case type():
            name = f"{value.__module__}.{value.__qualname__}"
            return {"name": name, "code": _digest(_methods(value, part))}
        case types.ModuleType() | types.BuiltinFunctionType() | np.ufunc():
            return value.__name__
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    if not slots and not hasattr(value, "__dict__"):  # written in C
        return re.sub(" at 0x[0-9A-Fa-f]+", "", repr(value))
    found = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    found |= getattr(value, "__dict__", {})
    public = {n: each for n, each in found.items() if n[0] != "_" and n not in STATE}
    return part(type(value)) | part(public)


def _digest(description: Any) -> str:
    return hashlib.sha256(json.dumps(description).encode()).hexdigest()[:16]


def _function(function: types.FunctionType, part: Callable[[Any], Any]) -> Any:
    """Describe the code of a function and the values that it finds outside of itself."""
    code, around = function.__code__, function.__globals__
    enclosed = zip(code.co_freevars, function.__closure__ or (), strict=True)
    values = {name: cell.cell_contents for name, cell in enclosed if name != "__class__"}
    # Of the global ones plain constants alone: a name may stand for a whole library.
    values |= {n: around[n] for n in code.co_names if isinstance(around.get(n), CONSTANT)}
    return part([code, function.__defaults__, function.__kwdefaults__, values])


def _methods(kind: type, part: Callable[[Any], Any]) -> dict[str, Any]:
    """Describe the methods and constants of a class, with those that it inherits."""
    found = {}
    for base in reversed(kind.__mro__[:-1]):
        for name, each in vars(base).items():
            each = getattr(each, "__func__", getattr(each, "fget", each))  # what decorators wrap
            if isinstance(each, types.FunctionType):
                found[name] = _function(each, part)
            elif isinstance(each, CONSTANT) and not name.startswith("__"):
                found[name] = each
    return found
