"""`payout-router-config.yaml`: what the router does. Amounts are integers in base units."""

from collections.abc import Mapping

from pydantic import Field, model_validator

from models.batch import MAX_BATCH_ITEMS
from models.limits import AmountLimits
from models.money import Currency
from models.routes import RoutePolicy
from settings.routes import RoutesConfig, RoutingConfig, route_policies
from settings.scheduling import SchedulingConfig
from settings.spending import CurrencyLimits
from settings.values import Frozen, PositiveMoney, Seconds
from utils.connection_pool import HttpPoolSettings, MongoPoolSettings, RedisPoolSettings


class DispatchConfig(Frozen):
    """The claim of due payouts: group size, lease, what happens to those that are skipped, when a
    person looks (deaths that count, preflights that say "revert"), and broadcasts at once."""

    group_size: int = Field(ge=1, le=1000)
    concurrency: int = Field(ge=1, le=1000)
    poll_seconds: Seconds
    lease_seconds: Seconds
    skip_seconds: Seconds
    max_attempts_before_review: int = Field(ge=1, le=100)
    max_refusals_before_review: int = Field(ge=1, le=100)


class AttemptConfig(Frozen):
    """An attempt's life, all of it in the chain's time."""

    life_seconds: int = Field(ge=15, le=3600)
    max_beyond_cursor_seconds: int = Field(ge=15, le=86_400)
    head_stale_seconds: int = Field(ge=6, le=3600)

    @model_validator(mode="after")
    def _check(self) -> "AttemptConfig":
        if self.life_seconds > self.max_beyond_cursor_seconds:
            raise ValueError("life_seconds ≤ max_beyond_cursor_seconds")
        return self


class FeeConfig(Frozen):
    """What may be burnt, in sun (the file says TRX): per try, per payout, by all
    wallets in a day; and what one payout of a currency usually burns."""

    fee_limit_sun: PositiveMoney = Field(alias="fee_limit_trx")
    max_fee_limit_sun: PositiveMoney = Field(alias="max_fee_limit_trx")
    payout_fee_cap_sun: PositiveMoney = Field(alias="payout_fee_cap_trx")
    daily_ceiling_sun: PositiveMoney = Field(alias="daily_ceiling_trx")
    usual_sun: dict[Currency, PositiveMoney] = Field(alias="usual_trx", min_length=1)

    @model_validator(mode="after")
    def _check(self) -> "FeeConfig":
        steps = (
            self.fee_limit_sun,
            self.max_fee_limit_sun,
            self.payout_fee_cap_sun,
            self.daily_ceiling_sun,
        )
        if list(steps) != sorted(steps):
            raise ValueError(
                "fee_limit_trx ≤ max_fee_limit_trx ≤ payout_fee_cap_trx ≤ daily_ceiling_trx"
            )
        return self


class PreflightConfig(Frozen):
    """Whether a token transfer is simulated before it is signed."""

    enabled: bool


class SettleConfig(Frozen):
    """Reading solid blocks, judging what is overdue, and sending the same bytes again."""

    poll_seconds: Seconds
    blocks_per_read: int = Field(ge=1, le=100)
    group_size: int = Field(ge=1, le=1000)
    review_seconds: Seconds
    resend_after_seconds: Seconds
    unsent_after_seconds: Seconds


class AuditConfig(Frozen):
    """The audit log: how often and how much is copied into it, and how long it stays in place."""

    poll_seconds: Seconds
    group_size: int = Field(ge=1, le=1000)
    retention_days: int = Field(ge=1, le=36_500)


class TronConfig(Frozen):
    """Calls to one endpoint: how many a second, how many at once, and how large an answer; and
    after how long a silence an endpoint has no say in what is believed."""

    silent_after_seconds: Seconds
    requests_per_second: float = Field(gt=0, le=10_000)
    burst: int = Field(ge=1, le=10_000)
    max_answer_bytes: int = Field(ge=65_536, le=1 << 30)
    http: HttpPoolSettings


class ApiConfig(Frozen):
    """Pages and batches; what one request may be and take; and how many there may be of them, and
    of connections, in one process."""

    default_page_size: int = Field(ge=1, le=1000)
    max_page_size: int = Field(ge=1, le=1000)
    max_batch_items: int = Field(ge=1, le=MAX_BATCH_ITEMS)
    batch_seconds: Seconds
    max_body_bytes: int = Field(ge=1024, le=1 << 24)
    max_in_flight: int = Field(ge=1, le=100_000)
    request_seconds: Seconds
    refusal_seconds: float = Field(ge=0, le=10)
    max_connections: int = Field(ge=1, le=100_000)
    head_seconds: Seconds
    max_head_bytes: int = Field(ge=1024, le=1 << 20)
    max_headers: int = Field(ge=16, le=1000)

    @model_validator(mode="after")
    def _check(self) -> "ApiConfig":
        if self.default_page_size > self.max_page_size:
            raise ValueError("default_page_size ≤ max_page_size")
        if 2 * self.refusal_seconds > self.request_seconds:
            raise ValueError("refusal_seconds at most half of request_seconds")
        if self.batch_seconds >= self.request_seconds:
            raise ValueError("batch_seconds < request_seconds")
        return self


class RouterConfig(Frozen):
    """`payout-router-config.yaml`."""

    currencies: dict[Currency, CurrencyLimits] = Field(min_length=1)
    routes: RoutesConfig
    routing: RoutingConfig
    scheduling: SchedulingConfig
    dispatch: DispatchConfig
    attempt: AttemptConfig
    fees: FeeConfig
    preflight: PreflightConfig
    settle: SettleConfig
    audit: AuditConfig
    tron: TronConfig
    mongodb: MongoPoolSettings
    redis: RedisPoolSettings
    api: ApiConfig

    @property
    def amount_limits(self) -> Mapping[Currency, AmountLimits]:
        """The limits of each currency that is paid here."""
        return {
            currency: AmountLimits(limits.min_amount, limits.max_amount)
            for currency, limits in self.currencies.items()
        }

    @property
    def route_policies(self) -> tuple[RoutePolicy, ...]:
        """The rules of all routes."""
        return route_policies(self.routes)

    @model_validator(mode="after")
    def _every_currency_has_a_route(self) -> "RouterConfig":
        enabled = [route for route in self.routes.values() if route.enabled]
        for currency in self.currencies:
            if not any(currency in route.currencies for route in enabled):
                raise ValueError(f"an enabled route that pays {currency}")
        return self
