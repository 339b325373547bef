"""Evidence for the errata: a test that is handed the printed thing and its correction.

The test must pass with both in their places, and fail in every other arrangement: with the printed
thing twice, with the correction twice, and with the two exchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lstm_book import errata
from lstm_book.ledger import ARTICLES

NOTICED = (AssertionError, ArithmeticError, LookupError, TypeError, ValueError)
"""What a failing check may raise, besides the failure of a ``pytest.raises`` in it."""


def evidence(printed: Any, corrected: Any = None) -> Callable:
    """Make a test of ``check(printed, corrected)``; the correction may come from the package."""
    if corrected is None:
        corrected = errata.CORRECTIONS[printed]
    wrong = {
        "printed-twice": (printed, printed),
        "corrected-twice": (corrected, corrected),
        "exchanged": (corrected, printed),
    }

    def decorate(check: Callable[[Any, Any], None]) -> Callable[[str], None]:
        @pytest.mark.parametrize("arrangement", ["in-place", *wrong])
        def test(arrangement: str) -> None:
            if arrangement == "in-place":
                check(printed, corrected)
                return
            with pytest.raises((*NOTICED, pytest.fail.Exception)):
                check(*wrong[arrangement])

        test.__name__, test.__module__ = check.__name__, check.__module__
        return test

    return decorate


def program_pair(article: str) -> tuple[str, str]:
    """Return an article's program as printed and as corrected."""
    return ARTICLES[article]["program"], ARTICLES[article]["program_corrected"]
