"""The LSTM whose gates see the cell."""

from __future__ import annotations

import numpy as np

from lstm import equations as eq
from lstm.equations import variants as eqv
from lstm.variants.stepwise import StepwiseLayer


class PeepholeLSTM(StepwiseLayer):
    r"""LSTM with peephole connections (Gers and Schmidhuber, 2000), as in the ONNX operator.

    Input and forget gate see the old cell state, the output gate the new one (equations
    ``eq-peephole-input-gate``, ``eq-peephole-forget-gate``, ``eq-peephole-output-gate``):

    .. math::

        i_t &= \sigma(W_i x_t + U_i h_{t-1} + p_i \odot c_{t-1} + b_i) \\
        f_t &= \sigma(W_f x_t + U_f h_{t-1} + p_f \odot c_{t-1} + b_f) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
        o_t &= \sigma(W_o x_t + U_o h_{t-1} + p_o \odot c_t + b_o)

    With all peepholes zero it is :class:`lstm.LSTM`.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype, rng
        As in :class:`lstm.LSTM`.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, ... : Parameter
        As in :class:`lstm.LSTM`, gate order i, f, g, o.
    weight_ci_l0, weight_cf_l0, weight_co_l0 : Parameter, shape (H,)
        Peepholes :math:`p_i, p_f, p_o`: one weight for each cell, to its own gates.

    Notes
    -----
    Calls, states and the backward pass are those of :class:`lstm.LSTM`.
    """

    def parameter_shapes(self, input_size):
        """Return name → shape of the parameters of one direction."""
        peepholes = dict.fromkeys(("weight_ci", "weight_cf", "weight_co"), (self.hidden_size,))
        return super().parameter_shapes(input_size) | peepholes

    def step(self, weights, a_x, a_h, previous):
        """Compute one step; see :meth:`lstm.variants.StepwiseLayer.step`."""
        p_i, p_f, p_o = weights["weight_ci"], weights["weight_cf"], weights["weight_co"]
        _, c_prev = previous
        a_i, a_f, a_g, a_o = np.split(a_x + a_h, 4, axis=1)
        i_t, f_t = eq.sigmoid(a_i + p_i * c_prev), eq.sigmoid(a_f + p_f * c_prev)
        g_t = np.tanh(a_g)
        c_t = eq.cell_state(f_t, c_prev, i_t, g_t)
        o_t = eq.sigmoid(a_o + p_o * c_t)
        return (eq.hidden_state(o_t, c_t), c_t), (i_t, f_t, g_t, o_t, c_t)

    def step_backward(self, weights, previous, saved, d_current):
        """Differentiate it; see :meth:`lstm.variants.StepwiseLayer.step_backward`."""
        p_i, p_f, p_o = weights["weight_ci"], weights["weight_cf"], weights["weight_co"]
        (_, c_prev), (i_t, f_t, g_t, o_t, c_t), (d_h_t, d_c_next) = previous, saved, d_current
        # The output gate comes first: its peephole is one more way into c_t.
        d_a_o = eq.d_output_gate(d_h_t, c_t) * eq.sigmoid_derivative(o_t)
        d_c_t = eqv.d_peephole_cell_state(d_c_next, d_h_t, o_t, c_t, p_o, d_a_o)
        d_a_i = eq.d_input_gate(d_c_t, g_t) * eq.sigmoid_derivative(i_t)
        d_a_f = eq.d_forget_gate(d_c_t, c_prev) * eq.sigmoid_derivative(f_t)
        d_a_g = eq.d_candidate(d_c_t, i_t) * eq.tanh_derivative(g_t)
        d_a_t = np.concatenate([d_a_i, d_a_f, d_a_g, d_a_o], axis=1)
        d_c_prev = eqv.d_peephole_cell_previous(d_c_t, f_t, p_i, d_a_i, p_f, d_a_f)
        d_peepholes = eqv.d_peephole_weights(d_a_i, d_a_f, d_a_o, c_prev, c_t)
        names = "weight_ci", "weight_cf", "weight_co"
        return d_a_t, d_a_t, (0, d_c_prev), dict(zip(names, d_peepholes, strict=True))
