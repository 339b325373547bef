"""Stand-ins for Keras and TensorFlow 1: they compute nothing and record what a program asks for.

The articles' programs are run against them, so that no test needs TensorFlow. Names, argument order
and defaults are those of the real libraries; what the real ones answer to a bad call is quoted,
with the version that was run, in ``book/errata.yml``.
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


def run(program: str, tensorflow: int = 2, **names) -> Run:
    """Run a program against the stand-ins of TensorFlow 1 or 2, with ``names`` already defined."""
    record = Run(names=dict(names))
    with mock.patch.dict(sys.modules, modules(record, tensorflow)):
        try:
            exec(program, record.names)  # the programs are the ledger's own
        except Exception as error:
            record.error = error
    return record


def modules(record: Run, tensorflow: int) -> dict[str, ModuleType]:
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

    module("tensorflow", **(tf1 if tensorflow == 1 else {}))
    module("tensorflow.compat")
    module("tensorflow.compat.v1", **tf1)
    for root in ("keras", "tensorflow.keras"):
        module(root, **keras)
        module(f"{root}.models", Sequential=keras["Sequential"])
        module(f"{root}.layers", **keras)
        module(f"{root}.datasets", mnist=SimpleNamespace(load_data=mnist_data))
        found[f"{root}.datasets"].imdb = SimpleNamespace(load_data=imdb_data)
        module(f"{root}.utils", pad_sequences=pad_sequences, set_random_seed=lambda seed: None)
    return found


# ------------------------------------------------------------------------------------------ data


def mnist_data():
    """Return black images with the shapes and types of MNIST, a hundredth of it."""
    images = np.zeros((TRAIN + TEST, 28, 28), np.uint8)
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

        def fit(self, *args, **kwargs):
            record.calls.append(("fit", args, kwargs))

        def evaluate(self, *args, **kwargs):
            record.calls.append(("evaluate", args, kwargs))
            return 0.0, 0.0

    def layer(kind):
        return lambda units=0, **options: Layer(kind, options.pop("units", units), options)

    return {
        "Sequential": Sequential,
        "LSTM": layer("LSTM"),
        "Dense": layer("Dense"),
        "Input": lambda shape: Layer("Input", options={"shape": shape}),
        "Embedding": lambda input_dim, output_dim, **options: Layer(
            "Embedding", output_dim, {"input_dim": input_dim, **options}
        ),
    }


# ---------------------------------------------------------------------------------- TensorFlow 1


class Tensor:
    """A node of a graph: its shape if known, and what it was computed from."""

    def __init__(self, *parents, shape=None):
        self.parents, self.shape = parents, shape

    def __getitem__(self, index):
        return Tensor(self)

    def __sub__(self, other):
        return Tensor(self, other)


def placeholders(tensor) -> set:
    """Return the placeholders that a tensor depends on."""
    if not isinstance(tensor, Tensor):
        return set()
    if not tensor.parents:
        return {tensor}
    return set().union(*map(placeholders, tensor.parents))


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
        given = {"inputs": inputs, "lengths": sequence_length, "initial_state": initial_state}
        record.calls.append(("dynamic_rnn", (), given))
        return Tensor(inputs), Tensor(inputs)

    class Session:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def run(self, fetches, feed_dict=None):
            fetches = fetches if isinstance(fetches, list) else [fetches]
            record.calls.append(("run", tuple(fetches), feed_dict or {}))
            return [0.0] * len(fetches) if len(fetches) > 1 else 0.0

    class AdamOptimizer:
        def minimize(self, loss):
            record.calls.append(("minimize", (loss,), {}))
            return "update"

    class BasicLSTMCell:
        def __init__(self, num_units):
            self.num_units = num_units

        def zero_state(self, batch_size, dtype):
            return ("c", "h")

    return {
        "float32": "float32",
        "placeholder": lambda dtype, shape=None: Tensor(shape=shape),
        "random_normal": lambda shape: Tensor(shape=shape),
        "Variable": lambda initial: Tensor(initial, shape=initial.shape),
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
        "set_random_seed": lambda seed: None,
    }
