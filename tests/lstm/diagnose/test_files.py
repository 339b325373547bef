"""Files as people publish them, from the command line: verdict, name, exit status."""

from __future__ import annotations

import json
import re

import pytest

from lstm.__main__ import main
from lstm.diagnose import wiring
from lstm.diagnose.files import FAILED, NO, YES, examine_file
from tests.lstm.diagnose.programs import COLUMNS, COURSE, LAYERS, PROGRAMS, SIGMOID, changed


@pytest.mark.parametrize("name", PROGRAMS)
def test_published_programs(name, tmp_path):
    program, what, right, names = PROGRAMS[name]
    path = tmp_path / "homework.py"
    path.write_text(SIGMOID + program, encoding="utf-8")
    answer = examine_file(path, what, None)
    assert answer["status"] == (YES if right else NO), answer["text"]
    assert names in answer["text"]
    assert answer["mistakes"] == [] if right else answer["findings"]
    assert max(map(len, answer["text"].splitlines())) <= 88
    assert len(answer["text"].splitlines()) <= 25


def test_two_layers_are_soon_unknown(tmp_path, monkeypatch):
    """Which of so many blocks follow from others is not asked: it took eleven seconds."""
    asked, follows = [], wiring.follows

    def counted(target, others, *rest):
        asked.append(len(others))
        return follows(target, others, *rest)

    monkeypatch.setattr(wiring, "follows", counted)
    path = tmp_path / "homework.py"
    path.write_text(SIGMOID + LAYERS, encoding="utf-8")
    assert examine_file(path, "Stacked", None)["verdict"].startswith("unknown")
    assert max(asked, default=0) < 16


def diagnosed(capsys, path, *options):
    status = main(["diagnose", str(path), *options])
    return status, capsys.readouterr().out


@pytest.mark.slow
def test_command_line(tmp_path, capsys):
    path = tmp_path / "homework.py"
    reads = "text = open('no such file').read()\nprint('hello')\nfor _ in iter(int, 1): pass\n"
    path.write_text(SIGMOID + COLUMNS + reads, encoding="utf-8")
    status, shown = diagnosed(capsys, path)
    assert status == YES
    assert "An LSTM." in shown
    assert "FileNotFoundError" in shown
    assert "process of its own" in shown
    assert re.search(r"Examined in \d+\.\d s, after \d+\.\d s for the file", shown)
    wrong = changed(COURSE, "prev_c + i * g", "prev_c + i + g")
    path.write_text(SIGMOID + wrong, encoding="utf-8")
    status, shown = diagnosed(capsys, f"{path}:step_forward", "--json")
    answer = json.loads(shown)
    assert status == answer["status"] == NO
    assert "i + g for i g" in answer["mistakes"]
    assert answer["state_dict"]["bias_hh_l0"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def step(x, h, c, W):\n    while True: pass", "stopped after 3 seconds"),
        ("def step(x, h, c, W):\n    import os; os._exit(3)", "the process ended"),
        ("def nothing():\n    return 1", "could be called as an LSTM"),
        ("def step(:", "SyntaxError"),
    ],
)
def test_what_cannot_be_examined(text, says, tmp_path, capsys):
    path = tmp_path / "homework.py"
    path.write_text(text, encoding="utf-8")
    seconds = "3" if says.startswith("stopped") else "300"  # a busy machine is slow to begin
    status, shown = diagnosed(capsys, path, "--seconds", seconds)
    assert status == FAILED
    assert says in shown


def test_a_file_that_is_not_there(capsys):
    assert main(["diagnose", "nowhere.py"]) == FAILED
    assert "FILE must be" in capsys.readouterr().err
