"""Around the recursion: ragged lengths, two directions, several layers."""

from __future__ import annotations

import numpy as np

from lstm.equations.registry import equation


# ------------------------------------------------------------------------------- ragged lengths
@equation("eq-mask", s_new=r"s_t^{\text{new}}")
def masked_state(s_new, s_prev, m_t):
    r"""State of a padded batch: it stands still after the end, equation ``eq-mask``.

    .. math:: s_t = m_t \odot s_t^{\text{new}} + (1 - m_t) \odot s_{t-1}

    Parameters
    ----------
    s_new, s_prev : ndarray, shape (B, H)
        State that the step computes, and the state before it: hidden states or cell states.
    m_t : ndarray, shape (B, 1)
        1 where the sequence still runs, :math:`t \le T_n`, else 0.

    Returns
    -------
    s_t : ndarray, shape (B, H)
        The state after the step.
    """
    return m_t * s_new + (1 - m_t) * s_prev


@equation("eq-mask-output")
def masked_output(h_t, m_t):
    r"""Output of a padded batch: zeros after the end, equation ``eq-mask-output``.

    .. math:: y_t = m_t \odot h_t

    Parameters
    ----------
    h_t, m_t : ndarray, shapes (B, H), (B, 1)
        Hidden state and mask.

    Returns
    -------
    y_t : ndarray, shape (B, H)
        The step's output.
    """
    return m_t * h_t


@equation("eq-d-mask")
def d_masked_state(d_s_t, m_t):
    r"""Gradient through a masked step, equation ``eq-d-mask``.

    .. math::

        \bar{s}_t^{\text{new}} = m_t \odot \bar{s}_t, \qquad
        \bar{s}_{t-1} \mathrel{+}= (1 - m_t) \odot \bar{s}_t

    Parameters
    ----------
    d_s_t, m_t : ndarray, shapes (B, H), (B, 1)
        Gradient of the state after the step, and the mask.

    Returns
    -------
    d_s_new_t, d_s_prev : ndarray, shape (B, H)
        What enters the step's own backward pass, and what passes it by.
    """
    return m_t * d_s_t, (1 - m_t) * d_s_t


# ------------------------------------------------------------------------------- two directions
@equation("eq-reverse", lengths="T_n")
def reversed_sequence(x, lengths):
    r"""Each sequence backwards, within its own length, equation ``eq-reverse``.

    .. math::

        x_{\leftarrow,t} = \begin{cases} x_{T_n + 1 - t} & t \le T_n \\ x_t & t > T_n \end{cases}

    Parameters
    ----------
    x : ndarray, shape (T, B, D)
        Padded sequences.
    lengths : ndarray of int, shape (B,)
        :math:`T_n` for each.

    Returns
    -------
    ndarray, shape (T, B, D)
        :math:`x_{\leftarrow,t}` for every t. The padding stays where it was. Applied
        twice it gives ``x`` back.
    """
    t = np.arange(len(x))[:, None]
    index = np.where(t < lengths, lengths - 1 - t, t)
    return np.take_along_axis(x, index[..., None], axis=0)


@equation("eq-bidirectional", h_forward=r"h_{\rightarrow,t}", h_backward=r"h_{\leftarrow,t}")
def bidirectional_output(h_forward, h_backward):
    r"""Output of both directions, equation ``eq-bidirectional``.

    .. math:: y_t = \begin{bmatrix} h_{\rightarrow,t} \\ h_{\leftarrow,t} \end{bmatrix}

    Parameters
    ----------
    h_forward, h_backward : ndarray, shape (B, H)
        Hidden states that have read the steps 1 to t, and the steps T to t.

    Returns
    -------
    y_t : ndarray, shape (B, 2H)
        One under the other.
    """
    return np.concatenate([h_forward, h_backward], axis=-1)


@equation(
    "eq-d-bidirectional",
    d_x_forward=r"W_{\rightarrow}^\top \bar{a}_{\rightarrow,t}",
    d_x_backward=r"W_{\leftarrow}^\top \bar{a}_{\leftarrow,t}",
)
def d_bidirectional_input(d_x_forward, d_x_backward):
    r"""Gradient of the input that both directions read, equation ``eq-d-bidirectional``.

    .. math::

        \bar{x}_t = W_{\rightarrow}^\top \bar{a}_{\rightarrow,t}
        + W_{\leftarrow}^\top \bar{a}_{\leftarrow,t}

    Parameters
    ----------
    d_x_forward, d_x_backward : ndarray, shape (B, D)
        The two terms, both at step t of the input.

    Returns
    -------
    d_x_t : ndarray, shape (B, D)
    """
    return d_x_forward + d_x_backward


# ------------------------------------------------------------------------------- several layers
@equation("eq-stacked", h_below=r"h_t^{(l-1)}", mask=r"\delta_t^{(l-1)}")
def stacked_input(h_below, mask):
    r"""Input of a layer: the output of the layer below, equation ``eq-stacked``.

    .. math:: x_t^{(l)} = \delta_t^{(l-1)} \odot h_t^{(l-1)}

    Parameters
    ----------
    h_below : ndarray, shape (B, H)
        Hidden state of layer l - 1 at this step.
    mask : ndarray, shape (B, H)
        Dropout mask :math:`\delta`: 0 or 1/(1 - p); all ones without dropout.

    Returns
    -------
    ndarray, shape (B, H)
        :math:`x_t^{(l)}`, the input of layer l.
    """
    return mask * h_below


@equation("eq-d-stacked", d_x_above=r"\bar{x}_t^{(l)}", mask=r"\delta_t^{(l-1)}")
def d_stacked_input(d_x_above, mask):
    r"""What a layer hears from the layer above it, equation ``eq-d-stacked``.

    .. math:: \frac{\partial \ell_t}{\partial h_t^{(l-1)}} = \delta_t^{(l-1)} \odot \bar{x}_t^{(l)}

    Parameters
    ----------
    d_x_above, mask : ndarray, shape (B, H)
        Gradient of the upper layer's input, and the same mask as in the forward pass.

    Returns
    -------
    ndarray, shape (B, H)
        Takes the place of :math:`\partial\ell_t/\partial h_t` in the lower layer: there it is
        :math:`\frac{\partial \ell_t}{\partial h_t^{(l-1)}}`.
    """
    return mask * d_x_above
