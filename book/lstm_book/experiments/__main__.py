"""``python -m lstm_book.experiments NAME``: run an experiment, and record it.

Started again after it was broken off, it goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import time

from lstm.console import exit_status
from lstm_book.experiments.record import FOLDER, Journal, save_record
from lstm_book.experiments.recorded import EXPERIMENTS, PARALLEL

PROGRAM = "python -m lstm_book.experiments"


def main() -> None:
    """Read the arguments, run, and write the record."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    add = parser.add_argument
    add("name", choices=sorted(EXPERIMENTS | PARALLEL), help="which experiment")
    add("--out", type=Path, default=FOLDER, help="folder of the record; default: %(default)s")
    many = parser.add_argument_group("of " + " and ".join(PARALLEL))
    many.add_argument("--processes", type=int, default=1, help="runs at a time; default: 1")
    many.add_argument("--within", type=float, default=float("inf"), help="seconds to end in")
    many.add_argument("--share", type=float, default=1.0, help="of each run's time, for a trial")
    options = parser.parse_args()
    name, until = options.name, time() + options.within
    journal = Journal(options.out / f"{name}.partial")
    if name in PARALLEL:
        content = PARALLEL[name](journal, options.processes, options.share, until)
    else:
        content = EXPERIMENTS[name](journal.once)
    print(save_record(name, content, journal.seconds, options.out))
    journal.close()


if __name__ == "__main__":
    sys.exit(exit_status(PROGRAM, main))
