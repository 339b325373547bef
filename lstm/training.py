"""Training: batches, epochs, early stopping, and checkpoints that resume bit for bit."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lstm import checks, losses
from lstm.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from lstm.module import Module, Rng
from lstm.optim import Optimizer

Loss = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]
Augment = Callable[..., tuple[np.ndarray, ...]]
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
    bucket_by: ArrayLike | None = None,
    augment: Augment | None = None,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_seconds: float = 60.0,
    belongs_to: Mapping[str, Any] | None = None,
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
    bucket_by : ndarray, shape (N,), optional
        Lengths of the sequences: a batch then holds sequences of similar length, and less time
        goes into padding. Batches are still drawn at random.
    augment : callable, optional
        ``augment(rng, *inputs)`` returns the inputs of a batch as training shall see them.
    checkpoint : path-like, optional
        Saved after every epoch, and on Ctrl-C. If the file exists, training goes on where it
        stopped and ends in the same bits as if it had never stopped.
    checkpoint_seconds : float
        Within an epoch, save again when the last time was this long ago.
    belongs_to : mapping, optional
        What else the checkpoint belongs to, e.g. the settings that ``model`` was built with, which
        cannot be seen in it. A training with anything else here does not go on from it.
    rng : Generator, int or None
        Source of the shuffling and the augmentation.
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
        If the checkpoint is damaged or belongs to another training, or cannot be written.
    """
    inputs, targets = _as_examples("", inputs, targets)
    if validation is not None:
        validation = _as_examples("validation ", *validation)
    elif patience is not None:
        raise ValueError("patience needs validation data, got None")
    if bucket_by is not None:
        bucket_by = np.asarray(bucket_by)
        checks.shape("bucket_by", bucket_by, (len(targets),))
    settings = {
        "model": repr(model),
        "optimizer": repr(optimizer),
        "loss": _name(loss),
        "batch_size": checks.positive_int("batch_size", batch_size),
        "epochs": checks.positive_int("epochs", epochs),
        "max_norm": max_norm,
        "patience": patience if patience is None else checks.positive_int("patience", patience),
        "schedule": _name(schedule),
        "bucketed": bucket_by is not None,
        "augment": _name(augment),
    }
    run = _Run(model, optimizer, np.random.default_rng(rng), settings)
    if checkpoint is not None:
        arrays = [*inputs, targets, *([] if bucket_by is None else [bucket_by])]
        settings["data"] = _digest(arrays)
        if validation is not None:
            settings["validation data"] = _digest([*validation[0], validation[1]])
        settings |= json.loads(json.dumps(dict(belongs_to or {})))  # as a checkpoint gives it back
        if Path(checkpoint).exists():
            run.resume(checkpoint)
    steps = -(-len(targets) // batch_size)

    def train_step() -> None:
        batch = run.order[run.step * batch_size : (run.step + 1) * batch_size]
        if schedule is not None:
            done = (len(run.history) * steps + run.step) / (epochs * steps)
            optimizer.lr = run.base_lr * schedule(done)
        examples = [array[batch] for array in inputs]
        if augment is not None:
            examples = augment(run.rng, *examples)
        value = _descend(model, examples, targets[batch], loss, optimizer, max_norm)
        if not np.isfinite(value):
            raise RuntimeError(
                f"the loss became {value} in epoch {len(run.history) + 1}, step {run.step + 1}: "
                "try a smaller learning rate, or max_norm to clip the gradient"
            )
        run.total += value * len(batch)
        run.step += 1

    try:
        with _bar(epochs * steps, len(run.history) * steps + run.step, progress) as bar:
            while len(run.history) < epochs and not run.stale(patience):
                model.train()
                with _uninterrupted():
                    if not len(run.order):
                        run.order = _shuffled(len(targets), batch_size, run.rng, bucket_by)
                while run.step < steps:
                    with _uninterrupted():
                        train_step()
                    bar.update()
                    if checkpoint is not None and run.seconds_unsaved() > checkpoint_seconds:
                        run.save(checkpoint)
                row = {"epoch": len(run.history) + 1, "loss": run.total / len(targets)}
                row["lr"] = optimizer.lr
                if validation is not None:
                    scores = evaluate(model, *validation, loss)
                    row |= {f"validation_{name}": value for name, value in scores.items()}
                with _uninterrupted():
                    run.finish_epoch(row)
                bar.set_postfix({k: f"{v:.3g}" for k, v in row.items() if k != "epoch"})
                if checkpoint is not None:
                    run.save(checkpoint)
    except KeyboardInterrupt:
        if checkpoint is not None:
            run.save(checkpoint)
        raise
    finally:
        optimizer.lr = run.base_lr
        model.eval()
    if patience is not None:
        model.load_state_dict(run.best_weights)
    return run.history


def _descend(model, inputs, targets, loss, optimizer, max_norm) -> float:
    """Take one step, unless the loss is not finite: then the weights stay as they are."""
    optimizer.zero_grad()
    value, d_outputs = loss(model(*inputs), targets)
    if np.isfinite(value):
        model.backward(d_outputs)
        if max_norm is not None:
            optimizer.clip_grad_norm_(max_norm)
        optimizer.step()
    return float(value)


def _shuffled(
    size: int, batch_size: int, rng: np.random.Generator, bucket_by: np.ndarray | None
) -> np.ndarray:
    """Return the order of an epoch: every ``batch_size`` examples in a row are a batch.

    With ``bucket_by``, each 50 batches drawn at random are sorted by it among themselves, and the
    batches shuffled again (all but the last, which may be smaller).
    """
    order = rng.permutation(size)
    if bucket_by is None:
        return order
    pools = np.split(order, range(50 * batch_size, size, 50 * batch_size))
    order = np.concatenate([pool[np.argsort(bucket_by[pool], kind="stable")] for pool in pools])
    full = size // batch_size * batch_size
    batches = order[:full].reshape(-1, batch_size)
    return np.concatenate([rng.permutation(batches).ravel(), order[full:]])


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back to the end of the block: weights and counters change together."""
    if threading.current_thread() is not threading.main_thread():  # it has no signals
        yield
        return
    held = []
    previous = signal.signal(signal.SIGINT, lambda *_: held.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if held:
        signal.raise_signal(signal.SIGINT)


class _Run:
    """Everything that a training has become so far: what a checkpoint must hold."""

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        rng: np.random.Generator,
        settings: dict[str, Any],
    ) -> None:
        self.model, self.optimizer, self.rng, self.settings = model, optimizer, rng, settings
        self.base_lr = optimizer.lr
        self.history: list[Epoch] = []
        self.best_weights = model.state_dict() if settings["patience"] else {}
        # Of the epoch that is running: its order, the steps done, the sum of their losses.
        self.order, self.step, self.total = np.arange(0), 0, 0.0
        self.saved_at = time.monotonic()

    def seconds_unsaved(self) -> float:
        """Return how long ago the last checkpoint was written."""
        return time.monotonic() - self.saved_at

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
        """Take up the epoch into the history, and its weights if they are the best so far."""
        self.history.append(row)
        self.order, self.step, self.total = np.arange(0), 0, 0.0
        if self.settings["patience"] and self._best_epoch() == len(self.history) - 1:
            self.best_weights = self.model.state_dict()

    def save(self, path: str | os.PathLike) -> None:
        """Write the checkpoint."""
        groups = {
            "model": self.model.state_dict(),
            "best": self.best_weights,
            "optimizer": self.optimizer.state_dict(),
            "epoch": {"order": self.order},
        }
        save_checkpoint(
            path,
            {f"{group}/{name}": a for group, named in groups.items() for name, a in named.items()},
            {
                "settings": self.settings,
                "history": self.history,
                "step": self.step,
                "total": self.total,
                "rng": [generator.bit_generator.state for generator in self._generators()],
            },
        )
        self.saved_at = time.monotonic()

    def resume(self, path: str | os.PathLike) -> None:
        """Go back to where the checkpoint was written; change nothing if it is not ours."""
        arrays, info = load_checkpoint(path)
        saved = info.get("settings", {})
        now = self.settings
        if changed := [name for name in saved | now if saved.get(name) != now.get(name)]:
            differences = [
                f"{name} was {saved.get(name)!r}, is {now.get(name)!r}" for name in changed
            ]
            raise CheckpointError(
                f"{path} belongs to another training: {'; '.join(differences)}. "
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
        self.best_weights, self.order = group("best/"), arrays["epoch/order"]
        self.history, self.step, self.total = info["history"], info["step"], info["total"]
        for generator, state in zip(self._generators(), info["rng"], strict=True):
            generator.bit_generator.state = state


def _as_arrays(inputs: Inputs) -> list[np.ndarray]:
    return [np.asarray(a) for a in (inputs if isinstance(inputs, list | tuple) else [inputs])]


def _as_examples(
    kind: str, inputs: Inputs, targets: ArrayLike
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the arrays, or say which of them has another number of examples, or NaN."""
    inputs, targets = _as_arrays(inputs), np.asarray(targets)
    if targets.ndim == 0 or not len(targets):
        raise ValueError(f"{kind}targets must hold at least one example, got {targets!r}")
    for number, array in enumerate(inputs):
        _check_examples(f"{kind}inputs[{number}]", array, len(targets))
    _check_examples(f"{kind}targets", targets, len(targets))
    return inputs, targets


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


def _name(function: Callable | None) -> str | None:
    """Return a name that is the same in the next process, with the numbers that it stands for."""
    if function is None or hasattr(function, "__qualname__"):
        return getattr(function, "__qualname__", None)
    has_address = type(function).__repr__ is object.__repr__
    return type(function).__qualname__ if has_address else repr(function)


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
            from tqdm import tqdm
        except ImportError:
            pass
        else:
            return tqdm(total=total, initial=done, unit="step", file=sys.stdout, mininterval=0.5)
    return _NoBar()
