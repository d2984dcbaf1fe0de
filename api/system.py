"""The service itself over HTTP: health, probes, metrics, and where to find what."""

import base64
import hashlib
import re
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, Field

from api.auth import metrics_reader, public
from api.container import Parts
from config import SERVICE_NAME, VERSION
from utils.health_check import HealthStatus
from utils.logging_config import redact

router: Final = APIRouter(tags=["system"])
PUBLIC: Final = [Depends(public)]


class ComponentView(BaseModel):
    """One part that the service needs; without a critical one it takes no payout."""

    name: str
    status: HealthStatus
    detail: str
    latency_seconds: float
    critical: bool


class HealthView(BaseModel):
    """How the service is, and each part of it."""

    status: HealthStatus
    service: str
    version: str
    components: list[ComponentView]


class ProbeView(BaseModel):
    """The answer to a probe."""

    status: Literal["alive", "ready", "not_ready"]


class IndexView(BaseModel):
    """What runs here, and where to go on."""

    service: Annotated[str, Field(examples=[SERVICE_NAME])]
    version: str
    links: dict[str, str]


_UNHEALTHY: Final[dict[int | str, dict[str, Any]]] = {
    503: {"model": HealthView, "description": "It cannot take or keep a payout"}
}
_NOT_READY: Final[dict[int | str, dict[str, Any]]] = {
    503: {"model": ProbeView, "description": "Send no traffic"}
}


@router.get("/", summary="What runs here", dependencies=PUBLIC)
async def index() -> IndexView:
    """Name, version, and the way to everything else."""
    return IndexView(
        service=SERVICE_NAME,
        version=VERSION,
        links={
            "payouts": "/payouts",
            "docs": "/docs",
            "openapi": "/openapi.json",
            "health": "/health",
            "metrics": "/metrics",
        },
    )


@router.get("/health", summary="Health, part by part", dependencies=PUBLIC, responses=_UNHEALTHY)
async def health(parts: Parts, response: Response) -> HealthView:
    """200 while healthy or degraded; 503 when the service cannot take or keep a payout."""
    report = await parts.health.report()
    if report.status is HealthStatus.UNHEALTHY:
        response.status_code = 503
    return HealthView(
        status=report.status,
        service=SERVICE_NAME,
        version=VERSION,
        components=[
            ComponentView(
                name=part.name,
                status=part.status,
                detail=redact(part.detail),
                latency_seconds=round(part.latency_seconds, 6),
                critical=part.critical,
            )
            for part in report.components
        ],
    )


@router.get("/health/live", summary="Liveness probe", dependencies=PUBLIC)
async def live() -> ProbeView:
    """Answers as long as the process does; depends on nothing else."""
    return ProbeView(status="alive")


@router.get("/health/ready", summary="Readiness probe", dependencies=PUBLIC, responses=_NOT_READY)
async def ready(parts: Parts, response: Response) -> ProbeView:
    """Whether to send traffic here: 503 when a payout could not be taken or kept."""
    report = await parts.health.report()
    if report.status is HealthStatus.UNHEALTHY:
        response.status_code = 503
        return ProbeView(status="not_ready")
    return ProbeView(status="ready")


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    dependencies=[Depends(metrics_reader)],
    response_class=Response,
    responses={200: {"description": "Text exposition", "content": {"text/plain": {}}}},
)
async def metrics(parts: Parts) -> Response:
    """Every family that the service exports. The settings say whether a token is needed."""
    body, content_type = parts.metrics.render()
    return Response(body, headers={"Content-Type": content_type})


@router.get("/openapi.json", dependencies=PUBLIC, include_in_schema=False)
async def openapi(request: Request) -> JSONResponse:
    """The OpenAPI document."""
    app: FastAPI = request.app
    return JSONResponse(app.openapi())


_PAGE: Final = bytes(
    get_swagger_ui_html(
        openapi_url="/openapi.json", title=SERVICE_NAME, swagger_favicon_url="data:,"
    ).body
)


def _page_policy(page: str) -> str:
    """A content security policy for the one page that runs scripts: those in it, no others."""
    sources = " ".join(re.findall(r'(?:src|href)="(https://[^"]+)"', page))
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    )
    return (
        "default-src 'none'; connect-src 'self'; img-src data:; frame-ancestors 'none'; "
        f"base-uri 'none'; script-src {sources} {hashes}; style-src {sources} 'unsafe-inline'"
    )


_PAGE_POLICY: Final = _page_policy(_PAGE.decode())


@router.get("/docs", dependencies=PUBLIC, include_in_schema=False)
async def docs() -> HTMLResponse:
    """Swagger UI."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _PAGE_POLICY})
