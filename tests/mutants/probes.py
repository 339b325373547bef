"""Tests of the suite, each run once more on a package that has a mistake.

They hold every result and gradient against PyTorch's autograd or the complex step, on arrays
whose sizes all differ: a mistake has nowhere to hide.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from types import ModuleType


def tests_of(subject: str) -> ModuleType:
    """Import a file of tests, afresh where the package has been changed."""
    return import_module(f"tests.lstm.{subject}")


def compare(*cases) -> None:
    """Compare layers with their references, dense batches and ragged ones."""
    parity = tests_of("parity")
    for case in cases:
        for lengths in ("none", "ragged"):
            parity.check_reference(replace(case, lengths=lengths))


def cell() -> None:
    """One step is ``torch.nn.LSTMCell``, in any order of calls."""
    for name in ("LSTMCell", "LSTMCell without biases", "LSTMCell of one example"):
        tests_of("calls").check_calls(tests_of("test_calls").SUBJECTS[name])
    tests_of("equations.test_activations").test_sigmoid_neither_overflows_nor_changes_the_dtype("f")


def layer() -> None:
    """Layers, directions, lengths and projection are those of ``torch.nn.LSTM``."""
    Case = tests_of("parity").Case
    compare(Case(num_layers=2, bidirectional=True), Case(proj_size=3))


def dropout() -> None:
    """Dropout acts in training only, and is differentiated."""
    case = tests_of("parity").Case()
    tests = tests_of("test_layer_parity")
    tests.test_every_gradient_with_dropout_is_a_numerical_derivative(case)


def relatives() -> None:
    """GRU and RNN are PyTorch's, peepholes stand where their formulas say."""
    Case = tests_of("parity").Case
    compare(*(Case(kind, num_layers=2) for kind in ("GRU", "RNN", "PeepholeLSTM")))


def losses() -> None:
    """Losses and their gradients are those of ``torch.nn.functional``."""
    tests = tests_of("test_losses")
    for case in tests.CASES:
        tests.test_parity_with_torch(*case.values, scale=1.0)


def optimisers() -> None:
    """Steps are those of ``torch.optim``, also of gradients that are clipped."""
    tests = tests_of("test_optim")
    for name, options in tests.CASES:
        tests.test_parity_with_torch(name, options)
    for largest in (1.0, 1e6):
        tests.test_clip_parity_with_torch(largest)


def initialise() -> None:
    """Forget biases are set and others 0, recurrent weights keep lengths, others are Glorot's."""
    tests = tests_of("test_initialise")
    tests.test_an_lstm_as_keras_starts_it({})
    tests.test_glorot()


PROBES = {
    probe.__name__: probe
    for probe in (cell, layer, dropout, relatives, losses, optimisers, initialise)
}
