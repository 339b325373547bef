"""The interactive figures in Chromium: operated as a person would, compared with the package."""

from __future__ import annotations

import json
import shutil
from importlib import resources

import numpy as np
import pytest
from lstm_book import errata
from lstm_book.experiments import cells
from lstm_book.experiments.writer import SYMBOLS, WARM_UP, load_writer
from lstm_book.experiments.writing import encode, texts
from lstm_book.figures.widgets import (
    FOLDER,
    WIDGETS,
    digits,
    files,
    gradient,
    parity,
    reader,
    reviews,
    writing,
)
from lstm_book.figures.widgets.ribbons import unroll
from playwright.sync_api import expect

from lstm import equations as eq
from tests import conftest

AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
PAGES = {
    "01_ten_minutes": "reviews",
    "03_gates": "reviews",
    "04_backpropagation": "reviews",
    "05_what_it_solves": "gradient",
    "12_movie_reviews": "reviews",
    "13_mnist_rows": "digits",
    "15_state_and_recall": "parity",
    "16_writing": "writing",
}
PHONE = {"width": 390, "height": 844}
CLOSE = {"rtol": 0, "atol": 1e-5}

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return a folder with a bare page for each widget, its files where the book has them."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(FOLDER.parent, folder / "_static")
    (folder / "book").mkdir()
    styles = "".join(
        f'<link rel="stylesheet" href="../_static/{name}.css">' for name in ("lstm", "figures")
    )
    for name in (*WIDGETS, "backwards"):
        if name == "backwards":  # the reviews as chapter 4 shows them
            reviews_page = (FOLDER / "reviews.html").read_text(encoding="utf-8")
            page = f'<div data-watch="gradient">{reviews_page}</div>'
        else:
            page = (FOLDER / f"{name}.html").read_text(encoding="utf-8")
        (folder / "book" / f"{name}.html").write_text(
            f'<!doctype html><html lang="en" data-theme="light"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width"><title>{name}</title>{styles}'
            f'</head><body><main class="bd-article"><h1>{name}</h1>{page}</main></body></html>',
            encoding="utf-8",
        )
    return folder


@pytest.fixture
def open_widget(chromium, site):
    """Return a function that opens a widget's page in a fresh window; errors there fail."""
    contexts, errors = [], []

    def open_widget(name, **options):
        options = {"reduced_motion": "reduce"} | options
        contexts.append(chromium.new_context(**options))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.goto((site / "book" / f"{name}.html").as_uri())
        return page

    yield open_widget
    for context in contexts:
        context.close()
    assert errors == []


# ------------------------------------------------------------------------------------ all of them
@pytest.mark.parametrize(("chapter", "name"), PAGES.items())
def test_the_chapter_shows_it(chapter, name):
    notebook = json.loads((conftest.ROOT / "book" / f"{chapter}.ipynb").read_text(encoding="utf-8"))
    text = "".join(line for c in notebook["cells"] for line in c["source"])
    assert text.count(f":file: assets/widgets/{name}.html") == 1


@pytest.mark.parametrize("name", WIDGETS)
def test_without_scripts_the_figure_stands_still(open_widget, name):
    page = open_widget(name, java_script_enabled=False)
    still = page.locator(".widget-still")
    expect(still).to_be_visible()
    assert still.bounding_box()["height"] > 100
    assert page.locator(".widget-live").count() == 0
    expect(page.locator("figcaption")).to_be_visible()


# The size on the screen, in pixels, of the smallest letters of a figure.
SMALLEST = """Math.min(...[...document.querySelectorAll(".widget-live *")]
  .filter((element) => element.checkVisibility() && element.innerHTML.trim()
    && [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim()))
  .map((element) => {
    const { a, b } = element.closest("text")?.getScreenCTM() ?? { a: 1, b: 0 };
    return parseFloat(getComputedStyle(element).fontSize) * Math.hypot(a, b);
  }))"""


@pytest.mark.parametrize("name", WIDGETS)
def test_on_a_phone_and_on_paper(open_widget, name):
    page = open_widget(name, viewport=PHONE, has_touch=True)
    expect(page.locator(".widget-live")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert page.evaluate(SMALLEST) >= 11
    page.evaluate(AXE)
    found = page.evaluate("axe.run({resultTypes: ['violations'], preload: false})")["violations"]
    assert [(v["id"], [n["target"] for n in v["nodes"]]) for v in found] == []
    page.emulate_media(media="print")
    expect(page.locator(".widget-live")).to_be_hidden()
    expect(page.locator(".widget-still")).to_be_visible()


# --------------------------------------------------------------------------- gradient through time
def curves(page, kind):
    return json.loads(page.locator(".widget-live").get_attribute(f"data-{kind}"))


def assert_curves(page, *, largest=np.inf, **knobs):
    networks = files.read_data(FOLDER / "data" / "gradient.js")["networks"]
    for kind in gradient.LAYERS:
        got = curves(page, kind)
        factor = gradient.clip_factor(kind, networks[3], **knobs, largest=largest)
        wanted = factor * gradient.arriving(kind, networks[3], **knobs)
        assert abs(got["factors"][3] / factor - 1) < 1e-9
        np.testing.assert_allclose(got["norms"][3], wanted, rtol=1e-9, atol=0)


def test_gradient_is_the_packages(open_widget):
    page = open_widget("gradient")
    for axis in ("steps back", "norm of the gradient"):
        expect(page.locator(".widget-plot").get_by_text(axis, exact=True)).to_be_visible()
    assert_curves(page, **gradient.START)
    bias = page.get_by_label("forget bias of the LSTM, as a number")
    bias.fill("0.123")  # between two steps of its slider
    bias.press("Tab")
    expect(bias).to_have_value("0.123")
    assert_curves(page, **gradient.START | {"bias": 0.123})
    page.get_by_label("steps T, as a number").fill("30")
    page.get_by_label("forget bias of the LSTM, as a number").fill("5")
    page.get_by_label("scale of U, the recurrent weights, as a number").fill("3")
    expect(page.get_by_role("status")).to_contain_text("29 steps back arrives")
    assert_curves(page, steps=30, bias=5.0, scale=3.0)
    page.get_by_label("clip its norm").check()
    page.get_by_label("at most: norm after clipping, as a number").fill("0.5")
    expect(page.get_by_role("status")).to_contain_text("(5 of 5 clipped)")
    assert_curves(page, steps=30, bias=5.0, scale=3.0, largest=0.5)


def test_gradient_answers_the_keyboard(open_widget):
    page = open_widget("gradient")
    before = curves(page, "lstm")["norms"][0][-1], curves(page, "rnn")
    page.get_by_label("forget bias of the LSTM", exact=True).focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "before => JSON.parse(document.querySelector('.widget-live').dataset.lstm).norms[0].at(-1)"
        " > 1000 * before",
        arg=before[0],
    )
    assert curves(page, "rnn") == before[1]  # it has no forget gate


# ----------------------------------------------------------------------------- watch it remember
PARTS = "ifgoch"


def run_of(page):
    """Return what the instrument computed, name -> array of all steps."""
    keys = [*PARTS, "logits", "d_c", "reach"]
    steps = page.evaluate(
        "keys => document.querySelector('.lstm-widget').run"
        ".map((made) => keys.map((key) => made[key] ?? 0))",
        keys,
    )
    return {
        key: np.array(values) for key, values in zip(keys, zip(*steps, strict=True), strict=True)
    }


def vectors(data, text):
    ids, _ = reviews.Vocabulary(data["words"]).encode([text])
    return files.unpack(data["weights"]["E"])[ids[0]]


def changed(packed, inputs, change, h=0.0, c=0.0):
    """Run with ``change(t, i, f, g, o, c, h)``, which returns the new c and h of step t."""
    weights = {name: files.unpack(value) for name, value in packed.items()}
    h, c = (value + np.zeros((1, len(weights["b"]) // 4)) for value in (h, c))
    cells, hiddens = [], []
    for t, x_t in enumerate(inputs):
        i, f, g, o = eq.gates(eq.preactivation(x_t[None], h, *(weights[n] for n in "WUb")))
        c, h = change(t, i, f, g, o, c, h)
        cells.append(c[0])
        hiddens.append(h[0])
    return np.array(cells), np.array(hiddens)


@pytest.fixture
def watch(open_widget):
    """Return the instrument's page, its data, and the vectors of its first sentence."""
    data = files.read_data(FOLDER / "data" / "reviews.js")
    return open_widget("reviews"), data, vectors(data, data["examples"][0])


def test_sentences_are_read_as_the_package_reads_them(watch):
    page, data, _ = watch
    rng = np.random.default_rng(0)
    chosen = [" ".join(rng.choice(data["words"], size)) for size in (1, 25, 60)]
    for text in (
        "A wonderful film, beautifully acted!<br />And never boring?",
        "It’s a waste of 90 minutes: don't see Xyzzy's café_au_lait",
        *chosen,
    ):
        page.get_by_label("Write about a film").fill(text)
        inputs = vectors(data, text)
        wanted, got = unroll(data["weights"], inputs), run_of(page)
        assert got["c"].shape == (len(inputs), reviews.HIDDEN_SIZE)
        for name in (*PARTS, "logits"):
            np.testing.assert_allclose(got[name], wanted[name], **CLOSE, err_msg=name)
        network = reader.load_reader(data["weights"])
        (output, _), back = network.recurrent.vjp(inputs[None])
        _, judge = network.head.vjp(output)
        d_x, _ = back(judge(np.eye(len(inputs))[None, :, -1:]))
        np.testing.assert_allclose(got["reach"], np.linalg.norm(d_x[0], axis=1), **CLOSE)


def test_a_ribbon_is_as_wide_as_its_cell(watch):
    page, _, _ = watch
    page.get_by_label("Write about a film").fill("wonderful")
    heights = page.locator(".watch .watch-ribbon").evaluate_all(
        "all => all.map((e) => e.getBBox().height)"
    )
    states = np.abs(run_of(page)["c"][0])
    np.testing.assert_allclose(heights, 22 * states / max(1, states.max()), atol=0.11)
    assert (
        page.locator(".watch .watch-ribbon.watch-negative").count()
        == (run_of(page)["c"][0] < 0).sum()
    )


def quotient(data, inputs, t, k, shut=None):
    """Return how the last answer changes with cell k of step t; a step may have f = 0."""
    small = 1e-5

    def answer(nudge):
        def step(at, i, f, g, o, c, h):
            c = eq.cell_state(f * (at != shut), c, i, g)
            c[0, k] += nudge * (at == t)
            return c, eq.hidden_state(o, c)

        _, h = changed(data["weights"], inputs, step)
        return h[-1] @ files.unpack(data["weights"]["V"])[0]

    return (answer(small) - answer(-small)) / (2 * small)


def test_gradient_of_a_cell_is_a_difference_quotient(watch):
    page, data, inputs = watch
    wanted = quotient(data, inputs, 4, 6)
    assert abs(run_of(page)["d_c"][4, 6] - wanted) < 1e-5
    assert abs(wanted) > 0.01


def test_a_chapter_may_begin_backwards_and_a_held_gate_leaves_a_ghost(open_widget):
    page = open_widget("backwards")
    data = files.read_data(FOLDER / "data" / "reviews.js")
    inputs = vectors(data, data["examples"][0])
    expect(page.get_by_label("Show it")).to_have_value("gradient")
    guide = page.locator(".widget-hint")
    expect(guide).to_contain_text("as wide as the gradient")
    page.get_by_label("Show it").select_option("memory")
    expect(guide).to_contain_text("what it writes")
    page.get_by_label("Show it").select_option("gradient")
    free = run_of(page)
    assert page.locator(".watch-ghost").count() == 0
    page.get_by_label("Hold", exact=True).select_option(label="at this step only")
    page.get_by_label("Step", exact=True).fill("5")
    page.get_by_role("button", name="hold the forget gate shut").click()
    held = run_of(page)
    for t in (3, 8):
        assert abs(held["d_c"][t, 6] - quotient(data, inputs, t, 6, shut=4)) < 1e-5
    # The ghost is the gradient as it was, in the scale of both.
    largest = [np.abs(run["d_c"]).max() for run in (free, held)]
    heights = page.locator(".watch .watch-ghost").evaluate_all(
        "all => all.map((e) => e.getBBox().height)"
    )
    assert abs(max(heights) - 22 * largest[0] / max(largest)) < 0.11


HOLDS = {"from this step on": (0, 999), "at this step only": (0, 0), "at every step": (-999, 999)}
"""What may be held, and the first and the last step of it, counted from the chosen one."""


def assert_held(page, at, held, ghosts):
    """Compare all ways to hold with ``held(first, last)``, the cells and what they show."""
    for option, (first, last) in HOLDS.items():
        page.get_by_label("Hold", exact=True).select_option(label=option)
        for name, wanted in zip("ch", held(at + first, at + last), strict=True):
            np.testing.assert_allclose(run_of(page)[name], wanted, **CLOSE)
        assert page.locator(".watch-ghost").count() > ghosts


def test_a_gate_is_held_from_a_step_on_and_released(watch):
    page, data, inputs = watch
    free = unroll(data["weights"], inputs)
    page.get_by_label("Step", exact=True).fill("5")
    page.get_by_role("button", name="hold the forget gate shut").click()
    page.get_by_role("button", name="hold the output gate open").click()

    def held(first, last):
        def step(t, i, f, g, o, c, h):
            on = first <= t <= last
            c = eq.cell_state(0 * f if on else f, c, i, g)
            return c, eq.hidden_state(1 + 0 * o if on else o, c)

        return changed(data["weights"], inputs, step)

    assert_held(page, 4, held, ghosts=reviews.HIDDEN_SIZE)
    expect(page.locator(".watch-line.part-f")).to_contain_text("held")
    page.get_by_role("button", name="Reset").click()
    np.testing.assert_allclose(run_of(page)["c"], free["c"], **CLOSE)
    assert page.locator(".watch-ghost").count() == 0


def test_articles_formulas_are_played_as_printed(watch):
    page, data, inputs = watch
    views = page.get_by_label("Show it")

    def as_000(t, i, f, g, o, c, h):
        return c, errata.hidden_state_000(f, h, i, g, o * h)  # its output gate: output_gate_000

    def as_001(t, i, f, g, o, c, h):
        c = errata.kept_001(f, c) + i * g
        return c, eq.hidden_state(o, c)

    def as_004(t, i, f, g, o, c, h):
        c = eq.cell_state(f, c, i, g)
        return c, errata.hidden_state_001(o, c)

    for value, rule in (("000", as_000), ("001", as_001), ("004", as_004)):
        views.select_option(value)
        got = run_of(page)
        for name, wanted in zip("ch", changed(data["weights"], inputs, rule), strict=True):
            np.testing.assert_allclose(got[name], wanted, **CLOSE)
        expect(page.locator(".watch-why")).to_contain_text(
            f"rticle{'s 001 and' * (value == '004')} "
        )
        assert page.locator(".watch-printed").count() >= 1
    views.select_option("000")
    assert not run_of(page)["h"].any()


def test_a_step_is_taken_apart_by_keyboard(watch):
    page, data, _ = watch
    words, run = reviews.read(data, data["examples"][0])
    step = page.get_by_label("Step", exact=True)
    step.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.get_by_label("Cell", exact=True).select_option("7")
    line = page.locator(".watch-line.part-c .watch-sum")
    expect(line).to_contain_text(f"{run['c'][1, 6]:.2f}".replace("-", "−"))
    expect(page.locator(".watch-cell")).to_contain_text(f"{run['f'][1, 6]:.2f}")
    share = 1 / (1 + np.exp(-run["logits"][1, 0]))
    expect(page.get_by_role("status")).to_contain_text(f"After “{words[1]}”: {share:.0%} positive")
    assert step.get_attribute("aria-valuetext") == f"“{words[1]}”"
    page.get_by_role("button", name="hold the forget gate open").focus()
    live = page.locator(".watch")
    expect(live).to_have_attribute("data-lit", "f")
    page.locator(".watch-line.part-h").focus()
    expect(live).to_have_attribute("data-lit", "h")


def test_a_product_inside_a_line_is_lit_with_its_wire_its_ribbons_and_its_code(watch):
    page, _, _ = watch
    line = page.locator(".watch-line.part-c")
    for part, code, shape, other in (
        ("kept", "f_t * c_prev", ".watch-ribbon", ".watch-drop"),
        ("written", "i_t * g_t", ".watch-drop", ".watch-ribbon"),
    ):
        line.locator(f".watch-sum .part-{part}").focus()
        assert line.locator("code .watch-lit").first.inner_text() == code
        assert line.locator(".watch-sum .watch-lit").count() == 1
        lit = page.locator(".watch-cell .watch-wire.watch-lit")
        assert [
            f"part-{part}" in e for e in lit.evaluate_all("a => a.map(e => e.className.baseVal)")
        ] == [True]
        assert page.locator(f"{shape}.watch-lit").count() == page.locator(f".watch {shape}").count()
        assert page.locator(f"{other}.watch-lit").count() == 0
    page.locator(".watch-gate[data-gate=f]").hover()
    assert page.locator(".watch-line.watch-lit").get_attribute("class").split()[1] == "part-f"
    assert line.locator("code .watch-lit").all_inner_texts() == ["f_t"]


def test_backwards_the_lines_are_the_formulas_of_the_chapter(open_widget):
    page = open_widget("backwards")
    run, t, k = run_of(page), 4, 6
    page.get_by_label("Step", exact=True).fill(str(t + 1))
    page.get_by_label("Cell", exact=True).select_option(str(k + 1))
    i, f, g, o, c, d_c = (run[key][t, k] for key in ("i", "f", "g", "o", "c", "d_c"))
    d_next = run["f"][t + 1, k] * run["d_c"][t + 1, k]
    d_h = (d_c - d_next) / (o * (1 - np.tanh(c) ** 2))
    wanted = {"f": d_c * run["c"][t - 1, k], "i": d_c * g, "g": d_c * i, "o": d_h * np.tanh(c)}
    for part, value in (wanted | {"c": d_c, "h": d_h}).items():
        shown = page.locator(f".watch-line.part-{part} b").inner_text()
        assert shown == f"{value:.3f}".replace("-", "−")
    kept = page.locator(".watch-cell text.part-f").text_content()
    assert kept == f"{wanted['f']:.2f}".replace("-", "−")
    before = page.locator(".watch-cell text.part-c").first.text_content()
    assert before == f"{f * d_c:.2f}".replace("-", "−")


def seconds_a_step(page, steps):
    """Return the processor time of choosing a step, which a busy machine does not stretch."""
    chrome = page.context.new_cdp_session(page)
    chrome.send("Performance.enable", {"timeDomain": "threadTicks"})

    def seconds():
        metrics = chrome.send("Performance.getMetrics")["metrics"]
        return next(each["value"] for each in metrics if each["name"] == "TaskDuration")

    before = seconds()
    page.evaluate(
        """(steps) => {
          const range = document.querySelector(".watch-range");
          for (const step of steps) {
            range.value = String(step);
            range.dispatchEvent(new Event("input"));
            document.body.getBoundingClientRect();
          }
        }""",
        steps,
    )
    return (seconds() - before) / len(steps)


def test_what_is_seen_changes_at_once_and_in_time(watch):
    page, _, _ = watch
    area = page.get_by_label("Write about a film")
    area.fill("a wonderful film and a terrible waste of time, qwertyish")
    seen = page.locator(".widget-seen")
    assert "“waste”" in seen.inner_text()  # where the verdict moves most, at once
    page.get_by_role("button", name="Clear").click()
    assert seen.inner_text() == "No word yet: type a sentence."
    page.get_by_role("button", name="Example 2").click()
    assert 0 < seconds_a_step(page, [1 + n % 15 for n in range(50)]) < 0.016


def test_results_stand_beside_the_controls(open_widget):
    """While one drags through the steps, ribbons, verdict and all lines of the step are seen."""
    for size in ({"width": 1280, "height": 800}, PHONE):
        page = open_widget("reviews", viewport=size)
        page.evaluate("document.querySelector('.watch-run').scrollIntoView()")
        for place in (".watch-range", ".widget-seen", ".watch-cell"):
            box = page.locator(place).bounding_box()
            assert box["y"] + box["height"] <= size["height"], (place, size)
        if size is not PHONE:
            for line in page.locator(".watch-line").all():
                assert line.bounding_box()["y"] < size["height"] - 20


# ---------------------------------------------------------------------------- the reader of digits
def pixels(page):
    found = page.locator(".watch-pad .watch-ink").evaluate_all(
        "all => all.map((e) => ['x', 'y', 'fill-opacity'].map((name) => +e.getAttribute(name)))"
    )
    image = np.zeros((28, 28))
    for x, y, ink in found:
        image[int(y), int(x)] = ink
    return image


def test_digits_are_read_as_the_package_reads_them(open_widget):
    page = open_widget("digits")
    images, labels = digits.examples()
    weights = files.read_data(FOLDER / "data" / "digits.js")["weights"]
    wanted = digits.probabilities(weights, images)
    for n in (0, 7, 19):
        name = f"a {labels[n]}, example {n % digits.EXAMPLES_EACH + 1}"
        page.get_by_role("button", name=name).click()
        np.testing.assert_allclose(pixels(page), images[n] / 255, atol=6e-4)
        np.testing.assert_allclose(eq.softmax(run_of(page)["logits"]), wanted[n], **CLOSE)
        page.get_by_label("Step", exact=True).fill("28")
        expect(page.get_by_role("status")).to_contain_text(f"After row 28 of 28: {labels[n]} (")
    shown = page.get_by_label("Cell", exact=True).locator("option").all_inner_texts()
    weight = np.abs(
        files.unpack(weights["V"])[labels[19]] * unroll(weights, images[19] / 255)["h"][-1]
    )
    assert sorted(int(name) - 1 for name in shown) == sorted(np.argsort(weight)[-8:])


def test_digits_play_and_pause_also_with_little_motion(open_widget):
    page = open_widget("digits")
    page.clock.install(time=0)
    page.clock.pause_at(1000)  # from here on time goes by as the test says
    step = page.get_by_label("Step", exact=True)
    step.fill("28")
    page.get_by_role("button", name="Play").click()
    page.clock.run_for(1000)
    shown = int(step.input_value())
    assert 1 < shown < 28
    page.get_by_role("button", name="Pause").click()
    page.clock.run_for(30_000)
    expect(step).to_have_value(str(shown))
    # What is seen is written at once; what is spoken waits for a clock of its own.
    expect(page.locator(".widget-seen")).to_contain_text(f"After row {shown} of 28")


@pytest.mark.parametrize("shown", ["0", "7"])
def test_a_drawn_digit_is_centred_and_read(open_widget, shown):
    page = open_widget("digits")
    box = page.locator(".watch-pad").bounding_box()
    turns = np.linspace(0, 2 * np.pi, 30)
    points = {
        "0": np.stack([0.3 + 0.15 * np.sin(turns), 0.4 - 0.25 * np.cos(turns)], axis=1),
        "7": np.array([[0.2, 0.2], [0.55, 0.2], [0.4, 0.5], [0.35, 0.7]]),
    }[shown]
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=3)
    page.mouse.up()
    page.wait_for_function("document.querySelector('.watch-stroke').childElementCount === 0")
    page.get_by_label("Step", exact=True).fill("28")
    expect(page.get_by_role("status")).to_contain_text(f"After row 28 of 28: {shown} (")
    image = pixels(page)
    centre = [(image.sum(axis=1 - axis) @ (np.arange(28) + 0.5)) / image.sum() for axis in (0, 1)]
    np.testing.assert_allclose(centre, 14, atol=0.3)
    inked = np.argwhere(image > 0.2)
    assert 18 <= np.ptp(inked, axis=0).max() + 1 <= 22
    page.get_by_role("button", name="Clear").click()
    assert page.locator(".widget-seen").inner_text() == "Nothing to read yet: draw a digit."


def test_digits_are_drawn_and_chosen_with_a_finger(open_widget):
    page = open_widget("digits", viewport=PHONE | {"height": 500}, has_touch=True, is_mobile=True)
    page.get_by_role("button", name="a 3, example 1").tap()
    expect(page.get_by_role("status")).to_contain_text(": 3 (")
    pad = page.locator(".watch-pad")
    pad.scroll_into_view_if_needed()
    box, scrolled = pad.bounding_box(), page.evaluate("scrollY")
    touch = page.context.new_cdp_session(page)
    # From below, as a finger that wants to see the rest of the page.
    stroke = [
        (0.35, 0.7),
        (0.37, 0.6),
        (0.4, 0.5),
        (0.48, 0.35),
        (0.55, 0.2),
        (0.4, 0.2),
        (0.2, 0.2),
    ]
    for n, (x, y) in enumerate(stroke):
        point = {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}
        kind = "touchMove" if n else "touchStart"
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(page.get_by_role("status")).to_contain_text(": 7 (")
    assert page.evaluate("document.documentElement.scrollHeight - innerHeight") > scrolled + 50
    assert page.evaluate("scrollY") == scrolled


# ------------------------------------------------------------------------------------- the lamp
@pytest.fixture
def lamp(open_widget):
    """Return the page of the switch, its data, and the lamp's truth after each step."""
    data = files.read_data(FOLDER / "data" / "parity.js")
    bits = np.array([float(bit) for bit in data["example"]])
    return open_widget("parity"), data, np.cumsum(bits) % 2 == 1


def test_the_lamp_is_read_as_the_package_reads_it(lamp):
    page, data, on = lamp
    for name, wanted in parity.read(data, data["example"]).items():
        np.testing.assert_allclose(run_of(page)[name], wanted, **CLOSE, err_msg=name)
    assert ((run_of(page)["logits"][:, 0] > 0) == on).all()
    page.get_by_role("button", name="Press", exact=True).click()
    assert len(run_of(page)["c"]) == len(on) + 1
    page.get_by_role("button", name="Press every time").click()
    assert ((run_of(page)["logits"][:, 0] > 0) == (np.arange(40) % 2 == 0)).all()
    assert page.locator(".watch-wrong").count() == 0


def test_all_cells_are_held_or_the_chosen_one_alone(lamp):
    page, _, on = lamp

    def hold():
        page.get_by_label("Step", exact=True).fill("21")
        page.get_by_role("button", name="hold the forget gate open").click()
        page.get_by_role("button", name="hold the input gate shut").click()

    hold()
    c = run_of(page)["c"]
    assert (c[20:] == c[19]).all()
    wrong = page.locator(".watch-wrong").count()
    assert 5 < wrong == ((run_of(page)["logits"][:, 0] > 0) != on).sum()
    page.get_by_label("a hold is one of the chosen cell alone").check()
    hold()
    still = (run_of(page)["c"][20:] == run_of(page)["c"][19]).all(axis=0)
    assert still.sum() == 1
    assert page.locator(".watch-wrong").count() == 0


def test_what_holding_a_cell_does_is_as_chapter_15_says():
    """In the network of the figure: one cell at a time, or all, from each of a hundred steps on."""
    data = files.read_data(FOLDER / "data" / "parity.js")
    x, y = parity.sequences(np.random.default_rng(99), 1000, 1)
    weights = {name: files.unpack(value) for name, value in data["weights"].items()}
    starts = np.arange(5, 105)

    def wrong(held):
        def step(t, i, f, g, o, c, h):
            begun = (t >= starts)[:, None] & np.isin(np.arange(16), held)
            new = np.where(begun, c, eq.cell_state(f, c, i, g))
            return new, eq.hidden_state(o, new)

        _, h = changed(data["weights"], np.repeat(x[:, 0, None], len(starts), axis=1), step)
        answers = (h @ weights["V"].T + weights["v"] > 0)[..., 0] != (y[:, 0, 0] == 1)[:, None]
        return np.array([answers[start:, n].mean() for n, start in enumerate(starts)])

    spoils = {k + 1: (wrong([k]) > 0.01).sum() for k in range(16)}
    assert [k for k, count in spoils.items() if not count] == [1, 2, 3, 5, 14, 15, 16]
    assert max(spoils.values()) < 50  # none is needed at every step
    everything = wrong(np.arange(16))
    assert 0.4 < everything.min() < everything.max() < 0.6
    assert data["holding"] == 4


# --------------------------------------------------------------------------- the reader of a novel
@pytest.fixture
def novel(open_widget):
    """Return the page of the writer, its data and the vectors of its first passage."""
    data = files.read_data(FOLDER / "data" / "writing.js")
    vectors = files.unpack(data["weights"]["E"])
    return open_widget("writing"), data, vectors[encode(data["passages"][0]["text"])]


def test_letters_are_read_as_the_package_reads_them(novel):
    page, data, _ = novel
    area = page.get_by_label("A passage, or your own text")
    for typed, read in (
        (data["passages"][0]["text"],) * 2,
        ("“No—ça!”\n\nHe’d said ", '"No--a!"\n\nHe\'d said '),
        ("He’d said, ", "He'd said, "),  # its first letters are those of no run before
        ("He’d said it.", "He'd said it."),  # these are
    ):
        area.fill(typed)
        wanted, got = writing.read(data, read), run_of(page)
        for name in (*PARTS, "logits"):
            np.testing.assert_allclose(got[name], wanted[name], **CLOSE, err_msg=name)
    page.get_by_role("button", name="Passage 2").click()
    wanted = writing.read(data, data["passages"][1]["text"], 1)
    np.testing.assert_allclose(run_of(page)["c"], wanted["c"], **CLOSE)


def test_a_hold_is_one_of_the_chosen_cell_alone(novel):
    page, data, inputs = novel
    cell, other = data["cells"][:2]
    begin = {name: files.unpack(value) for name, value in data["passages"][0]["state"].items()}

    def held(first, last):
        def step(t, i, f, g, o, c, h):
            if first <= t <= last:
                f, i, o = f.copy(), i.copy(), o.copy()
                f[0, cell], i[0, cell], o[0, other] = 1, 0, 1
            c = eq.cell_state(f, c, i, g)
            return c, eq.hidden_state(o, c)

        return changed(data["weights"], inputs, step, **begin)

    page.get_by_label("Step", exact=True).fill("101")
    page.get_by_role("button", name="hold the forget gate open").click()
    page.get_by_role("button", name="hold the input gate shut").click()
    page.get_by_label("Cell", exact=True).select_option(str(other + 1))
    expect(page.locator(".watch-line.part-f")).not_to_contain_text("held")
    page.get_by_role("button", name="hold the output gate open").click()
    assert_held(page, 100, held, ghosts=len(data["cells"]))
    expect(page.get_by_role("status")).to_contain_text(" Free: ")


def test_held_early_in_the_line_it_expects_no_line_end(novel):
    """The page says what chapter 16 says of the package."""
    page, data, _ = novel
    text = data["passages"][0]["text"]
    ends = np.flatnonzero(np.array(list(text)) == "\n")

    def expected():
        return eq.softmax(run_of(page)["logits"])[ends[2:4] - 1, 0]  # just before two line ends

    free = expected()
    page.get_by_label("Step", exact=True).fill(str(ends[0] + 4))
    page.get_by_role("button", name="hold the forget gate open").click()
    page.get_by_role("button", name="hold the input gate shut").click()
    assert (expected() < free / 2).all()


def test_each_letter_is_as_dark_as_its_cell_and_can_be_chosen(novel):
    page, data, _ = novel
    shown = np.tanh(run_of(page)["c"][:, data["cells"][0]])
    letters = page.locator(".watch .watch-page span")
    styles = letters.evaluate_all("all => all.map((e) => e.getAttribute('style'))")
    share = (shown - shown.mean()) / np.abs(shown - shown.mean()).max()
    for style, value in zip(styles, share, strict=True):
        if abs(value) >= 0.061:
            assert f"{round(35 * abs(value))}%" in style or abs(35 * value % 1 - 0.5) < 0.01
            assert ("candidate" if value > 0 else "forget") in style
    letters.nth(40).click()
    expect(page.get_by_label("Step", exact=True)).to_have_value("41")
    expect(page.locator(".watch-page .watch-chosen")).to_have_count(1)
    page.get_by_label("Step", exact=True).press("ArrowRight")
    expect(page.locator(".watch-page span").nth(41)).to_have_class("watch-chosen")
    page.get_by_role("button", name="Clear").click()
    assert letters.count() == 0


def test_a_step_of_the_writer_takes_less_than_a_frame(novel):
    """Processor time of choosing a step."""
    page, _, _ = novel
    assert 0 < seconds_a_step(page, [1 + 7 * n for n in range(50)]) < 0.016


def test_what_the_writer_loads_is_small_and_rounding_costs_little(novel):
    _, data, _ = novel
    names = ("data/writing.js", "writing.js", "writing.html", "lstm.js", "cell.js", "watch.js")
    assert sum((FOLDER / name).stat().st_size for name in (*names, "widgets.css")) < 400_000
    text = texts()["validation"][:15_000]
    rounded, model = load_writer(writing.WEIGHTS), load_writer(writing.WEIGHTS)
    weights = {name: files.unpack(value) for name, value in data["weights"].items()}
    rounded.embedding.weight.data[...] = weights["E"]
    rounded.head.weight.data[...], rounded.head.bias.data[...] = weights["V"], weights["v"]
    layer = rounded.recurrent
    layer.weight_ih_l0.data[...], layer.weight_hh_l0.data[...] = weights["W"], weights["U"]
    layer.bias_ih_l0.data[...], layer.bias_hh_l0.data[...] = weights["b"], 0
    truth = cells.since("\n", text)[WARM_UP:].astype(float)
    both = []
    for each in (model, rounded):
        logits, c = cells.read(each, encode(text))
        p = eq.softmax(logits[:-1].astype(float))
        cost = -np.log2(p[np.arange(len(p)), encode(text)[WARM_UP + 1 :]]).mean()
        both.append((cost, cells.correlations(np.tanh(c), truth)[data["cells"][0]]))
    (cost, follows), (rounded_cost, rounded_follows) = both
    assert f"{rounded_cost - cost:.3f}" in writing.page(data)
    assert abs(rounded_cost - cost) < 0.01
    assert rounded_follows == pytest.approx(follows, abs=0.002)
    assert weights["V"].shape == (SYMBOLS, len(weights["b"]) // 4)
