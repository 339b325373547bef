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
* A formula of :mod:`lstm.equations` takes both, and integers: see :mod:`lstm.signatures`.
* Masked arrays, ``np.matrix`` and the like have rules of their own, which would be lost: refused.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import operator
import reprlib
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

quiet = np.errstate(over="ignore", invalid="ignore", divide="ignore")
"""Decorator of functions in which infinity and NaN come out as in PyTorch: without a warning."""

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
COMPLEX = np.dtype(np.complex128)
LARGEST = 2**53
"""Most that is counted: beyond it an int64 would overflow, and a float round."""

_repr = reprlib.Repr()
_repr.maxother = _repr.maxstring = _repr.maxlong = 100


def shown(value: Any) -> str:
    """Return a value as a message shows it: in one short line, whatever it is."""
    return " ".join(_repr.repr(value).split())


def wrong(name: str, wanted: str, value: Any) -> ValueError:
    """Return the error for an argument that should have been something else."""
    return ValueError(f"{name} must be {wanted}, got {shown(value)}")


# --- single values ---------------------------------------------------------------------------


def positive_int(name: str, value: Any, *, minimum: int = 1, maximum: int = LARGEST) -> int:
    """Return ``value`` as an int from ``minimum`` to ``maximum``."""
    wanted = "a positive integer" if minimum == 1 else f"an integer of at least {minimum}"
    try:
        number = operator.index(value)
    except Exception:  # whatever a foreign __index__ raises
        raise wrong(name, wanted, value) from None
    if isinstance(value, bool) or number < minimum:
        raise wrong(name, wanted, value if isinstance(value, bool) else number)
    if number > maximum:
        raise wrong(name, f"at most {maximum}", number)
    return number


def room(count: int, **sizes: int) -> None:
    """Check, before any of it is made, that the arrays of these sizes fit into memory.

    Parameters
    ----------
    count : int
        How many numbers they hold together. Each takes 16 bytes for a moment: it is drawn in
        float64, or has a gradient beside it.
    **sizes : int
        The arguments that the count follows from, by their names.
    """
    try:
        np.empty(2 * count)  # addresses alone: the system refuses what it could never give
    except (MemoryError, ValueError):
        names, values = (", ".join(map(str, each)) for each in (sizes, sizes.values()))
        raise ValueError(f"{names} must fit into memory, got {values}") from None


def boolean(name: str, value: Any) -> bool:
    """Return ``value`` if it is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise wrong(name, "True or False", value)
    return bool(value)


def number(name: str, value: Any, interval: str = "(-inf, inf)") -> float:
    """Return ``value`` as a float in an interval, written as in mathematics: ``"[0, 1)"``."""
    low, high = map(float, interval[1:-1].split(","))
    try:
        is_number = isinstance(value, Real) and not isinstance(value, bool | np.timedelta64)
        found = float(value) if is_number else math.nan
    except Exception:  # a large integer; whatever a foreign __float__ raises
        found = math.nan
    above = found >= low if interval[0] == "[" else found > low
    below = found <= high if interval[-1] == "]" else found < high
    if not (above and below):
        raise wrong(name, f"a number in {interval}", value)
    return found


def one_of(name: str, value: Any, choices: Iterable[str]) -> str:
    """Return ``value`` if it is one of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        raise wrong(name, f"one of {list(choices)}", value)
    return value


def function(name: str, value: Any, arguments: int | None = None, **named: Any) -> Callable:
    """Return ``value`` if it can be called, and with such arguments where that is known."""
    if not callable(value):
        raise wrong(name, "a function", value)
    if arguments is not None or named:
        try:
            inspect.signature(value).bind(*[None] * (arguments or 0), **named)
        except TypeError:
            wanted = f"the arguments {[*named]}" if named else f"{arguments} argument(s)"
            raise wrong(name, f"a function of {wanted}", value) from None
        except ValueError:  # some functions that are written in C do not tell
            pass
    return value


def having(name: str, value: Any, wanted: str, *attributes: str) -> Any:
    """Return ``value`` if it is an object, ours or another library's, that has these attributes."""
    try:
        has = not isinstance(value, type) and all(hasattr(value, each) for each in attributes)
    except Exception:  # whatever a foreign __getattr__ raises
        has = False
    if not has:
        raise wrong(name, wanted, value)
    return value


def text(name: str, value: Any) -> str:
    """Return ``value`` if it is a text."""
    if not isinstance(value, str):
        raise wrong(name, "a text", value)
    return value


def path(name: str, value: Any) -> Path:
    """Return ``value`` as the path of a file."""
    try:
        found = Path(value)
    except Exception:  # whatever a foreign __fspath__ raises
        found = Path()
    if not found.name or "\0" in str(found):
        raise wrong(name, "the path of a file", value)
    return found


def several(name: str, value: Any, wanted: str, count: int = 2) -> tuple:
    """Return the members of a tuple or list, if there are so many."""
    try:
        found = tuple(value) if isinstance(value, tuple | list) else ()
    except Exception:  # whatever a foreign __iter__ raises
        found = ()
    if len(found) != count:
        raise wrong(name, wanted, value)
    return found


def mapping(name: str, value: Any) -> dict[str, Any]:
    """Return ``value`` as a dict, if it is a mapping with texts as its keys."""
    try:
        found = dict(value) if isinstance(value, Mapping) else None
    except Exception:  # whatever a foreign __iter__ raises
        found = None
    if found is None:
        raise wrong(name, "a mapping of names to arrays", value)
    if others := [key for key in found if not isinstance(key, str)]:
        raise ValueError(f"{name} must have texts as names, got {shown(others[0])}")
    return found


def texts(name: str, value: Iterable[str]) -> list[str]:
    """Return ``value`` as a list, if it holds texts and is not one itself."""
    try:
        found = value if isinstance(value, str) else list(value)
    except Exception:  # whatever a foreign __iter__ raises
        found = None
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise wrong(name, "a list of texts", value)
    return found


def float_dtype(dtype: DTypeLike) -> np.dtype:
    """Return ``dtype`` as float32 or float64."""
    found = dtype
    # NumPy takes None for float64, and warns of some texts.
    if dtype is not None and (not isinstance(dtype, str) or dtype in FLOAT_NAMES):
        with contextlib.suppress(Exception):  # whatever a foreign dtype attribute raises
            found = np.dtype(dtype)
    if not isinstance(found, np.dtype) or found not in FLOATS:
        got = found if isinstance(found, np.dtype) else shown(found)
        raise ValueError(f"dtype must be float32 or float64, got {got}")
    return found


FLOAT_NAMES = {name for t in FLOATS for name in (t.name, t.char, t.str, t.str[1:])}
FLOAT_NAMES |= {"single", "double", "float"}


def generator(rng: np.random.Generator | int | None) -> np.random.Generator:
    """Return ``rng`` if it is a generator, else a new one with this seed."""
    if isinstance(rng, np.random.Generator) or rng is None:
        return np.random.default_rng(rng)
    # Integers alone: NumPy would take arrays too, and some of them crash it.
    is_integer = isinstance(rng, int | np.integer) and not isinstance(rng, bool | np.timedelta64)
    try:
        seed = operator.index(rng) if is_integer else -1
    except Exception:  # whatever a foreign __index__ raises
        seed = -1
    if seed < 0:
        raise wrong("rng", "a Generator, a seed or None", rng)
    return np.random.default_rng(seed)


# --- arrays ----------------------------------------------------------------------------------


def numbers(name: str, value: ArrayLike) -> np.ndarray:
    """Return ``value`` as an array of numbers or booleans, of whatever dtype it has."""
    kind = type(value)
    if isinstance(value, np.ndarray) and kind not in (np.ndarray, np.memmap):
        raise ValueError(f"{name} must be a plain array, got a {kind.__name__}: use np.asarray")
    try:
        array = np.asarray(value)
    except Exception as error:  # whatever a foreign __array__ raises
        raise ValueError(f"{name} must be an array, got {shown(value)}: {error}") from None
    if array.dtype.kind not in "biufc":
        got = array.dtype if isinstance(value, np.ndarray) else shown(value)
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
        kinds = " or ".join(str(one) for one in wanted if one != COMPLEX or len(wanted) == 1)
        remedy = ""
        if array.dtype.kind in "biuf" and wanted[0] in FLOATS:
            call = "{}.astype(np.{})" if isinstance(value, np.ndarray) else "np.array({}, np.{})"
            remedy = f"; convert it: {call.format(name, wanted[0])}"
        raise ValueError(f"{name} must have dtype {kinds}, got {array.dtype}{remedy}")
    if shape is not None:
        of_shape(name, array, shape)
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
    if shape is not None:
        of_shape(name, array, shape)
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


def of_shape(name: str, array: np.ndarray, wanted: tuple[int, ...]) -> None:
    """Check that ``array`` has exactly the shape ``wanted``."""
    if array.shape != wanted:
        raise ValueError(f"{name} must have shape {wanted}, got {array.shape}")
