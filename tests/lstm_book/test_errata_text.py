"""The ledger's own sentences: what can be computed of them is, and compared with what they say.

Formulas hold in a real run, shapes are those of its arrays, code stands in the corrected program,
names and years are those of the bibliography, and numbers follow from the package, from the
articles or from what a framework answered. The rest of a sentence is sealed: see
:mod:`lstm_book.seals`.
"""

import ast
import math
import re

import numpy as np
import pytest
from lstm_book import errata, ledger
from lstm_book.ledger import ARTICLES, FINDINGS
from pybtex.richtext import Text

import lstm
from lstm import equations as eq
from tests.book.latex import FormulaError
from tests.lstm_book import world
from tests.lstm_book.frameworks import run
from tests.lstm_book.test_errata_sources import authors, text

LSTM, ELMAN = world.lstm_world(), world.elman_world()
PRINTED = {"000-14": world.world_000(start=0.0), "000-18": world.world_000(start=1.0)}
"""What these findings say is wrong with a model, they say of article 000's own."""

OF_ELMAN = {"003-12", "003-13", "003-14", "003-15"}
FINDING = {finding["id"]: finding for finding in FINDINGS}
MATH, CODE = re.compile(r"\$([^$]+)\$"), re.compile(r"`([^`]+)`")

each_finding = pytest.mark.parametrize("finding", FINDINGS, ids=lambda finding: finding["id"])


def works(finding) -> list[str]:
    """Return the keys of the works that a finding cites."""
    return [item["citation"] for item in finding["evidence"] if "citation" in item]


def own_world(finding) -> dict:
    """Return the world that a correction is about."""
    return ELMAN if finding["id"] in OF_ELMAN else LSTM


# ---------------------------------------------------------------------------- formulas and shapes
def supposed(formula: str) -> bool:
    """Return whether a formula sets a value, as in "with f = 0.5": it claims nothing."""
    return bool(re.search(r"= *\(?-?[\d.]+(, [\d.]+)*\)?$", formula))


def claims(text: str) -> list[str]:
    """Return the formulas of a text that claim something: that two sides are equal, or ordered."""
    formulas = [f for f in MATH.findall(text) if world.sides(f)[1]]
    return [f for f in formulas if not supposed(f) or re.fullmatch(r"[hc]_\S+ = 0", f)]


@each_finding
def test_formulas_hold(finding):
    about = own_world(finding)
    for formula in claims(finding["correct"]):
        assert world.holds(formula, about), formula
    for formula in MATH.findall(finding["correct"]):  # what cannot be read claims nothing
        assert "=" not in formula.replace("t=T", "").replace("s=t+1", "") or world.sides(formula)[1]
    for formula in claims(finding["why"]):
        assert world.holds(formula, PRINTED.get(finding["id"], about)), formula


@each_finding
def test_indices_and_bounds_are_those_of_an_lstm(finding):
    """Also in an expression that claims nothing: the step before, a start from zero, (-1, 1)."""
    text = finding["correct"]
    earlier = {"1", "2"} if finding["id"] == "004-33" else {"1"}
    assert set(re.findall(r"_\{t-(\w+)\}", text)) <= earlier
    assert set(re.findall(r"[hcC]_(?:0|\{t-1\}) = (\d+)", text)) <= {"0"}
    assert set(re.findall(r"(?<=in )\(.\d, \d\)", text)) <= {"(-1, 1)"}


RIGHT = {"000-12"}
"""Where the formula is right for what it is, and the finding is what is said of it, or not said."""


@each_finding
def test_printed_formulas_do_not_hold(finding):
    """Read in the letters of the book; one that cannot be computed does not hold either."""
    source = {"i": "W", "h": "U"}
    block = {"i": "i", "f": "f", "o": "o", "x": "g"}
    for formula in MATH.findall(finding["printed"]):
        own = re.sub(r"W_\{([ifox])([ih])\}", lambda m: f"{source[m[2]]}_{block[m[1]]}", formula)
        own = re.sub(r"W_\{f([gico])\}", lambda m: f"W_{m[1]}", own.replace("b_x", "b_g"))
        try:
            wrong = not world.sides(own)[1] or not world.holds(own, own_world(finding))
        except (FormulaError, IndexError):
            wrong = True
        assert wrong or finding["id"] in RIGHT, own


def size(shape: str) -> tuple[int, ...]:
    """Return a shape in letters as numbers; a column has one axis."""
    names = {"D": world.D, "H": world.H}
    axes = [re.sub(r"(\d)([A-Z])", r"\1*\2", axis) for axis in shape.strip("()").split(",")]
    return tuple(eval(axis, {}, names) for axis in axes if axis.strip())


def letters(array) -> str:
    """Return an array's shape in letters."""
    names = {7: "N", 6: "T", 5: "B", world.D: "D", world.H: "H", 9: "K"}
    return re.sub(r"\d", lambda size: names[int(size[0])], str(array.shape))


AXIS = r"(?:\d?[A-Z](?: \+ [A-Z])?)"
LIKE_A_SHAPE = r"\(\d?[A-Z][A-Z +]*,[A-Z ,+]*\)"
SHAPE = rf"\(({AXIS},|{AXIS}(?:, {AXIS})+)\)"


def shape_in(about: dict, formula: str) -> tuple[int, ...]:
    """Return the shape of a formula's first side; a gradient has its array's."""
    formula = world.sides(formula)[0][0]
    alone = re.fullmatch(r"\\bar (\S+)", formula)
    value = world.value(alone[1] if alone else formula, about)
    return value.shape[:1] if value.shape[1] == 1 else value.shape


@each_finding
def test_shapes_are_those_of_the_arrays(finding):
    """A shape in letters stands behind a formula, and is that of its value, or was computed."""
    about, text = own_world(finding), finding["why"] + " " + finding["correct"]
    if finding["id"] == "001-18":  # there, two matrices side by side
        about = about | {("W_f",): np.hstack([about["U_f",], about["W_f",]])}
    for part in SAID.get(finding["id"], []):
        text = text.replace(part, " ")
    claimed = re.findall(rf"\$([^$]+)\$,? (?:of )?(?:shape )?{SHAPE}", text)
    for shape in re.findall(rf"all (?:of shape )?{SHAPE}", text):
        claimed += [(formula, shape) for formula in claims(finding["correct"])]
    for formula, shape in claimed:
        assert shape_in(about, formula) == size(shape), (formula, shape)
    assert {shape for _, shape in claimed} == set(re.findall(SHAPE, text))
    assert all(re.fullmatch(SHAPE, each) for each in re.findall(LIKE_A_SHAPE, text))


ONE_STEP = {f"{state}_{at}" for state in "hcC" for at in ("t", "{t-1}", "0")}
ONE_STEP |= {"x_t", r"\tilde{C}_t", "h_1", "h_T"}
ONE_STEP |= {f"{gate}_t" for gate in "ifgo"} | {r"\tanh", r"\sigma", *"WUb"}
ONE_STEP |= {f"{block}_{gate}" for block in "WUb" for gate in "ifgo"}
BACKWARDS = {rf"\bar {name}" for name in (*"WUb", *(f"{x}_t" for x in "hcifgoax"), "h_{t-1}")}

TWICE = {"001-08", "001-18", "003-09", "004-57"}
OF_AN_ARTICLE = {
    r"W_{x\to i}",
    "s_t",
    r"\Delta h_t",
    "h_{t+1}",
    "b_{fi}",
    "b_{fo}",
    "b_{fc}",
    "W_{fc}",
    "y_t",
}


@each_finding
def test_symbols_alone_are_those_of_a_step(finding):
    """Also where no formula says what they are: in a correction none stands twice."""
    alone = re.compile(r"(?:\\[a-zA-Z]+ ?)?(?:\{\w\}|\w)?(?:_\w|_\{[^{}]*\})?")
    said = [f for f in MATH.findall(finding["correct"]) if alone.fullmatch(f)]
    assert set(said) <= ONE_STEP | BACKWARDS
    assert len(said) == len(set(said)) or finding["id"] in TWICE
    of_gates = [set(re.findall(rf"(?<!\S){block}_([ifgo])\b", " ".join(said))) for block in "WUb"]
    of_gates += [set(re.findall(r"(?<!\S)([ifgo])_t", " ".join(said)))] * any(of_gates)
    assert all(gates in (set(), of_gates[0]) for gates in of_gates), "of one gate, or of all"
    why = {f for f in MATH.findall(finding["why"]) if alone.fullmatch(f)}
    printed = "".join(place["printed"] + place["gloss"] for place in ledger.places(finding))
    assert all(f in ONE_STEP or f in printed or f in OF_AN_ARTICLE for f in why)


T_ = world.SIZES["t"]
MEANT = {
    ("000-17", r"The write is $i_t \odot g_t$"): LSTM["c", T_] - LSTM["f", T_] * LSTM["c", T_ - 1],
    ("000-16", r"$h_t = o_t \odot \tanh(c_t)$"): LSTM["h", T_],
    ("001-09", r"First $W x_t + U h_{t-1} + b$, then the sigmoid"): LSTM["a", T_],
    ("001-12", r"$f_t \odot C_{t-1}$ is the information kept"): errata.kept(
        LSTM["f", T_], LSTM["c", T_ - 1]
    ),
    ("001-12", r"What is forgotten is $(1 - f_t) \odot C_{t-1}$"): errata.forgotten(
        LSTM["f", T_], LSTM["c", T_ - 1]
    ),
    ("002-03", r"the fraction $\prod_{s=t+1}^{t+k} f_s$ of $c_t$ is left"): errata.kept(
        LSTM["f", T_ + 2], errata.kept(LSTM["f", T_ + 1], np.ones((world.H, 1)))
    ),
    ("002-07", r"$f_t \odot c_{t-1}$ is kept"): errata.kept(LSTM["f", T_], LSTM["c", T_ - 1]),
    ("002-07", r"$i_t \odot g_t$ is written"): eq.cell_state(
        0, LSTM["c", T_ - 1], LSTM["i", T_], LSTM["g", T_]
    ),
}
"""What an expression means, in the finding's words, and what a function under test gives for it."""


@pytest.mark.parametrize(("number", "sentence"), MEANT, ids=str)
def test_an_expression_is_what_the_sentence_says(number, sentence):
    assert sentence in FINDING[number]["why"] + " " + FINDING[number]["correct"]
    (formula,) = MATH.findall(sentence)[:1]
    *_, last = world.sides(formula)[0]
    np.testing.assert_allclose(world.value(last, LSTM), MEANT[number, sentence], rtol=1e-9)


# ---------------------------------------------------------------------------------------- numbers
READING, REPAIR = errata.worked_article_reading(), errata.worked_repair()
TEACHING, NUMBERS = errata.worked_teaching_version(), errata.WORKED_NUMBERS
F_SUM, I_SUM, G_SUM, *_, O_SUM = (
    eval(n.expression.removeprefix("sigmoid"), {}, {"tanh": math.tanh}) for n in NUMBERS
)
SEEN = ledger.OBSERVED["observed"]
(TF, KERAS), (TF_NEW, KERAS_NEW) = (name.split()[1::3] for name in SEEN)
WEIGHTS = ast.literal_eval(SEEN[f"TensorFlow {TF} with Keras {KERAS}"]["weights"])
MODEL = run(ARTICLES["004"]["program_corrected"])
IMAGES, PIXELS = 60_000, 28 * 28


def both(name):
    """Return the two units' values of the repair."""
    return "({:.6f}, {:.6f})".format(*REPAIR[name])


def spread(*names):
    """Return the smallest and the largest value of the teaching version, to two digits."""
    values = np.concatenate([TEACHING[name] for name in names])
    return f"{values.min():.2f} and {values.max():.2f}"


def sums(gate):
    """Return the two sums of the repair."""
    W, b = np.array(errata.WORKED_W[gate]), np.array(errata.WORKED_B[gate])
    return (W @ errata.WORKED_H + W @ errata.WORKED_X + b).round(6).tolist()


BATCH = lstm.LSTM(3, 4, batch_first=True, rng=0)
INPUT = np.zeros((7, 6, 3), np.float32)
OUTPUT, (LAST, _) = BATCH(INPUT)
LABELS = lstm.Linear(4, 9, rng=0)(OUTPUT)
STATE, _ = lstm.LSTMCell(3, 4, rng=0)(np.zeros((5, 3), np.float32))

TWICE_USED = [
    section["id"].split()[0]
    for section in ARTICLES["003"]["sections"]
    if section["id"].endswith("(second)")
]

SAID = {
    "000-06": [f"With $f_t = {eq.sigmoid(0.0)}$", f"{0.5**100:.0e} of it is left after 100 steps"],
    "000-18": [
        f"a factor between {0 + 1 * -1 * 1} and {1 + 1 * 1 * 1}",
        "near 0 it is 1/2",
        "it is 2 and the state doubles",
    ],
    "000-22": [
        f"shape (N, {run(ARTICLES['000']['program']).names['model'].input_shape[0]}, 1)",
        f"shape {letters(INPUT[:, 0, 0])} with values 0 or 1",
    ],
    "000-37": [f"real array of shape {letters(INPUT)}: N sequences, T steps, D features."],
    "000-38": [
        f"hidden states $h_1$ … $h_T$, shape {letters(OUTPUT)}, or the last, {letters(LAST[0])}, "
        "each entry in (-1, 1)"
    ],
    "002-14": [
        "One W {}, U {}, b {} are the weights of an Elman network".format(
            *(letters(ELMAN[name,][..., 0] if name == "b" else ELMAN[name,]) for name in "WUb")
        ),
        f"D = H = 128, {eq.rnn_parameter_count(128, 128):,} against the "
        f"{eq.parameter_count(128, 128):,} of",
    ],
    "002-21": [
        f"TensorFlow {TF} stops with",
        f"Keras {KERAS_NEW} with",
        f"integers of shape {letters(INPUT[..., 0])}.",
    ],
    "002-37": [f"one output per step, {letters(LABELS)}."],
    "003-21": [f"$c_0$ and $h_0$ of shape {letters(STATE)}: `cell.zero_state"],
    "003-23": [
        f"(seen with {TF} and {TF_NEW})",
        f"up to TensorFlow {TF};",
        f"With TensorFlow {TF.rpartition('.')[0]} or earlier",
        f"with Keras 3 (seen with TensorFlow {TF_NEW})",
    ],
    "003-24": [f"of TensorFlow {TF} the", "the 100 steps were taken for a batch"],
    "003-26": [
        f"a kernel {(20, 40)} and a bias {(40,)}, {eq.parameter_count(10, 10)} numbers",
        f"The {eq.rnn_parameter_count(10, 10)} of W, U and b",
    ],
    "003-18": [
        "Section numbers {0}, {0}.1 and {0}.2 are used twice".format(TWICE_USED[0]),
        "Number it {0}, {0}.1, {0}.2, {0}.3.".format(int(TWICE_USED[0]) + 1),
    ],
    "003-30": [f"with all of its {len(np.zeros((2, 100, 10))[-1])} steps", "of shape (10,)"],
    "003-32": ["100 updates because there are 100 time steps"],
    "003-48": [f"with probability {100 * math.erfc(0.5**0.5):.0f} %", "about three of ten targets"],
    "003-54": [f"100 updates of 0.001 move a weight by {100 * 0.001:.1f} or so"],
    "004-03": ["4H(D + H + 1) numbers"],
    "004-17": [
        f"= ({', '.join(f'{v:.0f}' for v in errata.WORKED_H + errata.WORKED_X)})$",
        f"shape {errata.SHAPE_NEEDED} = (H, H + D)",
    ],
    "004-20": ["No LSTM puts out {:.0f} or {:.0f}.".format(*errata.WORKED_H)],
    "004-21": [
        rf"$\sigma({sums('f')[0]}, {sums('f')[1]}) = {both('f_t')}$",
        f"$h_2 = {errata.WORKED_H[1]:.0f}$ and $x_1 = {errata.WORKED_X[0]:.0f}$",
    ],
    "004-22": [
        "$b_1 = {}$ is added for unit 1, $b_2 = {}$ for unit 2".format(*errata.WORKED_B["f"]),
        "{} belongs to unit 1, {} to unit 2".format(*errata.WORKED_B["f"]),
    ],
    "004-23": [
        f"σ({F_SUM:.1f}) is not {NUMBERS[0].printed}",
        f"The sum is {F_SUM:.1f} and σ({F_SUM:.1f}) = {READING['f_t']:.6f}",
        f"0.34 would need a negative sum, {math.log(0.34 / 0.66):.2f}",
        f"{READING['f_t']:.6f} in the article's own reading; {both('f_t')} in the repair",
    ],
    "004-25": [
        f"σ({I_SUM:.1f}) is not {NUMBERS[1].printed}",
        f"The sum is {I_SUM:.1f} and σ({I_SUM:.1f}) = {READING['i_t']:.6f}",
        f"gives 0.78: σ(1.2) = {eq.sigmoid(1.2):.3f}, σ(1.3) = {eq.sigmoid(1.3):.3f}",
        f"{READING['i_t']:.6f} in the article's own reading; {both('i_t')} in the repair",
    ],
    "004-26": [
        f"The sum is {G_SUM:.1f}, not {NUMBERS[2].printed}",
        f"{1.3 * 3:.1f} + {1.4 * 2:.1f} + 1.7 + 1.8 = {G_SUM:.1f}",
        f"{G_SUM:.1f} in the article's own reading; ({sums('g')[0]}, {sums('g')[1]}) in",
    ],
    "004-27": [
        f"tanh({NUMBERS[2].printed}) = {np.tanh(10.34):.9f} ({np.tanh(10.34):.6f} to six",
        f"{np.tanh(10.34):.6f}",
    ],
    "004-28": [
        f"0.78 × 2.31 = {0.78 * 2.31:.4f}",
        f"The number {NUMBERS[4].printed} comes from none",
        f"{0.78 * 2.31:.6f} by the article's own factors; with the right ones "
        f"{READING['i_t']:.6f} × {np.tanh(G_SUM):.6f} = {READING['i_t']:.6f}",
    ],
    "004-29": [
        rf"$\dots + {NUMBERS[0].printed}\, C_{{t-1}}$",
        rf"${READING['c_t']:.6f} + {READING['f_t']:.6f}\, C_{{t-1}}$ with the right ones",
    ],
    "004-30": [f"reading has $C_t = {READING['c_t']:.6f}$ and $y_t = {READING['h_t']:.6f}$"],
    "004-31": [
        f"1.9 × 3 + 2.0 × 2 + 2.3 + 2.4 = {1.9 * 3 + 2.0 * 2 + 2.3 + 2.4:.1f} by the rule",
        f"$x_2 = {errata.WORKED_X[1]:.0f}$, here $h_2 = {errata.WORKED_H[1]:.0f}$",
    ],
    "004-32": [
        f"σ({O_SUM:.1f}) is not {NUMBERS[6].printed}",
        f"The sum is {O_SUM:.1f} and σ({O_SUM:.1f}) = {eq.sigmoid(O_SUM):.8f}",
        f"to six digits {eq.sigmoid(O_SUM):.6f}",
        f"{eq.sigmoid(O_SUM):.6f} (by the rule of the other gates σ(14.4) = "
        f"{eq.sigmoid(14.4):.6f})",
    ],
    "004-34": [
        "output gate are {:.2f} to two digits".format(
            min(REPAIR[name].min() for name in ("i_t", "g_t", "o_t"))
        ),
        f"gates between {spread('f_t', 'i_t', 'o_t')}, candidates {spread('g_t')}",
    ],
    "004-39": [
        f"{IMAGES * PIXELS:,} numbers are reshaped into {IMAGES * 28:,}",
        f"{IMAGES:,} · 28 · 28 = {IMAGES * PIXELS:,} pixels do not fit",
        f"{IMAGES:,} · 28 · 1 = {IMAGES * 28:,} places",
        "(N, 28, 28) is N sequences of 28 rows with 28 pixels",
    ],
    "004-40": [
        "28 steps of 1 feature, MNIST has 28 steps of 28",
        f"TensorFlow {TF} raises",
        f"Keras {KERAS_NEW} trains",
        f"28 steps, 28 features; {WEIGHTS[0]:,} weights in the LSTM, {sum(WEIGHTS):,} in all",
    ],
    "004-41": [f"(1, 28) holds {1 * 28} numbers, an image {PIXELS}"],
    "004-43": ["10 classes"],
    "004-46": [
        "the program says 28",
        "has 28 features and 1 step",
        "D = 28: a row of pixels at each of 28",
        f"{eq.parameter_count(1, 128):,} weights instead of {eq.parameter_count(28, 128):,}",
    ],
    "004-47": [f"{MODEL.layers[-1].units} outputs that sum to 1"],
    "004-49": [f"(N, T, D) = {(IMAGES, 28, 28)}; targets {(IMAGES,)}"],
    "004-50": [f"{IMAGES:,} training and {70_000 - IMAGES:,} test images"],
    "004-51": [
        f"{IMAGES - IMAGES // 10:,} images to train, {IMAGES // 10:,} to validate; "
        f"{70_000 - IMAGES:,} to test, once",
        f"the last tenth of the training set, {IMAGES // 10:,} images",
    ],
}
"""Parts of sentences with the numbers that the package, or the article's own, gives for them."""


SOURCES = {
    "000-28": {"2010"},  # fischer2018deep
    "000-31": {"27"},  # of August, on the page
    "001-40": {"2", "2019"},  # TensorFlow 2.0
    "003-23": {"2", "2.0", "2019", "1.15", "2.15", "3"},
    "003-41": {"2002", "2004"},  # the volumes of JMLR
    "004-40": {"2", "28", "14273", "2.4", "15016"},  # issues of Keras
    "004-52": {"32"},  # Keras' default
    "004-57": {"1997"},  # hochreiter1997long
}
"""Numbers that were read elsewhere and are computed nowhere."""


@each_finding
def test_every_number_is_computed_or_has_a_source(finding):
    text = " ¦ ".join(finding[key] for key in ("title", "why", "correct"))
    for part in SAID.get(finding["id"], []):
        text = text.replace(part, " ")
    text = re.sub(rf"\$[^$]*\$|`[^`]*`|{SHAPE}|https?:\S+|doi:\S+|arXiv:\S+", " ", text)
    cited = " ".join(
        value for key in works(finding) for value in ledger.bibliography()[key].fields.values()
    )
    text = re.sub(r"\d\.\d \(\d\)|(?i:sections?|step) \(?\d\b(?!\.)", "", text)
    sections = {section["id"] for section in ARTICLES[finding["article"]]["sections"]}
    known = (
        {"0", "1", *ARTICLES}
        | {s for s in sections if "." in s}
        | SOURCES.get(finding["id"], set())
    )
    known |= set(re.findall(r"\d+", cited)) | set(re.findall(r"[\d.]*\d", finding["printed"]))
    assert set(re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)*(?<!,)", text)) <= known


@pytest.mark.parametrize("number", SAID)
def test_numbers_are_what_was_computed(number):
    text = " ".join(FINDING[number][key] for key in ("title", "why", "correct"))
    assert [part for part in SAID[number] if part not in text] == []


def test_the_count_of_an_lstms_weights_is_the_formula():
    (formula,) = re.findall(r"(\dH\(D \+ H \+ 1\)) numbers", FINDING["004-03"]["correct"])
    for D, H in ((3, 4), (28, 128)):
        count = eval(formula.replace("4H(", "4 * H * ("), {}, {"D": D, "H": H})
        assert count == eq.parameter_count(D, H)


# ------------------------------------------------------------------------------- code and sources
ELSEWHERE = {
    "000-22": {"x_train", "y_train"},  # names
    "001-26": {"keras.layers.Masking"},
    "004-35": {"model.predict(x_test[:10]).argmax(axis=1)", "y_test[:10]"},
    "004-43": {"Dense(128, ReLU)", "Dense(10, softmax)"},  # in words
    "004-52": {"batch_size=128"},
    "003-21": {"cell.zero_state(batch_size, tf.float32)"},
}
"""Code that a correction offers and that the corrected program has no need of."""


@each_finding
def test_code_of_a_correction_stands_in_the_corrected_program(finding):
    about = ARTICLES[finding["article"]]
    printed, corrected = (
        "".join(about[key].replace('"', "'").split()) for key in ("program", "program_corrected")
    )
    for code in set(CODE.findall(finding["correct"])) - ELSEWHERE.get(finding["id"], set()):
        pieces = ["".join(piece.replace('"', "'").split()) for piece in code.split("…")]
        assert all(piece in corrected for piece in pieces), code
        if finding["kind"] == "code" and len(code) > 12 and finding["severity"] != "minor":
            assert not all(piece in printed for piece in pieces), code


def raised(program: str) -> str:
    """Return the error that a program stops with."""
    error = run(program).error
    return f"{type(error).__name__}: {error}"


ANSWERS = [line for seen in ledger.OBSERVED["observed"].values() for line in seen.values()]
ANSWERS += [raised(ARTICLES[article]["program"]) for article in ("000", "001", "002")]
ANSWERS += [raised("import numpy\nnumpy.empty((60000, 28, 28), 'u1').reshape(60000, 28, 1)")]


OTHER_CODE = {
    "003-08": {"torch.nn.RNN"},
    "003-21": {"LSTMStateTuple(c, h)"},
    "003-23": {"tf.compat.v1"},
    "003-24": {"tf.compat.v1"},
    "003-25": {"dynamic_rnn(cell, inputs, sequence_length=None, initial_state=None, …)"},
    "004-40": {"Error when checking input", "tf.keras"},
    "004-47": {"Dense(10, softmax)"},
}
"""Code in the reasons that no article prints."""


@each_finding
def test_code_and_articles_of_a_reason_are_the_findings(finding):
    articles = {place["article"] for place in ledger.places(finding)}
    texts = [ARTICLES[each][key] for each in articles for key in ("program", "program_corrected")]
    known = "".join("".join([*texts, finding["printed"], *ANSWERS]).split()).replace('"', "'")
    for code in set(CODE.findall(finding["title"] + finding["why"])):
        pieces = ["".join(piece.replace('"', "'").split()) for piece in code.split("…")]
        own = code in OTHER_CODE.get(finding["id"], set())
        assert own or all(each in known.replace("`", "") for each in pieces), code
    text = finding["title"] + finding["why"] + finding["correct"]
    assert set(re.findall(r"(?<![\d.,])00[0-4](?![\d.-])", text)) <= articles
    alone = re.findall(r"\$([hcxC]_(?:\w|\{[^{}]*\}))\$", finding["title"])
    assert set(alone) <= ONE_STEP


@each_finding
def test_messages_are_those_that_were_seen(finding):
    """An error that is quoted was seen in a framework, or is raised here."""
    for code in CODE.findall(finding["why"]):
        if re.search(r"Error: |expected shape|must be|not available", code):
            assert any(code in line.replace("`", "") for line in ANSWERS), code


@each_finding
def test_names_and_years_are_those_of_the_works(finding):
    text = finding["why"] + " " + finding["correct"]
    name = r"[A-Z]\w+"
    said = re.findall(rf"{name}(?: and {name}| et al\.)? \(\d{{4}}\)", text)
    assert set(said) <= {ledger.author_year(key) for key in works(finding)}


def written(key: str) -> str:
    """Return all that the bibliography says of a work."""
    entry = ledger.bibliography()[key]
    fields = " ".join(map(str, [*entry.fields.values(), *entry.persons["author"]]))
    return str(Text.from_latex(fields)).replace("–", "-")


@pytest.mark.parametrize(
    "finding", [f for f in FINDINGS if f["kind"] == "citation"], ids=lambda f: f["id"]
)
def test_a_corrected_citation_is_the_bibliographys(finding):
    """Every name, number and address in it is one of a cited work, beginning with the first."""
    keys = works(finding)
    said = re.sub(r"https?://(doi\.org/)?|doi:|arXiv:|For|Books", "", finding["correct"])
    tokens = [token.split("(")[0] for token in re.findall(r"[A-Z\d][\w./()-]*\w", said)]
    tokens += re.findall(r"\w+(?:\.\w+)+(?:/[\w./]*\w)?", said)
    assert all(any(token in written(key) for key in keys) for token in tokens)
    assert any(token in written(keys[0]) for token in tokens)
    issues = {ledger.bibliography()[key].fields.get("number") for key in keys}
    assert set(re.findall(r"\d\((\d+)\)", said)) <= issues


ORDINARY = set(
    re.findall(
        r"\w+",
        "Alex Andrew August Carnegie Christopher Coursera First Gers Graves ICML JMLR Keras "
        "Manning Mellon Neither Ng Olah One Only Papers Stanford TensorFlow The Two We Without "
        "Year",
    )
)
"""Capitalised words in what is said of a citation, and in no cited work."""


@pytest.mark.parametrize(
    "finding", [f for f in FINDINGS if f["kind"] == "citation"], ids=lambda f: f["id"]
)
def test_names_and_titles_are_those_of_the_works(finding):
    known = " ".join([*map(written, works(finding)), finding["printed"], finding["gloss"]])
    said = f"{finding['title']}. {finding['why']}"
    text = re.sub(r"(^|[.:] )[A-Z]\w+(?!\w|'| [A-Z])", " ", said)
    names = set(re.findall(r"\b[A-Z][\w-]+\w", text)) - ORDINARY
    titles = re.findall(r"\"([^\"]{13,}?)\"", said)
    assert [words for words in [*names, *titles] if words not in known] == []


CITED = {
    "hochreiter1997long": "Hochreiter Schmidhuber; Neural Computation; 1997; 9 8 1735 1780",
    "bengio1994learning": "Bengio Simard Frasconi; IEEE Transactions on Neural Networks; 1994; "
    "5 2 157 166",
    "bengio2003neural": "Bengio Ducharme Vincent Jauvin; Journal of Machine Learning Research; "
    "2003; bengio03a",
}
"""How others cite the works of 000-29, 000-30 and 003-41: what several public papers and lists
agree on, looked up apart from the bibliography."""


@pytest.mark.parametrize("key", CITED)
def test_the_bibliography_says_what_others_cite(key):
    names, journal, year, rest = CITED[key].split("; ")
    assert authors(key) == set(names.split())
    assert (text(key, "journal"), text(key, "year")) == (journal, year)
    fields = " ".join(text(key, name) for name in ("volume", "number", "pages", "url"))
    assert set(rest.split()) <= set(re.split(r"[\s/.]+|--", fields))
    if "neco" in text(key, "doi"):  # year, volume, issue and page
        assert text(key, "doi").split(".")[-4:] == [year, *rest.split()[:3]]
