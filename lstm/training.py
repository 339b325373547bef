"""Training: batches, epochs, early stopping, and a state from which it goes on bit for bit."""

from __future__ import annotations

import contextlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lstm import checks, losses
from lstm.interrupts import held
from lstm.module import Module, Rng
from lstm.optim import Optimizer

Loss = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]
Augment = Callable[..., tuple[np.ndarray, ...]]
Inputs = ArrayLike | Sequence[ArrayLike]
Epoch = dict[str, float]
State = dict[str, np.ndarray]


def accuracy(outputs: ArrayLike, targets: ArrayLike) -> float:
    """Share of examples whose largest logit (or, for one logit, its sign) is the target."""
    outputs, targets = checks.numbers("outputs", outputs), checks.numbers("targets", targets)
    if not outputs.size:
        raise ValueError(f"outputs must hold at least one value, got shape {outputs.shape}")
    guess = outputs.argmax(axis=-1) if outputs.ndim > targets.ndim else outputs > 0
    checks.of_shape("targets", targets, guess.shape)
    return float((guess == targets).mean())


CLASSIFIES = (losses.cross_entropy, losses.binary_cross_entropy_with_logits)


def predict(model: Module, inputs: Inputs, *, batch_size: int = 256) -> np.ndarray:
    """Run a model in evaluation mode, batch by batch; every part of it keeps its mode.

    Parameters
    ----------
    model : Module
        What to run.
    inputs : ndarray or sequence of ndarrays
        One array per argument of the model; the first axis counts the N examples.
    batch_size : int
        Examples at a time.

    Returns
    -------
    ndarray, shape (N, ...)
        The model's outputs.
    """
    inputs = _as_arrays(
        checks.having("model", model, "a Module", "modules", "forward", "vjp"), inputs
    )
    batch_size, size = checks.positive_int("batch_size", batch_size), len(inputs[0])
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        batches = range(0, size, batch_size)
        found = [model(*(a[i : i + batch_size] for a in inputs)) for i in batches]
    finally:
        for module, was_training in modes:
            module.training = was_training
    outputs = [np.atleast_1d(checks.numbers("what model returns", each)) for each in found]
    if sum(map(len, outputs)) != size:
        raise ValueError(f"model must return {size} rows, got shape {outputs[0].shape}")
    return np.concatenate(outputs)


def scores(outputs: np.ndarray, targets: ArrayLike, loss: Loss) -> dict[str, float]:
    """Return the ``"loss"`` of outputs and, for the cross-entropies, their ``"accuracy"``."""
    found = {"loss": float(_loss_of(outputs, targets, loss)[0])}
    if loss in CLASSIFIES:
        found["accuracy"] = accuracy(outputs, targets)
    return found


def evaluate(
    model: Module, inputs: Inputs, targets: ArrayLike, loss: Loss, *, batch_size: int = 256
) -> dict[str, float]:
    """Return the ``scores`` of what the model predicts, all arguments as there.

    Targets are one array of shape (N, ...), the loss is one of ``lstm.losses``.
    """
    return scores(predict(model, inputs, batch_size=batch_size), targets, loss)


def _loss_of(outputs: np.ndarray, targets: ArrayLike, loss: Loss) -> tuple[float, np.ndarray]:
    """Return a loss and its gradient, or say that this is no loss."""
    result = checks.function("loss", loss, 2)(outputs, targets)
    value, gradient = checks.several("what loss returns", result, "a number and a gradient")
    value = checks.numbers("the loss", value)
    checks.of_shape("the loss", value, ())
    return value[()], gradient


# What a state holds besides arrays; what each line of the history says.
INFO = {"history": list, "epochs": int, "base_lr": float, "place": int, "total": float}
ROW = {"epoch", "loss", "lr"}


class Trainer:
    """Trains a model; knows at every step all that the rest of the training depends on.

    Parameters
    ----------
    model : Module
        What to train.
    loss : callable
        One of ``lstm.losses``.
    optimizer : Optimizer
        Made from ``model.parameters()``, or from some of them.
    batch_size : int
        Examples per step. Every epoch is shuffled; its last batch may be smaller.
    max_norm : float, optional
        Clip the gradient's norm to this.
    schedule : callable, optional
        The share of the learning rate, at least 0, to use when the share ``p`` in [0, 1) of all
        steps is done. The whole rate is the one that the optimizer has now.
    augment : callable, optional
        ``augment(rng, *inputs)`` returns the inputs of a batch as training shall see them.
    rng : Generator, int or None
        Source of the shuffling and the augmentation.

    Attributes
    ----------
    history : list of dict
        One dict per epoch: ``"epoch"``, ``"loss"`` (mean over the batches while they were trained
        on), ``"lr"`` and, with validation, ``"validation_loss"`` and ``"validation_accuracy"``.
    best, last : dict of str to ndarray
        The weights after the epoch with the smallest validation loss, and, while the model has
        those, the ones from which the training would go on. Empty where there are none.
    order, place, total
        Of the epoch that is running: its order of examples, steps done, sum of examples' losses.
    """

    def __init__(
        self,
        model: Module,
        loss: Loss,
        optimizer: Optimizer,
        *,
        batch_size: int = 32,
        max_norm: float | None = None,
        schedule: Callable[[float], float] | None = None,
        augment: Augment | None = None,
        rng: Rng = None,
    ) -> None:
        checks.having("model", model, "a Module", "vjp", "parameters")
        attributes = "step", "zero_grad", "parameters"
        checks.having("optimizer", optimizer, "an Optimizer", *attributes)
        own = {id(parameter) for parameter in model.parameters()}
        if foreign := sum(id(parameter) not in own for parameter in optimizer.parameters):
            raise ValueError(
                f"optimizer must be made from model.parameters(), got {foreign} others"
            )
        self.model, self.loss, self.optimizer = model, checks.function("loss", loss, 2), optimizer
        self.batch_size = checks.positive_int("batch_size", batch_size)
        if max_norm is not None:
            max_norm = checks.number("max_norm", max_norm, "(0, inf]")
        if schedule is not None:
            checks.function("schedule", schedule, 1)
        if augment is not None:
            checks.function("augment", augment)
        self.max_norm, self.schedule, self.augment = max_norm, schedule, augment
        self.rng = checks.generator(rng)
        self.base_lr = optimizer.lr
        self.epochs = 0  # of which the schedule sees a share
        self.history: list[Epoch] = []
        self.best: State = {}
        self.last: State = {}
        self.order, self.place, self.total = np.arange(0), 0, 0.0

    def step(self, inputs: Inputs, targets: ArrayLike) -> float:
        """Make one step with a batch, and return its loss from before.

        Raises
        ------
        RuntimeError
            If the loss is not finite: the weights stay as they are.
        """
        inputs, targets = _together(self.model, inputs, targets)
        self._go_on()
        outputs, backward = self.model.vjp(*inputs)
        loss, d_outputs = _loss_of(outputs, targets, self.loss)
        if not np.isfinite(loss):
            raise RuntimeError(
                f"the loss became {loss} in epoch {len(self.history) + 1}, step {self.place + 1}: "
                "try a smaller learning rate, or max_norm to clip the gradient"
            )
        self.optimizer.zero_grad()
        backward(d_outputs)
        if self.max_norm is not None:
            self.optimizer.clip_grad_norm_(self.max_norm)
        self.optimizer.step()
        return float(loss)

    def epoch(
        self,
        inputs: Inputs,
        targets: np.ndarray,
        validation: tuple[Inputs, np.ndarray] | None = None,
        bucket_by: np.ndarray | None = None,
        callback: Callable[[Trainer], Any] | None = None,
    ) -> Epoch:
        """Train on every example once, or on those that a broken-off epoch has left.

        The arguments are those of :meth:`fit`, which says how many epochs a schedule is for. What
        is returned is the epoch's line of the ``history``.
        """
        examples = self._examples(inputs, targets, validation, bucket_by, callback)
        if self.schedule is None:
            self.epochs = max(self.epochs, len(self.history) + 1)
        elif len(self.history) >= self.epochs:
            raise ValueError("schedule needs a number of epochs: call fit")
        return self._epoch(*examples, callback)

    def _epoch(
        self,
        inputs: list[np.ndarray],
        targets: np.ndarray,
        validation: tuple | None,
        bucket_by: np.ndarray | None,
        callback: Callable[[Trainer], Any] | None,
    ) -> Epoch:
        """Train on examples that are known to be right: a whole data set is looked at once."""
        size, steps = len(targets), self._steps(len(targets))
        if not len(self.order):
            with held():
                self.order = shuffled(size, self.batch_size, self.rng, bucket_by)
        self.model.train()
        while self.place < steps:
            with held():
                self.optimizer.lr = self._rate(self.place, steps)
                batch = self.order[self.place * self.batch_size :][: self.batch_size]
                examples = [array[batch] for array in inputs]
                if self.augment is not None:
                    examples = self.augment(self.rng, *examples)
                self.total += self.step(examples, targets[batch]) * len(batch)
                self.place += 1
            if callback is not None:
                callback(self)
        row = {"epoch": len(self.history) + 1, "loss": self.total / size}
        row["lr"] = self._rate(steps - 1, steps)
        if validation is not None:
            measured = evaluate(self.model, *validation, self.loss)
            row |= {f"validation_{name}": value for name, value in measured.items()}
        with held():
            self.history.append(row)
            self.order, self.place, self.total = np.arange(0), 0, 0.0
            if validation is not None and self._epochs_since_best() == 0:
                self.best = self.model.state_dict()
        return row

    def fit(
        self,
        inputs: Inputs,
        targets: ArrayLike,
        *,
        epochs: int,
        validation: tuple[Inputs, ArrayLike] | None = None,
        patience: int | None = None,
        bucket_by: ArrayLike | None = None,
        callback: Callable[[Trainer], Any] | None = None,
    ) -> list[Epoch]:
        """Train until ``epochs`` epochs are done, those counted that were done before.

        Parameters
        ----------
        inputs, targets
            As for :func:`evaluate`.
        epochs : int
            Passes over the data. A training that has done some goes on where it stopped, as if it
            never had, in the same bits. (If it had gone back to the best weights, it takes up the
            last ones again, unless the weights have been changed since.)
        validation : (inputs, targets), optional
            Measured after every epoch. Never the test set.
        patience : int, optional
            Stop after so many epochs without a smaller validation loss, and go back to the best.
        bucket_by : ndarray, shape (N,), optional
            Lengths of the sequences: a batch then holds sequences of similar length, and less time
            goes into padding. Batches are still drawn at random.
        callback : callable, optional
            ``callback(trainer)`` is called after every step. What it raises ends the training,
            which can go on from there: weights and counters have changed together. So they have
            where Ctrl-C ends it, which waits for the end of the step.

        Returns
        -------
        list of dict
            The ``history``. The model is in evaluation mode.

        Raises
        ------
        ValueError
            If arrays do not fit together or hold NaN or infinity, or if what was done before does
            not fit: another number of examples, or a schedule that had begun for other ``epochs``.
        RuntimeError
            If the loss becomes infinite or NaN; the message says where, and what to try.
        """
        examples = self._examples(inputs, targets, validation, bucket_by, callback)
        if patience is not None:
            patience = checks.positive_int("patience", patience)
            if validation is None:
                raise ValueError("patience needs validation data, got None")
        epochs = checks.positive_int("epochs", epochs)
        self._plan(epochs)
        self._go_on()
        try:
            while len(self.history) < epochs:
                if patience is not None and self._epochs_since_best() >= patience:
                    break
                self._epoch(*examples, callback)
        finally:
            if self.schedule is not None:
                self.optimizer.lr = self.base_lr
            self.model.eval()
        if patience is not None and self.best:
            self.last = self.model.state_dict()
            self.model.load_state_dict(self.best)
        return self.history

    def _examples(
        self, inputs: Inputs, targets: ArrayLike, validation: Any, bucket_by: Any, callback: Any
    ) -> tuple:
        """Return all data as arrays, or say what is wrong with it."""
        inputs, targets = _as_examples(self.model, inputs, targets)
        if self.augment is None:
            self._try_out(inputs, targets)
        else:  # nobody knows yet what the model will see
            checks.function("augment", self.augment, 1 + len(inputs))
        if len(self.order) not in (0, len(targets)):
            raise ValueError(
                f"targets must hold {len(self.order)} examples, as in the epoch that is running, "
                f"got {len(targets)}"
            )
        if validation is not None:
            validation = checks.several("validation", validation, "a pair (inputs, targets)")
            validation = _as_examples(self.model, *validation, kind="validation ")
            self._try_out(*validation)
        if bucket_by is not None:
            bucket_by = _lengths(bucket_by, len(targets))
        if callback is not None:
            checks.function("callback", callback, 1)
        return inputs, targets, validation, bucket_by

    def _try_out(self, inputs: list[np.ndarray], targets: np.ndarray) -> None:
        """See before anything changes whether the loss takes every target.

        The first batch says what outputs are like; a target may be wrong in the last batch of an
        epoch, or in the validation part.
        """
        first = [array[: self.batch_size] for array in inputs]
        output = predict(self.model, first, batch_size=self.batch_size)[:1]
        for start in range(0, len(targets), self.batch_size):
            batch = targets[start : start + self.batch_size]
            _loss_of(np.repeat(output, len(batch), axis=0), batch, self.loss)

    def _go_on(self) -> None:
        """Take up the last weights again, unless somebody has changed the best ones."""
        if self.last and all(
            np.array_equal(value, self.best[name], equal_nan=True)
            for name, value in self.model.state_dict().items()
        ):
            self.model.load_state_dict(self.last)
        self.last = {}

    def _plan(self, epochs: int) -> None:
        """Lay out the schedule for so many epochs, if what was done fits into them."""
        begun = len(self.history) + (self.place > 0)
        if begun > epochs:
            raise ValueError(f"epochs must be at least {begun}, which have begun, got {epochs}")
        if self.schedule is not None and begun and self.epochs != epochs:
            raise ValueError(
                f"epochs must stay {self.epochs}, for which the schedule began, got {epochs}: all "
                "rates until now would have been others"
            )
        self.epochs = epochs

    def _steps(self, size: int) -> int:
        """Return the number of batches of so many examples."""
        return -(-size // self.batch_size)

    def _rate(self, place: int, steps: int) -> float:
        """Return the learning rate of a step of the epoch that is running."""
        if self.schedule is None:
            return self.optimizer.lr
        done = len(self.history) * steps + place
        share = self.schedule(done / (self.epochs * steps))
        return self.base_lr * checks.number("what schedule returns", share, "[0, inf)")

    def _epochs_since_best(self) -> int:
        """Return how many epochs have been measured since the best one."""
        losses = [row["validation_loss"] for row in self.history if "validation_loss" in row]
        losses = losses or [0.0]
        return len(losses) - 1 - int(np.argmin(np.nan_to_num(losses, nan=np.inf)))

    def state_dict(self) -> State:
        """Return all that the rest of the training depends on, its data apart.

        Returns
        -------
        dict of str to ndarray
            Copies: weights, best and last weights and the optimiser's state, each array under its
            own name; the order of the epoch that is running; and ``"info"``, a text (JSON) with
            counters, history and the states of the generators (of shuffling, augmentation,
            dropout).
        """
        parts = {"model": self.model.state_dict(), "best": self.best, "last": self.last}
        parts["optimizer"] = self.optimizer.state_dict()
        arrays = {f"{part}/{name}": a for part in parts for name, a in parts[part].items()}
        arrays |= {"order": self.order, "info": np.array(self._info())}
        return {name: array.copy() for name, array in arrays.items()}

    def _info(self) -> str:
        info = {name: getattr(self, name) for name in INFO}
        info["generators"] = [rng.bit_generator.state for rng in self._generators()]
        return json.dumps(info, default=lambda array: array.tolist())

    @held()
    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to where :meth:`state_dict` was called, in this process or another.

        Raises
        ------
        ValueError
            If it is the state of another training, or one that no training has. Then nothing has
            changed.
        """
        before = self.state_dict()
        try:
            self._restore(state)
        except Exception as error:  # a damaged state can raise anything
            self._restore(before)
            raise ValueError(
                f"state must be one of this training, nothing changed: {error}"
            ) from error

    def _restore(self, state: Mapping[str, np.ndarray]) -> None:
        parts: dict[str, State] = {"best": {}, "last": {}, "model": {}, "optimizer": {}}
        state = checks.mapping("it", state)
        for name in state.keys() - {"order", "info"}:
            part, _, own_name = name.partition("/")
            if part not in parts:
                raise ValueError(f"it has an unexpected {checks.shown(name)}")
            parts[part][own_name] = state[name]
        for part in ("best", "last"):
            if parts[part]:  # does it fit?
                self.model.load_state_dict(parts[part])
                parts[part] = self.model.state_dict()
        self.best, self.last = parts["best"], parts["last"]
        self.model.load_state_dict(parts["model"])
        self.optimizer.load_state_dict(parts["optimizer"])
        order = checks.numbers("order", state["order"])
        self.order = checks.integers("order", order, 0, order.size - 1, shape=(order.size,)).copy()
        info = json.loads(str(state["info"]))
        kinds = INFO | {"generators": list}
        if not isinstance(info, dict) or info.keys() != kinds.keys():
            raise checks.wrong("info", f"a dict of {[*kinds]}", info)
        for name, kind in kinds.items():
            if type(info[name]) is not kind:
                raise checks.wrong(f"info.{name}", f"of type {kind.__name__}", info[name])
        for name in INFO:
            setattr(self, name, info[name])
        rows, steps = self.history, self._steps(len(order))
        if not (
            len(np.unique(order)) == len(order)
            and 0 <= self.place <= steps
            and all(type(row) is dict and row.keys() >= ROW for row in rows)
            and all(type(value) in (int, float) for row in rows for value in row.values())
            and [row["epoch"] for row in rows] == [*range(1, len(rows) + 1)]
            and len(rows) <= self.epochs
            and 0 <= self.base_lr < np.inf
            and not np.isnan(self.total)
        ):
            raise ValueError(
                f"no training does step {self.place} of {steps} after {len(rows)} epochs of "
                f"{self.epochs} with a rate of {self.base_lr} and a loss of {self.total}"
            )
        for rng, saved in zip(self._generators(), info["generators"], strict=False):
            with contextlib.suppress(Exception):  # NumPy says in many ways that it is none
                rng.bit_generator.state = saved
        if self._info() != json.dumps(info):
            raise ValueError("info must hold the states of this training's generators")

    def _generators(self) -> list[np.random.Generator]:
        """Return this training's own generators and those of every module that draws (dropout)."""
        owners = (self, *self.model.modules())
        found = (value for owner in owners for value in vars(owner).values())
        return [value for value in found if isinstance(value, np.random.Generator)]


def shuffled(
    size: int, batch_size: int, rng: np.random.Generator, bucket_by: np.ndarray | None = None
) -> np.ndarray:
    """Return the order of an epoch: every ``batch_size`` examples in a row are a batch.

    With ``bucket_by``, of shape (size,), each 50 batches drawn at random are sorted by it among
    themselves, and the batches shuffled again (all but the last, which may be smaller).
    """
    size = checks.positive_int("size", size, minimum=0)
    checks.room(size, size=size)
    batch_size = checks.positive_int("batch_size", batch_size)
    rng = checks.generator(rng)
    order = rng.permutation(size)
    if bucket_by is None:
        return order
    bucket_by = _lengths(bucket_by, size)
    pools = np.split(order, range(50 * batch_size, size, 50 * batch_size))
    order = np.concatenate([pool[np.argsort(bucket_by[pool], kind="stable")] for pool in pools])
    full = size // batch_size * batch_size
    batches = order[:full].reshape(-1, batch_size)
    return np.concatenate([rng.permutation(batches).ravel(), order[full:]])


def _lengths(bucket_by: ArrayLike, size: int) -> np.ndarray:
    lengths = checks.finite("bucket_by", checks.numbers("bucket_by", bucket_by))
    checks.of_shape("bucket_by", lengths, (size,))
    return lengths


def _as_arrays(
    model: Module, inputs: Inputs, kind: str = "", size: int | None = None
) -> list[np.ndarray]:
    """Return one array per argument of a model, each with one entry for each example."""
    inputs = inputs if isinstance(inputs, list | tuple) else [inputs]
    try:
        inspect.signature(model.forward).bind(*inputs)
        inspect.signature(getattr(model, "vjp", model.forward)).bind(*inputs)
    except TypeError:
        wanted = "one array for each argument of the model"
        raise ValueError(f"{kind}inputs must hold {wanted}, got {len(inputs)}") from None
    arrays = [checks.numbers(f"{kind}inputs[{k}]", array) for k, array in enumerate(inputs)]
    if size is None:
        size = len(arrays[0]) if arrays and arrays[0].ndim else 0
    if not size:
        raise ValueError("inputs must hold at least one example, got none")
    for k, array in enumerate(arrays):
        if array.ndim == 0 or len(array) != size:
            raise ValueError(
                f"{kind}inputs[{k}] must hold one entry for each of {size} examples, "
                f"got shape {array.shape}"
            )
    return arrays


def _together(
    model: Module, inputs: Inputs, targets: ArrayLike, kind: str = ""
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the arrays, or say which of them has another number of examples."""
    targets = checks.numbers(f"{kind}targets", targets)
    if targets.ndim == 0 or not len(targets):
        raise ValueError(f"{kind}targets must hold at least one example, got shape {targets.shape}")
    return _as_arrays(model, inputs, kind, len(targets)), targets


def _as_examples(
    model: Module, inputs: Inputs, targets: ArrayLike, kind: str = ""
) -> tuple[list[np.ndarray], np.ndarray]:
    """Do the same, and say where there is NaN or infinity."""
    inputs, targets = _together(model, inputs, targets, kind)
    named = {f"inputs[{i}]": array for i, array in enumerate(inputs)} | {"targets": targets}
    for name, array in named.items():
        bad = ~np.isfinite(array.reshape(len(targets), -1)).all(axis=1)
        if bad.any():
            raise ValueError(
                f"{kind}{name} must be finite: {bad.sum()} of {len(targets)} examples hold NaN or "
                f"infinity, the first is number {bad.argmax()}"
            )
    return inputs, targets
