"""A person's backward pass: right ones pass in silence, each mistake of the catalogue is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lstm
from lstm.diagnose.catalogue import ROLES, backward, forward, mistakes
from tests.lstm.diagnose.written import H, Written

CATALOGUE = mistakes(square=False)
WRITTEN = Written()  # rows, one matrix, i, f, g, o: as in PyTorch, transposed


def parts(w):
    """Return W, U and b, (4, H, ·) and (4, H)."""
    W, U = (w[name].T.reshape(4, H, -1) for name in "WU")
    return W, U, w["b0"].reshape(4, H)


def named(found):
    """Return gradients as a person would, by the names of the weights."""
    W, U = (found[name].reshape(4 * H, -1).T for name in "WU")
    return {"dW": W, "dU": U, "db0": found["b"].ravel(), "dx": found["x"]}


def of_step(w, wrong=()):
    def gradients(x, h, c, d_h, d_c):
        found = backward(forward(x[None], h, c, *parts(w)), d_h[None], d_c, wrong)
        return named(found) | {"dx": found["x"][0], "dh_prev": found["h"], "dc_prev": found["c"]}

    return gradients


def of_sequence(w, wrong=()):
    def gradients(x, d_h):
        zero = np.zeros((x.shape[1], H))
        return named(backward(forward(x, zero, zero, *parts(w)), d_h, zero, wrong))

    return gradients


def test_reference_is_that_of_pytorch():
    w, rng = WRITTEN.weights(), np.random.default_rng(1)
    x, d_h = rng.normal(size=(4, 2, 3)), rng.normal(size=(4, 2, H))
    theirs = torch.nn.LSTM(3, H, dtype=torch.float64)
    W, U, b = parts(w)
    state = theirs.state_dict()
    for name, value in zip(state, (W, U, b, 0 * b), strict=True):
        state[name].copy_(torch.tensor(value.reshape(state[name].shape)))
    (theirs(torch.tensor(x))[0] * torch.tensor(d_h)).sum().backward()
    ours = of_sequence(w)(x, d_h)
    for name, wanted in zip(("dW", "dU", "db0"), theirs.parameters(), strict=False):
        assert np.allclose(ours[name].T, wanted.grad.numpy(), atol=1e-12)


def test_right_ones_pass_in_silence():
    w = WRITTEN.weights()
    for answer in (
        lstm.diagnose(WRITTEN.step(w), w, of_step(w)),
        lstm.diagnose_sequence(WRITTEN.run(w), w, of_sequence(w)),
    ):
        assert answer.findings == []
        assert answer.is_lstm
        assert answer.backward_of_own_forward
        assert answer.backward_of_lstm


@pytest.mark.slow
@given(st.sampled_from(CATALOGUE))
@settings(max_examples=24, deadline=None)
def test_mistakes_are_named(wrong):
    w = WRITTEN.weights()
    answer = lstm.diagnose_sequence(WRITTEN.run(w), w, of_sequence(w, (wrong,)))
    if wrong.name == "the given dc is not used":  # nothing gives one to a sequence
        answer = lstm.diagnose(WRITTEN.step(w), w, of_step(w, (wrong,)))
    assert answer.is_lstm
    assert not answer.backward_of_own_forward
    assert not answer.backward_of_lstm
    (finding,) = (f for f in answer.findings if f.kind == "mistake")
    assert wrong.name in f"{finding.name} {finding.detail}", str(answer)


def test_what_explains_one_step_may_not_explain_three():
    """With c_0 = 0 a line for the forget gate says less in the first step than in the others."""
    wrong = next(w for w in CATALOGUE if w.name == "copied line: d_a of i for W, U, b (f)")
    w = WRITTEN.weights()
    answer = lstm.diagnose_sequence(WRITTEN.run(w), w, of_sequence(w, (wrong,)))
    assert answer.mistakes == [wrong.name]


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 8))]
)
def test_two_mistakes(seed):
    rng = np.random.default_rng(seed)
    while True:
        pair = tuple(CATALOGUE[k] for k in rng.choice(len(CATALOGUE), 2, replace=False))
        if not pair[0].lines.keys() & pair[1].lines.keys():
            break
    w = WRITTEN.weights()
    answer = lstm.diagnose_sequence(WRITTEN.run(w), w, of_sequence(w, pair))
    assert answer.backward_of_own_forward is False
    assert 1 <= len(answer.mistakes) <= 3
    assert "gradients that nothing explains" not in answer.mistakes, str(answer)


def test_what_is_not_in_the_catalogue_is_unknown():
    w = WRITTEN.weights()

    def gradients(*given):
        found = of_step(w)(*given)
        return found | {"dU": found["dU"] * np.linspace(1, 2, H)[:, None]}

    answer = lstm.diagnose(WRITTEN.step(w), w, gradients)
    (finding,) = answer.findings
    assert finding.name == "gradients that nothing explains"
    assert finding.detail == ", ".join(f"U ({role})" for role in ROLES)


def test_one_array_alone_is_multiplied():
    w = WRITTEN.weights()

    def gradients(*given):
        found = of_step(w)(*given)
        return found | {"dU": -found["dU"]}

    (finding,) = lstm.diagnose(WRITTEN.step(w), w, gradients).findings
    assert finding.name == "only these gradients are multiplied by -1"
    assert finding.detail == ", ".join(f"U ({role})" for role in ROLES)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda name, d, w: d / 3, "multiplied by 0.3333"),
        (lambda name, d, w: np.clip(d, -0.5, 0.5), "clipped"),
        (lambda name, d, w: d + 0.01 * w[name], "weight decay"),
    ],
)
def test_what_does_no_harm_is_no_mistake(change, says):
    w = WRITTEN.weights()

    def gradients(*given):
        found = of_step(w)(*given)
        return {name: change(name, found["d" + name], w) for name in w}

    answer = lstm.diagnose(WRITTEN.step(w), w, gradients)
    assert answer.mistakes == []
    assert answer.backward_of_own_forward
    assert says in answer.findings[0].name


def test_own_forward_and_lstm_are_two_questions():
    """Its backward pass is that of the LSTM that it meant, or that of what it computes."""
    meant = replace(WRITTEN, output=lambda o, c, old, g, h: o * c)
    w = WRITTEN.weights()
    answer = lstm.diagnose(meant.step(w), w, of_step(w))
    assert answer.mistakes == ["no tanh on the way out"]
    assert answer.backward_of_own_forward is False
    assert answer.backward_of_lstm is True
