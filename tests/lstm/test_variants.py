"""What distinguishes each relative of the LSTM; that they are right, test_layer_parity shows."""

import numpy as np

import lstm
from tests.lstm.parity import STEPS, Case, Loop, compare, draw, make, run, run_reference


def test_cifg_is_the_lstm_with_a_negated_forget_gate():
    """As σ(-a) = 1 - σ(a), the gradients of the LSTM's i and f rows add up to CIFG's."""
    case = Case("CIFGLSTM", lengths="ragged")
    example = draw(case)
    actual = run(make(case, example.weights), example)
    weights = {}
    for name, value in example.weights.items():
        i, g, o = np.split(value, 3)
        weights[name] = np.concatenate([i, -i, g, o])
    expected = run(make(Case(), weights), example)
    for name in weights:
        i, f, g, o = np.split(expected["d_" + name], 4)
        expected["d_" + name] = np.concatenate([i - f, g, o])
    compare(actual, expected)


def test_cifg_keeps_the_cell_state_bounded():
    layer = lstm.CIFGLSTM(3, 4, dtype=np.float64, rng=0)
    _, (_, c_n) = layer(10 * np.random.default_rng(0).standard_normal((200, 5, 3)))
    assert np.abs(c_n).max() < 1


def test_the_cell_of_1997_without_input_keeps_its_state_and_its_gradient():
    """The constant error carousel: with both gates shut, nothing changes c or its gradient."""
    case = Case("LSTM1997")
    example, H = draw(case), case.hidden_size
    example.weights["bias_ih_l0"][:H] = example.weights["bias_ih_l0"][2 * H :] = -1e9
    (output, (_, c_n)), backward = make(case, example.weights).vjp(example.x, example.hx)
    _, (_, d_c_0) = backward(None, (None, example.d_state[1]))
    assert (output == 0).all()
    assert (c_n == example.hx[1]).all()
    assert (d_c_0 == example.d_state[1]).all()


def test_truncated_gradient_of_1997_is_autograds_with_the_recurrent_path_detached():
    case = Case("LSTM1997")
    example = draw(case)
    actual = run(make(case, example.weights, truncated=True), example)
    reference = Loop(case, lambda w, x, h, c: STEPS["LSTM1997"](w, x, h.detach() + 0 * h, c))
    compare(actual, run_reference(case, example, reference))
    assert (actual["d_h_0"] == 0).all()
    whole = run(make(case, example.weights), example)
    assert (whole["output"] == actual["output"]).all()
    assert np.abs(whole["d_weight_hh_l0"] - actual["d_weight_hh_l0"]).max() > 0.01


def test_truncated_gradient_of_one_step_is_the_whole():
    case = Case("LSTM1997", steps=1)
    example = draw(case)
    results = [
        run(make(case, example.weights, truncated=truncated), example)
        for truncated in (False, True)
    ]
    for result in results:
        del result["d_h_0"]  # the one path that leaves the step through the recurrent weights
    compare(*results)


def test_layer_norm_ignores_the_scale_of_its_inputs():
    """What it is for: ten times the weights or the input change nothing (but for ε)."""
    case = Case("LayerNormLSTM")
    example = draw(case)
    layer = make(case, example.weights)
    x, expected = 1e4 * example.x, layer(1e4 * example.x, example.hx)[0]
    layer.weight_ih_l0.data *= 10
    assert np.abs(layer(x, example.hx)[0] - expected).max() < 1e-8


def test_layer_norm_starts_with_gains_of_one_and_biases_of_zero():
    layer = lstm.LayerNormLSTM(3, 4, 2, rng=0)
    for name, value in layer.state_dict().items():
        if "weight" not in name:
            assert (value == ("gain" in name)).all(), name
        else:
            assert np.abs(value).max() <= 0.5
