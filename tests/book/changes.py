"""Ways to make a formula wrong, by the slips that are easily made and blindly; and a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator

KINDS = {
    "sign": [(r"\+(?!\}=)", "-"), (r"(?<!\{t)-", "+")],
    "index": [
        (r"_t(?![a-z])", "_{t-1}"),
        (r"_\{t-1\}", "_t"),
        (r"_\{t-1\}", "_{t+1}"),
        (r"_\{t\+1\}", "_t"),
        (r",t(\+1)?\}", ",t-1}"),
        (r"_([krsTK01])(?![a-z])", "_t"),
        (r"_([srk])(?![a-z])", r"_{\1-1}"),
    ],
    "gate": [
        (rf"(?<![\\a-zA-Z]){old}(?![a-z(])", new)
        for names in ("ifgo", "chx", "UW")
        for old in names
        for new in names.replace(old, "")
    ],
    "function": [(r"\\sigma(?![_a-z])", r"\\tanh"), (r"\\tanh", r"\\sigma"), (r"\\ln", "")],
    "transpose": [(r"\^\\top", ""), (r"(?<=U|W|x|h)_?t? (?=\\bar|h|x)", r"^\\top ")],
    "factor": [
        (r"(?<![_\d{=^[])\d", "3"),
        (r"\\odot", ""),
        (r"\^2", ""),
        (r"\\frac\{1\}\{(\w)\}", r"\1"),
    ],
    "limit": [
        (r"=1\}", "=0}"),
        (r"=1\}", "=2}"),
        (r"=([a-z])(\+1)?\}", r"=\1-1}"),
        (r"\}\^\{?([TtkBN])\}?", r"}^{\1-1}"),
    ],
}


def changes(latex: str) -> Iterator[tuple[str, str]]:
    """Yield the kind and the formula of every change of the kinds that slips are of."""
    for kind, rules in KINDS.items():
        for pattern, new in rules:
            for match in re.finditer(pattern, latex):
                changed = latex[: match.start()] + match.expand(new) + latex[match.end() :]
                if changed != latex:
                    yield kind, changed


TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|[A-Za-z]|\d+|[^\s{}&]")


def blind(latex: str, rng) -> str:
    """Return the formula with one token of it replaced by another of its own, or deleted."""
    tokens = list(TOKEN.finditer(latex))
    token = tokens[rng.integers(len(tokens))]
    others = sorted({each[0] for each in tokens} - {token[0]})
    new = "" if rng.random() < 0.3 else others[rng.integers(len(others))]
    return f"{latex[: token.start()]}{new} {latex[token.end() :]}"


OPPOSITES = (
    "more/less more/fewer better/worse larger/smaller above/below ahead/behind grows/falls "
    "rises/falls grow/vanish growth/decay gains/loses most/least faster/slower many/few "
    "cheap/dear longer/shorter always/never every/no all/none nothing/everything open/shut "
    "before/after first/last best/worst vanishes/explodes keeps/forgets right/wrong "
    "robust/fragile exactly/about easier/harder up/down LSTM/GRU Keras/PyTorch train/test "
    "training/validation rows/columns mean/maximum sufficient/necessary upper/lower "
    "stable/unstable steep/flat forwards/backwards"
)
TURNS = [tuple(pair.split("/")[::step]) for pair in OPPOSITES.split() for step in (1, -1)]


def turns(text: str) -> Iterator[tuple[int, str]]:
    """Yield the place and the text of every turn: to the opposite, or by a “not” more or less."""
    rules = [(rf"\b{old}\b", new) for old, new in TURNS]
    rules += [
        (r"\b(is|are|was|were|does|can|has|will)\b(?! not)", r"\1 not"),
        (r" \*?not\b\*?", ""),
    ]
    for pattern, new in rules:
        for match in re.finditer(pattern, text):
            yield match.start(), text[: match.start()] + match.expand(new) + text[match.end() :]
