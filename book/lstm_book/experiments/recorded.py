"""The recorded experiments: what is run, with which settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from lstm_book.experiments.contest import longer, tracking
from lstm_book.experiments.digits import data
from lstm_book.experiments.memory import EVALUATED, EVERY, Cell, train_to_remember
from lstm_book.experiments.record import load_record
from lstm_book.experiments.tuning import RATES, choose, score_of_learning, tune
from lstm_book.experiments.writers import more_seeds, writing

CHOICE_SEEDS = tuple(range(100, 105))
"""On these the learning rate is chosen."""
SEEDS = tuple(range(12))
"""On these, with that rate, everything is reported."""
DUEL_CHOICE_SEEDS = tuple(range(200, 210))
DUEL_SEEDS = tuple(range(1000, 1040))
"""Others, and more of them: twelve leave open which of two starts learns more often."""
UPDATES = 600
STEPS = (50, 100)
BEYOND = (2, 4)

BIASES = {"0": 0.0, "1": 1.0, "3": 3.0, "5": 5.0, "chrono": "chrono"}
WIDTHS = {"LSTM": 16, "GRU": 19, "leaky": 33}
"""Equal parameters: with these units each kind comes closest to the 1,216 of the LSTM."""


def _gated(family: str, *starts: str) -> dict[str, Cell]:
    return {
        f"{family}, {recurrent}, {name}": Cell(family.lower(), WIDTHS[family], recurrent, bias)
        for recurrent, (name, bias) in product(starts, BIASES.items())
    }


CONTESTANTS = (
    _gated("LSTM", "uniform", "orthogonal")
    | {
        f"RNN {size}, {'ReLU, ' * (activation == 'relu')}{recurrent}": Cell(
            "rnn", size, recurrent, activation=activation
        )
        for size, (activation, recurrent) in product(
            (16, 33),
            (
                ("tanh", "uniform"),
                ("tanh", "orthogonal"),
                ("tanh", "identity"),
                ("relu", "orthogonal"),
                ("relu", "identity"),
            ),
        )
    }
    | _gated("GRU", "uniform", "orthogonal")
    | _gated("leaky", "orthogonal")
)
"""Ten starts for each family, five for the leaky one; a plain network has equal units (16) or
parameters (33)."""

LONG = (
    "LSTM, uniform, chrono",
    "RNN 33, orthogonal",
    "GRU, uniform, 0",
    "leaky, orthogonal, 3",
    "LSTM, uniform, 0",
    "LSTM, orthogonal, 1",
    "RNN 16, uniform",
    "RNN 33, uniform",
    "LSTM, uniform, 3",
    "LSTM, uniform, 5",
    "RNN 16, ReLU, identity",
    "RNN 33, ReLU, identity",
)
"""Contestants at T = 200: PyTorch's starts, orthogonal ones, and those that learn most before."""

DUEL = (
    "LSTM, uniform, 0",
    "RNN 33, uniform",
    "LSTM, orthogonal, 1",
    "RNN 33, orthogonal",
    "LSTM, uniform, chrono",
    "RNN 33, ReLU, identity",
)
"""What PyTorch starts from, orthogonal blocks, and the best of LSTM and plain network at T = 100
or 200."""

REMATCH = dict.fromkeys(("RNN 16, orthogonal", "RNN 33, orthogonal"), RATES[4:8])
REMATCH |= dict.fromkeys(("RNN 16, ReLU, identity", "RNN 33, ReLU, identity"), RATES[:5])
"""Plain networks that all of the first five or ten seeds learn T = 50 with, and rates around."""
REMATCH_CHOICE_SEEDS = tuple(range(2000, 2040))

KERAS = {
    "Keras LSTM": Cell("lstm", 16, "keras", 1.0),
    "Keras RNN 33": Cell("rnn", 33, "keras"),
}
"""What Keras starts from; the orthogonal starts above are another for an LSTM, block by block."""
KERAS_RATES = RATES[2:13]
"""From 0.0001 to 10: what learns can do so on more than one hill."""
KERAS_CHOICE_SEEDS = REMATCH_CHOICE_SEEDS[:10]

Once = Callable[[str, Callable[[], Any]], Any]
"""``once(key, compute)`` returns what a computation gives, or gave when it was begun before."""

# The article's activation="relu" replaces both tanh of the cell.
OTHER_CELLS = {
    "tanh": Cell("lstm", 16, "orthogonal", 3.0),
    "ReLU for both tanh": Cell("lstm", 16, "orthogonal", 3.0, "relu", "relu"),
    "no output tanh": Cell("lstm", 16, "orthogonal", 3.0, output_activation="identity"),
}


def _learning(
    cell: Cell,
    steps: int,
    seeds: Sequence[int] = SEEDS,
    choice_seeds: Sequence[int] = CHOICE_SEEDS,
    **options: Any,
) -> dict[str, Any]:
    """Choose the rate on some seeds, and train others with it."""
    options = {"updates": UPDATES} | options

    rate, tried = tune(partial(_tried, cell, steps, choice_seeds, **options), score_of_learning)
    tried = {str(lr): result for lr, result in tried.items()}
    return {"lr": rate, "tried": tried} | _reported(cell, steps, seeds, rate, **options)


def _tried(
    cell: Cell, steps: int, seeds: Sequence[int], rate: float, **options: Any
) -> dict[str, Any]:
    """Train the seeds for choosing."""
    found = train_to_remember(cell, steps, seeds, lr=rate, until_learnt=True, **options)
    return {key: found[key] for key in ("learnt_at", "accuracy")}


def _reported(
    cell: Cell, steps: int, seeds: Sequence[int], rate: float, **options: Any
) -> dict[str, Any]:
    """Train the seeds that are reported, and log the medians along training."""
    found = train_to_remember(cell, steps, seeds, lr=rate, beyond=BEYOND, **options)
    for key in ("share", "keep", "keep_most", "step"):
        found[key] = np.median(found[key], axis=0).tolist()
    return found


def _record(
    once: Once,
    cells: dict[str, Cell],
    steps: Sequence[int],
    seeds: Sequence[int] = SEEDS,
    choice_seeds: Sequence[int] = CHOICE_SEEDS,
    **options: Sequence[Any],
) -> dict[str, Any]:
    """Train every cell for every number of steps and with every choice of options."""
    runs = []
    for name, T, *values in [
        (n, T, *v) for T in steps for n in cells for v in product(*options.values())
    ]:
        chosen = dict(zip(options, values, strict=True))
        key = ", ".join(map(str, (name, T, *values)))
        found = once(key, partial(_learning, cells[name], T, seeds, choice_seeds, **chosen))
        runs.append({"name": name, "steps": T, **chosen, **found})
    return {
        "seeds": list(seeds),
        "choice_seeds": list(choice_seeds),
        "updates": UPDATES,  # of every run that does not name its own
        "batch": 32,
        "evaluated": {"every": EVERY, "sequences": EVALUATED},
        "cells": {name: asdict(cell) for name, cell in cells.items()},
        "parameters": {name: cell.num_parameters for name, cell in cells.items()},
        "runs": runs,
    }


def remember(once: Once) -> dict[str, Any]:
    """Measure success against T, for the starts of each family.

    Two plain networks begin at T = 10. Those that start as libraries do, and those that learn most
    up to T = 100, go on to 200.
    """
    short = _record(once, _those("RNN 16, uniform", "RNN 16, orthogonal"), (10, 20))
    record = _record(once, CONTESTANTS, STEPS)
    long = _record(once, _those(*LONG), (200,))
    return record | {"runs": short["runs"] + record["runs"] + long["runs"]}


def duel(once: Once) -> dict[str, Any]:
    """Train LSTM and plain network from usual and from best starts with more seeds.

    At T = 200 each has the rate that :func:`remember` chose for it.
    """
    record = _record(once, _those(*DUEL), (50, 100), DUEL_SEEDS, DUEL_CHOICE_SEEDS)
    chosen = {r["name"]: r for r in load_record("remember")["runs"] if r["steps"] == 200}
    for name in DUEL:
        rate, cell = chosen[name]["lr"], CONTESTANTS[name]
        train = partial(_reported, cell, 200, DUEL_SEEDS, rate, updates=UPDATES)
        about = {"name": name, "steps": 200, "lr": rate, "tried": chosen[name]["tried"]}
        record["runs"].append(about | once(f"{name}, 200", train))
    return record


def rematch(once: Once) -> dict[str, Any]:
    """Choose the plain network's start at T = 50 anew, on as many seeds as are reported.

    Ten seeds do not tell starts apart that all of them learn with, and a search that ends where
    the rates on both sides are worse can miss a better one beyond them.
    """
    wanted = [(name, 50, rates) for name, rates in REMATCH.items()]
    return _from_all_rates(once, CONTESTANTS, wanted, REMATCH_CHOICE_SEEDS)


def keras(once: Once) -> dict[str, Any]:
    """Train LSTM and plain network from Keras's starts, at the best of a wide range of rates.

    A search that ends where the rates on both sides are worse ends on the first hill; near a rate
    of 1 there is another for some starts.
    """
    wanted = [(name, steps, KERAS_RATES) for steps in (200, 100, 50) for name in KERAS]
    return _from_all_rates(once, KERAS, wanted, KERAS_CHOICE_SEEDS)


def _from_all_rates(
    once: Once,
    cells: dict[str, Cell],
    wanted: Sequence[tuple[str, int, Sequence[float]]],
    choice_seeds: Sequence[int],
) -> dict[str, Any]:
    """Try all rates of each contestant and length, and report the best on the seeds of the duel."""
    runs = []
    for name, steps, rates in wanted:
        cell, key = cells[name], f"{name}, {steps}"
        tried = {
            rate: once(f"{key}, {rate}", partial(_tried, cell, steps, choice_seeds, rate))
            for rate in rates
        }
        rate = choose({rate: score_of_learning(result) for rate, result in tried.items()})
        found = once(f"{key}, reported", partial(_reported, cell, steps, DUEL_SEEDS, rate))
        tried = {str(lr): result for lr, result in tried.items()}
        runs.append({"name": name, "steps": steps, "lr": rate, "tried": tried} | found)
    names = dict.fromkeys(name for name, *_ in wanted)
    return {
        "seeds": list(DUEL_SEEDS),
        "choice_seeds": list(choice_seeds),
        "updates": UPDATES,
        "batch": 32,
        "cells": {name: asdict(cells[name]) for name in names},
        "parameters": {name: cells[name].num_parameters for name in names},
        "runs": runs,
    }


def activations(once: Once) -> dict[str, Any]:
    """Replace the tanh of the LSTM by ReLU, or leave out the one at the output."""
    return _record(once, OTHER_CELLS, (100,), max_norm=(1.0, None))


def clipping(once: Once) -> dict[str, Any]:
    """Train with and without norm clipping where gradients were seen to explode."""
    return _record(
        once,
        _those("RNN 33, orthogonal", "LSTM, orthogonal, 5", "LSTM, orthogonal, chrono"),
        (100,),
        max_norm=(1.0, None),
    )


def budget(once: Once) -> dict[str, Any]:
    """Give those that seldom learn at T = 50 five times as many updates."""
    names = "RNN 33, uniform", "LSTM, uniform, 0", "LSTM, uniform, 1"
    return _record(once, _those(*names), (50,), updates=(5 * UPDATES,))


def _those(*names: str) -> dict[str, Cell]:
    return {name: CONTESTANTS[name] for name in names}


RUNS = remember, duel, rematch, keras, activations, clipping, budget, data
EXPERIMENTS = {run.__name__: run for run in RUNS}
"""Name → what runs the experiment and returns its settings and results."""
PARALLEL = {"tracking": tracking, "longer": longer, "writing": writing, "more_seeds": more_seeds}
"""Those that run on several processes."""
