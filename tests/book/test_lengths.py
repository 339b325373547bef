"""A chapter can be finished: its length, its share of code, its cells, and nothing typed twice."""

from __future__ import annotations

import re
from functools import cache

import pytest

from tests.book.test_book import HTML
from tests.book.test_quality import (
    NOTEBOOKS,
    ROOT,
    code_cells,
    each_notebook,
    outputs,
    read,
    source,
    tags,
)

CHAPTERS = [path for path in NOTEBOOKS if path.stem[:2].isdigit()]
PAGES = [*NOTEBOOKS, *sorted((ROOT / "book").glob("*.md")), ROOT / "README.md"]
SCREEN = {"width": 1280, "height": 800}
SCREENS = 25
SHARE_OF_CODE = 0.45
LINES = range(4, 13)
HIDDEN = {"hide-input", "hide-cell", "remove-input", "remove-cell"}
# Cells that may be longer, and why each is read as one piece.
LONG_CELLS = {
    "bp-whole": "what the chapter derives: the whole backward pass",
    "seq-scan-02": "a class of the package, word for word",
    "seq-scan-04": "a function of the package, word for word",
    "seq-scan-06": "a function of the package, word for word",
}
# The height of a page's text, and of its cells, without what is closed and without figures.
HEIGHTS = """() => {
  const height = (element) => element.getBoundingClientRect().height;
  const article = document.querySelector(".bd-article");
  let code = 0;
  for (const cell of article.querySelectorAll("div.cell")) {
    if (!cell.checkVisibility()) continue;
    code += height(cell);
    for (const figure of cell.querySelectorAll("figure"))
      if (figure.checkVisibility()) code -= height(figure);
  }
  return { article: height(article), code };
}"""
# The gates of chapter 3: one is one screen.
GATES = ("forget-gate", "input-gate", "cell-state", "output-gate")
GATE = """label => {
  const section = document.getElementById(`equation-eq-${label}`).closest("section");
  return [section.querySelector("h2"), section.nextElementSibling]
    .map((place) => place.getBoundingClientRect().top).reduce((top, end) => end - top);
}"""
# Tables that go on beyond what a reader sees, each with how much.
CUT = """() => [...document.querySelectorAll(".bd-article table")].flatMap((table) => {
  let hidden = 0;
  for (let box = table; box.tagName !== "ARTICLE"; box = box.parentElement)
    if (getComputedStyle(box).overflowX !== "visible")
      hidden = Math.max(hidden, box.scrollWidth - box.clientWidth);
  return hidden > 1 ? [[hidden, table.innerText.slice(0, 60)]] : [];
})"""
TYPED = re.compile(
    r"(?<![`{/\w-])(?:[Cc]hapters?|[Ee]xercises?|[Ff]ig(?:ures?|\.)|[Ee]q(?:uations?|\.)"
    r"|[Ss]ections?|[Tt]ables?)[ \u00a0]\(?\d+(?:\.\d+)*|第 ?\d+ ?[章节]|[图表式] ?\(?\d"
)
OPEN = "document.querySelectorAll('details').forEach((each) => (each.open = true))"
FIGURE = re.compile(r'<figure [^>]*id="(fig-[\w-]+)"')
# Sections of an article, and figures and equations of a paper, are not ours to number.
ELSEWHERE = re.compile(r"[Aa]rticle|\bits\b|\bpaper\b|\{cite|says section|”, section")

each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def laptop(chromium):
    with chromium.new_context(viewport=SCREEN, reduced_motion="reduce") as context:
        yield context.new_page()


@cache
def visible_cells(path) -> dict[str, str]:
    """Return the code that a reader sees, by the cell's name; that of solutions included."""
    return {cell["id"]: source(cell) for cell in code_cells(path) if not tags(cell) & HIDDEN}


@pytest.mark.book
@pytest.mark.browser
@each_chapter
def test_chapter_is_short_and_mostly_text(laptop, path):
    laptop.goto(f"{HTML.as_uri()}/book/{path.stem}.html")
    laptop.evaluate("window.MathJax?.startup.promise.then(() => true)")
    heights = laptop.evaluate(HEIGHTS)
    assert heights["article"] / SCREEN["height"] <= SCREENS
    assert heights["code"] / heights["article"] <= SHARE_OF_CODE
    laptop.evaluate(OPEN)
    assert laptop.evaluate(CUT) == []


@pytest.mark.book
@pytest.mark.browser
@pytest.mark.parametrize("gate", GATES)
def test_a_gate_is_one_screen(laptop, gate):
    """Picture, formula, its line of code, its check: from its heading to the next."""
    laptop.goto(f"{HTML.as_uri()}/book/03_gates.html")
    laptop.evaluate("window.MathJax?.startup.promise.then(() => true)")
    header = laptop.locator(".bd-header-article").bounding_box()
    assert 0 < laptop.evaluate(GATE, gate) <= SCREEN["height"] - header["height"]


@each_notebook
def test_cells_are_one_thought(path):
    """Neither a lone line, which the text could tell, nor more than one reads in one piece."""
    counts = {
        name: sum(bool(line.strip()) for line in text.splitlines())
        for name, text in visible_cells(path).items()
    }
    others = {name: count for name, count in counts.items() if count not in LINES}
    assert {name: count for name, count in others.items() if name not in LONG_CELLS} == {}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_no_reference_is_typed(path):
    if path.suffix == ".md":
        texts = [path.read_text(encoding="utf-8")]
    else:
        texts = [source(cell) for cell in read(path)["cells"] if cell["cell_type"] == "markdown"]
    sentences = [part for text in texts for part in re.split(r"(?<=[.:;?!])\s|\n\n", text)]
    assert [s for s in sentences if TYPED.search(s) and not ELSEWHERE.search(s)] == []


@each_notebook
def test_every_figure_is_spoken_of(path):
    """A caption has a number, so that the text can say which figure it means."""
    texts = "".join(source(cell) for cell in read(path)["cells"])
    shown = [
        name
        for _, output in outputs(path)
        for name in FIGURE.findall("".join(output.get("data", {}).get("text/html", "")))
    ]
    assert [name for name in shown if f"{{numref}}`{name}`" not in texts] == []


@each_chapter
def test_pytorch_stands_in_one_marked_cell(path):
    """The rest of a page runs where PyTorch does not."""
    if path.stem == "10_pytorch":
        pytest.skip("this chapter is about PyTorch")
    using = [c for c in code_cells(path) if re.search(r"\bimport torch\b|from torch\b", source(c))]
    assert len(using) <= 1
    assert [source(cell) for cell in using if "torch" not in tags(cell)] == []


def test_exceptions_are_needed():
    there = {name for path in CHAPTERS for name in visible_cells(path)}
    assert set(LONG_CELLS) - there == set()
