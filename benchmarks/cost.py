"""``python -m benchmarks.cost``: seconds per training step of an LSTM and of a plain network.

The four layers take turns, one step each, so that a busy machine slows all of them alike. The
record is ``results/experiments/cost.json``, which the chapter on what the LSTM solves reads.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import torch
from lstm_book.experiments.record import save_record

import lstm

# Batch, steps, inputs, units: image rows, reviews, a scalar sequence, and one large layer.
SHAPES = {
    "image rows": (128, 28, 28, 128),
    "reviews": (32, 200, 128, 128),
    "scalar sequence": (32, 100, 1, 50),
    "large": (64, 50, 512, 512),
}
REPEATS = 15


def _torch_step(kind: str, shape: tuple[int, int, int, int]) -> Callable[[], None]:
    B, T, D, H = shape
    layer = getattr(torch.nn, kind)(D, H)
    x = torch.randn(T, B, D)

    def step() -> None:
        layer(x)[0][-1].sum().backward()

    return step


def _numpy_step(kind: str, shape: tuple[int, int, int, int]) -> Callable[[], None]:
    B, T, D, H = shape
    layer = getattr(lstm, kind)(D, H, rng=0)
    x = np.random.default_rng(0).standard_normal((T, B, D)).astype(np.float32)
    d_output = np.zeros((T, B, H), np.float32)
    d_output[-1] = 1

    def step() -> None:
        layer(x)
        layer.backward(d_output)

    return step


def measure() -> dict[str, Any]:
    """Time a forward and backward pass of each layer at each shape: medians, one thread."""
    torch.set_num_threads(1)
    rows = []
    for name, shape in SHAPES.items():
        steps = {("torch.nn", kind): _torch_step(kind, shape) for kind in ("RNN", "LSTM")} | {
            ("lstm", kind): _numpy_step(kind, shape) for kind in ("RNN", "LSTM")
        }
        times: dict[tuple[str, str], list[float]] = {key: [] for key in steps}
        for repeat in range(REPEATS + 2):
            for key, step in steps.items():
                start = perf_counter()
                step()
                if repeat >= 2:  # the first two warm up
                    times[key].append(perf_counter() - start)
        for library in ("torch.nn", "lstm"):
            rnn, cell = (np.array(times[library, kind]) for kind in ("RNN", "LSTM"))
            low, middle, high = np.quantile(cell / rnn, [0.25, 0.5, 0.75])
            rows.append(
                {
                    "shape": name,
                    "B, T, D, H": list(shape),
                    "library": library,
                    "rnn_ms": round(1e3 * float(np.median(rnn)), 3),
                    "lstm_ms": round(1e3 * float(np.median(cell)), 3),
                    "ratio": round(float(middle), 3),
                    "ratio_quartiles": [round(float(low), 3), round(float(high), 3)],
                }
            )
    return {"repeats": REPEATS, "threads": 1, "rows": rows}


if __name__ == "__main__":
    begin = perf_counter()
    content = measure()
    print(save_record("cost", content, perf_counter() - begin))
