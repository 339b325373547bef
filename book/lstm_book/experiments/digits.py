"""Data need and overfitting of an LSTM, a plain network and a softmax regression.

The networks read images of digits row by row (28 steps of 28 pixels); the regression sees all the
pixels at once and has no memory at all. There are from 100 to 4,000 training images.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from lstm.datasets import load_mnist
from lstm.equations import equal_parameters, parameter_count

ROWS, PIXELS, CLASSES = 28, 28, 10
HIDDEN_SIZE = 64
EQUAL_SIZE = round(equal_parameters(parameter_count(PIXELS, HIDDEN_SIZE), PIXELS))
TRAIN_SIZES = (100, 300, 1000, 4000)
SEEDS = tuple(range(5))
UPDATES, BATCH, LR, EVERY = 1000, 50, 0.003, 50


class RowReader(torch.nn.Module):
    """A recurrent layer over the rows and a linear layer on its last hidden state."""

    def __init__(self, kind: str, hidden_size: int) -> None:
        super().__init__()
        layer = torch.nn.LSTM if kind == "lstm" else torch.nn.RNN
        self.recurrent = layer(PIXELS, hidden_size, batch_first=True)
        self.read_out = torch.nn.Linear(hidden_size, CLASSES)
        if kind == "lstm":
            with torch.no_grad():
                self.recurrent.bias_hh_l0[hidden_size : 2 * hidden_size] = 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (B, 28, 28) to logits (B, 10)."""
        return self.read_out(self.recurrent(x)[0][:, -1])


MODELS: dict[str, Callable[[], torch.nn.Module]] = {
    "LSTM": lambda: RowReader("lstm", HIDDEN_SIZE),
    "RNN, equal units": lambda: RowReader("rnn", HIDDEN_SIZE),
    "RNN, equal parameters": lambda: RowReader("rnn", EQUAL_SIZE),
    "softmax regression": lambda: torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(ROWS * PIXELS, CLASSES)
    ),
}


def train_on_digits(name: str, size: int, seed: int, updates: int = UPDATES) -> dict[str, Any]:
    """Train one model on ``size`` images; the same 1,000 test images for all.

    Parameters
    ----------
    name : str
        A key of ``MODELS``.
    size : int
        Number of training images, drawn by ``seed``; the same for every model.
    seed : int
        Seed of the images, of the initial weights and of the batches.
    updates : int
        Updates of 50 images each, however many images there are.

    Returns
    -------
    dict
        ``name``, ``size``, ``seed``; ``updates``, ``train_loss``, ``test_loss``,
        ``test_accuracy``: curves, one value for every fiftieth update; ``train_accuracy``: at the
        end.
    """
    (x_train, y_train), (x_test, y_test) = load_mnist()
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(x_train))[:size]
    x, y = _tensors(x_train[chosen], y_train[chosen])
    x_test, y_test = _tensors(x_test, y_test)
    torch.manual_seed(seed)
    model = MODELS[name]()
    adam = torch.optim.Adam(model.parameters(), lr=LR)
    curves = {key: [] for key in ("updates", "train_loss", "test_loss", "test_accuracy")}
    order = np.empty(0, int)
    for update in range(1, updates + 1):
        if len(order) < BATCH:
            order = np.concatenate([order, rng.permutation(size)])
        batch, order = order[:BATCH], order[BATCH:]
        loss = torch.nn.functional.cross_entropy(model(x[batch]), y[batch])
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        if update % EVERY == 0:
            train_loss, train_accuracy = _evaluate(model, x, y)
            test_loss, test_accuracy = _evaluate(model, x_test, y_test)
            now = update, train_loss, test_loss, test_accuracy
            for curve, value in zip(curves.values(), now, strict=True):
                curve.append(value)
    about = {"name": name, "size": size, "seed": seed}
    return {**about, **curves, "train_accuracy": train_accuracy}


def _tensors(x: np.ndarray, y: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    pixels = torch.tensor(x, dtype=torch.float32) / 255
    return pixels.reshape(-1, ROWS, PIXELS), torch.tensor(y).long()


@torch.no_grad()
def _evaluate(model: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> tuple[float, float]:
    logits = model(x)
    loss = torch.nn.functional.cross_entropy(logits, y)
    return round(loss.item(), 5), (logits.argmax(1) == y).double().mean().item()


def count_parameters(name: str) -> int:
    """Return how many numbers a model trains, without PyTorch's second bias."""
    named = MODELS[name]().named_parameters()
    return sum(tensor.numel() for name, tensor in named if "bias_hh" not in name)


def about() -> dict[str, Any]:
    """Return the settings, for the record."""
    return {
        "data": "bundled MNIST: 1,000 test images, training images drawn from the other 4,000",
        "seeds": list(SEEDS),
        "updates": UPDATES,
        "batch": BATCH,
        "lr": LR,
        "parameters": {name: count_parameters(name) for name in MODELS},
    }
