"""``lstm.LSTM`` and its relatives against PyTorch, ONNX, autograd and numerical derivatives."""

import copy
import itertools
import pickle
import tracemalloc
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

import lstm
from lstm.layer import RecurrentLayer
from lstm.variants import StepwiseLayer
from tests.lstm import parity
from tests.lstm.calls import check_gradients, flat, mapped, same
from tests.lstm.parity import EVERY, KINDS, Case

every_layer = pytest.mark.parametrize("case", EVERY, ids=str)
COVERING = [case for kind in KINDS for case in parity.covering(kind, 2 + (kind == "LSTM"))]


@pytest.mark.parametrize("case", COVERING, ids=str)
def test_any_two_features_together_and_any_three_of_the_lstm(case):
    parity.check_reference(case)


@st.composite
def cases(draw_from):
    kind, hidden_size = draw_from(st.sampled_from(KINDS)), draw_from(st.integers(1, 9))
    batched = draw_from(st.booleans())
    return Case(
        kind,
        num_layers=draw_from(st.integers(1, 3)),
        bias=draw_from(st.booleans()),
        batch_first=draw_from(st.booleans()),
        bidirectional=draw_from(st.booleans()),
        proj_size=draw_from(st.integers(0, hidden_size - 1)) if kind == "LSTM" else 0,
        nonlinearity=draw_from(st.sampled_from(["tanh", "relu"])) if kind == "RNN" else "tanh",
        # Layer normalisation of one or two numbers is a step function: no digits to compare.
        dtype=np.float64
        if kind == "LayerNormLSTM"
        else draw_from(st.sampled_from([np.float64, np.float32])),
        lengths=draw_from(st.sampled_from(["none", "equal", "ragged"])) if batched else "none",
        state=draw_from(st.booleans()),
        batched=batched,
        input_size=draw_from(st.integers(1, 9)),
        hidden_size=max(hidden_size, 3) if kind == "LayerNormLSTM" else hidden_size,
        steps=draw_from(st.integers(4, 12)),
        batch=draw_from(st.integers(1, 9)),
        numpy=kind == "LSTM" and draw_from(st.booleans()),
    )


@settings(max_examples=150)
@given(case=cases(), seed=st.integers(0, 2**32 - 1))
def test_any_configuration(case, seed):
    parity.check_reference(case, seed)


@pytest.mark.parametrize("numpy", [False, True])
@pytest.mark.parametrize(
    "case",
    [
        Case(input_size=20, hidden_size=70, steps=30, batch=1, dtype=np.float32),
        Case(input_size=70, hidden_size=20, steps=30, batch=33, dtype=np.float32),
        Case(input_size=1, hidden_size=50, steps=100, batch=32),
        Case(input_size=9, hidden_size=20, steps=40, batch=30, lengths="ragged", num_layers=2),
        Case(
            input_size=70, hidden_size=72, steps=9, batch=30, lengths="ragged", bidirectional=True
        ),
        Case(input_size=260, hidden_size=257, steps=5, batch=9, lengths="ragged", proj_size=8),
        Case(input_size=40, hidden_size=520, steps=2, batch=3),
        Case(input_size=5, hidden_size=520, steps=2, batch=70, proj_size=17),
        Case(input_size=5, hidden_size=6, steps=300, batch=200, bidirectional=True),
    ],
    ids=str,
)
def test_larger_shapes(case, numpy):
    """Sizes at which the engine may take other paths; weights as at the start of training."""
    case = replace(case, numpy=numpy)
    example = parity.draw(case)
    bound = case.hidden_size**-0.5
    for value in example.weights.values():
        value *= 2 * bound
    # Gradients sum over steps and batch: keep them of order 1.
    example.d_output /= case.steps * case.batch
    layer = parity.make(case, example.weights)
    parity.compare(parity.run(layer, example), parity.run_reference(case, example), case.dtype)


@every_layer
@pytest.mark.parametrize("batch_first", [False, True])
def test_padding_is_never_read(case, batch_first):
    """Even NaN behind the end of a sequence does no harm."""
    case = replace(case, lengths="ragged", batch_first=batch_first)
    example = parity.draw(case)
    layer, expected = parity.make(case, example.weights), parity.run_reference(case, example)
    padding = np.arange(case.steps)[:, None] >= example.lengths
    padding = padding.T if batch_first else padding
    example.x[padding] = example.d_output[padding] = np.nan
    results = parity.run(layer, example)
    parity.compare(results, expected)
    assert (results["output"][padding] == 0).all()
    assert (results["d_x"][padding] == 0).all()


@every_layer
def test_absent_gradients_count_as_zeros(case):
    example = parity.draw(case)
    given = flat((example.d_output, example.d_state))
    for absent in itertools.product([False, True], repeat=len(given)):
        results = []
        for nothing in (np.zeros_like, lambda array: None):
            d_output, *d_state = (
                nothing(g) if a else g for a, g in zip(absent, given, strict=True)
            )
            changed = replace(example, d_output=d_output, d_state=parity.packed(d_state))
            results.append(parity.run(parity.make(case, example.weights), changed))
        parity.compare(*results)


@every_layer
def test_strides_do_not_matter(case):
    example = parity.draw(case)
    expected = parity.run_reference(case, example)

    def strided(array):
        wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), np.nan)
        wide[..., ::-2] = array
        return wide[..., ::-2]

    example.x, example.d_output = strided(example.x), np.asfortranarray(example.d_output)
    example.hx, example.d_state = mapped(strided, example.hx), mapped(strided, example.d_state)
    assert not example.x.flags.c_contiguous
    parity.compare(parity.run(parity.make(case, example.weights), example), expected)


@pytest.mark.slow
@every_layer
def test_every_gradient_with_dropout_is_a_numerical_derivative(case):
    sizes = {"input_size": 2, "hidden_size": 3, "steps": 3, "batch": 2}
    case = replace(case, **sizes, num_layers=3)
    example = parity.draw(case)
    layer = parity.make(case, example.weights, dropout=0.4)
    check_gradients(layer, (example.x, example.hx))
    dropped, (still, _) = layer(example.x, example.hx)[0], layer.eval()(example.x, example.hx)
    assert np.abs(dropped - still).max() > 0.01
    same([still], [parity.run_reference(case, example)["output"]], 1e-12)


OPERATORS = {
    "LSTM": ("LSTM", [0, 3, 1, 2], {}),
    "RNN": ("RNN", [0], {}),
    "GRU": ("GRU", [1, 0, 2], {"linear_before_reset": 1}),
    "PeepholeLSTM": ("LSTM", [0, 3, 1, 2], {}),
}
"""Class → operator of ONNX, its order of our blocks, its attributes."""


@pytest.mark.parametrize("kind", OPERATORS)
def test_results_are_those_of_onnx(kind):
    operator, order, attributes = OPERATORS[kind]
    case = Case(kind, bidirectional=True)
    example = parity.draw(case)
    weights, directions = example.weights, ("_l0", "_l0_reverse")

    def blocks(name):
        parts = [np.split(weights[name + suffix], len(order)) for suffix in directions]
        return np.stack([np.concatenate([one[k] for k in order]) for one in parts])

    inputs = {
        "X": example.x,
        "W": blocks("weight_ih"),
        "R": blocks("weight_hh"),
        "B": np.concatenate([blocks("bias_ih"), blocks("bias_hh")], axis=1),
        "sequence_lens": np.full(case.batch, case.steps, np.int32),
    }
    inputs |= dict(zip(("initial_h", "initial_c"), flat(example.hx), strict=False))
    if kind == "PeepholeLSTM":
        gates = [[weights[f"weight_c{gate}{suffix}"] for gate in "iof"] for suffix in directions]
        inputs["P"] = np.stack([np.concatenate(both) for both in gates])
    outputs = ["Y", "Y_h", "Y_c"][: 1 + len(flat(example.hx))]
    attributes = attributes | {"hidden_size": case.hidden_size, "direction": "bidirectional"}
    node = onnx.helper.make_node(operator, list(inputs), outputs, **attributes)
    kinds = {np.dtype("f8"): onnx.TensorProto.DOUBLE, np.dtype("i4"): onnx.TensorProto.INT32}
    value = onnx.helper.make_tensor_value_info
    values = [value(name, kinds[array.dtype], array.shape) for name, array in inputs.items()]
    results = [value(name, onnx.TensorProto.DOUBLE, None) for name in outputs]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], operator, values, results))
    Y, *finals = ReferenceEvaluator(model).run(None, inputs)  # Y is (T, directions, B, H)
    output = np.concatenate(list(Y.swapaxes(0, 1)), axis=-1)
    same(flat(parity.make(case, weights)(example.x, example.hx)), [output, *finals], 1e-12)


# --- a layer of one's own, from the public hooks alone -------------------------------------------


class Accumulator(RecurrentLayer):
    """The sum of what came so far, scaled by a gain: h_t = h_{t-1} + gain * x_t, with D = H."""

    gates, states, can_project = (), ("h",), False

    def parameter_shapes(self, input_size):
        return {"gain": (input_size,)}

    def scan(self, weights, x, state, lengths=None, reverse=False, keep=True):
        (h,), gain = state, weights["gain"]
        counts = np.ones((*x.shape[:2], 1))
        if lengths is not None:
            counts[:, :, 0] = np.arange(len(x))[:, None] < lengths
        x = np.where(counts > 0, x, 0)
        order = slice(None, None, -1) if reverse else slice(None)
        output = h + (gain * x)[order].cumsum(axis=0)[order]
        final = h + (gain * x).sum(axis=0)
        return output * counts, (final,), (gain.copy(), x, counts, order)

    def scan_backward(self, tape, d_output, d_state):
        (gain, x, counts, order), (d_h,) = tape, d_state
        d_output = np.zeros_like(x) if d_output is None else np.where(counts > 0, d_output, 0)
        d_x = d_output[::-1].cumsum(axis=0)[::-1] if not order.step else d_output.cumsum(axis=0)
        d_sum = (d_x + d_h) * counts
        return d_sum * gain, (d_output.sum(axis=0) + d_h,), {"gain": (d_sum * x).sum(axis=(0, 1))}


class Highway(StepwiseLayer):
    """h_t = h_{t-1} + scale * tanh(a_t): a step of its own and a parameter of its own."""

    gates, states = ("h",), ("h",)

    def parameter_shapes(self, input_size):
        return super().parameter_shapes(input_size) | {"scale": (self.hidden_size,)}

    def step(self, weights, a_x, a_h, previous):
        y_t = np.tanh(a_x + a_h)
        return (previous[0] + weights["scale"] * y_t,), (y_t,)

    def step_backward(self, weights, previous, saved, d_current):
        (y_t,), (d_h_t,) = saved, d_current
        d_a_t = d_h_t * weights["scale"] * (1 - y_t * y_t)
        return d_a_t, d_a_t, (d_h_t,), {"scale": (d_h_t * y_t).sum(axis=0)}


@pytest.mark.parametrize("kind", [Accumulator, Highway])
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_layer_of_ones_own(kind, batch_first):
    layer = kind(
        4,
        4,
        num_layers=2,
        bidirectional=kind is Highway,
        batch_first=batch_first,
        dropout=0.3,
        dtype=np.float64,
        rng=0,
    )
    rng = np.random.default_rng(1)
    x = rng.standard_normal((3, 5, 4) if batch_first else (5, 3, 4))
    h_0 = rng.standard_normal((2 * layer.num_directions, 3, 4))
    check_gradients(layer, (x, h_0, np.array([2, 5, 3])))


def test_a_layer_without_its_hooks_says_which_is_missing():
    with pytest.raises(NotImplementedError, match="RecurrentLayer does not define scan"):
        RecurrentLayer(2, 3)(np.zeros((4, 1, 2), np.float32))
    with pytest.raises(NotImplementedError, match="StepwiseLayer does not define step"):
        StepwiseLayer(2, 3)(np.zeros((4, 1, 2), np.float32))


# --- weights, dropout, copies, memory ------------------------------------------------------------


def test_dropout_rate_and_scale():
    """Through an upper layer that only copies: its input is 0 or h / (1 - p)."""
    layer = Accumulator(50, 50, num_layers=2, dropout=0.25, dtype=np.float64, rng=0)
    layer.gain_l0.data[...] = layer.gain_l1.data[...] = 1
    x = np.zeros((20, 600, 50))
    x[0] = 1  # so the lower layer gives 1 at each step, and the upper one counts what is left
    seen = np.diff(layer(x)[0], axis=0, prepend=0)
    # 600,000 draws: four standard deviations of the mean are 0.0023.
    assert abs((np.abs(seen) < 0.5).mean() - 0.25) < 0.0025
    np.testing.assert_allclose(seen[seen > 0.5], 1 / 0.75, rtol=1e-12)
    assert (seen > 0.5).any(axis=0).all()  # the input itself is never dropped
    # Every step and every sequence has its own mask.
    assert len({row.tobytes() for row in (seen > 0.5).reshape(-1, 50)}) > 11_000


def test_dropout_of_everything():
    """With p = 1 the upper layer sees zeros, as in PyTorch."""
    x = np.random.default_rng(0).standard_normal((4, 3, 2))
    ours = lstm.LSTM(2, 5, num_layers=2, dropout=1.0, dtype=np.float64, rng=0)
    theirs = torch.nn.LSTM(2, 5, num_layers=2, dropout=1.0, dtype=torch.float64)
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in ours.state_dict().items()})
    output, _ = ours(x)
    np.testing.assert_allclose(output, theirs(torch.tensor(x))[0].detach(), atol=1e-12)
    assert (ours.backward(np.ones_like(output))[0] == 0).all()


def test_rng_makes_weights_and_masks_reproducible():
    def outputs(seed):
        layer = lstm.LSTM(2, 4, num_layers=2, dropout=0.5, rng=seed)
        x = np.ones((3, 2, 2), np.float32)
        return [layer(x)[0] for _ in range(2)]

    first, second = outputs(3)
    assert not (first == second).all()
    for again, other in zip(outputs(3), (first, second), strict=True):
        np.testing.assert_array_equal(again, other)
    assert not (outputs(4)[0] == first).all()


@pytest.mark.parametrize("kind", ["LSTM", "RNN", "GRU"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_layers": 2, "bias": False, "batch_first": True},
        {"num_layers": 3, "dropout": 0.5, "bidirectional": True},
        {"num_layers": 2, "dropout": 1},
        {"num_layers": 2, "proj_size": 2},
    ],
    ids=str,
)
def test_names_order_and_repr_are_those_of_torch(kind, options):
    if "proj_size" in options and kind != "LSTM":
        return
    ours, theirs = (getattr(where, kind)(3, 4, **options) for where in (lstm, torch.nn))
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    shapes = [[parameter.shape for parameter in group] for group in ours.all_weights]
    assert shapes == [[tuple(p.shape) for p in group] for group in theirs.all_weights]


def test_initial_weights():
    """Uniform in ±1/√H, as in PyTorch."""
    layer = lstm.LSTM(30, 25, num_layers=2, rng=0)
    for parameter in layer.parameters():
        assert np.abs(parameter.data).max() <= 0.2
        assert parameter.dtype == np.float32
    values = np.concatenate([p.data.ravel() for p in layer.parameters()])
    # A uniform distribution on ±0.2 has standard deviation 0.2 / √3.
    assert abs(values.std() - 0.2 / 3**0.5) < 0.002
    assert abs(values.mean()) < 0.003


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_are_independent(clone):
    case = Case(num_layers=2, lengths="ragged")
    example = parity.draw(case)
    expected = parity.run_reference(case, example)
    layer = parity.make(case, example.weights)
    empty = len(pickle.dumps(layer))
    layer(example.x, example.hx, example.lengths)
    assert len(pickle.dumps(layer)) == empty
    copied = clone(layer)
    with pytest.raises(RuntimeError, match="before a call"):
        copied.backward(example.d_output)
    parity.compare(parity.run(copied, example), expected)
    copied.weight_ih_l0.data[:] = 0
    layer.backward(example.d_output, example.d_state)
    for name, parameter in layer.named_parameters():
        np.testing.assert_allclose(parameter.grad, expected["d_" + name], atol=1e-10)


def test_inference_memory_does_not_grow_with_time():
    """Beyond the output, that is: so it is with 20 times the steps."""
    layer = lstm.LSTM(8, 16, rng=0).eval()

    def peak(steps):
        x = np.zeros((steps, 4, 8), np.float32)
        layer(x)
        tracemalloc.start()
        output, _ = layer(x)
        used = tracemalloc.get_traced_memory()[1] - output.nbytes
        tracemalloc.stop()
        return used

    assert peak(40_000) - peak(2_000) < 38_000 * 8 * 2 + 10_000


def test_memory_is_freed_as_soon_as_backward_has_run():
    layer = lstm.LSTM(32, 32, rng=0)
    x = np.zeros((200, 16, 32), np.float32)
    layer.vjp(x)
    tracemalloc.start()
    (output, _), backward = layer.vjp(x)
    held = tracemalloc.get_traced_memory()[0]
    d_x, _ = backward(output)
    left = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held > 4 * output.nbytes
    assert left < 1.5 * (output.nbytes + d_x.nbytes)


@every_layer
@pytest.mark.parametrize("lengths", [None, []])
def test_empty_batch(case, lengths):
    """No sequence is a batch, as in PyTorch."""
    layer = parity.make(case, parity.draw(case).weights)
    output, state = layer(np.zeros((5, 0, 3)), lengths=lengths)
    assert output.shape == (5, 0, 4 if case.proj_size else 10)
    assert [array.shape[:2] for array in flat(state)] == [(4, 0)] * len(layer.state_sizes())
    assert layer.backward(output)[0].shape == (5, 0, 3)
    assert not any(parameter.grad.any() for parameter in layer.parameters())


def test_extreme_inputs_saturate_quietly():
    """No overflow warning (a warning fails), and no NaN."""
    for dtype in (np.float32, np.float64):
        layer = lstm.LSTM(2, 3, dtype=dtype, rng=0)
        x = np.array([[1e30, -1e30], [-1e30, 1e30]], dtype)
        output, _ = layer(x)
        d_x, _ = layer.backward(np.ones_like(output))
        assert np.isfinite(output).all()
        assert np.isfinite(d_x).all()
