"""Real data: handwritten digits and movie reviews, each bundled (small) and full.

The *bundled* sets come with packages that are installed beside the book, so they need no network
and are the same on every machine. The *full* sets come from the folder named by the environment
variable ``LSTM_DATA``, else from the cache, else by download; every file is checked.
"""

from lstm import checks
from lstm.datasets.files import DataError
from lstm.datasets.imdb import load_imdb, load_imdb_films
from lstm.datasets.mnist import load_mnist
from lstm.datasets.split import stratified_split

LOADERS = {"mnist": load_mnist, "imdb": load_imdb}


def load(name: str, source: str = "bundled", **options):
    """Load a data set by name; see :func:`load_mnist` and :func:`load_imdb`.

    Parameters
    ----------
    name : {"mnist", "imdb"}
        Which data set.
    source : {"bundled", "full"}
        The small set that is always there, or the whole one.
    **options
        Passed on to the loader.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        As the loader says.

    Raises
    ------
    ValueError
        If there is no data set of that name.
    """
    return LOADERS[checks.one_of("name", name, sorted(LOADERS))](source, **options)


__all__ = [
    "DataError",
    "load",
    "load_imdb",
    "load_imdb_films",
    "load_mnist",
    "stratified_split",
]
