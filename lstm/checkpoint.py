"""State of a training in one file: written whole or not at all, and checked when it is read."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

MAGIC = b"lstm checkpoint 1 "


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written or read; the message says why and what to do."""


def save_checkpoint(
    path: str | os.PathLike, arrays: Mapping[str, np.ndarray], info: Mapping[str, Any]
) -> None:
    """Write arrays and facts to one file, atomically.

    The file is written beside ``path`` with ``.partial`` behind the name, forced to disk, and then
    takes the name: whatever happens, ``path`` is the old checkpoint or the new one, never half of
    one. A ``.partial`` file that a killed process left is overwritten the next time.

    Parameters
    ----------
    path : path-like
        Where to; its folder is made if needed.
    arrays : mapping of str to ndarray
        Weights and the like.
    info : mapping
        Whatever JSON can hold.

    Raises
    ------
    CheckpointError
        If the disk is full or the folder cannot be written to. The old checkpoint is intact.
    """
    path = Path(path)
    buffer = io.BytesIO()
    # Some generators keep arrays in their state.
    text = np.frombuffer(json.dumps(info, default=lambda array: array.tolist()).encode(), np.uint8)
    np.savez(buffer, info=text, **{f"array:{name}": a for name, a in arrays.items()})
    content = buffer.getvalue()
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(MAGIC + hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise CheckpointError(
            f"{path} could not be written ({error}); the last good checkpoint is unchanged"
        ) from error


def load_checkpoint(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what :func:`save_checkpoint` wrote.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    arrays : dict of str to ndarray
    info : dict

    Raises
    ------
    CheckpointError
        If the file is missing, is no checkpoint, or its checksum is wrong.
    """
    path = Path(path)
    try:
        head, _, content = path.read_bytes().partition(b"\n")
    except OSError as error:
        raise CheckpointError(f"{path} could not be read ({error})") from error
    if not head.startswith(MAGIC):
        raise CheckpointError(f"{path} is not a checkpoint of this package")
    if head[len(MAGIC) :].decode("ascii", "replace") != hashlib.sha256(content).hexdigest():
        raise CheckpointError(f"{path} is damaged: its checksum is wrong. Delete it to start anew")
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        info = json.loads(file["info"].tobytes())
        arrays = {name[6:]: file[name] for name in file.files if name.startswith("array:")}
    return arrays, info
