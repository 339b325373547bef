"""Write README for a reader who has nothing but the package: ``python readme.py FROM TO``.

On PyPI no file lies beside it: what it points to gets the repository's address, ``repository: url``
in ``_config.yml``; without one, pictures are left out and links become their words.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

CONFIG = Path(__file__).resolve().parents[3] / "_config.yml"
ADDRESS = re.compile(r'^repository:\n +url: "?([^"\n]*)', re.MULTILINE)
BESIDE = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)\s]+)\)")
PICTURE = re.compile(r"!\[[^\]]*\]\((?!\w+:)[^)\s]+\)\n*")


def portable(text: str, address: str) -> str:
    """Return Markdown whose pictures and links need no file beside it."""
    if not address:
        return BESIDE.sub(r"\2", PICTURE.sub("", text))

    def absolute(link: re.Match[str]) -> str:
        mark, words, path = link.groups()
        return f"{mark}[{words}]({address}/{'raw' if mark else 'blob'}/HEAD/{path})"

    return BESIDE.sub(absolute, text)


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    address = ADDRESS.search(CONFIG.read_text(encoding="utf-8"))[1].strip().rstrip("/")
    target.write_text(portable(source.read_text(encoding="utf-8"), address), encoding="utf-8")
