"""Another engine for the same training: PyTorch computes a model of this package.

``TorchModel(model)`` has the weights, the names and the behaviour of ``model``, so ``lstm.fit``
trains it like any other; :class:`TorchAdam` updates them where they are. With several processes
(``torchrun``) each computes its share of every batch, and all of them make the step that one
process would make with the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

import lstm
from lstm.models import SequenceClassifier, Stack
from lstm.module import (
    Backward,
    Dropout,
    Embedding,
    Linear,
    Module,
    Parameter,
    ReLU,
    Rng,
    Sequential,
)
from lstm.optim import Adam
from lstm_book.recipes.pairs import SummedEmbedding

# --- the network --------------------------------------------------------------------------------


class Recurrent(nn.Module):
    """``torch.nn.LSTM`` with ``lengths``, as fast as without.

    Every layer and direction is an ``nn.LSTM`` of its own. The reverse one reads each sequence
    reversed within its own length, so padding stands behind the end for both and neither reads it
    before. This gives the same as packing, which costs PyTorch many times the time on a CPU.

    Parameters
    ----------
    layer : lstm.LSTM
        The layer to copy.
    """

    def __init__(self, layer: lstm.LSTM) -> None:
        super().__init__()
        self.num_layers, self.num_directions = layer.num_layers, layer.num_directions
        self.batch_first, self.dropout = layer.batch_first, Dropped(layer.dropout, axis=1)
        self.scans = nn.ModuleList()
        for number in range(layer.num_layers):
            width = layer.output_size if number else layer.input_size
            for _ in range(layer.num_directions):
                scan = nn.LSTM(width, layer.hidden_size, bias=layer.bias, proj_size=layer.proj_size)
                self.scans.append(scan)

    def forward(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the hidden states (T, B, directions · P) and the final ones (directions, B, P).

        Behind the end of a sequence stands whatever the layer made of the padding.
        """
        x = x.transpose(0, 1) if self.batch_first else x
        steps = torch.arange(len(x), device=x.device)[:, None]
        if lengths is None:
            lengths = torch.full(x.shape[1:2], len(x), device=x.device)
        backwards = torch.where(steps < lengths, lengths - 1 - steps, steps)[..., None]
        last = (lengths - 1)[None, :, None]
        for number in range(self.num_layers):
            outputs, finals = [], []
            for direction in range(self.num_directions):
                scan = self.scans[number * self.num_directions + direction]
                output, _ = scan(_take(x, backwards) if direction else x)
                finals.append(_take(output, last)[0])
                outputs.append(_take(output, backwards) if direction else output)
            x = torch.cat(outputs, dim=-1)
            if number < self.num_layers - 1:
                x = self.dropout(x)
        return x, torch.stack(finals)


def _take(x: Tensor, steps: Tensor) -> Tensor:
    """Return for every sequence of x (T, B, ·) the given steps (S, B, 1)."""
    return x.gather(0, steps.expand(-1, -1, x.shape[-1]))


class Dropped(nn.Module):
    """Dropout whose masks do not depend on how many processes share a batch.

    Every process draws the mask of the whole batch and keeps its own examples' part of it.

    Parameters
    ----------
    p : float
        The share of numbers that become zero.
    axis : int
        The axis that counts the examples.
    """

    def __init__(self, p: float, axis: int = 0) -> None:
        super().__init__()
        self.p, self.axis = p, axis
        self.batch, self.rows = 0, torch.zeros(0, dtype=torch.long)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` with a share p of its numbers zero and the others larger, in training."""
        if not self.training or self.p == 0:
            return x
        shape = list(x.shape)
        shape[self.axis] = self.batch
        kept = torch.rand(shape, device=x.device) >= self.p
        return x * kept.index_select(self.axis, self.rows) / (1 - self.p)


class Summed(nn.Embedding):
    """:class:`lstm_book.recipes.pairs.SummedEmbedding` in PyTorch."""

    def forward(self, index: Tensor) -> Tensor:
        """Return the sum of the vectors of the last axis of ``index``."""
        return super().forward(index).sum(dim=-2)


class Stacked(nn.Module):
    """:class:`lstm.models.Stack` in PyTorch."""

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """Apply every layer; see :class:`Recurrent`."""
        for layer in self.layers:
            x, final = layer(x, lengths)
            x = x.transpose(0, 1) if layer.batch_first else x
        return (x.transpose(0, 1) if layer.batch_first else x), final


class Classifier(nn.Module):
    """:class:`lstm.models.SequenceClassifier` in PyTorch."""

    def __init__(
        self, embedding: nn.Module | None, recurrent: nn.Module, head: nn.Module, pooling: str
    ) -> None:
        super().__init__()
        self.embedding, self.recurrent, self.head = embedding, recurrent, head
        self.pooling = pooling

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return logits (B, K)."""
        if self.embedding is not None:
            x = self.embedding(x)
        output, final = self.recurrent(x, lengths)
        if self.pooling == "last":
            return self.head(torch.cat(list(final), dim=-1))
        steps = torch.arange(len(output), device=output.device)[:, None]
        if lengths is None:
            lengths = torch.full(output.shape[1:2], len(output), device=output.device)
        outside = (steps >= lengths)[..., None]
        if self.pooling == "max":
            return self.head(output.masked_fill(outside, -torch.inf).amax(dim=0))
        return self.head(output.masked_fill(outside, 0).sum(dim=0) / lengths[:, None])


def convert(module: Module) -> tuple[nn.Module, list[Tensor]]:
    """Return ``module`` in PyTorch, and its parameters in the order of ``module.parameters()``.

    Raises
    ------
    ValueError
        If there is no such module in PyTorch here.
    """
    parts: list[tuple[nn.Module, list[Tensor]]]
    if isinstance(module, lstm.LSTM):
        network = Recurrent(module)
        tensors = [tensor for scan in network.scans for tensor in scan.parameters()]
    elif isinstance(module, SequenceClassifier):
        parts = [convert(part) if part else (None, []) for part in _parts(module)]
        network = Classifier(*(part for part, _ in parts), module.pooling)
        tensors = [tensor for _, owned in parts for tensor in owned]
    elif isinstance(module, Sequential | Stack):
        parts = [convert(layer) for layer in module.layers]
        layers = [part for part, _ in parts]
        network = nn.Sequential(*layers) if isinstance(module, Sequential) else Stacked(layers)
        tensors = [tensor for _, owned in parts for tensor in owned]
    elif type(module) in SIMPLE:
        network = SIMPLE[type(module)](module)
        tensors = list(network.parameters())
    else:
        raise ValueError(f"model must be made of layers that PyTorch has, got {module!r}")
    with torch.no_grad():
        for tensor, parameter in zip(tensors, module.parameters(), strict=True):
            tensor.data = torch.tensor(parameter.data)
    return network, tensors


def _parts(model: SequenceClassifier) -> tuple[Module | None, Module, Module]:
    return model.embedding, model.recurrent, model.head


SIMPLE: dict[type[Module], Callable[[Module], nn.Module]] = {
    Linear: lambda m: nn.Linear(m.in_features, m.out_features, m.bias is not None),
    Embedding: lambda m: nn.Embedding(m.num_embeddings, m.embedding_dim, m.padding_idx),
    SummedEmbedding: lambda m: Summed(m.num_embeddings, m.embedding_dim, m.padding_idx),
    Dropout: lambda m: Dropped(m.p),
    ReLU: lambda m: nn.ReLU(),
}


# --- what fit sees ------------------------------------------------------------------------------


class TorchParameter(Parameter):
    """A tensor that looks like a :class:`lstm.Parameter`; on the CPU both share their memory."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.tensor.grad = torch.zeros_like(tensor)

    @property
    def data(self) -> np.ndarray:
        """The values; a copy of them where the tensor is not on the CPU."""
        return self.tensor.numpy(force=True)

    @data.setter
    def data(self, values: np.ndarray) -> None:
        self.tensor.detach().copy_(torch.from_numpy(values))

    @property
    def grad(self) -> np.ndarray:
        """The gradient; a copy of it where the tensor is not on the CPU."""
        return self.tensor.grad.numpy(force=True)

    @grad.setter
    def grad(self, values: np.ndarray) -> None:
        self.tensor.grad.copy_(torch.from_numpy(values))


class TorchModel(Module):
    """A model of this package, computed by PyTorch.

    Parameters
    ----------
    model : Module
        Its weights are copied. A :class:`lstm.SequenceClassifier`, or parts of one.
    device : str or torch.device
        Where to compute.
    rng : Generator, int or None
        Source of one number per training step that decides PyTorch's dropout masks: a training
        that resumes draws the same ones.

    Notes
    -----
    If ``torch.distributed`` has been initialised, every process must make the same calls. Process
    number r of R computes the examples r, r + R, … of a batch, with the dropout masks that one
    process would draw; all of them return all logits, and after ``backward`` all hold the gradient
    of the whole batch.
    """

    def __init__(self, model: Module, device: str | torch.device = "cpu", *, rng: Rng = None):
        network, tensors = convert(model)
        self.device, self.rng = torch.device(device), np.random.default_rng(rng)
        self._network = network.to(self.device)
        self._parameters = {
            name: TorchParameter(tensor)
            for (name, _), tensor in zip(model.named_parameters(), tensors, strict=True)
        }
        self._description = repr(model)
        self.rank, self.world = 0, 1
        self._replica = self._network
        if distributed.is_initialized():
            self.rank, self.world = distributed.get_rank(), distributed.get_world_size()
            self._replica = DistributedDataParallel(self._network)

    def named_parameters(
        self, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, TorchParameter]]:
        """Yield ``(name, parameter)`` under the names that the model has in NumPy."""
        for name, parameter in self._parameters.items():
            yield prefix + name, parameter

    def forward(self, *inputs: ArrayLike) -> np.ndarray:
        """Compute the logits of a batch."""
        return self._run(inputs)[0]

    def vjp(self, *inputs: ArrayLike) -> tuple[np.ndarray, Backward]:
        """Do the same; ``backward`` adds the gradients of the parameters, the inputs get none."""
        logits, tensor, rows = self._run(inputs)

        def backward(d_logits: ArrayLike) -> None:
            own = torch.zeros_like(tensor)
            own[: len(rows)] = torch.from_numpy(np.asarray(d_logits)[rows]).to(self.device)
            # The processes' gradients are averaged, and it is their sum that is wanted.
            tensor.backward(own * self.world)

        return logits, backward

    def _run(self, inputs: tuple) -> tuple[np.ndarray, Tensor, np.ndarray]:
        batch = len(inputs[0])
        rows = np.arange(self.rank, batch, self.world)
        # A process without an example of its own takes part with one that does not count.
        examples = rows if len(rows) else np.zeros(1, int)
        tensors = self._as_tensors(inputs, examples)
        self._network.train(self.training)
        if self.training:
            torch.manual_seed(int(self.rng.integers(2**62)))  # the same in every process
            for module in self._network.modules():
                if isinstance(module, Dropped):
                    module.batch = batch
                    module.rows = torch.from_numpy(examples).to(self.device)
            logits = self._replica(*tensors)
        else:
            with torch.no_grad():
                logits = self._network(*tensors)
        if self.world == 1:
            return logits.numpy(force=True), logits, rows
        together = logits.new_zeros(batch, *logits.shape[1:])
        together[rows] = logits.detach()[: len(rows)]
        distributed.all_reduce(together)
        return together.numpy(force=True), logits, rows

    def _as_tensors(self, inputs: Iterable[ArrayLike], examples: np.ndarray) -> list[Tensor]:
        x, *lengths = (np.asarray(array) for array in inputs)
        if lengths and np.issubdtype(x.dtype, np.integer):
            x = x[:, : lengths[0].max()]  # no word that is padding in the whole batch
        return [torch.from_numpy(array[examples]).to(self.device) for array in (x, *lengths)]

    def load_state_dict(self, mapping: Mapping[str, ArrayLike]) -> None:
        """Copy values into the parameters; all or none of them."""
        check = Module()
        for name, parameter in self._parameters.items():
            setattr(check, name, Parameter(np.empty(parameter.shape, parameter.dtype)))
        check.load_state_dict(mapping)
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.tensor.copy_(torch.from_numpy(getattr(check, name).data))

    def __repr__(self) -> str:
        return f"{self._description} on PyTorch"


class TorchAdam(Adam):
    """:class:`lstm.Adam` for a :class:`TorchModel`: the same rule, computed by PyTorch's own.

    Parameters
    ----------
    parameters, lr, betas, eps
        As for :class:`lstm.Adam`.
    """

    def __init__(
        self,
        parameters: Iterable[TorchParameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, lr, betas, eps)
        self._tensors = [parameter.tensor for parameter in self.parameters]
        self._torch = torch.optim.Adam(self._tensors, lr, betas, eps, fused=True)
        self._state = {}  # it is PyTorch's

    def step(self) -> None:
        """Change every parameter once, from its gradient."""
        self.steps += 1
        self._torch.param_groups[0]["lr"] = self.lr
        self._torch.step()

    def clip_grad_norm_(self, max_norm: float) -> float:
        """Scale all gradients together so that their joint norm is at most ``max_norm``."""
        norm = nn.utils.clip_grad_norm_(self._tensors, max_norm, error_if_nonfinite=True)
        return float(norm)

    def zero_grad(self) -> None:
        """Set every gradient to zero, in place."""
        for tensor in self._tensors:
            tensor.grad.zero_()

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of all state, under the names that it has in NumPy."""
        names = {"mean": "exp_avg", "square": "exp_avg_sq"}
        arrays = {
            f"{name}.{index}": self._moment(tensor, key).numpy(force=True).copy()
            for name, key in names.items()
            for index, tensor in enumerate(self._tensors)
        }
        return arrays | {"lr": np.float64(self.lr), "steps": np.int64(self.steps)}

    def _moment(self, tensor: Tensor, key: str) -> Tensor:
        return self._torch.state.get(tensor, {}).get(key, torch.zeros_like(tensor))

    def load_state_dict(self, mapping: Mapping[str, np.ndarray]) -> None:
        """Restore what :meth:`state_dict` returned; all of it or nothing."""
        numpy_adam = Adam(self.parameters, self.lr, self.betas, self.eps)
        numpy_adam.load_state_dict(mapping)  # checks names and shapes
        self.lr, self.steps = numpy_adam.lr, numpy_adam.steps
        for index, tensor in enumerate(self._tensors):
            self._torch.state[tensor] = {
                "step": torch.tensor(float(self.steps), device=tensor.device),
                "exp_avg": torch.tensor(mapping[f"mean.{index}"], device=tensor.device),
                "exp_avg_sq": torch.tensor(mapping[f"square.{index}"], device=tensor.device),
            }
