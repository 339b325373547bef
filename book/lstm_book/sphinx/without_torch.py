"""Sphinx extension: the reference describes ``lstm.torch`` where PyTorch is not installed.

A page shows what a notebook stored and what a docstring says; to read them nobody needs hundreds of
megabytes. While the book is built, whatever imports ``torch`` or ``numba`` gets a stand-in of
autodoc, which also knows ``ndarray | Tensor`` and leaves a class that inherits from it its own
signature.
"""

from __future__ import annotations

import sys

from sphinx.application import Sphinx
from sphinx.ext import autodoc
from sphinx.ext.autodoc.mock import MockFinder, _MockObject


def setup(app: Sphinx) -> dict[str, bool]:
    """Put the stand-in before what is installed, too: the pages are the same."""
    sys.meta_path.insert(0, MockFinder(["torch", "numba", "llvmlite"]))
    _MockObject.__or__ = _MockObject.__ror__ = lambda stand_in, other: stand_in
    new = _MockObject.__new__
    autodoc._CLASS_NEW_BLACKLIST.append(f"{new.__module__}.{new.__qualname__}")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
