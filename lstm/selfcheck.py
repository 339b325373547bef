"""A check of this installation in a few seconds: gradients, and the agreement with PyTorch."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import numpy as np

import lstm
from lstm.gradcheck import check_module, relative_error

SHAPE = T, B, D, H = 6, 3, 4, 5
LENGTHS = [6, 2, 4]
KINDS = {
    "one layer": {},
    "two layers, both directions": {"num_layers": 2, "bidirectional": True},
    "projection": {"proj_size": 2},
}


def checks() -> Iterator[tuple[str, float, float]]:
    """Yield for every check its name, the largest relative error, and the limit for it."""
    for name, options in KINDS.items():
        layer = lstm.LSTM(D, H, dtype=np.float64, rng=0, **options)
        x = np.random.default_rng(1).standard_normal((T, B, D))
        for method, limit in (("complex", 1e-12), ("central", 1e-7)):
            yield f"gradient of {name}, {method} difference", _gradient(layer, x, method), limit
    for name, options in KINDS.items():
        yield f"{name} in float32 against float64", _single_precision(x, options), 1e-5
    if importlib.util.find_spec("torch") is None:
        return
    for name, options in KINDS.items():
        layer = lstm.LSTM(D, H, dtype=np.float64, rng=0, **options)
        yield f"{name} against PyTorch", _against_torch(layer, x), 1e-12


def _gradient(layer: lstm.LSTM, x: np.ndarray, method: str) -> float:
    weights = np.random.default_rng(2).standard_normal((T, B, layer.output_size))

    def run(x: np.ndarray):
        output, _ = layer(x, lengths=LENGTHS)
        return (weights * output).sum(), lambda: {"x": layer.backward(weights)[0]}

    return max(check_module(layer, {"x": x}, run, method).values())


def _single_precision(x: np.ndarray, options: dict) -> float:
    double = lstm.LSTM(D, H, dtype=np.float64, rng=0, **options)
    single = lstm.LSTM(D, H, rng=0, **options)
    weights = double.state_dict()
    single.load_state_dict({name: value.astype(np.float32) for name, value in weights.items()})
    results = []
    for layer in (single, double):
        output, _ = layer(x.astype(layer.dtype), lengths=LENGTHS)
        d_x, _ = layer.backward(2 * output)
        results.append([output, d_x, *(parameter.grad for parameter in layer.parameters())])
    return max(relative_error(*pair) for pair in zip(*results, strict=True))


def _against_torch(layer: lstm.LSTM, x: np.ndarray) -> float:
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    from lstm.torch import to_torch

    module = to_torch(layer)
    tensor = torch.tensor(x, requires_grad=True)
    packed, _ = module(pack_padded_sequence(tensor, LENGTHS, enforce_sorted=False))
    expected, _ = pad_packed_sequence(packed)
    expected.square().sum().backward()
    output, _ = layer(x, lengths=LENGTHS)
    d_x, _ = layer.backward(2 * output)
    errors = [
        relative_error(output, expected.detach().numpy()),
        relative_error(d_x, tensor.grad.numpy()),
    ]
    errors += [
        relative_error(parameter.grad, dict(module.named_parameters())[name].grad.numpy())
        for name, parameter in layer.named_parameters()
    ]
    return max(errors)
