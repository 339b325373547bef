"""Article 004: digits, row by row; by columns; pixel by pixel, as Le, Jaitly and Hinton did."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

import lstm
from lstm.datasets import load_mnist
from lstm.initialise import initialise_lstm
from lstm.models import SequenceClassifier
from lstm.module import Backward, Module
from lstm.schedules import linear
from lstm.signatures import checked
from lstm_book.recipes import baselines
from lstm_book.recipes.recipe import (
    KERAS,
    TRAINING,
    Answers,
    Part,
    Recipe,
    Settings,
    System,
    Task,
    checksum,
    split,
)


@checked
@dataclass(frozen=True)
class Distort:
    """An ``augment`` for :class:`lstm.Trainer` that moves, turns, stretches and bends digits.

    Parameters
    ----------
    shift : float
        Largest move in either direction, in pixels.
    turn : float
        Largest rotation and shear, in radians.
    stretch : float
        Largest change of either size, as a share.
    bend : float
        Standard deviation, in pixels, by which the knots of a coarse net are moved; the pixels
        between them follow smoothly: a relative of the smoothed random fields of Simard,
        Steinkraus and Platt (2003).
    """

    shift: float
    turn: float
    stretch: float
    bend: float = 0.0

    @checked
    def __call__(self, rng: np.random.Generator, images: np.ndarray) -> tuple[np.ndarray]:
        """Return other images (N, H, W), each distorted in its own way."""
        count, height, width = images.shape
        # Where does each pixel of the new image lie in the old one? Both have the centre 0, 0.
        matrix = np.eye(2) + rng.uniform(-self.turn, self.turn, (count, 2, 2))
        matrix *= rng.uniform(1 - self.stretch, 1 + self.stretch, (count, 1, 2))
        centre = np.array([height - 1, width - 1])[:, None] / 2
        place = np.indices((height, width)).reshape(2, -1) - centre
        place = matrix @ place + centre + rng.uniform(-self.shift, self.shift, (count, 2, 1))
        if self.bend:
            knots = rng.normal(0, self.bend, (count, 2, KNOTS, KNOTS))
            bent = _hats(height) @ knots @ _hats(width).T
            place += bent.reshape(count, 2, -1)
        return (_interpolate(images, place[:, 0], place[:, 1]).reshape(images.shape),)


KNOTS = 6
"""Knots of the net along each side of an image: about one for every five pixels of a digit."""


def _hats(size: int) -> np.ndarray:
    """Return the weight of each knot at each pixel of a side, (size, KNOTS)."""
    places, knots = np.linspace(0, KNOTS - 1, size), np.arange(KNOTS)
    return np.maximum(0, 1 - np.abs(places[:, None] - knots))


def _interpolate(images: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Read images (N, H, W) between their pixels, at places (N, M) each; 0 outside."""
    count, height, width = images.shape
    # A frame of zeros: whatever lies outside is moved onto it.
    padded = np.zeros((count, height + 3, width + 3), images.dtype)
    padded[:, 1:-2, 1:-2] = images
    row, column = np.clip(row + 1, 0, height + 1), np.clip(column + 1, 0, width + 1)
    top, left = row.astype(np.intp), column.astype(np.intp)
    down, right = (row - top).astype(images.dtype), (column - left).astype(images.dtype)
    flat, line = padded.ravel(), width + 3
    corner = (np.arange(count)[:, None] * (height + 3) + top) * line + left
    above = flat[corner] * (1 - right) + flat[corner + 1] * right
    below = flat[corner + line] * (1 - right) + flat[corner + line + 1] * right
    return above * (1 - down) + below * down


AMOUNTS = ("shift", "turn", "stretch", "bend")
"""The settings that :class:`Distort` takes."""


def load_digits(settings: Settings, order: str) -> Task:
    """Load digits as sequences of rows, columns, pixels, or pixels in one fixed disorder."""
    (x, y), (x_test, y_test) = load_mnist(settings["source"])
    train, validation = split(y, settings)
    held_out = None
    if settings.get("final"):  # once everything is chosen
        held_out = len(train) + np.arange(len(validation))
        train = np.concatenate([train, validation])
    permutation = np.random.default_rng(0).permutation(784)

    def part(images: np.ndarray, labels: np.ndarray) -> Part:
        images = images.astype(np.float32) / 255
        if order == "columns":
            images = images.transpose(0, 2, 1)
        elif order != "rows":
            images = images.reshape(-1, 784, 1)
        if order == "permuted":
            images = images[:, permutation]
        return Part((images,), labels)

    parts = [part(x[train], y[train]), part(x[validation], y[validation]), part(x_test, y_test)]
    about = {
        "name": f"mnist-{order}",
        "source": settings["source"],
        "sizes": [len(part.targets) for part in parts],
        "sha256": checksum([x[train], y[train], x[validation], y[validation], x_test, y_test]),
    }
    amounts = [settings[name] for name in AMOUNTS if name in settings]
    augment = Distort(*amounts) if any(amounts) else None
    views = [Distort(*(x / 2 for x in amounts)) for _ in range(settings.get("views", 0))]
    return Task(*parts, about, augment=augment, held_out=held_out, views=views)


def build_reader(task: Task, settings: Settings, rng: np.random.Generator) -> SequenceClassifier:
    """Return LSTM → dropout → (dense layer of ReLUs →) ten logits."""
    reader = lstm.LSTM(
        task.train.inputs[0].shape[2],
        settings["hidden_size"],
        settings["num_layers"],
        batch_first=True,
        dropout=settings["dropout"] if settings["num_layers"] > 1 else 0.0,
        bidirectional=settings["bidirectional"],
        rng=rng,
    )
    initialise_lstm(
        reader, forget_bias=settings["forget_bias"], longest=settings.get("longest"), rng=rng
    )
    width = reader.output_size
    layers = [lstm.Dropout(settings["dropout"], rng=rng)]
    if settings["dense_size"]:
        layers += [lstm.Linear(width, settings["dense_size"], rng=rng), lstm.ReLU()]
        width = settings["dense_size"]
    head = lstm.Sequential(*layers, lstm.Linear(width, 10, rng=rng))
    return SequenceClassifier(reader, head, pooling=settings["pooling"])


class Flat(Module):
    """Hands on all pixels of a picture at once."""

    def vjp(self, x: np.ndarray) -> tuple[np.ndarray, Backward]:
        """Return the pictures (B, H, W) as (B, H · W), and the way back."""
        return x.reshape(len(x), -1), lambda d_output: d_output.reshape(x.shape)


def dense(task: Task, settings: Settings, seed: int) -> Answers:
    """Train two dense layers of ReLUs over all pixels: there is no order, and nothing to remember.

    Digits, distortion, their order, rule and schedule are those of our LSTM; the epochs are as many
    as go into its time.
    """
    rng, size = np.random.default_rng([seed, 0]), settings["hidden_size"]
    layers, width = [Flat()], task.train.inputs[0][0].size
    for _ in range(2):
        layers += [lstm.Linear(width, size, rng=rng), lstm.ReLU()]
        layers += [lstm.Dropout(settings["dropout"], rng=rng)]
        width = size
    model = lstm.Sequential(*layers, lstm.Linear(width, 10, rng=rng))
    trainer = lstm.Trainer(
        model,
        lstm.cross_entropy,
        lstm.Adam(model.parameters(), lr=settings["lr"]),
        batch_size=settings["batch_size"],
        max_norm=settings["max_norm"],
        schedule=linear,
        augment=task.augment,
        rng=np.random.default_rng([seed, 1]),
    )
    trainer.fit(*task.train, epochs=settings["epochs"], validation=task.validation)
    outputs = [lstm.predict(model, part.inputs) for part in (task.validation, task.test)]
    return Answers(*outputs, {}, sum(parameter.size for parameter in model.parameters()))


DEFAULTS = TRAINING | {
    "source": "full",
    "train_size": None,
    "validation_size": 5_000,
    "hidden_size": 128,
    "num_layers": 1,
    "bidirectional": False,
    "pooling": "last",
    "dense_size": 0,
    "dropout": 0.2,
    "forget_bias": 1.0,
    "lr": 3e-3,
    "schedule": "linear",
    "batch_size": 128,
    "epochs": 12,
    "max_norm": 1.0,
}
DISTORTED = {"shift": 2.0, "turn": 0.1, "stretch": 0.1, "bend": 0.0}
DENSE = {name: DEFAULTS[name] for name in ("batch_size", "dropout", "max_norm")}
DENSE |= DISTORTED | {"hidden_size": 512, "lr": 1e-3, "epochs": 25}
QUICK = {"source": "bundled", "validation_size": 500}
NOT_DISTORTED = dict.fromkeys(AMOUNTS, 0.0)

BEST = {"bidirectional": True, "bend": 1.0, "epochs": 30}
LINEAR = {
    "majority": baselines.majority,
    "logistic-regression": baselines.logistic_regression,
}

ROWS = Recipe(
    name="mnist-rows",
    article="004",
    about="LSTM(128) reads handwritten digits row by row",
    load=partial(load_digits, order="rows"),
    build=build_reader,
    loss=lstm.cross_entropy,
    defaults=DEFAULTS | DISTORTED,
    models={
        "lstm": {},
        "best": BEST,
        # Longer, on all digits once the rest was chosen, and judged by several views of each.
        "views": BEST | {"epochs": 40, "views": 8, "final": True},
        # As printed, but with the tanh that an LSTM has; no distortion, no dropout, no clipping.
        "article": KERAS | NOT_DISTORTED | {"dense_size": 128, "dropout": 0.0, "batch_size": 128},
    },
    quick=QUICK | {"epochs": 10},
    baselines=LINEAR | {"dense": System(dense, DENSE)},
    data=("source", "train_size", "validation_size"),
)

COLUMNS = replace(
    ROWS,
    name="mnist-columns",
    about="the same from left to right, column by column",
    load=partial(load_digits, order="columns"),
    models={"lstm": {}},
    baselines=LINEAR,
)

# 100 units and orthogonal weights, as Cooijmans et al. (2017) had. With a forget bias of 1 a pixel
# would be forgotten within four of the 784 steps.
PIXELS = replace(
    COLUMNS,
    name="mnist-pixels",
    about="LSTM(100) reads handwritten digits pixel by pixel, 784 steps",
    load=partial(load_digits, order="pixels"),
    defaults=DEFAULTS | {"hidden_size": 100, "longest": 784, "dropout": 0.0},
    quick=QUICK | {"epochs": 1, "train_size": 1_000},  # enough to see it run, not to learn
)

PERMUTED = replace(
    PIXELS,
    name="mnist-permuted",
    about="pixel by pixel, in one fixed disorder",
    load=partial(load_digits, order="permuted"),
)
