"""Speed and memory of ``lstm.LSTM`` beside other LSTMs: ``python -m benchmarks``, ``make bench``.

Each engine runs in a process of its own, whose environment says which kernels the matrix library
uses and how many threads; rounds of all engines are interleaved, and a figure is a median of them.
"""
