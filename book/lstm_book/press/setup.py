"""Set up ``.venv`` with a part of what the course needs; ``make`` runs ``press/setup.py PART``.

It runs before anything is installed and with whatever Python there is, also one too old for the
course: so it imports nothing of the project, and says in a sentence what is wrong.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts" if sys.platform == "win32" else "bin") / "python"
LOG = Path("_build", "logs", "setup.log")
PINS = "requirements.txt"
OLDEST = (3, 11)
# A part is an extra in book/pyproject.toml, and brings the others that are named here.
PARTS = {
    "book": ["book"],
    "pdf": ["pdf", "book"],
    "lab": ["lab"],
    "test": ["test", "book", "pdf", "lab"],
}
CAUSES = (
    (r"No space left|Disk quota", "The disk is full: make room."),
    (r"Read-only file system|Permission denied", "This folder cannot be written."),
    (
        r"ensurepip|No module named '?venv",
        "Python lacks its module venv (on Debian or Ubuntu: apt install python3-venv).",
    ),
    (
        r"(?i)name resolution|connection (broken|refused|reset|error)|new connection|max retries"
        r"|timed out|unreachable|proxyerror",
        "The package index cannot be reached: connect to the network.",
    ),
)
CUDA = """\
On Linux the default build of PyTorch brings the libraries of CUDA, which nothing here uses: 3 GB to
download, 6 GB on the disk. Nothing of it was fetched. Give pip the index of the builds for CPUs
first (https://pytorch.org/get-started/locally/ names it, under Linux, Pip, CPU):
  export PIP_EXTRA_INDEX_URL=ADDRESS
or take the default all the same: the same command with CUDA=yes."""


class SetupError(Exception):
    """What went wrong, in a sentence for who typed the command."""


def cause(log):
    """Return why a step failed, by what it wrote."""
    found = (sentence for pattern, sentence in CAUSES if re.search(pattern, log))
    return next(found, "The set-up failed.")


def run(*command):
    """Run a step and keep its words; if it fails, say why."""
    with (ROOT / LOG).open("a+", encoding="utf-8", errors="replace") as log:
        start = log.seek(0, 2)
        if subprocess.call([str(word) for word in command], cwd=ROOT, stdout=log, stderr=log):
            log.seek(start)
            raise SetupError(f"{cause(log.read())} What the step itself said is in {LOG}.")


def brings_cuda(versions, pinned):
    """Whether pip would fetch PyTorch's build for CUDA, by what ``pip index versions`` prints.

    A build for CPUs has a version like 2.13.0+cpu, and pip prefers it where it sees both.
    """
    found = re.findall(r"[^\s,()]+", versions)
    chosen = any(version.startswith(f"{pinned}+") for version in found)
    return pinned in found and not chosen and "INSTALLED:" not in found


def install(part, cuda):
    """Install a part into .venv, at the versions of requirements.txt."""
    if sys.version_info < OLDEST:
        needed, here = ".".join(map(str, OLDEST)), ".".join(map(str, sys.version_info[:3]))
        raise SetupError(
            f"Python {needed} or newer is needed, and {sys.executable} is {here}: "
            "name a newer one: make PYTHON=/path/to/python3"
        )
    try:
        (ROOT / LOG).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / LOG).write_text("", encoding="utf-8")
    except OSError as error:
        raise SetupError(f"This folder cannot be written: {error}.") from None
    print(f"Setting up .venv for `make {part}`: once, some minutes.", flush=True)
    run(sys.executable, "-m", "venv", VENV)
    if "lab" in PARTS[part] and sys.platform == "linux" and not cuda:
        pinned = re.search(
            r"^torch==(\S+)", (ROOT / PINS).read_text(encoding="utf-8"), re.MULTILINE
        )
        command = [str(PYTHON), "-m", "pip", "index", "versions", "torch"]
        versions = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if brings_cuda(versions.stdout.decode(), pinned.group(1)):
            raise SetupError(CUDA)
    pip = (PYTHON, "-m", "pip", "install", "--constraint", PINS)
    run(*pip, "setuptools")
    # Build with this setuptools, without asking the index for another.
    run(*pip, "--no-build-isolation", "--editable", ".", "--editable", f"book[{part}]")
    if "lab" in PARTS[part]:
        # So that no notebook has to wait, or to say that it does: fonts found, loops compiled.
        run(PYTHON, "-c", "import matplotlib.font_manager")
        run(PYTHON, "-m", "lstm", "check")
    for each in PARTS[part]:
        (VENV / f"{each}.ready").touch()


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Set up .venv.")
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--cuda", action="store_true", help="take PyTorch's default build")
    options = parser.parse_args()
    try:
        install(options.part, options.cuda)
    except SetupError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
