"""`/admin`: stopping and going on, and how the service stands."""

from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import APIRouter, Depends

from api.auth import Access
from api.body import JsonRoute
from api.container import Parts
from api.problems import documented
from api.schemas import PauseOrResume
from api.status import StatusView
from api.views import PauseList, PauseView
from models.caller import Caller
from models.pause import Pause
from ports.store import Gate

router: Final = APIRouter(prefix="/admin", tags=["admin"], route_class=JsonRoute)

Operator = Annotated[Caller, Depends(Access("system:pause"))]


@router.get("/status", summary="How the service stands")
async def status(parts: Parts, _: Annotated[Caller, Depends(Access("system:view"))]) -> StatusView:
    """Cursor, pauses, gates, leases, loops and endpoints, and why each is as it is."""
    return await parts.status()


@router.post("/pause", summary="Stop intake or dispatch")
async def pause(parts: Parts, caller: Operator, body: PauseOrResume) -> PauseList:
    """Stop taking payouts or making transactions: all, of one currency, or from one wallet.

    It holds on every replica within two seconds, until somebody resumes it. Transactions that were
    made go on to their end. Asking again keeps the first moment and takes the new reason. The
    answer is all that is paused then; caller and reason are kept in the audit log.
    """
    return _listed(await parts.control.pause(caller, body.pause, body.reason))


@router.post("/resume", summary="End a pause", responses=documented(404))
async def resume(parts: Parts, caller: Operator, body: PauseOrResume) -> PauseList:
    """End the pause that was asked for with the same `what`, `currency` and `wallet`.

    The answer is what is still paused; caller and reason are kept in the audit log.
    """
    return _listed(await parts.control.resume(caller, body.pause, body.reason))


def _listed(pauses: Mapping[Pause, Gate]) -> PauseList:
    return PauseList(items=[PauseView.of(one, gate) for one, gate in pauses.items()])
