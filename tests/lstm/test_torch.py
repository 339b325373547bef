"""``lstm.torch``: both forms against ``torch.nn.LSTM``, outputs, states and every gradient."""

from __future__ import annotations

import copy
import io
import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="lstm.torch needs PyTorch")

from torch import nn  # noqa: E402 - after importorskip
from torch.nn.utils import parametrize  # noqa: E402
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence  # noqa: E402

import lstm  # noqa: E402
import lstm.torch  # noqa: E402

# A word of nn.LSTM about its own speed.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

FORMS = [lstm.torch.LSTM, lstm.torch.NumpyLSTM]
T, B, D, H = 5, 4, 3, 4
LENGTHS = [2, 5, 1, 4]


def pair(form, dtype=torch.float64, **options):
    """Return ``torch.nn.LSTM`` and ours with the same random parameters."""
    torch.manual_seed(0)
    theirs = nn.LSTM(D, H, dtype=dtype, **options)
    ours = form(D, H, dtype=dtype, **options)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_(0, 0.5)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def inputs(layer, batched=True, dtype=torch.float64, seed=1):
    """Return an input and states of the shapes that ``layer`` takes."""
    generator = torch.Generator().manual_seed(seed)
    many = layer.num_layers * (2 if layer.bidirectional else 1)
    batch = (B,) if batched else ()
    shape = (B, T, D) if layer.batch_first and batched else (T, *batch, D)
    shapes = [shape, (many, *batch, layer.proj_size or H), (many, *batch, H)]
    return [torch.randn(s, generator=generator, dtype=dtype) for s in shapes]


def run_packed(layer, x, hx, lengths):
    """Run a layer on a PackedSequence and pad again."""
    packed = pack_padded_sequence(x, lengths, layer.batch_first, enforce_sorted=False)
    output, states = layer(packed, hx)
    output, _ = pad_packed_sequence(output, layer.batch_first, total_length=T)
    return output, states


def results_and_gradients(layer, run, x, h_0, c_0):
    """Return every output and every gradient of a loss that weighs all outputs differently."""
    leaves = [tensor.clone().requires_grad_() for tensor in (x, h_0, c_0)]
    layer.zero_grad()
    output, (h_n, c_n) = run(layer, leaves[0], (leaves[1], leaves[2]))
    results = {"output": output, "h_n": h_n, "c_n": c_n}
    generator = torch.Generator().manual_seed(2)
    loss = sum(
        (r * torch.randn(r.shape, generator=generator, dtype=r.dtype)).sum()
        for r in results.values()
    )
    loss.backward()
    gradients = dict(zip(("d_x", "d_h_0", "d_c_0"), (leaf.grad for leaf in leaves), strict=True))
    gradients |= {name: p.grad.clone() for name, p in layer.named_parameters()}
    return results, gradients


def assert_same(theirs, ours, tolerance):
    assert theirs.keys() == ours.keys()
    for name, value in theirs.items():
        assert ours[name].shape == value.shape, name
        assert ours[name].dtype == value.dtype, name
        assert (ours[name] - value).abs().max() <= tolerance, name


def plain(layer, x, hx):
    return layer(x, hx)


def packed(layer, x, hx):
    return run_packed(layer, x, hx, LENGTHS)


def with_lengths(layer, x, hx):
    return layer(x, hx, lengths=LENGTHS)


WAYS = {"plain": (plain, plain), "packed": (packed, packed), "lengths": (packed, with_lengths)}
GRID = list(itertools.product([True, False], [False, True], [False, True], [1, 2], [0, 3], WAYS))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("bias", "batch_first", "bidirectional", "num_layers", "proj_size", "way"), GRID
)
def test_parity_with_nn_lstm(form, bias, batch_first, bidirectional, num_layers, proj_size, way):
    theirs, ours = pair(
        form,
        bias=bias,
        batch_first=batch_first,
        bidirectional=bidirectional,
        num_layers=num_layers,
        proj_size=proj_size,
    )
    arrays = inputs(theirs)
    their_run, our_run = WAYS[way]
    expected, expected_gradients = results_and_gradients(theirs, their_run, *arrays)
    actual, actual_gradients = results_and_gradients(ours, our_run, *arrays)
    assert_same(expected, actual, 1e-12)
    assert_same(expected_gradients, actual_gradients, 1e-10)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True, "proj_size": 3}])
@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("given", [True, False])
def test_parity_unbatched_and_default_states(form, options, batched, given):
    theirs, ours = pair(form, batch_first=True, **options)
    x, h_0, c_0 = inputs(theirs, batched)

    def run(layer, x, hx):
        output, states = layer(x, hx if given else None)
        # The default states take part with a zero, so that they have a gradient to compare.
        return output, [state + 0 * initial for state, initial in zip(states, hx, strict=True)]

    expected, expected_gradients = results_and_gradients(theirs, run, x, h_0, c_0)
    actual, actual_gradients = results_and_gradients(ours, run, x, h_0, c_0)
    assert_same(expected, actual, 1e-12)
    assert_same(expected_gradients, actual_gradients, 1e-10)


@pytest.mark.parametrize("form", FORMS)
def test_parity_in_float32(form):
    theirs, ours = pair(form, torch.float32, num_layers=2, bidirectional=True)
    arrays = inputs(theirs, dtype=torch.float32)
    expected, expected_gradients = results_and_gradients(theirs, packed, *arrays)
    actual, actual_gradients = results_and_gradients(ours, packed, *arrays)
    assert_same(expected, actual, 5e-5)
    assert_same(expected_gradients, actual_gradients, 5e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_an_empty_batch_is_empty_as_in_nn_lstm(form, batch_first):
    theirs, ours = pair(form, num_layers=2, bidirectional=True, batch_first=batch_first)
    x = torch.zeros((0, T, D) if batch_first else (T, 0, D), dtype=torch.float64)
    (expected, states), (actual, our_states) = theirs(x), ours(x)
    assert actual.shape == expected.shape
    assert [state.shape for state in our_states] == [state.shape for state in states]
    actual.sum().backward()
    assert all((p.grad == 0).all() for p in ours.parameters())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("enforce_sorted", [True, False])
def test_packed_output_has_the_order_of_the_packed_input(form, enforce_sorted):
    theirs, ours = pair(form)
    lengths = [4, 4, 2, 2] if enforce_sorted else [2, 4, 2, 4]
    x = torch.randn(T, B, D, dtype=torch.float64)
    packed_input = pack_padded_sequence(x, lengths, enforce_sorted=enforce_sorted)
    expected, _ = theirs(packed_input)
    actual, _ = ours(packed_input)
    assert torch.equal(actual.batch_sizes, expected.batch_sizes)
    assert (actual.data - expected.data).abs().max() <= 1e-12
    if enforce_sorted:
        assert actual.sorted_indices is None
        assert actual.unsorted_indices is None
    else:
        assert torch.equal(actual.sorted_indices, expected.sorted_indices)
        assert torch.equal(actual.unsorted_indices, expected.unsorted_indices)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_lengths_may_be_list_array_or_tensor(form, kind):
    _, ours = pair(form)
    x, h_0, c_0 = inputs(ours)
    expected, _ = packed(ours, x, (h_0, c_0))
    actual, _ = ours(x, (h_0, c_0), lengths=kind(LENGTHS))
    assert torch.equal(actual, expected)


@pytest.mark.parametrize("form", FORMS)
def test_padding_is_never_read(form):
    _, ours = pair(form, num_layers=2, bidirectional=True)
    x, h_0, c_0 = inputs(ours)
    expected, expected_gradients = results_and_gradients(ours, with_lengths, x, h_0, c_0)
    for b, length in enumerate(LENGTHS):
        x[length:, b] = torch.inf
    actual, actual_gradients = results_and_gradients(ours, with_lengths, x, h_0, c_0)
    assert_same(expected, actual, 0)
    assert_same(expected_gradients, actual_gradients, 0)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_same_seed_gives_the_same_parameters_and_dropout(form, dtype):
    options = {"num_layers": 3, "dropout": 0.5, "dtype": dtype}
    torch.manual_seed(7)
    theirs = nn.LSTM(D, H, **options)
    torch.manual_seed(7)
    ours = form(D, H, **options)
    for (name, expected), (our_name, actual) in zip(
        theirs.named_parameters(), ours.named_parameters(), strict=True
    ):
        assert our_name == name
        assert torch.equal(actual, expected)
    x = torch.randn(T, B, D, dtype=dtype)
    torch.manual_seed(8)
    first, _ = ours(x)
    torch.manual_seed(8)
    again, _ = ours(x)
    other, _ = ours(x)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    if form is lstm.torch.LSTM:  # the loop draws PyTorch's own masks
        torch.manual_seed(8)
        assert (first - theirs(x)[0]).abs().max() <= 1e-6


@pytest.mark.parametrize("form", FORMS)
def test_evaluation_mode_has_no_dropout_and_has_gradients(form):
    theirs, ours = pair(form, num_layers=2, dropout=0.5)
    arrays = inputs(theirs)
    expected = results_and_gradients(theirs.eval(), plain, *arrays)
    actual = results_and_gradients(ours.eval(), plain, *arrays)
    assert_same(expected[0], actual[0], 1e-12)
    assert_same(expected[1], actual[1], 1e-10)


def test_dropout_gradient_of_the_function_uses_the_masks_of_its_forward_pass():
    layer = lstm.torch.NumpyLSTM(D, H, num_layers=3, dropout=0.4, dtype=torch.float64)
    x = torch.randn(T, B, D, dtype=torch.float64, requires_grad=True)

    def run(x):
        torch.manual_seed(3)
        return layer(x)[0]

    assert torch.autograd.gradcheck(run, (x,))


@pytest.mark.parametrize("form", FORMS)
def test_two_training_steps_follow_nn_lstm(form):
    theirs, ours = pair(form, num_layers=2, bidirectional=True)
    optimizers = [torch.optim.Adam(layer.parameters(), lr=0.01) for layer in (theirs, ours)]
    for number in range(2):
        x, h_0, c_0 = inputs(theirs, seed=10 + number)
        for layer, optimizer in zip((theirs, ours), optimizers, strict=True):
            optimizer.zero_grad()
            output, (h_n, c_n) = layer(x, (h_0, c_0))
            (output.square().mean() + h_n.square().mean() + c_n.mean()).backward()
            optimizer.step()
    assert_same(theirs.state_dict(), ours.state_dict(), 1e-10)


@pytest.mark.parametrize("form", FORMS)
def test_two_calls_before_one_backward(form):
    """Truncated or siamese training: the second call must not overwrite what the first kept."""
    theirs, ours = pair(form)
    gradients = []
    for layer in (theirs, ours):
        x, h_0, c_0 = inputs(theirs)
        output, state = layer(x, (h_0, c_0))
        second, _ = layer(2 * x, state)
        (output.square().sum() + second.sum()).backward()
        gradients.append({name: p.grad for name, p in layer.named_parameters()})
    assert_same(*gradients, 1e-10)


@pytest.mark.parametrize("form", FORMS)
def test_gradcheck(form):
    torch.manual_seed(0)
    layer = form(2, 3, num_layers=2, bidirectional=True, proj_size=2, dtype=torch.float64)
    shapes = [(3, 2, 2), (4, 2, 2), (4, 2, 3)]
    leaves = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes]

    def run(x, h_0, c_0, *_):
        output, states = layer(x, (h_0, c_0), lengths=[2, 3])
        return output, *states

    assert torch.autograd.gradcheck(run, [*leaves, *layer.parameters()])


def test_gradgradcheck_of_the_loop():
    layer = lstm.torch.LSTM(2, 2, dtype=torch.float64)
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x, *_: layer(x)[0], (x, *layer.parameters()))


@pytest.mark.parametrize("power", [1, 2])
def test_the_function_refuses_a_second_derivative(power):
    """Also where the gradient that comes in is a constant (power 1)."""
    layer = lstm.torch.NumpyLSTM(D, H)
    x = torch.randn(T, B, D, requires_grad=True)
    output, _ = layer(x)
    (d_x,) = torch.autograd.grad(output.pow(power).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="NumpyLSTM cannot be differentiated twice"):
        d_x.sum().backward()


@pytest.mark.parametrize("form", FORMS)
def test_a_retained_graph_is_differentiated_again(form):
    layer = form(D, H, num_layers=2, dropout=0.5, dtype=torch.float64)
    output, _ = layer(torch.randn(T, B, D, dtype=torch.float64))
    loss = output.square().sum()
    loss.backward(retain_graph=True)
    once = {name: p.grad.clone() for name, p in layer.named_parameters()}
    loss.backward()
    assert_same({name: 2 * grad for name, grad in once.items()},
                {name: p.grad for name, p in layer.named_parameters()}, 1e-12)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_parameter_changed_before_backward_is_an_error(form):
    layer = form(D, H)
    output, _ = layer(torch.randn(T, B, D))
    with torch.no_grad():
        layer.weight_hh_l0.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_recorded_without_gradients(form):
    layer = form(D, H)
    x = torch.randn(T, B, D)
    with torch.no_grad():
        output, _ = layer(x)
    assert not output.requires_grad
    layer.requires_grad_(False)
    assert not layer(x)[0].requires_grad
    layer.weight_ih_l0.requires_grad_(True)
    layer(x)[0].sum().backward()
    assert layer.weight_ih_l0.grad is not None
    assert layer.weight_hh_l0.grad is None


class Halved(nn.Module):
    """A weight that is computed from the parameter."""

    def forward(self, weight):
        return 0.5 * weight


@pytest.mark.parametrize("form", FORMS)
def test_a_computed_weight_takes_the_place_of_its_parameter(form):
    layer = form(D, H, proj_size=3, dtype=torch.float64)
    halved = copy.deepcopy(layer)
    parametrize.register_parametrization(halved, "weight_hh_l0", Halved())
    with torch.no_grad():
        layer.weight_hh_l0.mul_(0.5)
    x = torch.randn(T, B, D, dtype=torch.float64)
    expected, actual = layer(x)[0], halved(x)[0]
    assert torch.equal(actual, expected)
    expected.sum().backward()
    actual.sum().backward()
    original = halved.parametrizations["weight_hh_l0"].original
    assert (original.grad - 0.5 * layer.weight_hh_l0.grad).abs().max() <= 1e-12


@pytest.mark.parametrize("form", FORMS)
def test_deepcopy_and_save(form):
    layer = form(D, H, num_layers=2)
    x = torch.randn(T, B, D)
    expected, _ = layer(x)
    twin = copy.deepcopy(layer)
    buffer = io.BytesIO()
    torch.save(layer, buffer)
    buffer.seek(0)
    loaded = torch.load(buffer, weights_only=False)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
    assert torch.equal(twin(x)[0], expected)
    assert torch.equal(loaded(x)[0], expected)
    assert not torch.equal(layer(x)[0], expected)


@pytest.mark.parametrize("form", FORMS)
def test_state_dict_moves_both_ways(form):
    theirs, ours = pair(form, num_layers=2, bidirectional=True, proj_size=3)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for parameter in ours.parameters():
        nn.init.normal_(parameter)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(T, B, D, dtype=torch.float64)
    assert (theirs(x)[0] - ours(x)[0]).abs().max() <= 1e-12


@pytest.mark.parametrize("form", FORMS)
def test_to_another_dtype(form):
    theirs, ours = pair(form, torch.float32)
    x = torch.randn(T, B, D)
    assert ours(x)[0].dtype == torch.float32
    theirs, ours, x = theirs.double(), ours.to(torch.float64), x.double()
    assert ours(x)[0].dtype == torch.float64
    assert (ours(x)[0] - theirs(x)[0]).abs().max() <= 1e-12


def test_the_loop_takes_bfloat16_and_the_function_says_no():
    x = torch.randn(T, B, D, dtype=torch.bfloat16)
    loop = lstm.torch.LSTM(D, H, dtype=torch.bfloat16)
    assert loop(x)[0].dtype == torch.bfloat16
    with pytest.raises(ValueError, match=r"float32 or torch.float64, got torch.bfloat16"):
        lstm.torch.NumpyLSTM(D, H, dtype=torch.bfloat16)(x)


@pytest.mark.parametrize("form", FORMS)
def test_repr_is_that_of_nn_lstm(form):
    options = {"num_layers": 2, "bias": False, "batch_first": True, "dropout": 0.1}
    options |= {"bidirectional": True, "proj_size": 3}
    expected = repr(nn.LSTM(D, H, **options)).removeprefix("LSTM")
    assert repr(form(D, H, **options)) == form.__name__ + expected


@pytest.mark.parametrize("kind", [nn.LSTM, *FORMS])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_conversion_both_ways(kind, dtype):
    options = {"num_layers": 2, "bias": False, "batch_first": True, "dropout": 0.1}
    options |= {"bidirectional": True, "proj_size": 3}
    module = kind(D, H, dtype=dtype, **options).eval()
    layer = lstm.torch.from_torch(module)
    back = lstm.torch.to_torch(layer, kind)
    x = torch.randn(B, T, D, dtype=dtype)
    expected = module(x)[0].detach()
    assert np.abs(layer(x.numpy())[0] - expected.numpy()).max() <= 1e-6
    assert torch.equal(back(x)[0], expected)
    assert repr(back) == repr(module)
    assert not layer.training
    assert not back.training
    layer.weight_ih_l0.data[...] = 0
    assert module.weight_ih_l0.abs().min() > 0
    assert back.weight_ih_l0.abs().min() > 0


BAD_ARGUMENTS = {
    "input_size": ({"input_size": 0}, "input_size must be a positive integer, got 0"),
    "hidden_size": ({"hidden_size": 2.5}, "hidden_size must be a positive integer, got 2.5"),
    "num_layers": ({"num_layers": 0}, "num_layers must be a positive integer, got 0"),
    "bias": ({"bias": 1}, "bias must be"),
    "batch_first": ({"batch_first": None}, "batch_first must be"),
    "dropout": ({"dropout": 1.5}, r"dropout must be in \[0, 1\], got 1.5"),
    "negative proj_size": ({"proj_size": -1}, "proj_size must be an integer of at least 0, got -1"),
    "proj_size": ({"proj_size": 4}, "proj_size must be smaller than hidden_size = 4, got 4"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_argument(form, case):
    options, message = BAD_ARGUMENTS[case]
    with pytest.raises(ValueError, match=message):
        form(**{"input_size": D, "hidden_size": H, **options})


@pytest.mark.parametrize("form", FORMS)
def test_dropout_with_one_layer_warns(form):
    with pytest.warns(UserWarning, match="got dropout=0.5 with num_layers=1"):
        form(D, H, dropout=0.5)


def zeros(*shape, dtype=torch.float32):
    return torch.zeros(shape, dtype=dtype)


BAD_INPUTS = {
    "not a tensor": (([[0.0]],), {}, "input must be a Tensor or PackedSequence, got list"),
    "rank 1": ((zeros(D),), {}, r"input must have shape \(T, B, D\) or \(T, D\), got \(3,\)"),
    "rank 4": ((zeros(1, T, B, D),), {}, r"got \(1, 5, 4, 3\)"),
    "features": ((zeros(T, B, 7),), {}, r"input must have shape \(..., 3\), got \(5, 4, 7\)"),
    "dtype": ((zeros(T, B, D, dtype=torch.float64),), {}, "input must have dtype torch.float32"),
    "no steps": (
        (zeros(0, B, D),),
        {},
        r"input must have at least one step, got shape \(0, 4, 3\)",
    ),
    "no step": ((zeros(0, D),), {}, r"input must have at least one step, got shape \(0, 3\)"),
    "no pair": ((zeros(T, B, D), zeros(1, B, H)), {}, r"hx must be a pair \(h_0, c_0\)"),
    "h_0": ((zeros(T, B, D), (zeros(1, B, 7), zeros(1, B, H))), {}, r"h_0 .* \(1, 4, 4\), got"),
    "c_0": ((zeros(T, B, D), (zeros(1, B, H), zeros(2, B, H))), {}, r"c_0 .* \(1, 4, 4\), got"),
    "state rank": ((zeros(T, B, D), (zeros(1, H), zeros(1, H))), {}, r"h_0 .*got \(1, 4\)"),
    "unbatched": ((zeros(T, D), (zeros(1, 1, H), zeros(1, 1, H))), {}, r"h_0 .* \(1, 4\), got"),
    "state dtype": (
        (zeros(T, B, D), (zeros(1, B, H), zeros(1, B, H, dtype=torch.float64))),
        {},
        "c_0 must have dtype torch.float32, got torch.float64",
    ),
    "lengths shape": ((zeros(T, B, D),), {"lengths": [1, 2]}, r"lengths must have shape \(4,\)"),
    "lengths zero": ((zeros(T, B, D),), {"lengths": [1, 2, 0, 3]}, r"lengths must be in \[1, 5\]"),
    "lengths long": (
        (zeros(T, B, D),),
        {"lengths": [1, 2, 6, 3]},
        r"lengths must be in \[1, 5\], got 1 to 6",
    ),
    "lengths float": ((zeros(T, B, D),), {"lengths": [1.0, 2, 2, 3]}, "lengths must hold integers"),
    "lengths of one": (
        (zeros(T, D),),
        {"lengths": [5]},
        "lengths must be None for a single sequence",
    ),
    "packed lengths": (
        (pack_padded_sequence(zeros(T, B, D), [5, 4, 2, 1]),),
        {"lengths": [5, 4, 2, 1]},
        "lengths must be None with a PackedSequence",
    ),
    "packed state": (
        (pack_padded_sequence(zeros(T, B, D), [5, 4, 2, 1]), (zeros(1, 3, H), zeros(1, 3, H))),
        {},
        r"h_0 must have shape \(1, 4, 4\), got \(1, 3, 4\)",
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input(form, case):
    arguments, options, message = BAD_INPUTS[case]
    with pytest.raises(ValueError, match=message):
        form(D, H)(*arguments, **options)
