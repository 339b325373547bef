"""Optimisers and clipping against ``torch.optim``, in float64, over several steps."""

import numpy as np
import pytest
import torch

import lstm

SHAPES = [(4, 3), (5,), (2, 2, 2)]
STEPS = 25

CASES = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("RMSprop", {"lr": 0.01}),
    ("RMSprop", {"lr": 0.002, "alpha": 0.9, "eps": 1e-3}),
    ("Adam", {"lr": 0.001}),
    ("Adam", {"lr": 0.1, "betas": (0.5, 0.6), "eps": 1e-2}),
    ("Adam", {"lr": 0.1, "betas": (0.0, 0.0)}),
]
every_case = pytest.mark.parametrize(("name", "options"), CASES)


def draw(rng):
    # Gradients of very different sizes: eps matters for the small ones.
    return [rng.standard_normal(shape) * 10.0 ** rng.integers(-8, 3, shape) for shape in SHAPES]


@pytest.mark.equation("eq-sgd")
@pytest.mark.equation("eq-rmsprop")
@pytest.mark.equation("eq-adam")
@every_case
def test_parity_with_torch(name, options):
    rng = np.random.default_rng(0)
    start = [rng.standard_normal(shape) for shape in SHAPES]
    parameters = [lstm.Parameter(array) for array in start]
    tensors = [torch.tensor(array, requires_grad=True) for array in start]
    optimizer = getattr(lstm, name)(parameters, **options)
    reference = getattr(torch.optim, name)(tensors, **options)
    for step in range(STEPS):
        for parameter, tensor, gradient in zip(parameters, tensors, draw(rng), strict=True):
            parameter.grad[...] = gradient
            tensor.grad = torch.tensor(gradient)
        optimizer.lr = options["lr"] * (1 - step / STEPS)  # a schedule, as fit sets it
        reference.param_groups[0]["lr"] = optimizer.lr
        optimizer.step()
        reference.step()
        for parameter, tensor in zip(parameters, tensors, strict=True):
            np.testing.assert_allclose(parameter.data, tensor.detach().numpy(), rtol=0, atol=1e-12)


def test_rmsprop_with_epsilon_under_the_root():
    """As in Keras 3: v + eps, then the root."""
    theta, v = 1.0, 0.0
    for g in (0.5, -0.002, 0.3):
        v = 0.8 * v + 0.2 * g**2
        theta -= 0.1 * g / np.sqrt(v + 0.01)
    parameter = lstm.Parameter(np.array([1.0]))
    optimizer = lstm.RMSprop([parameter], lr=0.1, alpha=0.8, eps=0.01, eps_inside=True)
    for g in (0.5, -0.002, 0.3):
        parameter.grad[...] = g
        optimizer.step()
    assert parameter.data[0] == pytest.approx(theta, rel=1e-14)


@pytest.mark.parametrize("gradient", [0.0, 1e-45, 1e30, 3e38, np.inf, np.nan])
@pytest.mark.parametrize(("name", "options"), [*CASES, ("Adam", {"eps": 0.0})])
def test_overflow_is_that_of_torch_without_a_warning(name, options, gradient):
    parameter, tensor = lstm.Parameter(np.ones(2, np.float32)), torch.ones(2, requires_grad=True)
    parameter.grad[...], tensor.grad = gradient, torch.full((2,), gradient)
    getattr(lstm, name)([parameter], **options).step()
    getattr(torch.optim, name)([tensor], **options).step()
    np.testing.assert_allclose(parameter.data, tensor.detach().numpy(), rtol=1e-6)


@pytest.mark.equation("eq-clip-norm")
@pytest.mark.parametrize("max_norm", [1e-3, 1.0, 5.0, 1e6])
def test_clip_parity_with_torch(max_norm):
    rng = np.random.default_rng(1)
    parameters = [lstm.Parameter(np.zeros(shape)) for shape in SHAPES]
    tensors = [torch.zeros(shape, dtype=torch.float64, requires_grad=True) for shape in SHAPES]
    for parameter, tensor, shape in zip(parameters, tensors, SHAPES, strict=True):
        parameter.grad[...] = rng.standard_normal(shape)
        tensor.grad = torch.tensor(parameter.grad)
    before = [parameter.grad.copy() for parameter in parameters]
    norm = lstm.clip_grad_norm_(parameters, max_norm)
    expected = torch.nn.utils.clip_grad_norm_(tensors, max_norm).item()
    assert norm == pytest.approx(expected, rel=1e-14)
    clipped = np.sqrt(sum((parameter.grad**2).sum() for parameter in parameters))
    assert clipped == pytest.approx(min(norm, max_norm), rel=1e-14)
    for parameter, tensor, old in zip(parameters, tensors, before, strict=True):
        # torch divides by norm + 1e-6: its result is smaller by that share.
        np.testing.assert_allclose(parameter.grad, tensor.grad.numpy(), rtol=2e-6 / norm)
        if norm <= max_norm:
            np.testing.assert_array_equal(parameter.grad, old)


def test_clip_refuses_a_step_that_would_destroy_the_weights():
    parameter = lstm.Parameter(np.zeros(2))
    parameter.grad[0] = np.nan
    with pytest.raises(ValueError, match="gradient norm must be finite, got nan"):
        lstm.clip_grad_norm_([parameter], 1.0)


@every_case
def test_state_dict_resumes_bit_for_bit(name, options):
    rng = np.random.default_rng(2)
    gradients = [draw(rng) for _ in range(6)]

    def run(optimizer, gradients):
        for arrays in gradients:
            for parameter, array in zip(optimizer.parameters, arrays, strict=True):
                parameter.grad[...] = array
            optimizer.step()

    def make(values):
        return getattr(lstm, name)([lstm.Parameter(value) for value in values], **options)

    whole = make([np.ones(shape) for shape in SHAPES])
    run(whole, gradients)
    first = make([np.ones(shape) for shape in SHAPES])
    run(first, gradients[:3])
    second = make([parameter.data for parameter in first.parameters])
    second.load_state_dict(first.state_dict())
    run(second, gradients[3:])
    for a, b in zip(whole.parameters, second.parameters, strict=True):
        np.testing.assert_array_equal(a.data, b.data)
    assert second.steps == 6


WRONG_STATES = [
    ({"lr": np.nan}, r"lr must be a number in \[0, inf\), got .*nan"),
    ({"lr": "fast"}, "lr must be an array of numbers, got 'fast'"),
    ({"steps": -3}, "steps must be an integer of at least 0, got -3"),
    ({"steps": 2.5}, "steps must have dtype int64, got float64"),
    ({"steps": 10**18}, "steps must be at most 9007199254740992, got 10000"),
    ({"square.0": np.ones(4)}, r"square.0 must have shape \(3,\), got \(4,\)"),
    ({"square.0": np.ones(3, int)}, "square.0 must have dtype float64, got int64"),
    ({"square.0": np.array([1, 2, None])}, "square.0 must be an array of numbers, got object"),
    ({"square.0": np.ones(3, complex)}, "square.0 must have dtype float64, got complex128"),
    ({"more": 1}, r"the state of this Adam: missing \[\], unexpected \['more'\]"),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG_STATES)
def test_load_state_dict_is_all_or_nothing(wrong, message):
    adam = lstm.Adam([lstm.Parameter(np.zeros(3))])
    good = {"lr": np.array(0.5), "steps": np.array(7), "mean.0": np.ones(3), "square.0": np.ones(3)}
    before = adam.state_dict()
    with pytest.raises(ValueError, match=message):
        adam.load_state_dict(good | wrong)
    after = adam.state_dict()
    assert all((after[name] == before[name]).all() for name in before)
    adam.load_state_dict(good)
    assert (adam.lr, adam.steps) == (0.5, 7)
    with pytest.raises(ValueError, match="mapping must be a mapping"):
        adam.load_state_dict([])


@every_case
def test_a_parameter_given_twice_is_one(name, options):
    results = []
    for times in (1, 2):
        parameter = lstm.Parameter(np.ones(3))
        parameter.grad[...] = [1, -2, 3]
        optimizer = getattr(lstm, name)([parameter] * times, **options)
        assert optimizer.clip_grad_norm_(100.0) == pytest.approx(14**0.5)
        assert lstm.clip_grad_norm_([parameter] * times, 1.0) == pytest.approx(14**0.5)
        np.testing.assert_allclose((parameter.grad**2).sum(), 1)
        optimizer.step()
        results.append(parameter.data)
    np.testing.assert_array_equal(*results)


def test_repr_holds_every_setting():
    parameter = lstm.Parameter(np.zeros(2))
    assert repr(lstm.SGD([parameter], 0.5)) == "SGD(lr=0.5, momentum=0.0)"
    assert repr(lstm.Adam([parameter])) == "Adam(lr=0.001, betas=(0.9, 0.999), eps=1e-08)"
