"""The interactive figures in Chromium: operated as a person would, compared with the package."""

from __future__ import annotations

import json
import shutil
from importlib import resources

import numpy as np
import pytest
from lstm_book.figures.widgets import FOLDER, WIDGETS, cell, digits, files, gradient, reviews
from playwright.sync_api import expect

from tests import conftest

AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
PAGES = {
    "cell": "01_ten_minutes",
    "gradient": "05_what_it_solves",
    "digits": "12_mnist_rows",
    "reviews": "11_movie_reviews",
}
PHONE = {"width": 390, "height": 844}
CLOSE = {"rtol": 0, "atol": 1e-5}

pytestmark = pytest.mark.browser

expect.set_options(timeout=20_000)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return a folder with a bare page for each widget, its files where the book has them."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(FOLDER.parent, folder / "_static")
    (folder / "book").mkdir()
    styles = "".join(
        f'<link rel="stylesheet" href="../_static/{name}.css">' for name in ("lstm", "figures")
    )
    for name in WIDGETS:
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
        page.set_default_timeout(60_000)  # a busy machine is no failure
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.goto((site / "book" / f"{name}.html").as_uri())
        return page

    yield open_widget
    for context in contexts:
        context.close()
    assert errors == []


# ------------------------------------------------------------------------------------ all of them
@pytest.mark.parametrize(("name", "chapter"), PAGES.items())
def test_the_chapter_shows_it(name, chapter):
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


@pytest.mark.parametrize("name", WIDGETS)
def test_on_a_phone_and_on_paper(open_widget, name):
    page = open_widget(name, viewport=PHONE, has_touch=True)
    expect(page.locator(".widget-live")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    page.evaluate(AXE)
    found = page.evaluate("axe.run({resultTypes: ['violations'], preload: false})")["violations"]
    assert [(v["id"], [n["target"] for n in v["nodes"]]) for v in found] == []
    page.emulate_media(media="print")
    expect(page.locator(".widget-live")).to_be_hidden()
    expect(page.locator(".widget-still")).to_be_visible()


# --------------------------------------------------------------------------------------- the cell
def cell_numbers(page):
    return page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("[data-row]")].map((row) => [
          row.dataset.row,
          [...row.querySelectorAll("[data-key]")].map((place) => Number(place.dataset.value)),
        ]))"""
    )


def assert_cell(page, state):
    wanted = cell.numbers(state)
    got = cell_numbers(page)
    assert got.keys() == wanted.keys()
    for key, values in wanted.items():
        np.testing.assert_allclose(got[key], values, **CLOSE, err_msg=key)


def test_cell_computes_what_the_package_computes(open_widget):
    page = open_widget("cell")
    state = json.loads(json.dumps(cell.START))
    assert_cell(page, state)
    page.get_by_label("x t, 1: what is read, as a number").fill("-1.7")
    page.get_by_label("h t−1, 2: hidden state, as a number").fill("0.9")
    page.get_by_label("c t−1, 2: cell state, as a number").fill("2.5")
    state["x"][0], state["h"][1], state["c"][1] = -1.7, 0.9, 2.5
    assert_cell(page, state)
    for letter, name in cell.GATES.items():
        page.get_by_label(name).check()
        for n in (0, 1):
            page.get_by_label(str(n + 1), exact=True).check()
            page.get_by_label("times x, 2: weight, as a number").fill(str(0.3 + n))
            page.get_by_label("times h, 1: weight, as a number").fill(str(n - 0.6))
            page.get_by_label("bias, as a number").fill(str(0.4 - n))
            state["W"][letter][n][1] = 0.3 + n
            state["U"][letter][n][0] = n - 0.6
            state["b"][letter][n] = 0.4 - n
    assert_cell(page, state)
    values = {key: value.tolist() for key, value in cell.numbers(state).items()}
    page.get_by_role("button", name="Feed back").click()
    state["h"], state["c"] = values["h_t"], values["c_t"]
    assert_cell(page, state)
    page.get_by_role("button", name="Worked example").click()
    assert_cell(page, cell.START)


def test_cell_keeps_overwrites_clears_and_adds(open_widget):
    page = open_widget("cell")
    meaning = {"Keep": (1, 0), "Overwrite": (0, 1), "Clear": (0, 0), "Add": (1, 1)}
    for name, (kept, written) in meaning.items():
        page.get_by_role("button", name=name).click()
        got = cell_numbers(page)
        wanted = kept * np.array(cell.START["c"]) + written * np.array(got["g_t"])
        np.testing.assert_allclose(got["c_t"], wanted, atol=0.01)


def test_cell_lights_up_what_depends_on_a_bias_by_keyboard(open_widget):
    page = open_widget("cell")
    assert page.locator("tr.widget-lit").count() == 0
    page.get_by_label("bias", exact=True).focus()
    page.keyboard.press("ArrowRight")
    lit = page.locator("tr.widget-lit").evaluate_all("rows => rows.map((row) => row.dataset.row)")
    assert lit == ["a_f", "f_t", "kept", "c_t", "tanh", "h_t"]
    expect(page.locator(".widget-written")).to_contain_text("af = 0.3 · 0.5")
    expect(page.locator(".widget-written")).to_contain_text("+ 1.1 = 1.230000")
    expect(page.get_by_role("status")).to_contain_text("Cell state 0.82 and −0.60")
    page.get_by_label("bias, as a number").fill("")  # not a number: nothing changes
    np.testing.assert_allclose(cell_numbers(page)["a_f"][0], 1.23, **CLOSE)


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


# ---------------------------------------------------------------------------- the reader of digits
def beliefs(page):
    return page.locator(".widget-bars li").evaluate_all("all => all.map((e) => +e.dataset.value)")


def pixels(page):
    return page.locator(".widget-picture > rect:not(.widget-row)").evaluate_all(
        "all => all.map((e) => +e.getAttribute('fill-opacity'))"
    )


def test_digits_are_read_as_the_package_reads_them(open_widget):
    page = open_widget("digits")
    images, labels = digits.examples()
    weights = files.read_data(FOLDER / "data" / "digits.js")["weights"]
    wanted = digits.probabilities(weights, images)
    rows = page.get_by_label("Rows read")
    for n in (0, 7, 19):
        name = f"a {labels[n]}, example {n % digits.EXAMPLES_EACH + 1}"
        page.get_by_role("button", name=name).click()  # reduced motion: all rows at once
        np.testing.assert_allclose(pixels(page), images[n].ravel() / 255, atol=6e-4)
        for row in (28, 13, 1):
            rows.fill(str(row))
            np.testing.assert_allclose(beliefs(page), wanted[n, row - 1], **CLOSE)


def test_digits_are_read_step_by_step_with_the_keyboard(open_widget):
    page = open_widget("digits")
    page.get_by_role("button", name="a 3, example 1").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("After row 28 of 28: 3 (")
    page.get_by_label("Rows read").focus()
    page.keyboard.press("Home")
    expect(page.get_by_role("status")).to_have_text("Nothing is read yet.")
    page.get_by_role("button", name="Next row").focus()
    for _ in range(3):
        page.keyboard.press("Space")
    expect(page.get_by_role("status")).to_contain_text("After row 3 of 28")


def test_digits_play_and_pause(open_widget):
    page = open_widget("digits", reduced_motion="no-preference")
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_label("Rows read")).not_to_have_value("0")
    page.get_by_role("button", name="Pause").click()
    row = page.get_by_label("Rows read").input_value()
    expect(page.get_by_role("status")).to_contain_text(f"After row {row} of 28")


@pytest.mark.parametrize("shown", ["0", "7"])
def test_a_drawn_digit_is_centred_and_read(open_widget, shown):
    page = open_widget("digits")
    box = page.locator(".widget-picture").bounding_box()
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
    expect(page.get_by_role("status")).to_contain_text(f"After row 28 of 28: {shown} (")
    image = np.array(pixels(page)).reshape(28, 28)
    centre = [(image.sum(axis=1 - axis) @ (np.arange(28) + 0.5)) / image.sum() for axis in (0, 1)]
    np.testing.assert_allclose(centre, 14, atol=0.3)
    inked = np.argwhere(image > 0.2)
    assert 18 <= np.ptp(inked, axis=0).max() + 1 <= 22
    weights = files.read_data(FOLDER / "data" / "digits.js")["weights"]
    wanted = digits.probabilities(weights, 255 * image[None])[0, -1]
    # The picture's numbers are rounded to three digits.
    np.testing.assert_allclose(beliefs(page), wanted, atol=2e-3)


def test_digits_are_drawn_and_chosen_with_a_finger(open_widget):
    page = open_widget("digits", viewport=PHONE | {"height": 500}, has_touch=True, is_mobile=True)
    page.get_by_role("button", name="a 3, example 1").tap()
    expect(page.get_by_role("status")).to_contain_text("After row 28 of 28: 3 (")
    picture = page.locator(".widget-picture")
    picture.scroll_into_view_if_needed()
    box, scrolled = picture.bounding_box(), page.evaluate("scrollY")
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
    expect(page.get_by_role("status")).to_contain_text("After row 28 of 28: 7 (")
    assert page.evaluate("document.documentElement.scrollHeight - innerHeight") > scrolled + 50
    assert page.evaluate("scrollY") == scrolled


# --------------------------------------------------------------------------- the reader of reviews
def judged(page):
    return page.locator(".widget-live .widget-word").evaluate_all(
        "all => all.map((e) => [e.textContent, +e.dataset.value, +e.dataset.change])"
    )


def test_reviews_are_judged_as_the_package_judges_them(open_widget):
    page = open_widget("reviews")
    data = files.read_data(FOLDER / "data" / "reviews.js")
    for text in (
        "A wonderful film, beautifully acted!<br />And never boring?",
        "It’s a waste of 90 minutes: don't see Xyzzy's café_au_lait",
        "GREAT, great, great; awful.",
    ):
        page.get_by_label("A sentence about a film").fill(text)
        words, logits = reviews.logits(data, text)
        got = judged(page)
        assert [word for word, _, _ in got] == words
        shares = [share for _, share, _ in got]
        np.testing.assert_allclose(shares, 1 / (1 + np.exp(-logits)), **CLOSE)
        changes = [change for _, _, change in got]
        np.testing.assert_allclose(changes, np.diff(logits, prepend=0.0), **CLOSE)


def test_reviews_change_their_verdict_while_one_types(open_widget):
    page = open_widget("reviews")
    status = page.get_by_role("status")
    page.get_by_label("A sentence about a film").focus()
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    expect(status).to_have_text("No word yet.")
    page.keyboard.type("a wonderful film")
    expect(status).to_contain_text("wonderful (up)")
    shares = [share for _, share, _ in judged(page)]
    assert shares[-1] > 0.7
    page.keyboard.type(" and a terrible waste of time, qwertyish")
    expect(status).to_contain_text("Not in its vocabulary: qwertyish.")
    assert judged(page)[-1][1] < 0.3
    page.get_by_role("button", name="Example 2").click()
    expect(status).to_contain_text("best (up)")
