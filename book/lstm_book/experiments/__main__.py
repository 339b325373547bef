"""``python -m lstm_book.experiments NAME``: run an experiment, and record it."""

from __future__ import annotations

import argparse
from time import perf_counter

from lstm_book.experiments.record import save_record
from lstm_book.experiments.recorded import EXPERIMENTS

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m lstm_book.experiments", description=__doc__)
    parser.add_argument("name", choices=sorted(EXPERIMENTS), help="which experiment")
    name = parser.parse_args().name
    start = perf_counter()
    content = EXPERIMENTS[name]()
    print(save_record(name, content, perf_counter() - start))
