"""The articles' systems by name, each with the baselines that it has to beat.

``python -m lstm_book train NAME`` runs one and records it; ``python -m lstm_book results`` prints
what was recorded.
"""

from lstm_book.recipes.digits import COLUMNS, PERMUTED, PIXELS, ROWS
from lstm_book.recipes.recipe import Part, Recipe, Task
from lstm_book.recipes.reviews import IMDB
from lstm_book.recipes.sequences import RANDOM, SCALAR, STACKED

RECIPES = {r.name: r for r in (SCALAR, STACKED, IMDB, RANDOM, ROWS, COLUMNS, PIXELS, PERMUTED)}
"""Every recipe, in the order of the articles."""

__all__ = ["RECIPES", "Part", "Recipe", "Task"]
