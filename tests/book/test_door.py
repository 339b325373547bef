"""The door: what README and the front page say is so, and make says what is amiss."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from lstm_book import binding
from lstm_book.figures.widgets import files
from lstm_book.press import colab, live, moving, picture, readme, setup
from lstm_book.recipes import RECIPES
from PIL import Image

import lstm
from lstm.equations import EQUATIONS
from tests.book.test_book import HTML
from tests.conftest import ROOT
from tests.lstm import parity

README = (ROOT / "README.md").read_text(encoding="utf-8")
FRONT = (ROOT / "book" / "intro.md").read_text(encoding="utf-8")
FINDINGS = yaml.safe_load((ROOT / "book" / "errata.yml").read_text(encoding="utf-8"))["findings"]
CHAPTERS = sorted((ROOT / "book").glob("[0-9]*.ipynb"))
FIRST = CHAPTERS[0]
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


# ------------------------------------------------------------------------------------- what it says
def facts() -> list[str]:
    """Return what README says, with the counts of today; results are in tests/book/numbers.yml."""
    tested = sum(any("test" in item for item in each["evidence"]) for each in FINDINGS)
    float64 = parity.TOLERANCE[np.float64]
    return [
        f"{len(binding.page_equations(ROOT / 'book'))} numbered equations",
        f"{len(parity.covering('LSTM', strength=3))} configurations, in which any three features "
        f"meet, agree with `torch.nn.LSTM` to {float64['forward']:.0e}, their gradients to "
        f"{float64['gradient']:.0e}",
        f"{len(FINDINGS)} findings in them: {tested} have a test that shows what is wrong, "
        f"the other {len(FINDINGS) - tested} are editorial",
    ]


@pytest.mark.parametrize("fact", facts())
def test_numbers_in_the_readme_are_todays(fact):
    assert fact in " ".join(README.split())


def test_the_surprising_number_is_computed():
    """As it stands there, without a gradient: by a change of the first input."""
    layer = lstm.LSTM(1, 1, dtype=np.float64)
    weights = {name: np.zeros_like(array) for name, array in layer.state_dict().items()}
    weights["weight_ih_l0"][2], weights["weight_hh_l0"][2] = 2, 4  # the candidate's
    layer.load_state_dict(weights)
    at_rest, changed = layer(np.zeros((100, 1)))[0], layer(1e-30 * np.eye(100)[:, :1])[0]
    assert f"{(changed - at_rest)[-1, 0] / 1e-30:.2e}" == "1.36e+17"
    cell = "with a weight of 2 from its input and of 4 from itself"
    changed = "hange the first input by {}, and after 100 steps the output changes {} times as much"
    assert f"{cell}: c{changed.format('10⁻³⁰', '1.36 · 10¹⁷')}" in " ".join(README.split())
    assert (
        r"[$1.36 \cdot 10^{17}$]{.number} “The LSTM solves the exploding gradient”? Take" in FRONT
    )
    assert f"{cell}. C{changed.format('$10^{-30}$', 'that many')}" in FRONT
    assert (ROOT / "book" / "05_what_it_solves.ipynb").is_file()


@pytest.mark.parametrize("address", ["", "https://github.com/somebody/lstm-checked"])
def test_the_readme_of_a_release_needs_no_file_beside_it(address):
    made = readme.portable(README, address)
    targets = re.findall(r"\]\(([^)]+)\)", made)
    assert bool(targets) == bool(address)
    assert all(target.startswith(f"{address}/") for target in targets)
    assert made.count("![") == (README.count("![") if address else 0)
    assert "says how to edit a notebook" in made
    said = readme.ADDRESS.search(readme.CONFIG.read_text(encoding="utf-8"))[1]
    assert said == colab.configured_address()


def test_the_moving_picture_is_of_todays_weights():
    with Image.open(moving.PICTURE) as image:
        assert image.info["comment"].decode() == moving.weights(), (
            "python -m lstm_book.press.moving"
        )
        assert image.n_frames > 10
    assert moving.PICTURE.stat().st_size < 1_000_000
    with Image.open(moving.CARD) as image:
        assert image.size == (1200, 630)
    assert f"({moving.PICTURE.relative_to(ROOT)})" in README


def test_the_first_chapter_is_as_the_front_page_says():
    """Twelve lines of NumPy, in which the import is one; a network of eight cells."""
    assert "six lines, one run by hand, twelve lines of NumPy" in FRONT
    cells = json.loads(FIRST.read_text(encoding="utf-8"))["cells"]
    heading = next(
        n for n, cell in enumerate(cells) if "## Twelve lines" in "".join(cell["source"])
    )
    code = "".join(cells[heading + 1]["source"])
    assert len([line for line in code.splitlines() if line.strip()]) == 12 - 1
    assert "import" not in code
    assert "each of its eight cells" in " ".join(README.split())
    assert "This network has eight cells" in binding.page_text(FIRST)
    weights = files.read_data(ROOT / "book" / "assets" / "widgets" / "data" / "reviews.js")[
        "weights"
    ]
    assert weights["U"]["shape"] == [4 * 8, 8]


def test_the_chapters_that_run_in_the_page_end_with_training():
    assert "chapters up to {numref}`%s <ch-training>`" in " ".join(FRONT.split())
    assert "(ch-training)=" in binding.page_text(max((ROOT / "book").glob(live.CHAPTERS)))


def test_equations_stand_where_the_page_of_checks_says():
    text = (ROOT / "book" / "how_checked.md").read_text(encoding="utf-8")
    modules = {equation.__module__ for equation in EQUATIONS.values()}
    homes = {re.sub(r"(lstm\.equations)\..*", r"\1", module) for module in modules}
    assert homes == {"lstm.equations", "lstm.losses", "lstm.optim", "lstm_book.statistics"}
    assert all(f"`{home}`" in text for home in homes)


@pytest.mark.parametrize("text", [README, FRONT], ids=["README", "front page"])
def test_nobody_is_accused_at_the_door(text):
    """What one gets comes first: the articles come after the facts."""
    assert not re.search("article|wrong|mistake", text[: len(text) // 8])


def test_only_an_editorial_finding_has_no_test():
    kinds = {each["kind"] for each in FINDINGS if not any("test" in i for i in each["evidence"])}
    assert kinds == {"editorial"}


def test_recipes_in_the_readme_exist():
    named = re.findall(r"-m lstm_book train ([a-z]\S+)(?: --model (\S+))?", README)
    assert len(named) >= 3
    for recipe, model in named:
        assert recipe in RECIPES
        assert not model or model in RECIPES[recipe].models


def python_blocks(text: str) -> str:
    """Return the Python that a document shows, as one program."""
    return "\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))


def test_the_front_page_says_what_its_program_prints(capsys):
    code = python_blocks(FRONT)
    exec(code, {})
    assert capsys.readouterr().out == re.search(r"print\(.*\)  # (.*\n)", code)[1]


def test_weights_move_either_way():
    """What README shows moves the weights, and does not only run."""
    lstm_torch, torch = pytest.importorskip("lstm.torch"), pytest.importorskip("torch")
    names = {"lstm": sys.modules["lstm"], "np": np, "torch": torch}
    exec(python_blocks(README), names)
    for name, array in names["layer"].state_dict().items():
        np.testing.assert_array_equal(names["theirs"].state_dict()[name].numpy(), array)
    assert type(names["theirs"]) is torch.nn.LSTM
    assert lstm_torch is names["lstm"].torch


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_is_as_the_front_page_says(path):
    """It says what it needs; each exercise that is not open has a solution; all is compared."""
    text = binding.page_text(path)
    assert "**You need**" in text[:3000]
    assert text.index("## Exercises") < text.index("{exercise}")
    exercises = re.findall(r"\{exercise\} ?(.*)\n:label: (\S+)", text)
    solved = re.findall(r"\{solution-start\} (\S+)\n:class: dropdown", text)
    assert [label for title, label in exercises if label not in solved and title != "open"] == []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        tags = cell["metadata"].get("tags", [])
        assert "nbval-skip" not in tags
        # What is not compared is a progress bar.
        assert "nbval-ignore-output" not in tags or not [
            output for output in cell["outputs"] if output.get("name") != "stderr"
        ]


def test_the_table_of_folders_has_all_of_them():
    tracked = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    folders = {name.split("/")[0] for name in tracked if "/" in name and name[0] != "."}
    listed = re.findall(r"^\| `(\w+)/` \|", README, re.MULTILINE)
    assert set(listed) == folders


@pytest.mark.book
def test_the_picture_is_todays():
    _, section, contents = picture.found(HTML)
    with Image.open(picture.PICTURE) as image:
        shown = image.text[picture.WORDS]
    assert shown == picture.words(section, contents), "run: python -m lstm_book.press.picture"


# ------------------------------------------------------------------------------------------- make
def make(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess:
    """Run make in a folder that has this project's Makefile."""
    shutil.copyfile(ROOT / "Makefile", folder / "Makefile")
    command = ["make", "--no-print-directory", *words]
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        command, cwd=folder, env=env | environment, capture_output=True, text=True
    )


@pytest.fixture
def project(tmp_path) -> Path:
    """Return a folder with what set-up reads."""
    for name in ("requirements.txt", "pyproject.toml", "book/pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    script = tmp_path / "book" / "lstm_book" / "press" / "setup.py"
    script.parent.mkdir(parents=True)
    shutil.copyfile(setup.__file__, script)
    return tmp_path


@needs_make
def test_help_names_every_target():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: help (.*)$", text, re.MULTILINE)[1].split())
    run = subprocess.run(["make", "-C", ROOT], capture_output=True, text=True, check=True)
    assert set(re.findall(r"^  make (\w+) ", run.stdout, re.MULTILINE)) == targets


@needs_make
def test_clean_removes_what_was_built_and_nothing_else(tmp_path):
    kept = ["book", "a book", "two\nlines", "-rf", "*", "$(HOME)", "elsewhere"]
    for name in kept:
        for inner in ("", ".ipynb_checkpoints", "__pycache__/deep"):
            (tmp_path / name / inner).mkdir(parents=True)
            (tmp_path / name / inner / "chapter.ipynb").write_text("text", encoding="utf-8")
    (tmp_path / "_build").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "book" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere" / "__pycache__" / "link").symlink_to(tmp_path / "book")
    (tmp_path / "two words.egg-info").mkdir()
    (tmp_path / ".venv" / "__pycache__").mkdir(parents=True)
    run = make(tmp_path, "clean")
    assert run.returncode == 0, run.stderr
    assert all((tmp_path / name / "chapter.ipynb").exists() for name in kept)
    assert (tmp_path / ".venv" / "__pycache__").exists()
    left = {path.name for path in tmp_path.rglob("*") if ".venv" not in path.parts}
    assert left == {*kept, "chapter.ipynb", "Makefile", "link"}


@needs_make
def test_another_package_on_the_path_is_not_taken(project):
    (project / ".venv" / "bin").mkdir(parents=True)
    python = project / ".venv" / "bin" / "python"
    python.write_text('#!/bin/sh\necho "[$PYTHONPATH$PYTHONHOME] $*"\n', encoding="utf-8")
    python.chmod(0o755)
    (project / ".venv" / "lab.ready").touch()
    run = make(project, "bench", PYTHONPATH="/elsewhere", PYTHONHOME="/elsewhere")
    assert run.stdout == "[] -m benchmarks\n"


@needs_make
def test_set_up_says_that_there_is_no_python(project):
    run = make(project, "book", "PYTHON=no-such-python")
    assert "'no-such-python' does not run here: install Python 3.11" in run.stderr


@needs_make
def test_set_up_says_that_the_folder_cannot_be_written(project):
    (project / "_build").touch()  # a folder that even root cannot write in
    run = make(project, "book", f"PYTHON={sys.executable}")
    assert run.returncode
    assert "This folder cannot be written" in run.stderr
    assert "Traceback" not in run.stderr


# ------------------------------------------------------------------------------------------ set-up
@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        ("ERROR: [Errno 28] No space left on device", "The disk is full"),
        ("OSError: [Errno 30] Read-only file system: '.venv'", "cannot be written"),
        ("Error: [Errno 13] Permission denied: '.venv'", "cannot be written"),
        ("not created because ensurepip is not\navailable.", "apt install python3-venv"),
        ("/usr/bin/python3: No module named venv", "apt install python3-venv"),
        ("Failed to establish a new connection: [Errno -3] Temporary failure in name resolution",
         "index cannot be reached"),
        ("Read timed out.", "index cannot be reached"),
        ("ERROR: No matching distribution found for numpy==2.4.6", "The set-up failed"),
    ],
)  # fmt: skip
def test_cause_of_a_failure(log, sentence):
    assert sentence in setup.cause(log)


def test_an_old_python_is_told_so(monkeypatch):
    monkeypatch.setattr(setup, "OLDEST", (9, 0))
    with pytest.raises(setup.SetupError, match=r"Python 9\.0 or newer is needed"):
        setup.install("book", cuda=False)


DEFAULT = "torch (2.15.0)\nAvailable versions: 2.15.0, 2.13.0, 2.12.1\n"
PROCESSORS = "torch (2.15.0)\nAvailable versions: 2.15.0, 2.13.0+cpu, 2.13.0, 2.12.1+cpu\n"
INSTALLED = f"{DEFAULT}  INSTALLED: 2.13.0\n  LATEST:    2.15.0\n"


@pytest.mark.parametrize(
    ("versions", "brings"),
    [(DEFAULT, True), (PROCESSORS, False), (INSTALLED, False), ("", False)],
    ids=["default index", "index for CPUs", "installed", "no network"],
)
def test_which_pytorch_pip_would_take(versions, brings):
    assert setup.brings_cuda(versions, "2.13.0") is brings


@pytest.fixture
def steps(project, monkeypatch) -> list[str]:
    """Record the steps of a set-up in a folder of its own, where pip sees the default index."""
    ran = []
    python = project / "python"
    python.write_text(f"#!/bin/sh\nprintf '%s' '{DEFAULT}'\n", encoding="utf-8")
    python.chmod(0o755)
    (project / ".venv").mkdir()
    pinned = "torch==2.13.0\n"
    (project / "requirements.txt").write_text(pinned, encoding="utf-8")
    monkeypatch.setattr(setup, "ROOT", project)
    monkeypatch.setattr(setup, "VENV", project / ".venv")
    monkeypatch.setattr(setup, "PYTHON", python)
    monkeypatch.setattr(setup, "run", lambda *words: ran.append(" ".join(map(str, words))))
    return ran


@pytest.mark.parametrize("part", ["lab", "test"])
def test_gigabytes_are_not_fetched_unasked(part, steps, project, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(setup.SetupError, match=r"3 GB to\s+download(.|\n)*CUDA=yes"):
        setup.install(part, cuda=False)
    assert not any("pip install" in step for step in steps)
    assert list((project / ".venv").iterdir()) == []  # it will be asked again


@pytest.mark.parametrize(
    ("part", "cuda", "platform"),
    [("book", False, "linux"), ("lab", True, "linux"), ("lab", False, "darwin")],
    ids=["a reader", "asked for", "macOS"],
)
def test_set_up_goes_on(part, cuda, platform, steps, project, monkeypatch):
    monkeypatch.setattr(sys, "platform", platform)
    setup.install(part, cuda)
    assert f"--editable book[{part}]" in " ".join(steps)
    assert (project / ".venv" / f"{part}.ready").exists()
