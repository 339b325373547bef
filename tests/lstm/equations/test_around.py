"""Formulas that PyTorch does not have, computed once more, number by number.

Those of losses, clipping and optimisers are marked in ``test_losses`` and ``test_optim``.
"""

import math

import numpy as np
import pytest

import lstm
from lstm import equations as eq

LOGITS = [[0.3, -1.2, 2.0], [1.5, 0.1, -0.4]]


@pytest.mark.equation("eq-softmax")
def test_softmax():
    expected = [[math.exp(z) / sum(map(math.exp, row)) for z in row] for row in LOGITS]
    np.testing.assert_allclose(eq.softmax(np.array(LOGITS)), expected, rtol=1e-14)


def test_rmsprop_with_epsilon_under_the_root():
    """As in Keras 3: v + eps, then the root."""
    theta, v = 1.0, 0.0
    for g in (0.5, -0.002, 0.3):
        v = 0.8 * v + 0.2 * g**2
        theta -= 0.1 * g / math.sqrt(v + 0.01)
    parameter = lstm.Parameter(np.array([1.0]))
    optimizer = lstm.RMSprop([parameter], lr=0.1, alpha=0.8, eps=0.01, eps_inside=True)
    for g in (0.5, -0.002, 0.3):
        parameter.grad[...] = g
        optimizer.step()
    assert parameter.data[0] == pytest.approx(theta, rel=1e-14)
