"""Connections over real sockets: what is bounded before there is a request."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from api.connection import MAX_WAITING, Connection
from tests.unit.api.edge import World
from tests.unit.api.test_overload import stuck_world

LONG = 20.0
REQUEST = b"GET /health/live HTTP/1.1\r\nHost: payouts.test\r\n"
WHOLE = REQUEST + b"\r\n"


@dataclass
class Line:
    """A client's end of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        """Status, headers and JSON of the next answer."""
        async with asyncio.timeout(LONG):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            first, *rest = head.strip().split("\r\n")
            headers = {name.lower(): value for name, value in (one.split(": ") for one in rest)}
            body = await self.reader.readexactly(int(headers["content-length"]))
        return int(first.split()[1]), headers, json.loads(body)

    async def ends(self) -> None:
        """Returns when the server has ended the connection."""
        async with asyncio.timeout(LONG):
            try:
                while await self.reader.read(65_536):
                    pass
            except ConnectionError:
                return

    async def refused(self, status: int, code: str) -> None:
        """The answer is a problem with that status and code, and the connection ends."""
        found, headers, problem = await self.answer()
        assert (found, problem["code"], problem["status"]) == (status, code, status)
        assert headers["content-type"] == "application/problem+json"
        assert headers["connection"] == "close"
        assert headers["x-request-id"] == problem["request_id"]
        assert headers["x-content-type-options"] == "nosniff"
        await self.ends()


class Server:
    """uvicorn's protocol over a world, on a free port of this host."""

    def __init__(self, edge: World, state: ServerState, port: int) -> None:
        self.edge = edge
        self.state = state
        self.port = port
        self._lines: list[Line] = []

    async def dial(self, **options: Any) -> Line:
        line = Line(*await asyncio.open_connection("127.0.0.1", self.port, **options))
        self._lines.append(line)
        return line

    async def until_it_has(self, connections: int) -> None:
        async with asyncio.timeout(LONG):
            while len(self.state.connections) != connections:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0)

    def hang_up(self) -> None:
        for line in self._lines:
            line.writer.transport.abort()

    def refusals(self, reason: str) -> float:
        text = self.edge.container.metrics.render()[0].decode()
        name = f'payout_overload_total{{reason="{reason}"}}'
        found = re.search(rf"^{re.escape(name)} (.*)$", text, re.M)
        return float(found[1]) if found else 0


@asynccontextmanager
async def server(**bounds: Any) -> AsyncIterator[Server]:
    async with stuck_world(**bounds) as (edge, _):
        config = Config(edge.app, http=Connection, log_config=None, lifespan="off")
        config.load()
        state = ServerState()
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(
            lambda: Connection(config, state, {"app": edge.app}), "127.0.0.1", 0
        )
        served = Server(edge, state, listener.sockets[0].getsockname()[1])
        try:
            yield served
        finally:
            served.hang_up()
            listener.close()
            await served.until_it_has(0)


async def test_requests_are_served_one_after_the_other() -> None:
    async with server() as served:
        line = await served.dial()
        for _ in range(3):
            await line.say(WHOLE)
            status, _, body = await line.answer()
            assert (status, body) == (200, {"status": "alive"})


async def test_a_head_may_come_in_pieces() -> None:
    async with server() as served:
        line = await served.dial()
        for byte in WHOLE:
            await line.say(bytes([byte]))
        assert (await line.answer())[0] == 200


# ---- how large ----


@pytest.mark.parametrize(
    "head",
    {
        "one header": REQUEST + b"X: " + b"x" * 20_000 + b"\r\n\r\n",
        "one header that does not end": REQUEST + b"X: " + b"x" * 20_000,
        "a name that does not end": REQUEST + b"X" * 20_000,
        "several headers": REQUEST + (b"X: " + b"x" * 2_000 + b"\r\n") * 10 + b"\r\n",
        "the path": b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        "a path that does not end": b"GET /" + b"x" * 20_000,
        "a hundred headers": REQUEST + b"X: x\r\n" * 100 + b"\r\n",
        "trailers": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        + b"X: x\r\n" * 100,
    }.items(),
    ids=lambda head: head[0],
)
async def test_a_head_that_is_too_large(head: tuple[str, bytes]) -> None:
    async with server() as served:
        line = await served.dial()
        await line.say(head[1])
        await line.refused(431, "P016")
        assert served.refusals("head") == 1


async def test_a_large_head_is_refused_while_it_comes() -> None:
    async with server() as served:
        line = await served.dial()
        await line.say(REQUEST)
        sent = 0
        while not served.refusals("head"):
            sent += 1
            assert sent < 100_000
            await line.say(b"x" * 100)
            await asyncio.sleep(0)
        await line.ends()


async def test_the_longest_token_that_is_read_fits() -> None:
    async with server() as served:
        line = await served.dial()
        await line.say(REQUEST + b"Authorization: Bearer " + b"x" * 8192 + b"\r\n" * 2)
        assert (await line.answer())[0] == 200


async def test_bodies_do_not_count_as_heads() -> None:
    async with server() as served:
        line = await served.dial()
        for _ in range(3):
            await line.say(b"POST /nope HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n")
            await line.say(b"x" * 60_000)
            status, _, problem = await line.answer()
            assert (status, problem["code"]) == (404, "P010")


@pytest.mark.parametrize(
    "data", [b"nonsense\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET / HTTP/9.9\r\n\r\n"]
)
async def test_what_is_no_http(data: bytes) -> None:
    async with server() as served:
        line = await served.dial()
        await line.say(data)
        await line.refused(400, "P003")
        assert served.refusals("malformed") == 1


async def test_requests_far_ahead_of_their_answers() -> None:
    async with server() as served:
        line = await served.dial()
        await line.say(WHOLE * (MAX_WAITING + 1))
        for _ in range(MAX_WAITING + 1):
            assert (await line.answer())[0] == 200
        await line.say(WHOLE * 10_000)
        await line.ends()
        assert served.refusals("malformed") == 1


# ---- how long ----


@pytest.mark.parametrize("said", [b"", b"\r\n", b"G", REQUEST], ids=["-", "line", "G", "headers"])
async def test_a_head_that_does_not_come(said: bytes) -> None:
    async with server(head_seconds=0.05) as served:
        line = await served.dial()
        await line.say(said)
        await line.ends()


@pytest.mark.parametrize("drip", [b"\r\n", b"X: x\r\n"], ids=["empty lines", "headers"])
async def test_a_head_that_comes_byte_by_byte(drip: bytes) -> None:
    async with server(head_seconds=0.05, max_headers=1000, max_head_bytes=1 << 20) as served:
        line = await served.dial()
        await line.say(WHOLE)
        assert (await line.answer())[0] == 200
        if drip != b"\r\n":
            await line.say(REQUEST)
        ended = asyncio.create_task(line.ends())
        while not ended.done():
            line.writer.write(drip)
            await asyncio.sleep(0)
        await ended


async def test_a_served_request_may_take_longer_than_a_head() -> None:
    async with server(head_seconds=0.01) as served:
        gate = asyncio.Event()

        async def stats(_: Any) -> list[Any]:
            await gate.wait()
            return []

        served.edge.router.stats = stats  # type: ignore[assignment,method-assign]
        token = served.edge.client.headers["Authorization"].encode()
        line = await served.dial()
        await line.say(
            b"GET /payouts/stats HTTP/1.1\r\nHost: x\r\nAuthorization: " + token + b"\r\n\r\n"
        )
        asyncio.get_running_loop().call_later(0.05, gate.set)
        assert (await line.answer())[0] == 200


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    async with server(request_seconds=0.2) as served:
        line = await served.dial(limit=1)  # the most that is read without being asked for
        peer = line.writer.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        request = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
        await served.until_it_has(1)
        line.writer.write(request * MAX_WAITING)
        ends = asyncio.create_task(served.until_it_has(0))
        while not ends.done():
            if not line.writer.transport.get_write_buffer_size():
                line.writer.write(request)
            await asyncio.sleep(0.001)
        await ends


# ---- how many ----


async def test_one_connection_too_many() -> None:
    async with server(max_connections=2) as served:
        first, second = await served.dial(), await served.dial()
        for line in (first, second):
            await line.say(WHOLE)
            assert (await line.answer())[0] == 200
        third = await served.dial()
        await third.refused(503, "P014")
        assert served.refusals("connections") == 1
        await first.say(WHOLE)
        assert (await first.answer())[0] == 200
        first.writer.close()
        await served.until_it_has(1)
        fourth = await served.dial()
        await fourth.say(WHOLE)
        assert (await fourth.answer())[0] == 200
