"""Weights to start from: orthogonal, Glorot's, and a forget gate that starts open."""

from __future__ import annotations

import numpy as np

from lstm import checks
from lstm.layer import LSTM
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
    rng = np.random.default_rng(rng)
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
    bound = np.sqrt(6 / (rows + columns))
    return np.random.default_rng(rng).uniform(-bound, bound, (rows, columns))


def initialise_lstm(
    layer: LSTM, *, forget_bias: float = 1.0, longest: int | None = None, rng: Rng = None
) -> LSTM:
    """Give an LSTM the initial weights of Keras, in place.

    Parameters
    ----------
    layer : LSTM
        Its input weights are drawn by :func:`glorot_uniform`, its recurrent weights by
        :func:`orthogonal`, each as one matrix of all four gates.
    forget_bias : float
        Bias of the forget gate (Gers, Schmidhuber and Cummins, 2000; Jozefowicz, Zaremba and
        Sutskever, 2015); every other bias is zero.
    longest : int, optional
        Draw the forget biases instead as log u, with u uniform in [1, longest - 1], and let the
        input gate's be -log u (Tallec and Ollivier, 2018). A unit then forgets within about
        1 + u steps, and takes in a share of 1 / (1 + u) at each: a moving average of its past. For
        dependencies of up to so many steps; at least 2.
    rng : Generator, int or None
        Source of the numbers.

    Returns
    -------
    LSTM
        The same layer.

    Raises
    ------
    ValueError
        If ``longest`` is not an integer of at least 2.
    """
    if longest is not None:
        checks.positive_int("longest", longest, minimum=2)
    rng, H = np.random.default_rng(rng), layer.hidden_size
    for name, parameter in layer.named_parameters():
        if name.startswith("weight_hh"):
            parameter.data[...] = orthogonal(*parameter.shape, rng=rng)
        elif name.startswith("weight"):
            parameter.data[...] = glorot_uniform(*parameter.shape, rng=rng)
        else:
            parameter.data[...] = 0
            if name.startswith("bias_ih"):
                if longest is not None:
                    forget_bias = np.log(rng.uniform(1, longest - 1, H))
                    parameter.data[:H] = -forget_bias
                parameter.data[H : 2 * H] = forget_bias
    return layer
