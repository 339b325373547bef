"""Training: batches, epochs, early stopping, and checkpoints that resume bit for bit."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lstm import checks, losses
from lstm.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from lstm.module import Module, Rng
from lstm.optim import Optimizer, clip_grad_norm_

Loss = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]
Inputs = ArrayLike | Sequence[ArrayLike]
Epoch = dict[str, float]


def accuracy(outputs: np.ndarray, targets: np.ndarray) -> float:
    """Share of examples whose largest logit (or, for one logit, its sign) is the target."""
    guess = outputs.argmax(axis=-1) if outputs.ndim > targets.ndim else outputs > 0
    return float((guess == targets).mean())


# What else to report beside the loss, where the loss says what kind of task it is.
METRICS: dict[Loss, dict[str, Callable[[np.ndarray, np.ndarray], float]]] = {
    losses.cross_entropy: {"accuracy": accuracy},
    losses.binary_cross_entropy_with_logits: {"accuracy": accuracy},
}


def predict(model: Module, inputs: Inputs, *, batch_size: int = 256) -> np.ndarray:
    """Run a model in evaluation mode, batch by batch.

    Parameters
    ----------
    model : Module
        Its mode is restored afterwards.
    inputs : ndarray or sequence of ndarrays
        One array per argument of the model; the first axis counts the N examples.
    batch_size : int
        Examples at a time.

    Returns
    -------
    ndarray, shape (N, ...)
        The model's outputs.
    """
    inputs = _as_arrays(inputs)
    batch_size = checks.positive_int("batch_size", batch_size)
    was_training = model.training
    model.eval()
    try:
        batches = range(0, len(inputs[0]), batch_size)
        return np.concatenate([model(*(a[i : i + batch_size] for a in inputs)) for i in batches])
    finally:
        model.train(was_training)


def evaluate(
    model: Module, inputs: Inputs, targets: ArrayLike, loss: Loss, *, batch_size: int = 256
) -> dict[str, float]:
    """Measure the loss, and for classification the accuracy, without training.

    Parameters
    ----------
    model, inputs, batch_size
        As for :func:`predict`.
    targets : ndarray, shape (N, ...)
        The right answers.
    loss : callable
        One of ``lstm.losses``.

    Returns
    -------
    dict of str to float
        ``"loss"`` and, for the cross-entropies, ``"accuracy"``; means over all examples.
    """
    targets = np.asarray(targets)
    outputs = predict(model, inputs, batch_size=batch_size)
    metrics = METRICS.get(loss, {})
    return {"loss": float(loss(outputs, targets)[0])} | {
        name: metric(outputs, targets) for name, metric in metrics.items()
    }


def fit(
    model: Module,
    inputs: Inputs,
    targets: ArrayLike,
    loss: Loss,
    optimizer: Optimizer,
    *,
    epochs: int,
    batch_size: int = 32,
    validation: tuple[Inputs, ArrayLike] | None = None,
    max_norm: float | None = None,
    schedule: Callable[[float], float] | None = None,
    patience: int | None = None,
    checkpoint: str | os.PathLike | None = None,
    rng: Rng = None,
    progress: bool = True,
) -> list[Epoch]:
    """Train a model.

    Parameters
    ----------
    model : Module
        What to train; in evaluation mode when this returns.
    inputs : ndarray or sequence of ndarrays
        One array per argument of the model; the first axis counts the N examples.
    targets : ndarray, shape (N, ...)
        The right answers.
    loss : callable
        One of ``lstm.losses``.
    optimizer : Optimizer
        Made from ``model.parameters()``.
    epochs, batch_size : int
        Passes over the data, and examples per step. Every pass is shuffled; the last batch of a
        pass may be smaller.
    validation : (inputs, targets), optional
        Measured after every epoch. Never the test set.
    max_norm : float, optional
        Clip the gradient's norm to this.
    schedule : callable, optional
        The share of the learning rate to use when the share ``p`` in [0, 1) of all steps is done.
    patience : int, optional
        Stop after this many epochs without a smaller validation loss, and go back to the best.
    checkpoint : path-like, optional
        Saved after every epoch. If the file exists, training goes on where it stopped and ends in
        the same bits as if it had never stopped.
    rng : Generator, int or None
        Source of the shuffling.
    progress : bool
        Whether to show a progress bar (tqdm, if installed).

    Returns
    -------
    list of dict
        One dict per epoch: ``"epoch"``, ``"loss"`` (mean over the epoch's batches while they were
        trained on), ``"lr"`` and, with validation, ``"validation_loss"`` and
        ``"validation_accuracy"``.

    Raises
    ------
    ValueError
        If arrays do not fit together or hold NaN or infinity.
    RuntimeError
        If the loss becomes infinite or NaN; the message says where, and what to try.
    CheckpointError
        If the checkpoint is damaged or belongs to another training.
    """
    inputs, targets = _as_arrays(inputs), np.asarray(targets)
    for number, array in enumerate((*inputs, targets)):
        name = "targets" if number == len(inputs) else f"inputs[{number}]"
        _check_examples(name, array, len(targets))
    if not len(targets):
        raise ValueError("targets must hold at least one example, got none")
    if patience is not None and validation is None:
        raise ValueError("patience needs validation data, got None")
    run = _Run(model, optimizer, np.random.default_rng(rng))
    run.settings = {
        "model": repr(model),
        "optimizer": type(optimizer).__name__,
        "loss": getattr(loss, "__name__", repr(loss)),
        "batch_size": checks.positive_int("batch_size", batch_size),
        "epochs": checks.positive_int("epochs", epochs),
        "max_norm": max_norm,
        "patience": patience,
        "scheduled": schedule is not None,
        "data": _digest((*inputs, targets)) if checkpoint is not None else None,
    }
    if checkpoint is not None and Path(checkpoint).exists():
        run.resume(checkpoint)
    steps = -(-len(targets) // batch_size)
    base_lr = run.base_lr

    with _bar(epochs * steps, len(run.history) * steps, progress) as bar:
        while len(run.history) < epochs and not run.stale(patience):
            model.train()
            total, epoch = 0.0, len(run.history) + 1
            for step, batch in enumerate(_batches(len(targets), batch_size, run.rng)):
                if schedule is not None:
                    optimizer.lr = base_lr * schedule(((epoch - 1) * steps + step) / epochs / steps)
                value = _train_step(model, inputs, targets, batch, loss, optimizer, max_norm)
                if not np.isfinite(value):
                    raise RuntimeError(
                        f"the loss became {value} in epoch {epoch}, step {step + 1}: "
                        "try a smaller learning rate, or max_norm to clip the gradient"
                    )
                total += value * len(batch)
                bar.update()
            row = {"epoch": epoch, "loss": total / len(targets), "lr": optimizer.lr}
            if validation is not None:
                scores = evaluate(model, *validation, loss)
                row |= {f"validation_{name}": value for name, value in scores.items()}
            run.finish_epoch(row)
            bar.set_postfix({k: f"{v:.3g}" for k, v in row.items() if k != "epoch"})
            if checkpoint is not None:
                run.save(checkpoint)
    optimizer.lr = base_lr
    if patience is not None:
        model.load_state_dict(run.best_weights)
    model.eval()
    return run.history


def _train_step(model, inputs, targets, batch, loss, optimizer, max_norm) -> float:
    optimizer.zero_grad()
    outputs = model(*(array[batch] for array in inputs))
    value, d_outputs = loss(outputs, targets[batch])
    model.backward(d_outputs)
    if np.isfinite(value):  # else the caller stops before the weights are touched
        if max_norm is not None:
            clip_grad_norm_(optimizer.parameters, max_norm)
        optimizer.step()
    return float(value)


def _batches(size: int, batch_size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    order = rng.permutation(size)
    for start in range(0, size, batch_size):
        yield order[start : start + batch_size]


class _Run:
    """Everything that a training has become so far: what a checkpoint must hold."""

    def __init__(self, model: Module, optimizer: Optimizer, rng: np.random.Generator) -> None:
        self.model, self.optimizer, self.rng = model, optimizer, rng
        self.base_lr = optimizer.lr
        self.history: list[Epoch] = []
        self.best_weights = model.state_dict()
        self.settings: dict[str, Any] = {}

    def _generators(self) -> list[np.random.Generator]:
        """Return the shuffling's generator and that of every module that draws (dropout)."""
        drawn = (vars(module).get("rng") for module in self.model.modules())
        return [self.rng, *(rng for rng in drawn if isinstance(rng, np.random.Generator))]

    def _best_epoch(self) -> int:
        scores = [row["validation_loss"] for row in self.history]
        return int(np.argmin(np.nan_to_num(scores, nan=np.inf)))

    def stale(self, patience: int | None) -> bool:
        """Tell whether the best epoch lies ``patience`` epochs back."""
        if patience is None or not self.history:
            return False
        return len(self.history) - 1 - self._best_epoch() >= patience

    def finish_epoch(self, row: Epoch) -> None:
        self.history.append(row)
        if "validation_loss" in row and self._best_epoch() == len(self.history) - 1:
            self.best_weights = self.model.state_dict()

    def save(self, path: str | os.PathLike) -> None:
        groups = {
            "model": self.model.state_dict(),
            "best": self.best_weights,
            "optimizer": self.optimizer.state_dict(),
        }
        save_checkpoint(
            path,
            {f"{group}/{name}": a for group, named in groups.items() for name, a in named.items()},
            {
                "settings": self.settings,
                "history": self.history,
                "base_lr": self.base_lr,
                "rng": [generator.bit_generator.state for generator in self._generators()],
            },
        )

    def resume(self, path: str | os.PathLike) -> None:
        arrays, info = load_checkpoint(path)
        if info["settings"] != self.settings:
            changed = [
                f"{name} was {info['settings'].get(name)!r}, is {value!r}"
                for name, value in self.settings.items()
                if info["settings"].get(name) != value
            ]
            raise CheckpointError(
                f"{path} belongs to another training: {'; '.join(changed)}. "
                "Use the old settings, or another checkpoint file"
            )

        def group(prefix: str) -> dict[str, np.ndarray]:
            return {
                name.removeprefix(prefix): array
                for name, array in arrays.items()
                if name.startswith(prefix)
            }

        self.model.load_state_dict(group("model/"))
        self.optimizer.load_state_dict(group("optimizer/"))
        self.best_weights = group("best/")
        self.history, self.base_lr = info["history"], info["base_lr"]
        for generator, state in zip(self._generators(), info["rng"], strict=True):
            generator.bit_generator.state = state


def _as_arrays(inputs: Inputs) -> list[np.ndarray]:
    return [np.asarray(a) for a in (inputs if isinstance(inputs, list | tuple) else [inputs])]


def _check_examples(name: str, array: np.ndarray, size: int) -> None:
    if array.ndim == 0 or len(array) != size:
        raise ValueError(
            f"{name} must hold one entry for each of {size} targets, got {array.shape}"
        )
    if np.issubdtype(array.dtype, np.inexact):
        bad = ~np.isfinite(array.reshape(size, -1)).all(axis=1)
        if bad.any():
            raise ValueError(
                f"{name} must be finite: {bad.sum()} of {size} examples hold NaN or infinity, "
                f"the first is number {bad.argmax()}"
            )


def _digest(arrays: Sequence[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


class _NoBar:
    """What a progress bar can do, without one."""

    def __enter__(self) -> _NoBar:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self) -> None:
        pass

    def set_postfix(self, _: dict[str, str]) -> None:
        pass


def _bar(total: int, done: int, wanted: bool) -> Any:
    if wanted:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            pass
        else:
            return tqdm(total=total, initial=done, unit="step", file=sys.stdout, mininterval=0.5)
    return _NoBar()
