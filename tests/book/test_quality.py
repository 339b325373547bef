"""Gates that keep the project clean: notebooks, tracked files, pins, README."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml
from lstm_book.press import colab

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")]
MEGABYTE = 1_000_000
CELL_OUTPUT_LIMIT = 200_000  # a chart is in it twice, once for a phone
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}

# A folder of somebody's machine, as it would stand in an output or a link.
MACHINE_PATH = re.compile(r"(?<![\w.~])/(?:home|Users|root|work|tmp)/\w|[A-Z]:\\Users")
NETWORK = re.compile(
    r"\b(?:urllib|requests|httpx|pooch|socket|ftplib|urlretrieve|http\.client)\b"
    r"""|\bload_\w+\([^)]*["']full["']"""
    r"|^\s*[%!]\s*(?:pip|conda|curl|wget)\b",
    re.MULTILINE,
)

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)


@cache
def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def code_cells(path: Path) -> list[dict]:
    return [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]


def outputs(path: Path):
    """Yield (cell, output) of every output of a notebook."""
    for cell in code_cells(path):
        for output in cell["outputs"]:
            yield cell, output


def tags(cell: dict) -> set[str]:
    return set(cell["metadata"].get("tags", []))


def source(cell: dict) -> str:
    return "".join(cell["source"])


# ------------------------------------------------------------------------------------- notebooks
@each_notebook
def test_every_cell_was_run_once_in_order(path):
    cells = code_cells(path)
    if cells[0].get("id") == colab.CELL and not cells[0]["execution_count"]:
        cells = cells[1:]  # written by book/lstm_book/press/colab.py after the run
    counts = [cell["execution_count"] for cell in cells]
    assert counts == list(range(1, len(counts) + 1)), f"run: make outputs NB=book/{path.name}"


@each_notebook
def test_errors_are_intended(path):
    errors = [
        f"{output['ename']}: {output['evalue']}"
        for cell, output in outputs(path)
        if output["output_type"] == "error" and "raises-exception" not in tags(cell)
    ]
    assert errors == []


@each_notebook
def test_nothing_is_said_on_stderr(path):
    """A warning is something to mend; a progress bar stands in a cell tagged for it."""
    said = [
        "".join(output["text"])
        for cell, output in outputs(path)
        if output.get("name") == "stderr" and "nbval-ignore-output" not in tags(cell)
    ]
    assert said == []


@each_notebook
def test_no_output_holds_a_role(path):
    """In an output nothing resolves it: it would stand on the page as it was typed."""
    shown = json.dumps([output for _, output in outputs(path)], ensure_ascii=False)
    assert re.findall(r"\{(?:ref|eq|numref)\}`[^`]*`", shown) == []


@each_notebook
def test_pictures_have_text_alternatives(path):
    """A bare image has none: lstm_book.figures.plots.show gives one, and follows a dark page."""
    bare = [
        source(cell)
        for cell, output in outputs(path)
        if any(kind.startswith("image/") for kind in output.get("data", {}))
    ]
    assert bare == []


@each_notebook
def test_notebook_is_small(path):
    assert path.stat().st_size <= MEGABYTE
    large = {
        source(cell): size
        for cell in code_cells(path)
        if (size := len(json.dumps(cell["outputs"], ensure_ascii=False))) > CELL_OUTPUT_LIMIT
    }
    assert large == {}


@each_notebook
def test_notebook_holds_no_trace_of_the_machine(path):
    metadata = read(path)["metadata"]
    assert metadata == {"kernelspec": KERNELSPEC, "language_info": {"name": "python"}}
    assert {key for cell in read(path)["cells"] for key in cell["metadata"]} <= {"tags"}


@each_notebook
def test_notebook_needs_no_network(path):
    found = [match for cell in code_cells(path) for match in NETWORK.findall(source(cell))]
    assert found == []


@each_notebook
def test_a_finding_is_led_to_by_its_role(path):
    """A link written by hand would be no error when its finding goes; an output's is the code's."""
    assert [c for c in read(path)["cells"] if 'href="ledger.html' in source(c)] == []


def test_every_page_is_in_the_table_of_contents():
    def files(node):
        if isinstance(node, dict):
            yield from (node[key] for key in ("root", "file") if key in node)
            for value in node.values():
                yield from files(value)
        elif isinstance(node, list):
            for value in node:
                yield from files(value)

    listed = list(files(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))))
    pages = [p for p in (ROOT / "book").rglob("*") if p.suffix in {".ipynb", ".md"}]
    there = {
        str(page.relative_to(ROOT).with_suffix(""))
        for page in pages
        if ".ipynb_checkpoints" not in page.parts
    }
    assert len(listed) == len(set(listed))
    assert set(listed) == there | {"genindex"}  # which Sphinx writes


# ---------------------------------------------------------------------------------- tracked files
@cache
def tracked() -> list[Path]:
    try:
        listing = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout: which files are tracked is not known")
    return [ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file()]


def test_no_large_file_is_tracked():
    assert [path.name for path in tracked() if path.stat().st_size > MEGABYTE] == []


def test_no_tracked_text_names_a_folder_of_a_machine():
    found = {}
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if matches := MACHINE_PATH.findall(text):
            found[path.name] = matches
    assert found == {}


def test_text_is_read_and_written_as_utf_8():
    """Some systems have another default."""
    before = {"read_text": 0, "write_text": 1}  # how many arguments stand before the encoding
    found = []
    for path in [each for each in tracked() if each.suffix == ".py" and "tests" not in each.parts]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                named = any(each.arg == "encoding" for each in node.keywords)
                if not named and len(node.args) <= before.get(node.func.attr, -1):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []


# ------------------------------------------------------------------------------ pins and metadata
def pins() -> dict[str, str]:
    """Return name -> version of the requirements that apply to this system."""
    result = {}
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        requirement = line.partition("#")[0].strip()
        if not requirement:
            continue
        match = re.fullmatch(r"([\w.-]+)==([\w.]+)(?:; sys_platform == \"(\w+)\")?", requirement)
        assert match, f"not an exact pin: {line}"
        name, version, platform = match.groups()
        if platform in (None, sys.platform):
            result[name] = version
    return result


def test_installed_packages_are_the_pinned_ones():
    installed = {name: importlib.metadata.version(name).partition("+")[0] for name in pins()}
    assert installed == pins()


# --------------------------------------------------------------------------------------- documents
@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_the_documents_exist(path):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    text = path.read_text(encoding="utf-8")
    shown = "".join(re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)\b(?=[^\n]*[`\n])", shown))
    named |= set(re.findall(r"`make ([a-z]+)[^`]*`", text))
    assert named, f"{path.name} names no make command"
    assert named <= targets
