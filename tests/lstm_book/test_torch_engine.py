"""PyTorch as the engine of a training: the same model, the same steps, on one process or two."""

import textwrap

import numpy as np
import pytest
import torch
from lstm_book.recipes.torch_engine import Dropout, Network, Optimizer, convert

import lstm
from lstm.checkpoint import load_checkpoint, save_checkpoint
from lstm.models import POOLINGS, Stack
from tests.conftest import torchrun

B, T, D, H, K, V = 12, 9, 4, 5, 3, 20
LENGTHS = np.random.default_rng(0).integers(1, T + 1, B)
IDS = np.random.default_rng(1).integers(1, V, (B, T))
VECTORS = np.random.default_rng(1).standard_normal((B, T, D))
LABELS = np.random.default_rng(2).integers(0, K, B)


def build(pooling="last", stacked=False, dropout=0.0, embedded=True, **options):
    rng = np.random.default_rng(3)
    options = {"batch_first": True, "dtype": np.float64, "rng": rng} | options
    between = dropout if options.get("num_layers", 1) > 1 else 0.0
    layer = lstm.LSTM(D, H, dropout=between, **options)
    if stacked:
        layer = Stack(
            layer, lstm.LSTM(layer.output_size, 4, batch_first=True, dtype=np.float64, rng=rng)
        )
    width = (4 if stacked else H) * layer.num_directions
    head = lstm.Sequential(
        lstm.Linear(width, 6, dtype=np.float64, rng=rng),
        lstm.ReLU(),
        lstm.Dropout(dropout, rng=rng),
        lstm.Linear(6, K, dtype=np.float64, rng=rng),
    )
    embedding = lstm.Embedding(V, D, 0, dtype=np.float64, rng=rng) if embedded else None
    return lstm.SequenceClassifier(layer, head, embedding, pooling=pooling)


KINDS = [
    {},
    {"bidirectional": True},
    {"num_layers": 2, "bidirectional": True},
    {"stacked": True},
    {"stacked": True, "bidirectional": True},
    {"embedded": False},
]


def tensors(*arrays):
    return [torch.from_numpy(array) for array in arrays]


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("ragged", [True, False])
def test_outputs_and_gradients_are_those_of_numpy(kind, pooling, ragged):
    ours = build(pooling, **kind)
    theirs = convert(ours)
    x = IDS if kind.get("embedded", True) else VECTORS
    inputs = (x, LENGTHS) if ragged else (x,)
    outputs = ours(*inputs)
    _, d_logits = lstm.cross_entropy(outputs, LABELS)
    logits = theirs(*tensors(*inputs))
    np.testing.assert_allclose(logits.detach(), outputs, rtol=1e-11, atol=1e-14)
    ours.backward(d_logits)
    torch.nn.functional.cross_entropy(logits, torch.from_numpy(LABELS)).backward()
    pairs = list(zip(ours.parameters(), theirs.parameters(), strict=True))
    assert pairs
    for parameter, tensor in pairs:
        np.testing.assert_array_equal(tensor.detach(), parameter.data)
        np.testing.assert_allclose(tensor.grad, parameter.grad, rtol=1e-9, atol=1e-13)
    expected = ours.eval()(*inputs)
    np.testing.assert_allclose(
        theirs.eval()(*tensors(*inputs)).detach(), expected, rtol=1e-11, atol=1e-14
    )


def test_what_stands_in_the_padding_is_never_read():
    model = convert(build("max", bidirectional=True, embedded=False)).eval()
    garbage = VECTORS.copy()
    garbage[np.arange(T) >= LENGTHS[:, None]] = 1e9
    first, second = (model(*tensors(x, LENGTHS)).detach() for x in (garbage, VECTORS))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("model", [lstm.LSTMCell(3, 4), lstm.GRU(3, 4), lstm.LSTM(3, 4)])
def test_what_pytorch_has_not_is_refused(model):
    with pytest.raises(ValueError, match="model must be made of layers that PyTorch has here, got"):
        convert(model)


RULES = {
    "adam": (lstm.Adam, {}),
    "momentum": (lstm.SGD, {"momentum": 0.9}),
    "rmsprop": (lstm.RMSprop, {}),
    "keras": (lstm.RMSprop, {"alpha": 0.9, "eps": 1e-7, "eps_inside": True}),
}
OPTIONS = {"batch_size": 5, "rng": 0, "max_norm": 0.5}
ARGUMENTS = {"inputs": (IDS, LENGTHS), "targets": LABELS, "epochs": 5}


def numpy_trainer(model, rule="adam", **options):
    kind, more = RULES[rule]
    optimizer = kind(model.parameters(), lr=0.01, **more)
    return lstm.Trainer(model, lstm.cross_entropy, optimizer, **OPTIONS | options)


def torch_trainer(model, rule="adam", masks=8, **options):
    kind, more = RULES[rule]
    network = Network(model, masks=masks)
    optimizer = Optimizer(kind, network.parameters(), lr=0.01, **more)
    return lstm.Trainer(network, lstm.cross_entropy, optimizer, **OPTIONS | options)


@pytest.mark.parametrize("rule", RULES)
def test_a_training_is_the_same_on_both_engines(rule):
    options = {"schedule": lambda done: 1 - done}
    theirs, ours = (
        make(build(bidirectional=True), rule, **options) for make in (torch_trainer, numpy_trainer)
    )
    more = {"validation": ((IDS, LENGTHS), LABELS), "bucket_by": LENGTHS}
    expected, history = ours.fit(**ARGUMENTS, **more), theirs.fit(**ARGUMENTS, **more)
    for row, other in zip(history, expected, strict=True):
        assert row == pytest.approx(other, rel=1e-5)  # PyTorch clips with (norm + 1e-6)
    weights, wanted = theirs.model.state_dict(), ours.model.state_dict()
    assert weights.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(weights[name], value, rtol=1e-4, atol=1e-7)
    outputs = [lstm.predict(each.model, (IDS, LENGTHS)) for each in (theirs, ours)]
    np.testing.assert_allclose(*outputs, rtol=1e-4)


def test_nothing_of_pytorchs_own_random_numbers_is_used():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    torch_trainer(build(num_layers=2, dropout=0.4)).fit(**ARGUMENTS)
    assert torch.equal(torch.get_rng_state(), before)


def test_dropped_numbers_have_the_right_share_and_size():
    layer = Dropout(0.25)
    layer.generator = torch.Generator()

    def drop(batch, rows):
        layer.generator.manual_seed(0)
        layer.batch, layer.rows = batch, torch.tensor(rows)
        return layer(torch.ones(len(rows), 500, 40, dtype=torch.float64))

    dropped = drop(6, [4, 1])
    assert set(dropped.unique().tolist()) == {0.0, 1 / 0.75}
    assert (dropped == 0).double().mean().item() == pytest.approx(0.25, abs=0.01)
    torch.testing.assert_close(drop(6, range(6))[[4, 1]], dropped)
    layer.p = 1.0
    assert not drop(6, [2]).any()
    x = torch.ones(3)
    assert layer.eval()(x) is x


class Stop(Exception):
    pass


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("step", [1, 3, 8])
def test_a_training_resumes_bit_for_bit_with_its_dropout(tmp_path, rule, step):
    def trainer(**options):
        model = build(num_layers=2, dropout=0.4, rng=np.random.default_rng(1))
        return torch_trainer(model, rule, **options)

    def stop(trainer):
        if len(trainer.history) * 3 + trainer.place == step:
            save_checkpoint(tmp_path / "run.npz", trainer.state_dict())
            raise Stop

    more = {"validation": ((IDS, LENGTHS), LABELS), "patience": 4}
    whole, stopped, resumed = trainer(), trainer(), trainer(masks=9, rng=9)
    expected = whole.fit(**ARGUMENTS, **more)
    with pytest.raises(Stop):
        stopped.fit(**ARGUMENTS, **more, callback=stop)
    resumed.load_state_dict(load_checkpoint(tmp_path / "run.npz"))
    assert resumed.fit(**ARGUMENTS, **more) == expected
    end, wanted = resumed.state_dict(), whole.state_dict()
    assert end.keys() == wanted.keys()
    assert all(end[name].tobytes() == wanted[name].tobytes() for name in wanted)
    other = trainer(masks=9)
    other.fit(**ARGUMENTS, **more)  # the masks count
    assert (other.state_dict()["model/head.0.weight"] != wanted["model/head.0.weight"]).any()


def test_a_state_of_another_training_is_refused_and_nothing_changes():
    """Whatever in it has another shape, another kind, or is missing."""
    trainer = torch_trainer(build())
    trainer.fit(**ARGUMENTS | {"epochs": 1})
    state, before = trainer.state_dict(), trainer.state_dict()
    wrong = [{n: each for n, each in state.items() if n != name} for name in state]
    wrong += [state | {name: np.zeros((2, 2))} for name in state]
    wrong += [state | {name: np.array(["x"])} for name in state]
    wrong += [state | {f"optimizer/{name}": np.ones(())} for name in ("x.step", "99.step", "0.x")]
    wrong += [state | {"optimizer/lr": np.array(bad)} for bad in (-1.0, np.nan)]
    for each in wrong:
        with pytest.raises(ValueError, match="state must be one of this training"):
            trainer.load_state_dict(each)
        after = trainer.state_dict()
        assert all(after[name].tobytes() == before[name].tobytes() for name in before)


# --- several processes ----------------------------------------------------------------------------


WITH_DROPOUT = {"pooling": "mean", "bidirectional": True, "num_layers": 2, "dropout": 0.4}
PROGRAM = textwrap.dedent("""
    import sys
    import numpy as np, torch
    import torch.distributed as distributed
    from tests.lstm_book.test_torch_engine import *

    distributed.init_process_group("gloo")
    # 12 examples in batches of 5, 5 and 2, then of 1: no process may wait for another in vain.
    result = {}
    for batch_size in (5, 11):
        trainer = torch_trainer(build(**WITH_DROPOUT), batch_size=batch_size)
        history = trainer.fit(**ARGUMENTS)
        weights = trainer.model.state_dict()
        result |= {f"{batch_size}/{name}": value for name, value in weights.items()}
        result[f"{batch_size}/loss"] = np.array([row["loss"] for row in history])
    np.savez(f"{sys.argv[1]}.{distributed.get_rank()}.npz", **result)
    distributed.destroy_process_group()
""")


@pytest.mark.slow
def test_two_processes_end_where_one_ends(tmp_path, loopback):
    """Batches that do not divide by two, a last batch of one example, and the same dropout."""
    if not torch.distributed.is_available():
        pytest.skip("this PyTorch has no torch.distributed")
    (tmp_path / "program.py").write_text(PROGRAM)
    run = torchrun(tmp_path / "program.py", tmp_path / "out")
    assert run.returncode == 0, run.stderr
    results = [dict(np.load(tmp_path / f"out.{rank}.npz")) for rank in (0, 1)]
    for batch_size in (5, 11):
        trainer = torch_trainer(build(**WITH_DROPOUT), batch_size=batch_size)
        losses = [row["loss"] for row in trainer.fit(**ARGUMENTS)]
        for result in results:
            np.testing.assert_allclose(result[f"{batch_size}/loss"], losses, rtol=1e-9)
            for name, value in trainer.model.state_dict().items():
                np.testing.assert_allclose(
                    result[f"{batch_size}/{name}"], value, rtol=1e-6, atol=1e-9
                )
