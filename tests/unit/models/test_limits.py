"""Amounts in range, and the windows that they count in."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import PayoutError
from models.limits import AmountLimits, check_amount, windows
from models.money import Currency

LIMITS = AmountLimits(minimum=10_000, maximum=5_000_000, daily=20_000_000)
moments = st.datetimes(datetime(2024, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


@given(st.integers(-(10**20), 10**20))
def test_an_amount_is_accepted_exactly_within_its_range(amount: int) -> None:
    if LIMITS.minimum <= amount <= LIMITS.maximum:
        check_amount(LIMITS, Currency.USDT, amount)
        return
    with pytest.raises(PayoutError) as refusal:
        check_amount(LIMITS, Currency.USDT, amount)
    assert refusal.value.code == ("P101" if amount < LIMITS.minimum else "P102")
    assert refusal.value.field == "amount"


@pytest.mark.parametrize("amount", [LIMITS.minimum, LIMITS.maximum])
def test_the_ends_of_the_range_are_in_it(amount: int) -> None:
    check_amount(LIMITS, Currency.USDT, amount)


@pytest.mark.parametrize(
    ("amount", "extra"), [(9_999, {"minimum": "0.01"}), (5_000_001, {"maximum": "5.00"})]
)
def test_a_refusal_names_the_limit(amount: int, extra: dict[str, str]) -> None:
    with pytest.raises(PayoutError) as refusal:
        check_amount(LIMITS, Currency.USDT, amount)
    assert refusal.value.extra == extra


@given(moments)
def test_a_payout_counts_in_the_utc_day_of_its_acceptance(moment: datetime) -> None:
    (day,) = windows(LIMITS, Currency.USDT, moment)
    assert day.ends_at - timedelta(days=1) <= moment < day.ends_at
    assert day.window_id == f"day:USDT:{moment.date().isoformat()}"
    assert (day.maximum, day.code) == (LIMITS.daily, "P103")


def test_midnight_opens_a_new_window() -> None:
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    (before,) = windows(LIMITS, Currency.TRX, midnight - timedelta(microseconds=1))
    (after,) = windows(LIMITS, Currency.TRX, midnight)
    assert (before.window_id, after.window_id) == ("day:TRX:2026-03-01", "day:TRX:2026-03-02")
    assert before.ends_at == midnight


def test_currencies_do_not_share_a_window() -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    ids = {windows(LIMITS, currency, now)[0].window_id for currency in Currency}
    assert len(ids) == len(Currency)
