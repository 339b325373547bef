"""One wrong line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One wrong line."""

    subject: str
    """Class of the package that it makes wrong."""
    part: str
    """Which part of the computation."""
    file: str
    """Where the line is, in the folder ``lstm``."""
    wrong: str
    """What is wrong, in a phrase; no two are the same for a subject."""
    old: str
    new: str
    nth: int | None = None


def lines(subject: str, part: str, file: str, *entries: tuple) -> list[Mutant]:
    """Return the mutants of one file: each entry is (what is wrong, old line, new line[, nth])."""
    return [Mutant(subject, part, file, *entry) for entry in entries]
