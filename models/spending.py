"""Spending: which limit windows a payout counts in, by amount and by number of payouts.

Windows are calendar hours, days and months in UTC, of one currency: those of all payouts, of a
route, of a client (a subject of a tenant), and of a recipient, whoever pays it. A payout counts in
the windows of the moment at which it was accepted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from urllib.parse import quote

from models.errors import PayoutError
from models.limits import Used
from models.money import Currency, format_amount
from models.order import RouteName


class Period(StrEnum):
    """How long a window is."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


class SpendScope(StrEnum):
    """Whose payouts a window counts."""

    ALL = "all"
    ROUTE = "route"
    CLIENT = "client"
    RECIPIENT = "recipient"


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most that one window may hold: base units, and payouts. None is no limit."""

    amount: int | None = None
    count: int | None = None


Ceilings = Mapping[Period, Ceiling]
"""The ceilings of one currency; a period without one has no window."""


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """What one client may have paid in one currency: by one payout (base units), and in time."""

    maximum: int | None = None
    ceilings: Ceilings = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpendPolicy:
    """The ceilings of each scope; `clients` by the role of the client's token."""

    all: Mapping[Currency, Ceilings]
    routes: Mapping[RouteName, Mapping[Currency, Ceilings]] = field(default_factory=dict)
    clients: Mapping[str, Mapping[Currency, ClientLimits]] = field(default_factory=dict)
    recipients: Mapping[Currency, Ceilings] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spending:
    """What decides in which windows a payout counts. `role` is that of the token of `subject`."""

    currency: Currency
    route: RouteName
    tenant: str | None
    subject: str
    role: str
    recipient: str


@dataclass(frozen=True, slots=True)
class SpendWindow:
    """A stretch of time in which payouts may add up to `maximum` base units and `max_count`.

    `starts_at` is in it, `ends_at` is not. The id holds currency, scope, owner and start, so that
    one document serves one window; `code` is the P-code of a payout that does not fit. `owner` is
    the route, client (tenant/subject) or recipient whose it is, empty for that of all payouts.
    """

    window_id: str
    code: str
    scope: SpendScope
    period: Period
    currency: Currency
    maximum: int | None
    max_count: int | None
    starts_at: datetime
    ends_at: datetime
    owner: str = ""

    def takes(self, used: Used, amount: int) -> bool:
        """Whether a payout of `amount` base units fits beside what the window holds."""
        return (self.maximum is None or used.amount + amount <= self.maximum) and (
            self.max_count is None or used.count < self.max_count
        )


def spend_windows(
    policy: SpendPolicy, spending: Spending, now: datetime
) -> tuple[SpendWindow, ...]:
    """The windows that a payout accepted at that moment (UTC, the database's clock) counts in."""
    currency, owner = spending.currency, (spending.tenant, spending.subject)
    return (
        *_windows(SpendScope.ALL, (), currency, policy.all.get(currency, {}), now),
        *route_windows(policy, spending.route, currency, now),
        *client_windows(policy, spending.role, owner, currency, now),
        *recipient_windows(policy, spending.recipient, currency, now),
    )


def shared_windows(
    policy: SpendPolicy, currency: Currency, now: datetime
) -> tuple[SpendWindow, ...]:
    """Those that everybody's payouts share: of all payouts, and of each route."""
    of_routes = [route_windows(policy, route, currency, now) for route in RouteName]
    return (
        *_windows(SpendScope.ALL, (), currency, policy.all.get(currency, {}), now),
        *(window for windows in of_routes for window in windows),
    )


def client_windows(
    policy: SpendPolicy,
    role: str,
    owner: tuple[str | None, str],
    currency: Currency,
    now: datetime,
) -> tuple[SpendWindow, ...]:
    """Those of a client (tenant, subject), by the role of its token."""
    limits = policy.clients.get(role, {}).get(currency, ClientLimits())
    return _windows(SpendScope.CLIENT, owner, currency, limits.ceilings, now)


def recipient_windows(
    policy: SpendPolicy, recipient: str, currency: Currency, now: datetime
) -> tuple[SpendWindow, ...]:
    """Those of a recipient, whoever pays it."""
    ceilings = policy.recipients.get(currency, {})
    return _windows(SpendScope.RECIPIENT, (recipient,), currency, ceilings, now)


def route_windows(
    policy: SpendPolicy, route: RouteName | None, currency: Currency, now: datetime
) -> tuple[SpendWindow, ...]:
    """Those of them that are a route's; none without a route."""
    if route is None:
        return ()
    ceilings = policy.routes.get(route, {}).get(currency, {})
    return _windows(SpendScope.ROUTE, (route,), currency, ceilings, now)


def _windows(
    scope: SpendScope,
    owner: tuple[str | None, ...],
    currency: Currency,
    ceilings: Ceilings,
    now: datetime,
) -> tuple[SpendWindow, ...]:
    return tuple(
        _window(scope, owner, currency, period, ceiling, now)
        for period, ceiling in ceilings.items()
    )


def check_client_maximum(policy: SpendPolicy, role: str, currency: Currency, amount: int) -> None:
    """Raise PayoutError P102 when one payout is more than a client of that role may ask for."""
    maximum = client_maximum(policy, role, currency)
    if maximum is not None and amount > maximum:
        raise PayoutError(
            "P102",
            f"the amount is above {format_amount(maximum)} {currency}, the maximum of the "
            f"role {role}",
            field="amount",
            maximum=format_amount(maximum),
        )


def client_maximum(policy: SpendPolicy, role: str, currency: Currency) -> int | None:
    """The most (base units) that one payout of a client of that role may be; None: no limit."""
    return policy.clients.get(role, {}).get(currency, ClientLimits()).maximum


def refusal(window: SpendWindow, *, used: int, count: int) -> PayoutError:
    """Why a payout does not fit into a window that holds `used` base units of `count` payouts: the
    limit, what is left of it, and until when."""
    if window.max_count is not None and (count >= window.max_count or window.maximum is None):
        field = None
        limit, left = (f"{figure} payouts" for figure in _left(window.max_count, count))
    else:
        field = "amount"
        figures = _left(window.maximum or 0, used)
        limit, left = (f"{format_amount(figure)} {window.currency}" for figure in figures)
    until = f"{window.ends_at:%Y-%m-%dT%H:%M:%SZ}"
    return PayoutError(
        window.code,
        f"the limit of {_WHOSE[window.scope]} is {limit} a {window.period}, "
        f"of which {left} are left until {until}",
        field=field,
        limit=limit,
        left=left,
        resets_at=until,
    )


def _left(limit: int, used: int) -> tuple[int, int]:
    """A limit, and what is left of it."""
    return limit, max(0, limit - used)


def _window(
    scope: SpendScope,
    owner: tuple[str | None, ...],
    currency: Currency,
    period: Period,
    ceiling: Ceiling,
    now: datetime,
) -> SpendWindow:
    start, end, name = _STRETCH[period](now)
    parts = [period, currency, name]
    if scope is not SpendScope.ALL:
        parts += [scope, "/".join(quote(part, safe="") for part in owner if part is not None)]
    return SpendWindow(
        window_id=":".join(parts),
        code=_RECIPIENT if scope is SpendScope.RECIPIENT else _CODES[period],
        scope=scope,
        period=period,
        currency=currency,
        maximum=ceiling.amount,
        max_count=ceiling.count,
        starts_at=start,
        ends_at=end,
        owner="/".join(part for part in owner if part is not None),
    )


def _hour(now: datetime) -> tuple[datetime, datetime, str]:
    start = now.replace(minute=0, second=0, microsecond=0)
    return start, start + timedelta(hours=1), f"{start:%Y-%m-%dT%H}"


def _day(now: datetime) -> tuple[datetime, datetime, str]:
    start = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return start, start + timedelta(days=1), f"{start:%Y-%m-%d}"


def _month(now: datetime) -> tuple[datetime, datetime, str]:
    start = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return start, (start + timedelta(days=31)).replace(day=1), f"{start:%Y-%m}"


_STRETCH: Final = {Period.HOUR: _hour, Period.DAY: _day, Period.MONTH: _month}
"""The window of a period around a moment: start, end, and how its id names it."""

_WHOSE: Final[Mapping[SpendScope, str]] = {
    SpendScope.ALL: "all payouts together",
    SpendScope.ROUTE: "this route",
    SpendScope.CLIENT: "this client",
    SpendScope.RECIPIENT: "this recipient",
}

_MONTHLY: Final = "P104"
_RECIPIENT: Final = "P105"
_CODES: Final = {Period.HOUR: "P103", Period.DAY: "P103", Period.MONTH: _MONTHLY}
