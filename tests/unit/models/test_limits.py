"""Amounts in range; the windows that they count in are in test_spending.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import PayoutError
from models.limits import AmountLimits, check_amount
from models.money import Currency

LIMITS = AmountLimits(minimum=10_000, maximum=5_000_000)


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
