"""Sizes and single precision: many units, one unit, equal sizes; the package's own classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lstm
from tests.lstm.diagnose.written import Written

MANY = pytest.param(65, 128, marks=pytest.mark.slow)
SIZES = [(3, 1), (1, 1), (1, 3), (2, 2), (21, 40), MANY]


@pytest.mark.parametrize(("D", "H"), SIZES)
@pytest.mark.parametrize("kind", ["step", "sequence"])
def test_sizes_in_single_precision(D, H, kind):
    layer = torch.nn.LSTMCell(D, H) if kind == "step" else torch.nn.LSTM(D, H)
    answer = (lstm.diagnose if kind == "step" else lstm.diagnose_sequence)(layer)
    assert answer.is_lstm, str(answer)
    assert answer.backward_of_lstm
    assert answer.gate_order == "ifgo"
    assert answer.largest_error < 1e-5
    for name, array in answer.state_dict.items():
        wanted = layer.state_dict()[name if kind == "sequence" else name.removesuffix("_l0")]
        assert np.allclose(array, wanted)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_own_classes_need_no_adapter(dtype):
    for answer in (
        lstm.diagnose(lstm.LSTMCell(3, 4, dtype=dtype)),
        lstm.diagnose_sequence(lstm.LSTM(3, 4, dtype=dtype)),
        lstm.diagnose(lstm.LSTM(3, 4, dtype=dtype)),
    ):
        assert answer.is_lstm
        assert answer.backward_of_own_forward
        assert answer.backward_of_lstm


def test_an_input_that_could_be_spread_is_none():
    """``einsum`` takes one number for all inputs, too."""
    rng = np.random.default_rng(0)
    w = {"W": rng.normal(size=(4, 3, 5)), "U": rng.normal(size=(4, 5, 5)), "b": np.zeros((4, 1, 5))}

    def step(x, h, c):
        i, f, g, o = np.einsum("sd,kdh->ksh", x, w["W"]) + h @ w["U"] + w["b"]
        s = lstm.equations.sigmoid
        c = s(f) * c + s(i) * np.tanh(g)
        return s(o) * np.tanh(c), c

    assert lstm.diagnose(step, w).state_dict["weight_ih_l0"].shape == (20, 3)


def test_what_was_not_compared_is_said():
    rng = np.random.default_rng(0)
    w = {"W": rng.normal(size=(3, 16)), "U": rng.normal(size=(4, 16))}

    def step(x, h, c):
        i, f, g, o = np.split(x @ w["W"] + h @ w["U"], 4, axis=1)
        s = lstm.equations.sigmoid
        c = s(f) * c + s(i) * np.tanh(g)
        return s(o) * np.tanh(c), c

    answer = lstm.diagnose(step, w, lambda x, h, c, d_h, d_c: {"dW": np.zeros((3, 16))})
    assert "no gradient came for U" in str(answer)
    alone = lstm.diagnose(lambda x, h, c: step(x, h, c)[0], w)
    assert "does not come out" in str(alone)


def test_states_that_are_handed_through_are_none():
    """Four units in columns look like one, if what a cache holds is taken for what comes out."""
    written = Written(columns=True, joined=False, concatenated=True)
    w = written.weights()
    answer = lstm.diagnose(lambda x, h, c: (*written.step(w)(x, h, c), (h, c)), w)
    assert answer.is_lstm, str(answer)
    assert answer.state_dict["weight_ih_l0"].shape == (16, 3)
