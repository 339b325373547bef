"""A small training on a page: fresh sequences for every update, and how many answers are right."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lstm import checks
from lstm.losses import binary_cross_entropy_with_logits
from lstm.module import Module
from lstm.optim import Adam

LAST = 10
"""Updates whose answers are counted."""


def train_on_fresh(
    model: Module,
    draw: Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]],
    seed: int,
    *,
    lr: float = 0.01,
    updates: int = 200,
) -> float:
    """Train a classifier of two classes with Adam; no sequence is seen twice.

    Parameters
    ----------
    model : Module
        Returns one logit for each sequence, shape (B, 1); its gradient is clipped at norm 1.
    draw : callable
        ``draw(rng)`` returns a batch of B sequences, and which of them, shape (B,), are true.
    seed : int
        Of the sequences.
    lr : float
        Adam's learning rate.
    updates : int
        How many.

    Returns
    -------
    float
        Share of right answers in the last ten batches, each before its update.
    """
    updates = checks.positive_int("updates", updates)
    adam, rng, right = Adam(model.parameters(), lr), np.random.default_rng(seed), []
    for _ in range(updates):
        x, y = draw(rng)
        logits, backward = model.vjp(x)
        right.append(((logits[:, 0] > 0) == y).mean())
        adam.zero_grad()
        backward(binary_cross_entropy_with_logits(logits, y[:, None].astype(logits.dtype))[1])
        adam.clip_grad_norm_(1.0)
        adam.step()
    return float(np.mean(right[-LAST:]))
