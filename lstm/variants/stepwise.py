"""The loop over time that all relatives of the LSTM share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from lstm.layer import RecurrentLayer, State, Weights
from lstm.module import Rng


class StepwiseLayer(RecurrentLayer):
    """Whole sequences for a step that is written as one function and its derivative.

    The affine maps :math:`W x_t + b_{ih}` and :math:`U h_{t-1} + b_{hh}` are the same in every
    relative, and so are their gradients: they are here. A subclass adds what happens between them
    and the new state (:meth:`_step`, :meth:`_step_backward`), and says how many blocks of H rows
    the weights have (:attr:`blocks`).

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype, rng
        As in :class:`lstm.LSTM`.
    """

    blocks: int
    """Rows of ``weight_ih`` and ``weight_hh``, in units of H."""
    states: tuple[str, ...] = ("h", "c")
    """Names of the states; the first is the output."""
    truncated: bool = False
    """Whether the gradient stops where it would leave the step through ``U``."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: DTypeLike = np.float32,
        rng: Rng = None,
    ) -> None:
        arguments = input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        super().__init__(*arguments, dtype=dtype, rng=rng)

    # --- what a subclass says -----------------------------------------------------------------

    def _step(
        self, weights: Weights, a_x: np.ndarray, a_h: np.ndarray, previous: State
    ) -> tuple[State, tuple]:
        """Compute one step for the n sequences that are running.

        Parameters
        ----------
        weights : mapping of str to ndarray
            The values of :meth:`_parameter_shapes`.
        a_x, a_h : ndarray, shape (n, blocks · H)
            :math:`W x_t + b_{ih}` and :math:`U h_{t-1} + b_{hh}`.
        previous : tuple of ndarray, shape (n, H)
            The states before the step.

        Returns
        -------
        current : tuple of ndarray, shape (n, H)
            The states after the step.
        saved : tuple
            What :meth:`_step_backward` needs besides ``previous``.
        """
        raise TypeError(f"{type(self).__name__} does not define _step")

    def _step_backward(
        self, weights: Weights, previous: State, saved: tuple, d_current: State
    ) -> tuple[np.ndarray, np.ndarray, State, dict[str, np.ndarray]]:
        """Differentiate one step.

        Parameters
        ----------
        weights, previous, saved
            As in :meth:`_step`.
        d_current : tuple of ndarray, shape (n, H)
            Whole gradients of the states after the step.

        Returns
        -------
        d_a_x, d_a_h : ndarray, shape (n, blocks · H)
            Gradients of ``a_x`` and ``a_h``; often the same array.
        d_previous : tuple of ndarray, shape (n, H), or 0
            Gradients of the states before the step, without what comes through ``a_h``.
        gradients : dict of str to ndarray
            Those of parameters other than ``weight_ih``, ``weight_hh`` and their biases.
        """
        raise TypeError(f"{type(self).__name__} does not define _step_backward")

    # --- the same for all ---------------------------------------------------------------------

    def _parameter_shapes(self, input_size: int) -> dict[str, tuple[int, ...]]:
        rows, H = self.blocks * self.hidden_size, self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, input_size),
            "weight_hh": (rows, H),
        }
        return shapes | ({"bias_ih": (rows,), "bias_hh": (rows,)} if self.bias else {})

    def _state_sizes(self) -> dict[str, int]:
        return dict.fromkeys(self.states, self.hidden_size)

    def _scan(self, weights, x, state, batch_sizes, reverse, keep):
        W, U = weights["weight_ih"], weights["weight_hh"]
        b_ih, b_hh = weights.get("bias_ih", 0), weights.get("bias_hh", 0)
        state = tuple(array.copy() for array in state)
        output = np.zeros((*x.shape[:2], self.hidden_size), x.dtype)
        steps = []
        order = range(len(x))
        for t in reversed(order) if reverse else order:
            n = batch_sizes[t]
            previous = tuple(array[:n].copy() for array in state)
            a_x, a_h = x[t, :n] @ W.T + b_ih, previous[0] @ U.T + b_hh
            current, saved = self._step(weights, a_x, a_h, previous)
            for array, value in zip(state, current, strict=True):
                array[:n] = value
            output[t, :n] = current[0]
            if keep:
                steps.append((t, n, previous, saved))
        if not keep:
            return output, state, None
        copies = {name: value.copy() for name, value in weights.items()}
        return output, state, (copies, x.copy(), steps)

    def _scan_backward(self, tape: Any, d_output, d_state):
        weights, x, steps = tape
        W, U = weights["weight_ih"], weights["weight_hh"]
        d_state = tuple(array.copy() for array in d_state)
        d_x = np.zeros_like(x)
        gradients = {name: np.zeros_like(value) for name, value in weights.items()}
        for t, n, previous, saved in reversed(steps):
            d_current = [array[:n] for array in d_state]
            if d_output is not None:
                d_current[0] = d_current[0] + d_output[t, :n]
            d_a_x, d_a_h, d_previous, own = self._step_backward(
                weights, previous, saved, tuple(d_current)
            )
            d_x[t, :n] = d_a_x @ W
            d_through_U = 0 if self.truncated else d_a_h @ U
            for array, value in zip(d_state, d_previous, strict=True):
                array[:n] = value
            d_state[0][:n] += d_through_U

            own |= {"weight_ih": d_a_x.T @ x[t, :n], "weight_hh": d_a_h.T @ previous[0]}
            if "bias_ih" in weights:
                own |= {"bias_ih": d_a_x.sum(axis=0), "bias_hh": d_a_h.sum(axis=0)}
            for name, value in own.items():
                gradients[name] += value
        return d_x, d_state, gradients
