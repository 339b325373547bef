"""What a training is: described by value, or refused."""

import copy
import dataclasses
import enum
import functools
import os
import re
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
import torch
from lstm_book.recipes.description import describe

import lstm
from lstm.checkpoint import differences
from lstm.schedules import cosine, linear


class Scaled(lstm.Module):
    """A module of one's own, with a constant."""

    def __init__(self, factor):
        self.factor = factor

    def forward(self, x):
        return x * self.factor


class Faster(lstm.Adam):
    def step(self):
        self.lr *= 1.01
        super().step()


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    amount: float


@dataclasses.dataclass(frozen=True)
class Shift:
    amount: float

    def __call__(self, rng, x):
        return (x + self.amount,)


def power(exponent, done):
    return done**exponent


class IntKind(enum.IntEnum):
    ONE = 1


class Kind(enum.Enum):
    SLOW = 1
    FAST = 2


def adam(lr=0.02, kind=lstm.Adam):
    return kind(lstm.Linear(3, 2, rng=0).parameters(), lr=lr)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (linear, None, "it was 'lstm.schedules.linear', is None"),
        (linear, cosine, "it was 'lstm.schedules.linear', is 'lstm.schedules.cosine'"),
        (functools.partial(power, 1), functools.partial(power, 2), "args.0 was 1, is 2"),
        (Shift(0.1), Shift(0.2), "amount was 0.1, is 0.2"),
        (Slotted(0.1), Slotted(0.2), "amount was 0.1, is 0.2"),
        (Scaled(2.0), Scaled(3.0), "factor was 2.0, is 3.0"),
        (Scaled(np.float32(2)), Scaled(np.float32(3)), "factor was 'float32 .*, is 'float32 "),
        (Scaled(Kind.SLOW), Scaled(Kind.FAST), "factor._value_ was 1, is 2"),
        (Shift(0.1).__call__, Shift(0.2).__call__, "self.amount was 0.1, is 0.2"),
        ([np.ones(3)], [np.zeros(3)], "0 was 'float64.*is 'float64"),
        (lstm.Dropout(0.0), lstm.Dropout(0.5), "p was 0.0, is 0.5"),
        (lstm.Linear(2, 1), lstm.Linear(2, 1, dtype=np.float64), "weight was 'float32.*is 'float6"),
        (adam(), adam(0.03), "lr was 0.02, is 0.03"),
        (adam(), adam(kind=Faster), "class was 'lstm.optim.Adam', is '.*Faster'"),
    ],
)
def test_a_description_is_by_value_and_says_what_is_another(old, new, message):
    for one in (old, new):
        assert not list(differences(describe(one), describe(copy.deepcopy(one))))
    assert re.search(message, "; ".join(differences(describe(old), describe(new))))


def within(depth, value):
    return functools.reduce(lambda inner, _: [inner], range(depth), value)


class Listed(list):
    """A list with an attribute that is not among its members."""


DATA = [b"x", {1, 2}, {1: 2}, 1j, np.array([None]), IntKind.ONE, within(40, 1), within(2000, 1)]


@functools.wraps(linear)
def disguised(done):
    return 0.5 * linear(done)


OTHERS = [
    lambda done: done,
    disguised,
    object(),
    iter([]),
    Listed(),
    np,
    threading.Lock(),
    torch.ones(1),
    "x".join,
]


@pytest.mark.parametrize("value", [*DATA, *OTHERS], ids=lambda value: type(value).__name__)
def test_what_cannot_be_compared_is_refused(value):
    """Wherever it is found; it is named."""
    with pytest.raises(ValueError, match=r"^it\.factor(\.\d+)* must be (made of data|at most 30)"):
        describe(Scaled(value))


def test_what_a_training_changes_does_not_describe_it():
    """Neither its weights nor its counters; and what holds itself is refused."""
    model = lstm.Sequential(lstm.Dropout(0.5, rng=0), lstm.Linear(3, 2, rng=0))
    trainer = lstm.Trainer(model, lstm.cross_entropy, lstm.Adam(model.parameters()), rng=0)
    before = describe([model, trainer.optimizer])
    trainer.fit(np.ones((4, 3), np.float32), np.arange(4) % 2, epochs=1)
    assert describe([model, trainer.optimizer]) == before
    itself = Shift(0.1)
    object.__setattr__(itself, "amount", itself)
    with pytest.raises(ValueError, match=r"\.amount\.class must be at most 30 levels deep"):
        describe(itself)


DESCRIPTION = textwrap.dedent("""
    import functools, json, numpy as np, lstm
    from lstm_book.recipes.description import describe
    model = lstm.SequenceClassifier(lstm.LSTM(3, 4), lstm.Linear(4, 2))
    schedule = functools.partial(max, 0.1)
    adam = lstm.Adam(model.parameters())
    others = [{"b": 1.5, "a": 2.5}, np.ones(3), np.float32, np.float32(1), np.sin, json.dumps]
    print(json.dumps(describe([model, adam, schedule, lstm.cross_entropy, lstm.Trainer, *others])))
""")


@pytest.mark.slow
def test_a_description_is_the_same_in_every_process():
    """Strings have another hash in each, and everything stands elsewhere in memory."""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", DESCRIPTION],
            capture_output=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in "12"
    }
    assert len(outputs) == 1
