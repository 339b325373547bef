"""Simple methods to compare with: a result means little without them."""

from __future__ import annotations

from typing import Any

import numpy as np

import lstm
from lstm.models import SequenceClassifier
from lstm.module import Module
from lstm.text import tokenise
from lstm_book.recipes.recipe import Settings, Task

Result = tuple[np.ndarray, np.ndarray, dict[str, Any]]


def majority(task: Task, settings: Settings, seed: int) -> Result:
    """Answer the most frequent class of the training part, always."""
    labels = task.train.targets.ravel()
    counts = np.bincount(labels.astype(int))
    scores = counts - counts.mean() if task.train.targets.ndim == 1 else counts[1:] - counts[:1]
    if task.train.targets.ndim > 1 and scores[0] == 0:
        scores = scores - 1  # a tie: class 0
    rows = [
        np.tile(scores.astype(float), (len(p.targets), 1)) for p in (task.validation, task.test)
    ]
    return rows[0], rows[1], {"class": int(counts.argmax())}


def mean(task: Task, settings: Settings, seed: int) -> Result:
    """Answer the mean of the training targets, always."""
    guess = task.train.targets.mean(axis=0)
    rows = [np.tile(guess, (len(part.targets), 1)) for part in (task.validation, task.test)]
    return rows[0], rows[1], {}


def logistic_regression(task: Task, settings: Settings, seed: int) -> Result:
    """Fit a linear classifier on all numbers of the sequence at once."""
    return _best_linear(
        [_flat(part.inputs) for part in (task.train, task.validation, task.test)], task
    )


def bag_of_steps(task: Task, settings: Settings, seed: int) -> Result:
    """Fit a linear classifier on the sum over time: the order does not count."""
    sums = [part.inputs[0].sum(axis=1) for part in (task.train, task.validation, task.test)]
    return _best_linear(sums, task)


def tfidf(words: int):
    """Return the baseline: logistic regression on TF-IDF of all runs of up to so many words."""

    def tfidf_logistic_regression(task: Task, settings: Settings, seed: int) -> Result:
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(
            tokenizer=tokenise,
            token_pattern=None,
            lowercase=False,
            ngram_range=(1, words),
            min_df=2,
            sublinear_tf=True,
        )
        train = vectorizer.fit_transform(task.texts["train"])
        others = [vectorizer.transform(task.texts[name]) for name in ("validation", "test")]
        return _best_linear([train, *others], task, strengths=(1.0, 3.0, 10.0, 30.0, 100.0, 300.0))

    return tfidf_logistic_regression


def nbsvm(task: Task, settings: Settings, seed: int) -> Result:
    """Fit a linear SVM on naive Bayes log-count ratios of words and pairs of words.

    Wang and Manning (2012): presence of a feature instead of its count, smoothing 1. The weights
    are interpolated with their mean size; the validation part chooses how far, and the penalty.
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.svm import LinearSVC

    vectorizer = CountVectorizer(
        tokenizer=tokenise, token_pattern=None, lowercase=False, ngram_range=(1, 2), binary=True
    )
    train = vectorizer.fit_transform(task.texts["train"])
    others = [vectorizer.transform(task.texts[name]) for name in ("validation", "test")]
    labels = task.train.targets.ravel().astype(int)
    positive, negative = (1 + np.asarray(train[labels == k].sum(axis=0)) for k in (1, 0))
    ratio = np.log(positive / positive.sum()) - np.log(negative / negative.sum())
    candidates = {}
    for strength in (0.01, 0.1, 1.0, 10.0):
        svm = LinearSVC(C=strength, random_state=0).fit(train.multiply(ratio).tocsr(), labels)
        size = np.abs(svm.coef_).mean()
        for share in (0.25, 0.5, 0.75, 1.0):
            weights = ratio.ravel() * ((1 - share) * size + share * svm.coef_.ravel())
            scores = [matrix @ weights + svm.intercept_ for matrix in others]
            candidates[strength, share] = scores
    return _best(candidates, task, "C", "share")


class Identity(Module):
    """A recurrent layer that does nothing: pooling then averages what comes in."""

    num_directions, batch_first = 1, True

    def vjp(self, x: np.ndarray, lengths: np.ndarray | None = None) -> tuple:
        """Return ``x`` as the hidden states; their gradient is that of ``x``."""
        return (x, x[None, :, -1]), lambda d_output, d_state=None: (d_output, None)


def averaged_embeddings(task: Task, settings: Settings, seed: int) -> Result:
    """Train embeddings, their mean over the text, and a linear layer: the order does not count."""
    rng = np.random.default_rng(seed)
    embedding = lstm.Embedding(task.vocabulary_size, 64, padding_idx=0, rng=rng)
    embedding.weight.data *= 0.1
    head = lstm.Linear(64, 1, rng=rng)
    model = SequenceClassifier(Identity(), head, embedding, pooling="mean")
    trainer = lstm.Trainer(
        model,
        lstm.binary_cross_entropy_with_logits,
        lstm.Adam(model.parameters(), lr=5e-3),
        batch_size=128,
        rng=rng,
    )
    history = trainer.fit(
        *task.train, epochs=20, validation=task.validation, patience=2, bucket_by=task.bucket_by
    )
    scores = [lstm.predict(model, part.inputs) for part in (task.validation, task.test)]
    return scores[0], scores[1], {"epochs": len(history) - 2}


SEEDED = {averaged_embeddings}
"""Baselines whose result depends on the seed."""


def _flat(inputs: tuple[np.ndarray, ...]) -> np.ndarray:
    return inputs[0].reshape(len(inputs[0]), -1)


def _best_linear(matrices: list, task: Task, strengths: tuple = (0.001, 0.01, 0.1, 1.0)) -> Result:
    """Fit one classifier for each strength of regularisation; the validation part chooses."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    labels = task.train.targets.ravel().astype(int)
    candidates = {}
    for strength in strengths:
        classifier = LogisticRegression(C=strength, max_iter=200)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            classifier.fit(matrices[0], labels)
        candidates[(strength,)] = [classifier.decision_function(matrix) for matrix in matrices[1:]]
    return _best(candidates, task, "C")


def _best(candidates: dict[tuple, list[np.ndarray]], task: Task, *names: str) -> Result:
    """Return what the settings with these names reach that are best on the validation part."""
    binary = task.validation.targets.ndim > 1

    def right(settings: tuple) -> float:
        scores = candidates[settings][0]
        guess = scores[:, None] > 0 if binary else scores.argmax(axis=1)
        return float((guess == task.validation.targets).mean())

    chosen = max(candidates, key=right)
    validation, test = candidates[chosen]
    if binary:
        validation, test = validation[:, None], test[:, None]
    return validation, test, dict(zip(names, chosen, strict=True))
