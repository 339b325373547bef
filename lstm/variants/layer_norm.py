"""The LSTM with layer normalisation."""

from __future__ import annotations

import numpy as np

from lstm import equations as eq
from lstm.variants.stepwise import StepwiseLayer

EPSILON = 1e-5
"""Added to every variance; the value of ``torch.nn.LayerNorm``. The paper has none."""


class LayerNormLSTM(StepwiseLayer):
    r"""Layer-normalised LSTM, normalised where Ba, Kiros and Hinton (2016) do it: three times.

    .. math::

        a_t &= \gamma_x \odot \nu(W x_t) + \gamma_h \odot \nu(U h_{t-1}) + b \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
        h_t &= o_t \odot \tanh\left(\gamma_c \odot \nu(c_t) + b_c\right)

    with :math:`\nu(z) = (z - \mu) / \sqrt{s^2 + \epsilon}`, the mean and variance taken over
    all 4H entries of :math:`W x_t`, all 4H of :math:`U h_{t-1}`, and all H of :math:`c_t`, one
    sequence and step at a time. The cell state itself is not normalised: the carousel stays. The
    paper has a bias in each normalisation besides :math:`b`; the three only ever appear as a sum,
    which is ``bias`` here.

    Parameters
    ----------
    bias : bool
        Whether there are :math:`b` and :math:`b_c`.
    input_size, hidden_size, num_layers, batch_first, dropout, bidirectional, dtype, rng
        As in :class:`lstm.LSTM`.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0 : Parameter, shapes (4H, D), (4H, H)
        Gate order i, f, g, o.
    gain_ih_l0, gain_hh_l0, gain_c_l0 : Parameter, shapes (4H,), (4H,), (H,)
        Gains :math:`\gamma_x, \gamma_h, \gamma_c`, one at first.
    bias_l0, bias_c_l0 : Parameter, shapes (4H,), (H,)
        Biases :math:`b, b_c`, zero at first.

    Notes
    -----
    Calls, states and the backward pass are those of :class:`lstm.LSTM`.
    """

    gate_bias = "bias"

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        for name, parameter in self.named_parameters():
            if not name.startswith("weight"):
                parameter.data[...] = name.startswith("gain")

    def parameter_shapes(self, input_size):
        """Return name → shape of the parameters of one direction."""
        H = self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (4 * H, input_size),
            "weight_hh": (4 * H, H),
            "gain_ih": (4 * H,),
            "gain_hh": (4 * H,),
            "gain_c": (H,),
        }
        return shapes | ({"bias": (4 * H,), "bias_c": (H,)} if self.bias else {})

    def step(self, weights, a_x, a_h, previous):
        """Compute one step; see :meth:`lstm.variants.StepwiseLayer.step`."""
        _, c_prev = previous
        y_x, s_x = normalize(a_x)
        y_h, s_h = normalize(a_h)
        a_t = weights["gain_ih"] * y_x + weights["gain_hh"] * y_h + weights.get("bias", 0)
        a_i, a_f, a_g, a_o = np.split(a_t, 4, axis=1)
        i_t, f_t, g_t, o_t = eq.sigmoid(a_i), eq.sigmoid(a_f), np.tanh(a_g), eq.sigmoid(a_o)
        c_t = eq.cell_state(f_t, c_prev, i_t, g_t)
        y_c, s_c = normalize(c_t)
        m_t = weights["gain_c"] * y_c + weights.get("bias_c", 0)
        saved = (i_t, f_t, g_t, o_t, m_t), (y_x, s_x), (y_h, s_h), (y_c, s_c)
        return (eq.hidden_state(o_t, m_t), c_t), saved

    def step_backward(self, weights, previous, saved, d_current):
        """Differentiate it; see :meth:`lstm.variants.StepwiseLayer.step_backward`."""
        (_, c_prev), (d_h_t, d_c_next) = previous, d_current
        (i_t, f_t, g_t, o_t, m_t), (y_x, s_x), (y_h, s_h), (y_c, s_c) = saved
        d_o_t = eq.d_output_gate(d_h_t, m_t)
        d_m_t = eq.d_cell_state(0, d_h_t, o_t, m_t)
        d_c_t = d_c_next + d_normalize(d_m_t * weights["gain_c"], y_c, s_c)
        d_i_t, d_f_t = eq.d_input_gate(d_c_t, g_t), eq.d_forget_gate(d_c_t, c_prev)
        d_g_t = eq.d_candidate(d_c_t, i_t)
        d_a_t = eq.d_preactivation(d_i_t, d_f_t, d_g_t, d_o_t, i_t, f_t, g_t, o_t)
        gradients = {
            "gain_ih": (d_a_t * y_x).sum(axis=0),
            "gain_hh": (d_a_t * y_h).sum(axis=0),
            "gain_c": (d_m_t * y_c).sum(axis=0),
        }
        if self.bias:
            gradients |= {"bias": d_a_t.sum(axis=0), "bias_c": d_m_t.sum(axis=0)}
        d_a_x = d_normalize(d_a_t * weights["gain_ih"], y_x, s_x)
        d_a_h = d_normalize(d_a_t * weights["gain_hh"], y_h, s_h)
        return d_a_x, d_a_h, (0, eq.d_cell_previous(d_c_t, f_t)), gradients


def normalize(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Shift and scale every row to mean 0 and variance 1: :math:`(z - \mu) / \sqrt{s^2+\epsilon}`.

    Parameters
    ----------
    z : ndarray, shape (B, N)
        Rows.

    Returns
    -------
    y, scale : ndarray, shapes (B, N), (B, 1)
        The normalised rows, and what they were divided by.
    """
    centred = z - z.mean(axis=1, keepdims=True)
    # Not np.var, which takes absolute values of complex numbers: the complex step must get through.
    scale = np.sqrt((centred * centred).mean(axis=1, keepdims=True) + EPSILON)
    return centred / scale, scale


def d_normalize(d_y: np.ndarray, y: np.ndarray, scale: np.ndarray) -> np.ndarray:
    r"""Differentiate :func:`normalize`.

    .. math::

        \bar{z} = \frac{\bar{y} - \operatorname{mean}(\bar{y})
        - y \operatorname{mean}(\bar{y} \odot y)}{\sqrt{s^2 + \epsilon}}

    Parameters
    ----------
    d_y, y : ndarray, shape (B, N)
        Gradient and value of the normalised rows.
    scale : ndarray, shape (B, 1)
        What they were divided by.

    Returns
    -------
    ndarray, shape (B, N)
        ``d_z``.
    """
    mean = d_y.mean(axis=1, keepdims=True)
    along = (d_y * y).mean(axis=1, keepdims=True)
    return (d_y - mean - y * along) / scale
