"""The benchmark runs, and its report shows what was measured."""

import json

import numpy as np
import pytest

from benchmarks import engines, measure, report
from benchmarks.shapes import SHAPES, Shape

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run():
    names = ["ours", "nn.LSTM", "nn.LSTM packed"]
    times, about = measure.times(names, ["single"], "pinned", threads=1, rounds=2)
    return {
        "machine": measure.machine(),
        "rounds": 2,
        "about": {"pinned": about},
        "times": times,
        "memory": measure.memory(names[:2], ["single"]),
    }


def test_records(run):
    assert {(r["engine"], r["mode"]) for r in run["times"]} == {
        (engine, mode) for engine in ("ours", "nn.LSTM") for mode in ("inference", "training")
    }
    for record in run["times"]:
        assert len(record["rounds_ms"]) == 2
        assert min(record["rounds_ms"]) > 0
    assert all(record["bytes"] >= 0 for record in run["memory"])
    json.dumps(run)


def test_environment_reaches_the_worker(run):
    blas = [p for p in run["about"]["pinned"]["ours"]["thread_pools"] if p["architecture"]]
    assert {pool["architecture"] for pool in blas} == {"Haswell"}
    for worker in run["about"]["pinned"].values():
        assert {pool["num_threads"] for pool in worker["thread_pools"]} == {1}


def test_environment_is_what_the_regime_says(monkeypatch):
    """What this machine sets for its own sake reaches no engine."""
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OMP_WAIT_POLICY", "MKL_DYNAMIC"):
        monkeypatch.setenv(name, "1")
    threads = {f"{name}_NUM_THREADS": "2" for name in ("OMP", "OPENBLAS", "MKL")}
    for regime, own in (("native", {}), ("pinned", {"OPENBLAS_CORETYPE": "Haswell"})):
        environment = measure.environment_of(regime, 2)
        tuning = {k: v for k, v in environment.items() if k.startswith(("OPENBLAS", "OMP", "MKL"))}
        assert tuning == threads | own


def test_ratio_is_theirs_over_ours():
    def record(engine, rounds):
        keys = {"shape": "mnist", "mode": "training", "regime": "native", "threads": 1}
        return keys | {"engine": engine, "rounds_ms": rounds}

    run = {"times": [record("ours", [1.0, 2.0, 2.0]), record("nn.LSTM", [3.0, 2.0, 8.0])]}
    assert report.ratios(run, "mnist", "training", "native", 1) == (3.0, 1.0, 4.0)
    assert report.ratios(run, "mnist", "training", "pinned", 1) is None


def test_report(run, tmp_path):
    text = report.markdown(run)
    assert "| single | 1, 100, 128, 128 |" in text
    assert "Haswell" in text
    report.plot(run, tmp_path / "plot.svg")
    assert "<svg" in (tmp_path / "plot.svg").read_text(encoding="utf-8")


def test_ragged_lengths():
    shape = SHAPES["imdb64-ragged"]
    assert shape.lengths.min() >= shape.T // 5
    assert shape.lengths.max() == shape.T
    assert 0.5 < shape.lengths.mean() / shape.T < 0.7


@pytest.mark.parametrize(
    "name", [name for name, engine in engines.ENGINES.items() if engine.installed]
)
def test_engine(name):
    for ragged in (False, True):
        shape = Shape("small", 3, 10, 4, 5, ragged)
        if engines.ENGINES[name].can(shape):
            infer, train = engines.ENGINES[name].build(shape)
            infer()
            train()


def test_engines_agree_on_what_a_ragged_batch_is():
    """The output of the padded batch differs behind the ends of the sequences, and only there."""
    import torch

    import lstm

    shape = Shape("small", 3, 10, 4, 5, ragged=True)
    x, _ = shape.arrays()
    theirs, ours = torch.nn.LSTM(4, 5), lstm.LSTM(4, 5)
    ours.load_state_dict(theirs.state_dict())
    output, _ = ours(x, lengths=shape.lengths)
    with torch.no_grad():
        padded = theirs(torch.from_numpy(x))[0].numpy()
    running = np.arange(shape.T)[:, None] < shape.lengths
    np.testing.assert_allclose(output[running], padded[running], atol=1e-6)
    assert (output[~running] == 0).all()
