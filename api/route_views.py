"""Routes as JSON for people: their rules, and how they stand now."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from api.views import TrxAmount
from models.figures import Fees, Latency
from models.money import Currency, format_amount
from models.order import RouteName
from models.route_health import Health
from models.routes import BreakerState, RouteLimits, Strategy
from services.quoting import RouteReport

Money = Annotated[str | None, Field(examples=["1000.00"])]


class KycStepView(BaseModel):
    """The KYC level (0: none) that a recipient of amounts up to `up_to` (null: all) needs."""

    up_to: Money
    level: int


class RouteLimitsView(BaseModel):
    """What a route takes of one currency. Null is no limit of its own: that of the currency holds.

    `GET /limits` shows what is used of those of an hour, day and month.
    """

    currency: Currency
    min_amount: str
    max_amount: Money
    hourly: Money
    daily: Money
    monthly: Money
    kyc: list[KycStepView]

    @classmethod
    def of(cls, currency: Currency, limits: RouteLimits) -> Self:
        """Render what a route takes of a currency."""
        return cls(
            currency=currency,
            min_amount=format_amount(limits.minimum),
            max_amount=_money(limits.maximum),
            hourly=_money(limits.hourly),
            daily=_money(limits.daily),
            monthly=_money(limits.monthly),
            kyc=[KycStepView(up_to=_money(step.up_to), level=step.level) for step in limits.kyc],
        )


class BreakerView(BaseModel):
    """What the failures of late mean: `open` lets no payouts through, `half_open` a few at once."""

    state: BreakerState
    at_once: Annotated[int | None, Field(description="Payouts in flight; null: its capacity.")]
    reason: str


class LatencyView(BaseModel):
    """Seconds from when a payout may be paid to its completion, which so many per cent keep."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, latency: Latency) -> Self:
        """Render latencies."""
        return cls(p50=latency.p50, p95=latency.p95, p99=latency.p99)


class FeesView(BaseModel):
    """What so many completed payouts of a currency burned on average; the transactions of one
    count together."""

    currency: Currency
    sampled: int
    mean_trx: TrxAmount

    @classmethod
    def of(cls, currency: Currency, fees: Fees) -> Self:
        """Render fees."""
        return cls(currency=currency, sampled=fees.sampled, mean_trx=format_amount(fees.mean_sun))


class FundsView(BaseModel):
    """What a wallet holds."""

    trx: TrxAmount
    usdt: Annotated[str, Field(examples=["25000.00"])]


class RouteView(BaseModel):
    """A route: what it takes, by which wallet it pays, and how it does.

    `ended`, `failed` and `last_failed_at` are of the breaker's window; `latency_seconds` of the
    last `sampled` completed payouts, null without any, and `fees` of those of the last hour.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "direct",
                    "enabled": True,
                    "health": "degraded",
                    "reasons": ["82 payouts in flight or waiting, with a capacity of 100"],
                    "wallet": "TJRabPrwbZy45sbavfcjinPJC18kjpRTv8",
                    "wallet_holds": {"trx": "5120.40", "usdt": "25000.00"},
                    "priority": 9,
                    "urgent_from_priority": 8,
                    "in_flight": 60,
                    "waiting": 22,
                    "capacity": 100,
                    "breaker": {"state": "closed", "at_once": None, "reason": ""},
                    "ended": 41,
                    "failed": 1,
                    "last_failed_at": "2026-03-01T11:52:07Z",
                    "sampled": 200,
                    "latency_seconds": {"p50": 71.2, "p95": 84.0, "p99": 131.5},
                    "last_completed_at": "2026-03-01T11:59:58Z",
                    "fees": [{"currency": "USDT", "sampled": 118, "mean_trx": "6.77"}],
                    "fee_cap_trx": "200.00",
                    "limits": [
                        {
                            "currency": "USDT",
                            "min_amount": "0.01",
                            "max_amount": None,
                            "hourly": "10000.00",
                            "daily": "50000.00",
                            "monthly": "500000.00",
                            "kyc": [
                                {"up_to": "1000.00", "level": 0},
                                {"up_to": None, "level": 2},
                            ],
                        }
                    ],
                }
            ]
        }
    )

    name: RouteName
    enabled: bool
    health: Health
    reasons: Annotated[list[str], Field(description="What speaks against it, the worst first.")]
    wallet: str
    wallet_holds: Annotated[
        FundsView | None, Field(description="A few seconds ago; null while no node tells.")
    ]
    priority: Annotated[int, Field(description="1 to 10; 10 is preferred.")]
    urgent_from_priority: Annotated[
        int | None,
        Field(description="It takes emergencies, and payouts of that priority or above only."),
    ]
    in_flight: Annotated[int, Field(description="Payouts that have a live transaction.")]
    waiting: Annotated[int, Field(description="Payouts that are pending.")]
    capacity: Annotated[int, Field(description="The most that may be in flight.")]
    breaker: BreakerView
    ended: int
    failed: int
    last_failed_at: datetime | None
    sampled: int
    latency_seconds: LatencyView | None
    last_completed_at: datetime | None
    fees: list[FeesView]
    fee_cap_trx: Annotated[
        TrxAmount, Field(description="A payout that usually burns more does not go here.")
    ]
    limits: list[RouteLimitsView]

    @classmethod
    def of(cls, report: RouteReport) -> Self:
        """Render a route."""
        policy, state = report.route.policy, report.route.state
        figures, funds, verdict = state.figures, state.funds, state.breaker
        return cls(
            name=policy.name,
            enabled=policy.enabled,
            health=report.condition.health,
            reasons=list(report.condition.reasons),
            wallet=report.wallet,
            wallet_holds=funds
            and FundsView(trx=format_amount(funds.trx_sun), usdt=format_amount(funds.usdt)),
            priority=policy.priority,
            urgent_from_priority=policy.urgent_from_priority,
            in_flight=figures.in_flight,
            waiting=figures.waiting,
            capacity=policy.capacity,
            breaker=BreakerView(state=verdict.state, at_once=verdict.at_once, reason=verdict.text),
            ended=figures.ended,
            failed=figures.failed,
            last_failed_at=figures.last_failed_at,
            sampled=figures.sampled,
            latency_seconds=figures.latency and LatencyView.of(figures.latency),
            last_completed_at=figures.last_completed_at,
            fees=[FeesView.of(currency, fees) for currency, fees in sorted(figures.fees.items())],
            fee_cap_trx=format_amount(policy.fee_cap_sun),
            limits=[
                RouteLimitsView.of(currency, limits) for currency, limits in policy.limits.items()
            ],
        )


class RouteList(BaseModel):
    """All routes, and by which strategy a payout that may take several is given one."""

    strategy: Strategy
    items: list[RouteView]

    @classmethod
    def of(cls, strategy: Strategy, reports: Sequence[RouteReport]) -> Self:
        """Render the routes."""
        return cls(strategy=strategy, items=[RouteView.of(report) for report in reports])


def _money(units: int | None) -> str | None:
    return None if units is None else format_amount(units)
