"""Seals on the ledger of errata: that each quotation stands in its article, word for word.

The articles are not part of this project. Where they lie in ``../shared/articles``, or in the
folder that ``LSTM_ARTICLES`` names, every quotation of ``book/errata.yml`` is looked up: its parts,
in their order, the first one in the section that the entry names. The command

    python -m lstm_book.seals

writes what it found to ``book/errata_seals.json``, and stops at a quotation that it does not find.
Where the articles are missing, a quotation is compared with its seal. No seal gives the article
away: it is one hash over a whole quotation.

The words of an entry have a seal, too. It cannot know whether they are right, which is for the
entry's evidence to show; it makes sure that nobody changes a sentence of the ledger unnoticed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from lstm_book.checkout import ROOT
from lstm_book.ledger import ARTICLES, FINDINGS, LEDGER, places

SEALS = ROOT / "book" / "errata_seals.json"
NORMALISATION = r"NFKC, without white space and $ ` * { }; parts between …, \dots and a spaced /"

_HEADING = re.compile(r"^(?:#+|\*\*) *(\d+(?:\.\d+)?)\.? *(.*?)\**$", re.MULTILINE)


def article_texts() -> dict[str, str]:
    """Return the five texts by number; none where the articles are not on this machine."""
    folder = Path(os.environ.get("LSTM_ARTICLES", ROOT.parent / "shared" / "articles"))
    return {path.name[:3]: path.read_bytes().decode() for path in folder.glob("00[0-4]*.txt")}


def normalized(text: str) -> str:
    """Return a text without what only its setting decides: see :data:`NORMALISATION`."""
    return re.sub(r"[\s$`*{}]", "", unicodedata.normalize("NFKC", text))


def parts(printed: str) -> list[str]:
    """Return the pieces of a quotation between its omissions, normalised."""
    pieces = map(normalized, re.split(r"…|\\dots(?![a-z])| / ", printed))
    return [piece for piece in pieces if piece]


def section_bounds(article: Mapping, text: str) -> dict[str, tuple[int, int]]:
    """Return where each section begins and ends in the normalised text, with those under it."""
    found = list(_HEADING.finditer(text))
    numbers = [section["id"].partition(" ")[0] for section in article["sections"]]
    headings = [section["printed"] for section in article["sections"]]
    if [(h[1], h[2]) for h in found] != list(zip(numbers, headings, strict=True)):
        raise ValueError(f"article {article['id']} has other headings than its sections say")
    starts = [len(normalized(text[: heading.start()])) for heading in found]
    starts.append(len(normalized(text)))
    bounds = {}
    for n, section in enumerate(article["sections"]):
        below = f"{numbers[n]}."
        end = n + 1
        while end < len(numbers) and numbers[end].startswith(below):
            end += 1
        bounds[section["id"]] = starts[n], starts[end]
    return bounds


def find(place: Mapping, text: str, bounds: Mapping[str, tuple[int, int]]) -> list[int]:
    """Return the offset of each part of a place's quotation in the normalised text.

    Raises
    ------
    ValueError
        A part is not there, or not behind the one before, or the first not in the place's section.
    """
    at, end = bounds[place["section"]]
    offsets = []
    for part in parts(place["printed"]):
        offset = text.find(part, at)
        if offset < 0 or (not offsets and offset >= end):
            raise ValueError(f"{place['id']}: {part!r} is not in article {place['article']} there")
        offsets.append(offset)
        at = offset + len(part)
    return offsets


def sha256(text: str) -> str:
    """Return the SHA-256 of a text's bytes."""
    return hashlib.sha256(text.encode()).hexdigest()


def digest(value: object) -> str:
    """Return the SHA-256 of a value, written as JSON."""
    return sha256(json.dumps(value, ensure_ascii=False, sort_keys=True))


def quotations() -> dict[str, str]:
    """Return one hash over the parts of each quotation, by the number of its place."""
    return {p["id"]: digest(parts(p["printed"])) for f in FINDINGS for p in places(f)}


def words() -> dict[str, str]:
    """Return a hash of the words of each article's and each finding's entry, without evidence."""
    return {
        entry["id"]: digest({key: entry[key] for key in entry if key != "evidence"})
        for entry in [*LEDGER["articles"], *FINDINGS]
    }


def offsets(texts: Mapping[str, str]) -> dict[str, list[int]]:
    """Return where the parts of each quotation stand in its article."""
    plain = {number: normalized(text) for number, text in texts.items()}
    bounds = {number: section_bounds(ARTICLES[number], text) for number, text in texts.items()}
    return {
        place["id"]: find(place, plain[place["article"]], bounds[place["article"]])
        for finding in FINDINGS
        for place in places(finding)
    }


def stored() -> dict:
    """Return the seals as they were written."""
    return json.loads(SEALS.read_text(encoding="utf-8"))


def found(texts: Mapping[str, str]) -> dict:
    """Return the seals of the articles and of each quotation in them."""
    at = offsets(texts)
    return {
        "normalisation": NORMALISATION,
        "articles": {number: sha256(texts[number]) for number in ARTICLES},
        "quotations": {number: [seal, *at[number]] for number, seal in quotations().items()},
    }


def main() -> None:
    """Write the seals of what stands in the articles and in the ledger now.

    Without the articles the words can get new seals, and no quotation may have changed.
    """
    texts = article_texts()
    if set(texts) == set(ARTICLES):
        seals = found(texts)
    else:
        seals = stored()
        if {number: seal for number, (seal, *_) in seals["quotations"].items()} != quotations():
            sys.exit("a quotation changed: name the articles' folder in LSTM_ARTICLES")
    text = json.dumps(seals | {"words": words()}, ensure_ascii=False, indent=1)
    lines = re.sub(r"\n   ?(?=\d|\])", " ", text)  # a seal and its offsets on one line
    SEALS.write_text(re.sub(r"\[\n +", "[", lines).replace(" ]", "]") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
