"""The command line: ``python -m lstm check``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from lstm.selfcheck import checks


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m lstm", description="A small, correct LSTM.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("check", help="check gradients and the agreement with PyTorch")
    parser.parse_args(arguments)
    failed = 0
    for name, error, limit in checks():
        failed += error > limit
        print(f"{'ok' if error <= limit else 'FAILED':6} {name}: {error:.1e} (limit {limit:.0e})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
