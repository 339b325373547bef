"""Article 002: movie reviews, positive or negative (Maas et al., 2011)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import lstm
from lstm import checks
from lstm.datasets import load_imdb, load_imdb_films, stratified_split
from lstm.initialise import initialise_lstm
from lstm.models import SequenceClassifier
from lstm.signatures import checked
from lstm.text import UNKNOWN_ID, Vocabulary
from lstm_book.recipes import baselines
from lstm_book.recipes.pairs import Pairs, SummedEmbedding
from lstm_book.recipes.recipe import (
    KERAS,
    TRAINING,
    Answers,
    Part,
    Recipe,
    Settings,
    System,
    Task,
    checksum,
    split,
)
from lstm_book.recipes.sentences import SENTENCES


@checked
@dataclass(frozen=True)
class DropWords:
    """An ``augment`` for :class:`lstm.Trainer` that makes a share of all words unknown.

    A pair of words goes with either of its two.
    """

    share: float

    def __post_init__(self) -> None:
        checks.number("word_dropout", self.share, "[0, 1]")

    @checked
    def __call__(
        self, rng: np.random.Generator, ids: np.ndarray, lengths: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return other ids; the padding stays."""
        words = ids if ids.ndim == 2 else ids[..., 0]
        dropped = rng.random(words.shape, np.float32) < self.share
        left = np.where(dropped & (words > 0), UNKNOWN_ID, words).astype(ids.dtype)
        if ids.ndim == 2:
            return left, lengths
        dropped[:, 1:] |= dropped[:, :-1]
        return np.stack([left, np.where(dropped, 0, ids[..., 1])], axis=-1), lengths


def load_reviews(settings: Settings) -> Task:
    """Load reviews, as texts and as numbers.

    The validation part comes out of the training half, whose duplicates are dropped before, and
    shares no film with what remains of it (where films are known: in the full set). With ``final``
    it then belongs to the training part, too, once everything is chosen. The vocabulary is counted
    on the training part. The test half is used as it is.
    """
    (texts, labels), (test_texts, test_labels) = load_imdb(settings["source"])
    distinct = list(dict.fromkeys(texts))
    first = {text: number for number, text in reversed(list(enumerate(texts)))}
    kept = [first[text] for text in distinct]
    labels, films = labels[kept], np.arange(len(kept))
    if settings["source"] == "full":
        films = load_imdb_films()[0][kept]
        train, validation = split_by_film(films, settings)
    else:
        train, validation = split(labels, settings)
    held_out = None
    if settings["final"]:
        held_out = len(train) + np.arange(len(validation))
        train = np.concatenate([train, validation])
    test = np.arange(len(test_labels))
    if settings["test_size"] is not None:
        _, test = stratified_split(test_labels, settings["test_size"], rng=0)
    named = {
        "train": [distinct[i] for i in train],
        "validation": [distinct[i] for i in validation],
        "test": [test_texts[i] for i in test],
    }
    answers = labels[train], labels[validation], test_labels[test]
    encoded, embeddings = _encoded(named, settings)
    parts = [Part(inputs, y[:, None]) for inputs, y in zip(encoded, answers, strict=True)]
    about = {
        "name": "imdb",
        "source": settings["source"],
        "sizes": [len(part.targets) for part in parts],
        "test texts that are also training texts": len(set(named["train"]) & set(named["test"])),
        "sha256": checksum([*named.values(), *answers]),
    }
    dropped = settings.get("word_dropout")
    return Task(
        *parts,
        about,
        bucket_by=parts[0].inputs[1] if parts[0].inputs else None,
        augment=DropWords(dropped) if dropped else None,
        texts=named,
        vocabulary_size=embeddings,
        held_out=held_out,
        groups=films[train],
    )


def split_by_film(films: np.ndarray, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of a training and of a validation part that share no film.

    Whole films are drawn until the validation part has at least ``validation_size`` reviews.
    """
    rng, size = np.random.default_rng(0), settings["validation_size"]
    if size >= len(films):
        raise ValueError(f"validation_size must be less than {len(films)} examples, got {size}")
    _, film_of, counts = np.unique(films, return_inverse=True, return_counts=True)
    drawn = rng.permutation(len(counts))
    drawn = drawn[: 1 + np.searchsorted(counts[drawn].cumsum(), size)]
    held_out = np.isin(film_of, drawn)
    train, validation = (rng.permutation(np.flatnonzero(which)) for which in (~held_out, held_out))
    return train[: settings["train_size"]], validation


def _encoded(named: dict[str, list[str]], settings: Settings) -> tuple[list[tuple], int]:
    """Return each part as numbers, and how many there are; nothing for who reads texts."""
    if "vocabulary_size" not in settings:
        return [()] * len(named), 0
    vocabulary = Vocabulary.from_texts(named["train"], max_size=settings["vocabulary_size"])
    encoded = [
        vocabulary.encode(part, settings["max_length"], settings["keep"]) for part in named.values()
    ]
    embeddings = len(vocabulary)
    if settings["pairs"]:
        pairs = Pairs(encoded[0][0], len(vocabulary), settings["pairs"])
        encoded = [(pairs.beside(ids), lengths) for ids, lengths in encoded]
        embeddings += len(pairs)
    return encoded, embeddings


def build_reader(task: Task, settings: Settings, rng: np.random.Generator) -> SequenceClassifier:
    """Return embedding → dropout → LSTM (or none) → pooling → dropout → one logit."""
    width = settings["embedding_dim"]
    kind = SummedEmbedding if settings["pairs"] else lstm.Embedding
    embedding = kind(task.vocabulary_size, width, padding_idx=0, rng=rng)
    embedding.weight.data *= settings["embedding_scale"]
    if settings["reader"] == "none":
        reader, size = baselines.Identity(), width
    elif settings["reader"] == "lstm":
        directions = {"batch_first": True, "bidirectional": settings["bidirectional"]}
        reader = lstm.LSTM(width, settings["hidden_size"], **directions, rng=rng)
        initialise_lstm(reader, rng=rng)
        size = reader.output_size
    else:
        raise ValueError(f"reader must be 'lstm' or 'none', got {settings['reader']!r}")
    head = lstm.Sequential(
        lstm.Dropout(settings["dropout"], rng=rng), lstm.Linear(size, 1, rng=rng)
    )
    return SequenceClassifier(
        reader,
        head,
        lstm.Sequential(embedding, lstm.Dropout(settings["embedding_dropout"], rng=rng)),
        pooling=settings["pooling"],
    )


def in_torch(name: str, **own: object) -> System:
    """Return one of the readers in PyTorch, which is imported when it is trained."""

    def run(task: Task, settings: Settings, seed: int) -> Answers:
        from lstm_book.recipes import torch_readers

        return torch_readers.run(getattr(torch_readers, name), task, settings, seed)

    reads = {"vocabulary_size": 20_000, "pairs": 0, "keep": "end", "embedding_scale": 0.1}
    trains = {"batch_size": 32, "dropout": 0.5, "word_dropout": 0.1, "max_norm": 1.0}
    return System(run, reads | trains | own, quick={"vocabulary_size": 10_000})


# Smaller, the mean over whole reviews, frequent pairs of words, half of the words dropped.
BEST = {
    "embedding_dim": 64,
    "embedding_scale": 0.01,
    "hidden_size": 64,
    "max_length": 800,
    "pairs": 10,
    "pooling": "mean",
    "word_dropout": 0.5,
    "epochs": 3,
}

NO_DROPOUT = {"embedding_dropout": 0.0, "word_dropout": 0.0, "dropout": 0.0}

IMDB = Recipe(
    name="imdb",
    article="002",
    about="embedding, LSTM and a logistic output judge movie reviews",
    load=load_reviews,
    build=build_reader,
    loss=lstm.binary_cross_entropy_with_logits,
    defaults=TRAINING
    | {
        "source": "full",
        "train_size": None,
        "validation_size": 2_500,
        "test_size": None,
        "final": True,
        "vocabulary_size": 20_000,
        "pairs": 0,
        "max_length": 400,
        "keep": "end",
        "embedding_dim": 128,
        "embedding_scale": 0.1,
        "embedding_dropout": 0.5,
        "word_dropout": 0.1,
        "reader": "lstm",
        "hidden_size": 128,
        "bidirectional": True,
        "pooling": "max",
        "dropout": 0.5,
        "lr": 2e-3,
        "schedule": "linear",
        "batch_size": 64,
        "epochs": 8,
        "max_norm": 1.0,
    },
    models={
        "lstm": {},
        # For the full scale, and the same without its pairs of words.
        "best": BEST,
        "best-without-pairs": BEST | {"pairs": 0},
        # The mean of the vectors that the best one's LSTM would read.
        "best-without-lstm": BEST | {"reader": "none", "lr": 1e-2, "epochs": 5},
        # As printed: no dropout, one direction, the last state. The sizes that the article leaves
        # open (vocabulary, embedding, length) are ours; batch and rates are the defaults of Keras.
        "article": KERAS | NO_DROPOUT | {"bidirectional": False, "pooling": "last"},
        # Ours, each with one thing changed.
        "last-state": {"pooling": "last"},
        "mean-pooling": {"pooling": "mean"},
        "one-direction": {"bidirectional": False},
        "no-dropout": NO_DROPOUT,
        "short-texts": {"max_length": 100},
    },
    quick={
        "source": "bundled",
        "final": False,
        "train_size": 8_000,
        "max_length": 200,
        "vocabulary_size": 10_000,
        "embedding_dim": 64,
        "hidden_size": 64,
        "epochs": 4,
    },
    baselines={
        "majority": baselines.majority,
        "tfidf": baselines.tfidf(1),
        "tfidf-bigrams": baselines.tfidf(2),
        "nbsvm": baselines.nbsvm,
        "averaged-embeddings": baselines.AVERAGED_EMBEDDINGS,
        "sentences": SENTENCES,
        "convolution": in_torch(
            "Convolution", embedding_dim=50, filters=50, max_length=200, lr=3e-3, epochs=4
        ),
        "transformer": in_torch(
            "Transformer", embedding_dim=32, heads=2, max_length=128, lr=1e-3, epochs=4
        ),
    },
    data=("source", "train_size", "validation_size", "test_size", "final"),
    default="sentences",
)
