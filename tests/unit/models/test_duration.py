"""Lengths of time in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.duration import in_words

SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 second"),
        (20, "20 seconds"),
        (60, "1 minute"),
        (90, "90 seconds"),
        (600, "10 minutes"),
        (3_600, "1 hour"),
        (5_400, "90 minutes"),
        (86_400, "1 day"),
        (31 * 86_400, "31 days"),
    ],
)
def test_the_largest_unit_that_fits(seconds: int, words: str) -> None:
    assert in_words(seconds) == words


@given(st.integers(1, 31 * 86_400))
def test_what_is_said_is_that_long(seconds: int) -> None:
    number, unit = in_words(seconds).split()
    assert int(number) * SECONDS[unit.removesuffix("s")] == seconds
    assert unit.endswith("s") is (number != "1")
