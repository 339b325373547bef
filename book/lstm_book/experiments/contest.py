"""State and recall, run: a rate for each contestant and task, then five seeds with it.

A rate is chosen once its neighbours, lower and higher, have been tried and are worse. Each run is a
process's only work, on one thread, so that many of them fill a large machine.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from time import perf_counter, time
from typing import Any

import numpy as np

from lstm_book.experiments.contestants import train
from lstm_book.experiments.record import Journal
from lstm_book.experiments.tracking import (
    BATCH,
    CONTESTANTS,
    TASKS,
    TESTED,
    fitting_size,
    num_parameters,
)
from lstm_book.recipes.records import environment

LADDER = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Learning rates that may be tried."""
FIRST_RATES = (0.0003, 0.001, 0.003, 0.01, 0.03)
"""Those that everybody tries; where the best is at an end, the next one is tried, too."""
CHOICE_SEEDS = (0, 1)
"""With these the learning rate is chosen, in a third of the time."""
CHOICE_SHARE = 1 / 3
CHOICE_TEST = 160
"""Largest size of the tests of those runs."""
SEEDS = (10, 11, 12, 13, 14)
"""With these, and that rate, everything is reported."""
LOWER = ("recall", "Transformer, distances")
"""It runs at the next rate below the chosen one, too: there two of five seeds began nothing."""
LONGER = 10
"""So many times the time, afterwards, at parity, for the Transformers."""
LONGER_RUNS = [
    (name, 0.003, 10) for name in ("Transformer, no positions", "Transformer, distances")
]
"""Contestant, rate and seed."""
TEST_SECONDS = 10.0
"""What a test may take beside the training; for the plan alone."""

Pair = tuple[str, str]
"""Task and contestant."""
Call = tuple[str, str, float, int, str]
"""Task, contestant, learning rate, seed, and "choice", "result" or "lower"."""


def run_one(task: str, name: str, lr: float, seed: int, part: str, share: float) -> dict[str, Any]:
    """Train and test one network; whatever goes wrong is its result."""
    told = {"task": task, "name": name, "part": part, "lr": lr, "seed": seed}
    told |= {"share": share} | _where()
    choice = part == "choice"
    seconds = TASKS[task].seconds * share * (CHOICE_SHARE if choice else 1)
    most = CHOICE_TEST if choice else max(TASKS[task].test_sizes)
    try:
        return told | train(name, TASKS[task], lr, seed, seconds, most)
    except Exception as error:  # the other runs go on
        return told | {"error": f"{type(error).__name__}: {error}"[:200]}


def _where() -> dict[str, Any]:
    """Return what else a run depends on: another machine may go on with what one began."""
    about = environment()
    versions = ", ".join(f"{name} {about['versions'].get(name)}" for name in ("numpy", "torch"))
    return {"commit": about["commit"], "cpu": about["machine"]["cpu"], "versions": versions}


def expected(call: Call, share: float) -> float:
    """Return the seconds that a run takes about."""
    task, _, _, _, part = call
    seconds = TASKS[task].seconds * share
    return seconds * CHOICE_SHARE + 1 if part == "choice" else seconds + TEST_SECONDS


def _begin() -> None:
    """Begin a process that has one thread for its work."""
    import torch

    torch.set_num_threads(1)


def _timed(call: Call, share: float, until: float) -> tuple[dict[str, Any], float] | None:
    start = perf_counter()
    if time() + expected(call, share) > until:
        return None  # it could not end in time
    return run_one(*call, share), perf_counter() - start


def run_all(
    journal: Journal, calls: list[Call], processes: int, share: float, until: float
) -> list[dict[str, Any]]:
    """Return the runs that are done; the longest are begun first, and each is kept as it ends.

    A process that dies takes the runs of its time with it; they are tried once more.
    """
    # One seed of all contestants after the other: whatever else the machine does meets them alike.
    ordered = sorted(calls, key=lambda call: (-expected(call, share), call[3]))
    for _ in range(2):
        missing = [call for call in ordered if _key(call) not in journal.results]
        if not missing:
            break
        try:
            with ProcessPoolExecutor(processes, get_context("spawn"), _begin) as pool:
                begun = {pool.submit(_timed, call, share, until): call for call in missing}
                for done in as_completed(begun):
                    if done.result() is not None:
                        journal.keep(_key(begun[done]), *done.result())
        except BrokenProcessPool:
            continue
        break
    return [journal.results[_key(call)] for call in calls if _key(call) in journal.results]


def _key(call: Call) -> str:
    return ", ".join(map(str, call))


def chosen_rate(runs: list[dict[str, Any]]) -> float | None:
    """Return the rate with the smallest loss at the end of training, over all choice seeds."""
    losses: dict[float, list[float]] = {}
    for run in runs:
        losses.setdefault(run["lr"], []).append(run["losses"][-1] if "losses" in run else np.inf)
    means = {lr: float(np.mean(values)) for lr, values in losses.items()}
    return min(means, key=means.get) if means and np.isfinite(min(means.values())) else None


def rates_to_try(runs: list[dict[str, Any]]) -> list[float]:
    """Return the rates that a contestant has still to try, after these runs on a task."""
    tried = {run["lr"] for run in runs}
    if not tried:
        return list(FIRST_RATES)
    best = chosen_rate(runs)
    if best is None:  # every one diverged: the next one below
        return [lr for lr in LADDER if lr < min(tried)][-1:]
    place = LADDER.index(best)
    return [lr for lr in LADDER[max(place - 1, 0) : place + 2] if lr not in tried]


def tracking(
    journal: Journal, processes: int = 1, share: float = 1.0, until: float = np.inf
) -> dict[str, Any]:
    """Run all of it.

    Parameters
    ----------
    journal : Journal
        Where each run is kept as it ends.
    processes : int
        Runs at a time.
    share : float
        Of the processor time of each run; 1, but for a trial, or less on a faster machine that
        goes on with what another began.
    until : float
        No run is begun that would not end by then, in seconds since 1970.

    Raises
    ------
    TimeoutError
        If that was too early for some runs; the journal holds the others.
    """
    all_of = _prepared(journal, processes, share, until)
    pairs = list(itertools.product(TASKS, CONTESTANTS))
    choices: dict[Pair, list[dict[str, Any]]] = {pair: [] for pair in pairs}
    while calls := [
        (*pair, lr, seed, "choice")
        for pair in pairs
        for lr in rates_to_try(choices[pair])
        for seed in CHOICE_SEEDS
    ]:
        for call, run in zip(calls, all_of(calls), strict=True):
            choices[call[:2]].append(run)
    rates = {pair: chosen_rate(runs) for pair, runs in choices.items()}
    results = all_of(
        [
            (*pair, lr, seed, "result")
            for pair, lr in rates.items()
            if lr is not None
            for seed in SEEDS
        ]
    )
    results += all_of(
        [
            (*pair, LADDER[LADDER.index(lr) - 1], seed, "lower")
            for pair, lr in rates.items()
            if lr is not None and pair == LOWER
            for seed in SEEDS
        ]
    )
    return {
        "first_rates": list(FIRST_RATES),
        "choice_seeds": list(CHOICE_SEEDS),
        "seeds": list(SEEDS),
        "batch": BATCH,
        "tested": TESTED,
        "processes": processes,
        "processor_seconds": {name: task.seconds for name, task in TASKS.items()},
        "choice_share": CHOICE_SHARE,
        "sizes": _by_task(fitting_size),
        "parameters": _by_task(lambda n, task: num_parameters(n, fitting_size(n, task), task)),
        "runs": [run for runs in choices.values() for run in runs] + results,
    }


def longer(
    journal: Journal, processes: int = 1, share: float = 1.0, until: float = np.inf
) -> dict[str, Any]:
    """Give ten times the time at parity to the Transformers; see `tracking`."""
    calls = [("parity", *run, "result") for run in LONGER_RUNS]
    return {
        "times": LONGER,
        "processes": processes,
        "processor_seconds": {"parity": TASKS["parity"].seconds * LONGER},
        "runs": _prepared(journal, processes, share * LONGER, until)(calls),
    }


def _prepared(
    journal: Journal, processes: int, share: float, until: float
) -> Callable[[list[Call]], list[dict[str, Any]]]:
    """Make ready for processes of one thread each, and return what does all of some runs."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = "1"  # of the processes that are started from here on
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    _compile()

    def all_of(calls: list[Call]) -> list[dict[str, Any]]:
        runs = run_all(journal, calls, processes, share, until)
        if len(runs) < len(calls):
            raise TimeoutError(f"{len(calls) - len(runs)} runs are missing; {journal.path} goes on")
        return runs

    return all_of


def _by_task(of: Callable[[str, Any], int]) -> dict[str, dict[str, int]]:
    return {
        name: {contestant: of(contestant, task) for contestant in CONTESTANTS}
        for name, task in TASKS.items()
    }


def _compile() -> None:
    """Let numba compile the LSTM's steps once, before many processes need them."""
    run_one("parity", "LSTM", 0.001, 0, "choice", 0.001)
