"""A classifier in a file: what is read is what was written, and strangers' files are refused."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import re
import shlex

import lstm_book.__main__ as command_line
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lstm_book.recipes import keep, records, trials
from lstm_book.recipes.sentences import SETTINGS, train_classifiers
from numpy.testing import assert_array_equal

from tests.conftest import ROOT

GOOD = ["A great film. I loved it!", "Loved it. What a great cast.", "Great, great fun."]
BAD = ["A bad film. I hated it!", "Hated it. What a bad cast.", "Bad, bad mess."]
TEXTS = (GOOD + BAD) * 20


@pytest.fixture(scope="module")
def classifier():
    labels = np.array(([1] * 3 + [0] * 3) * 20, np.uint8)
    settings = SETTINGS | {"fits": 1, "base_batch_size": 8, "batch_size": 16}
    found, _ = train_classifiers(TEXTS, labels, np.arange(120), settings, seed=0)
    return found["lstm"]


@pytest.fixture(scope="module")
def path(classifier, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "reviews.safetensors"
    keep.save(path, classifier, {"seed": 0})
    return path


NEW = ["I loved this great film.", "What a bad, bad film", "", "...", "Unheard words alone"]


def test_what_is_loaded_says_the_same(classifier, path):
    again = keep.load(path)
    assert_array_equal(again.logits(NEW), classifier.logits(NEW))
    assert again.logits(NEW)[0] > 0 > again.logits(NEW)[1]
    assert keep.about(path) == {"seed": 0}


def test_the_file_is_of_the_format(path):
    """As its page says: the size of the header, JSON, then bytes without a gap."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    assert set(map(type, header.pop("__metadata__").values())) == {str}
    ends = sorted(entry["data_offsets"] for entry in header.values())
    assert [first for first, _ in ends] == [0, *(end for _, end in ends[:-1])]
    assert ends[-1][1] == len(content) - 8 - size
    assert size % 8 == 0


def damaged(content):
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    yield b""
    yield content[:7]
    yield content[: 8 + size // 2]
    yield content[:-4]
    yield (2**60).to_bytes(8, "little") + content[8:]
    for change in (
        {"__metadata__": header["__metadata__"] | {"kind": "another"}},
        {"__metadata__": header["__metadata__"] | {"words": "one"}},
        {"__metadata__": header["__metadata__"] | {"settings": "[" * 9999}},
        {"__metadata__": 3},
        {"scale": header["scale"] | {"dtype": "F16"}},
        {"scale": header["scale"] | {"shape": [-8]}},
        {"scale": header["scale"] | {"data_offsets": [-64, 0]}},
        {"scale": 0},
    ):
        yield made(header | change, content[8 + size :])
    yield made({k: v for k, v in header.items() if k != "reader.trust"}, content[8 + size :])


def made(header, body):
    """Return a file that somebody made to do harm: its digest fits."""
    if isinstance(about := header["__metadata__"], dict):
        about["sha256"] = keep.digest(header, body)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def test_other_files_are_refused(path, tmp_path):
    for number, content in enumerate(damaged(path.read_bytes())):
        other = tmp_path / f"{number}.safetensors"
        other.write_bytes(content)
        with pytest.raises(keep.ModelError, match=str(other)):
            keep.load(other)
    with pytest.raises(keep.ModelError, match="could not be read"):
        keep.load(tmp_path / "nothing")


@settings(max_examples=60)
@given(st.data())
def test_one_changed_byte_is_noticed_wherever_it_is(path, classifier, data):
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    other = path.with_name("changed")
    other.write_bytes(content)
    with contextlib.suppress(keep.ModelError):
        assert_array_equal(keep.load(other).logits(NEW), classifier.logits(NEW))  # a space, perhaps
        assert keep.about(other) == {"seed": 0}


def test_what_has_no_end_is_not_read_to_it(path, capsys):
    for device in ("/dev/zero", str(path.parent)):
        with pytest.raises(keep.ModelError, match="could not be read: there is no such file"):
            keep.load(device)
    assert command_line.main(["predict", str(path), "--files", "/dev/zero"]) == 1
    assert "/dev/zero must be a text of at most 10000000 bytes" in capsys.readouterr().err


def test_a_damaged_log_of_trials_is_named(tmp_path):
    path = tmp_path / trials.NAME
    for content in (b'{"a": 1}\n{"b"', b"\xff", b"[" * 100_000):
        path.write_bytes(content)
        with pytest.raises(records.RecordError, match=f"{path} is not a log of trials"):
            trials.read(tmp_path)


def test_only_known_types_are_written(tmp_path):
    with pytest.raises(ValueError, match="a must have one of the types"):
        keep.write_safetensors(tmp_path / "m", {"a": np.zeros(2, np.int8)}, {})


@pytest.mark.parametrize("by", ["onnx.reference", "onnxruntime"])
def test_onnx_says_the_same(by, classifier):
    """By the reference implementation of ONNX, and by what people run it with."""
    module = importlib.import_module(by)
    texts = [*NEW, " ".join(TEXTS[:6]), " ".join(TEXTS)]
    x, lengths, base = classifier.inputs(texts)
    assert lengths.max() > lengths[0]
    expected = 1 / (1 + np.exp(-classifier.logits(texts)))
    model = keep.to_onnx(classifier)
    inputs = {"x": x, "lengths": lengths, "base": base}
    if by == "onnxruntime":
        session = module.InferenceSession(model.SerializeToString())
    else:
        session = module.ReferenceEvaluator(model)
    (found,) = session.run(None, inputs)
    np.testing.assert_allclose(found, expected, atol=1e-5)


# --- python -m lstm_book predict ------------------------------------------------------------------


def predict(capsys, *words):
    assert command_line.main(["predict", *map(str, words)]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert all(len(row) == 3 for row in rows)
    return rows


def test_predict_judges_texts_files_folders_and_lines(
    classifier, path, tmp_path, capsys, monkeypatch
):
    share = 1 / (1 + np.exp(-classifier.logits(NEW[:2])))
    expected = [f"{p:.3f}" for p in share]
    rows = predict(capsys, path, *NEW[:2])
    assert [row[0] for row in rows] == expected
    assert [row[1] for row in rows] == ["positive", "negative"]
    folder = tmp_path / "reviews"
    folder.mkdir()
    for name, text in zip(("a.txt", "b.txt"), NEW, strict=False):
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "c.md").write_text("not read")
    assert [row[0] for row in predict(capsys, path, "--files", folder)] == expected
    assert [row[0] for row in predict(capsys, path, "--files", tmp_path)] == expected  # within it
    rows = predict(capsys, path, "--files", folder / "b.txt", folder / "a.txt")
    assert [row[0] for row in rows] == expected[::-1]
    assert rows[0][2] == str(folder / "b.txt")
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(NEW[:2]) + "\n\n"))
    assert [row[0] for row in predict(capsys, path)] == expected


def test_predict_reads_strangers_files(path, tmp_path, capsys):
    """Other encodings, byte order marks, nothing at all, another language: each has its line."""
    texts = (b"I didn\x92t like this bad film", b"\xef\xbb\xbfgreat", "great".encode("utf-16"))
    texts += (b"", "好电影".encode(), b"Ein wunderbarer Film.")
    for number, content in enumerate(texts):
        (tmp_path / f"{number}.txt").write_bytes(content)
    rows = predict(capsys, path, "--files", tmp_path)
    assert [row[1] for row in rows[:3]] == ["negative", "positive", "positive"]
    assert rows[0][0] == predict(capsys, path, "I didn't like this bad film")[0][0]
    assert rows[1][0] == rows[2][0] == predict(capsys, path, "great")[0][0]
    assert [row[1] for row in rows[3:]] == ["unknown"] * 3  # hardly a word that it knows


def test_predict_says_what_is_wrong(path, tmp_path, capsys):
    for words, message in (
        ((tmp_path / "none", "text"), "could not be read"),
        ((path, "text", "--files", tmp_path), "not both"),
        ((path, "--files", tmp_path), "no .txt file"),
        ((path, "--files", tmp_path / "none.txt"), "none.txt"),
    ):
        assert command_line.main(["predict", *map(str, words)]) == 1
        assert message in " ".join(capsys.readouterr().err.split())


def printed_commands(page):
    """Return the commands of a chapter's text, each as a list of words."""
    cells = json.loads((ROOT / "book" / f"{page}.ipynb").read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    found = re.findall(r"^python -m lstm_book (.*)$", text, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in found]


@pytest.mark.slow
def test_the_commands_of_the_chapter_run(tmp_path, monkeypatch, capsys):
    """On few reviews: train and keep, judge two sentences, judge a folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my_reviews"
    folder.mkdir()
    for number, text in enumerate(GOOD + BAD):
        (folder / f"{number}.txt").write_text(text, encoding="utf-8")
    train, sentences, files = printed_commands("12_movie_reviews")
    few = [f"{name}={size}" for name, size in (("train_size", 300), ("test_size", 100))]
    few = [word for setting in [*few, "validation_size=100"] for word in ("--set", setting)]
    assert command_line.main([*train, *few, "--quiet"]) == 0
    assert keep.about(tmp_path / "reviews.safetensors")["settings"]["train_size"] == 300
    capsys.readouterr()
    for command, count in ((sentences, 2), (files, 6)):
        assert command_line.main(command) == 0
        assert len(capsys.readouterr().out.splitlines()) == count


@pytest.mark.slow
def test_trials_see_no_test_part_and_are_noted(tmp_path, capsys):
    few = [f"{name}={size}" for name, size in (("train_size", 300), ("test_size", 100))]
    few = [word for setting in [*few, "validation_size=100"] for word in ("--set", setting)]
    for model, more in (("sentences", "lr=0.02"), ("best-without-lstm", "epochs=1")):
        command = ["train", "imdb", "--model", model, "--trial", "--out", str(tmp_path), "--quiet"]
        assert command_line.main([*command, *few, "--set", more]) == 0
        assert "validation accuracy" in capsys.readouterr().out
    first, second = trials.read(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [trials.NAME]
    assert (first["model"], second["model"]) == ("sentences", "best-without-lstm")
    assert first["changed"][-1] == "lr=0.02"
    assert first["part"] == "validation"
    assert set(first["beside"]) == {"base", "memoryless", "shuffled"}
    assert 0 < second["validation"]["accuracy"] < 1
    assert "test" not in first.keys() | second.keys()


def test_what_cannot_be_kept_is_refused_before_a_training(tmp_path, capsys):
    for model in ("nbsvm", "lstm", "convolution"):
        command = ["train", "imdb", "--model", model, "--save", "m", "--out", str(tmp_path)]
        assert command_line.main(command) == 1
        message = f"save needs a model that can be kept, got '{model}'"
        assert message in " ".join(capsys.readouterr().err.split())
