"""Autograd around our own passes: a layer that computes in NumPy, forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

import lstm
from lstm import checks
from lstm.torch.convert import arguments, numpy_dtype
from lstm.torch.layer import LSTM, State

Tensors = tuple[Tensor, ...]
Function = Callable[..., Tensors]


class NumpyLSTM(LSTM):
    """The same layer with both passes computed by :class:`lstm.LSTM`, in NumPy on the CPU.

    Autograd sees one function, :class:`NumpyFunction`, whose derivative is the backward pass that
    the book derives by hand. It computes in its parameters' dtype, float32 or float64, under
    autocast too; ``torch.compile`` leaves it as it is. A clear error tells what it cannot do:
    second derivatives, ``torch.func.vmap`` and ``jvp``, ``torch.export`` and traces. A checkpoint
    around it must be reentrant to save memory.
    """

    @torch.compiler.disable  # or the compiler would try NumPy's loops, line by line
    def _run(
        self, x: Tensor, states: Sequence[Tensor], lengths: np.ndarray | None
    ) -> tuple[Tensor, State]:
        if x.device.type != "cpu":
            raise ValueError(f"input of a NumpyLSTM must be on the CPU, got device {x.device}")
        if torch.jit.is_tracing() or torch.compiler.is_compiling():
            raise RuntimeError("NumpyLSTM cannot be traced or exported: use lstm.torch.LSTM")
        weights = [weight for direction in self.all_weights for weight in direction]
        tensors = (x, *states, *weights)
        keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
        call = NumpyCall(self, lengths, keep)
        output, h_n, c_n = NumpyFunction.apply(call.forward, call.backward, *tensors)
        return output, (h_n, c_n)

    def _autocast(self, device: str) -> torch.dtype | None:
        autocast = super()._autocast(device)
        return None if autocast is None else next(self.parameters()).dtype


class NumpyCall:
    """One call of :class:`lstm.LSTM` on the memory of tensors, and its derivative.

    Parameters
    ----------
    module : NumpyLSTM
        Its arguments and mode at this moment count.
    lengths : ndarray of shape (B,), or None
        As in :class:`lstm.LSTM`.
    keep : bool
        Whether ``backward`` may follow.
    """

    def __init__(self, module: NumpyLSTM, lengths: np.ndarray | None, keep: bool) -> None:
        drops = module.training and module.num_layers > 1 and module.dropout
        self.arguments = arguments(module) | {"batch_first": False, "dropout": drops or 0.0}
        # One number from PyTorch's generator decides the masks: torch.manual_seed rules here too.
        self.arguments["rng"] = int(torch.randint(2**62, ())) if drops else 0
        self.lengths, self.keep, self.kept = lengths, keep, []

    def forward(self, *tensors: Tensor) -> Tensors:
        """Return ``output, h_n, c_n`` from ``x, h_0, c_0`` and the parameters."""
        # A layer of its own: what other calls do, in other threads too, must not reach backward.
        layer = lstm.LSTM(**self.arguments, dtype=numpy_dtype(tensors[0]))
        x, h_0, c_0, *weights = (tensor.detach().numpy() for tensor in tensors)
        for parameter, weight in zip(layer.parameters(), weights, strict=True):
            parameter.data = weight
        if self.keep:
            (output, state), backward = layer.vjp(x, (h_0, c_0), self.lengths)
            self.kept.append((backward, layer))
        else:
            output, state = layer.forward(x, (h_0, c_0), self.lengths)
        return tuple(torch.from_numpy(array) for array in (output, *state))

    def backward(
        self, d_output: Tensor | None, d_h_n: Tensor | None, d_c_n: Tensor | None, *tensors: Tensor
    ) -> Tensors:
        """Return the gradients of all that ``forward`` took."""
        if not self.kept:  # used up: a graph that is retained is differentiated again
            self.forward(*tensors)
        backward, layer = self.kept.pop()
        d_results = (None if d is None else d.detach().numpy() for d in (d_output, d_h_n, d_c_n))
        d_output, *d_state = d_results
        d_x, d_initial = backward(d_output, d_state)
        d_weights = (parameter.grad for parameter in layer.parameters())
        return tuple(torch.from_numpy(array) for array in (d_x, *d_initial, *d_weights))


class NumpyFunction(torch.autograd.Function):
    """A function of tensors that NumPy computes, and its derivative, as autograd sees them.

    ``NumpyFunction.apply(function, derivative, *tensors)`` is ``function(*tensors)``, a tuple of
    tensors, and its gradients are ``derivative(*d_results, *tensors)``, where an absent gradient is
    None. The derivative cannot be differentiated again, and says so. (``once_differentiable`` would
    say so only where ``d_results`` require a gradient, and return silent zeros elsewhere.)
    """

    @staticmethod
    def forward(function: Function, derivative: Function, *tensors: Tensor) -> Tensors:
        """Compute the results."""
        checks.function("derivative", derivative)
        return checks.function("function", function)(*tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensors) -> None:
        """Remember the derivative, and have autograd watch the tensors."""
        _, ctx.derivative, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *d_results: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the gradients of the tensors, and none of the two functions."""
        # Reading saved_tensors also tells when one of them has been changed in place.
        tensors = (*d_results, *ctx.saved_tensors)
        return None, None, *NumpyFunction.apply(ctx.derivative, refuse, *tensors)


def refuse(*_: Tensor) -> Tensors:
    """Stand where a second derivative would."""
    raise RuntimeError(
        "NumpyLSTM cannot be differentiated twice: its backward pass is not recorded; "
        "use lstm.torch.LSTM for second derivatives"
    )
