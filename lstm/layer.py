"""Whole sequences: layers, directions, lengths and dropout around a scan, and ``LSTM`` itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from lstm import checks, scan
from lstm.arguments import RecurrentArguments
from lstm.module import Backward, Module, Parameter, Rng, dropout_mask, once, uniform

State = tuple[np.ndarray, ...]
Weights = Mapping[str, np.ndarray]


class RecurrentLayer(RecurrentArguments, Module):
    """Whatever whole sequences need around one recurrent step, the same for every kind of step.

    To make a layer of your own, say how one direction of one layer runs over time (:meth:`scan`,
    :meth:`scan_backward`), and, where they are not those of the LSTM, which blocks its weights and
    which states it has (:class:`lstm.arguments.RecurrentArguments`). Arguments and attributes are
    those of :class:`LSTM`. If it can be written as a step, :class:`lstm.variants.StepwiseLayer`
    asks for less.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        dtype: DTypeLike = np.float32,
        rng: Rng = None,
    ) -> None:
        self.set_arguments(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
        )
        dtype, self.rng = checks.float_dtype(dtype), checks.generator(rng)
        for name, shape in self.named_shapes().items():
            setattr(self, name, uniform(self.rng, self.hidden_size**-0.5, shape, dtype))

    # --- what a subclass says -----------------------------------------------------------------

    def scan(
        self,
        weights: Weights,
        x: np.ndarray,
        state: State,
        lengths: np.ndarray | None = None,
        reverse: bool = False,
        keep: bool = True,
    ) -> tuple[np.ndarray, State, Any]:
        """Run one direction of one layer.

        Parameters
        ----------
        weights : mapping of str to ndarray
            The values of :meth:`parameter_shapes`.
        x : ndarray, shape (T, B, input size of this layer)
            Input. Nothing may be read behind the end of a sequence.
        state : tuple of ndarray, each of shape (B, width)
            Initial states, not to be changed.
        lengths : ndarray of int, shape (B,), or None
            How many steps each sequence has, in any order; None: all have T.
        reverse : bool
            Whether each sequence runs from its last step to its first.
        keep : bool
            Whether to return a tape for :meth:`scan_backward`; None otherwise.

        Returns
        -------
        output : ndarray, shape (T, B, width of the first state)
            Zero behind the end of a sequence.
        state : tuple of ndarray, each of shape (B, width)
            Final states.
        tape : object
            All that the backward pass needs, with nothing in it that the caller can change.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define scan")

    def scan_backward(
        self, tape: Any, d_output: np.ndarray | None, d_state: State
    ) -> tuple[np.ndarray, State, dict[str, np.ndarray]]:
        """Differentiate one direction of one layer.

        Parameters
        ----------
        tape : object
            From :meth:`scan`; it may be used up.
        d_output : ndarray, shape (T, B, width of the first state), or None for zeros
            Gradient of the output; not to be changed, nor read behind the end of a sequence.
        d_state : tuple of ndarray, each of shape (B, width)
            Gradients of the final states, not to be changed.

        Returns
        -------
        d_x : ndarray, shape (T, B, input size of this layer)
            Zero behind the end of a sequence.
        d_state : tuple of ndarray, each of shape (B, width)
            Gradients of the initial states.
        gradients : dict of str to ndarray
            Those of the parameters, by the names of :meth:`parameter_shapes`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define scan_backward")

    # --- the same for all ---------------------------------------------------------------------

    @property
    def dtype(self) -> np.dtype:
        """Data type of the parameters; input and states must have the same."""
        return next(value.dtype for value in vars(self).values() if isinstance(value, Parameter))

    def forward(
        self,
        input: ArrayLike,
        hx: State | np.ndarray | None = None,
        lengths: ArrayLike | None = None,
    ) -> tuple[np.ndarray, State | np.ndarray]:
        """Run over whole sequences; arguments and results are described in :class:`LSTM`."""
        x, states, lengths, batch = self._check(input, hx, lengths)
        output, finals, _ = self._run(x, states, lengths, keep=False)
        return self._as_given(output, finals, batch)

    def vjp(
        self,
        input: ArrayLike,
        hx: State | np.ndarray | None = None,
        lengths: ArrayLike | None = None,
    ) -> tuple[tuple[np.ndarray, State | np.ndarray], Backward]:
        """Do the same; ``backward`` is described in :class:`LSTM`."""
        x, states, lengths, batch = self._check(input, hx, lengths)
        output, finals, tape = self._run(x, states, lengths, keep=True)
        results = self._as_given(output, finals, batch)
        dtype, shape = x.dtype, results[0].shape

        @once
        def backward(
            d_output: ArrayLike | None, d_state: State | np.ndarray | None = None
        ) -> tuple[np.ndarray, State | np.ndarray]:
            d_states = self._states(d_state, batch, dtype, gradient=True)
            if d_output is not None:
                d_output = checks.array("d_output", d_output, dtype, shape)
                d_output = self._steps_first(d_output)
            return self._as_given(*self._run_backward(tape, d_output, d_states), batch)

        return results, backward

    def _run(
        self, below: np.ndarray, states: list[np.ndarray], lengths: np.ndarray | None, keep: bool
    ) -> tuple[np.ndarray, list[np.ndarray], list]:
        """Run all layers over (T, B, D); return output, final states, and a tape of all scans."""
        finals, tape = [np.empty_like(array) for array in states], []
        for layer in range(self.num_layers):
            mask = None
            if layer and self.training and self.dropout:
                mask = dropout_mask(self.rng, below.shape, self.dropout, below.dtype)
                below = below * mask
            outputs, scans = [], []
            for direction, suffix in enumerate(self.suffixes(layer)):
                k = layer * self.num_directions + direction
                names = self.parameter_shapes(self.input_size)
                parameters = {name: getattr(self, name + suffix) for name in names}
                weights = {name: parameter.data for name, parameter in parameters.items()}
                initial = tuple(array[k] for array in states)
                output, final, scan_tape = self.scan(
                    weights, below, initial, lengths, direction == 1, keep
                )
                for array, value in zip(finals, final, strict=True):
                    array[k] = value
                outputs.append(output)
                scans.append((scan_tape, parameters))
            below = outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=-1)
            tape.append((mask, scans))
        return below, finals, tape

    def _run_backward(
        self, tape: list, d_output: np.ndarray | None, d_states: list[np.ndarray]
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Run back through all layers; the tape is used up."""
        d_initials = [np.empty_like(array) for array in d_states]
        width = self.output_size // self.num_directions
        for layer in reversed(range(self.num_layers)):
            mask, scans = tape.pop()
            d_below = 0
            for direction, (scan_tape, parameters) in enumerate(scans):
                k = layer * self.num_directions + direction
                own = slice(direction * width, (direction + 1) * width)
                d_own = None if d_output is None else d_output[..., own]
                d_final = tuple(array[k] for array in d_states)
                d_x, d_initial, gradients = self.scan_backward(scan_tape, d_own, d_final)
                for array, value in zip(d_initials, d_initial, strict=True):
                    array[k] = value
                for name, gradient in gradients.items():
                    parameters[name].accumulate(gradient)
                d_below = d_x + d_below if direction else d_x
            d_output = d_below if mask is None else d_below * mask
        return d_output, d_initials

    # --- arguments and layouts ----------------------------------------------------------------

    def _check(self, input: ArrayLike, hx: Any, lengths: ArrayLike | None) -> tuple:
        x = checks.array("input", input, self.dtype)
        steps, batch = self.check_input(x.shape)
        lengths = self.check_lengths(lengths, steps, batch)
        return self._steps_first(x), self._states(hx, batch, x.dtype), lengths, batch

    def _states(
        self, hx: Any, batch: int | None, dtype: np.dtype, *, gradient: bool = False
    ) -> list[np.ndarray]:
        """Return the states as arrays (L · directions, B, width); zeros where there are none."""
        states = [
            np.zeros(shape, dtype) if value is None else checks.array(name, value, dtype, shape)
            for name, value, shape in self.check_state(hx, batch, gradient=gradient)
        ]
        return [array[:, None] for array in states] if batch is None else states

    def _steps_first(self, array: np.ndarray) -> np.ndarray:
        """View the caller's (T, B, ·), (B, T, ·) or (T, ·) as (T, B, ·)."""
        if array.ndim == 2:
            return array[:, None]
        return array.swapaxes(0, 1) if self.batch_first else array

    def _as_given(
        self, array: np.ndarray, states: list[np.ndarray], batch: int | None
    ) -> tuple[np.ndarray, State | np.ndarray]:
        """View (T, B, ·) and states in the caller's layout; one state alone is no tuple."""
        if batch is None:
            array, states = array[:, 0], [state[:, 0] for state in states]
        elif self.batch_first:
            array = array.swapaxes(0, 1)
        return array, tuple(states) if len(states) > 1 else states[0]


class LSTM(RecurrentLayer):
    r"""Long short-term memory over whole sequences, with the semantics of ``torch.nn.LSTM``.

    Each layer computes, for every step t (equations ``eq-preactivation`` to ``eq-hidden-state``),

    .. math::

        a_t &= W x_t + U h_{t-1} + b, \qquad
        i_t, f_t, o_t = \sigma(\cdot), \quad g_t = \tanh(\cdot) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t, \qquad h_t = o_t \odot \tanh(c_t)

    and, with ``proj_size``, :math:`h_t = W_{hr} (o_t \odot \tanh(c_t))` (Sak, Senior and Beaufays,
    2014).

    Parameters
    ----------
    input_size, hidden_size : int
        Sizes D and H.
    num_layers : int
        Number L of layers; each takes the output of the one below.
    bias : bool
        Whether a step adds its two biases.
    batch_first : bool
        Whether input and output are (B, T, ·) instead of (T, B, ·). States are not affected.
    dropout : float
        Probability, in training, of setting an output of any layer but the last to zero.
    bidirectional : bool
        Whether a second direction runs from the end to the start; outputs are concatenated.
    proj_size : int
        Size P < H to which the hidden state is projected; 0 for no projection (then P = H below).
    dtype : dtype
        float32 or float64.
    rng : Generator, int or None
        Source of the initial weights, uniform in :math:`\pm 1/\sqrt{H}`, and of the dropout.

    Attributes
    ----------
    weight_ih_l0 : Parameter, shape (4H, D)
        Input weights W of layer 0, gate order i, f, g, o; D is (directions · P) in layers above.
    weight_hh_l0 : Parameter, shape (4H, P)
        Recurrent weights U.
    bias_ih_l0, bias_hh_l0 : Parameter, shape (4H,)
        Two biases whose sum is b.
    weight_hr_l0 : Parameter, shape (P, H)
        Projection, with ``proj_size`` only.
    weight_ih_l0_reverse, ... : Parameter
        The same for the second direction.

    Notes
    -----
    ``output, (h_n, c_n) = layer(input, (h_0, c_0), lengths=None)``

    input : (T, B, D), with ``batch_first`` (B, T, D), or one sequence (T, D)
        Of the layer's dtype.
    h_0, c_0 : (L · directions, B, P) and (L · directions, B, H); without B for one sequence
        Initial states, zero if absent; layer 0 forward, layer 0 reverse, layer 1 forward, ...
    lengths : (B,) integers in [1, T], optional
        How many steps of each sequence count, in any order. The rest of ``input`` is never read.
    output : as input, with directions · P features
        Hidden states of the last layer; zero behind the end of a sequence. It always has T steps,
        like ``pad_packed_sequence(..., total_length=T)``, also if every sequence is shorter.
    h_n, c_n : as h_0, c_0
        States after each sequence's own last step; of the reverse direction after its first step.

    ``(output, (h_n, c_n)), backward = layer.vjp(input, (h_0, c_0), lengths=None)``

    gives the derivative of this call too: ``d_x, (d_h_0, d_c_0) = backward(d_output, (d_h_n,
    d_c_n))`` takes the gradients of the loss with respect to the results, None for zeros, returns
    those with respect to the arguments, and adds those of the parameters to their ``grad``, once.
    Inputs and weights may be changed in between: those of the call count. ``layer.backward`` is
    that of the last ``layer(...)`` in training mode.

    Raises
    ------
    ValueError
        If an argument does not fit; the message says which, what it got and what it wanted.
    RuntimeError
        If ``backward`` is called before a call in training mode, or twice after one.

    Examples
    --------
    >>> layer = lstm.LSTM(10, 20, num_layers=2, rng=0)
    >>> x = np.zeros((5, 3, 10), np.float32)
    >>> output, (h_n, c_n) = layer(x, lengths=[5, 2, 4])
    >>> output.shape, h_n.shape
    ((5, 3, 20), (2, 3, 20))
    >>> d_x, _ = layer.backward(np.ones_like(output))
    >>> d_x.shape
    (5, 3, 10)
    """

    def scan(self, weights, x, state, lengths=None, reverse=False, keep=True):
        """Run one direction of one layer with :mod:`lstm.scan`."""
        return scan.forward(weights, x, state, lengths, reverse, keep)

    def scan_backward(self, tape, d_output, d_state):
        """Differentiate it."""
        return scan.backward(tape, d_output, d_state)
