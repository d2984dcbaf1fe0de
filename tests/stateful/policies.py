"""Policies so tight that a few payouts meet every threshold, and the people who ask."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from adapters.signer.local import LocalSigner
from devnet.settings import DEVNET_KEYS, DevnetSettings
from models.approval import ApprovalRule, Workflow
from models.compliance import Per, Rule, RuleKind
from models.findings import Effect
from models.limits import AmountLimits
from models.money import BASE_UNITS, Currency
from models.order import PayoutType, RouteName
from models.routes import KycStep, Merit, RouteLimits, RoutePolicy, Strategy
from models.spending import Ceiling, ClientLimits, Period, SpendPolicy
from tests.harness import DECISIONS, POLICIES, SOLID_LAG

USDT, TRX = Currency.USDT, Currency.TRX
UNIT: Final = BASE_UNITS

WALLETS: Final = tuple(LocalSigner(bytes.fromhex(key)) for key in DEVNET_KEYS[:2])
RECIPIENTS: Final = tuple(LocalSigner(bytes([number] * 32)).address for number in range(1, 5))
FROZEN: Final = RECIPIENTS[3]
"""On the token's own blacklist from the start."""

NET: Final = DevnetSettings(
    solid_lag=SOLID_LAG, wallet_token_units=150 * UNIT, wallet_trx_sun=150 * UNIT
)
"""Wallets that a few payouts empty."""


@dataclass(frozen=True)
class Person:
    """Whoever a token speaks for."""

    subject: str
    role: str
    tenant: str | None = None

    @property
    def client(self) -> tuple[str | None, str]:
        """Whose idempotency keys and limits they are."""
        return self.tenant, self.subject


PEOPLE: Final = (
    Person("uma", "USER"),
    Person("uma", "USER", "north"),
    Person("nora", "NODE_OPERATOR"),
    Person("shop", "SERVICE"),
    Person("shop", "SERVICE", "north"),
    Person("abe", "APPROVER"),
    Person("ann", "APPROVER", "north"),
    Person("ada", "ADMIN"),
    Person("ada", "SUPER_ADMIN"),
    Person("bob", "ADMIN"),
    Person("sam", "ADMIN", "north"),
    Person("sue", "SUPER_ADMIN"),
)
ROOT: Final = Person("root", "SUPER_ADMIN")
"""Who looks at everything, and never asks for a payout."""

SECOND: Final = Person("zoe", "SUPER_ADMIN")

APPROVERS: Final = ("APPROVER", "ADMIN", "SUPER_ADMIN")
ADMINS: Final = ("ADMIN", "SUPER_ADMIN")

WORKFLOWS: Final = (
    ApprovalRule(Workflow("high_value", 1, APPROVERS, 1800), from_amount={USDT: 20 * UNIT}),
    ApprovalRule(
        Workflow("two_approvals", 2, APPROVERS, 3600), from_amount={USDT: 60 * UNIT, TRX: 60 * UNIT}
    ),
    ApprovalRule(
        Workflow("emergency", 2, ADMINS, 300), payout_types=frozenset({PayoutType.EMERGENCY})
    ),
    ApprovalRule(Workflow("unverified", 1, ADMINS, 900)),
    ApprovalRule(Workflow("batch", 1, APPROVERS, 3600), from_items=3),
)

RULES: Final = (
    Rule("sanctions", RuleKind.SANCTIONS, Effect.REFUSE, at_dispatch=True),
    Rule("deny_list", RuleKind.DENY_LIST, Effect.REFUSE, at_dispatch=True),
    Rule("token_blacklist", RuleKind.TOKEN_BLACKLIST, Effect.REFUSE, at_dispatch=True),
    Rule(
        "known_only",
        RuleKind.ALLOW_LIST_ONLY,
        Effect.HOLD,
        roles=ADMINS,
        at_dispatch=True,
        from_amount={USDT: 40 * UNIT, TRX: 40 * UNIT},
    ),
    Rule(
        "advanced_kyc",
        RuleKind.KYC_REQUIRED,
        Effect.REFUSE,
        level=3,
        from_amount={USDT: 90 * UNIT, TRX: 90 * UNIT},
    ),
    Rule(
        "verify_first",
        RuleKind.KYC_REQUIRED,
        Effect.APPROVE,
        workflow="unverified",
        level=1,
        from_amount={USDT: 45 * UNIT, TRX: 15 * UNIT},
    ),
    Rule(
        "very_large",
        RuleKind.AMOUNT_REVIEW,
        Effect.HOLD,
        roles=ADMINS,
        from_amount={USDT: 70 * UNIT, TRX: 70 * UNIT},
    ),
    Rule(
        "burst",
        RuleKind.VELOCITY,
        Effect.HOLD,
        roles=APPROVERS,
        per=Per.RECIPIENT,
        count=3,
        window_seconds=600,
    ),
    Rule(
        "busy_client",
        RuleKind.VELOCITY,
        Effect.ALERT,
        per=Per.CLIENT,
        count=3,
        window_seconds=3600,
    ),
    Rule("first_payout", RuleKind.NEW_RECIPIENT, Effect.NOTE),
)

_PLAIN: Final = RoutePolicy(
    name=RouteName.V0,
    enabled=True,
    wallet=None,
    limits={},
    fee_cap_sun=100 * UNIT,
    capacity=1_000,
    priority=5,
)
ROUTES: Final = (
    replace(
        _PLAIN,
        limits={
            USDT: RouteLimits(10_000, 30 * UNIT, hourly=80 * UNIT),
            TRX: RouteLimits(10_000, 30 * UNIT, hourly=80 * UNIT),
        },
    ),
    replace(
        _PLAIN,
        name=RouteName.KYC,
        wallet=WALLETS[1].address,
        limits={
            USDT: RouteLimits(
                25 * UNIT, daily=200 * UNIT, kyc=(KycStep(50 * UNIT, 1), KycStep(None, 2))
            ),
            TRX: RouteLimits(25 * UNIT, kyc=(KycStep(None, 1),)),
        },
        priority=6,
    ),
    replace(
        _PLAIN,
        name=RouteName.DIRECT,
        wallet=WALLETS[1].address,
        limits={
            USDT: RouteLimits(
                10_000,
                hourly=60 * UNIT,
                daily=120 * UNIT,
                kyc=(KycStep(30 * UNIT, 0), KycStep(None, 1)),
            )
        },
        capacity=3,
        priority=9,
        urgent_from_priority=8,
    ),
)

SPENDING: Final = SpendPolicy(
    all={
        USDT: {
            Period.HOUR: Ceiling(150 * UNIT, 6),
            Period.DAY: Ceiling(400 * UNIT),
            Period.MONTH: Ceiling(600 * UNIT),
        },
        TRX: {Period.DAY: Ceiling(200 * UNIT, 8)},
    },
    routes={route.name: route.ceilings for route in ROUTES},
    clients={
        "USER": {
            USDT: ClientLimits(25 * UNIT, {Period.DAY: Ceiling(60 * UNIT, 3)}),
            TRX: ClientLimits(40 * UNIT, {Period.HOUR: Ceiling(None, 2)}),
        },
        "NODE_OPERATOR": {USDT: ClientLimits(None, {Period.DAY: Ceiling(100 * UNIT)})},
    },
    recipients={
        USDT: {Period.DAY: Ceiling(160 * UNIT, 5)},
        TRX: {Period.DAY: Ceiling(None, 4)},
    },
)

BATCH_SIZE: Final = 3
BATCH_INTERVAL: Final = 300
AMOUNTS: Final = {
    USDT: AmountLimits(10_000, 110 * UNIT),
    TRX: AmountLimits(10_000, 100 * UNIT),
}
KYC_DAYS: Final = {1: 2, 2: 30, 3: 1}

TIGHT: Final = replace(
    POLICIES,
    amounts=AMOUNTS,
    spending=SPENDING,
    kyc_validity={level: timedelta(days=days) for level, days in KYC_DAYS.items()},
    decisions=replace(
        DECISIONS,
        rules=RULES,
        routes=ROUTES,
        routing=replace(
            DECISIONS.routing,
            weights={
                each: {Merit.AMOUNT: 40, Merit.PRIORITY: 30, Merit.LOAD: 15, Merit.SUCCESS: 15}
                for each in Strategy
            },
            breaker=replace(DECISIONS.routing.breaker, min_volume=4, trial_payouts=2),
        ),
        approvals=WORKFLOWS,
        schedule=replace(
            DECISIONS.schedule, batch_interval_seconds=BATCH_INTERVAL, batch_size=BATCH_SIZE
        ),
    ),
)

KNOWN_RULES: Final = frozenset(rule.name for rule in RULES) | {
    rule.workflow.name for rule in WORKFLOWS
}

THRESHOLDS: Final[Mapping[Currency, tuple[int, ...]]] = {
    currency: tuple(
        sorted(
            {
                AMOUNTS[currency].minimum,
                5 * UNIT,
                10 * UNIT,
                AMOUNTS[currency].maximum,
                *(rule.from_amount[currency] for rule in RULES if currency in rule.from_amount),
                *(rule.from_amount[currency] for rule in WORKFLOWS if currency in rule.from_amount),
                *(
                    edge
                    for route in ROUTES
                    if currency in route.limits
                    for limits in [route.limits[currency]]
                    for edge in (limits.minimum, limits.maximum, *(s.up_to for s in limits.kyc))
                    if edge is not None
                ),
            }
        )
    )
    for currency in Currency
}
"""Where something begins or ends, by currency; payouts are drawn at these and beside them."""
