"""Payout ids are UUIDs of version 7."""

import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.ids import PAYOUT_PREFIX, payout_id

moments = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC))


def as_uuid(text: str) -> uuid.UUID:
    assert text.startswith(PAYOUT_PREFIX)
    assert len(text) == len(PAYOUT_PREFIX) + 32
    assert text == text.lower()
    return uuid.UUID(hex=text.removeprefix(PAYOUT_PREFIX))


@given(moments)
def test_version_variant_and_time(moment: datetime) -> None:
    made = as_uuid(payout_id(moment))
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    assert abs((made.int >> 80) - since / timedelta(milliseconds=1)) < 1


@given(st.integers(0, 2**12 - 1), st.integers(0, 2**62 - 1))
def test_randomness_fills_its_bits_and_no_others(few: int, many: int) -> None:
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    made = as_uuid(payout_id(moment, lambda bits: few if bits == 12 else many)).int
    assert made & (1 << 62) - 1 == many
    assert made >> 64 & 0xFFF == few
    assert made >> 62 & 0b11 == 0b10
    assert made >> 76 & 0xF == 7


@given(moments, moments)
def test_ids_sort_by_time(one: datetime, other: datetime) -> None:
    if abs(one - other) < timedelta(milliseconds=1):
        return
    assert (payout_id(one) < payout_id(other)) is (one < other)


def test_no_two_are_alike() -> None:
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    assert len({payout_id(moment) for _ in range(10_000)}) == 10_000
