r"""Every equation of the book as one function: the oracle that the rest is checked against.

A function computes one equation for a batch. The text writes column vectors, the code rows: a
vector :math:`x_t \in \mathbb{R}^D` of the text is a row of the array ``x_t`` of shape (B, D), and
:math:`W x_t` is ``x_t @ W.T``. No function loops over time, keeps state or changes its arguments.
All of them work in float32, float64 and, for the complex-step check, complex128.

Sizes: B batch, D input, H hidden. A gradient is ``d_`` and the name: ``d_c_t`` is
:math:`\partial\mathcal{L}/\partial c_t`.
"""

from lstm.equations.activations import sigmoid, sigmoid_derivative, tanh_derivative
from lstm.equations.around import linear, softmax
from lstm.equations.backward import (
    d_candidate,
    d_cell_previous,
    d_cell_state,
    d_forget_gate,
    d_input_gate,
    d_inputs,
    d_output_gate,
    d_preactivation,
    d_weights,
)
from lstm.equations.registry import EQUATIONS, equation
from lstm.equations.step import (
    candidate,
    cell_state,
    forget_gate,
    hidden_state,
    input_gate,
    output_gate,
    preactivation,
)

__all__ = [
    "EQUATIONS",
    "candidate",
    "cell_state",
    "d_candidate",
    "d_cell_previous",
    "d_cell_state",
    "d_forget_gate",
    "d_input_gate",
    "d_inputs",
    "d_output_gate",
    "d_preactivation",
    "d_weights",
    "equation",
    "forget_gate",
    "hidden_state",
    "input_gate",
    "linear",
    "output_gate",
    "preactivation",
    "sigmoid",
    "sigmoid_derivative",
    "softmax",
    "tanh_derivative",
]
