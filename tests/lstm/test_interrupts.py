"""Ctrl-C at any line of the library: weights and counters change together, and nothing is lost."""

import signal
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lstm
from lstm.interrupts import held
from lstm.schedules import linear

PACKAGE = str(Path(lstm.__file__).parent)


@pytest.fixture(autouse=True)
def python_takes_ctrl_c():
    """Where the tests were started deaf to Ctrl-C they would see none."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted(work, *moments):
    """Run ``work`` with Ctrl-C at some moments; return them all: the lines that ran, in order."""
    lines = []

    def at_line(frame, event, _):
        if event == "line":
            lines.append((frame.f_code.co_filename, frame.f_lineno))
            if len(lines) - 1 in moments:
                signal.raise_signal(signal.SIGINT)
        return at_line

    def at_call(frame, event, _):
        return at_line if frame.f_code.co_filename.startswith(PACKAGE) else None

    before = sys.gettrace()
    sys.settrace(at_call)
    try:
        work()
    finally:
        sys.settrace(before)
    return lines


def training():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((7, 3)).astype(np.float32), rng.integers(0, 2, 7)
    model = lstm.Sequential(lstm.Linear(3, 4, rng=0), lstm.Dropout(0.3, rng=1))
    adam = lstm.Adam(model.parameters(), lr=0.1)
    trainer = lstm.Trainer(model, lstm.cross_entropy, adam, batch_size=3, rng=2, schedule=linear)
    return trainer, lambda: trainer.fit(x, y, epochs=3, validation=(x, y), patience=2)


def state(holder):
    return {name: array.tobytes() for name, array in holder.state_dict().items()}


WHOLE, fit = training()
LINES = interrupted(fit)
EXPECTED = state(WHOLE)


def check(*moments):
    trainer, fit = training()
    again, _ = training()
    for moment in moments:
        try:
            interrupted(fit, moment, moment + 1)  # twice, as one does who is impatient
        except KeyboardInterrupt:
            again.load_state_dict(trainer.state_dict())  # a state that a training has
    fit()
    assert state(trainer) == EXPECTED, [LINES[moment] for moment in moments]


@pytest.mark.slow
def test_interrupted_at_any_line_of_the_trainer_it_goes_on_to_the_same_bits():
    for line in {line for line in LINES if Path(line[0]).name == "training.py"}:
        check(LINES.index(line))
        check(len(LINES) - 1 - LINES[::-1].index(line))


@settings(max_examples=40)
@given(st.lists(st.integers(0, len(LINES) - 1), min_size=1, max_size=3))
def test_interrupted_several_times_it_goes_on_to_the_same_bits(moments):
    check(*moments)


def changing(what):
    """Return what changes a layer or its optimizer, and what reads the state of both."""
    layers = [lstm.LSTM(2, 3, rng=seed) for seed in range(2)]
    optimizers = [lstm.Adam(layer.parameters()) for layer in layers]
    for parameter in (*layers[0].parameters(), *layers[1].parameters()):
        parameter.grad[...] = 1
    optimizers[1].step()
    ours, theirs = zip(layers, optimizers, strict=True)
    if what == "step":
        change = optimizers[0].step
    else:
        place = what == "state of the optimizer"
        change = partial(ours[place].load_state_dict, theirs[place].state_dict())
    return change, lambda: [state(each) for each in ours]


@pytest.mark.parametrize("what", ["step", "state of the optimizer", "state of the layer"])
def test_wherever_it_comes_all_arrays_have_changed_or_none(what):
    change, read = changing(what)
    before = read()
    lines = interrupted(change)
    after = read()
    assert before != after
    for moment in range(len(lines)):
        change, read = changing(what)
        with pytest.raises(KeyboardInterrupt):
            interrupted(change, moment)
        assert read() in (before, after)


def test_it_comes_after_an_error_too_and_to_whoever_takes_it():
    taken = []
    signal.signal(signal.SIGINT, lambda *what: taken.append(what[0]))

    @held()
    def fails():
        signal.raise_signal(signal.SIGINT)
        assert not taken
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fails()
    assert taken == [signal.SIGINT]


def test_other_threads_and_deaf_programs_are_left_as_they_are():
    def work():
        with held():
            handlers.append(signal.getsignal(signal.SIGINT))

    handlers = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    work()
    assert handlers == [signal.default_int_handler, signal.SIG_IGN]
