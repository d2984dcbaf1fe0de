"""The figures that decide how payouts are paid. Values come from the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.money import Currency
from models.order import RouteName


@dataclass(frozen=True, slots=True)
class AttemptPolicy:
    """How long an attempt may live, in milliseconds of chain time.

    `life_ms` from the head block; refused when that lies more than `max_beyond_cursor_ms` past
    the cursor block, which therefore is also the longest life of an attempt. `permission_id` is the
    permission of the wallet's account that its key signs under: 0 owner, 2 to 9 an active one.
    """

    life_ms: int
    max_beyond_cursor_ms: int
    permission_id: int = 0


@dataclass(frozen=True, slots=True)
class FeePolicy:
    """Ceilings on what is burned, in sun: first fee limit and highest one of a token transfer,
    all attempts of one payout together (some routes have a cap of their own), all wallets in one
    UTC day of the chain's clock. `usual_sun` is what one payout of a currency usually burns."""

    fee_limit_sun: int
    max_fee_limit_sun: int
    payout_cap_sun: int
    daily_ceiling_sun: int
    route_caps_sun: Mapping[RouteName, int] = field(default_factory=dict)
    usual_sun: Mapping[Currency, int] = field(default_factory=dict)

    def cap_sun(self, route: RouteName | None) -> int:
        """What all attempts of one payout on that route may burn together."""
        cap = None if route is None else self.route_caps_sun.get(route)
        return self.payout_cap_sun if cap is None else cap


@dataclass(frozen=True, slots=True)
class DispatchPolicy:
    """Groups of up to `group_size`; a lease of `lease_seconds`; what cannot be paid now is looked
    at again after `skip_seconds`. After `max_deaths` deaths that count, or `max_refusals`
    preflights that say "revert", a person looks. `concurrency` bounds broadcasts at once."""

    group_size: int
    lease_seconds: float
    skip_seconds: float
    max_deaths: int
    max_refusals: int
    concurrency: int
    preflight: bool


@dataclass(frozen=True, slots=True)
class SettlePolicy:
    """Blocks read at a time, payouts judged at a time, and after how many seconds an attempt is
    sent again: after it was sent and no block had it, and after it was recorded and no node took
    it (longer than a group takes to be sent)."""

    blocks_per_read: int
    group_size: int
    resend_after_seconds: float
    unsent_after_seconds: float


@dataclass(frozen=True, slots=True)
class AuditPolicy:
    """Records logged at a time, and how old an entry is when it is moved to the archive."""

    group_size: int
    retention_seconds: float
