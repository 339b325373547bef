"""An LSTM over the sentences of a review, upon a linear classifier of its n-grams.

Trained together, vectors of n-grams learn their reviews by heart, and nothing is left for a network
above them to learn. So the linear classifier is *cross-fitted*: each training review is read with
weights that were fitted without it and without the other reviews of its film, as a new review will
be. What the weights say of each sentence, eight numbers, is what the LSTM reads.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

import lstm
from lstm.initialise import initialise_lstm
from lstm.module import Backward, Module, Parameter
from lstm.schedules import linear
from lstm.signatures import checked
from lstm_book.recipes.linear import Linear, fit_averaged
from lstm_book.recipes.ngrams import NGrams, Reviews, sentences
from lstm_book.recipes.recipe import Answers, Settings, System, Task

FEATURES = 8
LONGEST = 128  # sentences: of a longer review the last ones are read

SETTINGS = {
    "width": 16,
    "gram_rate": 0.5,
    "gram_dropout": 0.5,
    "vector_dropout": 0.2,
    "readout_rate": 2e-3,
    "base_epochs": 4,
    "base_batch_size": 64,
    "fits": 2,
    "folds": 5,
    "hidden_size": 24,
    "dropout": 0.3,
    "lr": 1e-2,
    "batch_size": 128,
    "epochs": 6,
    "max_norm": 1.0,
}
"""Of the linear classifier, of cross-fitting, and of the network over the sentences."""

KINDS = {
    "lstm": "LSTM",
    "shuffled": "LSTM, sentences in disorder",
    "memoryless": "memoryless layer",
}
"""What reads the sentences."""


@checked
def features(reviews: Reviews, base: Linear) -> tuple[np.ndarray, np.ndarray]:
    """Say in eight numbers what the weights of n-grams make of each sentence.

    The sums of the weights of its words, its pairs and its triples, of what its tokens say for and
    of what they say against, each divided by the tokens of the review; its tokens; its most
    positive and its most negative token.

    Returns
    -------
    x : ndarray of float32, shape (N, T, 8)
        Padded with zeros.
    lengths : ndarray of int64, shape (N,)
        How many sentences count, at least 1.
    """
    weights = base.weights[reviews.grams].astype(np.float32)
    tokens, review_of, place = weights.sum(axis=1), reviews.review_of, reviews.sentence_of
    lengths = np.ones(len(reviews), np.int64)
    np.maximum.at(lengths, review_of, place + 1)
    place = place + np.minimum(LONGEST - lengths, 0)[review_of]
    lengths = np.minimum(lengths, LONGEST)
    x = np.zeros((len(reviews), lengths.max(initial=1), FEATURES), np.float32)
    kept = place >= 0
    weights, tokens, review_of, place = (a[kept] for a in (weights, tokens, review_of, place))
    if not len(tokens):
        return x, lengths
    first = np.flatnonzero(np.diff(review_of * LONGEST + place, prepend=-1))
    sums = np.column_stack([weights, np.maximum(tokens, 0), np.minimum(tokens, 0)])
    sums = np.add.reduceat(sums, first, axis=0) / reviews.sizes[review_of[first], None]
    counts = np.diff(first, append=len(tokens))
    extremes = [extreme.reduceat(tokens, first) for extreme in (np.maximum, np.minimum)]
    x[review_of[first], place[first]] = np.column_stack([sums, counts, *extremes])
    return x, lengths


class Memoryless(Module):
    """A layer of tanh units in the place of an LSTM: each sentence alone, none remembered."""

    @checked
    def __init__(self, input_size: int, output_size: int, rng: np.random.Generator) -> None:
        self.linear = lstm.Linear(input_size, output_size, rng=rng)
        self.output_size = output_size

    @checked
    def vjp(self, x: np.ndarray, lengths: np.ndarray | None = None) -> tuple:
        """Return ``(output, None)`` and the way back, as a recurrent layer does."""
        before, linear_backward = self.linear.vjp(x)
        output = np.tanh(before)

        def backward(d_output: np.ndarray, d_state: None = None) -> tuple:
            return linear_backward(d_output * (1 - output**2)), None

        return (output, None), backward


class SentenceReader(Module):
    """Adds to the logit of a linear classifier what a network makes of the sentences.

    Parameters
    ----------
    kind : {"lstm", "shuffled", "memoryless"}
        What reads: an LSTM in both directions, or as many tanh units without memory. Both hand on
        the mean and the largest value of each unit, and its last one (of the second half, which an
        LSTM reads backwards, the first).
    settings : mapping
        ``hidden_size`` a direction, and ``dropout``.
    rng : Generator
        Of the weights and the dropout.
    """

    @checked
    def __init__(self, kind: str, settings: Settings, rng: np.random.Generator) -> None:
        self.hidden_size = settings["hidden_size"]
        if kind == "memoryless":
            self.recurrent = Memoryless(FEATURES, 2 * self.hidden_size, rng)
        else:
            options = {"batch_first": True, "bidirectional": True, "rng": rng}
            reader = lstm.LSTM(FEATURES, self.hidden_size, **options)
            self.recurrent = initialise_lstm(reader, rng=rng)
        self.dropout = lstm.Dropout(settings["dropout"], rng=rng)
        self.head = lstm.Linear(6 * self.hidden_size, 1, rng=rng)
        self.head.weight.data[...] = self.head.bias.data[...] = 0  # at first the linear one alone
        self.trust = Parameter(np.ones(1, np.float32))

    @checked
    def vjp(self, x: ArrayLike, lengths: ArrayLike, base: ArrayLike) -> tuple[np.ndarray, Backward]:
        """Judge reviews.

        Parameters
        ----------
        x : ndarray, shape (B, T, 8)
            What the sentences say.
        lengths : ndarray of int, shape (B,)
            How many of them count.
        base : ndarray, shape (B,)
            Logits of the linear classifier.

        Returns
        -------
        ndarray, shape (B, 1), and callable
            Logits; the way back to all parameters.
        """
        x = x[:, : lengths.max()]
        (output, _), recurrent_backward = self.recurrent.vjp(x, lengths=lengths)
        pooled, pool_backward = self._pool(output, lengths)
        kept, dropout_backward = self.dropout.vjp(pooled)
        added, head_backward = self.head.vjp(kept)
        logits = self.trust.data * base[:, None] + added

        def backward(d_logits: np.ndarray) -> None:
            self.trust.accumulate(np.array([np.vdot(d_logits[:, 0], base)], np.float32))
            recurrent_backward(pool_backward(dropout_backward(head_backward(d_logits))), None)

        return logits, backward

    def _pool(self, output: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, Backward]:
        """Return mean, largest and last values side by side."""
        batch, half = np.arange(len(output)), self.hidden_size
        counts = (np.arange(output.shape[1]) < lengths[:, None])[..., None]
        share = counts / lengths[:, None, None].astype(output.dtype)
        place = np.where(counts, output, -np.inf).argmax(axis=1)
        units = np.arange(2 * half)
        largest = batch[:, None], place, units
        ends = batch[:, None], np.where(units < half, lengths[:, None] - 1, 0), units
        pooled = [(share * output).sum(axis=1), output[largest], output[ends]]

        def backward(d_pooled: np.ndarray) -> np.ndarray:
            d_mean, d_largest, d_ends = np.split(d_pooled, 3, axis=1)
            d_output = share * d_mean[:, None]
            d_output[largest] += d_largest
            d_output[ends] += d_ends
            return d_output

        return np.concatenate(pooled, axis=1), backward


def in_disorder(rng: np.random.Generator, x: np.ndarray, lengths: np.ndarray, *rest) -> tuple:
    """Put the sentences of each review into a random order: an ``augment``."""
    keys = rng.random(x.shape[:2])
    keys[np.arange(x.shape[1]) >= lengths[:, None]] = 1  # the padding stays behind
    return np.take_along_axis(x, keys.argsort(axis=1)[..., None], axis=1), lengths, *rest


@dataclass
class Readings:
    """What a linear classifier says of reviews: the inputs of a :class:`SentenceReader`."""

    x: np.ndarray
    lengths: np.ndarray
    base: np.ndarray

    @classmethod
    def of(cls, reviews: Reviews, base: Linear) -> Readings:
        """Read with weights that these reviews had no part in."""
        return cls(*features(reviews, base), base.logits(reviews))

    def put(self, rows: np.ndarray, other: Readings) -> None:
        """Replace some reviews."""
        self.x[rows, : other.x.shape[1]] = other.x
        self.lengths[rows], self.base[rows] = other.lengths, other.base

    def scaled(self, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the inputs, the numbers of each sentence in units of ``scale``."""
        return self.x / scale, self.lengths, self.base


def folds(films: np.ndarray, count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the reviews of each of ``count`` parts, which share no film."""
    names, film_of = np.unique(films, return_inverse=True)
    part_of = rng.permutation(len(names)) % count
    for part in range(count):
        yield np.flatnonzero(part_of[film_of] == part)


def cross_fitted(
    reviews: Reviews,
    labels: np.ndarray,
    films: np.ndarray,
    size: int,
    settings: Settings,
    seed: list[int],
) -> Readings:
    """Read each training review with weights fitted without it, and without those of its film."""
    every = np.arange(len(reviews))
    found = Readings.of(reviews, Linear(np.zeros(size, np.float32), 0.0))
    rng = np.random.default_rng([*seed, 0])
    for number, held_out in enumerate(folds(films, settings["folds"], rng), start=1):
        rest = np.setdiff1d(every, held_out)
        part = fit_averaged(reviews.take(rest), labels[rest], size, settings, [*seed, number])
        found.put(held_out, Readings.of(reviews.take(held_out), part))
    return found


def train_reader(
    kind: str, inputs: tuple, labels: np.ndarray, settings: Settings, seed: list[int], **more
) -> SentenceReader:
    """Train one of :data:`KINDS`; ``more`` goes to :meth:`lstm.Trainer.fit`."""
    rng = np.random.default_rng(seed)
    model = SentenceReader(kind, settings, rng)
    trainer = lstm.Trainer(
        model,
        lstm.binary_cross_entropy_with_logits,
        lstm.Adam(model.parameters(), lr=settings["lr"]),
        batch_size=settings["batch_size"],
        max_norm=settings["max_norm"],
        schedule=linear,
        augment=in_disorder if kind == "shuffled" else None,
        rng=rng,
    )
    targets = labels[:, None].astype(np.float32)
    trainer.fit(inputs, targets, epochs=settings["epochs"], bucket_by=inputs[1], **more)
    return model


@functools.lru_cache(maxsize=1)
def _counted(texts: tuple[str, ...]) -> tuple[NGrams, Reviews, float]:
    """Return texts as numbers, and the processor seconds that it took: the same for every seed."""
    clock = time.process_time()
    return *NGrams.counted(texts), time.process_time() - clock


@dataclass
class SentenceClassifier:
    """Texts in, logits out: all that a trained classifier is.

    Parameters
    ----------
    ngrams : NGrams
        What is known.
    base : Linear
        The weights for new reviews.
    scale : ndarray, shape (8,)
        Standard deviation of each number of a sentence in the training part.
    reader : SentenceReader
        What reads the sentences.
    """

    ngrams: NGrams
    base: Linear
    scale: np.ndarray
    reader: SentenceReader

    @checked
    def inputs(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what the reader reads."""
        return Readings.of(self.ngrams.encode(texts), self.base).scaled(self.scale)

    @checked
    def known(self, texts: list[str]) -> np.ndarray:
        """Return which share of each text's words is known, shape (N,); 0 where there is none."""
        shares = []
        for text in texts:
            words = [word for part in sentences(text) for word in part if word[0].isalnum()]
            shares.append(sum(word in self.ngrams for word in words) / max(len(words), 1))
        return np.array(shares)

    @checked
    def logits(self, texts: list[str]) -> np.ndarray:
        """Judge texts, shape (N,): positive where the review is."""
        return lstm.predict(self.reader, self.inputs(texts))[:, 0]


def train_classifiers(
    texts: list[str],
    labels: np.ndarray,
    films: np.ndarray,
    settings: Settings,
    seed: int,
    kinds: tuple[str, ...] = ("lstm",),
) -> tuple[dict[str, SentenceClassifier], dict[str, float]]:
    """Train a classifier of each kind; they share what lies below the sentences.

    Parameters
    ----------
    texts, labels, films
        The training part; the films say which reviews must not read each other.
    settings : mapping
        As :data:`SETTINGS`.
    seed : int
        Of everything.
    kinds : tuple of str
        Some of :data:`KINDS`.

    Returns
    -------
    classifiers, seconds : dict
        By kind; processor seconds of each, and of what they share as ``"base"``.
    """
    ngrams, reviews, counting = _counted(tuple(texts))
    clock = time.process_time() - counting
    read = cross_fitted(reviews, labels, films, len(ngrams), settings, [seed, 0])
    counts = np.arange(read.x.shape[1]) < read.lengths[:, None]
    scale = np.maximum(read.x[counts].std(axis=0), 1e-6)
    base = fit_averaged(reviews, labels, len(ngrams), settings, [seed, 0, settings["folds"] + 1])
    classifiers, seconds = {}, {"base": time.process_time() - clock}
    for kind in kinds:
        clock = time.process_time()
        reader = train_reader(kind, read.scaled(scale), labels, settings, [seed, 1])
        classifiers[kind] = SentenceClassifier(ngrams, base, scale, reader)
        seconds[kind] = time.process_time() - clock
    return classifiers, seconds


def run(task: Task, settings: Settings, seed: int) -> Answers:
    """Train the LSTM over sentences, and beside it what it has to beat.

    Without an LSTM, the linear classifier alone; with a memoryless layer in its place; and an LSTM
    that reads the sentences in disorder. All four have the same linear classifiers under them.
    """
    labels = task.train.targets.ravel()
    classifiers, seconds = train_classifiers(
        task.texts["train"], labels, task.groups, settings, seed, tuple(KINDS)
    )
    ours = classifiers["lstm"]
    parts = [ours.inputs(task.texts[part]) for part in ("validation", "test")]
    orders = np.random.default_rng([seed, 2])
    outputs = {"base": [inputs[2][:, None] for inputs in parts]}
    for kind, classifier in classifiers.items():
        read = [in_disorder(orders, *inputs) if kind == "shuffled" else inputs for inputs in parts]
        outputs[kind] = [lstm.predict(classifier.reader, inputs) for inputs in read]
    beside = {
        name: (*outputs[name], seconds["base"] + (seconds[name] if name != "base" else 0))
        for name in ("base", "memoryless", "shuffled")
    }
    parameters = len(ours.base.weights) + sum(p.size for p in ours.reader.parameters())
    chosen = {"seconds": {name: round(value, 1) for name, value in seconds.items()}}
    return Answers(*outputs["lstm"], chosen, parameters, beside, ours)


SENTENCES = System(run, SETTINGS, quick={"fits": 1}, keeps=True)
