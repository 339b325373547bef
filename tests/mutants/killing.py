"""Run the project's checks on wrong LSTMs, and write down which check catches which."""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import unittest.mock
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
from lstm_book import errata

import lstm
from tests.lstm import parity, parity_cell, parity_variants
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Mutant

PACKAGE = Path(lstm.__file__).parent
SUBJECTS = list(dict.fromkeys(mutant.subject for mutant in MUTANTS))

SLIPS = (NameError, AttributeError, TypeError, ImportError, SyntaxError)
"""A check that ends with one of these met a slip of the pen, not a wrong LSTM."""


def checks_for(subject: str) -> dict[str, Callable]:
    """Return the checks of a class by name."""
    if subject == "LSTMCell":
        return parity_cell.CHECKS
    return parity.CHECKS if subject == "LSTM" else parity_variants.checks_for(subject)


def patched(mutant: Mutant) -> str:
    """Return the mutant's file with its line replaced."""
    source = (PACKAGE / mutant.file).read_text().splitlines()
    found = [number for number, line in enumerate(source) if line.strip() == mutant.old]
    if (len(found) != 1) if mutant.nth is None else (len(found) <= mutant.nth):
        raise ValueError(f"{mutant.file} has the line {mutant.old!r} {len(found)} times")
    number = found[mutant.nth or 0]
    source[number] = source[number].replace(mutant.old, mutant.new)
    return "\n".join(source) + "\n"


class Patch(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Import one module of the package from a changed source, which also sees ``errata``."""

    def __init__(self, mutant: Mutant) -> None:
        self.name = "lstm." + mutant.file.removesuffix(".py").replace("/", ".")
        self.code = compile(patched(mutant), f"<{mutant.file}: {mutant.wrong}>", "exec")

    def find_spec(self, fullname, path=None, target=None):
        """Say that this finder loads that one module."""
        if fullname != self.name:
            return None
        return importlib.util.spec_from_loader(fullname, self)

    def exec_module(self, module: ModuleType) -> None:
        """Run the changed source."""
        module.errata = errata
        exec(self.code, vars(module))


@contextlib.contextmanager
def empty_package() -> Iterator[None]:
    """Put a package with nothing imported in the place of ``lstm``, and put that one back."""

    def ours() -> dict[str, ModuleType]:
        return {n: m for n, m in sys.modules.items() if n == "lstm" or n.startswith("lstm.")}

    before = ours()
    for name in before:
        del sys.modules[name]
    # Without lstm/__init__.py, which imports everything: only what the class needs is loaded.
    package = sys.modules["lstm"] = ModuleType("lstm")
    package.__path__ = [str(PACKAGE)]
    try:
        yield
    finally:
        for name in ours():
            del sys.modules[name]
        sys.modules.update(before)


def choose_loops(kernel: ModuleType, mutant: Mutant) -> None:
    """See to it that the wrong line runs: there are passes in NumPy, and compiled ones."""
    kernel.USE_COMPILED = mutant.file == "compiled.py"
    if kernel.USE_COMPILED:
        import numba

        # Compiled code is kept by the name of its file, which a changed source does not have.
        with unittest.mock.patch.object(numba.config, "DISABLE_JIT", True):
            compiled = kernel.compiled_passes()
        # Whether matrices are cut into tiles depends on the processor; here, on the wrong line.
        tile = (1 << 30,) * 3 if "whole matrix" in mutant.wrong else (16, 64, 512)
        compiled.GEMM = dict.fromkeys(compiled.GEMM, (0, *tile))


def load(mutant: Mutant) -> type:
    """Return the wrong class."""
    patch, module = Patch(mutant), getattr(lstm, mutant.subject).__module__
    with empty_package():
        sys.meta_path.insert(0, patch)
        try:
            kind = getattr(importlib.import_module(module), mutant.subject)
            if "lstm.kernel" in sys.modules:
                choose_loops(sys.modules["lstm.kernel"], mutant)
            return kind
        finally:
            sys.meta_path.remove(patch)


def outcomes(subject: str, kind: type) -> dict[str, Exception | None]:
    """Return what every check of a subject says of a class: an exception, or None if it passes."""
    results: dict[str, Exception | None] = {}
    for name, check in checks_for(subject).items():
        with np.errstate(all="ignore"), warnings.catch_warnings():
            # A warning alone does not give a wrong LSTM away.
            warnings.simplefilter("ignore")
            try:
                check(kind)
            except Exception as error:
                results[name] = error
            else:
                results[name] = None
    return results


def killers(mutant: Mutant) -> list[str]:
    """Return the names of the checks that catch a mutant."""
    results = outcomes(mutant.subject, load(mutant))
    slips = {name: error for name, error in results.items() if isinstance(error, SLIPS)}
    if slips:
        raise AssertionError(f"{mutant.wrong}: not a wrong LSTM but a slip: {slips}")
    return [name for name, error in results.items() if error is not None]


def table() -> dict:
    """Return every mutant with the checks that catch it."""
    return {
        "command": "python -m tests.mutants",
        "checks": {subject: list(checks_for(subject)) for subject in SUBJECTS},
        "mutants": [record(mutant, killers(mutant)) for mutant in MUTANTS],
    }


def record(mutant: Mutant, killed_by: list[str]) -> dict:
    """Return one row of the table."""
    return {
        "subject": mutant.subject,
        "part": mutant.part,
        "wrong": mutant.wrong,
        "file": f"lstm/{mutant.file}",
        "old": mutant.old,
        "new": mutant.new,
        "killed_by": killed_by,
    }
