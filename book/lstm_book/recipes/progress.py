"""What a training tells whoever watches: a progress bar, and what it could not do."""

from __future__ import annotations

import contextlib
import sys
import textwrap

from lstm.training import Trainer


def warn(message: str) -> None:
    """Say on standard error what goes wrong, and go on, whether or not it can be said."""
    lines = textwrap.fill(message, 80, break_long_words=False, break_on_hyphens=False)
    with contextlib.suppress(OSError):
        print(lines, file=sys.stderr, flush=True)


class ProgressBar:
    """A ``callback`` of :meth:`lstm.Trainer.fit`: a bar on a terminal, if tqdm is installed."""

    def __init__(self) -> None:
        self.bar = None

    def __call__(self, trainer: Trainer) -> None:
        """Move on to where the trainer is."""
        if sys.stderr is None:  # closed
            return
        try:
            from tqdm import tqdm
        except ImportError:
            return
        steps = -(-len(trainer.order) // trainer.batch_size)
        done = len(trainer.history) * steps + trainer.place
        if self.bar is None:  # disable=None: only on a terminal, and as wide as that is
            total = trainer.epochs * steps
            self.bar = tqdm(total=total, initial=done - 1, disable=None, dynamic_ncols=True)
        with contextlib.suppress(OSError):  # the terminal is gone: the training need not be
            self._show(trainer, done)

    def _show(self, trainer: Trainer, done: int) -> None:
        if trainer.history:
            last = trainer.history[-1]
            name = next(n for n in ("validation_accuracy", "validation_loss", "loss") if n in last)
            self.bar.set_description(f"{name.replace('_', ' ')} {last[name]:.3f}", refresh=False)
        self.bar.update(done - self.bar.n)
        if done == self.bar.total:
            self.bar.close()
