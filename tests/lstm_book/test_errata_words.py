"""Words in the ledger's corrections that a computation decides: which of two is right.

A template is read as in tests/book/numbers.yml: ``{all|none}`` is the first where the source is
true. What no computation decides is sealed: see :mod:`lstm_book.seals`.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from lstm_book import errata
from lstm_book.ledger import ARTICLES, FINDINGS, OBSERVED

import lstm
from lstm import equations as eq
from lstm.initialise import orthogonal
from lstm.text import Vocabulary
from tests.book import changes, numbers
from tests.lstm_book.frameworks import run
from tests.lstm_book.test_errata_text import MEANT, SAID

SAYS = {finding["id"]: f"{finding['why']} ¦ {finding['correct']}" for finding in FINDINGS}
QUOTED = {finding["id"]: finding["printed"] for finding in FINDINGS}
RNG = np.random.default_rng(0)
LAYER = lstm.LSTM(3, 4, dtype=np.float64, rng=0)
OUTPUT, (H_N, C_N) = LAYER(9 * RNG.normal(size=(50, 2, 3)))
FROM_ZERO = np.array_equal(LAYER(OUTPUT[..., :3])[0], LAYER(OUTPUT[..., :3], (0 * H_N, 0 * C_N))[0])
SHOWN = np.array_equal(OUTPUT[-1], H_N[0])
BOUNDED = np.abs(OUTPUT).max() < 1 < np.abs(C_N).max()
KEPT = eq.cell_state(1, 0.7, 0, 0) == 0.7
LOST = eq.cell_state(0, 0.7, 0, 0) == 0
WRITTEN = eq.cell_state(0, 0.7, 1, 0.2) == 0.2 and eq.cell_state(0, 0.7, 0, 0.2) == 0
HIDDEN = eq.hidden_state(0, 0.7) == 0 != eq.hidden_state(1, 0.7)
# Shut, the output gate changes what is shown and not the cell.
AFTER = HIDDEN and np.isclose(eq.cell_state(0.5, 0.7, 0.5, 0.2), 0.45)
FADES = np.all(np.diff(np.cumprod(RNG.uniform(0.1, 0.99, 30))) < 0)
PRODUCTS = [np.linalg.norm(g**9 * orthogonal(4, 4, rng=0), 2) for g in (0.5, 2)]
MODEL = run(ARTICLES["004"]["program_corrected"]).names["model"]
KINDS = [layer.kind for layer in MODEL.layers]

LENGTHS = LAYER(np.zeros((9, 1, 3)), lengths=[4])[1]
MASKED = all(
    np.array_equal(*states) for states in zip(LENGTHS, LAYER(np.zeros((4, 1, 3)))[1], strict=True)
)

PROGRAMS = {number: about["program_corrected"] for number, about in ARTICLES.items()}
DONE = {number: run(program) for number, program in PROGRAMS.items()}
PRINTED = {number: run(about["program"]) for number, about in ARTICLES.items()}


def held_out(number: str) -> bool:
    """Return whether a corrected program is evaluated once, on nothing that it was fitted to."""
    (((x, _), _),) = DONE[number].called("fit")
    (((test, _), _),) = DONE[number].called("evaluate")
    return not np.shares_memory(x, test) and len(DONE[number].called("evaluate")) == 1


ZERO = [np.zeros((1, 1))] * 4 + [np.zeros(1)]
LAYERS = [layer.kind for layer in DONE["001"].layers]
LIBRARY = [layer.kind for layer in DONE["000"].layers]
NAMED = isinstance(PRINTED["000"].error, NameError) and DONE["000"].error is None
SEED_FIRST = all(
    PROGRAMS[number].index("set_random_seed(0)\n") < PROGRAMS[number].index("model = ")
    for number in ("000", "002", "004")
)
SHARE = DONE["002"].called("fit")[0][1]["validation_split"] < 1
WORDS = Vocabulary.from_texts(["often often rare", "often"], max_size=3)
FREQUENT = WORDS.tokens[2:] == ["often"]
DIRECT, STATES = RNG.normal(size=(6, 4)), np.tanh(RNG.normal(size=(6, 4)))
U = RNG.normal(size=(4, 4))
WHOLE = errata.whole_gradients_elman(DIRECT, STATES, U)
LATER = errata.whole_gradients_elman(DIRECT + np.eye(6)[:, -1:], STATES, U)
EARLIER = errata.whole_gradients_elman(DIRECT + np.eye(6)[:, :1], STATES, U)
DOWN = not np.allclose(LATER[0], WHOLE[0]) and np.array_equal(EARLIER[1:], WHOLE[1:])
LAST = np.diag(1 - STATES[-1] ** 2) @ U  # the gradient of h_T by h_{T-1}, transposed
PRODUCT = np.allclose(WHOLE[-2] - DIRECT[-2], LAST.T @ DIRECT[-1])
ORDER = not np.allclose(LAYER(OUTPUT[:9, :, :3])[0][-1], LAYER(OUTPUT[8::-1, :, :3])[0][-1])
STEPS = [args for name, *args in DONE["003"].calls if name == "run" and args[1]]
(*TRAINED, TESTED), FETCHED = [list(fed.values()) for _, fed in STEPS], [len(f) for f, _ in STEPS]
FRESH = not any(np.array_equal(TESTED[0], fed[0]) for fed in TRAINED)
REACHED = np.mean([np.mean(np.abs(fed[1]) < 1) for fed in TRAINED]) > 0.99
LIFTED = np.abs(lstm.Linear(4, 4, rng=0, dtype=np.float64)(9 * OUTPUT)).max() > 1
SEEN = [line for seen in OBSERVED["observed"].values() for line in seen.values()]
LEGACY = any("not available with Keras 3" in line for line in SEEN)
CLIPPED = lstm.Parameter(np.zeros(2))
CLIPPED.grad[...] = 3e9
lstm.clip_grad_norm_([CLIPPED], 1.0)

RATE = lstm.Adam(LAYER.parameters()).lr  # TensorFlow’s default, which article 003 takes

SPREAD = lstm.LSTMCell(3, 4, dtype=np.float64, rng=0)(9 * RNG.normal(size=(5, 3)))[0]
OPEN = errata.worked_repair()
DOUBLED = [errata.step_000(*np.ones((3, 1, 1)), WIDE)[0] for WIDE in (
    {gate: tuple(np.full(shape, 20.0) for shape in ((1, 1), (1, 1), 1)) for gate in "ifgo"},
    {gate: (np.zeros((1, 1)), np.zeros((1, 1)), np.zeros(1)) for gate in "ifgo"},
)]  # fmt: skip
CLIMBED = (1.0 + 0.1 * 2.0) ** 2 > 1.0  # of the loss w², whose gradient at 1 is 2

STUCK = errata.step_000(np.ones((1, 3)), np.zeros((1, 4)), 0, errata.random_weights(3, 4, 0))[0]
QUARTER = 4 * eq.rnn_parameter_count(128, 128) == eq.parameter_count(128, 128)
ROW = RNG.normal(size=(1, 4))

DECIDED = [
    (
        "000-14",
        "and {nothing|everything} else",
        eq.output_gate(*ZERO)[0, 0] == 0.5 != errata.output_gate_000(*ZERO)[0, 0],
    ),
    ("001-01", "The {LSTM|GRU} eases vanishing", [LAYERS.count("LSTM") == 2]),
    ("003-20", "so that memory {is|is not} needed and measured", FRESH),
    ("003-23", "Otherwise {Keras|PyTorch}.", LEGACY),
    ("004-21", "with {all|none} entries", errata.SHAPE_NEEDED[1] == 4),
    ("000-06", "the gradient {is|is not} multiplied by $f_t$", eq.d_cell_previous(2.0, 0.5) == 1),
    ("000-14", "$h_0 = 0$ {nothing|something} can ever be written", not STUCK.any()),
    ("001-06", "$c_t$ {is not|is} multiplied by $o_t$", AFTER),
    (
        "001-17",
        "{is|is not} one number instead of H",
        errata.cell_state_001(*[ROW] * 4).shape == (1, 1),
    ),
    ("002-07", "The input gate decides what {is|is not} newly written", WRITTEN),
    (
        "002-22",
        "the state that {is|is not} classified is the state {after|before} the padding",
        [SHOWN] * 2,
    ),
    ("003-08", "It has {no|four} gates, {no|a} cell and a quarter of the weights", [QUARTER] * 2),
    (
        "004-47",
        "With one output, softmax {is|is not} {always|never} 1",
        [eq.softmax(np.array([[3.0]]))[0, 0] == 1] * 2,
    ),
    ("000-13", "so $f_t = 1$ {keeps|drops} {all|none} of it", [KEPT, KEPT]),
    ("000-13", "and $f_t = 0$ {drops|keeps} {all|none}", [LOST, LOST]),
    (
        "000-18",
        "it is 2 and the state {doubles|halves} at {every|no} step",
        [DOUBLED[0] > 1.99] * 2,
    ),
    ("000-18", "it is 1/2 and the state {fades|grows}", DOUBLED[1] == 0.5),
    ("001-01", "The cell path {cannot|can} explode", 0.99**99 <= 1),
    ("001-10", "it is the proportion to {keep|forget}", KEPT and LOST),
    ("001-12", "$f_t \\odot C_{t-1}$ {is|is not} what stays", KEPT and LOST),
    ("001-13", "Without it $h_t$ {grows|falls} with $C_t$", errata.output_001(0.9, 9.0) > 8),
    ("001-13", "which {is|is not} unbounded", BOUNDED),
    ("002-03", "so that {more|less} {is|is not} always kept over a short distance", [FADES] * 2),
    ("003-17", "the formula climbs: it {raises|lowers} the loss", CLIMBED),
    ("003-30", "with {all|none} of its 100 steps", np.zeros((2, 100, 10))[-1].shape == (100, 10)),
    ("004-20", "{is|is not} {always|never} between -1 and 1", [np.abs(SPREAD).max() < 1] * 2),
    (
        "004-23",
        "would need a {negative|positive} sum, -0.66, and {all|no} numbers are {positive|negative}",
        [np.log(0.34 / 0.66) < 0, *[np.min(list(errata.WORKED_B.values())) > 0] * 2],
    ),
    ("004-27", "tanh is {always|never} {below|above} 1", [np.tanh(10.34) < 1] * 2),
    (
        "004-34",
        "{all|none} three stand fully {open|shut}",
        [min(OPEN[name].min() for name in ("i_t", "g_t", "o_t")) > 0.995] * 2,
    ),
    ("000-01", "whose units {are|are not} memory cells", bool(C_N.any())),
    ("000-22", "uses {before|after} it {is|is not} used", [NAMED] * 2),
    ("000-24", "on a {test|train} set once", held_out("000")),
    ("000-25", "the layer {is|is not} the standard {LSTM|GRU}", [LIBRARY == ["LSTM", "Dense"]] * 2),
    ("000-42", "{before|after} the model {is|is not} built", [SEED_FIRST] * 2),
    (
        "001-01",
        "eases vanishing; against explosion gradients {are|are not} clipped",
        np.linalg.norm(CLIPPED.grad) < 1.01,
    ),
    ("001-32", "For the {first|last} probably", QUOTED["001-32"].startswith("《深度学习》")),
    ("002-21", "the `vocab_size` {most|least} frequent", FREQUENT),
    (
        "002-23",
        "(of the {training|validation} set); the {test|train} set once",
        [SHARE, held_out("002")],
    ),
    ("003-02", "over k steps {is|is not} a product", PRODUCT),
    ("003-05", "images {after|before} a stated choice of order", ORDER),
    ("003-15", "from t = T {down|up} to 1", DOWN),
    ("003-20", "for each update and for the {test|train}", FRESH),
    ("003-23", "or with legacy {Keras|PyTorch}", LEGACY),
    ("003-33", "and a {test|train} loss on sequences held out", FRESH),
    (
        "003-48",
        "A linear layer (n, n) {after|before} the LSTM, or targets that almost "
        "{always|never} lie within",
        [LIFTED, REACHED],
    ),
    ("003-54", "and a loss that {is|is not} looked at", set(FETCHED[:-1]) == {2}),
    ("000-01", "The {LSTM|MLP} {is|is not} a recurrent", [bool(LAYER.weight_hh_l0.data.any())] * 2),
    ("000-03", "what {is|is not} written into the memory", WRITTEN),
    ("000-06", "The LSTM eases the vanishing gradient; it {does not|does}", 0 < 0.9**999 < 1e-9),
    ("000-10", "unless a state {is|is not} handed over", FROM_ZERO),
    ("000-13", "$f_t$ {is|is not} the fraction", KEPT and LOST),
    ("000-13", "that {is|is not} kept: 1 {keeps|forgets} {all|none}", [KEPT] * 3),
    ("000-13", "0 {forgets|keeps} {all|none}", [LOST] * 2),
    ("000-17", "the output gate acts {after|before} the cell", AFTER),
    ("000-18", "{every|no} entry in (-1, 1)", BOUNDED),
    ("001-08", "$h_t$ {is|is not} the output; {both|neither}", [SHOWN, SHOWN]),
    ("001-10", "{is|is not} the proportion kept: 1 {keeps|forgets} {all|none}", [KEPT] * 3),
    ("001-10", "0 {forgets|keeps} {all|none}", [LOST] * 2),
    ("001-12", "{is|is not} the information kept", KEPT and LOST),
    ("001-13", "{every|no} entry in (-1, 1)", BOUNDED),
    ("002-03", "{is|is not} left, and it {can only|cannot} fall with k", [KEPT, FADES]),
    ("001-11", "{is|is not} a candidate; $C_t", WRITTEN),
    ("001-11", "{is|is not} the new state", WRITTEN and KEPT),
    ("002-22", "masked steps {leave|change} h and c as they {are|are not}.", [MASKED] * 2),
    ("002-07", "{is|is not} kept;", KEPT and LOST),
    (
        "003-02",
        "which as a rule {shrinks|grows} or {grows|falls} exponentially",
        [PRODUCTS[0] < 0.01, PRODUCTS[1] > 99],
    ),
    (
        "003-53",
        "The input gate decides what {is|is not} written, the forget gate what {is|is not} kept",
        [WRITTEN, KEPT],
    ),
    ("003-54", "a {larger|smaller} rate: `AdamOptimizer(0.01)`", RATE < 0.01),
    ("003-53", "the output gate what {is|is not} shown", HIDDEN),
    ("004-03", "weights shared by {all|none} steps", LAYER(OUTPUT[:9, :, :3])[0].shape[0] == 9),
    ("004-14", "it {is|is not} the output and goes", SHOWN),
    ("004-39", "{No|A} reshape {is|is not} needed", [MODEL.input_shape == (28, 28)] * 2),
    (
        "004-45",
        "{One|No} LSTM layer and {two|three} Dense",
        [KINDS.count("LSTM") == 1, KINDS.count("Dense") == 2],
    ),
]


def wrong(text: str, template: str, right) -> bool:
    """Return whether a text does not say, in this sentence, what is right."""
    signs, found = numbers.read_by(template, text)
    given = right if isinstance(right, list) else [right]
    return len(found) != 1 or not all(map(numbers.fits, found[0].groups(), signs, given))


@pytest.mark.parametrize(("number", "template", "right"), DECIDED)
def test_a_word_is_the_one_that_is_right(number, template, right):
    assert not wrong(SAYS[number], template, right)


@pytest.mark.parametrize(("number", "template", "right"), DECIDED)
def test_a_turned_word_is_noticed(number, template, right):
    _, (found,) = numbers.read_by(template, SAYS[number])
    for place, turned in changes.turns(SAYS[number]):
        if found.start() <= place < found.end() - 3:
            assert wrong(turned, template, right), turned


UNDECIDED = {
    "000-02": "advice",
    "000-34": "history of the field, by a citation",
    "002-21": "a rule of method: the words are those of the training part",
    "003-09": "it holds of a GRU's gates as well",
}
"""Corrections with a word that no computation decides, and why; its hash notices the change."""


def decided(finding, turned: str) -> bool:
    """Return whether a check without a hash notices that a correction reads so."""
    number, why, correct = finding["id"], finding["why"], finding["correct"]
    texts = [f"{why} ¦ {each}" for each in (correct, turned)]
    if any(wrong(texts[1], template, right) for n, template, right in DECIDED if n == number):
        return True
    parts = [*SAID.get(number, []), *(said for n, said in MEANT if n == number)]
    return any(part in texts[0] and part not in texts[1] for part in parts)


@pytest.mark.parametrize(
    "finding", [each for each in FINDINGS if each["kind"] not in {"editorial", "citation"}]
)
def test_no_other_word_of_a_correction_is_left_undecided(finding):
    """Formulas, code and shapes are compared elsewhere, and citations with the bibliography."""
    places = [
        range(*match.span())
        for match in re.finditer(r"\$[^$]*\$|`[^`]*`|all (of shape )?\(", finding["correct"])
    ]
    left = [
        turned
        for place, turned in changes.turns(finding["correct"])
        if not any(place in each for each in places) and not decided(finding, turned)
    ]
    assert bool(left) == (finding["id"] in UNDECIDED), left
