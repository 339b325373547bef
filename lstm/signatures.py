"""Arguments that are checked by what a signature says: one decorator for formulas and instruments.

Layers, losses and optimisers check their arguments one by one, where they use them. A formula has
no room for that, and need not: what it takes stands in its signature.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from lstm import checks

Function = TypeVar("Function", bound=Callable)
Check = Callable[[str, Any], Any]

FAULTS = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
"""What NumPy and Python raise where arguments do not fit together."""


def operand(name: str, value: Any) -> np.ndarray | int | float | complex:
    """Return what a formula can compute with: integers and booleans as integers with a sign.

    Those without one wrap around below 0, and booleans cannot be subtracted. Arrays of objects are
    let through: they may hold symbols.
    """
    if type(value) in (int, float, complex):
        return value
    if type(value) is np.ndarray and value.dtype == object:
        return value
    array = checks.numbers(name, value)
    if array.dtype.kind == "u":
        array = checks.integers(name, array, 0, checks.LARGEST)
    if array.dtype.kind in "bi":
        return array.astype(np.int64)[()]
    return checks.array(name, array)[()]


def of_class(kind: type) -> Check:
    """Return the check that a value is one of a class."""

    def check(name: str, value: Any) -> Any:
        if not isinstance(value, kind):
            raise checks.wrong(name, f"a {kind.__name__}", value)
        return value

    return check


def reals(name: str, value: Any) -> np.ndarray:
    """Return ``value`` as an array of real numbers."""
    array = checks.numbers(name, value)
    if array.dtype.kind == "c":
        raise ValueError(f"{name} must be real numbers, got {array.dtype}")
    return array


def names(name: str, value: Any) -> list[str]:
    """Return ``value`` as a list of texts; a text stands for its letters."""
    return checks.texts(name, list(value) if isinstance(value, str) else value)


def path(name: str, value: Any) -> Path:
    """Return ``value`` as the path of a file or a folder."""
    try:
        return Path(value)
    except Exception:  # whatever a foreign __fspath__ raises
        raise checks.wrong(name, "a path", value) from None


CHECKS: dict[str, Check] = {
    "": operand,
    "int": functools.partial(checks.positive_int, minimum=0),
    "float": checks.number,
    "bool": checks.boolean,
    "str": checks.text,
    "Path": path,
    "np.ndarray": checks.numbers,
    "ArrayLike": checks.numbers,
    "Sequence[float]": reals,
    "np.random.Generator": of_class(np.random.Generator),
    "Sequence[str]": names,
    "Iterable[str]": checks.texts,
    "list[str]": checks.texts,
    "None": of_class(type(None)),
}
"""What is checked, by annotation; an argument without one is a number or an array."""
READ = ("Iterable", "Iterator", "Sequence", "Collection", "list", "tuple")


def checked(function: Function) -> Function:
    """Check each argument of a function, or a class, by its annotation before it runs.

    An annotation that is a class, or the name of one, wants one of that class.

    Raises
    ------
    ValueError
        By the function, if an argument is not what its annotation says, or if they do not fit
        together: the message names them, and says what each was.
    """
    if isinstance(function, type):
        function.__init__ = checked(function.__init__)
        return function
    signature = inspect.signature(function)
    is_formula = all(p.annotation is p.empty for p in signature.parameters.values())

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        if kwargs or not (is_formula and _all_floats(args)):
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError:
                return function(*args, **kwargs)  # Python says it better, with the function's name
            for name, value in bound.arguments.items():
                bound.arguments[name] = _looked_at(function, signature.parameters[name], value)
            args, kwargs = bound.args, bound.kwargs
        try:
            return function(*args, **kwargs)
        except FAULTS as error:
            if ", got " in str(error):  # a message of our own form
                raise
            given = signature.bind(*args, **kwargs).arguments
            names, values = ", ".join(given), ", ".join(map(_short, given.values()))
            raise ValueError(
                f"{names} must fit together in {function.__name__}, got {values}: {error}"
            ) from error

    return run


def _all_floats(args: tuple) -> bool:
    """Tell whether no argument needs a second look; a loop, since formulas stand in loops."""
    for value in args:
        if type(value) is not np.ndarray or value.dtype.char not in "fdD":
            return False
    return True


def _looked_at(function: Callable, parameter: inspect.Parameter, value: Any) -> Any:
    is_one = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    if not is_one or parameter.name in ("self", "cls") or value is parameter.default:
        return value
    written = "" if parameter.annotation is parameter.empty else parameter.annotation
    refused = None
    for kind in written.split(" | "):
        check = _check_of(kind, function.__globals__)
        try:
            return value if check is None else check(parameter.name, value)
        except ValueError as error:
            refused = refused or error
    raise refused


def _check_of(kind: str, names: Mapping[str, Any]) -> Check | None:
    """Return the check that an annotation stands for, if there is one."""
    if kind in CHECKS:
        return CHECKS[kind]
    outer = kind.partition("[")[0]
    named = names.get(outer, getattr(builtins, outer, None))
    named = typing.get_origin(named) or named
    # What is read one by one may be of any class.
    is_class = isinstance(named, type) and named is not Any and outer not in READ
    return of_class(named) if is_class else None


def _short(value: Any) -> str:
    return f"shape {value.shape}" if isinstance(value, np.ndarray) else checks.shown(value)
