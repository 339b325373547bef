"""What a signature says is checked: formulas take numbers alone, and what cannot meet is named."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lstm_book.recipes.linear import Linear
from numpy.typing import ArrayLike

from lstm import equations as eq
from lstm.signatures import checked
from tests.lstm.test_arguments import foreign

FORMULAS = sorted(
    {f.__name__ for f in eq.EQUATIONS.values() if f.__module__.startswith("lstm.equations")}
)
NO_NUMBERS = [None, "abc", b"x", object(), {}, [1, [2, 3]], len, np.ma.ones(2)]
NO_NUMBERS += [foreign(object), foreign(float), np.float16(1), np.zeros(2, "M8[s]"), {1.0}]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FORMULAS), st.data())
def test_a_formula_names_what_is_no_number(formula, data):
    function = getattr(eq, formula)
    names = list(inspect.signature(function).parameters)
    bad = data.draw(st.sampled_from(names))
    arguments = dict.fromkeys(names, np.ones((2, 2))) | {
        bad: data.draw(st.sampled_from(NO_NUMBERS))
    }
    with pytest.raises(ValueError, match=rf"^{bad} must .*, got "):
        function(**arguments)


@settings(max_examples=100)
@given(st.sampled_from(["u1", "u4", "u8", "?", "i1"]), st.lists(st.booleans(), min_size=1))
def test_integers_and_booleans_have_a_sign_in_a_formula(kind, bits):
    """An unsigned one would wrap around: the sigmoid of 3 was 0."""
    bits, one = np.array(bits, kind), np.ones(len(bits))
    same = bits.astype(np.int64)
    np.testing.assert_array_equal(eq.sigmoid(3 * bits), eq.sigmoid(3 * same))
    np.testing.assert_array_equal(eq.masked_state(one, 5 * one, bits), np.where(same, 1, 5))


def test_what_cannot_meet_is_named_with_its_shapes():
    ones = np.ones
    with pytest.raises(ValueError, match=re.escape(
        "x, W, b must fit together in linear, got shape (2, 3), shape (4, 5), shape (4,): "
    )):  # fmt: skip
        eq.linear(ones((2, 3)), ones((4, 5)), ones(4))
    with pytest.raises(ValueError, match=r"^U must have a largest singular value below 1"):
        eq.truncation_bound(ones((2, 1, 3)), 2 * np.eye(3), 2)


@checked
@dataclass
class Instrument:
    number: float
    name: str = "x"


@checked
def instrument(
    count: int,
    share: float = 0.5,
    *rest: int,
    switch: bool = False,
    text: str | None = None,
    width: str | float = 1.0,
    file: Path = Path(),
    values: ArrayLike = (),
    words: Sequence[str] = (),
    rng: np.random.Generator | None = None,
    table: Mapping[str, int] = {},
    system: Linear | None = None,
    history: Sequence[Mapping[str, float]] = (),
    anything: object = None,
):
    return count


GOOD = {
    "count": [0, np.uint8(3)],
    "share": [1, np.float32(0.5)],
    "switch": [True, np.False_],
    "text": ["a", None],
    "width": ["text", 3],
    "file": ["a", Path("b")],
    "values": [[1, 2], np.ones(3, np.float32)],
    "words": [["a"], "ab", ("a", "b")],
    "rng": [None, np.random.default_rng(0)],
    "table": [{}, {"a": 1}],
    "system": [None, Linear(np.ones(1), 0.0)],
    "history": [[], ({},)],
    "anything": [1, object()],
}
BAD = {
    "count": [-1, 1.5, True, "1", None],
    "share": [None, "a", True, np.nan, foreign(float)],
    "switch": [0, None, "yes"],
    "text": [1, b"a"],
    "width": [None, b"a", [1]],
    "file": [None, 3, foreign(object)],
    "values": [None, "a", [[1], [1, 2]], np.ma.ones(2)],
    "words": [3, [1], foreign(list)],
    "rng": [0, np.random],
    "table": [[], None],
    "system": [Linear, (1, 2)],
}


@pytest.mark.parametrize("name", BAD)
def test_an_annotation_is_a_check(name):
    for value in BAD[name]:
        with pytest.raises(ValueError, match=rf"^{name} must "):
            instrument(**{"count": 1} | {name: value})


@pytest.mark.parametrize("name", GOOD)
def test_what_an_annotation_says_is_taken(name):
    for value in GOOD[name]:
        instrument(**{"count": 1} | {name: value})


def test_a_class_is_checked_when_it_is_made():
    assert Instrument(3).number == 3
    with pytest.raises(ValueError, match="number must be a number in"):
        Instrument("3")
    with pytest.raises(ValueError, match="name must be a text, got 4"):
        Instrument(3, name=4)
