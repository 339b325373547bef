"""Checks of an LSTM against independent ones, as plain functions of the LSTM to check.

Each check takes a ``factory``: a callable with the arguments of ``lstm.LSTM`` that returns a layer
with its contract. A check returns None or raises an AssertionError. They are functions and not
tests because they run twice: on our layer, where they have to pass, and on wrong layers, which
they have to catch. ``CHECKS`` holds those that need no arguments but the factory.
"""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import lstm
from lstm.gradcheck import check_module

# On arrays as small as these, a second thread only waits for the first.
torch.set_num_threads(1)

Arrays = dict[str, np.ndarray]
Factory = Callable[..., lstm.LSTM]

FORWARD = ("output", "h_n", "c_n")
TOLERANCE = {
    np.float64: {"forward": 1e-12, "gradient": 1e-10},
    np.float32: {"forward": 5e-5, "gradient": 5e-5},
}
"""Largest absolute difference allowed, where values are of order 1."""


@dataclass(frozen=True)
class Case:
    """One configuration of a layer and of a call."""

    num_layers: int = 1
    bias: bool = True
    batch_first: bool = False
    bidirectional: bool = False
    proj_size: int = 0
    dtype: type = np.float64
    lengths: str = "none"  # none, equal or ragged
    state: bool = True  # given, or the default zeros
    batched: bool = True
    input_size: int = 3
    hidden_size: int = 5
    steps: int = 6
    batch: int = 4

    @property
    def arguments(self) -> dict:
        """Arguments that PyTorch's layer and ours share."""
        names = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "bidirectional")
        return {name: getattr(self, name) for name in (*names, "proj_size")}

    def __str__(self) -> str:
        shown = [f"L{self.num_layers}", np.dtype(self.dtype).name, self.lengths]
        shown += [name for name in ("bidirectional", "batch_first") if getattr(self, name)]
        shown += [f"proj{self.proj_size}"] if self.proj_size else []
        shown += [] if self.bias else ["nobias"]
        shown += [] if self.batched else ["unbatched"]
        shown += ["state"] if self.state else []
        return "-".join(shown)


def grid(**fixed: object) -> Iterator[Case]:
    """Yield every combination of the features; ``fixed`` ones do not vary."""
    features = {
        "bias": [True, False],
        "batch_first": [False, True],
        "bidirectional": [False, True],
        "num_layers": [1, 2, 3],
        "proj_size": [0, 3],
        "dtype": [np.float64, np.float32],
        "lengths": ["none", "equal", "ragged"],
        "state": [False, True],
        "batched": [True, False],
    }
    features |= {name: [value] for name, value in fixed.items()}
    for values in itertools.product(*features.values()):
        case = Case(**dict(zip(features, values, strict=True)))
        if case.batched or case.lengths == "none":
            yield case


@dataclass
class Example:
    """Random arrays that fit a case: what goes in, and the gradients that come back."""

    weights: Arrays
    x: np.ndarray
    state: tuple[np.ndarray, np.ndarray] | None
    lengths: np.ndarray | None
    d_output: np.ndarray
    d_state: tuple[np.ndarray, np.ndarray]


def draw(case: Case, seed: int = 0) -> Example:
    """Draw an example; weights are large enough to drive the gates away from one half."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(case.dtype)

    shapes = {name: value.shape for name, value in torch_layer(case).state_dict().items()}
    weights = {name: 0.5 * normal(*shape) for name, shape in shapes.items()}
    leading = (case.batch, case.steps) if case.batch_first else (case.steps, case.batch)
    leading = leading if case.batched else (case.steps,)
    rows = (case.batch,) if case.batched else ()
    directions = 2 if case.bidirectional else 1
    width = case.proj_size or case.hidden_size
    states = [(case.num_layers * directions, *rows, size) for size in (width, case.hidden_size)]
    lengths = {
        "none": None,
        "equal": np.full(case.batch, case.steps),
        # One sequence of one step; none has all the steps, so the end is padding for all.
        "ragged": rng.permutation(np.resize([2, case.steps - 1, 1, 3], case.batch)),
    }[case.lengths]
    return Example(
        weights,
        normal(*leading, case.input_size),
        tuple(normal(*shape) for shape in states) if case.state else None,
        lengths,
        normal(*leading, directions * width),
        tuple(normal(*shape) for shape in states),
    )


def torch_layer(case: Case) -> torch.nn.LSTM:
    """Return PyTorch's layer for a case."""
    return torch.nn.LSTM(**case.arguments, dtype=getattr(torch, np.dtype(case.dtype).name))


def run_torch(case: Case, example: Example, layer: torch.nn.LSTM | None = None) -> Arrays:
    """Return every result and gradient that PyTorch computes."""
    if layer is None:
        layer = torch_layer(case)
        layer.load_state_dict({k: torch.from_numpy(v) for k, v in example.weights.items()})
    x = torch.tensor(example.x, requires_grad=True)
    state = example.state and tuple(torch.tensor(a, requires_grad=True) for a in example.state)
    with warnings.catch_warnings():
        # PyTorch says that its projections run without oneDNN.
        warnings.filterwarnings("ignore", "LSTM with projections is not supported with oneDNN")
        if example.lengths is None:
            output, (h_n, c_n) = layer(x, state)
        else:
            lengths = torch.from_numpy(example.lengths)
            packed = pack_padded_sequence(x, lengths, case.batch_first, enforce_sorted=False)
            packed, (h_n, c_n) = layer(packed, state)
            output, _ = pad_packed_sequence(packed, case.batch_first, total_length=case.steps)
    gradients = [torch.from_numpy(a) for a in (example.d_output, *example.d_state)]
    torch.autograd.backward([output, h_n, c_n], gradients)
    results = {"output": output, "h_n": h_n, "c_n": c_n, "d_x": x.grad}
    if state is not None:
        results |= {"d_h_0": state[0].grad, "d_c_0": state[1].grad}
    results |= {"d_" + name: p.grad for name, p in layer.named_parameters()}
    return {name: value.detach().numpy().copy() for name, value in results.items()}


def make(factory: Factory, case: Case, weights: Mapping[str, np.ndarray]) -> lstm.LSTM:
    """Return the layer to check, with given weights."""
    layer = factory(**case.arguments, dtype=case.dtype)
    layer.load_state_dict(weights)
    return layer


def run(layer: lstm.LSTM, example: Example) -> Arrays:
    """Return every result and gradient of the layer to check."""
    output, (h_n, c_n) = layer(example.x, example.state, example.lengths)
    # Kept as they are now: whether they stay so is what check_reuse looks at.
    results = {"output": output, "h_n": h_n, "c_n": c_n}
    d_x, (d_h_0, d_c_0) = layer.backward(example.d_output, example.d_state)
    results |= {"d_x": d_x}
    if example.state is not None:
        results |= {"d_h_0": d_h_0, "d_c_0": d_c_0}
    results |= {"d_" + name: p.grad.copy() for name, p in layer.named_parameters()}
    return results


def compare(actual: Arrays, expected: Arrays, dtype: type = np.float64) -> None:
    """Raise unless both hold the same arrays, to :data:`TOLERANCE`."""
    assert actual.keys() == expected.keys(), f"{sorted(actual)} against {sorted(expected)}"
    for name, wanted in expected.items():
        got = actual[name]
        assert got.shape == wanted.shape, f"{name}: shape {got.shape}, wanted {wanted.shape}"
        assert got.dtype == wanted.dtype, f"{name}: dtype {got.dtype}, wanted {wanted.dtype}"
        limit = TOLERANCE[dtype]["forward" if name in FORWARD else "gradient"]
        difference = np.abs(got - wanted).max(initial=0)
        assert difference <= limit, f"{name} is off by {difference:.1e}, more than {limit}"


# --- the checks ------------------------------------------------------------------------------


def check_torch(factory: Factory, case: Case, seed: int = 0) -> None:
    """Outputs, final states and every gradient are those of ``torch.nn.LSTM``."""
    example = draw(case, seed)
    layer = make(factory, case, example.weights)
    compare(run(layer, example), expected_results(case, seed), case.dtype)


@functools.lru_cache(maxsize=64)
def expected_results(case: Case, seed: int = 0) -> Arrays:
    """Return ``run_torch`` of a drawn example; nobody may change the arrays."""
    return run_torch(case, draw(case, seed))


FEATURES = [
    Case(),
    Case(num_layers=2, state=False),
    Case(bias=False),
    Case(batch_first=True),
    Case(bidirectional=True, num_layers=2),
    Case(proj_size=3, num_layers=2, bidirectional=True),
    Case(lengths="ragged"),
    Case(lengths="ragged", bidirectional=True, num_layers=2, proj_size=2, batch_first=True),
    Case(batched=False, bidirectional=True),
    Case(dtype=np.float32, num_layers=2),
]
"""Few cases, each feature at least once."""


def check_features(factory: Factory) -> None:
    """``check_torch`` for each feature."""
    for case in FEATURES:
        check_torch(factory, case)


def check_inference(factory: Factory) -> None:
    """In evaluation mode the results are the same."""
    for case in FEATURES:
        example = draw(case)
        layer = make(factory, case, example.weights).eval()
        output, (h_n, c_n) = layer(example.x, example.state, example.lengths)
        expected = expected_results(case)
        compare(
            {"output": output, "h_n": h_n, "c_n": c_n},
            {name: expected[name] for name in FORWARD},
            case.dtype,
        )


def check_training_steps(factory: Factory, case: Case | None = None) -> None:
    """Two steps of gradient descent in a row, then a third gradient on top of the second."""
    # Three layers: the second and third are of the same sizes, and may share memory by mistake.
    case = case or Case(num_layers=3, bidirectional=True, proj_size=3, lengths="ragged")
    examples = [draw(case, seed) for seed in range(3)]
    ours, theirs = make(factory, case, examples[0].weights), torch_layer(case)
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in examples[0].weights.items()})
    for example in examples:
        compare(run(ours, example), run_torch(case, example, theirs), case.dtype)
        if example is examples[1]:
            continue  # no step and no zero_grad: the third gradient has to be added
        for parameter in ours.parameters():
            parameter.data -= 0.1 * parameter.grad
        with torch.no_grad():
            for parameter in theirs.parameters():
                parameter -= 0.1 * parameter.grad
        ours.zero_grad()
        theirs.zero_grad(set_to_none=True)


def check_reuse(factory: Factory) -> None:
    """One layer takes batches of many shapes, and no call changes what another one returned."""
    shapes = [(6, 4), (2, 7), (6, 4), (9, 1), (1, 4), (6, 4)]
    case = Case(num_layers=2, bidirectional=True)
    layer = make(factory, case, draw(case).weights)
    all_results = []
    for k, (steps, batch) in enumerate(shapes):
        lengths = "ragged" if k % 2 else "none"
        call = replace(case, steps=steps, batch=batch, lengths=lengths if steps > 2 else "none")
        example = replace(draw(call, seed=k), weights=draw(case).weights)
        layer.zero_grad()
        results = run(layer, example)
        expected = run_torch(call, example)
        compare(results, expected)
        all_results.append((results, expected))
    for results, expected in all_results:
        compare(results, expected)


def check_long(factory: Factory) -> None:
    """Sequences that are longer than what is computed at a time."""
    check_torch(factory, Case(steps=150, batch=8, bidirectional=True))


def check_large(factory: Factory) -> None:
    """Matrices that are larger than what is multiplied at a time."""
    check_torch(factory, Case(steps=2, batch=18, input_size=400, hidden_size=130))


def check_arguments_untouched(factory: Factory) -> None:
    """No argument is changed, and what was copied at the forward pass is what counts."""
    for case in (Case(), Case(batch=1), Case(lengths="ragged", proj_size=2)):
        example = draw(case)
        layer = make(factory, case, example.weights)
        expected = run_torch(case, example)
        arrays = [example.x, *example.state, example.d_output, *example.d_state]
        before = [array.copy() for array in arrays]
        layer(example.x, example.state, example.lengths)
        for parameter in layer.parameters():
            parameter.data += 1.0
        assert all((a == b).all() for a, b in zip(arrays, before, strict=True))
        for array in (example.x, *example.state):
            array += 1.0
        d_x, (d_h_0, d_c_0) = layer.backward(example.d_output, example.d_state)
        actual = {"d_x": d_x, "d_h_0": d_h_0, "d_c_0": d_c_0}
        actual |= {"d_" + name: p.grad for name, p in layer.named_parameters()}
        compare(actual, {name: expected[name] for name in actual})
        for array, copy in zip(arrays[3:], before[3:], strict=True):
            assert (array == copy).all()


def check_padding(factory: Factory) -> None:
    """What stands behind the end of a sequence is never read: even NaN does no harm."""
    case = Case(lengths="ragged", num_layers=2, bidirectional=True, proj_size=2)
    example = draw(case)
    layer = make(factory, case, example.weights)
    expected = run_torch(case, example)
    padding = np.arange(case.steps)[:, None] >= example.lengths
    example.x[padding] = np.nan
    example.d_output[padding] = np.nan
    results = run(layer, example)
    compare(results, expected)
    assert (results["output"][padding] == 0).all()
    assert (results["d_x"][padding] == 0).all()


def check_chunks(factory: Factory) -> None:
    """A sequence in chunks is the whole sequence: states go on, their gradients come back."""
    for case in (Case(num_layers=2, steps=7), Case(proj_size=3, steps=7, bias=False)):
        example = draw(case)
        expected = run_torch(case, example)
        layer = make(factory, case, example.weights)
        chunks = [slice(0, 3), slice(3, 4), slice(4, 7)]
        states, outputs = [example.state], []
        for chunk in chunks:
            output, state = layer(example.x[chunk], states[-1])
            outputs.append(output)
            states.append(state)
        d_state, d_x = example.d_state, np.empty_like(example.x)
        for chunk, state in reversed(list(zip(chunks, states, strict=False))):
            layer(example.x[chunk], state)
            d_x[chunk], d_state = layer.backward(example.d_output[chunk], d_state)
        results = {"output": np.concatenate(outputs), "h_n": states[-1][0], "c_n": states[-1][1]}
        results |= {"d_x": d_x, "d_h_0": d_state[0], "d_c_0": d_state[1]}
        results |= {"d_" + name: p.grad for name, p in layer.named_parameters()}
        compare(results, expected)


def check_truncated(factory: Factory) -> None:
    """Truncated backpropagation: the state goes on to the next chunk, its gradient does not."""
    case = Case(num_layers=2, steps=6)
    example = draw(case)
    ours, theirs = make(factory, case, example.weights), torch_layer(case)
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in example.weights.items()})
    state, their_state = None, None
    for chunk in (slice(0, 3), slice(3, 6)):
        d_output = example.d_output[chunk]
        output, state = ours(example.x[chunk], state)
        ours.backward(d_output)
        their_output, their_state = theirs(torch.from_numpy(example.x[chunk]), their_state)
        their_output.backward(torch.from_numpy(d_output))
        their_state = tuple(tensor.detach() for tensor in their_state)
        compare({"output": output}, {"output": their_output.detach().numpy()})
    compare(
        {"d_" + name: p.grad for name, p in ours.named_parameters()},
        {"d_" + name: p.grad.numpy() for name, p in theirs.named_parameters()},
    )


def check_missing_gradients(factory: Factory) -> None:
    """Absent gradients count as zeros, each on its own."""
    case = Case(num_layers=2, bidirectional=True)
    example = draw(case)
    zeros = [np.zeros_like(a) for a in (example.d_output, *example.d_state)]
    given = [example.d_output, *example.d_state]
    for absent in itertools.product([False, True], repeat=3):
        results = []
        for fill in (zeros, [None] * 3):
            layer = make(factory, case, example.weights)
            layer(example.x, example.state)
            d_output, *d_state = (
                z if a else g for a, z, g in zip(absent, fill, given, strict=True)
            )
            d_x, (d_h_0, d_c_0) = layer.backward(d_output, tuple(d_state))
            gradients = {"d_" + name: p.grad for name, p in layer.named_parameters()}
            results.append({"d_x": d_x, "d_h_0": d_h_0, "d_c_0": d_c_0} | gradients)
        compare(*results)


def check_non_contiguous(factory: Factory) -> None:
    """Strides do not matter."""
    case = Case(num_layers=2)
    example = draw(case)

    def strided(array: np.ndarray) -> np.ndarray:
        wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), np.nan)
        wide[..., ::-2] = array
        view = wide[..., ::-2]
        assert not view.flags.c_contiguous
        return view

    expected = run_torch(case, example)
    example.x, example.d_output = strided(example.x), strided(example.d_output)
    example.state = tuple(map(strided, example.state))
    example.d_state = tuple(map(strided, example.d_state))
    compare(run(make(factory, case, example.weights), example), expected)
    example.x = np.asfortranarray(example.x)
    compare(run(make(factory, case, example.weights), example), expected)


def check_cell_loop(factory: Factory) -> None:
    """One layer is ``LSTMCell`` in a loop, forward and backward."""
    case = Case()
    example = draw(case)
    results = run(make(factory, case, example.weights), example)

    cell = lstm.LSTMCell(case.input_size, case.hidden_size, dtype=np.float64)
    weights = {name.removesuffix("_l0"): value for name, value in example.weights.items()}
    cell.load_state_dict(weights)
    states = [tuple(array[0] for array in example.state)]
    for x_t in example.x:
        states.append(cell(x_t, states[-1]))
    d_h, d_c = (array[0] for array in example.d_state)
    d_x = np.empty_like(example.x)
    for t in reversed(range(case.steps)):
        cell(example.x[t], states[t])  # the cell keeps one step: run it again
        d_x[t], (d_h, d_c) = cell.backward(d_h + example.d_output[t], d_c)
    expected = {"output": np.stack([h for h, _ in states[1:]]), "d_x": d_x}
    expected |= {"h_n": states[-1][0][None], "c_n": states[-1][1][None]}
    expected |= {"d_h_0": d_h[None], "d_c_0": d_c[None]}
    expected |= {f"d_{name}_l0": p.grad for name, p in cell.named_parameters()}
    compare({name: results[name] for name in expected}, expected)


def check_onnx(factory: Factory) -> None:
    """Both directions are those of the reference implementation of ONNX's LSTM operator."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    H = 5

    def to_onnx(name: str, weights: Arrays) -> np.ndarray:
        # ONNX orders the gates i, o, f, c.
        both = []
        for suffix in ("_l0", "_l0_reverse"):
            i, f, g, o = np.split(weights[name + suffix], 4)
            both.append(np.concatenate([i, o, f, g]))
        return np.stack(both)

    case = Case(bidirectional=True, hidden_size=H)
    example = draw(case)
    inputs = {
        "X": example.x,
        "W": to_onnx("weight_ih", example.weights),
        "R": to_onnx("weight_hh", example.weights),
        "B": np.concatenate(
            [to_onnx(name, example.weights) for name in ("bias_ih", "bias_hh")], axis=1
        ),
        "sequence_lens": np.full(case.batch, case.steps, np.int32),
        "initial_h": example.state[0],
        "initial_c": example.state[1],
    }
    outputs = ["Y", "Y_h", "Y_c"]
    node = onnx.helper.make_node(
        "LSTM", list(inputs), outputs, hidden_size=H, direction="bidirectional"
    )
    double, integer = onnx.TensorProto.DOUBLE, onnx.TensorProto.INT32
    graph = onnx.helper.make_graph(
        [node],
        "lstm",
        [
            onnx.helper.make_tensor_value_info(
                name, integer if name == "sequence_lens" else double, array.shape
            )
            for name, array in inputs.items()
        ],
        [onnx.helper.make_tensor_value_info(name, double, None) for name in outputs],
    )
    Y, Y_h, Y_c = ReferenceEvaluator(onnx.helper.make_model(graph)).run(None, inputs)
    results = run(make(factory, case, example.weights), example)
    # Y is (T, directions, B, H)
    expected = {"output": np.concatenate([Y[:, 0], Y[:, 1]], axis=-1), "h_n": Y_h, "c_n": Y_c}
    compare({name: results[name] for name in expected}, expected)


def gradient_errors(factory: Factory, case: Case, method: str) -> dict[str, float]:
    """Return the relative error of every gradient against a numerical derivative."""
    example = draw(case)
    layer = make(factory, case, example.weights)
    inputs = {"x": example.x, "h_0": example.state[0], "c_0": example.state[1]}

    def loss(x: np.ndarray, h_0: np.ndarray, c_0: np.ndarray):
        layer.rng = np.random.default_rng(7)  # the same dropout mask every time
        output, (h_n, c_n) = layer(x, (h_0, c_0), example.lengths)
        d_h_n, d_c_n = example.d_state
        # Not linear in the results, so that a gradient depends on them too.
        value = (
            (example.d_output * output**2).sum() + (d_h_n * h_n**2).sum() + (d_c_n * c_n**2).sum()
        )

        def backward() -> Arrays:
            d_state = 2 * d_h_n * h_n, 2 * d_c_n * c_n
            d_x, (d_h_0, d_c_0) = layer.backward(2 * example.d_output * output, d_state)
            return {"x": d_x, "h_0": d_h_0, "c_0": d_c_0}

        return value, backward

    return check_module(layer, inputs, loss, method)


def check_gradients(factory: Factory, case: Case | None = None) -> None:
    """Every gradient is the derivative of the forward pass, by the complex step."""
    case = case or Case(input_size=2, hidden_size=2, steps=3, batch=2)
    errors = gradient_errors(factory, case, "complex")
    worst = max(errors, key=errors.get)
    assert errors[worst] < 1e-12, f"{worst} is off by {errors[worst]:.1e} (relative)"


def check_dropout(factory: Factory) -> None:
    """Dropout acts between the layers, on nothing else, and only in training."""
    case = Case(num_layers=3, bidirectional=True)
    example = draw(case)
    layer = factory(**case.arguments, dropout=0.4, dtype=case.dtype, rng=1)
    layer.load_state_dict(example.weights)
    expected = run_torch(case, example)
    layer.eval()
    output, _ = layer(example.x, example.state)
    compare({"output": output}, {"output": expected["output"]})

    layer.train()
    layer.rng = np.random.default_rng(5)
    results = run(layer, example)
    # The same by hand: one-layer LSTMs with Dropout modules between them.
    rng = np.random.default_rng(5)
    single = replace(case, num_layers=1)
    modules, below, finals = [], example.x, []
    for k in range(3):
        arguments = single.arguments | {"input_size": below.shape[-1]}
        one = factory(**arguments, dtype=case.dtype)
        own = {n.replace(f"_l{k}", "_l0"): v for n, v in example.weights.items() if f"_l{k}" in n}
        one.load_state_dict(own)
        below, final = one(below, tuple(array[2 * k : 2 * k + 2] for array in example.state))
        finals.append(final)
        modules.append(one)
        if k < 2:
            modules.append(lstm.Dropout(0.4, rng=rng))
            below = modules[-1](below)
    by_hand = {"output": below}
    by_hand |= {
        name: np.concatenate(arrays)
        for name, arrays in zip(("h_n", "c_n"), zip(*finals, strict=True), strict=True)
    }
    d_below, d_initial = example.d_output, [None] * 3
    for module in reversed(modules):
        if isinstance(module, lstm.Dropout):
            d_below = module.backward(d_below)
        else:
            k = modules.index(module) // 2
            d_own = tuple(array[2 * k : 2 * k + 2] for array in example.d_state)
            d_below, d_initial[k] = module.backward(d_below, d_own)
            for name, parameter in module.named_parameters():
                by_hand["d_" + name.replace("_l0", f"_l{k}")] = parameter.grad
    by_hand["d_x"] = d_below
    by_hand |= {
        name: np.concatenate(arrays)
        for name, arrays in zip(("d_h_0", "d_c_0"), zip(*d_initial, strict=True), strict=True)
    }
    compare(results, by_hand)


CHECKS: dict[str, Callable[[Factory], None]] = {
    "torch.nn.LSTM": check_features,
    "inference": check_inference,
    "training steps": check_training_steps,
    "reuse": check_reuse,
    "long sequences": check_long,
    "large matrices": check_large,
    "arguments untouched": check_arguments_untouched,
    "padding never read": check_padding,
    "chunks": check_chunks,
    "truncated": check_truncated,
    "absent gradients": check_missing_gradients,
    "non-contiguous": check_non_contiguous,
    "LSTMCell in a loop": check_cell_loop,
    "ONNX reference": check_onnx,
    "complex step": check_gradients,
    "dropout": check_dropout,
}
"""Every check that needs only a factory, by the name shown in tables; each under a second."""
