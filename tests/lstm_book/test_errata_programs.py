"""The evidence for findings in the articles' programs and in what the text says of them.

The programs run against stand-ins, which stop where the real frameworks were seen to stop. A
corrected program has none of the faults that a detector below knows; with one repair undone, it has
that one and no other.
"""

import ast

import numpy as np
import pytest
import torch
from lstm_book import errata, ledger
from lstm_book.ledger import ARTICLES

import lstm
from lstm import equations as eq
from tests.lstm_book.evidence import evidence, program_pair
from tests.lstm_book.frameworks import TEST, TRAIN, Run, graph, run

SEEN, SEEN_NEW = ledger.OBSERVED["observed"].values()
"""What TensorFlow 2.15.1 and 2.21.0 answered, by the name of what was run."""

CORRECTED = {article: about["program_corrected"] for article, about in ARTICLES.items()}


# ------------------------------------------------------------------- faults, and their repairs
def updates(done: Run) -> list[tuple[tuple, dict]]:
    """Return the updates of a program for TensorFlow 1: what was fetched, what was fed."""
    return [call for call in done.called("run") if "update" in call[0]]


def seeded(program: str, done: Run) -> bool:
    """Return whether the framework's seed is set, and each generator of NumPy has one."""
    calls = [n for n in ast.walk(ast.parse(program)) if isinstance(n, ast.Call)]
    generators = [n for n in calls if ast.unparse(n.func).endswith("random.default_rng")]
    return bool(done.called("seed")) and all(n.args for n in generators)


def keras_faults(program: str, done: Run) -> dict[str, bool]:
    """Return the faults of a program for Keras, by finding, and whether it has them."""
    ((x, _), options), *_ = done.called("fit")
    held_out = options.get("validation_data", (None,))[0]
    test = [args[0] for args, _ in done.called("evaluate")]
    embedded = [layer for layer in done.layers if layer.kind == "Embedding"]
    activations = [
        layer.options.get("activation", "tanh") for layer in done.layers if layer.kind == "LSTM"
    ]
    return {
        "000-24": not test or not any("validation" in name for name in options),
        "002-22": any(not layer.options.get("mask_zero") for layer in embedded),
        "002-23": any(held_out is not None and np.shares_memory(held_out, x) for x in test),
        "004-42": set(activations) != {"tanh"},
        "pixels": not embedded and np.abs(x).max() > 6,
        "000-42": not seeded(program, done),
    }


def tf1_faults(program: str, done: Run) -> dict[str, bool]:
    """Return the faults of a program for TensorFlow 1, by finding, and whether it has them."""
    (((loss,), options),) = done.called("minimize")
    ((_, given),) = done.called("dynamic_rnn")
    used, steps = graph(loss), updates(done)
    fed = [list(values.values()) for _, values in steps]
    tested = [values for fetched, values in done.called("run") if fetched == (loss,)]
    longer = run(program.replace("T = 100", "T = 117"))
    return {
        "003-20": any(np.array_equal(fed[0][0], later[0]) for later in fed[1:]),
        "003-25": given["lengths"] is not None or len(given["initial_state"] or ()) != 2,
        "003-26": not {variable for (variable,), _ in done.called("Variable")} <= used,
        "003-30": (slice(None), -1) not in [node.index for node in used],
        "003-31": not set(steps[0][1]) <= used,
        "003-32": len(updates(longer)) != len(steps),
        "003-33": not tested or any(len(fetched) < 2 for fetched, _ in steps),
        "003-48": any((np.abs(target) >= 1).mean() > 0.01 for _, target in fed),
        "003-54": len(steps) * options["rate"] < 0.5,
        "000-42": not seeded(program, done),
    }


STOPS = {
    "is not defined": "000-22",
    "has no attribute": "003-23",
    "cannot reshape": "004-39",
    "expected shape": "004-40",
    "Failed to convert": "002-21",
    "rank at least 3": "003-24",
    "Dimension 0": "003-25",
    "value of a feed": "003-29",
}
"""A part of an error's message, and the finding that it shows."""


def faults(program: str) -> set[str]:
    """Return the findings that a program shows when it is run."""
    done = run(program)
    if done.error is not None:
        return {finding for sign, finding in STOPS.items() if sign in str(done.error)}
    found = (keras_faults if done.called("fit") else tf1_faults)(program, done)
    return {name for name, is_there in found.items() if is_there}


UNDONE = [
    ("000-22", "000", "x_train, x_val, x_test = x[:2000], x[2000:2500], x[2500:]", ""),
    ("000-22", "002", "vocab_size, embedding_dim, length = 20000, 128, 200", "length = 200"),
    ("000-24", "000", ", validation_data=(x_val, y_val)", ""),
    ("000-24", "000", "model.evaluate(x_test, y_test)", "0, 0"),
    ("000-24", "002", "model.evaluate(X_test, y_test)", "0, 0"),
    ("002-23", "000", "validation_data=(x_val, y_val)", "validation_data=(x_test, y_test)"),
    ("002-23", "001", "validation_data=(x_val, y_val)", "validation_data=(x_test, y_test)"),
    ("002-23", "002", "validation_split=0.2", "validation_data=(X_test, y_test)"),
    ("002-21", "002", "X_train = pad_sequences(X_train, maxlen=length)", ""),
    ("002-22", "002", ", mask_zero=True", ""),
    ("003-20", "003", "draw(50)", "x_test[:50], y_test[:50]"),
    ("003-23", "003", "import tensorflow.compat.v1 as tf", "import tensorflow as tf"),
    ("003-24", "003", "[None, T, n]", "[T, n]"),
    ("003-25", "003", "initial_state=state", "state"),
    ("003-26", "003", "loss = tf.", "W = tf.Variable(tf.random_normal([n, n]))\nloss = tf."),
    ("003-29", "003", "feed_dict={X: x_data", "feed_dict={X: X"),
    ("003-30", "003", "outputs[:, -1]", "outputs[-1]"),
    ("003-31", "003", "outputs[:, -1] - y", "outputs[:, -1] - rng.standard_normal(n)"),
    ("003-32", "003", "for update in range(100)", "for update in range(T)"),
    ("003-33", "003", "_, value = sess.run([optimizer, loss]", "value = sess.run(optimizer"),
    ("003-33", "003", "sess.run(loss, feed_dict={X: x_test, y: y_test})", "0"),
    ("003-48", "003", "x[:, -10:].mean(axis=1)", "x[:, -1]"),
    ("003-54", "003", "AdamOptimizer(0.01)", "AdamOptimizer()"),
    ("004-39", "004", "x_train.astype", "x_train.reshape(*x_train.shape[:2], 1).astype"),
    ("004-40", "004", "Input(shape=(28, 28))", "Input(shape=(1, 28))"),
    ("004-42", "004", "LSTM(128)", "LSTM(128, activation='relu')"),
    ("pixels", "004", 'x_train.astype("float32") / 255', 'x_train.astype("float32")'),
    ("000-42", "000", "set_random_seed(0)\n", ""),
    ("000-42", "001", "default_rng(0)", "default_rng()"),
    ("000-42", "002", "set_random_seed(0)\n", ""),
    ("000-42", "003", "tf.set_random_seed(0)\n", ""),
    ("000-42", "004", "set_random_seed(0)\n", ""),
]
"""A finding, an article, a repair in its corrected program, and the same undone."""


@pytest.mark.parametrize(("finding", "article", "repair", "undone"), UNDONE)
def test_each_repair_matters(finding, article, repair, undone):
    assert repair in CORRECTED[article]
    assert faults(CORRECTED[article]) == set()
    assert faults(CORRECTED[article].replace(repair, undone)) == {finding}


def test_printed_program_stops_before_any_result():
    stops = {"000": "000-22", "001": "000-22", "002": "000-22", "003": "003-23", "004": "004-39"}
    for article, finding in stops.items():
        printed = ARTICLES[article]["program"]
        assert faults(printed) == {finding}
        assert not run(printed).called("evaluate") + run(printed).called("run")


def test_every_program_gives_one_answer_per_sequence():
    for article, program in CORRECTED.items():
        done = run(program)
        if article == "003":
            (((loss,), _),) = done.called("minimize")
            assert (slice(None), -1) in [node.index for node in graph(loss)]
        else:
            *_, last = [layer for layer in done.layers if layer.kind == "LSTM"]
            assert not last.options.get("return_sequences")


# What the printed program of article 003 draws: twice from an unseeded generator.
@evidence(lambda: np.random.default_rng(), lambda: np.random.default_rng(0))
def test_unseeded_draws_differ(printed, corrected):
    assert np.array_equal(corrected().standard_normal(10), corrected().standard_normal(10))
    assert not np.array_equal(printed().standard_normal(10), printed().standard_normal(10))


@evidence(lambda rng, x: rng.standard_normal((len(x), 10)), lambda rng, x: x.mean(axis=1))
def test_the_outputs_can_reach_the_targets(printed, corrected):
    rng = np.random.default_rng(0)
    x, largest = rng.standard_normal((1000, 100, 10)), eq.hidden_state(1.0, np.inf)
    assert (np.abs(corrected(rng, x)) < largest).all()
    out_of_reach = (np.abs(printed(rng, x)) > largest).mean()
    assert 0.3 < out_of_reach < 0.34


@evidence(0.001, 0.01)
def test_a_hundred_small_updates_do_not_learn_one_target(printed, corrected):
    def left(rate, seed):
        """Return the share that is left of the loss that PyTorch's LSTM could get rid of."""
        torch.manual_seed(seed)
        layer, x, target = torch.nn.LSTM(10, 10), torch.randn(100, 10), torch.randn(10)
        adam = torch.optim.Adam(layer.parameters(), rate)
        out_of_reach = ((target.abs() - 1).clamp(min=0) ** 2).mean().item()
        losses = []
        for _ in range(101):
            adam.zero_grad()
            loss = ((layer(x)[0][-1] - target) ** 2).mean()
            loss.backward()
            adam.step()
            losses.append(loss.item() - out_of_reach)
        return losses[-1] / losses[0]

    assert max(left(corrected, seed) for seed in range(3)) < 0.03
    assert all(0.1 < left(printed, seed) < 0.5 for seed in range(3))


# ------------------------------------------------------------------------------ article 002


def padded(reviews):
    """Return token lists as one array (N, T), padded with zeros at the end."""
    length = max(map(len, reviews))
    return np.array([review + [0] * (length - len(review)) for review in reviews])


@evidence(lambda reviews: np.array(reviews), padded)
def test_ragged_sequences_do_not_form_a_batch(printed, corrected):
    reviews = [[4, 8, 15], [16, 23]]
    assert corrected(reviews).shape == (2, 3)
    with pytest.raises(ValueError, match="inhomogeneous"):
        printed(reviews)


@evidence(lambda h, lengths: h[-1], lambda h, lengths: h[lengths - 1, np.arange(len(lengths))])
def test_padding_changes_the_last_state(printed, corrected):
    weights, rng, lengths = (
        errata.random_weights(3, 5, 0),
        np.random.default_rng(0),
        np.array([4, 9]),
    )
    x = rng.standard_normal((9, 2, 3))
    x[4:, 0] = 0

    def states(x):
        return errata.unroll(errata.step, x, *np.zeros((2, x.shape[1], 5)), weights)[0]

    alone = states(x[:4, :1])[-1, 0]
    np.testing.assert_allclose(corrected(states(x), lengths)[0], alone, rtol=1e-12)
    assert np.abs(printed(states(x), lengths)[0] - alone).max() > 0.1


def test_a_mask_makes_the_padding_vanish():
    assert SEEN["mask"] == SEEN_NEW["mask"] == "mask True no mask False"


# ------------------------------------------------------------------------------ article 003


def test_the_target_is_computed_from_the_data():
    for _, fed in updates(run(CORRECTED["003"])):
        x, y = fed.values()
        np.testing.assert_allclose(y, x[:, -10:].mean(axis=1))


@evidence(lambda B, H: np.zeros((H,)), lambda B, H: (np.zeros((B, H)), np.zeros((B, H))))
def test_the_state_has_two_parts(printed, corrected):
    cell = lstm.LSTMCell(10, 10, dtype=np.float64)
    assert len(cell(np.zeros((1, 10)), corrected(1, 10))) == 2
    with pytest.raises(ValueError, match=r"hx must be \(h, c\)"):
        cell(np.zeros((1, 10)), printed(1, 10))


@evidence(lambda outputs: outputs[-1], lambda outputs: outputs[:, -1])
def test_the_last_output_is_the_last_step(printed, corrected):
    batch, steps, size = 4, 7, 3
    outputs = np.arange(steps)[None, :, None] + np.zeros((batch, steps, size))
    assert corrected(outputs).shape == (batch, size)
    assert (corrected(outputs) == steps - 1).all()
    assert printed(outputs).shape == (steps, size)


def test_tensorflow_1_as_seen():
    """What the findings on its calls say of the signature, the outputs and the variables."""
    assert SEEN["signature"].startswith("(cell, inputs, sequence_length=None, initial_state=None, ")
    assert SEEN["outputs"] == "(100, 10) (?, 10) LSTMStateTuple"
    assert SEEN["ten lengths, any number"].split(":")[0].endswith("InvalidArgumentError")
    assert SEEN["ten lengths, ten sequences"] == "largest output: 0.0"
    has_gradient = {False: [], True: []}
    for shape, gradient in ast.literal_eval(SEEN["variables"]):
        has_gradient[gradient].append(shape)
    assert has_gradient == {False: [[10, 10], [10, 10], [10]], True: [[20, 40], [40]]}
    assert ast.literal_eval(SEEN["weights"]) == [80384, 16512, 1290]
    for seen in SEEN["activation"], SEEN_NEW["activation"]:
        bounded, unbounded = (float(number) for number in seen.split()[1::2])
        assert bounded < 1 < 1e8 < unbounded


# ------------------------------------------------------------------------------ article 004


def described_program():
    """Return article 004's program as section 5.2 describes it: without the reshape that stops.

    Its data have the shape that its model wants, one step of 28 numbers.
    """
    lines = program_pair("004")[0].replace("mnist.load_data()", "rows()").splitlines()
    program = "\n".join(line for line in lines if "reshape" not in line)
    return run(
        "from tensorflow.keras.datasets import mnist\n"
        "def rows():\n"
        "    return [(x[:, :1], y) for x, y in mnist.load_data()]\n" + program
    )


@evidence(errata.reshape_004)
def test_reshape_loses_the_pixels(printed, corrected):
    images = np.zeros((60_000, 28, 28), np.uint8)
    assert images.size == 47_040_000
    assert corrected(images).shape == (60_000, 28, 28)
    with pytest.raises(ValueError, match=r"size 47040000 into shape \(60000,28,1\)"):
        printed(images)


@evidence((1, 28), (28, 28))
def test_input_shape_holds_one_image(printed, corrected):
    as_printed, repaired = map(run, program_pair("004"))
    assert np.prod(corrected) == 784
    assert repaired.names["model"].input_shape == corrected
    assert described_program().names["model"].input_shape == printed
    assert np.prod(printed) == 28
    assert as_printed.error is not None


@evidence(errata.step_relu_004)
def test_relu_removes_the_bound(printed, corrected):
    weights = {gate: (np.ones((1, 1)), np.ones((1, 1)), np.ones(1)) for gate in "ifgo"}
    x = np.ones((28, 1, 1))
    h, _ = errata.unroll(printed, x, *np.zeros((2, 1, 1)), weights)
    assert h[-1].item() > 1e6
    assert np.abs(errata.unroll(corrected, x, *np.zeros((2, 1, 1)), weights)[0]).max() < 1


@evidence(([128], [1]), ([128, 10],))
def test_dense_layers_of_the_program(printed, corrected):
    found = [layer.units for layer in described_program().layers if layer.kind == "Dense"]
    assert found in corrected
    assert found not in printed


@evidence(1, 28)
def test_lstm_input_dimension_of_the_program(printed, corrected):
    assert described_program().names["model"].input_shape[-1] == corrected != printed


@evidence(2, 3)
def test_array_ranks_of_the_program(printed, corrected):
    ((x, y), _) = described_program().called("fit")[0]
    assert x.ndim == corrected != printed
    assert y.dtype == np.uint8  # as loaded: nothing was converted


@evidence({"load_data", "split"}, {"load_data"})
def test_the_program_does_not_split(printed, corrected):
    tree = list(ast.walk(ast.parse(program_pair("004")[0])))
    called = {
        n.func.attr for n in tree if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)
    }
    sliced = any(isinstance(n, ast.Slice) for n in tree)
    assert called & {"load_data", "split", "train_test_split"} == corrected != printed
    assert not sliced


@evidence(lambda share, train, test: share * test, lambda share, train, test: share * train)
def test_validation_split_is_a_share_of_the_training_set(printed, corrected):
    (((x, _), options),) = described_program().called("fit")
    held_out = options["validation_split"] * len(x)
    assert len(x) == TRAIN
    assert corrected(0.1, TRAIN, TEST) == held_out
    assert printed(0.1, TRAIN, TEST) != held_out


@evidence({"batch_size"}, set())
def test_evaluate_has_no_batch_size(printed, corrected):
    ((_, options),) = described_program().called("evaluate")
    assert set(options) == corrected != printed


@evidence({"fit", "predict"}, {"fit"})
def test_nothing_is_predicted(printed, corrected):
    tree = ast.walk(ast.parse(program_pair("004")[0]))
    methods = {n.attr for n in tree if isinstance(n, ast.Attribute)}
    assert methods & {"fit", "predict"} == corrected != printed
