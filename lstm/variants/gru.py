"""The gated recurrent unit."""

from __future__ import annotations

import numpy as np

from lstm.equations.activations import sigmoid, sigmoid_derivative, tanh_derivative
from lstm.variants.stepwise import StepwiseLayer


class GRU(StepwiseLayer):
    r"""Gated recurrent unit with the semantics of ``torch.nn.GRU`` (Cho et al., 2014).

    .. math::

        r_t &= \sigma(W_r x_t + b_{ir} + U_r h_{t-1} + b_{hr}) \\
        z_t &= \sigma(W_z x_t + b_{iz} + U_z h_{t-1} + b_{hz}) \\
        n_t &= \tanh\left(W_n x_t + b_{in} + r_t \odot (U_n h_{t-1} + b_{hn})\right) \\
        h_t &= (1 - z_t) \odot n_t + z_t \odot h_{t-1}

    The reset gate acts *after* the product with :math:`U_n`, and on its bias: so do PyTorch and
    cuDNN (ONNX: ``linear_before_reset=1``). The paper resets :math:`h_{t-1}` before the product.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype, rng
        As in :class:`lstm.LSTM`.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0 : Parameter, shapes (3H, D), (3H, H)
        Order r, z, n.
    bias_ih_l0, bias_hh_l0 : Parameter, shape (3H,)
        Not interchangeable: the reset gate scales only the second.

    Notes
    -----
    ``output, h_n = layer(input, h_0, lengths=None)`` and
    ``d_x, d_h_0 = layer.backward(d_output, d_h_n)``, with the shapes of :class:`lstm.LSTM`.
    """

    gates = ("r", "z", "n")
    states = ("h",)

    def step(self, weights, a_x, a_h, previous):
        """Compute one step; see :meth:`lstm.variants.StepwiseLayer.step`."""
        (h_prev,) = previous
        (x_r, x_z, x_n), (h_r, h_z, h_n) = np.split(a_x, 3, axis=1), np.split(a_h, 3, axis=1)
        r_t, z_t = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
        n_t = np.tanh(x_n + r_t * h_n)
        h_t = (1 - z_t) * n_t + z_t * h_prev
        return (h_t,), (r_t, z_t, n_t, h_n)

    def step_backward(self, weights, previous, saved, d_current):
        """Differentiate it; see :meth:`lstm.variants.StepwiseLayer.step_backward`."""
        (h_prev,), (r_t, z_t, n_t, h_n), (d_h_t,) = previous, saved, d_current
        d_a_n = d_h_t * (1 - z_t) * tanh_derivative(n_t)
        d_a_z = d_h_t * (h_prev - n_t) * sigmoid_derivative(z_t)
        d_a_r = d_a_n * h_n * sigmoid_derivative(r_t)
        d_a_x = np.concatenate([d_a_r, d_a_z, d_a_n], axis=1)
        d_a_h = np.concatenate([d_a_r, d_a_z, d_a_n * r_t], axis=1)
        return d_a_x, d_a_h, (d_h_t * z_t,), {}
