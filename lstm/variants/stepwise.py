"""The loop over time that all relatives of the LSTM share."""

from __future__ import annotations

from typing import Any

import numpy as np

from lstm import checks
from lstm.layer import RecurrentLayer, State, Weights


class StepwiseLayer(RecurrentLayer):
    """Whole sequences for a step that is written as one function and its derivative.

    The affine maps :math:`W x_t + b_{ih}` and :math:`U h_{t-1} + b_{hh}` are the same in every
    relative, and so are their gradients: they are here. (Where no gate sees :math:`h_{t-1}` there
    is no ``weight_hh``, and the second is None.) A subclass adds what happens between them and the
    new state (:meth:`step`, :meth:`step_backward`), and says which blocks its weights have
    (:attr:`gates`), which states (:attr:`states`), and, by :meth:`parameter_shapes`, which other
    parameters there are.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype, rng
        As in :class:`lstm.LSTM`.
    """

    can_project = False
    truncated: bool = False
    """Whether the gradient stops where it would leave the step through ``U``."""

    # --- what a subclass says -----------------------------------------------------------------

    def step(
        self, weights: Weights, a_x: np.ndarray, a_h: np.ndarray, previous: State
    ) -> tuple[State, tuple]:
        """Compute one step for the n sequences that are running.

        Parameters
        ----------
        weights : mapping of str to ndarray
            The values of :meth:`parameter_shapes`.
        a_x, a_h : ndarray, shape (n, gates · H)
            :math:`W x_t + b_{ih}` and :math:`U h_{t-1} + b_{hh}`; the latter None without U.
        previous : tuple of ndarray, shape (n, H)
            The states before the step.

        Returns
        -------
        current : tuple of ndarray, shape (n, H)
            The states after the step.
        saved : tuple
            What :meth:`step_backward` needs besides ``previous``.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define step")

    def step_backward(
        self, weights: Weights, previous: State, saved: tuple, d_current: State
    ) -> tuple[np.ndarray, np.ndarray, State, dict[str, np.ndarray]]:
        """Differentiate one step.

        Parameters
        ----------
        weights, previous, saved
            As in :meth:`step`.
        d_current : tuple of ndarray, shape (n, H)
            Whole gradients of the states after the step.

        Returns
        -------
        d_a_x, d_a_h : ndarray, shape (n, gates · H)
            Gradients of ``a_x`` and ``a_h``; often the same array.
        d_previous : tuple of ndarray, shape (n, H), or 0
            Gradients of the states before the step, without what comes through ``a_h``.
        gradients : dict of str to ndarray
            Those of parameters other than ``weight_ih``, ``weight_hh`` and their biases.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define step_backward")

    # --- the same for all ---------------------------------------------------------------------

    @checks.quiet
    def scan(self, weights, x, state, lengths=None, reverse=False, keep=True):
        """Run one direction of one layer, step by step."""
        W, U = weights["weight_ih"], weights.get("weight_hh")
        b_ih, b_hh = weights.get("bias_ih", 0), weights.get("bias_hh", 0)
        state = tuple(array.copy() for array in state)
        output = np.zeros((*x.shape[:2], self.hidden_size), x.dtype)
        steps, order = [], range(len(x))
        for t in reversed(order) if reverse else order:
            rows = slice(None) if lengths is None else np.flatnonzero(t < lengths)
            previous = tuple(array[rows].copy() for array in state)
            a_x = x[t, rows] @ W.T + b_ih
            a_h = None if U is None else previous[0] @ U.T + b_hh
            current, saved = self.step(weights, a_x, a_h, previous)
            for array, value in zip(state, current, strict=True):
                array[rows] = value
            output[t, rows] = current[0]
            if keep:
                steps.append((t, rows, previous, saved))
        if not keep:
            return output, state, None
        copies = {name: value.copy() for name, value in weights.items()}
        return output, state, (copies, x.copy(), steps)

    @checks.quiet
    def scan_backward(self, tape: Any, d_output, d_state):
        """Differentiate it, step by step from the last."""
        weights, x, steps = tape
        W, U = weights["weight_ih"], weights.get("weight_hh")
        d_state = tuple(array.copy() for array in d_state)
        d_x = np.zeros_like(x)
        gradients = {name: np.zeros_like(value) for name, value in weights.items()}
        for t, rows, previous, saved in reversed(steps):
            d_current = [array[rows] for array in d_state]
            if d_output is not None:
                d_current[0] = d_current[0] + d_output[t, rows]
            d_a_x, d_a_h, d_previous, own = self.step_backward(
                weights, previous, saved, tuple(d_current)
            )
            d_x[t, rows] = d_a_x @ W
            for array, value in zip(d_state, d_previous, strict=True):
                array[rows] = value
            if U is not None and not self.truncated:
                d_state[0][rows] += d_a_h @ U

            own["weight_ih"], own["bias_ih"] = d_a_x.T @ x[t, rows], d_a_x.sum(axis=0)
            if U is not None:
                own["weight_hh"], own["bias_hh"] = d_a_h.T @ previous[0], d_a_h.sum(axis=0)
            for name in weights:
                gradients[name] += own[name]
        return d_x, d_state, gradients
