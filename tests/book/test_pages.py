"""Pages that code writes: the API reference, the first page's picture, the run times."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest
from docutils import nodes
from docutils.utils import new_document
from lstm_book import binding
from lstm_book.__main__ import main
from lstm_book.press import run_times
from lstm_book.recipes import RECIPES
from lstm_book.sphinx import page_html
from lstm_book.sphinx.answers import Answers

import lstm
from lstm.equations import EQUATIONS

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"


def written() -> set[str]:
    """Return the names of all objects that the pages of the reference ask for."""
    names, module = set(), ""
    for page in sorted(BOOK.glob("api_*.md")):
        for line in page.read_text(encoding="utf-8").splitlines():
            found = re.match(r"\.\. (currentmodule|auto\w+):: ([\w.]+)", line)
            if not found:
                continue
            kind, name = found.groups()
            if kind in {"currentmodule", "automodule"}:
                module = name
            if kind == "automodule":
                names |= {
                    f"{name}.{key}"
                    for key, value in vars(importlib.import_module(name)).items()
                    if inspect.isfunction(value) and value.__module__ == name
                }
            elif kind != "currentmodule":
                names.add(name if name.startswith("lstm.") else f"{module}.{name}")
    return names


def test_reference_has_every_name_of_the_package():
    assert {f"lstm.{name}" for name in lstm.__all__} - written() == set()


@pytest.mark.parametrize(
    "page",
    [*sorted(BOOK.glob("*.md")), *sorted(BOOK.glob("*.ipynb")), ROOT / "README.md"],
    ids=lambda page: page.stem,
)
def test_names_of_the_packages_are_there(page):
    name = r"lstm(?:_book)?(?:\.[A-Za-z_]\w*)+"
    for found in set(re.findall(rf"`({name})|python -m ({name})", binding.page_text(page))):
        pkgutil.resolve_name("".join(found))


def test_reference_has_every_equation():
    functions = {f"{f.__module__}.{f.__name__}" for f in EQUATIONS.values()}
    public = {f"lstm.{name}" for name in lstm.__all__}
    missing = {
        name for name in functions - written() if f"lstm.{name.rpartition('.')[2]}" not in public
    }
    assert missing == set()


def test_signature_that_a_page_writes_is_that_of_the_class():
    """``LayerNormLSTM`` hands its arguments on, so the reference cannot read them off it."""
    text = (BOOK / "api_layers.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"autoclass:: LayerNormLSTM\((.*)\)", text)
    parameters = inspect.signature(lstm.PeepholeLSTM, eval_str=False).parameters.values()
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters]
    wanted = str(inspect.Signature(bare)).replace("<class 'numpy.float32'>", "np.float32")
    assert f"({shown})" == wanted


def test_page_of_recipes_has_every_command_and_option(capsys):
    def helped(*words):
        with pytest.raises(SystemExit, match=r"^0$"):
            main([*words, "--help"])
        return capsys.readouterr().out

    text = (BOOK / "api_recipes.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| command \|.*?(?=\n\n)", text, re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^    (\w+) ", helped(), re.MULTILINE)
    assert set(commands) == set(re.findall(r"^\| `(\w+)", table, re.MULTILINE))
    options = {option for each in commands for option in re.findall(r"--[a-z]+", helped(each))}
    assert options - {"--help"} == set(re.findall(r"`(--[a-z]+)", text))


@pytest.mark.parametrize("name", RECIPES)
def test_page_of_recipes_has_every_recipe(name):
    recipe = RECIPES[name]
    text = (BOOK / "api_recipes.md").read_text(encoding="utf-8")
    models = [f"`{model}`" for model in recipe.models]
    names = ", ".join([*models, *(f"*{baseline}*" for baseline in recipe.baselines)])
    assert f"| `{name}`<br>article {recipe.article} | {recipe.about}<br>{names} |" in text


def test_run_times_are_those_of_the_records():
    message = "run: python -m lstm_book.press.run_times --page"
    assert run_times.PAGE.read_text(encoding="utf-8") == run_times.page(ROOT), message


FORMULA = '<span class="math notranslate nohighlight">\\(T\\)</span>'


@pytest.mark.parametrize("text", [f"{FORMULA},", f"({FORMULA}).", f"({FORMULA}", f"{FORMULA}-th"])
def test_a_formula_keeps_its_punctuation(text):
    whole = re.search('<span class="one-line">(.*)</span>', page_html.breaks(f"<p>{text} T</p>"))
    assert whole[1] == text.removesuffix("th")


def test_a_formula_alone_stays_as_it_is():
    html = f"<p>{FORMULA} steps, and {FORMULA}</p>"
    assert page_html.breaks(html) == html


def test_long_names_break_in_tables_and_signatures_alone():
    name = '<span class="pre">test_gate.py::test_sigmoid_of_h_t 0.5</span>'
    assert page_html.breaks(f"<p>{name}</p>") == f"<p>{name}</p>"
    broken = '<span class="pre">test_<wbr>gate.<wbr>py::<wbr>test_<wbr>sigmoid_of_h_t 0.5</span>'
    signature = '<dt class="sig py">{}</dt>'
    assert page_html.breaks(f"<td><p>{name}</p></td>") == f"<td><p>{broken}</p></td>"
    assert page_html.breaks(signature.format(name)) == signature.format(broken)


def test_the_rows_of_a_table_with_an_empty_corner_have_headers():
    head = '<table><thead><tr><th scope="col"><p></p></th><th scope="col">h</th></tr></thead>'
    body = '<tr><td class="text">LSTM</td><td>1</td></tr></table>'
    made = page_html.row_headers(head + body)
    assert made.startswith('<table><thead><tr><td></td><th scope="col">h</th>')
    assert made.endswith('<tr><th scope="row" class="text">LSTM</th><td>1</td></tr></table>')
    full = head.replace("<p></p>", "net") + body
    assert page_html.row_headers(full) == full


@pytest.mark.parametrize(
    ("cell", "parts"),
    [
        ("92.64 ± 0.03, 91", ["92.64 ± 0.03,", "91"]),
        ("−29.5 [−32.8, −18.5]", ["−29.5 [−32.8, −18.5]"]),
        ("226 : 196 (0.08) or -2.6 to -1.9", ["226 : 196 (0.08)", "or", "-2.6 to -1.9"]),
        ("&lt; .001, &lt; .001", ["&lt; .001,", "&lt; .001"]),
        ("0.003: 12 [76, 100], 1 lost", ["0.003: 12 [76, 100],", "1", "lost"]),
        ("9 of 10 and 100", ["9 of 10", "and", "100"]),
        ("mean of 5 and more", ["mean", "of", "5", "and", "more"]),
    ],
)
def test_a_number_in_a_table_breaks_where_it_ends(cell, parts):
    table = page_html.whole(f"<table><tr><td>{cell}</td></tr></table>")
    shown = table.removeprefix("<table><tr><td>").removesuffix("</td></tr></table>")
    assert shown.split(" ") == [part.replace(" ", page_html.SPACE) for part in parts]


def test_an_option_keeps_its_value():
    made = page_html.whole("<table><td>python -m lstm_book imdb --model bag-of-steps</td></table>")
    glued = '<span class="one-line">{}</span>'.format
    command = f"python {glued('-m lstm_book')} imdb {glued('--model bag-of-steps')}"
    assert f"<td>{command}</td>" in made


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("99.54 %, 3 MB", "99.54~%, 3~MB"),
        ("from 1.5e-06 on", 'from <span class="one-line">1.5e-06</span> on'),
        ('<pre>7 % 3</pre><svg alt="5 %"><text>5 %</text></svg>', None),
        (FORMULA.replace("T", "1e-6 %"), None),
        ("12 seconds, 3 steps, 2026-11-28, GPL-3", None),
        ("0.2 [-0.1, .5] and -.3", "0.2 [−0.1, .5] and −.3"),
        ('<code><span class="pre">-1</span></code>', None),
    ],
)
def test_a_number_in_the_text_is_set_as_in_print(text, shown):
    made = page_html.NUMBER.sub(page_html.together, text)
    assert made == (shown or text).replace("~", page_html.SPACE)


def test_a_command_in_a_caption_is_code():
    text = "Accuracy. python -m lstm_book train --scale full · python -m lstm_book.experiments data"
    codes = re.findall("<code>(.*?)</code>", page_html.commands(f"<caption>{text}</caption>"))
    assert codes == text.removeprefix("Accuracy. ").split(" · ")
    marked = f"<figcaption><code>{codes[0]}</code></figcaption>"
    assert page_html.commands(marked) == marked


def test_a_line_of_code_has_its_indentation():
    begin = '<div class="highlight-python notranslate"><div class="highlight"><pre>'
    code = '<span class="k">def</span> f():\n<span class="w">    </span>pass'
    code += '  <span class="c1"># fmt: skip</span>\n'
    shown = page_html.CODE.sub(page_html.lines, f"{begin}{code}</pre></div></div>")
    assert re.findall(r'class="line" style="--in: (\d+)ch"', shown) == ["0", "4"]
    assert re.sub("<[^>]*>", "", shown) == "def f():\n    pass\n"


def test_a_box_takes_the_answers_before_it():
    cells = [
        nodes.container(classes=["cell", *tags]) for tags in ([], ["tag_answer"], ["tag_answer"])
    ]
    guess, note = (nodes.admonition("", nodes.title(), nodes.paragraph()) for _ in range(2))
    guess["classes"].append("guess")
    document = new_document("")
    document += nodes.section("", *cells, guess, note)
    Answers(document).apply()
    assert document[0].children == [cells[0], guess, note]
    assert guess.children[1:3] == cells[1:]
    assert len(note.children) == 2
