"""Limits as the policy files have them."""

from typing import Any

import pytest

from models.money import Currency
from models.spending import Ceiling, ClientLimits, Period
from settings.roles import Role
from settings.spending import ClientLimitsConfig, CurrencyLimits, client_policy
from tests.unit.settings_of import read, refused

USDT = {
    "min_amount": "0.01",
    "max_amount": "10",
    "hourly_limit": "20",
    "daily_limit": "100",
    "monthly_limit": "3000",
    "recipient": {"daily_count": 100},
}
USER = {"max_amount": "1", "daily_limit": "5", "daily_count": 5, "monthly_count": 9}
NOBODY: dict[str, Any] = {role: {} for role in Role}


def test_the_limits_of_a_currency() -> None:
    limits = read(CurrencyLimits, USDT | {"hourly_count": 7})
    assert (limits.min_amount, limits.max_amount) == (10_000, 10_000_000)
    assert limits.ceilings == {
        Period.HOUR: Ceiling(20_000_000, 7),
        Period.DAY: Ceiling(100_000_000),
        Period.MONTH: Ceiling(3_000_000_000),
    }
    assert limits.recipient.ceilings == {Period.DAY: Ceiling(count=100)}


def test_a_recipient_need_not_be_limited() -> None:
    data = {key: value for key, value in USDT.items() if key != "recipient"}
    assert read(CurrencyLimits, data).recipient.ceilings == {}


@pytest.mark.parametrize(
    "changed",
    [
        {"min_amount": "10.000001"},
        {"max_amount": "20.000001"},
        {"hourly_limit": "9.999999"},
        {"daily_limit": "9.999999"},
        {"monthly_limit": "9.999999"},
    ],
)
def test_a_payout_that_could_never_fit_is_refused(changed: dict[str, str]) -> None:
    assert "max_amount ≤ hourly_limit" in refused(CurrencyLimits, USDT | changed)


def test_a_day_may_have_less_than_an_hour_would() -> None:
    """A variable lowers the daily limit alone."""
    limits = read(CurrencyLimits, USDT | {"daily_limit": "15"})
    assert limits.ceilings[Period.DAY] == Ceiling(15_000_000)


@pytest.mark.parametrize(
    "changed",
    [
        {"daily_limit": None},
        {"hourly_limit": 20},
        {"hourly_limit": "0"},
        {"daily_count": 0},
        {"yearly_limit": "1"},
        {"recipient": {"max_amount": "1"}},
    ],
)
def test_a_figure_that_cannot_be_is_refused(changed: dict[str, Any]) -> None:
    assert next(iter(changed)) in refused(CurrencyLimits, USDT | changed)


def test_the_limits_of_clients() -> None:
    roles = NOBODY | {"USER": {"USDT": USER, "TRX": {"daily_count": 1}}}
    policy = client_policy(read(ClientLimitsConfig, roles))
    assert policy["ADMIN"] == {}
    assert policy["USER"] == {
        Currency.USDT: ClientLimits(
            1_000_000,
            {Period.DAY: Ceiling(5_000_000, 5), Period.MONTH: Ceiling(count=9)},
        ),
        Currency.TRX: ClientLimits(None, {Period.DAY: Ceiling(count=1)}),
    }


@pytest.mark.parametrize(
    ("roles", "complaint"),
    [
        ({"USER": {"USDT": USER}}, "each of the roles"),
        (NOBODY | {"USER": {"USDT": USER}}, "limits for each of USDT, TRX"),
        (NOBODY | {"BOSS": {}}, "BOSS"),
        (
            NOBODY | {"USER": {"USDT": USER | {"max_amount": "6"}, "TRX": USER}},
            "max_amount ≤ hourly_limit",
        ),
    ],
)
def test_limits_of_clients_that_cannot_be_are_refused(
    roles: dict[str, Any], complaint: str
) -> None:
    assert complaint in refused(ClientLimitsConfig, roles)
