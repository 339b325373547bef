"""Saliency by the gradient: how much each word moves the output, and a text shaded by it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import ArrayLike

from lstm.models import SequenceClassifier
from lstm.signatures import checked


@checked
def word_saliency(model: SequenceClassifier, ids: ArrayLike) -> np.ndarray:
    r"""Estimate how much of a logit each word of one text is to thank for.

    The gradient of the logit with respect to a word's vector, times that vector, is to first order
    what the logit would lose if the vector were zero (compare Li, Chen, Hovy and Jurafsky, 2016,
    who take the gradient's absolute value).

    Parameters
    ----------
    model : SequenceClassifier
        With an embedding and one logit. Its mode, weights and gradients are as before when this
        returns.
    ids : ndarray of int, shape (T,)
        One text, without padding.

    Returns
    -------
    ndarray, shape (T,)
        Positive where a word speaks for class 1, negative where it speaks against.
    """
    reader = SequenceClassifier(model.recurrent, model.head, pooling=model.pooling)
    grads = [parameter.grad.copy() for parameter in reader.parameters()]
    modes = [(module, module.training) for module in model.modules()]
    model.eval()  # nothing is dropped
    vectors = model.embedding(np.asarray(ids)[None])
    logit, backward = reader.vjp(vectors)
    d_vectors = backward(np.ones_like(logit))
    for module, mode in modes:
        module.training = mode
    for parameter, grad in zip(reader.parameters(), grads, strict=True):
        parameter.grad[...] = grad
    return (d_vectors * vectors)[0].sum(axis=-1)


@checked
def shaded_text(
    words: Sequence[str], values: ArrayLike, *, name: str, caption: str, limit: float | None = None
) -> str:
    """Return a text in HTML with every word shaded by its value.

    Parameters
    ----------
    words : sequence of str
        The text.
    values : array_like, shape (len(words),)
        Positive values are shaded green and underlined, negative ones red and struck underneath
        with dots, the stronger the larger they are: hue is not the only sign.
    name : str
        Id on the page, such as ``fig-saliency``.
    caption : str
        What to look at.
    limit : float, optional
        The value of full shade; the largest one by default.
    """
    return (
        f'<figure class="lstm-figure" id="{name}" style="margin: 1.5rem auto">\n'
        f'<p style="line-height: 2; margin: 0">{shades(words, values, limit)}</p>\n'
        f"<figcaption>{escape(caption, quote=False)}</figcaption>\n</figure>"
    )


def shades(words: Sequence[str], values: ArrayLike, limit: float | None = None) -> str:
    """Return the words of :func:`shaded_text` alone."""
    values = np.asarray(values, dtype=float)
    if values.shape != (len(words),):
        raise ValueError(f"values must have shape ({len(words)},), got {values.shape}")
    share = np.clip(values / float(limit or np.abs(values).max() or 1), -1, 1)
    return " ".join(_span(word, value) for word, value in zip(words, share, strict=True))


def _span(word: str, share: float) -> str:
    percent = round(50 * abs(share))
    if percent < 3:
        return escape(word, quote=False)
    color, line = ("candidate", "solid") if share > 0 else ("forget", "dotted")
    # Without the book's stylesheet, as in a notebook, the second colour of var() is taken.
    both = {"candidate": "#009E73", "forget": "#D55E00"}[color]
    paint = f"var(--lstm-{color}, {both})"
    style = (
        f"background: color-mix(in srgb, {paint} {percent}%, transparent); "
        f"border-bottom: 2px {line} {paint}; padding: 0 0.1em"
    )
    return f'<span style="{style}">{escape(word, quote=False)}</span>'
