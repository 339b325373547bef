"""The data sets: what they hold, how they are split, and every way in which a file can be wrong."""

import contextlib
import gzip
import hashlib
import http.server
import io
import random
import re
import socket
import tarfile
from pathlib import Path

import numpy as np
import pytest

from lstm.datasets import (
    DataError,
    files,
    imdb,
    load,
    load_imdb,
    load_imdb_films,
    load_mnist,
    mnist,
    stratified_split,
)
from tests.conftest import serving


@pytest.fixture(scope="module")
def digits():
    return load_mnist()


def rows(images):
    return [image.tobytes() for image in images]


# --- bundled ------------------------------------------------------------------------------------


def test_bundled_digits(digits):
    (x_train, y_train), (x_test, y_test) = digits
    assert (x_train.shape, x_test.shape) == ((4000, 28, 28), (1000, 28, 28))
    assert {array.dtype for array in (x_train, y_train, x_test, y_test)} == {np.dtype(np.uint8)}
    assert (x_train.min(), x_train.max()) == (0, 255)
    np.testing.assert_array_equal(np.bincount(y_train), [400] * 10)
    np.testing.assert_array_equal(np.bincount(y_test), [100] * 10)
    assert not set(rows(x_train)) & set(rows(x_test))
    # The file is sorted by class: a split without shuffling would be useless.
    assert set(y_train[:50]) == set(range(10))


def test_bundled_reviews():
    (train, y_train), (test, y_test) = load_imdb()
    assert (len(train), len(test)) == (19_904, 5_000) == (len(y_train), len(y_test))
    # 96 of 25,000 stand in the file twice: split first, some would be in both parts.
    assert len({*train, *test}) == 24_904
    assert y_train.dtype == np.uint8
    share = (y_train.sum() + y_test.sum()) / 24_904
    assert abs(y_test.mean() - share) < 1 / 5_000
    assert set(y_train[:50]) == {0, 1}
    assert all(isinstance(text, str) and text.strip() for text in train[:100])


@pytest.mark.parametrize("name", ["mnist", "imdb"])
def test_splits_depend_on_the_seed_and_on_nothing_else(name):
    first, again, other = (load(name, test_size=123, seed=seed)[1] for seed in (3, 3, 4))
    assert len(first[0]) == 123
    assert all(np.array_equal(a, b) for a, b in zip(first[0], again[0], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first[0], other[0], strict=True))


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
    ("call", "message"),
    [
        (lambda: stratified_split([0, 1], 2), "test_size must be less than 2 examples"),
        (lambda: stratified_split([0, 1], 0), "test_size must be a positive integer"),
        (lambda: load("cifar"), r"name must be one of \['imdb', 'mnist'\], got 'cifar'"),
        (lambda: load("mnist", "half"), "source must be one of .*, got 'half'"),
        (lambda: load_imdb("web"), "source must be one of .*, got 'web'"),
        (lambda: load_mnist(test_size=5000), "test_size must be less than 5000"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("loader", [load_mnist, load_imdb])
def test_a_package_that_is_not_there_or_holds_another_file(monkeypatch, tmp_path, loader):
    monkeypatch.setattr(files.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"holds this data and is not installed: pip install"):
        loader()
    other = tmp_path / "data.csv.gz"
    monkeypatch.setattr(files, "package_file", lambda *parts: other)
    with pytest.raises(DataError, match=r"data.csv.gz cannot be read: No such file"):
        loader()
    other.write_bytes(gzip.compress(b"source,text,label\nimdb,fine,1\n"))
    with pytest.raises(DataError, match=r"data.csv.gz is damaged .*its content has SHA256"):
        loader()


# --- digits, in miniature -----------------------------------------------------------------------


def idx(*shape):
    """Return an array and its IDX file: type and number of axes, the axes, the bytes."""
    array = np.arange(np.prod(shape), dtype=np.int64).reshape(shape) % 251
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return array, header + array.astype(np.uint8).tobytes()


SMALL = {
    "train-images-idx3-ubyte": idx(6, 28, 28),
    "train-labels-idx1-ubyte": idx(6),
    "t10k-images-idx3-ubyte": idx(3, 28, 28),
    "t10k-labels-idx1-ubyte": idx(3),
}
CONTENT = {name: content for name, (_, content) in SMALL.items()}
ZIPPED = {name + ".gz": gzip.compress(content, mtime=0) for name, content in CONTENT.items()}


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Let two empty folders be all that is searched; return the one that LSTM_DATA names."""
    for variable, name in (("LSTM_DATA", "data"), ("LSTM_CACHE", "cache")):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / name))
    for module in (mnist, imdb):
        monkeypatch.setattr(module, "MIRRORS", ())
    return tmp_path / "data"


@pytest.fixture
def small_mnist(folder, monkeypatch):
    """Let four tiny files be the whole of MNIST."""
    table = {}
    for name, (array, content) in SMALL.items():
        digests = (hashlib.md5(data).hexdigest() for data in (ZIPPED[name + ".gz"], content))
        table[name] = (*digests, array.shape)
    monkeypatch.setattr(mnist, "FULL", table)
    return folder


LAYOUTS = (
    "NAME",
    "mnist/NAME.gz",
    "MNIST/raw/NAME",
    "../cache/NAME.gz",
    "NAME/NAME",
    "DOT",
    "DOT/DOT.gz",
)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_full_digits_are_found(small_mnist, layout):
    for name, content in CONTENT.items():
        path = layout.replace("NAME", name).replace("DOT", name.replace("-idx", ".idx"))
        write(small_mnist, {path: content})
    (x_train, y_train), (x_test, y_test) = load_mnist("full")
    for array, name in zip((x_train, y_train, x_test, y_test), SMALL, strict=True):
        np.testing.assert_array_equal(array, SMALL[name][0])
        array[...] = 0  # as the bundled ones: yours to change


def write(folder, found):
    """Write files, compressed where the name says so."""
    for name, content in found.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        zipped = path.suffix == ".gz" and content[:1] != b"\x1f"
        path.write_bytes(gzip.compress(content) if zipped else content)


DAMAGES = {
    "half": lambda content: content[: len(content) // 2],
    "flipped": lambda content: content[:99] + bytes([content[99] ^ 1]) + content[100:],
    "without an end": lambda content: content[:-8],
    "other": lambda content: b"\x1f<html>",
    "empty": lambda content: b"",
    "bomb": lambda content: gzip.compress(bytes(20_000)),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("files_of", [CONTENT, ZIPPED], ids=["plain", "gzip"])
def test_damaged_digits_are_refused_and_left_in_place(small_mnist, monkeypatch, damage, files_of):
    monkeypatch.setattr(files, "LARGEST", 10_000)
    name = list(files_of)[2]
    write(small_mnist, files_of | {name: DAMAGES[damage](files_of[name])})
    why = "more than 10,000 bytes" if damage == "bomb" and files_of is ZIPPED else ""
    with pytest.raises(DataError, match=rf"{name} is damaged or not .*{why}.* Delete it"):
        load_mnist("full")
    assert len(list(small_mnist.iterdir())) == 4


@pytest.mark.parametrize("value", ["", "nowhere", __file__])
def test_lstm_data_that_is_no_folder(monkeypatch, value):
    monkeypatch.setenv("LSTM_DATA", value)
    for loader in (load_mnist, load_imdb):
        with pytest.raises(DataError, match=rf"LSTM_DATA must name a folder .*, got '{value}'"):
            loader("full")


def test_without_a_home(small_mnist, monkeypatch):
    for name in ("LSTM_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(files.Path, "home", lambda: Path("~nobody-of-this-name").expanduser())
    with pytest.raises(DataError, match=r"no home folder .*: name a folder in LSTM_CACHE"):
        load_mnist("full")
    write(small_mnist, CONTENT)
    assert len(load_mnist("full")[0][0]) == 6


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
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def start(answers, cut=False):
        handler = type("Handler", (Mirror,), {"answers": answers, "requests": [], "cut": cut})
        return servers.enter_context(serving(handler)) + "/mnist/", handler.requests

    with contextlib.ExitStack() as servers:
        yield start


def test_download_goes_to_the_cache_once(small_mnist, serve, monkeypatch):
    mirror, requests = serve(ZIPPED)
    monkeypatch.setattr(mnist, "MIRRORS", (mirror,))
    for _ in range(2):
        (x_train, _), (_, y_test) = load_mnist("full")
        assert (x_train.shape, y_test.shape) == ((6, 28, 28), (3,))
    cached = small_mnist.parent / "cache"
    assert {path.name: path.read_bytes() for path in cached.iterdir()} == ZIPPED
    assert len(requests) == 4


@pytest.mark.parametrize("trouble", ["missing", "poisoned", "cut", "down"])
def test_mirrors_in_trouble(small_mnist, serve, monkeypatch, trouble):
    bad = bad_mirror(serve, trouble), bad_mirror(serve, trouble)
    monkeypatch.setattr(mnist, "MIRRORS", bad)
    with pytest.raises(DataError, match=r"could not be downloaded. Put it into a folder") as caught:
        load_mnist("full")
    assert all(mirror in str(caught.value) for mirror in bad)
    assert [path for path in small_mnist.parent.rglob("*") if path.is_file()] == []
    monkeypatch.setattr(mnist, "MIRRORS", (*bad, serve(ZIPPED)[0]))
    assert load_mnist("full")[0][0].shape == (6, 28, 28)


def bad_mirror(serve, trouble):
    if trouble == "down":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return f"http://127.0.0.1:{free.getsockname()[1]}/mnist/"
    poisoned = dict.fromkeys(ZIPPED, gzip.compress(b"other digits"))
    answers = {"missing": {}, "poisoned": poisoned, "cut": ZIPPED}[trouble]
    return serve(answers, cut=trouble == "cut")[0]


# --- reviews, in miniature ----------------------------------------------------------------------


def reviews_by_name(count=12):
    """Return the files of a small aclImdb."""
    found = {"README": b"about", "train/unsup/0_0.txt": b"no label", "train/urls_unsup.txt": b"-"}
    for half in ("train", "test"):
        for sign, rating in (("neg", 2), ("pos", 9)):
            urls = [f"http://www.imdb.com/title/tt{rating}{n}/usercomments\n" for n in range(count)]
            found[f"{half}/urls_{sign}.txt"] = "".join(urls).encode()
            for n in range(count):
                found[f"{half}/{sign}/{n}_{rating}.txt"] = f"{half} {sign} {n} ö".encode()
    return found


def pack(path, found, above="aclImdb/"):
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in found.items():
            member = tarfile.TarInfo(above + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.fixture
def small_imdb(folder, monkeypatch):
    """Let a few reviews be the whole of IMDB."""
    for constant in ("REVIEWS", "FILMS"):
        pattern, _ = getattr(imdb, constant)
        hasher = hashlib.sha256()
        for name, content in sorted(reviews_by_name().items()):
            if re.fullmatch(pattern, name):
                hasher.update(f"{name} {len(content)}\n".encode() + content)
        monkeypatch.setattr(imdb, constant, (pattern, hasher.hexdigest()))
    return folder


@pytest.mark.parametrize(
    "place",
    ["aclImdb", "unpacked/aclImdb", "aclImdb_v1.tar.gz", "../cache/aclImdb_labelled.tar.gz"],
)
def test_full_reviews_are_read_in_a_fixed_order(small_imdb, place):
    (pack if place.endswith(".gz") else write)(small_imdb / place, reviews_by_name())
    (train, y_train), (test, y_test) = load_imdb("full")
    assert train == [f"train {sign} {n} ö" for sign in ("neg", "pos") for n in range(12)]
    assert test[-1] == "test pos 11 ö"
    assert y_train.tolist() == y_test.tolist() == [0] * 12 + [1] * 12
    train_films, test_films = load_imdb_films()
    assert train_films.tolist() == [f"tt{rating}{n}" for rating in (2, 9) for n in range(12)]
    assert test_films.tolist() == train_films.tolist()


@pytest.mark.parametrize("place", ["aclImdb", "aclImdb_v1.tar.gz"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test/pos/12_9.txt": b"one more"}, "{} is damaged .* its 49 files have SHA256"),
        ({"test/pos/3_9.txt": b"changed"}, "{} is damaged .* its 48 files have SHA256"),
        ({"test/pos/3_9.txt": b"\xff"}, "{}/test/pos/3_9.txt is damaged .* 'utf-8' codec"),
    ],
)
def test_other_reviews_are_refused(small_imdb, place, changes, message):
    (pack if place.endswith(".gz") else write)(small_imdb / place, reviews_by_name() | changes)
    with pytest.raises(DataError, match=message.replace("{}", place)):
        load_imdb("full")


def test_other_films_are_refused_and_reviews_do_without(small_imdb):
    write(small_imdb / "aclImdb", reviews_by_name() | {"train/urls_neg.txt": b"tt1"})
    assert len(load_imdb("full")[0][0]) == 24
    with pytest.raises(DataError, match="its 4 files have SHA256"):
        load_imdb_films()


def test_a_folder_that_is_not_complete(small_imdb):
    write(small_imdb / "aclImdb", {"README": b"about"})
    with pytest.raises(DataError, match=r"aclImdb/train cannot be read: No such file"):
        load_imdb("full")


@pytest.mark.parametrize("damage", [*DAMAGES, *range(20)])
def test_damaged_archive(small_imdb, damage):
    path = small_imdb / "aclImdb_v1.tar.gz"
    pack(path, reviews_by_name())
    content = bytearray(path.read_bytes())
    if damage in DAMAGES:
        content = DAMAGES[damage](content)
    else:
        bit = random.Random(damage).randrange(10 * 8, len(content) * 8)  # behind gzip's header
        content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"aclImdb_v1.tar.gz is damaged or not .* Delete it"):
        load_imdb("full")
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("above", "limits", "message"),
    [
        ("../aclImdb/", {}, "../aclImdb/README would be outside"),
        ("/aclImdb/", {}, "/aclImdb/README would be outside"),
        ("aclImdb/", {"MEMBERS": 5}, "makes it too large"),
        ("aclImdb/", {"UNPACKED": 6}, "makes it too large"),
        ("aclImdb/", {"UNPACKED": 30_000}, "it holds more than 30,000 bytes"),
    ],
)
def test_an_archive_that_would_do_harm(small_imdb, monkeypatch, above, limits, message):
    pack(small_imdb / "aclImdb_v1.tar.gz", reviews_by_name(), above)
    for name, value in limits.items():
        monkeypatch.setattr(imdb, name, value)
    with pytest.raises(DataError, match=message):
        load_imdb("full")


# --- the real full sets -------------------------------------------------------------------------


@pytest.mark.full_data
def test_full_digits():
    (x_train, y_train), (x_test, y_test) = load_mnist("full")
    assert (x_train.shape, x_test.shape) == ((60_000, 28, 28), (10_000, 28, 28))
    np.testing.assert_array_equal(y_train[:8], [5, 0, 4, 1, 9, 2, 1, 3])
    np.testing.assert_array_equal(y_test[:8], [7, 2, 1, 0, 4, 1, 4, 9])
    assert not set(rows(x_train)) & set(rows(x_test))


@pytest.mark.full_data
def test_bundled_digits_are_training_digits(digits):
    """So no network trained on the full set may be tested on the bundled one."""
    (x_train, _), (x_test, _) = load_mnist("full")
    bundled = set(rows(digits[0][0])) | set(rows(digits[1][0]))
    assert bundled <= set(rows(x_train))
    assert not bundled & set(rows(x_test))


@pytest.mark.full_data
def test_full_reviews():
    (train, y_train), (test, y_test) = load_imdb("full")
    assert len(train) == len(test) == 25_000
    assert y_train.sum() == y_test.sum() == 12_500
    # The official halves are used as they are, though they are not quite apart.
    assert (len(set(train)), len(set(test)), len(set(train) & set(test))) == (24_904, 24_801, 123)
    train_films, test_films = load_imdb_films()
    assert train_films.shape == test_films.shape == (25_000,)
    # Hardly a film stands in both halves: what is to generalise to films must be split by film.
    assert (len(set(train_films)), len(set(test_films))) == (3_456, 3_581)
    assert set(train_films) & set(test_films) == {"tt0406816"}
