"""Stand-ins for Keras and TensorFlow 1: they compute nothing and record what a program asks for.

The articles' programs are run against them, so that no test needs TensorFlow. They stop where the
real libraries stopped: ``book/errata_observed.json`` holds what those answered, with versions, and
a test compares. Names, argument order and defaults are those of the real libraries.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

TRAIN, TEST = 600, 100
"""Sizes of the stand-in data sets: a hundredth of MNIST."""


@dataclass
class Run:
    """What a program did: its calls in order, its last names, and the error that stopped it."""

    calls: list[tuple[str, tuple, dict]] = field(default_factory=list)
    names: dict[str, Any] = field(default_factory=dict)
    error: Exception | None = None

    def called(self, name: str) -> list[tuple[tuple, dict]]:
        """Return positional and keyword arguments of every call of ``name``."""
        return [(args, kwargs) for call, args, kwargs in self.calls if call == name]

    @property
    def layers(self) -> list[Layer]:
        return self.names["model"].layers


@dataclass
class Layer:
    """A Keras layer: its class name, its size and its other arguments."""

    kind: str
    units: int = 0
    options: dict = field(default_factory=dict)


def parameters(model) -> list[int]:
    """Count the weights of each layer of a recorded model from its equations."""
    counts, size = [], model.input_shape[-1] if model.input_shape else None
    for layer in model.layers:
        if layer.kind == "Embedding":
            counts.append(layer.options["input_dim"] * layer.units)
        elif layer.kind == "LSTM":
            counts.append(4 * layer.units * (size + layer.units + 1))
        else:
            counts.append(layer.units * (size + 1))
        size = layer.units
    return counts


def run(program: str) -> Run:
    """Run a program against the stand-ins."""
    record = Run()
    with mock.patch.dict(sys.modules, modules(record)):
        try:
            exec(program, record.names)  # the programs are the ledger's own
        except Exception as error:
            record.error = error
    return record


def modules(record: Run) -> dict[str, ModuleType]:
    """Build every module that one of the programs imports."""
    keras, tf1 = keras_names(record), tensorflow1_names(record)
    found = {}

    def module(name: str, **content) -> ModuleType:
        found[name] = ModuleType(name)
        found[name].__dict__.update(content, __path__=[])
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(found[parent], child, found[name])
        return found[name]

    module("tensorflow")
    module("tensorflow.compat")
    module("tensorflow.compat.v1", **tf1)
    for root in ("keras", "tensorflow.keras"):
        module(root, **keras)
        module(f"{root}.models", Sequential=keras["Sequential"])
        module(f"{root}.layers", **keras)
        module(f"{root}.datasets", mnist=SimpleNamespace(load_data=mnist_data))
        found[f"{root}.datasets"].imdb = SimpleNamespace(load_data=imdb_data)
        module(f"{root}.utils", pad_sequences=pad_sequences, **keras)
    return found


# ------------------------------------------------------------------------------------------ data


def mnist_data():
    """Return white images with the shapes and types of MNIST, a hundredth of it."""
    images = np.full((TRAIN + TEST, 28, 28), 255, np.uint8)
    labels = np.zeros(TRAIN + TEST, np.uint8)
    return (images[:TRAIN], labels[:TRAIN]), (images[TRAIN:], labels[TRAIN:])


def imdb_data(num_words: int):
    """Return reviews as Keras does: one list of word ranks each, of different lengths."""
    reviews = np.empty(TRAIN, object)
    reviews[:] = [[1] * (1 + n % 7) for n in range(TRAIN)]
    labels = np.zeros(TRAIN, int)
    half = TRAIN // 2
    return (reviews[:half], labels[:half]), (reviews[half:], labels[half:])


def pad_sequences(sequences, maxlen: int):
    """Return zeros of the shape that padding gives."""
    return np.zeros((len(sequences), maxlen), int)


# ----------------------------------------------------------------------------------------- Keras


def keras_names(record: Run) -> dict[str, Any]:
    """Return what the programs import from Keras."""

    class Sequential:
        def __init__(self, layers=()):
            self.layers, self.input_shape = [], None
            for layer in layers:
                self.add(layer)

        def add(self, layer: Layer) -> None:
            shape = layer.options.get("shape") or layer.options.get("input_shape")
            self.input_shape = self.input_shape or shape
            if layer.kind != "Input":
                self.layers.append(layer)

        def compile(self, *args, **kwargs):
            record.calls.append(("compile", args, kwargs))

        def fit(self, x, y, **kwargs):
            if x.dtype == object:
                raise ValueError("Failed to convert a NumPy array to a Tensor")
            want, got = (None, *(self.input_shape or ())), (None, *x.shape[1:])
            if self.input_shape and any(w not in (None, g) for w, g in zip(want, got, strict=True)):
                raise ValueError(f"expected shape={want}, found shape={got}")
            record.calls.append(("fit", (x, y), kwargs))

        def evaluate(self, *args, **kwargs):
            record.calls.append(("evaluate", args, kwargs))
            return 0.0, 0.0

    def layer(kind):
        return lambda units=0, **options: Layer(kind, options.pop("units", units), options)

    return {
        "Sequential": Sequential,
        "set_random_seed": lambda seed: record.calls.append(("seed", (seed,), {})),
        "LSTM": layer("LSTM"),
        "Dense": layer("Dense"),
        "Input": lambda shape: Layer("Input", options={"shape": shape}),
        "Embedding": lambda input_dim, output_dim, **options: Layer(
            "Embedding", output_dim, {"input_dim": input_dim, **options}
        ),
    }


# ---------------------------------------------------------------------------------- TensorFlow 1


class Tensor:
    """A node of a graph: what it was computed from, its shape if known, its index if a part."""

    def __init__(self, *parents, shape=None, index=None):
        self.parents, self.shape, self.index = parents, shape, index

    def __getitem__(self, index):
        return Tensor(self, index=index)

    def __sub__(self, other):
        return Tensor(self, other)


def graph(tensor) -> set[Tensor]:
    """Return a tensor with all that it depends on."""
    if not isinstance(tensor, Tensor):
        return set()
    return {tensor}.union(*map(graph, tensor.parents))


def tensorflow1_names(record: Run) -> dict[str, Any]:
    """Return what article 003 takes from TensorFlow 1."""

    def dynamic_rnn(
        cell,
        inputs,
        sequence_length=None,
        initial_state=None,
        dtype=None,
        parallel_iterations=None,
        swap_memory=False,
        time_major=False,
        scope=None,
    ):
        if len(inputs.shape) < 3:
            # What it takes for batch and time is exchanged first.
            raise ValueError(f"Shape {tuple(inputs.shape[::-1])} must have rank at least 3")
        sizes = [len(sequence_length)] if isinstance(sequence_length, np.ndarray) else []
        sizes += sequence_length.shape if isinstance(sequence_length, Tensor) else []
        if sizes and inputs.shape[0] not in (None, *sizes):
            differ = f"{sizes[0]} and {inputs.shape[0]}"
            raise ValueError(f"Dimension 0 in both shapes must be equal, but are {differ}")
        given = {"inputs": inputs, "lengths": sequence_length, "initial_state": initial_state}
        record.calls.append(("dynamic_rnn", (), given))
        return Tensor(inputs, sequence_length, initial_state), ("c", "h")

    class Session:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def run(self, fetches, feed_dict=None):
            fetches, fed = fetches if isinstance(fetches, list) else [fetches], feed_dict or {}
            if any(isinstance(value, Tensor) for value in fed.values()):
                raise TypeError("The value of a feed cannot be a tf.Tensor object")
            record.calls.append(("run", tuple(fetches), fed))
            return [0.0] * len(fetches) if len(fetches) > 1 else 0.0

    class AdamOptimizer:
        def __init__(self, learning_rate=0.001):
            self.learning_rate = learning_rate

        def minimize(self, loss):
            record.calls.append(("minimize", (loss,), {"rate": self.learning_rate}))
            return "update"

    class BasicLSTMCell:
        def __init__(self, num_units):
            self.num_units = num_units

        def zero_state(self, batch_size, dtype):
            return ("c", "h")

    def variable(initial):
        record.calls.append(("Variable", (made := Tensor(initial, shape=initial.shape),), {}))
        return made

    return {
        "float32": "float32",
        "placeholder": lambda dtype, shape=None: Tensor(shape=shape),
        "random_normal": lambda shape: Tensor(shape=shape),
        "Variable": variable,
        "shape": lambda tensor: Tensor(tensor),
        "square": lambda tensor: Tensor(tensor),
        "reduce_mean": lambda tensor: Tensor(tensor),
        "nn": SimpleNamespace(
            rnn_cell=SimpleNamespace(BasicLSTMCell=BasicLSTMCell), dynamic_rnn=dynamic_rnn
        ),
        "train": SimpleNamespace(AdamOptimizer=AdamOptimizer),
        "Session": Session,
        "global_variables_initializer": lambda: "initialise",
        "disable_v2_behavior": lambda: None,
        "set_random_seed": lambda seed: record.calls.append(("seed", (seed,), {})),
    }
