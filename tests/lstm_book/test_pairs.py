"""Pairs of words: which are found, what a dropped word takes with it, and their vectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lstm_book.recipes import RECIPES
from lstm_book.recipes.pairs import Pairs, SummedEmbedding
from lstm_book.recipes.reviews import DropWords
from lstm_book.recipes.torch_engine import convert
from numpy.testing import assert_allclose, assert_array_equal

IDS = np.array([[2, 3, 2, 3, 0], [3, 2, 1, 3, 4], [2, 3, 3, 4, 4]], np.int32)


def test_frequent_pairs_have_numbers_behind_the_words():
    """(2, 3) occurs three times, (3, 2) and (3, 4) twice; (3, 3) and (4, 4) once."""
    pairs = Pairs(IDS, vocabulary_size=5, min_count=2)
    assert len(pairs) == 3
    expected = [[0, 5, 6, 5, 0], [0, 6, 0, 0, 7], [0, 5, 0, 7, 0]]
    beside = pairs.beside(IDS)
    assert_array_equal(beside[..., 0], IDS)
    assert_array_equal(beside[..., 1], np.array(expected))
    assert beside.dtype == np.int32


def test_a_pair_of_other_texts_is_none():
    pairs = Pairs(IDS, vocabulary_size=5, min_count=3)
    assert_array_equal(pairs.beside(np.array([[4, 4, 2, 3, 2]]))[0, :, 1], [0, 0, 0, 5, 0])


def test_unknown_words_make_no_pair():
    assert len(Pairs(np.array([[1, 2, 1, 2, 1, 2]]), vocabulary_size=3, min_count=1)) == 0


def test_a_dropped_word_takes_both_its_pairs_with_it():
    ids = np.random.default_rng(0).integers(2, 100, (40, 60, 2)).astype(np.int32)
    ids[:, 50:] = 0  # padding
    dropped, lengths = DropWords(0.3)(np.random.default_rng(1), ids, np.full(40, 50))
    assert dropped.dtype == np.int32
    words_alone, _ = DropWords(0.3)(np.random.default_rng(1), ids[..., 0], lengths)
    assert_array_equal(dropped[..., 0], words_alone)
    gone = words_alone == 1
    assert gone[:, :50].mean() == pytest.approx(0.3, abs=0.03)
    assert not gone[:, 50:].any()
    with_pair = gone | np.pad(gone, ((0, 0), (1, 0)))[:, :-1]
    assert_array_equal(dropped[:, :50, 1], np.where(with_pair, 0, ids[..., 1])[:, :50])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_summed_embedding_is_an_embedding_bag(dtype):
    rng = np.random.default_rng(0)
    index, d_output = rng.integers(0, 9, (4, 6, 2)), rng.standard_normal((4, 6, 3)).astype(dtype)
    ours = SummedEmbedding(9, 3, padding_idx=0, dtype=dtype, rng=1)
    theirs = torch.nn.EmbeddingBag(9, 3, mode="sum", padding_idx=0)
    theirs.weight.data = torch.tensor(ours.weight.data)
    expected = theirs(torch.tensor(index.reshape(-1, 2)))
    expected.backward(torch.tensor(d_output.reshape(-1, 3)))
    assert_allclose(ours(index), expected.detach().numpy().reshape(4, 6, 3), atol=1e-6)
    ours.backward(d_output)
    assert_allclose(ours.weight.grad, theirs.weight.grad.numpy(), atol=1e-6)


def test_summed_embedding_refuses_a_gradient_of_another_shape():
    _, backward = SummedEmbedding(9, 3).vjp(np.zeros((4, 2), int))
    with pytest.raises(ValueError, match=r"d_output must have shape \(4, 3\), got \(1, 3\)"):
        backward(np.zeros((1, 3), np.float32))


def test_the_network_with_pairs_is_the_same_on_pytorch():
    recipe = RECIPES["imdb"]
    few = ["train_size=60", "test_size=20", "max_length=30", "vocabulary_size=300", "pairs=2"]
    settings = recipe.settings("best", "quick", few)
    task = recipe.load(settings)
    assert task.vocabulary_size > 300
    model = recipe.build(task, settings, np.random.default_rng(0))
    theirs = convert(model).eval()
    inputs = [array[:8] for array in task.test.inputs]
    outputs = theirs(*map(torch.from_numpy, inputs)).detach()
    assert_allclose(outputs, model.eval()(*inputs), atol=1e-6)
