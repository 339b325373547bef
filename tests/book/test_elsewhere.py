"""The notebooks elsewhere: alone in an empty folder, on Binder and Colab, and no dead buttons."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from lstm_book.press import colab
from lstm_book.sphinx import address
from nbclient import NotebookClient
from traitlets.config import Config

from tests.book.test_book import HTML, WRITTEN
from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
CHEAP = ROOT / "book" / "01_five_articles.ipynb"  # it reads the list of errata
GITHUB = "https://github.com/somebody/lstm-checked"
# What a chapter would read from the repository around it.
AROUND = re.compile(r"""["']\.\./|\bgetcwd\b|\bPath\.cwd\b|\b__file__\b|\bbook/|\bsys\.path\b""")

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code(path: Path) -> list[str]:
    """Return the source of every code cell."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@cache
def providers_of_modules() -> dict[str, list[str]]:
    """Return the packages that bring each module."""
    return dict(metadata.packages_distributions())


@cache
def declared(extra: str) -> set[str]:
    """Return the modules that come with an extra of the package, those of its extras too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    modules = {"lstm", "IPython"}  # which ipykernel brings
    providers = providers_of_modules()
    for requirement in [*project["dependencies"], *project["optional-dependencies"][extra]]:
        name = re.match(r"[\w.-]+", requirement)[0]
        if name == project["name"]:
            for inner in re.search(r"\[(.*)\]", requirement)[1].split(","):
                modules |= declared(inner)
        modules |= {
            module
            for module, packages in providers.items()
            if name.lower().replace("-", "_") in {p.lower().replace("-", "_") for p in packages}
        }
    return modules


@each_notebook
def test_a_chapter_imports_what_its_installation_brings(path):
    imported = set()
    for source in code(path):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.partition(".")[0])
    assert imported - declared("chapters") - sys.stdlib_module_names == set()


@each_notebook
def test_a_chapter_reads_nothing_around_it(path):
    found = [match for source in code(path) for match in AROUND.findall(source)]
    assert found == [], "read it with lstm_book.checkout.bundled"


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """Install the package, not editable, into an empty folder."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in ("lstm", "results", "benchmarks", "book", "pyproject.toml", "README.md", "LICENSE"):
        path = ROOT / name
        copy = shutil.copytree if path.is_dir() else shutil.copyfile
        copy(path, source / name)
    shutil.copyfile(ROOT / "_toc.yml", source / "_toc.yml")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--no-index", "--target", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return target


def printed(cell: nbformat.NotebookNode) -> list[str]:
    """Return what a cell printed."""
    return [output.text for output in cell.get("outputs", []) if output.output_type == "stream"]


def test_a_notebook_runs_alone(installed, tmp_path, monkeypatch):
    shutil.copyfile(CHEAP, tmp_path / CHEAP.name)
    notebook = nbformat.read(tmp_path / CHEAP.name, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("import lstm; print(lstm.__file__)"))
    monkeypatch.setenv("PYTHONPATH", str(installed))
    ipc = Config(KernelManager={"transport": "ipc", "ip": str(tmp_path / "kernel")})
    NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}, config=ipc
    ).execute()
    assert notebook.cells[-1].outputs[0].text.startswith(str(installed))
    stored = nbformat.read(CHEAP, as_version=4)
    assert [printed(cell) for cell in notebook.cells[:-1]] == [printed(c) for c in stored.cells]


def test_binder_installs_the_pinned_pytorch():
    pinned = re.search(r"^torch==(.*)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)[1]
    environment = yaml.safe_load((ROOT / ".binder" / "environment.yml").read_text())
    assert f"pytorch-cpu={pinned}" in environment["dependencies"]
    assert (ROOT / ".binder" / "postBuild").stat().st_mode & 0o111


# ------------------------------------------------------------------------ the repository's address
@each_notebook
def test_a_notebook_installs_the_package_from_the_address(path):
    notebook = nbformat.read(path, as_version=4)
    stored = list(notebook.cells)
    colab.set_cell(notebook, colab.configured_address())
    assert notebook.cells == stored, "run: python -m lstm_book.press.colab"


def test_the_cell_that_installs_comes_first_once_and_goes_again():
    stored, notebook = (nbformat.read(CHEAP, as_version=4) for _ in range(2))
    colab.set_cell(stored, "")
    colab.set_cell(notebook, "https://old.example/book")
    colab.set_cell(notebook, GITHUB)
    nbformat.validate(notebook)
    found = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert f'ADDRESS = "{GITHUB}"' in found[0]
    assert found[1:] == [cell.source for cell in stored.cells if cell.cell_type == "code"]
    ran = []
    shell = SimpleNamespace(run_line_magic=lambda *words: ran.append(words))
    exec(found[0], {"get_ipython": lambda: shell})
    assert ran == []  # the package is here
    exec(found[0].replace('"lstm"', '"no_such_package"'), {"get_ipython": lambda: shell})
    assert ran == [("pip", f"install -q 'lstm-checked[chapters] @ git+{GITHUB}'")]
    colab.set_cell(notebook, "")
    assert notebook.cells == stored.cells


def test_without_an_address_there_is_no_button_to_it():
    options = address.options("")
    assert options["launch_buttons"] == {}
    assert not any(options[name] for name in address.BUTTONS)


def test_colab_opens_nothing_but_github():
    assert address.options(GITHUB)["launch_buttons"]["colab_url"]
    assert not address.options("https://gitlab.com/somebody/book")["launch_buttons"]["colab_url"]


def buttons(page: BeautifulSoup) -> list[str]:
    """Return where the buttons above a page lead."""
    return [link["href"] for link in page.select(".article-header-buttons a[href]")]


@pytest.mark.book
@pytest.mark.skipif(not WRITTEN, reason="the book is not built: make book")
@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_buttons_of_a_built_page(path):
    configured = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    found = buttons(BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser"))
    notebook = (ROOT / "book" / f"{path.stem}.ipynb").exists()
    assert f"../_sources/book/{path.stem}.{'ipynb' if notebook else 'md'}" in found
    assert (HTML / "_sources" / "book" / f"{path.stem}.{'ipynb' if notebook else 'md'}").exists()
    elsewhere = [link for link in found if link.startswith("http")]
    assert bool(elsewhere) == bool(configured)


def test_with_an_address_a_chapter_opens_on_binder_and_colab(tmp_path):
    """A book of two pages, built with the project's own configuration and an address."""
    shutil.copytree(ROOT / "book", tmp_path / "book", ignore=shutil.ignore_patterns("*.ipynb"))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A chapter")])
    nbformat.write(notebook, tmp_path / "book" / "01_chapter.ipynb")
    (tmp_path / "book" / "first.md").write_text("# First\n")
    toc = {"format": "jb-book", "root": "book/first", "chapters": [{"file": "book/01_chapter"}]}
    (tmp_path / "_toc.yml").write_text(yaml.safe_dump(toc))
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    config["repository"]["url"] = f"{GITHUB}/"
    (tmp_path / "_config.yml").write_text(yaml.safe_dump(config))
    command = [str(Path(sys.executable).parent / "jupyter-book"), "build", str(tmp_path)]
    subprocess.run([*command, "-q", "-W", "-n"], check=True, capture_output=True)
    built = tmp_path / "_build" / "html" / "book"
    pages = {name: BeautifulSoup((built / f"{name}.html").read_text(), "html.parser") for name in
             ("first", "01_chapter")}  # fmt: skip
    found = buttons(pages["01_chapter"])
    place = "somebody/lstm-checked"
    file = "book/01_chapter.ipynb"
    assert f"https://mybinder.org/v2/gh/{place}/main?urlpath=lab/tree/{file}" in found
    assert f"https://colab.research.google.com/github/{place}/blob/main/{file}" in found
    assert f"{GITHUB}/edit/main/{file}" in found
    assert GITHUB in found
    assert f"{GITHUB}/blob/main/{file}" in " ".join(found)
    assert not any("mybinder" in link for link in buttons(pages["first"]))  # not a notebook
