"""The definitions shown in the chapters of Build are the package's, statement by statement.

A cell whose first line names a file, ``# lstm/cell.py``, shows definitions of that file: functions,
classes, or one method of a class under ``@add_to_class(Class)``. Docstrings, type hints and
comments may differ; nothing else may. The sizes that were measured are shown too.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from benchmarks.shapes import SHAPES

ROOT = Path(__file__).resolve().parents[2]
MARK = re.compile(r"# (lstm/(?:\w+/)*\w+\.py)$")

# What a chapter must show in full: (file, definition), a class with every method of its own.
SHOWN = {
    "06_one_cell": [("lstm/cell.py", "step"), ("lstm/cell.py", "step_backward")],
    "07_whole_sequences": [
        ("lstm/scan.py", name) for name in ("by_gate", "Rows", "forward", "backward")
    ],
    "10_pytorch": [("lstm/torch/layer.py", name) for name in ("step", "scan", "LSTM")],
}
# Methods of these classes that the chapter takes from the package, in a cell that says so.
TAKEN = {
    "10_pytorch:LSTM": {"LSTM._tensor", "LSTM._autocast", "LSTM.flatten_parameters"},
}
CHAPTERS = [path for path in sorted((ROOT / "book").glob("*.ipynb")) if path.stem in SHOWN]

Definition = ast.FunctionDef | ast.ClassDef
each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


class Unhinted(ast.NodeTransformer):
    """Turn ``name: hint = value`` into ``name = value``; a field of a NamedTuple stays."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is None:
            return ast.Expr(ast.Name(ast.unparse(node.target)))
        return ast.Assign([node.target], node.value, lineno=0)


def normalised(node: Definition) -> Definition:
    """Take out what the reader of a page need not see: docstrings and type hints."""
    for part in ast.walk(node):
        if isinstance(part, ast.arg):
            part.annotation = None
        elif isinstance(part, Definition):  # every bare string, also under the fields of a class
            part.body = [each for each in part.body if not is_text(each)] or [ast.Pass()]
        if isinstance(part, ast.FunctionDef):
            part.returns = None
            part.decorator_list = [each for each in part.decorator_list if added_to(each) is None]
    return Unhinted().visit(node)


def is_text(node: ast.stmt) -> bool:
    value = getattr(node, "value", None)
    return isinstance(node, ast.Expr) and isinstance(getattr(value, "value", None), str)


def added_to(call: ast.expr) -> str | None:
    """Return the class of ``@add_to_class(Class)``, or None for any other decorator."""
    if isinstance(call, ast.Call) and ast.unparse(call.func) == "add_to_class":
        return ast.unparse(call.args[0])
    return None


def definitions(source: str) -> dict[str, str]:
    """Return name -> normalised code of what ``source`` defines; methods as ``Class.method``.

    A class itself stands under its own name with its head and whatever is not a method.
    """
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            node = normalised(node)
            methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
            found |= {f"{node.name}.{method.name}": ast.unparse(method) for method in methods}
            node.body = [part for part in node.body if part not in methods] or [ast.Pass()]
            found[node.name] = ast.unparse(node)
        elif isinstance(node, ast.FunctionDef):
            owners = [owner for call in node.decorator_list if (owner := added_to(call))]
            name = ".".join([*owners, node.name])
            assert name not in found, f"{name} is defined twice in one cell"
            found[name] = ast.unparse(normalised(node))
    return found


@cache
def package(file: str) -> dict[str, str]:
    return definitions((ROOT / file).read_text(encoding="utf-8"))


def code_cells(path: Path) -> Iterator[str]:
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            yield "".join(cell["source"])


def shown(cells: Iterator[str]) -> Iterator[tuple[str, str, str]]:
    """Yield (file, name, code) of every definition in a cell that names its file."""
    for source in cells:
        if mark := MARK.match(source.partition("\n")[0]):
            for name, code in definitions(source).items():
                yield mark[1], name, code


def test_every_chapter_that_is_there_is_checked():
    marked = {
        path.stem
        for path in (ROOT / "book").glob("*.ipynb")
        if any(MARK.match(source.partition("\n")[0]) for source in code_cells(path))
    }
    assert marked == {path.stem for path in CHAPTERS}


@each_chapter
def test_definitions_are_those_of_the_package(path):
    for file, name, code in shown(code_cells(path)):
        assert name in package(file), f"{file} defines no {name}"
        assert code == package(file)[name], f"{path.name} shows another {name} than {file}"


@each_chapter
def test_nothing_is_left_out(path):
    seen = {(file, name) for file, name, _ in shown(code_cells(path))}
    for file, wanted in SHOWN[path.stem]:
        parts = {name for name in package(file) if name.split(".")[0] == wanted.split(".")[0]}
        parts = {name for name in parts if name == wanted or name.startswith(wanted + ".")}
        missing = parts - {name for other, name in seen if other == file}
        assert missing - {wanted} == TAKEN.get(f"{path.stem}:{wanted}", set())
        assert (file, wanted) in seen


@each_chapter
def test_a_definition_of_the_package_is_marked(path):
    """A cell without a mark may not define what the chapter's files define."""
    known = {name for file, _ in SHOWN[path.stem] for name in package(file)}
    for source in code_cells(path):
        if not MARK.match(source.partition("\n")[0]):
            assert not definitions(source).keys() & known


# --------------------------------------------------------------------------- the comparison itself
PACKAGE = '''
class Cell(Module):
    """Text."""

    size: int = 3

    def forward(self, x: Array, state: State | None = None, *, keep=True) -> State:
        """Text."""
        # why
        if state is None:
            state = 0 * x
        return x + 2 * state
'''
SAME = """
class Cell(Module):
    size = 3

@add_to_class(Cell)
def forward(self, x, state=None, *, keep=True):
    if state is None: state = 0 * x
    return (x + 2 * state)  # another comment
"""


def test_docstrings_hints_comments_and_format_do_not_matter():
    assert definitions(SAME) == definitions(PACKAGE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2 * state", "3 * state"),
        ("x + 2", "x - 2"),
        ("state=None, *", "state=0, *"),
        ("keep=True", "keep=False"),
        ("is None", "is not None"),
        ("(Module)", ""),
        ("size = 3", "size = 4"),
        ("return (x + 2 * state)", "x = x + 2 * state\n    return x"),
        ("def forward", "def backward"),
        ("add_to_class(Cell)", "add_to_class(Other)"),
        ("@add_to_class(Cell)", "@add_to_class(Cell)\n@cache"),
    ],
)
def test_everything_else_matters(old, new):
    assert old in SAME
    assert definitions(SAME.replace(old, new)) != definitions(PACKAGE)


def test_only_a_first_line_that_names_a_file_is_a_mark():
    cells = ["# lstm/cell.py\ndef f(): pass", "def g(): pass", "x = 1\n# lstm/cell.py\ndef h(): 1"]
    assert [(file, name) for file, name, _ in shown(iter(cells))] == [("lstm/cell.py", "f")]


def test_sizes_of_the_chapter_on_speed_are_those_that_are_measured():
    notebook = json.loads((ROOT / "book/08_what_speed_costs.ipynb").read_text(encoding="utf-8"))
    sources = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    shown = [
        ast.literal_eval(node.value)
        for source in sources
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "sizes"
    ]
    dense = {shape.name: shape[1:5] for shape in SHAPES.values() if not shape.ragged}
    assert shown == [dense]
