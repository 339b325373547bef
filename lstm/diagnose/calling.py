"""How a person's step is called: which arguments, in which order, arranged how, returning what.

Nothing here knows what an LSTM computes. It finds a way to call the code that runs, and hides it:
a :class:`Step` takes rows and gives rows, whatever the code takes and gives.
"""

from __future__ import annotations

import inspect
import itertools
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from lstm import checks
from lstm.diagnose import weights as found_weights
from lstm.diagnose.conventions import (
    CLEAR,
    METHODS,
    STEPS,
    Layout,
    arrange,
    back,
    fits,
    is_gradient,
    role_of,
    shape_of,
)
from lstm.diagnose.handed import arguments, gradients_by_name
from lstm.diagnose.weights import Arrays, Weights, is_torch, weights_of

# Orders of arguments to try where their names do not tell.
ORDERS = (("x", "h", "c"), ("x", ("h", "c")), ("h", "c", "x"), ("x", "c", "h"), ("h", "x", "c"),
          (("h", "c"), "x"), ("c", "h", "x"), ("x", ("c", "h")),
          ("x", "h"), ("h", "x"))  # fmt: skip


class CannotCall(ValueError):
    """The code could not be called in any known way."""


def functions_of(name: str, thing: Any, names: tuple[str, ...]) -> list[Callable]:
    """Return what may compute a step: the thing itself, or methods of an object."""
    if inspect.isroutine(thing) or is_torch(thing):
        return [thing]
    methods = [getattr(thing, name) for name in names if callable(getattr(thing, name, None))]
    if not methods:
        raise checks.wrong(name, "a function, an object with one, or a class", thing)
    return methods


class Step:
    """A person's step, called with rows: ``h, c = step(x=x, h=h, c=c)``.

    It is a function, a method or an object with one; ``weights`` are the very arrays that it uses,
    by default those found in the object. What is found: the sizes ``D`` and ``H``, how it is called
    (``layout``, ``order``), and which of the arrays that come out may be h and c (``choices``, the
    likeliest first). ``CannotCall`` has the commonest error of all ways that were tried.
    """

    called = "step"
    inputs: ClassVar = {"x": "sd", "h": "sh", "c": "sh"}
    outputs: tuple[str, ...] = ("sh", "sh")
    """Axes of what goes in and comes out: t time, s samples, d inputs, h units."""
    only_last = given_all = False
    """Whether the last output comes out alone, and gradients are given for all nevertheless."""
    methods, orders, layouts, most = METHODS, ORDERS, STEPS, 2
    lengths = (1,)
    """Numbers of steps for which gradients are compared."""

    def __init__(
        self,
        thing: Any,
        weights: Mapping[str, Any] | None = None,
        sizes: tuple[int, int] | None = None,
    ) -> None:
        functions, self.given = functions_of(self.called, thing, self.methods), weights
        self.sizes = sizes
        self.owner = getattr(functions[0], "__self__", None)
        self.whole = whole = self.owner if inspect.ismethod(thing) else thing
        if weights is None and hasattr(whole, "__dict__") and not is_torch(whole):
            found_weights.tables_as_arrays(vars(whole), list(vars(whole)))
        self.weights = weights_of(whole if weights is None else weights)
        if not self.weights and not isinstance(weights, Weights):
            raise CannotCall("no weights were found: give a dict of the arrays that it uses")
        held = (value for one in (self.owner, weights) for _, value in found_weights.leaves(one))
        self.tensors = any(map(is_torch, (whole, self.owner, *held)))
        self.told: tuple = ()
        self.swap_states = self.forgetful = self.tokens = self.alone = False
        self.dtype = np.result_type(*self.weights.values()) if self.weights else np.dtype(float)
        self.choice: tuple[int, ...] | None = None
        self._shape: tuple[int, ...] = ()
        around = [self.owner] if self.owner else found_weights.used_by(functions[0]).values()
        spaces = [vars(value) for value in around if hasattr(value, "__dict__")]
        self._before = [] if self.tensors else [(space, dict(space)) for space in spaces]
        self._find(functions)

    # --- calling ------------------------------------------------------------------------------

    def __call__(self, **inputs: np.ndarray) -> list[np.ndarray]:
        """Return the new h and c, as rows; h alone where c does not come out."""
        return self.chosen(self.everything(**inputs))

    def chosen(self, found: list[Any]) -> list[Any]:
        """Return of all that comes out what is h and c."""
        return [found[k] for k in self.choice or range(min(len(self.outputs), len(found)))]

    def everything(self, **inputs: np.ndarray) -> list[np.ndarray]:
        """Return all that comes out with the shape of a state or of all outputs, as rows."""
        if self.swap_states:
            inputs |= {"h": inputs["c"], "c": inputs["h"]}
        if self.layout.several:
            return self._call(**inputs)
        S = inputs["x"].shape[self.inputs["x"].index("s")]
        samples = [
            {n: v.take([k], self.inputs[n].index("s")) for n, v in inputs.items()} for k in range(S)
        ]
        columns = zip(*(self._call(**one) for one in samples), strict=True)
        return [np.concatenate(column, self.outputs[0].index("s")) for column in columns]

    def raw(self, **inputs: np.ndarray) -> Any:
        """Call it with these rows, and zeros for states; return what it returns."""
        return self._with(self._arranged(inputs))

    def _arranged(self, parts: Arrays) -> dict[str, Any]:
        """Return inputs, and gradients of outputs, as the code wants them."""
        zero = np.zeros((parts["x"].shape[self.inputs["x"].index("s")], self.H))
        found = {"x": self._x(parts["x"])}
        for name, value in ({"h": zero, "c": zero} | parts).items():
            if name != "x":
                found[name] = self._converted(arrange(value, *self.axes(name)))
        return found

    def axes(self, name: str) -> tuple[str, str]:
        """Return our axes and theirs of an input, or of an output's gradient."""
        if name == "x":
            return self.inputs["x"], self.layout.x
        if name == "d_h":
            last = self.only_last and not self.given_all
            return self.outputs[0], self.layout.first if last else self.layout.state
        return "sh", self.layout.first

    def _x(self, x: np.ndarray) -> Any:
        """Return the input as the code wants it: rows of a one are numbers of tokens."""
        axes = "tsd" if x.ndim == 3 else "sd"
        if not self.tokens:
            return self._converted(arrange(x, axes, self.layout.x))
        numbers = arrange(x.argmax(axis=-1), axes[:-1], self.layout.x)
        if self.tensors:
            return sys.modules["torch"].tensor(numbers)
        return numbers.copy() if numbers.ndim else int(numbers)

    def _converted(self, array: np.ndarray) -> Any:
        array = np.array(array, self.dtype)
        return sys.modules["torch"].from_numpy(array) if self.tensors else array

    def _with(self, given: dict[str, Any]) -> Any:
        """Call the code with parts in its order."""
        shape, self._shape = self._shape, np.shape(given["x"])
        if self.forgetful or shape != self._shape:  # a state of another batch may be left over
            self._restore()
        with np.errstate(all="ignore"):
            slots = self.slots(given)
            if self.named:  # these may stand before the others
                return self.function(**dict(zip(self.free, slots, strict=False)), **self.named)
            return self.function(*slots)

    def slots(self, given: dict[str, Any]) -> list[Any]:
        """Return parts in the order of the code's arguments."""
        return [
            tuple(given[part] for part in slot) if isinstance(slot, tuple) else given[slot]
            for slot in self.order
        ]

    def _call(self, **inputs: np.ndarray) -> list[np.ndarray]:
        return as_floats(self.states_in(self.raw(**inputs), inputs["x"]))

    def states_in(self, result: Any, x: np.ndarray) -> list[Any]:
        """Return arrays or tensors in what came out that have the shape of states, as rows."""
        shape = shape_of(self.layout.state, {"s": len(x), "h": self.H})
        found = [a.reshape(shape) for a in flatten(result) if fits(a, shape)]
        if not found:
            raise CannotCall(f"the step returned nothing of a state's shape {shape}")
        return [back(array, "sh", self.layout.state) for array in found]

    # --- finding out how ------------------------------------------------------------------------

    def _find(self, functions: list[Callable]) -> None:
        """Try every way of calling until one gives two states, or at least one."""
        errors: dict[str, int] = {}
        best = 0
        for self.tokens, self.function in itertools.product((False, True), functions):
            layouts = [v.of_tokens() for v in self.layouts] if self.tokens else self.layouts
            sizes, orders = self._sizes(), self._orders()
            ways = (itertools.product(some, sizes, layouts) for some in (orders[:1], orders[1:]))
            for order, size, self.layout in itertools.chain(*ways):
                (self.order, self.named, self.free), (self.D, self.H) = order, size
                self._restore()
                found = self._try(errors)
                if found > best:
                    best, way = found, dict(vars(self))
                if found == self.most:
                    break
            if best == self.most or (best and self.tokens):
                break
        if not best:
            likely = max(errors, key=errors.get, default="other arguments, or no sizes fit")
            name = getattr(self.function, "__name__", type(self.function).__name__)
            raise CannotCall(f"{name} could not be called ({likely})")
        vars(self).update(way, count=best)
        if self.D == 1 and not self.tokens:  # where one number is taken for several, several are
            several = {D for D, H in self._sizes() if H == self.H} - {1}
            for self.D in (*sorted(several), 1):
                if self._try({}) >= best:
                    break
        self.weights = weights_of(self.given) if isinstance(self.given, Weights) else self.weights
        self.dtype = np.result_type(*self.weights.values())
        self._settle()

    def _try(self, errors: dict[str, int]) -> int:
        """Return how many states come out of a call as it is set now; count what it raises."""
        samples = next(s for s in (5, 7, 9) if s not in (self.D, self.H))
        samples = samples if self.layout.several else 1
        try:
            parts = self.draw(np.random.default_rng(0), 1, samples)
            found = self.everything(**parts)
            if self.tokens:  # another token is another input
                other = self.everything(**parts | {"x": np.roll(parts["x"], 1, axis=-1)})
                return min(2, len(found)) if (found[0] != other[0]).any() else 0
            if self.layout.several:  # one sample changes no other, or it is time
                self._restore()
                parts["x"] = parts["x"] + np.eye(samples)[:, :1]
                other = self.everything(**parts)
                if any(moved(a, b)[1:].any() for a, b in zip(found, other, strict=True)):
                    return 1
            given = (parts["h"], parts.get("c"))  # what comes out as it went in is no state
            return min(2, sum(not any(np.array_equal(a, b) for b in given) for a in found))
        except Exception as error:  # whatever a person's code raises
            message = f"{type(error).__name__}: {error}"
            errors[message] = errors.get(message, 0) + 1
            return 0

    def _sizes(self) -> list[tuple[int, int]]:
        """Return the pairs D, H that shapes allow: those with one that is H or 4H first."""
        if isinstance(self.given, Weights):
            return [(found_weights.D, found_weights.H)]
        if self.sizes:
            return [self.sizes]
        sizes = {size for array in self.weights.values() for size in array.shape if size > 1}
        shapes = {a.shape for a in self.weights.values()}
        least = 0 if any(1 in shape for shape in shapes) else 1  # is there place for one unit?
        parts = {size // n for size in sizes for n in (3, 4) if size % n == 0 and size // n > least}
        hidden = sorted(sizes | parts)
        pairs = [
            (D, H)
            for H in hidden
            for D in sorted({size - less for size in sizes for less in (0, H, H + 1, 1)})
            if D > 0 and sizes & {H, 3 * H, 4 * H}
        ]
        pairs = [(1, H) for H in hidden or [1] if not hidden or not least] + pairs
        fit = {p: -sum(p[1] in s or 4 * p[1] in s for s in shapes) for p in pairs}
        # A number too large for a token is refused, one too small is not.
        return sorted(pairs, key=lambda p: (fit[p], -p[0] if self.tokens else 0))

    def _orders(self) -> list[tuple[tuple, dict[str, Any], list[str]]]:
        """Return orders of arguments, the ones given by name, and the names of the others.

        The order that the arguments' names tell is the first.
        """
        try:
            inner = self.function.forward if is_torch(self.function) else self.function
            signature = inspect.signature(inner)
        except (TypeError, ValueError):
            return [(order, {}, []) for order in self.orders]
        by_name = self.given if isinstance(self.given, Mapping) else {}
        slots, named = [], {}
        for parameter in signature.parameters.values():
            name = parameter.name
            if parameter.kind.name.startswith("VAR"):
                continue
            role = role_of(name)
            if name in by_name and name not in ("x", "h", "c"):
                named[name] = by_name[name]
            elif role == "weights" and self.given is not None:
                named[name] = self.given
            elif parameter.default is parameter.empty or role is not None:
                slots.append(role)
        if slots.count("pair") == 0 and sorted(map(str, slots)) in (["h", "x"], ["c", "x"]):
            slots = ["pair" if slot != "x" else slot for slot in slots]
        byname = tuple(("h", "c") if slot == "pair" else slot for slot in slots)
        likely = [byname] if byname in self.orders else []
        vague = any(re.match("[as]", name) for name in signature.parameters if role_of(name) == "h")
        self.told = () if vague else byname
        orders = dict.fromkeys((*likely, *self.orders))
        free = [name for name in signature.parameters if name not in named]
        return [(order, named, free) for order in orders if takes(signature, order, named, free)]

    def _settle(self) -> None:
        """Find which state is which: h reaches every unit, c only its own; c is never squashed."""
        parts = self.draw(np.random.default_rng(1), 1, 1)
        self._remember(lambda: self.everything(**parts))
        before, bump = self.everything(**parts), np.eye(1, self.H)
        spread, bent = [], []
        for name in "hc":
            moved = [
                np.array(self.everything(**parts | {name: parts[name] + k * bump})) - before
                for k in (1, 2)
            ]
            spread.append((moved[0][..., 1:] != 0).any())
            curves = np.abs(moved[1] - 2 * moved[0]).max(axis=(1, 2))
            bent.append(not (curves < 1e-6)[np.abs(moved[0]).max(axis=(1, 2)) > 0].any())
        self.swap_states = (bent if self.H == 1 else spread) == [False, True]
        self._see_precision(self.everything, parts)
        self.choices = self._chosen()

    def _chosen(self) -> list[tuple[int, ...]]:
        """Return which outputs may be h and c: both hang on c, and one weight moves one unit.

        The output gate reaches h alone, so more weights reach h.
        """
        parts = self.draw(np.random.default_rng(1), 1, 3)
        outputs = self.everything(**parts)
        reach, units = self._reached(lambda: self.everything(**parts))
        states = [
            k
            for k, a in enumerate(outputs)
            if reach[k] and not any(np.array_equal(a, b) for b in outputs[:k])
        ] or [0]
        if len(states) > 2:
            once, twice = (self.everything(**parts | {"c": parts["c"] + k}) for k in (1, 2))
            straight = [
                np.allclose(b - a, a - o) for o, a, b in zip(outputs, once, twice, strict=True)
            ]
            moved = [k for k in states if units[k] == 1 and (once[k] != outputs[k]).any()]
            if len(moved) > 1:
                h = max(moved, key=lambda k: reach[k])
                moved.remove(h)
                states = [h, max(moved, key=lambda k: straight[k])]
        states = sorted(states[:2], key=lambda k: -reach[k])
        return [tuple(states), tuple(states[::-1])][: len(states)]

    def _reached(self, call: Callable[[], list[np.ndarray]]) -> tuple[list[int], list[int]]:
        """Return for each output how many of some weights reach it, and how many units at most.

        Weights of an output layer above reach no state.
        """
        rng, before = np.random.default_rng(2), call()
        reach, units = [0] * len(before), [1] * len(before)
        for array in self.weights.values():
            for k in rng.permutation(array.size)[:12]:
                index = np.unravel_index(k, array.shape)
                old = array[index]
                array[index] += 0.5
                after = call()
                array[index] = old
                for n, (a, b) in enumerate(zip(after, before, strict=True)):
                    moved = int((a != b).reshape(-1, self.H).any(axis=0).sum())
                    reach[n] += moved > 0
                    units[n] = max(units[n], moved)
        return reach, units

    def _restore(self) -> None:
        """Put back what objects' attributes were before any call."""
        for space, before in self._before:
            for name, value in before.items():
                mutable = type(value) in (list, dict)
                space[name] = value.copy() if mutable else value

    def _see_precision(self, call: Callable[..., list[np.ndarray]], parts: Arrays) -> None:
        """See whether it computes in single precision inside: then a tiny change is lost."""
        before = call(**parts)
        for name, value in parts.items():
            little, much = (call(**parts | {name: value * (1 + step)}) for step in (1e-10, 0.1))
            seen = [(a != b).any() for a, b in zip(before, little, strict=True)]
            there = [(a != b).any() for a, b in zip(before, much, strict=True)]
            if any(there) and not any(seen) and not self.tokens:
                self.dtype = np.dtype(np.float32)

    def _remember(self, call: Callable[[], Any]) -> None:
        """See whether two calls give the same; if not, forget before each, as far as possible.

        What a call replaces is a state, no weight.
        """
        self._restore()
        first, second = call(), call()
        holder = self.owner if self.given is None else self.given
        if holder is not None and not self.tensors and not isinstance(holder, Weights):
            now = weights_of(holder)
            self.weights = {
                n: a for n, a in self.weights.items() if now.get(n) is a or n not in now
            }
        self.repeatable = all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
        self.forgetful = not self.repeatable
        first, second = call(), call()
        self.noisy = not all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))

    def loses_an_axis(self) -> bool:
        """Whether a batch of one comes out without its axis, as by a ``squeeze``."""
        if not self.layout.several or "t" in self.outputs[0]:
            return False
        result = self.raw(**self.draw(np.random.default_rng(2), 1, 1))
        shape = shape_of(self.layout.state, {"h": self.H})
        found = [a for a in flatten(result) if fits(a, shape)]
        return any(a.ndim < len(shape) for a in found[:2])

    def changes_its_arguments(self) -> list[str]:
        """Return which of x, h and c it changes in place."""
        values = self.draw(np.random.default_rng(2), 1, 5 if self.layout.several else 1)
        given, before = self._arranged(values), self._arranged(values)
        self._with(given)
        same = {n: np.array_equal(np.asarray(given[n]), np.asarray(before[n])) for n in before}
        return [name for name, unchanged in same.items() if not unchanged]

    # --- for gradients --------------------------------------------------------------------------

    def parameters(self) -> dict[str, Any]:
        """Return the weights that PyTorch differentiates, by name."""
        whole = self.whole if self.given is None else self.given
        named = found_weights.leaves(whole)
        return {name: value for name, value in named if getattr(value, "requires_grad", False)}

    def others(self) -> Iterator[Layout]:
        """Yield other arrangements in which it can be called, setting each on the way."""
        before, outputs = self.layout, len(self.choices)
        for layout in self.layouts:
            self.layout = layout.of_tokens() if self.tokens else layout
            if self.layout != before and self._try({}) >= min(outputs, 2):
                yield self.layout

    def shape(self, axes: str, steps: int, samples: int) -> tuple[int, ...]:
        """Return the shape of an array of ours."""
        return shape_of(axes, {"t": steps, "s": samples, "d": self.D, "h": self.H})

    def draw(self, rng: np.random.Generator, steps: int, samples: int) -> Arrays:
        """Return inputs for a call; those of code that takes tokens have one one in a row."""
        parts = {
            n: rng.normal(size=self.shape(axes, steps, samples)) for n, axes in self.inputs.items()
        }
        if self.tokens:
            numbers = rng.integers(self.D, size=parts["x"].shape[:-1])
            numbers.flat[0] = self.D - 1  # one that is too large is refused
            parts["x"] = np.eye(self.D)[numbers]
        return parts

    def loss(self, inputs: Arrays, given: list[np.ndarray]) -> float:
        """Return what these gradients of the outputs are the gradients of."""
        return float(sum((d * out).sum() for d, out in zip(given, self(**inputs), strict=False)))

    def gradients(self, function: Callable, inputs: Arrays, given: list[np.ndarray]) -> Arrays:
        """Call a person's backward pass with rows; return gradients by name, as rows.

        It may return them, leave them in the object's attributes, or change the weights by them.
        """
        outputs = dict(zip(("d_h", "d_c"), given, strict=False))
        parts = self._arranged(inputs | outputs)
        for name in dir(self.owner):
            if re.fullmatch(CLEAR, name):
                getattr(self.owner, name)()
        forward = self.raw(**inputs)
        shapes = {n: np.shape(parts[n]) for n in self.inputs if n != "x" or not self.tokens}
        asked = {name: parts[name] for name in (*self.inputs, *outputs)}
        slots, named = arguments(function, forward, asked, self.given)
        before = {name: array.copy() for name, array in self.weights.items()}
        with np.errstate(all="ignore"):
            answer = function(*slots, **named)
        found, self.placed = gradients_by_name(answer, self.weights, shapes)
        if not found.keys() & self.weights.keys() and self.owner is not None:
            held = {
                name: array
                for name, array in found_weights.arrays_of(self.owner)
                if name not in self.weights and any(map(is_gradient, name.split(".")))
            }
            found |= gradients_by_name(held, self.weights, {})[0]
        for name, array in self.weights.items():
            if not np.array_equal(array, before[name]):
                if not np.any(found.get(name, 0)):
                    found[name] = before[name] - array
                array[...] = before[name]
        return {n: back(v, *self.axes(n)) if n in self.inputs else v for n, v in found.items()}

    def as_pass(self, inputs: Arrays, given: list[np.ndarray]) -> tuple[np.ndarray, ...]:
        """Return x, h, c and the gradients of all h and the last c, with an axis of time."""
        x, d_h = (v if v.ndim == 3 else v[None] for v in (inputs["x"], given[0]))
        zero = np.zeros((x.shape[1], self.H))
        return x, inputs.get("h", zero), inputs.get("c", zero), d_h, [*given, zero][1]


def takes(signature: inspect.Signature, order: tuple, named: dict[str, Any], free: list) -> bool:
    """Whether a function takes so many arguments beside those by name."""
    by_name = dict(zip(free, order, strict=False)) if named else {}
    try:
        signature.bind(*(() if named else order), **by_name, **named)
    except TypeError:
        return False
    return len(by_name) == len(order) or not named


def moved(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return which samples differ by more than rounding, which depends on where they lie."""
    return (np.abs(a - b) > 1e-5 * (1 + np.abs(b))).any(axis=-1)


def as_floats(found: list[Any]) -> list[np.ndarray]:
    """Return copies in double precision."""
    return [np.array(found_weights.as_array(array), np.float64) for array in found]


def flatten(result: Any, depth: int = 2) -> Iterator[Any]:
    """Yield arrays and tensors in what a step returned; a cache is too deep to be looked at."""
    array = result if is_torch(result) else found_weights.as_numbers(result)
    if array is not None:
        yield array
    elif depth and isinstance(result, Mapping | list | tuple):
        for value in result.values() if isinstance(result, Mapping) else result:
            yield from flatten(value, depth - 1)


def open_code(kind: type[Step], thing: Any, weights: Mapping[str, Any] | None) -> Step:
    """Return code that can be called, with its weights found or made up where none are given."""
    if isinstance(thing, type):
        ways = ((one, weights, sizes) for one, sizes in found_weights.made(thing))
        text = f"{thing.__name__} could not be made of two sizes or of weights"
        return opened(kind, ways, CannotCall(text))
    if isinstance(weights, dict):
        found_weights.tables_as_arrays(weights, list(weights))
    if weights is not None or not inspect.isfunction(thing):
        return opened(kind, [(thing, weights, None)])
    error = CannotCall("no weights were found: give a dict")
    used = found_weights.used_by(thing) | found_weights.handed_to(thing)
    if weights_of(used):
        try:
            return kind(thing, used)
        except ValueError as failure:
            error = failure
    asked = [
        name
        for name, parameter in inspect.signature(thing).parameters.items()
        if parameter.default is parameter.empty and role_of(name) is None
    ]
    try:
        return opened(kind, ((thing, one, None) for one in found_weights.invented(asked)))
    except ValueError:
        raise error from None


def opened(
    kind: type[Step],
    ways: Iterable[tuple[Any, Mapping[str, Any] | None, tuple | None]],
    failed: Exception | None = None,
) -> Step:
    """Return the first code that gives all outputs, else the first at all.

    The ways are things with weights and sizes, the likeliest first.
    """
    best = None
    for way in ways:
        try:
            code = kind(*way)
        except (ValueError, TypeError) as failure:
            failed = failure
            continue
        if code.count == kind.most and code.layout.several:
            return code
        best = code if best is None or code.count > best.count else best
    if best is None:
        raise failed
    return best
