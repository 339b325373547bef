"""The LSTM's derivatives: three rules, one step, the recursion over time."""

from __future__ import annotations

import numpy as np

from lstm.equations.activations import sigmoid_derivative, tanh_derivative
from lstm.equations.registry import equation


# --------------------------------------------------------------------------------- three rules
@equation("eq-rule-elementwise", slope=r"\varphi'(z)")
def rule_elementwise(d_y, slope):
    r"""Chain rule for one function of each entry, equation ``eq-rule-elementwise``.

    .. math::

        y = \varphi(z) \quad\Longrightarrow\quad
        \bar{z} \mathrel{+}= \bar{y} \odot \varphi'(z)

    Parameters
    ----------
    d_y, slope : ndarray, same shape
        Gradient of y, and :math:`\varphi'(z)`.

    Returns
    -------
    d_z : ndarray, same shape
        The term of ``d_z``.
    """
    return d_y * slope


@equation("eq-rule-product")
def rule_product(d_y, u, v):
    r"""Chain rule for an elementwise product, equation ``eq-rule-product``.

    .. math::

        y = u \odot v \quad\Longrightarrow\quad
        \bar{u} \mathrel{+}= \bar{y} \odot v, \qquad \bar{v} \mathrel{+}= \bar{y} \odot u

    Parameters
    ----------
    d_y, u, v : ndarray, same shape
        Gradient of y, and the two factors.

    Returns
    -------
    d_u, d_v : ndarray, same shape
        Their terms.
    """
    return d_y * v, d_y * u


@equation("eq-rule-affine")
def rule_affine(d_y, x, W):
    r"""Chain rule for an affine map, equation ``eq-rule-affine``.

    .. math::

        \begin{aligned}
            y = W x + b \quad\Longrightarrow\quad
            \bar{x} & \mathrel{+}= W^\top \bar{y}, \\
            \bar{W} & \mathrel{+}= \bar{y} x^\top, \\
            \bar{b} & \mathrel{+}= \bar{y}
        \end{aligned}

    Parameters
    ----------
    d_y, x, W : ndarray, shapes (B, K), (B, D), (K, D)
        Gradient of y, input and weights.

    Returns
    -------
    d_x, d_W, d_b : ndarray, shapes (B, D), (K, D), (K,)
        Their terms; those of W and b are summed over the batch.
    """
    return d_y @ W, d_y.T @ x, d_y.sum(axis=0)


# ------------------------------------------------------------------------------------- one step


@equation("eq-d-output-gate")
def d_output_gate(d_h_t, c_t):
    r"""Gradient of the output gate, equation ``eq-d-output-gate``.

    .. math:: \bar{o}_t = \bar{h}_t \odot \tanh(c_t)

    Parameters
    ----------
    d_h_t : ndarray, shape (B, H)
        Whole gradient of the hidden state: from this step's output and from the next step.
    c_t : ndarray, shape (B, H)
        Cell state.

    Returns
    -------
    d_o_t : ndarray, shape (B, H)
    """
    return d_h_t * np.tanh(c_t)


@equation("eq-d-cell-state", d_c_from_next=r"\bar{c}_{t+1} \odot f_{t+1}")
def d_cell_state(d_c_from_next, d_h_t, o_t, c_t):
    r"""Whole gradient of the cell state, equation ``eq-d-cell-state``.

    .. math::

        \bar{c}_t = \bar{c}_{t+1} \odot f_{t+1}
        + \bar{h}_t \odot o_t \odot \left(1 - \tanh^2(c_t)\right)

    Parameters
    ----------
    d_c_from_next : ndarray, shape (B, H)
        What comes back along the cell: :math:`\bar{c}_{t+1} \odot f_{t+1}`
        (:func:`d_cell_previous` of the next step).
    d_h_t, o_t, c_t : ndarray, shape (B, H)
        Whole gradient of the hidden state; output gate; cell state.

    Returns
    -------
    d_c_t : ndarray, shape (B, H)
    """
    return d_c_from_next + d_h_t * o_t * tanh_derivative(np.tanh(c_t))


@equation("eq-d-cell-previous")
def d_cell_previous(d_c_t, f_t):
    r"""Gradient sent back along the cell, equation ``eq-d-cell-previous``.

    .. math:: \bar{c}_{t-1} \mathrel{+}= \bar{c}_t \odot f_t

    Parameters
    ----------
    d_c_t, f_t : ndarray, shape (B, H)
        Whole gradient of the cell state, and forget gate.

    Returns
    -------
    d_c_prev : ndarray, shape (B, H)
        The constant error carousel's share of ``d_c_prev``: no weight, no squashing.
    """
    return d_c_t * f_t


@equation("eq-d-forget-gate")
def d_forget_gate(d_c_t, c_prev):
    r"""Gradient of the forget gate, equation ``eq-d-forget-gate``.

    .. math:: \bar{f}_t = \bar{c}_t \odot c_{t-1}

    Parameters
    ----------
    d_c_t, c_prev : ndarray, shape (B, H)
        Whole gradient of the cell state, and the previous cell state.

    Returns
    -------
    d_f_t : ndarray, shape (B, H)
    """
    return d_c_t * c_prev


@equation("eq-d-input-gate")
def d_input_gate(d_c_t, g_t):
    r"""Gradient of the input gate, equation ``eq-d-input-gate``.

    .. math:: \bar{i}_t = \bar{c}_t \odot g_t

    Parameters
    ----------
    d_c_t, g_t : ndarray, shape (B, H)
        Whole gradient of the cell state, and the candidate.

    Returns
    -------
    d_i_t : ndarray, shape (B, H)
    """
    return d_c_t * g_t


@equation("eq-d-candidate")
def d_candidate(d_c_t, i_t):
    r"""Gradient of the candidate, equation ``eq-d-candidate``.

    .. math:: \bar{g}_t = \bar{c}_t \odot i_t

    Parameters
    ----------
    d_c_t, i_t : ndarray, shape (B, H)
        Whole gradient of the cell state, and the input gate.

    Returns
    -------
    d_g_t : ndarray, shape (B, H)
    """
    return d_c_t * i_t


@equation("eq-d-preactivation")
def d_preactivation(d_i_t, d_f_t, d_g_t, d_o_t, i_t, f_t, g_t, o_t):
    r"""Gradient before the nonlinearities, equation ``eq-d-preactivation``.

    .. math::

        \bar{a}_t = \begin{bmatrix}
            \bar{i}_t \odot i_t \odot (1 - i_t) \\
            \bar{f}_t \odot f_t \odot (1 - f_t) \\
            \bar{g}_t \odot (1 - g_t^2) \\
            \bar{o}_t \odot o_t \odot (1 - o_t)
        \end{bmatrix}

    Parameters
    ----------
    d_i_t, d_f_t, d_g_t, d_o_t : ndarray, shape (B, H)
        Gradients of the gates and of the candidate.
    i_t, f_t, g_t, o_t : ndarray, shape (B, H)
        Their values.

    Returns
    -------
    d_a_t : ndarray, shape (B, 4H)
        In the order i, f, g, o.
    """
    return np.concatenate(
        [
            d_i_t * sigmoid_derivative(i_t),
            d_f_t * sigmoid_derivative(f_t),
            d_g_t * tanh_derivative(g_t),
            d_o_t * sigmoid_derivative(o_t),
        ],
        axis=-1,
    )


@equation("eq-d-weights")
def d_weights(d_a_t, x_t, h_prev):
    r"""Gradients of weights and bias from one step, equation ``eq-d-weights``.

    .. math::

        \bar{W} \mathrel{+}= \bar{a}_t x_t^\top, \qquad
        \bar{U} \mathrel{+}= \bar{a}_t h_{t-1}^\top, \qquad
        \bar{b} \mathrel{+}= \bar{a}_t

    Parameters
    ----------
    d_a_t : ndarray, shape (B, K)
        Gradient before the nonlinearity.
    x_t, h_prev : ndarray, shapes (B, D), (B, H)
        Input, and hidden state of the previous step.

    Returns
    -------
    d_W, d_U, d_b : ndarray, shapes (K, D), (K, H), (K,)
        This step's terms, summed over the batch.
    """
    return d_a_t.T @ x_t, d_a_t.T @ h_prev, d_a_t.sum(axis=0)


@equation("eq-d-inputs")
def d_inputs(d_a_t, W, U):
    r"""Gradients of a step's inputs, equation ``eq-d-inputs``.

    .. math::

        \bar{x}_t = W^\top \bar{a}_t, \qquad
        \bar{h}_{t-1} \mathrel{+}= U^\top \bar{a}_t

    Parameters
    ----------
    d_a_t : ndarray, shape (B, K)
        Gradient before the nonlinearity.
    W, U : ndarray, shapes (K, D), (K, H)
        Input and recurrent weights.

    Returns
    -------
    d_x_t, d_h_prev : ndarray, shapes (B, D), (B, H)
        Gradients of the input, and of the previous hidden state through the gates.
    """
    return d_a_t @ W, d_a_t @ U


@equation("eq-d-two-biases")
def d_two_biases(d_b):
    r"""Gradients of a bias in two parts, equation ``eq-d-two-biases``.

    .. math:: \bar{b}_{ih} = \bar{b}_{hh} = \bar{b}

    Parameters
    ----------
    d_b : ndarray, shape (4H,)
        Gradient of their sum.

    Returns
    -------
    d_b_ih, d_b_hh : ndarray, shape (4H,)
        Twice the same.
    """
    return d_b, d_b


# ------------------------------------------------------------------------------------ over time
@equation("eq-d-hidden-state")
def d_hidden_state(d_loss_t, d_a_next, U):
    r"""Whole gradient of a hidden state, equation ``eq-d-hidden-state``.

    .. math:: \bar{h}_t = \frac{\partial \ell_t}{\partial h_t} + U^\top \bar{a}_{t+1}

    Parameters
    ----------
    d_loss_t : ndarray, shape (B, H)
        What this step's own output says: :math:`\partial \ell_t / \partial h_t`.
    d_a_next : ndarray, shape (B, 4H)
        Gradient before the nonlinearities of the next step; zero at the last step.
    U : ndarray, shape (4H, H)
        Recurrent weights.

    Returns
    -------
    d_h_t : ndarray, shape (B, H)
    """
    return d_loss_t + d_a_next @ U


@equation("eq-d-initial-state")
def d_initial_state(d_a_1, d_c_1, U, f_1):
    r"""Gradients of the initial state, equation ``eq-d-initial-state``.

    .. math:: \bar{h}_0 = U^\top \bar{a}_1, \qquad \bar{c}_0 = \bar{c}_1 \odot f_1

    Parameters
    ----------
    d_a_1, d_c_1 : ndarray, shapes (B, 4H), (B, H)
        Gradients before the nonlinearities, and of the cell state, at the first step.
    U : ndarray, shape (4H, H)
        Recurrent weights.
    f_1 : ndarray, shape (B, H)
        Forget gate of the first step.

    Returns
    -------
    d_h_0, d_c_0 : ndarray, shape (B, H)
        Gradients of the state before the first step.
    """
    return d_a_1 @ U, d_c_1 * f_1


@equation("eq-d-weights-sum")
def d_weights_sum(d_a, x, h_prev):
    r"""Gradients of weights and bias, summed over time, equation ``eq-d-weights-sum``.

    .. math::

        \bar{W} = \sum_{t=1}^{T} \bar{a}_t x_t^\top, \qquad
        \bar{U} = \sum_{t=1}^{T} \bar{a}_t h_{t-1}^\top, \qquad
        \bar{b} = \sum_{t=1}^{T} \bar{a}_t

    Parameters
    ----------
    d_a : ndarray, shape (T, B, 4H)
        Gradients before the nonlinearities.
    x, h_prev : ndarray, shapes (T, B, D), (T, B, H)
        Inputs, and the hidden state *before* each step: ``h_prev[0]`` is :math:`h_0`.

    Returns
    -------
    d_W, d_U, d_b : ndarray, shapes (4H, D), (4H, H), (4H,)
        Sums over time and batch.
    """
    time_and_batch = ([0, 1], [0, 1])
    return (
        np.tensordot(d_a, x, time_and_batch),
        np.tensordot(d_a, h_prev, time_and_batch),
        d_a.sum(axis=(0, 1)),
    )


@equation("eq-bptt-cell")
def bptt_cell(f, d_h, o, c):
    r"""Gradient of a cell state as a sum over the later steps, equation ``eq-bptt-cell``.

    .. math::

        \bar{c}_t = \sum_{k=t}^{T} \left(\prod_{s=t+1}^{k} f_s\right)
        \odot \bar{h}_k \odot o_k \odot \left(1 - \tanh^2(c_k)\right)

    Parameters
    ----------
    f, d_h, o, c : ndarray, shape (T - t + 1, B, H)
        Forget gates, whole gradients of the hidden states, output gates and cell states of the
        steps t to T. (The product and the sum run over the steps because the formula's do.)

    Returns
    -------
    d_c_t : ndarray, shape (B, H)
        That of the first of these steps.
    """
    entering = d_h * o * tanh_derivative(np.tanh(c))
    return sum(np.prod(f[1 : k + 1], axis=0) * entering[k] for k in range(len(f)))


@equation("eq-jacobian-cell-hidden", U=r"\begin{bmatrix} U_i \\ U_f \\ U_g \\ U_o \end{bmatrix}")
def jacobian_cell_hidden(c_prev, i_t, f_t, g_t, U):
    r"""How the cell state depends on the last output, equation ``eq-jacobian-cell-hidden``.

    .. math::

        \begin{aligned}
            K_t = {} & \operatorname{diag}\left(g_t \odot i_t \odot (1 - i_t)\right) U_i \\
            & + \operatorname{diag}\left(c_{t-1} \odot f_t \odot (1 - f_t)\right) U_f \\
            & + \operatorname{diag}\left(i_t \odot (1 - g_t^2)\right) U_g
        \end{aligned}

    Parameters
    ----------
    c_prev, i_t, f_t, g_t : ndarray, shape (..., H)
        Previous cell state, input gate, forget gate, candidate.
    U : ndarray, shape (4H, H)
        Recurrent weights, blocks in the order i, f, g, o.

    Returns
    -------
    K_t : ndarray, shape (..., H, H)
        :math:`K_t = \partial c_t / \partial h_{t-1}`, row j for cell j.
    """
    U_i, U_f, U_g, _ = np.split(U, 4)
    return (
        (g_t * sigmoid_derivative(i_t))[..., None] * U_i
        + (c_prev * sigmoid_derivative(f_t))[..., None] * U_f
        + (i_t * tanh_derivative(g_t))[..., None] * U_g
    )


@equation(
    "eq-jacobian-state",
    "eq-jacobian-cell-hidden",
    U=r"\begin{bmatrix} U_i \\ U_f \\ U_g \\ U_o \end{bmatrix}",
)
def jacobian_state(c_prev, i_t, f_t, g_t, o_t, c_t, U):
    r"""Jacobian of one whole step, equation ``eq-jacobian-state``.

    .. math::

        \begin{aligned}
            J_t = \frac{\partial (c_t, h_t)}{\partial (c_{t-1}, h_{t-1})} &=
            \begin{bmatrix}
                F_t & K_t \\
                S_t F_t & S_t K_t + R_t
            \end{bmatrix}, \\[6pt]
            F_t &= \operatorname{diag}(f_t), \\
            S_t &= \operatorname{diag}\left(o_t \odot (1 - \tanh^2(c_t))\right), \\
            R_t &= \operatorname{diag}\left(\tanh(c_t) \odot o_t \odot (1 - o_t)\right) U_o
        \end{aligned}

    Parameters
    ----------
    c_prev, i_t, f_t, g_t, o_t, c_t : ndarray, shape (..., H)
        Previous cell state, the gates and the candidate, new cell state.
    U : ndarray, shape (4H, H)
        Recurrent weights, blocks in the order i, f, g, o.

    Returns
    -------
    J_t : ndarray, shape (..., 2H, 2H)
        :math:`\frac{\partial (c_t, h_t)}{\partial (c_{t-1}, h_{t-1})}`: in rows and columns
        first the H cell states, then the H hidden states.
    """
    K_t = jacobian_cell_hidden(c_prev, i_t, f_t, g_t, U)
    F_t = f_t[..., None] * np.eye(f_t.shape[-1])
    S_t = (o_t * tanh_derivative(np.tanh(c_t)))[..., None]
    R_t = (np.tanh(c_t) * sigmoid_derivative(o_t))[..., None] * np.split(U, 4)[3]
    return np.block([[F_t, K_t], [S_t * F_t, S_t * K_t + R_t]])
