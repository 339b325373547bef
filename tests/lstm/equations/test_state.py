"""The equations of the chapter on state and recall."""

import itertools
from functools import reduce

import numpy as np
import pytest

from lstm import equations as eq
from lstm import variants


@pytest.mark.equation("eq-parity")
def test_parity_is_the_exclusive_or():
    for bits in itertools.product((0, 1), repeat=6):
        assert reduce(eq.parity, bits, 0) == sum(bits) % 2


@pytest.mark.equation("eq-repeated-input")
@pytest.mark.parametrize("signed", [False, True])
def test_the_same_input_again_and_again_is_a_geometric_series(signed):
    layer = variants.MinLSTM(3, 4, signed=signed, dtype=np.float64, rng=0)
    layer.weight_ih_l0.data *= 4
    x, h = np.random.default_rng(1).normal(size=3), np.random.default_rng(2).normal(size=4)
    a_f, a_i, g = np.split(layer.weight_ih_l0.data @ x + layer.bias_ih_l0.data, 3)
    keep = eq.min_lstm_forget_gate(eq.sigmoid(a_f), eq.sigmoid(a_i))
    expected = eq.repeated_input(2 * keep - 1 if signed else keep, h, (1 - keep) * g, 9)
    _, h_n = layer(np.tile(x, (9, 1, 1)), h[None, None])
    np.testing.assert_allclose(h_n[0, 0], expected, rtol=1e-12)


LAYERS = {
    "minLSTM": (lambda: variants.MinLSTM(3, 5, 2, rng=1), {1}),
    "minLSTM, signed": (lambda: variants.MinLSTM(3, 5, 2, signed=True, rng=1), {1, 2, 4}),
    "mLSTM": (lambda: variants.MLSTM(3, 5, 2, rng=1), {1}),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_same_input_again_and_again_ends_in_rest_or_a_short_period(name):
    """The theorem of the chapter, for floating-point numbers as they are."""
    make, periods = LAYERS[name]
    output, _ = make()(np.full((3000, 1, 3), 0.7, np.float32))
    end = output[-16:, 0]
    assert min(p for p in range(1, 9) if (end[p:] == end[:-p]).all()) in periods


@pytest.mark.equation("eq-recall-bits")
def test_as_many_bits_as_there_are_lists_of_values():
    lists = len(list(itertools.product(range(8), repeat=4)))
    assert 2 ** eq.recall_bits(4, 8) == pytest.approx(lists)
