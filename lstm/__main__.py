"""The command line: ``python -m lstm check`` and ``python -m lstm diagnose FILE[:NAME]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from lstm import checks, selfcheck
from lstm.console import exit_status
from lstm.diagnose.files import run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m lstm", description="A small, correct LSTM.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("check", help="check gradients and the agreement with PyTorch")
    own = commands.add_parser("diagnose", help="say whether the LSTM in a file is one")
    own.add_argument(
        "target", metavar="FILE[:NAME]", help="a Python file or notebook, and what in it"
    )
    own.add_argument("--gradients", metavar="NAME", help="its backward pass")
    own.add_argument("--json", action="store_true", help="print one line of JSON")
    own.add_argument("--seconds", type=float, default=60.0, help="time limit (default 60)")

    def program() -> int:
        options = parser.parse_args(arguments)
        return _diagnose(options) if options.command == "diagnose" else _check()

    return exit_status(parser.prog, program)


def _diagnose(options: argparse.Namespace) -> int:
    seconds = checks.number("--seconds", options.seconds, "(0, 1e6]")
    return run(options.target, gradients=options.gradients, as_json=options.json, seconds=seconds)


def _check() -> int:
    failed = 0
    for name, error, limit in selfcheck.checks():
        failed += error > limit
        print(f"{'ok' if error <= limit else 'FAILED':6} {name}: {error:.1e} (limit {limit:.0e})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
