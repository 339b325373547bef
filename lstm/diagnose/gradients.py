"""A person's gradients against two yardsticks: their own forward pass, and the LSTM."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lstm.diagnose.calling import CannotCall
from lstm.diagnose.catalogue import ROLES, Finding, Wrong, backward, forward, mistake, mistakes
from lstm.diagnose.conventions import back
from lstm.diagnose.convert import standard
from lstm.diagnose.diagnosis import Diagnosis
from lstm.diagnose.forward import Explanation
from lstm.diagnose.handed import gradients_by_name
from lstm.diagnose.weights import Arrays
from lstm.diagnose.wiring import Wiring

MOST_ENTRIES = 30
"""So many entries of each array are differentiated numerically."""
BEAM = 12
DEEPEST = 7
"""So many explanations are followed at once, and so many mistakes tried together."""
PAIRS = 40
"""So many that explain no more are followed once."""
MOST_TRIES, AT_ONCE = 3500, 2500
"""So many explanations are tried in all, a few seconds, and so many of one length."""
Wrongs = tuple[Wrong, ...]


def numerical(loss: Callable[[], float], arrays: Arrays, step: float) -> Arrays:
    """Differentiate by central differences; NaN stands where an entry was left out."""
    rng, found = np.random.default_rng(11), {}
    for name, array in arrays.items():
        gradient = np.full(array.size, np.nan)
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
    """One call of a person's backward pass over some steps, with what should come out."""

    scales = True
    """Whether the outputs' gradients can be made larger or smaller."""

    def __init__(self, code: Any, gradients: Callable, steps: int) -> None:
        rng = np.random.default_rng(20)
        self.code, self.gradients, self.steps = code, gradients, steps
        several = code.layout.several and not code.alone
        self.samples = next(n for n in (3, 5, 7, 9) if n not in (code.D, code.H)) if several else 1
        self.inputs = code.draw(rng, steps, self.samples)
        self.given = [rng.normal(size=code.shape(n, steps, self.samples)) for n in code.outputs]
        if code.only_last:
            self.given[0][:-1] = 0
        self.placed: set[str] = set()
        self.known: Arrays = {}
        self.tolerance = 1e-5 if code.dtype == np.float64 else 5e-2

    def theirs(self, factor: float = 1.0) -> Arrays:
        """Return the person's gradients by name, for outputs' gradients times a factor."""
        given = [factor * d for d in self.given]
        found = self.code.gradients(self.gradients, self.inputs, given)
        self.placed = self.code.placed
        return found

    def loss(self) -> float:
        """Return the loss whose gradients they should be."""
        return self.code.loss(self.inputs, self.given)

    def numerical(self, names: set[str]) -> Arrays:
        """Return numerical gradients of the person's own forward pass."""
        arrays = {n: a for n, a in (self.inputs | self.code.weights).items() if n in names}
        new = {n: a for n, a in arrays.items() if n not in self.known}
        step = 1e-5 if self.code.dtype == np.float64 else 2e-2
        self.known |= numerical(self.loss, new, step)
        return {n: self.known[n] for n in arrays}

    def reference(self, wiring: Wiring, best: Explanation) -> Callable[..., Arrays]:
        """Return a function of mistakes that gives the LSTM's gradients with them."""
        w = standard(wiring, best, self.code.weights)
        W, U, b = (np.stack(np.split(w[n], 4)) for n in ("weight_ih", "weight_hh", "bias_ih"))
        b = b + np.stack(np.split(w["bias_hh"], 4))
        blocks = [(best.blocks[role], best.forms[role].weights[0]) for role in ROLES]
        x, h, c, d_out, d_c = self.code.as_pass(self.inputs, self.given)
        run = forward(x, h, c, W, U, b)

        def gradients(wrong: tuple[Wrong, ...] = ()) -> Arrays:
            found = backward(run, d_out, d_c, wrong)
            placed = {}
            for name, values in {"x": found["W"], "h": found["U"], "1": found["b"]}.items():
                placed[name] = np.zeros((len(wiring.gates), *values.shape[1:]))
                for (k, scale), value in zip(blocks, values, strict=True):
                    placed[name][k] = scale * value
            inputs = {n: found[n].reshape(a.shape) for n, a in self.inputs.items()}
            return inputs | wiring.scatter(placed, self.code.weights)

        return gradients


class LossCase(Case):
    """The same for code that gives a loss with gradients by the names of the weights.

    Those of the outputs follow: the LSTM's gradients of the weights are linear in them.
    """

    scales = False

    def theirs(self, factor: float = 1.0) -> Arrays:
        """Return the person's gradients by name."""
        found, self.placed = gradients_by_name(self._result()[1], self.code.weights, {})
        return found

    def loss(self) -> float:
        """Return the person's loss."""
        return float(self._result()[0])

    def _result(self) -> Any:
        result = self.gradients(self.code._x(self.inputs["x"]))
        return result if isinstance(result, tuple | list) else (result, {})

    def reference(self, wiring: Wiring, best: Explanation) -> Callable[..., Arrays]:
        """Return the same as for other code, for the gradients of the outputs that follow."""
        names = set(self.code.weights)
        wanted = self.numerical(names)
        known = {n: ~np.isnan(a) for n, a in wanted.items()}

        def vector(gradients: Arrays) -> np.ndarray:
            return np.concatenate([gradients[n][known[n]] for n in wanted])

        gradients, given = super().reference(wiring, best), self.given[0]
        columns = []
        for k in range(given.size):
            given[...] = np.eye(1, given.size, k).reshape(given.shape)
            columns.append(vector(gradients()))
        found = np.linalg.lstsq(np.array(columns).T, vector(wanted), rcond=1e-9)[0]
        given[...] = found.reshape(given.shape)
        return gradients


class AutogradCase(Case):
    """The same for code of PyTorch: its outputs are differentiated by autograd.

    What autograd gives is right by construction; a ``detach`` or ``.data`` on the way cuts it, and
    a function on the way may have a backward pass of its own, whose name is ``written``.
    """

    scales = False
    written = ""

    def theirs(self, factor: float = 1.0) -> Arrays:
        """Return what autograd gives; of x only where a function is a person's own."""
        names = [n for n in self.inputs if n != "x" or (self.written and not self.code.tokens)]
        torch, parts = sys.modules["torch"], self.code._arranged(self.inputs)
        inputs = {name: parts[name].requires_grad_() for name in names}
        parts |= {name: leaf.clone() for name, leaf in inputs.items()}  # it may be changed in place
        out = self.code.chosen(self.code.states_in(self.code._with(parts), self.inputs["x"]))
        pairs = zip(out, self.given, strict=False)
        loss = sum((o.double() * torch.from_numpy(d[-len(o) :])).sum() for o, d in pairs)
        known = self.code.parameters() | inputs
        found = [None] * len(known)
        if loss.requires_grad:
            found = torch.autograd.grad(loss, list(known.values()), allow_unused=True)
        if not self.written and (written := own_function(loss.grad_fn)):
            self.written = written
            return self.theirs()
        gradients = {
            name: np.zeros(leaf.shape) if g is None else g.numpy().astype(float)
            for (name, leaf), g in zip(known.items(), found, strict=True)
        }
        return gradients | {n: back(gradients[n], *self.code.axes(n)) for n in inputs}


def own_function(node: Any) -> str:
    """Return the name of a function on the way whose backward pass is a person's own."""
    nodes = [node]
    for node in nodes:
        if isinstance(node, sys.modules["torch"].autograd.function.BackwardCFunction):
            return type(node).__name__.removesuffix("Backward")
        more = (n for n, _ in node.next_functions if n is not None) if node else ()
        nodes += [n for n in more if n not in nodes]
    return ""


class Search:
    """Names what is wrong, piece by piece: a piece is one gate's part of an array, or an input."""

    def __init__(
        self, case: Case, wiring: Wiring, best: Explanation, theirs: Arrays, reference: Callable
    ) -> None:
        exact = 1e-6 if case.scales else 1e-4
        self.tolerance = exact if case.code.dtype == np.float64 else 2e-2
        self.reference = reference
        self.catalogue = mistakes(square=case.code.D == case.code.H)
        if "h" in case.inputs:  # a step has no list of states
            self.catalogue.sort(key=lambda wrong: wrong.name.startswith("index"))
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
        self.starts = np.cumsum([0, *map(len, self.pieces.values())])[:-1]
        self.values, self.factor, self.known = self.vector(theirs), 1.0, {}
        T, S = case.steps, case.samples
        self.factor = max(sorted({1, S, T, S * T}), key=lambda f: self.right((), f).sum())

    def vector(self, gradients: Arrays) -> np.ndarray:
        """Return all pieces, one behind the other."""
        flat = [gradients[name].ravel()[index] for (name, _), index in self.pieces.items()]
        return np.concatenate(flat)

    def of(self, wrong: Wrongs) -> np.ndarray:
        """Return the LSTM's gradients with some mistakes."""
        names = tuple(w.name for w in wrong)
        if names not in self.known:
            with np.errstate(all="ignore"):
                self.known[names] = self.vector(self.reference(wrong))
        return self.known[names]

    def right(self, wrong: Wrongs, factor: float | None = None) -> np.ndarray:
        """Return which pieces the person has as with these mistakes."""
        wanted, factor = self.of(wrong), self.factor if factor is None else factor
        errors = np.maximum.reduceat(np.abs(factor * self.values - wanted), self.starts)
        scale = np.maximum(np.maximum.reduceat(np.abs(wanted), self.starts), 1e-2)
        return errors <= self.tolerance * scale

    def left(self, wrong: Wrongs) -> dict[float, list[str]]:
        """Return the names of pieces that are not right, by the factor that they have, or by 0."""
        found: dict[float, list[str]] = {}
        values, wanted = (np.split(v, self.starts[1:]) for v in (self.values, self.of(wrong)))
        named = zip(self.pieces, self.right(wrong), values, wanted, strict=True)
        for (name, role), right, a, b in named:
            factor = round(float(self.factor * a @ b / max(b @ b, 1e-30)), 4)
            if len(a) == 1 or not equal(self.factor * a, factor * b, 1e-3):
                factor = 0.0
            if not right:
                found.setdefault(factor, []).append(name + (f" ({role})" if role else ""))
        return found

    def explain(self, begin: list[Wrongs]) -> tuple[list[Wrongs], int]:
        """Return the fewest mistakes that give most pieces, going on from some, and how many."""
        plain, catalogue, tries = self.of(()), self.catalogue, MOST_TRIES
        reach = {
            more.name: np.maximum.reduceat(np.abs(self.of((more,)) - plain), self.starts) > 0
            for more in catalogue
        }
        beam = [(int(self.right(wrong).sum()), wrong) for wrong in begin]
        for _ in range(DEEPEST):
            most = max(right for right, _ in beam)
            if most == len(self.pieces):
                break
            longer = {
                frozenset(w.name for w in (*wrong, more)): (*wrong, more)
                for _, wrong in beam
                for bad in [~self.right(wrong)]
                for more in catalogue
                if (reach[more.name] & bad).any()  # what changes only right pieces is no help
                and not any(more.lines.keys() & w.lines.keys() for w in wrong)
            }
            tried = list(longer.values())[: min(tries, AT_ONCE)]
            tries -= len(tried)
            scored = sorted(((int(self.right(w).sum()), w) for w in tried), key=lambda e: -e[0])
            if scored and scored[0][0] > most:
                beam = scored[:BEAM]
                continue
            if len(catalogue) < len(reach) or not tries:
                break
            # No one mistake helps: two in the same pieces may, of those that reach no others.
            bad = np.any([~self.right(wrong) for _, wrong in beam], axis=0)
            catalogue = [more for more in catalogue if not (reach[more.name] & ~bad).any()]
            near = {more.name for more in catalogue}
            more = [(n, w) for n, w in scored if n == most and w[-1].name in near]
            beam += more[:PAIRS]
        most = max(right for right, _ in beam)
        return [wrong for right, wrong in beam if right == most], most


def not_a_mistake(theirs: Arrays, wanted: Arrays, case: Case) -> str | None:
    """Say how gradients differ harmlessly: scaled, clipped, with a decay; "" if not at all."""
    weights, tolerance = case.code.weights, case.tolerance
    names = [n for n in theirs if n in weights and n in wanted]
    if not names:
        return ""
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


def by_vjp(code: Any) -> Callable[..., Any] | None:
    """Return the gradients of code whose ``vjp`` returns its outputs and a backward pass."""
    vjp = getattr(code.owner, "vjp", None)
    if vjp is None:
        return None
    if "h" in code.inputs:
        return lambda x, h, c, d_h, d_c: vjp(*code.slots({"x": x, "h": h, "c": c}))[1](d_h, d_c)
    return lambda x, d_h: vjp(x)[1](d_h)


def fitted(theirs: Arrays, numbers: Arrays, placed: set[str]) -> Arrays:
    """Give gradients without a name to those of their shape that they are likest: in their favour.

    Two may be exchanged, or one be of the other state.
    """
    theirs = theirs.copy()
    for a, b in itertools.permutations(sorted(numbers), 2):
        given, other = {a, b} & theirs.keys(), {a: b, b: a}
        if a in given <= placed and numbers[a].shape == numbers[b].shape:
            ways = (
                sum(alike(theirs[n], numbers[m[n]]) for n in given) for m in (other, {a: a, b: b})
            )
            if next(ways) > next(ways) + 1e-6:
                theirs |= {other[name]: theirs.pop(name) for name in given}
    return theirs


def alike(a: np.ndarray, b: np.ndarray) -> float:
    """Return how alike two gradients are in direction, where both are known."""
    a, b = (value[~np.isnan(b)] for value in (a, b))
    return float(a @ b / max(np.sqrt((a @ a) * (b @ b)), 1e-30))


def opened(code: Any, gradients: Callable) -> list[Finding]:
    """Find a way to call a person's backward pass: another arrangement, or one sample alone."""
    first, errors = code.layout, []
    for layout in itertools.chain([first], code.others()):
        for code.alone in (False, True) if layout.several else (True,):
            code.layout = layout
            try:
                case = Case(code, gradients, max(code.lengths))
                if case.theirs():
                    settle_last(case)
                    if not (layout.several and code.alone):
                        return []
                    # Initial states say how many samples there are: it should know.
                    told = "h" not in code.inputs and code.order != ("x",)
                    text = "the backward pass fails for a batch: one alone"
                    kind = "mistake" if told else "convention"
                    return [Finding(text, kind, "eq-d-weights-sum")]
            except Exception as error:  # whatever a person's code raises
                errors.append(f"{type(error).__name__}: {error}")
    if errors:
        raise CannotCall(f"the backward pass could not be called ({errors[0]})")
    names = ", ".join(code.weights)
    raise CannotCall(f"the backward pass returned no arrays by the names of the weights: {names}")


def settle_last(case: Case) -> None:
    """See whether a backward pass wants gradients of all outputs, though the last comes out."""
    for given_all in (False, True) if case.code.only_last else ():
        case.code.given_all = given_all
        try:
            theirs = case.theirs()
            if agrees(case, theirs, case.numerical(set(theirs)))[1]:
                return
        except Exception:  # whatever a person's code raises
            continue
    case.code.given_all = False


def examine(
    code: Any, wiring: Wiring, best: Explanation | None, answer: Diagnosis,
    gradients: Callable[..., Any] | None, loss: Callable[..., Any] | None,
) -> None:  # fmt: skip
    """Compare a person's gradients with both yardsticks; put into the answer what is wrong."""
    answer.autograd = gradients is None and loss is None
    known = best is not None and set(best.blocks) == set(ROLES)
    best = best if known else None
    before, called = dict(vars(code)), []
    try:
        if answer.autograd:
            cases = [AutogradCase(code, code.function, steps) for steps in code.lengths]
        elif loss is not None:
            cases = [LossCase(code, loss, steps) for steps in code.lengths]
        else:
            called = opened(code, gradients)
            cases = [Case(code, gradients, steps) for steps in code.lengths]
        # Where the longest are right, the others are.
        for some, search in ((cases[-1:], False), (cases, True))[-len(cases) :]:
            found = Verdict([*called], lstm=True if known else None)
            compare(wiring, best, some, found, named=answer.is_lstm, search=search)
            if all(finding in called or finding.kind != "mistake" for finding in found.findings):
                break
        if code.dtype != np.float64:
            answer.warnings.append("in single precision gradients are compared to 5 %")
        if found.missing:
            answer.warnings.append("no gradient came for " + ", ".join(found.missing))
    except Exception as error:  # whatever a person's code raises
        answer.warnings.append(str(error))
        return
    finally:
        vars(code).update(before)  # another arrangement may have been tried
    if answer.autograd:
        found.lstm = answer.is_lstm and found.own
        wrong, written = found.findings, cases[-1].written
        if written:
            text = f"the backward pass of {written} is not that of its own forward pass"
            wrong = wrong or [mistake(text, "eq-d-weights")] * (not found.own)
            found.findings = [
                replace(f, detail=f"{f.detail}; in {written}".strip("; ")) for f in wrong
            ]
        elif not found.own:
            text = "autograd is cut: a detach, .data or no_grad on the way"
            detail = ", ".join(finding.name for finding in wrong)
            found.findings = [mistake(text, "eq-d-weights", detail)]
    own = found.own and not any(f.kind == "mistake" for f in found.findings)
    answer.backward_of_own_forward = own
    answer.backward_of_lstm = None if found.lstm is None else found.lstm and (own or not found.own)
    answer.findings += dict.fromkeys(found.findings)


@dataclass
class Verdict:
    """What is said of a backward pass."""

    findings: list[Finding] = field(default_factory=list)
    own: bool = True
    lstm: bool | None = None
    missing: list[str] = field(default_factory=list)

    def add(self, name: str, equation: str = "", detail: str = "") -> None:
        """Add a mistake."""
        self.findings.append(mistake(name, equation, detail))

    def harmless(self, name: str) -> None:
        """Add what is none."""
        self.findings.append(Finding(name, "convention", "eq-d-weights-sum"))

    def neither(self, name: str, equation: str, detail: str = "") -> None:
        """Add that it is that of no forward pass, and why."""
        self.add(name, equation, detail)
        self.own, self.lstm = False, None if self.lstm is None else False


def compare(
    wiring: Wiring, best: Explanation | None, cases: list[Case], found: Verdict,
    *, named: bool, search: bool,
) -> None:  # fmt: skip
    """Compare cases, the shortest first, going on from what explains it.

    Only where the forward pass is ``named`` have mistakes names; without ``search`` none has.
    """
    begin: list[Wrongs] = [()]
    for case in cases:
        theirs, started = observed(case, found)
        if theirs is None:
            break
        numbers = case.numerical(theirs.keys() | (case.inputs if case.placed else ()))
        theirs = {n: a for n, a in theirs.items() if n in numbers}
        theirs = fitted(theirs, numbers, case.placed)
        used = dict.fromkeys(row.array for _, _, row in wiring.rows())
        found.missing = [n for n in used if n not in theirs and theirs.keys() & used.keys()]
        beside = [n for n in wiring.idle if n in theirs]  # unused, or of a layer above
        wrong = [n for n in beside if not_a_mistake({n: theirs.pop(n)}, numbers, case) is None]
        if wrong:
            text = "gradients of weights that no gate reads"
            found.neither(text, "eq-d-weights", ", ".join(wrong))
        harmless, right = agrees(case, theirs, numbers)
        found.own &= right
        if harmless:
            found.harmless(harmless)
        if best is None:
            continue
        reference = case.reference(wiring, best)
        exact = {n: a for n, a in reference().items() if n in theirs}
        same = agrees(case, theirs, exact)[1]
        found.lstm &= same
        if same or right:
            continue
        if not search:
            found.add("gradients are wrong")
            break
        if not named:  # mistakes are named against the LSTM's lines, which these are not
            found.add("gradients of neither forward pass")
            break
        if not any(np.any(a) for a in theirs.values()):
            if case is cases[-1]:
                found.add("all gradients are zero", "eq-d-weights")
            continue
        among = Search(case, wiring, best, theirs, reference)
        begin, most = among.explain(begin if () in begin else [(), *begin])
        if most == len(among.pieces):
            continue
        if started:
            found.add("accumulators do not start at zero", "eq-d-weights-sum")
        for factor, pieces in among.left(begin[0]).items():
            text = f"only these gradients are multiplied by {factor:.4g}"
            text = text if factor else "gradients that nothing explains"
            found.add(text, "eq-d-weights-sum" if factor else "", ", ".join(pieces))
        begin = begin if 2 * most > len(among.pieces) else [()]
        break
    alike = [list(dict.fromkeys(w.name for w in column)) for column in zip(*begin, strict=False)]
    for wrong, others in zip(begin[0], alike, strict=False):
        detail = "or " + " or ".join(others[1:3]) if len(others) > 1 else ""
        found.add(wrong.name, wrong.equation, detail)


def observed(case: Case, found: Verdict) -> tuple[Arrays | None, bool]:
    """Return a person's gradients without what they clip, and whether there were some before.

    None where two calls give different ones.
    """
    theirs, again = case.theirs(), case.theirs()
    if not theirs:
        raise CannotCall("the backward pass gave no gradient of a weight or an input")
    if any(np.abs(a - theirs[n]).max() > 1e-9 for n, a in again.items() if n in theirs):
        found.neither("accumulators keep the last call's gradients", "eq-d-weights-sum")
        return None, False
    if not case.scales:
        return theirs, False
    started = any(np.abs(a).max() > 1e-9 for a in case.theirs(0.0).values())
    small = {n: 1e3 * a for n, a in case.theirs(1e-3).items()}
    if not started and any(not equal(small[n], a, case.tolerance) for n, a in theirs.items()):
        found.harmless("large gradients are clipped")
        theirs = small
    return theirs, started


def agrees(case: Case, theirs: Arrays, wanted: Arrays) -> tuple[str | None, bool]:
    """Return how gradients differ harmlessly, if they do, and whether they agree but for that."""
    harmless = not_a_mistake(theirs, wanted, case)
    if harmless and isinstance(case, AutogradCase):  # it multiplies nothing
        harmless = None
    inputs = theirs.keys() & case.inputs.keys()
    right = all(equal(theirs[n], wanted[n], case.tolerance) for n in inputs)
    return harmless, harmless is not None and right
