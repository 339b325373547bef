"""The plain recurrent network."""

from __future__ import annotations

import numpy as np

from lstm import checks
from lstm.equations.activations import tanh_derivative
from lstm.module import rectified
from lstm.variants.stepwise import StepwiseLayer


class RNN(StepwiseLayer):
    r"""Elman network with the semantics of ``torch.nn.RNN`` (Elman, 1990).

    .. math:: h_t = \varphi(W x_t + U h_{t-1} + b)

    Parameters
    ----------
    nonlinearity : {"tanh", "relu"}
        :math:`\varphi`; the rectifier's derivative at 0 is taken as 0.
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype, rng
        As in :class:`lstm.LSTM`.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0 : Parameter, shapes (H, D), (H, H)
    bias_ih_l0, bias_hh_l0 : Parameter, shape (H,)

    Notes
    -----
    ``output, h_n = layer(input, h_0, lengths=None)`` and
    ``d_x, d_h_0 = layer.backward(d_output, d_h_n)``, with the shapes of :class:`lstm.LSTM`.
    """

    gates = ("h",)
    states = ("h",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        *args,
        **kwargs,
    ) -> None:
        self.nonlinearity = checks.one_of("nonlinearity", nonlinearity, ("tanh", "relu"))
        super().__init__(input_size, hidden_size, num_layers, *args, **kwargs)

    def step(self, weights, a_x, a_h, previous):
        """Compute one step; see :meth:`lstm.variants.StepwiseLayer.step`."""
        a_t = a_x + a_h
        h_t = np.tanh(a_t) if self.nonlinearity == "tanh" else rectified(a_t)
        return (h_t,), (h_t,)

    def step_backward(self, weights, previous, saved, d_current):
        """Differentiate it; see :meth:`lstm.variants.StepwiseLayer.step_backward`."""
        (h_t,), (d_h_t,) = saved, d_current
        tanh = self.nonlinearity == "tanh"
        d_a_t = d_h_t * tanh_derivative(h_t) if tanh else rectified(h_t, d_h_t)
        return d_a_t, d_a_t, (0,), {}
