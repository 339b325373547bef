"""Weights to start from: orthogonal, Glorot's, and a forget gate that starts open."""

from __future__ import annotations

import numpy as np

from lstm import checks
from lstm.layer import RecurrentLayer
from lstm.module import Rng


def orthogonal(rows: int, columns: int, *, rng: Rng = None) -> np.ndarray:
    """Draw a random matrix with orthonormal rows or columns, whichever are fewer.

    Multiplying by it keeps lengths as they are, again and again (Saxe, McClelland and Ganguli,
    2014).

    Parameters
    ----------
    rows, columns : int
        Shape of the matrix.
    rng : Generator, int or None
        Source of the numbers.

    Returns
    -------
    ndarray of float64, shape (rows, columns)
        Uniformly distributed over all such matrices.
    """
    rows, columns = checks.positive_int("rows", rows), checks.positive_int("columns", columns)
    rng = checks.generator(rng)
    checks.room(rows * columns, rows=rows, columns=columns)
    tall = rng.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(tall)
    q *= np.sign(np.diag(r))  # without it some matrices would be drawn more often than others
    return q if rows >= columns else q.T


def glorot_uniform(rows: int, columns: int, *, rng: Rng = None) -> np.ndarray:
    r"""Draw a matrix uniformly in :math:`\pm\sqrt{6 / (\text{rows} + \text{columns})}`.

    The variance 2 / (rows + columns) is a compromise that keeps activations and gradients of one
    size from layer to layer (Glorot and Bengio, 2010).

    Parameters
    ----------
    rows, columns : int
        Shape of the matrix: numbers that come out of the layer, and that go in.
    rng : Generator, int or None
        Source of the numbers.

    Returns
    -------
    ndarray of float64, shape (rows, columns)
    """
    rows, columns = checks.positive_int("rows", rows), checks.positive_int("columns", columns)
    bound = np.sqrt(6 / (rows + columns))
    rng = checks.generator(rng)
    checks.room(rows * columns, rows=rows, columns=columns)
    return rng.uniform(-bound, bound, (rows, columns))


def initialise_lstm(
    layer: RecurrentLayer,
    *,
    forget_bias: float = 1.0,
    longest: int | None = None,
    rng: Rng = None,
) -> RecurrentLayer:
    """Give an LSTM or one of its relatives the initial weights of Keras, in place.

    Parameters
    ----------
    layer : LSTM, or another RecurrentLayer
        Its input weights are drawn by :func:`glorot_uniform`, its recurrent weights by
        :func:`orthogonal`, each as one matrix of all gates. Gains become 1, peepholes and biases 0.
    forget_bias : float
        Bias of the forget gate (Gers, Schmidhuber and Cummins, 2000; Jozefowicz, Zaremba and
        Sutskever, 2015). It must be 0 for a layer without a forget gate.
    longest : int, optional
        Draw the forget biases instead as log u, with u uniform in [1, longest - 1], and let the
        input gate's be -log u (Tallec and Ollivier, 2018). A unit then forgets within about
        1 + u steps, and takes in a share of 1 / (1 + u) at each: a moving average of its past. For
        dependencies of up to so many steps; at least 2.
    rng : Generator, int or None
        Source of the numbers.

    Returns
    -------
    RecurrentLayer
        The same layer.

    Raises
    ------
    ValueError
        If ``longest`` is not an integer of at least 2, or the layer has no forget gate to set.
    """
    if not isinstance(layer, RecurrentLayer):
        raise ValueError(f"layer must be a RecurrentLayer, got {type(layer).__name__}")
    rng, forget_bias = checks.generator(rng), checks.number("forget_bias", forget_bias)
    if longest is not None:
        longest = checks.positive_int("longest", longest, minimum=2)
    has_gate, kind = "f" in layer.gates, type(layer).__name__
    if not has_gate and (forget_bias or longest is not None):
        name, value = ("forget_bias", forget_bias) if longest is None else ("longest", longest)
        wanted = "0" if longest is None else "None"
        raise ValueError(f"{name} must be {wanted} for a {kind}: no forget gate, got {value}")

    def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name == "weight_hh":
            return orthogonal(*shape, rng=rng)
        if name.startswith("weight") and len(shape) == 2:
            return glorot_uniform(*shape, rng=rng)
        values = np.full(shape, float(name.startswith("gain")))
        if has_gate and name == layer.gate_bias:
            biases, rows = forget_bias, layer.gate_rows("f")
            if longest is not None:
                biases = np.log(rng.uniform(1, longest - 1, values[rows].size))
                values[layer.gate_rows("i")] = -biases
            values[rows] = biases
        return values

    for number in range(layer.num_layers):
        for suffix in layer.suffixes(number):
            for name in layer.parameter_shapes(layer.input_size):
                parameter = getattr(layer, name + suffix)
                parameter.data[...] = draw(name, parameter.shape)
    return layer
