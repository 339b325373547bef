"""Can a network learn to remember its first input for T steps? One training, and what it logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstm import checks
from lstm.initialise import orthogonal
from lstm.module import Parameter
from lstm.optim import Adam
from lstm.signatures import checked
from lstm_book.experiments.passes import ACTIVATIONS, INPUT_SIZE, KINDS, Passes, mask

LEARNT = 0.99
"""A network has learnt the task when it is right on so many of one evaluation's sequences."""
EVALUATED = 320
"""Sequences of an evaluation; no network has seen them before."""
EVERY = 25
"""Updates from one evaluation to the next."""
RECURRENT = ("uniform", "orthogonal", "identity", "keras")
SPREAD_OF_IDENTITY = 0.001


@checked
@dataclass(frozen=True)
class Cell:
    """What is trained, and from which start.

    Parameters
    ----------
    kind : {"rnn", "leaky", "gru", "lstm"}
        Elman network, leaky integrator with a learnt leak per unit, GRU or LSTM.
    hidden_size : int
        Units H.
    recurrent : {"uniform", "orthogonal", "identity", "keras"}
        Start of U: PyTorch's, uniform in ±1/√H; or each gate's block by itself a random
        orthogonal matrix, or the identity. "keras" is the whole start of Keras, as
        :func:`lstm.initialise.initialise_lstm` draws it: all blocks of U are *one* matrix with
        orthonormal columns, input weights and read-out are Glorot's.
    bias : float or "chrono"
        Start of the bias of what keeps the state: the LSTM's forget gate, the GRU's update gate
        and the leaky network's leak. "chrono" draws log u, with u uniform in [1, T - 1], and gives
        the LSTM's input gate -log u (Tallec and Ollivier, 2018). All other biases start at zero.
    activation : {"tanh", "relu", "identity"}
        Of the Elman network, or of the LSTM's candidate. An Elman network with ReLU and identity
        starts from input weights with standard deviation 0.001 (Le, Jaitly and Hinton, 2015).
    output_activation : {"tanh", "relu", "identity"}
        What the LSTM's output gate multiplies: of its cell state.
    """

    kind: str
    hidden_size: int
    recurrent: str = "uniform"
    bias: float | str = 0.0
    activation: str = "tanh"
    output_activation: str = "tanh"

    def __post_init__(self) -> None:
        checks.one_of("kind", self.kind, tuple(KINDS))
        checks.one_of("recurrent", self.recurrent, RECURRENT)
        if self.recurrent == "keras":
            checks.one_of("kind", self.kind, ("rnn", "lstm"))  # the others have empty blocks here
        for name in ("activation", "output_activation"):
            checks.one_of(name, getattr(self, name), ACTIVATIONS)
        if self.bias != "chrono":
            checks.number("bias", self.bias)

    @property
    def num_parameters(self) -> int:
        """Numbers in W, U and b; what a kind has not is not counted."""
        return int(mask(self.kind, self.hidden_size).sum())

    @checked
    def start(self, seed: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw the matrix M of :mod:`~lstm_book.experiments.passes`, and the read-out v.

        Parameters
        ----------
        seed : int
            Cells of one kind and size share W and v of a seed, whatever their U and biases.
        steps : int
            T, for the chrono biases.

        Returns
        -------
        M : ndarray, shape (blocks · H, H + 3)
            Columns for h, for the two inputs and for the bias.
        v : ndarray, shape (H,)
            The answer is the sign of v h_T + beta; beta starts at zero.
        """
        H, blocks = self.hidden_size, KINDS[self.kind]
        rng, rng_U, rng_bias = (np.random.default_rng([seed, n]) for n in (0, 3, 4))
        W = rng.uniform(-(H**-0.5), H**-0.5, (blocks * H, INPUT_SIZE))
        v = rng.uniform(-(H**-0.5), H**-0.5, H)
        if self.recurrent == "uniform":
            U = rng_U.uniform(-(H**-0.5), H**-0.5, (blocks * H, H))
        elif self.recurrent == "orthogonal":
            U = np.vstack([orthogonal(H, H, rng=rng_U) for _ in range(blocks)])
        elif self.recurrent == "keras":
            U = orthogonal(blocks * H, H, rng=rng_U)
            W *= (6 * H / (blocks * H + INPUT_SIZE)) ** 0.5
            v *= (6 * H / (H + 1)) ** 0.5
        else:
            U = np.vstack([np.eye(H)] * blocks)
            if self.activation == "relu":
                W = SPREAD_OF_IDENTITY * rng.standard_normal(W.shape)
        b = np.zeros((blocks, H))
        chrono = self.bias == "chrono"
        keep = np.log(rng_bias.uniform(1, steps - 1, H)) if chrono else self.bias
        if self.kind != "rnn":
            b[{"leaky": 0, "gru": 1, "lstm": 1}[self.kind]] = keep
        if self.kind == "lstm" and chrono:
            b[0] = -keep
        return np.hstack([U, W, b.reshape(-1, 1)]) * mask(self.kind, H), v


@checked
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
    checks.room(steps * batch * INPUT_SIZE, batch=batch, steps=steps)
    x = np.zeros((steps, batch, INPUT_SIZE))
    x[..., 0] = 2 * rng.integers(0, 2, (steps, batch)) - 1
    x[0, :, 1] = 1
    return x, (x[0, :, 0] > 0).astype(float)


class Training:
    """One network, its optimiser and its sources of sequences.

    Parameters
    ----------
    cell, steps, lr, max_norm, batch, dtype
        As for :func:`train_to_remember`.
    seed : int
        Of the weights and of all sequences.

    Attributes
    ----------
    weights : Parameter
        All of them in a row: M, v, beta.
    """

    def __init__(
        self,
        cell: Cell,
        steps: int,
        seed: int,
        lr: float = 0.01,
        max_norm: float | None = 1.0,
        batch: int = 32,
        dtype: type = np.float32,
    ) -> None:
        M, v = cell.start(seed, steps)
        self.cell, self.steps, self.batch, self.dtype = cell, steps, batch, dtype
        self.max_norm = max_norm
        self.weights = Parameter(np.concatenate([M.ravel(), v, [0]]).astype(dtype))
        self.M, self.v = self.weights.data[: M.size].reshape(M.shape), self.weights.data[M.size :]
        self.mask = mask(cell.kind, cell.hidden_size)
        self.trained = np.concatenate([self.mask.ravel(), np.ones(len(v) + 1)]) > 0
        self.adam = Adam([self.weights], lr)
        self.data, self.unseen = (np.random.default_rng([seed, n]) for n in (1, 2))
        self.passes = self.passes_over(steps)

    def passes_over(self, steps: int) -> Passes:
        """Return passes over so many steps."""
        cell = self.cell
        activations = cell.activation, cell.output_activation
        return Passes(cell.kind, cell.hidden_size, steps, self.batch, *activations, self.dtype)

    def logits(self, passes: Passes, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return h_T, (B, H), and the answers, (B,)."""
        h = passes.forward(self.M, x)
        return h, h @ self.v[:-1] + self.v[-1]

    def gradient(self) -> np.ndarray | None:
        """Set the gradient of the mean loss on a fresh batch.

        Returns
        -------
        ndarray or None
            What :meth:`~lstm_book.experiments.passes.Passes.keep` says on the way.
        """
        x, y = remember_task(self.data, self.batch, self.steps)
        h, logits = self.logits(self.passes, x)
        d_logits = ((0.5 + 0.5 * np.tanh(logits / 2) - y) / self.batch).astype(self.dtype)
        self.d_h = d_logits[:, None] * self.v[:-1]
        keep = self.passes.keep()  # the pass backward overwrites the gates
        d_M = self.passes.backward(self.M, self.d_h) * self.mask
        self.weights.grad[...] = np.concatenate([d_M.ravel(), d_logits @ h, [d_logits.sum()]])
        return keep

    def step(self) -> float:
        """Clip the gradient, take Adam's step, and return the norm before clipping."""
        norm = float(np.linalg.norm(self.weights.grad.astype(float)))
        if np.isfinite(norm):  # or there is no step to take
            if self.max_norm is not None and norm > self.max_norm:
                self.weights.grad *= self.max_norm / norm
            self.adam.step()
        return norm

    def accuracy(self, passes: Passes, steps: int) -> float:
        """Return the share of right answers on ``EVALUATED`` new sequences."""
        right = 0
        for _ in range(EVALUATED // self.batch):
            x, y = remember_task(self.unseen, self.batch, steps)
            right += int(((self.logits(passes, x)[1] > 0) == (y > 0.5)).sum())
        return right / EVALUATED


def train_to_remember(
    cell: Cell,
    steps: int,
    seeds: Sequence[int],
    updates: int = 600,
    lr: float = 0.01,
    max_norm: float | None = 1.0,
    *,
    batch: int = 32,
    beyond: Sequence[int] = (),
    until_learnt: bool = False,
    dtype: type = np.float32,
) -> dict[str, list[Any]]:
    """Train one network per seed on fresh sequences with Adam and norm clipping.

    Parameters
    ----------
    cell : Cell
        What to train.
    steps : int
        T: the answer is asked for T - 1 steps after the sign was shown.
    seeds : sequence of int
        One network each; a seed fixes its weights, and the sequences that any cell is shown.
    updates : int
        How many. A gradient that is not finite is left out.
    lr : float
        Adam's learning rate.
    max_norm : float, optional
        Clip each network's gradient to this norm; None: do not.
    batch : int
        Sequences per update, a multiple of 32.
    beyond : sequence of int
        Evaluate what was learnt also on sequences so many times as long.
    until_learnt : bool
        End a training as soon as the task is learnt; else nothing ends it early.
    dtype : type
        float32 or float64.

    Returns
    -------
    dict
        Name → one entry per seed: ``learnt_at`` (the update of the first evaluation, every 25
        updates on 320 new sequences, with at least 99 % right; or None), ``accuracy`` (of the
        last evaluation), ``beyond`` (accuracy on the longer sequences), ``first_gradient``,
        ``largest_gradient`` and ``largest_at`` (norms before clipping, and the update of the
        largest), ``finite`` (whether they were finite numbers
        to the end); and lists with a number for update 1 and each update with an evaluation:
        ``share`` (log10 of how much of the gradient of h_T reaches the first state), ``keep`` and
        ``keep_most`` (mean of the forget gates, or of what stands in their place, and of those of
        the unit that is most open), ``step`` (mean size of Adam's step, in learning rates).
    """
    runs = []
    for seed in seeds:
        training = Training(cell, steps, seed, lr, max_norm, batch, dtype)
        runs.append(_train(training, updates, beyond, until_learnt))
    return {name: [run[name] for run in runs] for name in runs[0]}


@checks.quiet
def _train(
    training: Training, updates: int, beyond: Sequence[int], until_learnt: bool
) -> dict[str, Any]:
    weights, norms, accuracy, learnt_at = training.weights, [], 0.5, None
    log = {name: [] for name in ("share", "keep", "keep_most", "step")}
    for update in range(1, updates + 1):
        keep = training.gradient()
        before = weights.data.copy()
        norms.append(training.step())
        if update != 1 and update % EVERY:
            continue
        log["share"].append(float(np.log10(training.passes.share(training.d_h) + 1e-45)))
        if keep is not None:
            log["keep"].append(float(keep.mean()))
            log["keep_most"].append(float(keep.max()))
        moved = np.abs(weights.data - before)[training.trained].mean()
        log["step"].append(float(moved / training.adam.lr))
        if update % EVERY == 0:
            accuracy = training.accuracy(training.passes, training.steps)
            if learnt_at is None and accuracy >= LEARNT:
                learnt_at = update
                if until_learnt:
                    break
    longer = [training.steps * times for times in beyond]
    return {
        "learnt_at": learnt_at,
        "accuracy": accuracy,
        "beyond": [training.accuracy(training.passes_over(n), n) for n in longer],
        "first_gradient": norms[0],
        "largest_gradient": float(np.nanmax(norms)),
        "largest_at": int(np.nanargmax(norms)) + 1,
        "finite": bool(np.isfinite(norms).all()),
        **log,
    }
