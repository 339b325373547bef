"""The experiments: the task, the networks, the training and the records."""

import importlib.util
import re
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from lstm_book.experiments import (
    Cell,
    at_an_edge,
    best_of,
    compare,
    comparisons,
    count,
    family,
    learnt,
    load_record,
    lost,
    record,
    remember_task,
    run_of,
    runs_of,
    train_on_fresh,
    train_to_remember,
    tuning,
    verdicts,
)
from lstm_book.experiments.digits import EQUAL_SIZE, MODELS, count_parameters, train_on_digits
from lstm_book.experiments.memory import Training
from lstm_book.experiments.passes import INPUT_SIZE, KINDS, Passes, mask
from lstm_book.experiments.record import FOLDER, Journal, command
from lstm_book.experiments.recorded import (
    CHOICE_SEEDS,
    CONTESTANTS,
    DUEL,
    DUEL_SEEDS,
    EXPERIMENTS,
    LONG,
    PARALLEL,
    SEEDS,
    WIDTHS,
)

import lstm
from lstm.equations import sigmoid
from lstm.gradcheck import complex_step, relative_error
from lstm.initialise import initialise_lstm
from lstm.module import Parameter
from lstm.optim import Adam
from lstm.variants import GRU, RNN

RECORDED = [*EXPERIMENTS, *PARALLEL, "cost"]
TRAININGS = dict.fromkeys(("remember", "activations", "clipping", "budget"), SEEDS)
TRAININGS |= dict.fromkeys(("duel", "rematch", "keras"), DUEL_SEEDS)
CELLS = {
    "rnn": Cell("rnn", 5, "orthogonal"),
    "rnn, relu": Cell("rnn", 5, activation="relu"),
    "leaky": Cell("leaky", 5, "orthogonal", "chrono"),
    "gru": Cell("gru", 5, bias=2.0),
    "lstm": Cell("lstm", 5, "orthogonal", "chrono"),
    "lstm, relu": Cell("lstm", 5, activation="relu", output_activation="relu"),
    "lstm, no output tanh": Cell("lstm", 5, output_activation="identity"),
}
FUNCTIONS = {"tanh": np.tanh, "relu": lambda a: a * (a.real > 0), "identity": lambda a: a}


def state_after(cell, M, x, h=None, c=None):
    """Return h and c by the equations of a kind, step after step; also for complex numbers."""
    act, out = FUNCTIONS[cell.activation], FUNCTIONS[cell.output_activation]
    h = np.zeros((x.shape[1], cell.hidden_size)) if h is None else h
    c = np.zeros_like(h) if c is None else c
    for x_t in x:
        z = np.hstack([h, x_t, np.ones((len(x_t), 1))])
        a = np.split(z @ M.T, KINDS[cell.kind], axis=1)
        if cell.kind == "rnn":
            h = act(a[0])
        elif cell.kind == "leaky":
            h = sigmoid(a[0]) * h + (1 - sigmoid(a[0])) * np.tanh(a[1])
        elif cell.kind == "gru":
            r, keep = sigmoid(a[0]), sigmoid(a[1])
            h = keep * h + (1 - keep) * np.tanh(a[3] + r * a[2])
        else:
            c = sigmoid(a[1]) * c + sigmoid(a[0]) * act(a[2])
            h = sigmoid(a[3]) * out(c)
    return h, c


def passes_of(cell, steps, batch=32):
    activations = cell.activation, cell.output_activation
    return Passes(cell.kind, cell.hidden_size, steps, batch, *activations, np.float64)


def test_task_asks_for_the_first_sign():
    x, y = remember_task(np.random.default_rng(0), batch=500, steps=7)
    assert x.shape == (7, 500, INPUT_SIZE)
    assert set(np.unique(x[..., 0])) == {-1.0, 1.0}
    np.testing.assert_array_equal(x[0, :, 1], 1)
    np.testing.assert_array_equal(x[1:, :, 1], 0)
    np.testing.assert_array_equal(y, x[0, :, 0] == 1)
    assert 0.4 < y.mean() < 0.6


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
@pytest.mark.parametrize("batch", [32, 64])
def test_passes_are_those_of_the_equations(cell, batch):
    rng = np.random.default_rng(1)
    M = cell.start(3, 20)[0] + 0.3 * rng.normal(size=mask(cell.kind, 5).shape)
    M *= mask(cell.kind, 5)
    x, d_h = rng.normal(size=(6, batch, INPUT_SIZE)), rng.normal(size=(batch, 5))
    passes = passes_of(cell, 6, batch)
    np.testing.assert_allclose(passes.forward(M, x), state_after(cell, M, x)[0], rtol=1e-12)
    ours = passes.backward(M, d_h) * mask(cell.kind, 5)
    exact = complex_step(lambda M: (state_after(cell, M, x)[0] * d_h).sum(), M)
    assert relative_error(ours, exact * mask(cell.kind, 5)) < 1e-12


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_a_share_is_of_the_gradient_of_the_first_state(cell):
    M, _ = cell.start(3, 20)
    rng = np.random.default_rng(2)
    x, d_h = rng.normal(size=(4, 32, INPUT_SIZE)), rng.normal(size=(32, 5))
    passes = passes_of(cell, 4)
    passes.forward(M, x)
    passes.backward(M, d_h)
    first = np.stack(state_after(cell, M, x[:1]))
    exact = complex_step(lambda s: (state_after(cell, M, x[1:], *s)[0] * d_h).sum(), first)
    norms = np.sqrt((exact**2).sum((0, 2)))
    assert passes.share(d_h) == pytest.approx(
        norms.mean() / np.linalg.norm(d_h, axis=1).mean(), rel=1e-10
    )


@pytest.mark.parametrize("name", ["leaky", "gru", "lstm"])
def test_what_keeps_the_state_is_the_bias_at_first(name):
    """Where nothing else is read: the sigmoid of that bias, for each unit."""
    cell = Cell(name, 5, bias="chrono")
    M, _ = cell.start(3, 20)
    M[:, :-1] = 0
    passes = passes_of(cell, 3)
    assert passes.keep() is not None
    passes.forward(M, np.zeros((3, 32, INPUT_SIZE)))
    block = {"leaky": 0, "gru": 1, "lstm": 1}[name]
    keep = sigmoid(M[5 * block : 5 * block + 5, -1])
    np.testing.assert_allclose(passes.keep(), keep, rtol=1e-12)
    assert passes_of(CELLS["rnn"], 3).keep() is None


LAYERS = {"lstm": lstm.LSTM, "gru": GRU, "rnn": RNN, "rnn, relu": RNN}


@pytest.mark.parametrize("name", LAYERS)
def test_training_is_that_of_the_packages_layer_and_optimiser(name):
    """Six updates of both: all weights agree to 1e-10."""
    cell, steps, H = CELLS[name], 12, 5
    training = Training(cell, steps, seed=3, lr=0.01, max_norm=0.05, dtype=np.float64)
    M, v = cell.start(3, steps)
    kind = {"nonlinearity": cell.activation} if cell.kind == "rnn" else {}
    layer = LAYERS[name](INPUT_SIZE, H, dtype=np.float64, **kind)
    head, beta = Parameter(v), Parameter(np.zeros(1))
    layer.load_state_dict(as_layer(cell, M))
    adam = Adam([*layer.parameters(), head, beta], 0.01)
    rng = np.random.default_rng([3, 1])
    for _ in range(6):
        x, y = remember_task(rng, 32, steps)
        h = layer(x)[0][-1]
        d_logits = (sigmoid(h @ head.data + beta.data) - y) / 32
        d_output = np.zeros((steps, 32, H))
        d_output[-1] = d_logits[:, None] * head.data
        adam.zero_grad()
        layer.backward(d_output)
        head.grad[...], beta.grad[...] = d_logits @ h, d_logits.sum()
        unused = slice(2 * H) if cell.kind == "gru" else slice(None)
        layer.bias_hh_l0.grad[unused] = 0  # one bias will do
        norm = adam.clip_grad_norm_(0.05)
        adam.step()
        training.gradient()
        assert training.step() == pytest.approx(norm, rel=1e-10)
    M = training.weights.data[: M.size].reshape(M.shape)
    for key, expected in as_layer(cell, M).items():
        np.testing.assert_allclose(getattr(layer, key).data, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(training.weights.data[M.size : -1], head.data, rtol=1e-10)


def as_layer(cell, M):
    """Return the weights under the names of a layer with two biases."""
    H = cell.hidden_size
    U, W, b = M[:, :H], M[:, H:-1], M[:, -1]
    if cell.kind != "gru":
        weights = U, W, b, np.zeros_like(b)
    else:
        of_x = np.r_[: 2 * H, 3 * H : 4 * H]
        weights = U[: 3 * H], W[of_x], b[of_x], np.r_[np.zeros(2 * H), b[2 * H : 3 * H]]
    names = "weight_hh_l0", "weight_ih_l0", "bias_ih_l0", "bias_hh_l0"
    return dict(zip(names, weights, strict=True))


def test_starts():
    H = 4
    M, _ = Cell("lstm", H, bias=3.0).start(0, 50)
    np.testing.assert_array_equal(M[:, -1], np.repeat([0.0, 3, 0, 0], H))
    assert 0.4 < np.abs(M[:, :-1]).max() < 0.5
    M, _ = Cell("lstm", H, "orthogonal", "chrono").start(0, 50)
    for U in np.split(M[:, :H], 4):  # each gate's block by itself
        np.testing.assert_allclose(U @ U.T, np.eye(H), atol=1e-14)
    input_bias, forget_bias, *others = np.split(M[:, -1], 4)
    np.testing.assert_array_equal(input_bias, -forget_bias)
    assert not np.any(others)
    assert all(0 <= b <= np.log(49) for b in forget_bias)
    M, _ = Cell("rnn", H, "identity", activation="relu").start(0, 50)
    np.testing.assert_array_equal(M[:, :H], np.eye(H))
    assert 0 < np.abs(M[:, H:]).max() < 0.005
    M, _ = Cell("gru", H, bias=5.0).start(0, 50)
    np.testing.assert_array_equal(M[:, -1], np.repeat([0.0, 5, 0, 0], H))


@pytest.mark.parametrize("kind", ["rnn", "lstm"])
def test_keras_start_is_what_the_package_draws(kind):
    """Its columns are orthonormal as one matrix, and all weights have the spread of the layer's."""
    H, layer = 16, {"rnn": RNN, "lstm": lstm.LSTM}[kind](2, 16, dtype=float)
    drawn = initialise_lstm(layer, forget_bias=float(kind == "lstm"), rng=0)
    starts = [Cell(kind, H, "keras", 1.0).start(seed, 50) for seed in range(40)]
    for M, _ in starts:
        np.testing.assert_allclose(M[:, :H].T @ M[:, :H], np.eye(H), atol=1e-14)
        np.testing.assert_array_equal(M[:, -1], drawn.bias_ih_l0.data)
    W, theirs = np.array([M[:, H:-1] for M, _ in starts]), drawn.weight_ih_l0.data
    assert np.abs(W).max() == pytest.approx((6 / sum(theirs.shape)) ** 0.5, rel=0.03)
    assert np.abs(theirs).max() < (6 / sum(theirs.shape)) ** 0.5
    assert np.max([v for _, v in starts]) == pytest.approx((6 / (H + 1)) ** 0.5, rel=0.03)


def test_chrono_biases_are_spread_over_all_scales():
    biases = np.concatenate(
        [Cell("leaky", 50, bias="chrono").start(s, 200)[0][:50, -1] for s in range(20)]
    )
    u = np.exp(biases)
    assert u.min() > 1
    assert u.max() < 199
    assert np.quantile(u, [0.25, 0.5, 0.75]) == pytest.approx([50.5, 100, 149.5], abs=7)


def test_a_seed_gives_all_of_a_kind_the_same_weights_and_sequences():
    one, other = Cell("lstm", 4), Cell("lstm", 4, "orthogonal", 5.0)
    (M, v), (N, w) = one.start(1, 9), other.start(1, 9)
    np.testing.assert_array_equal(v, w)
    np.testing.assert_array_equal(M[:, 4:-1], N[:, 4:-1])
    assert np.abs(M[:, :4] - N[:, :4]).max() > 0.1
    x, z = (Training(cell, 9, 1).data.integers(0, 9, 5) for cell in (one, CELLS["rnn"]))
    np.testing.assert_array_equal(x, z)


def test_parameters_are_counted():
    counts = {name: cell.num_parameters for name, cell in CONTESTANTS.items()}
    assert counts["LSTM, uniform, 0"] == 1216
    assert counts["RNN 16, uniform"] == 304
    for name in ("RNN 33, uniform", "GRU, uniform, 0", "leaky, orthogonal, 0"):
        assert counts[name] == pytest.approx(1216, rel=0.05)
    assert Cell("leaky", WIDTHS["leaky"]).num_parameters == 33 * (33 + 2 + 1) + 33


def test_a_seed_does_not_depend_on_those_beside_it():
    cell = Cell("lstm", 4, bias=1.0)
    alone = train_to_remember(cell, 5, [7], updates=12)
    beside = train_to_remember(cell, 5, [3, 7], updates=12)
    assert beside["largest_gradient"][1] == alone["largest_gradient"][0]
    assert beside["largest_gradient"][0] != alone["largest_gradient"][0]


def test_an_easy_task_is_learnt_and_an_impossible_budget_is_not():
    cell = Cell("rnn", 8)
    easy = train_to_remember(cell, 2, range(3), updates=300, lr=0.02, beyond=(1, 20))
    assert all(25 <= update <= 300 and update % 25 == 0 for update in easy["learnt_at"])
    assert min(easy["accuracy"]) > 0.95
    assert min(once for once, _ in easy["beyond"]) > 0.95
    assert max(later for _, later in easy["beyond"]) < 0.95
    assert len(easy["share"][0]) == len(easy["step"][0]) == 1 + 300 // 25
    assert easy["keep"] == [[], [], []]
    assert easy["step"][0][0] == pytest.approx(1, abs=0.05)  # Adam's first step is the rate
    early = train_to_remember(cell, 2, [0], updates=300, lr=0.02, until_learnt=True)
    assert early["learnt_at"] == easy["learnt_at"][:1]
    assert len(early["share"][0]) == 1 + early["learnt_at"][0] // 25
    assert train_to_remember(cell, 60, range(3), updates=12)["learnt_at"] == [None] * 3


def test_a_gradient_that_is_not_finite_is_left_out():
    cell = Cell("rnn", 8, "orthogonal", activation="relu")
    found = train_to_remember(cell, 200, [0], updates=30, lr=3.0, max_norm=None)
    assert found["finite"] == [False]
    assert np.isfinite(found["accuracy"]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "elman"}, "kind must be one of ['rnn', 'leaky', 'gru', 'lstm'], got 'elman'"),
        ({"kind": "rnn", "recurrent": "zero"}, "recurrent must be one of"),
        ({"kind": "rnn", "activation": "elu"}, "activation must be one of"),
        ({"kind": "lstm", "output_activation": "no"}, "output_activation must be one of"),
        ({"kind": "lstm", "bias": "open"}, "bias must be"),
    ],
)
def test_a_wrong_cell_is_named(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Cell(hidden_size=2, **arguments)


@pytest.mark.parametrize(
    ("best", "tried"),
    [
        (3e-3, tuning.FIRST),
        (1e-2, tuning.FIRST),
        (1e-3, (3e-4, *tuning.FIRST)),
        (3e-4, (1e-4, 3e-4, *tuning.FIRST)),
        (1e-5, (1e-5, 3e-5, 1e-4, 3e-4, *tuning.FIRST)),  # there is no lower one
        (3e-2, (*tuning.FIRST, 1e-1)),
        (1e-1, (*tuning.FIRST, 1e-1, 3e-1)),
    ],
)
def test_rates_are_tried_until_the_best_is_inside(best, tried):
    def score(rate):
        return 1.0, -abs(np.log(rate / best))

    found, results = tuning.tune(lambda rate: rate, score)
    assert found == best
    assert tuple(results) == tried


def test_who_never_succeeds_is_tried_with_eight_rates():
    found, results = tuning.tune(lambda rate: rate, lambda rate: (0.0, rate))
    assert tuple(results) == tuning.LAST
    assert found == tuning.LAST[-1]


def test_of_equal_rates_the_one_in_the_middle_is_chosen():
    assert tuning.choose({0.1: (1, 2), 0.3: (1, 2), 1.0: (1, 2), 3.0: (1, 1)}) == 0.3


def test_more_seeds_count_before_earlier_ones_and_those_before_a_better_end():
    def score(learnt_at, accuracy):
        return tuning.score_of_learning({"learnt_at": learnt_at, "accuracy": accuracy})

    slow, few, quick = [500, 500], [25, None], [100, 100]
    assert score(slow, [0.9, 0.9]) > score(few, [1.0, 1.0])
    assert score(quick, [0.9, 0.9]) > score(slow, [1.0, 1.0])
    assert score(quick, [1.0, 0.9]) > score(quick, [0.9, 0.9])
    assert score([None, None], [1.0, 1.0])[0] == 0
    assert score([None, None], [0.54, 0.55]) == score([None, None], [0.5, 0.5])
    assert score([None, None], [0.56, 0.55]) > score([None, None], [0.5, 0.5])


def run_like(learnt_at, accuracy, **more):
    return {"learnt_at": learnt_at, "accuracy": accuracy} | more


def test_learnt_and_lost_are_counted_apart():
    run = run_like([25, 50, None, 75], [0.899, 0.9, 0.5, 1.0])
    assert learnt(run) == [True, True, False, True]
    assert lost(run) == [True, False, False, False]
    assert count(run).replace("\u00a0", " ") == "3, 1 lost [30, 95]"
    assert count(run_like([None], [0.5])) == "0\u00a0[0,\u00a079]"


def test_a_comparison_counts_the_seeds_of_one_alone():
    one = run_like([25, 25, None, 25, 25, 25, 25], [1.0] * 7)
    other = run_like([None, 25, 25, None, None, None, None], [1.0] * 7)
    compared = compare(one, other)
    assert (compared.first, compared.second) == (5, 1)
    assert compared.p == pytest.approx(2 * 7 / 64)


def test_the_best_start_is_chosen_by_other_seeds_than_the_reported_ones():
    def run(name, steps, reported, chosen_at):
        tried = {"0.01": run_like(chosen_at, [1.0] * 2)}
        return run_like(reported, [1.0] * 2, name=name, steps=steps, lr=0.01, tried=tried)

    one, other = "LSTM, uniform, 0", "LSTM, uniform, 1"
    runs = [run(one, 50, [25, 25], [None, 25]), run(other, 50, [None, 25], [25, 25])]
    runs += [run(one, 100, [25, 25], [50, 25]), run(other, 100, [25, 25], [50, 50])]
    found = {"runs": runs}
    assert [best_of(found, "LSTM", steps)["name"] for steps in (50, 100)] == [other, one]
    assert run_of(found, "LSTM", 50) is run_of(found, other, 50) is runs[1]
    compared = comparisons(found, one, "LSTM", [50, 100])
    assert {steps: c[:2] for steps, c in compared.items()} == {50: (1, 0), 100: (0, 0)}
    assert family("RNN 33, ReLU, identity") == "RNN"


def test_an_edge_is_seen():
    tried = {rate: run_like([25], [1.0]) for rate in ("0.01", "0.03", "0.1")}
    edges = [at_an_edge({"lr": lr, "tried": tried}) for lr in (0.01, 0.03, 0.1)]
    assert edges == [True, False, True]
    tried["0.01"] = run_like([None], [1.0])
    assert not at_an_edge({"lr": 0.01, "tried": tried})


def test_models_of_the_digits_have_equal_parameters():
    assert EQUAL_SIZE == 140
    counts = {name: count_parameters(name) for name in MODELS}
    assert counts["RNN 140"] == pytest.approx(counts["LSTM 64"], rel=0.03)
    assert counts["softmax regression"] == 7850


@pytest.mark.slow
def test_digits_are_learnt_and_judged_on_others():
    both = []
    for name in ("LSTM 8", "RNN 64", "softmax regression"):
        train = partial(train_on_digits, name, 100, 0, 0.01, updates=200)
        found, by_others = train(), train(judge="validation")
        assert found["train"] > 0.8
        assert 0.3 < found["judge"] < found["train"]
        both.append(found != by_others)
    assert sum(both) >= 2  # of a thousand digits as many can be right by chance


def compared(wins, losses):
    seeds = range(wins + losses)
    one = run_like([25 if k < wins else None for k in seeds], [1.0] * len(seeds))
    other = run_like([None if k < wins else 25 for k in seeds], [1.0] * len(seeds))
    return compare(one, other)


def test_verdicts_change_at_their_thresholds():
    below, above = np.nextafter(verdicts.VANISHED, [0, 1])
    assert verdicts.vanishing({"0": below, "5": below}) == "false: it vanishes from every start"
    assert verdicts.vanishing({"0": below, "5": above}) == "not by itself: the start decides"
    assert verdicts.vanishing({"0": above, "5": above}) == "true of every start"
    below, above = np.nextafter(verdicts.EXPLODED, [0, np.inf])
    assert verdicts.exploding(below) == "not refuted"
    assert verdicts.exploding(above) == "false"


def test_a_ranking_needs_six_pairs_that_agree():
    assert [verdicts.rank(compared(*pair)) for pair in ((5, 0), (6, 0), (0, 6), (9, 3))] == [
        0,
        1,
        -1,
        0,
    ]
    ahead, behind, open_ = compared(6, 0), compared(0, 6), compared(3, 3)
    words = "ahead at T = 50, 200, behind at T = 100"
    assert verdicts.ranking({50: ahead, 100: behind, 200: ahead, 400: open_}) == words
    assert verdicts.ranking({50: open_}) == "not told apart"
    starts = {"best": {5: ahead}, "usual": {5: open_}}
    assert verdicts.dependency(starts) == "best: ahead at T = 5; usual: not told apart"


def test_means_are_told_apart_by_two_standard_errors():
    one = np.array([-1.0, 1.0])  # a mean with a standard error of 1, as that of `other`
    for apart, need, why in (
        (2.9, "false against a model without memory", "the reason holds"),
        (2.8, "not told apart", "the reason is not supported"),
        (-2.8, "not told apart", "the reason is not supported"),
        (-2.9, "true against a model without memory", "the reason is wrong"),
    ):  # 2 errors of a difference are 2 √2 = 2.83
        assert verdicts.errors_apart(one + apart, one) == pytest.approx(apart / 2**0.5)
        assert verdicts.data_need(one + apart, one) == need
        assert verdicts.reason(one + apart, one).startswith(why)
    assert verdicts.errors_apart([1, 1], [1, 1]) == 0
    assert verdicts.errors_apart([2, 2], [1, 1]) == np.inf


def test_overfitting_is_judged_model_by_model():
    assert verdicts.overfitting({"LSTM 8": 0.06, "RNN 64": 0.06}) == "true, as of every model here"
    assert verdicts.overfitting({"LSTM 8": 0.06, "RNN 64": 0.05}) == "true of the LSTM"
    assert verdicts.overfitting({"LSTM 8": 0.05, "LSTM 16": 0.06}) == "by its size"
    assert verdicts.overfitting({"LSTM 8": 0.05, "RNN 64": 0.06}) == "not seen"


def test_cost_is_the_librarys_where_times_differ():
    assert verdicts.cost(4.0, [2.0, 3.0]) == "parameters 4 times; time: the cell’s"
    assert verdicts.cost(4.0, [1.9, 3.0]) == "parameters 4 times; time: the library’s"


@pytest.mark.parametrize(
    ("ours", "theirs", "largest", "words"),
    [
        ([25] * 6, [25] * 6, 1e3, "learns as much"),
        ([25] * 6, [25] * 6, 1.1e3, "learns as much, explodes"),
        ([25] * 6, [None] * 5 + [25], 1.0, "learns as much"),
        ([25] * 6, [None] * 6, 1.0, "learns less"),
        ([None] * 6, [25] * 6, 1.0, "learns more"),
        ([None] * 6, [None] * 6, 1.0, "does not learn"),
    ],
)
def test_another_cell_is_judged_by_learning_and_gradients(ours, theirs, largest, words):
    usual = run_like(ours, [1.0] * 6, largest_gradient=[1.0] * 6)
    other = run_like(theirs, [1.0] * 6, largest_gradient=[largest] + [1.0] * 5)
    assert verdicts.other_cell([usual], [other]) == words


def test_a_missing_record_names_its_command():
    with pytest.raises(
        FileNotFoundError, match=re.escape("python -m lstm_book.experiments nothing")
    ):
        load_record("nothing")


@pytest.mark.parametrize("name", RECORDED)
def test_every_experiment_is_recorded_and_can_be_repeated(name):
    found = load_record(name)
    assert found["experiment"] == name
    assert found["versions"].keys() >= {"python", "numpy"}
    # A record keeps the command that made it, a page prints the one that makes it today.
    assert found["command"] == command(name)
    assert importlib.util.find_spec(found["command"].split()[2])


def test_a_record_is_written_and_read(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "FOLDER", tmp_path / "new")
    assert record.save_record("data", {"runs": [1]}, 2.04) == tmp_path / "new" / "data.json"
    found = load_record("data")
    assert (found["seconds"], found["runs"], found["command"]) == (2.0, [1], command("data"))
    assert {"python", "numpy", "numba"} <= found["versions"].keys()


def test_there_are_no_other_records():
    assert {path.stem for path in FOLDER.glob("*.json")} == set(RECORDED)


@pytest.mark.parametrize("name", TRAININGS)
def test_records_end_where_they_say_and_tell_of_every_rate(name):
    found = load_record(name)
    seeds = TRAININGS[name]
    assert found["seeds"] == list(seeds)
    assert len(seeds) >= 10
    assert not set(seeds) & {*CHOICE_SEEDS, *found["choice_seeds"]}
    for run in found["runs"]:
        assert len(run["learnt_at"]) == len(run["accuracy"]) == len(run["beyond"]) == len(seeds)
        updates = run.get("updates", found["updates"])
        assert all(25 <= update <= updates for update in run["learnt_at"] if update is not None)
        assert len(run["share"]) == len(run["step"]) == 1 + updates // 25
        assert (
            found["parameters"][run["name"]] == Cell(**found["cells"][run["name"]]).num_parameters
        )
        assert len(run["tried"]) >= 4
        assert str(run["lr"]) in run["tried"]
        assert not at_an_edge(run)


def test_all_contestants_of_the_dependency_are_recorded():
    found = load_record("remember")
    for steps in (50, 100):
        assert {run["name"] for run in runs_of_all(found, steps)} == set(CONTESTANTS)
    assert {run["name"] for run in runs_of_all(found, 200)} == set(LONG)


def test_those_that_meet_again_do_with_other_seeds():
    found = load_record("duel")
    for steps in (50, 100, 200):
        assert {run["name"] for run in runs_of_all(found, steps)} == set(DUEL)
    assert not {*SEEDS, *CHOICE_SEEDS} & {*found["seeds"], *found["choice_seeds"]}
    first = {run["name"]: run for run in runs_of_all(load_record("remember"), 200)}
    assert all(run["lr"] == first[run["name"]]["lr"] for run in runs_of_all(found, 200))


def runs_of_all(found, steps):
    return [run for run in found["runs"] if run["steps"] == steps]


def test_a_rate_of_the_digits_stands_inside():
    for chosen in load_record("data")["rates"].values():
        tried = [float(rate) for rate in chosen["tried"]]
        assert min(tried) < chosen["lr"] < max(tried)


def test_runs_of_a_record_are_found_by_their_settings():
    found = load_record("remember")
    (run,) = runs_of(found, "RNN 16, uniform", steps=50)
    assert (run["name"], run["steps"]) == ("RNN 16, uniform", 50)
    assert len(runs_of(found, "RNN 16, uniform")) == 5
    assert runs_of(found, "nobody") == []


def test_a_part_of_a_record_is_trained_again():
    """Float32 on another machine may round otherwise: what was learnt, not at which update."""
    (run,) = runs_of(load_record("remember"), "LSTM, uniform, chrono", steps=50)
    again = train_to_remember(CONTESTANTS[run["name"]], 50, SEEDS[:2], lr=run["lr"])
    assert [at is not None for at in again["learnt_at"]] == learnt(run)[:2]
    assert again["first_gradient"] == pytest.approx(run["first_gradient"][:2], rel=1e-3)


def test_a_journal_goes_on_where_it_was_broken_off(tmp_path):
    path, computed = tmp_path / "x.partial", []

    def compute(value):
        computed.append(value)
        return {"value": value}

    journal = Journal(path)
    assert journal.once("a", lambda: compute(1.23456)) == {"value": 1.235}
    with path.open("a") as file:
        file.write('{"key": "b", "sec')  # broken off in the middle of a line
    again = Journal(path)
    assert again.once("a", lambda: compute(2)) == {"value": 1.235}
    assert again.once("b", lambda: compute(3)) == {"value": 3}
    assert computed == [1.23456, 3]
    assert Journal(path).once("b", lambda: compute(4)) == {"value": 3}
    again.close()
    assert not path.exists()


@pytest.mark.slow
def test_records_are_read_without_numba_and_pytorch():
    code = (
        "import sys; sys.modules['torch'] = sys.modules['numba'] = None; "
        "from lstm_book.experiments import load_record, runs_of; "
        "assert runs_of(load_record('remember'), 'RNN 16, uniform')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_training_on_fresh_sequences_learns_and_repeats():
    def draw(rng):
        x = rng.standard_normal((3, 32, 1)).astype(np.float32)
        return x, x[-1, :, 0] > 0

    def share(updates):
        model = lstm.models.SequenceClassifier(lstm.LSTM(1, 4, rng=0), lstm.Linear(4, 1, rng=0))
        return train_on_fresh(model, draw, seed=0, lr=0.05, updates=updates)

    assert share(1) < 0.9 < share(20) == share(20)  # in the mean of all twenty it is less
