"""Ways to make a formula wrong: by the slips that are easily made, and blindly."""

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
