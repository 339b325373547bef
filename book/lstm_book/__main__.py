"""The command line of the course: ``python -m lstm_book`` and one of train, results, export."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m lstm_book", description="Train and record what the book speaks of."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_train(commands)
    results = commands.add_parser("results", help="print the table of all recorded runs")
    results.add_argument("--out", type=Path, default=Path("results"), help="folder of the records")
    results.set_defaults(run=_results)
    export = commands.add_parser("export", help="write the data of the book's interactive figures")
    export.add_argument("widgets", nargs="*", metavar="WIDGET", help="which; default: all")
    export.add_argument("--out", type=Path, help="default: book/assets/widgets")
    export.add_argument("--train", action="store_true", help="train their networks again")
    export.set_defaults(run=_export)
    options = parser.parse_args(arguments)
    try:
        return options.run(options) or 0
    except KeyboardInterrupt:
        return 130
    except (ValueError, RuntimeError, ImportError) as error:
        print(f"{parser.prog} {options.command}: {error}", file=sys.stderr)
        return 1


# --- train --------------------------------------------------------------------------------------


def _add_train(commands: argparse._SubParsersAction) -> None:
    from lstm_book.recipes import RECIPES
    from lstm_book.recipes.runner import has_siblings

    lines = [
        f"  {r.name:16} {r.article}  {r.about}\n{'':22}models: {', '.join(r.model_names)}"
        for r in RECIPES.values()
    ]
    train = commands.add_parser(
        "train",
        help="train a recipe with several seeds, and record it",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="recipes (name, article, what):\n" + "\n".join(lines),
    )
    train.add_argument("recipe", choices=RECIPES, metavar="RECIPE", help="what to train, see below")
    train.add_argument("--model", help="a network or baseline of the recipe; 'all' for every one")
    train.add_argument(
        "--scale",
        choices=("quick", "full"),
        default="quick",
        help="minutes on the bundled data (default), or all of the data in $LSTM_DATA",
    )
    train.add_argument(
        "--seeds", type=seeds, default=[0], help="how many (5), or which (10-14 or 3,7); default: 1"
    )
    train.add_argument(
        "--engine",
        choices=("numpy", "torch"),
        default="torch" if has_siblings() else "numpy",
        help="default: numpy; torch under torchrun",
    )
    train.add_argument("--device", default="cpu", help="for torch: cpu, cuda, ...; default: cpu")
    train.add_argument("--out", type=Path, default=Path("results"), help="default: results")
    train.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting"
    )
    existing = train.add_mutually_exclusive_group()
    existing.add_argument("--resume", action="store_true", help="go on where it stopped")
    existing.add_argument("--overwrite", action="store_true", help="begin the record again")
    train.add_argument("--quiet", action="store_true", help="no progress bars")
    train.set_defaults(run=_train)


def seeds(text: str) -> list[int]:
    """Read ``5`` as 0 to 4, ``10-14`` as 10 to 14, ``3,7`` as these two."""
    try:
        first, dash, last = text.partition("-")
        if "," in text:
            numbers = list(dict.fromkeys(int(part) for part in text.split(",")))
        else:
            numbers = list(range(int(first), int(last) + 1) if dash else range(int(first)))
        if numbers and min(numbers) >= 0:
            return numbers
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(
        f"must be a number (5), a range (10-14) or a list (3,7), got {text!r}"
    )


def _train(options: argparse.Namespace) -> int:
    from lstm_book.recipes import RECIPES
    from lstm_book.recipes.runner import Job, run

    recipe = RECIPES[options.recipe]
    # A batch system asks with SIGTERM: it shall be answered like Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    default = next(iter(recipe.models))
    models = recipe.model_names if options.model == "all" else [options.model or default]
    for model in models:
        job = Job(
            recipe,
            model,
            options.scale,
            options.seeds,
            options.engine,
            options.device,
            options.out,
            options.set,
            options.resume,
            options.overwrite,
            not options.quiet,
        )
        try:
            run(job)
        except KeyboardInterrupt:
            saved = [path for seed in job.seeds if (path := job.checkpoint(seed)).exists()]
            where = (
                f"saved in {saved[0]}: the same command with --resume goes on"
                if saved
                else "not saved"
            )
            print(f"\nStopped. The training is {where}.", file=sys.stderr)
            raise
    return 0


# --- results, export ------------------------------------------------------------------------------


def _results(options: argparse.Namespace) -> int:
    from lstm_book.recipes import records

    found = records.read_all(options.out)
    if not found:
        raise RuntimeError(
            f"there is no record in {options.out}/: make one with python -m lstm_book train RECIPE"
        )
    print(records.table(found.values()))
    return 0


def _export(options: argparse.Namespace) -> int:
    from lstm_book.figures.widgets import FOLDER, export

    for path in export(options.widgets, options.out or FOLDER, train=options.train):
        print(path.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
