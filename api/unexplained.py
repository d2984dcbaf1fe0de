"""Transfers of the hot wallet that no payout knows: the alarm of a stolen key or an old backup."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query

from api.auth import Access
from api.body import JsonRoute
from api.container import Parts
from api.paging import page_size
from api.problems import documented
from api.schemas import ExplainTransfer, ListUnexplained
from api.views import UnexplainedList, UnexplainedView
from models.caller import Caller

router: Final = APIRouter(prefix="/unexplained", tags=["unexplained"], route_class=JsonRoute)


@router.get("", summary="List unexplained transfers")
async def list_unexplained(
    parts: Parts,
    caller: Annotated[Caller, Depends(Access("unexplained:view"))],
    filters: Annotated[ListUnexplained, Query()],
) -> UnexplainedList:
    """Transactions of the hot wallet that no payout knows, oldest first.

    While one is open, nothing new is paid.
    """
    found = await parts.router.unexplained(
        caller,
        not filters.include_explained,
        page_size(parts.settings.router.api, filters.limit),
    )
    return UnexplainedList(items=[UnexplainedView.of(one) for one in found])


@router.post(
    "/{txid}/explain",
    summary="Explain a transfer",
    responses=documented(404, 409),
)
async def explain(
    parts: Parts,
    caller: Annotated[Caller, Depends(Access("unexplained:explain"))],
    txid: str,
    body: ExplainTransfer,
) -> UnexplainedView:
    """Tie a transfer to the payout that it paid, which completes it, or declare it known."""
    return UnexplainedView.of(await parts.router.explain(caller, txid, body.payout_id, body.note))
