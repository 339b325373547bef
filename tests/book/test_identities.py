"""Formulas without a label, in displays and within sentences, hold in a real run.

A side that the grammar cannot read, or that holds a symbol without a value, is passed over; how
many are computed is counted, so that none drops out unseen. Those with a label: test_formulas.py.
"""

import re
from collections import Counter
from functools import partial

import numpy as np
from lstm_book import binding

from lstm import equations as eq
from lstm.gradcheck import complex_step
from tests.book import changes, latex, numbers
from tests.lstm_book import world
from tests.lstm_book.world import H, T

RNG = np.random.default_rng(5)
ANY = {(name,): RNG.normal(size=(H, H)) for name in "AB"} | {("z",): RNG.normal()}
"""What a sentence says of any matrices, and of any number."""


def elman() -> dict:
    """Return the symbols of chapter 2: one run, its Jacobians, its gradients."""
    values = world.elman_world()
    U, S = values["U",], np.diag(RNG.uniform(0.5, 2, H))
    steps = range(1, T + 1)
    J = {t: np.diag(1 - values["h", t][:, 0] ** 2) @ U for t in steps}
    values["∂h/∂h", T, 0] = np.linalg.multi_dot([J[t] for t in reversed(steps)])
    values |= {("J", t): J[t] for t in steps} | {("S",): S}
    values["∂loss/∂W(t)",] = slopes = by_own_copy(values)
    values |= {("∂loss/∂W(t)", j + 1, k + 1): d for (j, k), d in np.ndenumerate(slopes)}
    return values | {("d_loss", t): values["d_h_direct", t] for t in steps}


def by_own_copy(values: dict) -> np.ndarray:
    """Return the gradient of the loss by the copy of W that step t alone has."""
    at, (W, U, b) = world.SIZES["t"], (values[name,] for name in "WUb")

    def loss(copy):
        h, total = 0 * b, 0.0
        for t in range(1, T + 1):
            h = np.tanh((copy if t == at else W) @ values["x", t] + U @ h + b)
            total = total + (values["d_h_direct", t] * h).sum()
        return total

    return complex_step(loss, W)


def constant_gate() -> dict:
    """Return the symbols of chapter 4's last exercise: a cell whose gate is one number."""
    f, y, x = 0.7, 0.3, RNG.normal(size=T + 1)

    def last(f):
        c = 0.0
        for x_t in x[1:]:
            c = f * c + x_t
        return c

    slope = complex_step(lambda f: (last(f[0]) - y) ** 2 / 2, np.array([f]))[0]
    values = {("f",): f, ("y",): y, ("c", T): last(f), ("∂ell/∂f",): slope}
    return values | {("x", t): x[t] for t in range(1, T + 1)}


def one_unit() -> dict:
    """Return the single unit before the first LSTM; products of different inputs are 0 in mean."""
    y, u, w, k = RNG.uniform(0.5, 2, 4)
    values = {("w",): w, ("k",): k, ("u", 3): u, ("y", 2): y, ("y", 3): y + u / w + k}
    return values | {("x", t): np.eye(T)[:, t - 1 : t] for t in range(1, T + 1)}


def at_rest() -> dict:
    """Return chapter 5's cell: how a disturbance of the first input moves its states from zero."""
    i, f, o, w, u = 0.3, 0.8, 0.6, 1.5, 3.0  # all of them different, unlike the page's

    def states(first):
        c = h = 0 * first
        seen = []
        for x_t in [first, *(T - 1) * [0.0]]:
            c = f * c + i * np.tanh(w * x_t + u * h)
            h = o * np.tanh(c)
            seen.append((c, h))
        return np.imag(seen) / 1e-30

    moved = states(1e-30j)
    values = {("i",): i, ("f",): f, ("o",): o, ("u",): u, ("w",): w, ("x", 1): 1.0}
    return values | {(name, t): d[n] for t, d in enumerate(moved, 1) for n, name in enumerate("ch")}


def one_step() -> dict:
    """Return chapter 11's cell: how its state moves with each weight and each preactivation."""
    x, c_0, W, b = (RNG.normal(size=shape) for shape in (3, H, (4 * H, 3), 4 * H))

    def state(a):
        i, f, g, _ = np.split(a, 4)
        return c_0 / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))

    def slopes(function, values):
        units = [complex_step(lambda v, n=n: function(v)[n], values) for n in range(H)]
        return np.stack(units, axis=-1)

    by_W, by_a = slopes(lambda W: state(W @ x + b), W), slopes(state, W @ x + b)
    values = {("x",): x.reshape(-1, 1)}
    at = world.SIZES["t"]
    for k, j in np.ndindex(W.shape):
        values["∂c/∂W", at, k + 1, j + 1] = by_W[k, j].reshape(-1, 1)
        values["∂c/∂a", at, k + 1] = by_a[k].reshape(-1, 1)
    return values


LSTM = world.lstm_world()
WORLDS = {
    "02_recurrent_networks": [elman()],
    "04_backpropagation": [LSTM, constant_gate()],
    "05_what_it_solves": [LSTM, at_rest()],
    "11_check_your_own": [one_step()],
    "relatives": [LSTM, one_unit()],
}
SPELLED = [
    (r"\\text\{that is\} *\\qquad", ""),
    (r"(W\^\{\(t\)\})_\{jk\}", r"W_{j,k}^{(t)}"),
    (r"W_\{kj\}", "W_{k,j}"),
    (r"\\delta (\w_)", r"\1"),  # the world of chapter 5 holds the disturbances
]
"""How the pages write what the grammar knows in another way."""
SUPPOSED = [
    r"c_t = c_{t-1}",  # what an open gate makes of it, a shut one
    r"c_t = g_t",
    r"c_t = i_t \odot g_t",
    r"h_t = \tanh(Wx_t + Uh_{t-1} + b)",  # article 003's network
    r"h_{t} = f(Wx_{t}+Uh_{t-1}+b)",
    r"h_t = o_t \odot c_t",  # cells that differ
    r"i_t = 1 - f_t",
    r"g_t = W_g x_t + b_g",
    r"\varphi(z) = z/w + k",  # what is looked for
    r"w = 1/T",
    r"c_T = w x_1",
    r"h_t = \tanh(w h_{t-1})",
    r"k = \sigma(b)",
    r"b_i = -b_f",
    r"\eta = \sigma_{\max}(U) < 1",
    r"\lVert S U S^{-1} \rVert_2 < 1",
    r"\sigma(z) > \frac{1}{2}",
    r"i = f = o = \tfrac12",
    r"i = o = \tfrac12",
    r"i = 1 - f",
    r"f = u/(1 + u)",
    r"u < -(1 + f)/(i\,o)",  # of two borders, one is crossed
]
"""Formulas that define something else than the page's network, or say when something holds."""


def of(**symbols) -> dict:
    """Return values by the names of symbols: ``beta_1`` is the first of beta."""
    parts = {name: name.split("_") for name in symbols}
    return {(parts[n][0], *map(int, parts[n][1:])): value for n, value in symbols.items()}


f, b = RNG.uniform(0.2, 0.8, 2)
SQUARE = {name: RNG.normal(size=(H, H)) for name in "ABU"}
COLUMN = {name: RNG.normal(size=(H, 1)) for name in "pqv"}
OWN = {
    "01_ten_minutes": {
        r"f^{1000} = \frac{1}{2}": of(f=0.5**0.001),
        r"\sigma(b) = f": of(b=b, f=1 / (1 + np.exp(-b))),
    },
    "02_recurrent_networks": {
        r"\lVert p\, q^\top \rVert_F = \lVert p \rVert\, \lVert q \rVert": of(**COLUMN),
        r"S (D_t U) S^{-1} = D_t (S U S^{-1})": of(
            S=np.diag(RNG.uniform(1, 2, H)), D_3=np.diag(RNG.uniform(0, 1, H)), **SQUARE
        ),
        r"N = 128 \cdot 28 + 128^2 + 128": of(N=eq.rnn_parameter_count(28, 128)),
    },
    "03_gates": {
        r"\tanh\frac{z}{2} = \frac{e^{z/2} - e^{-z/2}}{e^{z/2} + e^{-z/2}}": of(z=b),
        r"f^k = \frac12": of(f=f, k=eq.half_life(f)),
        r"k \ln f = -\ln 2": of(f=f, k=eq.half_life(f)),
        r"(Wx)^\top = x^\top W^\top": of(W=SQUARE["A"], x=COLUMN["p"]),
    },
    "05_what_it_solves": {
        r"\lambda = \tfrac12 + \tfrac14 \cdot 4 = \tfrac32": {
            ("lambda",): eq.one_unit_gain(0.5, 0.5, 0.5, 4)
        },
        r"u = 4\,(1 - \sigma(b))": of(b=b, u=4 / (1 + np.exp(b))),
        r"u = -4\,(1 + \sigma(b))": of(b=b, u=-4 * (1 + 1 / (1 + np.exp(-b)))),
        r"H^2 + (D+1)H = N": of(D=2, H=16, N=eq.rnn_parameter_count(2, 16)),
    },
    "06_one_cell": {r"\sigma(\log\frac{p}{1 - p}) = p": of(p=f)},
    "07_whole_sequences": {r"\sigma(a) = 1 / (1 + e^{-a})": of(a=b)},
    "09_training": {
        r"m / (1 - \beta_1) = g": of(m=0.1 * 3, beta_1=0.9, g=3),
        r"v / (1 - \beta_2) = g^2": of(v=0.001 * 9, beta_2=0.999, g=3),
    },
    "11_check_your_own": {r"1 - \sigma(a) = \sigma(-a)": of(a=b)},
    "17_five_articles": {
        r"h_t = h_{t-1} \odot (f_t + i_t \odot g_t \odot s_t)": world.world_000(start=1.0)
    },
    "notation": {r"(W x)^\top = x^\top W^\top": of(W=SQUARE["A"], x=COLUMN["p"])},
}
"""Formulas of a page whose symbols mean something of their own there, and values for them."""


def formulas(text: str) -> list[str]:
    """Return the formulas of a page that have no label, without colours."""
    text = re.sub(r"^```\{math\}\n:label:.*?^```|`[^`\n]+`", "", text, flags=re.S | re.M)
    found = re.findall(r"\$\$(.*?)\$\$|\$([^$]+)\$", numbers.without_blocks(text), re.DOTALL)
    return [(display or inline).strip().rstrip(",. ") for display, inline in found]


def computed(formula: str, values: dict) -> list[bool]:
    """Return for each relation between sides that can be computed whether it holds."""

    def side(text):
        try:
            return world.value(text, values | ANY)
        except (latex.FormulaError, IndexError, TypeError, ValueError):
            return None

    found = []
    for pattern, new in SPELLED:
        formula = re.sub(pattern, new, formula)
    # In the mean, of what is uncorrelated: a square is that of a vector.
    formula = re.sub(r"\\mathbb\{E\}(\\left\(.*?\\right\))\^2", r"\1^\\top \1", formula)
    try:
        statements = latex.Display(world.readable(formula)).statements
    except latex.FormulaError:
        return []
    for sides, relations in statements:
        values_of = list(map(side, sides))
        for relation, left, right in zip(relations, values_of, values_of[1:], strict=False):
            if left is not None and right is not None:
                same = np.shape(left) == np.shape(right) or not np.ndim(left) * np.ndim(right)
                agrees = latex.RELATIONS.get(relation, partial(np.isclose, rtol=3e-10, atol=1e-12))
                found.append(bool(same and np.all(agrees(left, right))))
    return found


CONDITION = r"(?<![a-z])\d\.\d|= *-?\d+$|^[^|<>]* (<|>|\\ge) (\d|T)$|^U = 2"
"""A formula that gives a number to a symbol, or bounds it: that is meant, not claimed."""


def claims() -> list[tuple[str, str, dict]]:
    """Return page, formula and world of all that can be computed, and supposes nothing."""
    found = []
    for name, path in numbers.pages().items():
        for formula in formulas(binding.page_text(path)):
            own = OWN.get(name, {})
            if formula not in own and (formula in SUPPOSED or re.search(CONDITION, formula)):
                continue
            worlds = [own[formula]] if formula in own else WORLDS.get(name, [LSTM])
            found += [(name, formula, each) for each in worlds if computed(formula, each)]
    return found


CLAIMS = claims()
COUNTS = {"01": 5, "02": 15, "03": 9, "04": 17, "05": 11, "06": 1, "07": 2, "09": 4, "11": 2}
COUNTS |= {"13": 3, "17": 4, "gl": 1, "no": 3, "re": 5}
"""How many each page has."""


def test_formulas_hold_where_they_stand():
    wrong = [claim[:2] for claim in CLAIMS if not all(computed(claim[1], claim[2]))]
    assert wrong == []


def test_none_drops_out():
    """A formula that carries a step, and is gone or cannot be read, is missed."""
    count = Counter(name[:2] for name, *_ in CLAIMS)
    assert count == COUNTS
    assert {(name, each) for name in OWN for each in OWN[name]} <= {claim[:2] for claim in CLAIMS}


def test_slips_are_noticed():
    """In equations; a change that cannot be computed is noticed by the count above."""
    count, missed = 0, []
    for _, formula, values in CLAIMS:
        if re.search(r"[<>]|\\[lg]e(?![a-z])", formula):
            continue
        held = len(computed(formula, values))
        for _, changed in changes.changes(formula):
            found = computed(changed, values)
            count += 1
            missed += [changed] * (len(found) >= held and all(found))
    assert count > 550
    assert len(missed) < 0.04 * count, missed


def test_the_step_by_hand_follows_from_its_tables():
    """Chapter 3: inputs, weights and biases as the page prints them, and what its code gives."""
    text = binding.page_text(numbers.pages()["03_gates"]).partition("## A step by hand")[2]
    found = re.findall(r"\\begin\{bmatrix\}(.*?)\\end\{bmatrix\}", text, re.DOTALL)[:15]
    x, h, c, *tables = (
        np.array([[float(n) for n in row.split("&")] for row in each.split(r"\\")])
        for each in found
    )
    printed = numbers.Sources("03_gates")
    for gate, W, U, b in zip("ifgo", tables[:4], tables[4:8], tables[8:], strict=True):
        assert np.allclose((W @ x + U @ h + b)[:, 0], printed.row(f"a_{gate}   "), atol=1e-6)
    assert np.allclose(c[:, 0], np.divide(printed.row("f_t c_prev"), printed.row("f_t   ")))


def test_factors_that_are_known_beforehand():
    """Chapter 8: each is a slope of the step, by the complex step."""
    t = world.SIZES["t"]
    a, c_prev = LSTM["a", t][:, 0], LSTM["c", t - 1][:, 0]

    def cell(a, c_prev):
        i, f, g, o = np.split(a, 4)
        c = c_prev / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        return c, 1 / (1 + np.exp(-o)) * np.tanh(c)

    def slope(block, of):
        step = np.repeat([1e-30j * (n == block) for n in range(4)], H)
        return np.imag(cell(a + step, c_prev)[of]) / 1e-30

    o, c = LSTM["o", t][:, 0], LSTM["c", t][:, 0]
    right = [np.imag(o * np.tanh(c + 1e-30j)) / 1e-30, slope(3, 1), slope(0, 0), slope(1, 0)]
    right += [slope(2, 0), np.imag(cell(a, c_prev + 1e-30j)[0]) / 1e-30]
    page = binding.page_text(numbers.pages()["08_what_speed_costs"])
    rows = re.findall(r"^\| \d \| \$.*?\$ \| \$(.*?)\$ \|", page, re.MULTILINE)
    for factor, slopes in zip(rows, right, strict=True):
        np.testing.assert_allclose(world.value(factor, LSTM)[:, 0], slopes, rtol=1e-9)
