"""State and recall: the tasks say what they promise, and each form of a network is the same one."""

import itertools

import numpy as np
import pytest
import torch
from lstm_book.experiments import contest, contestants, load_record, parallel, tracked, tracking
from lstm_book.experiments.record import Journal
from lstm_book.experiments.tracking import CONTESTANTS, IGNORED, TASKS

from lstm import variants

GROUPS = {
    "parity": (2, tracking.permutations(2)),
    "S3": (6, tracking.permutations(3)),
    "A5": (60, tracking.TWO_OF_A5),
}


@pytest.mark.parametrize("name", GROUPS)
def test_the_labels_are_products_of_a_group(name):
    order, letters = GROUPS[name]
    elements = tracking.permutations(len(letters[0]), even=name == "A5")
    table = tracking.multiplication_table(elements)
    assert len(table) == order == TASKS[name].classes
    assert (table[0] == np.arange(order)).all()
    assert (table == table.T).all() == (name == "parity")
    for a, b, c in np.random.default_rng(1).integers(order, size=(300, 3)):
        assert table[table[a, b], c] == table[a, table[b, c]]
    x, y = TASKS[name].draw(np.random.default_rng(0), 3, 7)
    assert x.max() == TASKS[name].tokens - 1
    state = np.arange(len(elements[0]))
    for t in range(7):  # apply the permutations themselves, one after the other
        state = state[list(letters[x[t, 0]])]
        assert elements[y[t, 0]] == tuple(state)


def test_words_of_one_length_in_the_two_generators_are_all_of_a5():
    """So each sequence of elements is a sequence of generators, a fixed number of times longer."""
    table = tracking.multiplication_table(tracking.A5)
    letters = [tracking.A5.index(g) for g in tracking.TWO_OF_A5]
    reached, length = {0}, 0
    while len(reached) < 60:
        reached, length = {table[a, g] for a in reached for g in letters}, length + 1
        assert length < 20
    assert length > 5  # two letters make at most 32 words of five


def test_the_smallest_group_that_is_not_solvable():
    """A5 is its own commutator subgroup: that is what sets it apart from S3."""

    def commutators(table):
        inverse = np.argmin(table, axis=1)  # the identity has number 0
        pairs = itertools.product(range(len(table)), repeat=2)
        reached = {table[table[inverse[a], inverse[b]], table[a, b]] for a, b in pairs}
        while len(more := {table[a, b] for a in reached for b in reached}) > len(reached):
            reached = more
        return len(reached)

    five = tracking.multiplication_table(tracking.permutations(5, even=True))
    three = tracking.multiplication_table(tracking.permutations(3))
    assert (len(five), commutators(five)) == (60, 60)
    assert (len(three), commutators(three)) == (6, 3)


def test_recall_asks_for_each_key_once_and_knows_its_value():
    x, y = TASKS["recall"].draw(np.random.default_rng(0), 5, 16)
    for b in range(5):
        (keys, values), (asked, nothing) = x[:16, b].T, x[16:, b].T
        stored = dict(zip(keys, values - 64, strict=True))
        assert (y[:16, b] == IGNORED).all()
        assert (nothing == 72).all()
        assert sorted(asked) == sorted(stored)
        assert [stored[key] for key in asked] == list(y[16:, b])


def test_mlstm_in_parallel_is_mlstm_step_by_step():
    layer = variants.MLSTM(5, 6, dtype=np.float64, rng=0)
    for k, parameter in enumerate(layer.parameters()):
        parameter.data[...] = 2 * np.random.default_rng(k).standard_normal(parameter.shape)
    twin = parallel.MatrixLayer(5, 6).double()
    twin.affine.weight.data = torch.tensor(layer.weight_ih_l0.data)
    twin.affine.bias.data = torch.tensor(layer.bias_ih_l0.data)
    x = np.random.default_rng(9).standard_normal((30, 3, 5))
    actual = twin(torch.tensor(x).transpose(0, 1)).transpose(0, 1).detach().numpy()
    np.testing.assert_allclose(actual, layer(x)[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("signed", [False, True])
def test_minlstm_in_parallel_is_minlstm_step_by_step(signed):
    layer = variants.MinLSTM(5, 6, signed=signed, dtype=np.float64, rng=0)
    twin = parallel.MinLayer(5, 6).double()
    twin.signed = signed
    twin.affine.weight.data = torch.tensor(layer.weight_ih_l0.data)
    twin.affine.bias.data = torch.tensor(layer.bias_ih_l0.data)
    rng = np.random.default_rng(9)
    x, d_h = rng.standard_normal((12, 3, 5)), rng.standard_normal((12, 3, 6))
    output, backward = layer.vjp(x)
    d_x, _ = backward(d_h)
    x_torch = torch.tensor(x).transpose(0, 1).requires_grad_()
    actual = twin(x_torch)
    actual.backward(torch.tensor(d_h).transpose(0, 1))
    close = {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(actual.detach().transpose(0, 1).numpy(), output[0], **close)
    np.testing.assert_allclose(x_torch.grad.transpose(0, 1).numpy(), d_x, **close)
    d_weight = twin.affine.weight.grad.numpy()
    np.testing.assert_allclose(d_weight, layer.weight_ih_l0.grad, **close)


@pytest.mark.parametrize("name", CONTESTANTS)
@pytest.mark.parametrize("task", ["S3", "recall"])
def test_no_network_looks_ahead(name, task):
    learner = contestants.learner(name, TASKS[task], 0)
    x, _ = TASKS[task].draw(np.random.default_rng(0), 4, 12)
    changed = x.copy()
    changed[6:] = x[:-6]
    assert (changed[6:] != x[6:]).any()
    assert (learner.answers(x)[:6] == learner.answers(changed)[:6]).all()


@pytest.mark.parametrize("name", CONTESTANTS)
@pytest.mark.parametrize("task", TASKS)
def test_every_contestant_has_its_share_of_parameters(name, task):
    count = contestants.learner(name, TASKS[task], 0).num_parameters
    size = tracking.fitting_size(name, TASKS[task])
    assert count == tracking.num_parameters(name, size, TASKS[task])
    assert count == pytest.approx(
        tracking.num_parameters("LSTM", tracking.UNITS, TASKS[task]), rel=0.01
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", CONTESTANTS)
def test_every_contestant_learns(name):
    learner, task = contestants.learner(name, TASKS["S3"], 0), TASKS["S3"]
    x, y = task.draw(np.random.default_rng(0), 16, 2)
    losses = [learner.learn(x, y, 0.003) for _ in range(150)]
    assert losses[-1] < 0.7 * losses[0]


def test_a_tested_network_is_judged_step_by_step():
    class Wrong:
        """Right up to step 45, then never."""

        def answers(self, x):
            y = np.array(list(itertools.accumulate(x, np.bitwise_xor)))
            y[45:] = 1 - y[45:]
            return y

    found = contestants.accuracies(Wrong(), TASKS["parity"], 0, 160)
    assert found["accuracy"] == {"10": 1, "20": 1, "40": 1, "80": 0, "160": 0}
    assert found["unbroken"] == found["accuracy"]


@pytest.mark.slow
def test_a_contest_goes_on_where_it_was_broken_off(tmp_path, monkeypatch):
    monkeypatch.setattr(contest, "TASKS", {"parity": TASKS["parity"]})
    monkeypatch.setattr(contest, "CONTESTANTS", ("LSTM",))
    monkeypatch.setattr(contest, "LOWER", ("parity", "LSTM"))
    monkeypatch.setattr(contest, "run_all", one_after_the_other)
    journal = Journal(tmp_path / "x.partial")
    with pytest.raises(TimeoutError, match="missing"):
        contest.tracking(journal, share=0.001, until=0)
    done = contest.tracking(journal, share=0.001)
    choices = [run for run in done["runs"] if run["part"] == "choice"]
    results = [run for run in done["runs"] if run["part"] == "result"]
    assert [run["seed"] for run in results] == list(contest.SEEDS)
    assert {run["lr"] for run in results} == {contest.chosen_rate(choices)}
    assert contest.rates_to_try(choices) == []
    lower = [run for run in done["runs"] if run["part"] == "lower"]
    assert [run["seed"] for run in lower] == list(contest.SEEDS)
    assert {run["lr"] for run in lower} == {max(r for r in contest.LADDER if r < results[0]["lr"])}
    assert Journal(tmp_path / "x.partial").results == journal.results


def test_longer_has_ten_times_the_time(tmp_path, monkeypatch):
    monkeypatch.setattr(contest, "LONGER_RUNS", [("LSTM", 0.01, 3)])
    monkeypatch.setattr(contest, "run_all", one_after_the_other)
    (run,) = contest.longer(Journal(tmp_path / "x.partial"), share=0.001)["runs"]
    assert (run["name"], run["lr"], run["seed"], run["share"]) == ("LSTM", 0.01, 3, 0.01)


def one_after_the_other(journal, calls, processes, share, until):
    calls = list(calls)
    for call in calls if until > 0 else ():
        journal.keep(str(call), contest.run_one(*call, share), 0.0)
    return [journal.results[str(call)] for call in calls if str(call) in journal.results]


@pytest.mark.parametrize(
    ("best", "lowest", "highest"), [(0.0003, 0.0001, 0.03), (0.1, 0.0003, 0.3)]
)
def test_rates_are_tried_until_the_best_has_worse_ones_on_both_sides(best, lowest, highest):
    runs = []
    while rates := contest.rates_to_try(runs):
        runs += [{"lr": lr, "losses": [abs(np.log(lr / best))]} for lr in rates]
    tried = {run["lr"] for run in runs}
    assert (contest.chosen_rate(runs), min(tried), max(tried)) == (best, lowest, highest)


def test_where_every_rate_diverged_a_lower_one_is_tried():
    runs = [{"lr": lr, "error": "x"} for lr in contest.FIRST_RATES]
    assert contest.rates_to_try(runs) == [0.0001]


def test_a_run_that_fails_is_a_result():
    assert "must be one of" in contest.run_one("parity", "nobody", 0.1, 0, "choice", 0.001)["error"]


def test_a_rate_at_which_a_loss_was_not_finite_is_not_chosen():
    runs = [{"lr": 0.1, "error": "x"}, {"lr": 0.1, "losses": [0.0]}, {"lr": 0.2, "losses": [9, 1]}]
    assert contest.chosen_rate(runs) == 0.2
    assert contest.chosen_rate(runs[:1]) is None


# ------------------------------------------------------------------------------------- the record
PAIRS = list(itertools.product(TASKS, CONTESTANTS))


@pytest.mark.parametrize(("task", "name"), PAIRS)
def test_the_recorded_rate_is_the_best_of_those_tried_and_at_no_edge(task, name):
    record = load_record("tracking")
    choices = tracked.runs(record, task, name, "choice")
    tried, chosen = tracked.rates(record, task, name)
    assert chosen == contest.chosen_rate(choices)
    assert tried[0] < chosen < tried[-1]
    assert contest.rates_to_try(choices) == []
    assert sorted(run["seed"] for run in tracked.runs(record, task, name)) == list(contest.SEEDS)


@pytest.mark.parametrize(("task", "name"), PAIRS)
def test_runs_of_a_faster_machine_had_less_time_and_about_as_many_updates(task, name):
    record = load_record("tracking")
    for part, like in (("choice", "choice"), ("result", "result"), ("lower", "result")):
        usual = [r["updates"] for r in tracked.runs(record, task, name, like) if r["share"] == 1]
        later = [r["updates"] for r in tracked.runs(record, task, name, part) if r["share"] < 1]
        assert all(0.6 < number / np.median(usual) < 1.4 for number in later)


def test_a_rate_at_an_edge_is_found():
    runs = [{"task": "t", "name": "n", "part": "choice", "lr": lr} for lr in (0.1, 0.2, 0.3)]
    for lr, found in ((0.1, True), (0.2, False), (0.3, True)):
        record = {"runs": [*runs, {"task": "t", "name": "n", "part": "result", "lr": lr}]}
        assert tracked.chosen_at_an_edge(record) == [("t", "n", lr)] * found


@pytest.mark.parametrize(
    ("updates", "expected"), [(1, 3.0), (20, 3.0), (21, 2.0), (40, 2.0), (60, 1.0), (99, 1.0)]
)
def test_the_loss_after_so_many_updates_is_that_of_its_part_of_the_run(updates, expected):
    run = {"task": "t", "name": "n", "part": "result", "updates": 60, "losses": [3.0, 2.0, 1.0]}
    assert tracked.loss_after({"runs": [run]}, "t", "n", updates) == [expected]
