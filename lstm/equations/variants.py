"""The LSTM's ancestor of 1997, and three later changes.

The same symbols as in :mod:`lstm.equations.step`, so that a difference in a formula is a difference
in the model.
"""

from __future__ import annotations

import numpy as np

from lstm.equations.activations import sigmoid, tanh_derivative
from lstm.equations.registry import equation
from lstm.equations.step import preactivation


# ------------------------------------------------------------------ the constant error carousel
@equation("eq-local-error-flow", slopes=r"\varphi'(z_t)")
def local_error_flow(w, slopes):
    r"""How far one self-connected unit carries an error, equation ``eq-local-error-flow``.

    .. math:: \frac{\partial y_T}{\partial y_0} = \prod_{t=1}^{T} w \, \varphi'(z_t)

    Parameters
    ----------
    w : float
        Weight of the unit's connection to itself.
    slopes : ndarray, shape (T,)
        :math:`\varphi'(z_t)` at each step.

    Returns
    -------
    float
        :math:`\frac{\partial y_T}{\partial y_0}`, 1 for every input only where
        :math:`w \varphi' = 1` everywhere: the carousel.
    """
    return np.prod(w * slopes, axis=0)


@equation("eq-carousel")
def carousel(c_prev, u_t):
    r"""Constant error carousel: a sum that nothing decays, equation ``eq-carousel``.

    .. math:: c_t = c_{t-1} + u_t

    Parameters
    ----------
    c_prev, u_t : ndarray, shape (B, H)
        State of the previous step, and whatever enters at this one.

    Returns
    -------
    c_t : ndarray, shape (B, H)
        The new state.
    """
    return c_prev + u_t


@equation("eq-input-conflict")
def input_conflict(T):
    r"""Smallest mean squared error of a carousel without an input gate, ``eq-input-conflict``.

    It must keep the first of T uncorrelated inputs of mean 0 and variance 1, and one weight stores
    them all.

    .. math:: \min_{w} \; \mathbb{E} \left( w \sum_{t=1}^{T} x_t - x_1 \right)^2 = 1 - \frac{1}{T}

    Parameters
    ----------
    T : int
        Number of steps.

    Returns
    -------
    float
        :math:`\min_{w} \; \mathbb{E} \left( w \sum_{t=1}^{T} x_t - x_1 \right)^2`, the error at
        the best weight, :math:`w = 1/T`. With an input gate it is 0.
    """
    return 1 - 1 / T


@equation("eq-candidate-1997")
def candidate_1997(x_t, h_prev, W_g, U_g, b_g):
    r"""Candidate of the cell of 1997, equation ``eq-candidate-1997``.

    .. math:: g_t = 4\,\sigma(W_g x_t + U_g h_{t-1} + b_g) - 2

    Parameters
    ----------
    x_t, h_prev : ndarray, shapes (B, D), (B, H)
        Input, and hidden state of the previous step.
    W_g, U_g, b_g : ndarray, shapes (H, D), (H, H), (H,)
        The candidate's weights and bias.

    Returns
    -------
    g_t : ndarray, shape (B, H)
        In (-2, 2).
    """
    return 4 * sigmoid(preactivation(x_t, h_prev, W_g, U_g, b_g)) - 2


@equation("eq-cell-1997")
def cell_state_1997(c_prev, i_t, g_t):
    r"""Cell state of 1997: a carousel behind an input gate, equation ``eq-cell-1997``.

    .. math:: c_t = c_{t-1} + i_t \odot g_t

    Parameters
    ----------
    c_prev, i_t, g_t : ndarray, shape (B, H)
        Previous cell state, input gate, candidate.

    Returns
    -------
    c_t : ndarray, shape (B, H)
        The new cell state. Nothing ever shrinks it.
    """
    return c_prev + i_t * g_t


@equation("eq-hidden-1997")
def hidden_state_1997(o_t, c_t):
    r"""Output of the cell of 1997, equation ``eq-hidden-1997``.

    .. math:: h_t = o_t \odot \left( 2\,\sigma(c_t) - 1 \right)

    Parameters
    ----------
    o_t, c_t : ndarray, shape (B, H)
        Output gate and cell state.

    Returns
    -------
    h_t : ndarray, shape (B, H)
        In (-1, 1).
    """
    return o_t * (2 * sigmoid(c_t) - 1)


# ------------------------------------------------------------------------------------- peepholes
@equation("eq-peephole-input-gate")
def peephole_input_gate(x_t, h_prev, c_prev, W_i, U_i, p_i, b_i):
    r"""Input gate that sees the old cell state, equation ``eq-peephole-input-gate``.

    .. math:: i_t = \sigma(W_i x_t + U_i h_{t-1} + p_i \odot c_{t-1} + b_i)

    Parameters
    ----------
    x_t, h_prev, c_prev : ndarray, shapes (B, D), (B, H), (B, H)
        Input, and the two states of the previous step.
    W_i, U_i, b_i : ndarray, shapes (H, D), (H, H), (H,)
        The gate's weights and bias.
    p_i : ndarray, shape (H,)
        Its peepholes: one weight for each cell.

    Returns
    -------
    i_t : ndarray, shape (B, H)
        The gate, in (0, 1).
    """
    return sigmoid(preactivation(x_t, h_prev, W_i, U_i, b_i) + p_i * c_prev)


@equation("eq-peephole-forget-gate")
def peephole_forget_gate(x_t, h_prev, c_prev, W_f, U_f, p_f, b_f):
    r"""Forget gate that sees the old cell state, equation ``eq-peephole-forget-gate``.

    .. math:: f_t = \sigma(W_f x_t + U_f h_{t-1} + p_f \odot c_{t-1} + b_f)

    Parameters
    ----------
    x_t, h_prev, c_prev : ndarray, shapes (B, D), (B, H), (B, H)
        Input, and the two states of the previous step.
    W_f, U_f, b_f : ndarray, shapes (H, D), (H, H), (H,)
        The gate's weights and bias.
    p_f : ndarray, shape (H,)
        Its peepholes.

    Returns
    -------
    f_t : ndarray, shape (B, H)
        The gate, in (0, 1).
    """
    return sigmoid(preactivation(x_t, h_prev, W_f, U_f, b_f) + p_f * c_prev)


@equation("eq-peephole-output-gate")
def peephole_output_gate(x_t, h_prev, c_t, W_o, U_o, p_o, b_o):
    r"""Output gate that sees the *new* cell state, equation ``eq-peephole-output-gate``.

    .. math:: o_t = \sigma(W_o x_t + U_o h_{t-1} + p_o \odot c_t + b_o)

    Parameters
    ----------
    x_t, h_prev : ndarray, shapes (B, D), (B, H)
        Input, and hidden state of the previous step.
    c_t : ndarray, shape (B, H)
        Cell state of this step: it is computed before the output gate.
    W_o, U_o, b_o : ndarray, shapes (H, D), (H, H), (H,)
        The gate's weights and bias.
    p_o : ndarray, shape (H,)
        Its peepholes.

    Returns
    -------
    o_t : ndarray, shape (B, H)
        The gate, in (0, 1).
    """
    return sigmoid(preactivation(x_t, h_prev, W_o, U_o, b_o) + p_o * c_t)


@equation(
    "eq-d-peephole-cell",
    d_a_o=r"\bar{a}_{o,t}",
    d_c_from_next=r"\bar{c}_{t+1} \odot f_{t+1}"
    r" + p_i \odot \bar{a}_{i,t+1} + p_f \odot \bar{a}_{f,t+1}",
)
def d_peephole_cell_state(d_c_from_next, d_h_t, o_t, c_t, p_o, d_a_o):
    r"""Whole gradient of a cell state with peepholes, equation ``eq-d-peephole-cell``.

    .. math::

        \begin{aligned}
            \bar{c}_t = {} & \bar{h}_t \odot o_t \odot \left(1 - \tanh^2(c_t)\right)
            + p_o \odot \bar{a}_{o,t} \\
            & + \bar{c}_{t+1} \odot f_{t+1}
            + p_i \odot \bar{a}_{i,t+1} + p_f \odot \bar{a}_{f,t+1}
        \end{aligned}

    Parameters
    ----------
    d_c_from_next : ndarray, shape (B, H)
        The last three terms: what :func:`d_peephole_cell_previous` of the next step returns.
    d_h_t, o_t, c_t : ndarray, shape (B, H)
        Whole gradient of the hidden state; output gate; cell state.
    p_o : ndarray, shape (H,)
        Peepholes of the output gate.
    d_a_o : ndarray, shape (B, H)
        Gradient before the output gate's nonlinearity, of this same step.

    Returns
    -------
    d_c_t : ndarray, shape (B, H)
    """
    return d_h_t * o_t * tanh_derivative(np.tanh(c_t)) + p_o * d_a_o + d_c_from_next


@equation("eq-d-peephole-cell-previous", d_a_i=r"\bar{a}_{i,t}", d_a_f=r"\bar{a}_{f,t}")
def d_peephole_cell_previous(d_c_t, f_t, p_i, d_a_i, p_f, d_a_f):
    r"""Gradient sent back to the previous cell state, equation ``eq-d-peephole-cell-previous``.

    .. math::

        \bar{c}_{t-1} \mathrel{+}= \bar{c}_t \odot f_t
        + p_i \odot \bar{a}_{i,t} + p_f \odot \bar{a}_{f,t}

    Parameters
    ----------
    d_c_t, f_t : ndarray, shape (B, H)
        Whole gradient of the cell state, and forget gate.
    p_i, p_f : ndarray, shape (H,)
        Peepholes of the input gate and the forget gate.
    d_a_i, d_a_f : ndarray, shape (B, H)
        Gradients before their nonlinearities.

    Returns
    -------
    d_c_prev : ndarray, shape (B, H)
        This step's share of ``d_c_prev``.
    """
    return d_c_t * f_t + p_i * d_a_i + p_f * d_a_f


@equation(
    "eq-d-peephole-weights", d_a_i=r"\bar{a}_{i,t}", d_a_f=r"\bar{a}_{f,t}", d_a_o=r"\bar{a}_{o,t}"
)
def d_peephole_weights(d_a_i, d_a_f, d_a_o, c_prev, c_t):
    r"""Gradients of the peepholes from one step, equation ``eq-d-peephole-weights``.

    .. math::

        \begin{aligned}
            \bar{p}_i & \mathrel{+}= \bar{a}_{i,t} \odot c_{t-1}, \\
            \bar{p}_f & \mathrel{+}= \bar{a}_{f,t} \odot c_{t-1}, \\
            \bar{p}_o & \mathrel{+}= \bar{a}_{o,t} \odot c_t
        \end{aligned}

    Parameters
    ----------
    d_a_i, d_a_f, d_a_o : ndarray, shape (B, H)
        Gradients before the three gates' nonlinearities.
    c_prev, c_t : ndarray, shape (B, H)
        Old and new cell state.

    Returns
    -------
    d_p_i, d_p_f, d_p_o : ndarray, shape (H,)
        This step's terms, summed over the batch.
    """
    return (d_a_i * c_prev).sum(axis=0), (d_a_f * c_prev).sum(axis=0), (d_a_o * c_t).sum(axis=0)


# --------------------------------------------------------------- coupled input and forget gates
@equation("eq-coupled-cell-state")
def coupled_cell_state(f_t, c_prev, g_t):
    r"""Cell state with coupled gates: write what you forget, equation ``eq-coupled-cell-state``.

    .. math:: c_t = f_t \odot c_{t-1} + (1 - f_t) \odot g_t

    Parameters
    ----------
    f_t, c_prev, g_t : ndarray, shape (B, H)
        Forget gate, previous cell state, candidate.

    Returns
    -------
    c_t : ndarray, shape (B, H)
        The new cell state: between ``c_prev`` and ``g_t``, unit by unit.
    """
    return f_t * c_prev + (1 - f_t) * g_t


@equation("eq-d-coupled-gate")
def d_coupled_gate(d_c_t, c_prev, g_t):
    r"""Gradient of a coupled forget gate, equation ``eq-d-coupled-gate``.

    .. math:: \bar{f}_t = \bar{c}_t \odot \left( c_{t-1} - g_t \right)

    Parameters
    ----------
    d_c_t, c_prev, g_t : ndarray, shape (B, H)
        Whole gradient of the cell state; previous cell state; candidate.

    Returns
    -------
    d_f_t : ndarray, shape (B, H)
    """
    return d_c_t * (c_prev - g_t)


# ------------------------------------------------------------------------------------ projection
@equation("eq-projection")
def projected_hidden_state(o_t, c_t, W_hr):
    r"""Hidden state behind a projection, equation ``eq-projection``.

    .. math:: h_t = W_{hr} \left( o_t \odot \tanh(c_t) \right)

    Parameters
    ----------
    o_t, c_t : ndarray, shape (B, H)
        Output gate and cell state.
    W_hr : ndarray, shape (P, H)
        The projection, P < H.

    Returns
    -------
    h_t : ndarray, shape (B, P)
        What leaves the cell, and what the gates see at the next step.
    """
    return (o_t * np.tanh(c_t)) @ W_hr.T


@equation("eq-parameter-count-projection", input_size="D", hidden_size="H", proj_size="P")
def parameter_count_projection(input_size, hidden_size, proj_size):
    r"""Number of parameters with a projection, equation ``eq-parameter-count-projection``.

    .. math:: N = 4 \left( H D + H P + 2 H \right) + P H

    Parameters
    ----------
    input_size, hidden_size, proj_size : int
        D, H and P.

    Returns
    -------
    N : int
        With PyTorch's two biases.
    """
    D, H, P = input_size, hidden_size, proj_size
    return 4 * (H * D + H * P + 2 * H) + P * H


@equation("eq-d-projection")
def d_projection(d_h_t, o_t, c_t, W_hr):
    r"""Gradients of a projection from one step, equation ``eq-d-projection``.

    .. math::

        \bar{r}_t = W_{hr}^\top \bar{h}_t, \qquad
        \bar{W}_{hr} \mathrel{+}= \bar{h}_t r_t^\top, \qquad
        r_t = o_t \odot \tanh(c_t)

    Parameters
    ----------
    d_h_t : ndarray, shape (B, P)
        Whole gradient of the projected hidden state.
    o_t, c_t : ndarray, shape (B, H)
        Output gate and cell state.
    W_hr : ndarray, shape (P, H)
        The projection.

    Returns
    -------
    d_r_t, d_W_hr : ndarray, shapes (B, H), (P, H)
        Gradient before the projection, which takes the place of ``d_h_t`` in every other equation
        of the step; and this step's term of the projection's gradient, summed over the batch.
    """
    r_t = o_t * np.tanh(c_t)
    return d_h_t @ W_hr, d_h_t.T @ r_t


# --------------------------------------------------------------------- the 1997 cell, backward
@equation("eq-d-candidate-1997")
def d_candidate_preactivation_1997(d_c_t, i_t, g_t):
    r"""Gradient before the squashing of 1997's candidate, equation ``eq-d-candidate-1997``.

    .. math:: \bar{a}_{g,t} = \bar{c}_t \odot i_t \odot \left( 1 - \tfrac{1}{4} g_t^2 \right)

    Parameters
    ----------
    d_c_t, i_t, g_t : ndarray, shape (B, H)
        Whole gradient of the cell state; input gate; candidate.

    Returns
    -------
    d_a_g_t : ndarray, shape (B, H)
        The g block of ``d_a_t``.
    """
    return d_c_t * i_t * (1 - g_t * g_t / 4)


@equation("eq-d-cell-1997")
def d_cell_state_1997(d_c_next, d_h_t, o_t, c_t):
    r"""Whole gradient of 1997's cell state, equation ``eq-d-cell-1997``.

    .. math::

        \bar{c}_t = \bar{c}_{t+1}
        + \bar{h}_t \odot o_t \odot 2\,\sigma(c_t) \odot \left(1 - \sigma(c_t)\right)

    Parameters
    ----------
    d_c_next : ndarray, shape (B, H)
        ``d_c_t`` of the next step: it arrives unchanged, as the self-connection has weight 1.
    d_h_t, o_t, c_t : ndarray, shape (B, H)
        Gradient of the hidden state; output gate; cell state.

    Returns
    -------
    d_c_t : ndarray, shape (B, H)
    """
    s = sigmoid(c_t)
    return d_c_next + d_h_t * o_t * 2 * s * (1 - s)


@equation("eq-truncated-1997")
def d_recurrent_weights_1997(d_loss, o, c, i, g, h_prev):
    r"""Truncated gradient of the candidate's recurrent weights, equation ``eq-truncated-1997``.

    .. math::

        \begin{aligned}
            \bar{U}_g & = \sum_{k=1}^{T} \operatorname{diag}(e_k) \, E_k, \\
            e_k & = \frac{\partial \ell_k}{\partial h_k} \odot o_k
            \odot 2\,\sigma(c_k) \odot \left(1 - \sigma(c_k)\right), \\
            E_k & = \sum_{t=1}^{k} \left( i_t \odot \left( 1 - \tfrac{1}{4} g_t^2 \right) \right)
            h_{t-1}^\top
        \end{aligned}

    Parameters
    ----------
    d_loss, o, c, i, g, h_prev : ndarray, shape (T, B, H)
        :math:`\partial\ell_t/\partial h_t`, output gates, cell states, input gates, candidates,
        and the hidden state *before* each step.

    Returns
    -------
    d_U_g : ndarray, shape (H, H)
        Without what comes back from the next step's gates; summed over the batch. No step looks
        back: :math:`E_k` is brought up to date.
    """
    s = sigmoid(c)
    entering = d_loss * o * 2 * s * (1 - s)
    terms = (i * (1 - g * g / 4))[..., :, None] * h_prev[..., None, :]
    return (entering[..., None] * np.cumsum(terms, axis=0)).sum(axis=(0, 1))
