"""The experiments: the task, the networks, the training and the records."""

import importlib.util
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from lstm_book.experiments import (
    Cell,
    load_record,
    record,
    remember_task,
    runs_of,
    train_to_remember,
)
from lstm_book.experiments.digits import EQUAL_SIZE, MODELS, count_parameters
from lstm_book.experiments.memory import INPUT_SIZE
from lstm_book.experiments.record import FOLDER, command
from lstm_book.experiments.recorded import EXPERIMENTS, MEMORY_CELLS, SEEDS

from lstm import equations as eq

RECORDED = [*EXPERIMENTS, "cost"]
CELLS = {
    "rnn": Cell("rnn", 5),
    "rnn, relu": Cell("rnn", 5, activation="relu"),
    "lstm": Cell("lstm", 5, forget_bias=1.0),
    "lstm, relu": Cell("lstm", 5, activation="relu", output_activation="relu"),
    "lstm, no output tanh": Cell("lstm", 5, output_activation="identity"),
}
FUNCTIONS = {"tanh": np.tanh, "relu": lambda a: np.maximum(a, 0), "identity": lambda a: a}


def test_task_asks_for_the_first_sign():
    x, y = remember_task(np.random.default_rng(0), batch=500, steps=7)
    assert x.shape == (7, 500, INPUT_SIZE)
    assert set(np.unique(x[..., 0])) == {-1.0, 1.0}
    np.testing.assert_array_equal(x[0, :, 1], 1)
    np.testing.assert_array_equal(x[1:, :, 1], 0)
    np.testing.assert_array_equal(y, x[0, :, 0] == 1)
    assert 0.4 < y.mean() < 0.6


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_logits_are_those_of_the_equations(cell):
    seeds, steps, batch, H = (3, 4), 6, 2, cell.hidden_size
    weights = cell.initial_weights(seeds)
    x = np.random.default_rng(1).normal(size=(2, steps, batch, INPUT_SIZE))
    logits = cell.logits(weights, torch.tensor(x)).detach().numpy()
    activation, output = FUNCTIONS[cell.activation], FUNCTIONS[cell.output_activation]
    for index in range(2):
        W, U, b, v, beta = (w[index].detach().numpy() for w in weights.values())
        h, c = np.zeros((batch, H)), np.zeros((batch, H))
        for x_t in x[index]:
            a = eq.preactivation(x_t, h, W, U, b)
            if cell.kind == "rnn":
                h = activation(a)
                continue
            i, f, o = (eq.sigmoid(a[:, k * H : (k + 1) * H]) for k in (0, 1, 3))
            c = eq.cell_state(f, c, i, activation(a[:, 2 * H : 3 * H]))
            h = o * output(c)
        np.testing.assert_allclose(logits[index], (h @ v.T + beta)[:, 0], rtol=1e-12)


def test_initial_weights():
    cell = Cell("lstm", 4, forget_bias=3.0)
    b = cell.initial_weights([0])["b"][0].detach().numpy()
    np.testing.assert_array_equal(b[4:8], 3)
    assert np.abs(np.delete(b, slice(4, 8))).max() < 0.5
    U = Cell("rnn", 4, orthogonal=True).initial_weights([0])["U"][0].detach().numpy()
    np.testing.assert_allclose(U @ U.T, np.eye(4), atol=1e-14)


def test_parameters_are_counted():
    for cell in MEMORY_CELLS.values():
        weights = cell.initial_weights([0])
        assert cell.num_parameters == sum(weights[name].numel() for name in ("W", "U", "b"))
    equal, lstm_cell = (MEMORY_CELLS[n] for n in ("RNN, equal parameters", "LSTM, forget bias 0"))
    assert equal.num_parameters == pytest.approx(lstm_cell.num_parameters, rel=0.03)


def test_a_seed_does_not_depend_on_those_beside_it():
    cell = Cell("lstm", 4, forget_bias=1.0)
    alone = train_to_remember(cell, 5, [7], updates=12)
    beside = train_to_remember(cell, 5, [3, 7], updates=12)
    assert beside["largest_gradient"][1] == pytest.approx(alone["largest_gradient"][0], rel=1e-9)
    assert beside["accuracy"][1] == alone["accuracy"][0]
    assert beside["accuracy"][0] != alone["accuracy"][0]


def test_updates_are_those_of_torchs_adam():
    cell, rng, norms = Cell("rnn", 3), np.random.default_rng([0, 1]), []
    weights = cell.initial_weights([0])
    optimizer = torch.optim.Adam(weights.values(), lr=0.01)
    for _ in range(2):
        x, y = (torch.tensor(array) for array in remember_task(rng, 32, 4))
        logits = cell.logits(weights, x[None])[0]
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(logits, y).backward()
        norms.append(torch.sqrt(sum((w.grad**2).sum() for w in weights.values())).item())
        optimizer.step()
    found = train_to_remember(cell, 4, [0], updates=2, lr=0.01, max_norm=None)
    assert found["first_gradient"][0] == pytest.approx(norms[0], rel=1e-12)
    assert found["largest_gradient"][0] == pytest.approx(max(norms), rel=1e-9)


def test_an_easy_task_is_learnt_and_an_impossible_budget_is_not():
    cell = Cell("rnn", 8)
    easy = train_to_remember(cell, 2, range(3), updates=300, lr=0.02)
    assert all(10 <= update <= 300 for update in easy["solved_at"])
    assert min(easy["accuracy"]) > 0.95
    assert train_to_remember(cell, 60, range(3), updates=12)["solved_at"] == [None] * 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "gru"}, "kind must be one of ['rnn', 'lstm'], got 'gru'"),
        ({"kind": "rnn", "activation": "elu"}, "activation must be one of"),
        ({"kind": "lstm", "output_activation": "no"}, "output_activation must be one of"),
    ],
)
def test_a_wrong_cell_is_named(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Cell(hidden_size=2, **arguments)


def test_models_of_the_digits_have_equal_parameters():
    assert EQUAL_SIZE == 140
    counts = {name: count_parameters(name) for name in MODELS}
    assert counts["RNN, equal parameters"] == pytest.approx(counts["LSTM"], rel=0.03)
    assert counts["softmax regression"] == 7850


def test_a_missing_record_names_its_command():
    with pytest.raises(
        FileNotFoundError, match=re.escape("python -m lstm_book.experiments nothing")
    ):
        load_record("nothing")


@pytest.mark.parametrize("name", RECORDED)
def test_every_experiment_is_recorded_and_can_be_repeated(name):
    found = load_record(name)
    assert found["experiment"] == name
    assert found["versions"].keys() >= {"python", "numpy", "torch"}
    # A record keeps the command that made it, a page prints the one that makes it today.
    assert found["command"] == command(name)
    assert importlib.util.find_spec(found["command"].split()[2])


def test_a_record_is_written_and_read(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "FOLDER", tmp_path / "new")
    assert record.save_record("data", {"runs": [1]}, 2.04) == tmp_path / "new" / "data.json"
    found = load_record("data")
    assert (found["seconds"], found["runs"], found["command"]) == (2.0, [1], command("data"))
    assert {"python", "numpy", "torch"} <= found["versions"].keys()


def test_there_are_no_other_records():
    assert {path.stem for path in FOLDER.glob("*.json")} == set(RECORDED)


@pytest.mark.parametrize("name", ["remember", "activations", "clipping", "budget"])
def test_records_have_ten_seeds_and_end_where_they_say(name):
    found = load_record(name)
    assert found["seeds"] == list(SEEDS)
    for run in found["runs"]:
        assert len(run["solved_at"]) == len(run["accuracy"]) == len(SEEDS)
        solved = [update for update in run["solved_at"] if update is not None]
        updates = run.get("updates", found["updates"])
        assert all(10 <= update <= updates for update in solved)
        cell = Cell(**{key: run[key] for key in Cell.__dataclass_fields__})
        assert found["parameters"][run["name"]] == cell.num_parameters


def test_runs_of_a_record_are_found_by_their_settings():
    found = load_record("remember")
    (run,) = runs_of(found, "RNN", steps=50, lr=0.01)
    assert (run["name"], run["steps"], run["lr"]) == ("RNN", 50, 0.01)
    assert len(runs_of(found, "RNN", steps=50)) == 2
    assert runs_of(found, "nobody") == []


def test_records_are_read_without_pytorch():
    code = (
        "import sys; sys.modules['torch'] = None; "
        "from lstm_book.experiments import load_record, runs_of; "
        "assert runs_of(load_record('remember'), 'RNN')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
