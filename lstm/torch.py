"""The same LSTM as a ``torch.nn.Module``, in two forms, and conversion both ways (chapter 10).

:class:`LSTM` is a loop over time that autograd differentiates; :class:`NumpyLSTM` hands both the
forward and the backward pass to :class:`lstm.LSTM`. Either can stand where ``torch.nn.LSTM`` stood:
same arguments, parameter names, initial values for a seed, state dict, and results.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import lstm
from lstm import checks

State = tuple[Tensor, Tensor]
Lengths = Sequence[int] | np.ndarray | Tensor


class LSTM(nn.Module):
    """Long short-term memory from scratch, interchangeable with ``torch.nn.LSTM``.

    Arguments and parameters are those of ``torch.nn.LSTM``; :class:`lstm.LSTM` describes them.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size
        As in :class:`lstm.LSTM`.
    device, dtype
        Of the parameters, as in every PyTorch module.

    Notes
    -----
    ``output, (h_n, c_n) = layer(input, (h_0, c_0), lengths=None)``

    input : Tensor (T, B, D), with ``batch_first`` (B, T, D), or one sequence (T, D); PackedSequence
        A packed input gives a packed output.
    h_0, c_0 : Tensor (L · directions, B, P) and (L · directions, B, H); without B for one sequence
        Initial states, zero if absent.
    lengths : (B,) integers in [1, T], optional
        How many steps of each sequence count, in any order: the same as packing the input and
        padding the output again to T steps.

    Raises
    ------
    ValueError
        If an argument does not fit; the message says which, what it got and what it wanted.

    Examples
    --------
    >>> layer = lstm.torch.LSTM(10, 20, num_layers=2)
    >>> output, (h_n, c_n) = layer(torch.zeros(5, 3, 10), lengths=[5, 2, 4])
    >>> output.shape, h_n.shape
    (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]))
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
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.input_size = checks.positive_int("input_size", input_size)
        self.hidden_size = checks.positive_int("hidden_size", hidden_size)
        self.num_layers = checks.positive_int("num_layers", num_layers)
        self.bias = checks.boolean("bias", bias)
        self.batch_first = checks.boolean("batch_first", batch_first)
        self.dropout = checks.number("dropout", dropout, "[0, 1]")
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
        for suffix, width in self._directions():
            for name, shape in self._parameter_shapes(width).items():
                empty = torch.empty(shape, device=device, dtype=dtype)
                self.register_parameter(name + suffix, nn.Parameter(empty))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        r"""Draw every parameter uniformly in :math:`\pm 1/\sqrt{H}`, in the order of PyTorch."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """Do nothing: code written for ``torch.nn.LSTM`` may call it, for cuDNN's sake."""

    # --- names and sizes ----------------------------------------------------------------------

    @property
    def num_directions(self) -> int:
        """2 if bidirectional, else 1."""
        return 2 if self.bidirectional else 1

    @property
    def state_sizes(self) -> tuple[int, int]:
        """Widths of the hidden state (P) and of the cell state (H)."""
        return self.proj_size or self.hidden_size, self.hidden_size

    def _directions(self) -> list[tuple[str, int]]:
        """Return the suffix and the input size of every direction of every layer, in order."""
        above = self.num_directions * self.state_sizes[0]
        return [
            (f"_l{layer}{direction}", above if layer else self.input_size)
            for layer in range(self.num_layers)
            for direction in ("", "_reverse")[: self.num_directions]
        ]

    def _parameter_shapes(self, width: int) -> dict[str, tuple[int, ...]]:
        P, H = self.state_sizes
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (4 * H, width), "weight_hh": (4 * H, P)}
        if self.bias:
            shapes |= {"bias_ih": (4 * H,), "bias_hh": (4 * H,)}
        if self.proj_size:
            shapes["weight_hr"] = (P, H)
        return shapes

    # --- forward ------------------------------------------------------------------------------

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: State | None = None,
        lengths: Lengths | None = None,
    ) -> tuple[Tensor | PackedSequence, State]:
        """Run over whole sequences; arguments and results are described in the class."""
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx, lengths)
        self._check_input(input)
        batched = input.dim() == 3
        x = input if batched else input.unsqueeze(1)
        if batched and self.batch_first:
            x = x.transpose(0, 1)
        steps, batch, _ = x.shape
        lengths = self._check_lengths(lengths, steps, batch, batched)
        states = self._check_state(hx, batch, batched)

        output, states = self._run(x, states, lengths)
        if not batched:
            return output.squeeze(1), tuple(state.squeeze(1) for state in states)
        return output.transpose(0, 1) if self.batch_first else output, states

    def _forward_packed(
        self, packed: PackedSequence, hx: State | None, lengths: Lengths | None
    ) -> tuple[PackedSequence, State]:
        if lengths is not None:
            raise ValueError("lengths must be None with a PackedSequence, which has its own")
        # Unpacking also brings the sequences into the caller's order, which is that of hx.
        x, lengths = pad_packed_sequence(packed)
        self._check_input(x)
        states = self._check_state(hx, x.shape[1], batched=True)
        output, states = self._run(x, states, lengths)
        if packed.sorted_indices is not None:
            output = output[:, packed.sorted_indices]
            lengths = lengths[packed.sorted_indices.cpu()]
        data = pack_padded_sequence(output, lengths).data
        return packed._replace(data=data), states

    def _run(self, x: Tensor, states: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        """Run all layers over x (T, B, D) with states (L · directions, B, ·)."""
        running = None
        if lengths is not None:
            steps = torch.arange(len(x), device=x.device)
            running = (steps[:, None] < lengths.to(x.device)).unsqueeze(-1)
            # Zero times infinity is not a number: what stands in the padding must not be read.
            x = x.masked_fill(~running, 0)
        finals, outputs = [], []
        for k, (suffix, _) in enumerate(self._directions()):
            if k and k % self.num_directions == 0:
                x, outputs = torch.cat(outputs, dim=-1), []
                if self.dropout and self.training:
                    x = F.dropout(x, self.dropout)
            initial = states[0][k], states[1][k]
            output, final = self._scan(suffix, x, initial, running)
            outputs.append(output)
            finals.append(final)
        h_n, c_n = (torch.stack(state) for state in zip(*finals, strict=True))
        return torch.cat(outputs, dim=-1), (h_n, c_n)

    def _scan(
        self, suffix: str, x: Tensor, state: State, running: Tensor | None
    ) -> tuple[Tensor, State]:
        """Run one direction of one layer over x (T, B, ·)."""
        weights = [
            getattr(self, name + suffix, None)
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        ]
        steps = range(len(x))
        output = [x] * len(x)
        for t in reversed(steps) if suffix.endswith("_reverse") else steps:
            h_t, c_t = step(x[t], *state, *weights)
            if running is None:
                output[t], state = h_t, (h_t, c_t)
                continue
            # A sequence that has ended, or has not begun in reverse, keeps its state.
            h_prev, c_prev = state
            output[t] = h_t.where(running[t], 0)
            state = h_t.where(running[t], h_prev), c_t.where(running[t], c_prev)
        return torch.stack(output), state

    # --- checks -------------------------------------------------------------------------------

    def _check_input(self, x: Tensor) -> None:
        if not isinstance(x, Tensor):
            raise ValueError(f"input must be a Tensor or PackedSequence, got {type(x).__name__}")
        if x.dim() not in (2, 3):
            wanted = "(B, T, D)" if self.batch_first else "(T, B, D)"
            raise ValueError(f"input must have shape {wanted} or (T, D), got {tuple(x.shape)}")
        if x.dtype != self.weight_ih_l0.dtype:
            raise ValueError(f"input must have dtype {self.weight_ih_l0.dtype}, got {x.dtype}")
        if x.shape[-1] != self.input_size:
            raise ValueError(
                f"input must have shape (..., {self.input_size}), got {tuple(x.shape)}"
            )
        if x.shape[1 if x.dim() == 3 and self.batch_first else 0] == 0:
            raise ValueError(f"input must have at least one step, got shape {tuple(x.shape)}")

    def _check_lengths(
        self, lengths: Lengths | None, steps: int, batch: int, batched: bool
    ) -> Tensor | None:
        if lengths is None:
            return None
        if not batched:
            raise ValueError(
                f"lengths must be None for a single sequence input (T, D), got {lengths!r}"
            )
        lengths = torch.as_tensor(lengths)
        if lengths.is_floating_point() or lengths.dtype == torch.bool:
            raise ValueError(f"lengths must hold integers, got dtype {lengths.dtype}")
        if lengths.shape != (batch,):
            raise ValueError(f"lengths must have shape {(batch,)}, got {tuple(lengths.shape)}")
        if batch and (lengths.min() < 1 or lengths.max() > steps):
            raise ValueError(
                f"lengths must be in [1, {steps}], got {lengths.min()} to {lengths.max()}"
            )
        return lengths

    def _check_state(self, hx: State | None, batch: int, batched: bool) -> State:
        """Return the states as tensors (L · directions, B, ·); zeros where there are none."""
        many, weight = self.num_layers * self.num_directions, self.weight_ih_l0
        if hx is None:
            h_0, c_0 = (weight.new_zeros(many, batch, width) for width in self.state_sizes)
            return h_0, c_0
        if not isinstance(hx, tuple | list) or len(hx) != 2:
            raise ValueError(f"hx must be a pair (h_0, c_0), got {type(hx).__name__}")
        for name, state, width in zip(("h_0", "c_0"), hx, self.state_sizes, strict=True):
            wanted = (many, batch, width) if batched else (many, width)
            if state.shape != wanted:
                raise ValueError(f"{name} must have shape {wanted}, got {tuple(state.shape)}")
            if state.dtype != weight.dtype:
                raise ValueError(f"{name} must have dtype {weight.dtype}, got {state.dtype}")
        h_0, c_0 = hx if batched else (state.unsqueeze(1) for state in hx)
        return h_0, c_0

    def extra_repr(self) -> str:
        """Return the arguments shown by ``repr``, as ``torch.nn.LSTM`` shows them."""
        return lstm.LSTM.extra_repr(self)


def step(
    x_t: Tensor,
    h_prev: Tensor,
    c_prev: Tensor,
    W: Tensor,
    U: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    W_hr: Tensor | None = None,
) -> State:
    r"""One step for a batch, equations ``eq-preactivation`` to ``eq-hidden-state``.

    Parameters
    ----------
    x_t, h_prev, c_prev : Tensor, shapes (B, D), (B, P), (B, H)
        Input, and the states of the previous step.
    W, U, b_ih, b_hh, W_hr : Tensor, shapes (4H, D), (4H, P), (4H,), (4H,), (P, H)
        Weights, gate order i, f, g, o; biases and projection may be absent (then P = H).

    Returns
    -------
    h_t, c_t : Tensor, shapes (B, P), (B, H)
        The new states.
    """
    a_t = F.linear(x_t, W, b_ih) + F.linear(h_prev, U, b_hh)
    a_i, a_f, a_g, a_o = a_t.chunk(4, dim=-1)
    i_t, f_t, g_t, o_t = a_i.sigmoid(), a_f.sigmoid(), a_g.tanh(), a_o.sigmoid()
    c_t = f_t * c_prev + i_t * g_t
    h_t = o_t * c_t.tanh()
    return h_t if W_hr is None else F.linear(h_t, W_hr), c_t


class NumpyLSTM(LSTM):
    """The same layer with both passes computed by :class:`lstm.LSTM`, in NumPy on the CPU.

    Autograd sees one function, :class:`LSTMFunction`, whose derivative is the backward pass that
    the book derives by hand. It has no second derivative: for that, use :class:`LSTM`.
    """

    _layer: lstm.LSTM | None = None

    def _run(self, x: Tensor, states: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        if x.device.type != "cpu":
            raise ValueError(f"input of a NumpyLSTM must be on the CPU, got device {x.device}")
        lengths = None if lengths is None else lengths.cpu().numpy()
        dropout = self.dropout if self.training else 0.0
        weights = (
            getattr(self, name + suffix)
            for suffix, width in self._directions()
            for name in self._parameter_shapes(width)
        )
        arguments = (x, *states, *weights)
        keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in arguments)
        call = NumpyCall(self._numpy_layer(), lengths, dropout, keep)
        output, h_n, c_n = LSTMFunction.apply(call, *arguments)
        return output, (h_n, c_n)

    def _numpy_layer(self) -> lstm.LSTM:
        """Return a layer in NumPy of our sizes and dtype; every call gives it our parameters."""
        dtype = numpy_dtype(self.weight_ih_l0)
        if self._layer is None or self._layer.dtype != dtype:
            self._layer = lstm.LSTM(
                self.input_size,
                self.hidden_size,
                self.num_layers,
                self.bias,
                bidirectional=self.bidirectional,
                proj_size=self.proj_size,
                dtype=dtype,
            )
        return self._layer

    def __getstate__(self) -> dict[str, Any]:
        """Leave the layer in NumPy out of copies and files: it is made again when needed."""
        return {name: value for name, value in super().__getstate__().items() if name != "_layer"}


class NumpyCall:
    """One call of a layer in NumPy on the memory of tensors, and its derivative.

    Parameters
    ----------
    layer : lstm.LSTM
        The layer; each call gives it other parameters.
    lengths : ndarray of shape (B,), or None
        As in :class:`lstm.LSTM`.
    dropout : float
        Probability for this call: zero in evaluation mode.
    keep : bool
        Whether ``backward`` may follow.
    """

    def __init__(
        self, layer: lstm.LSTM, lengths: np.ndarray | None, dropout: float, keep: bool
    ) -> None:
        self.layer, self.lengths, self.dropout, self.keep = layer, lengths, dropout, keep
        # One number from PyTorch's generator decides the masks: torch.manual_seed rules here too.
        self.seed = int(torch.randint(2**62, ())) if dropout else 0
        self.tape = None

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return ``output, h_n, c_n`` from ``x, h_0, c_0`` and the parameters."""
        x, h_0, c_0, *weights = (tensor.detach().numpy() for tensor in tensors)
        layer = self.layer.train(self.dropout > 0)
        layer.dropout, layer.rng = self.dropout, np.random.default_rng(self.seed)
        for parameter, weight in zip(layer.parameters(), weights, strict=True):
            parameter.data = weight
        if self.keep:
            (output, (h_n, c_n)), self.tape = layer.vjp(x, (h_0, c_0), self.lengths)
        else:
            output, (h_n, c_n) = layer.forward(x, (h_0, c_0), self.lengths)
        return tuple(torch.from_numpy(array) for array in (output, h_n, c_n))

    def backward(self, d_results: Sequence[Tensor | None], *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return the gradients of all that ``forward`` took."""
        if self.tape is None:  # used up: a graph that is retained is differentiated again
            self.forward(*tensors)
        d_output, d_h_n, d_c_n = (None if d is None else d.detach().numpy() for d in d_results)
        layer, backward, self.tape = self.layer, self.tape, None
        layer.zero_grad()
        d_x, (d_h_0, d_c_0) = backward(d_output, (d_h_n, d_c_n))
        d_weights = [parameter.grad.copy() for parameter in layer.parameters()]
        return tuple(torch.from_numpy(array) for array in (d_x, d_h_0, d_c_0, *d_weights))


class LSTMFunction(torch.autograd.Function):
    """What autograd sees of :class:`NumpyLSTM`: ``output, h_n, c_n`` as one function."""

    @staticmethod
    def forward(ctx: Any, call: NumpyCall, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run ``call`` on ``x, h_0, c_0`` and the parameters."""
        ctx.call = call
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        return call.forward(*tensors)

    @staticmethod
    def backward(ctx: Any, *d_results: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return no gradient for ``call``, and those of all tensors."""
        # Reading saved_tensors also tells when one of them has been changed in place.
        return None, *LSTMFunctionBackward.apply(ctx.call, *d_results, *ctx.saved_tensors)


class LSTMFunctionBackward(torch.autograd.Function):
    """The derivative of :class:`LSTMFunction`, a function of its own to refuse a second one.

    ``once_differentiable`` would refuse only where ``d_results`` require a gradient, and return
    silent zeros elsewhere; here the tensors are arguments too, so no case slips through.
    """

    @staticmethod
    def forward(ctx: Any, call: NumpyCall, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        """Return the gradients of ``x, h_0, c_0`` and the parameters."""
        return call.backward(tensors[:3], *tensors[3:])

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> None:
        """Refuse."""
        raise RuntimeError(
            "NumpyLSTM cannot be differentiated twice: its backward pass is not recorded; "
            "use lstm.torch.LSTM for second derivatives"
        )


# --- conversion ---------------------------------------------------------------------------------


def numpy_dtype(tensor: Tensor) -> np.dtype:
    """Return the NumPy dtype of a tensor of floats."""
    dtypes = {torch.float32: np.float32, torch.float64: np.float64}
    if tensor.dtype not in dtypes:
        raise ValueError(f"dtype must be torch.float32 or torch.float64, got {tensor.dtype}")
    return np.dtype(dtypes[tensor.dtype])


def from_torch(module: nn.LSTM | LSTM) -> lstm.LSTM:
    """Return a layer in NumPy with the arguments, parameters and mode of ``module``.

    Parameters
    ----------
    module : torch.nn.LSTM or lstm.torch.LSTM
        In float32 or float64, on any device. Nothing is shared: the parameters are copied.

    Returns
    -------
    lstm.LSTM
        It gives the same results to rounding. Dropout draws other masks.
    """
    layer = lstm.LSTM(**_arguments(module), dtype=numpy_dtype(module.weight_ih_l0))
    layer.load_state_dict({name: p.numpy(force=True) for name, p in module.named_parameters()})
    layer.train(module.training)
    return layer


def to_torch(layer: lstm.LSTM, kind: type[nn.Module] = nn.LSTM) -> nn.LSTM | LSTM:
    """Return a PyTorch module with the arguments, parameters and mode of ``layer``.

    Parameters
    ----------
    layer : lstm.LSTM
        Nothing is shared: the parameters are copied.
    kind : type
        ``torch.nn.LSTM``, :class:`LSTM` or :class:`NumpyLSTM`.

    Returns
    -------
    torch.nn.LSTM, or whatever ``kind`` is
        It gives the same results to rounding. Dropout draws other masks.
    """
    dtype = {"float32": torch.float32, "float64": torch.float64}[str(layer.dtype)]
    module = kind(**_arguments(layer), dtype=dtype)
    module.load_state_dict({name: torch.tensor(p) for name, p in layer.state_dict().items()})
    return module.train(layer.training)


def _arguments(layer: nn.LSTM | LSTM | lstm.LSTM) -> dict[str, Any]:
    names = "input_size hidden_size num_layers bias batch_first dropout bidirectional proj_size"
    return {name: getattr(layer, name) for name in names.split()}
