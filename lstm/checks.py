"""Checks of arguments: each returns the value or says what was wrong, what it got and wanted.

One rule holds in the whole package: a bad argument is a ``ValueError``, calls in the wrong order
are a ``RuntimeError``.
"""

from __future__ import annotations

import operator

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def positive_int(name: str, value: int, *, minimum: int = 1) -> int:
    """Return ``value`` as an int of at least ``minimum``."""
    wanted = "a positive integer" if minimum == 1 else f"an integer of at least {minimum}"
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be {wanted}, got {value!r}") from None
    if isinstance(value, bool) or number < minimum:
        raise ValueError(f"{name} must be {wanted}, got {value!r}")
    return number


def boolean(name: str, value: bool) -> bool:
    """Return ``value`` if it is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def probability(name: str, value: float) -> float:
    """Return ``value`` as a float in [0, 1]."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise ValueError(f"{name} must be a number in [0, 1], got {value!r}")
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be in [0, 1], got {value!r}")
    return float(value)


def float_dtype(dtype: DTypeLike) -> np.dtype:
    """Return ``dtype`` as float32 or float64."""
    wanted = np.dtype(dtype)
    if wanted not in FLOATS:
        raise ValueError(f"dtype must be float32 or float64, got {wanted}")
    return wanted


def float_array(name: str, value: ArrayLike, dtype: np.dtype) -> np.ndarray:
    """Return ``value`` as an array of exactly ``dtype``; nothing is converted silently."""
    array = np.asarray(value)
    if array.dtype != dtype:
        raise ValueError(f"{name} must have dtype {dtype}, got {array.dtype}")
    return array


def index_array(name: str, value: ArrayLike, size: int) -> np.ndarray:
    """Return ``value`` as an array of integers in [0, size)."""
    array = np.asarray(value)
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{name} must hold integers, got dtype {array.dtype}")
    if array.size and (array.min() < 0 or array.max() >= size):
        raise ValueError(
            f"{name} must be in [0, {size}), got values from {array.min()} to {array.max()}"
        )
    return array


def last_size(name: str, array: np.ndarray, size: int) -> None:
    """Check that the last axis of ``array`` has ``size`` entries."""
    if array.ndim == 0 or array.shape[-1] != size:
        raise ValueError(f"{name} must have shape (..., {size}), got {array.shape}")


def shape(name: str, array: np.ndarray, wanted: tuple[int, ...]) -> None:
    """Check that ``array`` has exactly the shape ``wanted``."""
    if array.shape != wanted:
        raise ValueError(f"{name} must have shape {wanted}, got {array.shape}")
