"""``fit``, ``evaluate`` and ``predict``: what they do, what they refuse, and resuming."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import lstm
from lstm.checkpoint import CheckpointError
from lstm.training import _shuffled

N, T, D, K = 40, 6, 3, 4


def data(n=N, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, T, D))
    labels = x[:, -1].argmax(axis=1)  # which of the last three numbers is the largest
    return x, labels


def classifier(seed=0, dropout=0.0):
    rng = np.random.default_rng(seed)
    reader = lstm.LSTM(D, 8, batch_first=True, dtype=np.float64, rng=rng)
    head = lstm.Sequential(
        lstm.Dropout(dropout, rng=rng), lstm.Linear(8, K, dtype=np.float64, rng=rng)
    )
    return lstm.SequenceClassifier(reader, head)


def train(model, epochs=3, inputs=None, targets=None, optimizer=None, **options):
    x, labels = data()
    return lstm.fit(
        model,
        x if inputs is None else inputs,
        labels if targets is None else targets,
        lstm.cross_entropy,
        optimizer or lstm.Adam(model.parameters(), lr=0.02),
        **{"epochs": epochs, "batch_size": 16, "rng": 5, "progress": False} | options,
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


def test_schedule_scales_the_learning_rate_step_by_step():
    model, rates = classifier(), []
    sgd = lstm.SGD(model.parameters(), lr=0.5)
    step = sgd.step
    sgd.step = lambda: rates.append(sgd.lr) or step()
    history = train(model, epochs=2, schedule=lambda done: 1 - done, optimizer=sgd)
    np.testing.assert_allclose(rates, 0.5 * (1 - np.arange(6) / 6))
    assert [row["lr"] for row in history] == [rates[2], rates[5]]
    assert sgd.lr == 0.5


def test_max_norm_bounds_the_gradient():
    model, norms = classifier(), []
    sgd = lstm.SGD(model.parameters(), lr=0.1)
    step = sgd.step
    sgd.step = lambda: norms.append(lstm.clip_grad_norm_(sgd.parameters, 1e9)) or step()
    train(model, max_norm=0.01, optimizer=sgd)
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


def test_without_patience_the_last_epoch_stays():
    model = classifier()
    history = train(model, epochs=30, validation=data(9, seed=1))
    now = lstm.evaluate(model, *data(9, seed=1), lstm.cross_entropy)["loss"]
    assert now == history[-1]["validation_loss"]


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
    order = _shuffled(size, 16, np.random.default_rng(1), lengths)
    np.testing.assert_array_equal(np.sort(order), np.arange(size))
    if size == 3000:

        def padding(order):
            batches = [lengths[order[i : i + 16]] for i in range(0, size, 16)]
            return sum(len(batch) * batch.max() for batch in batches) / lengths.sum()

        assert padding(order) < 1.03 < 1.7 < padding(np.random.default_rng(1).permutation(size))
        again = _shuffled(size, 16, np.random.default_rng(2), lengths)
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
        ({"inputs": data()[0][:-1]}, r"inputs\[0\] must hold one entry for each of 40 targets"),
        ({"inputs": (data()[0], [1, 2])}, r"inputs\[1\] must hold one entry for each of 40"),
        ({"inputs": np.zeros((0, T, D)), "targets": []}, "targets must hold at least one example"),
        ({"validation": (data()[0], [1, 2])}, r"validation inputs\[0\] must hold one entry"),
        ({"patience": 3}, "patience needs validation data"),
        ({"patience": 0, "validation": data()}, "patience must be a positive integer, got 0"),
        ({"epochs": 0}, "epochs must be a positive integer, got 0"),
        ({"batch_size": 2.5}, "batch_size must be a positive integer, got 2.5"),
        ({"bucket_by": [1, 2]}, r"bucket_by must have shape \(40,\), got \(2,\)"),
        ({"max_norm": 0}, "max_norm must be positive, got 0"),
        ({"targets": np.full(N, K)}, r"labels must be in \[0, 4\), got values from 4 to 4"),
        ({"targets": np.ones(N)}, "labels must hold integers"),
        ({"inputs": data()[0].astype(np.float32)}, "x must have dtype float64, got float32"),
        ({"inputs": data()[0][..., :2]}, r"x must have shape \(..., 3\), got \(16, 6, 2\)"),
        ({"inputs": (data()[0], np.zeros(N, int))}, r"lengths must be in \[1, 6\], got 0 to 0"),
    ],
)
def test_errors_leave_the_weights_alone(options, message):
    model = classifier()
    with pytest.raises(ValueError, match=message):
        train(model, **options)
    assert same(model, classifier())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_a_number_in_the_data(bad):
    x, _ = data()
    x[7, 3, 1] = x[30, 0, 0] = bad
    with pytest.raises(ValueError, match=r"2 of 40 examples hold NaN or infinity.*is number 7"):
        train(classifier(), inputs=x)
    x_validation, labels = data()
    x_validation[2] = bad
    with pytest.raises(ValueError, match=r"validation inputs\[0\] must be finite: 1 of 40"):
        train(classifier(), validation=(x_validation, labels))


def test_a_loss_that_explodes_stops_before_the_weights_are_lost():
    model = lstm.Linear(1, 1)
    x, y = np.full((4, 1), 1e15, np.float32), np.zeros((4, 1), np.float32)
    sgd = lstm.SGD(model.parameters(), lr=1.0)
    with np.errstate(over="ignore"), pytest.raises(RuntimeError, match=r"epoch 2, step 1.*smaller"):
        lstm.fit(model, x, y, lstm.mse_loss, sgd, epochs=9, progress=False)
    assert np.isfinite(model.weight.data).all()


# --- stop and go on -----------------------------------------------------------------------------

# Everything at once that a checkpoint must bring back: moments, masks, shuffling, augmentation, the
# schedule, the best weights, and the place within an epoch.
PROGRAM = textwrap.dedent("""
    import sys, time
    import numpy as np
    import lstm

    def main(path, epochs=15, pause=0.004):
        rng = np.random.default_rng(3)
        x = rng.standard_normal((60, 5, 3)).astype(np.float32)
        lengths = rng.integers(1, 6, 60)
        labels = x[:, 0].argmax(axis=1)
        model = lstm.SequenceClassifier(
            lstm.LSTM(3, 6, num_layers=2, dropout=0.3, batch_first=True, rng=rng),
            lstm.Sequential(lstm.Dropout(0.3, rng=4), lstm.Linear(6, 3, rng=rng)),
        )

        def noise(rng, x, lengths):
            print("step", flush=True)
            time.sleep(pause)  # a step long enough to be hit
            return x + rng.normal(0, 0.1, x.shape).astype(x.dtype), lengths

        print("started", flush=True)
        history = lstm.fit(
            model, (x, lengths), labels, lstm.cross_entropy,
            lstm.Adam(model.parameters(), lr=0.01), epochs=epochs, batch_size=4,
            validation=((x[:20], lengths[:20]), labels[:20]), max_norm=1.0,
            schedule=lambda done: 1 - done, patience=100, bucket_by=lengths, augment=noise,
            checkpoint=path, checkpoint_seconds=0.0, rng=rng, progress=False,
        )
        return model, history

    if __name__ == "__main__":
        main(sys.argv[1])
        print("finished", flush=True)
""")


def start(script, checkpoint):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, script, checkpoint],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout.readline() == "started\n"
    return process


def finish(process):
    output, errors = process.communicate(timeout=60)
    assert output.endswith("finished\n"), errors


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "training.py"
    path.write_text(PROGRAM)
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What the program ends in when nothing interrupts it."""
    folder = tmp_path_factory.mktemp("whole")
    script, path = folder / "training.py", folder / "run.ckpt"
    script.write_text(PROGRAM)
    finish(start(script, path))
    return saved(path)


def saved(path):
    arrays, info = lstm.checkpoint.load_checkpoint(path)
    return {name: array.tobytes() for name, array in arrays.items()}, info


def test_killed_at_ten_random_moments_it_ends_in_the_same_bits(script, tmp_path, whole):
    path, moments = tmp_path / "killed.ckpt", random.Random(0)
    for _ in range(10):
        process = start(script, path)
        # Steps, not seconds: on a slow machine, too, it gets somewhere, and not to its end.
        for _ in range(moments.randint(1, 20)):
            assert process.stdout.readline() == "step\n"
        time.sleep(moments.uniform(0.0, 0.008))
        process.kill()
        output, _ = process.communicate()
        assert "finished" not in output, "the training ended before it was killed ten times"
    assert len(saved(path)[1]["history"]) < len(whole[1]["history"])
    finish(start(script, path))
    assert saved(path) == whole


def test_ctrl_c_saves_within_the_epoch(script, tmp_path, whole):
    path = tmp_path / "stopped.ckpt"
    process = start(script, path)
    while not path.exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert errors.endswith("KeyboardInterrupt\n")
    assert len(saved(path)[1]["history"]) < len(whole[1]["history"])
    finish(start(script, path))
    assert saved(path) == whole


@pytest.mark.parametrize("at", [0, 1, 2, 3, 5])
def test_ctrl_c_at_any_step_of_any_epoch(tmp_path, at):
    """Three steps an epoch: before the first, within, at the end, and in the next epoch."""
    path, count = tmp_path / "run.ckpt", [0]

    def stop(rng, x):
        count[0] += 1
        if count[0] == at + 1:
            signal.raise_signal(signal.SIGINT)  # held back to the end of the step
        return (x,)

    options = {"epochs": 2, "augment": stop, "checkpoint": path}
    whole, stopped, resumed = (classifier(dropout=0.4) for _ in range(3))
    count[0] = 100
    history = train(whole, **options | {"checkpoint": None})
    count[0] = 0
    with pytest.raises(KeyboardInterrupt):
        train(stopped, **options)
    assert saved(path)[1]["step"] == (at + 1 if at < 3 else at - 2)
    assert train(resumed, **options) == history
    assert same(resumed, whole)


def test_ctrl_c_before_the_first_step(tmp_path, monkeypatch):
    path = tmp_path / "run.ckpt"
    whole, stopped, resumed = (classifier() for _ in range(3))
    train(whole)
    shuffled = lstm.training._shuffled

    def stop(*arguments):
        signal.raise_signal(signal.SIGINT)
        return shuffled(*arguments)

    monkeypatch.setattr(lstm.training, "_shuffled", stop)
    with pytest.raises(KeyboardInterrupt):
        train(stopped, checkpoint=path)
    monkeypatch.undo()
    train(resumed, checkpoint=path)
    assert same(resumed, whole)


def test_resuming_a_finished_training_changes_nothing(tmp_path):
    first, again = classifier(), classifier(seed=9)
    options = {"checkpoint": tmp_path / "run.ckpt", "patience": 2, "validation": data(9, seed=1)}
    history = train(first, **options)
    content = (tmp_path / "run.ckpt").read_bytes()
    assert train(again, **options) == history
    assert same(first, again)
    assert (tmp_path / "run.ckpt").read_bytes() == content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 4}, "epochs was 3, is 4"),
        ({"batch_size": 8}, "batch_size was 16, is 8"),
        ({"max_norm": 1.0}, "max_norm was None, is 1.0"),
        ({"schedule": lambda done: 1.0}, r"schedule was None, is '<lambda>'"),
        ({"bucket_by": np.ones(N)}, "bucketed was False, is True; data was"),
        ({"augment": lambda rng, x: (x,)}, r"augment was None, is '<lambda>'"),
        ({"inputs": data(seed=8)[0]}, "data was '.*', is '.*'"),
        ({"targets": data(seed=8)[1]}, "data was"),
        ({"validation": data(9, seed=1)}, "validation data was None, is '.*'"),
        ({"belongs_to": {"forget_bias": 2.0}}, "forget_bias was None, is 2.0"),
        ({"optimizer": "lr"}, r"optimizer was 'Adam\(lr=0.02.*, is 'Adam\(lr=0.03"),
        ({"optimizer": "kind"}, r"optimizer was 'Adam\(lr=0.02.*, is 'SGD\(lr=0.02"),
        ({"model": 9}, r"model was '.*LSTM\(3, 8.*LSTM\(3, 9"),
    ],
)
def test_a_changed_configuration_is_refused_and_the_checkpoint_kept(tmp_path, change, message):
    path = tmp_path / "run.ckpt"
    train(classifier(), checkpoint=path)
    content = path.read_bytes()
    model = classifier(seed=1)
    if "model" in change:
        change.pop("model")
        reader = lstm.LSTM(D, 9, batch_first=True, dtype=np.float64)
        head = lstm.Sequential(lstm.Dropout(0.0), lstm.Linear(9, K, dtype=np.float64))
        model = lstm.SequenceClassifier(reader, head)
    if "optimizer" in change:
        make = {"lr": lambda p: lstm.Adam(p, lr=0.03), "kind": lambda p: lstm.SGD(p, lr=0.02)}
        change["optimizer"] = make[change["optimizer"]](model.parameters())
    before = model.state_dict()
    with pytest.raises(CheckpointError, match=f"belongs to another training: .*{message}"):
        train(model, checkpoint=path, **change)
    assert path.read_bytes() == content
    assert all(np.array_equal(before[name], value) for name, value in model.state_dict().items())


def test_a_full_disk_ends_the_training_with_the_last_good_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run.ckpt"
    saves, write = [0], lstm.training.save_checkpoint

    def full(*arguments):
        saves[0] += 1
        if saves[0] == 3:
            monkeypatch.setattr(os, "fsync", no_space)
        write(*arguments)

    def no_space(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lstm.training, "save_checkpoint", full)
    model = classifier()
    with pytest.raises(CheckpointError, match=r"No space left.*last good checkpoint is unchanged"):
        train(model, checkpoint=path, epochs=4)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == [path]
    assert len(saved(path)[1]["history"]) == 2
    whole = classifier()
    train(whole, epochs=4)
    train(model, checkpoint=path, epochs=4)
    assert same(model, whole)
