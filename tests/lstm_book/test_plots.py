"""Figures: the same text every time, legible on a light and a dark page, described in words."""

import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib
import numpy as np
import pytest

matplotlib.use("agg")

from lstm_book.figures import diagrams, narrow, palette, plots
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex, to_rgb

ROOT = Path(__file__).parents[2]
TEXTS = {"name": "fig-test", "alt": "Two lines fall.", "caption": "Loss per epoch."}
HISTORY = [
    {"epoch": k, "loss": 2 / k, "lr": 0.1, "validation_loss": 2.2 / k, "validation_accuracy": 0.9}
    for k in range(1, 6)
]
DIGIT = np.pad(np.full((4, 4), 200.0), 2)
RUNS = {"RNN": [[1, 2, 3], [1, 4, 9], [1, 3, 5]], "LSTM": [[2, 2, 2]]}
AXES = {"xlabel": "step $t$", "ylabel": "loss"}

NODES = dict.fromkeys(["c_prev", "c", "h", *"figo", "a_f", "a_i", "a_g", "a_o"], -0.25)

FIGURES = {
    "loss-curve": lambda: plots.loss_curve(HISTORY),
    "spread": lambda: plots.spread([1, 10, 100], RUNS, xscale="log", **AXES),
    "confusion": lambda: plots.confusion_matrix(np.eye(10, dtype=int) * 50 + 1),
    "digits": lambda: plots.image_grid([DIGIT, DIGIT.T], ["4, read as 9", "7, read as 1"]),
    "probabilities": lambda: plots.probabilities_over_time(np.eye(8, 10), DIGIT, label=3),
    "matrices": lambda: plots.matrices(
        [np.eye(2) - 0.5], ["gradient"], rows="ab", columns="cd", numbers=True
    ),
    "heatmap": lambda: plots.heatmap(np.eye(3) - 0.5, scale="cell state", **AXES),
    "lstm-cell": diagrams.lstm_cell,
    "forget": lambda: diagrams.lstm_cell("forget"),
    "peephole-cell": diagrams.peephole_cell,
    "unrolled-rnn": diagrams.unrolled_rnn,
    "backward-graph": diagrams.backward_graph,
    "backward-step": lambda: diagrams.backward_step(NODES, NODES, {"h": 1, "c": 2, "h to c": 3}),
    "stacked-bidirectional": diagrams.stacked_bidirectional,
}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def pages():
    texts = {}
    for name, draw in FIGURES.items():
        with matplotlib.rc_context():
            texts[name] = plots.figure_html(draw(), **TEXTS | {"name": f"fig-{name}"})
    plt.close("all")
    return texts


# ------------------------------------------------------------------------------- what is written
@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_well_formed_described_and_small(pages, name):
    figure = ET.fromstring(pages[name])
    svg, *narrow, caption = figure
    assert figure.get("id") == f"fig-{name}"
    assert (svg.get("role"), svg.get("aria-label")) == ("img", TEXTS["alt"])
    assert caption.text == TEXTS["caption"]
    assert len(list(svg.iter("path"))) > 3
    assert len(pages[name]) < 70_000 * (1 + len(narrow))


@pytest.mark.parametrize("name", FIGURES)
def test_every_colour_follows_the_page(pages, name):
    text = re.sub(r"base64,[^\"]*", "", pages[name])
    without_variables = re.sub(r"var\(--lstm-[a-z]+, #[0-9A-Fa-f]{6}\)", "", text)
    assert not re.search(r"#[0-9a-fA-F]{6}\b", without_variables)
    assert not re.search(r"\b(black|white|rgb)\b", without_variables)
    assert "currentColor" in text


@pytest.mark.parametrize("name", FIGURES)
def test_ids_start_with_the_name_and_every_reference_is_met(pages, name):
    text = pages[name]
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(rf"fig-{name}(-narrow)?(-\d+)?", found) for found in ids)
    references = re.findall(r'(?:href="#|url\(#)([\w.-]+)', text)
    assert references
    assert set(references) <= set(ids)


@pytest.mark.parametrize("name", FIGURES)
def test_drawing_twice_gives_the_same_text(pages, name):
    assert plots.figure_html(FIGURES[name](), **TEXTS | {"name": f"fig-{name}"}) == pages[name]


def test_nothing_in_the_text_tells_date_version_or_global_style(pages):
    for text in pages.values():
        assert not re.search(r"<metadata|<style|Matplotlib|dc:date", text)


def test_coordinates_have_two_decimals(pages):
    places = re.findall(r' d="([^"]*)"|translate\(([^)]*)\)', pages["loss-curve"])
    assert len(places) > 50
    assert not any(re.search(r"\.\d{3}", text) for place in places for text in place)


def test_a_figure_in_matplotlibs_own_style_also_follows_the_page():
    with matplotlib.rc_context(matplotlib.rcParamsDefault):
        fig, ax = plt.subplots()
        ax.plot([0, 1], [0, 1], color="black")
        ax.set_facecolor("white")
        text = plots.figure_html(fig, **TEXTS)
    assert not re.search(r"#(000000|ffffff)|: (black|white)", text)


def test_rounding_keeps_the_place_of_a_point():
    fig, ax = plots.figure(height=200)
    ax.plot([0.0, 1.0], [0.0, 1.0], color=plots.COLORS["forget"])
    text = plots.figure_html(fig, **TEXTS)
    data = [ax.transData.transform(point) * 72 / fig.dpi for point in ((0, 0), (1, 1))]
    drawn = re.search(r'd="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"[^>]*--lstm-forget', text)
    expected = [data[0][0], 200 - data[0][1], data[1][0], 200 - data[1][1]]
    np.testing.assert_allclose([float(part) for part in drawn.groups()], expected, atol=0.011)


# ------------------------------------------------------------------------------------ for a phone
@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_for_a_phone_is_narrow_and_its_letters_as_large(pages, name):
    sizes = re.findall(r'<svg viewBox="0 0 (\d+) \d+"[^>]* class="narrow[" ]', pages[name])
    charts = {"loss-curve", "spread", "confusion", "probabilities", "matrices", "heatmap"}
    assert (sizes == [f"{narrow.WIDTH}"]) == (name in charts)
    slim = pages[name].partition('class="narrow')[2]
    letters = re.findall(r"translate\([^)]*\) scale\((0\.\d+) -", slim)
    assert min(map(float, letters), default=1) >= 0.11


def test_panels_stand_one_below_another_on_a_phone():
    fig, axes = plots.figure(1, 2, sharey=True)
    for ax in axes:
        ax.plot([0, 1], [0, 1], label="a long name of a line in the legend")
    axes[0].legend(loc="center left", bbox_to_anchor=(1.05, 0.5))
    slim = narrow.redrawn(fig)
    upper, lower = (ax.get_position() for ax in slim.axes)
    assert (upper.x0, upper.x1) == pytest.approx((lower.x0, lower.x1), abs=0.01)
    assert upper.y0 > lower.y1
    (legend,) = slim.legends
    assert legend.get_window_extent().y1 < slim.axes[1].get_window_extent().y0
    assert fig.get_figwidth() * 72 == pytest.approx(480)


def test_texts_that_would_meet_keep_their_room():
    fig, ax = plots.figure()
    for place in range(8):
        ax.text(place / 8, 0.5, "0.0022", transform=ax.transAxes)
    assert narrow.redrawn(fig) is None


def test_an_image_of_several_colours_stays_an_image():
    fig, ax = plots.figure(height=200)
    ax.imshow(np.arange(12).reshape(2, 6) / 12, cmap="viridis")
    text = plots.figure_html(fig, **TEXTS)
    assert "<mask" not in text
    assert 'href="data:image/png;base64,' in text


def test_a_caption_may_hold_mathematics_and_code_but_no_markup():
    fig, _ = plots.figure()
    caption = "Where $f_t < 1$, `lstm.LSTM` forgets & <b>fades</b>."
    text = plots.figure_html(fig, **TEXTS | {"caption": caption})
    assert r"\(f_t &lt; 1\)" in text
    assert "<code>lstm.LSTM</code>" in text
    assert "&lt;b&gt;" in text


# ---------------------------------------------------------------------------------------- colours
def blended(color, page, alpha):
    """Return what a colour of this opacity becomes on a page."""
    return to_hex(alpha * np.array(to_rgb(color)) + (1 - alpha) * np.array(to_rgb(page)))


def luminance(color):
    parts = np.array(to_rgb(color))
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", palette.TONES)
def test_colours_stand_out_from_light_and_dark_pages(name):
    tone = palette.TONES[name]
    assert contrast(tone.light, "#ffffff") >= 3
    for page in ("#121212", "#14181e"):
        assert contrast(tone.dark, page) >= 3
        assert contrast(tone.both, page) >= 3
    assert contrast(tone.both, "#ffffff") >= 3


def test_one_hex_value_names_one_variable():
    values = [tone.both for tone in palette.TONES.values()]
    assert len(set(values)) == len(values)
    assert set(plots.COLORS) >= {"input", "forget", "candidate", "output", "cell", "hidden"}


def test_the_stylesheet_in_the_book_is_the_palettes():
    stored = ROOT / "book" / "assets" / "figures.css"
    assert stored.read_text("utf-8") == palette.stylesheet(), (
        "run: python -m lstm_book.figures.palette"
    )


# ------------------------------------------------------------------------------------------ errors
@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("name", "loss"),
        ("name", "fig-Loss"),
        ("name", "fig-loss curve"),
        ("name", None),
        ("alt", ""),
        ("alt", "  "),
        ("alt", None),
        ("alt", TEXTS["caption"]),
        ("caption", ""),
    ],
)
def test_texts_are_required_and_checked(argument, value):
    fig, _ = plots.figure()
    with pytest.raises(ValueError, match=argument):
        plots.show(fig, **TEXTS | {argument: value})


def test_show_displays_html_and_closes_the_figure(monkeypatch):
    display = pytest.importorskip("IPython.display", reason="IPython is not installed")
    shown = []
    monkeypatch.setattr(display, "display", shown.append)
    fig, _ = plots.figure()
    plots.show(fig, **TEXTS)
    assert shown[0].data.startswith('<figure class="lstm-figure" id="fig-test"')
    assert not plt.get_fignums()


def test_show_without_ipython_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    fig, _ = plots.figure()
    with pytest.raises(ImportError, match="show needs IPython"):
        plots.show(fig, **TEXTS)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.figure(width="wide"), "width must be one of text, narrow"),
        (lambda: plots.loss_curve([]), "history must hold"),
        (lambda: plots.spread([1, 2], {"RNN": [[1, 2, 3]]}, **AXES), "runs.'RNN'. must have shape"),
        (lambda: plots.spread([1], {"RNN": [[1]]}, band="std", **AXES), "band must be"),
        (lambda: plots.confusion_matrix(np.ones((2, 3))), "matrix must be square"),
        (lambda: plots.confusion_matrix(np.ones((2, 2)), ["a"]), "labels must name 2 classes"),
        (lambda: plots.image_grid([DIGIT], []), "images must have shape"),
        (lambda: plots.probabilities_over_time(np.ones((3, 2)), DIGIT), "one row per step"),
        (lambda: plots.heatmap(np.ones(3), scale="x", **AXES), "array must have shape"),
        (
            lambda: plots.matrices([np.ones((2, 3))], ["a"], rows="ab", columns="cd"),
            r"arrays must have shape \(2, 2\)",
        ),
        (lambda: diagrams.lstm_cell("gate"), "highlight must be among input, forget"),
    ],
)
def test_a_bad_argument_is_named(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


# --------------------------------------------------------------------------------- what is drawn
def test_spread_draws_every_run_their_median_and_their_range():
    ax = plots.spread([1, 2, 3], RUNS, **AXES).axes[0]
    lines = [tuple(line.get_ydata()) for line in ax.lines]
    assert {(1, 2, 3), (1, 4, 9), (1, 3, 5)} < set(lines)
    assert lines.count((1, 3, 5)) == 2, "the median run is drawn once as a run, once as the median"
    band = ax.collections[0].get_paths()[0].vertices
    assert band[band[:, 0] == 3][:, 1].min() == 3
    assert band[band[:, 0] == 3][:, 1].max() == 9


def test_spread_can_shade_the_middle_half():
    runs = {"LSTM": np.arange(5.0)[:, None] * [1, 1]}
    ax = plots.spread([1, 2], runs, band="quartiles", **AXES).axes[0]
    heights = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (1, 3)


def test_lines_differ_in_more_than_colour():
    ax = plots.spread([1, 2, 3], RUNS, **AXES).axes[0]
    medians = [line for line in ax.lines if not line.get_label().startswith("_")]
    assert len({line.get_marker() for line in medians}) == 2
    assert len({line.get_linestyle() for line in medians}) == 2
    assert medians[0].get_color() == plots.COLORS["rnn"]
    assert medians[1].get_color() == plots.COLORS["lstm"]


@pytest.mark.parametrize(
    ("part", "acts_on"),
    [("forget", {"cell"}), ("candidate", {"cell"}), ("output", {"cell"}), ("cell", set())],
)
def test_a_highlight_leaves_in_colour_its_part_and_what_that_acts_on(part, acts_on):
    text = plots.figure_html(diagrams.lstm_cell(part), **TEXTS)
    assert set(re.findall(r"--lstm-([a-z]+)", text)) == {part, "muted"} | acts_on


def test_what_recedes_can_still_be_read():
    tone, texts = palette.TONES["muted"], diagrams.lstm_cell("forget").axes[0].texts
    faint = {text.get_alpha() for text in texts if text.get_color() == tone.both}
    assert faint
    for color, page in ((tone.light, "#ffffff"), (tone.dark, "#121212"), (tone.dark, "#14181e")):
        assert min(contrast(blended(color, page, alpha), page) for alpha in faint) >= 3


def test_a_step_backward_shows_value_and_gradient_of_every_node():
    values = {name: number / 8 for number, name in enumerate(NODES)}
    gradients = {name: -number / 16 for number, name in enumerate(NODES)}
    arriving = {"h": 0.51, "c": 0.52, "h to c": 0.53}
    figure = diagrams.backward_step(values, gradients, arriving)
    shown = " ".join(text.get_text() for text in figure.axes[0].texts).replace("−", "-")
    for number in [*values.values(), *gradients.values(), *arriving.values()]:
        assert f"{number:.4f}" in shown


def test_matrices_share_one_scale_and_write_their_numbers():
    figure = plots.matrices(
        [[[1.0, 0.5]], [[-2.0, 0.0]]], ["a", "b"], rows=["row"], columns=["x", "y"], numbers=True
    )
    opacity = [[image.get_array()[..., 3] for image in ax.images] for ax in figure.axes]
    (positive, none), (nothing, negative) = opacity
    assert negative[0, 0] == 2 * positive[0, 0] > 0 == negative[0, 1]
    assert not none.any()
    assert not nothing.any()
    assert [text.get_text() for text in figure.axes[1].texts] == ["−2.0000", "0.0000"]


def test_drawing_a_figure_leaves_the_style_as_it_was():
    with matplotlib.rc_context(matplotlib.rcParamsDefault):
        before = dict(matplotlib.rcParams)
        plots.figure_html(plots.loss_curve(HISTORY), **TEXTS)
        diagrams.lstm_cell()
        assert dict(matplotlib.rcParams) == before


def test_figure_sets_the_style_for_what_is_drawn_into_it():
    with matplotlib.rc_context(matplotlib.rcParamsDefault):
        _, ax = plots.figure()
        assert not ax.legend(handles=[]).get_frame_on()
