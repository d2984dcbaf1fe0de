"""Which route a payout takes: filters first, then the merits that the strategy counts.

Every refusal and every choice comes with a sentence. The result depends on nothing but the
arguments, whatever order the routes come in.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from models.chain import Balances
from models.errors import PayoutError
from models.findings import Effect, Finding
from models.money import Currency, format_amount
from models.order import RouteName
from models.route_health import broken, closed, disabled, full, paused
from models.routes import Merit, Route, RoutingPolicy

_INVALID: Final = "P400"
_NEEDS_KYC: Final = "P402"
_UNAVAILABLE: Final = "P401"
_TOO_DEAR: Final = "P403"
_TOO_SMALL: Final = "P101"
_TOO_LARGE: Final = "P102"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a route is wanted for. `route` is the one asked for (None: smart, any of them);
    `kyc_level` is the recipient's valid level, 0 without one."""

    currency: Currency
    amount: int
    priority: int = 5
    emergency: bool = False
    route: RouteName | None = None
    kyc_level: int = 0


@dataclass(frozen=True, slots=True)
class Ranked:
    """A route that takes the payout: its points (0 to 1000), and how they come about."""

    name: RouteName
    points: int
    finding: Finding


@dataclass(frozen=True, slots=True)
class Refused:
    """A route that does not take the payout, and all reasons: first what is hardest to mend."""

    name: RouteName
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Every route is either in `ranked`, the best first, or in `refused`, first the one that came
    nearest to taking the payout."""

    wanted: Wanted
    ranked: tuple[Ranked, ...]
    refused: tuple[Refused, ...]

    @property
    def chosen(self) -> RouteName | None:
        """The best route; what follows it in `ranked` are the routes to fall back on."""
        return self.ranked[0].name if self.ranked else None

    def refusal(self) -> PayoutError:
        """The answer when no route takes the payout: that of the route that came nearest.

        The nearest is the one of which the hardest reason stands last in FILTERS: if a route
        lacks the recipient's KYC only, that is the answer (P402); else if one would take the
        payout later, that (P401); and so on up the table.
        """
        nearest = self.refused[0]
        hardest = FILTERS[_hardest(nearest)]
        why = "; ".join(finding.text for finding in nearest.findings)
        asked = self.wanted.route is not None
        return PayoutError(
            hardest.code,
            f"the route {nearest.name} does not take this payout: {why}"
            if asked
            else f"no route takes this payout; {nearest.name} comes nearest: {why}",
            field=hardest.field,
            routes={
                route.name.value: [finding.text for finding in route.findings]
                for route in self.refused
                if not asked or route is nearest
            },
        )


def choose(wanted: Wanted, routes: Iterable[Route], policy: RoutingPolicy) -> Choice:
    """Filter the routes (at least one), and rank those that are left by points; equals stand by
    their own priority, then by name."""
    known = sorted(routes, key=lambda route: (-route.policy.priority, route.name))
    judged = [(route, refusals(route, wanted)) for route in known]
    ranked = [_rank(route, wanted, policy) for route, findings in judged if not findings]
    refused = [Refused(route.name, findings) for route, findings in judged if findings]
    return Choice(
        wanted,
        ranked=tuple(sorted(ranked, key=lambda entry: -entry.points)),
        refused=tuple(sorted(refused, key=_distance)),
    )


def refusals(route: Route, wanted: Wanted) -> tuple[Finding, ...]:
    """Every reason why a route does not take a payout, in the order of FILTERS; none if it does.

    For a payout that waits on its route, asked again before it is sent.
    """
    return tuple(
        Finding(f"routes.{route.name}.{rule.name}", Effect.REFUSE, text, rule.code)
        for rule in FILTERS
        if (text := rule.check(route, wanted))
    )


def obstacles(route: Route, wanted: Wanted) -> tuple[Finding, ...]:
    """Why a route cannot pay now what it has taken: of the reasons not to take it, those that a
    later moment may mend."""
    return tuple(each for each in refusals(route, wanted) if each.code == _UNAVAILABLE)


def _requested(route: Route, wanted: Wanted) -> str | None:
    asked = wanted.route
    return None if asked in (None, route.name) else f"the payout asks for the route {asked}"


def _currency(route: Route, wanted: Wanted) -> str | None:
    paid = wanted.currency in route.policy.limits
    return None if paid else f"the route does not pay {wanted.currency}"


def _urgent(route: Route, wanted: Wanted) -> str | None:
    least = route.policy.urgent_from_priority
    if least is None or wanted.emergency or wanted.priority >= least:
        return None
    return (
        f"the route is for emergencies and for priority {least} and above; "
        f"this payout has priority {wanted.priority}"
    )


def _too_small(route: Route, wanted: Wanted) -> str | None:
    limits = route.policy.limits.get(wanted.currency)
    if limits is None or wanted.amount >= limits.minimum:
        return None
    return f"{_money(wanted)} is below the route's minimum of {format_amount(limits.minimum)}"


def _too_large(route: Route, wanted: Wanted) -> str | None:
    limits = route.policy.limits.get(wanted.currency)
    if limits is None or limits.maximum is None or wanted.amount <= limits.maximum:
        return None
    return f"{_money(wanted)} is above the route's maximum of {format_amount(limits.maximum)}"


def _too_dear(route: Route, _: Wanted) -> str | None:
    fee, cap = route.state.usual_fee_sun or 0, route.policy.fee_cap_sun
    if fee <= cap:
        return None
    return f"the usual fee of {format_amount(fee)} TRX is above the cap of {format_amount(cap)}"


def _unfunded(route: Route, wanted: Wanted) -> str | None:
    funds = route.state.funds
    if funds is None:
        return None
    fee = route.state.usual_fee_sun or 0
    needed = Balances.taken_by(wanted.amount, wanted.currency, fee)
    if needed.usdt and funds.usdt < needed.usdt:
        return f"the wallet has {_left(funds.usdt)} USDT left, and {_money(wanted)} is needed"
    if funds.trx_sun < needed.trx_sun:
        trx = format_amount(needed.trx_sun)
        return f"the wallet has {_left(funds.trx_sun)} TRX left, and {trx} TRX is needed"
    return None


def _unverified(route: Route, wanted: Wanted) -> str | None:
    limits = route.policy.limits.get(wanted.currency)
    level = 0 if limits is None else limits.kyc_level(wanted.amount)
    if wanted.kyc_level >= level:
        return None
    actual = f"has level {wanted.kyc_level}" if wanted.kyc_level else "is not verified"
    return f"{_money(wanted)} needs a recipient with KYC level {level}; this one {actual}"


def _money(wanted: Wanted) -> str:
    return f"{format_amount(wanted.amount)} {wanted.currency}"


def _left(units: int) -> str:
    """What more in flight than there is leaves is nothing."""
    return format_amount(max(0, units))


@dataclass(frozen=True, slots=True)
class Filter:
    """A reason not to take a payout: its name below `routes.<route>` in findings, its P-code, the
    request field that is at fault, and the check: a sentence where the route does not take it."""

    name: str
    code: str
    field: str | None
    check: Callable[[Route, Wanted], str | None]


FILTERS: Final[Sequence[Filter]] = (
    Filter("requested", _INVALID, "route", _requested),
    Filter("enabled", _INVALID, "route", disabled),
    Filter("currencies", _INVALID, "route", _currency),
    Filter("urgent_from_priority", _INVALID, "route", _urgent),
    Filter("max_amount", _TOO_LARGE, "amount", _too_large),
    Filter("min_amount", _TOO_SMALL, "amount", _too_small),
    Filter("fee_cap_trx", _TOO_DEAR, None, _too_dear),
    Filter("paused", _UNAVAILABLE, None, paused),
    Filter("gate", _UNAVAILABLE, None, closed),
    Filter("breaker", _UNAVAILABLE, None, broken),
    Filter("capacity", _UNAVAILABLE, None, full),
    Filter("funds", _UNAVAILABLE, None, _unfunded),
    Filter("kyc", _NEEDS_KYC, "recipient_address", _unverified),
)
"""What is hardest to mend for the client comes first: another route, another amount, a cheaper
moment, a later one, a verified recipient."""


def _hardest(route: Refused) -> int:
    """Where in FILTERS its hardest reason stands."""
    name = route.findings[0].rule.rpartition(".")[2]
    return next(place for place, rule in enumerate(FILTERS) if rule.name == name)


def _distance(route: Refused) -> tuple[int, int]:
    """Sorts the nearest first: by its hardest reason, and of equals the one with fewer reasons."""
    return -_hardest(route), len(route.findings)


def merits(route: Route, wanted: Wanted, policy: RoutingPolicy) -> Mapping[Merit, int]:
    """What speaks for a route, each from 0 to 1000. What is not known counts as 1000, so that a
    route without a history gets payouts, and with them one.

    amount: its share of the route's maximum (none: 0), so that large limits are kept for large
    amounts. priority: the route's own. load: the share of its capacity that is free. success: the
    share that succeeded in the breaker's window. cost: how far its usual fee is from a dear one.
    speed: how far its 95th percentile is from a slow one.
    """
    limits, figures = route.policy.limits.get(wanted.currency), route.state.figures
    maximum = None if limits is None else limits.maximum
    judged = figures.ended >= policy.breaker.min_volume
    latency = 0.0 if figures.latency is None else figures.latency.p95
    return {
        Merit.AMOUNT: 0 if maximum is None else _points(wanted.amount, maximum),
        Merit.PRIORITY: _points(route.policy.priority, 10),
        Merit.LOAD: 1000 - _points(route.taken, route.policy.capacity),
        Merit.SUCCESS: 1000 - (_points(figures.failed, figures.ended) if judged else 0),
        Merit.COST: 1000 - _points(route.state.usual_fee_sun or 0, policy.dear_fee_sun),
        Merit.SPEED: 1000 - _points(latency, policy.slow_seconds),
    }


def _points(part: float, whole: float) -> int:
    return min(1000, int(part * 1000 // whole))


def _rank(route: Route, wanted: Wanted, policy: RoutingPolicy) -> Ranked:
    points, weights = merits(route, wanted, policy), policy.weights[policy.strategy]
    total = sum(points[merit] * weight for merit, weight in weights.items()) // 100
    parts = ", ".join(f"{merit} {points[merit]} × {weight} %" for merit, weight in weights.items())
    asked = "was asked for and " if wanted.route else ""
    text = f"the route {route.name} {asked}has {total} of 1000 points by {policy.strategy}: {parts}"
    return Ranked(route.name, total, Finding(f"routing.{policy.strategy}", Effect.NOTE, text))
