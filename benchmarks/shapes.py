"""What is measured: nine dense shapes and two ragged ones, all in float32."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Shape(NamedTuple):
    """Sizes of one layer and its batch."""

    name: str
    B: int
    T: int
    D: int
    H: int
    ragged: bool = False

    @property
    def lengths(self) -> np.ndarray | None:
        """Lengths of a ragged batch: uniform in [T/5, T], 60 % of the steps, one reaches T."""
        if not self.ragged:
            return None
        lengths = np.random.default_rng(0).integers(self.T // 5, self.T + 1, self.B)
        lengths[self.B // 2] = self.T
        return lengths

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Return an input (T, B, D) and a gradient of the output (T, B, H)."""
        rng = np.random.default_rng(1)
        x = rng.standard_normal((self.T, self.B, self.D), dtype=np.float32)
        d_output = rng.standard_normal((self.T, self.B, self.H), dtype=np.float32)
        return x, d_output


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("mnist", 128, 28, 28, 128),
        Shape("imdb32", 32, 200, 128, 128),
        Shape("imdb64", 64, 400, 128, 128),
        Shape("stacked-1", 32, 100, 10, 64),
        Shape("stacked-2", 32, 100, 64, 32),
        Shape("scalar", 32, 100, 1, 50),
        Shape("single", 1, 100, 128, 128),
        Shape("long", 16, 1000, 1, 100),
        Shape("big", 64, 100, 512, 512),
        Shape("imdb32-ragged", 32, 200, 128, 128, ragged=True),
        Shape("imdb64-ragged", 64, 400, 128, 128, ragged=True),
    )
}
QUICK = ("mnist", "scalar", "single", "imdb32-ragged")
