"""Limits over HTTP: how much may be paid, and what is left of it."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query

from api.auth import Access
from api.body import JsonRoute
from api.container import Parts
from api.limit_views import LimitList
from api.schemas import ListLimits
from models.caller import Caller

router: Final = APIRouter(prefix="/limits", tags=["limits"], route_class=JsonRoute)


@router.get("", summary="List limits")
async def list_limits(
    parts: Parts,
    caller: Annotated[Caller, Depends(Access("limit:view"))],
    filters: Annotated[ListLimits, Query()],
) -> LimitList:
    """What one payout may be, and what is used and left of the hour, the day and the month.

    A caller sees the limits of their own payouts. Whoever sees everybody's payouts also sees those
    that all share, those of the routes, and with `recipient` those of a recipient.
    """
    return LimitList.of(await parts.router.limits(caller, filters.recipient))
