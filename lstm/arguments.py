"""What a recurrent layer is called with: one description for NumPy and for PyTorch.

The constructor's arguments, names and shapes of parameters, and the shapes of a call: all that the
layer in NumPy (:class:`lstm.LSTM`) and the one in PyTorch (``lstm.torch.LSTM``) have in common. It
knows shapes and no arrays.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lstm import checks

Shape = tuple[int, ...]

MOST_LAYERS = 10_000
"""More than anybody stacks; names for a billion layers would fill the memory on their own."""


class RecurrentArguments:
    """Arguments of a recurrent layer, and the names and shapes that follow from them.

    A layer inherits from it beside ``Module`` or ``torch.nn.Module``, and calls
    :meth:`set_arguments` in its ``__init__``. A subclass of its own says what it has by
    :attr:`gates`, :attr:`states` and :attr:`can_project`; as they are they describe the LSTM.
    Where that is not enough it overrides :meth:`parameter_shapes`.
    """

    gates: tuple[str, ...] = ("i", "f", "g", "o")
    """Names of the blocks of H rows of ``weight_ih`` and ``weight_hh``, in their order."""
    gate_bias: str = "bias_ih"
    """The bias in which an initial value for a gate is put."""
    states: tuple[str, ...] = ("h", "c")
    """Names of the states; the first is the output."""
    can_project: bool = True
    """Whether ``proj_size`` may be other than 0."""

    def set_arguments(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
    ) -> None:
        """Check the arguments, described in :class:`lstm.LSTM`, and keep them as attributes.

        Raises
        ------
        ValueError
            If one is wrong; the message says which, what it got and what it wanted.
        """
        self.input_size = checks.positive_int("input_size", input_size)
        self.hidden_size = checks.positive_int("hidden_size", hidden_size)
        self.num_layers = checks.positive_int("num_layers", num_layers, maximum=MOST_LAYERS)
        self.bias = checks.boolean("bias", bias)
        self.batch_first = checks.boolean("batch_first", batch_first)
        self.dropout = checks.number("dropout", dropout, "[0, 1]")
        self.bidirectional = checks.boolean("bidirectional", bidirectional)
        self.proj_size = checks.positive_int("proj_size", proj_size, minimum=0)
        if self.proj_size and not self.can_project:
            raise ValueError(f"proj_size must be 0 in a {type(self).__name__}, got {proj_size}")
        if self.proj_size >= self.hidden_size:
            raise ValueError(
                f"proj_size must be smaller than hidden_size = {self.hidden_size}, got {proj_size}"
            )
        checks.room(
            sum(map(math.prod, self.named_shapes().values())),
            input_size=self.input_size,
            hidden_size=self.hidden_size,
            num_layers=self.num_layers,
        )
        if self.dropout > 0 and self.num_layers == 1:
            warnings.warn(
                "dropout acts between layers, so it does nothing here: "
                f"got dropout={dropout} with num_layers=1",
                stacklevel=3,
            )

    # --- names and sizes ----------------------------------------------------------------------

    def parameter_shapes(self, input_size: int) -> dict[str, Shape]:
        """Return name → shape of the parameters of one direction, in the order of PyTorch.

        Parameters
        ----------
        input_size : int
            Size of what this layer reads: of the input, or of the output of the layer below.
        """
        rows, width = len(self.gates) * self.hidden_size, self.proj_size or self.hidden_size
        shapes: dict[str, Shape] = {"weight_ih": (rows, input_size), "weight_hh": (rows, width)}
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if self.proj_size:
            shapes["weight_hr"] = (width, self.hidden_size)
        return shapes

    def gate_rows(self, gate: str) -> slice:
        """Return the rows of ``weight_ih``, and of the biases, that belong to a gate."""
        start = self.gates.index(gate) * self.hidden_size
        return slice(start, start + self.hidden_size)

    def state_sizes(self) -> dict[str, int]:
        """Return name → width of each state; the first is the output of one direction."""
        output, *others = self.states
        widths = {output: self.proj_size or self.hidden_size}
        return widths | dict.fromkeys(others, self.hidden_size)

    @property
    def num_directions(self) -> int:
        """2 if bidirectional, else 1."""
        return 2 if self.bidirectional else 1

    @property
    def output_size(self) -> int:
        """Width of the output, which is the first state's, once for each direction."""
        return self.num_directions * next(iter(self.state_sizes().values()))

    def suffixes(self, layer: int) -> list[str]:
        """Return what the parameters' names of a layer end with, one for each direction."""
        return [f"_l{layer}", f"_l{layer}_reverse"][: self.num_directions]

    def named_shapes(self) -> dict[str, Shape]:
        """Return name → shape of every parameter of every layer, in the order of PyTorch."""
        return {
            name + suffix: shape
            for layer in range(self.num_layers)
            for suffix in self.suffixes(layer)
            for name, shape in self.parameter_shapes(
                self.output_size if layer else self.input_size
            ).items()
        }

    @property
    def all_weights(self) -> list[list[Any]]:
        """The parameters, in one list for each direction of each layer, as in PyTorch."""
        return [
            [getattr(self, name + suffix) for name in self.parameter_shapes(self.input_size)]
            for layer in range(self.num_layers)
            for suffix in self.suffixes(layer)
        ]

    def extra_repr(self) -> str:
        """Return the arguments shown by ``repr``, as PyTorch shows them."""
        shown = [str(self.input_size), str(self.hidden_size)]
        defaults = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
        }
        for name, default in defaults.items():
            if getattr(self, name) != default:
                shown.append(f"{name}={getattr(self, name)}")
        return ", ".join(shown)

    # --- the shapes of a call -----------------------------------------------------------------

    def check_input(self, shape: Shape) -> tuple[int, int | None]:
        """Check the shape of ``input``; return the number of steps, and of sequences.

        The latter is None for a single sequence (T, D).
        """
        shape = tuple(shape)
        if len(shape) not in (2, 3):
            wanted = "(B, T, D)" if self.batch_first else "(T, B, D)"
            raise ValueError(f"input must have shape {wanted} or (T, D), got {shape}")
        if shape[-1] != self.input_size:
            raise ValueError(f"input must have shape (..., {self.input_size}), got {shape}")
        if len(shape) == 2:
            steps, batch = shape[0], None
        else:
            batch, steps = shape[:2] if self.batch_first else shape[1::-1]
        if steps == 0:
            raise ValueError(f"input must have at least one step, got shape {shape}")
        return steps, batch

    def check_lengths(
        self, lengths: ArrayLike | None, steps: int, batch: int | None
    ) -> np.ndarray | None:
        """Return ``lengths`` as integers (B,) in [1, T], or None where every sequence has T."""
        if lengths is None:
            return None
        if batch is None:
            raise checks.wrong("lengths", "None for a single sequence (T, D)", lengths)
        return checks.integers("lengths", lengths, 1, steps, shape=(batch,))

    def check_state(self, hx: Any, batch: int | None, *, gradient: bool = False) -> list[tuple]:
        """Take apart the initial states, or the gradients of the final ones.

        Parameters
        ----------
        hx : tuple of arrays, array, or None
            A tuple where there are several states, an array where there is one; None for zeros.
        batch : int or None
            Number of sequences; None for a single one without that axis.
        gradient : bool
            Whether these are gradients: it decides the names in messages.

        Returns
        -------
        list of (name, array or None, shape)
            For each state its name, what was given, and the shape that it must have.
        """
        whole, name = ("d_state", "d_{}_n") if gradient else ("hx", "{}_0")
        sizes = self.state_sizes()
        names = [name.format(state) for state in sizes]
        given = (hx,) if len(names) == 1 else (None,) * len(names) if hx is None else hx
        given = checks.several(whole, given, f"({', '.join(names)})", len(names))
        many = self.num_layers * self.num_directions
        rows = (many,) if batch is None else (many, batch)
        shapes = [(*rows, width) for width in sizes.values()]
        return list(zip(names, given, shapes, strict=True))
