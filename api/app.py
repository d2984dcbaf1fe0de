"""The HTTP edge put together: routers, error handlers, middleware, OpenAPI document."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.types import Lifespan

from api import (
    admin,
    audit,
    batches,
    compliance,
    decisions,
    gates,
    limits,
    payouts,
    routes,
    system,
    tokens,
    unexplained,
)
from api.document import PLACEHOLDER, complete
from api.middleware import MIDDLEWARE
from api.problems import HANDLED, handle
from config import SERVICE_NAME, VERSION

ALIAS_PREFIX: Final = "/api/v1/tron"

ALIASED: Final = (
    payouts.router,
    decisions.router,
    batches.router,
    routes.router,
    limits.router,
    compliance.kyc,
    compliance.lists,
    compliance.imports,
    unexplained.router,
    gates.router,
    admin.router,
    tokens.router,
    audit.router,
)
ROUTERS: Final = (*ALIASED, system.router)

_DESCRIPTION: Final = f"""
Pays USDT (TRC20) and TRX on TRON, each payout exactly once.

- Money is a decimal string such as `"12.50"`, with at most 6 decimals; times are ISO 8601 in UTC.
- Errors are problem documents (RFC 9457); `code` says what went wrong, `retryable` whether the
  same request can succeed later, `errors` names every field at fault.
- Send an `Idempotency-Key` with every create, and repeat the request when an answer is lost.
- Whatever is decided about a payout, by a rule or a person, it shows in words in `findings`,
  `hold` and `approval`; `POST /payouts/quote` says beforehand what would be decided.
- Every path but those under `system` answers under `{ALIAS_PREFIX}` as well.
"""

_TAGS: Final = [
    {"name": "payouts", "description": "Create payouts and follow them."},
    {"name": "decisions", "description": "What would become of a payout, and what people decide."},
    {"name": "batches", "description": "Several payouts in one request, of any type."},
    {"name": "routes", "description": "By which routes payouts go, and how these do."},
    {"name": "limits", "description": "How much may be paid, and what is left of it."},
    {"name": "compliance", "description": "Whom we pay: address lists and verified recipients."},
    {"name": "unexplained", "description": "Transfers of the hot wallet that no payout knows."},
    {"name": "gates", "description": "Why dispatch is closed, and opening it again."},
    {"name": "admin", "description": "Stopping and going on, and how the service stands."},
    {"name": "tokens", "description": "Revoking tokens."},
    {"name": "audit", "description": "Who did what and when, as a chain of hashes."},
    {"name": "system", "description": "Health and metrics of the service."},
]


class Edge(FastAPI):
    """The application. `state.container` is everything that a request needs (api/container.py)."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        if self.openapi_schema is None:
            complete(super().openapi(), self.routes)
        return super().openapi()


def build_app(lifespan: Lifespan[FastAPI]) -> Edge:
    """The application, whose `lifespan` sets `app.state.container` before it yields."""
    app = Edge(
        title="TRON payout router",
        summary=SERVICE_NAME,
        version=VERSION,
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        lifespan=lifespan,
        middleware=list(MIDDLEWARE),
        exception_handlers=dict.fromkeys(HANDLED, handle),
        # System serves both, so that they are counted, guarded and answered like the rest.
        openapi_url=None,
        docs_url=None,
        redirect_slashes=False,
    )
    app.state.methods = _methods()
    for router in ROUTERS:
        app.include_router(router, responses=PLACEHOLDER)
    for router in ALIASED:
        app.include_router(router, prefix=ALIAS_PREFIX, include_in_schema=False)
    return app


def _methods() -> Mapping[str, frozenset[str]]:
    """The methods of every path template; several routes can share one."""
    methods: dict[str, frozenset[str]] = {}
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute):
                known = methods.get(route.path, frozenset())
                methods[route.path] = known | frozenset(route.methods or ())
    return methods
