"""What the records of trainings say: counts of seeds, the best of a family, and comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lstm_book.experiments.record import load_record, runs_of
from lstm_book.experiments.tuning import score_of_learning
from lstm_book.statistics import Comparison, mcnemar, wilson

LOST = 0.90
"""A network has lost what it had learnt when its last evaluation is below that."""
Run = dict[str, Any]


def learnt(run: Run) -> list[bool]:
    """Return for each seed whether an evaluation reached 99 % at any time."""
    return [update is not None for update in run["learnt_at"]]


def lost(run: Run) -> list[bool]:
    """Return for each seed whether it had learnt the task and ended below 90 %."""
    pairs = zip(learnt(run), run["accuracy"], strict=True)
    return [reached and accuracy < LOST for reached, accuracy in pairs]


def count(run: Run) -> str:
    """Return the seeds that learnt, how many of them lost it, and Wilson's interval in percent."""
    reached, gone = sum(learnt(run)), sum(lost(run))
    low, high = wilson(reached, len(run["learnt_at"]))
    text = f"{reached}{f', {gone} lost' * (gone > 0)} [{100 * low:.0f}, {100 * high:.0f}]"
    return text.replace(" ", "\u00a0")  # a table does not break it


def family(name: str) -> str:
    """Return LSTM, RNN, GRU or leaky: the first word of a contestant's name."""
    return name.replace(",", " ").split()[0]


def best_of(record: dict[str, Any], wanted: str, steps: int) -> Run:
    """Return the run of a family's best start at one length.

    It is chosen as the rates are: by the seeds for choosing alone, at the rate chosen for each.
    """
    runs = [r for r in record["runs"] if family(r["name"]) == wanted and r["steps"] == steps]
    return max(runs, key=lambda run: score_of_learning(run["tried"][str(run["lr"])]))


def meetings() -> dict[str, Any]:
    """Return the record of the duel, with the winner of the rematch and Keras's starts in it.

    :func:`best_of` takes the winner at its length, since it had the most seeds for choosing;
    Keras's starts are no family's.
    """
    record, again, keras = map(load_record, ("duel", "rematch", "keras"))
    (steps,) = {run["steps"] for run in again["runs"]}
    won = best_of(again, family(again["runs"][0]["name"]), steps)
    others = [run for run in record["runs"] if (run["name"], run["steps"]) != (won["name"], steps)]
    parameters = record["parameters"] | keras["parameters"]
    return record | {"runs": [*others, won, *keras["runs"]], "parameters": parameters}


def run_of(record: dict[str, Any], name: str, steps: int) -> Run:
    """Return the run of a contestant at one length; a family's name stands for its best start."""
    found = runs_of(record, name, steps=steps)
    return found[0] if found else best_of(record, name, steps)


def compare(one: Run, other: Run) -> Comparison:
    """Compare two runs seed by seed: what one learnt and the other did not."""
    return mcnemar(np.array(learnt(one)), np.array(learnt(other)))


def comparisons(
    record: dict[str, Any], one: str, other: str, lengths: Sequence[int]
) -> dict[int, Comparison]:
    """Compare two contestants, or families, at each length."""
    return {
        steps: compare(*(run_of(record, name, steps) for name in (one, other))) for steps in lengths
    }


def at_an_edge(run: Run) -> bool:
    """Return whether a chosen rate that succeeded is the lowest or highest that was tried."""
    tried = [float(rate) for rate in run["tried"]]
    succeeded = any(at is not None for at in run["tried"][str(run["lr"])]["learnt_at"])
    return succeeded and run["lr"] in (min(tried), max(tried))
