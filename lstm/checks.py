"""Checks of arguments: each returns the value or says what was wrong, what it got and wanted.

One rule holds in the whole package: a bad argument, of the wrong type too, is a ``ValueError`` that
names it; calls in the wrong order are a ``RuntimeError``.

One rule holds for arrays: nothing is rounded or reinterpreted silently.

* A layer takes arrays of exactly its parameters' dtype, float32 or float64. A list will do where
  NumPy makes that dtype of it: a list of numbers with a point is float64.
* What has no parameters takes both, and where two arrays meet, two of the same dtype.
* complex128 is let through everywhere beside float64: it is how
  :func:`lstm.gradcheck.complex_step` differentiates, with parameters that it makes complex too.
* Numbers that count or index are integers of any dtype, never booleans or floats.
* Masked arrays, ``np.matrix`` and the like have rules of their own, which would be lost: refused.
"""

from __future__ import annotations

import operator
import reprlib
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

quiet = np.errstate(over="ignore", invalid="ignore", divide="ignore")
"""Decorator of functions in which infinity and NaN come out as in PyTorch: without a warning."""

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
COMPLEX = np.dtype(np.complex128)

# --- single values ---------------------------------------------------------------------------


def positive_int(name: str, value: Any, *, minimum: int = 1) -> int:
    """Return ``value`` as an int of at least ``minimum``."""
    wanted = "a positive integer" if minimum == 1 else f"an integer of at least {minimum}"
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be {wanted}, got {value!r}") from None
    if isinstance(value, bool) or number < minimum:
        got = value if isinstance(value, bool) else number
        raise ValueError(f"{name} must be {wanted}, got {got}")
    return number


def boolean(name: str, value: Any) -> bool:
    """Return ``value`` if it is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def number(name: str, value: Any, interval: str = "(-inf, inf)") -> float:
    """Return ``value`` as a float in an interval, written as in mathematics: ``"[0, 1)"``."""
    wanted = f"{name} must be a number in {interval}, got {value!r}"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(wanted)
    low, high = map(float, interval[1:-1].split(","))
    above = value >= low if interval[0] == "[" else value > low
    below = value <= high if interval[-1] == "]" else value < high
    if not (above and below):
        raise ValueError(wanted)
    return float(value)


def one_of(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """Return ``value`` if it is one of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {list(choices)}, got {value!r}")
    return value


def float_dtype(dtype: DTypeLike) -> np.dtype:
    """Return ``dtype`` as float32 or float64."""
    try:
        found = np.dtype(dtype)
    except (TypeError, ValueError):
        found = dtype
    # NumPy takes None for float64, also where it compares.
    if dtype is None or not isinstance(found, np.dtype) or found not in FLOATS:
        raise ValueError(
            f"dtype must be float32 or float64, got {dtype if dtype is None else found}"
        )
    return found


def generator(rng: np.random.Generator | int | None) -> np.random.Generator:
    """Return ``rng`` if it is a generator, else a new one with this seed."""
    if isinstance(rng, np.random.Generator) or rng is None:
        return np.random.default_rng(rng)
    # Integers alone: NumPy would take arrays too, and some of them crash it.
    if not isinstance(rng, int | np.integer) or isinstance(rng, bool) or rng < 0:
        raise ValueError(f"rng must be a Generator, a seed or None, got {rng!r}")
    return np.random.default_rng(rng)


# --- arrays ----------------------------------------------------------------------------------


def numbers(name: str, value: ArrayLike) -> np.ndarray:
    """Return ``value`` as an array of numbers or booleans, of whatever dtype it has."""
    kind = type(value)
    if isinstance(value, np.ndarray) and kind not in (np.ndarray, np.memmap):
        raise ValueError(f"{name} must be a plain array, got a {kind.__name__}: use np.asarray")
    try:
        array = np.asarray(value)
    except Exception as error:  # whatever a foreign __array__ raises
        raise ValueError(f"{name} must be an array, got {reprlib.repr(value)}: {error}") from None
    if array.dtype.kind not in "biufc":
        got = array.dtype if isinstance(value, np.ndarray) else reprlib.repr(value)
        raise ValueError(f"{name} must be an array of numbers, got {got}")
    return array


def array(
    name: str,
    value: ArrayLike,
    dtype: np.dtype | tuple[np.dtype, ...] = (*FLOATS, COMPLEX),
    shape: tuple[int, ...] | None = None,
) -> np.ndarray:
    """Return ``value`` as an array of exactly this dtype (or one of these) and this shape."""
    array = numbers(name, value)
    wanted = dtype if isinstance(dtype, tuple) else (dtype,)
    if array.dtype not in wanted:
        shown = " or ".join(str(one) for one in wanted if one != COMPLEX or len(wanted) == 1)
        remedy = ""
        if array.dtype.kind in "biuf" and wanted[0] in FLOATS:
            call = "{}.astype(np.{})" if isinstance(value, np.ndarray) else "np.array({}, np.{})"
            remedy = f"; convert it: {call.format(name, wanted[0])}"
        raise ValueError(f"{name} must have dtype {shown}, got {array.dtype}{remedy}")
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    return array


def integers(
    name: str,
    value: ArrayLike,
    low: int,
    high: int,
    *,
    shape: tuple[int, ...] | None = None,
) -> np.ndarray:
    """Return ``value`` as an array of integers in [low, high], of the dtype of an index."""
    array = numbers(name, value)
    if array.size == 0 and not isinstance(value, np.ndarray):
        array = array.astype(np.intp)  # an empty list has no dtype of its own
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold integers, got dtype {array.dtype}")
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    if array.size and (array.min() < low or array.max() > high):
        raise ValueError(
            f"{name} must be in [{low}, {high}], got values from {array.min()} to {array.max()}"
        )
    return array.astype(np.intp, copy=False)


def finite(name: str, array: np.ndarray) -> np.ndarray:
    """Return ``array`` if it holds neither infinity nor NaN."""
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {array[~np.isfinite(array)].flat[0]}")
    return array


def last_size(name: str, array: np.ndarray, size: int) -> None:
    """Check that the last axis of ``array`` has ``size`` entries."""
    if array.ndim == 0 or array.shape[-1] != size:
        raise ValueError(f"{name} must have shape (..., {size}), got {array.shape}")


def shape(name: str, array: np.ndarray, wanted: tuple[int, ...]) -> None:
    """Check that ``array`` has exactly the shape ``wanted``."""
    if array.shape != wanted:
        raise ValueError(f"{name} must have shape {wanted}, got {array.shape}")
