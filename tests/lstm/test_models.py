"""``SequenceClassifier``: pooling, padding and gradients, also against PyTorch."""

import numpy as np
import pytest

import lstm
import lstm.torch
from lstm.models import POOLINGS

B, T, D, H, K, V = 4, 6, 3, 5, 2, 11
LENGTHS = np.array([3, 6, 1, 5])


def make(pooling="last", embedded=False, **options):
    rng = np.random.default_rng(0)
    options = {"batch_first": True} | options
    reader = lstm.LSTM(D, H, dtype=np.float64, rng=rng, **options)
    head = lstm.Linear(H * reader.num_directions, K, dtype=np.float64, rng=rng)
    embedding = lstm.Embedding(V, D, padding_idx=0, dtype=np.float64, rng=rng) if embedded else None
    return lstm.SequenceClassifier(reader, head, embedding, pooling=pooling)


def vectors(batch_first=True):
    x = np.random.default_rng(1).standard_normal((B, T, D))
    return x if batch_first else x.swapaxes(0, 1)


def indices():
    ids = np.random.default_rng(1).integers(1, V, (B, T))
    return np.where(np.arange(T) < LENGTHS[:, None], ids, 0)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_what_stands_in_the_padding_is_never_read(pooling):
    model = make(pooling, bidirectional=True).eval()
    garbage = vectors()
    garbage[np.arange(T) >= LENGTHS[:, None]] = np.nan
    np.testing.assert_array_equal(model(garbage, LENGTHS), model(vectors(), LENGTHS))
    embedded = make(pooling, embedded=True).eval()
    garbage = np.where(indices() == 0, 7, indices())
    np.testing.assert_array_equal(embedded(garbage, LENGTHS), embedded(indices(), LENGTHS))
    # More padding, fewer sequences beside it: the same answer.
    longer = np.pad(indices(), [(0, 0), (0, 9)])
    np.testing.assert_allclose(embedded(longer[2:], LENGTHS[2:]), embedded(indices(), LENGTHS)[2:])


def test_repr_tells_models_apart():
    assert len({repr(make(pooling)) for pooling in POOLINGS}) == len(POOLINGS)
    assert "pooling='max'" in repr(make("max"))


def test_stacked_layers_agree_on_the_axes():
    """A batch of as many sequences as steps would be read the wrong way round, without a word."""
    layers = lstm.LSTM(3, 4, batch_first=True), lstm.LSTM(4, 2)
    with pytest.raises(ValueError, match=r"one batch_first, .* got \[True, False\]"):
        lstm.models.Stack(*layers)
