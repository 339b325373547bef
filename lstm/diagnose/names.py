"""What names say: of arguments, of methods, of weights and of gradients. Never a proof."""

from __future__ import annotations

import re

NAMES = {  # what an argument's name says it is; the first that fits
    "c": r"(prev_?|old_?|last_?)?(c|cs|ct|c_?prev.*|c_?t.*|c_?0|c_?next.*|c_.*)"
    r"|mem.*|.*cell.*|.*long.*|.*ltm.*",
    "h": r"(prev_?|old_?|last_?)?(h|hs|ht|a|s|h_?prev.*|h_?t.*|h_?next.*|[ash]_?0|[ash]_.*)"
    r"|.*hidden.*|.*short.*|.*stm.*",
    "x": r"x.*|inp.*|.*input.*|data|word.*|token.*|feature.*|embed.*|seq.*",
    "pair": r".*states?.*|hx|hc|h_c|prev|next|carry",
    "weights": r"p|params?|parameters|weights|theta|model",
}
CACHE = r".*(cache|saved|ctx|tape|kept|fwd).*"
RATE = r"lr|learning_?rate|eta|alpha|step_?size"
CLEAR = r"(zero|clear|reset)_?grad\w*"
"""Names of the rate that a backward pass asks for, and of the method that sets gradients to 0."""
METHODS = ("step", "forward_step", "forward", "lstm_step", "lstm_cell", "cell", "__call__")
RUNS = ("forward", "run", "__call__", "forward_pass", "forward_propagation", "predict")
"""Names of the method that computes a step or a sequence, in the order in which they are tried."""

SIZES = {  # what a constructor's argument says it is
    "D": r".*(in(put)?s?_?(size|dim|dimension|units|features|channels)?|n_?x|x_?dim|D|embed.*"
    r"|vocab.*|word.*|n_chars)",
    "H": r".*(hid(den)?.*|units|n_?h|n_?a|h_?dim|H|size|mem_cell_ct|num_units|cells?)",
}
GATE_NAMES = {  # what a weight's name says of its gate
    "f": r"f|forget|fg|forgetgate",
    "i": r"i|u|in|input|update|ig|inputgate",
    "g": r"g|c|j|z|a|cell|cand|candidate|cc|tilde|block|gate|cbar",
    "o": r"o|out|output|og|outputgate",
}


def role_of(name: str, roles: str | tuple[str, ...] = tuple(NAMES)) -> str | None:
    """Return what an argument's name says: "x", "h", "c", "pair" or "weights"."""
    return next((role for role in roles if re.fullmatch(NAMES[role], name.lower())), None)


def plain_name(name: str) -> str:
    """Return a name without what says that it is a gradient."""
    before = r"^(grads?_?|delta_?|[dg]_|g(?=[A-Z]|[bxhc]_?[a-z]?$)|d(?=[a-zA-Z]))"
    name = re.sub(rf"{before}|_?grads?$", "", name)
    return name.lower().removeprefix("self.")


def is_gradient(name: str) -> bool:
    """Whether a name says that it is a gradient."""
    return bool(
        re.fullmatch(
            r"d[a-zA-Z_].*|g([A-Z_].*|[bxhc]_?[a-z]?)|.*(grad|delta|diff|err|loss).*", name
        )
    )


def same_weight(gradient: str, weight: str) -> bool:
    """Whether a gradient's path of names, such as ``grads.W.f``, is that of a weight."""
    holders = {"", "grad", "gradients", "param", "params", "parameters", "weights"}

    def path(name: str, strip: bool) -> str:
        words = [plain_name(word) if strip else word.lower() for word in name.split(".")]
        words = [word for word in words if word not in holders]
        while len(words) > 1 and words[0].isdigit():  # a place in a tuple
            del words[0]
        return "." + ".".join(words)

    own = path(weight, False)
    return any(
        theirs != "." and (theirs.endswith(own) or own.endswith(theirs))
        for theirs in (path(gradient, True), path(gradient, False))
    )


def gate_of(name: str) -> str | None:
    """Return the gate that a weight's name says, if it says one."""
    words = [w for w in re.split(r"[^a-z]+|(?<=[a-z])(?=[A-Z])", name) if w]
    tail = re.sub(r"^(weights?|bias|[wubvr])?_?(x|h)?_?", "", name.lower().split(".")[-1])
    for word in (tail, tail.removesuffix("_gate"), *map(str.lower, words)):
        for role, pattern in GATE_NAMES.items():
            if re.fullmatch(pattern, word.strip("_")):
                return role
    return None
