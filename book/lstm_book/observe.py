"""What real frameworks answer to the articles' programs, run once and recorded.

No test needs TensorFlow: the tests run the programs against stand-ins and hold those against this
record. To make it again, or to add a version, name a Python that has TensorFlow::

    python -m lstm_book.observe /path/to/python

It runs every program below and writes the last line that each printed, with the versions, to
``book/errata_observed.json``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

from lstm_book.checkout import ROOT
from lstm_book.ledger import ARTICLES, OBSERVED

RECORD = ROOT / "book" / "errata_observed.json"
VERSIONS = "import tensorflow, keras; print(tensorflow.__version__, keras.__version__)"

# Random images and reviews for MNIST and IMDB, few enough to train on at once.
_SMALL_DATA = """\
import numpy
from tensorflow.keras.datasets import imdb, mnist
rng = numpy.random.default_rng(0)
def images(n): return rng.integers(0, 256, (n, 28, 28)).astype('uint8'), rng.integers(0, 10, n)
def reviews(n):
    x = numpy.empty(n, object)
    x[:] = [rng.integers(1, 100, 5 + k).tolist() for k in range(n)]
    return x, rng.integers(0, 2, n)
mnist.load_data = lambda: (images(600), images(100))
imdb.load_data = lambda num_words: (reviews(50), reviews(50))
"""

_TF1 = """\
import numpy as np
import tensorflow.compat.v1 as tf
tf.disable_v2_behavior()
X = tf.placeholder(tf.float32, [{batch}, 100, 10])
cell = tf.nn.rnn_cell.BasicLSTMCell(10)
"""
_LENGTHS = """\
outputs, _ = tf.nn.dynamic_rnn(cell, X, np.zeros(10), dtype=tf.float32)
sess = tf.Session()
sess.run(tf.global_variables_initializer())
print('largest output:', abs(sess.run(outputs, {{X: np.ones(({size}, 100, 10))}})).max())
"""
_KERAS = """\
import numpy as np
from tensorflow.keras import Input
from tensorflow.keras.models import Sequential
from tensorflow.keras.layers import LSTM, Dense, Embedding
"""


def programs() -> dict[str, str]:
    """Return what is run, by name; ``printed-`` and ``corrected-`` are the ledger's programs."""
    printed = ARTICLES["003"]["program"]
    compat = printed.replace(
        "import tensorflow as tf", "import tensorflow.compat.v1 as tf\ntf.disable_v2_behavior()"
    )
    batch = compat.replace("[T, n])\nh0", "[None, T, n])\nh0")
    corrected = {f"corrected-{k}": about["program_corrected"] for k, about in ARTICLES.items()}
    for article, epochs in {"000": 20, "001": 10, "002": 10, "004": 10}.items():
        program = corrected[f"corrected-{article}"].replace(f"epochs={epochs}", "epochs=1")
        corrected[f"corrected-{article}"] = (_SMALL_DATA if article > "001" else "") + program
    return corrected | {
        "printed-003": printed,
        "printed-003 under compat.v1": compat,
        "printed-003 with a batch axis": batch,
        "ten lengths, one sequence": _TF1.format(batch=1) + _LENGTHS.format(size=1),
        "ten lengths, any number": _TF1.format(batch=None) + _LENGTHS.format(size=1),
        "ten lengths, ten sequences": _TF1.format(batch=10) + _LENGTHS.format(size=10),
        "signature": (
            "import inspect, tensorflow as tf\n"
            "print(inspect.signature(tf.compat.v1.nn.dynamic_rnn))\n"
        ),
        "outputs": (
            _TF1.format(batch=None)
            + "outputs, state = tf.nn.dynamic_rnn(cell, X, dtype=tf.float32)\n"
            "print(outputs[-1].shape, outputs[:, -1].shape, type(state).__name__)\n"
        ),
        "variables": (
            _TF1.format(batch=None)
            + "W, U = (tf.Variable(tf.random_normal([10, 10])) for _ in 'WU')\n"
            "b = tf.Variable(tf.random_normal([10]))\n"
            "loss = tf.nn.dynamic_rnn(cell, X, dtype=tf.float32)[0]\n"
            "names = tf.trainable_variables()\n"
            "print([(v.shape.as_list(), g is not None)\n"
            "       for v, g in zip(names, tf.gradients(loss, names))])\n"
        ),
        "reviews of different lengths": (
            _KERAS + "model = Sequential([Embedding(20, 8), LSTM(4), Dense(1)])\n"
            "model.compile(loss='mse')\n"
            "x = np.empty(2, object)\n"
            "x[:] = [[4, 8, 15], [16, 3]]\n"
            "model.fit(x, np.array([0, 1]), verbose=0)\n"
        ),
        "mask": (
            _KERAS + "words, padded = np.array([[4, 8, 15]]), np.array([[4, 8, 15, 0, 0]])\n"
            "for mask in True, False:\n"
            "    model = Sequential([Embedding(20, 8, mask_zero=mask), LSTM(4)])\n"
            "    states = [model.predict(x, verbose=0) for x in (words, padded)]\n"
            "    print('mask' if mask else 'no mask', np.allclose(*states, atol=1e-5), end=' ')\n"
        ),
        "input_shape=(1, 28)": (
            _KERAS + "model = Sequential([LSTM(128, input_shape=(1, 28)), Dense(10)])\n"
            "model.compile(loss='mse')\n"
            "model.fit(np.zeros((8, 28, 28)), np.zeros((8, 10)), verbose=0)\n"
            "print('trained')\n"
        ),
        "activation": (
            _KERAS + "for name in 'tanh', 'relu':\n"
            "    layer = LSTM(1, activation=name, kernel_initializer='ones', unit_forget_bias=0,\n"
            "                 recurrent_initializer='ones', bias_initializer='ones')\n"
            "    print(name, f'{np.asarray(layer(np.ones((1, 28, 1)))).item():.4g}', end=' ')\n"
        ),
        "weights": (
            _KERAS + "layers = [Input((28, 28)), LSTM(128), Dense(128), Dense(10)]\n"
            "model = Sequential(layers)\n"
            "print([layer.count_params() for layer in model.layers])\n"
        ),
    }


def last_line(python: str, program: str) -> str:
    """Run a program and return the last line that it printed, or the error that stopped it."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [python, "-W", "ignore", "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=os.environ | quiet,
    )
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]*Error: ", line)]
    return (errors or lines or [""])[-1]


def main(python: str) -> None:
    """Run every program with ``python`` and put what it printed into the record."""
    versions = last_line(python, VERSIONS).split()
    name = "TensorFlow {} with Keras {}".format(*versions)
    seen = {key: last_line(python, program) for key, program in programs().items()}
    made = {"programs": programs(), "observed": OBSERVED["observed"] | {name: seen}}
    RECORD.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
