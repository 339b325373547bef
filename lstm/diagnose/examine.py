"""The examination itself: measure, explain, compare, and say what was found."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lstm import checks
from lstm.cell import step as lstm_step
from lstm.diagnose.calling import CannotCall, Step, open_code
from lstm.diagnose.catalogue import GATE_EQUATION, GATES, Finding, mistake
from lstm.diagnose.conventions import gate_of, is_gradient
from lstm.diagnose.convert import complete, own_weights, standard, state_dict
from lstm.diagnose.diagnosis import Diagnosis
from lstm.diagnose.forward import (
    Explanation,
    Observed,
    exchanged,
    explain,
    named_peepholes,
    peephole_arrays,
    peepholes_of_step,
    ties,
    without_peepholes,
)
from lstm.diagnose.gradients import by_vjp, examine
from lstm.diagnose.sequences import Sequence
from lstm.diagnose.weights import in_double, kept
from lstm.diagnose.wiring import Wiring, measure, settle_weights

MOST_BLOCKS = 6
SEEDS = 3
"""With so many sets of weights it is tried: with some a unit may be dead."""


def diagnose(
    step: Any, weights: Mapping[str, Any] | None = None, gradients: Callable[..., Any] | None = None
) -> Diagnosis:
    """Say whether a step is one of an LSTM, in which convention, and which line is not.

    Parameters
    ----------
    step : callable, object or class
        The code: ``step(x, h, c)`` or any other order of the three, for a batch in rows or columns
        or for one vector, that returns the new h and c in either order, whatever else beside
        them. An object with such a method, a ``torch.nn.Module``, or a class with sizes as its
        arguments will do.
    weights : mapping of str to array, optional
        The very arrays that it uses. They are changed in place, to see what each does, and put
        back at the end. By default those that are found in the object.
    gradients : callable, optional
        ``gradients(x, h, c, d_h, d_c)`` returns the gradients by the names of the weights, and of
        the inputs as ``x``, ``h`` and ``c`` if it has them.

    Returns
    -------
    Diagnosis
        Print it.

    Notes
    -----
    Whatever the code raises, there is an answer: "unknown", the reason, and what to write.
    """
    return answered(Step, step, weights, gradients)


def diagnose_sequence(
    run: Any,
    weights: Mapping[str, Any] | None = None,
    gradients: Callable[..., Any] | None = None,
    loss: Callable[..., Any] | None = None,
) -> Diagnosis:
    """Do the same as :func:`diagnose` for code that only runs whole sequences.

    Parameters
    ----------
    run : callable, object or class
        ``run(X)`` returns all outputs h or the last one, alone or among others. X is (T, B, D),
        (B, T, D), (D, B, T), (T, D, B), (T, D) or T columns (D, 1), or holds numbers of tokens.
        Where it takes initial states, it gets zeros.
    weights : mapping of str to array, optional
        As in :func:`diagnose`.
    gradients : callable, optional
        ``gradients(X, d_h)`` returns the gradients by the names of the weights, and of the inputs
        as ``x`` if it has them.
    loss : callable, optional
        Where gradients come with a loss alone: ``loss(X)`` returns a number and the gradients by
        the names of the weights.

    Returns
    -------
    Diagnosis
    """
    return answered(Sequence, run, weights, gradients, loss)


ADAPTER = """{} = lambda {}: your_{}(...)  # returns {}
weights = {{"W": W, "b": b}}  # the very arrays that it uses
lstm.{}({}, weights)"""
WORDS = {
    Step: ("step", "x, h, c", "step", "h, c", "diagnose", "step"),
    Sequence: ("run", "X", "run", "all h, or the last", "diagnose_sequence", "run"),
}


def answered(
    kind: type[Step], thing: Any, weights: Mapping[str, Any] | None,
    gradients: Callable[..., Any] | None = None, loss: Callable[..., Any] | None = None,
) -> Diagnosis:  # fmt: skip
    """Examine code; where it cannot be called, say why and how it could."""
    if weights is not None and not isinstance(weights, list | tuple):
        checks.mapping("weights", weights)
    for name, given in (("gradients", gradients), ("loss", loss)):
        if given is not None:
            checks.function(name, given)
    with in_double(thing, weights):
        answer = attempted(kind, thing, weights, gradients, loss)
    if answer.reason and "torch" in sys.modules:  # it may have tensors of a precision of its own
        answer = attempted(kind, thing, weights, gradients, loss)
    return answer


def attempted(
    kind: type[Step], thing: Any, weights: Mapping[str, Any] | None,
    gradients: Callable[..., Any] | None, loss: Callable[..., Any] | None,
) -> Diagnosis:  # fmt: skip
    """Examine code as it is."""
    try:
        code = open_code(kind, thing, weights)
        alone = kind is Step and "c" not in itertools.chain(*code.order)
        if alone or (kind is Step and gradients is None and "1" in code.layout.x):
            longer = answered(Sequence, thing, weights, gradients)  # time may be an axis
            if longer.gate_order:
                return longer
        if alone:
            text = "no cell state: x and h go in and one state comes out, as from a GRU"
            if code.repeatable:
                return Diagnosis(findings=[mistake(text, "eq-cell-state")])
            raise CannotCall("it takes x and h, and keeps the cell state to itself")
        return whole(code, gradients, loss)
    except Exception as error:  # whatever a person's code raises
        known = isinstance(error, CannotCall)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
    return Diagnosis(reason=reason, adapter=ADAPTER.format(*WORDS[kind]).splitlines())


def whole(
    code: Step | Sequence, gradients: Callable[..., Any] | None, loss: Callable[..., Any] | None
) -> Diagnosis:
    """Examine code that can be called."""
    if gradients is None and not code.tensors:
        gradients = by_vjp(code) or getattr(code.owner, "backward", None)
    alone = gradients is None and loss is None and bool(code.parameters())
    with kept(code.weights) as before:
        if code.noisy:  # nothing can be measured
            text = "called twice it gives two results, whatever is put back in between"
            return Diagnosis(findings=[mistake(text)])
        wiring, answer, explanation = understood(code)
        if not wiring.gates:
            raise CannotCall("whatever its weights are, the same comes out")
        for name in wiring.idle:  # a gradient or a state, it may be
            code.weights[name][...] = before[name]
            if code.given is None:
                del code.weights[name]
        if not isinstance(code, Sequence) and len(code.choices) < 2:
            answer.warnings.append("the new cell state does not come out: h alone was compared")
        answer.findings += behaviour(code)
        answer.is_lstm &= not (answer.mistakes or answer.differences)
        if explanation is not None:
            compare(code, wiring, explanation, answer)
        if alone or gradients is not None or loss is not None:
            settle_weights(code, seed=2)
            examine(code, wiring, explanation, answer, gradients, loss)
            answer.findings = order_of(answer.findings)
    if explanation is not None and complete(explanation):
        answer.state_dict = state_dict(wiring, explanation, code.weights)
        answer.own_weights = own_weights(wiring, explanation, code.weights)
    order = ", ".join(f"({', '.join(s)})" if isinstance(s, tuple) else s for s in code.order)
    answer.called = f"({order}), {code.layout.name}, D = {code.D}, H = {code.H}"
    return answer


def understood(code: Step | Sequence) -> tuple[Wiring, Diagnosis, Explanation | None]:
    """Measure and explain until something explains it: a mistake may hide which output is c."""
    best = None
    for seed, choice in itertools.product(range(SEEDS), code.choices):
        code.choice = choice
        wiring = measure(code, seed)
        answer, explanation = judge(code, wiring, observe(code, wiring), again=seed > 0)
        if explanation is None and isinstance(code, Sequence):
            with_peepholes = peeped(code, wiring)
            wiring, answer, explanation = with_peepholes or (wiring, answer, explanation)
            unknown = explanation is None and len(wiring.gates) <= MOST_BLOCKS
            if unknown and exchanged(observe(code, wiring)):
                text = "h and c are exchanged from one step to the next"
                answer = Diagnosis(findings=[mistake(text, "eq-cell-state")])
        if explanation is None and wiring.mixed:
            without = projected(code)
            wiring, answer, explanation = without or (wiring, answer, explanation)
        known = len(answer.right) if explanation is None else 100 - explanation.cost
        if best is None or known > best[0]:
            best = known, wiring, answer, explanation, choice
        if best[0] > 99 or (best[0] > 50 and choice == code.choices[-1]):
            break
    code.choice = best[-1]
    return best[1:-1]


def peeped(code: Sequence, wiring: Wiring) -> tuple[Wiring, Diagnosis, Explanation] | None:
    """Explain a sequence with peepholes, if it has any: first without them, then each alone."""
    rest, lone = without_peepholes(wiring)
    if not lone:
        return None
    own = {name: code.weights[name] for name in peephole_arrays(lone)}
    with kept(own):
        for array in own.values():
            array[...] = 0
        answer, explanation = judge(code, rest, observe(code, rest), again=True)
    found = explanation and named_peepholes(code, rest, explanation, lone)
    if not found:
        return None
    answer.findings = order_of(answer.findings + found)
    return rest, answer, explanation


def projected(code: Step) -> tuple[Wiring, Diagnosis, Explanation] | None:
    """Explain code with a projection of h, if it has one: without it the rest is an LSTM."""
    square = [name for name, array in code.weights.items() if array.shape == (code.H, code.H)]
    for name in square:
        array = code.weights[name]
        with kept({name: array}):
            array[...], every = np.eye(code.H), code.weights
            code.weights = {n: a for n, a in every.items() if n != name}
            wiring = measure(code)
            answer, explanation = judge(code, wiring, observe(code, wiring), again=True)
            code.weights = every
        if explanation is not None:
            wiring.idle.append(name)
            found = Finding("a projection of h", "variant", "eq-hidden-state", name)
            answer.findings = order_of([*answer.findings, found])
            return wiring, answer, explanation
    return None


def observe(code: Step, wiring: Wiring) -> Observed:
    """Run the code on ordinary inputs with ordinary weights."""
    parts = wiring.assemble(code.weights)
    given = code.draw(np.random.default_rng(5), 4, 12)
    if isinstance(code, Sequence):
        (h,) = code(**given)
        zero = np.zeros_like(h[0])
        h_prev = np.concatenate([zero[None], h[:-1]])
        both = zip(given["x"], h_prev, strict=True)
        a = np.stack([wiring.preactivations(parts, *v, zero) for v in both], 1)
        tolerance = 1e-7 if code.dtype == np.float64 else 3e-3
        return Observed(a, parts["c'"], h_prev, zero, h, None, tolerance)
    hidden, *cell = code(**given)
    a = wiring.preactivations(parts, *given.values())[:, None]
    tolerance = 1e-8 if code.dtype == np.float64 else 2e-4
    seen = cell[0][None] if cell else None
    return Observed(a, parts["c'"], given["h"][None], given["c"], hidden[None], seen, tolerance)


def judge(
    code: Step, wiring: Wiring, seen: Observed, *, again: bool
) -> tuple[Diagnosis, Explanation | None]:
    """Explain what was seen; return the answer so far and the explanation, if there is one."""
    answer = Diagnosis()
    answer.findings += wires(wiring)
    shapes = {code.weights[name].shape for name in code.weights if name not in wiring.idle}
    beside = r"[dm]|m_?[A-Z].*"  # a gradient or a moment
    idle = [
        name
        for name in wiring.idle
        if code.weights[name].shape in shapes
        and not any(is_gradient(word) or re.fullmatch(beside, word) for word in name.split("."))
    ]
    if idle:
        answer.warnings.append("changes nothing: " + ", ".join(idle))
    found, only_cell = [], False
    if 2 <= len(wiring.gates) <= MOST_BLOCKS:
        found, only_cell = explain(seen, again=again)
    if not found:  # what the wiring seems to say is not confirmed by any formula
        unsure = (f.name for f in answer.findings if not f.name.endswith("not read"))
        answer.warnings += [f"perhaps {name}" for name in unsure]
        answer.findings = []
        answer.right = ["nothing is known"] if wiring.mixed else []
        if wiring.mixed:
            answer.warnings.append("a unit depends on preactivations of others")
        answer.warnings.append(f"{len(wiring.gates)} blocks of weights were found")
        return answer, None
    found.sort(key=lambda e: -agreement(wiring, e))
    best = found[0]
    answer.ties = [tie for tie in ties(found) if tie] if best.cost >= 1 else []
    more = best.findings() + shared(wiring, best) + peepholes_of_step(wiring, best)
    answer.findings = order_of(answer.findings + more)
    answer.weights = {GATES[role]: wiring.arrays(k) for role, k in best.blocks.items()}
    answer.gate_order = "".join(sorted(best.blocks, key=lambda role: best.blocks[role]))
    answer.warnings += names(wiring, best)
    wrong = {f.equation for f in answer.findings if f.kind != "convention"}
    equations = GATE_EQUATION | {"c": "eq-cell-state", "h": "eq-hidden-state"}
    words = GATES | {"c": "cell state", "h": "hidden state"}
    places = ["i", "f", "g", "o", "c", "h"]
    if only_cell:
        places.remove("h")
        answer.warnings.append("the cell state is explained, the hidden state is not")
        text = "h is not o tanh(c), nor anything known"
        answer.findings.append(mistake(text, "eq-hidden-state"))
    answer.right = [words[p] for p in places if p in best.forms and equations[p] not in wrong]
    answer.is_lstm = not only_cell
    return answer, None if only_cell else best


def order_of(findings: list[Finding]) -> list[Finding]:
    """Sort findings: mistakes first, conventions last."""
    kinds = ("mistake", "variant", "convention")
    return sorted(dict.fromkeys(findings), key=lambda f: kinds.index(f.kind))


def wires(wiring: Wiring) -> list[Finding]:
    """Return what the wiring alone says: what no gate reads, what multiplies two things."""
    kinds = {kind for k in range(len(wiring.gates)) for kind in wiring.kinds(k)}
    texts = {"h": "the recurrent weights do nothing: h is not read", "x": "x is not read"}
    found = [mistake(text) for name, text in texts.items() if name not in kinds]
    both = sorted({r.array for _, _, r in wiring.rows() if any(len(s) > 1 for s in r.sources)})
    if both:
        found.append(mistake("one weight multiplies both x and h", detail=", ".join(both)))
    return found


def shared(wiring: Wiring, best: Explanation) -> list[Finding]:
    """Return which weights are used in two gates, and which gates do not read x or h."""
    found = []
    users: dict[tuple, set[str]] = {}
    role = {k: r for r, k in best.blocks.items()}
    for k, _, row in wiring.rows():
        if k in role:
            users.setdefault((row.array, row.place), set()).add(role[k])
    pairs = {(array, *sorted(gates)) for (array, _), gates in users.items() if len(gates) > 1}
    for array, *gates in sorted(pairs):
        text = f"weights of one gate in another, {' and '.join(GATES[g] for g in gates)}"
        found.append(mistake(text, detail=array))
    for (r, k), (s, j) in itertools.combinations(best.blocks.items(), 2):
        if k == j:
            text = f"the {GATES[r]} and the {GATES[s]} read the same preactivation"
            found.append(mistake(text))
    for (k, r), name in itertools.product(role.items(), "xh"):
        if name not in wiring.kinds(k) and any(name in wiring.kinds(j) for j in role):
            found.append(mistake(f"{name} is not read by the {GATES[r]}", GATE_EQUATION[r]))
    return found


def agreement(wiring: Wiring, explanation: Explanation) -> int:
    """Count the weights whose name says the gate that an explanation gives them."""
    return sum(
        gate_of(array) == role
        for role, k in explanation.blocks.items()
        for array in wiring.arrays(k)
    )


def names(wiring: Wiring, best: Explanation) -> list[str]:
    """Warn of a gate whose weights all are called like another gate's."""
    found = []
    for role, k in best.blocks.items():
        called = {gate_of(array) for array in wiring.arrays(k)}
        joined = sum(wiring.arrays(k) == wiring.arrays(j) for j in best.blocks.values()) > 1
        if not joined and len(called) == 1 and None not in called and called != {role}:
            other = GATES[called.pop()]
            found.append(f"the weights of the {GATES[role]} are called like the {other}'s")
    return found


def behaviour(code: Step) -> list[Finding]:
    """Return what is wrong about how the step behaves, whatever it computes."""
    found = []
    if not code.repeatable:
        found.append(mistake("called twice it gives two results: a state is left over"))
    if code.loses_an_axis():
        found.append(mistake("a batch of one loses its axis: squeeze"))
    changed = ", ".join(code.changes_its_arguments())
    if changed:
        found.append(Finding("changes its arguments in place", "convention", "", changed))
    found += orders_of_states(code)
    inputs = code.draw(np.random.default_rng(6), 3, 5)
    one = (Ellipsis, slice(0, 1), slice(None))
    together = code(**inputs)
    try:
        alone = code(**{name: value[one] for name, value in inputs.items()})
        wrong = any(np.abs(a - t[one]).max() > 1e-4 for a, t in zip(alone, together, strict=True))
        text = "a sequence alone gives another result than in a batch"
    except Exception as error:
        wrong, text = True, f"fails for a batch of one: {type(error).__name__}"
    if wrong:
        found.append(mistake(text))
    return found


def orders_of_states(code: Step) -> list[Finding]:
    """Return what is to be said of the order of h and c, going in and coming out."""
    if isinstance(code, Sequence) or len(code.choices) < 2:
        return []
    pair = next((slot for slot in code.order if isinstance(slot, tuple)), None)
    if code.swap_states and not pair and code.told == code.order:
        return [mistake("what is called h is used as c, and c as h", "eq-cell-state")]
    went = [name for name in pair or code.order if name in ("h", "c")]
    if code.swap_states:
        went.reverse()
    found = code.everything(**code.draw(np.random.default_rng(6), 1, 1))
    both = dict(zip("hc", code.chosen(found), strict=True))
    came = [name for out in found for name in both if np.array_equal(out, both[name])]
    if re.search(".*".join(went), "".join(came)):
        return []
    text = f"({', '.join(went)}) goes in, ({', '.join(went[::-1])}) comes out"
    return [Finding(f"{text}: fed back as they are, h and c are exchanged", "convention", "")]


def compare(code: Step, wiring: Wiring, best: Explanation, answer: Diagnosis) -> None:
    """Compare with the LSTM that has these weights: with other ones, and larger states."""
    if not complete(best):
        return
    settle_weights(code, seed=1)
    inputs = code.draw(np.random.default_rng(7), 12, 6)
    for name in inputs.keys() - {"x"} if code.tokens else inputs:
        inputs[name] *= 3 if name == "c" else 2  # far from zero, where something may be clipped
    w = standard(wiring, best, code.weights)
    x = inputs["x"] if isinstance(code, Sequence) else inputs["x"][None]
    h, c = (inputs.get(name, np.zeros((6, code.H))) for name in "hc")
    expected = []
    for x_t in x:
        h, c, _ = lstm_step(x_t, h, c, w["weight_ih"], w["weight_hh"], w["bias_ih"] + w["bias_hh"])
        expected.append(h)
    wanted = [np.array(expected)] if isinstance(code, Sequence) else [h, c]
    pairs = zip(code(**inputs), wanted, strict=False)
    answer.largest_error = float(max(np.abs(a - b).max() for a, b in pairs))
    differs = answer.mistakes or answer.differences
    if not differs and answer.largest_error > (1e-7 if code.dtype == np.float64 else 1e-3):
        answer.is_lstm = False
        answer.warnings.append("an LSTM for some numbers and not for others: something is clipped?")
