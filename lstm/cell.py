"""One step of the LSTM, written as the equations of the book."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from lstm import checks
from lstm import equations as eq
from lstm.module import Backward, Module, Rng, once, uniform

State = tuple[np.ndarray, np.ndarray]
Saved = tuple[np.ndarray, ...]


def step(
    x_t: np.ndarray,
    h_prev: np.ndarray,
    c_prev: np.ndarray,
    W: np.ndarray,
    U: np.ndarray,
    b: np.ndarray | float = 0,
) -> tuple[np.ndarray, np.ndarray, Saved]:
    """Compute one step, equations ``eq-preactivation`` to ``eq-hidden-state``.

    Parameters
    ----------
    x_t, h_prev, c_prev : ndarray, shapes (B, D), (B, H), (B, H)
        Input, and the states of the previous step.
    W, U, b : ndarray, shapes (4H, D), (4H, H), (4H,)
        Weights and bias, gate order i, f, g, o.

    Returns
    -------
    h_t, c_t : ndarray, shape (B, H)
        The new hidden and cell state.
    saved : tuple of ndarray
        What :func:`step_backward` needs: inputs, gates and the new cell state.
    """
    a_i, a_f, a_g, a_o = np.split(eq.preactivation(x_t, h_prev, W, U, b), 4, axis=1)
    i_t, f_t, g_t, o_t = eq.sigmoid(a_i), eq.sigmoid(a_f), np.tanh(a_g), eq.sigmoid(a_o)
    c_t = eq.cell_state(f_t, c_prev, i_t, g_t)
    h_t = eq.hidden_state(o_t, c_t)
    return h_t, c_t, (x_t, h_prev, c_prev, i_t, f_t, g_t, o_t, c_t)


def step_backward(saved: Saved, d_h: np.ndarray, d_c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Differentiate one step as far as its preactivations.

    Parameters
    ----------
    saved : tuple of ndarray
        From :func:`step`.
    d_h, d_c : ndarray, shape (B, H)
        Gradients of the loss with respect to the new ``h`` and ``c``.

    Returns
    -------
    d_a_t : ndarray, shape (B, 4H)
        Gradient of the preactivations: all other gradients follow from it, but for
    d_c_prev : ndarray, shape (B, H)
        that of the previous cell state.
    """
    _, _, c_prev, i_t, f_t, g_t, o_t, c_t = saved
    d_o_t = eq.d_output_gate(d_h, c_t)
    d_c_t = eq.d_cell_state(d_c, d_h, o_t, c_t)
    d_f_t = eq.d_forget_gate(d_c_t, c_prev)
    d_i_t = eq.d_input_gate(d_c_t, g_t)
    d_g_t = eq.d_candidate(d_c_t, i_t)
    d_a_t = eq.d_preactivation(d_i_t, d_f_t, d_g_t, d_o_t, i_t, f_t, g_t, o_t)
    return d_a_t, eq.d_cell_previous(d_c_t, f_t)


class LSTMCell(Module):
    r"""One LSTM step with the weights and semantics of ``torch.nn.LSTMCell``.

    Parameters
    ----------
    input_size, hidden_size : int
        Sizes D and H.
    bias : bool
        Whether the step adds its two biases.
    dtype : dtype
        float32 or float64.
    rng : Generator, int or None
        Source of the initial weights, uniform in :math:`\pm 1/\sqrt{H}`.

    Attributes
    ----------
    weight_ih : Parameter, shape (4H, D)
        Input weights W, gate order i, f, g, o.
    weight_hh : Parameter, shape (4H, H)
        Recurrent weights U.
    bias_ih, bias_hh : Parameter, shape (4H,)
        Two biases whose sum is b: two because PyTorch has two.

    Examples
    --------
    Backpropagation through time: a ``backward`` for each step, run from the last to the first.

    >>> cell, hx, passes = lstm.LSTMCell(3, 4, rng=0), None, []
    >>> for x_t in np.zeros((5, 2, 3), np.float32):
    ...     hx, backward = cell.vjp(x_t, hx)
    ...     passes.append(backward)
    >>> d_h, d_c = np.ones((2, 4), np.float32), None
    >>> for backward in reversed(passes):
    ...     d_x_t, (d_h, d_c) = backward(d_h, d_c)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        rng: Rng = None,
    ) -> None:
        self.input_size = checks.positive_int("input_size", input_size)
        self.hidden_size = checks.positive_int("hidden_size", hidden_size)
        self.bias = checks.boolean("bias", bias)
        dtype, rng = checks.float_dtype(dtype), checks.generator(rng)
        bound, rows = self.hidden_size**-0.5, 4 * self.hidden_size
        sizes = {"input_size": self.input_size, "hidden_size": self.hidden_size}
        checks.room(rows * (sum(sizes.values()) + 2), **sizes)
        self.weight_ih = uniform(rng, bound, (rows, self.input_size), dtype)
        self.weight_hh = uniform(rng, bound, (rows, self.hidden_size), dtype)
        if self.bias:
            self.bias_ih = uniform(rng, bound, (rows,), dtype)
            self.bias_hh = uniform(rng, bound, (rows,), dtype)

    @checks.quiet
    def forward(self, input: ArrayLike, hx: State | None = None) -> State:
        """Compute one step.

        Parameters
        ----------
        input : ndarray, shape (B, D) or (D,)
            Input of this step.
        hx : (h, c), each of shape (B, H) or (H,), optional
            Previous hidden and cell state; zeros when absent.

        Returns
        -------
        h, c : ndarray, shape (B, H) or (H,)
            New hidden and cell state.

        Raises
        ------
        ValueError
            If a shape or dtype does not fit.
        """
        batch, *rows = self._check(input, hx)
        W, U, b = self.weight_ih.data, self.weight_hh.data, self._sum_of_biases()
        h_t, c_t, _ = step(*rows, W, U, b)
        return (h_t, c_t) if batch else (h_t[0], c_t[0])

    @checks.quiet
    def vjp(self, input: ArrayLike, hx: State | None = None) -> tuple[State, Backward]:
        """Do the same; ``backward(d_h, d_c=None)`` returns ``d_x, (d_h_prev, d_c_prev)``."""
        batch, *rows = self._check(input, hx)
        # Copies: what is done to the arrays afterwards must not reach backward.
        rows = [array.copy() for array in rows]
        W, U = self.weight_ih.data.copy(), self.weight_hh.data.copy()
        h_t, c_t, saved = step(*rows, W, U, self._sum_of_biases())
        shape = (*batch, self.hidden_size)

        @once
        def backward(d_h: ArrayLike | None, d_c: ArrayLike | None = None) -> tuple:
            d_h, d_c = (
                np.zeros(h_t.shape, W.dtype)
                if value is None
                else checks.array(name, value, W.dtype, shape).reshape(h_t.shape)
                for name, value in (("d_h", d_h), ("d_c", d_c))
            )
            d_a_t, d_c_prev = step_backward(saved, d_h, d_c)
            d_W, d_U, d_b = eq.d_weights(d_a_t, *saved[:2])
            self.weight_ih.accumulate(d_W)
            self.weight_hh.accumulate(d_U)
            if self.bias:
                self.bias_ih.accumulate(d_b)
                self.bias_hh.accumulate(d_b)
            d_x, d_h_prev = eq.d_inputs(d_a_t, W, U)
            if not batch:
                d_x, d_h_prev, d_c_prev = d_x[0], d_h_prev[0], d_c_prev[0]
            return d_x, (d_h_prev, d_c_prev)

        c_t = c_t.copy()  # the caller may change it: what is saved stays
        return (h_t, c_t) if batch else (h_t[0], c_t[0]), backward

    def _check(self, input: ArrayLike, hx: State | None) -> tuple:
        """Return the batch's axis, if any, and ``x, h, c`` with one row for each sequence."""
        x = checks.array("input", input, self.weight_ih.dtype)
        if x.ndim not in (1, 2):
            raise ValueError(f"input must have shape (B, D) or (D,), got {x.shape}")
        checks.last_size("input", x, self.input_size)
        batch, H = x.shape[:-1], self.hidden_size
        if hx is None:
            hx = [*np.zeros((2, *batch, H), x.dtype)]
        h, c = (
            checks.array(name, value, x.dtype, (*batch, H))
            for name, value in zip(("h", "c"), checks.several("hx", hx, "(h, c)"), strict=True)
        )
        return batch, *map(np.atleast_2d, (x, h, c))

    def _sum_of_biases(self) -> np.ndarray | float:
        return self.bias_ih.data + self.bias_hh.data if self.bias else 0

    def extra_repr(self) -> str:
        """Return the arguments shown by ``repr``."""
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")
