"""The steps of the scan: their numbers, their memory, and which are taken where numba fails.

That both kinds of them are ``torch.nn.LSTM``, ``test_layer_parity`` shows.
"""

import os
import subprocess
import sys
import textwrap
import tracemalloc

import mpmath
import numpy as np
import pytest
import torch

from lstm import compiled, scan

ENGINES = [compiled, scan.NumpySteps]
both = pytest.mark.parametrize("steps", ENGINES, ids=["compiled", "numpy"])


def draw_weights(rng, D, H, dtype=np.float64, bound=0.5):
    shapes = {"weight_ih": (4 * H, D), "weight_hh": (4 * H, H), "bias_ih": (4 * H,)}
    shapes |= {"bias_hh": (4 * H,)}
    return {name: rng.uniform(-bound, bound, s).astype(dtype) for name, s in shapes.items()}


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
    layer = torch.nn.LSTM(3, 5).to(torch.from_numpy(x).dtype)
    layer.load_state_dict({f"{name}_l0": torch.from_numpy(w) for name, w in weights.items()})
    theirs = layer(torch.from_numpy(x))[0].detach().numpy()
    bound = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(output, theirs, atol=bound)
    assert np.isfinite(np.delete(output, 2, axis=1)).all()


@pytest.mark.parametrize("seed", range(12))
def test_threads_change_no_bit(seed, monkeypatch):
    monkeypatch.setattr(compiled, "WORTH", 1)
    started, start = [], compiled.threading.Thread.start
    monkeypatch.setattr(
        compiled.threading.Thread, "start", lambda self: (started.append(self), start(self))
    )
    rng = np.random.default_rng(seed)
    T, B, D, H, P = rng.integers([1, 17, 1, 4, 1], [12, 70, 40, 40, 4])
    dtype = [np.float32, np.float64][seed % 2]
    weights = draw_weights(rng, D, H, dtype)
    if seed % 3 == 0:
        weights |= {"weight_hr": rng.random((P, H)).astype(dtype)}
        weights["weight_hh"] = np.ascontiguousarray(weights["weight_hh"][:, :P])
    lengths = rng.integers(1, T + 1, B) if seed % 4 else None
    x = rng.standard_normal((T, B, D)).astype(dtype)
    state = tuple(rng.random((B, w)).astype(dtype) for w in (weights["weight_hh"].shape[1], H))

    def run(threads, steps=compiled):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        options = {"lengths": lengths, "reverse": bool(seed % 5 == 1), "steps": steps}
        output, final, tape = scan.forward(weights, x, state, **options)
        inferred, other, _ = scan.forward(weights, x, state, keep=False, **options)
        d_x, d_state, gradients = scan.backward(tape, output, final)
        return [output, *final, inferred, *other, d_x, *d_state, *gradients.values()]

    alone = run("1")
    assert not started
    for one, numpy in zip(alone, run("1", scan.NumpySteps), strict=True):
        np.testing.assert_allclose(one, numpy, rtol=1e-3, atol=1e-4)
    for threads in ("2", "3,2", "7"):
        for one, several in zip(alone, run(threads), strict=True):
            np.testing.assert_array_equal(one, several)
    assert len(started) >= 9  # three passes, each with one more thread at least


# --- tapes and memory --------------------------------------------------------------------------


@both
def test_a_tape_serves_once(steps):
    weights, zeros = draw_weights(np.random.default_rng(0), 3, 4), np.zeros((2, 4))
    output, state, tape = scan.forward(weights, np.ones((5, 2, 3)), (zeros, zeros), steps=steps)
    scan.backward(tape, output, state)
    with pytest.raises(RuntimeError, match="backward has used it up"):
        scan.backward(tape, output, state)


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


@pytest.mark.slow
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
        "SystemExit(3)",
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


@pytest.mark.parametrize("which", ["forward", "backward"])
def test_compiled_code_that_computes_something_else_is_not_used(which, monkeypatch):
    """One flipped bit in numba's cache has made every output NaN."""
    assert scan.fastest_steps.__wrapped__(np.dtype("f4")) is compiled
    right = getattr(compiled, which)

    def wrong(*arguments):
        found = right(*arguments)
        changed = arguments[2] if which == "forward" else found[0]  # every h_t, or d_x
        changed *= 1.01
        return found

    monkeypatch.setattr(compiled, which, wrong)
    with pytest.warns(RuntimeWarning, match="what it has compiled computes something else"):
        assert scan.fastest_steps.__wrapped__(np.dtype("f4")) is scan.NumpySteps


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
