"""A person's gradients against two yardsticks: their own forward pass, and the LSTM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lstm.diagnose.calling import Arrays
from lstm.diagnose.catalogue import Finding
from lstm.diagnose.forward import Explanation
from lstm.diagnose.lines import ROLES, Wrong, backward, forward, mistakes
from lstm.diagnose.wiring import Wiring

MOST_ENTRIES = 60
"""So many entries of each array are differentiated numerically."""
BEAM = 12
DEEPEST = 5
"""So many explanations are followed at once, and so many mistakes tried together."""


def numerical(loss: Callable[[], float], arrays: Arrays, step: float) -> Arrays:
    """Differentiate by central differences; NaN stands where an entry was left out."""
    rng, found = np.random.default_rng(11), {}
    for name, array in arrays.items():
        gradient = np.full(array.size, np.nan)
        flat = array.reshape(-1)
        if not np.shares_memory(flat, array):
            flat = array.flat
        for k in rng.permutation(array.size)[:MOST_ENTRIES]:
            centre = flat[k]
            flat[k] = centre + step
            above = loss()
            flat[k] = centre - step
            gradient[k] = (above - loss()) / (2 * step)
            flat[k] = centre
        found[name] = gradient.reshape(array.shape)
    return found


def equal(found: np.ndarray, wanted: np.ndarray, tolerance: float) -> bool:
    """Whether two gradients agree where both are known."""
    known = ~np.isnan(wanted)
    if not known.any():
        return True
    scale = max(float(np.abs(wanted[known]).max()), 1e-2)
    return bool(np.abs(found - wanted)[known].max() <= tolerance * scale)


class Case:
    """One call of a person's gradients, with what they should be.

    Parameters
    ----------
    code : Step or Sequence
        The forward pass.
    gradients : callable
        The backward pass.
    steps : int
        Number of steps; 1 for a step.
    seed : int
        Of the numbers put in.
    """

    def __init__(self, code: Any, gradients: Callable, steps: int, seed: int = 20) -> None:
        rng = np.random.default_rng(seed)
        self.code, self.gradients, self.steps = code, gradients, steps
        self.samples = (
            next(n for n in (3, 5, 7, 9) if n not in (code.D, code.H)) if code.several else 1
        )
        shapes = code.input_shapes(steps, self.samples)
        self.inputs = {name: rng.normal(size=shape) for name, shape in shapes.items()}
        self.given = [rng.normal(size=shape) for shape in code.output_shapes(steps, self.samples)]

    def theirs(self, factor: float = 1.0) -> Arrays:
        """Return the person's gradients by name, for outputs' gradients times a factor."""
        given = [factor * d for d in self.given]
        return self.code.gradients(self.gradients, self.inputs, given)

    def loss(self) -> float:
        """Return the loss whose gradients they should be."""
        return self.code.loss(self.inputs, self.given)

    def numerical(self, names: set[str]) -> Arrays:
        """Return numerical gradients of the person's own forward pass."""
        arrays = {n: a for n, a in (self.inputs | self.code.weights).items() if n in names}
        step = 1e-5 if self.code.dtype == np.float64 else 2e-2
        return numerical(self.loss, arrays, step)

    def reference(self, wiring: Wiring, best: Explanation) -> Callable[..., Arrays]:
        """Return a function of mistakes that gives the LSTM's gradients with them."""
        parts, K = wiring.assemble(self.code.weights), len(wiring.gates)
        scales = [best.forms[r].weights for r in ROLES]
        blocks = [best.blocks[r] for r in ROLES]
        W, U, b = (
            np.stack([s[0] * parts[n][k] for s, k in zip(scales, blocks, strict=True)])
            for n in ("x", "h", "1")
        )
        b = b[..., 0] + np.array([shift for _, shift in scales])[:, None]
        x, h, c, d_out, d_c = self.code.as_pass(self.inputs, self.given)
        run = forward(x, h, c, W, U, b)

        def gradients(wrong: tuple[Wrong, ...] = ()) -> Arrays:
            found = backward(run, d_out, d_c, wrong)
            placed = {}
            for name, letter in zip(("x", "h", "1"), "WUb", strict=True):
                placed[name] = np.zeros((K, *found[letter].shape[1:]))
                for (scale, _), k, values in zip(scales, blocks, found[letter], strict=True):
                    placed[name][k] = scale * values
            return self.code.from_pass(found) | wiring.scatter(placed, self.code.weights)

        return gradients


class Comparison:
    """Compares gradients piece by piece: a piece is one gate's part of an array, or an input."""

    def __init__(self, case: Case, wiring: Wiring, best: Explanation, theirs: Arrays) -> None:
        self.theirs, self.tolerance = theirs, 1e-6 if case.code.dtype == np.float64 else 2e-2
        self.pieces: dict[tuple[str, str], np.ndarray] = {}
        numbers = {n: np.arange(a.size).reshape(a.shape) for n, a in theirs.items()}
        role = {k: r for r, k in best.blocks.items()}
        for k, _, row in wiring.rows():
            if row.array in theirs and k in role:
                key = row.array, role[k]
                more = np.atleast_1d(numbers[row.array][row.index]).ravel()
                self.pieces[key] = np.concatenate([self.pieces.get(key, more[:0]), more])
        for name in theirs.keys() & case.inputs.keys():
            self.pieces[name, ""] = numbers[name].ravel()
        lengths = [len(index) for index in self.pieces.values()]
        self.starts = np.cumsum([0, *lengths[:-1]])
        self.values = self.vector(theirs)

    def vector(self, gradients: Arrays) -> np.ndarray:
        """Return all pieces, one behind the other."""
        flat = [gradients[name].ravel()[index] for (name, _), index in self.pieces.items()]
        return np.concatenate(flat)

    def right(self, gradients: Arrays, factor: float = 1.0) -> np.ndarray:
        """Return which pieces the person has as in ``gradients``."""
        wanted = self.vector(gradients)
        errors = np.maximum.reduceat(np.abs(factor * self.values - wanted), self.starts)
        scale = np.maximum(np.maximum.reduceat(np.abs(wanted), self.starts), 1e-2)
        return errors <= self.tolerance * scale


Wrongs = tuple[Wrong, ...]


def search(
    case: Case,
    wiring: Wiring,
    best: Explanation,
    theirs: Arrays,
    begin: list[Wrongs],
    factor: float,
) -> tuple[list[Wrongs], int, int]:
    """Find the fewest mistakes that give the person's gradients, going on from some.

    Returns
    -------
    list of tuple of Wrong
        What explains the most pieces; these explanations give the same.
    int, int
        How many pieces they explain, of how many.
    """
    comparison = Comparison(case, wiring, best, theirs)
    reference, catalogue = case.reference(wiring, best), mistakes(case.code.D == case.code.H)

    def right(wrong: Wrongs) -> np.ndarray:
        with np.errstate(all="ignore"):
            return comparison.right(reference(wrong), factor)

    def score(wrong: Wrongs) -> int:
        return int(right(wrong).sum())

    count = len(comparison.pieces)
    beam = [(score(wrong), wrong) for wrong in begin]
    plain, reach = comparison.vector(reference()), {}
    for more in catalogue:
        with np.errstate(all="ignore"):
            moved = np.abs(comparison.vector(reference((more,))) - plain)
        reach[more.name] = np.maximum.reduceat(moved, comparison.starts) > 0
    for _ in range(DEEPEST):
        most = max(right for right, _ in beam)
        if most == count:
            break
        longer = {
            frozenset(w.name for w in (*wrong, more)): (*wrong, more)
            for _, wrong in beam
            for bad in [~right(wrong)]
            for more in catalogue
            if (reach[more.name] & bad).any()  # what changes only pieces that are right is no help
            and not any(more.lines.keys() & w.lines.keys() for w in wrong)
        }
        scored = [(score(wrong), wrong) for wrong in longer.values()]
        scored.sort(key=lambda entry: -entry[0])
        if scored[0][0] <= most:
            break
        beam = scored[:BEAM]
    most = max(right for right, _ in beam)
    return [wrong for right, wrong in beam if right == most], most, count


def not_a_mistake(theirs: Arrays, wanted: Arrays, weights: Arrays, tolerance: float) -> str | None:
    """Say how gradients differ harmlessly: scaled, clipped, with a decay; "" if not at all."""
    names = [n for n in theirs if n in weights and n in wanted]
    if not names:
        return None
    known = np.concatenate([~np.isnan(wanted[n]).ravel() for n in names])
    a, b, w = (
        np.concatenate([d[n].ravel() for n in names])[known] for d in (theirs, wanted, weights)
    )
    if equal(a, b, tolerance):
        return ""
    factor = float(a @ b / max(b @ b, 1e-30))
    if abs(factor) > 1e-6 and equal(a / factor, b, tolerance):
        return f"the gradients of all weights are multiplied by {factor:.4g}"
    most = np.abs(a).max()
    if most > 0 and equal(a, np.clip(b, -most, most), tolerance):
        return f"the gradients are clipped to ±{most:.4g}"
    decay = float((a - b) @ w / (w @ w))
    if abs(decay) > 1e-9 and equal(a - decay * w, b, tolerance):
        return f"{decay:.4g} times the weights is added: weight decay"
    return None


def examine(
    code: Any,
    wiring: Wiring,
    best: Explanation | None,
    gradients: Callable,
    *,
    named: bool,
) -> tuple[list[Finding], bool, bool | None]:
    """Compare a person's gradients with both yardsticks; name what is wrong.

    Returns
    -------
    list of Finding
    bool, bool or None
        Whether they are those of their own forward pass, and those of the LSTM.
    """
    found: list[Finding] = []
    tolerance = 1e-5 if code.dtype == np.float64 else 5e-2
    cases = [Case(code, gradients, steps) for steps in code.lengths]
    own, lstm, begin = True, None if best is None else True, [()]
    for case in cases:
        theirs = case.theirs()
        if not theirs:
            raise ValueError(
                "gradients must return arrays by the names of the weights, got none of "
                + ", ".join(code.weights)
            )
        left = case.theirs(0.0)
        small = {n: 1e3 * a for n, a in case.theirs(1e-3).items()}
        again = case.theirs()
        if any(np.abs(a - theirs[n]).max() > 1e-9 for n, a in again.items() if n in theirs):
            found.append(
                Finding(
                    "accumulators keep the last call's gradients", "mistake", "eq-d-weights-sum"
                )
            )
            return found, False, None if best is None else False
        started = any(np.abs(a).max() > 1e-9 for a in left.values())
        if not started and any(not equal(small[n], a, tolerance) for n, a in theirs.items()):
            found.append(Finding("large gradients are clipped", "convention", "eq-d-weights-sum"))
            theirs = small
        idle = [n for n in wiring.idle if n in theirs and np.abs(theirs.pop(n)).max() > 1e-9]
        if idle:
            text = "gradients of weights that do nothing"
            found.append(Finding(text, "mistake", "eq-d-weights", ", ".join(idle)))
            own, lstm = False, None if best is None else False
        names = set(theirs)
        numbers = case.numerical(names)
        harmless = not_a_mistake(theirs, numbers, code.weights, tolerance)
        inputs = [equal(theirs[n], numbers[n], tolerance) for n in names & case.inputs.keys()]
        right = harmless is not None and all(inputs)
        own &= right
        if harmless:
            found.append(Finding(harmless, "convention", "eq-d-weights-sum"))
        if best is None:
            continue
        reference = case.reference(wiring, best)
        exact = {n: a for n, a in reference().items() if n in names}
        same = not_a_mistake(theirs, exact, code.weights, tolerance) is not None and all(
            equal(theirs[n], exact[n], tolerance) for n in names & case.inputs.keys()
        )
        lstm &= same
        if same or right:
            continue
        if not named:  # mistakes are named against the LSTM's lines, which these are not
            found.append(Finding("gradients of neither forward pass", "mistake", ""))
            break
        if not any(np.any(a) for a in theirs.values()):
            found.append(Finding("all gradients are zero", "mistake", "eq-d-weights"))
            return found, False, False
        factors = {1.0, float(case.samples), float(case.steps), float(case.samples * case.steps)}
        comparison = Comparison(case, wiring, best, theirs)
        factor = max(sorted(factors), key=lambda f: comparison.right(exact, f).sum())
        begin, most, count = search(case, wiring, best, theirs, begin, factor)
        if most < count:
            if started:
                text = "accumulators do not start at zero"
                found.append(Finding(text, "mistake", "eq-d-weights-sum"))
            wrong = [
                f"{name}" + (f" ({role})" if role else "")
                for (name, role), ok in zip(
                    comparison.pieces, comparison.right(reference(begin[0]), factor), strict=True
                )
                if not ok
            ]
            found.append(
                Finding("gradients that nothing explains", "mistake", "", ", ".join(wrong))
            )
            break
    alike = [
        " or ".join(dict.fromkeys(w.name for w in column)) for column in zip(*begin, strict=False)
    ]
    chosen = begin[0]
    for k, wrong in enumerate(chosen):
        others = alike[k].split(" or ")[1:3] if len(begin) > 1 else []
        detail = "or " + " or ".join(others) if others else ""
        found.append(Finding(wrong.name, "mistake", wrong.equation, detail))
    return list(dict.fromkeys(found)), own, lstm
