"""Data need and overfitting of LSTMs by size, of plain networks and of a softmax regression.

The networks read images of digits row by row (28 steps of 28 pixels); the regression sees all the
pixels at once and has no memory at all. There are from 100 to 3,000 training images.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from lstm import LSTM
from lstm.datasets import load_mnist
from lstm.equations import equal_parameters, parameter_count
from lstm.losses import cross_entropy
from lstm.models import SequenceClassifier
from lstm.module import Linear, Module
from lstm.optim import Adam
from lstm.variants import RNN
from lstm_book.experiments.tuning import tune

ROWS, PIXELS, CLASSES = 28, 28, 10
SIZES = (8, 16, 32, 64, 128)
HIDDEN_SIZE = 64
EQUAL_SIZE = round(equal_parameters(parameter_count(PIXELS, HIDDEN_SIZE), PIXELS))
TRAIN_SIZES = (100, 1000, 3000)
CHOICE_SIZE = 300
"""The learning rate is chosen with so many training images, on 1,000 validation images."""
SEEDS, CHOICE_SEEDS = tuple(range(5)), (100, 101)
UPDATES, BATCH = 500, 50

MODELS: dict[str, tuple[str, int]] = {f"LSTM {H}": ("lstm", H) for H in SIZES} | {
    f"RNN {HIDDEN_SIZE}": ("rnn", HIDDEN_SIZE),
    f"RNN {EQUAL_SIZE}": ("rnn", EQUAL_SIZE),
    "softmax regression": ("softmax", 0),
}
"""Name → kind and units; the larger plain network has the parameters of the LSTM with 64."""


def build(name: str, seed: int) -> Module:
    """Return a new model for images; the LSTMs start with a forget bias of 1."""
    kind, H = MODELS[name]
    rng = np.random.default_rng([seed, 0])
    if kind == "softmax":
        return Linear(ROWS * PIXELS, CLASSES, rng=rng)
    layer = (LSTM if kind == "lstm" else RNN)(PIXELS, H, rng=rng)
    if kind == "lstm":
        layer.bias_hh_l0.data[H : 2 * H] = 1
    return SequenceClassifier(layer, Linear(H, CLASSES, rng=rng))


def count_parameters(name: str) -> int:
    """Return how many numbers a model trains, without PyTorch's second bias."""
    named = build(name, 0).named_parameters()
    return sum(p.data.size for name, p in named if "bias_hh" not in name)


@cache
def images() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return 3,000 images to draw training sets from, 1,000 for validation and 1,000 to test."""
    (x, y), (x_test, y_test) = load_mnist()
    order = np.random.default_rng(0).permutation(len(x))
    train, validation = order[:-1000], order[-1000:]
    x, x_test = (pixels.astype(np.float32) / 255 for pixels in (x, x_test))
    return {
        "train": (x[train], y[train]),
        "validation": (x[validation], y[validation]),
        "test": (x_test, y_test),
    }


def train_on_digits(
    name: str, size: int, seed: int, lr: float, *, updates: int = UPDATES, judge: str = "test"
) -> dict[str, float]:
    """Train one model on ``size`` images.

    Parameters
    ----------
    name : str
        A key of ``MODELS``.
    size : int
        Number of training images, drawn by ``seed``; the same for every model.
    seed : int
        Seed of the images, of the initial weights and of the batches.
    lr : float
        Learning rate of Adam.
    updates : int
        Updates of 50 images each, however many images there are; clipped at norm 1.
    judge : {"test", "validation"}
        The 1,000 images that are judged at the end.

    Returns
    -------
    dict
        ``train`` and ``judge``: accuracy on the training images and on the others.
    """
    x, y = images()["train"]
    rng = np.random.default_rng([seed, 1])
    chosen = rng.permutation(len(x))[:size]
    x, y = x[chosen], y[chosen]
    model = build(name, seed)
    adam = Adam(model.parameters(), lr)
    order = np.empty(0, int)
    for _ in range(updates):
        if len(order) < BATCH:
            order = np.concatenate([order, rng.permutation(size)])
        batch, order = order[:BATCH], order[BATCH:]
        logits, backward = model.vjp(_steps(name, x[batch]))
        adam.zero_grad()
        backward(cross_entropy(logits, y[batch])[1])
        adam.clip_grad_norm_(1.0)
        adam.step()
    return {
        "train": _accuracy(name, model, x, y),
        "judge": _accuracy(name, model, *images()[judge]),
    }


def _steps(name: str, x: np.ndarray) -> np.ndarray:
    """Return images (B, 28, 28) as rows, (28, B, 28), or all their pixels at once."""
    return x.swapaxes(0, 1) if MODELS[name][1] else x.reshape(len(x), -1)


def _accuracy(name: str, model: Module, x: np.ndarray, y: np.ndarray) -> float:
    return float((model(_steps(name, x)).argmax(1) == y).mean())


def data(once: Callable[[str, Callable[[], Any]], Any]) -> dict[str, Any]:
    """Measure test accuracy and overfitting against the number of training images."""
    rates, runs = {}, []
    for name in MODELS:

        def try_rate(lr: float, name: str = name) -> list[float]:
            judged = partial(train_on_digits, name, CHOICE_SIZE, lr=lr, judge="validation")
            key = f"{name}, {lr}"
            return once(key, lambda: [judged(seed=seed)["judge"] for seed in CHOICE_SEEDS])

        rate, tried = tune(try_rate, lambda found: (1.0, float(np.mean(found))))
        rates[name] = {"lr": rate, "tried": {str(lr): found for lr, found in tried.items()}}
        for size in TRAIN_SIZES:
            train = partial(train_on_digits, name, size, lr=rate)
            found = once(f"{name}, {size} images", lambda t=train: [t(seed=s) for s in SEEDS])
            runs.append(
                {"name": name, "size": size, "lr": rate}
                | {"train_accuracy": [one["train"] for one in found]}
                | {"test_accuracy": [one["judge"] for one in found]}
            )
    return {
        "data": "bundled MNIST: 1,000 test images, 1,000 to choose the learning rate with, "
        "training images drawn from the other 3,000",
        "seeds": list(SEEDS),
        "choice_seeds": list(CHOICE_SEEDS),
        "updates": UPDATES,
        "batch": BATCH,
        "rates": rates,
        "parameters": {name: count_parameters(name) for name in MODELS},
        "runs": runs,
    }
