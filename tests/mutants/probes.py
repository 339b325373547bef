"""Fast checks of a package against PyTorch's own gradients, and against values by hand.

Each takes a package: ``lstm``, or one that has a mistake. B, T, D and H all differ, no state and no
incoming gradient is zero: a mistake has nowhere to hide.
"""

from __future__ import annotations

import numpy as np
import torch

B, T, D, H = 3, 5, 2, 4
LENGTHS = [3, 5, 1]


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    """Draw numbers of order 1, the same at every call."""
    return np.random.default_rng(seed).standard_normal(shape)


def arrays(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    """Draw arrays, each of other numbers."""
    return [numbers(*shape, seed=k) for k, shape in enumerate(shapes, start=1)]


def same(actual, expected) -> None:
    """Compare arrays to rounding."""
    expected = expected.detach().numpy() if isinstance(expected, torch.Tensor) else expected
    np.testing.assert_allclose(actual, expected, rtol=1e-8, atol=1e-10)


def flat(results) -> list[np.ndarray]:
    """Return the arrays of nested tuples in a row."""
    return [a for r in results for a in flat(r)] if isinstance(results, tuple) else [results]


def agree(module, reference, *inputs, **options) -> None:
    """Compare results, and gradients of inputs and parameters, with those of autograd."""
    x, *states = (torch.tensor(array, requires_grad=True) for array in inputs)
    weights = [torch.tensor(p.data, requires_grad=True) for p in module.parameters()]
    expected = flat(reference(weights, x, *states))
    gradients = arrays(*(result.shape for result in expected))
    torch.autograd.backward(expected, [torch.tensor(array) for array in gradients])

    def packed(first, *others):
        return first, others[0] if len(others) == 1 else others

    module.zero_grad()
    for _ in range(2):  # gradients add up
        for result, value in zip(flat(module(*packed(*inputs), **options)), expected, strict=True):
            same(result, value)
        cell = len(gradients) == len(states)  # it has no output beside its states
        found = flat(module.backward(*(gradients if cell else packed(*gradients))))
        for gradient, tensor in zip(found, (x, *states), strict=True):
            same(gradient, tensor.grad)
    for parameter, weight in zip(module.parameters(), weights, strict=True):
        same(parameter.grad, 2 * weight.grad)


def agree_on_sequences(module, reference) -> None:
    """Do the same with a batch, and with a ragged one: each sequence alone, as far as it goes."""
    many = module.num_layers * module.num_directions
    states = ((many, B, size) for size in module.state_sizes().values())
    inputs = arrays((T, B, D), *states)
    agree(module, reference, *inputs)

    def one_by_one(w, x, *states):
        results = []
        for b, n in enumerate(LENGTHS):
            output, *final = flat(reference(w, *(a[:, [b]] for a in (x[:n], *states))))
            padding = torch.zeros(T - n, *output.shape[1:], dtype=output.dtype)
            results.append((torch.cat([output, padding]), *final))
        return tuple(torch.cat(parts, dim=1) for parts in zip(*results, strict=True))

    agree(module, one_by_one, *inputs, lengths=LENGTHS)


# --- the cell and the layer ---------------------------------------------------------------------


def cell(lstm) -> None:
    """One step is ``torch.nn.LSTMCell``."""
    ours = lstm.LSTMCell(D, H, dtype=np.float64, rng=0)
    inputs = arrays((B, D), (B, H), (B, H))
    agree(ours, lambda w, x, h, c: torch.lstm_cell(x, (h, c), *w), *inputs)


def layer(lstm) -> None:
    """Layers, directions, lengths and projection are those of ``torch.nn.LSTM``."""
    for layers, twice, size in ((2, True, 0), (1, False, 3)):
        options = layers, True, False, 0.0, twice, size
        ours = lstm.LSTM(D, H, *options, dtype=np.float64, rng=0)

        def reference(w, x, h, c, layers=layers, twice=twice):
            return torch.lstm(x, (h, c), w, True, layers, 0.0, True, twice, False)

        agree_on_sequences(ours, reference)


def dropout(lstm) -> None:
    """Dropout acts in training only, and is differentiated."""

    def loss(x):
        output, _ = lstm.LSTM(D, 9, 2, dropout=0.5, dtype=np.float64, rng=0)(x)
        return output.sum()

    ours = lstm.LSTM(D, 9, 2, dropout=0.5, dtype=np.float64, rng=0)
    x, along = arrays((T, B, D), (T, B, D))
    output, _ = ours(x)
    d_x, _ = ours.backward(np.ones_like(output))
    slope = (loss(x + 1e-5 * along) - loss(x - 1e-5 * along)) / 2e-5
    np.testing.assert_allclose((d_x * along).sum(), slope, rtol=1e-6)
    same(ours.eval()(x)[0], ours(x)[0])


def peephole(weights, x, h, c):
    W, U, b_ih, b_hh, p_i, p_f, p_o = weights
    (h,), (c,), output = h, c, []
    for x_t in x:
        i, f, g, o = (x_t @ W.T + h @ U.T + b_ih + b_hh).chunk(4, dim=1)
        c = torch.sigmoid(f + p_f * c) * c + torch.sigmoid(i + p_i * c) * torch.tanh(g)
        h = torch.sigmoid(o + p_o * c) * torch.tanh(c)
        output.append(h)
    return torch.stack(output), h[None], c[None]


def relatives(lstm) -> None:
    """GRU and RNN are PyTorch's, peepholes stand where their formulas say."""
    options = True, 1, 0.0, True, False, False
    for kind, reference in (
        (lstm.GRU, lambda w, x, h: torch.gru(x, h, w, *options)),
        (lstm.RNN, lambda w, x, h: torch.rnn_tanh(x, h, w, *options)),
        (lstm.PeepholeLSTM, peephole),
    ):
        agree_on_sequences(kind(D, H, dtype=np.float64, rng=0), reference)


# --- around it ----------------------------------------------------------------------------------


def losses(lstm) -> None:
    """Losses and their gradients are those of ``torch.nn.functional``."""
    share = 1 / (1 + np.exp(-numbers(B, H)))
    for name, target in (
        ("cross_entropy", np.array([1, 3, 0])),
        ("mse_loss", share),
        ("binary_cross_entropy_with_logits", share),
    ):
        z = torch.tensor(3 * numbers(B, H), requires_grad=True)
        expected = getattr(torch.nn.functional, name)(z, torch.tensor(target))
        expected.backward()
        loss, gradient = getattr(lstm, name)(z.detach().numpy(), target)
        same(loss, expected)
        same(gradient, z.grad)


def optimisers(lstm) -> None:
    """Five steps, of gradients that are clipped, are those of ``torch.optim``."""
    for name, options in (
        ("SGD", {"lr": 0.1, "momentum": 0.9}),
        ("Adam", {"lr": 0.1, "eps": 0.01}),
        ("RMSprop", {"lr": 0.1, "eps": 0.01}),
    ):
        ours = [lstm.Parameter(numbers(4, 2)), lstm.Parameter(numbers(3))]
        theirs = [torch.nn.Parameter(torch.tensor(p.data)) for p in ours]
        pair = getattr(lstm, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
        for k in range(5):
            for p, q in zip(ours, theirs, strict=True):
                p.grad[...] = k * numbers(*p.shape) - 0.1
                q.grad = torch.tensor(p.grad)
            lstm.clip_grad_norm_(ours, 3.0)
            torch.nn.utils.clip_grad_norm_(theirs, 3.0)
            for optimiser in pair:
                optimiser.step()
            for p, q in zip(ours, theirs, strict=True):
                np.testing.assert_allclose(p.data, q.detach(), atol=1e-5)  # theirs adds 1e-6


def initialise(lstm) -> None:
    """Forget biases are 1 and others 0, recurrent weights keep lengths, the others are Glorot's."""
    from lstm.initialise import initialise_lstm

    ours = initialise_lstm(lstm.LSTM(50, 30, dtype=np.float64), rng=0)
    W, U, *biases = (parameter.data for parameter in ours.parameters())
    same(sum(biases), np.repeat([0.0, 1.0, 0.0, 0.0], 30))
    same(U.T @ U, np.eye(30))
    assert 0.99 < np.abs(W).max() / np.sqrt(6 / (50 + 4 * 30)) <= 1


PROBES = {
    probe.__name__: probe
    for probe in (cell, layer, dropout, relatives, losses, optimisers, initialise)
}
