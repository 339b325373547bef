"""The experiments on what the LSTM solves: small tasks, many seeds, every result recorded.

``python -m lstm_book.experiments NAME`` runs one of them and writes
``results/experiments/NAME.json`` with its settings, seeds, command and versions; the
chapters read those files, and repeat a small part of each experiment on the page.
They need PyTorch.
"""

from lstm_book.experiments.memory import Cell, remember_task, train_to_remember
from lstm_book.experiments.record import load_record

__all__ = ["Cell", "load_record", "remember_task", "train_to_remember"]
