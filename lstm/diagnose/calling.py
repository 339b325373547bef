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
from types import ModuleType
from typing import Any

import numpy as np

from lstm.diagnose import invent
from lstm.diagnose.invent import Weights

Arrays = dict[str, np.ndarray]

# Name → (arrange x, arrange a state, take a state apart, several samples at once).
LAYOUTS: dict[str, tuple[Callable, Callable, Callable, bool]] = {
    "rows": (lambda v: v, lambda v: v, lambda v: v, True),
    "columns": (lambda v: v.T, lambda v: v.T, lambda v: v.T, True),
    "a sequence of one step": (lambda v: v[None], lambda v: v[None], lambda v: v[0], True),
    "batch first": (lambda v: v[:, None], lambda v: v[None], lambda v: v[0], True),
    "batch first, flat states": (lambda v: v[:, None], lambda v: v, lambda v: v, True),
    "vectors": (lambda v: v[0], lambda v: v[0], lambda v: v[None], False),
    "one row": (lambda v: v, lambda v: v, lambda v: v, False),
    "one column": (lambda v: v.T, lambda v: v.T, lambda v: v.T, False),
}

# Orders of arguments to try where their names do not tell.
ORDERS = (
    ("x", "h", "c"),
    ("x", ("h", "c")),
    ("h", "c", "x"),
    ("x", "c", "h"),
    ("h", "x", "c"),
    (("h", "c"), "x"),
    ("c", "h", "x"),
    ("x", ("c", "h")),
)

NAMES = {  # what an argument's name says it is; the first that fits
    "weights": r"params?|parameters|weights|theta|model",
    "pair": r".*state.*|hx|hc|h_c|hidden_and_cell|prev",
    "c": r"(prev_?|old_?|last_?)?(c|cs|ct|c_?prev.*|c_?t.*|c_?0|c_?next.*|c_.*)"
    r"|mem.*|.*cell.*|.*long.*|.*ltm.*",
    "h": r"(prev_?|old_?|last_?)?(h|hs|ht|a|s|h_?prev.*|h_?t.*|h_?next.*|[ash]_?0|[ash]_.*)"
    r"|.*hidden.*|.*short.*|.*stm.*",
    "x": r"x.*|inp.*|input.*|data|word.*|token.*|feature.*|embed.*",
}

METHODS = ("step", "forward_step", "forward", "lstm_step", "lstm_cell", "cell", "__call__")
"""Names of the method that computes a step, in the order in which they are tried."""

SIZES = {  # what a constructor's argument says it is
    "D": r".*(in(put)?_?(size|dim|units|features|channels)?|n_?x|x_?dim|D|embed.*|vocab.*)",
    "H": r".*(hid(den)?.*|units|n_?h|n_?a|h_?dim|H|size|mem_cell_ct|num_units|cells?)",
}


def is_torch(value: Any) -> bool:
    """Whether ``value`` is a tensor or a module of PyTorch, which need not be installed."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor | torch.nn.Module)


def as_array(value: Any) -> np.ndarray | None:
    """Return a tensor's or array's numbers without copying them; None for anything else."""
    if is_torch(value) and hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return value if isinstance(value, np.ndarray) else None


def arrays_of(thing: Any, prefix: str = "", depth: int = 3) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and array of every array of floats in an object, a dict or a list."""
    if is_torch(thing) and hasattr(thing, "named_parameters"):
        items = thing.named_parameters()
    elif isinstance(thing, Mapping):
        items = thing.items()
    elif isinstance(thing, list | tuple):
        items = enumerate(thing)
    elif hasattr(thing, "__dict__") and not isinstance(thing, type | ModuleType):
        items = vars(thing).items()
    else:
        return
    for key, value in items:
        name, array = f"{prefix}{key}", as_array(value)
        if array is None:
            if depth and not inspect.isroutine(value):
                yield from arrays_of(value, f"{name}.", depth - 1)
        elif array.dtype.kind == "f" and array.size:
            yield name.removesuffix(".data").removesuffix(".value").removesuffix(".v"), array


def weights_of(thing: Any) -> Arrays:
    """Return the arrays of a thing by name, each piece of memory once."""
    found: dict[int, tuple[str, np.ndarray]] = {}
    for name, array in arrays_of(thing):
        found.setdefault(array.__array_interface__["data"][0], (name, array))
    return dict(found.values())


def made(kind: type) -> Iterator[Any]:
    """Yield objects of a class: its arguments' names say sizes or weights, or their number does."""
    parameters = inspect.signature(kind).parameters.values()
    needed = [
        p.name for p in parameters if p.default is p.empty and not p.kind.name.startswith("V")
    ]
    sizes = {
        p.name: next((s for s, e in SIZES.items() if re.fullmatch(e, p.name)), None)
        for p in parameters
    }
    for numbers in ({"D": invent.D, "H": invent.H}, {"D": invent.H, "H": invent.H}):
        named = {name: numbers[size] for name, size in sizes.items() if size}
        ways: list[tuple[tuple, dict]] = [((), named), (tuple(numbers.values()), {})]
        ways += [((*numbers.values(), invent.OUT), {}), ((numbers["H"],), {})]
        ways += [((), weights) for weights in invent.invented(needed)]
        for arguments, keywords in ways:
            try:
                yield kind(*arguments, **keywords)
            except Exception:  # not made in this way
                continue


def functions_of(thing: Any, names: tuple[str, ...]) -> list[Callable]:
    """Return what may compute a step: the thing itself, or methods of an object."""
    if inspect.isroutine(thing) or is_torch(thing):
        return [thing]
    methods = [getattr(thing, name) for name in names if callable(getattr(thing, name, None))]
    if not methods:
        raise TypeError(f"step must be callable, got {type(thing).__name__}")
    return methods


class Step:
    """A person's step, called with rows: ``outputs = step(x, h, c)``.

    Parameters
    ----------
    thing : callable or object
        The code: a function, a method, an object with ``step``, ``forward`` or ``__call__``.
    weights : mapping of str to array, optional
        The arrays that it uses, the very same ones; by default those found in the object.

    Attributes
    ----------
    D, H : int
        Sizes found.
    layout, order : str, tuple
        How it is called.

    Raises
    ------
    ValueError
        If it cannot be called in any known way; with the error of the likeliest.
    """

    methods, orders, layouts, most = METHODS, ORDERS, tuple(LAYOUTS), 2
    lengths = (1,)
    """Numbers of steps for which gradients are compared."""

    def __init__(self, thing: Any, weights: Mapping[str, Any] | None = None) -> None:
        functions, self.given = functions_of(thing, self.methods), weights
        self.weights = weights_of(thing if weights is None else weights)
        if not self.weights and not isinstance(weights, Weights):
            raise ValueError("weights must hold the arrays that the step uses, got none")
        values = () if weights is None else weights.values()
        self.owner = getattr(functions[0], "__self__", None)
        self.tensors = is_torch(thing) or is_torch(self.owner) or any(map(is_torch, values))
        self.swap_states = self.forgetful = False
        self.dtype = np.result_type(*self.weights.values()) if self.weights else np.dtype(float)
        self.cell_output: int | None = None
        self._before = dict(getattr(self.owner, "__dict__", {}))
        self._find(functions)

    # --- calling ------------------------------------------------------------------------------

    def __call__(self, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> list[np.ndarray]:
        """Return what comes out with the shape of a state, as rows: usually h and c."""
        h, c = (c, h) if self.swap_states else (h, c)
        if LAYOUTS[self.layout][3]:
            return self._call(x, h, c)
        rows = [self._call(*(v[k : k + 1] for v in (x, h, c))) for k in range(len(x))]
        return [np.concatenate(column) for column in zip(*rows, strict=True)]

    def raw(self, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[Any, dict[str, Any]]:
        """Call it with these rows; return what it returns and the copies that it was given."""
        arrange_x, arrange_state, _, _ = LAYOUTS[self.layout]
        parts = {"x": arrange_x(x), "h": arrange_state(h), "c": arrange_state(c)}
        given = {k: self._convert(np.array(v, self.dtype)) for k, v in parts.items()}
        slots = [
            type(slot)(given[part] for part in slot) if isinstance(slot, tuple) else given[slot]
            for slot in self.order
        ]
        if self.forgetful:
            self._restore()
        with np.errstate(all="ignore"):
            return self.function(*slots, **self.named), given

    def _call(self, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> list[np.ndarray]:
        result, _ = self.raw(x, h, c)
        _, arrange_state, back, _ = LAYOUTS[self.layout]
        shape, found = arrange_state(h).shape, []
        for array in flatten(result):
            if fits(array, shape) and not any(
                np.array_equal(array.ravel(), f.ravel()) for f in found
            ):
                found.append(np.array(array, np.float64).reshape(shape))
        if not found:
            raise ValueError(f"the step returned nothing of a state's shape {shape}")
        return [back(array) for array in found[:2]]

    def _convert(self, array: np.ndarray) -> Any:
        return sys.modules["torch"].from_numpy(array) if self.tensors else array

    # --- finding out how ------------------------------------------------------------------------

    def _find(self, functions: list[Callable]) -> None:
        """Try every way of calling until one gives two states, or at least one."""
        errors: dict[str, int] = {}
        best = 0
        for self.function in functions:
            ways = itertools.product(self._sizes(), self._orders(), self.layouts)
            for (self.D, self.H), (self.order, self.named), self.layout in ways:
                self._restore()
                found = self._try(errors)
                if found > best:
                    best, way = found, dict(vars(self))
                if found == self.most:
                    break
            if best == self.most:
                break
        if not best:
            # Of what it raised, a wrong number of arguments says least.
            telling = {m: n for m, n in errors.items() if "positional argument" not in m} or errors
            likely = max(telling, key=telling.get, default="no sizes fit the shapes of weights")
            raise ValueError(f"step could not be called as a step x, h, c → h, c ({likely})")
        vars(self).update(way, outputs=best)
        self.weights = weights_of(self.given) if isinstance(self.given, Weights) else self.weights
        self.dtype = np.result_type(*self.weights.values())
        self._settle()

    def _try(self, errors: dict[str, int]) -> int:
        """Return how many states come out of a call as it is set now; count what it raises."""
        rng, samples = np.random.default_rng(0), 1
        if LAYOUTS[self.layout][3]:
            samples = next(s for s in (5, 7, 9) if s not in self.sizes)
        try:
            return len(self._call(*(rng.normal(size=(samples, n)) for n in self.sizes)))
        except Exception as error:  # whatever a person's code raises
            message = f"{type(error).__name__}: {error}"
            errors[message] = errors.get(message, 0) + 1
            return 0

    def _sizes(self) -> list[tuple[int, int]]:
        """Return the pairs D, H that shapes allow: those with one that is H or 4H first."""
        if isinstance(self.given, Weights):
            return [(invent.D, invent.H)]
        sizes = {size for array in self.weights.values() for size in array.shape if size > 1}
        hidden = sorted(sizes | {size // 4 for size in sizes if size % 4 == 0 and size > 4})
        pairs = [
            (D, H)
            for H in hidden
            for D in sorted({size - less for size in sizes for less in (0, H, H + 1, 1)})
            if D > 0 and sizes & {H, 4 * H}
        ]
        squares = {a.shape for a in self.weights.values()}
        pairs += [(1, H) for H in hidden if any(1 in shape for shape in squares)]
        return sorted(pairs, key=lambda p: -sum(p[1] in s or 4 * p[1] in s for s in squares))

    def _orders(self) -> list[tuple[tuple, dict[str, Any]]]:
        """Return orders of positional arguments with the named ones: from names, then all."""
        try:
            parameters = inspect.signature(self.function).parameters.values()
        except (TypeError, ValueError):
            return [(order, {}) for order in self.orders]
        slots, named, unknown = [], {}, 0
        for parameter in parameters:
            name = parameter.name
            if parameter.kind.name.startswith("VAR"):
                continue
            role = next((r for r, p in NAMES.items() if re.fullmatch(p, name.lower())), None)
            if self.given is not None and name in self.given and name not in ("x", "h", "c"):
                named[name] = self.given[name]
            elif role == "weights" and self.given is not None and slots:
                named[name] = self.given
            elif parameter.default is not parameter.empty and role is None:
                continue
            else:
                slots.append(role)
                unknown += role is None
        if slots.count("pair") == 0 and sorted(map(str, slots)) in (["h", "x"], ["c", "x"]):
            slots = ["pair" if slot != "x" else slot for slot in slots]
        byname = tuple(("h", "c") if slot == "pair" else slot for slot in slots)
        likely = [byname] if byname in self.orders else []
        return [(order, named) for order in dict.fromkeys((*likely, *self.orders))]

    def _settle(self) -> None:
        """Find which state is which: h reaches every unit, c only its own."""
        rng = np.random.default_rng(1)
        x, h, c = (rng.normal(size=(1, n)) for n in (self.D, self.H, self.H))
        self._remember(lambda: self(x, h, c))
        before, bump = self(x, h, c), np.eye(1, self.H)
        spread = []
        for after in (self(x, h + bump, c), self(x, h, c + bump)):
            changed = np.any([a != b for a, b in zip(after, before, strict=True)], axis=(0, 1))
            spread.append(changed[1:].any())
        self.swap_states = spread == [False, True]

    def _restore(self) -> None:
        """Put back what the object's attributes were before any call."""
        if self._before and not self.tensors:
            mutable = {k: list(v) if isinstance(v, list) else v for k, v in self._before.items()}
            vars(self.owner).update(mutable)

    def _remember(self, call: Callable[[], Any]) -> None:
        """See whether two calls give the same; if not, forget before each, as far as possible.

        What a call replaces is a state, no weight.
        """
        self._restore()
        first, second = call(), call()
        if self.given is None and self.owner is not None and not self.tensors:
            now = weights_of(self.owner)
            self.weights = {
                n: a for n, a in self.weights.items() if now.get(n) is a or n not in now
            }
        self.repeatable = all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
        self.forgetful = not self.repeatable
        first, second = call(), call()
        self.noisy = not all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))

    def loses_an_axis(self) -> bool:
        """Whether a batch of one comes out without its axis, as by a ``squeeze``."""
        if not LAYOUTS[self.layout][3]:
            return False
        one = [np.ones((1, n)) for n in self.sizes]
        result, _ = self.raw(*one)
        shape = LAYOUTS[self.layout][1](one[1]).shape
        found = [a for a in flatten(result) if fits(a, shape)]
        return any(a.ndim < len(shape) for a in found[:2])

    def changes_its_arguments(self) -> list[str]:
        """Return which of x, h and c it changes in place."""
        rng = np.random.default_rng(2)
        samples = 5 if LAYOUTS[self.layout][3] else 1
        values = {n: rng.normal(size=(samples, k)) for n, k in zip("xhc", self.sizes, strict=True)}
        _, given = self.raw(**values)
        arrange = {"x": LAYOUTS[self.layout][0]}
        return [
            name
            for name, value in values.items()
            if not np.array_equal(
                as_array(given[name]),
                arrange.get(name, LAYOUTS[self.layout][1])(value).astype(self.dtype),
            )
        ]

    # --- for gradients --------------------------------------------------------------------------

    def asked(self, function: Callable, result: Any, parts: dict[str, Any]) -> list[Any]:
        """Return what a backward pass asks for by its arguments' names; all in order if unnamed."""
        slots: list[Any] = []
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):
            return list(parts.values())
        for parameter in parameters:
            name = parameter.name.lower()
            if re.fullmatch(r".*(cache|saved|ctx|tape).*", name):
                slots.append(result[-1])
            elif parameter.name in self.weights:
                slots.append(self.given[parameter.name])
            elif name in NAMES or re.fullmatch(NAMES["weights"], name):
                slots.append(parts.get(name, self.given))
            else:
                short = re.sub(r"^(next|out|top)_?|_?(next|out|top)$", "", plain_name(name))
                role = next((r for r in "chx" if re.fullmatch(NAMES[r], short)), None)
                key = f"d_{role}" if short != name or f"d_{role}" not in parts else role
                if key in parts and parameter.default is parameter.empty:
                    slots.append(parts[key])
                elif parameter.default is parameter.empty:
                    return list(parts.values())
        return slots

    def collected(self, result: Any, shapes: dict[str, tuple]) -> Arrays:
        """Return gradients by name: from what was returned, else from the object's attributes."""
        found = by_name(result if result is not None else (), self.weights, shapes)
        if not found.keys() & self.weights.keys() and self.owner is not None:
            held = {
                name.replace("grads.", "params."): array
                for name, array in arrays_of(self.owner)
                if name not in self.weights
            }
            found |= by_name(held, self.weights, {})
        return found

    @property
    def several(self) -> bool:
        """Whether it takes several samples at once."""
        return LAYOUTS[self.layout][3]

    def input_shapes(self, steps: int, samples: int) -> dict[str, tuple[int, ...]]:
        """Return names and shapes of what goes in."""
        return {name: (samples, n) for name, n in zip("xhc", self.sizes, strict=True)}

    def output_shapes(self, steps: int, samples: int) -> list[tuple[int, ...]]:
        """Return the shapes of the gradients given: of h and of c."""
        return [(samples, self.H)] * 2

    def loss(self, inputs: Arrays, given: list[np.ndarray]) -> float:
        """Return what these gradients of the outputs are the gradients of."""
        out = self(**inputs)
        h, c = (out[1], out[0]) if self.cell_output == 0 else (out[0], out[-1])
        return float((given[0] * h).sum() + (given[1] * c).sum())

    def gradients(self, function: Callable, inputs: Arrays, given: list[np.ndarray]) -> Arrays:
        """Call a person's gradients with rows; return them by name, as rows."""
        x_in, state_in, back, _ = LAYOUTS[self.layout]
        values = [x_in(inputs["x"])] + [state_in(v) for v in (inputs["h"], inputs["c"], *given)]
        parts = {
            name: self._convert(np.array(v, self.dtype))
            for name, v in zip(("x", "h", "c", "d_h", "d_c"), values, strict=True)
        }
        forward, _ = self.raw(*(inputs[name] for name in "xhc"))
        with np.errstate(all="ignore"):
            result = function(*self.asked(function, forward, parts))
        shapes = {name: v.shape for name, v in zip("xhc", values, strict=False)}
        found = self.collected(result, shapes)
        rows = {"x": lambda v: v.reshape(-1, self.D) if v.shape[-1] == self.D else back(v)}
        return {n: rows.get(n, back)(v) if n in "xhc" else v for n, v in found.items()}

    def as_pass(self, inputs: Arrays, given: list[np.ndarray]) -> tuple[np.ndarray, ...]:
        """Return x, h, c and the gradients of h and c with an axis of time."""
        return inputs["x"][None], inputs["h"], inputs["c"], given[0][None], given[1]

    def from_pass(self, found: dict) -> Arrays:
        """Return the gradients of the inputs."""
        return {"x": found["x"][0], "h": found["h"], "c": found["c"]}

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Sizes of x, h and c."""
        return self.D, self.H, self.H


def flatten(result: Any, depth: int = 2) -> Iterator[np.ndarray]:
    """Yield the arrays in what a step returned; a cache is too deep to be looked at."""
    array = as_array(result)
    if array is not None:
        yield array
    elif depth and isinstance(result, Mapping | list | tuple):
        for value in result.values() if isinstance(result, Mapping) else result:
            yield from flatten(value, depth - 1)


def fits(array: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether an array has a shape, but for axes of length one."""
    return [n for n in array.shape if n > 1] == [n for n in shape if n > 1]


def open_code(kind: type[Step], thing: Any, weights: Mapping[str, Any] | None) -> Step:
    """Return code that can be called, with its weights found or made up where none are given."""
    if isinstance(thing, type):
        best, failure = opened(kind, ((one, weights) for one in made(thing)))
        if best is None:
            text = f"{thing.__name__} could not be made of two sizes or of weights"
            raise failure or ValueError(text)
        return best
    if weights is not None or not inspect.isfunction(thing):
        return kind(thing, weights)
    used, error = invent.used_by(thing), ValueError("weights must be given: none were found")
    if weights_of(used):
        try:
            return kind(thing, used)
        except ValueError as failure:
            error = failure
    asked = [
        name
        for name, parameter in inspect.signature(thing).parameters.items()
        if parameter.default is parameter.empty
        and not any(re.fullmatch(pattern, name.lower()) for pattern in NAMES.values())
    ]
    best, _ = opened(kind, ((thing, made_up) for made_up in invent.invented(asked)))
    if best is None:
        raise error
    return best


def opened(
    kind: type[Step], ways: Iterable[tuple[Any, Mapping[str, Any] | None]]
) -> tuple[Step | None, Exception | None]:
    """Return the first code that gives all outputs, else the first at all; and the last failure.

    Parameters
    ----------
    kind : type
        What to make of a thing and its weights.
    ways : iterable of tuple
        Things with weights, the likeliest first.
    """
    best = failed = None
    for thing, weights in ways:
        try:
            code = kind(thing, weights)
        except (ValueError, TypeError) as failure:
            failed = failure
            continue
        if code.outputs == kind.most:
            return code, None
        best = best or code
    return best, failed


def by_name(result: Any, weights: Arrays, inputs: dict[str, tuple]) -> Arrays:
    """Return gradients by the names of the weights and of the inputs.

    Parameters
    ----------
    result : mapping or sequence of array
        A mapping may write ``d``, ``d_`` or ``grad_`` before a name. In a sequence each array
        belongs to the first of inputs and weights that has its shape and has none yet.
    weights : dict of str to ndarray
    inputs : dict of str to tuple
        Names and shapes of the inputs.
    """
    shapes = inputs | {name: array.shape for name, array in weights.items()}
    found: Arrays = {}
    if isinstance(result, Mapping):
        plain = {plain_name(name): name for name in weights}
        for key, value in result.items():
            array, short = as_array(value), plain_name(str(key))
            name = key if key in shapes else plain.get(short)
            if name is None:
                name = next((n for n in inputs if re.fullmatch(NAMES[n], short)), None)
            if array is not None and name in shapes and array.size == np.prod(shapes[name]):
                found.setdefault(name, np.array(array, np.float64).reshape(shapes[name]))
        return found
    for value in result:
        array = as_array(value)
        if array is not None:
            name = next((n for n, s in shapes.items() if n not in found and s == array.shape), None)
            if name is not None:
                found[name] = np.array(array, np.float64)
    return found


def plain_name(name: str) -> str:
    """Return a name without what says that it is a gradient."""
    name = re.sub(r"^(grads?_?|delta_?|d_|d(?=[A-Z])|d(?=[a-z]))|_?grad$", "", name)
    return name.lower().removeprefix("self.")
