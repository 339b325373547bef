"""Gradient through time: an RNN and an LSTM, with knobs (chapter on what the LSTM solves)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

import lstm
from lstm.variants import RNN
from lstm_book.figures.palette import COLORS
from lstm_book.figures.plots import figure, style
from lstm_book.figures.svg import inline_svg
from lstm_book.figures.widgets.files import pack, unpack
from lstm_book.figures.widgets.page import figure_page
from lstm_book.figures.widgets.reader import layer_of

SEEDS = 5
INPUT_SIZE, HIDDEN_SIZE = 4, 16
LONGEST = 300
START = {"steps": 100, "bias": 1.0, "scale": 1.0}
"""What the still figure shows, and the widget at first."""
LAYERS = {"lstm": lstm.LSTM, "rnn": RNN}
RANGE = (-24, 8)
"""Powers of ten that the figure shows."""

_CAPTION = f"""
How much of an error at the last step arrives at earlier ones, in {SEEDS} networks of
{HIDDEN_SIZE} units with random weights and inputs; bold, their median. The loss is one fixed
combination of the last hidden state’s entries, its gradient there has norm 1; shown is the norm of
its gradient with respect to the whole state of an earlier step, <var>h</var> for the RNN,
<var>h</var> and <var>c</var> for the LSTM. Clipping scales the gradient of all weights by one
factor: it moves a whole curve down, and raises none.
"""


def data(folder: Path, train: bool) -> dict:
    """Return the weights (uniform in ±1/√H, as PyTorch's), inputs and losses of every seed."""
    networks = []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        bound = HIDDEN_SIZE**-0.5
        network = {"x": pack(rng.standard_normal((LONGEST, INPUT_SIZE)))}
        direction = rng.standard_normal(HIDDEN_SIZE)
        network["v"] = pack(direction / np.linalg.norm(direction))
        for name, rows in (("lstm", 4 * HIDDEN_SIZE), ("rnn", HIDDEN_SIZE)):
            shapes = {"W": (rows, INPUT_SIZE), "U": (rows, HIDDEN_SIZE), "b": (rows,)}
            network[name] = {
                key: pack(rng.uniform(-bound, bound, shape)) for key, shape in shapes.items()
            }
        networks.append(network)
    return {"start": START, "longest": LONGEST, "range": RANGE, "networks": networks}


def layer(name: str, network: dict, bias: float, scale: float) -> lstm.LSTM | RNN:
    """Return one network, its recurrent weights scaled and its forget bias replaced."""
    weights = {key: unpack(value) for key, value in network[name].items()}
    if name == "lstm":
        weights["b"][HIDDEN_SIZE : 2 * HIDDEN_SIZE] = bias
    return layer_of(weights | {"U": scale * weights["U"]}, LAYERS[name])


def arriving(name: str, network: dict, steps: int, bias: float, scale: float) -> np.ndarray:
    """Return the norm of the gradient that arrives 0, 1, ..., ``steps`` - 1 steps back."""
    made = layer(name, network, bias, scale)
    x, d_last = unpack(network["x"])[:steps], unpack(network["v"])
    d_state = d_last if name == "rnn" else (d_last, np.zeros(HIDDEN_SIZE))
    states = [np.zeros(HIDDEN_SIZE), np.zeros(HIDDEN_SIZE)]
    before = []
    for x_t in x:
        before.append(_as_state(name, states))
        _, after = made(x_t[None], before[-1])
        states = [part[0] for part in (after if name == "lstm" else (after,))]
    norms = []
    for x_t, state in zip(x[::-1], before[::-1], strict=True):
        parts = d_state if name == "lstm" else (d_state,)
        norms.append(np.sqrt(sum((part**2).sum() for part in parts)))
        made(x_t[None], state)
        d_state = made.backward(None, _as_state(name, [part.reshape(-1) for part in parts]))[1]
    return np.array(norms)


def clip_factor(
    name: str, network: dict, steps: int, bias: float, scale: float, largest: float
) -> float:
    """Return the factor by which clipping at norm ``largest`` scales the gradient of W, U and b."""
    made = layer(name, network, bias, scale)
    made(unpack(network["x"])[:steps])
    d_last = unpack(network["v"])[None]
    made.backward(None, (d_last, None) if name == "lstm" else d_last)
    gradients = (made.weight_ih_l0.grad, made.weight_hh_l0.grad, made.bias_ih_l0.grad)
    return min(1.0, largest / np.sqrt(sum((grad**2).sum() for grad in gradients)))


def _as_state(name: str, states: list[np.ndarray]) -> tuple | np.ndarray:
    """Return states with the axis of layers, as the layer takes them."""
    return tuple(part[None] for part in states) if name == "lstm" else states[0][None]


def page(data: dict) -> str:
    """Return the curves at the start as a still figure."""
    norms = {
        name: np.array([arriving(name, network, **START) for network in data["networks"]])
        for name in LAYERS
    }
    with style():
        drawing, ax = figure(height=270)
        for name, dash in (("lstm", "-"), ("rnn", (0, (5, 1.6)))):
            color = COLORS[name]
            ax.plot(norms[name].T, color=color, linewidth=0.8, alpha=0.4, linestyle=dash)
            median = np.median(norms[name], axis=0)
            ax.plot(median, color=color, linewidth=2.4, linestyle=dash, label=name.upper())
        ax.set(yscale="log", xlabel="steps back", ylabel="norm of the gradient")
        ax.set_ylim(*(10.0**power for power in RANGE))
        ax.set_yticks([10.0**power for power in range(RANGE[0], RANGE[1] + 1, 4)])
        ax.minorticks_off()
        ax.legend()
        first = {name: np.median(norms[name][:, -1]) for name in LAYERS}
        svg = inline_svg(
            drawing,
            name="widget-gradient",
            alt=f"On a logarithmic axis both curves fall along almost straight lines. "
            f"{START['steps'] - 1} steps back, the LSTM with forget bias 1 has "
            f"{first['lstm']:.0e} left of the gradient, the RNN {first['rnn']:.0e}.",
        )
    plt.close(drawing)
    return figure_page("gradient", svg, _CAPTION)
