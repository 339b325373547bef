"""``python -m benchmarks``: measure, and write JSON, a table and a plot."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks import measure, report
from benchmarks.engines import ENGINES
from benchmarks.shapes import QUICK, SHAPES

RESULTS = Path(__file__).parent / "results"
PAIR = ("ours", "ours, NumPy", "nn.LSTM", "nn.LSTM packed", "products")
IN_ONE_WAY = ("nn.LSTM packed", "products")
"""A packed batch takes seconds; what is left to gain is asked once. As the slower programs."""
REMEMBERED = ("imdb64", "imdb64-ragged")
PEERS_AT = ("mnist", "imdb32", "scalar", "single", "big")
"""Shapes at which the slower programs run: with all of them a run would take half an hour."""


def main() -> None:
    """Parse the command line, measure, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="four shapes, two engines, a minute")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, help="only these")
    parser.add_argument("--rounds", type=int, help="interleaved rounds (5; quick: 3)")
    parser.add_argument("--regimes", nargs="+", choices=measure.REGIMES, help="only these")
    parser.add_argument("--threads", nargs="+", type=int, help="only these (1 2; quick: 1)")
    parser.add_argument("--no-peers", action="store_true", help="nothing but ours and nn.LSTM")
    parser.add_argument("--output", type=Path, help="where to write, without suffix")
    options = parser.parse_args()

    rounds = options.rounds or (3 if options.quick else 5)
    shapes = options.shapes or (QUICK if options.quick else list(SHAPES))
    installed = [name for name, engine in ENGINES.items() if engine.installed]
    pair = [name for name in PAIR if name in installed]
    peers = [name for name in installed if name not in PAIR]
    run: dict = {"machine": measure.machine(), "rounds": rounds, "about": {}, "times": []}
    for threads in options.threads or ((1,) if options.quick else (1, 2)):
        for regime in options.regimes or measure.REGIMES:
            if regime == "pinned" and threads > 1 and not options.regimes:
                continue  # one way to be slower at a time
            main_way = (regime, threads) == ("native", 1)
            engines = [name for name in pair if main_way or name not in IN_ONE_WAY]
            times = rounds if threads == 1 else min(rounds, 3)  # with threads it has to pause
            measured = [(engines, shapes, times)]
            if main_way and not options.quick and not options.no_peers:
                measured.append((peers, [name for name in shapes if name in PEERS_AT], 2))
            for engines, names, times in measured:
                records, about = measure.times(engines, names, regime, threads, times)
                run["times"] += records
                run["about"].setdefault(regime, {}).update(about)
    remembered = [name for name in REMEMBERED if name in shapes]
    layers = [name for name in pair if name != "products"]
    run["memory"] = measure.memory(layers, remembered)

    output = options.output or RESULTS / ("quick" if options.quick else "full")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.with_suffix(".json").write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    text = report.markdown(run)
    output.with_suffix(".md").write_text(text, encoding="utf-8")
    report.plot(run, output.with_suffix(".svg"))
    print(f"\n{text}\nwritten: {output}.json, .md, .svg")


if __name__ == "__main__":
    main()
