"""``python -m benchmarks``: measure, and write JSON, a table and a plot."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks import measure, report
from benchmarks.engines import ENGINES
from benchmarks.shapes import QUICK, SHAPES

RESULTS = Path(__file__).parent / "results"
PAIR = ("ours", "ours, NumPy", "nn.LSTM", "nn.LSTM packed")
REMEMBERED = ("imdb64", "long", "imdb64-ragged")


def main() -> None:
    """Parse the command line, measure, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="four shapes, two engines, a minute")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, help="only these")
    parser.add_argument("--rounds", type=int, help="interleaved rounds (7; quick: 3)")
    parser.add_argument("--regimes", nargs="+", choices=measure.REGIMES, help="only these")
    parser.add_argument("--threads", nargs="+", type=int, help="only these (1 2; quick: 1)")
    parser.add_argument("--no-peers", action="store_true", help="nothing but ours and nn.LSTM")
    parser.add_argument("--output", type=Path, help="where to write, without suffix")
    options = parser.parse_args()

    rounds = options.rounds or (3 if options.quick else 7)
    shapes = options.shapes or (QUICK if options.quick else list(SHAPES))
    installed = [name for name, engine in ENGINES.items() if engine.installed]
    pair = [name for name in PAIR if name in installed]
    peers = [name for name in installed if name not in PAIR]
    run: dict = {"machine": measure.machine(), "rounds": rounds, "about": {}, "times": []}
    for threads in options.threads or ((1,) if options.quick else (1, 2)):
        for regime in options.regimes or measure.REGIMES:
            # Slower engines, less often: they are not what is compared to a tenth.
            for engines, times in ((pair, rounds), (peers, 2)):
                left_out = options.quick or options.no_peers or regime != "native"
                if engines is peers and left_out:
                    continue
                records, about = measure.times(engines, shapes, regime, threads, times)
                run["times"] += records
                run["about"].setdefault(regime, {}).update(about)
    remembered = [name for name in REMEMBERED if name in shapes]
    run["memory"] = measure.memory(pair, remembered)

    output = options.output or RESULTS / ("quick" if options.quick else "full")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.with_suffix(".json").write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    text = report.markdown(run)
    output.with_suffix(".md").write_text(text, encoding="utf-8")
    report.plot(run, output.with_suffix(".svg"))
    print(f"\n{text}\nwritten: {output}.json, .md, .svg")


if __name__ == "__main__":
    main()
