"""What was run: one JSON file for each recipe, model, engine and scale, with all its seeds."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import platform
import shlex
import subprocess
from collections.abc import Iterable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

import lstm
from lstm import checks
from lstm.checkpoint import differences, replace_file
from lstm.signatures import checked
from lstm.threads import threads
from lstm_book.checkout import ROOT
from lstm_book.recipes import RECIPES, answers
from lstm_book.statistics import Summary, summary

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

Record = dict[str, Any]

NONE = type(None)


def _scores(name: str, value: Any) -> None:
    """Check the scores of a part: a loss, an accuracy, or both."""
    needed = "accuracy" if "accuracy" in fits(name, value, {}) else "loss"
    fits(name, value, {needed: {float}, "loss?": {float}})


def _beside(name: str, value: Any) -> None:
    """Check what else was measured, by its name."""
    fits(name, value, dict.fromkeys(fits(name, value, {}), {"test": _scores} | COST))


COST = {"cpu_seconds": {float}}
RUN = {
    "seed": partial(checks.positive_int, minimum=0),
    "test": _scores,
    "seconds": {float},
    "resumed?": {bool},
    "right?": {str},
    "probabilities?": {str},
    "beside?": _beside,
}
RUN |= COST
SCHEMA = {
    "recipe": partial(checks.one_of, choices=RECIPES),
    "model": {str},
    "engine": {str, NONE},
    "scale": partial(checks.one_of, choices=("quick", "full")),
    "device": {str},
    "settings": {dict},
    "data": {dict},
    "parameters": {int, NONE},
    "runs": [RUN],
}
"""What a record must hold so that it can be shown, repeated and added to."""


def fits(name: str, value: Any, schema: Any) -> Any:
    """Return ``value``, as JSON holds it, if it is what ``schema`` says.

    Parameters
    ----------
    name : str
        What messages call it; a part of it is called ``name.key`` or ``name[place]``.
    value : object
        Made of dicts, lists, texts, numbers, True, False and None.
    schema : dict, list, set or callable
        A dict with a schema for each key, those apart that end in ``?``, which may be absent; a
        list with one schema for all members; a set of types; or a check ``(name, value)``.

    Raises
    ------
    ValueError
        If it is anything else. There may be more keys than those in the schema.
    """
    if callable(schema):
        schema(name, value)
    elif isinstance(schema, set):
        if type(value) not in schema:
            raise checks.wrong(name, " or ".join(sorted(each.__name__ for each in schema)), value)
    elif type(value) is not type(schema):
        raise checks.wrong(name, f"a {type(schema).__name__}", value)
    elif isinstance(schema, list):
        for place, each in enumerate(value):
            fits(f"{name}[{place}]", each, schema[0])
    else:
        for key, inner in schema.items():
            key, is_optional = key.removesuffix("?"), key.endswith("?")
            if key in value:
                fits(f"{name}.{key}", value[key], inner)
            elif not is_optional:
                raise ValueError(f"{name} must have {key!r}, got {checks.shown([*value])}")
    return value


class RecordError(RuntimeError):
    """A record cannot be read or added to; the message says why and what to do."""


@checked
def read(path: Path) -> Record:
    """Read one record.

    Raises
    ------
    RecordError
        If it cannot be read, or something in it is not what it must be; the message says what.
    """
    try:
        record = fits("record", json.loads(_content(path)), SCHEMA)
        checks.one_of("record.model", record["model"], RECIPES[record["recipe"]].model_names)
        runs = record["runs"]
        seeds = [run["seed"] for run in runs]
        kinds = {(frozenset(run["test"]), frozenset(run.get("beside", ()))) for run in runs}
        if len(set(seeds)) < len(seeds) or len(kinds) > 1:
            raise ValueError(f"record.runs must have other seeds and the same scores, got {seeds}")
        return record
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(
            f"{path} is not a record of `python -m lstm_book train` ({error})"
        ) from None


def _content(path: Path) -> bytes:
    """Return what a file holds; a folder is none, nor a pipe, at which one would wait."""
    if path.exists() and not path.is_file():
        raise OSError("it is no file")
    return path.read_bytes()


@checked
def read_all(folder: Path, *scales: str) -> dict[str, Record]:
    """Return all records of a folder that hold a run, by their names; of some scales, or of all."""
    endings = scales or ("quick", "full")
    paths = sorted(path for scale in endings for path in folder.glob(f"*-{scale}.json"))
    found = {path.stem: read(path) for path in paths}
    return {name: record for name, record in found.items() if record["runs"]}


def try_out(path: Path) -> None:
    """See now, and not after hours, whether a record can be written there."""
    trial = path.with_name(f".{path.stem}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            _content(path)
        with locked(path.parent):
            replace_file(trial, bytes(2**16))
            trial.unlink()
    except OSError as error:
        raise RecordError(f"{path} cannot be written ({error}): choose another place") from None


@checked
def add(path: Path, fresh: Record, run: Record, instead_of: bytes | None = None) -> None:
    """Add a run to the record in a file, safely: on disk when this returns.

    Other processes may add to it at the same time; what they added stays, also for the same seed.

    Parameters
    ----------
    path : Path
        The file; its folder is there.
    fresh : dict
        A record without runs, for the case that there is no file.
    run : dict
        What to add.
    instead_of : bytes, optional
        A content of the file that nobody wants any more.

    Raises
    ------
    RecordError
        If the file is the record of something else by now, or cannot be written.
    """
    try:
        with locked(path.parent):
            record = fresh
            if path.exists() and path.read_bytes() != instead_of:
                record = read(path)
                check_same(path, record, fresh)
            others = [each for each in record["runs"] if each["seed"] != run["seed"]]
            if len(others) == len(record["runs"]):
                runs = sorted([*others, run], key=lambda each: each["seed"])
                text = json.dumps(record | {"runs": runs}, indent=1) + "\n"
                replace_file(path, text.encode())
    except OSError as error:
        raise RecordError(
            f"{path} could not be written ({error}): make room, and run it again with --resume"
        ) from None


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder; the system ends this when a process dies."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a network's disk may know no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def check_same(path: Path, record: Record, fresh: Record) -> None:
    """Refuse to mix runs of different settings, data or devices in one record."""
    for key in ("settings", "data", "device"):
        if different := "; ".join(differences(record.get(key), fresh[key])):
            raise RecordError(
                f"{path} was made with other {key}: {different}. "
                "Use the old ones, --overwrite, or --out FOLDER"
            )


@checked
def command(record: Record) -> str:
    """Return the command that makes such a record today, one seed of it."""
    recipe = RECIPES[record["recipe"]]
    words = ["train", recipe.name, "--model", record["model"], "--scale", record["scale"]]
    if record["engine"] == "torch":
        words += ["--engine", "torch"]
    if record.get("device", "cpu") != "cpu":
        words += ["--device", record["device"]]
    usual = recipe.settings(record["model"], record["scale"])
    for name, value in record["settings"].items():
        if name in usual and value != usual[name]:
            words += ["--set", f"{name}={value}"]
    return f"python -m lstm_book {shlex.join(words)}"


def environment(uses_torch: bool = False) -> Record:
    """Return what a run depended on besides its settings."""
    versions = {"python": platform.python_version(), "lstm": lstm.__version__}
    for name in ("numpy", "torch", "scikit-learn", "numba"):
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count()
    machine = {"cpu": cpu(), "cores": cores, "threads": threads()}
    if uses_torch:
        import torch

        machine["threads"] = torch.get_num_threads()
    machine["system"] = platform.system()
    return {"commit": commit(), "versions": versions, "machine": machine}


def commit() -> str | None:
    """Return the commit of this project's checkout, with ``+`` where it was changed since.

    None where the packages lie in no checkout, or in a folder of somebody else's.
    """

    def git(*words: str) -> str:
        command = ["git", "-C", str(ROOT), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    packages = ["lstm", "book/lstm_book"]
    try:
        git("ls-files", "--error-unmatch", *packages)
        own = Path(git("rev-parse", "--show-toplevel")).samefile(ROOT)
        if own and Path(lstm.__file__).is_relative_to(ROOT):
            changed = git("status", "--porcelain", "--", *packages)
            return git("rev-parse", "HEAD") + "+" * bool(changed)
    except (OSError, subprocess.CalledProcessError):
        pass
    return None


def cpu() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


@checked
def line(record: Record) -> dict[str, str]:
    """Return a record as texts: how many seeds, what was tested, and what it cost a seed.

    An accuracy is in percent. Empty where nothing is known.
    """
    found, metric = _summary(record)
    factor, digits, unit = (100, 2, " %") if metric == "accuracy" else (1, 4, "")
    mean, deviation = (f"{factor * x:.{digits}f}" for x in (found.mean, found.deviation))
    seconds = [run["cpu_seconds"] for run in record["runs"] if not run.get("resumed")]
    return {
        "seeds": str(len(record["runs"])),
        "test": metric,
        "mean": mean + unit,
        "deviation": "" if np.isnan(found.deviation) else f"± {deviation}",
        "minutes": f"{np.mean(seconds) / 60:.1f}" if seconds else "",
    }


@checked
def reached(record: Record) -> str:
    """Return what the seeds reached: mean ± standard deviation, or each of them.

    Each where that interval would leave 0 to 100 %: a mean describes no two groups of seeds.
    """
    found, metric = _summary(record)
    factor, digits = (100, 2) if metric == "accuracy" else (1, 4)
    values = [factor * run["test"][metric] for run in record["runs"]]
    mean, deviation = factor * found.mean, factor * found.deviation
    if len(values) == 1:
        return f"{mean:.{digits}f}"
    if metric == "accuracy" and not deviation <= mean <= 100 - deviation:
        return ", ".join(f"{value:.{digits}f}" for value in sorted(values))
    return f"{mean:.{digits}f} ± {deviation:.{digits}f}"


@checked
def beside(record: Record, name: str) -> Record:
    """Return the record of a system that was trained in the same runs as another, to compare."""
    runs = [run | run["beside"][name] for run in record["runs"]]
    return record | {"model": f"{record['model']}: {name}", "runs": runs, "parameters": None}


def with_those_beside(found: Iterable[Record]) -> Iterator[Record]:
    """Yield records, and behind each those of the systems that were trained in the same runs."""
    for record in found:
        yield record
        for name in record["runs"][0].get("beside", ()):
            yield beside(record, name)


@checked
def right(record: Record) -> np.ndarray:
    """Return which test examples each run answered rightly, bool of shape (runs, examples).

    Raises
    ------
    RecordError
        If the record is older than this: it holds accuracies alone.
    """
    count = record["data"]["sizes"][-1]
    if any("right" not in run for run in record["runs"]):
        raise RecordError(f"the record of {record['model']} holds no answers: make it again")
    return np.array([answers.unpack(run["right"], count) for run in record["runs"]])


@checked
def probabilities(record: Record) -> np.ndarray:
    """Return what each run said of every test example, in steps of 1/255, (runs, examples)."""
    count = record["data"]["sizes"][-1]
    packed = (answers.unpack(run["probabilities"], count, np.uint8) for run in record["runs"])
    return np.array([*packed]) / 255


def _summary(record: Record) -> tuple[Summary, str]:
    """Return what the test part says, and in which metric."""
    scores = [run["test"] for run in record["runs"]]
    metric = "accuracy" if "accuracy" in scores[0] else "loss"
    return summary([each[metric] for each in scores]), metric


def _rank(record: Record) -> tuple[str, str, float]:
    """Return what records are sorted by: the best comes first within a recipe and scale."""
    found, metric = _summary(record)
    return record["recipe"], record["scale"], found.mean * (-1 if metric == "accuracy" else 1)


TABLE = ("model", "runs", "mean ± sd", "CPU min")


@checked
def table(records: Iterable[Record]) -> str:
    """Return records as tables of at most 80 columns: recipe by recipe, the best first.

    The minutes are those of one seed.
    """
    text = ""
    for (recipe, scale), group in itertools.groupby(
        sorted(with_those_beside(records), key=_rank), lambda record: _rank(record)[:2]
    ):
        rows, tests = [TABLE], set()
        for record in group:
            each = line(record)
            tests.add(each["test"] + " in %" * (each["test"] == "accuracy"))
            model = record["model"] + " (torch)" * (record["engine"] == "torch")
            rows.append((model, each["seeds"], reached(record), each["minutes"]))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        rows.insert(1, tuple("-" * width for width in widths))
        text += f"{recipe}, {scale}: {', '.join(sorted(tests))} on the test part\n"
        for model, runs, mean, minutes in rows:
            cells = (model.ljust(widths[0]), runs.rjust(widths[1]), mean.ljust(widths[2]))
            text += "  ".join([*cells, minutes.rjust(widths[3])]).rstrip() + "\n"
        text += "\n"
    return text.removesuffix("\n")
