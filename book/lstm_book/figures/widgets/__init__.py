"""What the interactive figures of the book need: ``python -m lstm_book export``.

Each figure (a *widget*) has files in ``book/assets/widgets``: a script written by hand
(``digits.js``), its data (``data/digits.js``) and what a page includes (``digits.html``), both
written here. The HTML holds a complete figure for readers without scripts; the script takes its
place. Data are numbers of this package: the same command writes the same files.

The weights of the two trained readers are kept in their data file; ``--train`` trains them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from lstm_book.checkout import ROOT
from lstm_book.figures.widgets import digits, gradient, parity, reviews, writing
from lstm_book.figures.widgets.files import data_file

FOLDER = ROOT / "book" / "assets" / "widgets"


class Widget(Protocol):
    """What each module of a widget has."""

    @staticmethod
    def data(folder: Path, train: bool) -> dict:
        """Return the data, in JSON's types."""

    @staticmethod
    def page(data: dict) -> str:
        """Return the HTML that a page includes."""


WIDGETS: dict[str, Widget] = {
    "gradient": gradient,
    "digits": digits,
    "reviews": reviews,
    "parity": parity,
    "writing": writing,
}


def export(names: Sequence[str] = (), folder: Path = FOLDER, *, train: bool = False) -> list[Path]:
    """Write the data and the HTML of widgets.

    Parameters
    ----------
    names : sequence of str
        Which of :data:`WIDGETS`; none for all.
    folder : Path
        Where to; with the trained weights of an earlier export in it, unless ``train``.
    train : bool
        Train the readers again: some minutes.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    ValueError
        If a name is not one of the widgets'.
    RuntimeError
        If a reader's weights are not in ``folder`` and ``train`` is False.
    """
    for name in names:
        if name not in WIDGETS:
            raise ValueError(f"name must be one of {list(WIDGETS)}, got {name!r}")
    written = []
    for name in names or WIDGETS:
        data = WIDGETS[name].data(folder, train)
        texts = {
            folder / "data" / f"{name}.js": data_file(name, data),
            folder / f"{name}.html": WIDGETS[name].page(data),
        }
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(path)
    return written


__all__ = ["FOLDER", "WIDGETS", "export"]
