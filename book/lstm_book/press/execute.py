"""Run notebooks from a fresh kernel and store what they print: ``make outputs NB=book/NAME.ipynb``.

A notebook is written back only when every cell ran: an error that is not tagged
``raises-exception``, or a run longer than a minute, leaves the file as it was.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import zmq
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from traitlets.config import Config

from lstm_book.checkout import ROOT

LIMIT_SECONDS = 60
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}


def through_files(folder: str) -> dict[str, str]:
    """Return how to talk to a kernel without a network, not even loopback, where the system can."""
    return {"transport": "ipc", "ip": f"{folder}/kernel"} if zmq.has("ipc") else {}


def run(notebook: NotebookNode, folder: Path) -> float:
    """Execute every cell in place, in ``folder``; return the seconds that it took."""
    notebook.metadata = NotebookNode(kernelspec=KERNELSPEC)
    with tempfile.TemporaryDirectory() as sockets:
        client = NotebookClient(
            notebook,
            timeout=LIMIT_SECONDS,
            kernel_name=KERNELSPEC["name"],
            resources={"metadata": {"path": str(folder)}},
            record_timing=False,
            coalesce_streams=True,  # a progress bar is stored as its last line
            config=Config(KernelManager=through_files(sockets)),
        )
        start = time.perf_counter()
        client.execute()
        seconds = time.perf_counter() - start
    if seconds > LIMIT_SECONDS:
        raise TimeoutError(f"took {seconds:.0f} s; a chapter runs in less than {LIMIT_SECONDS} s")
    return seconds


def tidy(notebook: NotebookNode) -> None:
    """Remove what differs from run to run or from machine to machine."""
    notebook.metadata = NotebookNode(kernelspec=KERNELSPEC, language_info={"name": "python"})
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = NotebookNode(tags=tags) if tags else NotebookNode()
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                output.traceback = [line.replace(f"{ROOT}/", "") for line in output.traceback]


def execute(path: Path) -> bool:
    """Run one notebook and store its outputs; return whether that worked, and say so."""
    notebook = nbformat.read(path, as_version=4)
    try:
        seconds = run(notebook, path.parent)
    except (CellExecutionError, TimeoutError) as error:  # of one cell, or of all of them
        print(f"{path}: failed, the file was left as it is.\n{error}", file=sys.stderr)
        return False
    tidy(notebook)
    nbformat.validate(notebook)
    partial = path.with_suffix(".ipynb.partial")
    nbformat.write(notebook, partial)
    partial.replace(path)
    cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    print(f"{path}: {cells} cells in {seconds:.1f} s")
    return True


def main() -> int:
    """Run the notebooks named on the command line; return how the shell shall see it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, metavar="NOTEBOOK")
    notebooks = parser.parse_args().notebooks
    if not notebooks:
        print("There is no notebook to run.")
    for path in notebooks:
        if not path.is_file():
            parser.error(f"there is no notebook {path}")
    failures = [path for path in notebooks if not execute(path)]
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
