"""Parameters, modules and the four simple layers that surround an LSTM.

A module is a function with parameters and a hand-written derivative. The way of gradients is the
vector-Jacobian product:

    ``output, backward = module.vjp(input)``

computes the output and gives back a function for *this* call: ``backward(d_output)`` returns the
gradient of the loss with respect to ``input``, and *adds* that of every parameter to its ``.grad``.
So a module may be called many times before any of its calls is differentiated, in any order: step
by step in a loop, twice in one network, for two losses. Where one call is enough there is a short
form: ``module(input)`` in training mode remembers its ``backward``, and ``module.backward`` runs
it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from lstm import checks
from lstm.interrupts import held

Rng = np.random.Generator | int | None
Backward = Callable[..., Any]

_lock = threading.Lock()  # one for all: it is held for an addition, and has not to be pickled


class Parameter:
    """An array that training changes, with its gradient beside it.

    Parameters
    ----------
    data : array_like
        The initial values; float32 or float64. The array is copied.

    Attributes
    ----------
    data, grad : ndarray, same shape
        The values, and the sum of all gradients since the last :meth:`Module.zero_grad`. Another
        array may be put in their place, but none of another shape.
    """

    def __init__(self, data: ArrayLike) -> None:
        self.data = np.array(checks.array("data", data))
        self.grad = np.zeros_like(self.data)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("data", "grad"):
            # Another shape might broadcast, or be read in another order, without a word.
            value, old = checks.array(name, value), vars(self).get(name)
            if name == "grad" and not np.can_cast(value.dtype, self.dtype, "same_kind"):
                raise ValueError(f"grad must have dtype {self.dtype}, got {value.dtype}")
            if not value.flags.writeable:
                raise ValueError(f"{name} must be an array that can be written to, got one to read")
            if old is not None:
                checks.of_shape(name, value, old.shape)
        super().__setattr__(name, value)

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

    @checks.quiet
    def accumulate(self, gradient: np.ndarray, rows: Any = ...) -> None:
        """Add to ``grad``, or to some of its rows; several threads may do so at once.

        Parameters
        ----------
        gradient : ndarray
            Of the shape of ``grad``, or of these rows of it.
        rows : ndarray of int, optional
            Which rows, in increasing order: each at most once.

        Raises
        ------
        ValueError
            If it is no array of this kind of number, or of another shape: nothing is broadcast.
        """
        gradient = checks.array("gradient", gradient)
        if not np.can_cast(gradient.dtype, self.grad.dtype, "same_kind"):
            raise ValueError(f"gradient must have dtype {self.grad.dtype}, got {gradient.dtype}")
        if rows is not ...:
            rows = checks.integers("rows", rows, 0, len(self.grad) - 1)
            if rows.ndim != 1 or (np.diff(rows) <= 0).any():
                raise checks.wrong("rows", "increasing numbers", rows)
        with _lock:
            checks.of_shape("gradient", gradient, self.grad[rows].shape)
            self.grad[rows] += gradient

    def __array__(self, dtype: DTypeLike = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.data, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        return f"Parameter(shape={self.shape}, dtype={self.dtype})"


def distinct(parameters: Iterable[Parameter]) -> list[Parameter]:
    """Return every parameter once, however often it is reached, in the order of first sight."""
    return list({id(parameter): parameter for parameter in parameters}.values())


def once(backward: Backward) -> Backward:
    """Let a backward pass run once: a second time would add its gradients again.

    What it holds is freed as soon as it has run. A call that is refused, for a wrong shape for
    example, does not count.

    Raises
    ------
    RuntimeError
        By the returned function, at its second use.
    """
    held = [checks.quiet(backward)]

    def run_once(*args: Any, **kwargs: Any) -> Any:
        try:
            run = held.pop()
        except IndexError:
            raise RuntimeError(
                "this backward pass has run already, and its gradients are added: "
                "one call of vjp allows one; call vjp again"
            ) from None
        try:
            return run(*args, **kwargs)
        except ValueError:
            held.append(run)
            raise

    return run_once


class Module:
    """Base class: finds its parameters, saves and loads them, knows whether it is training.

    A subclass sets parameters and other modules as attributes and writes :meth:`vjp`; where
    computing without a derivative is cheaper it writes :meth:`forward` too. What ``backward`` needs
    it holds itself: copies of what the caller may change, arrays and parameters. The mode,
    ``training``, decides only whether there is dropout.

    Examples
    --------
    >>> class Scale(lstm.Module):
    ...     def __init__(self):
    ...         self.factor = lstm.Parameter(np.float32([2]))
    ...     def vjp(self, input):
    ...         x, factor = input.copy(), self.factor.data.copy()
    ...         def backward(d_output):
    ...             self.factor.accumulate((d_output * x).sum(keepdims=True))
    ...             return d_output * factor
    ...         return x * factor, backward
    """

    training = True
    _last: tuple[int, Backward] | None = None  # thread and backward of the last call

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # Who writes one of the two must not inherit the other: it would compute something else.
        super().__init_subclass__(**kwargs)
        if "vjp" in vars(cls) and "forward" not in vars(cls):
            cls.forward = Module.forward
        if "forward" in vars(cls) and "vjp" not in vars(cls):
            cls.vjp = Module.vjp

    def vjp(self, *args: Any, **kwargs: Any) -> tuple[Any, Backward]:
        """Compute the output, and the function that differentiates this call.

        Returns
        -------
        output : ndarray or tuple
            As :meth:`forward` returns it.
        backward : callable
            Takes the gradient of the output, returns that of the inputs, and adds those of the
            parameters to their ``grad``. It runs once. The values at the time of the call count,
            also if inputs or weights were changed since.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define vjp")

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output alone, with nothing kept for a derivative."""
        return self.vjp(*args, **kwargs)[0]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; in training mode :meth:`backward` may follow."""
        if not self.training:
            return self.forward(*args, **kwargs)
        output, backward = self.vjp(*args, **kwargs)
        self._last = threading.get_ident(), backward
        return output

    def backward(self, *args: Any, **kwargs: Any) -> Any:
        """Differentiate the last call ``module(...)``: the short form of :meth:`vjp`.

        Raises
        ------
        RuntimeError
            In evaluation mode, without a call before it, a second time after one, or if the last
            call was made by another thread.
        """
        name, last = type(self).__name__, self._last
        if last is None or not self.training:
            why = "before a call, or twice after one" if self.training else "in evaluation mode"
            raise RuntimeError(
                f"{name}.backward was called {why}: it differentiates one call "
                f"{name}(...) in training mode, once; vjp gives each call its own backward"
            )
        thread, backward = last
        if thread != threading.get_ident():
            raise RuntimeError(
                f"{name}.backward was called by another thread than the one that last called "
                f"the module: use vjp, which gives each call its own backward"
            )
        gradients = backward(*args, **kwargs)
        with _lock:
            if self._last is last:
                self._last = None
        return gradients

    def forget(self) -> None:
        """Drop what the last call keeps for :meth:`backward`, here and in every inner module."""
        for module in self.modules():
            module._last = None

    def __setattr__(self, name: str, value: Any) -> None:
        old = vars(self).get(name)
        if isinstance(old, Parameter):
            if not isinstance(value, Parameter):
                raise ValueError(
                    f"{name} must stay a Parameter, got {type(value).__name__}: "
                    f"to change its values, assign to {name}.data[...]"
                )
            checks.array(name, value, old.dtype, old.shape)
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        if isinstance(vars(self).get(name), Parameter):
            raise ValueError(f"{name} must stay: it is a Parameter of this {type(self).__name__}")
        super().__delattr__(name)

    def __getstate__(self) -> dict[str, Any]:
        """Return what copies and pickles hold: not what ``backward`` needs."""
        return {name: value for name, value in vars(self).items() if name != "_last"}

    # --- what is inside -----------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield the modules directly inside this one, by the names that PyTorch gives them."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, list | tuple):
                for index, item in enumerate(value):
                    if isinstance(item, Module):
                        yield f"{name}.{index}", item

    def modules(self) -> Iterator[Module]:
        """Yield this module and every module inside it, each once."""
        found: dict[int, Module] = {}

        def visit(module: Module) -> None:
            if id(module) not in found:
                found[id(module)] = module
                for _, child in module.named_children():
                    visit(child)

        visit(self)
        yield from found.values()

    def named_parameters(
        self, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yield ``(name, Parameter)``; names of inner modules are joined by dots, as in PyTorch.

        Parameters
        ----------
        prefix : str
            What to put before every name.
        remove_duplicate : bool
            Whether a parameter that has several names comes only with the first.
        """
        checks.text("prefix", prefix)
        own, twice = vars(self).items(), not checks.boolean("remove_duplicate", remove_duplicate)
        named = [(f"{prefix}{name}", value) for name, value in own if isinstance(value, Parameter)]
        for name, child in self.named_children():
            named += child.named_parameters(f"{prefix}{name}.", remove_duplicate=False)
        seen = set()
        for name, parameter in named:
            if twice or id(parameter) not in seen:
                seen.add(id(parameter))
                yield name, parameter

    def parameters(self) -> Iterator[Parameter]:
        """Yield every parameter once."""
        for _, parameter in self.named_parameters():
            yield parameter

    def zero_grad(self) -> None:
        """Set every gradient to zero, in place."""
        for parameter in self.parameters():
            parameter.grad[...] = 0

    def train(self, mode: bool = True) -> Module:
        """Switch to training mode: dropout is active, and a call may be followed by backward."""
        mode = checks.boolean("mode", mode)
        self.forget()
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Switch to evaluation mode: no dropout, and a call keeps nothing for ``backward``."""
        return self.train(False)

    # --- saving and loading -------------------------------------------------------------------

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return a copy of every parameter's values by name: by every name that it has."""
        named = self.named_parameters(remove_duplicate=False)
        return {name: parameter.data.copy() for name, parameter in named}

    @held()
    def load_state_dict(self, mapping: Mapping[str, ArrayLike]) -> None:
        """Copy values into the parameters; all or none of them.

        Parameters
        ----------
        mapping : mapping of str to array_like
            A value for exactly every name of :meth:`state_dict`, with the same shape and dtype;
            float32 values may also go into float64 parameters. A ``state_dict()`` of the
            ``torch.nn`` layer of the same name will do.

        Raises
        ------
        ValueError
            If a name is missing or unexpected, a shape or dtype differs, or two names of one
            parameter have different values.
        """
        own = dict(self.named_parameters(remove_duplicate=False))
        mapping = same_names(type(self).__name__, own, mapping)
        values: dict[int, tuple[str, np.ndarray]] = {}
        for name, parameter in own.items():
            exact = tuple(t for t in checks.FLOATS if np.can_cast(t, parameter.dtype, "safe"))
            # A copy: it may be a view of a parameter that is overwritten before its turn comes.
            value = checks.array(name, mapping[name], exact[::-1], parameter.shape).copy()
            first, other = values.setdefault(id(parameter), (name, value))
            if not np.array_equal(value, other, equal_nan=True):
                raise ValueError(f"{name} must have the values of {first}: they are one parameter")
        for parameter in own.values():
            parameter.data[...] = values[id(parameter)][1]

    def __repr__(self) -> str:
        inner = self.extra_repr()
        children = self.named_children()
        lines = [f"  ({name}): {child!r}".replace("\n", "\n  ") for name, child in children]
        if lines:
            inner = "\n" + "\n".join([f"  {inner}"] * bool(inner) + lines) + "\n"
        return f"{type(self).__name__}({inner})"

    def extra_repr(self) -> str:
        """Return the arguments shown by ``repr``."""
        return ""


def is_module(name: str, value: Any) -> Module:
    """Return ``value`` if it is a module."""
    if not isinstance(value, Module):
        raise checks.wrong(name, "a Module", value)
    return value


def same_names(owner: str, own: Mapping[str, Any], mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is to be loaded, if it has exactly the names of what is there."""
    mapping = checks.mapping("mapping", mapping)
    missing, unexpected = sorted(own.keys() - mapping), sorted(map(str, mapping.keys() - own))
    if missing or unexpected:
        raise ValueError(
            f"mapping must have exactly the state of this {owner}: "
            f"missing {missing}, unexpected {unexpected}"
        )
    return mapping


def uniform(
    rng: np.random.Generator, bound: float, shape: tuple[int, ...], dtype: DTypeLike
) -> Parameter:
    """Draw a parameter uniformly in ± ``bound``, as PyTorch's layers do."""
    return Parameter(rng.uniform(-bound, bound, shape).astype(dtype))


class Linear(Module):
    r"""Affine map, equation ``eq-linear``: :math:`y = W x + b`.

    ``y = layer(x)`` maps (..., D) to (..., K).

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
        bias = checks.boolean("bias", bias)
        sizes = {"in_features": self.in_features, "out_features": self.out_features}
        checks.room(math.prod(sizes.values()), **sizes)
        dtype, rng, bound = checks.float_dtype(dtype), checks.generator(rng), self.in_features**-0.5
        self.weight = uniform(rng, bound, (self.out_features, self.in_features), dtype)
        self.bias = uniform(rng, bound, (self.out_features,), dtype) if bias else None

    @checks.quiet
    def forward(self, input: ArrayLike) -> np.ndarray:
        """Map ``input`` of shape (..., D) to shape (..., K)."""
        x = checks.array("input", input, self.weight.dtype)
        checks.last_size("input", x, self.in_features)
        y = x @ self.weight.data.T
        return y if self.bias is None else y + self.bias.data

    def vjp(self, input: ArrayLike) -> tuple[np.ndarray, Backward]:
        """Do the same; ``backward`` takes ``d_output`` (..., K) and returns ``d_input``."""
        y, weight, bias = Linear.forward(self, input), self.weight, self.bias
        x, W, shape = np.asarray(input).copy(), weight.data.copy(), y.shape

        @once
        def backward(d_output: ArrayLike) -> np.ndarray:
            d_y = checks.array("d_output", d_output, W.dtype, shape)
            d_rows = d_y.reshape(-1, len(W))
            weight.accumulate(d_rows.T @ x.reshape(-1, W.shape[1]))
            if bias is not None:
                bias.accumulate(d_rows.sum(axis=0))
            return d_y @ W

        return y, backward

    def extra_repr(self) -> str:
        """Return the arguments shown by ``repr``."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Embedding(Module):
    """One learned vector for each integer: row ``weight[index]``.

    ``vectors = layer(indices)`` maps integers (...) to vectors (..., D).

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
        self.padding_idx = padding_idx
        if padding_idx is not None:
            self.padding_idx = checks.positive_int("padding_idx", padding_idx, minimum=0)
            if self.padding_idx >= self.num_embeddings:
                raise ValueError(
                    f"padding_idx must be None or in [0, {num_embeddings}), got {padding_idx}"
                )
        dtype, rng = checks.float_dtype(dtype), checks.generator(rng)
        shape = self.num_embeddings, self.embedding_dim
        checks.room(math.prod(shape), num_embeddings=shape[0], embedding_dim=shape[1])
        vectors = rng.standard_normal(shape).astype(dtype)
        if self.padding_idx is not None:
            vectors[self.padding_idx] = 0
        self.weight = Parameter(vectors)

    def vjp(self, input: ArrayLike) -> tuple[np.ndarray, Backward]:
        """Map integers (...) to vectors (..., D); ``backward`` returns None, their gradient."""
        index = np.array(checks.integers("input", input, 0, self.num_embeddings - 1))
        weight, vectors = self.weight, self.weight.data[index]
        shape = vectors.shape

        @once
        def backward(d_output: ArrayLike) -> None:
            d_y = checks.array("d_output", d_output, weight.dtype, shape)
            flat, rows = index.ravel(), d_y.reshape(-1, shape[-1])
            # Sum the rows of equal indices first (sorted, one reduceat): twenty times np.add.at.
            order = np.argsort(flat, kind="stable")
            used, starts = np.unique(flat[order], return_index=True)
            if used.size:
                sums = np.add.reduceat(rows[order], starts, axis=0)
                if self.padding_idx is not None:
                    sums[used == self.padding_idx] = 0
                weight.accumulate(sums, used)

        return vectors, backward

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
        self.p = checks.number("p", p, "[0, 1]")
        self.rng = checks.generator(rng)

    @checks.quiet
    def vjp(self, input: ArrayLike) -> tuple[np.ndarray, Backward]:
        """Return ``input`` with a fresh mask (training) or as it is (evaluation)."""
        x = checks.array("input", input)
        dtype, shape, mask, y = x.dtype, x.shape, 1, x
        if self.training:
            mask = dropout_mask(self.rng, shape, self.p, dtype)
            y = x * mask

        @once
        def backward(d_output: ArrayLike) -> np.ndarray:
            return checks.array("d_output", d_output, dtype, shape) * mask

        return y, backward

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

    def vjp(self, input: ArrayLike) -> tuple[np.ndarray, Backward]:
        """Return ``max(input, 0)`` elementwise."""
        x = checks.array("input", input)
        y, dtype, shape = rectified(x), x.dtype, x.shape

        @once
        def backward(d_output: ArrayLike) -> np.ndarray:
            return rectified(sign, checks.array("d_output", d_output, dtype, shape))

        sign = y.copy()  # the caller may change y
        return y, backward


def rectified(x: np.ndarray, values: np.ndarray | None = None) -> np.ndarray:
    """Return ``values``, those of x if none are given, where x is positive, and 0 elsewhere.

    NaN in x counts as positive, and nothing is multiplied by 0: infinity would become NaN.
    """
    return np.where(np.real(x) <= 0, 0, x if values is None else values)


class Sequential(Module):
    """Modules applied one after the other.

    Parameters
    ----------
    *layers : Module
        Each takes the output of the one before it. One may stand there twice: its parameters are
        then shared.
    """

    def __init__(self, *layers: Module) -> None:
        self.layers = [is_module("layers", layer) for layer in layers]

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield the layers, named 0, 1, 2 …, as in ``torch.nn.Sequential``."""
        yield from ((str(index), layer) for index, layer in enumerate(self.layers))

    def forward(self, input: ArrayLike) -> np.ndarray:
        """Apply every layer in order."""
        for layer in self.layers:
            input = layer.forward(input)
        return input

    def vjp(self, input: ArrayLike) -> tuple[np.ndarray, Backward]:
        """Do the same; ``backward`` goes through the layers in reverse order."""
        passes = []
        for layer in self.layers:
            input, backward = layer.vjp(input)
            passes.append(backward)

        def backward(d_output: ArrayLike) -> np.ndarray | None:
            for one in reversed(passes):
                d_output = one(d_output)
            return d_output

        return input, backward
