"""The companion package of *LSTM, Checked*: a small, correct, fast LSTM in NumPy.

``lstm.LSTM`` has the semantics, names, shapes and gate order of ``torch.nn.LSTM``. NumPy alone is
needed; ``lstm.torch`` and ``lstm.datasets`` ask for their libraries when they are first used.
"""

import importlib
from types import ModuleType

from lstm.cell import LSTMCell
from lstm.diagnose import Diagnosis, diagnose, diagnose_sequence
from lstm.layer import LSTM
from lstm.losses import binary_cross_entropy_with_logits, cross_entropy, mse_loss
from lstm.models import SequenceClassifier
from lstm.module import Dropout, Embedding, Linear, Module, Parameter, ReLU, Sequential
from lstm.optim import SGD, Adam, RMSprop, clip_grad_norm_
from lstm.training import Trainer, evaluate, predict
from lstm.variants import CIFGLSTM, GRU, LSTM1997, RNN, LayerNormLSTM, PeepholeLSTM

__version__ = "0.1.0"

__all__ = [
    "CIFGLSTM",
    "GRU",
    "LSTM",
    "LSTM1997",
    "RNN",
    "SGD",
    "Adam",
    "Diagnosis",
    "Dropout",
    "Embedding",
    "LSTMCell",
    "LayerNormLSTM",
    "Linear",
    "Module",
    "Parameter",
    "PeepholeLSTM",
    "RMSprop",
    "ReLU",
    "SequenceClassifier",
    "Sequential",
    "Trainer",
    "binary_cross_entropy_with_logits",
    "clip_grad_norm_",
    "cross_entropy",
    "diagnose",
    "diagnose_sequence",
    "evaluate",
    "mse_loss",
    "predict",
]


def __getattr__(name: str) -> ModuleType:
    """Import ``lstm.torch`` when it is first asked for."""
    if name != "torch":
        raise AttributeError(f"module 'lstm' has no attribute {name!r}")
    return importlib.import_module("lstm.torch")
