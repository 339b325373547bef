"""The reader of digits: a small LSTM that says after every row what it sees."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

import lstm
from lstm import equations as eq
from lstm.datasets import load_mnist
from lstm.initialise import initialise_lstm
from lstm_book.figures import plots
from lstm_book.figures.plots import style
from lstm_book.figures.svg import inline_svg
from lstm_book.figures.widgets import files, reader
from lstm_book.figures.widgets.page import figure_page
from lstm_book.recipes.digits import Distort

HIDDEN_SIZE = 48
EPOCHS = 120
EXAMPLES_EACH = 2
SHOWN = 12
"""Which example the static figure reads."""


def data(folder: Path, train: bool) -> dict:
    """Return the weights, what they can do, and some test digits to choose from."""
    if train:
        weights, record = _train()
    else:
        old = files.read_data(folder / "data" / "digits.js")
        weights, record = old["weights"], old["record"]
    images, labels = examples()
    return {
        "weights": weights,
        "record": record,
        "images": [base64.b64encode(image.tobytes()).decode("ascii") for image in images],
        "labels": labels.tolist(),
        "each": EXAMPLES_EACH,
        "shown": SHOWN,
    }


def page(data: dict) -> str:
    """Return the opinion after every row on one test digit, as a still figure."""
    image = np.frombuffer(base64.b64decode(data["images"][SHOWN]), np.uint8).reshape(28, 28)
    label, record = data["labels"][SHOWN], data["record"]
    by_row = probabilities(data["weights"], image[None])[0]
    halfway, certain = by_row[13, label], by_row[-1, label]
    with style():
        drawing = plots.probabilities_over_time(by_row, image, label=label)
        svg = inline_svg(
            drawing,
            name="widget-digits",
            alt=f"Left: a handwritten {label}. Right: for each of its 28 rows, the probabilities "
            f"of the ten digits; {label} has {halfway:.0%} after row 14 and {certain:.0%} after "
            "the last.",
        )
    plt.close(drawing)
    return figure_page("digits", svg, _caption(record), ("cell", "watch"))


def _caption(record: dict) -> str:
    return f"""
    An LSTM with {HIDDEN_SIZE} cells reads the rows of a digit from top to bottom; here the picture
    lies on its side, so that each row stands above its step. Ribbons: the 8 cells that weigh most
    in the last answer. Below them, after each row, what it believes of the ten digits. Unlike the
    network that you build below, it was trained to answer after <em>every</em> row. It saw
    {record["train"]:,} digits, moved and turned at random; of the {record["test"]:,} digits of the
    test set, from which those to choose are taken, it reads
    {100 * record["accuracy"]:.1f}\N{NO-BREAK SPACE}% rightly. It knows nothing but digits: to a
    scribble it gives one of the ten, often with 99\N{NO-BREAK SPACE}%.
    """


def examples() -> tuple[np.ndarray, np.ndarray]:
    """Return test digits, images of uint8 (N, 28, 28) and labels: the first of each class."""
    _, (images, labels) = load_mnist("bundled")
    chosen = [np.flatnonzero(labels == digit)[:EXAMPLES_EACH] for digit in range(10)]
    chosen = np.concatenate(chosen)
    return images[chosen], labels[chosen]


def probabilities(weights: dict, images: np.ndarray) -> np.ndarray:
    """Return what the reader believes, (N, 28, 10), after every row of images of uint8."""
    return eq.softmax(reader.load_reader(weights)(images / 255))


def _train() -> tuple[dict, dict]:
    (images, labels), (test_images, test_labels) = load_mnist("bundled")
    rng = np.random.default_rng(0)
    layer = initialise_lstm(lstm.LSTM(28, HIDDEN_SIZE, batch_first=True, rng=rng), rng=rng)
    network = reader.Reader(layer, lstm.Linear(HIDDEN_SIZE, 10, rng=rng))
    reader.train(
        network,
        (images.astype(np.float32) / 255,),
        labels,
        lstm.cross_entropy,
        Distort(shift=2.0, turn=0.15, stretch=0.15),
        epochs=EPOCHS,
        batch_size=100,
        lr=6e-3,
    )
    weights = reader.packed_weights(network)
    guess = reader.last_answers(reader.load_reader(weights), test_images / 255).argmax(axis=1)
    record = {
        "train": len(labels),
        "test": len(test_labels),
        "accuracy": float((guess == test_labels).mean()),
    }
    return weights, record
