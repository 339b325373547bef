"""PyTorch as the engine of a training: the same model, the same steps, on one process or two."""

import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from lstm_book.recipes.torch_engine import Dropped, TorchAdam, TorchModel

import lstm
from lstm.models import POOLINGS, Stack

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
        layer = Stack(layer, lstm.LSTM(layer.output_size, 4, batch_first=True, **without(options)))
    width = {True: 4, False: H}[stacked] * layer.num_directions
    head = lstm.Sequential(
        lstm.Linear(width, 6, dtype=np.float64, rng=rng),
        lstm.ReLU(),
        lstm.Dropout(dropout, rng=rng),
        lstm.Linear(6, K, dtype=np.float64, rng=rng),
    )
    embedding = lstm.Embedding(V, D, 0, dtype=np.float64, rng=rng) if embedded else None
    return lstm.SequenceClassifier(layer, head, embedding, pooling=pooling)


def without(options):
    return {name: options[name] for name in ("dtype", "rng")}


KINDS = [
    {},
    {"bidirectional": True},
    {"num_layers": 2, "bidirectional": True},
    {"stacked": True},
    {"stacked": True, "bidirectional": True},
    {"embedded": False},
]


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("ragged", [True, False])
def test_outputs_and_gradients_are_those_of_numpy(kind, pooling, ragged):
    ours = build(pooling, **kind)
    theirs = TorchModel(ours)
    x = IDS if kind.get("embedded", True) else VECTORS
    inputs = (x, LENGTHS) if ragged else (x,)
    loss, d_logits = lstm.cross_entropy(ours(*inputs), LABELS)
    same_loss, same_d_logits = lstm.cross_entropy(theirs(*inputs), LABELS)
    assert same_loss == pytest.approx(loss, rel=1e-12)
    ours.backward(d_logits)
    theirs.backward(same_d_logits)
    pairs = list(zip(ours.named_parameters(), theirs.named_parameters(), strict=True))
    assert pairs
    for (name, parameter), (same_name, tensor) in pairs:
        assert name == same_name
        np.testing.assert_allclose(tensor.data, parameter.data, rtol=0, atol=0)
        np.testing.assert_allclose(tensor.grad, parameter.grad, rtol=1e-9, atol=1e-13)
    expected = ours.eval()(*inputs)
    np.testing.assert_allclose(theirs.eval()(*inputs), expected, rtol=1e-11, atol=1e-14)


def test_what_stands_in_the_padding_is_never_read():
    model = TorchModel(build("max", bidirectional=True, embedded=False)).eval()
    garbage = VECTORS.copy()
    garbage[np.arange(T) >= LENGTHS[:, None]] = 1e9
    np.testing.assert_array_equal(model(garbage, LENGTHS), model(VECTORS, LENGTHS))


def train(model, optimizer, **options):
    return lstm.fit(
        model,
        (IDS, LENGTHS),
        LABELS,
        lstm.cross_entropy,
        optimizer(model.parameters(), lr=0.01),
        **{"epochs": 5, "batch_size": 5, "rng": 0, "progress": False, "max_norm": 0.5} | options,
    )


@pytest.mark.parametrize("optimizer", [lstm.Adam, TorchAdam, lstm.SGD, lstm.RMSprop])
def test_a_training_is_the_same_on_both_engines(optimizer):
    ours, theirs = build(bidirectional=True), TorchModel(build(bidirectional=True))
    options = {"schedule": lambda done: 1 - done, "validation": ((IDS, LENGTHS), LABELS)}
    expected = train(ours, lstm.Adam if optimizer is TorchAdam else optimizer, **options)
    history = train(theirs, optimizer, **options)
    for row, other in zip(history, expected, strict=True):
        # torch divides by (norm + 1e-6) when it clips.
        assert row == pytest.approx(other, rel=1e-5 if optimizer is TorchAdam else 1e-9)
    for name, value in ours.state_dict().items():
        np.testing.assert_allclose(theirs.state_dict()[name], value, rtol=1e-4, atol=1e-7)


def test_weights_move_between_the_engines():
    ours, theirs = build(), TorchModel(build())
    train(theirs, TorchAdam)
    ours.load_state_dict(theirs.state_dict())
    np.testing.assert_allclose(ours.eval()(IDS, LENGTHS), theirs(IDS, LENGTHS), rtol=1e-10)
    again = TorchModel(build())
    again.load_state_dict(ours.state_dict())
    np.testing.assert_array_equal(again.eval()(IDS, LENGTHS), theirs(IDS, LENGTHS))
    with pytest.raises(ValueError, match=r"missing \['embedding.weight'.* unexpected \['x'\]"):
        again.load_state_dict({"x": 1})
    with pytest.raises(ValueError, match="model must be made of layers that PyTorch has, got"):
        TorchModel(lstm.LSTMCell(3, 4))


def test_dropped_numbers_have_the_right_share_and_size():
    layer = Dropped(0.25, axis=1)
    layer.batch, layer.rows = 6, torch.tensor([4, 1])
    x = torch.ones(500, 2, 40, dtype=torch.float64)
    torch.manual_seed(0)
    dropped = layer(x)
    assert set(dropped.unique().tolist()) == {0.0, 1 / 0.75}
    assert (dropped == 0).double().mean().item() == pytest.approx(0.25, abs=0.01)
    layer.rows = torch.arange(6)
    torch.manual_seed(0)
    torch.testing.assert_close(layer(torch.ones(500, 6, 40, dtype=x.dtype))[:, [4, 1]], dropped)
    assert layer.eval()(x) is x


@pytest.mark.parametrize("optimizer", [TorchAdam, lstm.RMSprop])
def test_a_training_resumes_bit_for_bit_with_its_dropout(tmp_path, optimizer):
    def model():
        return TorchModel(build(num_layers=2, dropout=0.4, rng=np.random.default_rng(1)), rng=8)

    whole, first, second = model(), model(), model()
    train(whole, optimizer)
    steps = [0]

    def stop(rng, *batch):
        steps[0] += 1
        if steps[0] == 8:
            raise KeyboardInterrupt
        return batch

    options = {"checkpoint": tmp_path / "run.ckpt", "checkpoint_seconds": -1.0}
    with pytest.raises(KeyboardInterrupt):
        train(first, optimizer, augment=stop, **options)
    steps[0] = 100
    train(second, optimizer, augment=stop, **options)
    for name, value in whole.state_dict().items():
        np.testing.assert_array_equal(second.state_dict()[name], value)
    plain = TorchModel(build(num_layers=2, rng=np.random.default_rng(1)), rng=8)
    train(plain, optimizer)
    assert not np.array_equal(plain.state_dict()["head.0.weight"], value)


# --- several processes ----------------------------------------------------------------------------
def with_dropout():
    return build("mean", bidirectional=True, num_layers=2, dropout=0.4)


PROGRAM = textwrap.dedent("""
    import sys
    import numpy as np, torch
    import torch.distributed as distributed
    sys.path.insert(0, sys.argv[2])
    from tests.lstm_book.test_torch_engine import *

    distributed.init_process_group("gloo")
    model = TorchModel(build("mean", bidirectional=True))
    logits = model(IDS, LENGTHS)
    loss, d_logits = lstm.cross_entropy(logits, LABELS)
    model.backward(d_logits)
    result = {f"grad/{name}": p.grad.copy() for name, p in model.named_parameters()}
    result["logits"] = logits
    # 12 examples in batches of 5, 5 and 2, then of 1: no process may wait for another in vain.
    for batch_size in (5, 11):
        model = TorchModel(with_dropout(), rng=8)
        history = train(model, TorchAdam, batch_size=batch_size)
        result |= {f"{batch_size}/{name}": value for name, value in model.state_dict().items()}
        result[f"{batch_size}/loss"] = np.array([row["loss"] for row in history])
    np.savez(f"{sys.argv[1]}.{distributed.get_rank()}.npz", **result)
    distributed.destroy_process_group()
""")


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory, loopback):
    if not torch.distributed.is_available():
        pytest.skip("this PyTorch has no torch.distributed")
    folder = tmp_path_factory.mktemp("distributed")
    (folder / "program.py").write_text(PROGRAM)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    command += [f"--master-port={port}", str(folder / "program.py"), str(folder / "out"), root]
    run = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
    )
    assert run.returncode == 0, run.stderr
    return [dict(np.load(folder / f"out.{rank}.npz")) for rank in (0, 1)]


def test_two_processes_have_the_gradient_of_one(two_processes):
    model = build("mean", bidirectional=True)
    logits = model(IDS, LENGTHS)
    model.backward(lstm.cross_entropy(logits, LABELS)[1])
    for result in two_processes:
        np.testing.assert_allclose(result["logits"], logits, rtol=1e-11, atol=1e-14)
        for name, parameter in model.named_parameters():
            np.testing.assert_allclose(
                result[f"grad/{name}"], parameter.grad, rtol=1e-9, atol=1e-13
            )


@pytest.mark.parametrize("batch_size", [5, 11])
def test_two_processes_end_where_one_ends(two_processes, batch_size):
    """Batches that do not divide by two, a last batch of one example, and the same dropout."""
    model = TorchModel(with_dropout(), rng=8)
    history = train(model, TorchAdam, batch_size=batch_size)
    for result in two_processes:
        losses = [row["loss"] for row in history]
        np.testing.assert_allclose(result[f"{batch_size}/loss"], losses, rtol=1e-9)
        for name, value in model.state_dict().items():
            np.testing.assert_allclose(result[f"{batch_size}/{name}"], value, rtol=1e-6, atol=1e-9)
