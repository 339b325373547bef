"""Run a recipe: every seed trained, measured once on the test part, and recorded."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import lstm
from lstm.module import Module
from lstm.optim import Optimizer
from lstm.schedules import SCHEDULES
from lstm.training import METRICS
from lstm_book.recipes import records
from lstm_book.recipes.baselines import SEEDED
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
        Whether to show progress bars.
    """

    recipe: Recipe
    model: str
    scale: str = "quick"
    seeds: list[int] = field(default_factory=lambda: [0])
    engine: str = "numpy"
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
            self.engine = None
        elif self.engine not in ("numpy", "torch"):
            raise ValueError(f"engine must be 'numpy' or 'torch', got {self.engine!r}")
        if self.engine != "torch" and self.device != "cpu":
            raise ValueError(f"device {self.device!r} needs engine 'torch', got {self.engine!r}")
        if self.device != "cpu":
            _check_device(self.device)
        for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
            if self.settings[name] not in known:
                raise ValueError(
                    f"{name} must be one of {list(known)}, got {self.settings[name]!r}"
                )
        kind, _ = OPTIMIZERS[self.settings["optimizer"]]
        if self.device != "cpu" and kind is not lstm.Adam:
            raise ValueError(f"device {self.device!r} needs Adam, got {kind.__name__}")

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
        return self.out / "checkpoints" / f"{self.name}-seed{seed}.ckpt"


def _check_device(device: str) -> None:
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device must be one that PyTorch has here, got {device!r}") from error


def run(job: Job) -> records.Record:
    """Run every seed of a job that is not yet recorded, and return the record.

    Parameters
    ----------
    job : Job
        What to run, and how.

    Returns
    -------
    dict
        The record, as in its file, which is written after every seed.

    Raises
    ------
    RecordError
        If there is a record or a checkpoint already, and neither ``resume`` nor ``overwrite`` says
        what to do with it; or a record of other settings or data.
    """
    with _processes(job) as rank:
        task = job.recipe.load(job.settings)
        record = _open_record(job, task)
        done = {each["seed"] for each in record["runs"]}
        seeds = job.seeds
        if job.is_baseline and job.recipe.baselines[job.model] not in SEEDED:
            seeds = seeds[:1]  # the others would be the same
        for seed in seeds:
            if seed in done:
                _remove_checkpoint(job, seed)  # of a run that was killed after its last line
                continue
            result = (
                _baseline(job, task, seed) if job.is_baseline else _train(job, task, seed, rank)
            )
            record["parameters"] = result.pop("parameters", None)
            record["runs"].append(result)
            record["runs"].sort(key=lambda each: each["seed"])
            if rank == 0:
                records.write(job.path, record)
                _remove_checkpoint(job, seed)
                _say(job, result)
        return record


def _remove_checkpoint(job: Job, seed: int) -> None:
    """Remove the file, and its folder if that is empty."""
    job.checkpoint(seed).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        job.checkpoint(seed).parent.rmdir()


def _open_record(job: Job, task: Task) -> records.Record:
    """Return the record to add to: a new one, or the one that is there."""
    fresh = {
        "recipe": job.recipe.name,
        "article": job.recipe.article,
        "model": job.model,
        "engine": job.engine,
        "scale": job.scale,
        "device": job.device,
        "settings": job.settings,
        "data": task.about,
        "parameters": None,
        "command": _command(job),
        "runs": [],
    }
    if job.overwrite:
        for seed in job.seeds:
            job.checkpoint(seed).unlink(missing_ok=True)
        return fresh
    unfinished = [path for seed in job.seeds if (path := job.checkpoint(seed)).exists()]
    if not job.resume and (job.path.exists() or unfinished):
        raise records.RecordError(
            f"{job.path if job.path.exists() else unfinished[0]} is there already: "
            "add --resume to go on with it, --overwrite to begin again, or --out FOLDER"
        )
    if not job.path.exists():
        return fresh
    record = records.read(job.path)
    for key in ("settings", "data", "device"):
        if record.get(key) != fresh[key]:
            difference = _difference(record.get(key), fresh[key])
            raise records.RecordError(
                f"{job.path} was made with other {key}: {difference}. "
                "Use the old ones, --overwrite, or --out FOLDER"
            )
    return record


def _difference(old: Any, new: Any) -> str:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return f"was {old!r}, is {new!r}"
    changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return "; ".join(f"{key} was {old.get(key)!r}, is {new.get(key)!r}" for key in changed)


def _command(job: Job) -> str:
    words = [
        "python -m lstm_book train",
        job.recipe.name,
        "--model",
        job.model,
        "--scale",
        job.scale,
    ]
    words += ["--engine", job.engine] if job.engine else []
    words += ["--device", job.device] if job.device != "cpu" else []
    words += [word for override in job.overrides for word in ("--set", override)]
    return " ".join(words)


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


def _train(job: Job, task: Task, seed: int, rank: int) -> dict[str, Any]:
    settings = job.settings
    # A generator each for the weights (and masks) and for the order: both engines draw the same.
    model = job.recipe.build(task, settings, np.random.default_rng([seed, 0]))
    model, optimizer = _on_engine(job, model, seed)
    start = time.perf_counter(), time.process_time()
    with _own_checkpoint(job, seed, rank) as checkpoint:
        resumed = checkpoint.exists()
        if rank == 0 and job.progress:
            print(f"{job.name}, seed {seed}" + (", resumed" if resumed else ""), flush=True)
        history = lstm.fit(
            model,
            task.train.inputs,
            task.train.targets,
            job.recipe.loss,
            optimizer,
            epochs=settings["epochs"],
            batch_size=settings["batch_size"],
            validation=task.validation,
            max_norm=settings["max_norm"],
            schedule=SCHEDULES[settings["schedule"]],
            patience=settings["patience"],
            bucket_by=task.bucket_by,
            augment=task.augment,
            checkpoint=checkpoint,
            belongs_to={f"--set {name}": value for name, value in settings.items()}
            | {"seed": seed, "test data": task.about["sha256"]},
            rng=np.random.default_rng([seed, 1]),
            progress=job.progress and rank == 0,
        )
    cost = _cost(*start)
    scores = {
        name: _scores(job, lstm.predict(model, part.inputs), part.targets)
        for name, part in (("validation", task.validation), ("test", task.test))
    }
    return {
        "seed": seed,
        "parameters": sum(parameter.size for parameter in model.parameters()),
        "epochs": history,
        **scores,
        **cost,
        "resumed": resumed,
        "processes": getattr(model, "world", 1),
        **records.environment(_threads(job)),
    }


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


def _on_engine(job: Job, model: Module, seed: int) -> tuple[Module, Optimizer]:
    kind, options = OPTIMIZERS[job.settings["optimizer"]]
    options = options | {"lr": job.settings["lr"]}
    if job.engine == "numpy":
        return model, kind(model.parameters(), **options)
    from lstm_book.recipes.torch_engine import TorchAdam, TorchModel

    model = TorchModel(model, job.device, rng=np.random.default_rng([seed, 2]))
    kind = TorchAdam if kind is lstm.Adam else kind
    return model, kind(model.parameters(), **options)


def _threads(job: Job) -> int | None:
    if job.engine != "torch":
        return None
    import torch

    return torch.get_num_threads()


def _say(job: Job, result: dict[str, Any]) -> None:
    scores = ", ".join(
        f"{name} {100 * value:.2f} %" if name == "accuracy" else f"{name} {value:.4f}"
        for name, value in result["test"].items()
    )
    print(
        f"{job.name}, seed {result['seed']}: test {scores} ({result['seconds']:.0f} s)", flush=True
    )


# --- several processes --------------------------------------------------------------------------


def has_siblings() -> bool:
    """Tell whether ``torchrun`` started this process together with others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextlib.contextmanager
def _processes(job: Job) -> Iterator[int]:
    """Join the processes that ``torchrun`` started, if it did; yield this one's number."""
    if not has_siblings():
        yield 0
        return
    if job.engine != "torch":
        raise ValueError(f"several processes need engine 'torch', got {job.engine!r}")
    import signal

    import torch
    from torch import distributed

    if job.device.startswith("cuda"):
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("nccl" if job.device.startswith("cuda") else "gloo")
    try:
        if distributed.get_rank() > 0:
            # Ctrl-C reaches every process: the first one saves, and takes the others with it.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        yield distributed.get_rank()
    finally:
        distributed.destroy_process_group()


@contextlib.contextmanager
def _own_checkpoint(job: Job, seed: int, rank: int) -> Iterator[Path]:
    """Yield a checkpoint file for this process alone, equal in all processes at the start."""
    path = job.checkpoint(seed)
    if not has_siblings():
        yield path
        return
    from torch import distributed

    content = [path.read_bytes() if rank == 0 and path.exists() else None]
    distributed.broadcast_object_list(content)
    if rank == 0:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / path.name
        if content[0] is not None:
            own.write_bytes(content[0])
        yield own


def is_terminal() -> bool:
    """Tell whether somebody watches."""
    return sys.stdout.isatty()
