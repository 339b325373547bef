"""What reads all steps at once, in PyTorch: a small Transformer, mLSTM and minLSTM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from lstm_book.experiments.tracking import DIM, IGNORED, WIDTH, Task, fitting_size
from lstm_book.experiments.writer import SYMBOLS, WARM_UP, WINDOW, Writer, cost
from lstm_book.recipes.torch_engine import Summed

LAYERS, HEADS = 2, 4
ALIBI = [2.0**-k for k in (2, 4, 6, 8)]
"""Slopes of the penalties for distance, one for each head (Press, Smith and Lewis, 2022)."""


def tagger(name: str, task: Task, seed: int) -> nn.Module:
    """Return what maps tokens (B, T), or (B, T, n), to logits (B, T, K).

    Parameters
    ----------
    name : str
        Contestant.
    task : Task
        Tells the numbers of tokens and labels.
    seed : int
        Of the initial weights.
    """
    size = fitting_size(name, task)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [(nn.Embedding if task.every_step else Summed)(task.tokens, WIDTH)]
        if name.startswith("Transformer"):
            slopes = ALIBI if name.endswith("distances") else [0.0] * HEADS
            layers += [nn.Linear(WIDTH, DIM), Transformer(size, DIM, slopes)]
            size = DIM
        elif name == "mLSTM":
            layers += [MatrixLayer(WIDTH, size), MatrixLayer(size, size)]
        else:
            signed = name.endswith("signed")
            layers += [MinLayer(WIDTH, size, signed), MinLayer(size, size, signed)]
        return nn.Sequential(*layers, nn.Linear(size, task.classes))


class Transformer(nn.Module):
    """Causal attention, layer norm first; two blocks.

    Parameters
    ----------
    size, dim : int
        Units of the dense layers, and the width of everything else.
    slopes : list of float
        Of the penalties for distance, one for each head (Press, Smith and Lewis, 2022); with zeros
        nothing but the mask tells positions.
    """

    def __init__(self, size: int, dim: int, slopes: list[float]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(size, dim, len(slopes)) for _ in range(LAYERS))
        self.norm, self.slopes = nn.LayerNorm(dim), slopes

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """(B, T, dim) to the same."""
        bias = causal_bias(h.shape[1], self.slopes)
        for block in self.blocks:
            h = block(h, bias)
        return self.norm(h)


def causal_bias(steps: int, slopes: list[float]) -> torch.Tensor:
    """Return what is added to the scores, (heads, T, T): a penalty for distance, no look ahead."""
    where = torch.arange(steps)
    distance = (where[:, None] - where).float()
    bias = -torch.tensor(slopes)[:, None, None] * distance
    return bias.masked_fill(distance < 0, -torch.inf)


class Block(nn.Module):
    """Attention and two dense layers, each added to what goes in."""

    def __init__(self, size: int, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(dim), nn.LayerNorm(dim)])
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.dense = nn.Sequential(nn.Linear(dim, size), nn.GELU(), nn.Linear(size, dim))

    def forward(self, h: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """(B, T, dim) to the same; ``bias`` (heads, T, T) is added to the scores."""
        qkv = self.qkv(self.norms[0](h)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(*qkv, attn_mask=bias)
        h = h + self.out(seen.transpose(1, 2).flatten(2))
        return h + self.dense(self.norms[1](h))


class MatrixLayer(nn.Module):
    """:class:`lstm.variants.MLSTM` from zero states, with all steps at once and the same weights.

    Each step reads every value written so far, weighted by how well its key fits the query, by its
    input gate and by the forget gates since: attention with a decay, computed as in Beck et al.
    (2024), their parallel form.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.affine = nn.Linear(input_size, 4 * hidden_size + 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, D) to the hidden states (B, T, H)."""
        H = self.hidden_size
        q, k, v, o, gates = self.affine(x).split([H, H, H, H, 2], dim=-1)
        since = F.logsigmoid(gates[..., 1]).cumsum(1)
        weight = since[:, :, None] - since[:, None] + gates[:, None, :, 0]
        weight = weight.masked_fill(torch.ones_like(weight[0]).triu(1) > 0, -torch.inf)
        scale = weight.amax(-1, keepdim=True).clamp(min=0)
        scores = q @ k.mT * H**-0.5 * (weight - scale).exp()
        norm = scores.sum(-1, keepdim=True).abs().maximum((-scale).exp())
        return o.sigmoid() * (scores @ v / norm)


class MinLayer(nn.Module):
    """:class:`lstm.variants.MinLSTM` from a zero state, with the same weights.

    What each step multiplies the state by and adds to it is computed for all steps at once.
    """

    def __init__(self, input_size: int, hidden_size: int, signed: bool = False) -> None:
        super().__init__()
        self.affine, self.signed = nn.Linear(input_size, 3 * hidden_size), signed

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, D) to the states (B, T, H)."""
        f, i, g = self.affine(x).chunk(3, dim=-1)
        keep = (F.logsigmoid(f) - F.logsigmoid(i)).sigmoid()
        factor = 2 * keep - 1 if self.signed else keep
        return Recurrence.apply(factor, (1 - keep) * g)


class Recurrence(torch.autograd.Function):
    """``h_t = factor_t * h_{t-1} + added_t`` from zero, over the second axis."""

    @staticmethod
    def forward(ctx, factor, added):
        """Return all h, (B, T, H)."""
        h, state = torch.empty_like(added), torch.zeros_like(added[:, 0])
        for t in range(added.shape[1]):
            torch.addcmul(added[:, t], factor[:, t], state, out=h[:, t])
            state = h[:, t]
        ctx.save_for_backward(factor, h)
        return h

    @staticmethod
    def backward(ctx, d_h):
        """Return the gradients of ``factor`` and ``added``."""
        factor, h = ctx.saved_tensors
        d_added = d_h.clone()
        for t in range(h.shape[1] - 1, 0, -1):
            d_added[:, t - 1].addcmul_(factor[:, t], d_added[:, t])
        before = F.pad(h[:, :-1], (0, 0, 1, 0))
        return d_added * before, d_added


class ParallelLearner:
    """One of them with Adam, called like the networks in NumPy."""

    def __init__(self, name: str, task: Task, seed: int) -> None:
        self.model = tagger(name, task, seed)
        self.optimizer = torch.optim.Adam(self.model.parameters())
        self.num_parameters = sum(p.numel() for p in self.model.parameters())

    def learn(self, x: np.ndarray, y: np.ndarray, lr: float) -> float:
        """Take one step on a batch and return its loss."""
        logits = self.model(torch.from_numpy(x.swapaxes(0, 1).copy()))
        labels = torch.from_numpy(y.T.copy())
        loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
        return _step(self.model, self.optimizer, loss, lr)

    @torch.no_grad()
    def answers(self, x: np.ndarray) -> np.ndarray:
        """Return the likeliest label at each step, (T, B)."""
        parts = torch.from_numpy(x.swapaxes(0, 1).copy()).split(8)
        return torch.cat([self.model(part).argmax(-1) for part in parts]).numpy().T


def character_transformer(size: int, dim: int = 96) -> nn.Module:
    """Return embedding → two blocks of eight heads with penalties for distance → logits."""
    slopes = [2.0**-k for k in range(1, 9)]
    return nn.Sequential(
        nn.Embedding(SYMBOLS, dim), Transformer(size, dim, slopes), nn.Linear(dim, SYMBOLS)
    )


class TransformerWriter:
    """A :func:`character_transformer` as large as the LSTM, with Adam, called like the latter."""

    def __init__(self, seed: int) -> None:
        wanted = sum(p.size for p in Writer(rng=0).parameters())
        with torch.device("meta"):  # counted, not made
            sizes = {n: _count(character_transformer(n)) for n in range(128, 384, 2)}
        size = min(sizes, key=lambda n: abs(sizes[n] - wanted))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = character_transformer(size)
        self.optimizer = torch.optim.Adam(self.model.parameters())
        self.num_parameters = _count(self.model)

    def learn(self, x: np.ndarray, y: np.ndarray, lr: float) -> float:
        """Take one step on a batch (T, B), without the batches before; return its loss in nats."""
        logits = self.model(torch.from_numpy(x.T.copy()))
        loss = F.cross_entropy(logits.flatten(0, 1), torch.from_numpy(y.T.copy()).flatten())
        return _step(self.model, self.optimizer, loss, lr)

    @torch.no_grad()
    def bits(self, ids: np.ndarray) -> np.ndarray:
        """Return what each character costs after the 64 to 127 before it; not the first 128."""
        ids, step = ids[WARM_UP - WINDOW :], WINDOW
        many = -(-(len(ids) - step) // step)
        padded = np.concatenate([ids, np.zeros(2 * step, ids.dtype)])
        rows = padded[step * np.arange(many)[:, None] + np.arange(2 * step)]
        parts = torch.from_numpy(rows[:, :-1]).split(16)
        logits = torch.cat([self.model(part)[:, step - 1 :] for part in parts]).numpy()
        return cost(logits, rows[:, step:]).ravel()[: len(ids) - step]

    @torch.no_grad()
    def next_logits(self, ids: np.ndarray) -> np.ndarray:
        """Return the logits of what comes after some characters, (V,)."""
        return self.model(torch.from_numpy(ids[None]))[0, -1].numpy()

    def weights(self) -> list[np.ndarray]:
        """Return copies of all parameters."""
        return [p.detach().numpy().copy() for p in self.model.parameters()]

    def set_weights(self, weights: list[np.ndarray]) -> None:
        """Put such copies back."""
        with torch.no_grad():
            for parameter, value in zip(self.model.parameters(), weights, strict=True):
                parameter.copy_(torch.from_numpy(value))

    def save(self, path: Path) -> None:
        """Write the weights in half precision."""
        named = self.model.state_dict().items()
        np.savez_compressed(path, **{name: value.half().numpy() for name, value in named})


def _count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def _step(
    model: nn.Module, optimizer: torch.optim.Optimizer, loss: torch.Tensor, lr: float
) -> float:
    """Go one step down a loss, its gradient clipped at norm 1; return it."""
    optimizer.param_groups[0]["lr"] = lr
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()
