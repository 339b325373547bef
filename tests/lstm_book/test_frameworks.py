"""The stand-ins for TensorFlow and Keras stop where the real ones were seen to stop."""

import pytest
from lstm_book import ledger, observe
from lstm_book.ledger import ARTICLES

from tests.lstm_book.frameworks import run

RECORD, PROGRAMS = ledger.OBSERVED, observe.programs()
OLD, NEW = "TensorFlow 2.15.1 with Keras 2.15.0", "TensorFlow 2.21.0 with Keras 3.15.1"
SEEN, SEEN_NEW = RECORD["observed"][OLD], RECORD["observed"][NEW]


def test_the_record_is_of_these_programs():
    assert RECORD["programs"] == PROGRAMS, "run python -m lstm_book.observe again"
    assert list(SEEN) == list(SEEN_NEW) == list(PROGRAMS)


@pytest.mark.parametrize(
    "name",
    [n for n in PROGRAMS if n.startswith(("corrected", "printed"))]
    + ["ten lengths, one sequence", "reviews of different lengths"],
)
def test_stand_ins_stop_where_tensorflow_stopped(name):
    error = run(PROGRAMS[name]).error
    stopped = "Error: " in SEEN[name]
    assert (error is not None) == stopped
    if stopped:
        assert SEEN[name].startswith(f"{type(error).__name__}: {error}")


def test_every_corrected_program_ran():
    for article in ARTICLES:
        name = f"corrected-{article}"
        assert "Error" not in SEEN[name]
        assert (
            ("BasicLSTMCell" in SEEN_NEW[name]) == (article == "003") == ("Error" in SEEN_NEW[name])
        )
    test_loss, of_zero = (float(number) for number in SEEN["corrected-003"].split()[2::4])
    assert test_loss < of_zero / 2  # it learned something
