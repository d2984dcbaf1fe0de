"""Gates: why dispatch, or the paying from one wallet, is closed until something changes."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path

from api.auth import allowed
from api.body import JsonRoute
from api.container import Parts
from api.problems import documented
from api.schemas import OpenGate
from api.views import GateList, GateView
from models.caller import Caller
from settings.security import Permission

router: Final = APIRouter(prefix="/gates", tags=["gates"], route_class=JsonRoute)

Operator = Annotated[Caller, Depends(allowed(Permission.GATES))]
Name = Annotated[str, Path(min_length=1, max_length=64)]


@router.get("", summary="List closed gates", responses=documented(400, 401, 403, 500, 503))
async def list_gates(parts: Parts, caller: Operator) -> GateList:
    """What is closed and why. A wallet's gate opens by itself once the wallet is funded."""
    return GateList(items=[GateView.of(gate) for gate in await parts.router.gates(caller)])


@router.post(
    "/{name}/open",
    status_code=204,
    summary="Open a gate",
    responses=documented(400, 401, 403, 404, 413, 415, 500, 503),
)
async def open_gate(parts: Parts, caller: Operator, name: Name, body: OpenGate) -> None:
    """Let dispatch go on. The reason and the caller are logged."""
    await parts.router.open_gate(caller, name, body.reason)
