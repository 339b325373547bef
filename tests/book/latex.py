"""Read the book's formulas, and compute them: columns in the text are columns here.

A formula is split into its relations, each side is parsed by a small grammar, and its tree is
evaluated with the values of its symbols. What is no formula, and what has no value, is an error:
never a guess.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from functools import cache, reduce

import lark
import numpy as np

GRAMMAR = r"""
sum: SIGN? term (SIGN term)*
?term: product | big | product big -> times | product OPERATOR term -> joined
product: factor+
big: BIG "_" limits ("^" exponent)? term | FUNCTION term -> of_term
    | BIG "(" sum "," sum ")" -> of_two
limits: "{" LETTER "=" sum "}" | "{" LETTER "\\to" "\\infty" "}" -> limit | "{" LETTER "}" | LETTER
?factor: base | base "^" exponent -> power
?base: symbol | NUMBER -> number
    | "(" sum ")" -> paren | "[" sum "]" -> paren | "{" sum "}" -> paren
    | "\\frac" "{" sum "}" "{" sum "}" -> fraction
    | "\\frac" "{" "\\partial" name "}" "{" "\\partial" name "}" -> partial
    | "\\sqrt" "{" sum "}" -> root
    | "\\lvert" sum "\\rvert" -> modulus
    | "\\lVert" sum "\\rVert" "_" (NUMBER | LETTER) -> norm
    | CALL ("_" index)? PRIME? ("^" exponent)? "(" sum ")" -> call
    | "\\begin{bmatrix}" row ("\\cr" row)* "\\end{bmatrix}" -> matrix
    | "\\begin{cases}" case ("\\cr" case)* "\\end{cases}" -> cases
    | "\\cdots" -> dots
row: cell ("\\amp" cell)*
?cell: sum | CALL -> function
case: sum "\\amp" condition
condition: sum RELATION sum
?name: symbol | symbol "^" exponent -> power
symbol: LETTER ("_" index)? | ACCENT (LETTER | "{" LETTER "}") ("_" index)?
index: LETTER | NUMBER | "{" part ("," part)* "}"
?part: sum | WORD | ARROW
?exponent: "\\top" -> top | "{" "\\top" "}" -> top | NUMBER -> number | LETTER -> letter
    | "{" sum "}" | "{" WORD "}" -> word
ACCENT.2: "\\bar" | "\\hat"
BIG.2: /\\(sum|prod|max|min|lim)(?![a-z])/
FUNCTION.2: /\\(log|ln)(?![a-z])/
CALL.2: /\\(sigma|tanh|varphi|diag)(?![a-z])|\\lambda(?=_\w ?\()/
WORD.2: /\\text\{[^{}]*\}/
ARROW.2: "\\leftarrow" | "\\rightarrow"
OPERATOR.2: /\\odot|\\cdot(?![a-z])|\//
RELATION.2: "\\le" | "\\ge" | "\\ne" | ">" | "<"
LETTER: /[A-Za-z]/ | "\\mathcal{L}" | GREEK
GREEK: /\\(alpha|beta|delta|ell|epsilon|eta|gamma|kappa|lambda|mu|nu|rho|tau|theta)(?![a-z])/
PRIME: "'"
SIGN: "+" | "-"
NUMBER: /\d+(\.\d+)?/
%ignore " "
"""


class FormulaError(ValueError):
    """A formula that nothing can be computed from, or one that does not hold."""


class Display:
    """One display: its statements, each a list of sides with the relations between them.

    Attributes
    ----------
    premise : str
        What stands before an implication arrow; empty where there is none.
    statements : list of (list of str, list of str)
        The sides, and the relations between them.
    """

    def __init__(self, latex: str) -> None:
        self.premise, self.statements = "", []
        for line in _lines(plain(latex)):
            *premise, line = line.split(r"\Longrightarrow")
            self.premise = premise[0].strip() if premise else self.premise
            for part in re.split(r",? *\\qquad", line):
                condition = re.fullmatch(r"\((.*)\)", part.strip(" ,"))
                parts = split(condition[1] if condition else part.strip(" ,"))
                if len(parts) < 2 or (condition and len(parts) != 3):
                    raise FormulaError(f"no relation in {part!r}")
                # (c_0, u > 0) says it of each.
                for first in parts[0].split(",") if condition else parts[:1]:
                    self.statements.append(([first.strip(), *parts[2::2]], parts[1::2]))


RELATION = r"\\mathrel\{\+\}=|\\(?:le|ge|ne|leftarrow|pm)(?![a-z])|[=<>]"
LAYOUT = r"\\(?:left|right|bigl|bigr)(?=[]()[|]|\\[lr][vV]ert)|\\quad(?![a-z])|\\[,;!]|\{\}"


def plain(latex: str) -> str:
    """Return a formula without what only sets it, and with one way to write each thing."""
    text = re.sub(LAYOUT, " ", re.sub(r"\\(left|right) ", r"\\\1", latex))
    if latex.count(r"\right") - latex.count(r"\rightarrow") != len(
        re.findall(r"\\left(?!a)", latex)
    ):
        raise FormulaError("brackets that do not match")
    text = re.sub(r"\\operatorname\{diag\}", r"\\diag", text)
    text = re.sub(r"_\{\\(max|min)\}", r"_{\\text{\1}}", text)
    text = re.sub(r"\\tfrac", r"\\frac", re.sub(r"\\sqrt (\w)", r"\\sqrt{\1}", text))
    text = re.sub(r"\\frac(\d)(\d)", r"\\frac{\1}{\2}", re.sub(r"(?<=\d)\{,\}(?=\d)", "", text))
    text = re.sub(r"\\tanh *(\\frac\{[^{}]*\}\{[^{}]*\})", r"\\tanh(\1)", text)
    text = re.sub(r"\\rVert(?! *_)", r"\\rVert_2", text)
    text = re.sub(r"\|([^|]+)\|", r"\\lvert \1 \\rvert", text)

    def inner(match: re.Match) -> str:
        return match[0].replace(r"\\", r"\cr").replace("&", r"\amp")

    text = re.sub(r"\\begin\{(bmatrix|cases)\}.*?\\end\{\1\}", inner, text)
    return " ".join(text.split())


def _lines(text: str) -> list[str]:
    """Return the lines of an ``aligned`` block, each with a relation; else the formula itself."""
    match = re.fullmatch(r"\\begin\{aligned\}(.*)\\end\{aligned\}", text)
    if not match:
        return [text]
    lines: list[str] = []
    for line in re.split(r"\\\\(?:\[\w+\])?", match[1].replace("&", " ")):
        if lines and len(split(line)) == 1:
            lines[-1] += line
        else:
            lines.append(line)
    return lines


def split(text: str) -> list[str]:
    """Split at the relations that stand in no braces and in no matrix."""
    found, depth, start = [], 0, 0
    for match in re.finditer(rf"\\(?:begin|end)\{{\w+\}}|{RELATION}|[{{}}]", text):
        if match[0] == "{" or match[0].startswith(r"\begin"):
            depth += 1
        elif match[0] == "}" or match[0].startswith(r"\end"):
            depth -= 1
        elif not depth:
            found += [text[start : match.start()].strip(), match[0]]
            start = match.end()
    return [*found, text[start:].strip()]


@cache
def parse(latex: str) -> lark.Tree:
    """Return the tree of one side."""
    try:
        return _parser().parse(latex)
    except lark.exceptions.LarkError as error:
        raise FormulaError(f"cannot read {latex!r}: {error}") from error


def symbols(latex: str) -> set[str]:
    """Return the symbols of one side without time, place and gate: of f_{t-1}, f."""
    found = set()
    for tree in parse(latex).iter_subtrees():
        if tree.data in ("symbol", "call"):
            name = "".join(each for each in tree.children if isinstance(each, lark.Token))
            name = name.removeprefix(r"\bar").removesuffix("'")
            index = [each for each in tree.children if getattr(each, "data", "") == "index"]
            words = [_text(part) for part in (index[0].children if index else [])]
            words = [word for word in words if word in ("ih", "hh", "hr") or word[0] == "\\"]
            found.add(name + "".join(f"_{word}" for word in words))
    return found


@cache
def _parser() -> lark.Lark:
    return lark.Lark(GRAMMAR, start="sum", parser="lalr")


# ------------------------------------------------------------------------------------- values
def derivative(function: Callable) -> Callable:
    """Return the derivative of a function of each entry, by the complex step."""
    return lambda z: np.imag(function(z + 1e-30j)) / 1e-30


FUNCTIONS = {
    "sigma": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "varphi": lambda z: np.sin(z) + z * z / 3,  # whichever
}
RELATIONS = {
    r"\le": operator.le,
    r"\ge": operator.ge,
    r"\ne": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
NAMES = {"i", "f", "g", "o", "ih", "hh", "hr"}
"""What an index is when it counts nothing: a gate, or one of PyTorch's names."""
FAR = 256
"""How far a limit goes."""

Key = tuple[str | int, ...]


def _column(value) -> bool:
    return np.ndim(value) == 2 and value.shape[1] == 1


def _same_shape(a, b) -> None:
    if np.ndim(a) and np.ndim(b) and a.shape != b.shape:
        raise FormulaError(f"shapes {a.shape} and {b.shape} side by side")


def _times(a, b):
    """Multiply as in the text: numbers, or matrices that fit; two columns side by side do not."""
    if isinstance(a, list):  # of functions, one for each block of the column
        if len(b) % len(a):
            raise FormulaError(f"{len(a)} functions of {len(b)} rows")
        return np.vstack([f(part) for f, part in zip(a, np.split(b, len(a)), strict=True)])
    if not np.ndim(a) or not np.ndim(b):
        return a * b
    if a.shape[1] != b.shape[0]:
        raise FormulaError(f"a product of shapes {a.shape} and {b.shape}")
    product = a @ b
    return product[0, 0] if product.shape == (1, 1) else product


class Evaluator(lark.visitors.Interpreter):
    """Compute trees from the values of symbols.

    Parameters
    ----------
    values : dict
        ``(name, index, ...)`` → number, column or matrix: ``("h", 3)`` is :math:`h_3`.
    bound : dict
        Letter → integer: sizes, and the indices of sums on the way.
    definitions : dict
        ``(name, number of indices)`` → the letters of the indices, and the tree.
    """

    def __init__(self, values: dict[Key, object], bound: dict[str, int], definitions: dict) -> None:
        self.values, self.bound, self.definitions = values, bound, definitions
        self.outside, self.used = bound, set()

    def within(self, bound: dict[str, int]) -> Evaluator:
        """Return an evaluator with more letters bound to integers."""
        inner = Evaluator(self.values, self.bound | bound, self.definitions)
        inner.outside, inner.used = self.outside, self.used
        return inner

    def of(self, latex: str):
        """Return the value of one side."""
        return self.visit(parse(latex))

    # ----------------------------------------------------------------------------- symbols
    def key(self, tree: lark.Tree) -> Key:
        """Return the name of a symbol with its indices as integers."""
        if tree.data == "partial":
            (above, *above_at), (below, *below_at) = map(self.key, tree.children)
            name = "d_loss" if (above, below) == ("ell", "h") else f"∂{above}/∂{below}"
            at = above_at if name == "d_loss" and above_at == below_at else above_at + below_at
            return (name, *at)
        if tree.data == "power":
            symbol, exponent = tree.children
            if symbol.data == "symbol" and (mark := _superscript(exponent)):
                name, *at = self.key(symbol)
                return (name + mark, *at)
        if tree.data != "symbol":
            raise FormulaError(f"no symbol: {_text(tree)}")
        accents = [child for child in tree.children if child in (r"\bar", r"\hat")]
        letter, *index = [child for child in tree.children if child not in accents]
        name = str(letter).strip("\\").replace("mathcal{L}", "loss")
        name = {(): name, (r"\bar",): f"d_{name}", (r"\hat",): f"{name}_hat"}[tuple(accents)]
        at = []
        for part in index[0].children if index else []:
            text = _text(part)
            if text in NAMES or text.startswith("\\"):
                name += "_" + re.sub(r"\\text\{(.*)\}", r"\1", text).strip("\\")
            else:
                at.append(int(text) if text.isdigit() else int(self._index(part)))
        return (name, *at)

    def _index(self, part) -> int:
        if isinstance(part, lark.Token):
            if part not in self.bound:
                raise FormulaError(f"an unknown index {part}")
            return self.bound[part]
        value = self.visit(part)
        if value != int(value):
            raise FormulaError(f"an index of {value}")
        return value

    def symbol(self, tree: lark.Tree):
        return self.lookup(self.key(tree))

    partial = symbol

    def lookup(self, key: Key):
        """Return the value of a symbol: given, an entry of a given one, counted, or defined."""
        name, *at = key
        if key in self.values:
            return self.values[key]
        if at and _column(whole := self.values.get(key[:-1])):
            if not 1 <= at[-1] <= len(whole):
                raise IndexError(key)
            return whole[at[-1] - 1, 0]
        if key[1:] == () and name in self.bound:
            return self.bound[name]
        if (name, len(at)) in self.definitions:
            letters, tree = self.definitions[name, len(at)]
            meant = dict(zip(letters, at, strict=True))
            if all(letter in ("t", "k", "n", number) for letter, number in meant.items()):
                self.used.add((name, len(at)))
                # In a definition, the letters of the sums around its use mean nothing.
                own = Evaluator(self.values, self.outside | meant, self.definitions)
                own.used = self.used
                self.values[key] = own.visit(tree)
                return self.values[key]
        raise FormulaError(f"an unknown symbol: {key}")

    # ------------------------------------------------------------------------- arithmetic
    def sum(self, tree: lark.Tree):
        total, sign = None, 1
        for child in tree.children:
            if isinstance(child, lark.Token):
                sign = -1 if child == "-" else 1
                continue
            value = self.visit(child)
            if total is not None:
                _same_shape(total, value)
            total = sign * value if total is None else total + sign * value
        return total

    def joined(self, tree: lark.Tree):
        left, sign, right = tree.children
        left, right = self.visit(left), self.visit(right)
        if sign == r"\cdot" and np.ndim(left) and np.ndim(right):
            raise FormulaError("a dot between columns")
        _same_shape(left, right)
        return left / right if sign == "/" else left * right

    def times(self, tree: lark.Tree):
        return _times(*self.visit_children(tree))

    def product(self, tree: lark.Tree):
        factors: list = list(tree.children)
        for place, factor in enumerate(factors):
            if factor.data == "dots":
                return reduce(_times, self._row(factors[:place], factors[place + 1 :]), 1)
        return reduce(_times, map(self.visit, factors))

    def _row(self, before: list, after: list) -> Iterator:
        """Yield the factors of ``A_5 A_4 ⋯ A_1``; none where the row goes the other way."""
        keys = [self.key(tree) for tree in [*before, *after]]
        if len(keys) != 3 or len({key[:-1] for key in keys}) > 1:
            raise FormulaError(f"no row of factors: {keys}")
        (*name, first), (*_, second), (*_, last) = keys
        if abs(second - first) != 1:
            raise FormulaError(f"no row of factors: {keys}")
        step = second - first
        return (self.lookup((*name, at)) for at in range(first, last + step, step))

    def fraction(self, tree: lark.Tree):
        above, below = self.visit_children(tree)
        _same_shape(above, below)
        return above / below

    def power(self, tree: lark.Tree):
        base, exponent = tree.children
        if base.data == "symbol" and _superscript(exponent):
            return self.lookup(self.key(tree))
        if base.data == "symbol" and _text(base) == "e":
            return np.exp(self.visit(exponent))
        value = self.visit(base)
        if exponent.data == "top":
            return np.transpose(value)
        exponent = self.visit(exponent)
        if np.ndim(value) == 2 and value.shape[0] == value.shape[1]:
            return np.linalg.matrix_power(value, exponent)
        return value**exponent

    def letter(self, tree: lark.Tree):
        return self.lookup((str(tree.children[0]),))

    def number(self, tree: lark.Tree):
        text = str(tree.children[0])
        return float(text) if "." in text else int(text)

    def paren(self, tree: lark.Tree):
        return self.visit(tree.children[0])

    def root(self, tree: lark.Tree):
        return np.sqrt(self.visit(tree.children[0]))

    def modulus(self, tree: lark.Tree):
        return np.abs(self.visit(tree.children[0]))

    def norm(self, tree: lark.Tree):
        value, kind = self.visit(tree.children[0]), tree.children[1]
        if kind not in ("2", "F"):
            raise FormulaError(f"a norm {kind}")
        return np.linalg.norm(value, "fro" if kind == "F" else 2)

    # ----------------------------------------------------------- functions, matrices, cases
    def call(self, tree: lark.Tree):
        name, *rest, argument = tree.children
        marks = {r.type if isinstance(r, lark.Token) else r.data: r for r in rest}
        index, value = marks.pop("index", None), self.visit(argument)
        name = name.strip("\\") + (f"_{_text(index)}" if index else "")
        if name in FUNCTIONS:
            function = FUNCTIONS[name]
            value = (derivative(function) if marks.pop("PRIME", None) else function)(value)
        elif name == "diag" and _column(value):
            value = np.diagflat(value)
        elif name in (r"sigma_\text{max}", r"sigma_\text{min}") and np.ndim(value) == 2:
            value = np.linalg.norm(value, 2 if "max" in name else -2)
        elif name == "lambda_j" and np.ndim(value) == 2:
            values = np.linalg.eigvals(value)
            if self.bound["j"] > len(values):
                raise IndexError("lambda")
            value = values[self.bound["j"] - 1]
        else:
            raise FormulaError(f"no function of this: {name}")
        for exponent in marks.values():
            value = value ** self.visit(exponent)
        return value

    def function(self, tree: lark.Tree):
        return FUNCTIONS[tree.children[0].strip("\\")]

    def matrix(self, tree: lark.Tree):
        rows = [[self.visit(cell) for cell in row.children] for row in tree.children]
        if all(callable(cell) for row in rows for cell in row):
            return [cell for (cell,) in rows]
        return np.block(rows)

    def cases(self, tree: lark.Tree):
        for case in tree.children:
            value, condition = case.children
            left, relation, right = condition.children
            if RELATIONS[relation](self.visit(left), self.visit(right)):
                return self.visit(value)
        raise FormulaError("no case holds")

    # ------------------------------------------------------------------------- over an index
    def big(self, tree: lark.Tree):
        name, limits, *upper, term = tree.children
        letter = str(limits.children[0])
        if limits.data == "limit" or name == r"\lim":
            if limits.data != "limit" or name != r"\lim":
                raise FormulaError(f"no limit: {_text(tree)}")
            return self.within({letter: FAR}).visit(term)
        if (len(limits.children) == 2) != bool(upper):
            raise FormulaError(f"one limit of two: {_text(tree)}")
        if upper:
            steps = range(int(self.visit(limits.children[1])), int(self.visit(upper[0])) + 1)
            values = [self.within({letter: step}).visit(term) for step in steps]
        else:
            values = list(self._all(letter, term))
        if name in (r"\max", r"\min"):
            return max(values) if name == r"\max" else min(values)
        return sum(values) if name == r"\sum" else reduce(lambda a, b: a * b, values, 1)

    def _all(self, letter: str, term: lark.Tree) -> Iterator:
        """Yield the term at 1, 2, … as long as there are entries."""
        for step in range(1, 100):
            try:
                yield self.within({letter: step}).visit(term)
            except IndexError:
                return
        raise FormulaError(f"nothing ends the index {letter}")

    def of_term(self, tree: lark.Tree):
        return np.log(self.visit(tree.children[1]))

    def of_two(self, tree: lark.Tree):
        name, *both = tree.children
        return {r"\max": np.maximum, r"\min": np.minimum}[str(name)](*map(self.visit, both))


def _text(tree) -> str:
    """Return the signs of a tree, without those that only hold it together."""
    if isinstance(tree, lark.Token):
        return str(tree)
    return "".join(map(str, tree.scan_values(lambda _: True)))


def _superscript(exponent: lark.Tree) -> str:
    """Return what an exponent in brackets, or a word, adds to a name; else nothing."""
    if exponent.data == "word":
        return "_" + re.sub(r"\\text\{(.*)\}", r"\1", _text(exponent))
    product = exponent.children[0] if len(exponent.children) == 1 else None
    lone = getattr(product, "data", "") == "product" and len(product.children) == 1
    return f"({_text(product)})" if lone and product.children[0].data == "paren" else ""
