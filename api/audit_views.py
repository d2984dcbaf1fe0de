"""The audit log's requests and answers as JSON."""

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from api.fields import Moment, Name
from api.paging import EntryCursor, PageSize, encode_cursor
from api.views import StatusReason
from models.audit import Entry, Head, entry_fields
from models.audit_check import Fault, FaultKind
from ports.audit import AuditQuery
from services.audit import Report

MAX_NUMBER = 2**53 - 1
"""What every reader of JSON holds exactly."""

_EXAMPLE: dict[str, Any] = {
    "number": 4711,
    "at": "2026-03-01T12:00:00.000Z",
    "source": "payout_0196e4a1b2c37d4e8f90a1b2c3d4e5f6",
    "n": 2,
    "action": "payout:completed",
    "subject": "payout_0196e4a1b2c37d4e8f90a1b2c3d4e5f6",
    "by": "settler",
    "tenant": None,
    "request_id": None,
    "before": "processing",
    "after": "completed",
    "why": None,
    "txid": "8f0d1f5a3f1a9f1d2c7c6f1f9d8a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a",
    "details": None,
    "previous_hash": "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c",
    "hash": "7d865e959b2466918c9863afca942d0fb89d7c9ac0c99bafc3749504ded97730",
}

Hash = Annotated[str, Field(description="SHA-256 in hex.", examples=[_EXAMPLE["hash"]])]
After = Annotated[
    int,
    Field(ge=0, le=MAX_NUMBER, strict=False, description="The entry to go on from; 0 is none."),
]


class _Request(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ListEntries(_Request):
    """Filters of a list, all of which must hold, and the page."""

    subject: Annotated[
        Name | None, Field(description="A payout id, or what an act was done to.")
    ] = None
    action: Annotated[Name | None, Field(examples=["payout:completed"])] = None
    by: Annotated[Name | None, Field(examples=["ADMIN:ada"])] = None
    request_id: Name | None = None
    at_from: Annotated[Moment | None, Field(description="Happened then or later.")] = None
    at_to: Annotated[Moment | None, Field(description="Happened before then.")] = None
    cursor: Annotated[
        EntryCursor | None, Field(description="`next_cursor` of the page before.")
    ] = None
    limit: PageSize = None

    def to_query(self) -> AuditQuery:
        """The filters as the use cases take them."""
        return AuditQuery(
            subject=self.subject,
            action=self.action,
            by=self.by,
            request_id=self.request_id,
            at_from=self.at_from,
            at_to=self.at_to,
            before=None if self.cursor is None else int(self.cursor),
        )


class VerifyEntries(_Request):
    """Which entries to verify."""

    after: After = 0
    limit: Annotated[int, Field(ge=1, le=1_000, strict=False)] = 1_000


class ExportEntries(_Request):
    """Which entries to export."""

    after: After = 0
    limit: Annotated[int, Field(ge=1, le=100_000, strict=False)] = 10_000
    histories: Annotated[
        bool, Field(strict=False, description="Add what the payouts say of their past.")
    ] = False


class EntryView(BaseModel):
    """One entry of the log: who did what to what, and its place in the chain."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    number: Annotated[int, Field(description="From 1, without gaps.")]
    at: Annotated[str, Field(description="ISO 8601 in UTC, by the database's clock.")]
    source: Annotated[str, Field(description="The payout, or the act.")]
    n: Annotated[int, Field(description="The place in the payout's history, from 0.")]
    action: Annotated[
        str,
        Field(
            description="`payout:` and the new status or what was done to it where it stands, or "
            "the permission of an act."
        ),
    ]
    subject: Annotated[str, Field(description="What it was done to.")]
    by: Annotated[str, Field(description="ROLE:subject of a caller, or the loop that did it.")]
    tenant: str | None
    request_id: str | None
    before: str | None
    after: str | None
    why: StatusReason | None
    txid: str | None
    details: Annotated[str | None, Field(description="What a new payout orders.")]
    previous_hash: Hash
    hash: Hash

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """Render an entry."""
        return cls(**entry_fields(entry))


class EntryPage(BaseModel):
    """A page of entries, newest first. `next_cursor` is null on the last page."""

    items: list[EntryView]
    next_cursor: str | None

    @classmethod
    def of(cls, found: Sequence[Entry], limit: int) -> Self:
        """A page of at most `limit` of them, of which one more tells that there are more."""
        shown, more = found[:limit], len(found) > limit
        return cls(
            items=[EntryView.of(entry) for entry in shown],
            next_cursor=encode_cursor(str(shown[-1].number)) if more else None,
        )


class HeadView(BaseModel):
    """Where the log ends, or how far it was verified; number 0 is before the first entry."""

    number: int
    hash: Hash

    @classmethod
    def of(cls, head: Head) -> Self:
        """Render a head."""
        return cls(number=head.number, hash=head.hash)


class FaultView(BaseModel):
    """What is wrong with an entry."""

    number: Annotated[int, Field(description="The entry, or the number that nothing has.")]
    kind: FaultKind
    message: str

    @classmethod
    def of(cls, fault: Fault) -> Self:
        """Render a fault."""
        return cls(number=fault.number, kind=fault.kind, message=fault.message)


class ReportView(BaseModel):
    """What was found. Without a fault, go on with `after` = `head.number`, up to `log_head`."""

    ok: Annotated[bool, Field(description="Whether no fault was found in these entries.")]
    start: Annotated[HeadView, Field(description="What the first verified entry follows.")]
    head: Annotated[HeadView, Field(description="The last entry of the unbroken chain.")]
    log_head: Annotated[HeadView, Field(description="The last entry of the log.")]
    fault: FaultView | None

    @classmethod
    def of(cls, report: Report) -> Self:
        """Render a report."""
        return cls(
            ok=report.fault is None,
            start=HeadView.of(report.start),
            head=HeadView.of(report.head),
            log_head=HeadView.of(report.log_head),
            fault=report.fault and FaultView.of(report.fault),
        )
