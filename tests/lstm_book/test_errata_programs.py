"""The evidence for findings in the articles' programs and in what the text says of them."""

import ast

import numpy as np
import pytest
from lstm_book import errata

import lstm
from lstm import equations as eq
from tests.lstm_book.evidence import evidence, program_pair, program_pairs
from tests.lstm_book.frameworks import TEST, TRAIN, Tensor, placeholders, run

DATA = {name: np.zeros((4, 3)) for name in ("x_train", "x_test", "X_train", "X_test")}
DATA |= {name: np.zeros(4) for name in ("y_train", "y_test")}
DATA |= {"vocab_size": 20, "embedding_dim": 8}
"""What the printed programs use without defining it."""


def described_program():
    """Return article 004's program as section 5.2 describes it: without the reshape that stops."""
    lines = program_pair("004")[0].splitlines()
    return run("\n".join(line for line in lines if "reshape" not in line))


def names(program, context):
    """Return every variable of a program that is read (ast.Load) or assigned (ast.Store)."""
    nodes = ast.walk(ast.parse(program))
    return [n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, context)]


def imported(program):
    """Return the names that a program's imports bind."""
    statements = (
        n for n in ast.walk(ast.parse(program)) if isinstance(n, ast.Import | ast.ImportFrom)
    )
    return {alias.asname or alias.name for s in statements for alias in s.names}


# ------------------------------------------------------------------------------ all programs


@evidence(*program_pairs("000", "001", "002", "003", "004"))
def test_printed_program_stops_before_any_result(printed, corrected):
    stops = {article: run(program) for article, program in printed.items()}
    assert {article: type(stop.error) for article, stop in stops.items()} == {
        "000": NameError,
        "001": NameError,
        "002": NameError,
        "003": AttributeError,
        "004": ValueError,
    }
    assert not any(stop.called("evaluate") + stop.called("run") for stop in stops.values())
    for program in corrected.values():
        done = run(program)
        assert done.error is None
        assert done.called("evaluate") or len(done.called("run")) > 1


@evidence(*program_pairs("000", "001", "002"))
def test_program_validates_and_evaluates(printed, corrected):
    def complete(program):
        done = run(program, **DATA)
        ((_, options),) = done.called("fit")
        return any("validation" in name for name in options) and bool(done.called("evaluate"))

    assert all(map(complete, corrected.values()))
    assert not any(map(complete, printed.values()))


@evidence(*program_pairs("000", "001", "002", "003", "004"))
def test_a_seed_is_set(printed, corrected):
    def seeds(program):
        nodes = ast.walk(ast.parse(program))
        calls = [n.func for n in nodes if isinstance(n, ast.Call)]
        called = {n.attr if isinstance(n, ast.Attribute) else n.id for n in calls}
        return called & {"set_random_seed", "seed"}

    assert all(map(seeds, corrected.values()))
    assert not any(map(seeds, printed.values()))


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


# ------------------------------------------------------------------------------ article 002


@evidence(*program_pair("002"))
def test_the_test_set_is_not_used_for_validation(printed, corrected):
    def validation_set(program):
        done = run(program, **DATA)
        ((_, options),) = done.called("fit")
        return options.get("validation_data", (None,))[0], done.names["X_test"]

    held_out, test = validation_set(printed)
    assert held_out is test
    held_out, test = validation_set(corrected)
    assert held_out is None


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


# ------------------------------------------------------------- article 003, call by call


TF1_NAMES = {
    "placeholder",
    "random_normal",
    "nn.rnn_cell",
    "nn.dynamic_rnn",
    "train.AdamOptimizer",
    "Session",
    "global_variables_initializer",
}
"""Names of TensorFlow 1 that article 003 uses and TensorFlow 2.15.1 no longer has."""


@evidence(*program_pair("003"))
def test_tf1_names_are_not_in_tensorflow_2(printed, corrected):
    for program in (printed, corrected):
        assert {name for name in TF1_NAMES if f"tf.{name}" in program} >= TF1_NAMES - {
            "random_normal"
        }
    assert isinstance(run(printed, tensorflow=2).error, AttributeError)
    assert "placeholder" in str(run(printed, tensorflow=2).error)
    assert run(corrected, tensorflow=2).error is None


def dynamic_rnn_of(program):
    ((_, given),) = run(program, tensorflow=1).called("dynamic_rnn")
    return given


@evidence(*program_pair("003"))
def test_tf1_input_has_three_axes(printed, corrected):
    assert len(dynamic_rnn_of(corrected)["inputs"].shape) == 3
    assert len(dynamic_rnn_of(printed)["inputs"].shape) == 2


@evidence(*program_pair("003"))
def test_tf1_third_argument_is_the_sequence_length(printed, corrected):
    right, wrong = dynamic_rnn_of(corrected), dynamic_rnn_of(printed)
    assert right["initial_state"] is not None
    assert right["lengths"] is None
    assert wrong["initial_state"] is None
    assert wrong["lengths"].shape == [10]


@evidence(*program_pair("003"))
def test_tf1_variables_are_used(printed, corrected):
    def unused(program):
        return set(names(program, ast.Store)) - set(names(program, ast.Load)) - {"_"}

    assert unused(corrected) <= {"update"}
    assert unused(printed) == {"W", "U", "b", "states", "t"}


def updates(program):
    return [call for call in run(program, tensorflow=1).called("run") if "update" in call[0]]


@evidence(*program_pair("003"))
def test_tf1_placeholders_are_fed_with_arrays(printed, corrected):
    (_, right), (_, wrong) = updates(corrected)[0], updates(printed)[0]
    assert {type(value) for value in right.values()} == {np.ndarray}
    assert {type(value) for value in wrong.values()} == {Tensor}


@evidence(*program_pair("003"))
def test_tf1_loss_is_fetched(printed, corrected):
    assert all(len(fetches) == 2 for fetches, _ in updates(corrected))
    assert all(len(fetches) == 1 for fetches, _ in updates(printed))


@evidence(*program_pair("003"))
def test_tf1_number_of_updates_is_not_the_number_of_steps(printed, corrected):
    shorter = [program.replace("T = 100", "T = 7") for program in (printed, corrected)]
    assert [len(updates(program)) for program in (printed, corrected)] == [100, 100]
    assert [len(updates(program)) for program in shorter] == [7, 100]


@evidence(*program_pair("003"))
def test_the_target_is_computed_from_the_data(printed, corrected):
    def fed_to_the_loss(program):
        done = run(program, tensorflow=1)
        (((loss,), _),) = done.called("minimize")
        return placeholders(loss) - {done.names["X"]}

    assert len(fed_to_the_loss(corrected)) == 1
    assert not fed_to_the_loss(printed)
    done = run(corrected, tensorflow=1).names
    np.testing.assert_allclose(done["y_data"], done["x_data"].mean(axis=1))


@evidence(lambda B, H: np.zeros((H,)), lambda B, H: (np.zeros((B, H)), np.zeros((B, H))))
def test_the_state_has_two_parts(printed, corrected):
    cell = lstm.LSTMCell(10, 10, dtype=np.float64)
    assert len(cell(np.zeros((1, 10)), corrected(1, 10))) == 2
    with pytest.raises(ValueError, match="hx must be a pair"):
        cell(np.zeros((1, 10)), printed(1, 10))


@evidence(lambda outputs: outputs[-1], lambda outputs: outputs[:, -1])
def test_the_last_output_is_the_last_step(printed, corrected):
    batch, steps, size = 4, 7, 3
    outputs = np.arange(steps)[None, :, None] + np.zeros((batch, steps, size))
    assert corrected(outputs).shape == (batch, size)
    assert (corrected(outputs) == steps - 1).all()
    assert printed(outputs).shape == (steps, size)


# ------------------------------------------------------------------------------ article 004


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
    assert "y_train" not in names(
        program_pair("004")[0].replace("(x_train, y_train)", "_"), ast.Store
    )


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
