"""One step of the LSTM, written as the equations of the book."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from lstm import checks
from lstm import equations as eq
from lstm.module import Module, Parameter, Rng

State = tuple[np.ndarray, np.ndarray]


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
        dtype, rng = checks.float_dtype(dtype), np.random.default_rng(rng)
        bound = self.hidden_size**-0.5

        def uniform(*shape: int) -> Parameter:
            return Parameter(rng.uniform(-bound, bound, shape).astype(dtype))

        self.weight_ih = uniform(4 * hidden_size, input_size)
        self.weight_hh = uniform(4 * hidden_size, hidden_size)
        if self.bias:
            self.bias_ih = uniform(4 * hidden_size)
            self.bias_hh = uniform(4 * hidden_size)

    def forward(self, x: ArrayLike, state: State | None = None) -> State:
        """Compute one step.

        Parameters
        ----------
        x : ndarray, shape (B, D) or (D,)
            Input of this step.
        state : (h, c), each of shape (B, H) or (H,), optional
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
        x = checks.float_array("x", x, self.weight_ih.dtype)
        if x.ndim not in (1, 2):
            raise ValueError(f"x must have shape (B, D) or (D,), got {x.shape}")
        checks.last_size("x", x, self.input_size)
        h_prev, c_prev = self._check_state(x.shape[:-1], state)
        # Copies: what the caller does to its arrays afterwards must not reach backward.
        rows = (np.array(array, ndmin=2) for array in (x, h_prev, c_prev))
        batched = x.ndim == 2
        (h_t, c_t), saved = self._step(*rows)
        if self.training:
            self._saved = batched, *saved
        return (h_t, c_t) if batched else (h_t[0], c_t[0])

    def _check_state(self, batch: tuple[int, ...], state: State | None) -> State:
        wanted = (*batch, self.hidden_size)
        if state is None:
            return (np.zeros(wanted, self.weight_ih.dtype),) * 2
        if not isinstance(state, tuple | list) or len(state) != 2:
            raise ValueError(f"state must be a pair (h, c), got {type(state).__name__}")
        h, c = (
            checks.float_array(name, value, self.weight_ih.dtype)
            for name, value in zip(("h", "c"), state, strict=True)
        )
        checks.shape("h", h, wanted)
        checks.shape("c", c, wanted)
        return h, c

    def _step(
        self, x_t: np.ndarray, h_prev: np.ndarray, c_prev: np.ndarray
    ) -> tuple[State, tuple[np.ndarray, ...]]:
        H = self.hidden_size
        b = self.bias_ih.data + self.bias_hh.data if self.bias else 0
        a_t = eq.preactivation(x_t, h_prev, self.weight_ih.data, self.weight_hh.data, b)
        i_t = eq.sigmoid(a_t[:, :H])
        f_t = eq.sigmoid(a_t[:, H : 2 * H])
        g_t = np.tanh(a_t[:, 2 * H : 3 * H])
        o_t = eq.sigmoid(a_t[:, 3 * H :])
        c_t = eq.cell_state(f_t, c_prev, i_t, g_t)
        h_t = eq.hidden_state(o_t, c_t)
        return (h_t, c_t), (x_t, h_prev, c_prev, i_t, f_t, g_t, o_t, c_t.copy())

    def backward(
        self, d_h: ArrayLike | None, d_c: ArrayLike | None = None
    ) -> tuple[np.ndarray, State]:
        """Differentiate the last step.

        Parameters
        ----------
        d_h, d_c : ndarray, shape (B, H) or (H,)
            Gradients of the loss with respect to the new ``h`` and ``c``; zeros for None.

        Returns
        -------
        d_x : ndarray, shape (B, D) or (D,)
            Gradient of the input.
        (d_h_prev, d_c_prev) : ndarray, shape (B, H) or (H,)
            Gradients of the previous state. Those of the parameters are added to their ``grad``.
        """
        batched, x_t, h_prev, c_prev, i_t, f_t, g_t, o_t, c_t = self._take_saved()
        wanted = c_t.shape if batched else c_t[0].shape
        d_h = self._check_gradient("d_h", d_h, wanted)
        d_c = self._check_gradient("d_c", d_c, wanted)

        d_o_t = eq.d_output_gate(d_h, c_t)
        d_c_t = eq.d_cell_state(d_c, d_h, o_t, c_t)
        d_f_t = eq.d_forget_gate(d_c_t, c_prev)
        d_i_t = eq.d_input_gate(d_c_t, g_t)
        d_g_t = eq.d_candidate(d_c_t, i_t)
        d_a_t = eq.d_preactivation(d_i_t, d_f_t, d_g_t, d_o_t, i_t, f_t, g_t, o_t)

        d_W, d_U, d_b = eq.d_weights(d_a_t, x_t, h_prev)
        self.weight_ih.grad += d_W
        self.weight_hh.grad += d_U
        if self.bias:
            self.bias_ih.grad += d_b
            self.bias_hh.grad += d_b
        d_x, d_h_prev = eq.d_inputs(d_a_t, self.weight_ih.data, self.weight_hh.data)
        d_c_prev = eq.d_cell_previous(d_c_t, f_t)
        gradients = d_x, d_h_prev, d_c_prev
        d_x, d_h_prev, d_c_prev = gradients if batched else (array[0] for array in gradients)
        return d_x, (d_h_prev, d_c_prev)

    def _check_gradient(
        self, name: str, gradient: ArrayLike | None, wanted: tuple[int, ...]
    ) -> np.ndarray:
        if gradient is None:
            gradient = np.zeros(wanted, self.weight_ih.dtype)
        gradient = checks.float_array(name, gradient, self.weight_ih.dtype)
        checks.shape(name, gradient, wanted)
        return np.atleast_2d(gradient)

    def extra_repr(self) -> str:
        """Return the arguments shown by ``repr``."""
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")
