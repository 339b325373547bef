"""One file, whole or not at all, and checked when it is read."""

import os
import subprocess
import sys

import numpy as np
import pytest

from lstm.checkpoint import CheckpointError, load_checkpoint, save_checkpoint

ARRAYS = {
    "model/weight": np.random.default_rng(0).standard_normal((30, 20)),
    "steps": np.int64(7),
    "empty": np.zeros((0, 3), np.float32),
}
DAMAGED = r"is damaged: its checksum is wrong|is not a checkpoint of this package"
INFO = {"history": [{"loss": 0.1 + 0.2}], "rng": np.random.PCG64(1).state, "name": "σ"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "run.ckpt"


def test_what_is_read_is_what_was_written(path):
    save_checkpoint(path, ARRAYS, INFO)
    arrays, info = load_checkpoint(path)
    assert info == INFO
    assert arrays.keys() == ARRAYS.keys()
    for name, array in arrays.items():
        assert array.dtype == np.asarray(ARRAYS[name]).dtype
        np.testing.assert_array_equal(array, ARRAYS[name])
    assert [file.name for file in path.parent.iterdir()] == ["run.ckpt"]


@pytest.mark.parametrize("kind", ["MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"])
def test_every_generator_can_be_saved(path, kind):
    generator = np.random.Generator(getattr(np.random, kind)(3))
    generator.standard_normal(5)
    save_checkpoint(path, {}, {"rng": generator.bit_generator.state})
    again = np.random.Generator(getattr(np.random, kind)(4))
    again.bit_generator.state = load_checkpoint(path)[1]["rng"]
    np.testing.assert_array_equal(again.random(99), generator.random(99))


@pytest.mark.parametrize("place", [0, 30, 100, -1])
def test_one_flipped_bit_is_noticed(path, place):
    save_checkpoint(path, ARRAYS, INFO)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=DAMAGED):
        load_checkpoint(path)
    assert path.read_bytes() == content  # left for the user to look at


@pytest.mark.parametrize("size", [0, 10, 18, 60, 90, 1000, -1])
def test_half_a_file_is_noticed(path, size):
    save_checkpoint(path, ARRAYS, INFO)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CheckpointError, match=DAMAGED):
        load_checkpoint(path)


def test_other_files_are_refused(path):
    with pytest.raises(CheckpointError, match=r"run\.ckpt could not be read .*No such file"):
        load_checkpoint(path)
    path.parent.mkdir()
    path.write_bytes(b"PK")
    with pytest.raises(CheckpointError, match="is not a checkpoint of this package"):
        load_checkpoint(path)
    with pytest.raises(CheckpointError, match=r"could not be read"):
        load_checkpoint(path.parent)


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_full_disk_keeps_the_old_checkpoint(path, monkeypatch, step):
    save_checkpoint(path, ARRAYS, INFO)
    content = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    elif step == "replace":
        monkeypatch.setattr("pathlib.Path.replace", fail)
    else:
        monkeypatch.setattr("pathlib.Path.open", fail)
    with pytest.raises(CheckpointError, match=r"No space left.*last good checkpoint is unchanged"):
        save_checkpoint(path, {}, {})
    monkeypatch.undo()
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_a_file_size_limit_of_the_system_keeps_the_old_checkpoint(path):
    """The real thing: the kernel refuses to let the file grow, half of it already written."""
    pytest.importorskip("resource", reason="limits are set with Python's resource module")
    save_checkpoint(path, ARRAYS, INFO)
    content = path.read_bytes()
    program = (
        "import resource, sys, numpy as np\n"
        "from lstm.checkpoint import save_checkpoint\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "save_checkpoint(sys.argv[1], {'weight': np.ones(100_000)}, {})\n"
    )
    run = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True)
    assert run.returncode == 1
    assert "last good checkpoint is unchanged" in run.stderr.splitlines()[-1]
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="could not be written"):
        save_checkpoint(tmp_path / "file" / "run.ckpt", {}, {})


def test_what_a_killed_process_left_is_cleared_away(path):
    path.parent.mkdir()
    (path.parent / "run.ckpt.partial").write_bytes(b"half")
    save_checkpoint(path, ARRAYS, INFO)
    assert list(path.parent.iterdir()) == [path]
    load_checkpoint(path)
