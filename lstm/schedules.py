"""Which share of the learning rate to use when a share of all steps is done."""

from __future__ import annotations

import numpy as np

from lstm import checks


def constant(done: float) -> float:
    """Return 1: the same rate all the time."""
    checks.number("done", done, "[0, 1]")
    return 1.0


def linear(done: float) -> float:
    """Fall from 1 in a straight line to 0."""
    return 1.0 - checks.number("done", done, "[0, 1]")


def cosine(done: float) -> float:
    """Fall from 1 to 0 along half a cosine: slowly, fast, slowly (Loshchilov and Hutter, 2017)."""
    return float(0.5 + 0.5 * np.cos(np.pi * checks.number("done", done, "[0, 1]")))


SCHEDULES = {"constant": constant, "linear": linear, "cosine": cosine}
