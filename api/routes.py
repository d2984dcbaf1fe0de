"""Routes over HTTP: by which ways payouts go, and how these do."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends

from api.auth import Access
from api.body import JsonRoute
from api.container import Parts
from api.fields import RouteOfPath
from api.problems import documented
from api.route_views import RouteList, RouteView
from models.caller import Caller

router: Final = APIRouter(prefix="/routes", tags=["routes"], route_class=JsonRoute)

Viewer = Annotated[Caller, Depends(Access("route:view"))]


@router.get("", summary="List routes")
async def list_routes(parts: Parts, caller: Viewer) -> RouteList:
    """Every route with its limits, and how it stands: health with reasons, queue, latency, fees.

    Figures are a few seconds old at most.
    """
    return RouteList.of(parts.router.strategy, await parts.router.routes(caller))


@router.get("/{route}", summary="Look at a route", responses=documented(404))
async def get(parts: Parts, caller: Viewer, route: RouteOfPath) -> RouteView:
    """One route: `v0`, `kyc` or `direct`."""
    reports = await parts.router.routes(caller)
    return RouteView.of(next(each for each in reports if each.route.name is route))
