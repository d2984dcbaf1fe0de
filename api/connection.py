"""One client's connection: the bounds that hold before there is a request.

uvicorn waits for the head of a request for ever, whatever its size, on as many connections as there
are. Whoever opens connections and sends a byte now and then would hold all of them.
"""

import asyncio
import socket
import uuid
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.container import Container
from api.middleware import SECURITY_HEADERS
from api.problems import problem_response
from models.errors import PayoutError

MAX_WAITING: Final = 8
"""Requests that one connection may have sent ahead of their answers. Each takes memory before the
application hears of it, and clients of today send none."""


class Connection(HttpToolsProtocol):
    """uvicorn's connection within the settings `max_connections`, `head_seconds`, `max_head_bytes`
    and `max_headers`.

    What is refused gets a problem document, as far as the client still reads, and the connection
    ends. The application's lifespan must give the state `app`, with its container.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._application: FastAPI = self.app_state["app"]
        self._parts: Container = self._application.state.container
        self._bounds = self._parts.settings.router.api
        self._head_timer: asyncio.TimerHandle | None = None
        self._fault: PayoutError | None = None
        self._head_bytes = 0
        self._pending_bytes = 0

    # ---- what the server calls ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection, or refuse it when there are too many."""
        super().connection_made(transport)  # type: ignore[arg-type]
        # The kernel ends a connection whose client stops reading, whatever is still to be sent.
        stalled_ms = round(self._bounds.request_seconds * 1000)
        peer: socket.socket = transport.get_extra_info("socket")
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, stalled_ms)
        if len(self.connections) > self._bounds.max_connections:
            self._refuse("connections", PayoutError("P014", "there are too many connections"))
        else:
            self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Read on, within the bounds."""
        self._pending_bytes += len(data)
        super().data_received(data)
        if self._pending_bytes > self._bounds.max_head_bytes and not self.transport.is_closing():
            self._fault = self._too_large()
            self.send_400_response("")
        if self._serving:
            self._stop_waiting()
        else:
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        self._stop_waiting()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        """End an idle connection, also when its client has not read everything."""
        self.transport.abort()

    # ---- what the parser calls; an exception ends in send_400_response ----

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._head_bytes = 0
        if len(self.pipeline) >= MAX_WAITING:
            raise self._noted(PayoutError("P003", "too many requests ahead of their answers"))

    def on_url(self, url: bytes) -> None:
        """A part of the request's target."""
        self._grow(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer behind the body."""
        self._grow(len(name) + len(value))
        super().on_header(name, value)
        if len(self.headers) > self._bounds.max_headers:
            raise self._noted(self._too_large())

    def on_headers_complete(self) -> None:
        """The whole head has arrived."""
        self._pending_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body, which the application bounds."""
        self._pending_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The whole request has arrived."""
        self._pending_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read, or what is beyond a bound."""
        fault = self._fault or PayoutError("P003", "the request cannot be read")
        self._refuse("head" if fault.code == "P016" else "malformed", fault)

    # ---- how ----

    @property
    def _serving(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait_for_head(self) -> None:
        if self._head_timer is None:
            seconds = self._bounds.head_seconds
            self._head_timer = self.loop.call_later(seconds, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _grow(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._bounds.max_head_bytes:
            raise self._noted(self._too_large())

    def _too_large(self) -> PayoutError:
        bounds = self._bounds
        return PayoutError(
            "P016",
            f"path and headers may be {bounds.max_head_bytes} bytes and {bounds.max_headers} "
            "headers in all",
        )

    def _noted(self, fault: PayoutError) -> PayoutError:
        self._fault = fault
        return fault

    def _refuse(self, reason: str, fault: PayoutError) -> None:
        self._parts.metrics.counter("payout_overload_total").labels(reason).inc()
        self.transport.write(self._answer(fault))
        self.transport.close()

    def _answer(self, fault: PayoutError) -> bytes:
        """A whole HTTP answer with the problem document, for a request that nobody could read."""
        request_id = uuid.uuid4().hex
        state = {"request_id": request_id}
        scope = {"type": "http", "app": self._application, "path": "/", "state": state}
        response = problem_response(Request(scope), fault)
        response.headers.update({**SECURITY_HEADERS, "X-Request-ID": request_id})
        response.headers["Connection"] = "close"
        phrase = HTTPStatus(response.status_code).phrase
        lines = [f"HTTP/1.1 {response.status_code} {phrase}".encode()]
        lines += [name + b": " + value for name, value in response.raw_headers]
        return b"\r\n".join([*lines, b"", bytes(response.body)])
