"""Figures drawn by code: plots, diagrams, the palette, and the data of interactive figures."""
