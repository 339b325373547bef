"""The recipes and the command line, on tiny sizes."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from lstm_book.recipes import RECIPES
from lstm_book.recipes.digits import Distort
from lstm_book.recipes.recipe import parse
from lstm_book.recipes.records import KEYS
from lstm_book.recipes.reviews import DropWords
from lstm_book.recipes.runner import Job
from lstm_book.recipes.sequences import first_repeat, gaussian_sequences, waves
from numpy.testing import assert_array_equal

import lstm_book.__main__ as command_line

ROOT = Path(__file__).parents[2]

TINY = {
    "scalar-sequence": ["train_size=60", "validation_size=20", "test_size=20", "epochs=2"],
    "stacked": ["train_size=60", "validation_size=20", "test_size=20", "epochs=2"],
    "random-sequence": ["train_size=20", "validation_size=10", "test_size=10", "epochs=2"],
    "imdb": ["train_size=60", "test_size=20", "max_length=12", "vocabulary_size=300", "epochs=1"],
    "mnist-rows": ["train_size=60", "hidden_size=8", "epochs=2"],
    "mnist-columns": ["train_size=60", "hidden_size=8", "epochs=1"],
    "mnist-pixels": ["train_size=20", "hidden_size=4", "validation_size=20"],
    "mnist-permuted": ["train_size=20", "hidden_size=4", "validation_size=20"],
}


def arguments(name, out, *more, model=None):
    settings = [word for override in TINY[name] for word in ("--set", override)]
    model = ["--model", model] if model else []
    return ["train", name, "--out", str(out), "--quiet", *settings, *model, *more]


def run(*args):
    return command_line.main(list(args))


def record(out):
    (path,) = out.glob("*.json")
    return json.loads(path.read_text())


# --- what a run leaves --------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["numpy", "torch"])
@pytest.mark.parametrize("name", ["scalar-sequence", "stacked", "random-sequence", "mnist-rows"])
def test_a_run_is_recorded_with_all_that_it_depends_on(name, engine, tmp_path, capsys):
    assert run(*arguments(name, tmp_path, "--seeds", "2", "--engine", engine)) == 0
    content = record(tmp_path)
    recipe = RECIPES[name]
    assert content["recipe"] == name
    assert content["engine"] == engine
    assert content["settings"] == recipe.settings(content["model"], "quick", TINY[name])
    assert content["command"].startswith(
        f"python -m lstm_book train {name} --model {content['model']}"
    )
    assert len(content["data"]["sha256"]) == 64
    assert content["data"]["sizes"][0] == content["settings"]["train_size"]
    assert content["parameters"] > 0
    assert [each["seed"] for each in content["runs"]] == [0, 1]
    for each in content["runs"]:
        assert [row["epoch"] for row in each["epochs"]] == [1, 2]
        assert {"loss", "lr", "validation_loss"} <= each["epochs"][0].keys()
        assert np.isfinite(each["test"]["loss"])
        assert each["versions"].keys() >= {"python", "numpy", "lstm"}
        assert each["machine"].keys() == {"cpu", "cores", "threads", "system"}
        assert each["commit"] is None or len(each["commit"].rstrip("+")) == 40
        assert not each["resumed"]
    assert content["runs"][0]["epochs"] != content["runs"][1]["epochs"]
    assert list(tmp_path.iterdir()) == [
        tmp_path / f"{content['recipe']}-{content['model']}-{engine}-quick.json"
    ]
    assert "seed 1: test" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["mnist-columns", "mnist-pixels", "mnist-permuted", "imdb"])
def test_the_slower_recipes_run_too(name, tmp_path):
    assert run(*arguments(name, tmp_path, "--engine", "torch")) == 0
    assert "accuracy" in record(tmp_path)["runs"][0]["test"]


def test_digits_in_every_order_are_the_same_pixels():
    first = {}
    for order in ("rows", "columns", "pixels", "permuted"):
        recipe = RECIPES[f"mnist-{order}"]
        settings = recipe.settings("lstm", "quick", ["train_size=20", "validation_size=20"])
        first[order] = recipe.load(settings).validation.inputs[0][0]
    np.testing.assert_array_equal(first["columns"], first["rows"].T)
    np.testing.assert_array_equal(first["pixels"], first["rows"].reshape(784, 1))
    assert (first["permuted"] != first["pixels"]).any()
    np.testing.assert_array_equal(np.sort(first["permuted"], 0), np.sort(first["pixels"], 0))


@pytest.mark.parametrize("name", ["scalar-sequence", "mnist-rows", "stacked"])
def test_both_engines_begin_alike(name, tmp_path):
    """The same weights, the same order of examples; dropout masks differ, so there is none."""
    losses = {}
    off = ["--set", "dropout=0"] if "dropout" in RECIPES[name].defaults else []
    for engine in ("numpy", "torch"):
        run(*arguments(name, tmp_path / engine, "--engine", engine, *off))
        losses[engine] = [row["loss"] for row in record(tmp_path / engine)["runs"][0]["epochs"]]
    assert losses["numpy"] == pytest.approx(losses["torch"], rel=1e-3)


@pytest.mark.parametrize("name", RECIPES)
def test_every_model_can_be_built_with_its_settings(name):
    recipe = RECIPES[name]
    for model in recipe.models:
        quick, full = (recipe.settings(model, scale) for scale in ("quick", "full"))
        assert quick.keys() == full.keys() == recipe.defaults.keys()


@pytest.mark.parametrize(
    ("name", "model", "keras"),
    [
        ("scalar-sequence", "article", 10_451),
        ("stacked", "article", 31_946),
        ("random-sequence", "article", 840),
        ("mnist-rows", "article", 98_186),
    ],
)
def test_articles_parameter_counts(name, model, keras):
    """What Keras counts, plus the second bias that PyTorch's LSTM has: 4H for each layer."""
    recipe = RECIPES[name]
    settings = recipe.settings(model, "quick", [s for s in TINY[name] if "hidden" not in s])
    network = recipe.build(recipe.load(settings), settings, np.random.default_rng(0))
    sizes = {name: parameter.size for name, parameter in network.named_parameters()}
    second = sum(size for name, size in sizes.items() if "bias_hh" in name)
    assert sum(sizes.values()) - second == keras


# --- baselines ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["scalar-sequence", "stacked", "random-sequence", "mnist-rows"])
def test_baselines(name, tmp_path):
    for model in RECIPES[name].baselines:
        out = tmp_path / model
        assert run(*arguments(name, out, "--seeds", "3", model=model)) == 0
        content = record(out)
        assert len(content["runs"]) == 1  # the other seeds would give the same
        assert content["engine"] is None
        assert content["runs"][0]["test"]


def test_baselines_on_texts(tmp_path):
    accuracy = {}
    tiny = [*TINY["imdb"], "train_size=400", "test_size=300", "validation_size=200"]
    for model in RECIPES["imdb"].baselines:
        settings = [word for override in tiny for word in ("--set", override)]
        out = str(tmp_path / model)
        assert run("train", "imdb", "--out", out, "--quiet", "--model", model, *settings) == 0
        accuracy[model] = record(tmp_path / model)["runs"][0]["test"]["accuracy"]
    assert 0.45 < accuracy["majority"] < 0.55
    assert min(accuracy["tfidf"], accuracy["tfidf-bigrams"], accuracy["nbsvm"]) > 0.65


def test_majority_is_the_share_of_the_largest_class(tmp_path):
    run(*arguments("stacked", tmp_path, model="majority"))
    content = record(tmp_path)
    task = RECIPES["stacked"].load(content["settings"])
    largest = np.bincount(task.train.targets).argmax()
    assert content["runs"][0]["chosen"] == {"class": largest}
    assert content["runs"][0]["test"]["accuracy"] == (task.test.targets == largest).mean()


# --- going on, beginning again, refusing --------------------------------------------------------


def test_what_is_recorded_is_neither_repeated_nor_overwritten_by_accident(tmp_path, capsys):
    first = arguments("stacked", tmp_path)
    assert run(*first) == 0
    before = record(tmp_path)
    assert run(*first) == 1
    assert "is there already: add --resume" in capsys.readouterr().err
    assert run(*first, "--resume", "--seeds", "3") == 0
    after = record(tmp_path)
    assert [each["seed"] for each in after["runs"]] == [0, 1, 2]
    assert after["runs"][0] == before["runs"][0]
    assert run(*first, "--overwrite") == 0
    again = record(tmp_path)
    assert len(again["runs"]) == 1
    assert again["runs"][0]["epochs"] == before["runs"][0]["epochs"]


def test_other_settings_are_not_mixed_into_a_record(tmp_path, capsys):
    assert run(*arguments("stacked", tmp_path)) == 0
    before = record(tmp_path)
    assert run(*arguments("stacked", tmp_path, "--set", "lr=0.5", "--resume", "--seeds", "2")) == 1
    assert "was made with other settings: lr was 0.001, is 0.5" in capsys.readouterr().err
    assert record(tmp_path) == before


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--model", "transformer"], "stacked has the models .*, got 'transformer'"),
        (["--set", "width=3"], "a setting is NAME=VALUE with a name from .*, got 'width=3'"),
        (["--set", "epochs"], "a setting is NAME=VALUE"),
        (["--set", "epochs=many"], "epochs must be like 10, got 'many'"),
        (["--set", "epochs=0"], "epochs must be a positive integer, got 0"),
        (["--set", "optimizer=adagrad"], "optimizer must be one of .*, got 'adagrad'"),
        (["--set", "schedule=step"], "schedule must be one of .*, got 'step'"),
        (["--device", "cuda"], "device 'cuda' needs engine 'torch', got 'numpy'"),
        (["--engine", "torch", "--device", "no"], "device must be one that PyTorch has here.*'no'"),
        (["--set", "train_size=-5"], "train_size must be a positive integer, got -5"),
        (["--set", "validation_size=0"], "validation_size must be a positive integer, got 0"),
    ],
)
def test_errors_are_one_sentence(tmp_path, capsys, args, message):
    assert run("train", "stacked", "--out", str(tmp_path), *args) == 1
    error = capsys.readouterr().err
    assert error.startswith("python -m lstm_book train: ")
    assert error.count("\n") == 1
    assert re.search(message, error)
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize("seeds", ["0", "x", "3-1", "1,x", "-2", "3,-1"])
def test_wrong_seeds(seeds, capsys):
    with pytest.raises(SystemExit):
        run("train", "stacked", f"--seeds={seeds}")
    assert "must be a number (5), a range (10-14) or a list (3,7)" in capsys.readouterr().err


def test_seeds_and_settings_are_read():
    assert command_line.seeds("3") == [0, 1, 2]
    assert command_line.seeds("10-12") == [10, 11, 12]
    assert command_line.seeds("7,3,7") == [7, 3]  # a seed counts once
    assert parse("lr", "1", 0.5) == 1.0
    assert parse("patience", "3", None) == 3
    assert parse("max_norm", "None", 1.0) is None
    assert parse("keep", "start", "end") == "start"
    assert parse("bidirectional", "False", True) is False


def test_a_damaged_record_is_reported_and_kept(tmp_path, capsys):
    path = tmp_path / "stacked-article-numpy-quick.json"
    path.write_text('{"recipe": "sta')
    assert run(*arguments("stacked", tmp_path, "--resume")) == 1
    assert "is not a record of" in capsys.readouterr().err
    assert run("results", "--out", str(tmp_path)) == 1
    assert path.read_text() == '{"recipe": "sta'
    for other in ({"runs": []}, dict.fromkeys(KEYS) | {"runs": [{"seed": 0}]}):
        path.write_text(json.dumps(other))  # a record of something else
        assert run("results", "--out", str(tmp_path)) == 1
        assert "is not a record of" in capsys.readouterr().err


def start(*args):
    return subprocess.Popen(
        [sys.executable, "-m", "lstm_book", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_and_resume_ends_in_the_same_record(tmp_path, how, capsys):
    """SIGTERM, by which a batch system asks, does the same."""
    more = ["--set", "epochs=12", "--set", "train_size=200", "--seeds", "5,6"]
    assert run(*arguments("stacked", tmp_path / "whole", *more)) == 0
    process = start(*arguments("stacked", tmp_path / "stopped", *more))
    checkpoint = tmp_path / "stopped" / "checkpoints" / "stacked-article-numpy-quick-seed5.ckpt"
    while not checkpoint.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(how)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"Stopped. The training is saved in {checkpoint}: the same command with" in errors
    assert "Traceback" not in errors
    command = arguments("stacked", tmp_path / "stopped", *more)
    assert run(*command) == 1  # not without being asked to
    saved = checkpoint.read_bytes()
    assert run(*command, "--resume", "--set", "test_size=30") == 1
    assert "--set test_size was 20, is 30" in capsys.readouterr().err
    assert checkpoint.read_bytes() == saved
    assert run(*command, "--resume") == 0
    stopped, whole = record(tmp_path / "stopped")["runs"], record(tmp_path / "whole")["runs"]
    assert [each["resumed"] for each in stopped] == [True, False]
    for each, other in zip(stopped, whole, strict=True):
        assert each["epochs"] == other["epochs"]
        assert each["test"] == other["test"]
    assert not checkpoint.parent.exists()


# --- two processes ------------------------------------------------------------------------------


def test_torchrun_records_what_one_process_records(tmp_path, loopback):
    args = arguments("stacked", tmp_path / "two", "--engine", "torch")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    command += ["--master-port=0", "--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0"]
    process = subprocess.run(
        [*command, "-m", "lstm_book", *args],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
    )
    assert process.returncode == 0, process.stderr
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run(*arguments("stacked", tmp_path / "one", "--engine", "torch"))
    torch.set_num_threads(threads)
    two, one = record(tmp_path / "two")["runs"][0], record(tmp_path / "one")["runs"][0]
    assert (two["processes"], one["processes"]) == (2, 1)
    for row, other in zip(two["epochs"], one["epochs"], strict=True):
        assert row == pytest.approx(other, rel=1e-4)
    assert two["test"]["loss"] == pytest.approx(one["test"]["loss"], rel=1e-4)


# --- results ------------------------------------------------------------------------------------


def test_results_prints_a_table(tmp_path, capsys):
    for model in ("article", "majority", "bag-of-steps"):
        run(*arguments("stacked", tmp_path, "--seeds", "2", model=model))
    capsys.readouterr()
    (tmp_path / "mutants.json").write_text("{}")  # not a record: it is let alone
    assert run("results", "--out", str(tmp_path)) == 0
    head, line, *rows = capsys.readouterr().out.splitlines()
    assert head.split("  ")[0] == "recipe"
    assert set(line) == {"-", " "}
    assert len(rows) == 3
    assert all(row.startswith("stacked  quick") for row in rows)
    assert run("results", "--out", str(tmp_path / "empty")) == 1
    assert "make one with python -m lstm_book train RECIPE" in capsys.readouterr().err


def test_results_prints_the_records_of_the_project(capsys):
    assert run("results", "--out", str(ROOT / "results")) == 0
    assert re.search(r"^mnist-rows +full +lstm +numpy +5 +accuracy", capsys.readouterr().out, re.M)


# --- tasks --------------------------------------------------------------------------------------


def test_waves_cannot_be_told_apart_number_by_number():
    x, y = waves(np.random.default_rng(0), 4000)
    assert (x.shape, y.shape) == ((4000, 100, 1), (4000, 1))
    means = [x[y[:, 0] == k].mean(axis=0) for k in (0, 1)]
    assert np.abs(means[0] - means[1]).max() < 0.2
    power = np.abs(np.fft.rfft(x[..., 0], axis=1))
    assert ((power[:, 8] > power[:, 5]) == y[:, 0]).mean() > 0.99


def test_first_repeat_by_hand():
    x, lengths, y = first_repeat(np.random.default_rng(0), 300)
    for sequence, length, answer in zip(x, lengths, y, strict=True):
        symbols = sequence[:length].argmax(axis=1).tolist()
        seen = set()
        expected = next(s for s in symbols if s in seen or seen.add(s))
        assert answer == expected
        assert not sequence[length:].any()
    assert lengths.min() >= 11


def test_gaussian_targets():
    rng = np.random.default_rng(0)
    x, y = gaussian_sequences(rng, 500, "sum")
    np.testing.assert_allclose(y, np.tanh(x.astype(float).sum(axis=1) / 10), atol=1e-5)
    _, noise = gaussian_sequences(rng, 500, "noise")
    assert noise.var() == pytest.approx(y.var(), rel=0.1)  # of the same size
    _, gaussian = gaussian_sequences(rng, 500, "gaussian")
    assert (np.abs(gaussian) > 1).mean() == pytest.approx(0.317, abs=0.03)


def test_parts_share_no_example():
    for name in ("scalar-sequence", "stacked", "random-sequence", "mnist-rows"):
        task = RECIPES[name].load(RECIPES[name].settings(next(iter(RECIPES[name].models)), "quick"))
        parts = [
            {example.tobytes() for example in part.inputs[0]}
            for part in (task.train, task.validation, task.test)
        ]
        assert len(set.union(*parts)) == sum(len(part) for part in parts)


def test_reviews_keep_the_parts_apart():
    """No text in two parts, and no word in the vocabulary that training did not see."""
    recipe = RECIPES["imdb"]
    task = recipe.load(recipe.settings("lstm", "quick", ["train_size=300", "test_size=100"]))
    parts = [set(task.texts[name]) for name in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [300, 2500, 100] == task.about["sizes"]
    assert len(set.union(*parts)) == 2900
    ids = task.train.inputs[0]
    assert set(range(2, task.vocabulary_size)) >= set(np.unique(ids)) - {0, 1}
    assert task.train.targets.shape == (300, 1)
    lengths = task.train.inputs[1]
    assert_array_equal((ids > 0).sum(axis=1), lengths)
    # A whole vocabulary, counted on the training part: each of its words occurs there.
    task = recipe.load(
        recipe.settings(
            "lstm", "quick", ["train_size=300", "vocabulary_size=10000000", "max_length=None"]
        )
    )
    assert set(range(2, task.vocabulary_size)) == set(np.unique(task.train.inputs[0])) - {0}


def test_dropped_words_are_unknown_and_the_padding_stays():
    ids = np.random.default_rng(0).integers(2, 50, (40, 30)).astype(np.int32)
    ids[:, 20:] = 0
    lengths = np.full(40, 20)
    dropped, same = DropWords(0.25)(np.random.default_rng(1), ids, lengths)
    assert same is lengths
    assert dropped.dtype == ids.dtype
    assert not dropped[:, 20:].any()
    changed = dropped != ids
    assert (dropped[changed] == 1).all()
    assert changed[:, :20].mean() == pytest.approx(0.25, abs=0.05)


def test_distort_moves_an_image_and_nothing_else():
    images = np.zeros((2, 28, 28), np.float32)
    images[:, 10:18, 12:16] = 1
    (same,) = Distort(0.0, 0.0, 0.0)(np.random.default_rng(0), images)
    np.testing.assert_allclose(same, images, atol=1e-6)
    (moved,) = Distort(2.0, 0.1, 0.1)(np.random.default_rng(0), images)
    assert moved.dtype == np.float32
    assert moved.shape == images.shape
    assert not np.allclose(moved[0], moved[1])
    assert 0 <= moved.min() <= moved.max() <= 1
    assert moved.sum(axis=(1, 2)) == pytest.approx(images.sum(axis=(1, 2)), rel=0.25)


def test_distort_against_scipy():
    from lstm_book.recipes.digits import _interpolate
    from scipy.ndimage import map_coordinates

    rng = np.random.default_rng(0)
    images = rng.random((3, 28, 28)).astype(np.float32)
    row, column = rng.uniform(-3, 31, (2, 3, 784))
    expected = [
        map_coordinates(image, [r, c], order=1, mode="grid-constant")
        for image, r, c in zip(images, row, column, strict=True)
    ]
    np.testing.assert_allclose(_interpolate(images, row, column), expected, atol=1e-5)


def test_bent_images_follow_a_smooth_net_of_knots():
    from scipy.interpolate import RegularGridInterpolator
    from scipy.ndimage import map_coordinates

    images = np.random.default_rng(0).random((2, 28, 28))
    (bent,) = Distort(0.0, 0.0, 0.0, 1.5)(np.random.default_rng(7), images)
    rng = np.random.default_rng(7)
    for shape in ((2, 2, 2), (2, 1, 2), (2, 2, 1)):
        rng.uniform(size=shape)  # what turning, stretching and moving draw, although by nothing
    knots = rng.normal(0, 1.5, (2, 2, 6, 6))
    pixels = np.indices((28, 28))
    where = np.linspace(0, 27, 6)
    for image, result, net in zip(images, bent, knots, strict=True):
        moved = [RegularGridInterpolator((where, where), axis)(pixels.T).T for axis in net]
        expected = map_coordinates(image, pixels + moved, order=1, mode="grid-constant")
        np.testing.assert_allclose(result, expected, atol=1e-6)


# --- the other commands -------------------------------------------------------------------------


def test_check_passes_and_can_fail(capsys, monkeypatch):
    assert run("check") == 0
    out = capsys.readouterr().out
    assert out.count("ok") == 12
    assert "FAILED" not in out
    monkeypatch.setattr("lstm.selfcheck._gradient", lambda *_: 0.1)
    assert run("check") == 1
    assert "FAILED" in capsys.readouterr().out


def test_job_names_are_files():
    job = Job(RECIPES["imdb"], "lstm", "full", [0], "torch")
    assert job.path.as_posix() == "results/imdb-lstm-torch-full.json"
    assert Job(RECIPES["imdb"], "nbsvm").name == "imdb-nbsvm-quick"
