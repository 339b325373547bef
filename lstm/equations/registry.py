"""What ties a label of the book to the function that computes it."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import NamedTuple

from lstm.signatures import checked

EQUATIONS: dict[str, Callable] = {}
"""Label of an equation → the function that computes it."""


class Reading(NamedTuple):
    """How the symbols of a formula and the arguments of its function meet, where names do not."""

    #: What is handed to the function, by name, as LaTeX in symbols of the formula.
    arguments: dict[str, str]
    #: Formulas, or labels of formulas, that say what other symbols stand for.
    where: tuple[str, ...]


READINGS: dict[str, Reading] = {}
"""Label of an equation → how its formula is read; a test computes it and compares."""


def equation(label: str, *where: str, **arguments: str) -> Callable[[Callable], Callable]:
    r"""Register a function as the one that computes the equation ``label``.

    ``c_prev``, ``f_t`` and ``d_a_next`` are :math:`c_{t-1}`, :math:`f_t` and
    :math:`\bar{a}_{t+1}` without being told; what else an argument is, and what a symbol stands
    for that the formula does not define, stands here: see :class:`Reading`.
    """

    def register(function: Callable) -> Callable:
        if label in EQUATIONS:
            raise ValueError(f"label {label!r} already belongs to {EQUATIONS[label].__name__}")
        # A formula says nothing of types: what it takes is checked for it.
        is_formula = isinstance(function, FunctionType) and not function.__annotations__
        EQUATIONS[label] = checked(function) if is_formula else function
        READINGS[label] = Reading(arguments, where)
        return EQUATIONS[label]

    return register
