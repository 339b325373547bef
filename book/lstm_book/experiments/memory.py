"""Can a network learn to remember its first input for T steps? Many seeds trained side by side.

Every array of a network has the seeds as its first axis, so one loop over time serves them all; a
seed's result does not depend on the seeds beside it. The gradients are PyTorch's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lstm import checks
from lstm.equations import rnn_parameter_count

try:
    import torch
except ImportError as error:
    raise ImportError(
        "lstm_book.experiments needs PyTorch: pip install 'lstm-checked[torch]'"
    ) from error

INPUT_SIZE = 2
SOLVED_ACCURACY = 0.99
"""A seed has learnt the task when the mean of ``SOLVED_BATCHES`` batches reaches this accuracy."""
SOLVED_BATCHES = 10
_ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu, "identity": lambda a: a}


@dataclass(frozen=True)
class Cell:
    """What is trained.

    Parameters
    ----------
    kind : {"rnn", "lstm"}
        Elman network or LSTM; both with PyTorch's uniform initial weights in ±1/√H.
    hidden_size : int
        Units H.
    forget_bias : float, optional
        Replaces the initial bias of the LSTM's forget gate.
    orthogonal : bool
        Start the Elman network's U from a random rotation instead.
    activation : {"tanh", "relu"}
        Of the Elman network, or of the LSTM's candidate.
    output_activation : {"tanh", "relu", "identity"}
        What the LSTM's output gate multiplies: of its cell state.
    """

    kind: str
    hidden_size: int
    forget_bias: float | None = None
    orthogonal: bool = False
    activation: str = "tanh"
    output_activation: str = "tanh"

    def __post_init__(self) -> None:
        checks.one_of("kind", self.kind, ("rnn", "lstm"))
        for name in ("activation", "output_activation"):
            checks.one_of(name, getattr(self, name), tuple(_ACTIVATIONS))

    @property
    def blocks(self) -> int:
        """One row of weights per unit, or one for each gate and the candidate."""
        return 4 if self.kind == "lstm" else 1

    @property
    def num_parameters(self) -> int:
        """Numbers in W, U and b."""
        return self.blocks * rnn_parameter_count(INPUT_SIZE, self.hidden_size)

    def initial_weights(self, seeds: Sequence[int]) -> dict[str, torch.Tensor]:
        """Draw W, U, b and the read-out v, beta for every seed, stacked along the first axis."""
        H, rows = self.hidden_size, self.blocks * self.hidden_size
        shapes = {"W": (rows, INPUT_SIZE), "U": (rows, H), "b": (rows,), "v": (1, H)}
        drawn = {name: [] for name in (*shapes, "beta")}
        for seed in seeds:
            rng = np.random.default_rng([seed, 0])
            weights = {name: rng.uniform(-(H**-0.5), H**-0.5, shapes[name]) for name in shapes}
            if self.orthogonal:
                weights["U"] = np.linalg.qr(rng.standard_normal((H, H)))[0]
            if self.forget_bias is not None:
                weights["b"][H : 2 * H] = self.forget_bias
            for name, array in (weights | {"beta": np.zeros(1)}).items():
                drawn[name].append(array)
        return {
            name: torch.tensor(np.stack(arrays), requires_grad=True)
            for name, arrays in drawn.items()
        }

    def logits(self, weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        """Read the inputs (S, T, B, 2) and return one number per sequence, (S, B)."""
        seeds, steps, batch, _ = x.shape
        W, U, b, v, beta = weights.values()
        # W x_t + b of all steps at once; the recurrent part has to wait for its turn.
        from_input = torch.baddbmm(b[:, None], x.flatten(1, 2), W.mT)
        from_input = from_input.unflatten(1, (steps, batch)).unbind(1)
        h = c = x.new_zeros(seeds, batch, self.hidden_size)
        activation = _ACTIVATIONS[self.activation]
        for a_x in from_input:
            a = torch.baddbmm(a_x, h, U.mT)
            if self.kind == "rnn":
                h = activation(a)
                continue
            i, f, g, o = a.chunk(4, dim=-1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * activation(g)
            h = torch.sigmoid(o) * _ACTIVATIONS[self.output_activation](c)
        return torch.baddbmm(beta[:, None], h, v.mT)[..., 0]


def remember_task(
    rng: np.random.Generator, batch: int, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw sequences whose label is the sign shown at the first step.

    Channel 0 is +1 or -1 at random at every step, so T - 1 of the T signs distract; channel 1
    marks the first step with a 1.

    Parameters
    ----------
    rng : Generator
        Source of the signs.
    batch, steps : int
        B sequences of T steps.

    Returns
    -------
    x : ndarray, shape (T, B, 2)
        Inputs.
    y : ndarray, shape (B,)
        1.0 where the first sign is +1, else 0.0.
    """
    x = np.zeros((steps, batch, INPUT_SIZE))
    x[..., 0] = rng.choice([-1.0, 1.0], (steps, batch))
    x[0, :, 1] = 1
    return x, (x[0, :, 0] > 0).astype(float)


def train_to_remember(
    cell: Cell,
    steps: int,
    seeds: Sequence[int],
    updates: int,
    batch: int = 32,
    lr: float = 0.01,
    max_norm: float | None = 1.0,
) -> dict[str, list]:
    """Train one network per seed on fresh sequences with Adam and norm clipping.

    Parameters
    ----------
    cell : Cell
        What to train.
    steps : int
        T: the answer is asked for T - 1 steps after the sign was shown.
    seeds : sequence of int
        One network each; a seed fixes its weights and its data.
    updates : int
        The budget; training ends earlier when every seed has learnt the task.
    batch, lr : int, float
        Sequences per update; Adam's learning rate.
    max_norm : float, optional
        Clip each network's gradient to this norm; None: do not.

    Returns
    -------
    dict
        Per seed: ``solved_at`` (the update at which the mean accuracy over the last ten batches,
        none of them seen before, first reached 99 %, or None), ``accuracy`` (that mean at the
        end), ``first_gradient`` (norm of the gradient of the first update, unclipped),
        ``largest_gradient`` (over all updates) and ``finite`` (whether loss and gradient were
        finite numbers to the end).
    """
    weights = cell.initial_weights(seeds)
    sources = [np.random.default_rng([seed, 1]) for seed in seeds]
    adam = _Adam(weights, lr)
    accuracies, norms = [], []
    solved_at: list[int | None] = [None] * len(seeds)
    finite = np.ones(len(seeds), bool)
    for update in range(1, updates + 1):
        drawn = [remember_task(rng, batch, steps) for rng in sources]
        x, y = (torch.tensor(np.stack(arrays)) for arrays in zip(*drawn, strict=True))
        logits = cell.logits(weights, x)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, y, reduction="none"
        ).mean(1)
        gradients = torch.autograd.grad(loss.sum(), list(weights.values()))
        norm = torch.sqrt(sum(g.flatten(1).square().sum(1) for g in gradients))
        norms.append(norm.numpy())
        finite &= np.isfinite(norms[-1]) & np.isfinite(loss.detach().numpy())
        scale = torch.ones_like(norm) if max_norm is None else (max_norm / norm).clamp(max=1)
        adam.step(gradients, scale)
        accuracies.append(((logits > 0) == (y > 0.5)).double().mean(1).numpy())
        recent = np.mean(accuracies[-SOLVED_BATCHES:], axis=0)
        if update >= SOLVED_BATCHES:
            for index in np.flatnonzero(recent >= SOLVED_ACCURACY):
                solved_at[index] = solved_at[index] or update
        if all(solved_at):
            break
    return {
        "solved_at": solved_at,
        "accuracy": recent.round(4).tolist(),
        "first_gradient": norms[0].tolist(),
        "largest_gradient": np.max(norms, axis=0).tolist(),
        "finite": finite.tolist(),
    }


class _Adam:
    """Adam with PyTorch's defaults, and one clipping factor per seed."""

    def __init__(self, weights: dict[str, torch.Tensor], lr: float) -> None:
        self.weights, self.lr, self.steps = list(weights.values()), lr, 0
        self.m = [torch.zeros_like(w) for w in self.weights]
        self.v = [torch.zeros_like(w) for w in self.weights]

    @torch.no_grad()
    def step(self, gradients: Sequence[torch.Tensor], scale: torch.Tensor) -> None:
        self.steps += 1
        correct_m, correct_v = 1 - 0.9**self.steps, 1 - 0.999**self.steps
        for weight, gradient, m, v in zip(self.weights, gradients, self.m, self.v, strict=True):
            g = gradient * scale.reshape(-1, *[1] * (gradient.ndim - 1))
            m.mul_(0.9).add_(g, alpha=0.1)
            v.mul_(0.999).addcmul_(g, g, value=0.001)
            weight -= self.lr * (m / correct_m) / (torch.sqrt(v / correct_v) + 1e-8)
