"""The checks catch every wrong LSTM of ``tests/mutants``, and let the right one through."""

import json

import numpy as np
import pytest
from lstm_book import errata

import lstm
from lstm import equations as eq
from tests.mutants import killing, page
from tests.mutants.catalogue import ARTICLES, MUTANTS

AGAIN = "run `python -m tests.mutants` and look at what it changed"
STORED = json.loads(page.RESULTS.read_text())
ROWS = {(row["subject"], row["wrong"]): row for row in STORED["mutants"]}


@pytest.mark.parametrize("subject", killing.SUBJECTS)
def test_right_code_passes_every_check(subject):
    results = killing.outcomes(subject, getattr(lstm, subject))
    assert results
    assert {name: error for name, error in results.items() if error} == {}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.subject}: {m.wrong}")
def test_mutant_is_caught(mutant):
    killed_by = killing.killers(mutant)
    assert killed_by, f"no check catches {mutant}"
    row = killing.record(mutant, killed_by)
    assert row == ROWS.get((mutant.subject, mutant.wrong)), AGAIN


def test_table_and_page_are_those_of_these_mutants():
    assert list(ROWS) == [(mutant.subject, mutant.wrong) for mutant in MUTANTS], AGAIN
    checks = {subject: list(killing.checks_for(subject)) for subject in killing.SUBJECTS}
    assert STORED["checks"] == checks, AGAIN
    assert page.PAGE.read_text() == page.render(STORED), AGAIN


def test_there_are_many_and_each_is_another():
    assert len(MUTANTS) >= 60
    assert len({(m.subject, m.file, m.old, m.new, m.nth) for m in MUTANTS}) == len(MUTANTS)
    assert len(ROWS) == len(MUTANTS)


def test_a_mutant_differs_in_one_line():
    for mutant in MUTANTS:
        right = (killing.PACKAGE / mutant.file).read_text().splitlines()
        wrong = killing.patched(mutant).splitlines()
        assert len(right) == len(wrong), mutant
        assert sum(a != b for a, b in zip(right, wrong, strict=True)) == 1, mutant


def test_every_check_catches_something():
    """A check that no mutant needs is missing its mutant, or is no check."""
    for subject in ("LSTMCell", "LSTM", "PeepholeLSTM"):
        caught = {
            name for row in ROWS.values() if row["subject"] == subject for name in row["killed_by"]
        }
        assert caught == set(killing.checks_for(subject))


SHARED = {"lstm/layer.py", "lstm/variants/stepwise.py"}


@pytest.mark.parametrize("subject", killing.SUBJECTS[2:])
def test_a_check_that_a_relative_does_not_need_guards_shared_code(subject):
    """The page says so of the checks that it does not list."""
    needed = {
        name for row in ROWS.values() if row["subject"] == subject for name in row["killed_by"]
    }
    guards = {
        name
        for row in ROWS.values()
        if row["subject"] == "PeepholeLSTM" and row["file"] in SHARED
        for name in row["killed_by"]
    }
    assert set(killing.checks_for(subject)) - needed <= guards


def test_the_package_is_as_before():
    """Loading a mutant leaves no trace in the modules that are imported."""
    before = lstm.LSTMCell
    wrong = killing.load(MUTANTS[0])
    assert wrong is not before
    import lstm as again

    assert again.LSTMCell is before


def wrong_step(wrong: str):
    """Return x, h, c, the weights by gate as ``errata`` has them, and a mutant's new states."""
    (mutant,) = [m for m in ARTICLES if m.wrong.startswith(wrong)]
    cell = killing.load(mutant)(3, 4, dtype=np.float64, rng=0)
    x, h, c = np.split(np.random.default_rng(1).standard_normal((2, 11)), [3, 7], axis=1)
    blocks = (np.split(parameter.data, 4) for parameter in cell.parameters())
    weights = {gate: (W, U, b + b2) for gate, W, U, b, b2 in zip("ifgo", *blocks, strict=True)}
    return x, h, c, weights, cell(x, (h, c))


def test_the_articles_lines_compute_their_formulas():
    """Where a mutant writes a formula out instead of calling it."""
    x, h, c, weights, (h_t, c_t) = wrong_step("000: o_t")
    o_t = errata.output_gate_000(x, h, *weights["o"])
    assert np.allclose(h_t, eq.hidden_state(o_t, c_t), rtol=0, atol=1e-14)

    x, h, c, weights, states = wrong_step("003: the LSTM is an Elman network")
    assert np.allclose(states, errata.step_003(x, h, c, weights), rtol=0, atol=1e-14)

    x, h, c, weights, (_, c_t) = wrong_step("001: the forget gate is")
    f_t = errata.gate_001(x, h, *weights["f"])
    i_t, g_t = eq.input_gate(x, h, *weights["i"]), eq.candidate(x, h, *weights["g"])
    assert np.allclose(c_t, eq.cell_state(f_t, c, i_t, g_t), rtol=0, atol=1e-14)

    x, h, c, weights, (_, c_t) = wrong_step("004: relu for the candidate")
    f_t, i_t = eq.forget_gate(x, h, *weights["f"]), eq.input_gate(x, h, *weights["i"])
    g_t = errata.candidate_relu_004(x, h, *weights["g"])
    assert np.allclose(c_t, eq.cell_state(f_t, c, i_t, g_t), rtol=0, atol=1e-14)


# Wrong formulas of the articles that are no LSTM, or that another mutant computes.
NOT_A_MUTANT = {
    "output_gate_000": "its own line: a gate times h_prev",
    "step_000": "hidden_state_000 with output_gate_000",
    "forgotten_001": "a wrong word for a right product",
    "gate_001": "its own line: no sigmoid",
    "step_003": "its own line: the candidate as the hidden state",
    "candidate_relu_004": "its own line: relu for tanh",
    "step_relu_004": "candidate_relu_004 with hidden_state_relu_004",
    "reshape_004": "about the data",
}


def test_every_formula_of_the_articles_is_among_them():
    used = " ".join(mutant.new for mutant in ARTICLES)
    formulas = {function.__name__ for function in errata.CORRECTIONS}
    missing = {name for name in formulas - NOT_A_MUTANT.keys() if f"errata.{name}(" not in used}
    assert not missing
    assert NOT_A_MUTANT.keys() <= formulas
