"""One whole step, differentiated with symbols: equal as polynomials, not at one point only."""

import numpy as np
import pytest

from lstm import equations as eq

sympy = pytest.importorskip("sympy")
CELLS = 2


def symbols(name, *shape):
    names = np.array([f"{name}_{k}" for k in range(np.prod(shape))]).reshape(shape)
    return np.vectorize(sympy.Symbol, otypes=[object])(names)


def tanh(z):
    return np.vectorize(sympy.tanh, otypes=[object])(z)


def sigma(z):
    """With hyperbolic tangents all derivatives are polynomials in them: expanding is enough."""
    return sympy.Rational(1, 2) * (1 + tanh(z / 2))


@pytest.fixture
def numpy_tanh_of_symbols(monkeypatch):
    """NumPy asks an object for a method of this name."""
    monkeypatch.setattr(sympy.Expr, "tanh", lambda self: sympy.tanh(self), raising=False)


@pytest.mark.slow
@pytest.mark.usefixtures("numpy_tanh_of_symbols")
def test_every_derivative_of_a_step_is_its_formula_as_a_polynomial():
    q = {name: symbols(name, 1, CELLS) for name in ("x", "h", "c", "d_h", "d_c_from_next")}
    q |= {name: symbols(name, 4 * CELLS, CELLS) for name in "WU"} | {"b": symbols("b", 4 * CELLS)}
    a_i, a_f, a_g, a_o = np.split(eq.preactivation(*(q[name] for name in "xhWUb")), 4, axis=1)
    i, f, g, o = sigma(a_i), sigma(a_f), tanh(a_g), sigma(a_o)
    c = eq.cell_state(f, q["c"], i, g)
    loss = (q["d_h"] * eq.hidden_state(o, c) + q["d_c_from_next"] * c).sum()

    d_c = eq.d_cell_state(q["d_c_from_next"], q["d_h"], o, c)
    d_i, d_f = eq.d_input_gate(d_c, g), eq.d_forget_gate(d_c, q["c"])
    d_g, d_o = eq.d_candidate(d_c, i), eq.d_output_gate(q["d_h"], c)
    d_a = eq.d_preactivation(d_i, d_f, d_g, d_o, i, f, g, o)
    formulas = dict(zip("WUb", eq.d_weights(d_a, q["x"], q["h"]), strict=True))
    formulas |= dict(zip("xh", eq.d_inputs(d_a, q["W"], q["U"]), strict=True))
    formulas["c"] = eq.d_cell_previous(d_c, f)

    compared = 0
    for name, formula in formulas.items():
        for variable, ours in zip(q[name].flat, formula.flat, strict=True):
            assert sympy.expand(sympy.diff(loss, variable) - ours) == 0, variable
            compared += 1
    assert compared == 46  # the number that the chapter on backpropagation tells
