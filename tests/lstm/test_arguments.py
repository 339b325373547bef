"""Bad arguments of any public callable: a ValueError that names the argument, and no warning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import lstm
from lstm.datasets import stratified_split
from lstm.initialise import glorot_uniform, initialise_lstm, orthogonal
from lstm.text import Vocabulary
from lstm.training import shuffled
from tests.lstm.parity import KINDS


def fail(*_, **__):
    raise ZeroDivisionError("whatever is asked of it")


def foreign(kind: type) -> object:
    """Return a number, a list or an object that raises whatever one asks of it."""
    names = ("float", "index", "iter", "len", "array", "bool", "fspath")
    return type("Foreign", (kind,), {f"__{name}__": fail for name in names})()


ODD = [None, "abc", "", b"x", 1j, object(), [], {}, (1, 2, 3), [1, [2, 3]], np.nan, lambda: None]
ODD += map(foreign, (object, float, list))
"""What no argument takes that is a number, a switch, a dtype or an array (each its exceptions)."""
NO_NUMBERS = [*(value for value in ODD if value is not np.nan), True, np.zeros(2)]

positive = st.sampled_from([*ODD, 0, -1, 2.5, np.float64(3), True, np.zeros(2), 10**30 + 0.5])
switch = st.sampled_from([*ODD, 0, 1, np.array([True, False]), np.int64(1)])
not_none = [value for value in ODD if value is not None]
rng = st.sampled_from(["abc", 1j, object(), {}, 1.5, -1, True, np.nan])
dtype = st.sampled_from([*ODD, int, "float16", np.float16, complex, object, 3, np.zeros(2)])
share = st.sampled_from([*NO_NUMBERS, np.nan, -0.1, 1.1, np.inf, -np.inf])
rate = st.sampled_from([*NO_NUMBERS, np.nan, -0.1, np.inf, -np.inf])
other_dtypes = st.sampled_from(["i1", "u1", "i8", "?", "f2", "f8", "c8", "c16", ">f4", "U3", "O"])
NO_ARRAY = [None, "abc", b"x", object(), {}, [1, [2, 3]], len, np.ma.ones((2, 3), np.float32)]
"""What is no array of numbers, whatever shape and dtype are wanted."""
odd_arrays = [
    *ODD,
    3,
    True,
    np.ma.zeros((4, 2, 3), np.float32),
    np.zeros((4, 2, 3), "M8[s]"),
    np.recarray((4, 2, 3), [("a", "f4")]),
]


def other_array(*shape: int) -> st.SearchStrategy:
    """Draw what is no float32 array of this shape."""
    return st.one_of(
        st.sampled_from(odd_arrays),
        other_dtypes.map(lambda kind: np.zeros(shape, kind)),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
        .filter(lambda other: other != shape)
        .map(lambda other: np.zeros(other, np.float32)),
    )


def other_integers(low: int, high: int, *shape: int) -> st.SearchStrategy:
    """Draw what is no array of integers in a range."""
    return st.one_of(
        st.sampled_from([value for value in odd_arrays if value is not None]),
        st.sampled_from(["f4", "f8", "?", "c16", "O"]).map(lambda kind: np.ones(shape, kind)),
        st.sampled_from([low - 1, high + 1, 2**62, -(2**62)]).map(lambda one: np.full(shape, one)),
        st.just(np.full(shape, 2**63 + 7, np.uint64)),
    )


@dataclass
class Target:
    """Something to call, good arguments, and for each name what is bad."""

    call: Callable
    good: dict
    bad: dict[str, st.SearchStrategy]
    names: str = ""  # what a message may name instead


F32 = np.float32
X, D_Y = np.zeros((4, 2, 3), F32), np.zeros((4, 2, 5), F32)
Z, WHOLE = np.zeros((2, 3), F32), {"input_size": 3, "hidden_size": 5}
GIVEN = other_array(4, 2, 5).filter(lambda value: value is not None)
NO_STATES = st.sampled_from([*not_none, 3, X, (X, X), (None,), (None, X, None)])
SOURCES = {"dtype": dtype, "rng": rng}
LAYOUT = dict.fromkeys(("input_size", "hidden_size", "num_layers"), positive)
LAYOUT |= dict.fromkeys(("bias", "batch_first", "bidirectional"), switch)
LAYOUT |= SOURCES | {"dropout": share}
OF_A_CELL = {name: LAYOUT[name] for name in ("input_size", "hidden_size", "bias", "dtype", "rng")}


def any_of(*values) -> st.SearchStrategy:
    return st.sampled_from(values)


def backward(module: lstm.Module, *arguments) -> Callable:
    return lambda **gradients: module.vjp(*arguments)[1](**gradients)


def parameters():
    return [lstm.Parameter(np.zeros(2))]


LINEAR, LSTM, EMBEDDING = lstm.Linear(3, 5), lstm.LSTM(3, 5), lstm.Embedding(7, 3)
MODEL = lstm.SequenceClassifier(LSTM, lstm.Linear(5, 2), EMBEDDING)
NUMBERS = {"input": any_of(*NO_ARRAY, 3, [1, 2], X.astype(int), X > 0)}

TARGETS = {
    "Linear": Target(
        lstm.Linear,
        {"in_features": 3, "out_features": 5},
        SOURCES | {"in_features": positive, "out_features": positive, "bias": switch},
    ),
    "Embedding": Target(
        lstm.Embedding,
        {"num_embeddings": 7, "embedding_dim": 3},
        SOURCES
        | {"num_embeddings": positive, "embedding_dim": positive}
        | {"padding_idx": any_of(*not_none, -1, 7, 1.5)},
    ),
    "Dropout": Target(lstm.Dropout, {"p": 0.5}, {"p": share, "rng": rng}),
    "LSTMCell": Target(lstm.LSTMCell, WHOLE, OF_A_CELL),
    **{kind: Target(getattr(lstm, kind), WHOLE, LAYOUT) for kind in KINDS},
    "nonlinearity": Target(lstm.RNN, WHOLE, {"nonlinearity": any_of(*ODD, 3, "sine")}),
    "projection": Target(lstm.LSTM, WHOLE, {"proj_size": any_of(*ODD, -1, 5, 6, 1.5, True)}),
    "Parameter": Target(
        lstm.Parameter,
        {"data": X},
        {"data": any_of(*NO_ARRAY, 3, True, [1, 2], *(X.astype(k) for k in ("i8", "f2", "c8")))},
    ),
    "load_state_dict": Target(
        lambda **mapping: lstm.Linear(3, 5).load_state_dict(mapping),
        {"weight": np.zeros((5, 3), F32), "bias": np.zeros(5, F32)},
        {"weight": other_array(5, 3), "bias": other_array(5)},
    ),
    "cross_entropy": Target(
        lstm.cross_entropy,
        {"logits": Z, "labels": [0, 1]},
        {
            "logits": any_of(*NO_ARRAY, Z.astype(int), np.zeros(3), np.nan, []),
            "labels": st.one_of(other_integers(0, 2, 2), st.just(None)),
        },
    ),
    "binary_cross_entropy_with_logits": Target(
        lstm.binary_cross_entropy_with_logits,
        {"logits": Z, "targets": Z},
        {
            "logits": any_of(*NO_ARRAY, Z.astype(int), [1, 2], 3),
            "targets": any_of(*odd_arrays, np.full((2, 3), 2), Z + F32(np.nan), Z.astype(float)),
        },
    ),
    "mse_loss": Target(
        lstm.mse_loss,
        {"prediction": Z, "target": Z},
        {
            "prediction": any_of(*NO_ARRAY, Z.astype(int), Z > 0, 3),
            "target": st.one_of(other_array(2, 3), st.just(Z + F32(np.inf))),
        },
    ),
    "clip_grad_norm_": Target(
        lstm.clip_grad_norm_,
        {"parameters": parameters(), "max_norm": 1.0},
        {
            "parameters": any_of(None, 3, "abc", [3], [None], [np.zeros(2)]),
            "max_norm": any_of(*NO_NUMBERS, np.nan, 0, -1),
        },
    ),
    "Adam": Target(
        lstm.Adam,
        {"parameters": parameters()},
        {
            "lr": rate,
            "eps": rate,
            "betas": any_of(*ODD, 0.9, (0.9,), (0.9, 1.0), (0.9, "x"), (np.nan, 0.9)),
        },
    ),
    "RMSprop": Target(
        lstm.RMSprop,
        {"parameters": parameters()},
        {"lr": rate, "alpha": share, "eps": rate, "eps_inside": switch},
    ),
    "SGD": Target(
        lstm.SGD,
        {"parameters": parameters()},
        {
            "lr": rate,
            "momentum": rate,
            "parameters": any_of(None, 3, "abc", [], [3], lstm.Linear(3, 2)),
        },
    ),
    "initialise_lstm": Target(
        initialise_lstm,
        {"layer": lstm.LSTM(3, 5)},
        {
            "layer": any_of(*ODD, lstm.Linear(3, 5)),
            "forget_bias": any_of(*NO_NUMBERS, np.nan, np.inf),
            "longest": any_of(*not_none, 1, 2.5, True),
            "rng": rng,
        },
    ),
    **{
        function.__name__: Target(
            function, {"rows": 3, "columns": 4}, {"rows": positive, "columns": positive, "rng": rng}
        )
        for function in (orthogonal, glorot_uniform)
    },
    "SequenceClassifier": Target(
        lstm.SequenceClassifier,
        {"recurrent": LSTM, "head": lstm.Linear(5, 2)},
        {
            "recurrent": any_of(*ODD, 3, torch.nn.LSTM(3, 5)),
            "head": any_of(*ODD, 3),
            "embedding": any_of("abc", 1j, object(), len, 3),
            "pooling": any_of(*ODD, 3, "sum"),
        },
    ),
    "classifier": Target(
        MODEL,
        {"input": np.zeros((4, 2), int), "lengths": [4, 2]},
        {"input": other_integers(0, 6, 4, 2), "lengths": other_integers(1, 4, 2)},
        names="lengths",
    ),
    "Linear backward": Target(
        backward(LINEAR, X), {"d_output": D_Y}, {"d_output": other_array(4, 2, 5)}
    ),
    "Embedding backward": Target(
        backward(lstm.Embedding(7, 5), np.zeros((4, 2), int)),
        {"d_output": D_Y},
        {"d_output": other_array(4, 2, 5)},
    ),
    "LSTMCell backward": Target(
        backward(lstm.LSTMCell(3, 5), X[0]),
        {"d_h": D_Y[0], "d_c": D_Y[0]},
        dict.fromkeys(("d_h", "d_c"), other_array(2, 5).filter(lambda value: value is not None)),
    ),
    **{
        f"{kind} backward": Target(
            backward(getattr(lstm, kind)(3, 5), X),
            {"d_output": D_Y},
            {"d_output": GIVEN, "d_state": NO_STATES},
            names="d_state|d_h_n|d_c_n",
        )
        for kind in KINDS
    },
    "Linear call": Target(
        LINEAR,
        {"input": X},
        {"input": any_of(*odd_arrays, X.astype(float), X.astype(int), X[..., :2])},
    ),
    "Dropout call": Target(lstm.Dropout(0.5), {"input": X}, NUMBERS),
    "ReLU call": Target(lstm.ReLU(), {"input": X}, NUMBERS),
    "Embedding call": Target(
        EMBEDDING,
        {"input": [0, 1]},
        {"input": any_of(*NO_ARRAY, 1.5, [0.0], [True], [7], [-1], [[0], [1, 2]])},
    ),
    "LSTMCell call": Target(
        lstm.LSTMCell(3, 5),
        {"input": X[0], "hx": (D_Y[0], D_Y[0])},
        {
            "input": other_array(2, 3),
            "hx": any_of(*not_none, 3) | other_array(2, 5).map(lambda bad: (D_Y[0], bad)),
        },
        names="hx|h|c",
    ),
    **{
        f"{kind} call": Target(
            getattr(lstm, kind)(3, 5),
            {"input": X, "lengths": [4, 2]},
            {
                "input": other_array(4, 2, 3),
                "lengths": other_integers(1, 4, 2),
                "hx": NO_STATES,
            },
            names="hx|h_0|c_0|lengths",
        )
        for kind in KINDS
    },
}


@pytest.mark.parametrize("name", TARGETS)
def test_good_arguments_are_taken(name):
    TARGETS[name].call(**TARGETS[name].good)


@st.composite
def bad_calls(draw_from):
    target = TARGETS[draw_from(st.sampled_from(sorted(TARGETS)))]
    argument = draw_from(st.sampled_from(sorted(target.bad)))
    return target, argument, draw_from(target.bad[argument])


class Index:
    """An integer of another library."""

    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value


WORDS = Vocabulary(["a", "b", "c"], str.split)
X53, LABELS = np.arange(15, dtype=F32).reshape(5, 3), np.array([0, 1, 0, 1, 1])


def fitted(batch_size=2, epochs=3, patience=1):
    model = lstm.Linear(3, 2, rng=0)
    adam = lstm.Adam(model.parameters())
    trainer = lstm.Trainer(model, lstm.cross_entropy, adam, batch_size=batch_size, rng=0)
    return trainer.fit(X53, LABELS, epochs=epochs, validation=(X53, LABELS), patience=patience)


def initialised(longest):
    return initialise_lstm(lstm.LSTM(3, 4), longest=longest, rng=0).state_dict()


COUNTED = {
    "words at the end": lambda n: WORDS.encode(["a b c a b", "c"], max_length=n),
    "words at the start": lambda n: WORDS.encode(["a b c a b"], max_length=n, keep="start"),
    "rare words": lambda n: Vocabulary.from_texts(["a a a a b"], min_count=n).tokens,
    "words": lambda n: Vocabulary.from_texts(["a b c d"], max_size=n).tokens,
    "longest": initialised,
    "batch_size": lambda n: fitted(batch_size=n),
    "epochs": lambda n: fitted(epochs=n),
    "patience": lambda n: fitted(patience=n),
    "predicted at a time": lambda n: lstm.predict(lstm.Linear(3, 2, rng=0), X53, batch_size=n),
    "test_size": lambda n: stratified_split(LABELS, n, rng=0),
    "shuffled": lambda n: shuffled(9, n, np.random.default_rng(0), np.arange(9)),
    "rows": lambda n: orthogonal(n, 4, rng=0),
    "layers": lambda n: lstm.LSTM(3, 4, n, rng=0).state_dict(),
    "hidden_size": lambda n: lstm.GRU(3, n, rng=0).state_dict(),
    "padding_idx": lambda n: lstm.Embedding(7, 3, n, rng=0).state_dict(),
}


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(sorted(COUNTED)),
    st.integers(3, 4),
    st.sampled_from([np.int8, np.uint8, np.uint16, np.uint32, np.uint64, np.int64, Index]),
)
def test_an_integer_of_any_kind_is_the_same_integer(name, number, kind):
    """An unsigned one has no negative, and another library's may do nothing but be one."""
    expected, found = COUNTED[name](number), COUNTED[name](kind(number))
    np.testing.assert_equal(found, expected)


def test_an_object_that_cannot_be_asked_is_no_model():
    class Foreign:
        modules = vjp = property(fail)

    with pytest.raises(ValueError, match="model must be a Module, got "):
        lstm.predict(Foreign(), X)
    with pytest.raises(ValueError, match="model must be a Module, got "):
        lstm.Trainer(Foreign(), lstm.mse_loss, lstm.SGD(parameters()))


HUGE = st.integers(10**14, 10**400) | st.sampled_from([2**53, 2**63, 2**64, 10**18])
SIZED = {
    lstm.Linear: ("in_features", "out_features"),
    lstm.Embedding: ("num_embeddings", "embedding_dim"),
    lstm.LSTMCell: ("input_size", "hidden_size"),
    orthogonal: ("rows", "columns"),
    glorot_uniform: ("rows", "columns"),
    **{getattr(lstm, kind): ("input_size", "hidden_size", "num_layers") for kind in KINDS},
    lstm.torch.LSTM: ("input_size", "hidden_size", "num_layers"),
}


@settings(max_examples=300)
@given(st.sampled_from([(call, name) for call in SIZED for name in SIZED[call]]), HUGE)
def test_what_has_no_room_is_refused_before_it_is_made(drawn, size):
    call, name = drawn
    with pytest.raises(ValueError, match=rf"{name}\b.* must (fit into memory|be at most)"):
        call(**dict.fromkeys(SIZED[call], 3) | {name: size})


@given(st.integers(10_001, 10**30))
def test_there_are_not_so_many_layers(number):
    with pytest.raises(ValueError, match="num_layers must be at most 10000, got"):
        lstm.LSTM(1, 1, number)


@settings(max_examples=1500)
@given(bad_calls())
def test_a_bad_argument_is_named(drawn):
    target, argument, value = drawn
    modes = (True, False) if isinstance(target.call, lstm.Module) else (None,)
    for mode in modes:
        if mode is not None:
            target.call.train(mode)
        with pytest.raises(ValueError) as caught:  # noqa: PT011  the message is looked at below
            target.call(**target.good | {argument: value})
        allowed = {argument, *target.names.split("|")}
        named = str(caught.value).split(" ")[0].split("[")[0]
        assert named in allowed, f"{argument} = {value!r}: {caught.value}"
