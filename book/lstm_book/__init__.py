"""The instruments of the course *LSTM, Checked*: its figures, experiments, recipes and records.

The library is ``lstm``, which knows nothing of this package. It works from the project's checkout,
where its records, its list of errata and its pages are.
"""
