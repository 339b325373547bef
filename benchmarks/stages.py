"""From the loop over cells to the layer: its stages, and how long each takes.

Each stage is a module with the forward and the backward pass of one layer over a batch of equal
lengths, from zero states: ``output = stage(x)``, ``d_x = stage.backward(d_output)``. The next one
differs from it by one idea. ``python -m benchmarks.stages`` measures them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from lstm.kernel import halved
from numpy.typing import DTypeLike

from benchmarks.engines import ENGINES, Engine, Pass
from benchmarks.shapes import Shape
from lstm import LSTMCell
from lstm import equations as eq
from lstm.module import Module, Rng

RESULT = Path(__file__).parent / "results" / "stages.json"
MEASURED = ("mnist", "imdb32", "scalar", "single")
BESIDE = ("ours, NumPy", "ours", "nn.LSTM")
"""Engines that are measured beside the stages, in the same rounds."""


class LoopOverCells(Module):
    """Stage 1: one ``LSTMCell``, called T times; what each call keeps is put aside."""

    def __init__(
        self, input_size: int, hidden_size: int, *, dtype: DTypeLike = np.float32, rng: Rng = None
    ) -> None:
        self.cell = LSTMCell(input_size, hidden_size, dtype=dtype, rng=rng)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return the hidden states (T, B, H) of an input (T, B, D)."""
        state, output, self._saved = None, [], []
        for x_t in x:
            state, backward = self.cell.vjp(x_t, state)
            output.append(state[0])
            self._saved.append(backward)
        return np.stack(output)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Do the same: a stage keeps one call for ``backward``, in a way of its own."""
        return self.forward(x)

    def backward(self, d_output: np.ndarray) -> np.ndarray:
        """Return the gradient of the input; add those of the parameters."""
        d_x, d_h, d_c = [], 0, None
        for d_output_t, backward in zip(d_output[::-1], self._saved[::-1], strict=True):
            d_x_t, (d_h, d_c) = backward(d_output_t + d_h, d_c)
            d_x.append(d_x_t)
        return np.stack(d_x[::-1])


class OneProduct(LoopOverCells):
    """Stage 2: with ``z_t = [h_{t-1}; x_t; 1]`` and ``V = [U W b]``, a step has one product."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return the hidden states (T, B, H) of an input (T, B, D)."""
        (T, B, _), H = x.shape, self.cell.hidden_size
        V = self.joined_weights()
        z = np.ones((T + 1, B, V.shape[1]), x.dtype)  # z[T] has room for the last h
        z[0, :, :H] = 0
        z[:T, :, H:-1] = x
        c = np.zeros((T + 1, B, H), x.dtype)
        preactivation, kept = self.products(z, V), []
        for t in range(T):
            i_t, f_t, g_t, o_t = self.gates(preactivation(t))
            c[t + 1] = f_t * c[t] + i_t * g_t
            tanh_c = np.tanh(c[t + 1])
            z[t + 1, :, :H] = o_t * tanh_c
            kept.append((i_t, f_t, g_t, o_t, tanh_c, c[t]))
        self._saved = V, z, kept
        return z[1:, :, :H].copy()

    def joined_weights(self) -> np.ndarray:
        """Return [U W b], shape (4H, H + D + 1)."""
        W, U, b_ih, b_hh = (parameter.data for parameter in self.cell.parameters())
        return np.concatenate([U, W, (b_ih + b_hh)[:, None]], axis=1)

    def products(self, z: np.ndarray, V: np.ndarray) -> Callable[[int], np.ndarray]:
        """Return a function of t that computes the preactivations of step t."""
        return lambda t: z[t] @ V.T

    def gates(self, a_t: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return i, f, g, o."""
        return eq.gates(a_t)

    def backward(self, d_output: np.ndarray) -> np.ndarray:
        """Return the gradient of the input; add those of the parameters."""
        V, z, kept = self._saved
        H, d_V, d_x = self.cell.hidden_size, np.zeros_like(V), []
        d_h = d_c = 0
        for t in reversed(range(len(d_output))):
            d_a_t, d_c = self.step_backward(d_output[t] + d_h, d_c, *kept[t])
            d_V += d_a_t.T @ z[t]
            d_z_t = d_a_t @ V
            d_h = d_z_t[:, :H]
            d_x.append(d_z_t[:, H:-1])
        self.add_gradients(d_V)
        return np.stack(d_x[::-1])

    def step_backward(self, d_h, d_c, i_t, f_t, g_t, o_t, tanh_c, c_prev):
        """Return the gradients of a_t and of c_{t-1}."""
        d_c = d_c + d_h * o_t * (1 - tanh_c**2)
        d_a_i = d_c * g_t * i_t * (1 - i_t)
        d_a_f = d_c * c_prev * f_t * (1 - f_t)
        d_a_g = d_c * i_t * (1 - g_t**2)
        d_a_o = d_h * tanh_c * o_t * (1 - o_t)
        return np.concatenate([d_a_i, d_a_f, d_a_g, d_a_o], axis=1), d_c * f_t

    def add_gradients(self, d_V: np.ndarray) -> None:
        """Add the three blocks of the gradient of [U W b] to those of the parameters."""
        H, cell = self.cell.hidden_size, self.cell
        cell.weight_hh.grad += d_V[:, :H]
        cell.weight_ih.grad += d_V[:, H:-1]
        cell.bias_ih.grad += d_V[:, -1]
        cell.bias_hh.grad += d_V[:, -1]


class GradientsAtTheEnd(OneProduct):
    """Stage 3: gradients of the weights and of the input in one product each, after the loop."""

    def backward(self, d_output: np.ndarray) -> np.ndarray:
        """Return the gradient of the input; add those of the parameters."""
        V, z, kept = self._saved
        (T, B, H), K = d_output.shape, V.shape[1]
        U, W = V[:, :H].copy(), V[:, H:-1]
        d_a = np.empty((T, B, 4 * H), V.dtype)
        d_h = d_c = 0
        for t in reversed(range(T)):
            d_a[t], d_c = self.step_backward(d_output[t] + d_h, d_c, *kept[t])
            d_h = d_a[t] @ U
        d_a = d_a.reshape(T * B, 4 * H)
        self.add_gradients(d_a.T @ z[:T].reshape(T * B, K))
        return (d_a @ W).reshape(T, B, -1)


class HoistedInput(GradientsAtTheEnd):
    """A branch of stage 3: forwards too, what does not need h_{t-1} is done before the loop."""

    def products(self, z: np.ndarray, V: np.ndarray) -> Callable[[int], np.ndarray]:
        """Return a function of t that computes the preactivations of step t."""
        T, B, K, H = len(z) - 1, *z.shape[1:], self.cell.hidden_size
        U_T, inputs = V[:, :H].T, z[:T, :, H:].reshape(T * B, K - H)
        W_x = (inputs @ V[:, H:].T).reshape(T, B, -1)
        return lambda t: z[t, :, :H] @ U_T + W_x[t]


class OneTanh(GradientsAtTheEnd):
    """Stage 4: σ(a) = tanh(a/2)/2 + 1/2, with the first half in the weights."""

    def products(self, z: np.ndarray, V: np.ndarray) -> Callable[[int], np.ndarray]:
        """Return a function of t that computes the preactivations of step t."""
        scales = np.array([0.5, 0.5, 1, 0.5], V.dtype)  # i, f, g, o
        self.scale = np.repeat(scales, self.cell.hidden_size)
        self.shift = 1 - self.scale
        V_T = (self.scale[:, None] * V).T
        return lambda t: z[t] @ V_T

    def gates(self, a_t: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return i, f, g, o."""
        return np.split(np.tanh(a_t) * self.scale + self.shift, 4, axis=1)


class FeatureMajor(OneTanh):
    """Stage 5: a step is (features, B), so that each gate is one contiguous block."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return the hidden states (T, B, H) of an input (T, B, D)."""
        (T, B, _), H = x.shape, self.cell.hidden_size
        V = self.joined_weights()
        V_halved = halved([V])  # rows o, i, f, g
        z = np.ones((T + 1, V.shape[1], B), x.dtype)
        z[0, :H] = 0
        z[:T, H:-1] = x.transpose(0, 2, 1)
        c, kept = np.zeros((T + 1, H, B), x.dtype), []
        for t in range(T):
            a_t = np.tanh(V_halved @ z[t])
            o_t, i_t, f_t = (a_t[: 3 * H] * 0.5 + 0.5).reshape(3, H, B)
            g_t = a_t[3 * H :]
            c[t + 1] = f_t * c[t] + i_t * g_t
            tanh_c = np.tanh(c[t + 1])
            z[t + 1, :H] = o_t * tanh_c
            kept.append((i_t, f_t, g_t, o_t, tanh_c, c[t]))
        self._saved = V, z, kept
        return z[1:, :H].transpose(0, 2, 1).copy()

    def backward(self, d_output: np.ndarray) -> np.ndarray:
        """Return the gradient of the input; add those of the parameters."""
        V, z, kept = self._saved
        (T, B, H), K = d_output.shape, V.shape[1]
        U_T, W_T = V[:, :H].T.copy(), V[:, H:-1].T
        d_a = np.empty((4 * H, T, B), V.dtype)
        d_output = d_output.transpose(0, 2, 1)
        d_h = d_c = 0
        for t in reversed(range(T)):
            d_a_t, d_c = self.step_backward(d_output[t] + d_h, d_c, *kept[t])
            d_h, d_a[:, t] = U_T @ d_a_t, d_a_t
        d_a = d_a.reshape(4 * H, T * B)
        self.add_gradients(d_a @ z[:T].transpose(0, 2, 1).reshape(T * B, K))
        return (W_T @ d_a).reshape(-1, T, B).transpose(1, 2, 0)

    def step_backward(self, d_h, d_c, i_t, f_t, g_t, o_t, tanh_c, c_prev):
        """Return the gradients of a_t and of c_{t-1}."""
        d_c = d_c + d_h * o_t * (1 - tanh_c**2)
        d_a_t = np.empty((4, *d_c.shape), d_c.dtype)
        d_a_t[0] = d_c * g_t * i_t * (1 - i_t)
        d_a_t[1] = d_c * c_prev * f_t * (1 - f_t)
        d_a_t[2] = d_c * i_t * (1 - g_t**2)
        d_a_t[3] = d_h * tanh_c * o_t * (1 - o_t)
        return d_a_t.reshape(-1, d_c.shape[1]), d_c * f_t


class ReusedMemory(FeatureMajor):
    """Stage 6: arrays are made once for all passes of one size; a step asks for no memory."""

    def allocate(self, T: int, B: int, dtype: np.dtype) -> None:
        """Make the arrays for T steps of B sequences."""
        D, H = self.cell.input_size, self.cell.hidden_size
        self.z = np.ones((T + 1, H + D + 1, B), dtype)
        self.blocks = np.zeros((T + 1, 6, H, B), dtype)  # tanh(c), o, i, f, g, c_prev
        self.d_a = np.empty((4 * H, T, B), dtype)
        self.products_of_step = np.empty((2, H, B), dtype)
        self.d_h, self.d_c = np.empty((2, H, B), dtype)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return the hidden states (T, B, H) of an input (T, B, D)."""
        (T, B, _), H = x.shape, self.cell.hidden_size
        if not hasattr(self, "z") or self.d_a.shape != (4 * H, T, B):
            self.allocate(T, B, x.dtype)
        V = self.joined_weights()
        V_halved, z, products = halved([V]), self.z, self.products_of_step
        z[0, :H] = self.blocks[0, 5] = 0
        z[:T, H:-1] = x.transpose(0, 2, 1)
        for t in range(T):
            tanh_c, o_t = self.blocks[t, :2]
            o_i_f, i_f, g_c = (self.blocks[t, part] for part in (np.s_[1:4], np.s_[2:4], np.s_[4:]))
            a_t = self.blocks[t, 1:5].reshape(4 * H, B)
            np.dot(V_halved, z[t], out=a_t)
            np.tanh(a_t, out=a_t)
            np.multiply(o_i_f, 0.5, out=o_i_f)
            np.add(o_i_f, 0.5, out=o_i_f)
            np.multiply(i_f, g_c, out=products)  # i g and f c_prev in one call
            c_t = np.add(*products, out=self.blocks[t + 1, 5])
            np.tanh(c_t, out=tanh_c)
            np.multiply(o_t, tanh_c, out=z[t + 1, :H])
        self._saved = V
        return z[1:, :H].transpose(0, 2, 1).copy()

    def backward(self, d_output: np.ndarray) -> np.ndarray:
        """Return the gradient of the input; add those of the parameters."""
        V = self._saved
        (T, B, H), K = d_output.shape, V.shape[1]
        U_T, W_T = np.roll(V[:, :H], H, axis=0).T.copy(), V[:, H:-1].T
        d_h, d_c, run = self.d_h, self.d_c, self.steps_of_run(T, B)
        d_h[...], d_c_next = 0, np.zeros_like(d_c)
        for t in reversed(range(T)):
            if t == T - 1 or (t + 1) % run == 0:
                self.prepare_factors(t // run * run, t + 1)
            of_m, d_c_of_m, of_c = (self.blocks[t, part] for part in (np.s_[:2], 0, np.s_[2:]))
            np.add(d_h, d_output[t].T, out=d_h)
            np.multiply(of_m, d_h, out=of_m)
            np.add(d_c_next, d_c_of_m, out=d_c)
            np.multiply(of_c, d_c, out=of_c)
            d_c_next = self.blocks[t, 5]
            np.dot(U_T, self.blocks[t, 1:5].reshape(4 * H, B), out=d_h)
        for k, block in enumerate((2, 3, 4, 1)):  # back to i, f, g, o
            rows = slice(k * H, (k + 1) * H)
            self.d_a[rows] = self.blocks[:T, block].transpose(1, 0, 2)
        d_a = self.d_a.reshape(4 * H, T * B)
        self.add_gradients(d_a @ self.z[:T].transpose(0, 2, 1).reshape(T * B, K))
        return (W_T @ d_a).reshape(-1, T, B).transpose(1, 2, 0)

    def steps_of_run(self, T: int, B: int) -> int:
        """Return for how many steps at once the factors are prepared."""
        return T

    def prepare_factors(self, start: int, stop: int) -> None:
        """Replace the blocks of some steps by the factors of their gradients."""
        tanh_c, o, i, f, g, c_prev = self.blocks[start:stop].transpose(1, 0, 2, 3)
        m, i_g, f_c = o * tanh_c, i * g, f * c_prev
        tanh_c *= m
        np.subtract(o, tanh_c, out=tanh_c)  # o (1 - tanh²c)
        o[...], c_prev[...] = m * (1 - o), f
        g *= i_g
        np.subtract(i, g, out=g)  # i (1 - g²)
        np.multiply(i_g, 1 - i, out=i)
        np.multiply(f_c, 1 - f, out=f)


class InRuns(ReusedMemory):
    """Stage 7: prepare the factors of as many steps as stay in the cache, just before use."""

    def steps_of_run(self, T: int, B: int) -> int:
        """Return for how many steps at once the factors are prepared."""
        return max(1, 512 // B)


def engine(stage: type[LoopOverCells]) -> Engine:
    """Return an engine that trains a stage; there is no other mode."""

    def build(shape: Shape) -> tuple[Pass, Pass]:
        x, d_output = shape.arrays()
        layer = stage(shape.D, shape.H, rng=0)

        def train() -> None:
            layer.zero_grad()
            layer(x)
            layer.backward(d_output)

        return lambda: layer(x), train

    return Engine(build, stage.__name__, "numpy")


STAGES = {
    stage.__name__: engine(stage)
    for stage in (
        LoopOverCells,
        OneProduct,
        GradientsAtTheEnd,
        HoistedInput,
        OneTanh,
        FeatureMajor,
        ReusedMemory,
        InRuns,
    )
}


def main() -> None:
    """Measure every stage beside the layer and ``nn.LSTM``, native, one thread; write JSON."""
    from benchmarks import measure

    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages", description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds (7)")
    parser.add_argument("--shapes", nargs="+", default=MEASURED, help="only these")
    parser.add_argument("--output", type=Path, default=RESULT, help="where to write")
    options = parser.parse_args()

    ENGINES.update(STAGES)  # for this run
    names = [*STAGES, *(name for name in BESIDE if ENGINES[name].installed)]
    run: dict = {"command": "python -m benchmarks.stages", "clock": "process_time"}
    run |= {"machine": measure.machine(), "rounds": options.rounds}
    run["times"], about = measure.times(names, options.shapes, "native", 1, options.rounds)
    run["about"] = {"native": about}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    print(f"written: {options.output}")


if __name__ == "__main__":
    main()
