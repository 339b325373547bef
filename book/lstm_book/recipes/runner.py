"""Run recipes: every seed trained, measured once on the test part, and recorded."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import lstm
from lstm import checks
from lstm.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from lstm.equations import sigmoid
from lstm.schedules import SCHEDULES
from lstm.signatures import checked
from lstm.training import Trainer, scores
from lstm_book.recipes import answers, keep, processes, recipe, records, trials
from lstm_book.recipes.description import describe
from lstm_book.recipes.processes import Signals, Stopped
from lstm_book.recipes.progress import ProgressBar, warn
from lstm_book.recipes.recipe import Answers, Recipe, System, Task, checksum

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


@checked
@dataclass
class Job:
    """A recipe and how to run it.

    Parameters
    ----------
    recipe, model : Recipe, str
        What to run, and which of its models or baselines.
    scale, seeds, engine, device, out, resume, overwrite
        The options of ``python -m lstm_book train``.
    overrides : iterable of str
        Settings as ``"name=value"``.
    progress : bool
        Whether to say what is done, with progress bars on a terminal.
    trial : bool
        Whether to look at the validation part only. Nothing is recorded but a line in the log of
        trials: see :mod:`lstm_book.recipes.trials`.
    save : Path, optional
        Where to keep the classifier that the first seed gives: see :mod:`lstm_book.recipes.keep`.
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
    trial: bool = False
    save: Path | None = None

    def __post_init__(self) -> None:
        for name in ("resume", "overwrite", "progress", "trial"):
            checks.boolean(name, getattr(self, name))
        self.seeds = checks.integers("seeds", self.seeds, 0, checks.LARGEST).ravel().tolist()
        self.settings = self.recipe.settings(self.model, self.scale, self.overrides)
        if self.trial and "final" in self.settings:
            self.settings["final"] = False
        baseline = self.recipe.baselines.get(self.model)
        self.is_baseline, is_system = baseline is not None, isinstance(baseline, System)
        if self.save and not (is_system and baseline.keeps):
            raise ValueError(f"save needs a model that can be kept, got {self.model!r}")
        if self.is_baseline:
            self.engine, self.device = None, "cpu"
            if not is_system:
                self.seeds = self.seeds[:1]  # the others would be the same
        elif checks.one_of("engine", self.engine, ("numpy", "torch")) == "numpy":
            if self.device != "cpu":
                raise ValueError(f"device {self.device!r} needs engine 'torch', got 'numpy'")
            if processes.COUNT > 1:
                raise ValueError("several processes need engine 'torch', got 'numpy'")
        if self.device != "cpu":
            _check_device(self.device)
        for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
            if name in self.settings:
                checks.one_of(name, self.settings[name], known)

    @property
    def name(self) -> str:
        """File name of the record, without its ending."""
        parts = (self.recipe.name, self.model, self.engine, self.scale, "trial" * self.trial)
        return "-".join(part for part in parts if part)

    @property
    def path(self) -> Path:
        """File of the record."""
        return self.out / f"{self.name}.json"

    def checkpoint(self, seed: int) -> Path:
        """File in which an unfinished training is kept."""
        return self.out / f"{self.name}-seed{seed}.checkpoint.npz"

    def remove_checkpoint(self, seed: int) -> None:
        """Remove the file, if it can be."""
        with contextlib.suppress(OSError):
            self.checkpoint(seed).unlink()

    def record(self, task: Task) -> records.Record:
        """Return the record, without a run yet."""
        record = {"recipe": self.recipe.name, "article": self.recipe.article}
        record |= {name: getattr(self, name) for name in ("model", "engine", "scale", "device")}
        record |= {"settings": self.settings, "data": task.about, "parameters": None}
        return record | {"command": records.command(record), "runs": []}


def _check_device(device: str) -> None:
    import torch

    try:
        torch.empty(1, device=device).numpy(force=True)
    except Exception as error:  # for some devices PyTorch imports what is not there
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
    with processes.joined(jobs[0].device), processes.signals(then_exit) as signals:
        for job in jobs:
            _run(job, signals)


def _run(job: Job, signals: Signals) -> None:
    processes.from_first(lambda: _look(job))
    about = records.environment(uses_torch=job.engine == "torch")
    task = job.recipe.load(job.settings)
    if job.trial:
        task = task.without_test()
    fresh = job.record(task)
    before, done = processes.from_first(lambda: _recorded(job, fresh))
    for seed in job.seeds:
        if seed in done:
            if processes.IS_FIRST:
                job.remove_checkpoint(seed)  # of a run that was killed after its last line
        elif processes.IS_FIRST or not job.is_baseline:
            if job.is_baseline:
                result = _baseline(job, task, seed)
            else:
                result = _train(job, task, seed, signals)
            fresh["parameters"] = result.pop("parameters", None)
            if processes.IS_FIRST:
                with signals.held():
                    (_note if job.trial else _record)(job, fresh, result | about, before)
    if processes.IS_FIRST and done.issuperset(job.seeds):
        print(f"{job.path} is complete: nothing is left to do for seeds {job.seeds}")


def _look(job: Job) -> None:
    """See before any work whether there is something already, and whether there is room."""
    if not job.resume and not job.overwrite:
        for path in (job.path, *map(job.checkpoint, job.seeds)):
            if path.exists():
                raise records.RecordError(
                    f"{path} is there already: add --resume to go on with it, "
                    "--overwrite to begin again, or --out FOLDER"
                )
    for path in (job.out / trials.NAME if job.trial else job.path, job.save):
        if path:
            records.try_out(path)


def _recorded(job: Job, fresh: records.Record) -> tuple[bytes | None, set[int]]:
    """Return what is to be replaced, and which seeds are done."""
    if job.overwrite:
        for seed in job.seeds:
            job.remove_checkpoint(seed)
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
    shown = _shown(result["test"])
    print(
        f"{job.name}, seed {result['seed']}: test {shown} ({result['seconds']:.0f} s)", flush=True
    )


def _shown(found: dict[str, float]) -> str:
    return ", ".join(
        f"{name} {100 * value:.2f} %" if name == "accuracy" else f"{name} {value:.4f}"
        for name, value in sorted(found.items())
    )


def _note(job: Job, fresh: records.Record, result: dict, before: None) -> None:
    line = trials.trial(fresh, result, job.overrides)
    try:
        trials.add(job.out, line)
    except OSError as error:
        print(json.dumps(line))  # here at least it is kept
        raise records.RecordError(f"the trial could not be noted ({error})") from None
    job.remove_checkpoint(result["seed"])
    print(f"{job.name}, seed {result['seed']}: validation {_shown(result['validation'])}")


# --- one seed -----------------------------------------------------------------------------------


def _baseline(job: Job, task: Task, seed: int) -> dict[str, Any]:
    cost = _stopwatch()
    found = Answers(*job.recipe.baselines[job.model](task, job.settings, seed))
    spent = cost()
    result = {"seed": seed, "chosen": found.chosen, "parameters": found.parameters}
    result |= _measured(job, task, found.validation, found.test)
    beside = {}
    for name, (validation, test, seconds) in found.beside.items():
        beside[name] = _measured(job, task, validation, test) | {"cpu_seconds": round(seconds, 1)}
    if found.classifier is not None:
        if job.save and seed == job.seeds[0]:
            about = {"recipe": job.recipe.name, "model": job.model, "seed": seed}
            try:
                keep.save(job.save, found.classifier, about | {"settings": job.settings})
            except OSError as error:  # its result is not lost with it
                warn(f"{job.save} could not be written: {error}")
        share = sigmoid(found.test[:, 0].astype(float))
        result["probabilities"] = answers.pack(np.rint(255 * share))
    if beside:
        # Its own time, without theirs.
        spent["cpu_seconds"] = round(sum(found.chosen["seconds"][k] for k in ("base", "lstm")), 1)
        result["beside"] = beside
    return result | spent


def _measured(job: Job, task: Task, validation: np.ndarray, test: np.ndarray) -> dict[str, Any]:
    """Return the scores of both parts, and which test examples were right.

    No validation score where these examples were trained on; no loss of a linear method, whose
    outputs are no logits that were trained with it.
    """
    parts = {"validation": (task.validation, validation), "test": (task.test, test)}
    if task.held_out is not None:
        del parts["validation"]
    trained = isinstance(job.recipe.baselines.get(job.model), System) or not job.is_baseline
    found: dict[str, Any] = {}
    for name, (part, outputs) in parts.items():
        found[name] = scores(outputs, part.targets, job.recipe.loss)
        if "accuracy" in found[name] and not trained:
            del found[name]["loss"]
    if "accuracy" in found["test"]:
        found["right"] = answers.pack(answers.right(test, task.test.targets))
    return found


def _train(job: Job, task: Task, seed: int, signals: Signals) -> dict[str, Any]:
    settings, path = job.settings, job.checkpoint(seed)
    trainer, belongs_to = _trainer(job, task, seed)
    cost = _stopwatch()
    goes_on = job.resume and path.exists()
    state = processes.from_first(lambda: load_checkpoint(path, belongs_to) if goes_on else None)
    if state:
        trainer.load_state_dict(state)
    bar = ProgressBar() if job.progress and processes.IS_FIRST else None
    saved_at = time.monotonic()

    def save() -> None:
        nonlocal saved_at
        if processes.IS_FIRST:
            saved_at = time.monotonic()
            try:
                save_checkpoint(path, trainer.state_dict(), belongs_to)
            except CheckpointError as error:  # what is trained is worth more
                warn(f"{error}. The training goes on")

    def between_steps(_: Trainer) -> None:
        number = processes.largest(signals.number, job.device)
        if number or time.monotonic() - saved_at > SECONDS_BETWEEN_CHECKPOINTS:
            save()
        if number:
            raise Stopped(number)
        if bar:
            bar(trainer)

    with signals.held():
        if bar:
            print(f"{job.name}, seed {seed}" + (", resumed" if state else ""), flush=True)
        history = trainer.fit(
            *task.train,
            epochs=settings["epochs"],
            validation=None if task.held_out is not None else task.validation,
            patience=settings["patience"],
            bucket_by=task.bucket_by,
            callback=between_steps,
        )
        save()
    spent = cost()
    parts = task.validation, task.test
    return {
        "seed": seed,
        "parameters": sum(array.size for array in trainer.model.state_dict().values()),
        "epochs": history,
        **_measured(job, task, *(task.outputs(trainer.model, part, seed) for part in parts)),
        **spent,
        "resumed": bool(state),
        "processes": processes.COUNT,
    }


def _trainer(job: Job, task: Task, seed: int) -> tuple[Trainer, Any]:
    """Return the training of a seed, and what its checkpoint belongs to.

    A generator each for the weights, the order and PyTorch's masks: both engines draw the same.
    """
    settings = job.settings
    model = job.recipe.build(task, settings, np.random.default_rng([seed, 0]))
    kind, options = OPTIMIZERS[settings["optimizer"]]
    schedule = None if settings["schedule"] == "constant" else SCHEDULES[settings["schedule"]]
    options = options | {"lr": settings["lr"]}
    more = {
        "batch_size": settings["batch_size"],
        "max_norm": settings["max_norm"],
        "schedule": schedule,
        "augment": task.augment,
    }
    if job.engine == "torch":
        from lstm_book.recipes.torch_engine import Network, Optimizer

        network = Network(model, job.device, np.random.default_rng([seed, 2]))
        optimizer = Optimizer(kind, network.parameters(), **options)
    else:
        network, optimizer = model, kind(model.parameters(), **options)
    # More epochs are another thing: the trainer knows whether they are the same training.
    belongs_to = describe(
        {
            "settings": {name: value for name, value in settings.items() if name != "epochs"},
            "seed": seed,
            "engine": [job.device, type(network).vjp, type(optimizer)],
            "versions": {"lstm": lstm.__version__, "python": list(sys.version_info[:2])},
            "code": checksum([_sources()]),
            "trainer": Trainer,
            "model": model,
            "parameters": dict(model.named_parameters()),
            "optimizer": [kind, options],
            "loss": job.recipe.loss,
            **more,
            "training data": [*task.train, task.bucket_by],
            "validation data": [*task.validation],
            "test data": task.about["sha256"],
        }
    )
    rng = np.random.default_rng([seed, 1])
    return Trainer(network, job.recipe.loss, optimizer, rng=rng, **more), belongs_to


def _sources() -> Iterator[str]:
    """Yield the code of this package and of lstm: what is described by name is described here."""
    for package in (lstm, recipe):
        for path in sorted(Path(package.__file__).parent.rglob("*.py")):
            yield path.read_text(encoding="utf-8")


def _stopwatch() -> Callable[[], dict[str, float]]:
    """Return how to read the time since now: on the clock, and on the processors.

    The second leaves out what others do. With several processes it is that of the first one.
    """
    start, start_cpu = time.perf_counter(), time.process_time()
    return lambda: {
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(time.process_time() - start_cpu, 1),
    }
