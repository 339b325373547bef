"""The data files of the widgets: JSON in a script, and arrays as whole numbers in base64.

Browsers refuse to fetch JSON for a page that was opened as a file, but they load scripts. So a data
file assigns its JSON to ``window.LSTM_DATA.<name>``.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

_OPENING = "window.LSTM_DATA = window.LSTM_DATA || {};\nwindow.LSTM_DATA."


def pack(array: ArrayLike, bits: int = 16) -> dict:
    """Round an array to integers times a power of two, which every float type holds exactly.

    Parameters
    ----------
    array : array_like
        Finite numbers.
    bits : {8, 16}
        Size of an integer.

    Returns
    -------
    dict
        ``shape``, ``bits``, ``exponent`` and ``base64`` (little-endian): integer · 2^exponent.
    """
    array = np.asarray(array, dtype=np.float64)
    if bits not in (8, 16):
        raise ValueError(f"bits must be 8 or 16, got {bits!r}")
    if not np.isfinite(array).all():
        raise ValueError("array must hold finite numbers, got NaN or infinity")
    largest = np.abs(array).max(initial=0)
    limit = 2 ** (bits - 1) - 1
    exponent = int(np.ceil(np.log2(largest / limit))) if largest else 0
    integers = np.rint(np.ldexp(array, -exponent)).astype(f"<i{bits // 8}")
    return {
        "shape": list(array.shape),
        "bits": bits,
        "exponent": exponent,
        "base64": base64.b64encode(integers.tobytes()).decode("ascii"),
    }


def unpack(packed: dict) -> np.ndarray:
    """Return the array, float64, that :func:`pack` rounded."""
    content = base64.b64decode(packed["base64"])
    integers = np.frombuffer(content, f"<i{packed['bits'] // 8}").astype(np.float64)
    return np.ldexp(integers, packed["exponent"]).reshape(packed["shape"])


def data_file(name: str, data: dict) -> str:
    """Return the text of a data file."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return f"{_OPENING}{name} = {text};\n"


def read_data(path: Path) -> dict:
    """Return the data of a file that :func:`data_file` wrote.

    Raises
    ------
    RuntimeError
        If it is not there.
    """
    if not path.is_file():
        raise RuntimeError(f"{path} is not there: train with python -m lstm_book export --train")
    text = path.read_text(encoding="utf-8").removeprefix(_OPENING)
    return json.loads(text.partition(" = ")[2].rstrip(";\n"))
