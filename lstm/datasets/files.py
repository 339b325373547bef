"""Where data files are looked for, how they are read and checked, and how they are downloaded."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import importlib.util
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lstm import checks

SOURCES = ("bundled", "full")
UNPACK = {".gz": gzip.open, ".bz2": bz2.open}
LARGEST = 1 << 26
"""Bytes of the largest file that is read: no file of a data set here is as large."""


class DataError(RuntimeError):
    """A data file is missing, damaged, or could not be fetched; the message says what to do."""


def check_source(source: str) -> None:
    """Check that ``source`` is one of the two there are."""
    checks.one_of("source", source, SOURCES)


def package_file(package: str, *parts: str) -> Path:
    """Return the path of a data file inside an installed package, without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise DataError(
            f"the package {package} holds this data and is not installed: "
            "pip install 'lstm-checked[data]'"
        )
    return Path(spec.submodule_search_locations[0], *parts)


def data_folders() -> Iterator[Path]:
    """Yield the folders that may hold full data sets: ``LSTM_DATA`` if set, then the cache."""
    named = os.environ.get("LSTM_DATA")
    if named is not None:
        if not named or not Path(named).is_dir() or not os.access(named, os.R_OK | os.X_OK):
            raise DataError(f"LSTM_DATA must name a folder that can be read, got {named!r}")
        yield Path(named)
    yield cache_folder()


def cache_folder() -> Path:
    """Return the folder that downloads go to: ``LSTM_CACHE``, else the user's cache."""
    if named := os.environ.get("LSTM_CACHE"):
        return Path(named)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lstm-checked"
    except RuntimeError:
        raise DataError(
            "the data is not in LSTM_DATA, and there is no home folder to download it to: name a "
            "folder in LSTM_CACHE"
        ) from None


def find(patterns: Iterable[str]) -> Path | None:
    """Return the first file in a data folder that fits a glob pattern, or folder if it ends in /.

    The cache is not asked for where ``LSTM_DATA`` holds it.
    """
    patterns = list(patterns)
    for root in data_folders():
        for pattern in patterns:
            fits = Path.is_dir if pattern.endswith("/") else Path.is_file
            if found := sorted(filter(fits, root.glob(pattern))):
                return found[0]
    return None


def damaged(path: Path, why: object) -> DataError:
    """Return the error for a file or folder that cannot be read, or is not what it should be."""
    if isinstance(why, OSError) and why.strerror:
        return DataError(f"{path} cannot be read: {why.strerror}")
    return DataError(
        f"{path} is damaged or not the original: {why}. Delete it: then the original is "
        "downloaded, or comes with its package at the next pip install --force-reinstall"
    )


def read(path: Path, digest: str = "") -> bytes:
    """Return the content of a file, unpacked if it ends in .gz or .bz2, checked if it is known.

    Raises
    ------
    DataError
        If the file cannot be read, is far too large, or has another digest.
    """
    try:
        with UNPACK.get(path.suffix, Path.open)(path, "rb") as file:
            content = file.read(LARGEST + 1)  # to the end, where a checksum of its own may be
    except (EOFError, OSError, zlib.error) as error:
        raise damaged(path, error) from error
    if len(content) > LARGEST:
        raise damaged(path, f"it holds more than {LARGEST:,} bytes")
    if digest:
        check_digest(path, digest, [content])
    return content


def check_digest(path: Path, digest: str, parts: Sequence[bytes]) -> None:
    """Compare what was read, part after part, with its SHA-256, or its MD5."""
    algorithm = "MD5" if len(digest) == 32 else "SHA256"
    found = hashlib.new(algorithm, b"".join(parts), usedforsecurity=False).hexdigest()
    if found != digest:
        many = "its content has" if len(parts) == 1 else f"its {len(parts):,} files have"
        raise damaged(path, f"{many} {algorithm} {found}, not {digest}")


def download(name: str, mirrors: Iterable[str], known_md5: str) -> Path:
    """Fetch a file into the cache from the first mirror that has it, with a progress bar.

    Parameters
    ----------
    name : str
        File name, the same at every mirror and in the cache.
    mirrors : iterable of str
        Addresses of folders, each ending in a slash.
    known_md5 : str
        What arrives is checked before it gets its name, so the cache never holds half a file.

    Returns
    -------
    Path
        The file in the cache.

    Raises
    ------
    DataError
        If no mirror gave the right file; it says what each answered, and what to do.
    """
    try:
        import pooch
    except ImportError:
        raise DataError("downloading needs pooch: pip install 'lstm-checked[data]'") from None
    answers = []
    for mirror in mirrors:
        try:
            # pooch writes to a temporary file and renames it once the checksum is right.
            return Path(
                pooch.retrieve(
                    mirror + name,
                    known_hash=f"md5:{known_md5}",
                    fname=name,
                    path=cache_folder(),
                    downloader=pooch.HTTPDownloader(progressbar=True, timeout=30),
                )
            )
        except (OSError, ValueError) as error:
            answers.append(f"  {mirror}: {type(error).__name__}: {str(error)[:200]}")
    raise DataError(
        f"{name} could not be downloaded. Put it into a folder and set LSTM_DATA to that folder, "
        "or use the bundled set.\n" + "\n".join(answers)
    )
