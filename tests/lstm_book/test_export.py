"""What the interactive figures are made of: packed weights, files that can be written again."""

from __future__ import annotations

import numpy as np
import pytest
from lstm_book.__main__ import main
from lstm_book.figures.widgets import FOLDER, WIDGETS, digits, export, files, reader, reviews

from lstm.datasets import load_imdb, load_mnist
from lstm.text import Vocabulary


@pytest.mark.parametrize("bits", [8, 16])
def test_packing_rounds_to_the_nearest_step(bits):
    array = np.random.default_rng(0).normal(size=(3, 5))
    packed = files.pack(array, bits)
    rounded = files.unpack(packed)
    assert rounded.shape == array.shape
    assert np.abs(rounded - array).max() <= 2.0 ** packed["exponent"] / 2
    assert np.array_equal(rounded.astype(np.float32), rounded)  # exact in both types
    assert files.pack(rounded, bits) == packed


def test_packing_zeros_and_the_largest_integer():
    assert np.array_equal(files.unpack(files.pack(np.zeros((2, 0)))), np.zeros((2, 0)))
    assert np.array_equal(files.unpack(files.pack([0.0, 0.0])), [0, 0])
    assert np.array_equal(files.unpack(files.pack([127.0, -127.0], bits=8)), [127, -127])


@pytest.mark.parametrize(
    ("array", "bits", "message"),
    [([1.0], 4, "bits must be 8 or 16, got 4"), ([np.nan], 8, "finite numbers, got NaN")],
)
def test_packing_says_what_is_wrong(array, bits, message):
    with pytest.raises(ValueError, match=message):
        files.pack(array, bits)


@pytest.mark.slow
@pytest.mark.parametrize("name", WIDGETS)
def test_export_writes_the_committed_files_again(name, tmp_path):
    (tmp_path / "data").mkdir()
    committed = (FOLDER / "data" / f"{name}.js").read_text(encoding="utf-8")
    (tmp_path / "data" / f"{name}.js").write_text(committed, encoding="utf-8")  # its weights
    for path in export([name], tmp_path):
        again = FOLDER / path.relative_to(tmp_path)
        assert path.read_text(encoding="utf-8") == again.read_text(encoding="utf-8"), (
            f"{again.name} is out of date: python -m lstm_book export"
        )


def test_export_names_what_it_cannot_do(tmp_path, capsys):
    assert main(["export", "hat", "--out", str(tmp_path)]) == 1
    assert f"name must be one of {list(WIDGETS)}, got 'hat'" in " ".join(
        capsys.readouterr().err.split()
    )
    assert main(["export", "digits", "--out", str(tmp_path)]) == 1
    assert "train with python -m lstm_book export --train" in " ".join(
        capsys.readouterr().err.split()
    )
    assert list(tmp_path.iterdir()) == []


def test_digits_are_read_as_well_as_their_caption_says():
    data = files.read_data(FOLDER / "data" / "digits.js")
    (train_images, _), (images, labels) = load_mnist("bundled")
    guess = reader.last_answers(reader.load_reader(data["weights"]), images / 255).argmax(axis=1)
    assert float((guess == labels).mean()) == data["record"]["accuracy"]
    seen = {image.tobytes() for image in train_images}
    assert len(seen) == data["record"]["train"]
    assert not any(image.tobytes() in seen for image in images)
    shown, _ = digits.examples()
    assert {image.tobytes() for image in shown} <= {image.tobytes() for image in images}


def test_reviews_are_judged_as_well_as_their_caption_says():
    data = files.read_data(FOLDER / "data" / "reviews.js")
    assert len(data["words"]) == reviews.VOCABULARY_SIZE - 2
    _, (texts, labels) = load_imdb("bundled")
    texts, labels = texts[:400], labels[:400]  # all 5,000 take half a minute
    ids, lengths = Vocabulary(data["words"]).encode(texts, reviews.LONGEST)
    network = reader.load_reader(data["weights"])
    right = (reader.last_answers(network, ids, lengths)[:, 0] > 0) == labels
    accuracy = data["record"]["accuracy"]
    assert abs(right.mean() - accuracy) < 3 * np.sqrt(accuracy * (1 - accuracy) / len(texts))
