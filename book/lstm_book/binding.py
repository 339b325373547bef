"""Where each equation stands: its page, its function, its tests.

Reads the pages in ``book/`` and the tests in ``tests/`` as text: nothing is run.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import lstm_book.statistics  # noqa: F401 - with its equations all are registered
from lstm.equations.registry import EQUATIONS

_MATH = re.compile(
    r"^```\{math\}\n(?:[ \t]*:(?!label)[\w-]+:.*\n)*:label:[ \t]*(\S+)\n(.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_DIRECTIVE = re.compile(r"^\.\. math::(.*\n(?:\n|[ ]+.*\n)*)", re.MULTILINE)


class PageEquation(NamedTuple):
    """A numbered equation: its label, the name of its page's file, its LaTeX."""

    label: str
    page: str
    latex: str


def normalized(latex: str) -> str:
    """Return the LaTeX with every run of white space as one space."""
    return " ".join(latex.split())


def page_text(path: Path) -> str:
    """Return a page's Markdown: of a notebook, that of its Markdown cells."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = (cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown")
        text = "\n\n".join("".join(cell["source"]) for cell in cells)
    return text


def title(path: Path) -> str:
    """Return a page's title: its first heading."""
    return re.search(r"^# (.+)$", page_text(path), re.MULTILINE)[1]


def equations_in(text: str, page: str) -> list[PageEquation]:
    """Return the labelled ``math`` blocks of one page's Markdown, in the order of the page."""
    return [
        PageEquation(label, page, normalized(latex)) for label, latex in _MATH.findall(text + "\n")
    ]


def page_equations(book: Path) -> list[PageEquation]:
    """Return every labelled equation of every page in ``book``, page by page."""
    pages = sorted([*book.glob("*.ipynb"), *book.glob("*.md")])
    return [equation for path in pages for equation in equations_in(page_text(path), path.name)]


def docstring_latex(function: Callable) -> str:
    """Return the first ``.. math::`` of a function's docstring; empty where there is none."""
    match = _DIRECTIVE.search(inspect.cleandoc(function.__doc__ or "") + "\n")
    return normalized(match[1]) if match else ""


def marked_tests(tests: Path) -> dict[str, list[str]]:
    """Return label → the tests marked ``pytest.mark.equation(label)``, as ``file::test``.

    A mark stands over a test, or in a row of the table that it is parametrised with: there a call
    whose first argument is a label is a mark, too.
    """
    found: dict[str, list[str]] = {}
    for path in sorted(tests.glob("**/test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        tables = {
            target.id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
                parts = [part for mark in node.decorator_list for part in ast.walk(mark)]
                rows = [
                    part
                    for name in parts
                    if isinstance(name, ast.Name) and name.id in tables
                    for part in ast.walk(tables[name.id])
                ]
                marks = [p for p in parts if _is_mark(p)]
                for label in dict.fromkeys(filter(None, map(_label, marks + rows))):
                    found.setdefault(label, []).append(f"{path.name}::{node.name}")
    return found


def _is_mark(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.equation"


def _label(node: ast.AST) -> str | None:
    """Return the label that is the first argument of a call."""
    first = node.args[0] if isinstance(node, ast.Call) and node.args else None
    label = first.value if isinstance(first, ast.Constant) else None
    return label if isinstance(label, str) and label.startswith("eq-") else None


def index(root: Path) -> str:
    """Return the tables of label, function and tests of every equation, page by page."""
    tests = marked_tests(root / "tests")
    lines, page = [], ""
    for label, name, _ in page_equations(root / "book"):
        if name != page:
            page = name
            # With the title written out: a sidebar shows nothing for a link without text.
            heading = f"\n## [{title(root / 'book' / page)}](./{page})\n"
            lines += [heading, "| equation | function, and tests |", "| --- | --- |"]
        function = f"{EQUATIONS[label].__module__}.{EQUATIONS[label].__name__}"
        places = "<br>".join(f"`{place}`" for place in [function, *tests.get(label, [])])
        lines.append(f"| {{eq}}`{label}`<br>`{label}` | {places} |")
    return "\n".join(lines) + "\n"
