"""The matrix half of xLSTM: a memory of pairs, written and read by keys."""

from __future__ import annotations

import numpy as np

from lstm.equations.activations import log_sigmoid, sigmoid, sigmoid_derivative
from lstm.variants.stepwise import StepwiseLayer


class MLSTM(StepwiseLayer):
    r"""mLSTM (Beck et al., 2024): the cell is a matrix that adds up values times keys.

    Query, key, value and gates see :math:`x_t` alone; there are two scalar gates for the whole
    matrix (equations ``eq-mlstm-memory``, ``eq-mlstm-normaliser``, ``eq-mlstm-hidden-state``):

    .. math::

        C_t = f_t \, C_{t-1} + i_t \, v_t k_t^\top, \quad
        \nu_t = f_t \, \nu_{t-1} + i_t \, k_t, \quad
        h_t = o_t \odot \frac{C_t q_t}{\max\left(\left|\nu_t^\top q_t\right|, 1\right)}

    with :math:`i_t = e^{a_{i,t}}`, :math:`f_t, o_t = \sigma(\cdot)`, and
    :math:`k_t = (W_k x_t + b_k) / \sqrt{H}`. As in :class:`SLSTM` the states hold
    :math:`C_t e^{-m_t}` and :math:`\nu_t e^{-m_t}`, here with an :math:`m_t` of at least 0.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype, rng
        As in :class:`lstm.LSTM`.

    Attributes
    ----------
    weight_ih_l0 : Parameter, shape (4H + 2, D)
        Order q, k, v, o, then one row for i and one for f.
    bias_ih_l0 : Parameter, shape (4H + 2,)

    Notes
    -----
    Calls are those of :class:`lstm.LSTM`, with the states h, C (H · H numbers, row after row), n
    and m (one number). No step reads h, and the gradient of ``h_0`` is 0. One head.
    """

    gates = ("q", "k", "v", "o", "i", "f")
    states = ("h", "C", "n", "m")

    def parameter_shapes(self, input_size):
        """Return name → shape of the parameters of one direction: none reads the state."""
        rows = 4 * self.hidden_size + 2
        return {"weight_ih": (rows, input_size)} | ({"bias_ih": (rows,)} if self.bias else {})

    def gate_rows(self, gate):
        """Return the rows of a gate: i and f have one each, the last two."""
        single = {"i": slice(-2, -1), "f": slice(-1, None)}
        return single[gate] if gate in single else super().gate_rows(gate)

    def state_sizes(self):
        """Return name → width of each state."""
        H = self.hidden_size
        return {"h": H, "C": H * H, "n": H, "m": 1}

    def step(self, weights, a_x, a_h, previous):
        """Compute one step; see :meth:`lstm.variants.StepwiseLayer.step`."""
        H = self.hidden_size
        q_t, k_t, v_t, a_o, a_i, a_f = np.split(a_x, [H, 2 * H, 3 * H, 4 * H, 4 * H + 1], axis=1)
        k_t, o_t = k_t * H**-0.5, sigmoid(a_o)
        _, C_prev, n_prev, m_prev = previous
        C_prev = C_prev.reshape(-1, H, H)
        carried = log_sigmoid(a_f) + m_prev
        # The scale is that of the input, of what is carried, or 1: below 1 nothing can overflow.
        fresh = a_i.real > np.maximum(carried.real, 0)
        kept = ~fresh & (carried.real > 0)
        m_t = np.where(fresh, a_i, np.where(kept, carried, 0))
        i_t, f_t = np.exp(a_i - m_t), np.exp(carried - m_t)
        C_t = f_t[:, :, None] * C_prev + v_t[:, :, None] * (i_t * k_t)[:, None]
        n_t = f_t * n_prev + i_t * k_t
        read, match = np.einsum("bij,bj->bi", C_t, q_t), (n_t * q_t).sum(axis=1, keepdims=True)
        floor = np.exp(-m_t)
        is_floor = np.abs(match.real) < floor.real
        norm = np.where(is_floor, floor, np.where(match.real < 0, -match, match))
        gates, memory = (o_t, a_f, i_t, f_t, fresh, kept), (C_t, n_t, read, match, is_floor, norm)
        saved = (q_t, k_t, v_t), gates, memory
        return (o_t * read / norm, C_t.reshape(-1, H * H), n_t, m_t), saved

    def step_backward(self, weights, previous, saved, d_current):
        """Differentiate it; see :meth:`lstm.variants.StepwiseLayer.step_backward`."""
        H = self.hidden_size
        (q_t, k_t, v_t), gates, memory = saved
        o_t, a_f, i_t, f_t, fresh, kept = gates
        C_t, n_t, read, match, is_floor, norm = memory
        _, C_prev, n_prev, _ = previous
        d_h_t, d_C_t, d_n_t, d_m_t = d_current
        C_prev, d_C_t = C_prev.reshape(-1, H, H), d_C_t.reshape(-1, H, H)

        def total(array):
            return array.sum(axis=1, keepdims=True)

        d_a_o = d_h_t * read / norm * sigmoid_derivative(o_t)
        d_read = d_h_t * o_t / norm
        d_norm = -total(d_read * read) / norm
        d_match = np.where(is_floor, 0, d_norm * np.sign(match))
        d_m_t = d_m_t - np.where(is_floor, d_norm * norm, 0)
        d_q_t = np.einsum("bij,bi->bj", C_t, d_read) + d_match * n_t
        d_C_t = d_C_t + d_read[:, :, None] * q_t[:, None]
        d_n_t = d_n_t + d_match * q_t

        written = np.einsum("bij,bj->bi", d_C_t, k_t)  # the gradient's row for each value
        d_v_t = i_t * written
        d_k_t = i_t * (np.einsum("bij,bi->bj", d_C_t, v_t) + d_n_t) * H**-0.5
        d_log_i = i_t * (total(written * v_t) + total(d_n_t * k_t))
        d_carried = f_t * ((d_C_t * C_prev).sum(axis=2).sum(axis=1, keepdims=True))
        d_carried = d_carried + f_t * total(d_n_t * n_prev)
        d_scale = d_m_t - d_log_i - d_carried
        d_log_i, d_carried = d_log_i + fresh * d_scale, d_carried + kept * d_scale
        d_a_f = d_carried * sigmoid(-a_f)
        d_a_t = np.concatenate([d_q_t, d_k_t, d_v_t, d_a_o, d_log_i, d_a_f], axis=1)
        d_C_prev = (f_t[:, :, None] * d_C_t).reshape(-1, H * H)
        return d_a_t, None, (0, d_C_prev, f_t * d_n_t, d_carried), {}
