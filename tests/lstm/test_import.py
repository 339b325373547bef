"""``import lstm`` needs NumPy alone, and is quick."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

# A finder that refuses everything that is neither ours, nor NumPy, nor of the standard library.
REFUSE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in ("lstm", "numpy"):
            raise ModuleNotFoundError(f"import lstm asked for {name}", name=name)
sys.meta_path.insert(0, Refuse())
"""


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_numpy_alone_is_enough_to_train():
    program = """
import numpy as np, lstm
layer = lstm.LSTM(3, 4, rng=0)
output, _ = layer(np.zeros((5, 2, 3), np.float32))
layer.backward(output)
lstm.Adam(layer.parameters()).step()
print("trained")
"""
    assert run(REFUSE + program).strip() == "trained"


def test_nothing_heavy_is_imported():
    program = "import sys, lstm; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    loaded = set(run(program).split())
    assert not loaded & {"torch", "matplotlib", "pandas", "scipy", "sklearn", "pooch", "tqdm"}


def test_lstm_torch_is_there_when_it_is_asked_for():
    assert run("import lstm; print(lstm.torch.LSTM(2, 3))").strip() == "LSTM(2, 3)"
    program = """
import lstm
for use in ("lstm.torch", "import lstm.torch", "lstm.jax"):
    try:
        exec(use)
    except (ImportError, AttributeError) as error:
        print(error)
"""
    needs = 'lstm.torch needs PyTorch: pip install "lstm-checked[torch]"'
    expected = [needs, needs, "module 'lstm' has no attribute 'jax'"]
    assert run(REFUSE + program).splitlines() == expected
