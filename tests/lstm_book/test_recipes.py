"""The recipes and the command line, on tiny sizes."""

import itertools
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import lstm_book.__main__ as command_line
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lstm_book.recipes import RECIPES, records
from lstm_book.recipes.digits import Distort
from lstm_book.recipes.recipe import parse
from lstm_book.recipes.runner import Job
from lstm_book.recipes.sequences import first_repeat, gaussian_sequences, waves
from numpy.testing import assert_array_equal

from lstm.checkpoint import CheckpointError
from lstm.training import predict
from tests.conftest import ROOT, checkout, torchrun
from tests.lstm.test_training import JSON, places_in

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
    recipe = RECIPES[name]
    one = recipe.model_names[0] if model in (None, "all") else model
    taken = recipe.settings(one, "quick")  # a baseline takes fewer than a network
    settings = [each for each in TINY[name] if each.partition("=")[0] in taken]
    settings = [word for each in settings for word in ("--set", each)]
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
    assert content["command"] == records.command(content)
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
    assert run(*arguments(name, tmp_path, "--engine", "torch", model="lstm")) == 0
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
        assert run(*arguments(name, tmp_path / model, "--seeds", "3", model=model)) == 0
        content = record(tmp_path / model)
        assert content["engine"] is None
        if model == "dense":
            assert [each["seed"] for each in content["runs"]] == [0, 1, 2]
            continue
        (found,) = content["runs"]  # the other seeds would give the same
        task = RECIPES[name].load(content["settings"])
        if model == "majority":
            largest = np.bincount(task.train.targets.ravel()).argmax()
            assert found["chosen"] == {"class": largest}
            assert found["test"] == {"accuracy": (task.test.targets == largest).mean()}
        elif model == "mean":
            errors = task.test.targets - task.train.targets.mean(axis=0)
            assert found["test"] == {"loss": pytest.approx((errors**2).mean())}


@pytest.mark.slow
def test_baselines_on_texts(tmp_path):
    accuracy = {}
    more = ["train_size=400", "test_size=300", "validation_size=200"]
    more = [word for setting in more for word in ("--set", setting)]
    for model in RECIPES["imdb"].baselines:
        words = arguments("imdb", tmp_path / model, *more, model=model)
        if model in ("sentences", "convolution", "transformer"):  # with settings of their own
            words = ["train", "imdb", "--model", model, "--out", str(tmp_path / model), *more]
        assert run(*words) == 0
        accuracy[model] = record(tmp_path / model)["runs"][0]["test"]["accuracy"]
    assert 0.45 < accuracy["majority"] < 0.55
    counting = accuracy["tfidf"], accuracy["tfidf-bigrams"], accuracy["nbsvm"]
    assert min(*counting, accuracy["sentences"]) > 0.65


def test_a_record_says_what_ran_and_nothing_else(tmp_path):
    """A baseline has none of the network's settings, and refuses them."""
    data = {"train_size", "validation_size", "test_size"}
    assert run(*arguments("stacked", tmp_path, model="majority")) == 0
    assert record(tmp_path)["settings"].keys() == data | {"lengths"}
    for recipe in RECIPES.values():
        for model in recipe.baselines:
            settings = recipe.settings(model, "full")
            assert "optimizer" not in settings
    own = RECIPES["imdb"].settings("averaged-embeddings", "quick")
    assert (own["embedding_dim"], own["max_length"], own["patience"]) == (64, 200, 2)
    with pytest.raises(ValueError, match="got 'lr=1'"):
        RECIPES["stacked"].settings("majority", "quick", ["lr=1"])


def test_all_models_take_what_they_have_of_what_is_set():
    words = ["train", "stacked", "--model", "all", "--set", "lr=0.5", "--set", "train_size=70"]
    found = command_line.jobs(command_line.parser().parse_args(words))
    assert [job.model for job in found] == RECIPES["stacked"].model_names
    assert [job.settings.get("lr") for job in found] == [0.5] * 4 + [None] * 2
    assert all(job.settings["train_size"] == 70 for job in found)
    with pytest.raises(ValueError, match="got 'rl="):
        command_line.jobs(command_line.parser().parse_args([*words, "--set", "rl=0.5"]))


# --- going on, beginning again, refusing --------------------------------------------------------


def test_what_is_recorded_is_neither_repeated_nor_overwritten_by_accident(tmp_path, capsys):
    first = arguments("stacked", tmp_path)
    assert run(*first) == 0
    before = record(tmp_path)
    assert run(*first) == 1
    assert "is there already: add --resume" in words(capsys.readouterr().err)
    assert run(*first, "--resume") == 0
    assert "is complete: nothing is left to do for seeds [0]" in words(capsys.readouterr().out)
    assert run(*first, "--resume", "--seeds", "3") == 0
    after = record(tmp_path)
    assert [each["seed"] for each in after["runs"]] == [0, 1, 2]
    assert after["runs"][0] == before["runs"][0]
    assert run(*first, "--overwrite", "--set", "lr=0.01", "--seeds", "2") == 0
    again = record(tmp_path)
    assert [each["seed"] for each in again["runs"]] == [0, 1]
    assert again["runs"][0]["epochs"] != before["runs"][0]["epochs"]


def test_other_settings_are_not_mixed_into_a_record(tmp_path, capsys):
    assert run(*arguments("stacked", tmp_path)) == 0
    before = record(tmp_path)
    assert run(*arguments("stacked", tmp_path, "--set", "lr=0.5", "--resume", "--seeds", "2")) == 1
    assert "was made with other settings: lr was 0.001, is 0.5" in words(capsys.readouterr().err)
    assert record(tmp_path) == before


FRESH = {"recipe": "stacked", "model": "lstm", "engine": "numpy", "scale": "quick"}
FRESH |= {"settings": {"lr": 1}, "data": {}, "device": "cpu", "parameters": 5, "runs": []}


def result(seed, loss=0.5):
    return {"seed": seed, "test": {"loss": loss}, "seconds": 1.5, "cpu_seconds": 1.0}


def seeds_in(path):
    return [each["seed"] for each in json.loads(path.read_text())["runs"]]


def test_whoever_adds_to_a_record_keeps_what_others_added(tmp_path):
    path = tmp_path / "record.json"

    def add(first):
        for seed in range(first, 60, 3):
            records.add(path, FRESH, result(seed))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(add, range(3)))
    assert seeds_in(path) == list(range(60))
    assert list(tmp_path.iterdir()) == [path]
    records.add(path, FRESH, result(7, loss=0.1))  # recorded is recorded
    assert records.read(path)["runs"][7] == result(7)
    with pytest.raises(records.RecordError, match="other settings: lr was 1, is 2"):
        records.add(path, FRESH | {"settings": {"lr": 2}}, result(99))


def test_what_was_to_be_overwritten_goes_and_what_came_meanwhile_stays(tmp_path):
    path, other = tmp_path / "record.json", FRESH | {"settings": {"lr": 2}}
    records.add(path, FRESH, result(0))
    unwanted = path.read_bytes()
    records.add(path, other, result(1), instead_of=unwanted)
    records.add(path, other, result(2), instead_of=unwanted)  # another process, begun as early
    assert seeds_in(path) == [1, 2]
    assert json.loads(path.read_text())["settings"] == {"lr": 2}


def test_a_result_that_cannot_be_written_is_printed(tmp_path, capsys, monkeypatch):
    calls = itertools.count()

    def full(*_):
        if next(calls) >= 2:  # the trial before the training: a file and its folder
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert run(*arguments("stacked", tmp_path, model="majority")) == 1
    output = capsys.readouterr()
    assert json.loads(output.out)["test"]["accuracy"] > 0
    assert "could not be written" in words(output.err)
    assert not list(tmp_path.iterdir())


def test_a_training_ends_although_no_checkpoint_can_be_written(tmp_path, capsys, monkeypatch):
    def full(path, *_):
        raise CheckpointError(f"{path} could not be written: No space left on device")

    monkeypatch.setattr("lstm_book.recipes.runner.save_checkpoint", full)
    monkeypatch.setattr("lstm_book.recipes.runner.SECONDS_BETWEEN_CHECKPOINTS", 0)
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    assert run(*arguments("stacked", tmp_path)) == 0
    assert record(tmp_path)["runs"][0]["machine"]["threads"] == 4
    error = capsys.readouterr().err
    assert "No space left on device. The training goes on" in words(error)
    assert all(len(line) <= 80 or " " not in line for line in error.splitlines())


def test_what_is_to_be_overwritten_stays_until_there_is_data(tmp_path, capsys):
    old = tmp_path / "mnist-rows-lstm-numpy-quick-seed0.checkpoint.npz"
    old.write_text("mine")
    again = arguments("mnist-rows", tmp_path, "--overwrite")
    assert run(*again, "--set", "validation_size=5000") == 1
    assert old.read_text() == "mine"
    assert run(*again) == 0
    assert not old.exists()


@pytest.mark.parametrize("out", ["file", "file/folder", "x" * 300, "."])
def test_out_is_tried_before_anything_is_computed(tmp_path, out, capsys, monkeypatch):
    (tmp_path / "file").write_text("mine")
    os.mkfifo(tmp_path / "stacked-article-numpy-quick.json")
    monkeypatch.setattr("lstm.Trainer.step", lambda *_: pytest.fail("it trains"))
    assert run(*arguments("stacked", tmp_path / out, "--overwrite")) == 1
    assert re.search(r"choose another place|File name too long", words(capsys.readouterr().err))
    assert (tmp_path / "file").read_text() == "mine"
    new = str(tmp_path / "new")
    assert run(*f"train imdb --model sentences --out {new} --save {tmp_path}".split()) == 1
    assert f"{tmp_path} cannot be written (it is no file)" in words(capsys.readouterr().err)


def words(text):
    """Undo the line breaks of a message."""
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("--model transformer", "model must be one of .*, got 'transformer'"),
        ("--device cuda", "device 'cuda' needs engine 'torch', got 'numpy'"),
        ("--engine torch --device no", "device must be one that PyTorch has here, got 'no'"),
        ("--engine torch --device hpu", "device must be one that PyTorch has here"),
        ("--engine torch --device meta", "device must be one that PyTorch has here"),
        ("width=3", "a setting is NAME=VALUE with a name from .*, got 'width=3'"),
        ("epochs", "a setting is NAME=VALUE"),
        ("epochs=three", "epochs must be an integer, such as 2, got 'three'"),
        ("epochs=None", "epochs must be an integer, such as 2, got 'None'"),
        (f"epochs=1{400 * '0'}", "epochs must be an integer, such as 2, got '1000"),
        ("epochs=0", "epochs must be a positive integer, got 0"),
        ("lr=None", "lr must be a finite number, such as 0.001, got 'None'"),
        ("lr=1e999", "lr must be a finite number, such as 0.001, got '1e999'"),
        ("lr=nan", "lr must be a finite number, such as 0.001, got 'nan'"),
        ("lr=-1", "lr must be .*-1"),
        (f"lr={'(' * 5000}", "lr must be a finite number"),
        ("patience=x", "patience must be a number or None, got 'x'"),
        ("patience=1.5", "patience must be a positive integer, got 1.5"),
        ("lengths=1", "lengths must be True or False, such as True, got '1'"),
        ("max_norm=-1", r"max_norm must be a number in \(0, inf\], got -1"),
        ("optimizer=adagrad", "optimizer must be one of .*, got 'adagrad'"),
        ("schedule=step", "schedule must be one of .*, got 'step'"),
        ("train_size=-5", "train_size must be a positive integer, got -5"),
        ("train_size=None", "train_size must be an integer"),
        ("validation_size=0", "validation_size must be a positive integer, got 0"),
        ("train_size=10000000000000", "size.* must fit into memory"),
        ("mnist-rows forget_bias=None", "None"),
        ("mnist-rows pooling=all", "all"),
        ("mnist-rows hidden_size=0", "0"),
        ("mnist-rows dense_size=-3", "-3"),
        ("mnist-rows dropout=2", "2"),
        ("mnist-rows num_layers=0", "0"),
        ("mnist-rows source=nowhere", "nowhere"),
        ("mnist-rows validation_size=5000", "5000"),
        ("mnist-rows bend=None", "None"),
        ("mnist-pixels longest=0", "0"),
        ("imdb keep=middle", "middle"),
        ("imdb max_length=0", "0"),
        ("imdb vocabulary_size=0", "0"),
        ("imdb pairs=-1", "-1"),
        ("imdb embedding_dropout=7", "7"),
        ("imdb word_dropout=-1", "-1"),
        ("imdb embedding_dim=-1", "-1"),
        ("random-sequence target=nothing", "nothing"),
    ],
)
def test_errors_are_one_sentence(tmp_path, capsys, args, message):
    """Options of ``stacked``, or a setting, or a recipe and a setting of it."""
    *more, last = args.split()
    if last.startswith("-") or "--" in args:
        command = arguments("stacked", tmp_path, *more, last)
    else:
        command = arguments(*(more or ["stacked"]), tmp_path, "--set", last)
    assert run(*command) == 1
    error = capsys.readouterr().err
    assert error.startswith("python -m lstm_book: ")
    assert max(map(len, error.splitlines())) <= 80 or "((((" in error or "0000" in error
    assert re.search(message, words(error))
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.parametrize("seeds", ["0", "x", "3-1", "1,x", "-2", "3,-1", "99999999999", "0-1e9"])
def test_wrong_seeds(seeds, capsys):
    with pytest.raises(SystemExit):
        run("train", "stacked", f"--seeds={seeds}")
    assert "must be a number (5), a range (10-14) or a list (3,7)" in words(capsys.readouterr().err)


@pytest.mark.parametrize("seeds", [None, "0", ["a"], [-1], [0.5], {}, 10**30, [True]])
def test_a_job_has_seeds_that_are_integers(seeds):
    with pytest.raises(ValueError, match="seeds must "):
        Job(RECIPES["stacked"], "lstm", seeds=seeds)
    assert Job(RECIPES["stacked"], "lstm", seeds=range(2)).seeds == [0, 1]


def test_seeds_and_settings_are_read():
    assert command_line.seeds("3") == [0, 1, 2]
    assert command_line.seeds("10-12") == [10, 11, 12]
    assert command_line.seeds("7,3,7") == [7, 3]  # a seed counts once
    assert parse("lr", "1", 0.5) == 1.0
    assert parse("patience", "3", None) == 3
    assert parse("max_norm", "None", 1.0, may_be_none=True) is None
    assert parse("keep", "start", "end") == "start"
    assert parse("bidirectional", "False", True) is False


def test_help_names_every_setting_and_fits_80_columns(capsys):
    with pytest.raises(SystemExit):
        run("train", "--help")
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for recipe in RECIPES.values():
        (about,) = re.findall(rf"^{recipe.name}: .*?(?:\n\n|\Z)", text, re.M | re.S)
        assert f"models: {recipe.model_names[0]}, " in words(about)
        for model in (recipe.model_names[0], next(iter(recipe.models))):
            for name, value in recipe.settings(model, "quick").items():
                assert f" {name}={value}" in words(about)


def test_what_runs_when_no_model_is_named_has_a_record():
    for recipe in RECIPES.values():
        names = [path.name for path in (ROOT / "results").glob(f"{recipe.name}-*-full.json")]
        default = recipe.model_names[0]
        assert any(name.startswith(f"{recipe.name}-{default}-") for name in names)
    assert RECIPES["imdb"].model_names[0] == "sentences"  # the best, and the one that is kept


def test_what_was_chosen_lies_inside_of_what_was_tried():
    """But for a share of the whole: there is no more than 1. Older records do not say."""
    for path in RECORDED:
        for each in records.read(path)["runs"]:
            chosen = each.get("chosen", {})
            for name, tried in chosen.get("tried", {}).items():
                inside = min(tried) < chosen[name] < max(tried)
                assert inside or (name, chosen[name]) == ("share", 1), path.stem


def test_a_damaged_record_is_reported_and_kept(tmp_path, capsys):
    path = tmp_path / "stacked-article-numpy-quick.json"
    path.write_text('{"recipe": "sta')
    assert run(*arguments("stacked", tmp_path, "--resume")) == 1
    assert "is not a record of" in words(capsys.readouterr().err)
    assert run("results", "--out", str(tmp_path)) == 1
    assert path.read_text() == '{"recipe": "sta'
    mixed = [result(0), result(1) | {"test": {"accuracy": 0.5}}]
    wrong_runs = [{"seed": 0}], [result(0), result(0)], mixed
    unnamed = [result(0) | {"test": {"": 0.5}}]
    for other in ([], {"runs": []}, *(FRESH | {"runs": runs} for runs in (*wrong_runs, unnamed))):
        path.write_text(json.dumps(other))  # a record of something else
        assert run("results", "--out", str(tmp_path)) == 1
        assert "is not a record of" in words(capsys.readouterr().err)


RECORDED = sorted((ROOT / "results").glob("*-*.json"))


@pytest.mark.slow
@settings(max_examples=300)
@given(st.data())
def test_whatever_is_changed_in_a_record_is_named_or_harmless(tmp_path_factory, drawn):
    whole = json.loads(drawn.draw(st.sampled_from(RECORDED)).read_text())
    holder, place = drawn.draw(places_in(whole))
    if drawn.draw(st.booleans()):
        del holder[place]
    else:
        holder[place] = drawn.draw(JSON)
    path = tmp_path_factory.mktemp("records") / "stacked-lstm-numpy-full.json"
    path.write_text(json.dumps(whole))
    try:
        read, problem = records.read_all(path.parent).values(), None
    except records.RecordError as error:
        read, problem = [], str(error)
    if problem:
        assert re.search(rf"{path} is not a record of .* \(record[.\w\[\]]* must ", problem)
    records.table(read)
    assert all(map(records.command, read))


# --- signals --------------------------------------------------------------------------------------


def start(*args, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "lstm_book", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=checkout(),
        **options,
    )


PATIENCE = 1800
"""Seconds after which something hangs, on the slowest machine too."""


def deaf():
    """Ignore Ctrl-C, as what a script starts in the background does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def hearing():
    """Take Ctrl-C, also where a script started the tests in its background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def heard():
    """Do not ignore SIGHUP, also where nohup started the tests."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "before", "engine"),
    [
        (signal.SIGINT, hearing, "numpy"),
        (signal.SIGTERM, deaf, "numpy"),
        (signal.SIGHUP, heard, "torch"),
    ],
)
def test_a_signal_saves_and_resume_ends_in_the_same_record(tmp_path, how, before, engine, capsys):
    """However often it comes; status 130, 143 or 129, as a shell reports the signal."""
    options = ("--seeds", "5,6", "--engine", engine)
    command = arguments("stacked", tmp_path / "stopped", *options)
    command.remove("--quiet")
    process = start(*command, "--set", "epochs=1000000", preexec_fn=before)  # never at its end
    assert process.stdout.readline().endswith("seed 5\n"), process.stderr.read()
    for _ in range(20):
        process.send_signal(how)
        time.sleep(0.001)
    _, errors = process.communicate(timeout=PATIENCE)
    checkpoint = tmp_path / f"stopped/stacked-article-{engine}-quick-seed5.checkpoint.npz"
    assert process.returncode == 128 + how, errors
    wanted = f"Stopped. The training is saved in {checkpoint}: the same command with --resume goes"
    assert wanted in words(errors)
    assert "Traceback" not in errors
    assert "100%" not in errors  # no progress bar without a terminal
    assert list(checkpoint.parent.iterdir()) == [checkpoint]

    assert run(*command) == 1  # not without being asked to
    saved = checkpoint.read_bytes()
    assert run(*command, "--resume", "--set", "test_size=30") == 1
    assert "settings.test_size was 20, is 30" in words(capsys.readouterr().err)
    assert checkpoint.read_bytes() == saved
    threads = torch.get_num_threads()
    info = json.loads(str(np.load(checkpoint)["info"]))
    longer = ("--set", f"epochs={len(info['history']) + 2}")
    assert run(*command, *longer, "--resume") == 0
    assert run(*arguments("stacked", tmp_path / "whole", *options, *longer)) == 0
    assert torch.get_num_threads() == threads
    stopped, whole = record(tmp_path / "stopped")["runs"], record(tmp_path / "whole")["runs"]
    assert [each["resumed"] for each in stopped] == [True, False]
    for each, other in zip(stopped, whole, strict=True):
        assert each["epochs"] == other["epochs"]
        assert each["test"] == other["test"]
    assert not checkpoint.exists()


@pytest.mark.slow
def test_ctrl_c_within_an_import_is_no_traceback(tmp_path):
    """In a callback, too, as those of Python's own import are, where an exception is printed."""
    (tmp_path / "numpy.py").write_text("""
import os, signal, weakref
class Imported: pass
it = Imported()
callback = weakref.ref(it, lambda _: os.kill(os.getpid(), signal.SIGINT))
del it
raise ImportError("no NumPy at all")
""")
    command = [sys.executable, "-m", "lstm_book", "results"]
    environment = checkout(tmp_path)
    done = subprocess.run(command, env=environment, capture_output=True, preexec_fn=hearing)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


# --- several processes of one training ------------------------------------------------------------


@pytest.mark.slow
def test_torchrun_records_what_one_process_records(tmp_path, loopback):
    """Every network, and the baseline, which one process computes."""
    args = arguments("random-sequence", tmp_path / "two", model="all")
    process = torchrun("-m", "lstm_book", *args)
    assert process.returncode == 0, process.stderr
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    args = arguments("random-sequence", tmp_path / "one", "--engine", "torch", model="all")
    assert run(*args) == 0
    torch.set_num_threads(threads)
    names = [path.name for path in sorted((tmp_path / "one").iterdir())]
    assert len(names) == 4
    assert names == [path.name for path in sorted((tmp_path / "two").iterdir())]
    for name in names:
        two, one = (
            json.loads((tmp_path / n / name).read_text())["runs"][0] for n in ("two", "one")
        )
        assert (two.get("processes"), one.get("processes")) in ((2, 1), (None, None))
        for row, other in zip(two.get("epochs", []), one.get("epochs", []), strict=True):
            assert row == pytest.approx(other, rel=1e-4)
        assert two["test"]["loss"] == pytest.approx(one["test"]["loss"], rel=1e-4)


@pytest.mark.slow
def test_torchrun_says_once_what_is_wrong(tmp_path, loopback):
    """Also where the others are ready long before the first, which alone says it."""
    (tmp_path / "random-sequence-sum-torch-quick.json").write_text("{}")
    late = "import os, time\ntime.sleep(3 * (os.environ.get('RANK') == '0'))\n"
    (tmp_path / "sitecustomize.py").write_text(late)
    wrong = {"--engine=numpy": "several processes need engine 'torch'", "--quiet": "there already"}
    for option, message in wrong.items():
        args = arguments("random-sequence", tmp_path, option)
        process = torchrun("-m", "lstm_book", *args, path=[tmp_path])
        assert process.returncode != 0
        assert words(process.stderr).count(message) == 1


# --- results ------------------------------------------------------------------------------------


def test_results_prints_a_table(tmp_path, capsys):
    for model in ("article", "majority", "bag-of-steps"):
        run(*arguments("stacked", tmp_path, "--seeds", "2", model=model))
    capsys.readouterr()
    assert run("results", "--out", str(tmp_path / "empty")) == 1
    error = words(capsys.readouterr().err)
    assert re.search(
        "make one with python -m lstm_book train RECIPE, or name another.*--out", error
    )
    (tmp_path / "mutants.json").write_text("{}")  # not a record: it is let alone
    assert run("results", "--out", str(tmp_path)) == 0
    title, head, line, *rows = capsys.readouterr().out.splitlines()
    assert title == "stacked, quick: accuracy in % on the test part"
    assert head.split()[0] == "model"
    assert set(line) == {"-", " "}
    assert {row.split()[0] for row in rows if row} == {"article", "majority", "bag-of-steps"}


def test_results_prints_the_records_of_the_project(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # they are found from anywhere
    assert run("results") == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    (rows,) = re.findall(r"^mnist-rows, full: accuracy.*?\n\n", text, re.M | re.S)
    assert re.search(r"^lstm +5 +\d\d\.\d\d ± 0\.\d\d +\d", rows, re.M)
    assert re.search(r"^lstm \(torch\) +5 ", rows, re.M)
    for mean, deviation in re.findall(r"(\d+\.\d\d) ± (\d+\.\d\d) ", text):
        assert float(deviation) <= float(mean) <= 100 - float(deviation)


@pytest.mark.parametrize("path", sorted((ROOT / "results").glob("*-*.json")), ids=lambda p: p.stem)
def test_the_command_of_a_record_makes_such_a_record(path, capsys):
    recorded = records.read(path)
    words = shlex.split(records.command(recorded))
    assert words[:4] == ["python", "-m", "lstm_book", "train"]
    (job,) = command_line.jobs(command_line.parser().parse_args(words[3:]))
    assert job.path.name == path.name
    assert (job.recipe.name, job.model) == (recorded["recipe"], recorded["model"])
    assert (job.scale, job.engine) == (recorded["scale"], recorded["engine"])
    assert job.device == recorded["device"]
    assert {name: job.settings[name] for name in recorded["settings"]} == recorded["settings"]


def test_the_command_names_what_was_set():
    settings = RECIPES["stacked"].settings("lstm", "full", ["lr=0.5", "max_norm=None"])
    made = {"recipe": "stacked", "model": "lstm", "scale": "full", "engine": "torch"}
    assert records.command({**made, "device": "cuda", "settings": settings}) == (
        "python -m lstm_book train stacked --model lstm --scale full --engine torch "
        "--device cuda --set lr=0.5 --set max_norm=None"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shell", "status", "output", "error"),
    [
        ("{} results | head -n 1", 0, "imdb, full", ""),
        ("{} results --out {}/results >/dev/full", 1, "", "No space left"),
        ("{} results >&-", 0, "", ""),
        ("PYTHONIOENCODING=ascii {} results", 0, "imdb, full", ""),
        ("{} train stacked --out $(printf '\\377')/ --set lr=None", 1, "", "lr must be"),
        ("WORLD_SIZE=abc {} results", 1, "", "WORLD_SIZE, which torchrun sets, must be a positive"),
        ("WORLD_SIZE=2 {} results", 1, "", "RANK, which torchrun sets, must be an integer of at"),
        ("WORLD_SIZE=2 RANK=2 {} results", 1, "", "RANK, which torchrun sets, must be at most 1"),
    ],
)
def test_no_terminal_and_no_pipe_ends_in_a_traceback(tmp_path, shell, status, output, error):
    command = shell.format(f"{sys.executable} -m lstm_book", ROOT)
    process = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=checkout(),
    )
    assert process.returncode == status, process.stderr
    assert output in process.stdout
    assert error in words(process.stderr)
    assert "Traceback" not in process.stderr
    assert bool(process.stderr) == bool(error)


# --- whose commit ---------------------------------------------------------------------------------


def test_a_record_names_no_commit_of_somebody_elses(tmp_path, monkeypatch):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x"]
    inside = tmp_path / "inside"
    for package in ("lstm", "book/lstm_book"):
        (inside / package).mkdir(parents=True)
        (inside / package / "__init__.py").write_text("")
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "theirs"], check=True)
    monkeypatch.setattr(records, "ROOT", inside)
    monkeypatch.setattr("lstm.__file__", str(inside / "lstm" / "__init__.py"))
    assert records.commit() is None
    monkeypatch.setattr(records, "ROOT", tmp_path)  # and none where nothing of ours is tracked
    assert records.commit() is None


def test_a_record_names_the_commit_of_this_checkout():
    head = git("rev-parse", "HEAD")
    if not head:
        pytest.skip("this is no checkout")
    assert [records.commit().rstrip("+")] == head


def git(*words):
    process = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True)
    return process.stdout.split() if process.returncode == 0 else None


@cache
def history():
    """Return the commits of this checkout, or None where it has not all of them."""
    whole = git("rev-parse", "--is-shallow-repository") == ["false"]
    return set(git("rev-list", "HEAD")) if whole else None


def commits_of(inside):
    """Yield every commit that a record names, of its runs, too."""
    if isinstance(inside, dict):
        yield from [inside["commit"]] if "commit" in inside else []
    for each in inside.values() if isinstance(inside, dict) else inside:
        if isinstance(each, dict | list):
            yield from commits_of(each)


# Records of experiments that name no commit of this history, or code that was changed since it.
ELSEWHERE = {
    **dict.fromkeys(
        ("longer", "tracking"), "parts ran where there was the code without its history"
    ),
    **dict.fromkeys(
        ("activations", "clipping"), "made before the code was committed; 2 minutes each"
    ),
    **dict.fromkeys(("budget", "rematch"), "their commits were made anew; 5 and 8 minutes"),
    **dict.fromkeys(("data", "remember"), "both of these reasons; 16 and 42 minutes"),
}


@pytest.mark.parametrize(
    "path",
    [*RECORDED, *sorted((ROOT / "results" / "experiments").glob("*.json"))],
    ids=lambda path: path.stem,
)
def test_a_record_names_code_that_can_be_looked_up(path):
    if history() is None:
        pytest.skip("this is no checkout with its history")
    named = set(commits_of(json.loads(path.read_text(encoding="utf-8"))))
    assert (named <= history()) == (path.stem not in ELSEWHERE)


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


@pytest.mark.slow
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


def test_a_reader_of_digits_learns_from_all_and_judges_several_views():
    """A trial sees neither the test part nor, in training, the part that it is measured on."""
    settings = ["train_size=30", "validation_size=20", "hidden_size=4", "epochs=1", "views=3"]
    seen = {}
    for trial in (False, True):
        job = Job(RECIPES["mnist-rows"], "views", overrides=settings, trial=trial)
        task = job.recipe.load(job.settings)
        assert len(task.train.targets) == (30 if trial else 50)
        assert (task.held_out is None) == trial
        model = job.recipe.build(task, job.settings, np.random.default_rng(0))
        seen[trial] = task.outputs(model, task.test, seed=0)
    assert_array_equal(seen[True], seen[False])  # the same views for the same seed
    rng = np.random.default_rng([0, 3])
    pixels = task.test.inputs[0]
    half = Distort(1.0, 0.05, 0.05, 0.5)
    by_hand = [
        np.concatenate(
            [predict(model, half(rng, pixels[i : i + 256])[0]) for i in range(0, 1_000, 256)]
        )
        for _ in range(3)
    ]
    np.testing.assert_allclose(seen[True], np.mean(by_hand, axis=0), rtol=1e-5)
    assert np.abs(seen[True] - predict(model, pixels)).max() > 1e-3


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
