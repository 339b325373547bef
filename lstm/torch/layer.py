"""The LSTM as a PyTorch user writes it: a step, a loop over time, and autograd for the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from lstm import checks
from lstm.arguments import RecurrentArguments

State = tuple[Tensor, Tensor]
Lengths = Sequence[int] | np.ndarray | Tensor


def step(
    x_t: Tensor,
    h_prev: Tensor,
    c_prev: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None = None,
    bias_hh: Tensor | None = None,
    weight_hr: Tensor | None = None,
) -> State:
    r"""One step for a batch, equations ``eq-preactivation`` to ``eq-hidden-state``.

    Parameters
    ----------
    x_t, h_prev, c_prev : Tensor, shapes (B, D), (B, P), (B, H)
        Input, and the states of the previous step.
    weight_ih, weight_hh, bias_ih, bias_hh, weight_hr : Tensor
        Shapes (4H, D), (4H, P), (4H,), (4H,), (P, H), gate order i, f, g, o; biases and projection
        may be absent (then P = H).

    Returns
    -------
    h_t, c_t : Tensor, shapes (B, P), (B, H)
        The new states.
    """
    a_t = F.linear(x_t, weight_ih, bias_ih) + F.linear(h_prev, weight_hh, bias_hh)
    a_i, a_f, a_g, a_o = a_t.chunk(4, dim=-1)
    i_t, f_t, g_t, o_t = a_i.sigmoid(), a_f.sigmoid(), a_g.tanh(), a_o.sigmoid()
    c_t = f_t * c_prev + i_t * g_t
    h_t = o_t * c_t.tanh()
    return h_t if weight_hr is None else F.linear(h_t, weight_hr), c_t


def scan(
    weights: Mapping[str, Tensor], x: Tensor, state: State, running: Tensor | None, reverse: bool
) -> tuple[Tensor, State]:
    """Run one direction of one layer over x (T, B, D): its outputs (T, B, P), its final state.

    ``running`` (T, B, 1), if given, says which sequences run at each step; the others keep their
    state and put out zeros.
    """
    output = list(x)
    for t in reversed(range(len(output))) if reverse else range(len(output)):
        h_t, c_t = step(x[t], *state, **weights)
        if running is None:
            output[t], state = h_t, (h_t, c_t)
        else:  # a sequence that has ended, or has not begun in reverse, keeps its state
            output[t] = h_t.where(running[t], 0)
            state = h_t.where(running[t], state[0]), c_t.where(running[t], state[1])
    return torch.stack(output), state


def kind_of_numbers(device: Any, dtype: Any) -> dict[str, Any]:
    """Return both as keywords, or raise ValueError where PyTorch has no such real numbers."""
    try:
        nn.init.uniform_(torch.empty(0, device=device, dtype=dtype))
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        got = f"{checks.shown(device)} and {checks.shown(dtype)}"
        wanted = "device and dtype must be some in which PyTorch has real numbers here"
        raise ValueError(f"{wanted}, got {got}: {checks.shown(str(error))}") from None
    return {"device": device, "dtype": dtype}


class LSTM(RecurrentArguments, nn.Module):
    """Long short-term memory from scratch, interchangeable with ``torch.nn.LSTM``.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size
        As in :class:`lstm.LSTM`.
    device, dtype
        Of the parameters, as in every PyTorch module.

    Notes
    -----
    ``output, (h_n, c_n) = layer(input, (h_0, c_0), lengths=None)`` is the call of
    :class:`lstm.LSTM`, with tensors; ``lengths`` may be a tensor or a list. A ``PackedSequence``
    gives a ``PackedSequence``.

    Second derivatives, ``torch.func``, ``torch.autocast`` and ``torch.compile`` work as with any
    module of plain PyTorch. What ``torch.export``, a trace or the compiler make is for one number
    of steps, and an export holds ``lengths``, which must be a list, as constants.
    ``torch.jit.script`` is not supported.

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
        kind = kind_of_numbers(device, dtype)
        for name, shape in self.named_shapes().items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape, **kind)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        r"""Draw every parameter uniformly in :math:`\pm 1/\sqrt{H}`, in the order of PyTorch."""
        bound = self.hidden_size**-0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """Do nothing: code written for ``torch.nn.LSTM`` may call it, for cuDNN's sake."""

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: State | None = None,
        lengths: Lengths | None = None,
    ) -> tuple[Tensor | PackedSequence, State]:
        """Run over whole sequences; arguments and results are described in the class."""
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx, lengths)
        x = self._tensor("input", input)
        steps, batch = self.check_input(x.shape)
        lengths = lengths.cpu() if isinstance(lengths, Tensor) else lengths
        lengths = self.check_lengths(lengths, steps, batch)
        states = [
            x.new_zeros(shape) if state is None else self._tensor(name, state, shape)
            for name, state, shape in self.check_state(hx, batch)
        ]
        if batch is None:
            states = [state[:, None] for state in states]
            output, states = self._run(x[:, None], states, None)
            return output[:, 0], tuple(state[:, 0] for state in states)
        x = x.transpose(0, 1) if self.batch_first else x
        output, states = self._run(x, states, lengths)
        return output.transpose(0, 1) if self.batch_first else output, states

    def _forward_packed(
        self, packed: PackedSequence, hx: State | None, lengths: Lengths | None
    ) -> tuple[PackedSequence, State]:
        if lengths is not None:
            raise ValueError("lengths must be None with a PackedSequence, which has its own")
        # Unpacking also brings the sequences into the caller's order, which is that of hx.
        x, lengths = pad_packed_sequence(packed, self.batch_first)
        output, states = self.forward(x, hx, lengths)
        order = packed.sorted_indices
        if order is not None:
            output = output.index_select(0 if self.batch_first else 1, order)
            lengths = lengths[order.cpu()]
        data = pack_padded_sequence(output, lengths, self.batch_first).data
        return packed._replace(data=data), states

    def _run(
        self, x: Tensor, states: Sequence[Tensor], lengths: np.ndarray | None
    ) -> tuple[Tensor, State]:
        """Run all layers over x (T, B, D) with states (L · directions, B, ·)."""
        running = None
        if lengths is not None:
            steps, ends = torch.arange(len(x)), torch.from_numpy(lengths)
            running = (steps[:, None, None] < ends[:, None]).to(x.device)
            # Zero times infinity is not a number: what stands in the padding must not be read.
            x = x.masked_fill(~running, 0)
        finals = []
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = F.dropout(x, self.dropout, self.training)
            outputs = []
            for suffix in self.suffixes(layer):
                names = self.parameter_shapes(self.input_size)
                weights = {name: getattr(self, name + suffix) for name in names}
                h_0, c_0 = (state[len(finals)] for state in states)
                reverse = suffix.endswith("_reverse")
                output, final = scan(weights, x, (h_0, c_0), running, reverse)
                outputs.append(output)
                finals.append(final)
            x = torch.cat(outputs, dim=-1)
        h_n, c_n = (torch.stack(state) for state in zip(*finals, strict=True))
        return x, (h_n, c_n)

    def _autocast(self, device: str) -> torch.dtype | None:
        """Return what autocast computes in, as PyTorch does; None where it is off or has no say."""
        available = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
        double = next(self.parameters()).dtype == torch.float64
        return torch.get_autocast_dtype(device) if available and not double else None

    def _tensor(self, name: str, value: Tensor, shape: Sequence[int] | None = None) -> Tensor:
        """Check an input or a state; autocast converts it, nothing else does."""
        if not isinstance(value, Tensor):
            raise ValueError(f"{name} must be a Tensor, got {type(value).__name__}")
        first = next(self.parameters())
        dtype, autocast = first.dtype, self._autocast(value.device.type)
        if value.layout != torch.strided or value.device != first.device:
            got = f"{value.layout}, {value.device}"
            raise ValueError(f"{name} must be a dense tensor on {first.device}, got {got}")
        if autocast is None and value.dtype != dtype:
            raise ValueError(f"{name} must have dtype {dtype}, got {value.dtype}")
        if shape is not None and value.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, got {tuple(value.shape)}")
        return value if autocast is None else value.to(autocast)
