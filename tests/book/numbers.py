"""The numbers that the pages' prose tells, and where those that a run gave come from.

``python -m tests.book.numbers`` accepts the numbers that no template binds: see its diff.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from textwrap import wrap

import numpy as np
import yaml
from lstm_book import binding, statistics
from lstm_book.recipes import records

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).with_suffix(".yml")
COMMAND = "python -m tests.book.numbers"
ACCEPTED = (
    "\n# Written by the command: what no template binds, each number with the word after it.\n"
)

NAMES = ["four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
WORDS = {name: count for count, name in enumerate(NAMES, 4)}
WORDS |= {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "hundred": 100, "thousand": 1000}
PLAIN = r"(?<![\w.])[−-]?\d+(?:,\d{3})*(?:\.\d+)?(?!\w)"
POWER = r"(?:[\d.]+ *(?:\\cdot|·) *)?10\^\{-?\d+\}"
NUMBER = rf"{POWER}|{PLAIN}|\b(?:{'|'.join(WORDS)})\b"
PRINTED = re.compile(r"(?<![\w.])[−-]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?")
IN_MATH = r"\d+\.\d+|\d{2,}|[4-9]"
"""Numbers that stay of a formula in the text: not the 0, 1, 2 and 3 of indices and powers."""
CODE = re.compile(r"(?!\{)|\{(math|raw|equation-index)\}")
TAKEN_OUT = [
    (r"^:::[^\n]*$|^:[\w-]+:[^\n]*$|^\([\w-]+\)=$", " "),  # directives, options, labels
    (r"\$\$.*?\$\$", " "),
    (r"\{[\w:]+\}`[^`]*`|`[^`]*`", "§"),  # roles and code
    (r"(?<![\d.,])00\d-\d+\b", "§"),  # findings
    (r"\]\([^)]*\)|</?[a-z][^<>]*>", " "),  # addresses and tags
    (rf"\$({POWER}|{PLAIN})\$", r"\1"),
    (r"\$([^$]*)\$", lambda math: " ".join(["§", *re.findall(IN_MATH, math[1])])),
]
"""What is no prose, in the order in which it is taken out, and what stands in its place."""


def pages() -> dict[str, Path]:
    """Return what a reader reads, by name: chapters, the pages around them, and README."""
    written = {"api", "run_times"}  # by the code, and by a command
    around = [
        p for p in (ROOT / "book").glob("*.md") if p.stem not in written and "api_" not in p.stem
    ]
    paths = [ROOT / "README.md", *sorted([*(ROOT / "book").glob("*.ipynb"), *around])]
    return {path.stem: path for path in paths}


def prose(text: str) -> str:
    """Return a page's text without code, formulas, roles and addresses."""
    high = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    text = re.sub("10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", lambda m: f"10^{{{m[1].translate(high)}}}", text)
    text = without_blocks(text)
    for pattern, new in TAKEN_OUT:
        text = re.sub(pattern, new, text, flags=re.MULTILINE | re.DOTALL)
    return " ".join(text.split())


def without_blocks(text: str) -> str:
    """Return the text without fenced code and formulas; other directives keep theirs."""
    kept, fences = [], []
    for line in text.splitlines():
        fence = re.match(r"(`{3,})(.*)", line)
        if fence and fences and fence[1] == fences[-1][0] and not fence[2]:
            fences.pop()
        elif fence:
            fences.append((fence[1], bool(CODE.match(fence[2]))))
        elif not any(code for _, code in fences):
            kept.append(line)
    return "\n".join(kept)


# --------------------------------------------------------------------------------------- sources
class Sources:
    """What a template of one page can name as the source of its numbers."""

    def __init__(self, page: str) -> None:
        self.page = page

    def row(self, *words: str, page: str = "") -> list[float]:
        """Return the numbers of the one line of a page's output that holds these words.

        The text alternative of a figure is a line, too.
        """
        lines = [line for line in _output(page or self.page) if all(w in line for w in words)]
        if len(set(lines)) != 1:
            raise ValueError(f"{len(lines)} lines of output hold {words}: {lines[:3]}")
        return [float(n.replace(",", "").replace("−", "-")) for n in PRINTED.findall(lines[0])]

    @staticmethod
    def record(name: str) -> dict:
        """Return a record in ``results/``, by its path there without the ending."""
        return json.loads((ROOT / "results" / f"{name}.json").read_text(encoding="utf-8"))

    @staticmethod
    def accuracy(name: str) -> float:
        """Return the mean accuracy of a recorded run, in percent."""
        runs = records.read(ROOT / "results" / f"{name}.json")["runs"]
        return 100 * float(np.mean([run["test"]["accuracy"] for run in runs]))

    @staticmethod
    def written(path: str, expression: str) -> float:
        """Return the one number that an expression finds in a program."""
        (number,) = set(re.findall(expression, (ROOT / path).read_text(encoding="utf-8")))
        return float(number)

    def of(self, source: str) -> tuple[float, ...]:
        """Return the numbers that a source gives, one for each brace of its template."""
        names = {"row", "record", "accuracy", "written"}
        found = eval(source, {name: getattr(self, name) for name in names} | GIVEN)
        return tuple(np.atleast_1d(found))


GIVEN = {"np": np, "student": statistics.student}
"""What else a source can name."""


@cache
def _output(page: str) -> list[str]:
    cells = json.loads(pages()[page].read_text(encoding="utf-8"))["cells"]
    lines = []
    for output in (each for cell in cells for each in cell.get("outputs", [])):
        data = output.get("data", {})
        lines += "".join(output.get("text") or data.get("text/plain", "")).splitlines()
        # The text alternatives of figures.
        lines += re.findall(r'aria-label="([^"]*)"', "".join(data.get("text/html", "")))
    return lines


# ------------------------------------------------------------------------------------- templates
def value(text: str) -> float:
    """Return what a number in the text says: 5,000, ten, 1.4 · 10^{17}."""
    if match := re.fullmatch(r"(?:([\d.]+).*)?10\^\{(-?\d+)\}", text):
        return float(match[1] or 1) * 10.0 ** int(match[2])
    word = WORDS.get(text.lower())
    return word if word else float(text.replace(",", "").replace("−", "-"))


def fits(text: str, sign: str, exact: float) -> bool:
    """Return whether a number in the text is the exact one, at the precision of the text.

    ``{~}`` counts only digits before the last zeros; ``{>}`` (more than) and ``{<}`` (below)
    round down and up there.
    """
    said, head = value(text), text.partition("10^")[0] if "^" in text else text
    digits = re.sub(r"\D", "", head) or ("1" if "^" in text else str(said))
    step = 10.0 ** -len(text.partition(".")[2])
    if sign or "^" in text:
        size = max(len(digits.strip("0")), 1)
        step = 10.0 ** (np.floor(np.log10(abs(said))) - size + 1)
    low, high = {">": (0, 1), "<": (-1, 0)}.get(sign, (-0.5, 0.5))
    return said + low * step - 1e-9 * step <= exact <= said + high * step + 1e-9 * step


def bound(name: str, text: str, templates: dict[str, str]) -> tuple[set[int], list[str]]:
    """Return where numbers stand that templates bind, and what is wrong with the templates."""
    places, wrong = set(), []
    for template, source in templates.items():
        sentence = re.split(r"\{([~<>]?)\}", template)
        expression = f"({NUMBER})".join(map(re.escape, sentence[::2]))
        found = list(re.finditer(expression, text, re.IGNORECASE))
        try:
            exact = Sources(name).of(source)
        except (LookupError, TypeError, ValueError) as error:
            found, exact = [], error
        signs = sentence[1::2]
        if len(found) != 1 or len(exact) != len(signs):
            wrong.append(f"{name}: {len(found)} sentences read “{template}”, its source: {exact}")
            continue
        said = found[0].groups()
        if not all(map(fits, said, signs, exact)):
            wrong.append(f"{name}: “{template}” says {', '.join(said)}; {source} is {exact}")
        places |= {found[0].start(group) for group in range(1, len(signs) + 1)}
    return places, wrong


def listed(text: str, places: set[int]) -> list[str]:
    """Return each number elsewhere, with the word after it."""
    found = re.finditer(rf"({NUMBER})(?=\W*(%|[^\W\d_]+)?)", text, re.IGNORECASE)
    counts = Counter(f"{m[1]} {m[2] or ''}".strip() for m in found if m.start() not in places)
    return sorted(each if n == 1 else f"{each} ×{n}" for each, n in counts.items())


def read() -> tuple[dict[str, list[str]], list[str]]:
    """Return what no template binds, page by page, and what is wrong with the templates."""
    # Of the head alone: where two changes of the list do not merge, the command writes it anew.
    head = DATA.read_text(encoding="utf-8").partition(ACCEPTED)[0]
    templates = yaml.safe_load(head)["templates"]
    wrong = [f"templates of an unknown page: {name}" for name in templates.keys() - pages().keys()]
    free = {}
    for name, path in pages().items():
        text = prose(binding.page_text(path))
        places, more = bound(name, text, templates.get(name, {}))
        free[name], wrong = listed(text, places), wrong + more
    return {name: each for name, each in free.items() if each}, wrong


def accept() -> None:
    """Write the list of what no template binds."""
    head = DATA.read_text(encoding="utf-8").partition(ACCEPTED)[0]
    free, wrong = read()
    text = head + ACCEPTED + "accepted:\n"
    for name, each in free.items():
        lines = wrap(" | ".join(each), 96, break_long_words=False, break_on_hyphens=False)
        text += f"  {name}: >-\n" + "".join(f"    {line}\n" for line in lines)
    DATA.write_text(text, encoding="utf-8")
    print("\n".join(wrong))


if __name__ == "__main__":
    accept()
