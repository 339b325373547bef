"""How often a person's code is called: what is slow is theirs, and one token a call at that."""

from __future__ import annotations

import numpy as np
import pytest

import lstm
from tests.lstm.diagnose.written import sigmoid


def tokens(calls, V, H):
    """Return weights, and a loss with gradients for one sequence of tokens, as in min-char-rnn."""
    rng = np.random.default_rng(0)
    w = {"W" + k: rng.normal(size=(H, H + V)) for k in "figo"}
    w |= {"b" + k: rng.normal(size=(H, 1)) for k in "figo"}
    w |= {"Wy": rng.normal(size=(V, H))}

    def run(numbers):
        h, c, kept, loss = np.zeros((H, 1)), np.zeros((H, 1)), [], 0
        calls.append(len(numbers))
        for t, number in enumerate(numbers):
            z = np.vstack([h, np.eye(V)[:, [number]]])
            f, i, o = (sigmoid(w["W" + k] @ z + w["b" + k]) for k in "fio")
            g, old = np.tanh(w["Wg"] @ z + w["bg"]), c
            c = f * c + i * g
            h = o * np.tanh(c)
            y = np.exp(w["Wy"] @ h)
            y /= y.sum()
            loss -= np.log(y[(t * 5 + 1) % V, 0])
            kept.append((z, f, i, g, o, old, c, h, y))
        d, dh, dc = {k: 0 * a for k, a in w.items()}, 0 * h, 0 * c
        for t in reversed(range(len(numbers))):
            z, f, i, g, o, old, new, out, y = kept[t]
            y[(t * 5 + 1) % V] -= 1
            d["Wy"] += y @ out.T
            dh = dh + w["Wy"].T @ y
            dc = dc + dh * o * (1 - np.tanh(new) ** 2)
            da = {"f": dc * old * f * (1 - f), "i": dc * g * i * (1 - i),
                  "g": dc * i * (1 - g**2), "o": dh * np.tanh(new) * o * (1 - o)}  # fmt: skip
            for k, value in da.items():
                d["W" + k] += value @ z.T
                d["b" + k] += value
            dh, dc = sum(w["W" + k].T @ v for k, v in da.items())[:H], dc * f
        return loss, d, h

    return w, run


@pytest.mark.parametrize(("V", "H"), [(12, 8), pytest.param(13, 7, marks=pytest.mark.slow)])
def test_code_that_takes_one_token_a_call_is_seldom_called(V, H):
    calls: list[int] = []
    w, run = tokens(calls, V, H)
    answer = lstm.diagnose_sequence(lambda x: run(x)[2], w, loss=run)
    assert answer.state_dict["weight_ih_l0"].shape == (4 * H, V)
    assert answer.backward_of_lstm
    assert len(calls) < 4500
    assert sum(calls) < 12_500
