"""One file, whole or not at all, and checked when it is read."""

import contextlib
import io
import itertools
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import lstm
from lstm.checkpoint import (
    CheckpointError,
    differences,
    load_checkpoint,
    save_checkpoint,
)

STATE = {
    "model/weight": np.random.default_rng(0).standard_normal((30, 20)),
    "steps": np.array(7),
    "empty": np.zeros((0, 3), np.float32),
    "info": np.array('{"name": "σ"}'),
}
NO_CHECKPOINT = "is damaged, or no checkpoint"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "run.npz"


def test_what_is_read_is_what_was_written(path):
    save_checkpoint(path, STATE, {"lr": 0.1 + 0.2})
    state = load_checkpoint(path, {"lr": 0.1 + 0.2})
    assert state.keys() == STATE.keys()
    for name, array in state.items():
        assert array.dtype == STATE[name].dtype
        np.testing.assert_array_equal(array, STATE[name])
    assert [file.name for file in path.parent.iterdir()] == ["run.npz"]
    assert set(np.load(path).files) == {*STATE, "belongs_to", "names"}  # a plain file of NumPy's


def test_a_new_file_has_the_rights_that_files_have_here(path):
    save_checkpoint(path, STATE)
    (path.parent / "another").write_text("")
    assert path.stat().st_mode == (path.parent / "another").stat().st_mode


@pytest.mark.parametrize("kind", ["MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"])
def test_every_generator_can_be_saved(path, kind):
    model = lstm.Linear(2, 1, rng=0)
    first, again = (
        lstm.Trainer(
            model,
            lstm.mse_loss,
            lstm.SGD(model.parameters()),
            rng=np.random.Generator(getattr(np.random, kind)(seed)),
        )
        for seed in (3, 4)
    )
    first.rng.random(5)
    save_checkpoint(path, first.state_dict())
    again.load_state_dict(load_checkpoint(path))
    np.testing.assert_array_equal(again.rng.random(99), first.rng.random(99))


@pytest.mark.slow
def test_one_flipped_bit_is_noticed(path):
    """Or it lies where no content is: then what is read is what was written.

    Every bit of the directory at the end, where some let arrays vanish, and some elsewhere.
    """
    save_checkpoint(path, STATE)
    right = path.read_bytes()
    directory = right.index(b"PK\1\2")
    places = [*range(0, directory, 97), *range(directory, len(right))]
    for place, bit in itertools.product(places, range(8)):
        path.write_bytes(content := flipped(right, place, bit))
        with contextlib.suppress(CheckpointError):
            state = load_checkpoint(path)
            assert state.keys() == STATE.keys(), (place, bit)
            assert all(np.array_equal(state[name], STATE[name]) for name in STATE)
    assert path.read_bytes() == content  # left for the user to look at


def flipped(content, place, bit):
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


@pytest.mark.parametrize("size", [0, 10, 100, 1000, -1])
def test_half_a_file_is_noticed(path, size):
    save_checkpoint(path, STATE)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CheckpointError, match=NO_CHECKPOINT):
        load_checkpoint(path)


def test_other_files_are_refused(path):
    with pytest.raises(CheckpointError, match=r"run\.npz could not be read: .*No such file"):
        load_checkpoint(path)
    path.parent.mkdir()
    one_array = io.BytesIO()
    np.save(one_array, np.ones(3))
    pickled, without = io.BytesIO(), io.BytesIO()
    np.savez(pickled, belongs_to=np.array([object()], dtype=object))  # never opened
    np.savez(without, weight=np.ones(3))
    files = [each.getvalue() for each in (one_array, pickled, without)]
    for content in (*files, b"PK", b"\x93NUMPY", b""):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=NO_CHECKPOINT):
            load_checkpoint(path)
    with pytest.raises(CheckpointError, match=r"could not be read: .*Is a directory"):
        load_checkpoint(path.parent)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name here")
def test_a_device_or_a_pipe_is_not_replaced(tmp_path):
    """Whoever may write to /dev would lose it."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match=r"pipe is no file\. Nothing was changed"):
        save_checkpoint(tmp_path / "pipe", STATE)
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x", None), "state must be a mapping of names to arrays, got None"),
        (("x", {"a": np.array([None])}), "state must be a mapping of names to arrays"),
        (("x", {"a": [[1], [1, 2]]}), "state must be a mapping of names to arrays"),
        (("x", {5: np.ones(1)}), "state must have texts as names, got 5"),
        (("x", {"file": np.ones(1)}), "state must be a mapping of names to arrays"),
        (("x", STATE, {1, 2}), "belongs_to must be what JSON can hold, got {1, 2}"),
    ],
)
def test_what_could_not_be_read_again_is_not_written(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        save_checkpoint(*arguments)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_removed_by_a_later_one(path):
    save_checkpoint(path, STATE)
    old, young = (path.with_name(f".{name}.partial") for name in ("old", "young"))
    old.write_text("")
    young.write_text("")  # somebody may be writing it
    os.utime(old, (0, 0))
    save_checkpoint(path, STATE)
    assert set(path.parent.iterdir()) == {path, young}


def test_differences_say_where():
    old = {"a": {"b": 1, "c": [1, 2]}, "gone": 0.5, "same": "x"}
    new = {"a": {"b": 2, "c": [1, 2]}, "same": "x", "new": None, "long": "y" * 100}
    assert list(differences(old, new)) == [
        "a.b was 1, is 2",
        "gone was 0.5, is None",
        f"long was None, is '{'y' * 56}...",
    ]
    assert list(differences(None, {"a": 1})) == ["it was None, is {'a': 1}"]
    assert list(differences(True, 1)) == ["it was True, is 1"]


def test_the_checkpoint_of_another_training_is_refused_and_kept(path):
    save_checkpoint(path, STATE, {"lr": 0.1, "seed": 1})
    content = path.read_bytes()
    with pytest.raises(CheckpointError, match=r"to another training: lr was 0.1, is 0.2. Use what"):
        load_checkpoint(path, {"lr": 0.2, "seed": 1})
    assert path.read_bytes() == content


@pytest.mark.parametrize("step", ["pathlib.Path.open", "os.fsync", "pathlib.Path.replace"])
@pytest.mark.parametrize("first", [True, False])
def test_a_full_disk_keeps_the_old_checkpoint(path, monkeypatch, step, first):
    if not first:
        save_checkpoint(path, STATE)
    before = path.read_bytes() if path.exists() else None

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(step, fail)
    with pytest.raises(CheckpointError, match=r"No space left.* Nothing was changed"):
        save_checkpoint(path, {})
    monkeypatch.undo()
    assert (path.read_bytes() if path.exists() else None) == before
    assert list(path.parent.iterdir()) == [path] * (not first)


@pytest.mark.slow
def test_a_file_size_limit_of_the_system_keeps_the_old_checkpoint(path):
    """The real thing: the kernel refuses to let the file grow, half of it already written."""
    pytest.importorskip("resource", reason="limits are set with Python's resource module")
    save_checkpoint(path, STATE)
    content = path.read_bytes()
    program = (
        "import resource, sys, numpy as np\n"
        "from lstm.checkpoint import save_checkpoint\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "save_checkpoint(sys.argv[1], {'weight': np.ones(100_000)})\n"
    )
    run = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True)
    assert run.returncode == 1
    assert "Nothing was changed" in run.stderr.splitlines()[-1]
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_the_folder_is_forced_to_disk_after_the_file_has_its_name(path, monkeypatch):
    synced, fsync = [], os.fsync

    def note(handle):
        synced.append((str(Path(f"/proc/self/fd/{handle}").readlink()), path.exists()))
        fsync(handle)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc to tell what a handle is")
    monkeypatch.setattr(os, "fsync", note)
    save_checkpoint(path, STATE)
    (file, before), (folder, after) = synced
    assert file.endswith(".partial")
    assert not before
    assert folder == str(path.parent)
    assert after


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "run.npz", tmp_path / ("x" * 300)):
        with pytest.raises(CheckpointError, match="could not be written"):
            save_checkpoint(path, {})
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("path", [5, None, "a\0b", "", b"x", [], "/"])
def test_what_is_no_path_is_refused(path):
    for call in (lambda: save_checkpoint(path, STATE), lambda: load_checkpoint(path)):
        with pytest.raises(ValueError, match="path must be the path of a file, got "):
            call()


def test_a_planted_link_is_not_followed(path, tmp_path, monkeypatch):
    """Not even by somebody who knows under which name the file is written."""
    victim, planted = tmp_path / "victim", path.with_name(".guessed.partial")
    victim.write_text("precious")
    path.parent.mkdir()
    for link in (path, planted):
        link.symlink_to(victim)
    save_checkpoint(path, STATE)
    assert not path.is_symlink()
    monkeypatch.setattr("secrets.token_hex", lambda _: "guessed")
    with pytest.raises(CheckpointError, match="exists"):
        save_checkpoint(path, {})
    assert victim.read_text() == "precious"
    assert planted.is_symlink()  # it may be another's: it is let alone


def test_two_writers_never_leave_half_a_file(path):
    """Each file has one writer's content in both of its arrays."""
    save_checkpoint(path, {"a": np.zeros(9), "b": np.zeros(9)})

    def write(number):
        for _ in range(40):
            save_checkpoint(path, {name: np.full(20_000, number) for name in "ab"})

    writers = [threading.Thread(target=write, args=(number,)) for number in (1.0, 2.0)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        state = load_checkpoint(path)
        assert state["a"][0] == state["b"][-1]
    assert json.loads(str(np.load(path)["belongs_to"])) is None
    assert list(path.parent.iterdir()) == [path]


def test_not_a_number_is_the_same_as_itself(path):
    save_checkpoint(path, STATE, {"lr": float("nan")})
    load_checkpoint(path, {"lr": float("nan")})
