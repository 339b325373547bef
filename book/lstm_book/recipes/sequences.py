"""The tasks of articles 000, 001 and 003, which print a network and no data to train it on."""

from __future__ import annotations

import numpy as np

import lstm
from lstm import checks
from lstm.initialise import initialise_lstm
from lstm.models import SequenceClassifier, Stack
from lstm.signatures import checked
from lstm_book.recipes import baselines
from lstm_book.recipes.recipe import TRAINING, Part, Recipe, Settings, Task, checksum

FLOAT = np.float32


@checked
def waves(rng: np.random.Generator, size: int, steps: int = 100, noise: float = 1.0):
    """Draw noisy waves: a tone of 5 or of 8 periods, beginning anywhere.

    Parameters
    ----------
    rng : Generator
        Source.
    size, steps : int
        N sequences of T numbers.
    noise : float
        Standard deviation of what is added to a wave of height 1.

    Returns
    -------
    x : ndarray of float32, shape (N, T, 1)
    y : ndarray of uint8, shape (N, 1)
        1 where the tone is the higher one.
    """
    checks.room(size * steps, size=size, steps=steps)
    y = rng.integers(0, 2, size)
    phase = rng.uniform(0, 2 * np.pi, size)
    time = np.arange(steps) / steps
    x = np.sin(2 * np.pi * np.where(y, 8, 5)[:, None] * time + phase[:, None])
    x += noise * rng.standard_normal((size, steps))
    return x[..., None].astype(FLOAT), y[:, None].astype(np.uint8)


@checked
def first_repeat(rng: np.random.Generator, size: int, shortest: int = 11, longest: int = 20):
    """Draw sequences of ten symbols; the answer is the first symbol that comes a second time.

    Every sequence has a repetition, because it is longer than ten. Whatever comes after it
    distracts, and the state must keep the answer to the sequence's own end.

    Parameters
    ----------
    rng : Generator
        Source.
    size, shortest, longest : int
        N sequences, and the range of their lengths.

    Returns
    -------
    x : ndarray of float32, shape (N, longest, 10)
        One-hot symbols; zeros behind the end.
    lengths : ndarray of int, shape (N,)
    y : ndarray of int, shape (N,)
        The answer, 0 to 9.
    """
    checks.room(10 * size * longest**2, size=size, longest=longest)
    symbols = rng.integers(0, 10, (size, longest))
    lengths = rng.integers(shortest, longest + 1, size)
    earlier = np.tril(symbols[:, :, None] == symbols[:, None, :], k=-1).any(axis=2)
    y = symbols[np.arange(size), earlier.argmax(axis=1)]
    x = np.eye(10, dtype=FLOAT)[symbols]
    x[np.arange(longest) >= lengths[:, None]] = 0
    return x, lengths, y


@checked
def gaussian_sequences(rng: np.random.Generator, size: int, target: str):
    """Draw sequences of 100 vectors of 10 Gaussian numbers, and a target of 10 numbers for each.

    Parameters
    ----------
    rng : Generator
        Source.
    size : int
        Number of sequences N.
    target : {"gaussian", "sum", "noise"}
        Article 003's target, Gaussian numbers that have nothing to do with the sequence; or the
        tanh of a tenth of the sequence's sum, which an LSTM can compute; or the tanh of Gaussian
        numbers: of the same size, but nothing to learn.

    Returns
    -------
    x : ndarray of float32, shape (N, 100, 10)
    y : ndarray of float32, shape (N, 10)
    """
    if target not in ("gaussian", "sum", "noise"):
        raise ValueError(f"target must be 'gaussian', 'sum' or 'noise', got {target!r}")
    checks.room(1000 * size, size=size)
    x = rng.standard_normal((size, 100, 10))
    fresh = rng.standard_normal((size, 10))
    y = {"gaussian": fresh, "sum": np.tanh(x.sum(axis=1) / 10), "noise": np.tanh(fresh)}[target]
    return x.astype(FLOAT), y.astype(FLOAT)


def _task(name: str, draw, settings: Settings) -> Task:
    """Draw three parts, each from a generator of its own."""
    parts = []
    for number, part in enumerate(("train", "validation", "test")):
        *inputs, targets = draw(np.random.default_rng([number, 2026]), settings[f"{part}_size"])
        parts.append(Part(tuple(inputs), targets))
    if not settings.get("lengths", True):
        parts = [Part(part.inputs[:1], part.targets) for part in parts]
    about = {"name": name, "source": "drawn", "sizes": [len(part.targets) for part in parts]}
    about["sha256"] = checksum(array for part in parts for array in (*part.inputs, part.targets))
    return Task(*parts, about)


def _reader(rng: np.random.Generator, *sizes: int) -> lstm.LSTM:
    return initialise_lstm(lstm.LSTM(*sizes, batch_first=True, rng=rng), rng=rng)


def _build_scalar(task: Task, settings: Settings, rng: np.random.Generator) -> SequenceClassifier:
    reader = _reader(rng, 1, settings["hidden_size"])
    return SequenceClassifier(reader, lstm.Linear(settings["hidden_size"], 1, rng=rng))


def _build_stacked(task: Task, settings: Settings, rng: np.random.Generator) -> SequenceClassifier:
    layers = Stack(_reader(rng, 10, 64), _reader(rng, 64, 32))
    return SequenceClassifier(layers, lstm.Linear(32, 10, rng=rng))


def _build_random(task: Task, settings: Settings, rng: np.random.Generator) -> SequenceClassifier:
    """Article 003's cell: the hidden state itself is the prediction."""
    return SequenceClassifier(_reader(rng, 10, 10), lstm.Sequential())


SIZES = ("train_size", "validation_size", "test_size")
DEFAULTS = TRAINING | {"train_size": 10_000, "validation_size": 2_000, "test_size": 10_000}
WAVES = {"optimizer": "adam", "lr": 3e-3, "schedule": "cosine"}
SYMBOLS = {"lr": 8e-3, "schedule": "linear", "max_norm": 1.0}

SCALAR = Recipe(
    name="scalar-sequence",
    article="000",
    about="LSTM(50) and a logistic output tell two tones in noise apart, 100 numbers at a time",
    load=lambda settings: _task("waves", waves, settings),
    build=_build_scalar,
    loss=lstm.binary_cross_entropy_with_logits,
    defaults=DEFAULTS | {"hidden_size": 50, "optimizer": "keras-rmsprop", "epochs": 20},
    models={
        "article": {},
        "lstm": WAVES | {"max_norm": 1.0},
        "without-clipping": WAVES,
    },
    quick={"train_size": 2_000, "validation_size": 500, "test_size": 2_000},
    baselines={
        "majority": baselines.majority,
        "logistic-regression": baselines.logistic_regression,
    },
    data=SIZES,
)

STACKED = Recipe(
    name="stacked",
    article="001",
    about="LSTM(64), LSTM(32) and a softmax find the first symbol that repeats, lengths 11 to 20",
    load=lambda settings: _task("first-repeat", first_repeat, settings),
    build=_build_stacked,
    loss=lstm.cross_entropy,
    defaults=DEFAULTS | {"lengths": True},
    models={
        "article": {"optimizer": "keras-adam"},
        "lstm": SYMBOLS,
        # The same two without telling the network where a sequence ends, as in the article.
        "article-without-lengths": {"optimizer": "keras-adam", "lengths": False},
        "lstm-without-lengths": SYMBOLS | {"lengths": False},
    },
    quick={"train_size": 4_000, "validation_size": 500, "test_size": 2_000},
    baselines={"majority": baselines.majority, "bag-of-steps": baselines.bag_of_steps},
    data=(*SIZES, "lengths"),
)

RANDOM = Recipe(
    name="random-sequence",
    article="003",
    about="LSTM(10) learns numbers from 100 random vectors: possible (sum) and impossible (noise)",
    load=lambda settings: _task(
        f"gaussian-sequences-{settings['target']}",
        lambda rng, size: gaussian_sequences(rng, size, settings["target"]),
        settings,
    ),
    build=_build_random,
    loss=lstm.mse_loss,
    defaults=DEFAULTS
    | {"train_size": 2_000, "target": "sum", "lr": 1e-2, "epochs": 20, "schedule": "cosine"},
    models={
        "sum": {},
        "noise": {"target": "noise"},
        # The program as printed: one sequence, 100 steps of Adam at TensorFlow's default rate.
        "article": TRAINING | {"target": "gaussian", "train_size": 1, "epochs": 100},
    },
    quick={"validation_size": 500, "test_size": 1_000},
    baselines={"mean": baselines.mean},
    data=(*SIZES, "target"),
)
