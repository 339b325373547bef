"""Who imports whom: nothing climbs, nothing circles, and the library needs NumPy alone.

Read from the syntax trees, imports inside functions too: what is imported late also counts.
"""

from __future__ import annotations

import ast
import graphlib
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = {
    "lstm": [
        "checks",
        "signatures",
        "arguments",
        "interrupts",
        "console",
        "equations",
        "module",
        "cell",
        "threads",
        "compiled",
        "scan",
        "layer",
        "initialise",
        "variants",
        "losses",
        "optim",
        "checkpoint",
        "schedules",
        "training",
        "gradcheck",
        "diagnose",
        "models",
        "text",
        "datasets",
        ".",
        "torch",
        "selfcheck",
        "__main__",
    ],
    "lstm_book": [
        ".",
        "checkout",
        "statistics",
        "errata",
        "binding",
        "ledger",
        "seals",
        "observe",
        "figures",
        "saliency",
        "recipes",
        "novels",
        "experiments",
        "figures.widgets",
        "sphinx",
        "press",
        "__main__",
    ],
}
"""Each package's rooms as a reader meets them: a room imports only what stands before it.

A room is a module, or a package with all that is in it; ``.`` is the package's own ``__init__``.
"""
OTHERS = {"torch": {"torch"}, "compiled": {"llvmlite", "numba"}}
"""What a room of the library imports besides NumPy as soon as it is imported itself."""


class Import(NamedTuple):
    """One import: the module that imports, what it imports, and whether it waits for a call."""

    by: str
    name: str
    late: bool


@cache
def modules(package: str) -> dict[str, ast.Module]:
    """Return every module of a package, by its dotted name."""
    folder = ROOT / package if package == "lstm" else ROOT / "book" / package
    return {
        ".".join([package, *path.relative_to(folder).with_suffix("").parts]).removesuffix(
            ".__init__"
        ): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(folder.rglob("*.py"))
    }


@cache
def imports(package: str) -> list[Import]:
    """Return every import in a package."""
    trees, found = modules(package), []
    for by, tree in trees.items():
        late = {
            id(part)
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef)
            for part in ast.walk(function)
        }
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                whole = [f"{node.module}.{alias.name}" for alias in node.names]
                names = [name if name in trees else node.module for name in whole]
            found += [Import(by, name, id(node) in late) for name in names]
    return found


def room(package: str, module: str) -> str:
    """Return the room of a package in which a module stands."""
    inner = module.removeprefix(package).removeprefix(".") or "."
    rooms = [each for each in LAYERS[package] if f"{inner}.".startswith(f"{each}.")]
    assert rooms, f"{module} stands in no room: name it in LAYERS, where a reader meets it"
    return max(rooms, key=len)


@pytest.mark.slow
@pytest.mark.parametrize("package", LAYERS)
def test_no_module_imports_what_stands_further_up(package):
    place = {name: room(package, name) for name in modules(package)}
    climbing = [
        (one.by, one.name)
        for one in imports(package)
        if one.name in place
        and LAYERS[package].index(place[one.by]) < LAYERS[package].index(place[one.name])
    ]
    assert climbing == []


@pytest.mark.parametrize("package", LAYERS)
def test_no_circle(package):
    graph = {name: set() for name in modules(package)}
    for one in imports(package):
        if one.name in graph and one.name != one.by:
            graph[one.by].add(one.name)
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_the_library_knows_nothing_of_the_course_nor_of_figures():
    tops = {one.name.partition(".")[0] for one in imports("lstm")}
    assert not tops & {"lstm_book", "matplotlib", "tests", "benchmarks"}


def test_the_library_imports_numpy_alone_until_more_is_asked_for():
    early = [one for one in imports("lstm") if not one.late and not one.name.startswith("lstm")]
    allowed = {*sys.stdlib_module_names, "numpy"}
    others = [
        (one.by, one.name)
        for one in early
        if one.name.partition(".")[0] not in allowed | OTHERS.get(room("lstm", one.by), set())
    ]
    assert others == []
