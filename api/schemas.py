"""Requests as JSON, checked for shape: strict types, no unknown fields, every length bounded."""

import hashlib
import json
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from api.fields import (
    Address,
    Amount,
    AnyCurrency,
    AnyReason,
    AnyResolution,
    AnyStatus,
    MetadataKey,
    MetadataValue,
    Moment,
    Name,
    Remark,
    RequiredRemark,
    Txid,
)
from api.paging import Cursor, PageSize
from models.payout import NewPayout, Order
from ports.store import PayoutQuery


class _Request(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class CreatePayout(_Request):
    """A payout to make. Money is a decimal string, never a JSON number."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "recipient_address": "TJRabPrwbZy45sbavfcjinPJC18kjpRTv8",
                    "amount": "12.50",
                    "currency": "USDT",
                    "reason": "uptime_reward",
                    "reference": "march-0042",
                }
            ]
        }
    )

    recipient_address: Annotated[Address, Field(description="Base58check, beginning with T.")]
    amount: Annotated[Amount, Field(description="At most 6 decimals; the limits are per currency.")]
    currency: AnyCurrency
    reason: AnyReason
    reference: Annotated[Name | None, Field(description="Your own name for it.")] = None
    description: Remark | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=20)] = {}
    session_id: Name | None = None
    node_id: Name | None = None
    priority: Annotated[int, Field(ge=1, le=10, description="10 is paid first.")] = 5
    expires_at: Annotated[
        Moment | None,
        Field(description="From then on no new transaction is made for it; it ends `expired`."),
    ] = None

    def to_new(self, idempotency_key: str | None) -> NewPayout:
        """The request as the use cases take it."""
        return NewPayout(Order(**dict(self)), self.fingerprint, idempotency_key)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the canonical JSON: two ways to write the same payout are the same.

        Fields at their defaults are left out, so that a field added later changes no fingerprint.
        """
        fields = self.model_dump(mode="json", exclude_defaults=True)
        canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


class CancelPayout(_Request):
    """Why a payout is cancelled."""

    reason: Remark | None = None


class ResolvePayout(_Request):
    """What a person decides about a payout in `needs_review`, and why."""

    action: AnyResolution
    reason: RequiredRemark


class OpenGate(_Request):
    """Why a person opens a gate."""

    reason: RequiredRemark


class ExplainTransfer(_Request):
    """Which payout a transfer belongs to; none declares it known."""

    payout_id: Name | None = None
    note: RequiredRemark


class ListPayouts(_Request):
    """Filters of a list, all of which must hold, and the page."""

    status: AnyStatus | None = None
    currency: AnyCurrency | None = None
    recipient: Address | None = None
    txid: Txid | None = None
    session_id: Name | None = None
    node_id: Name | None = None
    reference: Name | None = None
    created_from: Annotated[Moment | None, Field(description="Created then or later.")] = None
    created_to: Annotated[Moment | None, Field(description="Created before then.")] = None
    cursor: Annotated[
        Cursor | None,
        Field(description="`next_cursor` of the page before."),
    ] = None
    limit: PageSize = None

    def to_query(self) -> PayoutQuery:
        """The filters as the use cases take them."""
        filters = dict(self)
        filters["after"] = filters.pop("cursor")
        del filters["limit"]
        return PayoutQuery(**filters)


class ListUnexplained(_Request):
    """Which unexplained transfers, and how many."""

    include_explained: Annotated[bool, Field(strict=False)] = False
    limit: PageSize = None
