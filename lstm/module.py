"""Parameters, modules and the four simple layers that surround an LSTM.

A module is a function with parameters and a hand-written derivative. ``module(x)`` computes the
output and, in training mode, remembers what its derivative needs; ``module.backward(d_output)``
returns the gradient of the loss with respect to ``x`` and *adds* the gradient of every parameter
to its ``.grad``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from lstm import checks

Rng = np.random.Generator | int | None


class Parameter:
    """An array that training changes, with its gradient beside it.

    Parameters
    ----------
    data : array_like
        The initial values; float32 or float64. The array is copied.

    Attributes
    ----------
    data, grad : ndarray, same shape
        The values, and the sum of all gradients since the last :meth:`Module.zero_grad`.
    """

    def __init__(self, data: ArrayLike) -> None:
        self.data = np.array(data)
        self.grad = np.zeros_like(self.data)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the values."""
        return self.data.shape

    @property
    def size(self) -> int:
        """Number of values."""
        return self.data.size

    @property
    def dtype(self) -> np.dtype:
        """Data type of the values."""
        return self.data.dtype

    def __repr__(self) -> str:
        return f"Parameter(shape={self.shape}, dtype={self.dtype})"


class Module:
    """Base class: finds its parameters, saves and loads them, knows whether it is training.

    A subclass sets parameters and other modules as attributes, and writes ``forward`` and
    ``backward``. In training mode ``forward`` puts what ``backward`` needs into ``self._saved``;
    in evaluation mode it keeps nothing.
    """

    training = True
    _saved: Any = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; each module says of what."""
        raise TypeError(f"{type(self).__name__} does not define forward")

    def backward(self, *args: Any, **kwargs: Any) -> Any:
        """Return the gradients of the inputs and add those of the parameters to their ``grad``."""
        raise TypeError(f"{type(self).__name__} does not define backward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output: ``module(x)`` is ``module.forward(x)``."""
        return self.forward(*args, **kwargs)

    def _children(self) -> Iterator[tuple[str, Module]]:
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, list | tuple):
                for index, item in enumerate(value):
                    if isinstance(item, Module):
                        yield f"{name}.{index}", item

    def modules(self) -> Iterator[Module]:
        """Yield this module and every module inside it."""
        yield self
        for _, child in self._children():
            yield from child.modules()

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """Yield ``(name, Parameter)``; names of inner modules are joined by dots, as in PyTorch."""
        for name, value in vars(self).items():
            if isinstance(value, Parameter):
                yield prefix + name, value
        for name, child in self._children():
            yield from child.named_parameters(f"{prefix}{name}.")

    def parameters(self) -> Iterator[Parameter]:
        """Yield every parameter."""
        for _, parameter in self.named_parameters():
            yield parameter

    def zero_grad(self) -> None:
        """Set every gradient to zero, in place."""
        for parameter in self.parameters():
            parameter.grad[...] = 0

    def train(self, mode: bool = True) -> Module:
        """Switch to training mode: dropout is active and ``backward`` is possible."""
        for module in self.modules():
            module.training = bool(mode)
            module._saved = None
        return self

    def eval(self) -> Module:
        """Switch to evaluation mode: no dropout, and nothing is kept for ``backward``."""
        return self.train(False)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return a copy of every parameter's values by name."""
        return {name: parameter.data.copy() for name, parameter in self.named_parameters()}

    def load_state_dict(self, mapping: Mapping[str, ArrayLike]) -> None:
        """Copy values into the parameters; all or none of them.

        Parameters
        ----------
        mapping : mapping of str to array_like
            A value for exactly every name of :meth:`state_dict`, with the same shape. A
            ``state_dict()`` of the ``torch.nn`` layer of the same name will do.

        Raises
        ------
        ValueError
            If a name is missing or unexpected, or a shape differs.
        """
        own = dict(self.named_parameters())
        missing, unexpected = sorted(own.keys() - mapping), sorted(mapping.keys() - own)
        if missing or unexpected:
            raise ValueError(
                f"mapping must have exactly the parameters of {type(self).__name__}: "
                f"missing {missing}, unexpected {unexpected}"
            )
        values = {name: np.asarray(mapping[name]) for name in own}
        for name, parameter in own.items():
            if values[name].shape != parameter.shape:
                raise ValueError(
                    f"{name} must have shape {parameter.shape}, got {values[name].shape}"
                )
        for name, parameter in own.items():
            parameter.data[...] = values[name]

    def _take_saved(self) -> Any:
        """Return what the last training-mode ``forward`` kept, or say why there is nothing."""
        if self._saved is None:
            why = "in evaluation mode" if not self.training else "before a forward pass"
            raise RuntimeError(
                f"{type(self).__name__}.backward was called {why}: "
                "call train(), then run the module on an input first"
            )
        return self._saved

    def __repr__(self) -> str:
        inner = self.extra_repr()
        lines = [f"  ({name}): {child!r}".replace("\n", "\n  ") for name, child in self._children()]
        if lines:
            inner = "\n" + "\n".join([f"  {inner}"] * bool(inner) + lines) + "\n"
        return f"{type(self).__name__}({inner})"

    def extra_repr(self) -> str:
        """Return the arguments shown by ``repr``."""
        return ""


class Linear(Module):
    r"""Affine map, equation ``eq-linear``: :math:`y = W x + b`.

    Parameters
    ----------
    in_features, out_features : int
        Sizes D and K.
    bias : bool
        Whether to add :math:`b`.
    dtype : dtype
        float32 or float64.
    rng : Generator, int or None
        Source of the initial weights, uniform in :math:`\pm 1/\sqrt{D}` as in ``torch.nn.Linear``.

    Attributes
    ----------
    weight : Parameter, shape (K, D)
    bias : Parameter, shape (K,), or None
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        rng: Rng = None,
    ) -> None:
        self.in_features = checks.positive_int("in_features", in_features)
        self.out_features = checks.positive_int("out_features", out_features)
        dtype, rng = checks.float_dtype(dtype), np.random.default_rng(rng)
        bound = self.in_features**-0.5
        self.weight = Parameter(
            rng.uniform(-bound, bound, (self.out_features, self.in_features)).astype(dtype)
        )
        self.bias = (
            Parameter(rng.uniform(-bound, bound, self.out_features).astype(dtype)) if bias else None
        )

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Map ``x`` of shape (..., D) to shape (..., K)."""
        x = checks.float_array("x", x, self.weight.dtype)
        checks.last_size("x", x, self.in_features)
        if self.training:
            self._saved = x
        y = x @ self.weight.data.T
        return y if self.bias is None else y + self.bias.data

    def backward(self, d_output: ArrayLike) -> np.ndarray:
        """Return ``d_x`` (..., D) from ``d_output`` (..., K)."""
        x = self._take_saved()
        d_output = checks.float_array("d_output", d_output, self.weight.dtype)
        checks.shape("d_output", d_output, (*x.shape[:-1], self.out_features))
        d_rows = d_output.reshape(-1, self.out_features)
        self.weight.grad += d_rows.T @ x.reshape(-1, self.in_features)
        if self.bias is not None:
            self.bias.grad += d_rows.sum(axis=0)
        return d_output @ self.weight.data

    def extra_repr(self) -> str:
        """Return the arguments shown by ``repr``."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Embedding(Module):
    """One learned vector for each integer: row ``weight[index]``.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        Number of integers V and length D of a vector.
    padding_idx : int, optional
        An index that always has the zero vector and receives no gradient.
    dtype : dtype
        float32 or float64.
    rng : Generator, int or None
        Source of the initial vectors, standard normal as in ``torch.nn.Embedding``.

    Attributes
    ----------
    weight : Parameter, shape (V, D)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        dtype: DTypeLike = np.float32,
        rng: Rng = None,
    ) -> None:
        self.num_embeddings = checks.positive_int("num_embeddings", num_embeddings)
        self.embedding_dim = checks.positive_int("embedding_dim", embedding_dim)
        if padding_idx is not None and not 0 <= padding_idx < num_embeddings:
            raise ValueError(
                f"padding_idx must be None or in [0, {num_embeddings}), got {padding_idx}"
            )
        self.padding_idx = padding_idx
        dtype, rng = checks.float_dtype(dtype), np.random.default_rng(rng)
        vectors = rng.standard_normal((num_embeddings, embedding_dim)).astype(dtype)
        if padding_idx is not None:
            vectors[padding_idx] = 0
        self.weight = Parameter(vectors)

    def forward(self, index: ArrayLike) -> np.ndarray:
        """Map integers of shape (...) to vectors of shape (..., D)."""
        index = checks.index_array("index", index, self.num_embeddings)
        if self.training:
            self._saved = index
        return self.weight.data[index]

    def backward(self, d_output: ArrayLike) -> None:
        """Add the gradient of the vectors that were used; integers have no gradient: None."""
        index = self._take_saved()
        d_output = checks.float_array("d_output", d_output, self.weight.dtype)
        checks.shape("d_output", d_output, (*index.shape, self.embedding_dim))
        flat, rows = index.ravel(), d_output.reshape(-1, self.embedding_dim)
        # Sum the rows of equal indices first (sorted, one reduceat): twenty times np.add.at.
        order = np.argsort(flat, kind="stable")
        used, starts = np.unique(flat[order], return_index=True)
        if used.size:
            sums = np.add.reduceat(rows[order], starts, axis=0)
            if self.padding_idx is not None:
                sums[used == self.padding_idx] = 0
            self.weight.grad[used] += sums

    def extra_repr(self) -> str:
        """Return the arguments shown by ``repr``."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


class Dropout(Module):
    r"""Set each value to zero with probability p in training, scale the rest by 1/(1-p).

    In evaluation mode it is the identity, so the expected output is the same in both modes
    (Srivastava et al., 2014; the "inverted" scaling is that of ``torch.nn.Dropout``).

    Parameters
    ----------
    p : float
        Probability in [0, 1].
    rng : Generator, int or None
        Source of the masks.
    """

    def __init__(self, p: float = 0.5, *, rng: Rng = None) -> None:
        self.p = checks.probability("p", p)
        self.rng = np.random.default_rng(rng)

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Return ``x`` with a fresh mask (training) or unchanged (evaluation)."""
        x = np.asarray(x)
        if not self.training:
            return x
        self._saved = dropout_mask(self.rng, x.shape, self.p, x.dtype)
        return x * self._saved

    def backward(self, d_output: ArrayLike) -> np.ndarray:
        """Return ``d_x``: the same mask on the gradient."""
        return d_output * self._take_saved()

    def extra_repr(self) -> str:
        """Return the arguments shown by ``repr``."""
        return f"p={self.p}"


def dropout_mask(
    rng: np.random.Generator, shape: tuple[int, ...], p: float, dtype: DTypeLike
) -> np.ndarray:
    """Draw a mask: 0 with probability ``p``, else 1 / (1 - p)."""
    keep = rng.random(shape, dtype=np.float32) >= p
    return keep.astype(dtype) * np.asarray(0.0 if p == 1 else 1 / (1 - p), dtype)


class ReLU(Module):
    r"""Rectifier :math:`y = \max(x, 0)`; its derivative at 0 is taken as 0."""

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Return ``max(x, 0)`` elementwise."""
        x = np.asarray(x)
        if self.training:
            self._saved = x > 0
        return np.maximum(x, 0)

    def backward(self, d_output: ArrayLike) -> np.ndarray:
        """Return ``d_x``: the gradient where ``x`` was positive."""
        return d_output * self._take_saved()


class Sequential(Module):
    """Modules applied one after the other.

    Parameters
    ----------
    *layers : Module
        Each takes the output of the one before it.
    """

    def __init__(self, *layers: Module) -> None:
        self.layers = list(layers)

    def _children(self) -> Iterator[tuple[str, Module]]:
        # Named 0, 1, 2 …, as in torch.nn.Sequential, and not "layers.0".
        yield from ((str(index), layer) for index, layer in enumerate(self.layers))

    def forward(self, x: ArrayLike) -> np.ndarray:
        """Apply every layer in order."""
        for layer in self.layers:
            x = layer(x)
        return x

    def backward(self, d_output: ArrayLike) -> np.ndarray | None:
        """Apply every layer's backward pass in reverse order."""
        for layer in reversed(self.layers):
            d_output = layer.backward(d_output)
        return d_output
