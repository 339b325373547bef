"""``SequenceClassifier``: pooling, padding and gradients, also against PyTorch."""

import numpy as np
import pytest
import torch

import lstm
import lstm.torch
from lstm.gradcheck import check_module
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


def reference(model, x, lengths):
    """The same in PyTorch, sequence by sequence: nothing is padded, so no mask can be wrong."""
    layer = lstm.torch.to_torch(model.recurrent)
    logits = []
    for sequence, length in zip(x, lengths, strict=True):
        output, (h_n, _) = layer(torch.tensor(sequence[None, :length]))
        if model.pooling == "mean":
            features = output.mean(dim=1)
        elif model.pooling == "max":
            features = output.amax(dim=1)
        else:
            directions = model.recurrent.num_directions
            features = torch.cat(list(h_n[-directions:]), dim=-1)
        logits.append(model.head(features.detach().numpy())[0])
    return np.array(logits)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"num_layers": 2}], ids=str)
def test_parity_with_torch_without_padding(pooling, options):
    model = make(pooling, **options).eval()
    expected = reference(model, vectors(), LENGTHS)
    np.testing.assert_allclose(model(vectors(), LENGTHS), expected, rtol=1e-12, atol=1e-14)
    whole = reference(model, vectors(), [T] * B)
    np.testing.assert_allclose(model(vectors()), whole, rtol=1e-12, atol=1e-14)


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


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "batch_first": False}], ids=str)
def test_numerical_gradient(pooling, ragged, options):
    model = make(pooling, **options)
    weights = np.random.default_rng(2).standard_normal((B, K))

    def run(x):
        logits = model(x, LENGTHS if ragged else None)
        return (weights * logits).sum(), lambda: {"x": model.backward(weights)}

    for method, limit in {"complex": 1e-12, "central": 1e-8}.items():
        errors = check_module(model, {"x": vectors(options.get("batch_first", True))}, run, method)
        assert max(errors.values()) < limit, errors


@pytest.mark.parametrize("pooling", POOLINGS)
def test_infinite_states_are_pooled_as_in_torch(pooling):
    reader = lstm.RNN(1, 1, nonlinearity="relu", bias=False, batch_first=True)
    head = lstm.Linear(1, 1, bias=False)
    for parameter in (*reader.parameters(), *head.parameters()):
        parameter.data[...] = 1
    model = lstm.SequenceClassifier(reader, head, pooling=pooling)
    x = np.float32([[[1], [np.inf], [np.inf]], [[1], [2], [np.inf]]])
    output, backward = model.vjp(x, [3, 2])
    assert output.tolist() == [[np.inf], [{"last": 3, "mean": 2, "max": 3}[pooling]]]
    assert np.isfinite(backward(np.ones((2, 1), np.float32))[1]).all()


@pytest.mark.parametrize("pooling", POOLINGS)
def test_gradient_of_the_embedding(pooling):
    model = make(pooling, embedded=True)
    weights = np.random.default_rng(2).standard_normal((B, K))

    def run():
        logits = model(indices(), LENGTHS)
        return (weights * logits).sum(), lambda: model.backward(weights) or {}

    errors = check_module(model, {}, run, "central")
    assert max(errors.values()) < 1e-8, errors
    assert model.embedding.weight.grad[0].any() == 0


def test_repr_tells_models_apart():
    assert len({repr(make(pooling)) for pooling in POOLINGS}) == len(POOLINGS)
    assert "pooling='max'" in repr(make("max"))


def test_stacked_layers_agree_on_the_axes():
    """A batch of as many sequences as steps would be read the wrong way round, without a word."""
    layers = lstm.LSTM(3, 4, batch_first=True), lstm.LSTM(4, 2)
    with pytest.raises(ValueError, match=r"one batch_first, .* got \[True, False\]"):
        lstm.models.Stack(*layers)
