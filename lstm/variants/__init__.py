"""Relatives of the LSTM, each a step and its derivative in the same frame.

Layers, directions, lengths and states are those of :class:`lstm.LSTM`
(:class:`lstm.layer.RecurrentLayer`); the loop over time, which they share, is in
:mod:`lstm.variants.stepwise`; what distinguishes one from the other is in a file of its own.
"""

from lstm.variants.coupled import CIFGLSTM
from lstm.variants.gru import GRU
from lstm.variants.layer_norm import LayerNormLSTM
from lstm.variants.lstm1997 import LSTM1997
from lstm.variants.m_lstm import MLSTM
from lstm.variants.min_lstm import MinLSTM
from lstm.variants.peephole import PeepholeLSTM
from lstm.variants.rnn import RNN
from lstm.variants.s_lstm import SLSTM
from lstm.variants.stepwise import StepwiseLayer

__all__ = [
    "CIFGLSTM",
    "GRU",
    "LSTM1997",
    "MLSTM",
    "RNN",
    "SLSTM",
    "LayerNormLSTM",
    "MinLSTM",
    "PeepholeLSTM",
    "StepwiseLayer",
]
