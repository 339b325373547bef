"""A wrong LSTM: a rule that changes a syntax tree, and the place in the package where it acts."""

from __future__ import annotations

import ast
import contextlib
import copy
import importlib
import importlib.abc
import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import lstm

PACKAGE = Path(lstm.__file__).parent


@dataclass(frozen=True)
class Mutant:
    """One mistake, which does not depend on the names of local variables.

    ``rule`` is ``"pattern -> replacement"``, an expression or a statement each, in which a name of
    one letter stands for any expression. ``at`` says which of the matches in the function it is, in
    the order of reading, what is outside before what is inside.
    """

    file: str
    probes: tuple[str, ...]
    name: str
    function: str
    rule: str
    at: int = 0

    def tree(self, rename: bool = False) -> ast.Module:
        """Return the tree of the file with the mistake in it, of one with other local names too."""
        tree = parse(self.file)
        function = find(tree, self.function)
        if rename:
            rename_locals(function)
        return changed(tree, function, self.rule, self.at)


def changed(tree: ast.AST, inside: ast.AST, rule: str, at: int = 0) -> ast.AST:
    """Apply a rule to its match number ``at`` inside a node of a tree."""
    before, after = (ast.parse(side.strip()).body[0] for side in rule.split("->"))
    if isinstance(before, ast.Expr):
        before, after = before.value, after.value
    matches = [(node, found) for node in walk(inside) if matched(before, node, found := {})]
    if at >= len(matches):
        raise LookupError(f"{rule!r} has {len(matches)} matches, {at} is not among them")
    old, found = matches[at]

    class Put(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            if node is old:
                return filled(after, found)
            return self.generic_visit(node)

    return ast.fix_missing_locations(Put().visit(tree))


def matched(pattern: Any, node: Any, found: dict[str, ast.AST]) -> bool:
    """Compare a pattern with a node; put what its letters stand for into ``found``."""
    if isinstance(pattern, ast.Name) and len(pattern.id) == 1 and isinstance(node, ast.expr):
        return ast.unparse(found.setdefault(pattern.id, node)) == ast.unparse(node)
    if isinstance(pattern, list):
        return len(pattern) == len(node) and all(map(matched, pattern, node, [found] * len(node)))
    if isinstance(pattern, ast.AST) and not isinstance(pattern, ast.expr_context):
        return type(pattern) is type(node) and all(
            matched(value, getattr(node, field), found) for field, value in ast.iter_fields(pattern)
        )
    return isinstance(pattern, ast.expr_context) or pattern == node


def filled(pattern: ast.AST, found: dict[str, ast.AST]) -> ast.AST:
    """Return a pattern with what its letters stand for."""

    class Fill(ast.NodeTransformer):
        def visit_Name(self, name: ast.Name) -> ast.AST:
            node = copy.deepcopy(found.get(name.id, name))
            if hasattr(node, "ctx"):
                node.ctx = name.ctx
            return node

    return Fill().visit(pattern)


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and what is in it, in the order of reading."""
    yield node
    for child in ast.iter_child_nodes(node):
        yield from walk(child)


def parse(file: str) -> ast.Module:
    """Return the tree of a file of the package."""
    return ast.parse((PACKAGE / file).read_text(encoding="utf-8"))


def find(tree: ast.AST, name: str) -> ast.AST:
    """Return the first function of this name, which may say in which class or function it is."""
    for part in name.split("."):
        scopes = (node for node in walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef))
        tree = next(node for node in scopes if node.name == part)
    return tree


def rename_locals(function: ast.AST) -> None:
    """Give other names to all local variables of a function."""
    names = [node for node in walk(function) if isinstance(node, ast.Name)]
    arguments = {node.arg for node in walk(function) if isinstance(node, ast.arg)}
    local = {name.id for name in names if isinstance(name.ctx, ast.Store)} - arguments
    for name in names:
        if name.id in local:
            name.id += "_by_another_name"


class Loader(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Import one module of the package from a tree."""

    def __init__(self, file: str, tree: ast.Module) -> None:
        self.module = "lstm." + file.removesuffix(".py").replace("/", ".")
        self.code = compile(tree, f"<changed {file}>", "exec")

    def find_spec(self, fullname, path=None, target=None):
        ours = fullname == self.module
        return importlib.util.spec_from_loader(fullname, self) if ours else None

    def exec_module(self, module: ModuleType) -> None:
        exec(self.code, vars(module))


@contextlib.contextmanager
def package_with(file: str, tree: ast.Module) -> Iterator[ModuleType]:
    """Import the package and its tests afresh, with a tree for one file; then put all back."""

    def take_out() -> dict[str, ModuleType]:
        ours = [name for name in sys.modules if re.match(r"(tests\.)?lstm(\.|$)", name)]
        return {name: sys.modules.pop(name) for name in ours}

    before, loader = take_out(), Loader(file, tree)
    sys.meta_path.insert(0, loader)
    try:
        yield importlib.import_module("lstm")
    finally:
        sys.meta_path.remove(loader)
        take_out()
        sys.modules.update(before)
