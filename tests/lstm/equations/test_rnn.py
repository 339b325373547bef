"""The equations of the chapter on recurrent networks, each against an independent computation."""

import numpy as np
import pytest
import torch

from lstm import equations as eq
from lstm.gradcheck import central_difference, complex_step, relative_error

T, B, D, H = 6, 2, 3, 4
EXACT = 1e-12


class Network:
    """A random Elman network, a random loss on every step, and both passes written out."""

    def __init__(self, seed=0, gain=1.0, steps=T, batch=B):
        rng = np.random.default_rng(seed)
        self.W = rng.normal(size=(H, D))
        self.U = gain * rng.normal(size=(H, H)) / np.sqrt(H)
        self.b = rng.normal(size=H)
        self.x = rng.normal(size=(steps, batch, D))
        self.h_0 = rng.uniform(-1, 1, (batch, H))
        self.targets = rng.normal(size=(steps, batch, H))

    def states(self, **changed):
        v = vars(self) | changed
        h = [v["h_0"]]
        for x_t in v["x"]:
            h.append(eq.rnn_hidden_state(x_t, h[-1], v["W"], v["U"], v["b"]))
        return np.stack(h)

    def loss(self, **changed):
        return ((self.states(**changed)[1:] - self.targets) ** 2).sum() / 2

    def d_loss(self):
        """∂ℓ_t/∂h_t of every step."""
        return self.states()[1:] - self.targets

    def backward(self):
        h, d_loss = self.states(), self.d_loss()
        d_a, d_h, after = np.zeros_like(d_loss), np.zeros_like(d_loss), np.zeros_like(d_loss[0])
        for t in reversed(range(len(d_loss))):
            d_h[t] = eq.d_rnn_hidden_state(d_loss[t], after, self.U)
            after = d_a[t] = eq.d_rnn_preactivation(d_h[t], h[t + 1])
        return d_a, d_h


@pytest.fixture
def network():
    return Network()


@pytest.mark.equation("eq-rnn-hidden")
def test_hidden_state_is_torch_rnn_cell(network):
    cell = torch.nn.RNNCell(D, H, dtype=torch.float64)
    with torch.no_grad():
        for name, value in (("ih", network.W), ("hh", network.U)):
            getattr(cell, f"weight_{name}").copy_(torch.from_numpy(value))
        cell.bias_ih.copy_(torch.from_numpy(network.b))
        cell.bias_hh.zero_()
        expected = cell(torch.from_numpy(network.x[0]), torch.from_numpy(network.h_0)).numpy()
    actual = eq.rnn_hidden_state(network.x[0], network.h_0, network.W, network.U, network.b)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-15)


@pytest.mark.equation("eq-rnn-d-hidden")
def test_d_hidden_state_is_the_derivative_of_the_rest_of_the_loss(network):
    """Feed h_t in as the initial state of the steps that follow it."""
    _, d_h = network.backward()
    h = network.states()
    for t in range(T):

        def rest(h_t, t=t):
            later = network.states(h_0=h_t, x=network.x[t + 1 :])
            return ((later - network.targets[t:]) ** 2).sum() / 2

        assert relative_error(d_h[t], complex_step(rest, h[t + 1])) < EXACT


@pytest.mark.equation("eq-rnn-d-weights")
@pytest.mark.parametrize("name", ["W", "U", "b"])
@pytest.mark.parametrize(
    ("method", "tolerance"), [(complex_step, EXACT), (central_difference, 1e-8)]
)
def test_d_weights_are_numerical_derivatives(network, name, method, tolerance):
    gradients = eq.d_rnn_weights(network.backward()[0], network.x, network.states()[:-1])
    actual = dict(zip("WUb", gradients, strict=True))[name]
    expected = method(lambda value: network.loss(**{name: value}), getattr(network, name))
    assert relative_error(actual, expected) < tolerance


@pytest.mark.equation("eq-rnn-d-weights")
def test_d_weights_are_torchs(network):
    leaves = {k: torch.tensor(getattr(network, k), requires_grad=True) for k in ("W", "U", "b")}
    h, loss = torch.tensor(network.h_0), 0.0
    for x_t, target in zip(torch.tensor(network.x), torch.tensor(network.targets), strict=True):
        h = torch.tanh(x_t @ leaves["W"].T + h @ leaves["U"].T + leaves["b"])
        loss = loss + ((h - target) ** 2).sum() / 2
    loss.backward()
    gradients = eq.d_rnn_weights(network.backward()[0], network.x, network.states()[:-1])
    for actual, leaf in zip(gradients, leaves.values(), strict=True):
        assert relative_error(actual, leaf.grad.numpy()) < EXACT


@pytest.mark.equation("eq-rnn-d-inputs")
def test_d_inputs_are_numerical_derivatives(network):
    d_a, _ = network.backward()
    d_x_0, d_h_0 = eq.d_rnn_inputs(d_a[0], network.W, network.U)
    d_x = np.stack([eq.d_rnn_inputs(d_a_t, network.W, network.U)[0] for d_a_t in d_a])
    assert relative_error(d_x, complex_step(lambda x: network.loss(x=x), network.x)) < EXACT
    assert relative_error(d_h_0, complex_step(lambda h: network.loss(h_0=h), network.h_0)) < EXACT
    np.testing.assert_array_equal(d_x_0, d_x[0])


def numerical_jacobian(function, at):
    """Row j: the derivative of output j; ``at`` is one state of shape (H,)."""
    return np.stack([complex_step(lambda h, j=j: function(h)[j], at) for j in range(H)])


@pytest.mark.equation("eq-rnn-jacobian")
def test_jacobian_of_one_step(network):
    def step(h):
        return eq.rnn_hidden_state(network.x[0, 0], h, network.W, network.U, network.b)

    actual = eq.rnn_jacobian(step(network.h_0[0]), network.U)
    assert relative_error(actual, numerical_jacobian(step, network.h_0[0])) < EXACT


@pytest.mark.equation("eq-jacobian-product")
def test_jacobian_of_many_steps_for_each_sequence(network):
    product = eq.jacobian_product(eq.rnn_jacobian(network.states()[1:], network.U))
    for n in range(B):

        def last(h, n=n):
            return network.states(h_0=h[None], x=network.x[:, n : n + 1])[-1, 0]

        assert relative_error(product[n], numerical_jacobian(last, network.h_0[n])) < EXACT


@pytest.mark.equation("eq-gradient-upper-bound")
@pytest.mark.equation("eq-gradient-lower-bound")
@pytest.mark.parametrize("gain", [0.3, 1.0, 3.0])
def test_bounds_hold_and_can_be_reached(gain):
    for seed in range(20):
        network = Network(seed, gain, steps=3)
        h = network.states()[1:]
        product = eq.jacobian_product(eq.rnn_jacobian(h, network.U))
        sizes = np.linalg.svd(product, compute_uv=False)
        assert (sizes <= eq.gradient_upper_bound(h, network.U)[:, None] * (1 + EXACT)).all()
        assert (sizes >= eq.gradient_lower_bound(h, network.U)[:, None] * (1 - 1e-6)).all()
    # With an orthogonal U and h = 0 nothing is lost: both are the norm.
    rotation, at_rest = gain * np.linalg.qr(network.U)[0], np.zeros((T, H))
    for bound in (eq.gradient_upper_bound, eq.gradient_lower_bound):
        np.testing.assert_allclose(bound(at_rest, rotation), gain**T, rtol=EXACT)


@pytest.mark.equation("eq-gelfand")
def test_spectral_radius_is_the_rate_of_the_powers():
    U = np.random.default_rng(3).normal(size=(H, H))
    rho = eq.spectral_radius(U)
    power, log_norm = np.eye(H), 0.0
    for _ in range(2000):
        power = U @ power
        size = np.linalg.norm(power, 2)
        power, log_norm = power / size, log_norm + np.log(size)
    assert np.exp(log_norm / 2000) == pytest.approx(rho, rel=1e-3)
    assert rho <= np.linalg.norm(U, 2)
    # Complex pairs count with their modulus; a nilpotent matrix has radius 0.
    assert eq.spectral_radius(np.array([[0.0, -2.0], [2.0, 0.0]])) == pytest.approx(2)
    assert eq.spectral_radius(np.array([[0.0, 9.0], [0.0, 0.0]])) == 0


@pytest.mark.equation("eq-bptt-double-sum")
def test_double_sum_is_the_derivative_and_the_recursion(network):
    h, d_loss = network.states(), network.d_loss()
    double_sum = eq.d_rnn_recurrent_weights(d_loss, h[1:], h[0], network.U)
    recursion = eq.d_rnn_weights(network.backward()[0], network.x, h[:-1])[1]
    numerical = complex_step(lambda U: network.loss(U=U), network.U)
    assert relative_error(double_sum, numerical) < EXACT
    assert relative_error(double_sum, recursion) < EXACT


@pytest.mark.equation("eq-truncated-bptt")
@pytest.mark.parametrize("K", [1, 3, T - 1, T, T + 5])
def test_truncation_is_torch_with_the_state_cut_off(network, K):
    """Loss of step t alone, with h_{t-K} detached: the K last steps are differentiated."""
    h, d_loss = network.states(), network.d_loss()
    U = torch.tensor(network.U, requires_grad=True)
    for t in range(1, T + 1):
        state = torch.tensor(h[max(0, t - K)])
        for x_t in network.x[max(0, t - K) : t]:
            fixed = torch.tensor(x_t @ network.W.T + network.b)
            state = torch.tanh(fixed + state @ U.T)
        (state * torch.tensor(d_loss[t - 1])).sum().backward()
    actual = eq.d_rnn_recurrent_weights_truncated(d_loss, h[1:], h[0], network.U, K)
    assert relative_error(actual, U.grad.numpy()) < EXACT


@pytest.mark.equation("eq-truncation-bound")
def test_truncation_bound_holds():
    for seed in range(20):
        network = Network(seed, steps=12)
        network.U *= 0.9 / np.linalg.norm(network.U, 2)
        h, d_loss = network.states(), network.d_loss()
        whole = eq.d_rnn_recurrent_weights(d_loss, h[1:], h[0], network.U)
        for K in range(1, 12):
            cut = eq.d_rnn_recurrent_weights_truncated(d_loss, h[1:], h[0], network.U, K)
            assert np.linalg.norm(whole - cut) <= eq.truncation_bound(d_loss, network.U, K)


def test_truncation_bound_is_for_contractions_only():
    with pytest.raises(ValueError, match="largest singular value below 1, got 1"):
        eq.truncation_bound(np.ones((3, 1, 4)), np.eye(4), 2)
