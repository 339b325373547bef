"""Weights in other frameworks' order: against ONNX's own numbers, formulas and recorded ones."""

from __future__ import annotations

import numpy as np
import pytest

import lstm
from lstm.diagnose.convert import FRAMEWORKS, from_framework, to_framework

D, H, T, B = 3, 4, 5, 2


def layer():
    return lstm.LSTM(D, H, dtype=np.float64, rng=3)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_there_and_back(framework):
    ours = layer()
    state = ours.state_dict()
    back = from_framework(to_framework(state, framework), framework)
    assert [a.shape for a in back.values()] == [a.shape for a in state.values()]
    for name in ("weight_ih_l0", "weight_hh_l0"):
        assert np.array_equal(back[name], state[name])
    both = "bias_ih_l0", "bias_hh_l0"
    assert np.allclose(sum(back[n] for n in both), sum(state[n] for n in both), atol=1e-15)
    other = lstm.LSTM(D, H, dtype=np.float64)
    other.load_state_dict(back)
    x = np.random.default_rng(0).normal(size=(T, B, D))
    assert np.allclose(ours(x)[0], other(x)[0], atol=1e-14)


def test_onnx_computes_the_same():
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    ours = lstm.LSTM(D, H, dtype=np.float32, rng=3)
    weights = to_framework(ours.state_dict(), "onnx")
    node = onnx.helper.make_node("LSTM", ["X", "W", "R", "B"], ["Y"], hidden_size=H)
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in "XWRBY"
    ]
    graph = onnx.helper.make_graph([node], "lstm", values[:4], values[4:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)])
    x = np.random.default_rng(0).normal(size=(T, B, D)).astype(np.float32)
    (theirs,) = ReferenceEvaluator(model).run(None, {"X": x, **weights})
    assert np.allclose(theirs[:, 0], ours(x)[0], atol=1e-6)


def test_tensorflow_1_by_its_formula():
    ours = layer()
    w = to_framework(ours.state_dict(), "tf1")
    x, h, c = (np.random.default_rng(k).normal(size=(B, n)) for k, n in enumerate((D, H, H)))
    i, j, f, o = np.split(np.concatenate([x, h], axis=1) @ w["kernel"] + w["bias"], 4, axis=1)
    sigmoid = lstm.equations.sigmoid
    new_c = c * sigmoid(f + 1.0) + sigmoid(i) * np.tanh(j)
    new_h = np.tanh(new_c) * sigmoid(o)
    theirs, (h_n, c_n) = ours(x[None], (h[None], c[None]))
    assert np.allclose(new_h, h_n[0], atol=1e-14)
    assert np.allclose(new_c, c_n[0], atol=1e-14)
    assert np.array_equal(theirs[0], h_n[0])


def test_cudnn_by_its_formula():
    """Its linear layers 0 to 3 take the input, 4 to 7 take h; biases come last, in this order."""
    ours = layer()
    arrays = list(to_framework(ours.state_dict(), "cudnn").values())
    x, h, c = (np.random.default_rng(k).normal(size=(B, n)) for k, n in enumerate((D, H, H)))
    i, f, g, o = (
        x @ arrays[k].T + h @ arrays[4 + k].T + arrays[8 + k] + arrays[12 + k] for k in range(4)
    )
    sigmoid = lstm.equations.sigmoid
    new_c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    _, (h_n, c_n) = ours(x[None], (h[None], c[None]))
    assert np.allclose(sigmoid(o) * np.tanh(new_c), h_n[0], atol=1e-14)
    assert np.allclose(new_c, c_n[0], atol=1e-14)


# h of the last of four steps, with the weights below: Keras 3.15.1 on JAX, Flax 0.12.8 (linen).
RECORDED = {
    "keras": [-0.6586476997251967, -0.3594551779749057, -0.015221637175964153],
    "flax": [-0.6586476902877687, -0.3594551539067546, -0.015221639401722092],
}


@pytest.mark.parametrize("framework", RECORDED)
def test_recorded_numbers(framework):
    """The frameworks were given these weights by ``to_framework``; here they come back."""

    def numbers(shape, start):
        return np.sin(start + 1.3 * np.arange(np.prod(shape))).reshape(shape)

    shapes = {"weight_ih_l0": (12, 2), "weight_hh_l0": (12, 3), "bias_ih_l0": 12, "bias_hh_l0": 12}
    state = {name: numbers(shape, k) for k, (name, shape) in enumerate(shapes.items())}
    ours = lstm.LSTM(2, 3, dtype=np.float64)
    ours.load_state_dict(from_framework(to_framework(state, framework), framework))
    output, _ = ours(numbers((4, 1, 2), 4))
    assert np.allclose(output[-1, 0], RECORDED[framework], rtol=0, atol=3e-8)  # Keras rounds


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: to_framework(layer().state_dict(), "theano"), "framework must be one of"),
        (lambda: to_framework({}, "keras"), "state_dict must have"),
        (lambda: from_framework({}, "keras"), "got no kernel, recurrent_kernel, bias"),
    ],
)
def test_says_what_is_missing(call, message):
    with pytest.raises(ValueError, match=message):
        call()
