"""Where data files are looked for, how they are checked, and how they are downloaded."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Iterable
from pathlib import Path

SOURCES = ("bundled", "full")


class DataError(RuntimeError):
    """A data file is missing, damaged, or could not be fetched; the message says what to do."""


def check_source(source: str) -> None:
    """Check that ``source`` is one of the two there are."""
    if source not in SOURCES:
        raise ValueError(f"source must be one of {list(SOURCES)}, got {source!r}")


def package_file(package: str, *parts: str) -> Path:
    """Return the path of a data file inside an installed package, without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise DataError(
            f"the package {package} holds this data and is not installed: "
            "pip install 'lstm-checked[data]'"
        )
    path = Path(spec.submodule_search_locations[0], *parts)
    if not path.is_file():
        raise DataError(f"{package} is installed, but {path.name} is missing in it: reinstall it")
    return path


def data_folders() -> list[Path]:
    """Return the folders that may hold full data sets: ``LSTM_DATA`` if set, then the cache."""
    folders = [cache_folder()]
    if named := os.environ.get("LSTM_DATA"):
        if not Path(named).is_dir():
            raise DataError(f"LSTM_DATA must name a folder, got {named!r}")
        folders.insert(0, Path(named))
    return folders


def cache_folder() -> Path:
    """Return the folder that downloads go to: ``LSTM_CACHE``, else the user's cache."""
    if named := os.environ.get("LSTM_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lstm-checked"


def find(names: Iterable[str], folders: Iterable[str] = ("",)) -> Path | None:
    """Return the first of ``names`` that exists in a data folder or one of its subfolders."""
    names, folders = list(names), list(folders)
    for root in data_folders():
        for folder in folders:
            for name in names:
                if (path := root / folder / name).exists():
                    return path
    return None


def md5(content: bytes) -> str:
    """Return the MD5 checksum in hexadecimal: it finds damage, it is no proof against malice."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


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
