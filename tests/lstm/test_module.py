"""The modules around an LSTM: values, gradients, parity with torch.nn, and clear errors."""

import copy

import numpy as np
import pytest
import torch

import lstm
from lstm.gradcheck import check_module


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def modules_under_test(rng):
    mask_source = 3
    return {
        "Linear": (lstm.Linear(3, 4, dtype=np.float64, rng=rng), (5, 3)),
        "Linear without bias": (lstm.Linear(3, 4, bias=False, dtype=np.float64, rng=rng), (5, 3)),
        "Linear on sequences": (lstm.Linear(3, 4, dtype=np.float64, rng=rng), (2, 5, 3)),
        "ReLU": (lstm.ReLU(), (5, 3)),
        "Dropout": (lstm.Dropout(0.4, rng=mask_source), (5, 3)),
        "Sequential": (
            lstm.Sequential(
                lstm.Linear(3, 4, dtype=np.float64, rng=rng),
                lstm.ReLU(),
                lstm.Linear(4, 2, dtype=np.float64, rng=rng),
            ),
            (5, 3),
        ),
    }


@pytest.mark.parametrize("name", modules_under_test(np.random.default_rng(0)))
@pytest.mark.parametrize(("method", "bound"), [("complex", 1e-12), ("central", 1e-7)])
def test_gradients(name, method, bound, rng):
    module, shape = modules_under_test(rng)[name]

    def run(x):
        if isinstance(module, lstm.Dropout):
            module.rng = np.random.default_rng(3)  # the same mask for every perturbed input
        y = module(x)
        return (y**3).sum(), lambda: {"x": module.backward(3 * y**2)}

    errors = check_module(module, {"x": rng.normal(size=shape)}, run, method)
    assert max(errors.values()) <= bound, errors


@pytest.mark.equation("eq-linear")
def test_linear_is_torch_linear_and_its_equation(rng):
    ours, theirs = lstm.Linear(3, 4, dtype=np.float64), torch.nn.Linear(3, 4).double()
    ours.load_state_dict(theirs.state_dict())
    x = rng.normal(size=(2, 5, 3))
    expected = theirs(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(ours(x), expected, rtol=0, atol=1e-14)
    by_equation = lstm.equations.linear(x[0], ours.weight.data, ours.bias.data)
    np.testing.assert_allclose(by_equation, expected[0], rtol=0, atol=1e-14)


@pytest.mark.parametrize("padding_idx", [None, 2])
def test_embedding_is_torch_embedding(padding_idx, rng):
    ours = lstm.Embedding(7, 3, padding_idx, dtype=np.float64)
    theirs = torch.nn.Embedding(7, 3, padding_idx).double()
    ours.load_state_dict(theirs.state_dict())
    index = rng.integers(0, 7, (4, 6))  # every row of the table is used several times, or never
    weights = rng.normal(size=(4, 6, 3))
    output = theirs(torch.tensor(index))
    (output * torch.tensor(weights)).sum().backward()
    np.testing.assert_array_equal(ours(index), output.detach().numpy())
    for _ in range(2):  # gradients add up
        ours(index)
        assert ours.backward(weights) is None
    expected = 2 * theirs.weight.grad.numpy()
    np.testing.assert_allclose(ours.weight.grad, expected, rtol=0, atol=1e-14)


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


def test_gradients_add_until_zero_grad(rng):
    layer = lstm.Linear(3, 2, dtype=np.float64, rng=rng)
    x, d_y = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    layer(x)
    layer.backward(d_y)
    once = layer.weight.grad.copy()
    layer(x)
    layer.backward(d_y)
    np.testing.assert_allclose(layer.weight.grad, 2 * once, rtol=1e-14)
    layer.zero_grad()
    assert not any(p.grad.any() for p in layer.parameters())


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


def test_load_state_dict_takes_all_or_nothing():
    layer = lstm.Linear(3, 2, rng=0)
    before = layer.state_dict()
    wrong = [
        ({"weight": np.zeros((2, 3))}, "missing \\['bias'\\]"),
        (before | {"extra": 0}, "unexpected \\['extra'\\]"),
        ({"weight": np.zeros((2, 3)), "bias": np.zeros(3)}, "bias must have shape \\(2,\\)"),
    ]
    for mapping, message in wrong:
        with pytest.raises(ValueError, match=message):
            layer.load_state_dict(mapping)
    after = layer.state_dict()
    assert all((after[name] == before[name]).all() for name in before)


def test_backward_in_the_wrong_order_says_so():
    layer = lstm.Linear(3, 2, rng=0)
    d_y = np.zeros((1, 2), np.float32)
    with pytest.raises(RuntimeError, match=r"Linear\.backward was called before a forward pass"):
        layer.backward(d_y)
    layer(np.zeros((1, 3), np.float32))
    layer.eval()
    with pytest.raises(RuntimeError, match="in evaluation mode"):
        layer.backward(d_y)
    layer(np.zeros((1, 3), np.float32))
    with pytest.raises(RuntimeError, match="in evaluation mode"):
        layer.backward(d_y)


def test_modes_reach_every_inner_module():
    dropout = lstm.Dropout(0.5)
    model = lstm.Sequential(lstm.Sequential(dropout))
    assert not model.eval().training
    assert not dropout.training
    assert model.train().training
    assert dropout.training


WRONG = {
    "Linear size": (lambda: lstm.Linear(0, 2), "in_features must be a positive integer, got 0"),
    "Linear float size": (lambda: lstm.Linear(3, 2.5), "out_features must be .*, got 2.5"),
    "Linear dtype": (lambda: lstm.Linear(3, 2, dtype=int), "dtype must be float32 or float64"),
    "Linear input shape": (
        lambda: lstm.Linear(3, 2)(np.zeros((4, 5), np.float32)),
        r"x must have shape \(\.\.\., 3\), got \(4, 5\)",
    ),
    "Linear input dtype": (
        lambda: lstm.Linear(3, 2)(np.zeros((4, 3))),
        "x must have dtype float32, got float64",
    ),
    "Embedding index": (
        lambda: lstm.Embedding(7, 3)([0, 7]),
        r"index must be in \[0, 7\), got values from 0 to 7",
    ),
    "Embedding negative": (lambda: lstm.Embedding(7, 3)([-1]), r"index must be in \[0, 7\)"),
    "Embedding float": (lambda: lstm.Embedding(7, 3)([0.5]), "index must hold integers"),
    "Embedding padding": (lambda: lstm.Embedding(7, 3, 7), "padding_idx must be None or in"),
    "Dropout": (lambda: lstm.Dropout(1.5), r"p must be in \[0, 1\], got 1.5"),
    "Dropout NaN": (lambda: lstm.Dropout(float("nan")), r"p must be in \[0, 1\], got nan"),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors_name_the_argument(case):
    call, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_linear_backward_checks_the_shape():
    layer = lstm.Linear(3, 2, rng=0)
    layer(np.zeros((4, 3), np.float32))
    with pytest.raises(ValueError, match=r"d_output must have shape \(4, 2\), got \(4, 3\)"):
        layer.backward(np.zeros((4, 3), np.float32))


def test_repr_reads_like_torch():
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Embedding(5, 2))
    ours = lstm.Sequential(lstm.Linear(3, 4), lstm.ReLU(), lstm.Embedding(5, 2))
    assert repr(ours) == repr(theirs)
