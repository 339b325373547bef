"""Another engine: the same network, computed by PyTorch, on the same batches.

:class:`Network` is one of our networks made of ``torch.nn``, and :class:`Optimizer` one of our
update rules made of ``torch.optim``; :class:`lstm.Trainer` trains them as it trains ours. Started
by ``torchrun``, each process computes its share of every batch, and all of them make the step that
one process would make with the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

import lstm
from lstm import checks
from lstm.models import SequenceClassifier, Stack
from lstm.module import Rng
from lstm_book.recipes.pairs import SummedEmbedding

# --- layers -------------------------------------------------------------------------------------


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


class Stacked(nn.Sequential):
    """:class:`lstm.models.Stack` in PyTorch."""

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Apply every layer; see :class:`Recurrent`."""
        for layer in self:
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
    Stack: lambda m: Stacked(*map(convert, m.layers)),
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


# --- what a trainer trains ----------------------------------------------------------------------


class Network(nn.Module):
    """One of our networks, computed by PyTorch: arrays go in and come out.

    Parameters
    ----------
    model : lstm.Module
        Where to start from. :meth:`state_dict` brings it up to date.
    device : str
        Where to compute.
    masks : Generator, int or None
        Source of the masks of dropout: of one seed for each step.
    """

    def __init__(self, model: lstm.Module, device: str = "cpu", masks: Rng = None) -> None:
        super().__init__()
        self.model, self.masks = model, np.random.default_rng(masks)
        self.network = self.shared = convert(model).to(device)
        self.device, self.generator = torch.device(device), torch.Generator(device)
        self.rank, self.world = 0, 1
        if distributed.is_initialized():
            self.rank, self.world = distributed.get_rank(), distributed.get_world_size()
            self.shared = DistributedDataParallel(self.network)

    def forward(self, *inputs: ArrayLike) -> np.ndarray:
        """Return the outputs."""
        with torch.no_grad():
            return self.network(*self._tensors(inputs, slice(None))).numpy(force=True)

    def vjp(self, *inputs: ArrayLike) -> tuple[np.ndarray, Callable[[np.ndarray], None]]:
        """Do the same, and return how to add up the gradients: each process has its share."""
        size = len(inputs[0])
        # Where there is nothing left to do, an example that does not count.
        rows = np.arange(self.rank, size, self.world) if self.rank < size else np.zeros(1, int)
        self.generator.manual_seed(int(self.masks.integers(2**62)))
        for layer in self.modules():
            if isinstance(layer, Dropout):
                layer.generator, layer.batch = self.generator, size
                layer.rows = torch.from_numpy(rows).to(self.device)
        outputs = self.shared(*self._tensors(inputs, rows))
        counts = self.world * (self.rank < size)  # what the processes have is averaged, not summed
        whole = outputs.detach()
        if self.world > 1:
            whole = outputs.new_zeros(size, *outputs.shape[1:])
            whole[rows] = outputs.detach() * (counts > 0)
            distributed.all_reduce(whole)

        def backward(d_outputs: np.ndarray) -> None:
            outputs.backward(counts * torch.from_numpy(d_outputs[rows]).to(outputs))

        return whole.numpy(force=True), backward

    def _tensors(self, arrays: Iterable[ArrayLike], rows: np.ndarray | slice) -> list[Tensor]:
        """Return those rows of arrays; without steps that are padding in the whole batch."""
        x, *lengths = map(np.asarray, arrays)
        x = x[:, : lengths[0].max()] if lengths else x
        return [torch.from_numpy(array[rows]).to(self.device) for array in (x, *lengths)]

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return a copy of the weights, under the names that they have in NumPy."""
        for parameter, tensor in zip(self.model.parameters(), self.parameters(), strict=True):
            parameter.data[...] = tensor.numpy(force=True)
        return self.model.state_dict()

    def load_state_dict(self, mapping: Mapping[str, ArrayLike]) -> None:
        """Copy weights into the network, as :meth:`lstm.Module.load_state_dict` does."""
        self.model.load_state_dict(mapping)
        with torch.no_grad():
            for parameter, tensor in zip(self.model.parameters(), self.parameters(), strict=True):
                tensor.copy_(torch.from_numpy(parameter.data))


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


class Optimizer:
    """PyTorch's optimiser with the rule of one of ours, and the methods that a trainer calls.

    Parameters
    ----------
    kind : type
        ``lstm.SGD``, ``lstm.RMSprop`` or ``lstm.Adam``.
    parameters : iterable of Tensor
        What to train.
    **options
        The arguments of ``kind``.
    """

    def __init__(
        self, kind: type[lstm.optim.Optimizer], parameters: Iterable[Tensor], **options: Any
    ) -> None:
        self.parameters = list(parameters)
        rule = getattr(torch.optim, kind.__name__)
        if options.pop("eps_inside", False):
            rule = KerasRMSprop
        if kind is lstm.Adam:
            options["fused"] = True
        self.rule = rule(self.parameters, **options)
        self.zero_grad, self.step = self.rule.zero_grad, self.rule.step

    @property
    def lr(self) -> float:
        """The learning rate of the step."""
        return self.rule.param_groups[0]["lr"]

    @lr.setter
    def lr(self, value: float) -> None:
        self.rule.param_groups[0]["lr"] = value

    def clip_grad_norm_(self, max_norm: float) -> None:
        """Scale the gradients, as :func:`lstm.clip_grad_norm_` does."""
        nn.utils.clip_grad_norm_(self.parameters, max_norm, error_if_nonfinite=True)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return a copy of the state: ``"lr"``, and arrays by parameter's number and name."""
        return {"lr": np.float64(self.lr)} | {
            f"{index}.{name}": tensor.numpy(force=True).copy()
            for index, entry in self.rule.state_dict()["state"].items()
            for name, tensor in entry.items()
            if tensor is not None
        }

    def load_state_dict(self, mapping: Mapping[str, np.ndarray]) -> None:
        """Restore what :meth:`state_dict` returned; all of it or nothing."""
        shapes = {str(index): each.shape for index, each in enumerate(self.parameters)}
        state: dict[int, dict[str, Tensor]] = {}
        for name in mapping.keys() - {"lr"}:
            index, _, kind = name.partition(".")
            array = checks.numbers(f"optimizer/{name}", mapping[name])
            if index not in shapes or array.shape not in ((), shapes[index]):
                raise ValueError(f"optimizer/{name} cannot be, with shape {array.shape}")
            state.setdefault(int(index), {})[kind] = torch.tensor(array)
        kinds = [entry.keys() for entry in state.values()]
        if kinds and (len(kinds) < len(shapes) or any(each != kinds[0] for each in kinds)):
            raise ValueError("optimizer must have the same state for every parameter")
        lr = checks.number("lr", checks.numbers("lr", mapping["lr"])[()], "[0, inf)")
        self.rule.load_state_dict(self.rule.state_dict() | {"state": state})
        self.lr = lr
