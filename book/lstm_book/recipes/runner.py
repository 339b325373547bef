"""Run recipes: every seed trained, measured once on the test part, and recorded."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

import lstm
from lstm.checkpoint import describe, load_checkpoint, save_checkpoint
from lstm.schedules import SCHEDULES
from lstm.training import METRICS, Trainer
from lstm_book.recipes import records
from lstm_book.recipes.baselines import SEEDED
from lstm_book.recipes.progress import ProgressBar
from lstm_book.recipes.recipe import Recipe, Task

# The names with "keras" have the numbers that Keras has where a program names none; its RMSprop has
# epsilon under the root. (Its Adam adds epsilon before the second moment is corrected, so that it
# counts for more than ours in the first steps.)
OPTIMIZERS = {
    "sgd": (lstm.SGD, {}),
    "rmsprop": (lstm.RMSprop, {}),
    "keras-rmsprop": (lstm.RMSprop, {"alpha": 0.9, "eps": 1e-7, "eps_inside": True}),
    "adam": (lstm.Adam, {}),
    "keras-adam": (lstm.Adam, {"eps": 1e-7}),
}
SECONDS_BETWEEN_CHECKPOINTS = 60.0


@dataclass
class Job:
    """A recipe and how to run it.

    Parameters
    ----------
    recipe : Recipe
        What to run.
    model : str
        One of its models or baselines.
    scale : {"quick", "full"}
        How much data and time.
    seeds : list of int
        One training each.
    engine : {"numpy", "torch"}
        What computes the network.
    device : str
        For PyTorch: ``"cpu"``, ``"cuda"``, ...
    out : Path
        Folder of the record; checkpoints go to a folder in it.
    overrides : iterable of str
        Settings as ``"name=value"``.
    resume, overwrite : bool
        Go on with what is there, or begin again although something is there.
    progress : bool
        Whether to say what is done, with progress bars on a terminal.
    """

    recipe: Recipe
    model: str
    scale: str = "quick"
    seeds: list[int] = field(default_factory=lambda: [0])
    engine: str | None = "numpy"
    device: str = "cpu"
    out: Path = Path("results")
    overrides: Iterable[str] = ()
    resume: bool = False
    overwrite: bool = False
    progress: bool = True

    def __post_init__(self) -> None:
        self.settings = self.recipe.settings(self.model, self.scale, self.overrides)
        self.is_baseline = self.model in self.recipe.baselines
        if self.is_baseline:
            self.engine, self.device = None, "cpu"
            if self.recipe.baselines[self.model] not in SEEDED:
                self.seeds = self.seeds[:1]  # the others would be the same
        elif self.engine not in ("numpy", "torch"):
            raise ValueError(f"engine must be 'numpy' or 'torch', got {self.engine!r}")
        elif self.engine == "numpy" and self.device != "cpu":
            raise ValueError(f"device {self.device!r} needs engine 'torch', got 'numpy'")
        elif self.engine == "numpy" and has_siblings():
            raise ValueError("several processes need engine 'torch', got 'numpy'")
        if self.device != "cpu":
            _check_device(self.device)
        for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
            if self.settings[name] not in known:
                raise ValueError(
                    f"{name} must be one of {list(known)}, got {self.settings[name]!r}"
                )

    @property
    def name(self) -> str:
        """File name of the record, without its ending."""
        parts = (self.recipe.name, self.model, self.engine, self.scale)
        return "-".join(part for part in parts if part)

    @property
    def path(self) -> Path:
        """File of the record."""
        return self.out / f"{self.name}.json"

    def checkpoint(self, seed: int) -> Path:
        """File in which an unfinished training is kept."""
        return self.out / "checkpoints" / f"{self.name}-seed{seed}.npz"

    def remove_checkpoint(self, seed: int) -> None:
        """Remove the file, and its folder if that is empty."""
        self.checkpoint(seed).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.checkpoint(seed).parent.rmdir()

    def record(self, task: Task) -> records.Record:
        """Return the record, without a run yet."""
        record = {
            "recipe": self.recipe.name,
            "article": self.recipe.article,
            "model": self.model,
            "engine": self.engine,
            "scale": self.scale,
            "device": self.device,
            "settings": self.settings,
            "data": task.about,
            "parameters": None,
        }
        return record | {"command": records.command(record), "runs": []}


def _check_device(device: str) -> None:
    import torch

    try:
        torch.empty(1, device=device).numpy(force=True)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"device must be one that PyTorch has here, got {device!r}") from error


def run(*jobs: Job, then_exit: bool = False) -> None:
    """Run every seed of some jobs that is not yet recorded, and record it.

    Parameters
    ----------
    *jobs : Job
        What to run, and how.
    then_exit : bool
        Whether the process ends afterwards: then a signal that comes again is let pass.

    Raises
    ------
    RecordError
        If there is a record or a checkpoint already, and neither ``resume`` nor ``overwrite`` says
        what to do with it; or a record of other settings or data; or if none can be written.
    Stopped
        If SIGINT, SIGTERM or SIGHUP came. What had been trained is saved.
    """
    with _processes(jobs[0].device) as rank, _Signals(then_exit) as signals:
        for job in jobs:
            _run(job, rank, signals)


def _run(job: Job, rank: int, signals: _Signals) -> None:
    _from_first(rank, lambda: _look(job))
    task = job.recipe.load(job.settings)
    fresh = job.record(task)
    before, done = _from_first(rank, lambda: _recorded(job, fresh))
    for seed in job.seeds:
        if seed in done:
            if rank == 0:
                job.remove_checkpoint(seed)  # of a run that was killed after its last line
            continue
        if not job.is_baseline:
            result = _train(job, task, seed, rank, signals)
        elif rank == 0:
            result = _baseline(job, task, seed)
        else:
            continue
        fresh["parameters"] = result.pop("parameters", None)
        if rank == 0:
            with signals.held():
                _record(job, fresh, result, before)
    if rank == 0 and done.issuperset(job.seeds):
        print(f"{job.path} is complete: nothing is left to do for seeds {job.seeds}")


def _look(job: Job) -> None:
    """See before any work whether there is something already, and whether there is room."""
    if job.overwrite:
        for seed in job.seeds:
            job.remove_checkpoint(seed)
    elif not job.resume:
        for path in (job.path, *map(job.checkpoint, job.seeds)):
            if path.exists():
                raise records.RecordError(
                    f"{path} is there already: add --resume to go on with it, "
                    "--overwrite to begin again, or --out FOLDER"
                )
    records.try_out(job.path)


def _recorded(job: Job, fresh: records.Record) -> tuple[bytes | None, set[int]]:
    """Return what is to be replaced, and which seeds are done."""
    if not job.path.exists():
        return None, set()
    if job.overwrite:
        return job.path.read_bytes(), set()
    record = records.read(job.path)
    records.check_same(job.path, record, fresh)
    return None, {each["seed"] for each in record["runs"]}


def _record(job: Job, fresh: records.Record, result: dict, before: bytes | None) -> None:
    try:
        records.add(job.path, fresh, result, instead_of=before)
    except records.RecordError:
        print(json.dumps(result))  # here at least it is kept
        raise
    job.remove_checkpoint(result["seed"])
    scores = ", ".join(
        f"{name} {100 * value:.2f} %" if name == "accuracy" else f"{name} {value:.4f}"
        for name, value in result["test"].items()
    )
    print(
        f"{job.name}, seed {result['seed']}: test {scores} ({result['seconds']:.0f} s)", flush=True
    )


# --- one seed -----------------------------------------------------------------------------------


def _baseline(job: Job, task: Task, seed: int) -> dict[str, Any]:
    start = time.perf_counter(), time.process_time()
    validation, test, chosen = job.recipe.baselines[job.model](task, job.settings, seed)
    return {
        "seed": seed,
        "chosen": chosen,
        "validation": _scores(job, validation, task.validation.targets),
        "test": _scores(job, test, task.test.targets),
        **_cost(*start),
        **records.environment(),
    }


def _train(job: Job, task: Task, seed: int, rank: int, signals: _Signals) -> dict[str, Any]:
    settings, path = job.settings, job.checkpoint(seed)
    trainer, belongs_to = _trainer(job, task, seed)
    start = time.perf_counter(), time.process_time()
    state = _from_first(rank, lambda: load_checkpoint(path, belongs_to) if path.exists() else None)
    if state is not None:
        trainer.load_state_dict(state)
    if rank == 0 and job.progress:
        print(f"{job.name}, seed {seed}" + (", resumed" if state else ""), flush=True)
    bar = ProgressBar() if job.progress and rank == 0 else None
    saved_at = time.monotonic()

    def save() -> None:
        nonlocal saved_at
        if rank == 0:
            save_checkpoint(path, trainer.state_dict(), belongs_to)
            saved_at = time.monotonic()

    def between_steps(_: Trainer) -> None:
        if bar:
            bar(trainer)
        number = _largest(signals.number, job.device)
        if number or time.monotonic() - saved_at > SECONDS_BETWEEN_CHECKPOINTS:
            save()
        if number:
            raise Stopped(number)

    with signals.held():
        history = trainer.fit(
            *task.train,
            epochs=settings["epochs"],
            validation=task.validation,
            patience=settings["patience"],
            bucket_by=task.bucket_by,
            callback=between_steps,
        )
        save()
    cost = _cost(*start)
    return {
        "seed": seed,
        "parameters": sum(array.size for array in trainer.weights().values()),
        "epochs": history,
        "validation": _scores(
            job, trainer.predict(task.validation.inputs), task.validation.targets
        ),
        "test": _scores(job, trainer.predict(task.test.inputs), task.test.targets),
        **cost,
        "resumed": state is not None,
        "processes": _world(),
        **records.environment(_threads(job)),
    }


def _trainer(job: Job, task: Task, seed: int) -> tuple[Trainer, Any]:
    """Return the training of a seed, and what its checkpoint belongs to.

    A generator each for the weights, the order and PyTorch's masks: both engines draw the same.
    """
    settings = job.settings
    model = job.recipe.build(task, settings, np.random.default_rng([seed, 0]))
    kind, options = OPTIMIZERS[settings["optimizer"]]
    options = options | {"lr": settings["lr"]}
    more = {
        "batch_size": settings["batch_size"],
        "max_norm": settings["max_norm"],
        "schedule": SCHEDULES[settings["schedule"]],
        "augment": task.augment,
        "rng": np.random.default_rng([seed, 1]),
    }
    if job.engine == "torch":
        from lstm_book.recipes.torch_engine import TorchTrainer

        more |= {"device": job.device, "masks": np.random.default_rng([seed, 2])}
        trainer = TorchTrainer(model, job.recipe.loss, kind, options, **more)
    else:
        trainer = lstm.Trainer(model, job.recipe.loss, kind(model.parameters(), **options), **more)
    # More epochs are another thing: the trainer knows whether they are the same training.
    parts = {
        "settings": {name: value for name, value in settings.items() if name != "epochs"},
        "seed": seed,
        "device": job.device,
        "versions": {"lstm": lstm.__version__, "python": list(sys.version_info[:2])},
        "trainer": type(trainer),
        "model": model,
        "parameters": dict(model.named_parameters()),
        "optimizer": [kind, options],
        "loss": job.recipe.loss,
        **{name: more[name] for name in ("schedule", "augment")},
        "training data": [*task.train, task.bucket_by],
        "validation data": [*task.validation],
        "test data": task.about["sha256"],
    }
    return trainer, describe(parts)


def _cost(start: float, start_cpu: float) -> dict[str, float]:
    """Return the time since then: on the clock, and on the processors (what others do is left out).

    With several processes it is that of the first one.
    """
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(time.process_time() - start_cpu, 1),
    }


def _scores(job: Job, outputs: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Return the metrics of the recipe's loss; the loss itself where outputs are logits or numbers.

    The scores of a linear baseline are no logits that were trained with this loss, so for them the
    loss says little; the accuracy is what counts.
    """
    metrics = METRICS.get(job.recipe.loss, {})
    scores = {name: metric(outputs, targets) for name, metric in metrics.items()}
    if not job.is_baseline or not scores:
        scores["loss"] = float(job.recipe.loss(outputs, targets)[0])
    return scores


def _threads(job: Job) -> int | None:
    if job.engine != "torch":
        return None
    import torch

    return torch.get_num_threads()


# --- signals ------------------------------------------------------------------------------------


class Stopped(KeyboardInterrupt):
    """A signal asked the program to end, and it was safe to do so."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class _Signals:
    """Takes what Ctrl-C, a batch system and a closed terminal send; later ones are let pass."""

    NAMES = ("SIGINT", "SIGTERM", "SIGHUP")

    def __init__(self, to_the_end: bool) -> None:
        self.number, self._is_held, self._to_the_end = 0, False, to_the_end
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Signals:
        if threading.current_thread() is threading.main_thread():  # no other has signals
            for number in (getattr(signal, name) for name in self.NAMES if hasattr(signal, name)):
                before = signal.getsignal(number)
                # A shell starts what runs in its background deaf to Ctrl-C, nohup to SIGHUP.
                if before is not signal.SIG_IGN or number == signal.SIGTERM:
                    self._before[number] = before
                    signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        deaf = self.number and self._to_the_end
        for number, before in self._before.items():
            signal.signal(number, signal.SIG_IGN if deaf else before or signal.SIG_DFL)

    def _take(self, number: int, _: object) -> None:
        if not self.number:
            self.number = number
            if not self._is_held:
                raise Stopped(number)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold a signal back to the end of the block."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
        if self.number:
            raise Stopped(self.number)


# --- several processes --------------------------------------------------------------------------


def _world() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def has_siblings() -> bool:
    """Tell whether ``torchrun`` started this process together with others."""
    return _world() > 1


@contextlib.contextmanager
def _processes(device: str) -> Iterator[int]:
    """Join the processes that ``torchrun`` started, if it did; yield this one's number."""
    if not has_siblings():
        yield 0
        return
    import torch
    from torch import distributed

    if device.startswith("cuda"):
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    # The others wait while the first one computes a baseline.
    backend = "nccl" if device.startswith("cuda") else "gloo"
    distributed.init_process_group(backend, timeout=timedelta(days=1))
    try:
        yield distributed.get_rank()
        distributed.barrier()
    finally:
        distributed.destroy_process_group()


def _from_first(rank: int, compute: Callable[[], Any]) -> Any:
    """Return in every process what the first one computes; its error is the error of all."""
    if not has_siblings():
        return compute()
    from torch import distributed

    content = [None, None]
    if rank == 0:
        try:
            content[0] = compute()
        except (ValueError, RuntimeError, OSError) as error:
            content[1] = error
    distributed.broadcast_object_list(content)
    if content[1] is not None:
        raise content[1]
    return content[0]


def _largest(number: int, device: str) -> int:
    """Return the largest of all processes' numbers: they stop after the same step."""
    if not has_siblings():
        return number
    import torch
    from torch import distributed

    numbers = torch.tensor(number, device=device)
    distributed.all_reduce(numbers, distributed.ReduceOp.MAX)
    return int(numbers)
