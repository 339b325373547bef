"""The smallest LSTM: gates that see the input alone, so that all steps can run at once."""

from __future__ import annotations

import numpy as np

from lstm import checks
from lstm.equations import beyond as eqb
from lstm.equations.activations import log_sigmoid, sigmoid
from lstm.variants.stepwise import StepwiseLayer


class MinLSTM(StepwiseLayer):
    r"""minLSTM (Feng, Tung, Ahmed, Bengio and Hajimirsadeghi, 2024).

    Its gates and its candidate read :math:`x_t` alone, the gates share out one whole between what
    is kept and what is new, and there is neither an output gate nor a tanh (equations
    ``eq-minlstm-forget-gate`` to ``eq-minlstm-state``):

    .. math::

        \hat{f}_t = \frac{f_t}{f_t + i_t}, \qquad \hat{i}_t = \frac{i_t}{f_t + i_t}, \qquad
        h_t = \hat{f}_t \odot h_{t-1} + \hat{i}_t \odot g_t

    with :math:`f_t, i_t = \sigma(\cdot)` and :math:`g_t = W_g x_t + b_g`. Each step is linear in
    the state, so a parallel prefix sum could compute them all; this class loops.

    Parameters
    ----------
    signed : bool
        Whether what multiplies :math:`h_{t-1}` is :math:`2 \hat{f}_t - 1`, in (-1, 1), instead of
        :math:`\hat{f}_t`, in (0, 1) (equation ``eq-minlstm-signed``; after Grazzi et al., 2025).
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype, rng
        As in :class:`lstm.LSTM`.

    Attributes
    ----------
    weight_ih_l0 : Parameter, shape (3H, D)
        Order f, i, g.
    bias_ih_l0 : Parameter, shape (3H,)

    Notes
    -----
    ``output, h_n = layer(input, h_0, lengths=None)`` and
    ``d_x, d_h_0 = layer.backward(d_output, d_h_n)``, with the shapes of :class:`lstm.LSTM`.
    """

    gates = ("f", "i", "g")
    states = ("h",)

    def __init__(
        self, input_size: int, hidden_size: int, *args, signed: bool = False, **kwargs
    ) -> None:
        self.signed = checks.boolean("signed", signed)
        super().__init__(input_size, hidden_size, *args, **kwargs)

    def parameter_shapes(self, input_size):
        """Return name → shape of the parameters of one direction: none reads the state."""
        shapes = super().parameter_shapes(input_size)
        return {name: shape for name, shape in shapes.items() if not name.endswith("_hh")}

    def step(self, weights, a_x, a_h, previous):
        """Compute one step; see :meth:`lstm.variants.StepwiseLayer.step`."""
        (h_prev,) = previous
        a_f, a_i, g_t = np.split(a_x, 3, axis=1)
        # f / (f + i) is the logistic function of log f - log i, which cannot be 0 / 0.
        f_t = sigmoid(log_sigmoid(a_f) - log_sigmoid(a_i))
        h_t = (eqb.min_lstm_signed if self.signed else eqb.min_lstm_state)(
            f_t, h_prev, 1 - f_t, g_t
        )
        return (h_t,), (a_f, a_i, f_t, g_t)

    def step_backward(self, weights, previous, saved, d_current):
        """Differentiate it; see :meth:`lstm.variants.StepwiseLayer.step_backward`."""
        (h_prev,), (a_f, a_i, f_t, g_t), (d_h_t,) = previous, saved, d_current
        slope, kept = (2, 2 * f_t - 1) if self.signed else (1, f_t)
        d_log_odds = d_h_t * (slope * h_prev - g_t) * f_t * (1 - f_t)
        d_a_f, d_a_i = d_log_odds * sigmoid(-a_f), -d_log_odds * sigmoid(-a_i)
        return np.concatenate([d_a_f, d_a_i, d_h_t * (1 - f_t)], axis=1), None, (d_h_t * kept,), {}
