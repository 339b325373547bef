r"""Every equation of the book as one function: the oracle that the rest is checked against.

A function computes one equation for a batch. The text writes column vectors, the code rows: a
vector :math:`x_t \in \mathbb{R}^D` of the text is a row of the array ``x_t`` of shape (B, D), and
:math:`W x_t` is ``x_t @ W.T``. No function keeps state or changes its arguments. Those of chapters
03 and 06 that speak of a whole sequence take it with time first; all others are of one step.
All of them work in float32, float64 and, for the complex-step check, complex128; integers and
booleans are taken as integers with a sign. Shapes meet as NumPy lets them meet. What is no number,
and what cannot meet, is a ``ValueError`` that names it: see :mod:`lstm.signatures`.

Sizes: B batch, D input, H hidden. A gradient is ``d_`` and the name: ``d_c_t`` is
:math:`\partial\mathcal{L}/\partial c_t`.
"""

# The star brings each function under its own name, where an editor finds it too.
from lstm.equations.activations import *  # noqa: F403 - see above
from lstm.equations.around import *  # noqa: F403
from lstm.equations.backward import *  # noqa: F403
from lstm.equations.beyond import *  # noqa: F403
from lstm.equations.flow import *  # noqa: F403
from lstm.equations.registry import EQUATIONS, equation
from lstm.equations.rnn import *  # noqa: F403
from lstm.equations.sequence import *  # noqa: F403
from lstm.equations.state import *  # noqa: F403
from lstm.equations.step import *  # noqa: F403
from lstm.equations.variants import *  # noqa: F403
from lstm.equations.writing import *  # noqa: F403

__all__ = ["EQUATIONS", "equation", *(function.__name__ for function in EQUATIONS.values())]
