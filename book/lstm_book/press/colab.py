"""Let the notebooks fetch the course where it is not: ``python -m lstm_book.press.colab``.

Colab opens a notebook alone. Once ``repository: url`` in ``_config.yml`` says where the project is,
this gives every notebook a first code cell that clones it from there and installs what the chapters
import; without an address it takes that cell away.
"""

from __future__ import annotations

import nbformat
import yaml
from nbformat import NotebookNode

from lstm_book.checkout import ROOT
from lstm_book.sphinx.address import clean

CELL = "install"  # its id in a notebook
SOURCE = """\
# Where the course is not installed, as on Colab: fetch it, and what its chapters import.
import sys
from importlib.util import find_spec

ADDRESS = "{address}"
if find_spec("lstm_book") is None:
    shell = get_ipython()
    shell.system(f"git clone --quiet --depth 1 {{ADDRESS}} lstm-checked")
    packages = "--editable lstm-checked --editable 'lstm-checked/book[chapters]'"
    shell.run_line_magic("pip", f"install --quiet {{packages}}")
    sys.path[:0] = ["lstm-checked", "lstm-checked/book"]  # this kernel started before them"""


def configured_address() -> str:
    """Return the public address of the repository, ``""`` if it has none."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    return clean(config["repository"]["url"])


def set_cell(notebook: NotebookNode, address: str) -> None:
    """Put the cell before the first code cell, or take it away if there is no address."""
    notebook.cells = [cell for cell in notebook.cells if cell.id != CELL]
    if not address:
        return
    cell = nbformat.v4.new_code_cell(SOURCE.format(address=address), id=CELL)
    cell.metadata.tags = ["remove-cell"]  # the page needs no installation
    first = next(n for n, cell in enumerate(notebook.cells) if cell.cell_type == "code")
    notebook.cells.insert(first, cell)


def main() -> None:
    """Bring every notebook up to date."""
    address = configured_address()
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        set_cell(notebook, address)
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
