"""What happens around every request, in pure ASGI; MIDDLEWARE has the order, outermost first."""

import asyncio
import re
import time
import uuid
from collections import deque
from typing import Final

import structlog
from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.container import Container
from api.problems import problem_response
from api.throttling import RateLimits
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

ALWAYS_SERVED: Final = frozenset({"/health", "/health/live", "/health/ready", "/metrics"})

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
        status, answered = CLIENT_GONE, started

        async def send_and_look(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], time.perf_counter()
            await send(message)

        try:
            await self._app(scope, receive, send_and_look)
        finally:
            ended = answered if status != CLIENT_GONE else time.perf_counter()
            _record(scope, status, ended - started)


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


class Deadline:
    """Gives a request the settings' `request_seconds` until its answer begins, and again for each
    part of the answer; then P015. The work is cancelled wherever it is, as if the process had died
    there, which harms nothing.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        parts = _parts(scope)
        seconds = parts.settings.router.api.request_seconds
        loop = asyncio.get_running_loop()
        answering = False

        async def send_in_time(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)
            deadline.reschedule(loop.time() + seconds)

        deadline = asyncio.timeout(seconds)
        try:
            async with deadline:
                await self._app(scope, receive, send_in_time)
        except TimeoutError:
            if answering or not deadline.expired():
                raise
            parts.metrics.counter("payout_overload_total").labels("time").inc()
            error = PayoutError(
                "P015",
                f"it took more than {seconds:g} s; what was asked may or may not have happened. "
                "Repeat it, a create with the same Idempotency-Key",
            )
            response = problem_response(Request(scope), error)
            response.headers["Connection"] = "close"  # some of the body may still be to come
            await response(scope, receive, send)


class Body:
    """Reads the whole body before anything is done, and lets nobody send more than the settings'
    `max_body_bytes` (P008): who sends slowly holds a connection, and nothing else.

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
        messages = await _whole_body(scope, receive)
        if messages is None:
            error = PayoutError("P008", "the request body is too large")
            await problem_response(Request(scope), error)(scope, receive, send)
            return

        async def receive_again() -> Message:
            return messages.popleft() if messages else await receive()

        await self._app(scope, receive_again, send)


async def _whole_body(scope: Scope, receive: Receive) -> deque[Message] | None:
    """The messages with a request's body, or that the client left; None for too large a body."""
    limit = _parts(scope).settings.router.api.max_body_bytes
    declared = Headers(scope=scope).get("content-length", "0")
    # int() refuses thousands of digits, and whatever else a lax server lets through.
    fits = declared.isdecimal() and len(declared) < 20 and int(declared) <= limit
    messages: deque[Message] = deque()
    left = limit if fits else -1
    while left >= 0:
        messages.append(await receive())
        left -= len(messages[-1].get("body", b""))
        if left >= 0 and not messages[-1].get("more_body"):
            return messages
    return None


class InFlight:
    """Works on at most the settings' `max_in_flight` requests at once, and refuses the next (P014)
    before it costs anything: who is let in is answered soon.

    A place is free again when the answer begins: who reads slowly has none. What tells how the
    service is, is always let in.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._now = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] in ALWAYS_SERVED:
            await self._app(scope, receive, send)
            return
        parts = _parts(scope)
        if self._now >= parts.settings.router.api.max_in_flight:
            parts.metrics.counter("payout_overload_total").labels("in_flight").inc()
            error = PayoutError("P014", "more is asked at once than can be answered soon")
            await problem_response(Request(scope), error)(scope, receive, send)
            return
        working = True
        gauge = parts.metrics.gauge("payout_requests_in_flight")
        self._now += 1
        gauge.set(self._now)

        def leave() -> None:
            nonlocal working
            self._now -= working
            working = False
            gauge.set(self._now)

        async def leave_and_send(message: Message) -> None:
            leave()
            await send(message)

        try:
            await self._app(scope, receive, leave_and_send)
        finally:
            leave()


MIDDLEWARE: Final = tuple(
    Middleware(layer)
    for layer in (
        RequestId,
        RateLimits,
        Access,
        SecurityHeaders,
        Faults,
        Deadline,
        Body,
        InFlight,
    )
)
