"""Requests as JSON, checked for shape: strict types, no unknown fields, every length bounded."""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationInfo,
    field_validator,
    model_validator,
)

from api.fields import (
    Address,
    Amount,
    AnyActivity,
    AnyBatchWindow,
    AnyCurrency,
    AnyPayoutType,
    AnyReason,
    AnyResolution,
    AnyRoute,
    AnyRouteChoice,
    AnyStatus,
    BatchId,
    Metadata,
    Moment,
    Name,
    Remark,
    RequiredRemark,
    Tenant,
    Txid,
    fault,
)
from api.paging import Cursor, PageSize, RevocationCursor
from models.batch import MAX_BATCH_ITEMS, NewBatch
from models.order import BatchWindow, NewPayout, Order, PayoutType, RouteChoice
from models.pause import Pause
from models.token import Target
from ports.store import PayoutQuery


class Request(BaseModel):
    """A body or a query: nothing but the fields that are named."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def examples(*bodies: Mapping[str, JsonValue]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [dict(body) for body in bodies]})


class CreatePayout(Request):
    """A payout to make. Money is a decimal string, never a JSON number."""

    model_config = examples(
        {
            "recipient_address": "TJRabPrwbZy45sbavfcjinPJC18kjpRTv8",
            "amount": "12.50",
            "currency": "USDT",
            "reason": "uptime_reward",
            "reference": "march-0042",
        },
        {
            "recipient_address": "TJRabPrwbZy45sbavfcjinPJC18kjpRTv8",
            "amount": "0.75",
            "currency": "USDT",
            "reason": "session_relay",
            "payout_type": "batch",
            "batch_window": "daily",
            "route": "v0",
        },
    )

    recipient_address: Annotated[Address, Field(description="Base58check, beginning with T.")]
    amount: Annotated[Amount, Field(description="At most 6 decimals; the limits are per currency.")]
    currency: AnyCurrency
    reason: AnyReason
    reference: Annotated[Name | None, Field(description="Your own name for it.")] = None
    description: Remark | None = None
    metadata: Metadata = {}
    session_id: Name | None = None
    node_id: Name | None = None
    priority: Annotated[int, Field(ge=1, le=10, description="10 is paid first.")] = 5
    expires_at: Annotated[
        Moment | None,
        Field(description="From then on no new transaction is made for it; it ends `expired`."),
    ] = None
    payout_type: Annotated[
        AnyPayoutType,
        Field(
            description="`batch` may wait to be paid with others, `scheduled` waits for its time, "
            "`emergency` goes before all others and is approved first."
        ),
    ] = PayoutType.IMMEDIATE
    scheduled_at: Annotated[
        Moment | None, Field(description="When a `scheduled` payout may be paid, and not before.")
    ] = None
    batch_window: Annotated[
        AnyBatchWindow,
        Field(description="Until the end of what a `batch` payout waits, or until it is full."),
    ] = BatchWindow.INTERVAL
    route: Annotated[
        AnyRouteChoice, Field(description="`smart` is the best one that takes the payout.")
    ] = RouteChoice.SMART

    def to_order(self) -> Order:
        """What is asked for."""
        return Order(**dict(self))

    def to_new(self, idempotency_key: str | None) -> NewPayout:
        """The request as the use cases take it."""
        return NewPayout(self.to_order(), self.fingerprint, idempotency_key)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the canonical JSON: two ways to write the same payout are the same.

        Fields at their defaults are left out, so that a field added later changes no fingerprint.
        """
        return _digest(self)


class CreateBatch(Request):
    """Payouts to make, in this order."""

    model_config = examples(
        {
            "payouts": [
                {
                    "recipient_address": "TJRabPrwbZy45sbavfcjinPJC18kjpRTv8",
                    "amount": "12.50",
                    "currency": "USDT",
                    "reason": "uptime_reward",
                    "reference": "march-0042",
                },
                {
                    "recipient_address": "TUFCzu9oP4qieME5V2A4ZCaWSmb9NKHKFr",
                    "amount": "3",
                    "currency": "TRX",
                    "reason": "uptime_reward",
                    "reference": "march-0043",
                },
            ]
        }
    )

    payouts: Annotated[
        list[CreatePayout],
        Field(
            min_length=1,
            max_length=MAX_BATCH_ITEMS,
            description="Each as in `POST /payouts`; the settings may permit fewer (P301).",
        ),
    ]

    def to_new(self, idempotency_key: str) -> NewBatch:
        """The request as the use cases take it."""
        orders = [payout.to_order() for payout in self.payouts]
        return NewBatch(orders, _digest(self), idempotency_key)


def _digest(body: Request) -> str:
    fields = body.model_dump(mode="json", exclude_defaults=True)
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


class CancelPayout(Request):
    """Why a payout is cancelled."""

    model_config = examples({"reason": "ordered twice"})

    reason: Remark | None = None


class ResolvePayout(Request):
    """What a person decides about a payout in `needs_review`, and why."""

    model_config = examples({"action": "retry", "reason": "the endpoints are up again"})

    action: AnyResolution
    reason: RequiredRemark


class Decide(Request):
    """What a person has to say about their decision."""

    model_config = examples({"comment": "checked against the contract"})

    comment: RequiredRemark


class ChooseRoute(Request):
    """By which route a payout is to go, and why."""

    model_config = examples({"route": "v0", "reason": "the wallet of direct is being refilled"})

    route: AnyRoute
    reason: RequiredRemark


class OpenGate(Request):
    """Why a person opens a gate."""

    model_config = examples({"reason": "the proof was checked by hand"})

    reason: RequiredRemark


class PauseOrResume(Request):
    """What is stopped, or goes on, and why: all of it, one currency's, or one wallet's part."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"what": "dispatch", "reason": "balances do not add up"},
                {"what": "intake", "currency": "USDT", "reason": "the token is being upgraded"},
            ]
        }
    )

    what: AnyActivity
    currency: AnyCurrency | None = None
    wallet: Annotated[Address | None, Field(description="Of dispatch only.")] = None
    reason: RequiredRemark

    @field_validator("wallet")
    @classmethod
    def _fits(cls, wallet: str | None, info: ValidationInfo) -> str | None:
        if "what" in info.data:
            try:
                Pause(info.data["what"], info.data.get("currency"), wallet)
            except ValueError as error:
                raise fault("P003", str(error)) from None
        return wallet

    @property
    def pause(self) -> Pause:
        """What it is about."""
        return Pause(self.what, self.currency, self.wallet)


class RevokeTokens(Request):
    """Which tokens no longer count, and why: the one with a jti, or those of a subject."""

    model_config = examples(
        {"jti": "4c1f0f5ad44c4f0b8bd0a5b0ac5d3c2e", "reason": "was in a screenshot"},
        {"subject": "shop-7", "tenant": "north", "reason": "the host was broken into"},
    )

    jti: Annotated[Name | None, Field(description="Of one token.")] = None
    subject: Annotated[Name | None, Field(description="`sub` of the tokens.")] = None
    tenant: Annotated[
        Tenant | None, Field(description="The subject's; none for tokens without a tenant.")
    ] = None
    before: Annotated[
        Moment | None,
        Field(description="Tokens of the subject that were issued earlier; by default, until now."),
    ] = None
    reason: RequiredRemark

    @model_validator(mode="after")
    def _check(self) -> "RevokeTokens":
        if (self.jti is None) == (self.subject is None):
            raise fault("P003", "must have jti, or subject")
        if self.jti is not None and (self.tenant is not None or self.before is not None):
            raise fault("P003", "must have tenant and before with a subject only")
        return self

    @property
    def target(self) -> Target:
        """What it is about."""
        return Target(self.jti, self.subject, self.tenant, self.before)


class ListRevocations(Request):
    """A page of revocations."""

    cursor: Annotated[
        RevocationCursor | None, Field(description="`next_cursor` of the page before.")
    ] = None
    limit: PageSize = None


class ExplainTransfer(Request):
    """Which payout a transfer belongs to; none declares it known."""

    model_config = examples(
        {"note": "moved to the cold wallet by hand"},
        {"payout_id": "payout_0196e4a1b2c37d4e8f90a1b2c3d4e5f6", "note": "seen in the old log"},
    )

    payout_id: Name | None = None
    note: RequiredRemark


class ListPayouts(Request):
    """Filters of a list, all of which must hold, and the page."""

    status: AnyStatus | None = None
    currency: AnyCurrency | None = None
    recipient: Address | None = None
    txid: Txid | None = None
    session_id: Name | None = None
    node_id: Name | None = None
    reference: Name | None = None
    route: AnyRoute | None = None
    payout_type: AnyPayoutType | None = None
    batch_id: Annotated[BatchId | None, Field(description="That came in this request.")] = None
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


class ListLimits(Request):
    """Whose limits to show besides the caller's own."""

    recipient: Address | None = None


class ListUnexplained(Request):
    """Which unexplained transfers, and how many."""

    include_explained: Annotated[bool, Field(strict=False)] = False
    limit: PageSize = None
