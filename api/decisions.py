"""Decisions about payouts over HTTP: what would become of one, and what people decide."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends

from api.auth import Access
from api.body import JsonRoute
from api.container import Parts
from api.payouts import view_of
from api.problems import documented
from api.quote_views import QuoteView
from api.schemas import ChooseRoute, CreatePayout, Decide
from api.views import PayoutView
from models.caller import Caller

router: Final = APIRouter(prefix="/payouts", tags=["decisions"], route_class=JsonRoute)


@router.post("/quote", summary="Say what would become of a payout")
async def quote(
    parts: Parts, caller: Annotated[Caller, Depends(Access("payout:quote"))], body: CreatePayout
) -> QuoteView:
    """What `POST /payouts` would do with the same body now: by which route and why, which routes
    refuse it and why, what would hold it, energy, bandwidth and fee, and when it would be paid.

    The answer is 200 also where the payout would be refused. Nothing is kept, nothing reserved.
    """
    return QuoteView.of(await parts.router.quote(caller, body.to_order()))


@router.post(
    "/{payout_id}/approve", summary="Approve a payout", responses=documented(404, 409, 410)
)
async def approve(
    parts: Parts,
    caller: Annotated[Caller, Depends(Access("payout:approve"))],
    payout_id: str,
    body: Decide,
) -> PayoutView:
    """Consent to a payout in `awaiting_approval`; with the last consent that it needs it goes on.

    `approval` of the payout says how many people, with which roles, and until when (P603). Whoever
    created a payout cannot approve it (P002), and nobody approves twice (P500).
    """
    return view_of(parts, await parts.router.approve(caller, payout_id, body.comment))


@router.post("/{payout_id}/reject", summary="Reject a payout", responses=documented(404, 409))
async def reject(
    parts: Parts,
    caller: Annotated[Caller, Depends(Access("payout:reject"))],
    payout_id: str,
    body: Decide,
) -> PayoutView:
    """End a payout that waits for approval, or that a rule holds; it becomes `rejected`.

    Only who may approve or release it may do so, and nobody who created it (P002).
    """
    return view_of(parts, await parts.router.reject(caller, payout_id, body.comment))


@router.post(
    "/{payout_id}/release", summary="Release a held payout", responses=documented(404, 409)
)
async def release(
    parts: Parts,
    caller: Annotated[Caller, Depends(Access("payout:release"))],
    payout_id: str,
    body: Decide,
) -> PayoutView:
    """Let a payout pass the rules that hold it. What else it waits for, it waits for then.

    `hold` of the payout says which rules these are, and which roles may release it; nobody
    releases what they created (P002).
    """
    return view_of(parts, await parts.router.release(caller, payout_id, body.comment))


@router.post(
    "/{payout_id}/route", summary="Choose a payout's route", responses=documented(404, 409)
)
async def choose_route(
    parts: Parts,
    caller: Annotated[Caller, Depends(Access("payout:route"))],
    payout_id: str,
    body: ChooseRoute,
) -> PayoutView:
    """Give a payout another route while it has no live transaction (P500).

    The route's own rules and limits hold as they do for new payouts.
    """
    return view_of(
        parts, await parts.router.choose_route(caller, payout_id, body.route, body.reason)
    )
