"""The tokeniser and the vocabulary."""

import numpy as np
import pytest

from lstm.text import PADDING_ID, UNKNOWN_ID, Vocabulary, tokenise


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("It's NOT bad!", ["it's", "not", "bad", "!"]),
        ("good.<br /><br />Really?!", ["good", "really", "?", "!"]),
        ("“don’t”, 'quoted' rock'n'roll", ["don't", "quoted", "rock'n'roll"]),
        ("10/10, well-made snake_case", ["10", "10", "well", "made", "snake", "case"]),
        ("Amélie 电影", ["amélie", "电影"]),
        (
            "rating < 5 but great, plot > average",
            ["rating", "5", "but", "great", "plot", "average"],
        ),
        ("a <b and c> d <3", ["a", "b", "and", "c", "d", "3"]),
        (
            "<p class=x>It's <A HREF = 'x.html'>here</a><br/><!-- and --><hr >",
            ["it's", "here", "!", "and"],
        ),
        ("... --- <hr>", []),
        ("", []),
    ],
)
def test_tokenise(text, tokens):
    assert tokenise(text) == tokens


TEXTS = ["the film the end", "the good film", "a bad end"]


def test_most_frequent_words_first_and_the_order_of_the_texts_does_not_matter():
    vocabulary = Vocabulary.from_texts(TEXTS)
    assert vocabulary.tokens == ["<pad>", "<unk>", "the", "end", "film", "a", "bad", "good"]
    assert Vocabulary.from_texts(TEXTS[::-1]).tokens == vocabulary.tokens
    assert len(vocabulary) == 8
    assert "film" in vocabulary
    assert "movie" not in vocabulary


def test_size_and_count_limits():
    assert Vocabulary.from_texts(TEXTS, max_size=5).tokens[2:] == ["the", "end", "film"]
    assert Vocabulary.from_texts(TEXTS, min_count=2).tokens[2:] == ["the", "end", "film"]
    assert Vocabulary.from_texts(TEXTS, max_size=3, min_count=2).tokens[2:] == ["the"]
    assert len(Vocabulary.from_texts([])) == 2


def test_encode_pads_at_the_end_and_decode_reads_it_back():
    vocabulary = Vocabulary.from_texts(TEXTS, min_count=2)
    ids, lengths = vocabulary.encode(["the end", "!", "", "a film: the END"])
    assert (ids.dtype, lengths.dtype) == (np.int32, np.int64)
    assert lengths.tolist() == [2, 1, 1, 4]
    assert ids.tolist() == [
        [2, 3, PADDING_ID, PADDING_ID],
        [UNKNOWN_ID, PADDING_ID, PADDING_ID, PADDING_ID],
        [UNKNOWN_ID, PADDING_ID, PADDING_ID, PADDING_ID],
        [UNKNOWN_ID, 4, 2, 3],
    ]
    assert vocabulary.decode(ids[3]) == ["<unk>", "film", "the", "end"]
    assert vocabulary.decode(ids[0]) == ["the", "end"]
    assert vocabulary.encode([])[0].shape == (0, 0)


def test_a_long_text_keeps_its_end_or_its_start():
    vocabulary = Vocabulary.from_texts(["a b c d e"])
    for keep, words in {"end": "cde", "start": "abc"}.items():
        ids, lengths = vocabulary.encode(["a b c d e", "d"], max_length=3, keep=keep)
        assert vocabulary.decode(ids[0]) == list(words)
        assert vocabulary.decode(ids[1]) == ["d"]
        assert lengths.tolist() == [3, 1]


def test_padding_is_never_a_word():
    """Not even a text that contains the name of the padding gets number 0."""
    vocabulary = Vocabulary.from_texts(["pad <pad> pad"])
    ids, lengths = vocabulary.encode(["<pad> pad <unk>"])
    assert ids.tolist() == [[2]]
    assert lengths.tolist() == [1]
    vocabulary = Vocabulary.from_texts(["<pad> x"], tokeniser=str.split, min_count=1)
    assert vocabulary.encode(["<pad> x"])[0].min() > PADDING_ID


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda v: Vocabulary.from_texts("one text"), "texts must be a list of texts, got 'one te"),
        (lambda v: v.encode("one text"), "texts must be a list of texts, got 'one text'"),
        (lambda v: v.encode([b"one"]), r"texts must be a list of texts, got \[b'one'\]"),
        (lambda v: Vocabulary.from_texts(["a"], tokeniser=len), "what tokeniser returns must be a"),
        (
            lambda v: Vocabulary(["a"], lambda text: [[]]).encode(["a"]),
            "what tokeniser returns mus",
        ),
        (lambda v: v.decode([99]), r"ids must be in \[0, "),
        (lambda v: v.encode(["a"], max_length=0), "max_length must be a positive integer, got 0"),
        (lambda v: v.encode(["a"], keep="middle"), "keep must be one of"),
        (lambda v: Vocabulary.from_texts(["a"], max_size=2), "max_size must be an integer of at"),
        (lambda v: Vocabulary(["a", "b", "a"]), "words must be distinct, got 'a' more than once"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call(Vocabulary.from_texts(TEXTS))
