"""The evidence for findings in formulas and in statements about them."""

import inspect
import re

import numpy as np
import pytest
import torch
from lstm_book import errata, seals
from lstm_book.ledger import ARTICLES

import lstm
from lstm import equations as eq
from lstm.gradcheck import central_difference, complex_step, relative_error
from tests.lstm_book import world
from tests.lstm_book.evidence import evidence, program_pair
from tests.lstm_book.frameworks import parameters, run

B, D, H, T = 2, 3, 5, 7


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def gate_values(seed=0):
    """Return f_t, c_prev, i_t, g_t, o_t of shape (B, H)."""
    f_t, c_prev, i_t, g_t, o_t = random(5, B, H, seed=seed)
    return eq.sigmoid(f_t), c_prev, eq.sigmoid(i_t), np.tanh(g_t), eq.sigmoid(o_t)


def one_gate(seed=0):
    """Return x_t, h_prev, W, U, b of one gate."""
    weights = errata.random_weights(D, H, seed)
    return random(B, D, seed=seed), np.tanh(random(B, H, seed=seed + 1)), *weights["f"]


def constant_weights(size, U=0.0, **biases):
    """Return weights of ``size`` units and inputs: W = 0, one U and one bias per gate."""
    zeros, eye = np.zeros((size, size)), np.eye(size)
    return {k: (zeros, U * eye, np.full(size, biases.get(k, 0.0))) for k in "ifgo"}


# ------------------------------------------------------------------- what an LSTM is made of


@evidence({1, 2, 3}, {4})
def test_an_lstm_has_four_blocks_of_weights(printed, corrected):
    cell = lstm.LSTMCell(D, H)
    blocks = {len(p.data) // H for p in [*cell.parameters(), *torch.nn.LSTM(D, H).parameters()]}
    assert blocks == corrected
    assert not blocks & printed


@evidence(eq.rnn_parameter_count, eq.parameter_count)
def test_parameter_counts_by_formula(printed, corrected):
    cell = lstm.LSTMCell(D, H)
    weights = sum(p.data.size for p in cell.parameters()) - cell.bias_hh.data.size
    assert corrected(D, H) == weights == 4 * printed(D, H)
    for article in ("000", "001", "002", "004"):
        counts = ARTICLES[article]["builds"]["parameters"]
        model = run(program_pair(article)[1]).names["model"]
        assert [*parameters(model), sum(parameters(model))] == list(counts.values())
    tensorflow1 = ARTICLES["003"]["builds"]["parameters"]
    assert tensorflow1["lstm"] == corrected(10, 10)
    assert tensorflow1["unused"] == printed(10, 10)
    assert printed(128, 128) == 32_896
    assert corrected(1, 128) == 66_560


@evidence(lambda T, D, H: T * eq.parameter_count(D, H), lambda T, D, H: eq.parameter_count(D, H))
def test_weights_are_shared_by_all_steps(printed, corrected):
    weights = errata.random_weights(D, H, 0)
    used = sum(array.size for block in weights.values() for array in block)
    for steps in (2, 50):
        h, _ = errata.unroll(errata.step, random(steps, B, D), *np.zeros((2, B, H)), weights)
        assert len(h) == steps
        assert corrected(steps, D, H) == used != printed(steps, D, H)


@evidence(lambda D, H: (H, D), lambda D, H: (H, H))
def test_recurrent_weights_are_square(printed, corrected):
    x_t, h_prev, W, _, b = one_gate()
    assert eq.preactivation(x_t, h_prev, W, np.ones(corrected(D, H)), b).shape == (B, H)
    with pytest.raises(ValueError, match="matmul"):
        eq.preactivation(x_t, h_prev, W, np.ones(printed(D, H)), b)


@evidence(lambda D, H: (H, D), lambda D, H: (H, H + D))
def test_concatenation_needs_h_plus_d_columns(printed, corrected):
    x_t, h_prev, W, U, b = one_gate()
    stacked = np.concatenate([U, W], axis=1)
    assert stacked.shape == corrected(D, H) != printed(D, H)
    both = np.concatenate([h_prev, x_t], axis=1) @ stacked.T + b
    np.testing.assert_allclose(both, eq.preactivation(x_t, h_prev, W, U, b), rtol=1e-12)


@evidence(errata.step_003)
def test_a_step_needs_the_previous_cell_state(printed, corrected):
    weights, x_t, h_prev = errata.random_weights(D, H, 0), random(B, D), np.zeros((B, H))

    def shown(step, c_prev):
        return step(x_t, h_prev, np.full((B, H), c_prev), weights)[0]

    assert np.array_equal(shown(printed, 0.0), shown(printed, 1.0))
    assert np.abs(shown(corrected, 0.0) - shown(corrected, 1.0)).min() > 1e-3


@evidence(errata.step_003)
def test_the_printed_model_is_an_elman_network(printed, corrected):
    rnn, network = torch.nn.RNN(D, H).double(), torch.nn.LSTM(D, H).double()
    x = random(T, B, D)

    def weights_of(layer):
        arrays = [p.detach().numpy() for p in layer.parameters()]
        blocks = [np.split(array, len(array) // H) for array in arrays]
        named = zip("ifgo" if len(blocks[0]) == 4 else "g", *blocks, strict=True)
        return {gate: (W, U, b + c) for gate, W, U, b, c in named}

    def error(step, layer):
        h, _ = errata.unroll(step, x, *np.zeros((2, B, H)), weights_of(layer))
        return np.abs(h - layer(torch.from_numpy(x))[0].detach().numpy()).max()

    assert error(printed, rnn) < 1e-12
    assert error(corrected, network) < 1e-12
    assert error(printed, network) > 1e-2


@evidence(lambda batch, hidden: (batch, 1), lambda batch, hidden: (batch, hidden))
def test_the_layer_returns_hidden_states(printed, corrected):
    cell = lstm.LSTMCell(D, H, dtype=np.float64, rng=0)
    h, _ = cell(100 * random(B, D))
    assert h.shape == corrected(B, H) != printed(B, H)
    assert np.abs(h).max() < 1


EMBEDDING = {word: random(D, seed=n) for n, word in enumerate(["a", "good", "film"])}


@evidence(np.array, lambda words: np.array([EMBEDDING[word] for word in words]))
def test_words_must_become_vectors(printed, corrected):
    words, (_, _, W, U, b) = ["a", "good", "film"], one_gate()
    assert eq.forget_gate(corrected(words), np.zeros((3, H)), W, U, b).shape == (3, H)
    with pytest.raises((TypeError, ValueError)):
        eq.forget_gate(printed(words), np.zeros((3, H)), W, U, b)


@evidence(lambda image: [image], lambda image: [image, image.T, image.reshape(-1, 1)])
def test_an_image_becomes_a_sequence_by_a_choice(printed, corrected):
    image, weights = random(4, 4), errata.random_weights(4, H, 0)
    orders = corrected(image)
    assert len(printed(image)) == 1 < len(orders)
    rows, columns = (
        errata.unroll(errata.step, order[:, None], *np.zeros((2, 1, H)), weights)[0][-1]
        for order in orders[:2]
    )
    assert np.abs(rows - columns).max() > 1e-2


def feed_forward(x, h_0, c_0, weights):
    """Run every step from the initial state: a network without recurrence."""
    return errata.unroll(lambda x_t, h, c, w: errata.step(x_t, h_0, c_0, w), x, h_0, c_0, weights)


def one_after_another(x, h_0, c_0, weights):
    return errata.unroll(errata.step, x, h_0, c_0, weights)


@evidence(feed_forward, one_after_another)
def test_a_recurrent_network_remembers(printed, corrected):
    weights, x, other = errata.random_weights(D, H, 0), random(T, B, D), random(T, B, D)
    other[0] += 1
    other[1:] = x[1:]

    def last(network, x):
        return network(x, *np.zeros((2, B, H)), weights)[0][-1]

    assert np.array_equal(last(printed, x), last(printed, other))
    assert np.abs(last(corrected, x) - last(corrected, other)).max() > 1e-6


@evidence(feed_forward, one_after_another)
def test_a_step_must_wait_for_the_one_before(printed, corrected):
    layer = lstm.LSTM(D, H, dtype=np.float64, rng=0)
    W, U, b, c = (parameter.data for parameter in layer.parameters())
    blocks = (np.split(array, 4) for array in (W, U, b + c))
    weights = dict(zip("ifgo", zip(*blocks, strict=True), strict=True))
    x = random(T, B, D)
    true, _ = layer(x)
    np.testing.assert_allclose(
        corrected(x, *np.zeros((2, B, H)), weights)[0], true, rtol=1e-10, atol=1e-14
    )
    all_at_once, _ = printed(x, *np.zeros((2, B, H)), weights)
    assert np.abs(all_at_once - true).max() > 1e-2


def over_a_tree(step, leaves):
    """Join neighbours until one is left, as a recursive network does."""
    while len(leaves) > 1:
        pairs = zip(leaves[::2], leaves[1::2], strict=True)
        leaves = [step(left, right) for left, right in pairs]
    return leaves[0]


def over_a_sequence(step, leaves):
    """Carry one state from the first to the last, as a recurrent network does."""
    state = leaves[0]
    for leaf in leaves[1:]:
        state = step(state, leaf)
    return state


@evidence(over_a_tree, over_a_sequence)
def test_recurrent_is_not_recursive(printed, corrected):
    W, U, b = errata.random_weights(H, H, 0)["g"]
    x = random(8, 1, H)

    def step(h_prev, x_t):
        return eq.candidate(x_t, h_prev, W, U, b)

    h, _ = errata.unroll(errata.step_003, x[1:], x[0], None, {"g": (W, U, b)})
    assert np.array_equal(corrected(step, list(x)), h[-1])
    assert np.abs(printed(step, list(x)) - h[-1]).max() > 1e-2


ACTIVE = {"sentence": "Ann broke the window", "subject": "Ann", "agent": "Ann"}
PASSIVE = {"sentence": "The window was broken by Ann", "subject": "the window", "agent": "Ann"}


@evidence("subject", "agent")
def test_a_role_is_not_a_grammatical_function(printed, corrected):
    assert ACTIVE[corrected] == PASSIVE[corrected]
    assert ACTIVE[printed] != PASSIVE[printed]


@evidence(lambda h: h[-1:], lambda h: h)
def test_labels_per_step_need_every_state(printed, corrected):
    h, _ = lstm.LSTM(D, H, rng=0)(random(T, B, D).astype(np.float32))
    labels = lstm.Linear(H, 4, rng=0)
    assert labels(corrected(h)).shape == (T, B, 4)
    assert labels(printed(h)).shape == (1, B, 4)


# ----------------------------------------------------------------------- article 000's model


@evidence(errata.output_gate_000)
def test_output_gate_lies_between_zero_and_one(printed, corrected):
    gate, not_a_gate = corrected(*one_gate()), printed(*one_gate())
    assert gate.min() > 0
    assert gate.max() < 1
    assert not_a_gate.min() < 0


@evidence(errata.step_000)
def test_zero_is_a_trap_without_a_memory_cell(printed, corrected):
    for seed in range(20):
        weights, x = errata.random_weights(D, H, seed, scale=3), random(T, B, D, seed=seed)
        stuck, _ = errata.unroll(printed, x, *np.zeros((2, B, H)), weights)
        alive, _ = errata.unroll(corrected, x, *np.zeros((2, B, H)), weights)
        assert (stuck == 0).all()
        assert (alive != 0).all()


@evidence(errata.step_000)
def test_without_a_memory_cell_the_state_can_double(printed, corrected):
    weights, x, c_0 = constant_weights(1, U=10), np.zeros((1100, 1, 1)), np.zeros((1, 1))
    with np.errstate(over="ignore"):
        h, _ = errata.unroll(printed, x, np.ones((1, 1)), c_0, weights)
        bounded, _ = errata.unroll(corrected, x, np.ones((1, 1)), c_0, weights)
    np.testing.assert_allclose(h[1:50] / h[:49], 2, rtol=1e-3)
    assert np.isinf(h[-1])
    assert np.abs(bounded).max() < 1


@evidence(errata.step_000)
def test_without_a_memory_cell_small_weights_fade(printed, corrected):
    weights, x = errata.random_weights(D, H, 0, scale=0.1), random(200, B, D)
    faded, _ = errata.unroll(printed, x, np.ones((B, H)), np.zeros((B, H)), weights)
    fed, _ = errata.unroll(corrected, x, np.ones((B, H)), np.zeros((B, H)), weights)
    assert np.abs(faded[-1]).max() < 1e-30
    assert np.abs(fed[-1]).min() > 1e-4


@evidence(
    errata.hidden_state_000,
    lambda f_t, c_prev, i_t, g_t, o_t: eq.cell_state(f_t, c_prev, i_t, g_t),
)
def test_output_gate_shows_and_does_not_write(printed, corrected):
    f_t, empty, i_t, g_t, closed = gate_values()[0], 0.0, *gate_values()[2:4], 0.0
    assert np.array_equal(corrected(f_t, empty, i_t, g_t, closed), i_t * g_t)
    assert not printed(f_t, empty, i_t, g_t, closed).any()


# ------------------------------------------------------------------------- what a gate means


@evidence(errata.kept_001)
def test_forget_gate_is_the_fraction_kept(printed, corrected):
    f_t, c_prev, *_ = gate_values()
    nothing = np.zeros_like(f_t)
    assert np.array_equal(corrected(f_t, c_prev), eq.cell_state(f_t, c_prev, nothing, nothing))
    assert np.array_equal(corrected(np.ones_like(f_t), c_prev), c_prev)
    assert not printed(np.ones_like(f_t), c_prev).any()


@evidence(errata.forgotten_001)
def test_the_product_is_what_is_kept(printed, corrected):
    f_t, c_prev, *_ = gate_values()
    new = eq.cell_state(f_t, c_prev, np.zeros_like(f_t), np.zeros_like(f_t))
    np.testing.assert_allclose(new + corrected(f_t, c_prev), c_prev, rtol=1e-12)
    np.testing.assert_allclose(new, printed(f_t, c_prev), rtol=1e-12)


@evidence(errata.kept_002)
def test_keeping_is_the_forget_gates_work(printed, corrected):
    f_t, c_prev, i_t, *_ = gate_values()
    kept = eq.cell_state(f_t, c_prev, i_t, np.zeros_like(f_t))
    np.testing.assert_allclose(corrected(i_t, f_t, c_prev), kept, rtol=1e-12)
    assert np.abs(printed(i_t, f_t, c_prev) - kept).max() > 0.1


@evidence(lambda f: np.cumprod(f)[::-1], np.cumprod)
def test_what_is_kept_can_only_fall_with_distance(printed, corrected):
    f, left = np.random.default_rng(0).uniform(0.5, 1, 20), [1.0]
    for f_t in f:
        left.append(eq.cell_state(f_t, left[-1], 0.5, 0.0))
    np.testing.assert_allclose(corrected(f), left[1:], rtol=1e-12)
    assert (np.diff(corrected(f)) < 0).all()
    assert (np.diff(printed(f)) > 0).all()


@evidence(lambda x_t, gate, weights: weights, lambda x_t, gate, weights: gate(x_t))
def test_gates_change_with_the_input_while_the_weights_stay(printed, corrected):
    _, h_prev, W, U, b = one_gate()

    def gate(x_t):
        return eq.forget_gate(x_t, h_prev, W, U, b)

    first, second = random(B, D, seed=1), random(B, D, seed=2)
    assert np.abs(corrected(first, gate, W) - corrected(second, gate, W)).max() > 0.1
    assert np.array_equal(printed(first, gate, W), printed(second, gate, W))


@evidence(errata.gate_001)
def test_a_gate_is_a_sigmoid_of_an_affine_map(printed, corrected):
    x_t, h_prev, W, U, b = one_gate()
    gate, affine = corrected(x_t, h_prev, W, U, b), printed(x_t, h_prev, W, U, b)
    assert 0 < gate.min() < gate.max() < 1
    assert affine.min() < 0
    np.testing.assert_allclose(np.log(gate / (1 - gate)), affine, rtol=1e-10)


@evidence(np.tanh, eq.sigmoid)
def test_a_gate_is_not_a_tanh(printed, corrected):
    content, closing = 1.0, -3.0
    assert 0 < corrected(closing) * content < 0.1
    assert printed(closing) * content < -0.9


@evidence(lambda o_t, c_t: o_t * c_t, lambda o_t, c_t: c_t)
def test_the_cell_passes_the_output_gate_by(printed, corrected):
    c_t, closed = np.full((1, 2), 0.7), 0.0
    weights = constant_weights(2, f=1000, i=-1000, o=-1000)
    shown, carried = errata.step(np.zeros((1, 2)), np.zeros((1, 2)), c_t, weights)
    assert not shown.any()
    assert np.array_equal(carried, corrected(closed, c_t))
    assert not np.array_equal(carried, printed(closed, c_t))


@evidence(lambda f_t, c_prev, i_t, g_t: g_t, eq.cell_state)
def test_the_candidate_is_not_the_new_cell_state(printed, corrected):
    _, c_prev, _, g_t, _ = gate_values()
    keep, refuse = np.ones_like(g_t), np.zeros_like(g_t)
    assert np.array_equal(corrected(keep, c_prev, refuse, g_t), c_prev)
    assert not np.array_equal(printed(keep, c_prev, refuse, g_t), c_prev)


@evidence(errata.output_001)
def test_the_cell_state_is_not_the_output(printed, corrected):
    c_t, closed = np.full((B, H), 3.0), np.zeros((B, H))
    assert not corrected(closed, c_t).any()
    assert printed(closed, c_t).min() == 3


@evidence(errata.hidden_state_001)
def test_hidden_state_needs_the_tanh(printed, corrected):
    c_t, wide_open = np.full((B, H), 50.0), np.ones((B, H))
    assert corrected(wide_open, c_t).max() <= 1
    assert printed(wide_open, c_t).max() == 50


@evidence(errata.hidden_state_two_gates_002)
def test_without_output_gate_the_cell_is_always_shown(printed, corrected):
    c_t, closed = np.full((B, H), 3.0), np.zeros((B, H))
    assert not corrected(closed, c_t).any()
    assert printed(closed, c_t).min() > 0.9


@evidence(errata.cell_state_001)
def test_the_dot_between_gate_and_state_is_elementwise(printed, corrected):
    f_t, c_prev, i_t, g_t, _ = gate_values()
    assert corrected(f_t, c_prev, i_t, g_t).shape == (B, H)
    assert printed(f_t, c_prev, i_t, g_t).shape == (B, 1)


@evidence(
    lambda x_t, h_prev, c_t, W, U, b: errata.hidden_state_002(
        x_t, h_prev, c_t, W, U, b, eq.sigmoid
    ),
    lambda x_t, h_prev, c_t, W, U, b: eq.hidden_state(eq.output_gate(x_t, h_prev, W, U, b), c_t),
)
def test_an_activation_function_takes_one_argument(printed, corrected):
    x_t, h_prev, *weights = one_gate()
    assert corrected(x_t, h_prev, random(B, H), *weights).shape == (B, H)
    with pytest.raises(TypeError, match="positional argument"):
        printed(x_t, h_prev, random(B, H), *weights)


@evidence({"f_t", "g_t"}, {"f_t", "c_prev", "i_t", "g_t"})
def test_the_cell_state_depends_on_four_things(printed, corrected):
    given = dict(zip(("f_t", "c_prev", "i_t", "g_t"), gate_values(), strict=False))
    before = eq.cell_state(**given)
    acting = {
        name
        for name, value in given.items()
        if not np.array_equal(eq.cell_state(**{**given, name: value + 0.1}), before)
    }
    assert acting == corrected
    assert acting > printed


@evidence({"x_t", "h_prev", "c_t"}, {"x_t", "h_prev"})
def test_the_output_gate_does_not_see_the_cell(printed, corrected):
    seen = {name for name in inspect.signature(eq.output_gate).parameters if name.islower()}
    assert seen - {"b_o"} == corrected
    assert "c_t" in printed
    weights, x_t, h_prev = errata.random_weights(D, H, 0), random(B, D), np.zeros((B, H))
    gates = []
    for c_prev in (0.5, 1.0):
        h_t, c_t = errata.step(x_t, h_prev, np.full((B, H), c_prev), weights)
        gates.append(h_t / np.tanh(c_t))
    np.testing.assert_allclose(gates[0], gates[1], rtol=1e-10)


def without_feedback(x, h_0, c_0, weights):
    """Article 004, section 3, to the letter: h stays what it was, the output is called y."""
    return errata.unroll(lambda x_t, h, c, w: errata.step(x_t, h_0, c, w), x, h_0, c_0, weights)


@evidence(without_feedback, lambda *given: errata.unroll(errata.step, *given))
def test_the_output_is_fed_back(printed, corrected):
    forgets = {**errata.random_weights(D, H, 0)}
    forgets["f"] = (np.zeros((H, D)), np.zeros((H, H)), np.full(H, -1000.0))
    x, other = random(2, B, D), random(2, B, D)
    other[0] += 1

    def last(model, x):
        return model(x, *np.zeros((2, B, H)), forgets)[0][-1]

    assert np.abs(last(corrected, x) - last(corrected, other)).max() > 1e-3
    assert np.array_equal(last(printed, x), last(printed, other))


FORMULAS_004 = [
    r"g_{t}=\sigma(W_{fg}[h_{t-1},x_{t}]+b_{fg})",
    r"i_{t}=\sigma(W_{fi}[h_{t-1},x_{t}]+b_{fi})",
    r"C_{t}=f_{t}\times C_{t-1}+i_{t}\times \tanh(W_{fc}[h_{t-1},x_{t}]+b_{fc})",
    r"o_{t}=\sigma(W_{fo}[h_{t-1},x_{t}]+b_{fo})",
    r"y_{t}=o_{t}\times \tanh(C_{t})",
]
FORMULAS = [
    r"f_{t}=\sigma(W_f[h_{t-1},x_{t}]+b_f)",
    r"i_{t}=\sigma(W_i[h_{t-1},x_{t}]+b_i)",
    r"g_{t}=\tanh(W_g[h_{t-1},x_{t}]+b_g)",
    r"C_{t}=f_{t}\odot C_{t-1}+i_{t}\odot g_{t}",
    r"o_{t}=\sigma(W_o[h_{t-1},x_{t}]+b_o)",
    r"h_{t}=o_{t}\odot \tanh(C_{t})",
]


def undefined(formulas):
    """Return the letters with an index t that formulas use and that none of them defines."""
    sides = [formula.split("=", 1) for formula in formulas]
    defined = {left[0] for left, _ in sides}
    used = set(re.findall(r"([a-zA-Z])_\{t", "".join(right for _, right in sides)))
    return used - defined - {"x"}


@evidence(FORMULAS_004, FORMULAS)
def test_every_symbol_is_defined(printed, corrected):
    assert undefined(corrected) == set()
    assert undefined(printed) == {"f", "h"}


@evidence([r"h_{t} = f(W \cdot X_{t} + U \cdot h_{t-1} + b, c_{t})"], FORMULAS)
def test_the_cell_state_is_computed(printed, corrected):
    assert "c" in undefined(printed)
    assert not undefined(corrected)


def test_the_formulas_compared_are_the_articles_and_the_lstms():
    values = world.lstm_world()
    assert all(world.holds(formula, values) for formula in FORMULAS)
    for number, text in seals.article_texts().items():
        if number == "004":
            plain = seals.normalized(text)
            assert all(seals.normalized(formula) in plain for formula in FORMULAS_004)


@evidence(
    lambda f, u, c_0: iterate(f[-1:].repeat(len(f)), u[-1:].repeat(len(u)), c_0),
    lambda *a: iterate(*a),
)
def test_each_step_has_gates_of_its_own(printed, corrected):
    x, weights = random(T, 1, D), errata.random_weights(D, 1, 0)
    h, c = errata.unroll(errata.step, x, *np.zeros((2, 1, 1)), weights)
    before = np.concatenate([np.zeros((1, 1, 1)), h[:-1]])
    f, i, g = (
        np.array([gate(*pair, *weights[k]) for pair in zip(x, before, strict=True)]).ravel()
        for k, gate in (("f", eq.forget_gate), ("i", eq.input_gate), ("g", eq.candidate))
    )
    assert corrected(f, i * g, 0.0) == pytest.approx(c[-1].item(), rel=1e-12)
    assert abs(printed(f, i * g, 0.0) - c[-1].item()) > 1e-2


def iterate(f, u, c):
    """Return c after c ← f c + u for every pair of f and u."""
    for f_t, u_t in zip(f, u, strict=True):
        c = f_t * c + u_t
    return c


# ---------------------------------------------------------------- gradients that stay or go


@evidence(errata.gradient_along_cell_000)
def test_gradient_along_the_cell_is_the_product_of_the_forget_gates(printed, corrected):
    f = np.random.default_rng(0).uniform(0.2, 0.9, (30, H))

    def last(c):
        for f_t in f:
            c = eq.cell_state(f_t, c, 0.5, 0.3)
        return c.sum()

    measured = complex_step(last, np.zeros(H))
    np.testing.assert_allclose(corrected(f), measured, rtol=1e-10)
    assert np.abs(printed(f) - measured).min() > 0.99
    assert corrected(np.full((100, 1), eq.sigmoid(0.0))) == pytest.approx(8e-31, rel=0.02)


@evidence(lambda steps: 1.0, lambda steps: 5.5**steps)
def test_gradients_of_an_lstm_can_explode(printed, corrected):
    # At the origin all gates are 1/2 and dc_t/dc_{t-1} = f + i U_g o = 1/2 + 20/4.
    weights = constant_weights(1) | {"g": constant_weights(1, U=20)["g"]}

    def last(c_0):
        h, c, zero = c_0 * 0, c_0, np.zeros((1, 1))
        for _ in range(21):
            h, c = errata.step(zero, h, c, weights)
        return c[0, 0]

    # The first step starts from h_0 = 0, so that only f acts: 1/2; then 20 whole steps.
    measured = complex_step(last, np.zeros((1, 1))).item()
    assert measured == pytest.approx(0.5 * corrected(20), rel=1e-10)
    assert measured > 1e13 * printed(20)


@evidence(lambda steps: 1.0, lambda steps: 0.5**steps)
def test_gradients_of_a_plain_rnn_vanish(printed, corrected):
    weights = constant_weights(1, U=0.5)

    def last(h_0):
        h = h_0
        for _ in range(50):
            h, _ = errata.step_003(np.zeros((1, 1)), h, None, weights)
        return h[0, 0]

    measured = complex_step(last, np.zeros((1, 1))).item()
    assert measured == pytest.approx(corrected(50), rel=1e-10)
    assert measured < 1e-15 * printed(50)


# --------------------------------------------------------------- article 003's backpropagation


class Elman:
    """A small Elman network with the loss of article 003's program, and its true gradients."""

    def __init__(self, scale, f=np.tanh, steps=20, size=10):
        rng = np.random.default_rng(0)
        shapes = (size, size), (size, size), (size,)
        self.weights = [scale * rng.standard_normal(shape) for shape in shapes]
        self.x, self.target = rng.standard_normal((steps, size)), rng.standard_normal(size)
        self.f, self.size = f, size
        self.h = self.states(*self.weights)
        self.d_h_direct = np.zeros((steps, size))
        self.d_h_direct[-1] = 2 * (self.h[-1] - self.target) / size
        self.true = [
            central_difference(lambda value, n=n: self.loss(n, value), weight)
            for n, weight in enumerate(self.weights)
        ]

    def states(self, W, U, b):
        h = [np.zeros(self.size)]
        for x_t in self.x:
            h.append(self.f(W @ x_t + U @ h[-1] + b))
        return np.array(h)

    def loss(self, n, value):
        weights = [*self.weights[:n], value, *self.weights[n + 1 :]]
        return np.mean((self.states(*weights)[-1] - self.target) ** 2)

    def errors(self, gradients, d_h):
        found = gradients(d_h, self.h[1:], self.x, self.h[:-1])
        return [relative_error(a, e) for a, e in zip(found, self.true, strict=True)]

    def whole(self):
        return errata.whole_gradients_elman(self.d_h_direct, self.h[1:], self.weights[1])


@evidence(errata.gradients_003)
def test_backward_misses_the_derivative(printed, corrected):
    # Charitable: outer products, summed over the steps, with the true gradient of every h_t.
    for scale, least in ((0.1, 0.1), (1.0, 2.5)):
        network = Elman(scale)
        assert max(network.errors(corrected, network.whole())) < 1e-7
        assert min(network.errors(printed, network.whole())) > least


@evidence(np.tanh, lambda a: a)
def test_backward_formula_is_exact_for_the_identity_only(printed, corrected):
    def error(f):
        network = Elman(0.1, f)
        derivative = 1 - network.h[1:] ** 2 if f is np.tanh else np.ones_like(network.h[1:])
        d_h = network.d_h_direct.copy()
        for t in range(len(d_h) - 2, -1, -1):
            d_h[t] += (d_h[t + 1] * derivative[t + 1]) @ network.weights[1]
        return max(network.errors(errata.gradients_003, d_h))

    assert error(corrected) < 1e-7
    assert error(printed) > 0.1


@evidence(np.multiply, np.outer)
def test_weight_gradients_are_outer_products(printed, corrected):
    d_a, x_t = random(H), random(D, seed=1)
    true = complex_step(lambda W: d_a @ (W @ x_t), np.zeros((H, D)))
    np.testing.assert_allclose(corrected(d_a, x_t), true, rtol=1e-12)
    with pytest.raises(ValueError, match="broadcast"):
        printed(d_a, x_t)


@evidence(lambda terms: terms[-1], lambda terms: terms.sum(axis=0))
def test_weight_gradients_are_sums_over_time(printed, corrected):
    network = Elman(0.3)
    d_a = network.whole() * eq.tanh_derivative(network.h[1:])
    terms = d_a[:, :, None] * network.x[:, None, :]
    assert relative_error(corrected(terms), network.true[0]) < 1e-7
    assert relative_error(printed(terms), network.true[0]) > 0.1


@evidence(lambda d_h, h, U: d_h, errata.whole_gradients_elman)
def test_gradients_flow_back_through_the_hidden_states(printed, corrected):
    network = Elman(0.3)

    def error(back):
        d_h = back(network.d_h_direct, network.h[1:], network.weights[1])
        return network.errors(errata.gradients_elman, d_h)

    assert max(error(corrected)) < 1e-7
    assert min(error(printed)) > 0.1


def backward_of_the_cell(cell, x, state, d_h):
    cell.zero_grad()
    cell(x, state)
    cell.backward(d_h, np.zeros_like(d_h))
    return dict(cell.named_parameters())["weight_ih"].grad


def backward_003(cell, x, state, d_h):
    return errata.gradients_003(d_h, cell(x, state)[0], x, state[0])[0]


@evidence(backward_003, backward_of_the_cell)
def test_an_lstm_has_gradients_of_four_blocks(printed, corrected):
    cell, (x, d_h) = lstm.LSTMCell(D, H, dtype=np.float64, rng=0), (random(B, D), random(B, H))
    state = np.tanh(random(B, H)), random(B, H, seed=1)
    weight = dict(cell.named_parameters())["weight_ih"]
    found, as_printed = corrected(cell, x, state, d_h), printed(cell, x, state, d_h)

    def loss(value):
        weight.data[...] = value
        return np.sum(d_h * cell(x, state)[0])

    true = central_difference(loss, weight.data.copy())
    assert relative_error(found, true) < 1e-7
    assert as_printed.shape == (H, D) != true.shape


@evidence(lambda w, d_w: w + 0.1 * d_w, lambda w, d_w: w - 0.1 * d_w)
def test_a_gradient_is_subtracted(printed, corrected):
    network = Elman(0.1)
    W, d_W = network.weights[0], network.true[0]
    before = network.loss(0, W)
    assert network.loss(0, corrected(W, d_W)) < before < network.loss(0, printed(W, d_W))


@evidence(2, 1)
def test_a_gradient_is_applied_once(printed, corrected):
    weight = lstm.Parameter(np.ones(3))
    weight.grad[...] = [1.0, -2.0, 0.5]
    lstm.SGD([weight], lr=0.1).step()
    moved = 1 - weight.data
    np.testing.assert_allclose(moved, corrected * 0.1 * weight.grad, rtol=1e-12)
    assert np.abs(moved - printed * 0.1 * weight.grad).min() > 0.04
