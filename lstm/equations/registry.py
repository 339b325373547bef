"""What ties a label of the book to the function that computes it."""

from __future__ import annotations

from collections.abc import Callable

EQUATIONS: dict[str, Callable] = {}
"""Label of an equation → the function that computes it."""


def equation(label: str) -> Callable[[Callable], Callable]:
    """Register a function as the one that computes the equation ``label``."""

    def register(function: Callable) -> Callable:
        if label in EQUATIONS:
            raise ValueError(f"label {label!r} already belongs to {EQUATIONS[label].__name__}")
        EQUATIONS[label] = function
        return function

    return register
