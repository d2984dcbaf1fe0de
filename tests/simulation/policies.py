"""By what the router of a world decides, as a seed draws it: routes and their wallets, rules,
approvals, limits and times. All of it is small, so that a handful of payouts meets it."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from random import Random
from typing import Final

from adapters.signer.local import LocalSigner
from devnet.settings import DEVNET_KEYS
from models.approval import ApprovalRule, Workflow
from models.compliance import Rule, RuleKind
from models.decision import DecisionPolicy
from models.findings import Effect
from models.money import BASE_UNITS, Currency
from models.order import PayoutType, RouteName
from models.routes import (
    FallbackPolicy,
    KycStep,
    Merit,
    RouteBreakerPolicy,
    RouteLimits,
    RoutePolicy,
    Strategy,
)
from models.spending import Ceiling, Ceilings, ClientLimits, Period, SpendPolicy
from tests.harness import DECISIONS, SERVICE

SIGNERS: Final = tuple(LocalSigner(bytes.fromhex(key)) for key in DEVNET_KEYS[:2])
MAKERS: Final = (SERVICE, replace(SERVICE, subject="shop", role="USER"))
TENANTS: Final = (None, "acme", "zeta")
ROLES: Final = {maker.subject: maker.role for maker in MAKERS}
"""Who asks for payouts, and under which role."""

RECIPIENTS: Final = tuple(
    LocalSigner(sha256(f"recipient {number}".encode()).digest()).address for number in range(6)
)
AMOUNTS: Final = (1_000_000, 1_000_000, 2_500_000, 40_000_000)
"""Few, so that equal payouts are common."""

KYC_VALIDITY: Final = {
    1: timedelta(seconds=15),
    2: timedelta(seconds=30),
    3: timedelta(days=9),
}
"""Short enough that verifications run out while payouts come."""

_SMALL, _MEDIUM, _LARGE = sorted(set(AMOUNTS))
_ADMINS: Final = ("ADMIN", "SUPER_ADMIN")
_APPROVERS: Final = ("APPROVER", *_ADMINS)


def _from(amount: int) -> Mapping[Currency, int]:
    return dict.fromkeys(Currency, amount)


def draw_decisions(random_of: Callable[[str], Random], on: Collection[str]) -> DecisionPolicy:
    """How orders are decided about in the situations `on`; in none, as in `tests/harness.py`."""
    times, approvals, rules = random_of("batches"), random_of("approvals"), random_of("rules")
    interval, size = times.choice((10, 30, 60)), times.choice((2, 3, 50))
    ageing = times.choice((5, 1800))
    schedule = replace(
        DECISIONS.schedule,
        batch_interval_seconds=interval,
        batch_size=size,
        ageing_seconds=ageing,
    )
    routing = DECISIONS.routing
    if "fragile_routes" in on:
        routing = replace(routing, breaker=_BREAKER)
    if "falls_back" in on:
        routing = replace(routing, fallback=_fallback(random_of("fall-back")))
    return replace(
        DECISIONS,
        rules=(
            *_rules(rules, on),
            *(_forcing(random_of("forced")) if "forces_consent" in on else ()),
        ),
        routes=_open(_routes(random_of("routes"), on), random_of("open routes"), on),
        routing=replace(routing, weights=_WEIGHTS),
        approvals=(
            *(_approvals(approvals) if "asks_approval" in on else ()),
            *(each for each in (_FORCED,) if "forces_consent" in on),
            *(each for each in (_TOGETHER,) if "batch_consent" in on),
        ),
        schedule=schedule,
    )


_WEIGHTS: Final = {each: {Merit.PRIORITY: 60, Merit.LOAD: 40} for each in Strategy}
_BREAKER: Final = RouteBreakerPolicy(
    window_seconds=60, min_volume=2, failure_percent=50, recovery_seconds=10, trial_payouts=1
)


def _routes(draw: Random, on: Collection[str]) -> tuple[RoutePolicy, ...]:
    """One for small payouts, one for verified recipients, one for what is urgent; or one alone."""
    capacity = draw.choice((1, 2, 3)) if "narrow_routes" in on else 1_000
    wallet = SIGNERS[1].address if "two_wallets" in on else None
    several = several_routes(on)
    plain = RoutePolicy(
        name=RouteName.V0,
        enabled=True,
        wallet=None,
        limits={each: RouteLimits(10_000, _MEDIUM if several else None) for each in Currency},
        fee_cap_sun=100 * BASE_UNITS,
        capacity=capacity,
        priority=draw.randint(1, 10),
    )
    steps = KycStep(_SMALL, 1), KycStep(None, 2)
    verified = {each: RouteLimits(10_000, kyc=steps) for each in Currency}
    urgent = {each: RouteLimits(10_000) for each in Currency}
    return (
        plain,
        replace(
            plain,
            name=RouteName.KYC,
            enabled=several,
            wallet=draw.choice((None, wallet)),
            limits=verified,
            priority=draw.randint(1, 10),
        ),
        replace(
            plain,
            name=RouteName.DIRECT,
            enabled=several,
            wallet=wallet,
            limits=urgent,
            priority=draw.randint(1, 10),
            urgent_from_priority=draw.choice((None, 8)),
        ),
    )


def several_routes(on: Collection[str]) -> bool:
    """Whether there is more than one route: to fall back takes another one."""
    return not {"several_routes", "falls_back"}.isdisjoint(on)


def _open(
    routes: tuple[RoutePolicy, ...], draw: Random, on: Collection[str]
) -> tuple[RoutePolicy, ...]:
    """The same; where payouts are to fall back, mostly without what keeps all others out."""
    if "falls_back" not in on or draw.random() < 0.3:
        return routes
    limits = {each: RouteLimits(10_000) for each in Currency}
    plain, verified, urgent = routes
    return (
        replace(plain, limits=limits),
        replace(verified, limits=limits, wallet=SIGNERS[1].address),
        urgent,
    )


def _approvals(draw: Random) -> tuple[ApprovalRule, ...]:
    seconds = draw.choice((15, 60, 300))
    return (
        ApprovalRule(Workflow("medium", 1, _APPROVERS, 2 * seconds), from_amount=_from(_MEDIUM)),
        ApprovalRule(Workflow("large", 2, _ADMINS, seconds), from_amount=_from(_LARGE)),
        ApprovalRule(
            Workflow("emergency", 2, _ADMINS, seconds),
            payout_types=frozenset({PayoutType.EMERGENCY}),
        ),
    )


def _fallback(draw: Random) -> FallbackPolicy:
    return FallbackPolicy(draw.choice((2, 10)), draw.choice((1, 2)))


_TOGETHER: Final = ApprovalRule(Workflow("together", 1, _APPROVERS, 60), from_items=3)
"""It applies to payouts of which so many come in one request."""

_FORCED: Final = ApprovalRule(Workflow("forced", 1, _APPROVERS, 60))
"""It applies where a rule demands it, and nowhere else."""


def _forcing(draw: Random) -> tuple[Rule, ...]:
    name, effect = _FORCED.workflow.name, Effect.APPROVE
    floor = {Currency.USDT: draw.choice((_SMALL, _MEDIUM)), Currency.TRX: _LARGE}
    return (
        Rule("medium", RuleKind.AMOUNT_REVIEW, effect, workflow=name, from_amount=floor),
        Rule("unknown", RuleKind.NEW_RECIPIENT, effect, workflow=name),
    )


def _rules(draw: Random, on: Collection[str]) -> tuple[Rule, ...]:
    listed = draw.choice((Effect.REFUSE, Effect.REFUSE, Effect.HOLD))
    seconds, large = draw.choice((20, 60)), draw.random() < 0.5
    rules = []
    if "denies" in on:
        rules += [
            Rule("deny_list", RuleKind.DENY_LIST, listed, _ADMINS, at_dispatch=True),
            Rule("blacklist", RuleKind.TOKEN_BLACKLIST, Effect.REFUSE, at_dispatch=True),
        ]
    if "holds" in on:
        rules += [
            Rule(
                "burst",
                RuleKind.VELOCITY,
                Effect.HOLD,
                _APPROVERS,
                count=2,
                window_seconds=seconds,
            ),
            Rule("first", RuleKind.NEW_RECIPIENT, Effect.NOTE),
        ]
    if "holds" in on and large:
        rules += [
            Rule("large", RuleKind.AMOUNT_REVIEW, Effect.HOLD, _ADMINS, from_amount=_from(_LARGE))
        ]
    return tuple(rules)


def draw_spending(draw: Random, asked: Mapping[Currency, int]) -> SpendPolicy:
    """Tight limits, by amount and by number, for some scopes and periods; `asked` is what all
    clients together want."""

    def ceilings(currency: Currency, tenths: int, count: int) -> Ceilings:
        found = {}
        for period in Period:
            by_amount, by_number, any_at_all = (draw.random() < 0.5 for _ in range(3))
            ceiling = Ceiling(
                max(asked[currency] * tenths // 10, _SMALL) if by_amount else None,
                count if by_number else None,
            )
            if any_at_all and (by_amount or by_number):
                found[period] = ceiling
        return found

    def each(tenths: int, count: int) -> Mapping[Currency, Ceilings]:
        return {currency: ceilings(currency, tenths, count) for currency in Currency}

    return SpendPolicy(
        all=each(6, 3),
        routes={route: each(4, 2) for route in RouteName},
        clients={
            role: {currency: ClientLimits(ceilings=found) for currency, found in each(5, 2).items()}
            for role in sorted(set(ROLES.values()))
        },
        recipients=each(4, 1),
    )
