"""Evidence for the errata: a test that is handed the printed thing and its correction.

The test must pass with both in their places, and fail in every other arrangement: with the printed
thing twice, with the correction twice, and with the two exchanged. ``cases`` hands every test over
for that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from lstm_book import errata
from lstm_book.ledger import ARTICLES

NOTICED = (AssertionError, ArithmeticError, LookupError, TypeError, ValueError)
"""What a failing check may raise, besides the failure of a ``pytest.raises`` in it."""


class Case(NamedTuple):
    """One check with its two sides."""

    check: Callable[[Any, Any], None]
    printed: Any
    corrected: Any


CASES: list[Case] = []


def evidence(printed: Any, corrected: Any = None) -> Callable:
    """Make a test of ``check(printed, corrected)``; the correction may come from the package."""
    if corrected is None:
        corrected = errata.CORRECTIONS[printed]

    def decorate(check: Callable[[Any, Any], None]) -> Callable[[], None]:
        CASES.append(Case(check, printed, corrected))

        def test() -> None:
            check(printed, corrected)

        test.__name__, test.__module__ = check.__name__, check.__module__
        return test

    return decorate


def program_pair(article: str) -> tuple[str, str]:
    """Return an article's program as printed and as corrected."""
    return ARTICLES[article]["program"], ARTICLES[article]["program_corrected"]


def program_pairs(*articles: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the programs of several articles, as printed and as corrected, by article."""
    printed, corrected = zip(*map(program_pair, articles), strict=True)
    return dict(zip(articles, printed, strict=True)), dict(zip(articles, corrected, strict=True))


def cases(module: str) -> pytest.MarkDecorator:
    """Parametrize a test with the cases of one module, each in the three wrong arrangements."""
    wrong = {
        "printed-twice": lambda case: (case.printed, case.printed),
        "corrected-twice": lambda case: (case.corrected, case.corrected),
        "exchanged": lambda case: (case.corrected, case.printed),
    }
    return pytest.mark.parametrize(
        ("check", "sides"),
        [
            pytest.param(case.check, arrange(case), id=f"{case.check.__name__}-{name}")
            for case in CASES
            if case.check.__module__ == module
            for name, arrange in wrong.items()
        ],
    )


def must_notice(check: Callable[[Any, Any], None], sides: tuple[Any, Any]) -> None:
    """Fail unless the check fails with these sides in the places of printed and corrected."""
    with pytest.raises((*NOTICED, pytest.fail.Exception)):
        check(*sides)
