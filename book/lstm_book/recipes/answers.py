"""Which test examples a run answered rightly, and what it said, in few letters of a record."""

from __future__ import annotations

import base64
import zlib

import numpy as np

from lstm import checks
from lstm.signatures import checked


@checked
def right(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return for each example whether its largest logit (one logit: its sign) is the target."""
    guess = outputs.argmax(axis=-1) if outputs.ndim > targets.ndim else outputs > 0
    return (guess == targets).ravel()


@checked
def pack(values: np.ndarray) -> str:
    """Write booleans, or numbers from 0 to 255, as a short text."""
    if not ((values >= 0) & (values <= 255)).all():
        raise checks.wrong("values", "booleans, or from 0 to 255", values)
    content = np.packbits(values) if values.dtype == bool else values.astype(np.uint8)
    return base64.b85encode(zlib.compress(content.tobytes(), 9)).decode()


@checked
def unpack(text: str, count: int, dtype: type = bool) -> np.ndarray:
    """Read what :func:`pack` wrote.

    Raises
    ------
    ValueError
        If it is not the text of so many values.
    """
    try:
        content = np.frombuffer(zlib.decompress(base64.b85decode(text)), np.uint8)
    except (ValueError, zlib.error) as error:
        raise ValueError(f"text must be one that pack wrote, got {text[:20]!r}") from error
    expected = -(-count // 8) if dtype is bool else count
    if len(content) != expected:
        raise ValueError(f"count must be that of the text, got {count} for {len(content)} bytes")
    return np.unpackbits(content, count=count).astype(bool) if dtype is bool else content
