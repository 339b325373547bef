"""Optimisers, and gradient clipping, with the update rules and defaults of ``torch.optim``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from lstm import checks
from lstm.equations.registry import equation
from lstm.interrupts import held
from lstm.module import Parameter, distinct, same_names


@equation("eq-clip-norm", max_norm=r"g_{\max}")
def clip_grad_norm_(parameters: Iterable[Parameter], max_norm: float) -> float:
    r"""Scale all gradients together so that their joint norm is at most ``max_norm``.

    Equation ``eq-clip-norm`` (Pascanu, Mikolov and Bengio, 2013), changed in place:

    .. math::

        g \leftarrow g \cdot \min\left(1, \frac{g_{\max}}{\lVert g \rVert_2}\right)

    Parameters
    ----------
    parameters : iterable of Parameter
        The parameters whose ``grad`` is scaled.
    max_norm : float
        Positive.

    Returns
    -------
    float
        The norm before clipping.

    Raises
    ------
    ValueError
        If ``max_norm`` is not positive, or the norm is not finite: a step would destroy the
        weights.
    """
    max_norm, parameters = checks.number("max_norm", max_norm, "(0, inf]"), _listed(parameters)
    norm = float(np.sqrt(sum(np.vdot(p.grad, p.grad).real for p in parameters)))
    if not np.isfinite(norm):
        raise ValueError(f"the gradient norm must be finite, got {norm}")
    if norm > max_norm:
        for parameter in parameters:
            parameter.grad *= max_norm / norm
    return norm


class Optimizer:
    """Base class: a learning rate, a list of parameters, and arrays of the same shapes as state."""

    def __init__(self, parameters: Iterable[Parameter], lr: float) -> None:
        self.parameters = _listed(parameters)
        if not self.parameters:
            raise ValueError("parameters must hold at least one Parameter, got none")
        self.lr, self.steps = lr, 0
        self._state: dict[str, list[np.ndarray]] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "lr":  # also where a schedule sets it
            value = checks.number("lr", value, "[0, inf)")
        super().__setattr__(name, value)

    def _buffers(self, *names: str) -> None:
        for name in names:
            self._state[name] = [np.zeros_like(p.data) for p in self.parameters]

    @held()
    @checks.quiet
    def step(self) -> None:
        """Change every parameter once, from its ``grad``: all of them, though Ctrl-C comes."""
        self.steps += 1
        for index, parameter in enumerate(self.parameters):
            buffers = {name: arrays[index] for name, arrays in self._state.items()}
            self._update(parameter, **buffers)

    def _update(self, parameter: Parameter, **buffers: np.ndarray) -> None:
        raise TypeError(f"{type(self).__name__} does not define _update")

    def clip_grad_norm_(self, max_norm: float) -> float:
        """Call :func:`clip_grad_norm_` on this optimiser's parameters."""
        return clip_grad_norm_(self.parameters, max_norm)

    def zero_grad(self) -> None:
        """Set every gradient to zero, in place."""
        for parameter in self.parameters:
            parameter.grad[...] = 0

    def __repr__(self) -> str:
        settings = {name: value for name, value in vars(self).items() if name[0] != "_"}
        shown = (f"{k}={v!r}" for k, v in settings.items() if k not in ("parameters", "steps"))
        return f"{type(self).__name__}({', '.join(shown)})"

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of all state: with it training resumes bit for bit."""
        arrays = {
            f"{name}.{index}": array.copy()
            for name, arrays in self._state.items()
            for index, array in enumerate(arrays)
        }
        return arrays | {"lr": np.float64(self.lr), "steps": np.int64(self.steps)}

    @held()
    def load_state_dict(self, mapping: Mapping[str, np.ndarray]) -> None:
        """Restore what :meth:`state_dict` returned; all of it or nothing."""
        own = self.state_dict()
        mapping = same_names(type(self).__name__, own, mapping)
        values = {
            name: checks.array(name, mapping[name], value.dtype, value.shape).copy()
            for name, value in own.items()
        }
        lr = checks.number("lr", values["lr"][()], "[0, inf)")
        steps = checks.positive_int("steps", values["steps"][()], minimum=0)
        self.lr, self.steps = lr, steps
        for name, arrays in self._state.items():
            for index, array in enumerate(arrays):
                array[...] = values[f"{name}.{index}"]


@equation("eq-sgd", lr=r"\eta", momentum=r"\mu")
class SGD(Optimizer):
    r"""Gradient descent, with momentum if wanted, equation ``eq-sgd``.

    .. math::

        \begin{aligned}
            m & \leftarrow \mu m + g \\
            \theta & \leftarrow \theta - \eta m
        \end{aligned}

    Parameters
    ----------
    parameters : iterable of Parameter
        What to train.
    lr : float
        Learning rate :math:`\eta`.
    momentum : float
        :math:`\mu`; 0 is plain gradient descent.
    """

    def __init__(
        self, parameters: Iterable[Parameter], lr: float = 1e-3, momentum: float = 0.0
    ) -> None:
        super().__init__(parameters, lr)
        self.momentum = checks.number("momentum", momentum, "[0, inf)")
        self._buffers("momentum")

    def _update(self, parameter: Parameter, momentum: np.ndarray) -> None:
        momentum *= self.momentum
        momentum += parameter.grad
        parameter.data -= self.lr * momentum


@equation("eq-rmsprop", lr=r"\eta", alpha=r"\alpha", eps=r"\epsilon")
class RMSprop(Optimizer):
    r"""Divide by a running root mean square, equation ``eq-rmsprop`` (Tieleman and Hinton, 2012).

    .. math::

        \begin{aligned}
            v & \leftarrow \alpha v + (1 - \alpha) g^2 \\
            \theta & \leftarrow \theta - \eta \frac{g}{\sqrt{v} + \epsilon}
        \end{aligned}

    Parameters
    ----------
    parameters : iterable of Parameter
        What to train.
    lr : float
        Learning rate :math:`\eta`.
    alpha : float
        Decay of the running mean, in [0, 1).
    eps : float
        :math:`\epsilon`, added outside the root.
    eps_inside : bool
        Put :math:`\epsilon` under the root instead, as Keras does: a weight whose gradients are
        smaller than :math:`\sqrt\epsilon` then hardly moves.
    """

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        eps_inside: bool = False,
    ) -> None:
        super().__init__(parameters, lr)
        self.alpha = checks.number("alpha", alpha, "[0, 1)")
        self.eps = checks.number("eps", eps, "[0, inf)")
        self.eps_inside = checks.boolean("eps_inside", eps_inside)
        self._buffers("square")

    def _update(self, parameter: Parameter, square: np.ndarray) -> None:
        square *= self.alpha
        square += (1 - self.alpha) * parameter.grad**2
        root = np.sqrt(square + self.eps) if self.eps_inside else np.sqrt(square) + self.eps
        parameter.data -= self.lr * parameter.grad / root


@equation("eq-adam", lr=r"\eta", betas=r"\beta_1, \beta_2", eps=r"\epsilon")
class Adam(Optimizer):
    r"""Adaptive moments, equation ``eq-adam`` (Kingma and Ba, 2015).

    .. math::

        \begin{aligned}
            m & \leftarrow \beta_1 m + (1 - \beta_1) g \\
            v & \leftarrow \beta_2 v + (1 - \beta_2) g^2 \\
            \theta & \leftarrow \theta
            - \eta \frac{m / (1 - \beta_1^k)}{\sqrt{v / (1 - \beta_2^k)} + \epsilon}
        \end{aligned}

    Parameters
    ----------
    parameters : iterable of Parameter
        What to train.
    lr : float
        Learning rate :math:`\eta`.
    betas : (float, float)
        Decays :math:`\beta_1, \beta_2` of the two moments, each in [0, 1).
    eps : float
        :math:`\epsilon`.
    """

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, lr)
        betas = checks.several("betas", betas, "a pair of numbers")
        self.betas = tuple(checks.number(f"betas[{k}]", betas[k], "[0, 1)") for k in (0, 1))
        self.eps = checks.number("eps", eps, "[0, inf)")
        self._buffers("mean", "square")

    def _update(self, parameter: Parameter, mean: np.ndarray, square: np.ndarray) -> None:
        beta_1, beta_2 = self.betas
        mean *= beta_1
        mean += (1 - beta_1) * parameter.grad
        square *= beta_2
        square += (1 - beta_2) * parameter.grad**2
        # Both corrections folded into two numbers: the arrays are touched once less.
        scale = self.lr / (1 - beta_1**self.steps)
        root = np.sqrt(square)
        root *= (1 - beta_2**self.steps) ** -0.5
        root += self.eps
        parameter.data -= scale * mean / root


def _listed(parameters: Iterable[Parameter]) -> list[Parameter]:
    """Return the parameters as a list, each once."""
    try:
        listed = list(parameters)
    except Exception:  # whatever a foreign __iter__ raises
        listed = [parameters]
    for parameter in listed:
        if not isinstance(parameter, Parameter):
            raise ValueError(f"parameters must be Parameters, got {type(parameter).__name__}")
    return distinct(listed)
