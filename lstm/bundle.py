"""Files of the repository that the chapters read: recorded runs, the list of errata, its sources.

In a checkout they stand where they are written. An installed package brings copies, so that a
chapter runs wherever its notebook is: ``book/package_files.py`` puts them there.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
FOLDER = "bundled"
PATTERNS = (
    "results/**/*.json",
    "benchmarks/results/*.json",
    "book/errata.yml",
    "book/references.bib",
    "_toc.yml",
)
"""The files, as patterns from the top of the repository."""


def bundled(name: str) -> Path:
    """Return a file or a folder of the repository, or the copy that came with the package.

    Parameters
    ----------
    name : str
        Its path from the top of the repository, for example ``"results"``.

    Raises
    ------
    FileNotFoundError
        If neither is there.
    """
    for top in (PACKAGE / FOLDER, PACKAGE.parent):
        if (top / name).exists():
            return top / name
    raise FileNotFoundError(
        f"{name!r} is neither beside the package nor in it: install the package again, or run this"
        " in a copy of the whole repository"
    )
