"""Another engine: the same network, trained on the same batches by PyTorch.

:func:`convert` makes a network of ``torch.nn`` out of one of ours, with its weights, and
:class:`TorchTrainer` trains it. Started by ``torchrun``, each process computes its share of every
batch, and all of them make the step that one process would make with the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

import lstm
from lstm.models import SequenceClassifier, Stack
from lstm.training import Inputs, Loss, State, Trainer
from lstm_book.recipes.pairs import SummedEmbedding

# --- the network --------------------------------------------------------------------------------


class Dropout(nn.Module):
    """Dropout whose masks do not depend on how many processes share a batch.

    Each process draws the masks of the whole batch, and keeps those of its own examples.

    Parameters
    ----------
    p : float
        The share of numbers that become zero.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p, self.batch, self.rows = p, 0, slice(None)
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return x (B, ...) with a share p of its numbers zero and the others larger."""
        if not self.training or self.p == 0:
            return x
        shape = (self.batch or len(x), *x.shape[1:])
        kept = torch.rand(shape, generator=self.generator, device=x.device)[self.rows] >= self.p
        return x * kept / (1 - self.p if self.p < 1 else 1)


class Recurrent(nn.Module):
    """``torch.nn.LSTM`` with ``lengths``, as fast as without.

    Every layer and direction is an ``nn.LSTM`` of its own; the reverse one reads each sequence
    reversed within its own length. Packed sequences say the same, in ten times the time on a CPU.

    Parameters
    ----------
    layer : lstm.LSTM
        The layer to copy, with ``batch_first``.
    """

    def __init__(self, layer: lstm.LSTM) -> None:
        super().__init__()
        options = {"bias": layer.bias, "proj_size": layer.proj_size, "batch_first": True}
        widths = [layer.input_size] + [layer.output_size] * (layer.num_layers - 1)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                nn.LSTM(width, layer.hidden_size, **options) for _ in range(layer.num_directions)
            )
            for width in widths
        )
        self.dropout = Dropout(layer.dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the hidden states (B, T, directions · P) and the last ones (B, directions · P).

        Behind the end of a sequence stands whatever the layer made of the padding.
        """
        steps, last = torch.arange(x.shape[1], device=x.device), lengths[:, None] - 1
        backwards = torch.where(steps <= last, last - steps, steps)
        for number, directions in enumerate(self.layers):
            x = self.dropout(x) if number else x
            outputs = [
                _take(scan(_take(x, backwards))[0], backwards) if reverse else scan(x)[0]
                for reverse, scan in enumerate(directions)
            ]
            x = torch.cat(outputs, dim=-1)
        ends = [_take(y, 0 * last if reverse else last) for reverse, y in enumerate(outputs)]
        return x, torch.cat(ends, dim=-1)[:, 0]


def _take(x: Tensor, steps: Tensor) -> Tensor:
    """Return for every sequence of x (B, T, ·) the given steps (B, S)."""
    return x.gather(1, steps[..., None].expand(-1, -1, x.shape[-1]))


class Stacked(nn.Module):
    """:class:`lstm.models.Stack` in PyTorch."""

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Apply every layer; see :class:`Recurrent`."""
        for layer in self.layers:
            x, final = layer(x, lengths)
        return x, final


class Summed(nn.Embedding):
    """:class:`lstm_book.recipes.pairs.SummedEmbedding` in PyTorch."""

    def forward(self, index: Tensor) -> Tensor:
        """Return the sum of the vectors of the last axis of ``index``."""
        return super().forward(index).sum(dim=-2)


class Classifier(nn.Module):
    """:class:`lstm.models.SequenceClassifier` in PyTorch."""

    def __init__(self, model: SequenceClassifier) -> None:
        super().__init__()
        self.embedding = convert(model.embedding) if model.embedding else nn.Identity()
        self.recurrent = convert(model.recurrent)
        self.head = convert(model.head)
        self.pooling = model.pooling

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return logits (B, K)."""
        if lengths is None:
            lengths = torch.full(x.shape[:1], x.shape[1], device=x.device)
        output, final = self.recurrent(self.embedding(x), lengths)
        outside = (torch.arange(output.shape[1], device=x.device) >= lengths[:, None])[..., None]
        if self.pooling == "max":
            final = output.masked_fill(outside, -torch.inf).amax(dim=1)
        elif self.pooling == "mean":
            final = output.masked_fill(outside, 0).sum(dim=1) / lengths[:, None]
        return self.head(final)


CONVERTED: dict[type[lstm.Module], Callable[[Any], nn.Module]] = {
    lstm.LSTM: Recurrent,
    Stack: lambda m: Stacked(map(convert, m.layers)),
    SequenceClassifier: Classifier,
    lstm.Sequential: lambda m: nn.Sequential(*map(convert, m.layers)),
    lstm.Linear: lambda m: nn.Linear(m.in_features, m.out_features, m.bias is not None),
    lstm.Embedding: lambda m: nn.Embedding(m.num_embeddings, m.embedding_dim, m.padding_idx),
    SummedEmbedding: lambda m: Summed(m.num_embeddings, m.embedding_dim, m.padding_idx),
    lstm.Dropout: lambda m: Dropout(m.p),
    lstm.ReLU: lambda m: nn.ReLU(),
}


def convert(model: lstm.Module) -> nn.Module:
    """Return the same network with the same weights in PyTorch.

    Its parameters come in the same order, and none of PyTorch's random numbers is used up.

    Raises
    ------
    ValueError
        If there is no such module in PyTorch here.
    """
    if type(model) not in CONVERTED or not getattr(model, "batch_first", True):
        raise ValueError(f"model must be made of layers that PyTorch has here, got {model!r}")
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        network = CONVERTED[type(model)](model)
        for tensor, parameter in zip(network.parameters(), model.parameters(), strict=True):
            tensor.data = torch.tensor(parameter.data)
    return network


# --- the training -------------------------------------------------------------------------------


class KerasRMSprop(torch.optim.Optimizer):
    """:class:`lstm.RMSprop` with epsilon under the root, as Keras has it and PyTorch has not."""

    def __init__(self, parameters: Iterable[Tensor], lr: float, alpha: float, eps: float) -> None:
        super().__init__(parameters, {"lr": lr, "alpha": alpha, "eps": eps})

    @torch.no_grad()
    def step(self) -> None:
        """Change every parameter once, from its gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient, alpha = parameter.grad, group["alpha"]
                square = self.state[parameter].setdefault("square", torch.zeros_like(parameter))
                square.mul_(alpha).addcmul_(gradient, gradient, value=1 - alpha)
                parameter.addcdiv_(gradient, (square + group["eps"]).sqrt(), value=-group["lr"])


LOSSES = {
    lstm.cross_entropy: lambda logits, y: functional.cross_entropy(logits, y.long()),
    lstm.binary_cross_entropy_with_logits: lambda logits, y: (
        functional.binary_cross_entropy_with_logits(logits, y.to(logits.dtype))
    ),
    lstm.mse_loss: lambda outputs, y: functional.mse_loss(outputs, y.to(outputs.dtype)),
}


def make_optimizer(
    kind: type[lstm.optim.Optimizer], parameters: Iterable[Tensor], **options: Any
) -> torch.optim.Optimizer:
    """Return PyTorch's optimiser with the rule of ours."""
    if kind is lstm.RMSprop:
        inside = options.pop("eps_inside", False)
        return (KerasRMSprop if inside else torch.optim.RMSprop)(parameters, **options)
    if kind is lstm.Adam:
        return torch.optim.Adam(parameters, fused=True, **options)
    return torch.optim.SGD(parameters, **options)


class TorchTrainer(Trainer):
    """Trains one of our models with PyTorch.

    Parameters
    ----------
    model : lstm.Module
        Where to start from; itself it stays as it is.
    loss : callable
        One of ``lstm.losses``.
    kind, options
        Which of our optimisers, with its arguments by name.
    device : str
        Where to compute.
    masks : Generator, int or None
        Source of the masks of dropout: of one seed for each step.
    **more
        As for :class:`lstm.Trainer`.
    """

    def __init__(
        self,
        model: lstm.Module,
        loss: Loss,
        kind: type[lstm.optim.Optimizer],
        options: dict[str, Any],
        *,
        device: str = "cpu",
        masks: lstm.module.Rng = None,
        **more: Any,
    ) -> None:
        self.names = [name for name, _ in model.named_parameters()]
        self.device, self.masks = torch.device(device), np.random.default_rng(masks)
        network = convert(model).to(self.device)
        super().__init__(
            network, loss, make_optimizer(kind, network.parameters(), **options), **more
        )
        self.generator = torch.Generator(self.device)
        self.dropouts = [m for m in network.modules() if isinstance(m, Dropout)]
        for dropout in self.dropouts:
            dropout.generator = self.generator
        self.rank, self.world, self.replica = 0, 1, network
        if distributed.is_initialized():
            self.rank, self.world = distributed.get_rank(), distributed.get_world_size()
            self.replica = DistributedDataParallel(network)

    def step(self, inputs: Inputs, targets: np.ndarray) -> float:
        """Make one step with a batch, of which this process computes its share."""
        rows = np.arange(self.rank, len(targets), self.world)
        share = len(rows) / len(targets)
        if not share:  # take part, with an example that does not count
            rows = np.zeros(1, int)
        self.generator.manual_seed(int(self.masks.integers(2**62)))
        for dropout in self.dropouts:
            dropout.batch, dropout.rows = len(targets), torch.from_numpy(rows).to(self.device)
        outputs = self.replica(*self._tensors(inputs, rows))
        loss = share * LOSSES[self.loss](outputs, *self._tensors([targets], rows))
        whole = loss.detach().clone()
        if self.world > 1:
            distributed.all_reduce(whole)
        self.check_finite(whole.item())
        self.optimizer.zero_grad()
        (self.world * loss).backward()  # the processes' gradients are averaged, not summed
        if self.max_norm is not None:
            nn.utils.clip_grad_norm_(
                self.model.parameters(), self.max_norm, error_if_nonfinite=True
            )
        self.optimizer.step()
        return whole.item()

    def predict(self, inputs: Inputs, *, batch_size: int = 256) -> np.ndarray:
        """Return the network's outputs, computed in evaluation mode, batch by batch."""
        inputs = inputs if isinstance(inputs, list | tuple) else [inputs]
        training = self.model.training
        self.model.eval()
        with torch.no_grad():
            batches = [
                self.model(*self._tensors([a[i : i + batch_size] for a in inputs], slice(None)))
                for i in range(0, len(inputs[0]), batch_size)
            ]
        self.model.train(training)
        return torch.cat(batches).numpy(force=True)

    def _tensors(self, arrays: Iterable[ArrayLike], rows: np.ndarray | slice) -> list[Tensor]:
        """Return those rows of arrays; without steps that are padding in the whole batch."""
        x, *lengths = map(np.asarray, arrays)
        x = x[:, : lengths[0].max()] if lengths else x
        return [torch.from_numpy(array[rows]).to(self.device) for array in (x, *lengths)]

    @property
    def lr(self) -> float:
        """The learning rate of the step."""
        return self.optimizer.param_groups[0]["lr"]

    @lr.setter
    def lr(self, value: float) -> None:
        self.optimizer.param_groups[0]["lr"] = value

    def weights(self) -> State:
        """Return a copy of the weights, under the names that they have in NumPy."""
        arrays = [tensor.numpy(force=True).copy() for tensor in self.model.parameters()]
        return dict(zip(self.names, arrays, strict=True))

    def load_weights(self, weights: State) -> None:
        """Copy weights into the network."""
        with torch.no_grad():
            for name, tensor in zip(self.names, self.model.parameters(), strict=True):
                tensor.copy_(torch.from_numpy(np.asarray(weights[name])))

    def moments(self) -> State:
        """Return a copy of the optimiser's state, by the number of the parameter and its name."""
        return {
            f"{index}.{name}": tensor.numpy(force=True).copy()
            for index, entry in self.optimizer.state_dict()["state"].items()
            for name, tensor in entry.items()
            if tensor is not None
        }

    def load_moments(self, moments: State) -> None:
        """Copy state into the optimiser."""
        state: dict[int, dict[str, Tensor]] = {}
        parameters = list(self.model.parameters())
        for name, array in moments.items():
            index, _, kind = name.partition(".")
            if array.shape not in ((), parameters[int(index)].shape):
                raise ValueError(f"optimizer/{name} cannot have shape {array.shape}")
            state.setdefault(int(index), {})[kind] = torch.tensor(array)
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": state})
