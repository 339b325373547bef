"""``python -m lstm_book.experiments NAME``: run an experiment, and record it.

Started again after it was broken off, it goes on where it was.
"""

from __future__ import annotations

import argparse

from lstm_book.experiments.record import FOLDER, Journal, save_record
from lstm_book.experiments.recorded import EXPERIMENTS

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m lstm_book.experiments", description=__doc__)
    parser.add_argument("name", choices=sorted(EXPERIMENTS), help="which experiment")
    name = parser.parse_args().name
    journal = Journal(FOLDER / f"{name}.partial")
    content = EXPERIMENTS[name](journal.once)
    print(save_record(name, content, journal.seconds))
    journal.close()
