"""``lstm.torch``: both forms against ``torch.nn.LSTM``, outputs, states and every gradient."""

from __future__ import annotations

import copy
import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="lstm.torch needs PyTorch")

from hypothesis import given, settings  # noqa: E402 - after importorskip
from hypothesis import strategies as st  # noqa: E402
from torch import nn  # noqa: E402
from torch.func import functional_call, grad, vmap  # noqa: E402
from torch.nn.utils import parametrize  # noqa: E402
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

import lstm  # noqa: E402

# A word of nn.LSTM about its own speed.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

LOOP, BRIDGE = lstm.torch.LSTM, lstm.torch.NumpyLSTM
T, B, D, H = 5, 4, 3, 4
LENGTHS = [2, 5, 1, 4]
ALL = {"num_layers": 2, "bias": False, "batch_first": True, "dropout": 0.1}
ALL |= {"bidirectional": True, "proj_size": 3}

each_form = pytest.mark.parametrize("form", [LOOP, BRIDGE])


def randn(*shape, dtype=torch.float64, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def pair(form, dtype=torch.float64, **options):
    """Return ``torch.nn.LSTM`` and ours with the same random parameters."""
    theirs, ours = nn.LSTM(D, H, dtype=dtype, **options), form(D, H, dtype=dtype, **options)
    with torch.no_grad():
        for seed, parameter in enumerate(theirs.parameters()):
            parameter.copy_(randn(*parameter.shape, dtype=dtype, seed=seed) / 2)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def results_and_gradients(layer, run, *tensors):
    """Return every output and every gradient of a loss that weighs all outputs differently."""
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    output, (h_n, c_n) = run(layer, *leaves)
    results = {"output": output, "h_n": h_n, "c_n": c_n}
    loss = sum((randn(*r.shape, dtype=r.dtype, seed=9) * r).sum() for r in results.values())
    named = dict(zip(("x", "h_0", "c_0"), leaves, strict=False)) | dict(layer.named_parameters())
    gradients = torch.autograd.grad(loss, named.values(), materialize_grads=True)
    return results, dict(zip(named, gradients, strict=True))


def plain(layer, x, h_0, c_0):
    return layer(input=x, hx=(h_0, c_0))


def close(theirs, ours, tolerance):
    """Assert that two mappings of tensors have the same names, shapes, dtypes and values."""
    assert theirs.keys() == ours.keys()
    for name, value in theirs.items():
        assert ours[name].shape == value.shape, name
        assert ours[name].dtype == value.dtype, name
        assert value.numel() == 0 or (ours[name] - value).abs().max() <= tolerance, name


@each_form
@given(
    options=st.fixed_dictionaries(
        {
            "num_layers": st.integers(1, 3),
            "bias": st.booleans(),
            "batch_first": st.booleans(),
            "bidirectional": st.booleans(),
            "proj_size": st.sampled_from([0, 3]),
        }
    ),
    dtype=st.sampled_from([torch.float64, torch.float64, torch.float32]),
    lengths=st.none() | st.lists(st.integers(1, T), min_size=1, max_size=B),
    packed=st.booleans(),
    batch=st.sampled_from([None, 0, 1, B]),
    state=st.booleans(),
)
@settings(max_examples=60)
def test_parity_with_nn_lstm(form, options, dtype, lengths, packed, batch, state):
    theirs, ours = pair(form, dtype, **options)
    rows = () if batch is None else (batch,)
    if lengths is not None:
        rows = (len(lengths),)
    first = options["batch_first"] and rows
    many = theirs.num_layers * (1 + theirs.bidirectional)
    x = randn(*((*rows, T) if first else (T, *rows)), D, dtype=dtype)
    h_0 = randn(many, *rows, theirs.proj_size or H, dtype=dtype, seed=2)
    c_0 = randn(many, *rows, H, dtype=dtype, seed=3)

    def padded(layer, x, h_0, c_0):
        return layer(x, (h_0, c_0) if state else None, lengths=lengths)

    def run_packed(layer, x, h_0, c_0):
        order = lengths == sorted(lengths, reverse=True)
        given = pack_padded_sequence(x, lengths, bool(first), enforce_sorted=order)
        output, states = layer(given, (h_0, c_0) if state else None)
        for kept, own in zip(output[1:], given[1:], strict=True):  # the order of the packed input
            assert kept is own or torch.equal(kept, own)
        return pad_packed_sequence(output, bool(first), total_length=T)[0], states

    def run_theirs(layer, *tensors):
        if lengths is not None:
            return run_packed(layer, *tensors)
        return layer(tensors[0], tensors[1:] if state else None)

    run_ours = run_packed if packed and lengths is not None else padded
    tolerance = 1e-10 if dtype == torch.float64 else 5e-5
    expected = results_and_gradients(theirs, run_theirs, x, h_0, c_0)
    actual = results_and_gradients(ours, run_ours, x, h_0, c_0)
    close(expected[0], actual[0], tolerance)
    close(expected[1], actual[1], tolerance)


@each_form
@pytest.mark.parametrize("kind", [tuple, np.array, torch.tensor])
def test_lengths_may_be_of_any_kind_and_padding_is_never_read(form, kind):
    _, ours = pair(form, num_layers=2, bidirectional=True)
    x, poisoned = randn(T, B, D), randn(T, B, D)
    for b, length in enumerate(LENGTHS):
        poisoned[length:, b] = torch.inf

    def run(layer, x):
        return layer(x, lengths=kind(LENGTHS))

    expected, actual = (results_and_gradients(ours, run, each) for each in (x, poisoned))
    close(expected[0], actual[0], 0)
    close(expected[1], actual[1], 0)


@each_form
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_seed_gives_the_parameters_of_nn_lstm_and_nothing_else_draws(form, dtype):
    options = {"num_layers": 3, "dropout": 0.5, "dtype": dtype}
    torch.manual_seed(7)
    theirs = nn.LSTM(D, H, **options)
    state = torch.get_rng_state()
    torch.manual_seed(7)
    ours = form(D, H, **options)
    close(dict(theirs.named_parameters()), dict(ours.named_parameters()), 0)
    ours.eval()(randn(T, B, D, dtype=dtype))[0].sum().backward()
    lstm.torch.to_torch(lstm.torch.from_torch(ours), form)
    assert torch.equal(torch.get_rng_state(), state)


@each_form
def test_dropout_obeys_the_seed_and_the_mode(form):
    theirs, ours = pair(form, num_layers=3, dropout=0.5)
    x, results = randn(T, B, D), []
    for layer in (ours, ours, theirs):
        torch.manual_seed(8)
        results.append(layer(x)[0])
    first, again, drawn_by_torch = results
    assert torch.equal(first, again)
    assert not torch.equal(first, ours(x)[0])
    if form is LOOP:  # it draws PyTorch's own masks
        assert (first - drawn_by_torch).abs().max() <= 1e-12
    tensors = x, randn(3, B, H), randn(3, B, H)
    expected = results_and_gradients(theirs.eval(), plain, *tensors)
    actual = results_and_gradients(ours.eval(), plain, *tensors)
    close(expected[0], actual[0], 1e-12)
    close(expected[1], actual[1], 1e-10)


@pytest.mark.slow
@each_form
def test_gradcheck_with_dropout(form):
    layer = form(2, 3, num_layers=2, bidirectional=True, proj_size=2, dropout=0.4).double()
    x, h_0, c_0 = randn(3, 2, 2), randn(4, 2, 2), randn(4, 2, 3)

    def run(x, h_0, c_0, *_):
        torch.manual_seed(3)  # the masks of the forward pass count in backward
        output, states = layer(x, (h_0, c_0), lengths=[2, 3])
        return output, *states

    leaves = [tensor.requires_grad_() for tensor in (x, h_0, c_0)]
    assert torch.autograd.gradcheck(run, [*leaves, *layer.parameters()])


def test_second_derivatives_of_the_loop():
    layer, x = LOOP(2, 2, dtype=torch.float64), randn(3, 2, 2).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x, *_: layer(x)[0], (x, *layer.parameters()))


@pytest.mark.parametrize("power", [1, 2])
def test_the_bridge_refuses_a_second_derivative(power):
    """Also where the gradient that comes in is a constant (power 1)."""
    layer, x = BRIDGE(D, H, dtype=torch.float64), randn(T, B, D).requires_grad_()
    (d_x,) = torch.autograd.grad(layer(x)[0].pow(power).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="NumpyLSTM cannot be differentiated twice"):
        d_x.sum().backward()


@each_form
def test_training_with_two_calls_before_a_backward_follows_nn_lstm(form):
    layers = pair(form, num_layers=2, bidirectional=True)
    for layer in layers:
        optimizer = torch.optim.Adam(layer.parameters(), lr=0.01)
        for seed in range(2):
            optimizer.zero_grad()
            output, state = layer(randn(T, B, D, seed=seed))
            second, (_, c_n) = layer(randn(T, B, D, seed=seed + 2), state)
            output.square().sum().backward(retain_graph=True)
            (second.sum() + c_n.sum()).backward()
            optimizer.step()
    close(*(layer.state_dict() for layer in layers), 1e-10)


@each_form
def test_a_retained_graph_is_differentiated_again(form):
    layer = form(D, H, num_layers=2, dropout=0.5, dtype=torch.float64)
    loss = layer(randn(T, B, D))[0].square().sum()
    loss.backward(retain_graph=True)
    once = {name: p.grad.clone() for name, p in layer.named_parameters()}
    loss.backward()
    close(once, {name: p.grad / 2 for name, p in layer.named_parameters()}, 1e-12)


@each_form
def test_changes_in_place_before_backward_are_errors_or_do_not_matter(form):
    theirs, ours = pair(form)
    gradients = []
    for layer in (theirs, ours):
        x = randn(T, B, D)
        output, _ = layer(x)
        gradients.append(torch.autograd.grad(output.mul_(2).sum(), layer.weight_ih_l0)[0])
    assert (gradients[0] - gradients[1]).abs().max() <= 1e-12
    for changed in (x, ours.weight_hh_l0):
        output, _ = ours(x)
        with torch.no_grad():
            changed.add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            output.sum().backward()


@each_form
def test_nothing_is_recorded_without_gradients(form):
    layer, x = form(D, H, dtype=torch.float64), randn(T, B, D)
    with torch.no_grad():
        assert not layer(x)[0].requires_grad
    layer.requires_grad_(False)
    assert not layer(x)[0].requires_grad
    layer.weight_ih_l0.requires_grad_(True)
    layer(x)[0].sum().backward()
    assert layer.weight_ih_l0.grad is not None
    assert layer.weight_hh_l0.grad is None


@each_form
def test_threads_share_a_layer(form):
    layer = form(D, H, num_layers=2, dtype=torch.float64)

    def gradients(seed):
        first, second = (layer(randn(T, B, D, seed=seed + part))[0] for part in (0, 100))
        loss = first.square().sum() + second.sum()
        return dict(enumerate(torch.autograd.grad(loss, tuple(layer.parameters()))))

    expected = [gradients(seed) for seed in range(24)]
    with ThreadPoolExecutor(4) as pool:
        for wanted, got in zip(expected, pool.map(gradients, range(24)), strict=True):
            close(wanted, got, 0)


@each_form
@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoint(form, reentrant):
    layer = form(D, H, num_layers=2, dropout=0.5, dtype=torch.float64)
    results = []
    for run in (layer, lambda x: checkpoint(layer, x, use_reentrant=reentrant)):
        torch.manual_seed(4)
        x = randn(T, B, D).requires_grad_()
        run(x)[0].square().sum().backward()
        results.append(x.grad)
    assert torch.equal(*results)


class Halved(nn.Module):
    """A weight that is computed from the parameter."""

    def forward(self, weight):
        return 0.5 * weight


@each_form
def test_a_computed_weight_takes_the_place_of_its_parameter(form):
    layers = pair(form, proj_size=3)
    for layer in layers:
        parametrize.register_parametrization(layer, "weight_hh_l0", Halved())
        nn.utils.parametrizations.weight_norm(layer, "weight_hr_l0")
    (expected, d_expected), (actual, d_actual) = (
        results_and_gradients(layer, lambda layer, x: layer(x), randn(T, B, D)) for layer in layers
    )
    close(expected, actual, 1e-12)
    close(d_expected, d_actual, 1e-10)
    assert d_actual["parametrizations.weight_hr_l0.original0"].abs().max() > 0


@each_form
def test_functional_call_and_its_gradient(form):
    theirs, ours = pair(form, num_layers=2)
    values = {name: p.detach() + 0.1 for name, p in ours.named_parameters()}

    def loss(values, layer):
        return functional_call(layer, values, (randn(T, B, D),))[0].square().sum()

    close(grad(loss)(values, theirs), grad(loss)(values, ours), 1e-10)


def test_vmap_is_a_loop_over_samples_and_the_bridge_refuses_it():
    layer, bridge = (form(D, H, dtype=torch.float64) for form in (LOOP, BRIDGE))
    many = randn(3, T, B, D)
    expected = torch.stack([layer(x)[0] for x in many])
    assert (vmap(lambda x: layer(x)[0])(many) - expected).abs().max() <= 1e-12
    with pytest.raises(RuntimeError, match="vmap over NumpyFunction"):
        vmap(lambda x: bridge(x)[0])(many)


@each_form
def test_autocast_is_that_of_nn_lstm(form):
    theirs, ours = pair(form, torch.float32, num_layers=2, bidirectional=True)
    x, states = randn(T, B, D, dtype=torch.float32), randn(2, 4, B, H, dtype=torch.float32)
    exact, _ = theirs(x, tuple(states))
    half = pack_padded_sequence(x.bfloat16(), LENGTHS, enforce_sorted=False)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected, actual = theirs(x, tuple(states)), ours(x, tuple(states))
        packed = theirs(half)[0].data, ours(half)[0].data
    for wanted, got in ((expected[0], actual[0]), (expected[1][1], actual[1][1]), packed):
        assert got.dtype == (wanted.dtype if form is LOOP else torch.float32)
        assert (got - wanted).abs().max() <= 0.02
    assert (actual[0] - exact).abs().max() <= (0.02 if form is LOOP else 1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):  # which leaves float64 alone
        wide = form(D, H, dtype=torch.float64)(randn(T, B, D))[0]
    assert wide.dtype == torch.float64
    actual[0].float().sum().backward()
    assert ours.weight_hh_l0.grad.dtype == torch.float32


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # a word of the compiler
@each_form
def test_compile(form):
    layer, tensors = form(D, H, dtype=torch.float64), (randn(2, B, D), *randn(2, 1, B, H))
    compiled = torch.compile(layer, backend="aot_eager")
    expected = results_and_gradients(layer, plain, *tensors)
    actual = results_and_gradients(layer, lambda _, *given: plain(compiled, *given), *tensors)
    close(expected[0], actual[0], 1e-12)
    close(expected[1], actual[1], 1e-12)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize(
    "ahead", [torch.jit.trace, lambda *given: torch.export.export(*given).module()]
)
def test_traces_and_exports_hold_the_loop_and_the_bridge_refuses(ahead):
    x, other = randn(2, B, D), randn(2, B, D, seed=2)
    layer = LOOP(D, H, dtype=torch.float64)
    assert torch.equal(ahead(layer, (x,))(other)[1][1], layer(other)[1][1])
    with pytest.raises(RuntimeError, match="NumpyLSTM cannot be traced or exported"):
        ahead(BRIDGE(D, H, dtype=torch.float64), (x,))


@each_form
def test_deepcopy_and_save(form):
    layer, x = form(D, H, num_layers=2, dtype=torch.float64), randn(T, B, D)
    expected, buffer = layer(x)[0], io.BytesIO()
    torch.save(layer, buffer)
    buffer.seek(0)
    twins = [copy.deepcopy(layer), torch.load(buffer, weights_only=False)]
    nn.init.zeros_(layer.weight_hh_l0)
    for twin in twins:
        assert torch.equal(twin(x)[0], expected)
    assert not torch.equal(layer(x)[0], expected)


@each_form
def test_to_another_dtype(form):
    theirs, ours = (layer.double() for layer in pair(form, torch.float32))
    assert (ours(randn(T, B, D))[0] - theirs(randn(T, B, D))[0]).abs().max() <= 1e-12
    half, x = ours.bfloat16(), randn(T, B, D).bfloat16()
    if form is LOOP:
        assert half(x)[0].dtype == torch.bfloat16
    else:
        with pytest.raises(ValueError, match="dtype must be float32 or float64, got 'bfloat16'"):
            half(x)


@each_form
def test_repr_and_weights_are_those_of_nn_lstm(form):
    theirs, ours = nn.LSTM(D, H, **ALL), form(D, H, **ALL)
    assert repr(ours) == form.__name__ + repr(theirs).removeprefix("LSTM")
    ours.load_state_dict(theirs.state_dict())
    ours.flatten_parameters()
    for wanted, got in zip(theirs.all_weights, ours.all_weights, strict=True):
        assert all(map(torch.equal, wanted, got))


@pytest.mark.parametrize("kind", [nn.LSTM, LOOP, BRIDGE])
def test_a_state_dict_moves_either_way_in_one_call(kind):
    torch_layer, layer = kind(D, H, **ALL), lstm.LSTM(D, H, **ALL)
    layer.load_state_dict(torch_layer.state_dict())
    torch_layer.load_state_dict(lstm.torch.state_dict(layer))
    x = randn(B, T, D, dtype=torch.float32)
    output = torch_layer.eval()(x)[0].detach().numpy()
    assert np.abs(layer.eval()(x.numpy())[0] - output).max() <= 1e-6
    moved = lstm.torch.state_dict(layer)
    for value in moved.values():
        value.zero_()
    assert layer.weight_ih_l0.data.all()


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.LSTM(D, H, dtype=torch.bfloat16), "weight_ih_l0 must be an array.*BFloat16"),
        (nn.LSTM(D, H, device="meta"), "weight_ih_l0 must be an array.*meta"),
        (nn.LSTM(D, H, dtype=torch.float64), "weight_ih_l0 must have dtype float32, got float64"),
        (nn.LSTM(D, H + 1), r"weight_ih_l0 must have shape \(16, 3\), got \(20, 3\)"),
    ],
)
def test_a_state_dict_that_numpy_cannot_take(module, message):
    with pytest.raises(ValueError, match=message):
        lstm.LSTM(D, H).load_state_dict(module.state_dict())


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        *((kind, ALL) for kind in (nn.LSTM, LOOP, BRIDGE)),
        (nn.GRU, {"num_layers": 2, "bidirectional": True, "batch_first": True}),
        (nn.RNN, {"nonlinearity": "relu", "bias": False}),
        (nn.RNN, {"num_layers": 2}),
        (nn.LSTMCell, {}),
        (nn.LSTMCell, {"bias": False}),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_conversion_both_ways(kind, options, dtype):
    module = kind(D, H, dtype=dtype, **options).eval()
    layer = lstm.torch.from_torch(module)
    default = lstm.torch.to_torch(layer)
    assert type(default).__module__.startswith("torch.nn")
    back = lstm.torch.to_torch(layer, kind)
    x = randn(*(B, T, D)[isinstance(module, nn.LSTMCell) :], dtype=dtype)
    expected = module(x)[0].detach()
    assert np.abs(layer(x.numpy())[0] - expected.numpy()).max() <= 1e-6
    assert torch.equal(back(x)[0], expected)
    assert repr(back) == repr(module)
    assert not layer.training
    assert not back.training
    for parameter in layer.parameters():
        parameter.data[...] = 0
    assert all(p.abs().min() > 0 for each in (module, back) for p in each.parameters())


def test_what_has_no_counterpart_is_refused():
    with pytest.raises(ValueError, match=r"module must be one of .*GRU.*, got Linear"):
        lstm.torch.from_torch(nn.Linear(3, 4))
    with pytest.raises(ValueError, match=r"layer must be one of .*GRU.*, got PeepholeLSTM"):
        lstm.torch.to_torch(lstm.PeepholeLSTM(D, H))
    with pytest.raises(ValueError, match="dtype must be float32 or float64, got 'bfloat16'"):
        lstm.torch.from_torch(nn.LSTM(D, H, dtype=torch.bfloat16))


@each_form
def test_bad_arguments_of_the_layer(form):
    """All others are those of ``lstm.LSTM``, checked by the same lines; so is most of a call."""
    with pytest.raises(ValueError, match="proj_size must be smaller than hidden_size = 4, got 4"):
        form(D, H, proj_size=4)


X, STATE = torch.zeros(T, B, D), torch.zeros(1, B, H)
PACKED = pack_padded_sequence(X, [5, 4, 2, 1])
BAD_CALLS = {
    "not a tensor": ([[[0.0]]], {}, "input must be a Tensor, got list"),
    "dtype": ([X.double()], {}, "input must have dtype torch.float32, got torch.float64"),
    "h_0": ([X, (STATE[..., 1:], STATE)], {}, r"h_0 .* \(1, 4, 4\), got \(1, 4, 3\)"),
    "c_0": ([X, (STATE, STATE[0])], {}, r"c_0 .* \(1, 4, 4\), got \(4, 4\)"),
    "state dtype": ([X, (STATE, STATE.double())], {}, "c_0 must have dtype torch.float32"),
    "state type": ([X, (STATE, STATE.numpy())], {}, "c_0 must be a Tensor, got ndarray"),
    "lengths": ([X], {"lengths": [1, 2]}, r"lengths must have shape \(4,\), got \(2,\)"),
    "packed lengths": ([PACKED], {"lengths": LENGTHS}, "lengths must be None with a PackedSeq"),
    "packed state": ([PACKED, (STATE[:, 1:], STATE)], {}, r"h_0 .* \(1, 4, 4\), got \(1, 3, 4\)"),
}


@each_form
@pytest.mark.parametrize("case", BAD_CALLS)
def test_bad_call(form, case):
    arguments, options, message = BAD_CALLS[case]
    with pytest.raises(ValueError, match=message):
        form(D, H)(*arguments, **options)


def test_the_bridge_stays_on_the_cpu():
    with pytest.raises(ValueError, match="NumpyLSTM must be on the CPU, got device meta"):
        BRIDGE(D, H, device="meta")(X.to("meta"))
