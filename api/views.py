"""Answers as JSON."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import BaseModel, Field

from api.finding_views import ApprovalView, FindingView, HoldView
from api.paging import encode_cursor
from models.chain import Hit, Transfer
from models.money import Currency, format_amount
from models.order import BatchWindow, PayoutReason, PayoutType, RouteChoice, RouteName
from models.pause import Activity, Pause
from models.payout import Payout, PayoutStatus, hits_of, paid_hit
from models.token import Revocation
from ports.store import Gate, StatusTotal, Unexplained

TrxAmount = Annotated[str, Field(examples=["0.27"])]


class StatusReason(BaseModel):
    """Why a payout is in its status."""

    code: Annotated[str | None, Field(description="None where a person gave the reason.")]
    message: str


class PayoutView(BaseModel):
    """A payout: what was asked for, and where it stands.

    `block_number`, `confirmations`, `fee_trx` and `energy_used` are those of transaction `txid`,
    which is the one that may still be paid, else the one that paid, else the last one.
    `requested_route` is what was asked for, `route` and `wallet` by which it goes; `findings` say
    why, and what each rule said. `hold` and `approval` are what it waits for, or waited.
    """

    payout_id: str
    batch_id: Annotated[
        str | None, Field(description="The request that it came in with others (`POST /batches`).")
    ]
    status: PayoutStatus
    status_reason: StatusReason | None
    payout_type: PayoutType
    scheduled_at: datetime | None
    batch_window: BatchWindow
    requested_route: RouteChoice
    route: RouteName | None
    wallet: Annotated[str | None, Field(description="The wallet that pays.")]
    findings: list[FindingView]
    hold: Annotated[HoldView | None, Field(description="What a person must release it from.")]
    approval: Annotated[ApprovalView | None, Field(description="Whose consent it needs.")]
    release_at: Annotated[
        datetime | None, Field(description="Until when a scheduled or batch payout waits at most.")
    ]
    recipient_address: str
    amount: Annotated[str, Field(examples=["12.50"])]
    currency: Currency
    reason: PayoutReason
    reference: str | None
    description: str | None
    metadata: dict[str, str]
    session_id: str | None
    node_id: str | None
    priority: int
    expires_at: datetime | None
    txid: str | None
    block_number: int | None
    confirmations: Annotated[
        int, Field(description="Blocks from the one that paid to the newest that was looked at.")
    ]
    fee_trx: Annotated[TrxAmount | None, Field(description="TRX burned, a decimal string.")]
    energy_used: int | None
    attempts: Annotated[int, Field(description="Transactions made so far, the live one included.")]
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None

    @classmethod
    def of(cls, payout: Payout, confirmations: int) -> Self:
        """Render a payout."""
        order, why = payout.order, payout.status_reason
        txid, hit = shown_transaction(payout)
        return cls(
            payout_id=payout.payout_id,
            batch_id=payout.batch_id,
            status=payout.status,
            status_reason=why and StatusReason(code=why.code, message=why.message),
            payout_type=order.payout_type,
            scheduled_at=order.scheduled_at,
            batch_window=order.batch_window,
            requested_route=order.route,
            route=payout.route,
            wallet=payout.wallet,
            findings=[FindingView.of(finding) for finding in payout.findings],
            hold=payout.hold and HoldView.of(payout.hold),
            approval=payout.approval and ApprovalView.of(payout.approval),
            release_at=payout.release_at,
            recipient_address=order.recipient_address,
            amount=format_amount(order.amount),
            currency=order.currency,
            reason=order.reason,
            reference=order.reference,
            description=order.description,
            metadata=dict(order.metadata),
            session_id=order.session_id,
            node_id=order.node_id,
            priority=order.priority,
            expires_at=order.expires_at,
            txid=txid,
            block_number=hit and hit.block.number,
            confirmations=confirmations,
            fee_trx=hit and format_amount(hit.fee_sun),
            energy_used=hit and hit.energy_used,
            attempts=len(payout.attempts) + (payout.live_attempt is not None),
            created_at=payout.created_at,
            updated_at=payout.updated_at,
            completed_at=payout.completed_at,
        )


def shown_transaction(payout: Payout) -> tuple[str | None, Hit | None]:
    """The txid that stands for a payout, and what it did in a solid block, if it is in one."""
    paid = paid_hit(payout)
    if payout.live_attempt is not None:
        txid = payout.live_attempt.txid
    elif paid is not None:
        return paid.txid, paid
    elif payout.attempts:
        txid = payout.attempts[-1].txid
    else:
        return None, None
    hits = hits_of(payout, txid)
    return txid, hits[-1] if hits else None


class PayoutPage(BaseModel):
    """A page of payouts, newest first. `next_cursor` is null on the last page."""

    items: list[PayoutView]
    next_cursor: str | None

    @classmethod
    def of(cls, views: Sequence[PayoutView], limit: int) -> Self:
        """A page of at most `limit` of the views, of which one more tells that there are more."""
        items = list(views[:limit])
        more = len(views) > limit
        return cls(items=items, next_cursor=encode_cursor(items[-1].payout_id) if more else None)


class TotalView(BaseModel):
    """How many payouts of a currency are in a status, and what they add up to."""

    status: PayoutStatus
    currency: Currency
    count: int
    amount: Annotated[str, Field(examples=["1250.00"])]

    @classmethod
    def of(cls, total: StatusTotal) -> Self:
        """Render a total."""
        return cls(
            status=total.status,
            currency=total.currency,
            count=total.count,
            amount=format_amount(total.amount),
        )


class Totals(BaseModel):
    """Payouts counted and summed by status and currency."""

    items: list[TotalView]


class TransferView(BaseModel):
    """Money that moved. `contract` is null for TRX, else the token's."""

    contract: str | None
    owner: str
    recipient: str
    base_units: Annotated[
        str,
        Field(description="An integer: 10^-6 TRX or USDT, or the units of another token."),
    ]

    @classmethod
    def of(cls, transfer: Transfer) -> Self:
        """Render a transfer."""
        return cls(
            contract=transfer.contract,
            owner=transfer.owner,
            recipient=transfer.recipient,
            base_units=str(transfer.amount),
        )


class UnexplainedView(BaseModel):
    """A solid transaction of the hot wallet that no payout knows."""

    txid: str
    owner: str
    block_number: int
    block_time: datetime
    result: Annotated[str, Field(examples=["SUCCESS"])]
    transfers: list[TransferView]
    fee_trx: TrxAmount
    energy_used: int
    payout_id: str | None
    explained_by: str | None
    explained_at: datetime | None
    note: str | None

    @classmethod
    def of(cls, found: Unexplained) -> Self:
        """Render an unexplained transaction."""
        hit = found.hit
        return cls(
            txid=found.txid,
            owner=hit.owner,
            block_number=hit.block.number,
            block_time=datetime.fromtimestamp(hit.block.time_ms / 1000, UTC),
            result=hit.contract_ret,
            transfers=[TransferView.of(transfer) for transfer in hit.transfers],
            fee_trx=format_amount(hit.fee_sun),
            energy_used=hit.energy_used,
            payout_id=found.payout_id,
            explained_by=found.explained_by,
            explained_at=found.explained_at,
            note=found.note,
        )


class UnexplainedList(BaseModel):
    """Unexplained transactions, oldest first."""

    items: list[UnexplainedView]


class GateView(BaseModel):
    """A closed gate. The needs are what a wallet must hold for its gate to open by itself."""

    name: Annotated[str, Field(examples=["frozen"])]
    reason: str
    closed_at: datetime
    closed_by: Annotated[str | None, Field(description="Null where the service closed it.")]
    needs_trx: TrxAmount | None
    needs_usdt: Annotated[str | None, Field(examples=["12.50"])]

    @classmethod
    def of(cls, gate: Gate) -> Self:
        """Render a gate."""
        return cls(
            name=gate.name,
            reason=gate.reason,
            closed_at=gate.closed_at,
            closed_by=gate.closed_by,
            needs_trx=None if gate.needs_trx_sun is None else format_amount(gate.needs_trx_sun),
            needs_usdt=None if gate.needs_usdt is None else format_amount(gate.needs_usdt),
        )


class GateList(BaseModel):
    """The closed gates."""

    items: list[GateView]


class RevocationView(BaseModel):
    """Tokens that no longer count: one by its jti, or those of a subject issued before a time."""

    jti: str | None
    subject: str | None
    tenant: str | None
    before: datetime | None
    reason: str
    revoked_by: Annotated[str, Field(examples=["ADMIN:ada"])]
    revoked_at: datetime

    @classmethod
    def of(cls, revocation: Revocation) -> Self:
        """Render a revocation."""
        target = revocation.target
        return cls(
            jti=target.token_id,
            subject=target.subject,
            tenant=target.tenant,
            before=target.before,
            reason=revocation.reason,
            revoked_by=revocation.revoked_by,
            revoked_at=revocation.revoked_at,
        )


class RevocationPage(BaseModel):
    """A page of revocations. `next_cursor` is null on the last page."""

    items: list[RevocationView]
    next_cursor: str | None

    @classmethod
    def of(cls, found: Sequence[Revocation], limit: int) -> Self:
        """A page of at most `limit` of them, of which one more tells that there are more."""
        shown, more = found[:limit], len(found) > limit
        return cls(
            items=[RevocationView.of(one) for one in shown],
            next_cursor=encode_cursor(shown[-1].target.key) if more else None,
        )


class PauseView(BaseModel):
    """Something that a person has stopped: as a whole, or for one currency or wallet."""

    what: Activity
    currency: Currency | None
    wallet: str | None
    reason: str
    since: datetime
    by: Annotated[str | None, Field(examples=["ADMIN:ada"])]

    @classmethod
    def of(cls, pause: Pause, gate: Gate) -> Self:
        """Render a pause and its gate."""
        return cls(
            what=pause.what,
            currency=pause.currency,
            wallet=pause.wallet,
            reason=gate.reason,
            since=gate.closed_at,
            by=gate.closed_by,
        )


class PauseList(BaseModel):
    """Everything that is paused."""

    items: list[PauseView]
