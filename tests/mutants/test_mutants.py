"""The probes catch every mistake of the catalogue, and let right code through."""

import ast

import numpy as np
import pytest

import lstm
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import package_with, parse
from tests.mutants.probes import PROBES

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _numpy(monkeypatch):
    """Do without compiled code, which no rule changes."""
    monkeypatch.setenv("LSTM_ENGINE", "numpy")


SLIPS = (NameError, AttributeError, TypeError, ImportError)
"""A probe that ends with one of these met a slip of the pen, not a wrong LSTM."""


def killer(mutant, tree):
    """Return the name of the probe that finds a tree wrong, None if all find it right."""
    with package_with(mutant.file, tree), np.errstate(all="ignore"):
        for name in mutant.probes:
            try:
                PROBES[name]()
            except SLIPS:
                raise
            except Exception:
                return name
    return None


@pytest.mark.parametrize("name", PROBES)
def test_right_code_passes(name):
    PROBES[name]()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.file}: {mutant.name}")
@pytest.mark.filterwarnings("ignore")  # a warning alone does not give a mistake away
def test_mistake_is_caught(mutant):
    assert killer(mutant, mutant.tree())


def test_each_mistake_changes_the_code_and_is_another():
    right = {ast.unparse(parse(mutant.file)) for mutant in MUTANTS}
    wrong = {ast.unparse(mutant.tree()) for mutant in MUTANTS}
    assert len(wrong) == len(MUTANTS) == len({(m.file, m.name) for m in MUTANTS}) >= 60
    assert not right & wrong


def test_the_package_is_as_before():
    before = lstm.LSTMCell
    with package_with(MUTANTS[0].file, MUTANTS[0].tree()) as package:
        assert package.LSTMCell is not before
    import lstm as again

    assert again.LSTMCell is before
