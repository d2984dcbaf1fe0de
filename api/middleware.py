"""What happens around every request, in pure ASGI; MIDDLEWARE has the order, outermost first."""

import re
import time
import uuid
from typing import Final

import structlog
from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.container import Container
from api.problems import problem_response
from models.errors import PayoutError

_log = structlog.get_logger("api.access")

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

CLIENT_GONE: Final = 499
"""What the log and the metrics say of a request whose client left before an answer."""


def _parts(scope: Scope) -> Container:
    parts: Container = scope["app"].state.container
    return parts


class RequestId:
    """Gives each request an id: the client's `X-Request-ID` where it is fit, else a new one.

    It is on every log line of the request, in `request.state.request_id` and in the answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope).get("x-request-id", "")
        request_id = asked if _REQUEST_ID.fullmatch(asked) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self._app(scope, receive, send_with_id)


class Access:
    """Counts and times each request by route template, and logs it where the settings say so."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = CLIENT_GONE

        async def send_and_look(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_look)
        finally:
            _record(scope, status, time.perf_counter() - started)


def _record(scope: Scope, status: int, seconds: float) -> None:
    parts = _parts(scope)
    # Templates and known methods only: what a stranger makes up must not become a time series.
    route = getattr(scope.get("route"), "path", "unmatched")
    method = scope["method"] if scope["method"] in _METHODS else "other"
    parts.metrics.counter("payout_http_requests_total").labels(route, method, status).inc()
    parts.metrics.histogram("payout_http_request_seconds").labels(route, method).observe(seconds)
    if parts.settings.environment.access_log:
        client = scope.get("client")
        _log.info(
            "request",
            method=method,
            path=scope["path"],
            route=route,
            status=status,
            seconds=round(seconds, 6),
            client=client[0] if client else None,
        )


class SecurityHeaders:
    """Adds the SECURITY_HEADERS that an answer does not set itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class Faults:
    """Turns an exception that nobody handled into P012: the details go to the log alone."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answering = False

        async def send_and_look(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_look)
        except Exception:
            if answering:
                raise  # the server breaks the connection, which tells that the answer is not whole
            _log.exception("unhandled")
            error = PayoutError("P012", "something went wrong here; the log has it by request_id")
            await problem_response(Request(scope), error)(scope, receive, send)


class BodyLimit:
    """Lets nobody send more than the settings' `max_body_bytes`; a route reads 413 instead.

    A declared length is refused before anything is read, a chunked body where it passes the
    limit.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = _parts(scope).settings.router.api.max_body_bytes
        declared = Headers(scope=scope).get("content-length", "0")
        # int() refuses thousands of digits, and whatever else a lax server lets through.
        fits = declared.isdecimal() and len(declared) < 20 and int(declared) <= limit
        left = limit if fits else -1

        async def receive_bounded() -> Message:
            nonlocal left
            if left < 0:
                raise HTTPException(413)
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise HTTPException(413)
            return message

        await self._app(scope, receive_bounded, send)


MIDDLEWARE: Final = tuple(
    Middleware(layer) for layer in (RequestId, Access, SecurityHeaders, Faults, BodyLimit)
)
