"""N-grams, their linear classifier, what it says of sentences, and the network that reads that."""

from __future__ import annotations

import numpy as np
import pytest
from lstm_book.recipes import RECIPES, answers, linear, records, sentences
from lstm_book.recipes.linear import Linear
from lstm_book.recipes.ngrams import NGrams
from lstm_book.recipes.ngrams import sentences as split
from lstm_book.recipes.reviews import split_by_film
from numpy.testing import assert_allclose, assert_array_equal

from tests.conftest import ROOT

# --- n-grams --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two", [["one", "."], ["two"]]),
        ("One... 'two'?! Three", [["one", ".", ".", "."], ["two", "?", "!"], ["three"]]),
        ("One<br /><br />two", [["one"], ["two"]]),
        ("...one", [[".", ".", "."], ["one"]]),
        ("“It’s” a_b", [["it's", "a", "b"]]),
        ("<b>One</b>", [["one"]]),
        ("", [[]]),
        ("?!", [["?", "!"]]),
    ],
)
def test_sentences_end_where_they_end(text, expected):
    assert split(text) == expected


TEXTS = ["a b c", "a b c. d", "b a", "a b a b"]


def test_n_grams_of_at_least_two_texts_by_hand():
    """Words a and b in four, c in two; pairs "a b" in three, "b c" and "b a" in two each."""
    ngrams, _ = NGrams.counted(TEXTS)
    assert ngrams.words == ["a", "b", "c"]
    assert_array_equal(ngrams.codes[0], [1 * 4 + 2, 2 * 4 + 1, 2 * 4 + 3])
    assert len(ngrams.codes[1]) == 1  # "a b c": the pair 4, then c
    assert len(ngrams) == 1 + 3 + 3 + 1
    reviews = ngrams.encode(["d a b c", "", "b"])
    expected = [[0, 0, 0], [1, 0, 0], [2, 4, 0], [3, 6, 7], [2, 0, 0]]
    assert_array_equal(reviews.grams, expected)
    assert_array_equal(reviews.starts, [0, 4, 4, 5])
    assert_array_equal(reviews.sizes, [4, 1, 1])


def test_taking_reviews_keeps_their_tokens():
    ngrams, reviews = NGrams.counted(TEXTS)
    for ours, again in zip(reviews, ngrams.encode(TEXTS), strict=True):
        assert_array_equal(ours, again)
    some = reviews.take(np.array([3, 1]))
    assert_array_equal(some.grams, np.concatenate([reviews.grams[-4:], reviews.grams[3:8]]))
    assert_array_equal(some.starts, [0, 4, 9])
    assert_array_equal(some.sentence_of, [0, 0, 0, 0, 0, 0, 0, 0, 1])


# --- the linear classifier ------------------------------------------------------------------------

SETTINGS = sentences.SETTINGS | {"base_batch_size": 4, "fits": 2}
WORDS = ["fine film", "poor film"]


def toy(count, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count).astype(np.uint8)
    noise = rng.choice(list("abcdefgh"), (count, 6))
    texts = [f"{' '.join(row)} {WORDS[1 - y]}" for row, y in zip(noise, labels, strict=True)]
    return texts, labels


def test_logits_are_the_mean_weight_of_the_tokens():
    reviews = NGrams.counted(TEXTS)[0].encode(["a b c", "", "a"])
    weights = np.array([0, 1, 10, 100, 1e3, 1e4, 1e5, 1e6])
    found = Linear(weights, 0.5).logits(reviews)
    assert_allclose(found, [(111 + 1e3 + 1e5 + 1e6) / 3 + 0.5, 0.5, 1.5], rtol=1e-6)


def test_log_ratio_counts_reviews_not_words():
    reviews = NGrams.counted(["a b", "a a"])[0].encode(["a a a", "a b", "b"])
    ratio = linear.log_ratio(reviews, np.array([1, 0, 0]), 3)
    assert_allclose(ratio[1], np.log(2 / (1 + 2 + 1)) - np.log(2 / (1 + 2 + 1)))
    assert reviews.grams[:, 0].max() == 1  # b stands in one text only


def test_the_linear_classifier_learns_what_tells_the_labels_apart():
    texts, labels = toy(120)
    ngrams, _ = NGrams.counted(texts)
    reviews = ngrams.encode(texts)
    found = linear.fit_averaged(reviews, labels, len(ngrams), SETTINGS, [0])
    assert np.mean((found.logits(reviews) > 0) == labels) > 0.95
    good, bad = (found.weights[1 + ngrams.words.index(word)] for word in ("fine", "poor"))
    assert good > 0 > bad
    assert found.weights[0] == 0
    again = linear.fit_averaged(reviews, labels, len(ngrams), SETTINGS, [0])
    assert_array_equal(again.weights, found.weights)


# --- sentences ------------------------------------------------------------------------------------


def test_features_by_hand():
    reviews = NGrams.counted(TEXTS)[0].encode(["a b. c", "", "a"])
    weights = np.array([0, 1.0, -2, 4, 8, 0, 0, 0])
    x, lengths = sentences.features(reviews, Linear(weights, 0.0))
    assert_array_equal(lengths, [2, 1, 1])
    assert x.shape == (3, 2, 8)
    # "a b .": words 1 and -2, the pair "a b" 8; four tokens in the review.
    assert_allclose(x[0, 0], [-1 / 4, 8 / 4, 0, 7 / 4, 0, 3, 6, 0])
    assert_allclose(x[0, 1], [4 / 4, 0, 0, 4 / 4, 0, 1, 4, 4])
    assert_array_equal(x[1], 0)
    assert_allclose(x[2, 0], [1, 0, 0, 1, 0, 1, 1, 1])


def test_of_a_long_review_the_last_sentences_are_read(monkeypatch):
    monkeypatch.setattr(sentences, "LONGEST", 3)
    reviews = NGrams.counted(TEXTS)[0].encode(["a. a. b. c. a b", "b"])
    weights = Linear(np.array([0, 1.0, 2, 3, 0, 0, 0, 0]), 0.0)
    x, lengths = sentences.features(reviews, weights)
    assert_array_equal(lengths, [3, 1])
    assert_allclose(x[0, :, 6], [2, 3, 2])


@pytest.mark.parametrize("kind", sentences.KINDS)
def test_gradients_of_the_reader(kind):
    """Every parameter, by central differences; float32 weights are made float64 before."""
    rng = np.random.default_rng(0)
    model = sentences.SentenceReader(kind, {"hidden_size": 3, "dropout": 0.0}, rng)
    x, lengths = rng.standard_normal((4, 5, 8)).astype(np.float32), np.array([5, 1, 3, 4])
    base = rng.standard_normal(4).astype(np.float32)
    for parameter in model.parameters():
        parameter.data += 0.3 * rng.standard_normal(parameter.shape).astype(np.float32)
    weight = rng.standard_normal((4, 1)).astype(np.float32)
    model.zero_grad()
    _, backward = model.vjp(x, lengths, base)
    backward(weight)
    step = 1e-2
    for name, parameter in model.named_parameters():
        index = tuple(rng.integers(0, size) for size in parameter.shape)
        before, sums = parameter.data[index], []
        for sign in (1, -1):
            parameter.data[index] = before + sign * step
            sums.append(np.vdot(model.vjp(x, lengths, base)[0].astype(float), weight))
        parameter.data[index] = before
        expected = (sums[0] - sums[1]) / (2 * step)
        assert parameter.grad[index] == pytest.approx(expected, abs=3e-3), name


@pytest.mark.parametrize("kind", sentences.KINDS)
def test_padding_is_not_read(kind):
    rng = np.random.default_rng(0)
    model = sentences.SentenceReader(kind, {"hidden_size": 3, "dropout": 0.0}, rng).eval()
    model.head.weight.data[...] = rng.standard_normal(model.head.weight.shape)
    x, lengths = rng.standard_normal((3, 6, 8)).astype(np.float32), np.array([6, 2, 4])
    base, behind = np.zeros(3, np.float32), np.arange(6) >= lengths[:, None]
    expected = model(x, lengths, base)
    x[behind] = 100
    assert_allclose(model(x, lengths, base), expected, atol=1e-6)


def test_both_kinds_hand_as_many_numbers_to_their_heads():
    rng, settings = np.random.default_rng(0), SETTINGS
    heads = {kind: sentences.SentenceReader(kind, settings, rng).head for kind in sentences.KINDS}
    assert len({head.weight.shape for head in heads.values()}) == 1


def test_only_a_memory_sees_the_order_of_sentences():
    rng, x = np.random.default_rng(0), np.random.default_rng(1).standard_normal((1, 6, 8))
    x, lengths, base = x.astype(np.float32), np.array([6]), np.zeros(1, np.float32)
    turned = x[:, [0, 3, 2, 1, 4, 5]]  # the ends stay, for both hand them on
    for kind in ("lstm", "memoryless"):
        model = sentences.SentenceReader(kind, SETTINGS, rng).eval()
        model.head.weight.data[...] = 1
        moved = abs(model(x, lengths, base) - model(turned, lengths, base)).item()
        assert (moved > 1e-3) == (kind == "lstm")


def test_disorder_keeps_each_reviews_sentences():
    x = np.arange(2 * 5 * 8, dtype=np.float32).reshape(2, 5, 8)
    lengths = np.array([5, 3])
    mixed, same, rest = sentences.in_disorder(np.random.default_rng(0), x, lengths, "rest")
    assert same is lengths
    assert rest == "rest"
    assert (mixed != x).any()
    for before, after, length in zip(x, mixed, lengths, strict=True):
        assert_array_equal(np.sort(after[:length], axis=0), before[:length])
        assert_array_equal(after[length:], before[length:])


# --- cross-fitting --------------------------------------------------------------------------------


def test_folds_share_no_film():
    films = np.random.default_rng(0).integers(0, 30, 200).astype(str)
    parts = list(sentences.folds(films, 5, np.random.default_rng(1)))
    assert_array_equal(np.sort(np.concatenate(parts)), np.arange(200))
    for number, part in enumerate(parts):
        others = np.concatenate(parts[:number] + parts[number + 1 :])
        assert not set(films[part]) & set(films[others])


@pytest.mark.slow
def test_cross_fitted_readings_do_not_know_their_labels():
    """Labels that nothing in the text explains: learnt by heart they are right, else a coin."""
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(list("abcdefghijklmnop"), 8)) for _ in range(300)]
    labels = rng.integers(0, 2, 300).astype(np.uint8)
    ngrams, _ = NGrams.counted(texts)
    reviews = ngrams.encode(texts)
    arguments = (reviews, labels, np.arange(300), len(ngrams), SETTINGS | {"fits": 1}, [0])
    read = sentences.cross_fitted(*arguments)
    by_heart = linear.fit_averaged(reviews, labels, len(ngrams), SETTINGS, [0]).logits(reviews)
    assert np.mean((by_heart > 0) == labels) > 0.85
    assert abs(np.mean((read.base > 0) == labels) - 0.5) < 0.1


@pytest.mark.slow
def test_a_classifier_judges_new_texts():
    texts, labels = toy(200)
    new, answers_of_new = toy(100, seed=1)
    found, seconds = sentences.train_classifiers(
        texts, labels, np.arange(200), SETTINGS, seed=0, kinds=tuple(sentences.KINDS)
    )
    assert set(seconds) == {"base", *sentences.KINDS}
    for classifier in found.values():
        assert np.mean((classifier.logits(new) > 0) == answers_of_new) > 0.95


# --- parts and answers ----------------------------------------------------------------------------


def test_validation_shares_no_film_with_training():
    films = np.random.default_rng(0).integers(0, 100, 1_000).astype(str)
    settings = {"validation_size": 200, "train_size": None}
    train, validation = split_by_film(films, settings)
    assert_array_equal(np.sort(np.concatenate([train, validation])), np.arange(1_000))
    assert not set(films[train]) & set(films[validation])
    assert 200 <= len(validation) < 230
    with pytest.raises(ValueError, match="validation_size must be less than 1000"):
        split_by_film(films, settings | {"validation_size": 1_000})


def test_answers_are_unpacked_as_they_were_packed():
    rng = np.random.default_rng(0)
    booleans, numbers = rng.random(1_003) < 0.9, rng.integers(0, 256, 1_003).astype(np.uint8)
    assert_array_equal(answers.unpack(answers.pack(booleans), 1_003), booleans)
    assert_array_equal(answers.unpack(answers.pack(numbers), 1_003, np.uint8), numbers)
    with pytest.raises(ValueError, match="got 900 for 126 bytes"):
        answers.unpack(answers.pack(booleans), 900)
    with pytest.raises(ValueError, match="text must be one that pack wrote"):
        answers.unpack("nothing", 3)


def test_the_last_training_is_on_both_parts_and_a_trial_sees_no_test():
    recipe = RECIPES["imdb"]
    few = ["train_size=60", "validation_size=30", "test_size=20"]
    settings = recipe.settings("nbsvm", "quick", [*few, "final=True"])
    task = recipe.load(settings)
    assert len(task.train.targets) == len(task.texts["train"]) == 90
    assert [task.texts["train"][i] for i in task.held_out] == task.texts["validation"]
    assert_array_equal(task.train.targets[task.held_out], task.validation.targets)
    trial = task.without_test()
    assert trial.test is trial.validation
    assert trial.texts["test"] == trial.texts["validation"]
    assert set(settings) == set(recipe.data)
    assert set(recipe.settings("sentences", "quick")) == {*recipe.data, *sentences.SETTINGS}


WITH_ANSWERS = [
    record
    for path in sorted((ROOT / "results").glob("*-*.json"))
    for record in records.with_those_beside([records.read(path)])
    if "right" in record["runs"][0]
]


@pytest.mark.parametrize("record", WITH_ANSWERS, ids=lambda record: record["model"])
def test_recorded_answers_are_those_of_the_recorded_accuracy(record):
    for run, right in zip(record["runs"], records.right(record), strict=True):
        assert right.mean() == pytest.approx(run["test"]["accuracy"], abs=1e-12)


def test_recorded_probabilities_are_those_of_the_recorded_answers():
    """The labels that both imply are the same for every seed: 12,500 of each."""
    record = records.read(ROOT / "results" / "imdb-sentences-full.json")
    said, right = records.probabilities(record), records.right(record)
    decided = abs(said - 0.5) > 1 / 255
    labels = (said > 0.5) == right
    share = np.where(decided, labels, np.nan)
    assert (np.nanmin(share, axis=0) == np.nanmax(share, axis=0)).all()
    assert np.nanmax(share, axis=0).sum() == pytest.approx(12_500, abs=1)
