"""``lstm.LSTMCell`` against numerical derivatives; against PyTorch, it is in ``test_calls``."""

from __future__ import annotations

import numpy as np

import lstm
from tests.lstm.calls import flat, same

B, D, H = 4, 3, 5


def arrays(batched=True, dtype=np.float64, seed=1):
    """Return x, h, c and gradients of the new h and c."""
    rng = np.random.default_rng(seed)
    batch = (B,) if batched else ()
    return [rng.standard_normal((*batch, n)).astype(dtype) for n in (D, H, H, H, H)]


def make(bias=True, dtype=np.float64):
    """Return a cell with weights large enough to matter."""
    cell = lstm.LSTMCell(D, H, bias, dtype=dtype, rng=0)
    for parameter in cell.parameters():
        parameter.data *= 2
    return cell


def test_absent_gradients_count_as_zeros():
    for batched in (True, False):
        x, h, c, d_h, d_c = arrays(batched)
        zeros = np.zeros_like(d_h)
        for absent, written in [((None, d_c), (zeros, d_c)), ((d_h, None), (d_h, zeros))]:
            actual, expected = (make().vjp(x, (h, c))[1](*given) for given in (absent, written))
            same(flat(actual), flat(expected), 0)


def test_an_empty_batch():
    (h, c), backward = lstm.LSTMCell(D, H).vjp(np.zeros((0, D), np.float32))
    d_x, d_state = backward(h, c)
    assert [array.shape for array in (h, c, d_x, *d_state)] == [(0, H), (0, H), (0, D)] + [
        (0, H)
    ] * 2


def test_large_inputs_saturate_quietly():
    cell, (x, h, c, d_h, d_c) = make(dtype=np.float32), arrays(dtype=np.float32)
    with np.errstate(all="raise", under="ignore"):
        output, backward = cell.vjp(x * 1e4, (h, c))
        gradients = backward(d_h, d_c)
    assert all(np.isfinite(array).all() for array in flat((output, gradients)))


def test_strides_do_not_matter():
    cell, (x, h, c, d_h, d_c) = make(), arrays()
    strided = [np.repeat(array, 2, axis=1)[:, ::2] for array in arrays()]
    assert not any(array.flags.c_contiguous for array in strided)
    expected, backward = cell.vjp(x, (h, c))
    actual, strided_backward = cell.vjp(strided[0], (strided[1], strided[2]))
    same(flat(actual), flat(expected), 1e-14)
    same(flat(strided_backward(*strided[3:])), flat(backward(d_h, d_c)), 1e-14)


def test_initial_weights_fill_their_interval():
    cell = lstm.LSTMCell(30, 25, rng=0)
    for name, value in cell.state_dict().items():
        assert 0.15 < np.abs(value).max() <= 0.2, name
    again = lstm.LSTMCell(30, 25, rng=np.random.default_rng(0))
    assert (again.weight_hh.data == cell.weight_hh.data).all()
