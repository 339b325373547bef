"""The evidence for the worked example of article 004, number by number."""

import itertools
import re
from unittest import mock

import numpy as np
import pytest
from lstm_book import errata
from lstm_book.ledger import FINDINGS

from lstm import equations as eq
from tests.lstm_book.evidence import evidence

NAMES = {"sigmoid": eq.sigmoid, "tanh": np.tanh}


@pytest.mark.parametrize("number", errata.WORKED_NUMBERS, ids=lambda n: f"{n.section} {n.quantity}")
def test_worked_numbers(number):
    worth = eval(number.expression, NAMES)  # the expression is the package's own
    assert number.value == pytest.approx(worth, abs=1e-9)
    assert abs(number.printed - worth) > 0.05


def test_worked_numbers_are_the_articles():
    """The expressions and their printed values stand in the ledger's quotations, in LaTeX."""
    quoted = " ".join(f["printed"] for f in FINDINGS if f["article"] == "004").replace(" ", "")
    for number in errata.WORKED_NUMBERS:
        text = number.expression.replace("*", r"\times").replace(" ", "")
        text = re.sub(r"sigmoid\((.*)\)", r"\\sigma([\1])", text).replace("tanh", r"\tanh")
        assert text in quoted
        assert f"{number.printed}" in quoted


@evidence(10.34, 10.2)
def test_no_reading_gives_two_decimals(printed, corrected):
    weights, inputs = np.ravel(errata.WORKED_W["g"]), [0, *errata.WORKED_H, *errata.WORKED_X]
    biases = [0, *errata.WORKED_B["g"], sum(errata.WORKED_B["g"])]
    sums = {
        round(float(weights @ chosen) + bias, 6)
        for chosen in itertools.product(inputs, repeat=4)
        for bias in biases
    }
    assert corrected in sums
    assert printed not in sums
    assert all(round(total, 1) == total for total in sums)


@evidence((2, 2), errata.SHAPE_NEEDED)
def test_worked_matrices_do_not_fit(printed, corrected):
    stacked = np.array([*errata.WORKED_H, *errata.WORKED_X])
    assert {np.shape(matrix) for matrix in errata.WORKED_W.values()} == {printed}
    assert (np.ones(corrected) @ stacked).shape == (2,)
    with pytest.raises(ValueError, match="matmul"):
        np.ones(printed) @ stacked


@evidence(errata.WORKED_H, [0.3, 0.4])
def test_worked_hidden_state_is_impossible(printed, corrected):
    largest = eq.hidden_state(1.0, np.inf)
    assert np.abs(corrected).max() < largest
    assert np.abs(printed).min() > largest


@evidence(errata.worked_article_reading, errata.worked_repair)
def test_worked_sum_ignores_the_second_row(printed, corrected):
    def change(compute):
        before = compute()["f_t"]
        with mock.patch.dict(errata.WORKED_W, f=[[0.1, 0.2], [-0.3, -0.4]]):
            return np.abs(compute()["f_t"] - before).max()

    assert change(corrected) > 0.5
    assert change(printed) == 0
    np.testing.assert_allclose(corrected()["f_t"], [0.890903, 0.985226], atol=5e-7)
    np.testing.assert_allclose(corrected()["i_t"], [0.999833, 0.999980], atol=5e-7)


@evidence(lambda b: np.full(2, sum(b)), np.array)
def test_worked_bias_has_one_entry_per_unit(printed, corrected):
    b, nothing = np.array(errata.WORKED_B["f"]), np.zeros((2, 2))
    added = eq.preactivation(np.zeros((1, 2)), np.zeros((1, 2)), nothing, nothing, b)[0]
    assert np.array_equal(added, corrected(errata.WORKED_B["f"]))
    assert not np.array_equal(added, printed(errata.WORKED_B["f"]))


@evidence("1.9*3 + 2.0*4 + 2.3 + 2.4", "1.9*3 + 2.0*2 + 2.3 + 2.4")
def test_worked_output_gate_follows_another_rule(printed, corrected):
    def rule(gate):
        (u, w), _ = errata.WORKED_W[gate]
        return u * errata.WORKED_H[0] + w * errata.WORKED_X[1] + sum(errata.WORKED_B[gate])

    for gate, total in {"f": 1.8, "i": 6.0, "g": 10.2}.items():
        assert rule(gate) == pytest.approx(total)
    assert eval(corrected) == pytest.approx(rule("o")) == pytest.approx(14.4)
    assert eval(printed) == pytest.approx(18.4)


@evidence({"C_t": None, "y_t": None}, {"C_t": 0.997527, "y_t": 0.760553})
def test_worked_example_has_a_result(printed, corrected):
    result = errata.worked_article_reading(c_prev=0.0)
    assert corrected == {"C_t": round(result["c_t"], 6), "y_t": round(result["h_t"], 6)}
    assert set(printed.values()) == {None}
    assert errata.worked_article_reading(c_prev=1.0)["c_t"] > result["c_t"] + 0.8


@evidence(errata.worked_repair, errata.worked_teaching_version)
def test_teaching_version_is_not_saturated(printed, corrected):
    def spread(values):
        return min(
            min(values[gate].min(), 1 - values[gate].max()) for gate in ("i_t", "g_t", "o_t")
        )

    assert spread(corrected()) > 0.2
    assert spread(printed()) < 0.001
    gates = np.array([corrected()[name] for name in ("f_t", "i_t", "o_t")])
    assert (gates.min().round(2), gates.max().round(2)) == (0.53, 0.74)
    np.testing.assert_allclose(corrected()["g_t"], [0.59, 0.64], atol=0.005)
