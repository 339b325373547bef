"""Every stage computes what the layer computes, and its record is complete."""

import json

import numpy as np
import pytest

import lstm
from benchmarks import measure, stages
from benchmarks.engines import ENGINES

pytestmark = pytest.mark.slow
D, H = 3, 5
each_stage = pytest.mark.parametrize("name", stages.STAGES)


def pair(name):
    """Return a stage and a layer with the same weights."""
    layer = lstm.LSTM(D, H, dtype=np.float64, rng=0)
    stage = getattr(stages, name)(D, H, dtype=np.float64, rng=1)
    weights = layer.state_dict()
    stage.cell.load_state_dict({key.removesuffix("_l0"): a for key, a in weights.items()})
    return stage, layer


@each_stage
def test_stage_is_the_layer(name):
    """Also for another batch after the first, and with gradients that add up over two passes."""
    stage, layer = pair(name)
    rng = np.random.default_rng(2)
    for T, B in ((6, 4), (1, 1), (9, 300), (9, 300), (70, 30)):
        x, d_output = rng.normal(size=(T, B, D)), rng.normal(size=(T, B, H))
        expected, _ = layer(x)
        np.testing.assert_allclose(stage(x), expected, rtol=0, atol=1e-12)
        d_x, _ = layer.backward(d_output)
        np.testing.assert_allclose(stage.backward(d_output), d_x, rtol=0, atol=1e-12)
    for ours, theirs in zip(stage.parameters(), layer.parameters(), strict=True):
        # Sums over thousands of terms, and of that order.
        np.testing.assert_allclose(ours.grad, theirs.grad, rtol=1e-12, atol=1e-12)


@each_stage
def test_stage_keeps_its_output(name):
    """What a stage has returned stays as it is when the stage runs again."""
    stage, _ = pair(name)
    x = np.random.default_rng(3).normal(size=(6, 4, D))
    first = stage(x)
    d_first = stage.backward(first)
    kept = first.copy(), d_first.copy()
    stage.backward(stage(2 * x))
    assert np.array_equal(first, kept[0])
    assert np.array_equal(d_first, kept[1])


def test_a_stage_can_be_measured():
    with measure.Worker("InRuns", "native", 1) as worker:
        assert min(worker.ask(shape="single", mode="training")) > 0


@pytest.mark.skipif(not stages.RESULT.exists(), reason="python -m benchmarks.stages was not run")
def test_record_is_complete():
    run = json.loads(stages.RESULT.read_text(encoding="utf-8"))
    found = {(r["engine"], r["shape"]) for r in run["times"] if r["mode"] == "training"}
    beside = [name for name in stages.BESIDE if name in ENGINES]
    assert found == {(e, s) for e in (*stages.STAGES, *beside) for s in stages.MEASURED}
    assert all(len(record["rounds_ms"]) == run["rounds"] for record in run["times"])
