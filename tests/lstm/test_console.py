"""The command line ends with a sentence and a status, whatever the system does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lstm.__main__ import main
from lstm.console import exit_status


def stopped(error):
    def run():
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ValueError("x must be 1, got 2"), 1, "program: x must be 1, got 2\n"),
        (MemoryError(), 1, "program: MemoryError\n"),
        (KeyboardInterrupt(), 128 + signal.SIGINT, ""),
    ],
)
def test_what_stops_a_program_is_said(error, status, message, capsys):
    assert exit_status("program", stopped(error)) == status
    assert capsys.readouterr().err == message


def test_a_status_of_its_own_stays():
    assert exit_status("program", lambda: 2) == 2
    assert exit_status("program", lambda: None) == 0


def test_a_message_fits_the_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    exit_status("program", stopped(OSError("a long story " * 20)))
    assert max(map(len, capsys.readouterr().err.splitlines())) <= 40


@pytest.mark.parametrize("seconds", ["nan", "0", "-1", "inf"])
def test_a_time_limit_is_a_number_of_seconds(seconds, capsys):
    assert main(["diagnose", __file__, f"--seconds={seconds}"]) == 1
    assert "--seconds must be a number in (0, 1e6], got " in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no disk that is always full")
def test_a_full_disk_and_a_closed_pipe_are_no_tracebacks():
    command = [sys.executable, "-m", "lstm", "check"]
    how = {"stderr": subprocess.PIPE, "text": True, "check": False}
    how["env"] = os.environ | {"PYTHONUNBUFFERED": ""}  # what is printed waits for the end
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, **how)
    assert (done.returncode, done.stderr) == (
        1,
        "python -m lstm: [Errno 28] No space left on device\n",
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, **how)
    os.close(writer)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")
