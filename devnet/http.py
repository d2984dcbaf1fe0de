"""The HTTP edge of one endpoint as an ASGI application: the node's API and the devnet's control.

Connection faults end in this module: what a client sees is what a broken node or proxy would show.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qsl

from google.protobuf.message import DecodeError

from devnet.control import ControlError, control
from devnet.faults import Fault, Occasion
from devnet.network import Network
from devnet.node import Node
from devnet.rpc.call import NodeError, Request, sent_transaction
from devnet.rpc.table import HANDLERS, POST_ONLY

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_BODY: Final = 4 * 1024 * 1024
"""Bytes of a request that a node reads (`node.http.maxMessageSize`)."""

ABORT_EXTENSION: Final = "devnet.abort"
"""Name of the ASGI extension through which a server offers to cut the connection."""

_JSON: Final = "application/json"
_CHUNK: Final = 1 << 20
_BROADCASTS: Final = ("/wallet/broadcasthex", "/wallet/broadcasttransaction")
_EARLY: Final = ("latency", "http_status", "reset", "hang", "huge", "nonsense")


class EndpointApp:
    """One endpoint of a devnet. In process, without a server below, a reset connection raises
    ConnectionResetError and a hanging one TimeoutError at once.
    """

    def __init__(self, net: Network, node: Node) -> None:
        """Serve `node`, and the control of `net` under /devnet."""
        self._net = net
        self._node = node

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        if exchange.path.startswith("/devnet"):
            await self._control(exchange)
        else:
            await self._serve(exchange)

    async def _control(self, exchange: "_Exchange") -> None:
        body = await exchange.body()
        try:
            payload = {**exchange.query(), **(json.loads(body) if body else {})}
            answer = control(self._net, exchange.method, exchange.path, payload)
        except ControlError as error:
            await exchange.answer(error.status, {"error": str(error)})
        except (ValueError, TypeError) as error:
            await exchange.answer(400, {"error": str(error)})
        else:
            await exchange.answer(200, answer)

    async def _serve(self, exchange: "_Exchange") -> None:
        self._node.calls[exchange.path] += 1
        body = await exchange.body()
        occasion = self._occasion(exchange, body)
        faults = self._node.faults
        for kind in _EARLY:
            fault = faults.take(kind, occasion)
            if fault is not None and await exchange.break_early(fault):
                return
        status, answer = self._answer(exchange, body)
        lost = faults.take("lost_answer", occasion)
        if lost is not None:
            await exchange.lose(str(lost.value))
            return
        disguise = faults.take("content_type", occasion)
        kind = _JSON if disguise is None else str(disguise.value)
        await exchange.answer(status, answer, kind)

    def _answer(self, exchange: "_Exchange", body: bytes) -> tuple[int, Any]:
        handler = HANDLERS.get(exchange.path)
        if handler is None:
            return 404, {"Error": "this API is unavailable due to config"}
        if exchange.method != "POST" and exchange.path in POST_ONLY:
            return 405, {"Error": "HTTP method GET is not supported by this URL"}
        if len(body) > MAX_BODY:
            return 200, _error("java.lang.Exception", f"body size is too big, limit is {MAX_BODY}")
        try:
            solid = exchange.path.startswith("/walletsolidity/")
            request = Request(self._node, exchange.path, solid, _parameters(exchange, body))
            return 200, handler(request)
        except NodeError as error:
            return 200, {"Error": str(error)}
        except json.JSONDecodeError as error:
            return 200, _error("com.alibaba.fastjson.JSONException", str(error))
        except KeyError as error:
            return 200, _error("java.lang.NullPointerException", str(error))
        except (ValueError, TypeError, DecodeError) as error:
            return 200, _error("java.lang.IllegalArgumentException", str(error))

    def _occasion(self, exchange: "_Exchange", body: bytes) -> Occasion:
        node, path = self._node, exchange.path
        if not node.faults.ask_for_recipient:
            return Occasion(node.number, path)
        try:
            params = _parameters(exchange, body)
            if path in _BROADCASTS:
                return Occasion(node.number, path, sent_transaction(path, params).recipient)
            found = node.chain.find(str(params.get("value", "")))
            return Occasion(node.number, path, found[1].tx.recipient if found else None)
        except (KeyError, ValueError, TypeError, DecodeError):
            return Occasion(node.number, path)


class _Exchange:
    """One request and the ways to answer it, good and bad."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"].rstrip("/")
        self._scope = scope
        self._receive = receive
        self._send = send

    def query(self) -> dict[str, Any]:
        return dict(parse_qsl(self._scope.get("query_string", b"").decode("utf-8", "replace")))

    async def body(self) -> bytes:
        """The request's body, or its first bytes beyond the limit."""
        parts: list[bytes] = []
        size = 0
        while size <= MAX_BODY:
            message = await self._receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if not message.get("more_body", False):
                break
        return b"".join(parts)

    async def answer(self, status: int, content: Any, kind: str = _JSON) -> None:
        await self._write(status, json.dumps(content, separators=(",", ":")).encode(), kind)

    async def break_early(self, fault: Fault) -> bool:
        """Let a fault of the connection happen; whether that was the answer."""
        value = fault.value
        if fault.kind == "latency":
            await asyncio.sleep(int(value or 0) / 1_000)
            return False
        if fault.kind == "http_status":
            await self.answer(int(value or 503), {"Error": "the devnet was told to fail"})
        elif fault.kind == "nonsense":
            await self._write(200, b"<html><body>Bad Gateway</body></html>", "text/html")
        elif fault.kind == "huge":
            await self._write_huge(int(value or 0))
        else:
            await self.lose(fault.kind)
        return True

    async def lose(self, how: str) -> None:
        """End without an answer: a gateway's 504, a reset, or silence."""
        abort = self._scope.get("extensions", {}).get(ABORT_EXTENSION)
        if how == "status":
            await self.answer(504, {"Error": "gateway timeout"})
        elif abort is None:
            raise ConnectionResetError(how) if how == "reset" else TimeoutError(how)
        else:
            if how == "reset":
                abort()
            while (await self._receive())["type"] != "http.disconnect":
                continue

    async def _write_huge(self, size: int) -> None:
        await self._start(200, _JSON, size)
        for left in range(size, 0, -_CHUNK):
            chunk = b" " * min(left, _CHUNK)
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        await self._send({"type": "http.response.body", "body": b""})

    async def _write(self, status: int, body: bytes, kind: str) -> None:
        await self._start(status, kind, len(body))
        await self._send({"type": "http.response.body", "body": body})

    async def _start(self, status: int, kind: str, length: int) -> None:
        headers = [
            (b"content-type", kind.encode()),
            (b"content-length", str(length).encode()),
            (b"access-control-allow-origin", b"*"),
        ]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})


def _parameters(exchange: _Exchange, body: bytes) -> Mapping[str, Any]:
    if exchange.method != "POST":
        return exchange.query()
    parsed = json.loads(body or b"{}")
    if not isinstance(parsed, dict):
        raise TypeError("a request is a JSON object")
    return parsed


def _error(java_class: str, text: str) -> dict[str, Any]:
    return {"Error": f"class {java_class} : {text}"}


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
