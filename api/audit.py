"""The audit log over HTTP: look at it, verify it, take it away."""

from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from api.audit_views import (
    EntryPage,
    ExportEntries,
    ListEntries,
    ReportView,
    VerifyEntries,
)
from api.auth import Access
from api.body import JsonRoute
from api.container import Parts
from api.paging import page_size
from models.caller import Caller

router: Final = APIRouter(prefix="/audit", tags=["audit"], route_class=JsonRoute)

NDJSON: Final = "application/x-ndjson"

Auditor = Annotated[Caller, Depends(Access("audit:view"))]


@router.get("", summary="List audit entries")
async def list_entries(
    parts: Parts, caller: Auditor, filters: Annotated[ListEntries, Query()]
) -> EntryPage:
    """Every transition of a payout and every privileged act, newest first.

    Entries come within seconds of what they tell. Reading them is an act that is logged itself.
    """
    limit = page_size(parts.settings.router.api, filters.limit)
    return EntryPage.of(await parts.audit.list(caller, filters.to_query(), limit + 1), limit)


@router.get("/verify", summary="Verify audit entries")
async def verify(
    parts: Parts, caller: Auditor, wanted: Annotated[VerifyEntries, Query()]
) -> ReportView:
    """Recompute the chain of hashes, and hold the entries against the payouts' own histories.

    A log that was rewritten as a whole is whole: compare `head` with one that was published.
    """
    return ReportView.of(await parts.audit.verify(caller, wanted.after, wanted.limit))


@router.get(
    "/export",
    summary="Export audit entries",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "One JSON object a line, oldest entry first",
            "content": {NDJSON: {"schema": {"type": "string"}}},
        }
    },
)
async def export(
    parts: Parts, caller: Auditor, wanted: Annotated[ExportEntries, Query()]
) -> StreamingResponse:
    """Entries as lines, for the command `verify`, which needs nothing but the file."""
    pages = await parts.audit.export(caller, wanted.after, wanted.limit, histories=wanted.histories)
    # Read before the answer begins: a database that is away is still a 503.
    first = await anext(pages, "")

    async def body() -> AsyncIterator[str]:
        yield first
        async for page in pages:
            yield page

    return StreamingResponse(body(), media_type=NDJSON)
