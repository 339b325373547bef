"""The modules around an LSTM: values, gradients, parity with torch.nn, and clear errors."""

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import lstm
from tests.lstm.calls import tied, tied_torch


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.equation("eq-linear")
def test_linear_is_its_equation(rng):
    """And PyTorch's, as ``test_calls`` shows."""
    layer, x = lstm.Linear(3, 4, dtype=np.float64, rng=rng), rng.normal(size=(5, 3))
    by_equation = lstm.equations.linear(x, layer.weight.data, layer.bias.data)
    np.testing.assert_allclose(layer(x), by_equation, rtol=0, atol=1e-14)


def test_embedding_of_an_empty_batch_has_no_gradient():
    layer = lstm.Embedding(7, 3)
    assert layer(np.zeros((0, 6), int)).shape == (0, 6, 3)
    layer.backward(np.zeros((0, 6, 3), np.float32))
    assert not layer.weight.grad.any()


def test_dropout_keeps_the_expectation_and_rests_in_evaluation():
    x = np.ones((400, 500), np.float32)
    layer = lstm.Dropout(0.3, rng=0)
    y = layer(x)
    # 200,000 draws: the standard error of the share is 0.001, of the mean 0.0015.
    assert abs((y == 0).mean() - 0.3) < 0.005
    assert abs(y.mean() - 1) < 0.007
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.7)}
    assert layer.eval()(x) is x
    assert not lstm.Dropout(1.0)(x).any()
    assert (lstm.Dropout(0.0)(x) == x).all()


def test_zero_grad_forgets_the_gradients():
    layer = lstm.Linear(3, 2, rng=0)
    layer.vjp(np.ones((4, 3), np.float32))[1](np.ones((4, 2), np.float32))
    assert layer.weight.grad.all()
    layer.zero_grad()
    assert not any(parameter.grad.any() for parameter in layer.parameters())


def test_state_dict_is_a_copy_and_round_trips(rng):
    model = lstm.Sequential(lstm.Linear(3, 4, rng=rng), lstm.ReLU(), lstm.Linear(4, 2, rng=rng))
    saved = model.state_dict()
    assert list(saved) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    before = copy.deepcopy(saved)
    for parameter in model.parameters():
        parameter.data += 1
    assert all((saved[name] == before[name]).all() for name in saved)
    model.load_state_dict(saved)
    assert all((model.state_dict()[name] == before[name]).all() for name in saved)


def test_parameters_can_be_loaded_from_each_other():
    """The second must not get what the first has just got."""
    layer = lstm.LSTM(3, 4, bidirectional=True, rng=0)
    before = layer.state_dict()
    partner = {n: n.removesuffix("_reverse") if n.endswith("e") else f"{n}_reverse" for n in before}
    layer.load_state_dict({name: getattr(layer, partner[name]).data for name in before})
    for name, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[partner[name]])


def test_float32_values_go_into_float64_parameters():
    layer = lstm.Linear(3, 2, dtype=np.float64, rng=0)
    single = lstm.Linear(3, 2, rng=1)
    layer.load_state_dict(single.state_dict())
    assert layer.weight.dtype == np.float64
    np.testing.assert_array_equal(layer.weight.data, single.weight.data)


def test_a_parameter_is_one_however_often_it_is_reached():
    for ours, theirs in (
        (tied(), tied_torch()),
        (
            lstm.Sequential(*[lstm.Linear(3, 3)] * 2),
            torch.nn.Sequential(*[torch.nn.Linear(3, 3)] * 2),
        ),
    ):
        assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
        every = [[n for n, _ in m.named_parameters(remove_duplicate=False)] for m in (ours, theirs)]
        assert every[0] == every[1] == list(ours.state_dict()) == list(theirs.state_dict())
        assert len(list(ours.parameters())) == len(list(theirs.parameters()))
        assert len(list(ours.modules())) == len(list(theirs.modules()))
        assert sum(p.size for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
        ours.load_state_dict(theirs.state_dict())
        again = pickle.loads(pickle.dumps(ours))
        assert len(list(again.parameters())) == len(list(ours.parameters()))


def test_tied_names_must_have_one_value():
    model = tied()
    before = model.state_dict()
    wrong = before | {"2.weight": before["2.weight"] + 1}
    with pytest.raises(ValueError, match=r"2\.weight must have the values of 0\.weight"):
        model.load_state_dict(wrong)
    assert all((model.state_dict()[name] == before[name]).all() for name in before)


def test_an_array_does_not_replace_a_parameter():
    layer = lstm.LSTM(3, 4, rng=0)
    values = np.ones((16, 3), np.float32)
    with pytest.raises(
        ValueError, match=r"weight_ih_l0 must stay a Parameter, .*weight_ih_l0.data"
    ):
        layer.weight_ih_l0 = values
    with pytest.raises(ValueError, match="must stay a Parameter"):
        layer.weight_ih_l0 += values
    layer.weight_ih_l0.data[...] = values
    layer.bias_hh_l0 = lstm.Parameter(np.zeros(16, np.float32))
    assert len(list(layer.parameters())) == 4


MODULES = [lstm.LSTM(3, 4), lstm.GRU(3, 4), lstm.LSTMCell(3, 4), lstm.Linear(3, 4)]
MODULES += [lstm.Embedding(3, 4), lstm.LSTM(3, 4, dtype=np.float64)]


@given(st.data())
def test_only_a_parameter_that_fits_takes_the_place_of_another(data):
    module = data.draw(st.sampled_from(MODULES))
    name, old = data.draw(st.sampled_from(list(module.named_parameters())))
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=3, max_side=16) | st.just(old.shape))
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    value = data.draw(
        st.sampled_from([None, 3, old.data, module, lstm.Parameter(np.zeros(shape, dtype))])
    )
    if isinstance(value, lstm.Parameter) and (value.shape, value.dtype) == (old.shape, old.dtype):
        setattr(module, name, value)
        assert dict(module.named_parameters())[name] is value
        return
    for refused in (lambda: setattr(module, name, value), lambda: delattr(module, name)):
        with pytest.raises(ValueError, match=f"^{name} must "):
            refused()
    assert dict(module.named_parameters())[name] is old


def test_a_parameters_array_can_be_written_to():
    parameter = lstm.Parameter(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="grad must have dtype float64, got complex128"):
        parameter.grad = np.zeros((2, 3), complex)
    for name in ("data", "grad"):
        with pytest.raises(ValueError, match=f"{name} must be an array that can be written to"):
            setattr(parameter, name, np.broadcast_to(1.0, (2, 3)))


@given(
    st.sampled_from([lstm.ReLU(), lstm.RNN(3, 3, nonlinearity="relu", rng=0)]),
    st.sampled_from([np.nan, np.inf, -np.inf]),
    st.sampled_from(["x", "d_y"]),
    st.integers(0, 5),
)
def test_what_is_not_finite_goes_through_a_rectifier_as_in_torch(module, value, where, place):
    rng = np.random.default_rng(place)
    arrays = {name: rng.standard_normal((1, 2, 3)).astype(np.float32) for name in ("x", "d_y")}
    arrays[where].flat[place] = value
    x = torch.tensor(arrays["x"], requires_grad=True)
    if isinstance(module, lstm.RNN):
        expected = lstm.torch.to_torch(module)(x)[0]
        (y, _), backward = module.vjp(arrays["x"])
        d_x, _ = backward(arrays["d_y"])
    else:
        expected = x.relu()
        y, backward = module.vjp(arrays["x"])
        d_x = backward(arrays["d_y"])
    expected.backward(torch.tensor(arrays["d_y"]))
    np.testing.assert_allclose(y, expected.detach(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(d_x, x.grad, rtol=1e-5, atol=1e-6)


def test_a_parameter_is_an_array_to_numpy():
    parameter = lstm.Parameter(np.arange(3.0))
    assert np.asarray(parameter) is parameter.data
    assert np.asarray(parameter, np.float32).dtype == np.float32
    assert np.array(parameter, copy=True) is not parameter.data
    np.testing.assert_array_equal(np.exp(parameter), np.exp(parameter.data))


def test_a_gradient_may_be_of_some_rows():
    parameter = lstm.Parameter(np.zeros((3, 2)))
    parameter.accumulate(np.ones((2, 2)), np.array([0, 2]))
    assert parameter.grad.tolist() == [[1, 1], [0, 0], [1, 1]]


@pytest.mark.parametrize("name", ["data", "grad"])
def test_nothing_of_another_shape_takes_the_place_of_a_parameters_array(name):
    layer, x = lstm.LSTM(3, 4, rng=0), np.ones((5, 2, 3), np.float32)
    before = layer(x)[0]
    for wrong, got in ((np.zeros((16, 5), np.float32), r"\(16, 5\)"), (np.float32(0), r"\(\)")):
        with pytest.raises(ValueError, match=rf"{name} must have shape \(16, 3\), got {got}"):
            setattr(layer.weight_ih_l0, name, wrong)
    with pytest.raises(ValueError, match=f"{name} must be an array of numbers, got None"):
        setattr(layer.weight_ih_l0, name, None)
    np.testing.assert_array_equal(layer(x)[0], before)
    setattr(layer.weight_ih_l0, name, array := np.ones((16, 3), np.float32))
    assert getattr(layer.weight_ih_l0, name) is array


def test_a_gradient_of_another_kind_is_refused_and_an_overflow_is_infinite():
    parameter = lstm.Parameter(np.zeros(2, np.float32))
    for wrong, message in (
        (np.zeros(2, complex), "gradient must have dtype float32, got complex128"),
        (np.zeros(2, object), "gradient must be an array of numbers, got object"),
        (None, "gradient must be an array of numbers, got None"),
    ):
        with pytest.raises(ValueError, match=message):
            parameter.accumulate(wrong)
    for _ in range(2):
        parameter.accumulate(np.full(2, 3e38, np.float32))
    assert np.isposinf(parameter.grad).all()


def test_modes_reach_every_inner_module():
    dropout = lstm.Dropout(0.5)
    model = lstm.Sequential(lstm.Sequential(dropout))
    assert not model.eval().training
    assert not dropout.training
    assert model.train().training
    assert dropout.training


def test_repr_reads_like_torch():
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Embedding(5, 2))
    ours = lstm.Sequential(lstm.Linear(3, 4), lstm.ReLU(), lstm.Embedding(5, 2))
    assert repr(ours) == repr(theirs)
    for bias in (True, False):
        assert repr(lstm.LSTMCell(3, 5, bias)) == repr(torch.nn.LSTMCell(3, 5, bias))
