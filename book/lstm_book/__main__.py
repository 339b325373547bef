"""The command line of the course: ``python -m lstm_book`` train, predict, results, export."""

from __future__ import annotations

import argparse
import codecs
import signal
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Ctrl-C ends the program at once, but where a training takes it: as an exception within the
    # import of a library it could be printed, or be lost.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from lstm.console import exit_status, tell, wrapped

MOST_SEEDS = 10_000
LARGEST_TEXT = 10_000_000  # bytes: a device, for one, has no end


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""

    def run() -> None:
        options = parser().parse_args(arguments)
        options.is_process = arguments is None
        options.run(options)

    return exit_status("python -m lstm_book", run)


def parser() -> argparse.ArgumentParser:
    """Return what reads the arguments: train, predict, results and export."""
    whole = argparse.ArgumentParser(
        prog="python -m lstm_book", description="Train and record what the book speaks of."
    )
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands)
    results = commands.add_parser("results", help="print the table of all recorded runs")
    results.add_argument("--out", type=Path, help="folder of the records; default: results")
    results.add_argument("--commands", action="store_true", help="print what makes each of them")
    results.set_defaults(run=_results)
    predict = commands.add_parser("predict", help="judge texts with a classifier that was saved")
    predict.add_argument("model", type=Path, help="file that train --save wrote")
    predict.add_argument("texts", nargs="*", metavar="TEXT", help="default: lines of the input")
    files = "each one text; a folder stands for all .txt files in it, at any depth"
    predict.add_argument("--files", nargs="+", type=Path, default=[], metavar="FILE", help=files)
    predict.set_defaults(run=_predict)
    export = commands.add_parser("export", help="write the data of the book's interactive figures")
    export.add_argument("widgets", nargs="*", metavar="WIDGET", help="which; default: all")
    export.add_argument("--out", type=Path, help="default: book/assets/widgets")
    export.add_argument("--train", action="store_true", help="train their networks again")
    export.set_defaults(run=_export)
    return whole


# --- train --------------------------------------------------------------------------------------


def _add_train(commands: argparse._SubParsersAction) -> None:
    from lstm_book.recipes import RECIPES, processes

    train = commands.add_parser(
        "train",
        help="train a recipe with several seeds, and record it",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="recipes, the default model first, and what --set takes:\n\n"
        + "\n\n".join(map(_about, RECIPES.values())),
    )
    add = train.add_argument
    add("recipe", choices=RECIPES, metavar="RECIPE", help="what to train, see below")
    add("--model", help="a network or baseline, 'all' for every one; default: the recipe's first")
    add(
        "--scale",
        choices=("quick", "full"),
        default="quick",
        help="minutes on the bundled data (default), or all of the data in $LSTM_DATA",
    )
    how_many = "how many (5), or which (10-14 or 3,7); default: 1"
    add("--seeds", type=seeds, default=[0], help=how_many)
    engine = "torch" if processes.COUNT > 1 else "numpy"
    help_engine = "default: numpy; torch under torchrun"
    add("--engine", choices=("numpy", "torch"), default=engine, help=help_engine)
    add("--device", default="cpu", help="for torch: cpu, cuda, ...; default: cpu")
    add("--out", type=Path, default=Path("results"), help="default: results")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting")
    existing = train.add_mutually_exclusive_group()
    existing.add_argument("--resume", action="store_true", help="go on where it stopped")
    existing.add_argument("--overwrite", action="store_true", help="begin the record again")
    add("--quiet", action="store_true", help="no progress bars")
    alone = "measure on the validation part alone; a line in OUT/trials.jsonl instead of a record"
    add("--trial", action="store_true", help=alone)
    add("--save", type=Path, metavar="MODEL", help="keep the first seed's classifier of texts")
    train.set_defaults(run=_train)


def _about(recipe) -> str:
    shown = dict.fromkeys((recipe.model_names[0], next(iter(recipe.models))))  # one of each kind
    taken = {model: recipe.settings(model, "quick").items() for model in shown}
    lines = (
        f"{recipe.name}: article {recipe.article}, {recipe.about}",
        f"  models: {', '.join(recipe.model_names)}",
        *(f"  {each} --set: {' '.join(f'{n}={v}' for n, v in taken[each])}" for each in shown),
    )
    return "\n".join(map(wrapped, lines))


def seeds(text: str) -> list[int]:
    """Read ``5`` as 0 to 4, ``10-14`` as 10 to 14, ``3,7`` as these two."""
    try:
        first, dash, last = text.partition("-")
        if "," in text:
            numbers = list(dict.fromkeys(int(part) for part in text.split(",")))
        else:
            numbers = range(int(first), int(last) + 1) if dash else range(int(first))
        if 0 < len(numbers) <= MOST_SEEDS and min(numbers) >= 0:
            return list(numbers)
    except (ValueError, OverflowError):
        pass
    raise argparse.ArgumentTypeError(
        f"must be a number (5), a range (10-14) or a list (3,7), got {text!r}"
    )


def jobs(options: argparse.Namespace) -> list:
    """Return what ``train`` is asked to run."""
    from lstm_book.recipes import RECIPES
    from lstm_book.recipes.runner import Job

    recipe = RECIPES[options.recipe]
    names = recipe.model_names
    models = names if options.model == "all" else [options.model or names[0]]
    of_job = ("scale", "seeds", "engine", "device", "out", "resume", "overwrite", "trial", "save")
    given = {name: getattr(options, name) for name in of_job}
    given |= {"progress": not options.quiet}
    known = {model: recipe.settings(model, options.scale) for model in models}
    everywhere = set().union(*known.values())

    def overrides(model: str) -> list[str]:
        """Return what a model has of what is set; what none has, so that it is refused."""
        names = everywhere - set(known[model])
        return [each for each in options.set if each.partition("=")[0] not in names]

    return [Job(recipe, model, overrides=overrides(model), **given) for model in models]


def _train(options: argparse.Namespace) -> None:
    from lstm_book.recipes import processes
    from lstm_book.recipes.runner import run

    try:
        wanted = jobs(options)
    except ValueError:
        processes.leave_it_to_the_first()
        raise
    try:
        run(*wanted, then_exit=options.is_process)
    except KeyboardInterrupt:
        paths = (job.checkpoint(seed) for job in wanted for seed in job.seeds)
        what = "Finished seeds are recorded; no training was under way to be saved"
        for saved in filter(Path.exists, paths):
            what = f"The training is saved in {saved}: the same command with --resume goes on"
        if processes.IS_FIRST:
            tell(f"Stopped. {what}.")
        raise


# --- predict ------------------------------------------------------------------------------------


def _predict(options: argparse.Namespace) -> None:
    """Print the probability that each text is positive, the verdict, and which text it is.

    No verdict where less than half of the words are known: that is no review in its language.
    """
    from lstm.equations import sigmoid
    from lstm_book.recipes import keep

    classifier = keep.load(options.model)
    names, texts = _texts(options)
    known = classifier.known(texts)
    for name, p, share in zip(names, sigmoid(classifier.logits(texts)), known, strict=True):
        verdict = "unknown" if share < 0.5 else "positive" if p > 0.5 else "negative"
        print(f"{p:.3f}\t{verdict}\t{name}")


def _texts(options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Return what to call each text, and the texts."""
    if options.texts and options.files:
        raise ValueError("give texts or --files, not both")
    if options.files:
        paths = []
        for path in options.files:
            inside = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
            if not inside:
                raise ValueError(f"there is no .txt file in {path}")
            paths += inside
        return [*map(str, paths)], [_text(path) for path in paths]
    texts = options.texts or [line.strip() for line in sys.stdin if line.strip()]
    if not texts:
        raise ValueError("there is no text: give some, or --files, or lines of the input")
    return [textwrap.shorten(text, 50, placeholder=" ...") for text in texts], texts


def _text(path: Path) -> str:
    """Read a text of UTF-8, or of UTF-16 where its first bytes say so.

    Bytes that are no UTF-8 are read as Windows-1252.
    """
    with path.open("rb") as file:
        content = file.read(LARGEST_TEXT + 1)
    if len(content) > LARGEST_TEXT:
        raise ValueError(f"{path} must be a text of at most {LARGEST_TEXT} bytes, got more")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    return content.decode("utf-8-sig", errors=WINDOWS)


def _as_windows(error: UnicodeDecodeError) -> tuple[str, int]:
    return error.object[error.start : error.end].decode("cp1252", errors="replace"), error.end


WINDOWS = "lstm_book.windows-1252"
codecs.register_error(WINDOWS, _as_windows)


# --- results, export ------------------------------------------------------------------------------


def _results(options: argparse.Namespace) -> None:
    from lstm_book.checkout import ROOT
    from lstm_book.recipes import records

    here = Path("results")
    folder = options.out or (here if here.is_dir() else ROOT / "results")
    found = records.read_all(folder)
    if not found:
        raise RuntimeError(
            f"there is no record in {folder}: make one with python -m lstm_book train RECIPE, "
            "or name another folder with --out"
        )
    if options.commands:
        print("\n".join(records.command(record) for record in found.values()))
    else:
        print(records.table(found.values()), end="")


def _export(options: argparse.Namespace) -> None:
    from lstm_book.figures.widgets import FOLDER, export

    for path in export(options.widgets, options.out or FOLDER, train=options.train):
        print(path.name)


if __name__ == "__main__":
    sys.exit(main())
