"""The answer: what a person's LSTM is, in fields and on one screen."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lstm.diagnose.catalogue import EQUATION, Finding

SIGNS = {"mistake": "✗", "variant": "≠", "convention": "·"}


def wrapped(first: str, text: str, indent: str) -> list[str]:
    """Return lines of at most 88 characters, the later ones below the text of the first."""
    start = f"{indent}{first} " if first else indent
    return textwrap.wrap(
        text, 88, initial_indent=start, subsequent_indent=" " * len(start), break_long_words=False
    )


def distance(error: float) -> str:
    """Return in words how far a forward pass is from the LSTM's."""
    return "equal, to rounding, to" if error < 1e-5 else f"up to {error:.2g} away from"


@dataclass
class Diagnosis:
    """What was found; ``print`` shows it on one screen.

    Attributes
    ----------
    is_lstm : bool
        Whether its forward pass is that of ``torch.nn.LSTM`` with the weights in ``state_dict``.
    findings : list of Finding
        All that differs, in order: mistakes, variants made on purpose, conventions.
    gate_order : str or None
        The order of its gates, as they stand in its arrays: ``"ifgo"`` is that of PyTorch.
    state_dict : dict of str to ndarray, or None
        Its weights with the names and shapes of ``torch.nn.LSTM``, where all roles are known.
    largest_error : float or None
        Largest difference between it and the LSTM with these weights.
    backward_of_own_forward, backward_of_lstm : bool or None
        Whether its gradients are those of its own forward pass, and those of the LSTM; None where
        none were given.
    right : list of str
        What is right beside the mistakes, or beside what nothing explains.
    warnings, ties : list of str
        What is no mistake but should be known; other explanations of the same numbers.
    weights : dict of str to list of str
        Gate → the arrays that it uses.
    called : str
        How the code was called.
    autograd : bool
        Whether the gradients are those of PyTorch's autograd: right by construction, if not cut.
    own_weights : callable or None
        The way back: ``own_weights(state_dict)`` returns the code's own arrays, by their names.
    reason, adapter : str, list of str
        Why it is unknown, and the lines to write, where the code could not be called.
    """

    is_lstm: bool = False
    findings: list[Finding] = field(default_factory=list)
    gate_order: str | None = None
    state_dict: dict[str, np.ndarray] | None = None
    largest_error: float | None = None
    backward_of_own_forward: bool | None = None
    backward_of_lstm: bool | None = None
    right: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    ties: list[str] = field(default_factory=list)
    weights: dict[str, list[str]] = field(default_factory=dict)
    called: str = ""
    autograd: bool = False
    own_weights: Callable[..., dict[str, np.ndarray]] | None = field(default=None, repr=False)
    reason: str = ""
    adapter: list[str] = field(default_factory=list)

    @property
    def mistakes(self) -> list[str]:
        """Names of what no convention explains."""
        return self.names("mistake")

    @property
    def differences(self) -> list[str]:
        """Names of what makes it a relative of the LSTM, usually on purpose."""
        return self.names("variant")

    def names(self, kind: str) -> list[str]:
        """Return the names of the findings of a kind."""
        return [finding.name for finding in self.findings if finding.kind == kind]

    @property
    def verdict(self) -> str:
        """The answer in one line."""
        if self.mistakes:
            count = len(self.mistakes)
            what = "a right forward pass, but " if self.is_lstm else "not an LSTM: "
            return f"{what}{count} mistake{'s' * (count > 1)}"
        if self.differences:
            return "a relative of the LSTM: it differs in " + ", ".join(self.differences)
        if not self.is_lstm:
            return "unknown: " + (self.reason or "nothing in the catalogue gives these numbers")
        if False in (self.backward_of_own_forward, self.backward_of_lstm):
            return "an LSTM, but its gradients are not: nothing in the catalogue gives them"
        return "an LSTM" + (", and so is its backward pass" if self.backward_of_lstm else "")

    def as_dict(self) -> dict[str, Any]:
        """Return everything as lists, numbers and strings, for ``json``."""
        names = [name for name in self.__dataclass_fields__ if name != "own_weights"]
        fields = {name: getattr(self, name) for name in names}
        fields["findings"] = [vars(finding) for finding in self.findings]
        if self.state_dict is not None:
            fields["state_dict"] = {name: a.tolist() for name, a in self.state_dict.items()}
        return {"verdict": self.verdict, "mistakes": self.mistakes} | fields

    def to_json(self) -> str:
        """Return :meth:`as_dict` as text."""
        return json.dumps(self.as_dict(), ensure_ascii=False)

    def __str__(self) -> str:
        if self.reason:
            return "\n".join([*wrapped("Unknown:", self.reason + ".", ""), "Write:", *self.adapter])
        lines = wrapped("", self.verdict[0].upper() + self.verdict[1:] + ".", "")
        for finding in self.findings:
            lines += wrapped(SIGNS[finding.kind], finding.name, "  ")
            if finding.kind != "convention" and finding.equation in EQUATION:
                book = f"the book: {EQUATION[finding.equation]}  ({finding.equation})"
                lines += wrapped("", book, "    ")
            lines += wrapped("", finding.detail, "    ") if finding.detail else []
        error = self.largest_error
        same = len({tuple(sorted(arrays)) for arrays in self.weights.values()}) == 1
        gates = [f"{gate}: {', '.join(arrays)}" for gate, arrays in self.weights.items()]
        rows = {
            "Right": ", ".join(self.right),
            "Forward": "" if error is None else f"{distance(error)} nn.LSTM with these weights",
            "Backward": self._backward(),
            "Weights": ", ".join(*[*self.weights.values()][:1]) if same else "; ".join(gates),
            "Order": ", ".join(self.gate_order or ""),
            "Called": self.called,
        }
        rows |= {f"Or ({k})": tie for k, tie in enumerate(self.ties, 1)}
        rows |= {f"Note ({k})": text for k, text in enumerate(self.warnings, 1)}
        for name, text in rows.items():
            lines += wrapped(f"{name:9}", text, "") if text else []
        return "\n".join(lines)

    __repr__ = __str__

    def _backward(self) -> str:
        if self.backward_of_own_forward is None:
            return "not given"
        own, theirs = (
            "is" if yes else "is not"
            for yes in (self.backward_of_own_forward, self.backward_of_lstm)
        )
        own = f"by autograd, {own}" if self.autograd else own
        if self.backward_of_lstm is None:
            return f"{own} that of its own forward pass"
        return f"{own} that of its own forward pass, {theirs} that of the LSTM"
