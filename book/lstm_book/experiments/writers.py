"""The contest of writing: which runs there are, on several processes, each kept as it ends."""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter, time
from typing import Any

import numpy as np

from lstm_book.experiments import cells
from lstm_book.experiments.contest import _begin, _where
from lstm_book.experiments.record import FOLDER, Journal, load_record, rounded
from lstm_book.experiments.writer import UNITS, load_writer
from lstm_book.experiments.writing import (
    AT_ONCE,
    FRACTIONS,
    ORDERS,
    PPM_ORDERS,
    SECONDS,
    TEST,
    VALIDATION,
    WARM_UP,
    WINDOW,
    count,
    train,
)
from lstm_book.experiments.written import rates as rates_of
from lstm_book.recipes import trials

NAMES = ("LSTM", "Transformer")
LADDER = (0.000625, 0.00125, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16)
"""Learning rates that may be tried."""
FIRST_RATES = (0.005, 0.01, 0.02, 0.04)
"""Those that both try; where the best is at an end, the next one is tried, too."""
CHOICE_SEEDS = (0, 1)
CHOICE_SHARE = 2 / 3
"""With these, in so much of the time, the learning rate is chosen."""
SEEDS = (10, 11, 12, 13, 14)
"""With these, and that rate, everything is reported."""
FEWER = SEEDS[:2]
"""With these the LSTM has other windows, and less text."""
WINDOWS = ((16, True), (16, False), (64, False))
"""Steps, and whether the state is carried on; 64 and carried is what everything else has."""
LONGER = 3
"""So many times the time, for the LSTM and the first seed:"""
FARTHER = (
    {},
    {"window": 256, "at_once": 2048},
    {"window": 256, "at_once": 2048, "longest": 256},
)
"""as ever, with longer windows, and with a start that remembers longer, too."""
LONG_STARTS = (FARTHER[-1], {"longest": 256})
"""Of `more_seeds`: that start with longer windows, and with those of ever."""
SHORT_SEEDS = SEEDS[:3]
"""For the latter, and for the two of :data:`FARTHER` that have the start of ever."""
OTHER_SEEDS = (20, 21, 22, 23, 24)
"""New ones for the contest itself."""

OPTIONS = ("window", "carry", "at_once", "longest", "fraction")
"""Of a run, in the order in which its calls name them."""

Call = tuple[str, float, int, str, dict[str, Any]]
"""Network, learning rate, seed, what the run is for, and options of `train`."""


def run_one(call: Call, share: float, folder: Path) -> dict[str, Any]:
    """Train and judge one network; whatever goes wrong is its result."""
    name, lr, seed, part, options = call
    told = {"name": name, "part": part, "lr": lr, "seed": seed, **options, "share": share}
    kept = name == "LSTM" and (part == "longer" or (part == "result" and seed == SEEDS[0]))
    keep = folder / weights_of(part, options, seed) if kept else None
    try:
        seconds = seconds_of(part) * share
        found = train(name, lr, seed, seconds, part=part, keep=keep, **options)
        if part == "longer":
            found["cells"] = cells.tested(load_writer(keep), seed)
            if seed != SEEDS[0] or options not in FARTHER:
                keep.unlink()  # only those of the first seed stay beside the record
        return told | _where() | found
    except Exception as error:  # the other runs go on
        return told | {"error": f"{type(error).__name__}: {error}"[:200]}


def weights_of(part: str, options: dict[str, Any], seed: int = SEEDS[0]) -> str:
    """Return the name of the file that keeps the weights of a run; the first seed is not named."""
    about = (part, *options.values(), *([seed] if seed != SEEDS[0] else []))
    return f"writing-{'-'.join(map(str, about))}.npz"


def seconds_of(part: str) -> float:
    """Return the processor time of a run."""
    return SECONDS * {"choice": CHOICE_SHARE, "longer": LONGER}.get(part, 1)


def _begin_alone() -> None:
    """Begin a process of one thread; where processors are shared by session, it has a share."""
    _begin()
    if hasattr(os, "setsid"):
        os.setsid()


def _timed(
    call: Call, share: float, until: float, folder: Path
) -> tuple[dict[str, Any], float] | None:
    start = perf_counter()
    if time() + seconds_of(call[3]) * share > until:
        return None  # it could not end in time
    return run_one(call, share, folder), perf_counter() - start


def chosen_rate(runs: list[dict[str, Any]]) -> float:
    """Return the rate with the fewest bits on the validation part, over all choice seeds."""
    bits: dict[float, list[float]] = {}
    for run in runs:
        bits.setdefault(run["lr"], []).append(run.get("bits", {}).get("validation", np.inf))
    return min(bits, key=lambda lr: float(np.mean(bits[lr])))


def rates_to_try(runs: list[dict[str, Any]]) -> list[float]:
    """Return the rates that a network has still to try, after these runs."""
    if not runs:
        return list(FIRST_RATES)
    place = LADDER.index(chosen_rate(runs))
    tried = {run["lr"] for run in runs}
    return [lr for lr in LADDER[max(place - 1, 0) : place + 2] if lr not in tried]


def calls_after(rates: dict[str, float]) -> list[Call]:
    """Return all runs with the chosen rates, what matters most first."""
    both = [(name, rates[name]) for name in NAMES]
    less = [("curve", {"fraction": f}) for f in FRACTIONS[:-1]]
    windows = [("window", {"window": steps, "carry": carry}) for steps, carry in WINDOWS]
    return [
        *((*one, seed, "result", {}) for seed in SEEDS for one in both),
        *((*both[0], SEEDS[0], "longer", options) for options in FARTHER),
        *((*both[0], seed, *rest) for seed in FEWER for rest in (*windows, *less)),
    ]


def writing(
    journal: Journal, processes: int = 1, share: float = 1.0, until: float = np.inf
) -> dict[str, Any]:
    """Run all of it; see :func:`lstm_book.experiments.contest.tracking`.

    Raises
    ------
    TimeoutError
        If it was too early for some runs; the journal holds the others.
    """
    counted = [journal.once(f"counted, {f}", lambda f=f: count(f)) for f in FRACTIONS]
    choices: dict[str, list[dict[str, Any]]] = {name: [] for name in NAMES}
    while calls := [
        (name, lr, seed, "choice", {})
        for name in NAMES
        for lr in rates_to_try(choices[name])
        for seed in CHOICE_SEEDS
    ]:
        for call, run in zip(calls, _all_of(journal, calls, processes, share, until), strict=True):
            choices[call[0]].append(run)
    rates = {name: chosen_rate(runs) for name, runs in choices.items()}
    results = _all_of(journal, calls_after(rates), processes, share, until)
    return {
        "validation": VALIDATION,
        "test": TEST,
        "warm_up": WARM_UP,
        "units": UNITS,
        "at_once": AT_ONCE,
        "window": WINDOW,
        "processor_seconds": SECONDS,
        "choice_share": CHOICE_SHARE,
        "longer": LONGER,
        "processes": processes,
        "first_rates": list(FIRST_RATES),
        "choice_seeds": list(CHOICE_SEEDS),
        "seeds": list(SEEDS),
        "orders": list(ORDERS),
        "ppm_orders": list(PPM_ORDERS),
        "counted": counted,
        "scores": _scores(journal),
        "runs": [run for runs in choices.values() for run in runs] + results,
    }


def more_seeds(
    journal: Journal, processes: int = 1, share: float = 1.0, until: float = np.inf
) -> dict[str, Any]:
    """Give more seeds to what :func:`writing` left to few, with the rates that it chose.

    The start that remembers, with long and with short windows, and the start of ever; less text,
    for both networks; other windows; and five new seeds for the contest itself. Ended early, it
    records what is done; called again, it goes on from its record.
    """
    before, again = load_record("writing"), {"runs": [], "seconds": 0.0}
    if (FOLDER / "more_seeds.json").exists():
        again = load_record("more_seeds")
    both = [(name, rates_of(before, name)[1]) for name in NAMES]
    done = {_key_of(run) for run in before["runs"] + again["runs"]}
    less = [{"fraction": f} for f in FRACTIONS[:-1]]
    windows = [{"window": steps, "carry": carry} for steps, carry in WINDOWS]
    calls: list[Call] = [
        *((*both[0], seed, "longer", LONG_STARTS[0]) for seed in SEEDS),
        *((*one, seed, "curve", f) for seed in SEEDS for f in less for one in both),
        *((*both[0], seed, "longer", LONG_STARTS[1]) for seed in SHORT_SEEDS),
        *((*one, seed, "fresh", {}) for seed in OTHER_SEEDS for one in both),
        *((*both[0], seed, "longer", each) for seed in SHORT_SEEDS for each in FARTHER[:2]),
        *((*both[0], seed, "window", each) for seed in SEEDS for each in windows),
    ]
    wanted = [call for call in calls if _key(call) not in done]
    with contextlib.suppress(TimeoutError):  # the record says what is missing
        _all_of(journal, wanted, processes, share, until)
    new = {key: journal.results.get(key) for key in map(_key, wanted)}
    return {
        "processor_seconds": SECONDS,
        "longer": LONGER,
        "seconds": round(again["seconds"] + journal.seconds, 1),
        "missing": [key for key, run in new.items() if run is None],
        "runs": again["runs"] + [run for run in new.values() if run is not None],
    }


def _scores(journal: Journal) -> dict[str, dict[str, float]]:
    """Return the best score of any cell of the networks whose weights were kept."""
    files = [weights_of("result", {}), *(weights_of("longer", options) for options in FARTHER)]
    paths = [journal.path.parent / name for name in files]
    return {p.name: rounded(cells.best_scores(load_writer(p))) for p in paths if p.exists()}


def _all_of(
    journal: Journal, calls: list[Call], processes: int, share: float, until: float
) -> list[dict[str, Any]]:
    """Return the results of runs, those from the journal included."""
    folder = journal.path.parent
    missing = [call for call in calls if _key(call) not in journal.results]
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = "1"  # of the processes that are started from here on
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if missing:
        with ProcessPoolExecutor(processes, get_context("spawn"), _begin_alone) as pool:
            begun = {pool.submit(_timed, call, share, until, folder): call for call in missing}
            for done in as_completed(begun):
                if done.result() is not None:
                    journal.keep(_key(begun[done]), *done.result())
                    _log(folder, done.result()[0])
    left = [call for call in calls if _key(call) not in journal.results]
    if left:
        raise TimeoutError(f"{len(left)} runs are missing; {journal.path} goes on")
    return [journal.results[_key(call)] for call in calls]


def _log(folder: Path, run: dict[str, Any]) -> None:
    """Add a look at the test part to the log of trials, as the run ends."""
    if run["part"] != "choice" and "bits" in run:
        about = {"experiment": "writing", "model": run["name"], "seed": run["seed"]}
        changed = [f"{name}={run[name]}" for name in ("lr", "share", *OPTIONS) if name in run]
        found = {"changed": changed, "part": "test", "bits": run["bits"]["test"]}
        whole = {"for": run["part"], **found, "commit": run["commit"]}
        trials.add(folder.parent if folder == FOLDER else folder, about | rounded(whole))


def _key_of(run: dict[str, Any]) -> str:
    """Return the key of the call that made a run."""
    options = {name: run[name] for name in OPTIONS if name in run}
    return _key((run["name"], run["lr"], run["seed"], run["part"], options))


def _key(call: Call) -> str:
    name, lr, seed, part, options = call
    return ", ".join(map(str, (name, lr, seed, part, *options.values())))
