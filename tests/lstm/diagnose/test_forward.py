"""Every convention with every form of each place: what is right is called so, the rest is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lstm
from lstm.diagnose.catalogue import CANDIDATE, CELL, GATE, GATES, OUTPUT
from tests.lstm.diagnose.written import Written

conventions = st.builds(
    Written,
    order=st.permutations("ifgo").map("".join),
    columns=st.booleans(),
    joined=st.booleans(),
    concatenated=st.booleans(),
    x_first=st.booleans(),
    biases=st.integers(0, 3),
    returns=st.sampled_from(["hc", "ch"]),
    arguments=st.sampled_from(["xhc", "hcx", "xch", "x(hc)"]),
    seed=st.integers(0, 9),
)
FORMS = [
    *(("f", form) for form in GATE),
    *(pytest.param(place, form, marks=pytest.mark.slow) for place in "io" for form in GATE),
    *(("g", form) for form in CANDIDATE),
    *(("c", form) for form in CELL),
    *(("h", form) for form in OUTPUT),
]
generated = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def test_right_in_some_conventions():
    for written in (Written(), Written("gofi", True, False, True, False, 3, "ch", "x(hc)")):
        w = written.weights()
        assert lstm.diagnose(written.step(w), w).is_lstm


def put(written: Written, place: str, form) -> Written:
    """Write a form in a place."""
    if place in "ifgo":
        return replace(written, gate=written.gate | {place: form.compute})
    return replace(written, **{"c": {"cell": form.compute}, "h": {"output": form.compute}}[place])


@pytest.mark.slow
@given(conventions)
@generated
def test_right_in_every_convention(written):
    w = written.weights()
    before = {name: array.copy() for name, array in w.items()}
    answer = lstm.diagnose(written.step(w), w)
    assert answer.is_lstm, str(answer)
    assert answer.mistakes == answer.differences == []
    assert answer.largest_error < 1e-12
    assert all(np.array_equal(w[name], before[name]) for name in w)
    expected, found = written.torch_weights(w), answer.state_dict
    assert np.allclose(found["weight_ih_l0"], expected["weight_ih"])
    assert np.allclose(found["weight_hh_l0"], expected["weight_hh"])
    assert np.allclose(found["bias_ih_l0"] + found["bias_hh_l0"], expected["bias"])
    if written.joined:
        assert answer.gate_order == written.order


@pytest.mark.slow
@given(conventions)
@generated
def test_the_state_dict_goes_back(written):
    w = written.weights()
    answer = lstm.diagnose(written.step(w), w)
    state = {
        name: np.random.default_rng(1).normal(size=a.shape) for name, a in answer.state_dict.items()
    }
    if written.biases == 0:
        with pytest.raises(ValueError, match="no place"):
            answer.own_weights(state)
        state |= {name: 0 * a for name, a in state.items() if "bias" in name}
    for name, array in answer.own_weights(state).items():
        w[name][...] = array
    expected = written.torch_weights(w)
    assert np.allclose(expected["weight_ih"], state["weight_ih_l0"])
    assert np.allclose(expected["weight_hh"], state["weight_hh_l0"])
    assert np.allclose(expected["bias"], state["bias_ih_l0"] + state["bias_hh_l0"])


@pytest.mark.slow
@given(conventions)
@generated
def test_right_sequences_in_every_convention(written):
    written = replace(written, columns=False)
    w = written.weights()
    answer = lstm.diagnose_sequence(written.run(w), w)
    assert answer.is_lstm, str(answer)
    assert answer.largest_error < 1e-12
    found = answer.state_dict
    assert np.allclose(found["weight_hh_l0"], written.torch_weights(w)["weight_hh"])


@pytest.mark.parametrize(("place", "form"), FORMS, ids=lambda v: getattr(v, "name", v))
def test_every_form(place, form):
    written = put(Written(order="fiog"), place, form)
    w = written.weights()
    answer = lstm.diagnose(written.step(w), w)
    names = [finding.name for finding in answer.findings] + answer.ties
    wanted = form.name.format(GATES.get(place, ""))
    if form.kind == "right":
        assert answer.findings == []
    else:
        assert any(wanted in name for name in names), f"{wanted}: {answer}"
    assert answer.is_lstm == (form.kind in ("right", "convention"))
    if answer.is_lstm:
        assert answer.largest_error < 1e-12


def test_coupled_gates_by_the_forget_gate():
    written = Written(cell=lambda i, f, g, c, h: f * c + (1 - f) * g)
    w = written.weights()
    answer = lstm.diagnose(written.step(w), w)
    assert answer.differences == ["coupled gates: f = 1 − i"]
    assert answer.largest_error < 1e-12


def test_what_is_clipped_far_from_zero_is_no_lstm():
    written = Written(order="fgio", cell=lambda i, f, g, c, h: np.clip(f * c + i * g, -1, 1))
    w = written.weights()
    assert not lstm.diagnose_sequence(written.run(w), w).is_lstm


def test_whatever_the_code_raises_there_is_an_answer():
    def step(x, h, c):
        raise RuntimeError("out of order")

    answer = lstm.diagnose(step, {"W": np.ones((4, 16))})
    assert "out of order" in answer.verdict
    assert len(answer.adapter) == 3
    assert lstm.diagnose(3).verdict.startswith("unknown")
