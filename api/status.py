"""How the service stands, as JSON for people."""

from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from api.views import GateView, PauseView, TrxAmount
from models.chain import Cursor
from models.money import format_amount
from ports.store import Leased
from services.audit import LogStanding

Age = Annotated[float | None, Field(description="Seconds ago; null if it never happened.")]


class CursorView(BaseModel):
    """How far solid blocks have been read, by whichever replica does."""

    block: int
    block_time: datetime
    lag_blocks: Annotated[int, Field(description="Behind the newest block that was looked at.")]
    fees_burned_today_trx: Annotated[TrxAmount, Field(description="Of the cursor's UTC day.")]

    @classmethod
    def of(cls, cursor: Cursor, newest_seen: int) -> Self:
        """Render the cursor."""
        return cls(
            block=cursor.block.number,
            block_time=datetime.fromtimestamp(cursor.block.time_ms / 1000, UTC),
            lag_blocks=max(0, newest_seen - cursor.block.number),
            fees_burned_today_trx=format_amount(cursor.fees.burned_sun),
        )


class ClosedView(BaseModel):
    """One reason for which this replica makes no transactions."""

    name: Annotated[str, Field(examples=["catching_up"])]
    reason: str


class LeaseView(BaseModel):
    """Payouts that one replica is about to pay."""

    owner: str
    payouts: int
    until: Annotated[datetime, Field(description="When the longest of its leases runs out.")]

    @classmethod
    def of(cls, leased: Leased) -> Self:
        """Render what a replica holds."""
        return cls(owner=leased.owner, payouts=leased.payouts, until=leased.until)


class LoopView(BaseModel):
    """One loop of this replica."""

    name: str
    turns: Annotated[int, Field(description="Turns that ended well since the start.")]
    problem: Annotated[str, Field(description="What the last turn failed with; else empty.")]
    succeeded_seconds_ago: Age
    failed_seconds_ago: Age


class AuditLogView(BaseModel):
    """How far the audit log has come."""

    head_number: Annotated[int, Field(description="Of its last entry; 0 while it is empty.")]
    head_hash: str
    waiting: Annotated[int, Field(description="Acts and payouts with events it has not got yet.")]

    @classmethod
    def of(cls, standing: LogStanding) -> Self:
        """Render how the log stands."""
        head = standing.head
        return cls(head_number=head.number, head_hash=head.hash, waiting=standing.waiting)


class EndpointView(BaseModel):
    """One TRON endpoint as this replica sees it."""

    name: str
    usable: bool
    detail: str
    breaker: Annotated[str, Field(examples=["closed"])]


class StatusView(BaseModel):
    """How the service stands. Cursor, pauses, gates, leases, backlog and audit log are those of all
    replicas; the rest is of the one that answers."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "service": "tron-payout-router",
                    "version": "0.6.0",
                    "network": "mainnet",
                    "wallets": ["TJRabPrwbZy45sbavfcjinPJC18kjpRTv8"],
                    "uptime_seconds": 86_400.5,
                    "cursor": {
                        "block": 68_000_000,
                        "block_time": "2026-03-01T12:00:00Z",
                        "lag_blocks": 19,
                        "fees_burned_today_trx": "127.35",
                    },
                    "newest_block_seen": 68_000_019,
                    "dispatch_closed_by": [
                        {
                            "name": "catching_up",
                            "reason": "solid blocks are read up to 68000000 of 68000007",
                        }
                    ],
                    "pauses": [],
                    "gates": [],
                    "open_unexplained": 0,
                    "leases": [
                        {
                            "owner": "payouts-1:7",
                            "payouts": 100,
                            "until": "2026-03-01T12:00:21.118000Z",
                        }
                    ],
                    "oldest_pending_seconds": 48.9,
                    "audit": {"head_number": 41_872, "head_hash": "5f" * 32, "waiting": 2},
                    "loops": [
                        {
                            "name": "dispatcher",
                            "turns": 8_641,
                            "problem": "",
                            "succeeded_seconds_ago": 3.2,
                            "failed_seconds_ago": 301.4,
                        }
                    ],
                    "endpoints": [
                        {
                            "name": "api.trongrid.io",
                            "usable": True,
                            "detail": "answers as far as is known",
                            "breaker": "closed",
                        }
                    ],
                }
            ]
        }
    )

    service: str
    version: str
    network: str
    wallets: Annotated[
        list[str], Field(description="Those that pay; the first one for routes without their own.")
    ]
    uptime_seconds: float
    cursor: Annotated[CursorView | None, Field(description="Null before the first start.")]
    newest_block_seen: int
    dispatch_closed_by: Annotated[
        list[ClosedView], Field(description="Why nothing is paid, at this replica's last look.")
    ]
    pauses: list[PauseView]
    gates: Annotated[list[GateView], Field(description="Closed gates that are no pauses.")]
    open_unexplained: Annotated[int, Field(description="Transfers that nobody has explained yet.")]
    leases: list[LeaseView]
    oldest_pending_seconds: Annotated[
        float | None, Field(description="How long the oldest pending payout has waited.")
    ]
    audit: AuditLogView
    loops: list[LoopView]
    endpoints: list[EndpointView]
