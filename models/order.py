"""What a client asks for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from models.money import Currency


class PayoutReason(StrEnum):
    """What a payout is for."""

    SESSION_RELAY = "session_relay"
    STORAGE_PROOF = "storage_proof"
    VALIDATION_SIGNATURE = "validation_signature"
    UPTIME_REWARD = "uptime_reward"
    GOVERNANCE_PARTICIPATION = "governance_participation"
    CUSTOM = "custom"


class PayoutType(StrEnum):
    """When a payout is to be paid: at once; at a time; gathered with others; before all others."""

    IMMEDIATE = "immediate"
    SCHEDULED = "scheduled"
    BATCH = "batch"
    EMERGENCY = "emergency"


class BatchWindow(StrEnum):
    """Until when a batch gathers: the configured interval, or the end of a UTC hour, day, week."""

    INTERVAL = "interval"
    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"


class RouteName(StrEnum):
    """The routes: end users without KYC, verified recipients, urgent payouts."""

    V0 = "v0"
    KYC = "kyc"
    DIRECT = "direct"


class RouteChoice(StrEnum):
    """What a client asks for: one route, or `smart` for the best that takes the payout."""

    SMART = "smart"
    V0 = "v0"
    KYC = "kyc"
    DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class Order:
    """What a client asks for. `amount` is in base units; `priority` is 1 to 10, 10 first;
    `expires_at` and `scheduled_at` have an offset. `batch_window` is that of a batch."""

    recipient_address: str
    amount: int
    currency: Currency
    reason: PayoutReason
    reference: str | None = None
    description: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    session_id: str | None = None
    node_id: str | None = None
    priority: int = 5
    expires_at: datetime | None = None
    payout_type: PayoutType = PayoutType.IMMEDIATE
    scheduled_at: datetime | None = None
    batch_window: BatchWindow = BatchWindow.INTERVAL
    route: RouteChoice = RouteChoice.SMART


@dataclass(frozen=True, slots=True)
class Batch:
    """The request in which several payouts come: its id, and how many it brings (1 or more)."""

    batch_id: str
    items: int


@dataclass(frozen=True, slots=True)
class NewPayout:
    """A request to pay, checked for shape.

    `fingerprint` is the SHA-256 (hex) of the canonical request body: the same idempotency key
    with another fingerprint is another request. `batch` is None for a payout that comes alone.
    """

    order: Order
    fingerprint: str
    idempotency_key: str | None = None
    batch: Batch | None = None
