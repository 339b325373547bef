"""How often a person's code is called: what is slow is theirs, and one token a call at that."""

from __future__ import annotations

import numpy as np
import pytest

import lstm


def tokens(calls, V, H):
    """Return weights, and a loss with gradients for one sequence of tokens, as in min-char-rnn."""
    layer, head = lstm.LSTM(V, H, dtype=float, rng=0), lstm.Linear(H, V, False, dtype=float, rng=1)
    parameters = {"Wy": head.weight, **dict(layer.named_parameters())}

    def run(numbers):
        calls.append(len(numbers))
        (output, (h, _)), back = layer.vjp(np.eye(V)[list(numbers), None])
        scores, back_of_head = head.vjp(output[:, 0])
        loss, d_scores = lstm.cross_entropy(scores, (5 * np.arange(len(numbers)) + 1) % V)
        for parameter in parameters.values():
            parameter.grad[...] = 0
        back(back_of_head(d_scores)[:, None])
        return loss, {name: parameter.grad.copy() for name, parameter in parameters.items()}, h[0].T

    return {name: parameter.data for name, parameter in parameters.items()}, run


@pytest.mark.parametrize(("V", "H"), [(12, 8), pytest.param(13, 7, marks=pytest.mark.slow)])
def test_code_that_takes_one_token_a_call_is_seldom_called(V, H):
    calls: list[int] = []
    w, run = tokens(calls, V, H)
    answer = lstm.diagnose_sequence(lambda x: run(x)[2], w, loss=run)
    assert answer.state_dict["weight_ih_l0"].shape == (4 * H, V)
    assert answer.backward_of_lstm
    assert len(calls) < 3100
    assert sum(calls) < 10_200
