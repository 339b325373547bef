"""Weights and whole layers from PyTorch to NumPy and back; nothing is ever shared."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import lstm
from lstm import checks
from lstm.module import is_module
from lstm.torch.layer import LSTM

Layer = lstm.LSTM | lstm.GRU | lstm.RNN | lstm.LSTMCell

KINDS = {
    LSTM: lstm.LSTM,
    nn.LSTM: lstm.LSTM,
    nn.GRU: lstm.GRU,
    nn.RNN: lstm.RNN,
    nn.LSTMCell: lstm.LSTMCell,
}


def state_dict(module: lstm.Module) -> dict[str, Tensor]:
    """Return a state dict for ``load_state_dict`` of the same layer, or model, in PyTorch.

    The other way needs no function: ``module.load_state_dict(torch_module.state_dict())``.
    """
    is_module("module", module)
    return {name: torch.from_numpy(array) for name, array in module.state_dict().items()}


def from_torch(module: nn.Module) -> Layer:
    """Return a layer in NumPy with the arguments, parameters and mode of ``module``.

    Parameters
    ----------
    module : torch.nn.LSTM, GRU, RNN or LSTMCell, or :class:`lstm.torch.LSTM`
        In float32 or float64, on any device.

    Returns
    -------
    lstm.LSTM, lstm.GRU, lstm.RNN or lstm.LSTMCell
        It gives the same results to rounding. Dropout draws other masks.

    Raises
    ------
    ValueError
        If NumPy has no such layer, or not in this dtype.
    """
    kind = next((ours for theirs, ours in KINDS.items() if isinstance(module, theirs)), None)
    if kind is None:
        names = ", ".join(theirs.__name__ for theirs in KINDS)
        raise ValueError(f"module must be one of {names}, got {type(module).__name__}")
    if any(value.is_meta for value in module.state_dict().values()):
        raise ValueError("module must have values, got one on the device meta")
    values = {name: value.cpu() for name, value in module.state_dict().items()}
    layer = kind(**arguments(module), dtype=numpy_dtype(next(iter(values.values()))))
    layer.load_state_dict(values)
    return layer.train(module.training)


def to_torch(layer: Layer, kind: type[nn.Module] | None = None) -> nn.Module:
    """Return a PyTorch module with the arguments, parameters and mode of ``layer``.

    Parameters
    ----------
    layer : lstm.LSTM, lstm.GRU, lstm.RNN or lstm.LSTMCell
        A subclass may compute something else, so it is refused.
    kind : type, optional
        What to make: the layer of the same name in ``torch.nn``, or :class:`lstm.torch.LSTM`.

    Returns
    -------
    torch.nn.Module
        It gives the same results to rounding. Dropout draws other masks. PyTorch's generator is
        where it was.

    Raises
    ------
    ValueError
        If PyTorch has no such layer.
    """
    if type(layer) not in KINDS.values():
        names = ", ".join(dict.fromkeys(ours.__name__ for ours in KINDS.values()))
        raise ValueError(f"layer must be one of {names}, got {type(layer).__name__}")
    values = state_dict(layer)
    kind = getattr(nn, type(layer).__name__) if kind is None else kind
    if not isinstance(kind, type) or not issubclass(kind, nn.Module):
        raise checks.wrong("kind", "a class of PyTorch's modules", kind)
    dtype = next(iter(values.values())).dtype
    with torch.random.fork_rng(devices=[]):  # what it draws is overwritten
        try:
            module = kind(**arguments(layer), dtype=dtype)
            module.load_state_dict(values)
        except (RuntimeError, TypeError, ValueError):
            raise checks.wrong("kind", f"made like a {type(layer).__name__}", kind) from None
    return module.train(layer.training)


def arguments(layer: nn.Module | Layer) -> dict[str, Any]:
    """Return the arguments with which a layer of either kind was made."""
    names = "input_size hidden_size num_layers nonlinearity bias batch_first dropout bidirectional"
    found = {name: getattr(layer, name) for name in names.split() if hasattr(layer, name)}
    if getattr(layer, "proj_size", 0):  # only an LSTM takes it
        found["proj_size"] = layer.proj_size
    return found


def numpy_dtype(tensor: Tensor) -> str:
    """Return the name of a tensor's dtype, which NumPy's layers take or refuse."""
    return str(tensor.dtype).removeprefix("torch.")
