"""Payouts over HTTP: create, look at, list, cancel, resolve."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Query, Request, Response, status

from api.auth import Access
from api.body import JsonRoute
from api.container import Container, Parts
from api.fields import IdempotencyKey
from api.paging import page_size
from api.problems import documented, shown_header
from api.schemas import CancelPayout, CreatePayout, ListPayouts, ResolvePayout
from api.views import PayoutPage, PayoutView, Totals, TotalView
from models.caller import Caller
from models.errors import PayoutError
from models.payout import Payout

router: Final = APIRouter(prefix="/payouts", tags=["payouts"], route_class=JsonRoute)


def view_of(parts: Container, payout: Payout) -> PayoutView:
    """A payout as answers show it."""
    return PayoutView.of(payout, parts.router.confirmations(payout))


@router.post(
    "",
    summary="Create a payout",
    status_code=status.HTTP_201_CREATED,
    response_description="Accepted and kept",
    responses={
        200: {
            "model": PayoutView,
            "description": "The payout that this Idempotency-Key made before",
            "headers": shown_header("Idempotency-Replayed", "`true`."),
        },
        201: {"headers": shown_header("Location", "The path of the payout.")},
        **documented(409, 410, 422),
    },
)
async def create(
    request: Request,
    response: Response,
    parts: Parts,
    caller: Annotated[Caller, Depends(Access("payout:create"))],
    body: CreatePayout,
    idempotency_key: Annotated[
        IdempotencyKey | None,
        Header(
            alias="Idempotency-Key",
            description="1 to 255 visible ASCII characters, unique per client, kept for ever.",
        ),
    ] = None,
) -> PayoutView:
    """Pay `amount` of `currency` to `recipient_address`, once.

    A 201 means that the payout is kept, whatever happens next: `status` says whether it is paid at
    once or waits for its time or a person, `findings` why. Send an `Idempotency-Key`: after an
    answer that got lost, the same key and body give the same payout again; the same key with
    another body is refused (P005).
    """
    if idempotency_key is None and parts.settings.environment.require_idempotency_key:
        raise PayoutError("P009", "send an Idempotency-Key header", field="Idempotency-Key")
    created = await parts.router.create(caller, body.to_new(idempotency_key))
    if created.replayed:
        response.status_code = status.HTTP_200_OK
        response.headers["Idempotency-Replayed"] = "true"
    else:
        response.headers["Location"] = f"{request.url.path}/{created.payout.payout_id}"
    return view_of(parts, created.payout)


@router.get(
    "",
    summary="List payouts",
    responses={
        200: {"headers": shown_header("Link", "The next page, where there is one.", required=False)}
    },
)
async def list_payouts(
    request: Request,
    response: Response,
    parts: Parts,
    caller: Annotated[Caller, Depends(Access("payout:list"))],
    filters: Annotated[ListPayouts, Query()],
) -> PayoutPage:
    """The caller's payouts, newest first, filtered, a page at a time.

    `next_cursor`, and a `Link` header with rel="next", lead to the page after this one.
    """
    limit = page_size(parts.settings.router.api, filters.limit)
    payouts = await parts.router.list(caller, filters.to_query(), limit + 1)
    page = PayoutPage.of([view_of(parts, payout) for payout in payouts], limit)
    if page.next_cursor is not None:
        following = request.url.include_query_params(cursor=page.next_cursor)
        response.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    return page


@router.get("/stats", summary="Count payouts")
async def stats(parts: Parts, caller: Annotated[Caller, Depends(Access("payout:stats"))]) -> Totals:
    """How many payouts are in each status, by currency, and what they add up to."""
    totals = await parts.router.stats(caller)
    return Totals(items=[TotalView.of(total) for total in totals])


@router.get("/{payout_id}", summary="Look at a payout", responses=documented(404))
async def get(
    parts: Parts,
    caller: Annotated[Caller, Depends(Access("payout:view"))],
    payout_id: str,
) -> PayoutView:
    """One payout. One that is not the caller's does not exist (404)."""
    return view_of(parts, await parts.router.get(caller, payout_id))


@router.post(
    "/{payout_id}/cancel",
    summary="Cancel a payout",
    responses=documented(404, 409),
)
async def cancel(
    parts: Parts,
    caller: Annotated[Caller, Depends(Access("payout:cancel"))],
    payout_id: str,
    body: CancelPayout | None = None,
) -> PayoutView:
    """End a payout that has no live transaction; with one it is too late (P500)."""
    reason = None if body is None else body.reason
    return view_of(parts, await parts.router.cancel(caller, payout_id, reason))


@router.post(
    "/{payout_id}/resolve",
    summary="Decide about a payout that needs review",
    responses=documented(404, 409),
)
async def resolve(
    parts: Parts,
    caller: Annotated[Caller, Depends(Access("payout:resolve"))],
    payout_id: str,
    body: ResolvePayout,
) -> PayoutView:
    """A person's decision: `retry`, `complete` or `fail`.

    `retry` is refused unless every transaction of the payout is proven unpaid (P500).
    """
    return view_of(parts, await parts.router.resolve(caller, payout_id, body.action, body.reason))
