"""Which limit windows a payout counts in."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import PayoutError
from models.money import Currency
from models.order import RouteName
from models.spending import (
    Ceiling,
    ClientLimits,
    Period,
    Spending,
    SpendPolicy,
    SpendScope,
    SpendWindow,
    check_client_maximum,
    refusal,
    spend_windows,
)
from tests.factories import RECIPIENT

ONE = 1_000_000
NOW = datetime(2026, 3, 1, 13, 7, 30, 250_000, tzinfo=UTC)
EVERY = {period: Ceiling(amount=100 * ONE, count=10) for period in Period}
FULL = SpendPolicy(
    all=dict.fromkeys(Currency, EVERY),
    routes={route: dict.fromkeys(Currency, EVERY) for route in RouteName},
    clients={"USER": dict.fromkeys(Currency, ClientLimits(50 * ONE, EVERY))},
    recipients=dict.fromkeys(Currency, EVERY),
)
MINE = Spending(
    currency=Currency.USDT,
    route=RouteName.V0,
    tenant=None,
    subject="alice",
    role="USER",
    recipient=RECIPIENT,
)
moments = st.datetimes(datetime(2024, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
spendings = st.builds(
    Spending,
    currency=st.sampled_from(Currency),
    route=st.sampled_from(RouteName),
    tenant=st.none() | st.text(max_size=5),
    subject=st.text(max_size=5),
    role=st.just("USER"),
    recipient=st.text(max_size=5),
)


def test_a_payout_counts_in_each_scope_and_period() -> None:
    windows = spend_windows(FULL, replace(MINE, tenant="acme"), NOW)
    assert {window.window_id: window.code for window in windows} == {
        "hour:USDT:2026-03-01T13": "P103",
        "day:USDT:2026-03-01": "P103",
        "month:USDT:2026-03": "P104",
        "hour:USDT:2026-03-01T13:route:v0": "P103",
        "day:USDT:2026-03-01:route:v0": "P103",
        "month:USDT:2026-03:route:v0": "P104",
        "hour:USDT:2026-03-01T13:client:acme/alice": "P103",
        "day:USDT:2026-03-01:client:acme/alice": "P103",
        "month:USDT:2026-03:client:acme/alice": "P104",
        f"hour:USDT:2026-03-01T13:recipient:{RECIPIENT}": "P105",
        f"day:USDT:2026-03-01:recipient:{RECIPIENT}": "P105",
        f"month:USDT:2026-03:recipient:{RECIPIENT}": "P105",
    }
    assert all((each.maximum, each.max_count) == (100 * ONE, 10) for each in windows)


def test_a_window_tells_whose_it_is() -> None:
    windows = spend_windows(FULL, replace(MINE, tenant="acme"), NOW)
    assert {(window.scope, window.owner) for window in windows} == {
        (SpendScope.ALL, ""),
        (SpendScope.ROUTE, "v0"),
        (SpendScope.CLIENT, "acme/alice"),
        (SpendScope.RECIPIENT, RECIPIENT),
    }


def test_what_is_not_limited_has_no_window() -> None:
    assert spend_windows(SpendPolicy(all={}), MINE, NOW) == ()
    only_trx = SpendPolicy(
        all={Currency.TRX: EVERY},
        routes={RouteName.KYC: {Currency.USDT: EVERY}, RouteName.V0: {Currency.TRX: EVERY}},
        clients={
            "USER": {Currency.TRX: ClientLimits(ceilings=EVERY)},
            "ADMIN": {Currency.USDT: ClientLimits(ceilings=EVERY)},
        },
        recipients={Currency.USDT: {Period.DAY: Ceiling(count=100)}},
    )
    (window,) = spend_windows(only_trx, MINE, NOW)
    assert (window.scope, window.maximum, window.max_count) == (SpendScope.RECIPIENT, None, 100)


def test_a_role_has_its_own_figures_but_no_window_of_its_own() -> None:
    """Whoever has tokens of two roles does not have two limits."""
    policy = SpendPolicy(
        all={},
        clients={
            role: {Currency.USDT: ClientLimits(ceilings={Period.DAY: Ceiling(count=count)})}
            for role, count in (("USER", 5), ("NODE_OPERATOR", 50))
        },
    )
    (user,) = spend_windows(policy, MINE, NOW)
    (operator,) = spend_windows(policy, replace(MINE, role="NODE_OPERATOR"), NOW)
    assert user.window_id == operator.window_id
    assert (user.max_count, operator.max_count) == (5, 50)


@given(spendings, moments)
def test_the_windows_of_a_moment_contain_it(spending: Spending, now: datetime) -> None:
    windows = spend_windows(FULL, spending, now)
    assert len(windows) == len(SpendScope) * len(Period)
    for window in windows:
        assert window.starts_at <= now < window.ends_at
        last = window.ends_at - timedelta(microseconds=1)
        for moment in (window.starts_at, last):
            assert window in spend_windows(FULL, spending, moment)
        assert window not in spend_windows(FULL, spending, window.ends_at)


def identity(window: SpendWindow, spending: Spending) -> tuple[object, ...]:
    """What makes a window another one."""
    owner = {
        SpendScope.ALL: (),
        SpendScope.ROUTE: (spending.route,),
        SpendScope.CLIENT: (spending.tenant, spending.subject),
        SpendScope.RECIPIENT: (spending.recipient,),
    }[window.scope]
    return window.scope, owner, window.currency, window.period, window.starts_at


@given(st.lists(st.tuples(spendings, moments), min_size=2, max_size=4))
def test_an_id_stands_for_one_window(payouts: list[tuple[Spending, datetime]]) -> None:
    """Ids are the same exactly where scope, owner, currency and stretch of time are."""
    seen: dict[str, tuple[object, ...]] = {}
    for spending, now in payouts:
        for window in spend_windows(FULL, spending, now):
            assert seen.setdefault(window.window_id, identity(window, spending)) == identity(
                window, spending
            )
    assert len(set(seen.values())) == len(seen)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((None, "a/b"), ("a", "b")),
        ((None, "a%2Fb"), (None, "a/b")),
        (("a", "b/c"), ("a/b", "c")),
        (("", "a"), (None, "a")),
        ((None, "a:b"), (None, "a%3Ab")),
        ((None, "recipient:x"), ("recipient", "x")),
    ],
)
def test_names_with_signs_in_them_do_not_meet(
    one: tuple[str | None, str], other: tuple[str | None, str]
) -> None:
    ids = {
        window.window_id
        for tenant, subject in (one, other)
        for window in spend_windows(FULL, replace(MINE, tenant=tenant, subject=subject), NOW)
        if window.scope is SpendScope.CLIENT
    }
    assert len(ids) == 2 * len(Period)


def test_months_end_where_the_next_begins() -> None:
    for month in range(1, 12):
        (window,) = spend_windows(
            SpendPolicy(all={Currency.TRX: {Period.MONTH: Ceiling(amount=1)}}),
            replace(MINE, currency=Currency.TRX),
            datetime(2028, month, 28, 23, 59, tzinfo=UTC),
        )
        assert window.ends_at == datetime(2028, month + 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("amount", "fits"), [(50 * ONE, True), (50 * ONE + 1, False)])
def test_the_most_that_a_client_of_a_role_may_ask_for_at_once(amount: int, fits: bool) -> None:
    check_client_maximum(FULL, "ADMIN", Currency.USDT, amount)
    if fits:
        check_client_maximum(FULL, "USER", Currency.USDT, amount)
        return
    with pytest.raises(PayoutError, match=r"50\.00 USDT.*USER") as refused:
        check_client_maximum(FULL, "USER", Currency.USDT, amount)
    assert (refused.value.code, refused.value.field) == ("P102", "amount")
    assert refused.value.extra == {"maximum": "50.00"}


def window_of(ceiling: Ceiling, scope: SpendScope = SpendScope.CLIENT) -> SpendWindow:
    ceilings = {Currency.USDT: {Period.DAY: ceiling}}
    policy = SpendPolicy(
        all=ceilings if scope is SpendScope.ALL else {},
        clients={"USER": {Currency.USDT: ClientLimits(ceilings={Period.DAY: ceiling})}}
        if scope is SpendScope.CLIENT
        else {},
        recipients=ceilings if scope is SpendScope.RECIPIENT else {},
    )
    (window,) = spend_windows(policy, MINE, NOW)
    return window


@pytest.mark.parametrize(
    ("scope", "ceiling", "held", "message", "field"),
    [
        (
            SpendScope.CLIENT,
            Ceiling(amount=5_000 * ONE, count=5),
            (4_990 * ONE, 2),
            "the limit of this client is 5000.00 USDT a day, of which 10.00 USDT are left until "
            "2026-03-02T00:00:00Z",
            "amount",
        ),
        (
            SpendScope.CLIENT,
            Ceiling(amount=5_000 * ONE, count=5),
            (20 * ONE, 5),
            "the limit of this client is 5 payouts a day, of which 0 payouts are left until "
            "2026-03-02T00:00:00Z",
            None,
        ),
        (
            SpendScope.RECIPIENT,
            Ceiling(count=100),
            (20 * ONE, 100),
            "the limit of this recipient is 100 payouts a day, of which 0 payouts are left until "
            "2026-03-02T00:00:00Z",
            None,
        ),
        # What was held when it was refused may have been released since.
        (
            SpendScope.RECIPIENT,
            Ceiling(count=100),
            (20 * ONE, 98),
            "the limit of this recipient is 100 payouts a day, of which 2 payouts are left until "
            "2026-03-02T00:00:00Z",
            None,
        ),
        (
            SpendScope.ALL,
            Ceiling(amount=ONE),
            (2 * ONE, 1),
            "the limit of all payouts together is 1.00 USDT a day, of which 0.00 USDT are left "
            "until 2026-03-02T00:00:00Z",
            "amount",
        ),
    ],
)
def test_a_refusal_says_which_limit_and_what_is_left(
    scope: SpendScope, ceiling: Ceiling, held: tuple[int, int], message: str, field: str | None
) -> None:
    window = window_of(ceiling, scope)
    error = refusal(window, used=held[0], count=held[1])
    assert (error.message, error.code, error.field) == (message, window.code, field)
    assert error.extra["resets_at"] == "2026-03-02T00:00:00Z"
    assert str(error.extra["limit"]) in message
    assert str(error.extra["left"]) in message
