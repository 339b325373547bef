"""The scalar half of xLSTM: exponential gates, kept finite by a normaliser and a stabiliser."""

from __future__ import annotations

import numpy as np

from lstm.equations import beyond as eqb
from lstm.equations.activations import log_sigmoid, sigmoid, sigmoid_derivative, tanh_derivative
from lstm.variants.stepwise import StepwiseLayer


class SLSTM(StepwiseLayer):
    r"""sLSTM (Beck et al., 2024): an LSTM that can weigh a new input more than all the past.

    Its input gate is an exponential, :math:`i_t = e^{a_{i,t}}`. A normaliser :math:`\nu_t` adds up
    what the gates have let in, so that the output is a weighted mean of the candidates (equations
    ``eq-slstm-normaliser``, ``eq-slstm-hidden-state``):

    .. math::

        c_t = f_t \odot c_{t-1} + i_t \odot g_t, \qquad
        \nu_t = f_t \odot \nu_{t-1} + i_t, \qquad
        h_t = o_t \odot \frac{c_t}{\nu_t}

    The states hold :math:`c_t e^{-m_t}` and :math:`\nu_t e^{-m_t}` with
    :math:`m_t = \max(\log f_t + m_{t-1}, \log i_t)` (``eq-slstm-stabiliser``): no exponential
    overflows, and :math:`h_t` is the same.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype, rng
        As in :class:`lstm.LSTM`.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, ... : Parameter
        As in :class:`lstm.LSTM`, gate order i, f, g, o. One head: ``weight_hh`` is full.

    Notes
    -----
    Calls and states are those of :class:`lstm.LSTM`, with the states h, c, n, m. The forget gate is
    :math:`\sigma`, one of the paper's two. Where n is 0 (at the start) nothing is remembered, and
    the new input sets the scale. The gradient with respect to the states is that of the numbers
    that they hold, m included.
    """

    states = ("h", "c", "n", "m")

    def step(self, weights, a_x, a_h, previous):
        """Compute one step; see :meth:`lstm.variants.StepwiseLayer.step`."""
        _, c_prev, n_prev, m_prev = previous
        a_i, a_f, a_g, a_o = np.split(a_x + a_h, 4, axis=1)
        g_t, o_t = np.tanh(a_g), sigmoid(a_o)
        carried = log_sigmoid(a_f) + m_prev
        fresh = (n_prev == 0) | (carried.real < a_i.real)  # whether the input sets the scale
        m_t = np.where(fresh, a_i, carried)
        i_t, f_t = np.exp(a_i - m_t), np.where(n_prev == 0, 0, np.exp(carried - m_t))
        c_t, n_t = f_t * c_prev + i_t * g_t, eqb.normaliser(f_t, n_prev, i_t)
        h_t = eqb.normalised_hidden_state(o_t, c_t, n_t)
        return (h_t, c_t, n_t, m_t), (a_f, i_t, f_t, g_t, o_t, fresh, c_t, n_t)

    def step_backward(self, weights, previous, saved, d_current):
        """Differentiate it; see :meth:`lstm.variants.StepwiseLayer.step_backward`."""
        _, c_prev, n_prev, _ = previous
        a_f, i_t, f_t, g_t, o_t, fresh, c_t, n_t = saved
        d_h_t, d_c_t, d_n_t, d_m_t = d_current
        mean = c_t / n_t
        d_o_t, d_mean = d_h_t * mean, d_h_t * o_t
        d_c_t, d_n_t = d_c_t + d_mean / n_t, d_n_t - d_mean * mean / n_t
        d_log_i = (d_c_t * g_t + d_n_t) * i_t
        d_carried = (d_c_t * c_prev + d_n_t * n_prev) * f_t
        d_scale = d_m_t - d_log_i - d_carried  # of m_t, which is one of the two
        d_log_i, d_carried = d_log_i + fresh * d_scale, d_carried + ~fresh * d_scale
        d_a_t = np.concatenate(
            [
                d_log_i,
                d_carried * sigmoid(-a_f),
                d_c_t * i_t * tanh_derivative(g_t),
                d_o_t * sigmoid_derivative(o_t),
            ],
            axis=1,
        )
        return d_a_t, d_a_t, (0, d_c_t * f_t, d_n_t * f_t, d_carried), {}
