"""The engines: each gives, for a shape, a function for inference and one for a training step.

A training step sets the gradients to zero, runs forward and backward, and yields the gradients of
the weights *and* of the input. A library is imported when its engine is built, not before.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from typing import NamedTuple

from benchmarks.shapes import Shape

Pass = Callable[[], object]


def ours(shape: Shape) -> tuple[Pass, Pass]:
    """``lstm.LSTM``."""
    import lstm

    x, d_output = shape.arrays()
    layer, lengths = lstm.LSTM(shape.D, shape.H, rng=0), shape.lengths
    inferring = lstm.LSTM(shape.D, shape.H, rng=0)
    inferring.eval()

    def train() -> None:
        layer.zero_grad()
        layer(x, lengths=lengths)
        layer.backward(d_output)

    return lambda: inferring(x, lengths=lengths), train


def our_cell_loop(shape: Shape) -> tuple[Pass, Pass]:
    """``lstm.LSTMCell`` in a loop; the closures of its steps run in the opposite order."""
    import numpy as np

    import lstm

    x, d_output = shape.arrays()
    cell = lstm.LSTMCell(shape.D, shape.H, rng=0)
    inferring = lstm.LSTMCell(shape.D, shape.H, rng=0).eval()

    def infer() -> None:
        state = None
        for x_t in x:
            state = inferring(x_t, state)

    def train() -> None:
        cell.zero_grad()
        state, passes, d_x = None, [], []
        for x_t in x:
            state, backward = cell.vjp(x_t, state)
            passes.append(backward)
        d_h, d_c = np.zeros_like(d_output[0]), None
        for backward, d_output_t in zip(reversed(passes), d_output[::-1], strict=True):
            d_x_t, (d_h, d_c) = backward(d_h + d_output_t, d_c)
            d_x.append(d_x_t)

    return infer, train


def _torch_passes(layer, shape: Shape, run) -> tuple[Pass, Pass]:
    import torch

    x, d_output = (torch.from_numpy(array) for array in shape.arrays())
    x.requires_grad_()
    if shape.ragged:
        # Behind the end of a sequence the output is constant, or ought to be.
        running = torch.arange(shape.T)[:, None] < torch.from_numpy(shape.lengths)
        d_output = d_output * running[..., None]

    def infer() -> None:
        with torch.no_grad():
            run(x)

    def train() -> None:
        layer.zero_grad(set_to_none=False)
        x.grad = None
        run(x).backward(d_output)

    return infer, train


def nn_lstm(shape: Shape) -> tuple[Pass, Pass]:
    """``torch.nn.LSTM`` on the (padded) batch."""
    import torch

    layer = torch.nn.LSTM(shape.D, shape.H)
    return _torch_passes(layer, shape, lambda x: layer(x)[0])


def nn_lstm_packed(shape: Shape) -> tuple[Pass, Pass]:
    """``torch.nn.LSTM`` on a PackedSequence."""
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    layer, lengths = torch.nn.LSTM(shape.D, shape.H), torch.from_numpy(shape.lengths)

    def run(x):
        packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
        return pad_packed_sequence(layer(packed)[0], total_length=shape.T)[0]

    return _torch_passes(layer, shape, run)


def lstm_cell_loop(shape: Shape) -> tuple[Pass, Pass]:
    """``torch.nn.LSTMCell`` in a loop."""
    import torch

    cell = torch.nn.LSTMCell(shape.D, shape.H)

    def run(x):
        state, outputs = None, []
        for x_t in x:
            state = cell(x_t, state)
            outputs.append(state[0])
        return torch.stack(outputs)

    return _torch_passes(cell, shape, run)


def _from_scratch(name: str, shape: Shape) -> tuple[Pass, Pass]:
    import lstm.torch

    layer, lengths = getattr(lstm.torch, name)(shape.D, shape.H), shape.lengths
    return _torch_passes(layer, shape, lambda x: layer(x, lengths=lengths)[0])


def from_scratch_loop(shape: Shape) -> tuple[Pass, Pass]:
    """``lstm.torch.LSTM``: a loop that autograd differentiates."""
    return _from_scratch("LSTM", shape)


def from_scratch_function(shape: Shape) -> tuple[Pass, Pass]:
    """``lstm.torch.NumpyLSTM``: an autograd function around our passes."""
    return _from_scratch("NumpyLSTM", shape)


def jax_scan(shape: Shape) -> tuple[Pass, Pass]:
    """``jax.lax.scan``, compiled; compiling is not timed."""
    import jax
    from jax import numpy as jnp

    x, d_output = (jnp.asarray(array) for array in shape.arrays())
    keys = jax.random.split(jax.random.key(0), 3)
    sizes = [(shape.D, 4 * shape.H), (shape.H, 4 * shape.H), (4 * shape.H,)]
    bound = shape.H**-0.5
    weights = [
        jax.random.uniform(key, size, minval=-bound, maxval=bound)
        for key, size in zip(keys, sizes, strict=True)
    ]

    def step(weights, state, a_x):
        h, c = state
        i, f, g, o = jnp.split(a_x + h @ weights[1], 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    @jax.jit
    def run(weights, x):
        zeros = jnp.zeros((shape.B, shape.H))
        a_x = x @ weights[0] + weights[2]
        return jax.lax.scan(lambda state, a: step(weights, state, a), (zeros, zeros), a_x)[1]

    @jax.jit
    def gradients(weights, x):
        output, pull_back = jax.vjp(run, weights, x)
        return output, pull_back(d_output)

    return (
        lambda: jax.block_until_ready(run(weights, x)),
        lambda: jax.block_until_ready(gradients(weights, x)),
    )


def keras_lstm(shape: Shape) -> tuple[Pass, Pass]:
    """``keras.layers.LSTM`` with the PyTorch backend."""
    import os

    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import torch

    layer = keras.layers.LSTM(shape.H, return_sequences=True)
    layer.build((shape.B, shape.T, shape.D))
    weights = [variable.value for variable in layer.trainable_variables]
    x, d_output = (torch.from_numpy(a).transpose(0, 1).contiguous() for a in shape.arrays())
    x.requires_grad_()

    def infer() -> None:
        with torch.no_grad():
            layer(x)

    def train() -> None:
        x.grad = None
        for weight in weights:
            weight.grad = None
        layer(x).backward(d_output)

    return infer, train


def products_alone(shape: Shape) -> tuple[Pass, Pass]:
    """A pass's multiplications and nothing else, each kind as one large product: no layer.

    A real pass multiplies step by step, and has its activations besides; so this says how much is
    left to gain.
    """
    import numpy as np

    x, _ = shape.arrays()
    z = np.ones((shape.T * shape.B, shape.D + shape.H), np.float32)
    z[:, : shape.D] = x.reshape(-1, shape.D)
    V = np.full((4 * shape.H, shape.D + shape.H), shape.H**-0.5, np.float32)
    a = z @ V.T

    def infer() -> None:
        z @ V.T

    def train() -> None:
        z @ V.T
        a @ V
        a.T @ z

    return infer, train


class Engine(NamedTuple):
    """How an engine is built, what it needs, and which shapes it can do."""

    build: Callable[[Shape], tuple[Pass, Pass]]
    label: str
    needs: str
    dense: bool = True
    ragged: bool = False
    environment: Mapping[str, str] = {}

    @property
    def installed(self) -> bool:
        """Whether its library is there."""
        return importlib.util.find_spec(self.needs) is not None

    def can(self, shape: Shape) -> bool:
        """Whether it has something to run for this shape."""
        return self.ragged if shape.ragged else self.dense


ENGINES = {
    "ours": Engine(ours, "lstm.LSTM", "numpy", ragged=True),
    "ours, NumPy": Engine(
        *(ours, "lstm.LSTM without numba", "numpy", True, True), {"LSTM_ENGINE": "numpy"}
    ),
    "nn.LSTM": Engine(nn_lstm, "nn.LSTM, padded", "torch", ragged=True),
    "nn.LSTM packed": Engine(nn_lstm_packed, "nn.LSTM, packed", "torch", dense=False, ragged=True),
    "lstm.LSTMCell": Engine(our_cell_loop, "lstm.LSTMCell loop", "numpy"),
    "nn.LSTMCell": Engine(lstm_cell_loop, "nn.LSTMCell loop", "torch"),
    "lstm.torch.LSTM": Engine(from_scratch_loop, "lstm.torch.LSTM", "torch", ragged=True),
    "lstm.torch.NumpyLSTM": Engine(
        from_scratch_function, "lstm.torch.NumpyLSTM", "torch", ragged=True
    ),
    "JAX": Engine(jax_scan, "JAX lax.scan", "jax"),
    "Keras": Engine(keras_lstm, "Keras (torch)", "keras"),
    "products": Engine(products_alone, "products alone", "numpy"),
}
