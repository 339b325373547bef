"""Which words moved the verdict."""

import numpy as np
import pytest
from lstm_book.figures.palette import COLORS
from lstm_book.saliency import shaded_text, word_saliency

import lstm

IDS = np.array([3, 1, 4, 1, 5])


def build(pooling, dropout=0.0):
    rng = np.random.default_rng(0)
    embedding = lstm.Embedding(9, 4, 0, dtype=np.float64, rng=rng)
    reader = lstm.LSTM(4, 5, batch_first=True, bidirectional=True, dtype=np.float64, rng=rng)
    head = lstm.Sequential(
        lstm.Dropout(dropout, rng=rng), lstm.Linear(10, 1, dtype=np.float64, rng=rng)
    )
    embedding = lstm.Sequential(embedding, lstm.Dropout(dropout, rng=rng))
    return lstm.SequenceClassifier(reader, head, embedding, pooling=pooling)


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_it_is_the_derivative_of_the_logit(pooling):
    """Shrink one word's vector by a millionth, and the logit changes by a millionth of it."""
    model = build(pooling).eval()
    saliency = word_saliency(model, IDS)
    inner = lstm.SequenceClassifier(model.recurrent, model.head, pooling=pooling)
    vectors = model.embedding(IDS[None])
    for place in range(len(IDS)):
        shrunk = vectors.copy()
        shrunk[0, place] *= 1 - 1e-6
        change = (inner(vectors) - inner(shrunk))[0, 0]
        assert change == pytest.approx(1e-6 * saliency[place], rel=1e-4, abs=1e-13)


@pytest.mark.parametrize("mode", [True, False])
def test_the_model_is_as_before(mode):
    model = build("max", dropout=0.5).train(mode)
    for parameter in model.parameters():
        parameter.grad[...] = 7
    first = word_saliency(model, IDS)
    np.testing.assert_array_equal(first, word_saliency(model, IDS))  # nothing is dropped
    assert all((parameter.grad == 7).all() for parameter in model.parameters())
    assert all(module.training is mode for module in model.modules())
    assert [m.p for m in model.modules() if isinstance(m, lstm.Dropout)] == [0.5, 0.5]


def test_shaded_text():
    text = shaded_text(
        ["a", "<b>", "c", "d"], [2.0, -1.0, 0.0, 0.01], name="fig-x", caption="A & b"
    )
    assert text.count("<span") == 2
    assert "&lt;b&gt;</span> c d</p>" in text
    assert f"var(--lstm-candidate, {COLORS['candidate']}) 50%" in text
    assert f"2px dotted var(--lstm-forget, {COLORS['forget']})" in text
    assert "<figcaption>A &amp; b</figcaption>" in text
    with pytest.raises(ValueError, match=r"values must have shape \(1,\), got \(2,\)"):
        shaded_text(["a"], [1.0, 2.0], name="fig-x", caption="c")
