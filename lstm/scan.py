"""One direction of one LSTM layer over time (stand-in, plain NumPy, until the engine is merged)."""

from __future__ import annotations

import numpy as np

from lstm.cell import step, step_backward


def forward(weights, x, state, lengths=None, reverse=False, keep=True):
    """Run over time."""
    W, U, W_hr = weights["weight_ih"], weights["weight_hh"], weights.get("weight_hr")
    b = weights["bias_ih"] + weights["bias_hh"] if "bias_ih" in weights else 0
    if keep:
        W, U, W_hr = (None if m is None else m.copy() for m in (W, U, W_hr))
    h, c = (array.copy() for array in state)
    output, steps = np.zeros((*x.shape[:2], U.shape[1]), x.dtype), []
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        rows = np.arange(x.shape[1]) if lengths is None else np.flatnonzero(t < lengths)
        m_t, done = step(x[t, rows], h[rows], c[rows], W, U, b)
        output[t, rows] = h[rows] = m_t if W_hr is None else m_t @ W_hr.T
        c[rows] = done.c_t
        if keep:
            steps.append((t, rows, m_t, done))
    return output, (h, c), ((W, U, W_hr, "bias_ih" in weights, x.shape, steps) if keep else None)


def backward(tape, d_output, d_state):
    """Run back over time."""
    W, U, W_hr, bias, shape, steps = tape
    d_h, d_c = (array.copy() for array in d_state)
    d_x, d_W, d_U, d_b = np.zeros(shape, W.dtype), 0 * W, 0 * U, 0 * W[:, 0]
    d_W_hr = None if W_hr is None else 0 * W_hr
    while steps:
        t, rows, m_t, done = steps.pop()
        d_h_t = d_h[rows] if d_output is None else d_h[rows] + d_output[t, rows]
        d_m_t = d_h_t if W_hr is None else d_h_t @ W_hr
        d_a_t, d_c[rows] = step_backward(done, d_m_t, d_c[rows])
        d_h[rows], d_x[t, rows] = d_a_t @ U, d_a_t @ W
        d_W, d_U, d_b = d_W + d_a_t.T @ done.x_t, d_U + d_a_t.T @ done.h_prev, d_b + d_a_t.sum(0)
        if W_hr is not None:
            d_W_hr += d_h_t.T @ m_t
    gradients = {"weight_ih": d_W, "weight_hh": d_U}
    gradients |= {"bias_ih": d_b, "bias_hh": d_b} if bias else {}
    return d_x, (d_h, d_c), gradients | ({} if W_hr is None else {"weight_hr": d_W_hr})
