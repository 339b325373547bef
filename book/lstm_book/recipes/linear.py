"""A linear classifier of n-grams, trained as a network of vectors, fast because it is sparse.

Every word, pair and triple has a vector; their sum over a review, divided by its number of tokens,
goes through dropout into one logit. What is learnt is linear in the counts: a weight for each
n-gram. The vectors make the training better behaved than the weights alone would.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import lstm
from lstm.schedules import linear
from lstm.signatures import checked
from lstm_book.recipes.ngrams import Reviews
from lstm_book.recipes.recipe import Settings

if TYPE_CHECKING:  # chapters import this file where there is no SciPy: in a browser
    from scipy import sparse

EPS = 1e-6


class Linear(NamedTuple):
    """Weights of n-grams: the logit of a review is their mean over its tokens, plus the bias."""

    #: Shape (V,); that of number 0, no n-gram, is 0.
    weights: np.ndarray
    #: The logit of an empty review.
    bias: float

    @checked
    def logits(self, reviews: Reviews) -> np.ndarray:
        """Judge reviews, shape (N,)."""
        tokens = self.weights[reviews.grams].sum(axis=1)
        sums = np.bincount(reviews.review_of, tokens, len(reviews))
        return (sums / reviews.sizes + self.bias).astype(np.float32)


@checked
def log_ratio(reviews: Reviews, labels: np.ndarray, size: int) -> np.ndarray:
    """Return how much more of the positive reviews than of the negative ones hold each n-gram.

    The logarithm of the naive Bayes ratio with one added to each count (Wang and Manning, 2012),
    shape (size,).
    """
    counts = np.ones((2, size))
    for number in range(len(reviews)):
        grams = reviews.grams[reviews.starts[number] : reviews.starts[number + 1]]
        counts[int(labels[number]), np.unique(grams)] += 1
    counts[:, 0] = 1
    return np.log(counts[1] / counts[1].sum()) - np.log(counts[0] / counts[0].sum())


def fit(reviews: Reviews, labels: np.ndarray, size: int, settings: Settings, seed: list) -> Linear:
    """Train vectors and read-out.

    Parameters
    ----------
    reviews : Reviews
        What is trained on.
    labels : ndarray, shape (N,)
        0 or 1.
    size : int
        V, how many numbers there are.
    settings : mapping
        ``width``, ``gram_rate``, ``gram_dropout``, ``vector_dropout``, ``readout_rate``,
        ``base_epochs``, ``base_batch_size``.
    seed : list of int
        Of the start, the order and what is dropped.

    Notes
    -----
    The size of the naive Bayes log-ratio says how far an n-gram may begin from zero, and how fast
    it moves: one that says nothing about the label stays small. The step is Adagrad's (Duchi,
    Hazan and Singer, 2011) with one sum of squares for each vector.
    """
    rng = np.random.default_rng(seed)
    ratio = np.abs(log_ratio(reviews, labels, size)).astype(np.float32)
    ratio /= ratio.mean()
    vectors = rng.standard_normal((size, settings["width"]), np.float32) * 0.01 * ratio[:, None]
    vectors[0] = 0
    squares = np.zeros(size, np.float32)
    readout = lstm.Linear(settings["width"], 1, rng=rng)
    optimizer = lstm.Adam(readout.parameters(), lr=settings["readout_rate"])
    share, batch_size = 1 - settings["gram_dropout"], settings["base_batch_size"]
    batches = -(-len(reviews) // batch_size)
    steps = settings["base_epochs"] * batches
    for step in range(steps):
        if step % batches == 0:
            order = rng.permutation(len(reviews))
        batch = order[step % batches * batch_size :][:batch_size]
        counts = _counts(reviews.take(batch), share, rng)
        counts.data /= share * reviews.sizes[batch].repeat(np.diff(counts.indptr))
        grams, column = np.unique(counts.indices, return_inverse=True)
        counts = type(counts)((counts.data, column, counts.indptr), (len(batch), len(grams)))
        some = vectors[grams]

        kept = rng.random((len(batch), settings["width"]), np.float32) >= settings["vector_dropout"]
        kept = kept.astype(np.float32) / np.float32(1 - settings["vector_dropout"])
        readout.zero_grad()
        logits, backward = readout.vjp(kept * (counts @ some))
        _, d_logits = lstm.binary_cross_entropy_with_logits(logits, labels[batch][:, None])
        d_some = counts.T @ (kept * backward(d_logits))

        clip = _share_to_keep(d_some, *(parameter.grad for parameter in readout.parameters()))
        for parameter in readout.parameters():
            parameter.grad *= clip
        d_some *= clip
        left = linear(step / steps)
        squares[grams] += np.square(d_some).mean(axis=1)
        rate = settings["gram_rate"] * left * ratio[grams] / (np.sqrt(squares[grams]) + EPS)
        vectors[grams] = some - rate[:, None] * d_some
        optimizer.lr = settings["readout_rate"] * left
        optimizer.step()
    weights = vectors @ readout.weight.data[0]
    return Linear(weights, float(readout.bias.data[0]))


def fit_averaged(
    reviews: Reviews, labels: np.ndarray, size: int, settings: Settings, seed: list[int]
) -> Linear:
    """Return the mean of ``settings["fits"]`` fits: as linear as one of them, and steadier."""
    fits = [
        fit(reviews, labels, size, settings, [*seed, number]) for number in range(settings["fits"])
    ]
    weights, biases = zip(*fits, strict=True)
    return Linear(np.mean(weights, axis=0), float(np.mean(biases)))


def _counts(batch: Reviews, share: float, rng: np.random.Generator) -> sparse.csr_matrix:
    """Return which n-grams each review has, a share of them, as a matrix of ones."""
    from scipy import sparse

    grams = batch.grams.ravel()
    kept = np.flatnonzero((rng.random(grams.shape, np.float32) < share) & (grams > 0))
    starts = np.searchsorted(kept, batch.starts * batch.grams.shape[1])
    return sparse.csr_matrix((np.ones(len(kept), np.float32), grams[kept], starts))


def _share_to_keep(*gradients: np.ndarray) -> np.float32:
    """Return by what to multiply gradients so that their joint norm is at most 1."""
    norm = np.sqrt(sum(np.vdot(gradient, gradient) for gradient in gradients))
    return np.float32(1 / max(norm, 1))
