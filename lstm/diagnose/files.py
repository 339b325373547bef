"""A file's own LSTM, examined in a process of its own: ``python -m lstm diagnose FILE[:NAME]``."""

from __future__ import annotations

import ast
import contextlib
import inspect
import json
import os
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from lstm.diagnose.examine import diagnose, diagnose_sequence

MODULE = "file_to_diagnose"
YES, NO, FAILED = 0, 1, 2
"""Exit statuses: an LSTM; not one, or with a mistake; the code could not be examined."""


def definitions(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Run a file's imports, definitions and assignments; leave out what would train or read.

    Cells of a notebook are taken together. Returns what is defined, and which statements failed.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        sources = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
        lines = "\n".join(sources).splitlines()
        text = "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in lines)
    module = sys.modules[MODULE] = ModuleType(MODULE)  # a dataclass asks for its module
    names, failed = vars(module), []
    names["__file__"] = str(path)
    wanted = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
    for node in ast.parse(text).body:
        if isinstance(node, wanted):
            try:
                exec(compile(ast.Module([node], []), str(path), "exec"), names)
            except Exception as error:  # whatever a person's code raises
                failed.append(f"line {node.lineno}: {type(error).__name__}: {error}")
    return names, failed


def likely(names: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what may be an LSTM, the likeliest first: by its name, a step before a sequence."""
    own = {
        name: value
        for name, value in names.items()
        if (inspect.isfunction(value) or inspect.isclass(value)) and value.__module__ == MODULE
    }

    def rank(name: str) -> tuple[bool, ...]:
        word = name.lower()
        return (
            any(part in word for part in ("backward", "grad", "loss", "train", "sample")),
            "lstm" not in word,
            not any(part in word for part in ("step", "cell", "node", "unit")),
        )

    yield from sorted(own.items(), key=lambda item: rank(item[0]))


def backward_of(name: str, names: dict[str, Any]) -> Any:
    """Return the function that is called like another, but for the word that says backward."""

    def rest(word: str) -> str:
        words = r"forward|fwd|prop(agation)?|pass|backward|back|bwd|gradients?|grads?|_"
        return re.sub(words, "", word.lower())

    like = (
        key
        for key, value in names.items()
        if inspect.isfunction(value) and re.search("back|bwd|grad", key.lower())
    )
    found = next((key for key in like if key != name and rest(key) == rest(name)), "gradients")
    return names.get(found)


def examine_file(path: Path, name: str | None, gradients: str | None) -> dict[str, Any]:
    """Diagnose what a file defines; return the answer with its ``text`` and ``status``."""
    sys.path.insert(0, str(path.parent))
    start = time.perf_counter()
    names, failed = definitions(path)
    loaded = time.perf_counter()
    if name is not None and name not in names:
        found = ", ".join(key for key, _ in likely(names)) or "nothing"
        text = "\n".join([f"{path} has no {name}, but {found}", *failed])
        return {"status": FAILED, "text": text}
    candidates = list(likely(names)) if name is None else [(name, names[name])]
    errors, best, called = list(failed), None, ""
    for key, thing in candidates:
        back = names.get(gradients) if gradients else backward_of(key, names)
        if best is not None and back is None and not hasattr(thing, "backward"):
            continue
        for kind in (diagnose, diagnose_sequence):
            answer = kind(thing, names.get("weights"), back)
            if answer.reason:
                errors.append(f"{key}: {answer.reason}")
                continue
            # A backward pass over time is no step's, though the forward pass may run one step.
            if best is None or (answer.is_lstm and answer.backward_of_own_forward is not None):
                best, called = answer, key
            if not any("the backward pass" in text for text in answer.warnings):
                break
        # A right step may stand beside a sequence's backward pass that is not.
        if best is not None and (best.mistakes or not best.is_lstm):
            break
    if best is not None:
        best.warnings += failed[:3]
        good = best.is_lstm and not best.mistakes
        text = f"{called} of {path.name}\n{best}"
        times = {"loading": loaded - start, "seconds": time.perf_counter() - loaded}
        return best.as_dict() | times | {"name": called, "text": text, "status": NO - good}
    text = f"{path}: nothing in it could be called as an LSTM"
    return {"status": FAILED, "text": "\n".join([text, *errors[:6]])}


def run(target: str, *, gradients: str | None, as_json: bool, seconds: float) -> int:
    """Examine ``FILE[:NAME]`` in a process of its own; print the answer, return the exit status."""
    file, _, name = target.partition(":") if not Path(target).exists() else (target, "", "")
    if not Path(file).is_file():
        print(f"FILE must be a Python file or a notebook, got {file}", file=sys.stderr)
        return FAILED
    command = [sys.executable, "-m", "lstm.diagnose.files", str(Path(file).resolve()), name]
    environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONIOENCODING": "utf-8"}
    pipes = {"capture_output": True, "stdin": subprocess.DEVNULL, "encoding": "utf-8"}
    try:
        done = subprocess.run(
            [*command, gradients or ""], timeout=seconds, env=environment, check=False, **pipes
        )
        lines = done.stdout.splitlines()
        answer = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else None
        if answer is None:
            answer = {"status": FAILED, "text": f"the process ended: {done.stderr[-500:]}"}
    except subprocess.TimeoutExpired:
        answer = {"status": FAILED, "text": f"stopped after {seconds:g} seconds"}
    note = f"Ran in a process of its own, for at most {seconds:g} seconds."
    if "seconds" in answer:
        note += " Examined in {seconds:.1f} s, after {loading:.1f} s for the file.".format(**answer)
    print(json.dumps(answer, ensure_ascii=False) if as_json else f"{answer['text']}\n{note}")
    return answer["status"]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(sys.stderr):  # what the code prints is not the answer
        result = examine_file(Path(sys.argv[1]), sys.argv[2] or None, sys.argv[3] or None)
    print("\n" + json.dumps(result, ensure_ascii=False))
