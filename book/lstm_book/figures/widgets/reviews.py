"""The reader of reviews: a small LSTM that judges a text after every word."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

import lstm
from lstm import equations as eq
from lstm.datasets import load_imdb
from lstm.initialise import initialise_lstm
from lstm.text import Vocabulary
from lstm_book.figures.palette import COLORS
from lstm_book.figures.plots import figure, style
from lstm_book.figures.svg import inline_svg
from lstm_book.figures.widgets import files, reader
from lstm_book.figures.widgets.page import figure_page

VOCABULARY_SIZE = 5_000
EMBEDDING_DIM = 24
HIDDEN_SIZE = 32
WINDOW = 60
"""Words that training reads at a time."""
LONGEST = 200
"""Words of a review, its last, that the test reads."""
EPOCHS = 10
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
    """Return the first sentence, each word shaded by how it moved the verdict."""
    words, values = logits(data, EXAMPLES[0])
    changes = np.diff(values, prepend=0.0)
    spans = " ".join(map(_shaded, words, changes))
    still = f'<p class="widget-words">{spans}</p>\n{_curve(words, eq.sigmoid(values))}'
    return figure_page("reviews", still, _caption(data["record"]))


def _curve(words: list[str], shares: np.ndarray) -> str:
    """Return the probability of a positive review after each word, as SVG."""
    with style():
        drawing, ax = figure(height=190)
        ax.plot(100 * shares, "-o", color=COLORS["lstm"])
        ax.set(ylim=(0, 100), ylabel="positive (%)")
        ax.set_xticks(range(len(words)), words, rotation=60, ha="right", fontsize=9)
        change = np.diff(shares, prepend=0.5)
        svg = inline_svg(
            drawing,
            name="widget-reviews",
            alt=f"The probability of a positive review after each word: it rises most at "
            f"{words[change.argmax()]}, falls most at {words[change.argmin()]}, and ends at "
            f"{shares[-1]:.0%}.",
        )
    plt.close(drawing)
    return svg


def _shaded(word: str, change: float) -> str:
    kind = "candidate" if change > 0 else "forget"
    faint = " widget-faint" if abs(change) < 0.2 else ""
    strength = round(40 * min(1.0, abs(change) / 2))
    return (
        f'<span class="widget-word widget-{kind}{faint}" style="--strength: {strength}%">'
        f"{escape(word, quote=False)}</span>"
    )


def _caption(record: dict) -> str:
    return f"""
    An LSTM with {HIDDEN_SIZE} units and {VOCABULARY_SIZE:,} words gives its verdict after every
    word. A word is shaded by the change of the logit when it was read: green and underlined
    towards positive, orange and dotted towards negative; a word in italics is not in its
    vocabulary. Trained on {record["train"]:,} reviews, {WINDOW} words at a time, it judges
    {100 * record["accuracy"]:.1f}\N{NO-BREAK SPACE}% of {record["test"]:,} other reviews rightly
    from their last {LONGEST} words. It knows little of <em>not</em>: try the third example.
    """


def logits(exported: dict, text: str) -> tuple[list[str], np.ndarray]:
    """Return the words of a text, and the reader's logit (T,) after each of them."""
    vocabulary = Vocabulary(exported["words"])
    ids, _ = vocabulary.encode([text])
    return vocabulary.tokeniser(text), reader.load_reader(exported["weights"])(ids)[0, :, 0]


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
