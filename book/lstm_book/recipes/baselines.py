"""Simple methods to compare with: a result means little without them."""

from __future__ import annotations

from typing import Any

import numpy as np

import lstm
from lstm.models import SequenceClassifier
from lstm.module import Module
from lstm.text import tokenise
from lstm.training import accuracy
from lstm_book.recipes.recipe import Answers, Settings, System, Task

Result = tuple[np.ndarray, np.ndarray, dict[str, Any]]


def majority(task: Task, settings: Settings, seed: int) -> Result:
    """Answer the most frequent class of the training part, always."""
    labels = task.train.targets
    counts = np.bincount(labels.ravel().astype(int))
    if labels.ndim == 1:
        scores = counts - counts.mean()
    else:  # one logit; a tie is class 0
        scores = np.where(counts[1:] > counts[:1], 1.0, -1.0)
    return *_always(scores, task), {"class": int(counts.argmax())}


def mean(task: Task, settings: Settings, seed: int) -> Result:
    """Answer the mean of the training targets, always."""
    return *_always(task.train.targets.mean(axis=0), task), {}


def _always(answer: np.ndarray, task: Task) -> list[np.ndarray]:
    return [np.tile(answer, (len(part.targets), 1)) for part in (task.validation, task.test)]


def logistic_regression(task: Task, settings: Settings, seed: int) -> Result:
    """Fit a linear classifier on all numbers of the sequence at once."""
    parts = (task.train, task.validation, task.test)
    matrices = [part.inputs[0].reshape(len(part.targets), -1) for part in parts]
    return _best_linear(matrices, task, [10.0**power for power in range(-7, 1)])


def bag_of_steps(task: Task, settings: Settings, seed: int) -> Result:
    """Fit a linear classifier on the sum over time: the order does not count."""
    sums = [part.inputs[0].sum(axis=1) for part in (task.train, task.validation, task.test)]
    return _best_linear(sums, task, [10.0**power for power in range(-7, 3)])


def tfidf(words: int):
    """Return the baseline: logistic regression on TF-IDF of all runs of up to so many words."""

    def tfidf_logistic_regression(task: Task, settings: Settings, seed: int) -> Result:
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(**WORDS, ngram_range=(1, words), min_df=2, sublinear_tf=True)
        strengths = [x * 10.0**power for power in range(5) for x in (1, 3)]
        strengths += [1e5, 1e6]  # nothing is held back: the fit stays as it is
        return _best_linear(_vectors(vectorizer, task), task, strengths)

    return tfidf_logistic_regression


WORDS = {"tokenizer": tokenise, "token_pattern": None, "lowercase": False}


def _vectors(vectorizer: Any, task: Task) -> list:
    """Return the matrices of the three parts; what there is to count, the training part says."""
    train = vectorizer.fit_transform(task.texts["train"])
    return [train, *(vectorizer.transform(task.texts[name]) for name in ("validation", "test"))]


def nbsvm(task: Task, settings: Settings, seed: int) -> Result:
    """Fit a linear SVM on naive Bayes log-count ratios of words and pairs of words.

    Wang and Manning (2012): presence of a feature instead of its count, smoothing 1. The weights
    are interpolated with their mean size; the validation part chooses how far, and the penalty.
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.svm import LinearSVC

    vectorizer = CountVectorizer(**WORDS, ngram_range=(1, 2), binary=True)
    train, *others = _vectors(vectorizer, task)
    labels = task.train.targets.ravel().astype(int)

    def fit(rows: Any, strength: float) -> tuple[np.ndarray, Any]:
        some, answers = train[rows], labels[rows]
        positive, negative = (1 + np.asarray(some[answers == k].sum(axis=0)) for k in (1, 0))
        ratio = np.log(positive / positive.sum()) - np.log(negative / negative.sum())
        svm = LinearSVC(C=strength, random_state=0).fit(some.multiply(ratio).tocsr(), answers)
        return ratio.ravel(), svm

    def scores(found: tuple, share: float) -> list[np.ndarray]:
        ratio, svm = found
        size = np.abs(svm.coef_).mean()
        weights = ratio * ((1 - share) * size + share * svm.coef_.ravel())
        return [matrix @ weights + svm.intercept_ for matrix in others]

    rest, candidates = _not_held_out(task), {}
    for strength in (1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0):
        found = fit(rest, strength)
        for share in (0.1, 0.25, 0.5, 0.75, 1.0):
            candidates[strength, share] = scores(found, share)
    *outputs, chosen = _best(candidates, task, "C", "share")
    if task.held_out is not None:
        outputs = _logits(scores(fit(slice(None), chosen["C"]), chosen["share"]), task)
    return *outputs, chosen


def _not_held_out(task: Task) -> Any:
    """Return which training examples there are to choose with."""
    if task.held_out is None:
        return slice(None)
    return np.setdiff1d(np.arange(len(task.train.targets)), task.held_out)


class Identity(Module):
    """A recurrent layer that does nothing: pooling then averages what comes in."""

    num_directions, batch_first = 1, True

    def vjp(self, x: np.ndarray, lengths: np.ndarray | None = None) -> tuple:
        """Return ``x`` as the hidden states; their gradient is that of ``x``."""
        return (x, x[None, :, -1]), lambda d_output, d_state=None: (d_output, None)


def averaged_embeddings(task: Task, settings: Settings, seed: int) -> Answers:
    """Train embeddings, their mean over the text, and a linear layer: the order does not count.

    The settings are those of :data:`AVERAGED_EMBEDDINGS`.
    """
    rng, width = np.random.default_rng(seed), settings["embedding_dim"]
    embedding = lstm.Embedding(task.vocabulary_size, width, padding_idx=0, rng=rng)
    embedding.weight.data *= settings["embedding_scale"]
    head = lstm.Linear(width, 1, rng=rng)
    model = SequenceClassifier(Identity(), head, embedding, pooling="mean")
    trainer = lstm.Trainer(
        model,
        lstm.binary_cross_entropy_with_logits,
        lstm.Adam(model.parameters(), lr=settings["lr"]),
        batch_size=settings["batch_size"],
        rng=rng,
    )
    rest, patience = _not_held_out(task), settings["patience"]
    history = trainer.fit(
        [array[rest] for array in task.train.inputs],
        task.train.targets[rest],
        epochs=settings["epochs"],
        validation=task.validation,
        patience=patience,
        bucket_by=None if task.bucket_by is None else task.bucket_by[rest],
    )
    outputs = [lstm.predict(model, part.inputs) for part in (task.validation, task.test)]
    best = min(history, key=lambda epoch: epoch["validation_loss"])
    return Answers(*outputs, {"epochs": best["epoch"]}, sum(p.size for p in model.parameters()))


AVERAGED_EMBEDDINGS = System(
    averaged_embeddings,
    {
        "vocabulary_size": 20_000,
        "pairs": 0,
        "max_length": 400,
        "keep": "end",
        "embedding_dim": 64,
        "embedding_scale": 0.1,
        "lr": 5e-3,
        "batch_size": 128,
        "epochs": 20,
        "patience": 2,
    },
    quick={"vocabulary_size": 10_000, "max_length": 200},
)
"""The mean of word vectors, with what it reads and how it is trained."""


def _best_linear(matrices: list, task: Task, strengths: list[float]) -> Result:
    """Fit one classifier for each strength of regularisation; the validation part chooses."""
    from sklearn.linear_model import LogisticRegression

    labels = task.train.targets.ravel().astype(int)

    # From where the last one ended: with a tolerance that is usual, many would not leave it.
    classifier = LogisticRegression(max_iter=5_000, warm_start=True, tol=1e-6)

    def scores(rows: Any, strength: float) -> list[np.ndarray]:
        classifier.set_params(C=strength)
        classifier.fit(matrices[0][rows], labels[rows])
        return [classifier.decision_function(matrix) for matrix in matrices[1:]]

    rest = _not_held_out(task)
    candidates = {(strength,): scores(rest, strength) for strength in strengths}
    *outputs, chosen = _best(candidates, task, "C")
    if task.held_out is not None:
        outputs = _logits(scores(slice(None), chosen["C"]), task)
    return *outputs, chosen


def _logits(scores: list[np.ndarray], task: Task) -> list[np.ndarray]:
    """Return scores in the shape of a network's outputs."""
    return [s[:, None] for s in scores] if task.validation.targets.ndim > 1 else scores


def _best(candidates: dict[tuple, list[np.ndarray]], task: Task, *names: str) -> Result:
    """Return what the settings with these names reach that are best on the validation part.

    With what was tried, so that a record shows whether the best lies at an edge of it.
    """
    candidates = {key: _logits(found, task) for key, found in candidates.items()}

    def right(settings: tuple) -> float:
        return accuracy(candidates[settings][0], task.validation.targets)

    best = max(candidates, key=right)
    chosen = dict(zip(names, best, strict=True))
    tried = map(sorted, map(set, zip(*candidates, strict=True)))
    return *candidates[best], chosen | {"tried": dict(zip(names, tried, strict=True))}
