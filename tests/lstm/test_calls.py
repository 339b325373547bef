"""Gradients of any use: modules called many times, in any order, shared, tied, in threads."""

import gc
import threading
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

import lstm
from tests.lstm import parity
from tests.lstm.calls import PROGRAM, Subject, check_calls, check_gradients, tied, tied_torch

F64 = {"dtype": np.float64}


def vectors(*shape):
    return lambda rng: (rng.standard_normal((int(rng.integers(1, 5)), *shape)),)


def indices(*shape):
    return lambda rng: (rng.integers(0, 7, shape),)


def twice(kind, linear, relu):
    """Return a model that uses one layer twice."""
    return kind(linear, relu, linear)


def cell(bias, dtype, *batch):
    """Compare cells, with a state and without."""

    def draw(rng):
        x, h, c = (rng.standard_normal((*batch, n)).astype(dtype) for n in (3, 5, 5))
        return x, (h, c) if rng.random() < 0.7 else None

    return Subject(
        lambda: lstm.LSTMCell(3, 5, bias, dtype=dtype, rng=0),
        lambda: torch.nn.LSTMCell(3, 5, bias, dtype=getattr(torch, dtype.__name__)),
        draw,
    )


class TorchClassifier(torch.nn.Module):
    """What ``lstm.SequenceClassifier`` is, in PyTorch: pooled one by one, without a mask."""

    def __init__(self, pooling, layers):
        super().__init__()
        self.embedding = torch.nn.Embedding(7, 3)
        self.recurrent = torch.nn.LSTM(3, 4, layers, batch_first=True, bidirectional=True)
        self.head = torch.nn.Linear(8, 2)
        self.pooling = pooling
        self.double()

    def forward(self, x, lengths=None):
        ends = [x.shape[1]] * len(x) if lengths is None else lengths
        output, (h_n, _) = parity.call_reference(self.recurrent, self.embedding(x), None, lengths)
        seen = [rows[:end] for rows, end in zip(output, ends, strict=True)]
        pooled = {
            "last": lambda: torch.cat([h_n[-2], h_n[-1]], dim=-1),
            "mean": lambda: torch.stack([rows.mean(dim=0) for rows in seen]),
            "max": lambda: torch.stack([rows.amax(dim=0) for rows in seen]),
        }
        return self.head(pooled[self.pooling]())


def classifier(pooling, layers):
    """Compare classifiers of texts, padded ones and such that are not."""

    def draw(rng):
        lengths = (rng.integers(1, 7, 4),) if rng.random() < 0.7 else ()
        return rng.integers(0, 7, (4, 6)), *lengths

    return Subject(
        lambda: lstm.SequenceClassifier(
            lstm.LSTM(3, 4, layers, batch_first=True, bidirectional=True, **F64),
            lstm.Linear(8, 2, **F64),
            lstm.Embedding(7, 3, **F64),
            pooling=pooling,
        ),
        lambda: TorchClassifier(pooling, layers),
        draw,
    )


SUBJECTS = {
    "Linear": Subject(
        lambda: lstm.Linear(3, 4, **F64), lambda: torch.nn.Linear(3, 4).double(), vectors(2, 3)
    ),
    "Embedding": Subject(
        lambda: lstm.Embedding(7, 3, 2, **F64),
        lambda: torch.nn.Embedding(7, 3, 2).double(),
        indices(4, 5),
    ),
    "ReLU": Subject(lstm.ReLU, torch.nn.ReLU, vectors(3)),
    "Dropout at rest": Subject(
        lambda: lstm.Dropout(0.5).eval(), lambda: torch.nn.Dropout(0.5).eval(), vectors(3)
    ),
    "one Linear twice": Subject(
        lambda: twice(lstm.Sequential, lstm.Linear(3, 3, **F64), lstm.ReLU()),
        lambda: twice(torch.nn.Sequential, torch.nn.Linear(3, 3), torch.nn.ReLU()).double(),
        vectors(3),
    ),
    "tied weights": Subject(tied, tied_torch, indices(4, 5)),
    "LSTMCell": cell(True, np.float64, 4),
    "LSTMCell in float32": cell(True, np.float32, 4),
    "LSTMCell without biases": cell(False, np.float64, 4),
    "LSTMCell of one example": cell(False, np.float32),
    **{str(case): parity.subject(case) for case in parity.EVERY},
    **{
        f"SequenceClassifier: {pooling} of {layers}": classifier(pooling, layers)
        for pooling, layers in [("last", 2), ("mean", 1), ("max", 1)]
    },
}

PROGRAMS = st.lists(
    st.one_of(st.just("call"), st.just("weights"), st.integers(0, 3)), min_size=1, max_size=12
)


@pytest.mark.parametrize("name", SUBJECTS)
@settings(max_examples=12)
@given(program=PROGRAMS)
@example(program=PROGRAM)
def test_any_program(name, program):
    check_calls(SUBJECTS[name], program)


SMALL = {
    name: subject
    for name, subject in SUBJECTS.items()
    if all(parameter.dtype == np.float64 for parameter in subject.ours().parameters())
}
SMALL["Dropout"] = Subject(lambda: lstm.Dropout(0.4), torch.nn.Dropout, vectors(3))
SMALL |= {
    str(case): parity.subject(replace(case, input_size=2, hidden_size=3, num_layers=1))
    for case in parity.EVERY
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(("method", "limit"), [("complex", 1e-12), ("central", 1e-7)])
def test_every_gradient_is_a_numerical_derivative(name, method, limit):
    subject = SMALL[name]
    check_gradients(subject.ours(), subject.draw(np.random.default_rng(3)), method, limit)


# --- the closure and the short form --------------------------------------------------------------


def modules_of_all_kinds():
    """Name, module and the arguments of a call."""
    rng = np.random.default_rng(0)
    for name, subject in SUBJECTS.items():
        yield name, subject.ours(), subject.draw(rng)


EVERYTHING = list(modules_of_all_kinds())
NAMES = [name for name, _, _ in EVERYTHING]


def gradients_of(output):
    """Return arguments of a backward pass that fit an output."""
    if not isinstance(output, tuple):
        return (np.ones_like(output),)
    return (np.ones_like(output[0]), None)


@pytest.mark.parametrize(("name", "module", "arguments"), EVERYTHING, ids=NAMES)
def test_one_backward_for_one_call(name, module, arguments):
    own = type(module).__name__
    output, backward = module.vjp(*arguments)
    wrong = np.ones((1, 1, 1, 1), parity.flat(output)[0].dtype)
    with pytest.raises(ValueError, match="must have shape"):  # refused, which uses nothing up
        backward(wrong, *[None] * isinstance(output, tuple))
    backward(*gradients_of(output))
    with pytest.raises(RuntimeError, match="this backward pass has run already"):
        backward(*gradients_of(output))

    module.train()
    with pytest.raises(RuntimeError, match=f"{own}.backward was called before a call, or twice"):
        module.backward(*gradients_of(output))
    output = module(*arguments)
    with pytest.raises(ValueError, match="must have shape"):
        module.backward(wrong)
    module.backward(*gradients_of(output))
    with pytest.raises(RuntimeError, match=r"or twice after one: .* vjp gives each call its own"):
        module.backward(*gradients_of(output))

    module(*arguments)
    module.eval()
    for _ in range(2):
        with pytest.raises(RuntimeError, match=f"{own}.backward was called in evaluation mode"):
            module.backward(*gradients_of(output))
        module(*arguments)  # keeps nothing
    module.train()
    with pytest.raises(RuntimeError, match="before a call"):
        module.backward(*gradients_of(output))


@pytest.mark.parametrize(("name", "module", "arguments"), EVERYTHING, ids=NAMES)
def test_modes_differ_only_in_dropout(name, module, arguments):
    module.zero_grad()
    still, backward = module.eval().vjp(*arguments)
    backward(*gradients_of(still))
    grads = [parameter.grad.copy() for parameter in module.parameters()]
    for output in (module(*arguments), module.forward(*arguments)):
        for a, b in zip(parity.flat(output), parity.flat(still), strict=True):
            np.testing.assert_array_equal(a, b)
    if name.startswith("Dropout"):
        return
    module.zero_grad()
    output, backward = module.train().vjp(*arguments)
    backward(*gradients_of(output))
    for parameter, grad in zip(module.parameters(), grads, strict=True):
        np.testing.assert_array_equal(parameter.grad, grad)


def test_a_refused_call_keeps_the_last_good_one():
    layer = lstm.LSTM(3, 4)
    output, _ = layer(np.zeros((5, 2, 3), np.float32))
    with pytest.raises(ValueError, match="input must have shape"):
        layer(np.zeros((5, 2, 7), np.float32))
    layer.backward(output)


def test_what_a_call_holds_is_freed_with_its_backward():
    class Marked(lstm.Module):
        def vjp(self, input):
            kept = np.array(input)
            alive.append(weakref.ref(kept))
            return input, lstm.module.once(lambda d_output: d_output * kept)

    alive, module, x = [], Marked(), np.ones(3)
    _, backward = module.vjp(x)
    assert alive[-1]() is not None
    backward(x)  # run, though the closure is still here
    assert alive[-1]() is None
    _, backward = module.vjp(x)
    del backward  # or never run
    gc.collect()
    assert alive[-1]() is None
    module(x)
    module.backward(x)
    assert alive[-1]() is None
    module(x)
    module.eval()
    assert alive[-1]() is None


def test_who_writes_one_of_forward_and_vjp_does_not_inherit_the_other():
    class Doubled(lstm.Linear):
        def vjp(self, input):
            y, backward = super().vjp(input)
            return 2 * y, lambda d_y: backward(2 * d_y)

    class Halved(lstm.Linear):
        def forward(self, input):
            return super().forward(input) / 2

    x = np.ones((2, 3), np.float32)
    layer = Doubled(3, 4, rng=0)
    np.testing.assert_array_equal(layer(x), layer.eval()(x))
    np.testing.assert_array_equal(layer(x), 2 * lstm.Linear(3, 4, rng=0)(x))
    halved = Halved(3, 4, rng=0).eval()
    np.testing.assert_array_equal(4 * halved(x), layer(x))
    with pytest.raises(NotImplementedError, match="Halved does not define vjp"):
        halved.train()(x)


# --- threads -------------------------------------------------------------------------------------


def in_threads(work, count=4):
    """Run ``work(number)`` in several threads at once, and raise what one of them raised."""
    failures, start = [], threading.Barrier(count)

    def run(number):
        start.wait()
        try:
            work(number)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def model():
    return lstm.SequenceClassifier(
        lstm.LSTM(8, 16, batch_first=True, dtype=np.float64, rng=0),
        lstm.Linear(16, 3, dtype=np.float64, rng=1),
        lstm.Embedding(9, 8, dtype=np.float64, rng=2),
    )


def test_one_model_in_several_threads_in_evaluation():
    shared, rng = model().eval(), np.random.default_rng(0)
    inputs = [rng.integers(0, 9, (5, 7 + k)) for k in range(4)]
    expected = [shared(x) for x in inputs]

    def work(number):
        for _ in range(30):
            np.testing.assert_array_equal(shared(inputs[number]), expected[number])

    in_threads(work)


def test_gradients_of_several_threads_add_up():
    shared, alone, rng = model(), model(), np.random.default_rng(0)
    inputs = [rng.integers(0, 9, (5, 7 + k)) for k in range(4)]

    def work(number, times=30, module=shared):
        for _ in range(times):
            logits, backward = module.vjp(inputs[number])
            backward(np.ones_like(logits))

    in_threads(work)
    for number in range(4):
        work(number, module=alone)
    for ours, theirs in zip(shared.parameters(), alone.parameters(), strict=True):
        np.testing.assert_allclose(ours.grad, theirs.grad, rtol=1e-10, atol=1e-10)


def test_no_gradient_is_lost_between_threads():
    """Additions to the same memory by two threads at once would lose some."""
    parameter, rows = lstm.Parameter(np.zeros((2_000, 100))), np.arange(2_000)
    whole = np.ones(parameter.shape)

    def work(number):
        for _ in range(50):
            parameter.accumulate(whole, *[rows] * (number % 2))

    in_threads(work)
    assert (parameter.grad == 200).all()


def test_the_short_form_belongs_to_the_thread_that_called():
    shared, x = lstm.Linear(3, 2, rng=0), np.ones((1, 3), np.float32)
    y = shared(x)

    def other(_):
        with pytest.raises(RuntimeError, match="by another thread than the one that last called"):
            shared.backward(y)

    in_threads(other, 1)
    shared.backward(y)  # it was not used up
    shared(x)
    in_threads(lambda _: shared(x), 1)
    with pytest.raises(RuntimeError, match="use vjp"):
        shared.backward(y)
