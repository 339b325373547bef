"""The LSTM of 1997: no forget gate."""

from __future__ import annotations

import numpy as np

from lstm import checks
from lstm import equations as eq
from lstm.equations import variants as eqv
from lstm.variants.stepwise import StepwiseLayer


class LSTM1997(StepwiseLayer):
    r"""The LSTM of Hochreiter and Schmidhuber (1997), one cell to a memory block.

    There is no forget gate: the cell adds up what its input gate lets in (equations
    ``eq-candidate-1997``, ``eq-cell-1997``, ``eq-hidden-1997``). The squashing functions are those
    of the paper, :math:`g(z) = 4\sigma(z) - 2` and :math:`h(z) = 2\sigma(z) - 1`:

    .. math::

        i_t &= \sigma(W_i x_t + U_i h_{t-1} + b_i), \qquad
        g_t = 4\,\sigma(W_g x_t + U_g h_{t-1} + b_g) - 2 \\
        o_t &= \sigma(W_o x_t + U_o h_{t-1} + b_o) \\
        c_t &= c_{t-1} + i_t \odot g_t, \qquad
        h_t = o_t \odot \left(2\,\sigma(c_t) - 1\right)

    Gates and candidates see the input and the outputs of all cells, at the previous step. (In the
    paper they may also see each other, and several cells may share the gates of one block.)

    Parameters
    ----------
    truncated : bool
        False: the whole gradient. True: the paper's, which stops wherever it would leave a memory
        cell through the recurrent weights, and goes on only along the cell state, unchanged. It
        still updates these weights. It is not the gradient of the loss, and the gradient of
        ``h_0`` is zero.
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

    def __init__(self, *args, truncated: bool = False, **kwargs) -> None:
        self.truncated = checks.boolean("truncated", truncated)
        super().__init__(*args, **kwargs)

    def step(self, weights, a_x, a_h, previous):
        """Compute one step; see :meth:`lstm.variants.StepwiseLayer.step`."""
        _, c_prev = previous
        a_i, a_g, a_o = np.split(a_x + a_h, 3, axis=1)
        i_t, g_t, o_t = eq.sigmoid(a_i), 4 * eq.sigmoid(a_g) - 2, eq.sigmoid(a_o)
        c_t = eqv.cell_state_1997(c_prev, i_t, g_t)
        return (eqv.hidden_state_1997(o_t, c_t), c_t), (i_t, g_t, o_t, c_t)

    def step_backward(self, weights, previous, saved, d_current):
        """Differentiate it; see :meth:`lstm.variants.StepwiseLayer.step_backward`."""
        (i_t, g_t, o_t, c_t), (d_h_t, d_c_next) = saved, d_current
        d_o_t = eqv.hidden_state_1997(d_h_t, c_t)  # the squashed cell, times d_h_t
        d_c_t = eqv.d_cell_state_1997(d_c_next, d_h_t, o_t, c_t)
        d_i_t = eq.d_input_gate(d_c_t, g_t)
        d_a_t = np.concatenate(
            [
                d_i_t * eq.sigmoid_derivative(i_t),
                eqv.d_candidate_preactivation_1997(d_c_t, i_t, g_t),
                d_o_t * eq.sigmoid_derivative(o_t),
            ],
            axis=1,
        )
        return d_a_t, d_a_t, (0, d_c_t), {}

    def extra_repr(self) -> str:
        """Return the arguments shown by ``repr``."""
        return super().extra_repr() + (", truncated=True" if self.truncated else "")
