"""The state of a training in one ``.npz`` file: whole or not at all, and only for its own training.

A file holds what :meth:`lstm.Trainer.state_dict` returns, as ``numpy.savez`` writes it, and beside
it, as ``belongs_to``, what the training was, and as ``names`` which arrays there are: a damaged
directory of the file may lack some.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lstm import checks

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
        Everything that makes up the training, as JSON can hold it: settings, data, versions.

    Raises
    ------
    CheckpointError
        If the disk is full or the folder cannot be written to. What was there is unchanged.
    ValueError
        If ``path`` is none, or ``state`` or ``belongs_to`` nothing that could be read again.
    """
    path, buffer, text = checks.path("path", path), io.BytesIO(), np.array(_as_json(belongs_to))
    state = checks.mapping("state", state)
    try:
        arrays = {name: np.asarray(value) for name, value in state.items()}
        if any(array.dtype.hasobject for array in arrays.values()):
            raise ValueError("objects would be pickled")
        np.savez(buffer, belongs_to=text, names=np.array([*arrays], str), **arrays)
    except Exception as error:  # what a name of 70,000 letters raises, too
        raise ValueError(f"state must be a mapping of names to arrays: {error}") from None
    try:
        replace_file(path, buffer.getvalue())
    except (OSError, ValueError) as error:  # not encodable, too
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
    path, text = checks.path("path", path), _as_json(belongs_to)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            state = dict(content)
        saved, names = json.loads(str(state.pop("belongs_to"))), state.pop("names").tolist()
        if names != [*state]:
            raise ValueError(f"it must hold {names}, got {[*state]}")
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


def _as_json(belongs_to: Any) -> str:
    try:
        return json.dumps(belongs_to)
    except Exception:  # whatever a foreign __iter__ raises, too
        raise checks.wrong("belongs_to", "what JSON can hold", belongs_to) from None


def replace_file(path: str | os.PathLike, content: bytes) -> None:
    """Write a file under a name that nobody has, force it to disk, and give it its name.

    Whatever happens, ``path`` is the old file or the new one, never half of one.

    Raises
    ------
    OSError
        If that is not possible; nothing is left behind.
    """
    path = Path(path)
    if path.exists() and not path.is_file():  # a device, or a pipe: it would be gone
        raise FileExistsError(f"{path} is no file")
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
