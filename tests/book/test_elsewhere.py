"""The notebooks elsewhere: alone in an empty folder, on Binder and Colab, and no dead buttons."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import yaml
from bs4 import BeautifulSoup
from lstm_book.press import colab, execute
from lstm_book.sphinx import address, site
from nbclient import NotebookClient
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pybtex.database import parse_string
from traitlets.config import Config

from tests.book.test_book import HTML, WRITTEN
from tests.book.test_quality import pins
from tests.conftest import ROOT, checkout

PROJECTS = {
    "lstm-checked": ROOT / "pyproject.toml",
    "lstm-book": ROOT / "book" / "pyproject.toml",
}
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
CHEAP = ROOT / "book" / "17_five_articles.ipynb"  # it reads the list of errata
GITHUB = "https://github.com/somebody/lstm-checked"
# What a chapter would read from the repository around it.
AROUND = re.compile(r"""["']\.\./|\bgetcwd\b|\bPath\.cwd\b|\b__file__\b|\bbook/|\bsys\.path\b""")

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code(path: Path) -> list[str]:
    """Return the source of every code cell but the one that installs."""
    cells = nbformat.read(path, as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == "code" and cell.id != colab.CELL]


def brought(name: str, *extras: str) -> set[str]:
    """Return the packages that come with a package, those of its extras too."""
    if name not in PROJECTS:
        return {canonicalize_name(name)}
    project = tomllib.loads(PROJECTS[name].read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for extra in extras for line in optional[extra])]
    needed = [Requirement(line) for line in lines]
    return set().union(*(brought(each.name, *each.extras) for each in needed))


@cache
def importable_in_a_chapter() -> set[str]:
    """Return the modules that a chapter may import, beside those of Python."""
    packages = brought("lstm-book", "chapters")
    providers = metadata.packages_distributions().items()
    found = {module for module, names in providers if packages & set(map(canonicalize_name, names))}
    return found | {"lstm", "lstm_book", "IPython"}  # the last comes with ipykernel


def closure(names: set[str]) -> set[str]:
    """Return the packages with all that they pull in on this system."""
    todo, seen = {(name, "") for name in names}, set()
    while todo:
        name, extra = todo.pop()
        seen.add((name, extra))
        for needed in map(Requirement, metadata.requires(name) or []):
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                extras = needed.extras | {""}
                todo |= {(canonicalize_name(needed.name), each) for each in extras} - seen
    return {name for name, _ in seen}


def test_everything_that_is_installed_is_pinned_and_needed():
    pinned = {canonicalize_name(name) for name in pins()}
    needed = closure(brought("lstm-book", "test")) | {"setuptools"}  # which builds our packages
    assert needed == pinned


@each_notebook
def test_a_chapter_imports_what_its_installation_brings(path):
    imported = set()
    for source in code(path):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.partition(".")[0])
    assert imported - importable_in_a_chapter() - sys.stdlib_module_names == set()


@each_notebook
def test_a_chapter_reads_nothing_around_it(path):
    found = [match for source in code(path) for match in AROUND.findall(source)]
    assert found == [], "read it from lstm_book.checkout.ROOT"


def printed(cell: nbformat.NotebookNode) -> str:
    """Return what a cell printed."""
    outputs = cell.get("outputs", [])
    return "".join(output.text for output in outputs if output.output_type == "stream")


@pytest.mark.slow
def test_a_notebook_runs_in_an_empty_folder(tmp_path, monkeypatch):
    shutil.copyfile(CHEAP, tmp_path / CHEAP.name)
    notebook = nbformat.read(tmp_path / CHEAP.name, as_version=4)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "book")]))
    config = Config(KernelManager=execute.through_files(str(tmp_path)))
    NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}, config=config
    ).execute()
    stored = nbformat.read(CHEAP, as_version=4)
    assert [printed(cell) for cell in notebook.cells] == [printed(cell) for cell in stored.cells]


# ------------------------------------------------------------------------- the library on its own
ONE_STEP = """
import numpy as np
import lstm

layer, head = lstm.LSTM(3, 8, rng=0), lstm.Linear(8, 2, rng=0)
optimiser = lstm.SGD([*layer.parameters(), *head.parameters()], lr=0.1)
x, labels = np.random.default_rng(0).normal(size=(5, 4, 3)).astype(np.float32), np.arange(4) % 2
losses = []
for step in range(2):
    output, _ = layer(x)
    loss, d_scores = lstm.cross_entropy(head(output[-1]), labels)
    d_output = np.zeros_like(output)
    d_output[-1] = head.backward(d_scores)
    layer.backward(d_output)
    optimiser.step()
    losses.append(loss)
assert losses[1] < losses[0], losses
print(lstm.__file__)
"""


@pytest.mark.slow
def test_the_library_is_a_small_wheel_that_trains_with_numpy_alone(tmp_path):
    """From the files of the library alone, over a source distribution, into an empty folder."""
    source, target, beside = (tmp_path / name for name in ("source", "target", "beside"))
    shutil.copytree(ROOT / "lstm", source / "lstm")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, source / name)
    build = f"import setuptools.build_meta as backend; backend.build_sdist({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    pip = [sys.executable, "-m", "pip"]
    offline = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "wheel", *offline, "--wheel-dir", tmp_path, archive], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < 200_000
    with zipfile.ZipFile(wheel) as files:
        folders = {name.partition("/")[0] for name in files.namelist()}
    assert folders == {"lstm", f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"}

    subprocess.run([*pip, "install", *offline, "--target", target, wheel], check=True)
    beside.mkdir()
    for path in Path(np.__file__).parents[1].glob("numpy*"):
        (beside / path.name).symlink_to(path)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(target), str(beside)])}
    command = [sys.executable, "-S", "-W", "error", "-c", ONE_STEP]
    run = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert Path(run.stdout.strip()).is_relative_to(target)


def test_a_version_has_one_number_and_notes():
    found = {
        path: re.search(pattern, (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)[1]
        for path, pattern in {
            "pyproject.toml": r'^version = "(.*)"',
            "book/pyproject.toml": r'^version = "(.*)"',
            "lstm/__init__.py": r'^__version__ = "(.*)"',
            "CITATION.cff": r"^version: (.*)",
            "CHANGELOG.md": r"^## (\S+)",
        }.items()
    }
    assert len(set(found.values())) == 1, found


def test_binder_installs_the_pinned_pytorch():
    pinned = re.search(
        r"^torch==(.*)$", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE
    )[1]
    environment = yaml.safe_load((ROOT / ".binder" / "environment.yml").read_text(encoding="utf-8"))
    assert f"pytorch-cpu={pinned}" in environment["dependencies"]
    assert (ROOT / ".binder" / "postBuild").stat().st_mode & 0o111


# ------------------------------------------------------------------------ the repository's address
@each_notebook
def test_a_notebook_installs_the_package_from_the_address(path):
    notebook = nbformat.read(path, as_version=4)
    stored = list(notebook.cells)
    colab.set_cell(notebook, colab.configured_address())
    assert notebook.cells == stored, "run: python -m lstm_book.press.colab"


def test_the_cell_that_installs_comes_first_once_and_goes_again(monkeypatch):
    stored, notebook = (nbformat.read(CHEAP, as_version=4) for _ in range(2))
    colab.set_cell(stored, "")
    colab.set_cell(notebook, "https://old.example/book")
    colab.set_cell(notebook, GITHUB)
    nbformat.validate(notebook)
    found = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert f'ADDRESS = "{GITHUB}"' in found[0]
    assert found[1:] == [cell.source for cell in stored.cells if cell.cell_type == "code"]
    ran = []
    shell = SimpleNamespace(
        system=ran.append, run_line_magic=lambda magic, words: ran.append(f"%{magic} {words}")
    )
    path = list(sys.path)
    monkeypatch.setattr(sys, "path", path)
    exec(found[0], {"get_ipython": lambda: shell})
    assert ran == []  # the course is here
    exec(found[0].replace('"lstm_book"', '"no_such_package"'), {"get_ipython": lambda: shell})
    assert ran == [
        f"git clone --quiet --depth 1 {GITHUB} lstm-checked",
        "%pip install --quiet --editable lstm-checked --editable 'lstm-checked/book[chapters]'",
    ]
    assert path[:2] == ["lstm-checked", "lstm-checked/book"]
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
@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_buttons_of_a_built_page(path):
    configured = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"][
        "url"
    ]
    found = buttons(BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser"))
    notebook = (ROOT / "book" / f"{path.stem}.ipynb").exists()
    assert f"../_sources/book/{path.stem}.{'ipynb' if notebook else 'md'}" in found
    assert (HTML / "_sources" / "book" / f"{path.stem}.{'ipynb' if notebook else 'md'}").exists()
    elsewhere = [link for link in found if link.startswith("http")]
    assert bool(elsewhere) == bool(configured)


BASE = "https://somebody.github.io/lstm-checked/"


# What Python does at its start where only that is installed which a reader needs.
READERS = """import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""


def absent() -> set[str]:
    """Return the modules that are here, and are not where `make book` alone has set up."""
    there = closure(brought("lstm-book", "book")) | {"setuptools", "pip", *PROJECTS}
    return {
        module
        for module, names in metadata.packages_distributions().items()
        if not there & set(map(canonicalize_name, names))
    }


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Build the whole book as readers do, but with an address, and return its folder."""
    folder = tmp_path_factory.mktemp("published")
    for name in ("book", "tests", "_toc.yml", "genindex.md"):
        (folder / name).symlink_to(ROOT / name)
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    config["repository"]["url"] = f"{GITHUB}/"
    (folder / "_config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (folder / "sitecustomize.py").write_text(READERS.format(absent=absent()), encoding="utf-8")
    command = [str(Path(sys.executable).parent / "jupyter-book"), "build", str(folder)]
    options = {"env": checkout(folder), "capture_output": True, "text": True}
    build = subprocess.run([*command, "-q", "-W", "-n"], **options)
    assert build.returncode == 0, build.stderr[-3000:]
    return folder / "_build" / "html"


def soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@pytest.mark.slow
def test_with_an_address_a_chapter_opens_on_binder_and_colab(published):
    place, file = "somebody/lstm-checked", "book/03_gates.ipynb"
    found = buttons(soup(published / "book" / "03_gates.html"))
    assert f"https://mybinder.org/v2/gh/{place}/main?urlpath=lab/tree/{file}" in found
    assert f"https://colab.research.google.com/github/{place}/blob/main/{file}" in found
    assert f"{GITHUB}/edit/main/{file}" in found
    assert GITHUB in found
    assert f"{GITHUB}/blob/main/{file}" in " ".join(found)
    first = buttons(soup(published / "book" / "intro.html"))
    assert not any("mybinder" in link for link in first)  # not a notebook


@pytest.mark.slow
def test_with_an_address_every_page_names_it_and_takes_reports(published):
    pages = sorted((published / "book").glob("*.html"))
    assert len(pages) > 30
    for path in pages:
        page, address = soup(path), f"{BASE}book/{path.name}"
        assert [e["href"] for e in page.select("link[rel=canonical]")] == [address]
        assert page.select_one("meta[property='og:url']")["content"] == address
        assert page.select_one("meta[property='og:image']")["content"] == f"{BASE}_static/card.png"
        assert len(page.select_one("meta[name=description]")["content"]) >= 20, path.name
        report = f"{GITHUB}/issues/new?title=Error%20on%20book/{path.stem}"
        assert [e["href"] for e in page.select(".report a")] == [report]
    assert (published / "_static" / "card.png").is_file()
    sitemap = BeautifulSoup((published / "sitemap.xml").read_text(encoding="utf-8"), "html.parser")
    listed = [e.text.removeprefix(BASE) for e in sitemap.select("loc")]
    assert sorted(listed) == sorted({f"book/{path.name}" for path in pages} | {"genindex.html"})


@pytest.mark.slow
def test_with_an_address_the_two_languages_lead_to_each_other(published):
    pair = {"en": f"{BASE}book/intro.html", "zh": f"{BASE}book/zh.html"}
    with_pair = set()
    for path in (published / "book").glob("*.html"):
        found = {e["hreflang"]: e["href"] for e in soup(path).select("link[rel=alternate]")}
        if found:
            with_pair.add(path.stem)
            assert found == pair
    assert with_pair == {"intro", "zh"}
    assert soup(published / "book" / "zh.html").html["lang"] == "zh"


@pytest.mark.slow
def test_with_an_address_the_first_page_is_cited_and_printed(published):
    page = soup(published / "book" / "intro.html")
    (entry,) = parse_string(page.select_one("#cite-it pre").text, "bibtex").entries.values()
    assert entry.fields["url"] == BASE
    assert entry.fields["title"].startswith("LSTM, Checked")
    assert page.select_one("#cite-it a")["href"] == f"{BASE}lstm-checked.pdf"
    workflow = (ROOT / ".github" / "workflows" / "pages.yml").read_text(encoding="utf-8")
    assert "cp _build/pdf/*.pdf _build/html/lstm-checked.pdf" in workflow
    assert not soup(published / "book" / "03_gates.html").select("#cite-it")


@pytest.mark.slow
def test_with_an_address_a_page_that_is_not_there_leads_back(published):
    links = [link["href"] for link in soup(published / "404.html").select("a")]
    assert links == [BASE, f"{BASE}search.html"]  # whole addresses: it is shown at any depth
    for link in links:
        assert (published / (link.removeprefix(BASE) or "index.html")).is_file()


@pytest.mark.parametrize(
    ("repository", "address"),
    [
        (GITHUB, "https://somebody.github.io/lstm-checked/"),
        ("https://github.com/Some-Body/b.ook.git", "https://some-body.github.io/b.ook/"),
        ("https://elsewhere.org/somebody/lstm-checked", ""),
        ("", ""),
    ],
)
def test_the_books_address_follows_from_the_repository(repository, address):
    assert site.address(repository) == address


def test_the_chinese_page_and_the_first_name_each_other():
    for page in ("book/intro", "book/zh"):
        head = site.head(page, "T", 'a "b"', "https://base/")
        assert '<link rel="alternate" hreflang="en" href="https://base/book/intro.html">' in head
        assert '<link rel="alternate" hreflang="zh" href="https://base/book/zh.html">' in head
        assert 'name="description" content="a &quot;b&quot;"' in head
    assert "alternate" not in site.head("book/03_gates", "T", "about", "https://base/")
    without = site.head("book/zh", "T", "about", "")
    assert "http" not in without
