"""The mutants of the cell, which the probes must catch, are what a diagnosis must name."""

from __future__ import annotations

import numpy as np
import pytest

import lstm
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import package_with

OF_THE_CELL = [mutant for mutant in MUTANTS if mutant.probes == ("cell",)]
# Weights are free: under other weights these are LSTMs, and only the names give them away.
CONVENTIONS = {
    "bias ignored",
    "cell state: minus the candidate",
    "input and forget gate exchanged",
    "blocks in the order i, f, o, g",
    "second bias ignored",
}
# A step is differentiated once.
NOT_SEEN = {"gradients of one call only"}
# The code itself raises.
RAISES = {"U for its transpose", "d_b: sum over the wrong axis"}


def said(mutant) -> lstm.Diagnosis:
    """Diagnose the package's own cell with a mistake in it."""
    with package_with(mutant.file, mutant.tree()) as package:
        cell = package.LSTMCell(3, 4, dtype=np.float64, rng=0)

        def gradients(x, h, c, d_h, d_c):
            cell.zero_grad()
            d_x, (d_h_prev, d_c_prev) = cell.vjp(x, (h, c))[1](d_h, d_c)
            found = {name: parameter.grad for name, parameter in cell.named_parameters()}
            return found | {"x": d_x, "h": d_h_prev, "c": d_c_prev}

        weights = {name: parameter.data for name, parameter in cell.named_parameters()}
        return lstm.diagnose(lambda x, h, c: cell(x, (h, c)), weights, gradients)


@pytest.mark.slow
@pytest.mark.parametrize("mutant", OF_THE_CELL, ids=lambda mutant: mutant.name)
def test_mutants_of_the_cell(mutant):
    if mutant.name in RAISES:
        assert "could not be called" in str(said(mutant))
        return
    answer = said(mutant)
    if mutant.name in NOT_SEEN:
        assert answer.backward_of_lstm
    elif mutant.name in CONVENTIONS:
        assert answer.is_lstm, str(answer)
    else:
        assert not (answer.is_lstm and answer.backward_of_lstm)
        assert answer.findings or answer.verdict.startswith("unknown"), str(answer)
