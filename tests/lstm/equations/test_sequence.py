"""Masks, directions and layers, each against plain loops or PyTorch."""

import numpy as np
import pytest
import torch

from lstm import equations as eq

T, B, D, H = 5, 3, 2, 4
LENGTHS = np.array([5, 1, 4])  # one ends an odd, one an even number of steps early


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def weights(rng):
    layer = torch.nn.LSTM(D, H, bidirectional=True, dtype=torch.float64)
    for parameter in layer.parameters():
        parameter.data = torch.tensor(rng.normal(size=parameter.shape))
    return layer


def run(x, layer, suffix="", mask=None):
    """Run the equations over ``x``; ``mask`` (T, B, 1) as in a padded batch."""
    W, U, b_ih, b_hh = (
        getattr(layer, f"{name}_l0{suffix}").detach().numpy()
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    h = c = np.zeros((x.shape[1], H))
    mask = np.ones((len(x), x.shape[1], 1)) if mask is None else mask
    y = []
    for x_t, m_t in zip(x, mask, strict=True):
        i, f, g, o = eq.gates(eq.preactivation(x_t, h, W, U, b_ih + b_hh))
        c_new = eq.cell_state(f, c, i, g)
        h = eq.masked_state(eq.hidden_state(o, c_new), h, m_t)
        c = eq.masked_state(c_new, c, m_t)
        y.append(eq.masked_output(h, m_t))
    return np.stack(y), h, c


def packed(x, layer):
    """The same batch through PyTorch's packed sequences."""
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    batch = pack_padded_sequence(torch.tensor(x), LENGTHS, enforce_sorted=False)
    output, (h_n, c_n) = layer(batch)
    return pad_packed_sequence(output)[0].detach().numpy(), h_n.detach().numpy(), c_n.detach()


MASK = (np.arange(T)[:, None] < LENGTHS)[..., None].astype(float)


@pytest.mark.equation("eq-reverse")
def test_reversed_sequence(rng):
    x = rng.normal(size=(T, B, D))
    value = eq.reversed_sequence(x, LENGTHS)
    for n, length in enumerate(LENGTHS):
        np.testing.assert_array_equal(value[:length, n], x[:length, n][::-1])
        np.testing.assert_array_equal(value[length:, n], x[length:, n])
    np.testing.assert_array_equal(eq.reversed_sequence(value, LENGTHS), x)


@pytest.mark.equation("eq-mask")
@pytest.mark.equation("eq-mask-output")
@pytest.mark.equation("eq-bidirectional")
def test_both_directions_of_a_masked_batch_are_those_of_packed_sequences(rng, weights):
    """Zeros behind the ends, and the state at each sequence's own end."""
    x = rng.normal(size=(T, B, D))
    y, *states = packed(x, weights)
    forward, *ends = run(x, weights, mask=MASK)
    backward, *starts = run(eq.reversed_sequence(x, LENGTHS), weights, "_reverse", MASK)
    both = eq.bidirectional_output(forward, eq.reversed_sequence(backward, LENGTHS))
    np.testing.assert_allclose(both, y, rtol=0, atol=1e-14)
    for found, expected in zip(zip(ends, starts, strict=True), states, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)


@pytest.mark.equation("eq-d-bidirectional")
def test_d_bidirectional(rng, weights):
    x = rng.normal(size=(T, B, D))
    whole = torch.tensor(x, requires_grad=True)
    weights(whole)[0].sin().sum().backward()
    parts = []
    for half in (slice(None, H), slice(H, None)):
        part = torch.tensor(x, requires_grad=True)
        weights(part)[0][..., half].sin().sum().backward()
        parts.append(part.grad.numpy())
    total = eq.d_bidirectional_input(*parts)
    np.testing.assert_allclose(total, whole.grad, rtol=0, atol=1e-14)


@pytest.mark.equation("eq-stacked")
def test_stacked_input_is_what_the_layer_below_shows(rng):
    h, mask = rng.normal(size=(B, H)), np.where(rng.random((B, H)) < 0.5, 0.0, 2.0)
    for n in range(B):
        for k in range(H):
            assert eq.stacked_input(h, mask)[n, k] == (2 * h[n, k] if mask[n, k] else 0)
