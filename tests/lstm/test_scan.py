"""The scan is ``torch.nn.LSTM``, with both kinds of steps, and falls back where numba fails."""

import os
import subprocess
import sys
import textwrap
import threading
import tracemalloc

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lstm import compiled, scan

ENGINES = [compiled, scan.NumpySteps]
# Of oneDNN, which cannot project.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")
both = pytest.mark.parametrize("steps", ENGINES, ids=["compiled", "numpy"])


def draw_weights(rng, D, H, P=0, bias=True, dtype=np.float64, bound=0.5):
    shapes = {"weight_ih": (4 * H, D), "weight_hh": (4 * H, P or H)}
    shapes |= {"bias_ih": (4 * H,), "bias_hh": (4 * H,)} if bias else {}
    shapes |= {"weight_hr": (P, H)} if P else {}
    return {name: rng.uniform(-bound, bound, s).astype(dtype) for name, s in shapes.items()}


def nn_lstm(weights):
    """Return a two-way ``nn.LSTM`` with the same weights in both directions."""
    (rows, D), P = weights["weight_ih"].shape, len(weights.get("weight_hr", ()))
    layer = torch.nn.LSTM(D, rows // 4, bias="bias_ih" in weights, bidirectional=True, proj_size=P)
    layer = layer.to(torch.from_numpy(weights["weight_ih"]).dtype)
    names = {name + end: w for name, w in weights.items() for end in ("_l0", "_l0_reverse")}
    layer.load_state_dict({name: torch.from_numpy(w) for name, w in names.items()})
    return layer


@both
@settings(max_examples=40)
@given(
    sizes=st.tuples(*(st.integers(1, n) for n in (20, 9, 40, 40))),
    dtype=st.sampled_from([np.float32, np.float64]),
    ragged=st.booleans(),
    reverse=st.booleans(),
    bias=st.booleans(),
    projects=st.booleans(),
    of_output=st.booleans(),
    seed=st.integers(0, 99),
)
def test_parity(steps, sizes, dtype, ragged, reverse, bias, projects, of_output, seed):
    B, T, D, H = sizes
    P = max(1, H // 2) if projects and H > 1 else 0
    rng = np.random.default_rng(seed)
    weights = draw_weights(rng, D, H, P, bias, dtype)
    lengths = rng.integers(1, T + 1, B) if ragged else None
    x, d_output, *states = (
        rng.standard_normal(s).astype(dtype)
        for s in ((T, B, D), (T, B, P or H), *[(B, P or H), (B, H)] * 2)
    )

    layer = nn_lstm(weights)
    inputs = [torch.from_numpy(a).requires_grad_() for a in (x, *states[:2])]
    both_ways = [torch.stack([s, s]) for s in inputs[1:]]
    if ragged:
        packed = pack_padded_sequence(inputs[0], torch.from_numpy(lengths), enforce_sorted=False)
        output, final = layer(packed, both_ways)
        output, _ = pad_packed_sequence(output, total_length=T)
    else:
        output, final = layer(inputs[0], both_ways)
    expected = [output.chunk(2, dim=2)[reverse], *(s[int(reverse)] for s in final)]
    used = range(3) if of_output else range(1, 3)
    gradients = [torch.from_numpy(a) for a in (d_output, *states[2:])]
    torch.autograd.backward([expected[k] for k in used], [gradients[k] for k in used])

    def close(ours, theirs):
        theirs = theirs.detach().numpy()
        bound = 2e-5 if dtype == np.float32 else 1e-12
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=bound * (1 + abs(theirs).max()))

    for keep in (False, True):
        found, state, tape = scan.forward(
            weights, x, tuple(states[:2]), lengths, reverse, keep, steps=steps
        )
        for ours, theirs in zip((found, *state), expected, strict=True):
            close(ours, theirs)
    d_output = d_output if of_output else None
    d_x, d_state, found = scan.backward(tape, d_output, tuple(states[2:]))
    for ours, theirs in zip((d_x, *d_state), inputs, strict=True):
        close(ours, theirs.grad)
    assert found.keys() == weights.keys()
    for name, gradient in found.items():
        close(gradient, getattr(layer, name + ("_l0_reverse" if reverse else "_l0")).grad)


@pytest.mark.parametrize("P", [0, 2])
@pytest.mark.parametrize("D", [3, 130])
def test_complex_step(D, P):
    """∂L/∂w = Im L(w + ih) / h, to all digits: for each number of each argument."""
    rng = np.random.default_rng(0)
    lengths, h = np.array([2, 4, 1]), 1e-30
    arguments = draw_weights(rng, D, 4, P, dtype=complex)
    arguments |= {"x": rng.standard_normal((4, 3, D)) + 0j}
    arguments |= {"h_0": rng.standard_normal((3, P or 4)) + 0j, "c_0": np.ones((3, 4), complex)}
    factors = rng.standard_normal((4, 3, P or 4)), rng.standard_normal((3, 4))

    def run():
        weights = {k: v for k, v in arguments.items() if k not in ("x", "h_0", "c_0")}
        state = arguments["h_0"], arguments["c_0"]
        output, (_, c_n), tape = scan.forward(weights, arguments["x"], state, lengths, True)
        return (output * factors[0]).sum() + (c_n * factors[1]).sum(), tape

    _, tape = run()
    d_x, (d_h_0, d_c_0), gradients = scan.backward(
        tape, factors[0] + 0j, (np.zeros((3, P or 4), complex), factors[1] + 0j)
    )
    gradients |= {"x": d_x, "h_0": d_h_0, "c_0": d_c_0}
    for name, values in arguments.items():
        for index in rng.permutation(values.size)[:25]:
            values.flat[index] += 1j * h
            by_step = run()[0].imag / h
            values.flat[index] -= 1j * h
            assert gradients[name].flat[index].real == pytest.approx(by_step, rel=1e-12, abs=1e-13)


# --- numbers ---------------------------------------------------------------------------------


def gates(steps, of_row, x, c_0=1.0, bias=(0, 0, 0, 0)):
    """Return c_1 of one unit whose preactivation ``of_row`` is x, and its h_1."""
    weights = {"weight_ih": np.zeros((4, 1), x.dtype), "weight_hh": np.zeros((4, 1), x.dtype)}
    weights["weight_ih"][of_row] = 1
    weights |= {"bias_ih": np.array(bias, x.dtype), "bias_hh": np.zeros(4, x.dtype)}
    state = np.zeros((len(x), 1), x.dtype), np.full((len(x), 1), c_0, x.dtype)
    _, (h_n, c_n), _ = scan.forward(weights, x[None, :, None], state, keep=False, steps=steps)
    return c_n[:, 0], h_n[:, 0]


@both
@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 5e-7), (np.float64, 1e-15)])
def test_sigmoid_and_tanh_are_accurate(steps, dtype, bound):
    mpmath.mp.dps = 40
    x = np.concatenate([np.linspace(-69, 69, 2001), np.geomspace(1e-30, 8, 500)]).astype(dtype)
    sigma, _ = gates(steps, 1, x)  # f ⊙ c_0, while g is 0
    exact = [1 / (1 + mpmath.exp(-mpmath.mpf(float(v)))) for v in x]
    assert max(abs(float(s) / e - 1) for s, e in zip(sigma, exact, strict=True)) < bound
    assert sigma.min() >= 0
    assert sigma.max() <= 1
    x = np.concatenate([x, -x])
    candidate, _ = gates(steps, 2, x, c_0=0.0, bias=(80, 0, 0, 0))  # g, while i is 1
    exact = [mpmath.tanh(mpmath.mpf(float(v))) for v in x]
    pairs = [(c, e) for c, e in zip(candidate, exact, strict=True) if e]
    assert max(abs(float(c) / e - 1) for c, e in pairs) < bound
    assert abs(candidate).max() <= 1


@both
def test_a_nearly_shut_gate(steps):
    x = np.array([-18, -12], np.float32)
    found, _ = gates(steps, 1, x, c_0=1e8)
    np.testing.assert_allclose(found, 1e8 / (1 + np.exp(-x.astype(float))), rtol=1e-6)


@both
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e38, -1e38])
def test_infinite_input(steps, dtype, value):
    """What PyTorch gives, in all rows, without a warning."""
    rng = np.random.default_rng(0)
    weights = draw_weights(rng, 3, 5, dtype=dtype, bound=9)
    x = rng.standard_normal((4, 10, 3)).astype(dtype)
    x[1, 2, 0] = value
    zeros = np.zeros((10, 5), dtype)
    output, state, tape = scan.forward(weights, x, (zeros, zeros), steps=steps)
    scan.backward(tape, output, state)
    with torch.no_grad():
        theirs = nn_lstm(weights)(torch.from_numpy(x))[0].numpy()[..., :5]
    bound = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(output, theirs, atol=bound)
    assert np.isfinite(np.delete(output, 2, axis=1)).all()


# --- arrays ----------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("D", [3, 130])
def test_arrays_of_the_caller(steps, ragged, D):
    """None is changed, none is read behind an end, and a tape sees no later changes."""
    rng = np.random.default_rng(0)
    weights, T, lengths = draw_weights(rng, D, 4, 2), 5, np.array([2, 5, 1]) if ragged else None
    x, d_output = rng.standard_normal((T, 3, D)), rng.standard_normal((T, 3, 2))
    state = rng.standard_normal((3, 2)), rng.standard_normal((3, 4))
    if ragged:
        ended = np.arange(T)[:, None] >= lengths
        x[ended] = d_output[ended] = np.nan
    read_only = [x, d_output, *state, *weights.values()]
    for array in read_only:
        array.flags.writeable = False

    def run(change):
        output, final, tape = scan.forward(weights, x, state, lengths, steps=steps)
        values = [output.copy(), *(array.copy() for array in final)]
        if change:
            for array in (output, *final):
                array[...] = 7
            for array in read_only:
                array.flags.writeable = True
            for array in (x, *state, *weights.values()):
                array[...] = 7
        d_x, d_state, gradients = scan.backward(tape, d_output, (state[0] * 0, state[1] * 0))
        with pytest.raises(RuntimeError, match="backward has used it up"):
            scan.backward(tape, d_output, state)
        return [*values, d_x, *d_state, *gradients.values()]

    first = run(change=False)
    assert all(np.isfinite(array).all() for array in first)
    if ragged:
        assert not first[0][ended].any()
        assert not first[3][ended].any()
    for before, after in zip(first, run(change=True), strict=True):
        np.testing.assert_array_equal(before, after)


@both
def test_no_sequences(steps):
    weights = draw_weights(np.random.default_rng(0), 3, 4)
    state = np.zeros((0, 4)), np.zeros((0, 4))
    for lengths in (None, np.zeros(0, int)):
        output, final, tape = scan.forward(
            weights, np.zeros((5, 0, 3)), state, lengths, steps=steps
        )
        assert output.shape == (5, 0, 4)
        assert [array.shape for array in final] == [(0, 4)] * 2
        d_x, _, gradients = scan.backward(tape, output, state)
        assert d_x.shape == (5, 0, 3)
        assert {name: (g.shape, abs(g).max()) for name, g in gradients.items()} == {
            name: (weight.shape, 0) for name, weight in weights.items()
        }


@both
def test_memory_returns(steps):
    weights = draw_weights(np.random.default_rng(0), 8, 32)
    state = np.zeros((4, 32)), np.zeros((4, 32))

    def run(T):
        output, final, tape = scan.forward(weights, np.ones((T, 4, 8)), state, steps=steps)
        scan.backward(tape, output, final)

    run(1)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for T in range(20, 40):
        run(T)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 20 * 4 * 32 * 8  # less than the output of one pass


@both
def test_threads(steps):
    """Several at once give what one gives."""
    weights = draw_weights(np.random.default_rng(0), 8, 32, dtype=np.float32)
    zeros = np.zeros((16, 32), np.float32)
    inputs = np.random.default_rng(1).standard_normal((4, 50, 16, 8)).astype(np.float32)

    def run(k):
        output, _, tape = scan.forward(weights, inputs[k], (zeros, zeros), steps=steps)
        return output, scan.backward(tape, output, (zeros, zeros))[0]

    alone, found = [run(k) for k in range(4)], [None] * 4
    threads = [threading.Thread(target=lambda k=k: found.__setitem__(k, run(k))) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for pair in zip(alone, found, strict=True):
        for expected, array in zip(*pair, strict=True):
            np.testing.assert_array_equal(array, expected)


# --- which steps -----------------------------------------------------------------------------


def test_complex_numbers_are_for_numpy():
    assert scan.fastest_steps(np.dtype(np.complex64)) is scan.NumpySteps
    assert scan.fastest_steps(np.dtype(np.float32).newbyteorder()) is scan.NumpySteps


PROGRAM = """
    import numpy as np
    from lstm import scan
    weights = {"weight_ih": np.ones((8, 1), "f"), "weight_hh": np.ones((8, 2), "f")}
    state = np.zeros((1, 2), "f"), np.zeros((1, 2), "f")
    for _ in range(2):
        output, _, tape = scan.forward(weights, np.ones((3, 1, 1), "f"), state)
        scan.backward(tape, output, state)
    print(f"{scan.fastest_steps(np.dtype('f')).__name__} {output.sum():.4f}")
"""


def run_program(first="", **environment):
    """Run the program with warnings shown; return what it prints, and its warnings."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "LSTM_"))}
    root = os.path.dirname(os.path.dirname(scan.__file__))  # noqa: PTH120
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", first + textwrap.dedent(PROGRAM)],
        env={**variables, "PYTHONPATH": root, **{k: str(v) for k, v in environment.items()}},
        capture_output=True,
        text=True,
        check=True,
    )
    name, value = done.stdout.split()
    with torch.no_grad():
        layer = torch.nn.LSTM(1, 2, bias=False)
        for weight in layer.parameters():
            weight.fill_(1)
        assert float(value) == pytest.approx(layer(torch.ones(3, 1, 1))[0].sum().item(), abs=1e-4)
    return name.rpartition(".")[2], done.stderr


def test_without_numba():
    for first, environment in (
        ("import sys; sys.modules['numba'] = None\n", {}),
        ("", {"LSTM_ENGINE": "numpy"}),
    ):
        assert run_program(first, **environment) == ("NumpySteps", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    "error",
    [
        "ImportError('numba needs another NumPy')",
        "ModuleNotFoundError(\"No module named 'llvmlite'\", name='llvmlite')",
        "SystemError('initialization failed')",
        "AttributeError('no attribute')",
        "OSError('cannot open shared object file')",
        "RuntimeError('cannot cache function: no locator available')",
    ],
)
def test_broken_numba(error, tmp_path):
    (tmp_path / "numba.py").write_text(f"raise {error}\n")
    name, warned = run_program(f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n")
    assert name == "NumpySteps"
    assert warned.count("RuntimeWarning") == 1
    assert error.partition("(")[0] in warned


@pytest.mark.slow
def test_cache(tmp_path):
    """The first process says that it compiles; the second loads; a damaged cache does no harm."""
    name, told = run_program(NUMBA_CACHE_DIR=tmp_path)
    assert name == "compiled"
    assert told == "" or (told.count("\n") == 1 and "compiling" in told)  # "": within 1.5 s
    files = [path for path in tmp_path.rglob("*") if path.suffix in (".nbi", ".nbc")]
    assert files
    times = {path: path.stat().st_mtime_ns for path in files}
    assert run_program(NUMBA_CACHE_DIR=tmp_path)[0] == "compiled"
    assert {path: path.stat().st_mtime_ns for path in files} == times
    for path in files:
        path.write_bytes(b"damaged")
    name, warned = run_program(NUMBA_CACHE_DIR=tmp_path)
    assert (name, warned.count("RuntimeWarning")) in {("NumpySteps", 1), ("compiled", 0)}


@pytest.mark.slow
def test_nowhere_to_write():
    """As in a folder of the system's, for a user without a home: root may write everywhere."""
    name, warned = run_program(NUMBA_CACHE_LOCATOR_CLASSES="UserProvidedCacheLocator")
    assert name == "NumpySteps"
    assert warned.count("RuntimeWarning") == 1


@both
@pytest.mark.parametrize("inputs", [3, 200])  # the NumPy steps multiply a wide input apart
@pytest.mark.parametrize("keep", [True, False])
def test_a_batch_of_none(steps, inputs, keep):
    weights = {"weight_ih": np.ones((16, inputs)), "weight_hh": np.ones((16, 4))}
    x, state = np.zeros((5, 0, inputs)), (np.zeros((0, 4)), np.zeros((0, 4)))
    output, (h_n, c_n), tape = scan.forward(weights, x, state, keep=keep, steps=steps)
    assert (output.shape, h_n.shape, c_n.shape) == ((5, 0, 4), (0, 4), (0, 4))
    if keep:
        d_x, _, gradients = scan.backward(tape, output, state)
        assert d_x.shape == x.shape
        assert not any(gradient.any() for gradient in gradients.values())
