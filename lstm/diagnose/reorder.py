"""A person's weights in PyTorch's order, and back, by the convention that was found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lstm.diagnose.forward import Explanation
from lstm.diagnose.weights import Arrays
from lstm.diagnose.wiring import Wiring


def complete(best: Explanation) -> bool:
    """Whether all four gates are known, or follow as with coupled gates."""
    return set(best.blocks) == set("ifgo") or (
        set(best.blocks) == set("igo") and best.forms["c"].name.startswith("coupled")
    )


def forms(best: Explanation) -> list[tuple[int, float, float]]:
    """Return of each gate its block, and how PyTorch's preactivation follows: scale and shift."""
    found = []
    for role in "ifgo":
        known = role if role in best.blocks else "i"
        sign = 1 if known == role else -1  # coupled: f is 1 − i
        scale, shift = best.forms[known].weights
        found.append((best.blocks[known], sign * scale, sign * shift))
    return found


def standard(wiring: Wiring, best: Explanation, weights: Arrays) -> dict[str, np.ndarray]:
    """Return W, U and the biases' parts in PyTorch's order and the book's convention."""
    parts = wiring.assemble(weights)
    kept = {rows[0].array for units in wiring.gates for unit in units if (rows := biases(unit))}
    first = wiring.assemble({n: a if n in kept else np.zeros_like(a) for n, a in weights.items()})
    shapes = {"weight_ih": parts["x"], "weight_hh": parts["h"]}
    found = {
        name: np.concatenate([scale * part[k] for k, scale, _ in forms(best)])
        for name, part in shapes.items()
    }
    b = [(scale * first["1"][k, :, 0] + shift) for k, scale, shift in forms(best)]
    rest = (parts["1"] - first["1"])[..., 0]
    b_hh = [scale * rest[k] for k, scale, _ in forms(best)]
    return found | {"bias_ih": np.concatenate(b), "bias_hh": np.concatenate(b_hh)}


def biases(rows: list) -> list:
    """Return the rows of a unit that hold a bias, those that hold inputs, too, first."""
    return sorted((r for r in rows if "1" in r.kinds), key=lambda r: len(r.kinds) == 1)


def state_dict(wiring: Wiring, best: Explanation, weights: Arrays) -> dict[str, np.ndarray]:
    """Return the weights with the names, shapes and gate order of ``torch.nn.LSTM``."""
    dtype = np.result_type(*weights.values())
    return {f"{n}_l0": a.astype(dtype) for n, a in standard(wiring, best, weights).items()}


def own_weights(wiring: Wiring, best: Explanation, weights: Arrays) -> Callable[..., Arrays]:
    """Return a function that puts a state dict of PyTorch into a person's own arrays."""
    own = {name: np.zeros_like(array) for name, array in weights.items()}

    def placed(state_dict: Mapping[str, Any]) -> Arrays:
        """Return the person's arrays for the weights of ``torch.nn.LSTM``, by their names.

        Raises
        ------
        ValueError
            If the person's arrays cannot hold them: there is no bias, or two gates are one.
        """
        W, U, b, b_hh = (np.split(np.asarray(state_dict[f"{n}_l0"], float), 4) for n in NAMES)
        K = len(wiring.gates)
        shapes = {"x": W[0].shape, "h": U[0].shape, "1": (wiring.H, 1)}
        parts = {name: np.zeros((K, *shape)) for name, shape in shapes.items()}
        for n, (k, scale, shift) in enumerate(forms(best)):
            parts["x"][k], parts["h"][k] = W[n] / scale, U[n] / scale
            parts["1"][k, :, 0] = (b[n] + b_hh[n] - shift) / scale
        found = wiring.scatter(parts, own, power=-1)
        for units in wiring.gates:
            for rows in units:
                for row in biases(rows)[1:]:  # the first holds the sum
                    found[row.array][row.index] = 0
        back = wiring.assemble(found)
        if not all(np.allclose(back[name], part) for name, part in parts.items()):
            raise ValueError("state_dict must fit these weights, which have no place for all of it")
        return {name: array.astype(own[name].dtype) for name, array in found.items()}

    return placed


NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
