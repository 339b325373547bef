"""Whole sequences: layers, directions, lengths and dropout around a step, and ``LSTM`` itself."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from lstm import checks, kernel
from lstm.module import Module, Parameter, Rng, dropout_mask

State = tuple[np.ndarray, ...]
Weights = Mapping[str, np.ndarray]


class Rows(NamedTuple):
    """How the sequences of a batch are arranged while they run: the longest first.

    Then the sequences that are still running at step t are the first ``batch_sizes[t]`` rows, and
    no step computes anything for a sequence that has ended.
    """

    batch_sizes: Sequence[int]
    """Number of running sequences at each step; as many steps as the longest sequence has."""
    order: np.ndarray | None
    """Row k runs sequence ``order[k]``; None when the caller's order will do."""

    @classmethod
    def arrange(cls, lengths: np.ndarray | None, steps: int, batch: int) -> Rows:
        """Sort a batch by ``lengths``, or keep it as it is when every sequence has ``steps``."""
        if lengths is None or (lengths == steps).all():
            return cls([batch] * steps, None)
        order = np.argsort(-lengths, kind="stable")
        ended = np.bincount(lengths, minlength=lengths.max() + 1)[:-1].cumsum()
        return cls((batch - ended).tolist(), order)

    def sort(self, array: np.ndarray) -> np.ndarray:
        """Bring axis 1 from the caller's order into the running order."""
        return array if self.order is None else array[:, self.order]

    def restore(self, array: np.ndarray) -> np.ndarray:
        """Bring axis 1 back into the caller's order."""
        return array if self.order is None else array[:, np.argsort(self.order)]

    def restore_steps(self, array: np.ndarray, steps: int) -> np.ndarray:
        """Do the same to (T, B, ·), with zeros for the steps that no sequence has."""
        if self.order is None:
            return array
        padded = np.zeros((steps, *array.shape[1:]), array.dtype)
        padded[: len(array), self.order] = array
        return padded


class RecurrentLayer(Module):
    """Whatever whole sequences need around one recurrent step, the same for every kind of step.

    A subclass says which parameters one direction of one layer has (:meth:`_parameter_shapes`),
    how wide its states are (:meth:`_state_sizes`), and how one direction runs over time
    (:meth:`_scan`, :meth:`_scan_backward`). Arguments and attributes are those of :class:`LSTM`.
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
        self.input_size = checks.positive_int("input_size", input_size)
        self.hidden_size = checks.positive_int("hidden_size", hidden_size)
        self.num_layers = checks.positive_int("num_layers", num_layers)
        self.bias = checks.boolean("bias", bias)
        self.batch_first = checks.boolean("batch_first", batch_first)
        self.dropout = checks.probability("dropout", dropout)
        self.bidirectional = checks.boolean("bidirectional", bidirectional)
        self.proj_size = checks.positive_int("proj_size", proj_size, minimum=0)
        if self.proj_size >= self.hidden_size:
            raise ValueError(
                f"proj_size must be smaller than hidden_size = {self.hidden_size}, got {proj_size}"
            )
        if self.dropout > 0 and self.num_layers == 1:
            warnings.warn(
                "dropout acts between layers, so it does nothing here: "
                f"got dropout={dropout} with num_layers=1",
                stacklevel=2,
            )
        self._pool = kernel.Pool()
        dtype, self.rng = checks.float_dtype(dtype), np.random.default_rng(rng)
        bound = self.hidden_size**-0.5
        for layer in range(self.num_layers):
            width = self.output_size if layer else self.input_size
            for suffix in self._suffixes(layer):
                for name, shape in self._parameter_shapes(width).items():
                    values = self.rng.uniform(-bound, bound, shape).astype(dtype)
                    setattr(self, name + suffix, Parameter(values))

    # --- what a subclass says -----------------------------------------------------------------

    def _parameter_shapes(self, input_size: int) -> dict[str, tuple[int, ...]]:
        """Return name → shape of the parameters of one direction, in the order of PyTorch."""
        raise TypeError(f"{type(self).__name__} does not define _parameter_shapes")

    def _state_sizes(self) -> dict[str, int]:
        """Return name → width of each state; the first is what the layer above sees."""
        raise TypeError(f"{type(self).__name__} does not define _state_sizes")

    def _scan(
        self,
        weights: Weights,
        x: np.ndarray,
        state: State,
        batch_sizes: Sequence[int],
        reverse: bool,
        keep: bool,
    ) -> tuple[np.ndarray, State, Any]:
        """Run one direction of one layer.

        Parameters
        ----------
        weights : mapping of str to ndarray
            The values of :meth:`_parameter_shapes`.
        x : ndarray, shape (T, B, input size of this layer)
            Input, longest sequence first. Nothing may be read behind the end of a sequence.
        state : tuple of ndarray, each of shape (B, width)
            Initial states, not to be changed.
        batch_sizes : sequence of T ints
            At step t the first ``batch_sizes[t]`` rows take part, the others keep their state.
        reverse : bool
            Whether to go through the steps from the last to the first.
        keep : bool
            Whether to return a tape for :meth:`_scan_backward`; None otherwise.

        Returns
        -------
        output : ndarray, shape (T, B, width of the first state)
            Zero behind the end of a sequence.
        state : tuple of ndarray, each of shape (B, width)
            Final states.
        tape : object
            All that the backward pass needs, with nothing in it that the caller can change.
        """
        raise TypeError(f"{type(self).__name__} does not define _scan")

    def _scan_backward(
        self, tape: Any, d_output: np.ndarray | None, d_state: State
    ) -> tuple[np.ndarray, State, dict[str, np.ndarray]]:
        """Differentiate one direction of one layer.

        Parameters
        ----------
        tape : object
            From :meth:`_scan`; it may be used up.
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
            Those of the parameters, by the names of :meth:`_parameter_shapes`.
        """
        raise TypeError(f"{type(self).__name__} does not define _scan_backward")

    # --- names and sizes ----------------------------------------------------------------------

    @property
    def num_directions(self) -> int:
        """2 if bidirectional, else 1."""
        return 2 if self.bidirectional else 1

    @property
    def output_size(self) -> int:
        """Width of the output, which is the first state's, once for each direction."""
        return self.num_directions * next(iter(self._state_sizes().values()))

    @property
    def dtype(self) -> np.dtype:
        """Data type of the parameters; input and states must have the same."""
        return next(self.parameters()).dtype

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: self.num_directions]

    def _weights(self, suffix: str) -> dict[str, np.ndarray]:
        names = self._parameter_shapes(self.input_size)
        return {name: getattr(self, name + suffix).data for name in names}

    def __getstate__(self) -> dict[str, Any]:
        """Return what copies and pickles hold: not what ``backward`` needs."""
        return {name: value for name, value in vars(self).items() if name != "_saved"}

    # --- forward ------------------------------------------------------------------------------

    def forward(
        self,
        x: ArrayLike,
        state: State | np.ndarray | None = None,
        lengths: ArrayLike | None = None,
    ) -> tuple[np.ndarray, State | np.ndarray]:
        """Run over whole sequences; arguments and results are described in :class:`LSTM`."""
        x = self._check_input(x)
        batched = x.ndim == 3
        steps_first = self._steps_first(x)
        steps, batch, _ = steps_first.shape
        rows = Rows.arrange(self._check_lengths(lengths, steps, batch, batched), steps, batch)
        states = self._check_state("state", "_0", state, batch, batched)

        below = rows.sort(steps_first[: len(rows.batch_sizes)])
        states = [rows.sort(array) for array in states]
        output, final_states, tape = self._run_layers(below, states, rows.batch_sizes)
        if self.training:
            self._saved = [tape, rows, x.shape]

        output = self._as_given(rows.restore_steps(output, steps), batched)
        final_states = [rows.restore(array) for array in final_states]
        return output, self._pack_state(final_states, batched)

    def _run_layers(
        self, below: np.ndarray, states: Sequence[np.ndarray], batch_sizes: Sequence[int]
    ) -> tuple[np.ndarray, list[np.ndarray], list]:
        final_states = [np.empty_like(array) for array in states]
        tape = []
        for layer in range(self.num_layers):
            mask = None
            if layer and self.training and self.dropout:
                mask = dropout_mask(self.rng, below.shape, self.dropout, below.dtype)
                below = below * mask
            outputs, tapes = [], []
            for direction, suffix in enumerate(self._suffixes(layer)):
                k = layer * self.num_directions + direction
                initial = tuple(array[k] for array in states)
                output, final, one_tape = self._scan(
                    self._weights(suffix),
                    below,
                    initial,
                    batch_sizes,
                    direction == 1,
                    self.training,
                )
                for array, value in zip(final_states, final, strict=True):
                    array[k] = value
                outputs.append(output)
                tapes.append(one_tape)
            below = outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=-1)
            tape.append((mask, tapes))
        return below, final_states, tape

    # --- backward -----------------------------------------------------------------------------

    def backward(
        self, d_output: ArrayLike | None, d_state: State | np.ndarray | None = None
    ) -> tuple[np.ndarray, State | np.ndarray]:
        """Differentiate the last forward pass; described in :class:`LSTM`."""
        saved = self._take_saved()
        tape, rows, shape = saved
        if tape is None:
            raise RuntimeError(
                f"{type(self).__name__}.backward was called twice: the first call used up what "
                "forward had kept; run forward again"
            )
        batched = len(shape) == 3
        steps, batch, _ = self._steps_first(np.broadcast_to(np.int8(0), shape)).shape
        d_states = self._check_state("d_state", "_n", d_state, batch, batched)
        if d_output is not None:
            d_output = checks.float_array("d_output", d_output, self.dtype)
            checks.shape("d_output", d_output, (*shape[:-1], self.output_size))
            d_output = rows.sort(self._steps_first(d_output)[: len(rows.batch_sizes)])

        saved[0] = None
        d_states = [rows.sort(array) for array in d_states]
        d_below, d_initial = self._run_layers_backward(tape, d_output, d_states)

        d_x = self._as_given(rows.restore_steps(d_below, steps), batched)
        d_initial = [rows.restore(array) for array in d_initial]
        return d_x, self._pack_state(d_initial, batched)

    def _run_layers_backward(
        self, tape: list, d_output: np.ndarray | None, d_states: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        d_initial = [np.empty_like(array) for array in d_states]
        for layer in reversed(range(self.num_layers)):
            mask, tapes = tape.pop()
            width = self.output_size // self.num_directions
            d_below = 0
            for direction, suffix in enumerate(self._suffixes(layer)):
                k = layer * self.num_directions + direction
                final = tuple(array[k] for array in d_states)
                own = slice(direction * width, (direction + 1) * width)
                d_own = None if d_output is None else d_output[..., own]
                d_x, initial, gradients = self._scan_backward(tapes[direction], d_own, final)
                for array, value in zip(d_initial, initial, strict=True):
                    array[k] = value
                for name, gradient in gradients.items():
                    getattr(self, name + suffix).grad += gradient
                d_below = d_x + d_below if direction else d_x
            d_output = d_below if mask is None else d_below * mask
        return d_output, d_initial

    # --- shapes and checks --------------------------------------------------------------------

    def _steps_first(self, array: np.ndarray) -> np.ndarray:
        """View the caller's (T, B, ·), (B, T, ·) or (T, ·) as (T, B, ·)."""
        if array.ndim == 2:
            return array[:, None]
        return array.swapaxes(0, 1) if self.batch_first else array

    def _as_given(self, array: np.ndarray, batched: bool) -> np.ndarray:
        """View (T, B, ·) in the caller's layout."""
        if not batched:
            return array[:, 0]
        return array.swapaxes(0, 1) if self.batch_first else array

    def _pack_state(self, states: list[np.ndarray], batched: bool) -> State | np.ndarray:
        states = [array if batched else array[:, 0] for array in states]
        return tuple(states) if len(states) > 1 else states[0]

    def _check_input(self, x: ArrayLike) -> np.ndarray:
        x = checks.float_array("x", x, self.dtype)
        if x.ndim not in (2, 3):
            wanted = "(B, T, D)" if self.batch_first else "(T, B, D)"
            raise ValueError(f"x must have shape {wanted} or (T, D), got {x.shape}")
        checks.last_size("x", x, self.input_size)
        if len(self._steps_first(x)) == 0:
            raise ValueError(f"x must have at least one step, got shape {x.shape}")
        return x

    def _check_lengths(
        self, lengths: ArrayLike | None, steps: int, batch: int, batched: bool
    ) -> np.ndarray | None:
        if lengths is None:
            return None
        if not batched:
            raise ValueError(
                f"lengths must be None for a single sequence x (T, D), got {lengths!r}"
            )
        lengths = np.asarray(lengths)
        if not np.issubdtype(lengths.dtype, np.integer):
            raise ValueError(f"lengths must hold integers, got dtype {lengths.dtype}")
        checks.shape("lengths", lengths, (batch,))
        if batch and (lengths.min() < 1 or lengths.max() > steps):
            raise ValueError(
                f"lengths must be in [1, {steps}], got {lengths.min()} to {lengths.max()}"
            )
        return lengths.astype(np.intp)

    def _check_state(
        self, name: str, suffix: str, state: Any, batch: int, batched: bool
    ) -> list[np.ndarray]:
        """Return the states as arrays (L · directions, B, width); zeros where there are none."""
        sizes = self._state_sizes()
        names = [("d_" if name == "d_state" else "") + key + suffix for key in sizes]
        many = self.num_layers * self.num_directions
        if len(sizes) == 1:
            state = (state,)
        elif state is None:
            state = (None,) * len(sizes)
        if not isinstance(state, tuple | list) or len(state) != len(sizes):
            got = (
                f"{len(state)} array(s)"
                if isinstance(state, tuple | list)
                else type(state).__name__
            )
            raise ValueError(f"{name} must be a tuple ({', '.join(names)}), got {got}")
        arrays = []
        for key, value, width in zip(names, state, sizes.values(), strict=True):
            if value is None:
                arrays.append(np.zeros((many, batch, width), self.dtype))
                continue
            value = checks.float_array(key, value, self.dtype)
            checks.shape(key, value, (many, batch, width) if batched else (many, width))
            arrays.append(value if batched else value[:, None])
        return arrays

    def extra_repr(self) -> str:
        """Return the arguments shown by ``repr``, as PyTorch shows them."""
        shown = [str(self.input_size), str(self.hidden_size)]
        defaults = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
        }
        for name, default in defaults.items():
            if getattr(self, name) != default:
                shown.append(f"{name}={getattr(self, name)}")
        return ", ".join(shown)


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
    ``output, (h_n, c_n) = layer(x, (h_0, c_0), lengths=None)``

    x : (T, B, D), with ``batch_first`` (B, T, D), or one sequence (T, D)
        Input, of the layer's dtype. It is copied: you may change it before ``backward``.
    h_0, c_0 : (L · directions, B, P) and (L · directions, B, H); without B for one sequence
        Initial states, zero if absent; layer 0 forward, layer 0 reverse, layer 1 forward, ...
    lengths : (B,) integers in [1, T], optional
        How many steps of each sequence count, in any order. The rest of ``x`` is never read.
    output : as x, with directions · P features
        Hidden states of the last layer; zero behind the end of a sequence. It always has T steps,
        like ``pad_packed_sequence(..., total_length=T)``, also if every sequence is shorter.
    h_n, c_n : as h_0, c_0
        States after each sequence's own last step; of the reverse direction after its first step.

    ``d_x, (d_h_0, d_c_0) = layer.backward(d_output, (d_h_n, d_c_n))``

    takes the gradients of the loss with respect to the results, None for zeros, returns those
    with respect to the arguments, and adds those of the parameters to their ``grad``. One forward
    pass in training mode allows one backward pass. The weights of the forward pass count, also if
    they were changed since.

    Raises
    ------
    ValueError
        If an argument does not fit; the message says which, what it got and what it wanted.
    RuntimeError
        If ``backward`` is called before a forward pass in training mode, or twice after one.

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

    def _parameter_shapes(self, input_size: int) -> dict[str, tuple[int, ...]]:
        H, P = self.hidden_size, self.proj_size or self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (4 * H, input_size),
            "weight_hh": (4 * H, P),
        }
        if self.bias:
            shapes |= {"bias_ih": (4 * H,), "bias_hh": (4 * H,)}
        if self.proj_size:
            shapes["weight_hr"] = (P, H)
        return shapes

    def _state_sizes(self) -> dict[str, int]:
        return {"h": self.proj_size or self.hidden_size, "c": self.hidden_size}

    def _scan(self, weights, x, state, batch_sizes, reverse, keep):
        return kernel.forward(weights, x, state, batch_sizes, reverse, keep, self._pool)

    def _scan_backward(self, tape, d_output, d_state):
        return kernel.backward(tape, d_output, d_state, self._pool)
