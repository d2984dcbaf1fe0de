"""Gates: why dispatch, or the paying from one wallet, is closed until something changes."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path

from api.auth import Access
from api.body import JsonRoute
from api.container import Parts
from api.problems import documented
from api.schemas import OpenGate
from api.views import GateList, GateView
from models.caller import Caller

router: Final = APIRouter(prefix="/gates", tags=["gates"], route_class=JsonRoute)

Name = Annotated[str, Path(min_length=1, max_length=64)]


@router.get("", summary="List closed gates")
async def list_gates(
    parts: Parts, caller: Annotated[Caller, Depends(Access("gate:view"))]
) -> GateList:
    """What is closed and why. A wallet's gate opens by itself once the wallet is funded."""
    return GateList(items=[GateView.of(gate) for gate in await parts.control.gates(caller)])


@router.post(
    "/{name}/open",
    status_code=204,
    summary="Open a gate",
    responses=documented(404, 409),
)
async def open_gate(
    parts: Parts,
    caller: Annotated[Caller, Depends(Access("gate:open"))],
    name: Name,
    body: OpenGate,
) -> None:
    """Let dispatch go on. Caller and reason are kept in the audit log. A pause is no gate to open:
    `POST /admin/resume` ends it."""
    await parts.control.open_gate(caller, name, body.reason)
