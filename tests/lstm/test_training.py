"""``Trainer``, ``evaluate`` and ``predict``: what they do, what they refuse, and resuming."""

import contextlib
import io
import json
import os
import random
import subprocess
import sys
import textwrap
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lstm
from lstm.checkpoint import load_checkpoint
from lstm.schedules import linear
from lstm.training import shuffled

N, T, D, K = 40, 6, 3, 4


def data(n=N, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, T, D))
    labels = x[:, -1].argmax(axis=1)  # which of the last three numbers is the largest
    return x, labels


def classifier(seed=0, dropout=0.0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    reader = lstm.LSTM(D, 8, batch_first=True, dtype=dtype, rng=rng)
    head = lstm.Sequential(lstm.Dropout(dropout, rng=rng), lstm.Linear(8, K, dtype=dtype, rng=rng))
    return lstm.SequenceClassifier(reader, head)


def trainer(model, optimizer=None, **options):
    optimizer = optimizer or lstm.Adam(model.parameters(), lr=0.02)
    return lstm.Trainer(
        model, lstm.cross_entropy, optimizer, **{"batch_size": 16, "rng": 5} | options
    )


OF_FIT = ("validation", "patience", "bucket_by", "callback")


def train(model, epochs=3, inputs=None, targets=None, **options):
    x, labels = data()
    of_fit = {name: options.pop(name) for name in OF_FIT if name in options}
    return trainer(model, **options).fit(
        x if inputs is None else inputs,
        labels if targets is None else targets,
        epochs=epochs,
        **of_fit,
    )


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


# --- what it does -------------------------------------------------------------------------------


def test_learns_and_reports():
    model = classifier()
    history = train(model, epochs=60, validation=data(200, seed=1))
    assert [row["epoch"] for row in history] == list(range(1, 61))
    assert history[-1].keys() == {"epoch", "loss", "lr", "validation_loss", "validation_accuracy"}
    assert history[-1]["loss"] < 0.1 * history[0]["loss"]
    assert history[-1]["validation_accuracy"] > 0.8
    assert not model.training
    assert lstm.evaluate(model, *data(200, seed=1), lstm.cross_entropy) == {
        "loss": history[-1]["validation_loss"],
        "accuracy": history[-1]["validation_accuracy"],
    }


def test_same_seed_same_bits_other_seed_other_bits():
    models = [classifier() for _ in range(3)]
    histories = [train(model, rng=seed) for model, seed in zip(models, (5, 5, 6), strict=True)]
    assert same(models[0], models[1])
    assert histories[0] == histories[1]
    assert not same(models[0], models[2])


def test_loss_of_an_epoch_is_the_mean_over_examples():
    """With a learning rate of 0 it must be the loss of the model, whatever the batches."""
    model = classifier()
    sgd = lstm.SGD(model.parameters(), lr=0.0)
    (row,) = train(model, epochs=1, batch_size=7, optimizer=sgd)
    assert row["loss"] == pytest.approx(lstm.evaluate(model, *data(), lstm.cross_entropy)["loss"])


def test_every_example_once_per_epoch():
    seen = []

    def note(rng, x):
        seen.append(x[:, 0, 0])
        return (x,)

    train(classifier(), epochs=2, batch_size=7, augment=note)
    per_epoch = [np.concatenate(seen[:6]), np.concatenate(seen[6:])]
    assert [len(batch) for batch in seen[:6]] == [7, 7, 7, 7, 7, 5]
    for values in per_epoch:
        np.testing.assert_array_equal(np.sort(values), np.sort(data()[0][:, 0, 0]))
    assert not np.array_equal(*per_epoch)


def test_augment_changes_what_training_sees_and_nothing_else():
    x, _ = data()
    before = x.copy()
    model = classifier()

    def blank(rng, batch):
        batch[...] = 0  # a batch is a copy: the data set is safe
        return (batch,)

    history = train(model, inputs=x, augment=blank, validation=data())
    np.testing.assert_array_equal(x, before)
    assert not model.recurrent.weight_ih_l0.grad.any()
    blanked = lstm.evaluate(model, 0 * x, data()[1], lstm.cross_entropy)["loss"]
    assert history[-1]["validation_loss"] != pytest.approx(blanked, rel=1e-3)


def test_augment_may_give_the_model_another_shape():
    wide = np.zeros((40, 5), np.float32)
    history = train(lstm.Linear(2, 3, rng=0), inputs=wide, augment=lambda _, x: (x[:, :2],))
    assert np.isfinite(history[-1]["loss"])


def test_a_step_sees_its_arguments_as_fit_does():
    model = lstm.Linear(3, 2, rng=0)
    weight = model.weight
    step, x = trainer(model).step, np.ones((4, 3), np.float32)
    for targets in (None, 3, len, [], [0, 1]):
        with pytest.raises(
            ValueError, match=r"targets|inputs.0. must hold one entry for each of 2"
        ):
            step(x, targets)
    weight.grad[...] = 3
    with pytest.raises(ValueError, match="input must have dtype float32"):
        step(x.astype(int), [0, 1, 1, 0])
    assert (weight.grad == 3).all()  # as it was, like everything else
    assert step(x, [0, 1, 1, 0]) > 0


def test_schedule_scales_the_rate_and_max_norm_bounds_the_gradient():
    model, rates, norms = classifier(), [], []
    sgd = lstm.SGD(model.parameters(), lr=0.5)
    step = sgd.step

    def note():
        rates.append(sgd.lr)
        norms.append(sgd.clip_grad_norm_(1e9))
        step()

    sgd.step = note
    history = train(model, epochs=2, schedule=lambda done: 1 - done, max_norm=0.01, optimizer=sgd)
    np.testing.assert_allclose(rates, 0.5 * (1 - np.arange(6) / 6))
    assert [row["lr"] for row in history] == [rates[2], rates[5]]
    assert sgd.lr == 0.5
    assert max(norms) <= 0.01 * (1 + 1e-12)


def test_early_stopping_goes_back_to_the_best_epoch():
    model, x, labels = classifier(), *data(12)
    validation = data(100, seed=1)
    noisy = np.random.default_rng(0).permutation(labels)  # nothing to learn: it only overfits
    adam = lstm.Adam(model.parameters(), lr=0.03)
    options = {"inputs": x, "targets": noisy, "epochs": 200}
    history = train(model, **options, patience=5, validation=validation, optimizer=adam)
    losses = [row["validation_loss"] for row in history]
    best = int(np.argmin(losses))
    assert len(history) == best + 6 < 200
    now = lstm.evaluate(model, *validation, lstm.cross_entropy)["loss"]
    assert now == losses[best] < losses[-1]


def test_predict_and_evaluate_do_not_depend_on_the_batch_size_nor_change_the_model():
    model = classifier(dropout=0.5).train()
    x, labels = data(23)
    whole = lstm.predict(model, x, batch_size=100)
    assert whole.shape == (23, K)
    np.testing.assert_allclose(lstm.predict(model, x, batch_size=4), whole, rtol=1e-12)
    assert model.training
    scores = lstm.evaluate(model, x, labels, lstm.cross_entropy, batch_size=7)
    assert scores["accuracy"] == (whole.argmax(axis=1) == labels).mean()
    assert scores["loss"] == pytest.approx(lstm.cross_entropy(whole, labels)[0], rel=1e-12)
    assert lstm.evaluate(model, x, whole, lstm.mse_loss) == {"loss": 0.0}


def test_binary_accuracy_is_the_sign_of_the_logit():
    model = lstm.Linear(1, 1, bias=False, dtype=np.float64)
    model.weight.data[...] = 1
    x = np.array([[-1.0], [2.0], [3.0]])
    scores = lstm.evaluate(model, x, [[0], [0], [1]], lstm.binary_cross_entropy_with_logits)
    assert scores["accuracy"] == pytest.approx(2 / 3)


# --- batches of similar length ------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 15, 16, 17, 3000])
def test_buckets_hold_every_example_once_and_similar_lengths(size):
    lengths = np.random.default_rng(0).integers(1, 500, size)
    order = shuffled(size, 16, np.random.default_rng(1), lengths)
    np.testing.assert_array_equal(shuffled(size, 16, 1, lengths), order)
    np.testing.assert_array_equal(np.sort(order), np.arange(size))
    if size == 3000:

        def padding(order):
            batches = [lengths[order[i : i + 16]] for i in range(0, size, 16)]
            return sum(len(batch) * batch.max() for batch in batches) / lengths.sum()

        assert padding(order) < 1.03 < 1.7 < padding(np.random.default_rng(1).permutation(size))
        again = shuffled(size, 16, np.random.default_rng(2), lengths)
        together = {frozenset(order[i : i + 16]) for i in range(0, size, 16)}
        assert not together & {frozenset(again[i : i + 16]) for i in range(0, size, 16)}


def test_bucketed_training_with_lengths_ignores_what_stands_behind_the_end():
    x, _ = data()
    lengths = np.random.default_rng(0).integers(1, T + 1, N)
    models, garbage = [classifier(), classifier()], x.copy()
    garbage[np.arange(T) >= lengths[:, None]] = 1e6
    for model, inputs in zip(models, (x, garbage), strict=True):
        train(model, inputs=(inputs, lengths), bucket_by=lengths)
    assert same(*models)


# --- what it refuses ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": data()[0][:-1]}, r"inputs\[0\] must hold one entry for each of 40 examples"),
        ({"inputs": (data()[0], [1, 2])}, r"inputs\[1\] must hold one entry for each of 40"),
        ({"inputs": np.zeros((0, T, D)), "targets": []}, "targets must hold at least one example"),
        ({"validation": (data()[0], [1, 2])}, r"validation inputs\[0\] must hold one entry"),
        ({"patience": 3}, "patience needs validation data"),
        ({"patience": 0, "validation": data()}, "patience must be a positive integer, got 0"),
        ({"epochs": 0}, "epochs must be a positive integer, got 0"),
        ({"batch_size": 2.5}, "batch_size must be a positive integer, got 2.5"),
        ({"bucket_by": [1, 2]}, r"bucket_by must have shape \(40,\), got \(2,\)"),
        ({"bucket_by": [np.nan] * N}, "bucket_by must be finite, got nan"),
        ({"bucket_by": ["a"] * N}, "bucket_by must be an array of numbers"),
        ({"validation": 5}, r"validation must be a pair \(inputs, targets\), got 5"),
        ({"validation": (1, 2, 3)}, r"validation must be a pair .*, got \(1, 2, 3\)"),
        ({"schedule": 5}, "schedule must be a function, got 5"),
        ({"schedule": lambda done: -1}, "what schedule returns must be a number in .*, got -1"),
        ({"augment": "x"}, "augment must be a function, got 'x'"),
        ({"callback": 5}, "callback must be a function, got 5"),
        ({"inputs": []}, "inputs must hold one array for each argument of the model, got 0"),
        ({"max_norm": 0}, r"max_norm must be a number in \(0, inf\], got 0"),
        ({"targets": np.full(N, K)}, r"labels must be in \[0, 3\], got values from 4 to 4"),
        ({"targets": np.ones(N)}, "labels must hold integers"),
        ({"inputs": data()[0].astype(np.float32)}, "input must have dtype float64, got float32"),
        ({"inputs": data()[0][..., :2]}, r"input must have shape \(..., 3\), got \(16, 6, 2\)"),
        ({"inputs": (data()[0], np.zeros(N, int))}, r"lengths must be in \[1, 6\], got values fro"),
    ],
)
def test_errors_leave_the_weights_alone(options, message):
    model = classifier()
    with pytest.raises(ValueError, match=message):
        train(model, **options)
    assert same(model, classifier())


@given(st.integers(0, N - 1), st.sampled_from(["targets", "validation"]), st.integers(K, 9))
def test_a_bad_target_is_found_wherever_it_is_before_anything_changes(place, where, label):
    model, (x, labels) = classifier(), data()
    labels[place] = label
    options = {"targets": labels} if where == "targets" else {"validation": (x, labels)}
    with pytest.raises(ValueError, match=rf"labels must be in \[0, 3\], got .* to {label}"):
        train(model, **options)
    assert same(model, classifier())


def test_another_models_optimizer_is_refused():
    """It would train nothing."""
    adam = lstm.Adam(classifier().parameters())
    with pytest.raises(
        ValueError, match=r"optimizer must be made from model.parameters\(\), got 6"
    ):
        lstm.Trainer(classifier(), lstm.cross_entropy, adam)
    model = classifier()  # some of its own are enough: the rest stays as it is
    before = model.recurrent.state_dict()
    train(model, optimizer=lstm.Adam(model.head.parameters()))
    assert all(np.array_equal(before[n], a) for n, a in model.recurrent.state_dict().items())


def test_predict_leaves_every_part_in_its_mode():
    model = classifier(dropout=0.5)
    model.recurrent.eval()
    lstm.predict(model, data(5)[0])
    assert model.training
    assert model.head.training
    assert not model.recurrent.training
    with pytest.raises(ValueError, match="input must have"):
        lstm.predict(model, data(5)[0][..., :2])
    assert not model.recurrent.training
    with pytest.raises(ValueError, match=r"inputs\[1\] must hold one entry for each of 5 examples"):
        lstm.predict(model, (data(5)[0], np.ones(6, int)))


def test_a_schedule_needs_a_number_of_epochs():
    with pytest.raises(ValueError, match="schedule needs a number of epochs: call fit"):
        trainer(classifier(), schedule=linear).epoch(*data())
    without = trainer(classifier())
    assert without.epoch(*data()) == without.history[0] == trainer(classifier()).epoch(*data())


def test_a_step_is_the_gradient_step_of_its_batch():
    model, by_hand = classifier(), classifier()
    x, labels = data()
    loss = trainer(model, lstm.SGD(model.parameters(), lr=0.1)).step(x, labels)
    expected, d_logits = lstm.cross_entropy(by_hand(x), labels)
    by_hand.backward(d_logits)
    assert loss == expected
    for parameter, other in zip(model.parameters(), by_hand.parameters(), strict=True):
        np.testing.assert_array_equal(parameter.data, other.data - 0.1 * other.grad)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_a_number_in_the_data(bad):
    x, labels = data()
    x[7, 3, 1] = x[30, 0, 0] = bad
    message = r"inputs\[0\] must be finite: 2 of 40 examples hold NaN or infinity.*is number 7"
    with pytest.raises(ValueError, match=message):
        train(classifier(), inputs=x)
    with pytest.raises(ValueError, match=f"validation {message}"):
        train(classifier(), validation=(x, labels))


def test_a_loss_that_explodes_stops_before_the_weights_are_lost():
    model = lstm.Linear(1, 1)
    x, y = np.full((4, 1), 1e15, np.float32), np.zeros((4, 1), np.float32)
    sgd = lstm.SGD(model.parameters(), lr=1.0)
    with np.errstate(over="ignore"), pytest.raises(RuntimeError, match=r"epoch 2, step 1.*smaller"):
        lstm.Trainer(model, lstm.mse_loss, sgd).fit(x, y, epochs=9)
    assert np.isfinite(model.weight.data).all()


# --- stop and go on -----------------------------------------------------------------------------


class Stop(Exception):
    """What a callback raises to end a training."""


def stop_at(step):
    """Return a callback that ends the training after so many steps."""
    steps = iter(range(1, 10**9))

    def callback(_):
        if next(steps) == step:
            raise Stop

    return callback


def everything(kind="adam", **options):
    """Return a training in which every part has a state of its own, and the arguments of its fit.

    Moments, masks, shuffling, augmentation, a schedule, the best weights, buckets.
    """
    rng = np.random.default_rng(3)
    x = rng.standard_normal((18, 5, 3)).astype(np.float32)
    lengths = rng.integers(1, 6, 18)
    labels = rng.integers(0, 3, 18)
    model = lstm.SequenceClassifier(
        lstm.LSTM(3, 6, num_layers=2, dropout=0.3, batch_first=True, rng=rng),
        lstm.Sequential(lstm.Dropout(0.3, rng=4), lstm.Linear(6, 3, rng=rng)),
    )
    kinds = {
        "adam": lstm.Adam,
        "rmsprop": lstm.RMSprop,
        "momentum": lambda p, lr: lstm.SGD(p, lr, momentum=0.9),
    }
    options = {"schedule": linear, "max_norm": 1.0, "rng": rng} | options
    optimizer = kinds[kind](model.parameters(), lr=0.01)
    arguments = {
        "inputs": (x, lengths),
        "targets": labels,
        "epochs": 4,
        "validation": ((x[:9], lengths[:9]), labels[:9]),
        "patience": 2,
        "bucket_by": lengths,
    }
    return lstm.Trainer(
        model, lstm.cross_entropy, optimizer, batch_size=4, augment=add_noise, **options
    ), arguments


def add_noise(rng, x, lengths):
    return x + rng.normal(0, 0.1, x.shape).astype(x.dtype), lengths


def same_state(a, b):
    assert a.keys() == b.keys()
    return all(a[name].tobytes() == b[name].tobytes() for name in a)


@pytest.mark.parametrize("kind", ["adam", "rmsprop", "momentum"])
@pytest.mark.parametrize("step", range(1, 21))
def test_stopped_after_any_step_it_ends_in_the_same_bits(kind, step):
    """Five steps an epoch: at the first, within, at the end; by way of a file in memory."""
    whole, arguments = everything(kind)
    expected = whole.fit(**arguments)
    stopped, _ = everything(kind)
    with contextlib.suppress(Stop):  # patience may have ended it before
        stopped.fit(**arguments, callback=stop_at(step))
    file = io.BytesIO()
    np.savez(file, **stopped.state_dict())
    resumed, _ = everything(kind)
    resumed.rng.random(3)  # wherever it was before
    file.seek(0)
    resumed.load_state_dict(dict(np.load(file, allow_pickle=False)))
    assert resumed.fit(**arguments) == expected
    assert same_state(resumed.state_dict(), whole.state_dict())
    assert stopped.fit(**arguments) == expected  # and without leaving the process


def test_it_stops_at_once_and_between_steps():
    stopped, arguments = everything()
    with pytest.raises(Stop):
        stopped.fit(**arguments, callback=stop_at(7))
    assert (len(stopped.history), stopped.place) == (1, 2)
    assert stopped.optimizer.lr == 0.01  # what the next training starts from
    assert stopped.optimizer.steps == 7


def test_more_epochs_are_the_same_as_from_the_start():
    models = [classifier(), classifier()]
    short = trainer(models[0])
    short.fit(*data(), epochs=2)
    assert short.fit(*data(), epochs=5) == trainer(models[1]).fit(*data(), epochs=5)
    assert same(*models)


@pytest.mark.slow
@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([None, 1, 9]), st.booleans()), min_size=1)
)
def test_in_however_many_parts_it_is_one_training(parts):
    """With patience or without, within one process or by way of a state: the same bits."""
    x, labels = data(20, seed=1)
    validation = x, (labels + 1) % 3  # wrong answers: the first epoch is the best
    one = trainer(classifier(dropout=0.3))
    for more, patience, is_fresh in parts:
        if is_fresh:
            state, one = one.state_dict(), trainer(classifier(seed=1, dropout=0.3))
            one.load_state_dict(state)
        epochs = len(one.history) + more or 1
        one.fit(*data(), epochs=epochs, validation=validation, patience=patience)
    whole = trainer(classifier(dropout=0.3))
    patience = None if patience is None else 99
    whole.fit(*data(), epochs=len(one.history), validation=validation, patience=patience)
    assert same_state(one.state_dict(), whole.state_dict()) or one.epochs > len(one.history)
    assert one.history == whole.history
    assert same(one.model, whole.model)


def test_weights_that_were_changed_meanwhile_are_kept():
    """Where a training goes on that has gone back to its best weights."""
    one = trainer(classifier())
    one.fit(*data(), epochs=9, validation=data(seed=1), patience=9)
    one.last["head.1.bias"] += 1  # as if the best epoch were another
    one.model.load_state_dict(classifier(seed=1).state_dict())
    one.fit(*data(), epochs=9)
    assert same(one.model, classifier(seed=1))


def test_epochs_one_by_one_can_be_saved():
    one, other = trainer(classifier()), trainer(classifier(seed=1))
    one.epoch(*data())
    other.load_state_dict(one.state_dict())
    assert one.epoch(*data()) == other.epoch(*data())


def test_a_state_shares_no_memory_with_the_training():
    one, arguments = everything()
    with pytest.raises(Stop):
        one.fit(**arguments, callback=stop_at(7))
    state = one.state_dict()
    kept = {name: array.copy() for name, array in state.items()}
    other, _ = everything()
    other.load_state_dict(state)
    for array in state.values():
        if array.ndim:
            array[...] = 0
    for each in (one, other):
        assert same_state(each.state_dict(), kept)


def test_what_was_done_must_fit():
    x, labels = data()
    begun = trainer(classifier())
    begun.fit(x, labels, epochs=2)
    with pytest.raises(ValueError, match="epochs must be at least 2, which have begun, got 1"):
        begun.fit(x, labels, epochs=1)
    with pytest.raises(Stop):
        begun.fit(x, labels, epochs=3, callback=stop_at(1))
    for go_on in (partial(begun.fit, epochs=3), begun.epoch):
        with pytest.raises(ValueError, match="targets must hold 40 examples, as in the epoch that"):
            go_on(x[1:], labels[1:])
    with pytest.raises(ValueError, match="epochs must be at least 3"):
        begun.fit(x, labels, epochs=2)
    falling = trainer(classifier(), schedule=linear)
    falling.fit(x, labels, epochs=2)
    with pytest.raises(ValueError, match="epochs must stay 2, for which the schedule began, got 3"):
        falling.fit(x, labels, epochs=3)


ROW = {"loss": 1.0, "lr": 0.1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"place": -1}, "no training does step -1 of 5"),
        ({"place": 6}, "no training does step 6 of 5"),
        ({"place": 1.5}, "info.place must be of type int, got 1.5"),
        ({"history": [ROW | {"epoch": n} for n in range(1, 100)]}, "after 99 epochs of 4"),
        ({"history": [ROW | {"epoch": 7}]}, "no training does"),
        ({"history": [{"epoch": 1}]}, "no training does"),
        ({"history": [ROW | {"epoch": 1, "loss": "1"}]}, "no training does"),
        ({"history": {}}, "info.history must be of type list, got {}"),
        ({"epochs": 3.5}, "info.epochs must be of type int, got 3.5"),
        ({"total": True}, "info.total must be of type float, got True"),
        ({"total": float("nan")}, "no training does .* a loss of nan"),
        ({"base_lr": -1.0}, "no training does .* a rate of -1.0"),
        ({"base_lr": "fast"}, "info.base_lr must be of type float, got 'fast'"),
        ({"generators": []}, "info must hold the states of this training's generators"),
        ({"info": "{"}, "Expecting"),
        ({"order": np.zeros(18, int)}, "no training does"),
        ({"order": np.zeros(18)}, "order must hold integers, got dtype float64"),
        ({"model/head.1.bias": np.zeros(3)}, "head.1.bias must have dtype float32, got float64"),
        (
            {"best/head.1.bias": np.zeros(2, "f4")},
            r"head.1.bias must have shape \(3,\), got \(2,\)",
        ),
        ({"optimizer/x": np.zeros(2)}, r"unexpected \['x'\]"),
        ({"x": np.zeros(2)}, "it has an unexpected 'x'"),
        ({5: np.zeros(2)}, "it must have texts as names, got 5"),
        ({"model/head.1.bias": None}, r"missing \['head.1.bias'\]"),
        ({"optimizer/lr": None}, r"missing \['lr'\]"),
        ({"info": None}, "info"),
    ],
)
def test_a_state_that_cannot_be_is_refused_and_nothing_changes(changes, message):
    stopped, arguments = everything()
    with pytest.raises(Stop):
        stopped.fit(**arguments, callback=stop_at(7))
    state = stopped.state_dict()
    info = json.loads(str(state["info"]))
    counters = {name: changes.pop(name) for name in info.keys() & changes}
    state |= {"info": np.array(json.dumps(info | counters))} | changes
    state = {name: value for name, value in state.items() if value is not None}
    other, _ = everything()
    before = other.state_dict()
    with pytest.raises(ValueError, match=f"state must be one of this training.*{message}"):
        other.load_state_dict(state)
    assert same_state(other.state_dict(), before)


@pytest.mark.parametrize("state", [None, [], 5, "x", {1: 2}, {"info": "[" * 100_000}])
def test_what_is_no_state_is_refused(state):
    with pytest.raises(ValueError, match="state must be one of this training, nothing changed: "):
        trainer(classifier()).load_state_dict(state)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 10) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=3,
)


@st.composite
def places_in(draw, whole):
    """Draw a place in what JSON holds: the dict or list, and a key or an index there."""
    inside = whole
    while isinstance(inside, dict | list) and inside:
        places = [*inside] if isinstance(inside, dict) else [*range(len(inside))]
        holder, place = inside, draw(st.sampled_from(places))
        inside = holder[place]
        if draw(st.booleans()):
            break
    return holder, place


@pytest.mark.slow
@settings(max_examples=300)
@given(st.data())
def test_whatever_is_changed_in_a_state_is_refused_or_there(drawn):
    one, arguments = everything()
    one.fit(**arguments | {"epochs": 2}) if drawn.draw(st.booleans()) else None
    state, other = one.state_dict(), everything()[0]
    info, before = json.loads(str(state["info"])), other.state_dict()
    holder, place = drawn.draw(places_in(info))
    same = st.just(holder[place]).map(lambda v: v + 1 if type(v) is int else v)
    holder[place] = drawn.draw(JSON | same)
    state["info"] = np.array(json.dumps(info))
    try:
        other.load_state_dict(state)
    except ValueError:
        assert same_state(other.state_dict(), before)
    else:
        assert same_state(other.state_dict(), state)
        with contextlib.suppress(ValueError, RuntimeError):  # a rate may be far too large
            other.fit(**arguments)


PROGRAM = textwrap.dedent("""
    import sys
    from pathlib import Path
    from lstm.checkpoint import load_checkpoint, save_checkpoint
    sys.path.insert(0, sys.argv[2])
    from test_training import everything

    path = Path(sys.argv[1])
    trainer, arguments = everything()
    if path.exists():
        trainer.load_state_dict(load_checkpoint(path))

    def save(trainer):
        print("step", flush=True)
        sys.stdin.readline()  # until it may go on, or nobody asks any more
        save_checkpoint(path, trainer.state_dict())

    print("started", flush=True)
    trainer.fit(**arguments | {"epochs": 15, "patience": 100}, callback=save)
    save_checkpoint(path, trainer.state_dict())
    print("finished", flush=True)
""")


def start(folder, checkpoint):
    (folder / "program.py").write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, folder / "program.py", checkpoint, Path(__file__).parent],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    assert process.stdout.readline() == "started\n", process.stderr.read()
    return process


def finish(process):
    output, errors = process.communicate()
    assert output.endswith("finished\n"), errors


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_in_the_same_bits(tmp_path):
    whole, killed, moments = tmp_path / "whole.npz", tmp_path / "killed.npz", random.Random(0)
    finish(start(tmp_path, whole))
    for _ in range(6):
        process = start(tmp_path, killed)
        # Steps, not seconds: on any machine it gets somewhere, and not to its end.
        steps = moments.randint(1, 12)
        process.stdin.write("\n" * (steps + 2))
        process.stdin.flush()
        for _ in range(steps):
            assert process.stdout.readline() == "step\n"
        time.sleep(moments.uniform(0.0, 0.008))
        process.kill()
        process.communicate()
    finish(start(tmp_path, killed))
    assert same_state(load_checkpoint(killed), load_checkpoint(whole))
