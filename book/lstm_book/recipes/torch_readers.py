"""What people take today in the place of an LSTM, small: a convolution, and a transformer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from lstm.schedules import linear
from lstm.training import shuffled
from lstm_book.recipes.recipe import Answers, Part, Settings, Task


def _embedding(vocabulary_size: int, settings: Settings) -> nn.Embedding:
    """Return one vector for each word, at the start of the size that the LSTM's words have."""
    embedding = nn.Embedding(vocabulary_size, settings["embedding_dim"], padding_idx=0)
    embedding.weight.data *= settings["embedding_scale"]
    return embedding


class Convolution(nn.Module):
    """Embedding → filters over 3, 4 and 5 words → largest value → logit (Kim, 2014)."""

    def __init__(self, vocabulary_size: int, settings: Settings) -> None:
        super().__init__()
        width, filters = settings["embedding_dim"], settings["filters"]
        self.embedding = _embedding(vocabulary_size, settings)
        self.filters = nn.ModuleList(
            nn.Conv1d(width, filters, size, padding=size // 2) for size in (3, 4, 5)
        )
        self.dropout = nn.Dropout(settings["dropout"])
        self.head = nn.Linear(3 * filters, 1)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Numbers of words (B, T) to logits (B, 1)."""
        x = self.dropout(self.embedding(ids)).transpose(1, 2)
        found = [torch.relu(each(x)).amax(dim=2) for each in self.filters]
        return self.head(self.dropout(torch.cat(found, dim=1)))


class Transformer(nn.Module):
    """Embedding and position → one layer of attention → mean → logit (Vaswani, 2017)."""

    def __init__(self, vocabulary_size: int, settings: Settings) -> None:
        super().__init__()
        width = settings["embedding_dim"]
        self.embedding = _embedding(vocabulary_size, settings)
        self.position = nn.Parameter(0.02 * torch.randn(settings["max_length"], width))
        layer = nn.TransformerEncoderLayer(
            width, settings["heads"], 2 * width, dropout=0.1, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.dropout = nn.Dropout(settings["dropout"])
        self.head = nn.Linear(width, 1)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Numbers of words (B, T) to logits (B, 1)."""
        x = self.dropout(self.embedding(ids)) + self.position[: ids.shape[1]]
        counts = (ids > 0).unsqueeze(2)
        x = self.layers(x, src_key_padding_mask=ids == 0)
        mean = (x * counts).sum(dim=1) / counts.sum(dim=1)
        return self.head(self.dropout(mean))


def run(build: Callable, task: Task, settings: Settings, seed: int) -> Answers:
    """Train with Adam and a rate that falls to zero, batches of similar length."""
    torch.manual_seed(seed)
    rng = np.random.default_rng([seed, 1])
    model = build(task.vocabulary_size, settings)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings["lr"])
    loss = nn.BCEWithLogitsLoss()
    size = settings["batch_size"]
    batches = -(-len(task.train.targets) // size)
    steps = settings["epochs"] * batches
    for step in range(steps):
        if step % batches == 0:
            order = shuffled(len(task.train.targets), size, rng, task.bucket_by)
        batch = order[step % batches * size :][:size]
        inputs = [array[batch] for array in task.train.inputs]
        if task.augment is not None:
            inputs = task.augment(rng, *inputs)
        for group in optimizer.param_groups:
            group["lr"] = settings["lr"] * linear(step / steps)
        optimizer.zero_grad()
        targets = torch.from_numpy(task.train.targets[batch].astype(np.float32))
        loss(model(_cut(*inputs)), targets).backward()
        nn.utils.clip_grad_norm_(model.parameters(), settings["max_norm"])
        optimizer.step()
    model.eval()
    outputs = [_outputs(model, part) for part in (task.validation, task.test)]
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Answers(*outputs, {"torch": torch.__version__}, parameters)


def _cut(ids: np.ndarray, lengths: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(ids[:, : lengths.max()].astype(np.int64))


def _outputs(model: nn.Module, part: Part) -> np.ndarray:
    """Return a logit for each example; those of similar length are read together."""
    ids, lengths = part.inputs
    logits = np.empty((len(lengths), 1), np.float32)
    by_length = np.argsort(lengths, kind="stable")
    with torch.no_grad():
        for rows in np.array_split(by_length, -(-len(lengths) // 256)):
            logits[rows] = model(_cut(ids[rows], lengths[rows])).numpy()
    return logits
