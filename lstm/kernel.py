"""One direction of one LSTM layer over time, forward and backward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

State = tuple[np.ndarray, np.ndarray]


class Tape(NamedTuple):
    """What the backward pass needs of a forward pass; nothing in it belongs to the caller."""

    weights: dict[str, np.ndarray]
    x: np.ndarray
    steps: list[tuple]


def forward(
    weights: Mapping[str, np.ndarray],
    x: np.ndarray,
    state: State,
    batch_sizes: Sequence[int],
    reverse: bool,
    keep: bool,
) -> tuple[np.ndarray, State, Tape | None]:
    """Run over time; see :meth:`lstm.layer.RecurrentLayer._scan`."""
    W, U = weights["weight_ih"], weights["weight_hh"]
    b = weights["bias_ih"] + weights["bias_hh"] if "bias_ih" in weights else 0
    W_hr = weights.get("weight_hr")
    H = len(U) // 4
    h, c = (array.copy() for array in state)
    output = np.zeros((*x.shape[:2], h.shape[1]), x.dtype)
    tape = []
    order = range(len(x))
    for t in reversed(order) if reverse else order:
        n = batch_sizes[t]
        h_prev, c_prev = h[:n].copy(), c[:n].copy()
        a_t = x[t, :n] @ W.T + h_prev @ U.T + b
        i_t, f_t, o_t = (0.5 * np.tanh(0.5 * a_t[:, k * H : (k + 1) * H]) + 0.5 for k in (0, 1, 3))
        g_t = np.tanh(a_t[:, 2 * H : 3 * H])
        c[:n] = f_t * c_prev + i_t * g_t
        tanh_c = np.tanh(c[:n])
        m_t = o_t * tanh_c
        h[:n] = m_t if W_hr is None else m_t @ W_hr.T
        output[t, :n] = h[:n]
        if keep:
            tape.append((t, n, h_prev, c_prev, i_t, f_t, g_t, o_t, tanh_c))
    kept = {name: value.copy() for name, value in weights.items()} if keep else {}
    return output, (h, c), Tape(kept, x.copy(), tape) if keep else None


def backward(
    tape: Tape, d_output: np.ndarray | None, d_state: State
) -> tuple[np.ndarray, State, dict[str, np.ndarray]]:
    """Run back over time; see :meth:`lstm.layer.RecurrentLayer._scan_backward`."""
    W, U, W_hr = tape.weights["weight_ih"], tape.weights["weight_hh"], tape.weights.get("weight_hr")
    d_h, d_c = (array.copy() for array in d_state)
    d_x = np.zeros_like(tape.x)
    gradients = {name: np.zeros_like(value) for name, value in tape.weights.items()}
    for t, n, h_prev, c_prev, i_t, f_t, g_t, o_t, tanh_c in reversed(tape.steps):
        d_h_t = d_h[:n] if d_output is None else d_h[:n] + d_output[t, :n]
        d_m_t = d_h_t
        if W_hr is not None:
            gradients["weight_hr"] += d_h_t.T @ (o_t * tanh_c)
            d_m_t = d_h_t @ W_hr
        d_c_t = d_c[:n] + d_m_t * o_t * (1 - tanh_c**2)
        d_a_t = np.concatenate(
            [
                d_c_t * g_t * i_t * (1 - i_t),
                d_c_t * c_prev * f_t * (1 - f_t),
                d_c_t * i_t * (1 - g_t**2),
                d_m_t * tanh_c * o_t * (1 - o_t),
            ],
            axis=1,
        )
        d_c[:n] = d_c_t * f_t
        d_h[:n] = d_a_t @ U
        d_x[t, :n] = d_a_t @ W
        gradients["weight_ih"] += d_a_t.T @ tape.x[t, :n]
        gradients["weight_hh"] += d_a_t.T @ h_prev
        if "bias_ih" in gradients:
            d_b = d_a_t.sum(axis=0)
            gradients["bias_ih"] += d_b
            gradients["bias_hh"] += d_b
    return d_x, (d_h, d_c), gradients
