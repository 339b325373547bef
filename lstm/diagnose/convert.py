"""Weights in another order, both ways: a framework's, or that of a person's code.

A framework's weights are described by pieces: which array, which part of the LSTM it is, in which
order its gates stand, and how it lies. All else follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lstm import checks
from lstm.diagnose.forward import Explanation
from lstm.diagnose.weights import Arrays
from lstm.diagnose.wiring import Wiring

TORCH = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


class Piece(NamedTuple):
    """One array of a framework: what of the LSTM stands in it, one below the other."""

    name: str
    parts: str
    """W, U, b (the bias with W) and B (that with U); more than one are put side by side."""
    order: str = "ifgo"
    columns: bool = True
    """Whether a gate is a block of rows, as in PyTorch, or of columns."""
    lead: bool = False
    """Whether there is an axis for the direction in front."""


FRAMEWORKS: dict[str, tuple[Piece, ...]] = {
    "torch": tuple(Piece(n, p) for n, p in zip(TORCH, "WUbB", strict=True)),
    "keras": (
        Piece("kernel", "W", columns=False),
        Piece("recurrent_kernel", "U", columns=False),
        Piece("bias", "b", columns=False),
    ),
    "onnx": (
        Piece("W", "W", "iofg", lead=True),
        Piece("R", "U", "iofg", lead=True),
        Piece("B", "bB", "iofg", lead=True),
    ),
    "tf1": (Piece("kernel", "WU", "igfo", columns=False), Piece("bias", "b", "igfo")),
    "flax": (
        *(Piece(f"i{g}/kernel", "W", g, columns=False) for g in "ifgo"),
        *(Piece(f"h{g}/kernel", "U", g, columns=False) for g in "ifgo"),
        *(Piece(f"h{g}/bias", "B", g) for g in "ifgo"),
    ),
    "cudnn": tuple(
        Piece(f"{part}_{g}", part, g) for part in "WUbB" for g in "ifgo"
    ),  # the order of its linear layers, biases last
}
"""Framework → its arrays. ``tf1`` is ``BasicLSTMCell``, which adds 1 to the forget gate's bias."""

FORGET_BIAS = {"tf1": 1.0}


def to_framework(state_dict: Mapping[str, np.ndarray], framework: str) -> dict[str, np.ndarray]:
    """Return the weights of a layer as a framework has them.

    Parameters
    ----------
    state_dict : mapping of str to ndarray
        Those of ``torch.nn.LSTM``, of one layer and direction.
    framework : {"torch", "keras", "onnx", "tf1", "flax", "cudnn"}
        ``tf1`` is TensorFlow 1's ``BasicLSTMCell`` with its ``forget_bias=1.0``.

    Returns
    -------
    dict of str to ndarray
        A framework with one bias has the sum of both.
    """
    checks.one_of("framework", framework, tuple(FRAMEWORKS))
    whole = dict(zip("WUbB", of_one_layer(_arrays("state_dict", state_dict, TORCH)), strict=True))
    letters = {part for piece in FRAMEWORKS[framework] for part in piece.parts}
    kept, other = ("b", "B") if "b" in letters else ("B", "b")
    if other not in letters:
        whole[kept] = whole[kept] + whole[other]
    gates = {part: dict(zip("ifgo", np.split(a, 4), strict=True)) for part, a in whole.items()}
    gates["b"]["f"] = gates["b"]["f"] - FORGET_BIAS.get(framework, 0.0)
    found = {}
    for name, parts, order, columns, lead in FRAMEWORKS[framework]:
        blocks = [np.concatenate([gates[part][g] for g in order]) for part in parts]
        array = np.concatenate(blocks, axis=-1)
        array = array if columns else array.T
        found[name] = np.ascontiguousarray(array[None] if lead else array)
    return found


def from_framework(weights: Mapping[str, np.ndarray], framework: str) -> dict[str, np.ndarray]:
    """Return a framework's weights as a state dict of ``torch.nn.LSTM``.

    Parameters
    ----------
    weights : mapping of str to ndarray
        As :func:`to_framework` returns them.
    framework : {"torch", "keras", "onnx", "tf1", "flax", "cudnn"}

    Returns
    -------
    dict of str to ndarray
        What a framework lacks is zero.
    """
    checks.one_of("framework", framework, tuple(FRAMEWORKS))
    weights = _arrays("weights", weights, [piece.name for piece in FRAMEWORKS[framework]])
    try:
        return dict(zip(TORCH, of_one_layer(_gathered(weights, framework)), strict=True))
    except (IndexError, TypeError, ValueError) as error:
        shapes = {name: array.shape for name, array in weights.items()}
        raise ValueError(
            f"weights must be those of one layer in {framework}, got {shapes}: {error}"
        ) from None


def _arrays(name: str, value: Mapping[str, Any], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the arrays of some names, copied."""
    value = checks.mapping(name, value)
    if missing := [each for each in names if each not in value]:
        raise ValueError(f"{name} must have {', '.join(names)}, got no {', '.join(missing)}")
    return {each: np.array(checks.array(each, value[each])) for each in names}


def of_one_layer(arrays: Mapping[str, np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the arrays, those of :data:`TORCH` in their order, if they fit together."""
    D, H = ((0, *arrays[name].shape)[-1] for name in TORCH[:2])
    shapes = (4 * H, D), (4 * H, H), (4 * H,), (4 * H,)
    for (name, array), shape in zip(arrays.items(), shapes, strict=True):
        checks.of_shape(name, array, shape)
        yield array


def _gathered(weights: Mapping[str, np.ndarray], framework: str) -> dict[str, np.ndarray]:
    """Return the arrays of :data:`TORCH` from those of a framework."""
    gates: dict[str, dict[str, np.ndarray]] = {part: {} for part in "WUbB"}
    for name, parts, order, columns, lead in FRAMEWORKS[framework]:
        array = weights[name][0] if lead else weights[name]
        array = array if columns else array.T
        rows = len(array) // (len(order) * (len(parts) if array.ndim == 1 else 1))
        cuts = {"WU": [array.shape[-1] - rows], "bB": [len(order) * rows]}.get(parts, [])
        for part, block in zip(parts, np.split(array, cuts, axis=-1), strict=True):
            gates[part] |= dict(zip(order, np.split(block, len(order)), strict=True))
    some = next(a for part in "bB" for a in gates[part].values())
    for part in "bB":
        gates[part] = {g: gates[part].get(g, np.zeros_like(some)) for g in "ifgo"}
    gates["b"]["f"] = gates["b"]["f"] + some.dtype.type(FORGET_BIAS.get(framework, 0.0))
    arrays = (np.concatenate([gates[part][g] for g in "ifgo"]) for part in "WUbB")
    return dict(zip(TORCH, arrays, strict=True))


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
        """Return the person's arrays by name; raise where they have no place for all."""
        W, U, b, b_hh = (np.split(np.asarray(state_dict[n], float), 4) for n in TORCH)
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
