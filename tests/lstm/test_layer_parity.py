"""``lstm.LSTM`` against ``torch.nn.LSTM``, ONNX, numerical derivatives and its own cell."""

import copy
import gc
import importlib.util
import pickle
import sys
import tracemalloc

import numpy as np
import pytest
import threadpoolctl
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lstm
from lstm import kernel
from lstm.gradcheck import relative_error
from tests.lstm import parity
from tests.lstm.parity import Case

HAS_NUMBA = importlib.util.find_spec("numba") is not None
WHY = "numba is not installed"


LOOPS = ["numpy", pytest.param("compiled", marks=pytest.mark.skipif(not HAS_NUMBA, reason=WHY))]


@pytest.fixture(params=LOOPS)
def loops(request, monkeypatch):
    """Run a test with the passes in NumPy, then with those that numba compiles."""
    monkeypatch.setattr(kernel, "USE_COMPILED", request.param == "compiled")
    assert kernel.use_compiled(np.dtype(np.float64), 4) == kernel.USE_COMPILED


@pytest.mark.usefixtures("loops")
@pytest.mark.parametrize("case", list(parity.grid()), ids=str)
def test_grid(case):
    parity.check_torch(lstm.LSTM, case)


@pytest.mark.usefixtures("loops")
@pytest.mark.parametrize("name", parity.CHECKS)
def test_check(name):
    parity.CHECKS[name](lstm.LSTM)


def test_grid_is_complete():
    cases = list(parity.grid())
    assert len(cases) == len(set(map(str, cases))) == 768


@st.composite
def cases(draw_from):
    hidden_size = draw_from(st.integers(1, 9))
    batched = draw_from(st.booleans())
    return Case(
        num_layers=draw_from(st.integers(1, 3)),
        bias=draw_from(st.booleans()),
        batch_first=draw_from(st.booleans()),
        bidirectional=draw_from(st.booleans()),
        proj_size=draw_from(st.integers(0, hidden_size - 1)),
        dtype=draw_from(st.sampled_from([np.float64, np.float32])),
        lengths=draw_from(st.sampled_from(["none", "equal", "ragged"])) if batched else "none",
        state=draw_from(st.booleans()),
        batched=batched,
        input_size=draw_from(st.integers(1, 9)),
        hidden_size=hidden_size,
        steps=draw_from(st.integers(4, 12)),
        batch=draw_from(st.integers(1, 9)),
    )


@settings(max_examples=150, deadline=None, derandomize=True)
@given(case=cases(), seed=st.integers(0, 2**32 - 1), use_compiled=st.booleans())
def test_any_configuration(case, seed, use_compiled):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "USE_COMPILED", use_compiled)
        parity.check_torch(lstm.LSTM, case, seed)


@pytest.mark.usefixtures("loops")
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
    ids=lambda case: f"{case}-B{case.batch}-T{case.steps}-D{case.input_size}-H{case.hidden_size}",
)
def test_larger_shapes(case):
    """Sizes at which the engine may take other paths; weights as at the start of training."""
    example = parity.draw(case)
    bound = case.hidden_size**-0.5
    for value in example.weights.values():
        value *= 2 * bound
    # Gradients sum over steps and batch: keep them of order 1.
    example.d_output /= case.steps * case.batch
    layer = parity.make(lstm.LSTM, case, example.weights)
    parity.compare(parity.run(layer, example), parity.run_torch(case, example), case.dtype)


GRADIENT_CASES = [
    Case(),
    Case(bias=False),
    Case(num_layers=2),
    Case(bidirectional=True),
    Case(proj_size=1),
    Case(batch_first=True),
    Case(batched=False),
    Case(lengths="ragged"),
    Case(num_layers=2, bidirectional=True, proj_size=1, lengths="ragged"),
]


@pytest.mark.parametrize("method", ["complex", "central"])
@pytest.mark.parametrize("case", GRADIENT_CASES, ids=str)
def test_numerical_gradient(case, method):
    case = Case(**vars(case) | {"input_size": 2, "hidden_size": 2, "steps": 4, "batch": 2})
    errors = parity.gradient_errors(lstm.LSTM, case, method)
    limit = {"complex": 1e-12, "central": 1e-8}[method]
    assert max(errors.values()) < limit, errors


def test_numerical_gradient_with_dropout():
    def factory(**arguments):
        return lstm.LSTM(**arguments, dropout=0.3)

    case = Case(num_layers=3, input_size=2, hidden_size=3, steps=3, batch=2)
    parity.check_gradients(factory, case)


def test_dropout_rate_and_scale():
    """A linear readout of the mask: the second layer's input is 0 or h / (1 - p)."""
    layer = lstm.LSTM(2, 50, num_layers=2, dropout=0.25, dtype=np.float64, rng=0)
    seen = []
    scan = layer._scan
    layer._scan = lambda weights, x, *rest: seen.append(x) or scan(weights, x, *rest)
    x = np.random.default_rng(0).standard_normal((20, 30, 2))
    layer(x)
    layer.eval()(x)
    dropped, whole = seen[1], seen[3]
    zero = dropped == 0
    # 30,000 draws: four standard deviations of the mean are 0.01.
    assert abs(zero.mean() - 0.25) < 0.01
    np.testing.assert_allclose(dropped[~zero], whole[~zero] / 0.75, rtol=1e-14)
    # Every step and every sequence has its own mask.
    assert len({row.tobytes() for row in zero.reshape(-1, 50)}) == 600


def test_dropout_of_everything():
    """With p = 1 the upper layer sees zeros, as in PyTorch."""
    x = np.random.default_rng(0).standard_normal((4, 3, 2))
    ours = lstm.LSTM(2, 5, num_layers=2, dropout=1.0, dtype=np.float64, rng=0)
    theirs = torch.nn.LSTM(2, 5, num_layers=2, dropout=1.0, dtype=torch.float64)
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in ours.state_dict().items()})
    their_x = torch.tensor(x, requires_grad=True)
    their_output, _ = theirs(their_x)
    their_output.sum().backward()
    output, _ = ours(x)
    d_x, _ = ours.backward(np.ones_like(output))
    parity.compare({"output": output}, {"output": their_output.detach().numpy()})
    assert (d_x == 0).all()
    assert (their_x.grad == 0).all()


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


@pytest.mark.parametrize("proj_size", [0, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_state_dict_both_ways(proj_size, bidirectional):
    case = Case(num_layers=2, bidirectional=bidirectional, proj_size=proj_size)
    theirs = parity.torch_layer(case)
    ours = lstm.LSTM(**case.arguments, dtype=np.float64, rng=0)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    for name, value in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[name], value.numpy())
    ours = lstm.LSTM(**case.arguments, dtype=np.float64, rng=1)
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in ours.state_dict().items()})
    for name, value in ours.state_dict().items():
        np.testing.assert_array_equal(theirs.state_dict()[name].numpy(), value)


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


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"num_layers": 2, "bias": False, "batch_first": True},
        {"num_layers": 3, "dropout": 0.5, "bidirectional": True, "proj_size": 2},
        {"num_layers": 2, "dropout": 1},
    ],
)
def test_repr(arguments):
    assert repr(lstm.LSTM(3, 4, **arguments)) == repr(torch.nn.LSTM(3, 4, **arguments))


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_are_independent(clone):
    case = Case(num_layers=2, lengths="ragged")
    example = parity.draw(case)
    layer = parity.make(lstm.LSTM, case, example.weights)
    layer(example.x, example.state, example.lengths)
    copied = clone(layer)
    with pytest.raises(RuntimeError, match="before a forward pass"):
        copied.backward(example.d_output)
    copied(2 * example.x, example.state, example.lengths)
    layer.backward(example.d_output, example.d_state)
    copied(example.x, example.state, example.lengths)
    copied.backward(example.d_output, example.d_state)
    expected = parity.run_torch(case, example)
    for name, parameter in copied.named_parameters():
        assert relative_error(parameter.grad, expected["d_" + name]) < 1e-12
    copied.zero_grad()
    copied.weight_ih_l0.data[:] = 0
    np.testing.assert_array_equal(layer.weight_ih_l0.data, example.weights["weight_ih_l0"])
    parity.compare(
        {"d_weight_ih_l0": layer.weight_ih_l0.grad},
        {"d_weight_ih_l0": expected["d_weight_ih_l0"]},
    )


def test_evaluation_mode_keeps_nothing():
    layer = lstm.LSTM(3, 4, rng=0)
    x = np.ones((5, 2, 3), np.float32)
    layer(x)
    layer.eval()
    assert layer._saved is None
    layer(x)
    assert layer._saved is None


def test_inference_memory_does_not_grow_with_time():
    """Beyond the output, that is: so it is with 20 times the steps."""
    layer = lstm.LSTM(8, 16, num_layers=1, rng=0)
    layer.eval()

    def peak(steps):
        x = np.zeros((steps, 4, 8), np.float32)
        layer(x)
        tracemalloc.start()
        output, _ = layer(x)
        used = tracemalloc.get_traced_memory()[1] - output.nbytes
        tracemalloc.stop()
        return used

    short, long = peak(2_000), peak(40_000)
    # The number of running sequences at each step is a list of pointers: 8 bytes, held twice.
    assert long - short < 38_000 * 8 * 2 + 10_000


def test_memory_is_used_again():
    """A second training step of the same shape allocates little more than what it returns."""
    layer = lstm.LSTM(32, 32, rng=0)
    x = np.zeros((100, 16, 32), np.float32)
    for _ in range(2):
        tracemalloc.start()
        output, _ = layer(x)
        d_x, _ = layer.backward(output)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert used < 2 * (output.nbytes + d_x.nbytes)


def test_memory_of_another_shape_is_freed_at_once():
    """Training on batches of many lengths must not wait for the garbage collector."""
    layer = lstm.LSTM(32, 32, rng=0)
    gc.disable()
    tracemalloc.start()
    try:
        used = []
        for steps in range(100, 110):
            output, _ = layer(np.zeros((steps, 16, 32), np.float32))
            layer.backward(output)
            used.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
        gc.enable()
    assert used[-1] < 1.5 * used[0]


def test_without_numba(monkeypatch):
    """The compiled passes are a choice, not a need."""
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "lstm.compiled", raising=False)
    monkeypatch.delattr(lstm, "compiled", raising=False)
    kernel.compiled_passes.cache_clear()
    try:
        assert not kernel.use_compiled(np.dtype(np.float32), 4)
        parity.check_features(lstm.LSTM)
    finally:
        kernel.compiled_passes.cache_clear()


@pytest.mark.parametrize("tile", [(16, 64, 512), (1 << 30,) * 3])
def test_tiles(tile, monkeypatch):
    """Matrices cut into tiles or multiplied whole: which is faster depends on the processor."""
    compiled = pytest.importorskip("lstm.compiled")
    monkeypatch.setattr(compiled, "GEMM", {k: (v[0], *tile) for k, v in compiled.GEMM.items()})
    for name in ("large matrices", "torch.nn.LSTM", "inference"):
        parity.CHECKS[name](lstm.LSTM)


def test_compiled_loops_leave_one_blas_its_threads():
    """A second crew of threads makes everything ten times slower; SciPy gets its own back."""
    compiled = pytest.importorskip("lstm.compiled")
    assert compiled.BLAS_OF_SCIPY
    with threadpoolctl.threadpool_limits(2):
        with compiled.one_thread():
            inside = [library.get_num_threads() for library in compiled.BLAS_OF_SCIPY]
        after = [library.get_num_threads() for library in compiled.BLAS_OF_SCIPY]
    assert set(inside) == {1}
    assert set(after) == {2}


@pytest.mark.skipif(not HAS_NUMBA, reason=WHY)
@pytest.mark.parametrize(("dtype", "units"), [(np.float32, 6), (np.float64, 3)])
def test_compiled_tanh(dtype, units):
    """Off by a few units in the last place, also near 0; odd; 1 far out; NaN stays NaN."""
    import numba

    from lstm import compiled

    tanh = numba.vectorize(lambda x: compiled_tanh(x))
    compiled_tanh = compiled.tanh
    small = np.logspace(np.log10(np.finfo(dtype).tiny), 1, 100_001)
    x = np.concatenate([np.linspace(0, 30, 1_000_001), small, [1e30, np.inf]]).astype(dtype)
    with np.errstate(all="ignore"):
        y = tanh(x)
    wanted = np.tanh(x.astype(np.longdouble))
    assert y.dtype == dtype
    assert (np.abs(y - wanted) <= units * np.spacing(wanted.astype(dtype))).all()
    np.testing.assert_array_equal(tanh(-x), -y)
    with np.errstate(invalid="ignore"):
        assert np.isnan(tanh(dtype(np.nan)))


@pytest.mark.usefixtures("loops")
def test_empty_batch():
    """No sequence is a batch, as in PyTorch."""
    layer = lstm.LSTM(3, 4, num_layers=2, bidirectional=True)
    output, (h_n, c_n) = layer(np.zeros((5, 0, 3), np.float32))
    assert (output.shape, h_n.shape, c_n.shape) == ((5, 0, 8), (4, 0, 4), (4, 0, 4))
    d_x, _ = layer.backward(output)
    assert d_x.shape == (5, 0, 3)


def test_extreme_inputs_saturate_quietly():
    """No overflow warning (a warning fails), and no NaN."""
    for dtype in (np.float32, np.float64):
        layer = lstm.LSTM(2, 3, dtype=dtype, rng=0)
        x = np.array([[1e30, -1e30], [-1e30, 1e30]], dtype)
        output, _ = layer(x)
        d_x, _ = layer.backward(np.ones_like(output))
        assert np.isfinite(output).all()
        assert np.isfinite(d_x).all()
