"""Setuptools command: copy what the chapters read into the package when it is installed."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent.parent
BUNDLE = runpy.run_path(
    str(ROOT / "lstm" / "bundle.py")
)  # which needs nothing installed


class BuildWithFiles(build_py):
    """Build the package, with the files of the repository that :mod:`lstm.bundle` names."""

    def files(self) -> list[str]:
        """Return their paths from the top of the repository."""
        found = [path for pattern in BUNDLE["PATTERNS"] for path in ROOT.glob(pattern)]
        return sorted(str(path.relative_to(ROOT)) for path in found)

    def run(self) -> None:
        """Copy them, but not where the package stays in its checkout."""
        super().run()
        if self.editable_mode:
            return
        folder = Path(self.build_lib) / "lstm" / BUNDLE["FOLDER"]
        shutil.rmtree(folder, ignore_errors=True)  # a build folder may hold older ones
        for name in self.files():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)

    def get_source_files(self) -> list[str]:
        """Return what a source distribution needs for it."""
        return [*super().get_source_files(), *self.files()]
