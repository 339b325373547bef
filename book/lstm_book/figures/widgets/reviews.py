"""The reader of reviews: a small LSTM that judges a text after every word."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import lstm
from lstm import equations as eq
from lstm.datasets import load_imdb
from lstm.initialise import initialise_lstm
from lstm.text import Vocabulary
from lstm_book.figures.widgets import files, reader
from lstm_book.figures.widgets.files import unpack
from lstm_book.figures.widgets.page import figure_page
from lstm_book.figures.widgets.ribbons import Run, ribbons, unroll

VOCABULARY_SIZE = 5_000
EMBEDDING_DIM = 24
HIDDEN_SIZE = 8
WINDOW = 60
"""Words that training reads at a time."""
LONGEST = 200
"""Words of a review, its last, that the test reads."""
EPOCHS = 10
SCRIPTS = ("cell", "watch")
EXAMPLES = [
    "I expected a great movie, but the story is dull and the acting is awful.",
    "The plot is thin, and yet I was moved: it is one of the best films of the year.",
    "Not bad at all!",
]


@dataclass(frozen=True)
class Window:
    """An ``augment`` for :class:`lstm.Trainer`: so many words in a row from anywhere in a text."""

    words: int
    unknown: float

    def __call__(
        self, rng: np.random.Generator, ids: np.ndarray, lengths: np.ndarray
    ) -> tuple[np.ndarray]:
        """Return the ids (N, words) of one window of each text, a share of them made unknown."""
        start = rng.integers(0, lengths - self.words + 1)
        window = np.take_along_axis(ids, start[:, None] + np.arange(self.words), axis=1)
        hidden = rng.random(window.shape) < self.unknown
        return (np.where(hidden, lstm.text.UNKNOWN_ID, window).astype(ids.dtype),)


def data(folder: Path, train: bool) -> dict:
    """Return the vocabulary, the weights, what they can do, and sentences to begin with."""
    trained = _train() if train else files.read_data(folder / "data" / "reviews.js")
    return trained | {"examples": EXAMPLES}


def page(data: dict) -> str:
    """Return the first sentence as it is read: what each cell remembers, and the verdict."""
    words, run = read(data, EXAMPLES[0])
    shares = eq.sigmoid(run["logits"][:, 0])
    change = np.diff(shares, prepend=0.5)
    alt = (
        f"{HIDDEN_SIZE} ribbons, one for each cell, over {len(words)} words; below them the "
        f"probability of a positive review, which rises most at {words[change.argmax()]}, falls "
        f"most at {words[change.argmin()]}, and ends at {shares[-1]:.0%}."
    )
    still = ribbons(run, words, shares, alt=alt)
    return figure_page("reviews", still, _caption(data["record"]), SCRIPTS)


def read(data: dict, text: str) -> tuple[list[str], Run]:
    """Return the words of a text and, from :func:`unroll`, what happens at each."""
    vocabulary = Vocabulary(data["words"])
    ids, _ = vocabulary.encode([text])
    return vocabulary.tokeniser(text), unroll(data["weights"], unpack(data["weights"]["E"])[ids[0]])


def _caption(record: dict) -> str:
    return f"""
    An LSTM with {HIDDEN_SIZE} cells reads a sentence; every one of them is shown.
    <span class="widget-read">Each ribbon is as wide as the number that the cell holds, filled above
    0 and hollow below; orange bites are what the forget gate drops, green beads what is written
    (<var>i</var>&nbsp;·&nbsp;<var>g</var>), and the blue curve is the verdict.</span> Trained on
    {record["train"]:,} reviews, {WINDOW} words at a time, it judges
    {100 * record["accuracy"]:.1f}\N{NO-BREAK SPACE}% of {record["test"]:,} other reviews rightly
    from their last {LONGEST} words. It knows {VOCABULARY_SIZE:,} words, and little of
    <em>not</em>. What one cell does in one sentence is an example, not its meaning.
    """


def _train() -> dict:
    (texts, labels), (test_texts, test_labels) = load_imdb("bundled")
    vocabulary = Vocabulary.from_texts(texts, max_size=VOCABULARY_SIZE)
    ids, lengths = vocabulary.encode(texts, 400)
    long_enough = lengths >= WINDOW
    rng = np.random.default_rng(0)
    embedding = lstm.Embedding(VOCABULARY_SIZE, EMBEDDING_DIM, padding_idx=0, rng=rng)
    embedding.weight.data *= 0.1
    layer = lstm.LSTM(EMBEDDING_DIM, HIDDEN_SIZE, batch_first=True, rng=rng)
    network = reader.Reader(
        initialise_lstm(layer, rng=rng),
        lstm.Sequential(lstm.Dropout(0.3, rng=rng), lstm.Linear(HIDDEN_SIZE, 1, rng=rng)),
        lstm.Sequential(embedding, lstm.Dropout(0.3, rng=rng)),
    )
    reader.train(
        network,
        (ids[long_enough], lengths[long_enough]),
        labels[long_enough, None].astype(np.float32),
        lstm.binary_cross_entropy_with_logits,
        Window(WINDOW, unknown=0.05),
        epochs=EPOCHS,
        batch_size=64,
        lr=4e-3,
    )
    weights = reader.packed_weights(network)
    exported = reader.load_reader(weights)
    test_ids, test_lengths = vocabulary.encode(test_texts, LONGEST)
    answers = reader.last_answers(exported, test_ids, test_lengths)[:, 0] > 0
    record = {
        "train": int(long_enough.sum()),
        "test": len(test_labels),
        "accuracy": float((answers == test_labels).mean()),
    }
    return {"words": vocabulary.tokens[2:], "weights": weights, "record": record}
