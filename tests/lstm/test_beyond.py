"""minLSTM, sLSTM, mLSTM: derivatives, the papers' equations without stabiliser, extreme gates."""

import numpy as np
import pytest
import torch

from lstm import variants
from tests.lstm.calls import check_gradients
from tests.lstm.parity import packed

T, B, D, H = 5, 2, 3, 3
KINDS = [
    (variants.MinLSTM, {}),
    (variants.MinLSTM, {"signed": True}),
    (variants.SLSTM, {}),
    (variants.MLSTM, {}),
]
kinds = pytest.mark.parametrize(("kind", "options"), KINDS)


def layer_of(kind, options, scale=0.6, **more):
    layer = kind(D, H, dtype=np.float64, rng=0, **options, **more)
    rng = np.random.default_rng(1)
    for parameter in layer.parameters():
        parameter.data[...] = scale * rng.standard_normal(parameter.shape)
    return layer


def states_of(layer, rng):
    many = layer.num_layers * layer.num_directions
    states = {k: rng.standard_normal((many, B, w)) for k, w in layer.state_sizes().items()}
    if "n" in states:
        states["n"] = np.abs(states["n"]) + 0.5
    return states


@pytest.mark.slow
@kinds
@pytest.mark.parametrize("method", ["complex", "central"])
@pytest.mark.parametrize("more", [{}, {"bias": False}, {"num_layers": 2, "bidirectional": True}])
def test_every_gradient(kind, options, method, more):
    """Of inputs, parameters and each state that goes in, through each state that comes out."""
    layer, rng = layer_of(kind, options, **more), np.random.default_rng(2)
    states = packed(list(states_of(layer, rng).values()))
    arguments = rng.standard_normal((T, B, D)), states, np.array([5, 3])
    check_gradients(layer, arguments, method, 1e-11 if method == "complex" else 1e-6)


def as_written(layer, x):
    """Compute the outputs from the papers' equations in PyTorch: no stabiliser, no shared code."""
    weights = {k: torch.tensor(p.data, requires_grad=True) for k, p in layer.named_parameters()}
    W, b = weights["weight_ih_l0"], weights["bias_ih_l0"]
    h = torch.zeros(B, H, dtype=torch.float64)
    c, n = torch.zeros_like(h), torch.zeros_like(h)
    C, outputs = torch.zeros(B, H, H, dtype=torch.float64), []
    for x_t in x:
        a = x_t @ W.T + b
        if isinstance(layer, variants.MinLSTM):
            f, i, g = torch.sigmoid(a[:, :H]), torch.sigmoid(a[:, H : 2 * H]), a[:, 2 * H :]
            share = f / (f + i)
            h = ((2 * share - 1) if layer.signed else share) * h + i / (f + i) * g
        elif isinstance(layer, variants.SLSTM):
            a = a + h @ weights["weight_hh_l0"].T + weights["bias_hh_l0"]
            i, f, g, o = a.chunk(4, dim=1)
            i, f = i.exp(), f.sigmoid()
            c, n = f * c + i * g.tanh(), f * n + i
            h = o.sigmoid() * c / n
        else:
            q, k, v, o = (a[:, j * H : (j + 1) * H] for j in range(4))
            i, f = a[:, 4 * H].exp(), a[:, 4 * H + 1].sigmoid()
            k = k / H**0.5
            C = f[:, None, None] * C + i[:, None, None] * torch.einsum("bi,bj->bij", v, k)
            n = f[:, None] * n + i[:, None] * k
            norm = torch.clamp((n * q).sum(1).abs(), min=1)
            h = o.sigmoid() * torch.einsum("bij,bj->bi", C, q) / norm[:, None]
        outputs.append(h)
    return torch.stack(outputs), weights


@kinds
def test_the_papers_equations_and_autograd(kind, options):
    layer, rng = layer_of(kind, options), np.random.default_rng(3)
    x, seen = rng.standard_normal((T, B, D)), rng.standard_normal((T, B, H))
    (output, _), backward = layer.vjp(x)
    backward(seen)
    expected, weights = as_written(layer, torch.tensor(x))
    np.testing.assert_allclose(output, expected.detach().numpy(), rtol=1e-11, atol=1e-12)
    (expected * torch.tensor(seen)).sum().backward()
    for name, parameter in layer.named_parameters():
        np.testing.assert_allclose(
            parameter.grad, weights[name].grad.numpy(), rtol=1e-9, atol=1e-10, err_msg=name
        )


@kinds
@pytest.mark.parametrize("scale", [30.0, 1000.0])
def test_extreme_gates_stay_finite(kind, options, scale):
    """Where e to the power of the gate overflows: the stabiliser is what it is for."""
    layer, rng = layer_of(kind, options, scale), np.random.default_rng(4)
    (output, _), backward = layer.vjp(rng.standard_normal((40, B, D)))
    d_x, _ = backward(np.ones_like(output))
    assert np.isfinite(output).all()
    assert np.isfinite(d_x).all()
    assert all(np.isfinite(parameter.grad).all() for parameter in layer.parameters())


def test_a_step_of_slstm_is_a_weighted_mean_of_its_candidates():
    layer = layer_of(variants.SLSTM, {}, 3.0)
    output, _ = layer(np.random.default_rng(5).standard_normal((50, B, D)))
    assert np.abs(output).max() < 1


def test_a_signed_gate_turns_the_sign_and_another_does_not():
    for signed, expected in [(True, -1.0), (False, 0.0)]:
        layer = variants.MinLSTM(1, 1, dtype=np.float64, signed=signed)
        layer.weight_ih_l0.data[...] = 0
        layer.bias_ih_l0.data[...] = [-40, 40, 0]  # f' = 0
        _, h_n = layer(np.zeros((3, 1, 1)), np.ones((1, 1, 1)))
        assert h_n.item() == pytest.approx(expected, abs=1e-12)
