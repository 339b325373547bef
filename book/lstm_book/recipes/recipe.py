"""What a recipe is: a task, a network for it, and every number that the training needs."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from lstm import checks
from lstm.datasets import stratified_split
from lstm.module import Module
from lstm.signatures import checked
from lstm.training import Augment, Loss, predict

Settings = Mapping[str, Any]

TRAINING = {
    "optimizer": "adam",
    "lr": 1e-3,
    "schedule": "constant",
    "batch_size": 32,
    "epochs": 10,
    "max_norm": None,
    "patience": None,
}
"""How to train where a recipe says nothing else."""
KERAS = TRAINING | {"optimizer": "keras-adam"}
"""How the articles' programs train where they say nothing: with the defaults of Keras."""


BATCH = 256
"""So many examples are viewed at a time."""


class Part(NamedTuple):
    """Some examples: one array per argument of the network, and the right answers."""

    inputs: tuple[np.ndarray, ...]
    targets: np.ndarray


@dataclass
class Task:
    """Data in three parts that share no example.

    Parameters
    ----------
    train, validation, test : Part
        What is learnt from; what decides between settings; what is measured once, at the end.
    about : dict
        Name, source, sizes and checksum, for the record.
    bucket_by, augment
        As for :class:`lstm.Trainer`.
    texts : dict of str to list of str
        The same examples as texts, by the name of their part, for baselines that read texts.
    vocabulary_size : int
        Number of embeddings needed; 0 where the inputs are vectors.
    held_out : ndarray of int, optional
        Where the validation part stands in the training part, for the last training of a system,
        on both: what is still to be chosen is chosen without these examples.
    groups : ndarray, optional
        Of each training example, what it must not be read with: the film of a review.
    views : list of Augment
        An example is read once as each of them changes it, and judged by the mean of the logits.
        Without any it is read as it is.
    """

    train: Part
    validation: Part
    test: Part
    about: dict[str, Any]
    bucket_by: np.ndarray | None = None
    augment: Augment | None = None
    texts: dict[str, list[str]] = field(default_factory=dict)
    vocabulary_size: int = 0
    held_out: np.ndarray | None = None
    groups: np.ndarray | None = None
    views: list[Augment] = field(default_factory=list)

    def outputs(self, model: Module, part: Part, seed: int) -> np.ndarray:
        """Return what a network says of a part; with :attr:`views`, the mean over these."""
        if not self.views:
            return predict(model, part.inputs)
        rng = np.random.default_rng([seed, 3])
        batches = [slice(at, at + BATCH) for at in range(0, len(part.targets), BATCH)]
        found = [
            [predict(model, view(rng, *(array[rows] for array in part.inputs))) for rows in batches]
            for view in self.views
        ]
        return np.mean([np.concatenate(view) for view in found], axis=0)

    def without_test(self) -> Task:
        """Return the task of a trial: what is called its test part is the validation part."""
        texts = self.texts | {"test": self.texts["validation"]} if self.texts else self.texts
        return replace(self, test=self.validation, texts=texts)


# A baseline returns its predicted scores or numbers for the validation and the test part, and what
# it settled on.
Baseline = Callable[[Task, Settings, int], tuple[np.ndarray, np.ndarray, dict[str, Any]]]


class Answers(NamedTuple):
    """What a system says.

    Parameters
    ----------
    validation, test : ndarray
        Its outputs for the two parts.
    chosen : dict
        What it settled on.
    parameters : int
        How many numbers it has learnt.
    beside : dict
        By name, the same three of systems that were trained in the same run, to compare with:
        validation, test, and processor seconds.
    classifier : object
        What can be kept: see :mod:`lstm_book.recipes.keep`.
    """

    validation: np.ndarray
    test: np.ndarray
    chosen: dict[str, Any]
    parameters: int | None = None
    beside: Mapping[str, tuple[np.ndarray, np.ndarray, float]] = {}
    classifier: Any = None


@dataclass(frozen=True)
class System:
    """A baseline with settings of its own.

    Parameters
    ----------
    run : callable
        ``run(task, settings, seed)`` returns :class:`Answers`.
    settings : mapping
        All that there are, besides those of the data.
    quick : mapping
        What differs at the quick scale.
    keeps : bool
        Whether its answers come with a classifier that can be kept.
    """

    run: Callable[[Task, Settings, int], Answers]
    settings: Settings
    quick: Settings = field(default_factory=dict)
    keeps: bool = False

    def __call__(self, task: Task, settings: Settings, seed: int) -> Answers:
        """Train, and answer both parts."""
        return self.run(task, settings, seed)


@dataclass(frozen=True)
class Recipe:
    """One system of the articles, repaired, with better ones and simpler ones beside it.

    Parameters
    ----------
    name : str
        As on the command line.
    article : str
        Number of the article.
    about : str
        One line for the list of recipes.
    load : callable
        ``load(settings)`` returns the :class:`Task`.
    build : callable
        ``build(task, settings, rng)`` returns the network.
    loss : callable
        One of ``lstm.losses``.
    defaults : mapping
        Every setting that there is, with its value.
    models : mapping of str to mapping
        Networks by name; each gives the settings in which it differs.
    quick : mapping
        What differs at the quick scale.
    baselines : mapping of str to Baseline or System
        What to compare with; also models on the command line.
    data : tuple of str
        The settings of the data: all that a baseline takes from the defaults.
    default : str, optional
        The model that runs where none is named; without it the first network.
    """

    name: str
    article: str
    about: str
    load: Callable[[Settings], Task]
    build: Callable[[Task, Settings, np.random.Generator], Module]
    loss: Loss
    defaults: Settings
    models: Mapping[str, Settings]
    quick: Settings
    baselines: Mapping[str, Baseline | System]
    data: tuple[str, ...]
    default: str = ""

    @property
    def model_names(self) -> list[str]:
        """The default, then networks, then baselines."""
        return sorted([*self.models, *self.baselines], key=lambda name: name != self.default)

    def settings(self, model: str, scale: str, overrides: Iterable[str] = ()) -> dict[str, Any]:
        """Return every setting of a model at a scale.

        Parameters
        ----------
        model : str
            One of :attr:`model_names`.
        scale : {"quick", "full"}
            How much data and time.
        overrides : iterable of str
            ``"name=value"``; a value must be of the kind that the setting has.

        Raises
        ------
        ValueError
            If there is no such model, scale or setting, or the value does not fit.
        """
        checks.one_of("model", model, self.model_names)
        checks.one_of("scale", scale, ("quick", "full"))
        settings = dict(self.defaults) | (dict(self.quick) if scale == "quick" else {})
        settings |= self.models.get(model, {})
        baseline = self.baselines.get(model)
        if baseline is not None:
            settings = {name: settings[name] for name in self.data}
        if isinstance(baseline, System):
            settings |= dict(baseline.settings)
            settings |= dict(baseline.quick) if scale == "quick" else {}
        for override in checks.texts("overrides", overrides):
            name, equals, value = override.partition("=")
            if not equals or name not in settings:
                raise ValueError(
                    f"a setting is NAME=VALUE with a name from {sorted(settings)}, got {override!r}"
                )
            may_be_none = name in OPTIONAL or self.defaults.get(name, 0) is None
            settings[name] = parse(name, value, settings[name], may_be_none)
        for name in ("train_size", "validation_size", "test_size"):
            if settings.get(name) is not None:
                checks.positive_int(name, settings[name])
        return settings


# Settings that may be None although their default is a number.
OPTIONAL = {"max_norm", "patience", "max_length", "longest"}
LARGEST = 10**15  # far beyond what a setting can mean, and what NumPy can count
# What a value must be, for each kind of default.
KINDS = {
    bool: ("True or False", (bool,)),
    int: ("an integer", (int,)),
    float: ("a finite number", (int, float)),
    type(None): ("a number", (int, float)),
}


@checked
def parse(name: str, text: str, default: Any, may_be_none: bool = False) -> Any:
    """Read a setting as the kind of value that its default is; some may also be None."""
    text, may_be_none = checks.text("text", text), checks.boolean("may_be_none", may_be_none)
    if isinstance(default, str):
        return text
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        value = text
    wanted, kinds = KINDS[type(default)]
    if value is None and may_be_none:
        return None
    if type(value) not in kinds or abs(value) > LARGEST:
        wanted += " or None" * may_be_none + f", such as {default!r}" * (default is not None)
        raise ValueError(f"{name} must be {wanted}, got {text!r}")
    return float(value) if isinstance(default, float) else value


@checked
def split(labels: np.ndarray, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of a training and of a validation part, of the sizes in ``settings``."""
    size = settings["validation_size"]
    if size >= len(labels):
        raise ValueError(f"validation_size must be less than {len(labels)} examples, got {size}")
    train, validation = stratified_split(labels, size, rng=0)
    return train[: settings["train_size"]], validation


@checked
def checksum(parts: Iterable[np.ndarray | Iterable[str]]) -> str:
    """Return the SHA-256 of arrays and lists of texts, one after the other."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype}{part.shape}".encode() + part.tobytes())
        else:
            digest.update("".join(f"{text}\0" for text in part).encode())
    return digest.hexdigest()
