"""Arguments that are checked by what a signature says: one decorator for formulas and instruments.

Layers, losses and optimisers check their arguments one by one, where they use them. A formula has
no room for that, and need not: what it takes stands in its signature.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from lstm import checks

Function = TypeVar("Function", bound=Callable)
Check = Callable[[str, Any], Any]

FAULTS = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
"""What NumPy and Python raise where arguments do not fit together."""


def operand(name: str, value: Any) -> np.ndarray | int | float | complex:
    """Return what a formula can compute with: integers and booleans as integers with a sign.

    Those without one wrap around below 0, and booleans cannot be subtracted.
    """
    if type(value) in (int, float, complex):
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


CHECKS: dict[str, Check] = {
    "": operand,
    "int": functools.partial(checks.positive_int, minimum=0),
    "float": checks.number,
    "bool": checks.boolean,
    "str": checks.text,
    "Path": checks.path,
    "np.ndarray": checks.numbers,
    "ArrayLike": checks.numbers,
    "Sequence[float]": checks.numbers,
    "np.random.Generator": checks.generator,
    "Sequence[str]": checks.texts,
    "Iterable[str]": checks.texts,
    "list[str]": checks.texts,
    "Callable": checks.function,
    "Mapping": of_class(Mapping),
    "dict": of_class(dict),
}
"""What is checked, by annotation; an argument without one is a number or an array."""


def checked(function: Function) -> Function:
    """Check each argument by its annotation before a function runs.

    Raises
    ------
    ValueError
        By the function, if an argument is not what its annotation says, or if they do not fit
        together: the message names them, and says what each was.
    """
    signature = inspect.signature(function)
    is_formula = all(p.annotation is p.empty for p in signature.parameters.values())

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        if kwargs or not (is_formula and _all_floats(args)):
            bound = signature.bind(*args, **kwargs)
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
    for value in args:  # noqa: SIM110  a generator would take twice the time
        if type(value) is not np.ndarray or value.dtype.char not in "fdD":
            return False
    return True


def _looked_at(function: Callable, parameter: inspect.Parameter, value: Any) -> Any:
    is_one = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    if not is_one or parameter.name == "self" or value is parameter.default:
        return value
    written = "" if parameter.annotation is parameter.empty else parameter.annotation
    kind, *others = written.split(" | ")
    if value is None and "None" in others:
        return value
    named = function.__globals__.get(kind)
    found = CHECKS.get(kind) or CHECKS.get(kind.partition("[")[0])
    if found is None and isinstance(named, type):
        found = of_class(named)
    return value if found is None else found(parameter.name, value)


def _short(value: Any) -> str:
    return f"shape {value.shape}" if isinstance(value, np.ndarray) else checks.shown(value)
