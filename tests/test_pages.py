"""Pages that code writes: the API reference, the first page's picture, the run times."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import lstm
from book import cover, run_times
from lstm.equations import EQUATIONS

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"


def written() -> set[str]:
    """Return the names of all objects that the pages of the reference ask for."""
    names, module = set(), ""
    for page in sorted(BOOK.glob("api_*.md")):
        for line in page.read_text(encoding="utf-8").splitlines():
            found = re.match(r"\.\. (currentmodule|auto\w+):: (\S+)", line)
            if not found:
                continue
            kind, name = found.groups()
            if kind in {"currentmodule", "automodule"}:
                module = name
            if kind == "automodule":
                names |= {
                    f"{name}.{key}"
                    for key, value in vars(importlib.import_module(name)).items()
                    if inspect.isfunction(value) and value.__module__ == name
                }
            elif kind != "currentmodule":
                names.add(name if name.startswith("lstm.") else f"{module}.{name}")
    return names


def test_reference_has_every_name_of_the_package():
    assert {f"lstm.{name}" for name in lstm.__all__} - written() == set()


def test_reference_has_every_equation():
    functions = {f"{f.__module__}.{f.__name__}" for f in EQUATIONS.values()}
    public = {f"lstm.{name}" for name in lstm.__all__}
    missing = {
        name for name in functions - written() if f"lstm.{name.rpartition('.')[2]}" not in public
    }
    assert missing == set()


def test_picture_of_the_first_page_is_what_its_code_draws():
    assert cover.PATH.read_text(encoding="utf-8") == cover.cover()


def test_run_times_are_those_of_the_records():
    message = "run: python book/run_times.py --page"
    assert run_times.PAGE.read_text(encoding="utf-8") == run_times.page(ROOT), message
