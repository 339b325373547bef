"""What the pages' sentences say, and where what a run gave comes from: numbers, and words.

``python -m tests.book.numbers`` accepts the passages as they are now.
"""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from hashlib import sha256
from html import unescape
from pathlib import Path
from textwrap import wrap

import numpy as np
import yaml
from lstm_book import binding, errata, experiments, statistics
from lstm_book.experiments import tracked, written
from lstm_book.ledger import ARTICLES
from lstm_book.recipes import records, trials

import lstm
from lstm import equations
from lstm.initialise import orthogonal

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).with_suffix(".yml")
COMMAND = "python -m tests.book.numbers"
WRITTEN = "\n# Written by the command"
SEALED = ": a hash of every passage. That it changed is noticed, not whether it is wrong.\n"
COMPARATIVE = (
    r"\b(more|less|fewer|better|worse|larger|smaller|above|below|ahead|behind|grows|falls|rises"
    r"|faster|slower|longer|shorter|most|least|many|few|best|worst)\b"
)
SLOT = r"\{([~<>]?|[^{}]*\|[^{}]*)\}"
"""What a template leaves open: a number, or one of some words."""

NAMES = ["four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
WORDS = {name: count for count, name in enumerate(NAMES, 4)}
WORDS |= {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "hundred": 100, "thousand": 1000}
PLAIN = r"(?<![\w.])[−-]?\d+(?:,\d{3})*(?:\.\d+)?(?!\w)"
POWER = r"(?:[\d.]+ *(?:\\cdot|·) *)?10\^\{-?\d+\}"
SHORT = r"(?<![\w.])\d+(?:\.\d+)?e[+-]?\d+"
NUMBER = rf"{POWER}|{SHORT}|{PLAIN}|\b(?:{'|'.join(WORDS)})\b"
MEASURED = rf"{POWER}|{SHORT}|(?<![\w.,])\d+\.\d+(?!\w|[.,]\d)|(?<![\w.,])[\d,.]+(?= ?%| percent)"
"""A number that looks measured: with decimals, in percent, or with a power of ten."""
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


def page_text(name: str) -> str:
    """Return a page's Markdown, and what its figures and tables say of themselves."""
    path = pages()[name]
    text = binding.page_text(path)
    if path.suffix == ".ipynb":
        html = "\n".join(html for _, html in _outputs(name))
        said = re.findall(r'aria-label="([^"]*)"|<(?:fig)?caption[^>]*>(.*?)</', html, re.DOTALL)
        text += "".join(f"\n\n{unescape(label or caption)}" for label, caption in said)
    return text


def passages(text: str) -> list[str]:
    """Return what stands between a text's blank lines, with its formulas and code."""
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip()]


def seals(text: str) -> list[str]:
    """Return a short hash of each passage, in order."""
    return [sha256(each.encode()).hexdigest()[:4] for each in passages(text)]


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
        line = Sources(page or self.page).line(*words)
        return [float(n.replace(",", "").replace("−", "-")) for n in PRINTED.findall(line)]

    def line(self, *words: str) -> str:
        """Return the one line of the page's output that holds these words."""
        (found,) = {each for each in _output(self.page) if all(w in each for w in words)}
        return found

    def code(self, *expressions: str) -> list[float]:
        """Return the one number that each expression finds in the page's code."""
        cells = json.loads(pages()[self.page].read_text(encoding="utf-8"))["cells"]
        text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
        found = [set(re.findall(expression, text)) for expression in expressions]
        return [float(number.replace("_", "")) for (number,) in found]

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
    def trial(model: str) -> float:
        """Return the best accuracy of a model's logged trials, by validation, in percent."""
        lines = trials.read(ROOT / "results")
        own = [line for line in lines if line["model"] == model and "validation" in line]
        return 100 * max(line["validation"]["accuracy"] for line in own)

    @staticmethod
    def earlier(recipe: str, model: str) -> list:
        """Return the accuracies, in percent, of the record that the one of today replaces."""
        own = [
            line
            for line in trials.read(ROOT / "results")
            if [line.get("recipe"), line["model"]] == [recipe, model]
            and line.get("note", "").startswith("An earlier record")
        ]
        return [100 * accuracy for accuracy in own[-1]["accuracy"]]

    @staticmethod
    def low_epochs(model: str) -> list:
        """Return for each seed of ``scalar-sequence`` after how many epochs it is below 90 %."""
        runs = records.read(ROOT / "results" / f"scalar-sequence-{model}-numpy-full.json")["runs"]
        return [sum(row["validation_accuracy"] < 0.9 for row in run["epochs"]) for run in runs]

    @staticmethod
    def looks(*changed: str) -> list:
        """Return the accuracies, in percent, of the logged look at the test part with changes.

        Of several that have them, that with the fewest other changes.
        """
        looks = [
            line
            for line in trials.read(ROOT / "results")
            if line["part"] == "test" and {*changed} <= {*line["changed"]}
        ]
        line = min(looks, key=lambda line: len(line["changed"]))
        return [100 * accuracy for accuracy in line["accuracy"]]

    @staticmethod
    def run(name: str, steps: int = 100, experiment: str = "remember", **settings) -> dict:
        """Return a contestant's run; a family's name stands for its best start."""
        record = _meetings() if experiment == "duel" else _experiment(experiment)
        found = experiments.runs_of(record, name, steps=steps, **settings)
        (run,) = found or [experiments.best_of(record, name, steps)]
        return run

    def learnt(self, *run, **settings) -> int:
        """Return how many seeds of a run learnt the task."""
        return sum(experiments.learnt(self.run(*run, **settings)))

    @staticmethod
    def shares(task: str, *names: str, size: int, part: str = "result", rates: tuple = ()) -> list:
        """Return right answers in percent, of all runs of some contestants of state and recall.

        ``rates`` leaves out the runs with other learning rates than these.
        """
        return [
            100 * run["accuracy"][str(size)]
            for name in names
            for run in tracked.runs(_experiment("tracking"), task, name, part)
            if not rates or run["lr"] in rates
        ]

    @staticmethod
    def layer(x: list, state=None, length=None, **options) -> tuple:
        """Return output, (T, ·), and final state of an LSTM of three units for (T, 2) numbers."""
        network = lstm.LSTM(2, 3, dtype=float, rng=0, **options)
        inputs = np.array(x, float)[:, None]
        output, state = network(inputs, state, lengths=None if length is None else [length])
        return output[:, 0], state

    @staticmethod
    def written(path: str, expression: str) -> float:
        """Return the one number that an expression finds in a program."""
        (number,) = set(re.findall(expression, (ROOT / path).read_text(encoding="utf-8")))
        return float(number)

    def of(self, source: str) -> tuple:
        """Return what a source gives, one number or truth for each brace of its template."""
        names = [
            "row",
            "line",
            "code",
            "record",
            "accuracy",
            "trial",
            "looks",
            "earlier",
            "low_epochs",
            "run",
            "learnt",
            "shares",
            "layer",
            "written",
        ]
        found = eval(source, {name: getattr(self, name) for name in names} | GIVEN)
        return tuple(found) if isinstance(found, list | tuple) else tuple(np.atleast_1d(found))


_experiment = cache(experiments.load_record)
_meetings = cache(experiments.meetings)


@cache
def _given(page: str, source: str) -> tuple:
    return Sources(page).of(source)


GIVEN = {"np": np, "student": statistics.student, "eq": equations, "experiments": experiments}
GIVEN |= {"lstm": lstm, "orthogonal": orthogonal, "ARTICLES": ARTICLES, "errata": errata}
GIVEN |= {"writings": written}
"""What else a source can name."""


@cache
def _outputs(page: str) -> list[tuple[str, str]]:
    """Return the outputs of a page, each as plain text and as HTML; of two drawings the first."""
    cells = json.loads(pages()[page].read_text(encoding="utf-8"))["cells"]
    outputs = [each for cell in cells for each in cell.get("outputs", [])]
    data = [(each.get("text"), each.get("data", {})) for each in outputs]
    return [
        (
            "".join(text or found.get("text/plain", "")),
            PHONE.sub("", "".join(found.get("text/html", ""))),
        )
        for text, found in data
    ]


@cache
def _output(page: str) -> list[str]:
    lines = []
    for text, html in _outputs(page):
        # With the text alternatives of figures.
        lines += [*text.splitlines(), *re.findall(r'aria-label="([^"]*)"', html)]
    return lines


# ------------------------------------------------------------------------------------- templates
def value(text: str) -> float:
    """Return what a number in the text says: 5,000, ten, 1.4 · 10^{17}."""
    if match := re.fullmatch(r"(?:([\d.]+).*)?10\^\{(-?\d+)\}", text):
        return float(match[1] or 1) * 10.0 ** int(match[2])
    word = WORDS.get(text.lower())
    return word if word else float(text.replace(",", "").replace("−", "-"))


def fits(text: str, sign: str, exact) -> bool:
    """Return whether what stands in the text is what the source gives.

    A number is it at the precision of the text: ``{~}`` counts only digits before the last zeros;
    ``{>}`` (more than) and ``{<}`` (below) round down and up there. Of words, the source gives the
    right one, or whether it is the first.
    """
    if "|" in sign:
        right = exact if isinstance(exact, str) else sign.split("|")[not exact]
        return text.lower() == right.lower()
    said, power = value(text), re.search(r"10\^|(?<=\d)e", text)
    digits = re.sub(r"\D", "", text[: power.start()] if power else text) or (
        "1" if power else str(said)
    )
    step = 10.0 ** -len(text.partition(".")[2])
    if sign or power:
        size = max(len(digits.strip("0")), 1)
        step = 10.0 ** (np.floor(np.log10(abs(said))) - size + 1)
    low, high = {">": (0, 1), "<": (-1, 0)}.get(sign, (-0.5, 0.5))
    return said + low * step - 1e-9 * step <= exact <= said + high * step + 1e-9 * step


def read_by(template: str, text: str) -> tuple[list[str], list[re.Match]]:
    """Return the braces of a template, and where the text reads as it does."""
    sentence = re.split(SLOT, template)
    expression = re.escape(sentence[0])
    for sign, after in zip(sentence[1::2], sentence[2::2], strict=True):
        words = "|".join(map(re.escape, sign.split("|")))
        expression += f"({words if '|' in sign else NUMBER}){re.escape(after)}"
    return sentence[1::2], list(re.finditer(expression, text, re.IGNORECASE))


def bound(name: str, text: str, templates: dict[str, str]) -> list[str]:
    """Return what is wrong with templates of a page.

    A template without a brace says that its source is true.
    """
    wrong = []
    for template, source in templates.items():
        signs, found = read_by(template, text)
        try:
            exact = _given(name, source)
        except (LookupError, TypeError, ValueError) as error:
            found, exact = [], error
        if not signs and exact == (True,):
            exact = ()
        if len(found) != 1 or len(exact) != len(signs):
            wrong.append(f"{name}: {len(found)} sentences read “{template}”, its source: {exact}")
            continue
        said = found[0].groups()
        if not all(map(fits, said, signs, exact)):
            wrong.append(f"{name}: “{template}” says {', '.join(said)}; {source} is {exact}")
    return wrong


def read() -> list[str]:
    """Return what is wrong with the templates."""
    # Of the head alone: where two changes of the hashes do not merge, the command writes them anew.
    head = DATA.read_text(encoding="utf-8").partition(WRITTEN)[0]
    templates = yaml.safe_load(head)["templates"]
    wrong = [f"templates of an unknown page: {name}" for name in templates.keys() - pages().keys()]
    for name in templates.keys() & pages().keys():
        wrong += bound(name, prose(page_text(name)), templates[name])
    return wrong


# ------------------------------------------------------------------------------- what is not bound
def typed(name: str) -> list[str]:
    """Return what somebody wrote of a page: its Markdown, and the texts of figures and tables.

    Of these, what the cell puts in is no part.
    """
    path = pages()[name]
    parts = [binding.page_text(path)]
    if path.suffix == ".ipynb":
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                parts += _texts("".join(cell["source"]))
    return [prose(part) for part in parts]


def _texts(code: str) -> list[str]:
    """Return the constant parts of a cell's text alternatives and captions."""
    said = [
        word.value
        for call in ast.walk(ast.parse(code))
        if isinstance(call, ast.Call)
        for word in call.keywords
        if word.arg in {"alt", "caption"}
    ]
    parts = [part for value in said for part in ast.walk(value) if isinstance(part, ast.Constant)]
    return [  # with formulas as a page shows them
        re.sub(r"\$([^$]+)\$", r"\\(\1\\)", part.value)
        for part in parts
        if isinstance(part.value, str)
    ]


def unbound(name: str, templates: dict[str, str], elsewhere: list[str]) -> dict[int, str]:
    """Return what looks measured on a page and stands in no template: place → words around it.

    Numbers of a formula are not among them: it is computed, or gives a calculation. ``elsewhere``
    are expressions for what comes from no run of ours.
    """
    text, found = prose(page_text(name)), {}
    spans = [match.span() for each in templates for match in read_by(each, text)[1]]
    spans += [match.span() for each in elsewhere for match in re.finditer(each, text)]
    for part in typed(name):
        at = text.find(part)
        for match in re.finditer(MEASURED, part):
            start, before = at + match.start(), part[: match.start()]
            of_formula = re.search(r"§(?: [\d.,-]+)* $", before)
            if not of_formula and not any(low <= start < high for low, high in spans):
                found[start] = f"{before[-40:]}>{match[0]}<{part[match.end() :][:20]}"
    return found


PHONE = re.compile(r'<svg [^>]*class="narrow.*?</svg>', re.DOTALL)
OF_A_RUN = re.compile(r"\b(row|line|record|accuracy|run|learnt|shares|trial|writings)\(|\bmeetings")
"""A source that reads what a run gave."""


def open_comparatives(name: str, templates: dict[str, str], elsewhere: list[str]) -> dict[int, str]:
    """Return comparatives beside a number from a run that no template holds: place → sentence."""
    text, spans, results, found = prose(page_text(name)), [], [], {}
    for template, source in templates.items():
        for match in read_by(template, text)[1]:
            spans.append(match.span())
            if OF_A_RUN.search(source):
                signs = enumerate(read_by(template, text)[0], 1)
                results += [match.start(group) for group, sign in signs if "|" not in sign]
    spans += [match.span() for each in elsewhere for match in re.finditer(each, text)]
    for sentence in re.finditer(r"(?:[^.!?;]|\.(?=\d))*", text):
        low, high = sentence.span()
        if any(low <= at < high for at in results):
            for match in re.finditer(COMPARATIVE, sentence[0]):
                at = low + match.start()
                if not any(start <= at < end for start, end in spans):
                    found[at] = sentence[0].strip()
    return found


def accept() -> None:
    """Write the hash of every passage."""
    text = DATA.read_text(encoding="utf-8").partition(WRITTEN)[0] + WRITTEN + SEALED + "passages:\n"
    for name in pages():
        lines = wrap(" ".join(seals(page_text(name))), 96)
        text += f"  {name}: >-\n" + "".join(f"    {line}\n" for line in lines)
    DATA.write_text(text, encoding="utf-8")
    print("\n".join(read()))


if __name__ == "__main__":
    accept()
