"""The probes catch every mistake of the catalogue, and let right code through, however written."""

import ast

import numpy as np
import pytest

import lstm
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import changed, find, package_with, parse, rename_locals
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


def test_the_same_mistakes_are_made_under_other_local_names():
    for mutant in MUTANTS:
        wrong = mutant.tree()
        rename_locals(find(wrong, mutant.function))
        assert ast.unparse(mutant.tree(rename=True)) == ast.unparse(wrong), mutant


@pytest.mark.parametrize("place", sorted({(m.file, m.function) for m in MUTANTS}))
def test_other_local_names_are_no_mistake(place):
    file, function = place
    tree = parse(file)
    rename_locals(find(tree, function))
    assert killer(next(m for m in MUTANTS if (m.file, m.function) == place), tree) is None


def test_renaming_renames():
    rename_locals(function := find(parse("cell.py"), "step_backward"))
    assert "d_c_t_by_another_name = eq.d_cell_state(d_c, d_h, o_t_by" in ast.unparse(function)


def test_each_mistake_changes_the_code_and_is_another():
    right = {ast.unparse(parse(mutant.file)) for mutant in MUTANTS}
    wrong = {ast.unparse(mutant.tree()) for mutant in MUTANTS}
    assert len(wrong) == len(MUTANTS) == len({(m.file, m.name) for m in MUTANTS}) >= 60
    assert not right & wrong


@pytest.mark.parametrize(
    ("code", "rule", "at", "wrong"),
    [
        ("f * c + i * g", "a * b -> b", 1, "f * c + g"),
        ("1 - y * y", "a * a -> a", 0, "1 - y"),
        ("g(h[t]) + h[t]", "a[b] -> a[b - 1]", 0, "g(h[t - 1]) + h[t]"),
        ("i, f = z", "a, b = c -> b, a = c", 0, "f, i = z"),
        ("if go:\n    x.grad += d", "a += b -> a = b", 0, "if go:\n    x.grad = d"),
    ],
)
def test_rules(code, rule, at, wrong):
    tree = ast.parse(code)
    assert ast.unparse(changed(tree, tree, rule, at)) == wrong


def test_a_place_that_is_not_there():
    tree = ast.parse("x * x + x * y")
    with pytest.raises(LookupError, match=r"'a \* a -> a' has 1 matches, 1 is not among them"):
        changed(tree, tree, "a * a -> a", 1)


def test_the_package_is_as_before():
    before = lstm.LSTMCell
    with package_with(MUTANTS[0].file, MUTANTS[0].tree()) as package:
        assert package.LSTMCell is not before
    import lstm as again

    assert again.LSTMCell is before
