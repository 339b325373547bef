"""The LSTM with one gate for both writing and forgetting."""

from __future__ import annotations

import numpy as np

from lstm import equations as eq
from lstm.equations import variants as eqv
from lstm.variants.stepwise import StepwiseLayer


class CIFGLSTM(StepwiseLayer):
    r"""LSTM with coupled input and forget gates (CIFG; Greff et al., 2017).

    What is written is what is forgotten (equation ``eq-coupled-cell-state``):

    .. math::

        f_t = 1 - i_t, \qquad c_t = f_t \odot c_{t-1} + (1 - f_t) \odot g_t

    so a cell state that starts in (-1, 1) stays there. It is :class:`lstm.LSTM` with three
    quarters of the weights, whose forget gate has those of the input gate, negated.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype, rng
        As in :class:`lstm.LSTM`.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0 : Parameter, shapes (3H, D), (3H, H)
        Order i, g, o.
    bias_ih_l0, bias_hh_l0 : Parameter, shape (3H,)

    Notes
    -----
    Calls, states and the backward pass are those of :class:`lstm.LSTM`.
    """

    gates = ("i", "g", "o")

    def step(self, weights, a_x, a_h, previous):
        """Compute one step; see :meth:`lstm.variants.StepwiseLayer.step`."""
        _, c_prev = previous
        a_i, a_g, a_o = np.split(a_x + a_h, 3, axis=1)
        i_t, g_t, o_t = eq.sigmoid(a_i), np.tanh(a_g), eq.sigmoid(a_o)
        c_t = eqv.coupled_cell_state(1 - i_t, c_prev, g_t)
        return (eq.hidden_state(o_t, c_t), c_t), (i_t, g_t, o_t, c_t)

    def step_backward(self, weights, previous, saved, d_current):
        """Differentiate it; see :meth:`lstm.variants.StepwiseLayer.step_backward`."""
        (_, c_prev), (i_t, g_t, o_t, c_t), (d_h_t, d_c_next) = previous, saved, d_current
        d_o_t = eq.d_output_gate(d_h_t, c_t)
        d_c_t = eq.d_cell_state(d_c_next, d_h_t, o_t, c_t)
        d_i_t = -eqv.d_coupled_gate(d_c_t, c_prev, g_t)
        d_g_t = eq.d_candidate(d_c_t, i_t)
        d_a_t = np.concatenate(
            [
                d_i_t * eq.sigmoid_derivative(i_t),
                d_g_t * eq.tanh_derivative(g_t),
                d_o_t * eq.sigmoid_derivative(o_t),
            ],
            axis=1,
        )
        return d_a_t, d_a_t, (0, eq.d_cell_previous(d_c_t, 1 - i_t)), {}
