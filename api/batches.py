"""Batches over HTTP: several payouts in one request, and decisions about all of them."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Request, Response, status
from fastapi.exceptions import RequestValidationError

from api.auth import Access
from api.batch_views import BatchItemView, BatchView
from api.body import JsonRoute
from api.container import Container, Parts
from api.fields import IdempotencyKey
from api.payouts import view_of
from api.problems import Refusal, documented, invalid, shown_header
from api.schemas import CreateBatch, Decide
from models.caller import Caller
from models.errors import InvalidRequest, PayoutError
from services.batches import BatchReport, Item

_KEY: Final = "Idempotency-Key"
_PATH: Final = "The path of the batch."
_PAYOUTS: Final = ("body", "payouts")


class BatchRoute(JsonRoute):
    """A route that tells the faults of a batch's payouts from those of the request as such.

    Raises P009 without an idempotency key, P301 for too many payouts, P300 where nothing but
    payouts is at fault.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler that FastAPI made, with its refusals told so."""
        handle = super().get_route_handler()

        async def handle_batch(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                raise _refusal(error, request.app.state.container) from None

        return handle_batch


def _refusal(error: RequestValidationError, parts: Container) -> PayoutError:
    faults = error.errors()
    if any(fault["type"] == "missing" and fault["loc"] == ("header", _KEY) for fault in faults):
        return PayoutError("P009", "send an Idempotency-Key header", field=_KEY)
    sent = error.body.get("payouts") if isinstance(error.body, dict) else None
    if isinstance(sent, list) and len(sent) > parts.settings.router.api.max_batch_items:
        return _too_large(parts)
    refused = invalid(error)
    of_payouts = all(fault["loc"][:2] == _PAYOUTS != fault["loc"] for fault in faults)
    return InvalidRequest(refused.problems, "P300") if of_payouts else refused


def _too_large(parts: Container) -> PayoutError:
    limit = parts.settings.router.api.max_batch_items
    text = f"a batch has at most {limit} payouts"
    return PayoutError("P301", text, field="payouts", limit=limit)


router: Final = APIRouter(prefix="/batches", tags=["batches"], route_class=BatchRoute)

_SOME: Final[dict[int | str, dict[str, Any]]] = {
    207: {
        "model": BatchView,
        "description": "Done for some of the payouts; the others have a problem (P303)",
    }
}


def _view(parts: Container, response: Response, report: BatchReport) -> BatchView:
    """A batch as answers show it; where something was refused, the answer is a 207."""
    if report.refused:
        response.status_code = status.HTTP_207_MULTI_STATUS
    return BatchView.of(report, [_item(parts, item) for item in report.items])


def _item(parts: Container, item: Item) -> BatchItemView:
    return BatchItemView(
        index=item.number,
        payout=item.payout and view_of(parts, item.payout),
        problem=item.problem and Refusal.of(item.problem, parts.settings.error_codes.codes),
    )


@router.post(
    "",
    summary="Create several payouts",
    status_code=status.HTTP_201_CREATED,
    response_description="All accepted and kept",
    responses={
        200: {
            "model": BatchView,
            "description": "The payouts that this Idempotency-Key made before",
            "headers": shown_header("Idempotency-Replayed", "`true`."),
        },
        201: {"headers": shown_header("Location", _PATH)},
        207: {**_SOME[207], "headers": shown_header("Location", _PATH, required=False)},
        **documented(422),
    },
)
async def create(
    request: Request,
    response: Response,
    parts: Parts,
    caller: Annotated[Caller, Depends(Access("batch:create"))],
    body: CreateBatch,
    idempotency_key: Annotated[
        IdempotencyKey,
        Header(
            alias=_KEY,
            description="1 to 255 visible ASCII characters, unique per client, kept for ever.",
            examples=["march-2026"],
        ),
    ],
) -> BatchView:
    """Pay each of `payouts`, once: as so many `POST /payouts`, one after the other, in one request.

    Faults of form refuse the whole batch (P300), with nothing done. Whatever else refuses a payout
    refuses that one alone: 207, and `problem` says why. Send the same request again to try what was
    refused or not reached (P302) once more, and after an answer that got lost: what was accepted
    is found, and paid once. The same key with another body is refused (P005).

    How many payouts come in the request can ask for approval (`from_items` of a workflow). Needs
    `payout:create` too.
    """
    api = parts.settings.router.api
    if len(body.payouts) > api.max_batch_items:
        raise _too_large(parts)
    report = await parts.router.create_batch(
        caller, body.to_new(idempotency_key), api.batch_seconds
    )
    if report.replayed:
        response.status_code = status.HTTP_200_OK
        response.headers["Idempotency-Replayed"] = "true"
    elif report.payouts:
        response.headers["Location"] = f"{request.url.path}/{report.batch_id}"
    return _view(parts, response, report)


@router.get("/{batch_id}", summary="Look at a batch", responses=documented(404))
async def get(
    response: Response,
    parts: Parts,
    caller: Annotated[Caller, Depends(Access("batch:view"))],
    batch_id: str,
) -> BatchView:
    """The payouts that a request brought, in its order, and what they add up to.

    Payouts that were refused are not there; nor are those that the caller may not see. One of which
    nothing is there does not exist (404).
    """
    return _view(parts, response, await parts.router.batch(caller, batch_id))


@router.post(
    "/{batch_id}/approve", summary="Approve a batch", responses={**_SOME, **documented(404)}
)
async def approve(
    response: Response,
    parts: Parts,
    caller: Annotated[Caller, Depends(Access("payout:approve"))],
    batch_id: str,
    body: Decide,
) -> BatchView:
    """Consent to every payout of a batch that awaits it, as `POST /payouts/{payout_id}/approve`.

    What awaits nothing, or has the caller's consent, stays as it is: sending it again is harmless.
    """
    seconds = parts.settings.router.api.batch_seconds
    report = await parts.router.approve_batch(caller, batch_id, body.comment, seconds)
    return _view(parts, response, report)


@router.post("/{batch_id}/reject", summary="Reject a batch", responses={**_SOME, **documented(404)})
async def reject(
    response: Response,
    parts: Parts,
    caller: Annotated[Caller, Depends(Access("payout:reject"))],
    batch_id: str,
    body: Decide,
) -> BatchView:
    """End every payout of a batch that awaits approval, as `POST /payouts/{payout_id}/reject`.

    What awaits nothing stays as it is: sending it again is harmless.
    """
    seconds = parts.settings.router.api.batch_seconds
    report = await parts.router.reject_batch(caller, batch_id, body.comment, seconds)
    return _view(parts, response, report)
