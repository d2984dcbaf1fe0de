"""Too much at once, too slow, too long: refused soon, with a problem document, and told."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
from starlette.types import Message

from tests.unit.api.edge import GOOD_BODY, World, assert_problem, bounded, world


class Stuck:
    """A use case that begins, and ends when it is told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.more = asyncio.Condition()
        self.over = asyncio.Event()
        self.cancelled = 0

    async def __call__(self, *_: Any) -> list[Any]:
        async with self.more:
            self.begun += 1
            self.more.notify_all()
        try:
            await self.over.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return []

    async def wait_until(self, begun: int) -> None:
        async with self.more:
            await self.more.wait_for(lambda: self.begun == begun)


@asynccontextmanager
async def stuck_world(**bounds: Any) -> AsyncIterator[tuple[World, Stuck]]:
    """A world with other bounds, in which GET /payouts/stats is stuck."""
    async with world() as edge:
        edge.container.settings = bounded(edge.container.settings, **bounds)
        stuck = Stuck()
        edge.router.stats = stuck  # type: ignore[assignment,method-assign]
        with structlog.testing.capture_logs():
            yield edge, stuck


async def figure(edge: World, name: str) -> str | None:
    found = re.search(rf"^{re.escape(name)} (.*)$", (await edge.client.get("/metrics")).text, re.M)
    return found and found[1]


# ---- in flight ----


async def test_beyond_the_bound_the_next_is_refused_at_once_and_nothing_else_is() -> None:
    async with stuck_world(max_in_flight=3) as (edge, stuck):
        waiting = [asyncio.create_task(edge.client.get("/payouts/stats")) for _ in range(3)]
        await stuck.wait_until(3)
        assert await figure(edge, "payout_requests_in_flight") == "3.0"
        answer = await edge.client.post("/payouts", json=dict(GOOD_BODY))
        problem = assert_problem(answer, 503, "P014")
        assert problem["retryable"]
        assert answer.headers["Retry-After"] == "5"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert edge.router.asked == []
        for path in ("/health", "/health/live", "/health/ready", "/metrics"):
            assert (await edge.client.get(path)).status_code == 200
        stuck.over.set()
        assert {(await one).status_code for one in waiting} == {200}
        answer = await edge.client.post("/payouts", json=dict(GOOD_BODY))
        assert answer.status_code == 201
        assert await figure(edge, "payout_requests_in_flight") == "0.0"
        assert await figure(edge, 'payout_overload_total{reason="in_flight"}') == "1.0"


async def test_a_place_comes_back_however_a_request_ends() -> None:
    async with stuck_world(max_in_flight=1) as (edge, stuck):
        for _ in range(3):
            assert (await edge.client.get("/nope")).status_code == 404
        edge.router.breaks_with = RuntimeError("bug")
        assert (await edge.client.get("/payouts")).status_code == 500
        edge.router.breaks_with = None
        request = asyncio.create_task(edge.client.get("/payouts/stats"))
        await stuck.wait_until(1)
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
        assert (await edge.client.get("/payouts")).status_code == 200


async def test_who_sends_a_body_slowly_takes_no_place() -> None:
    async with stuck_world(max_in_flight=1) as (edge, _):
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            yield b"{"
            begun.set()
            await go_on.wait()
            yield b"}"

        slow = asyncio.create_task(
            edge.client.post(
                "/payouts", content=body(), headers={"Content-Type": "application/json"}
            )
        )
        await begun.wait()
        assert (await edge.client.get("/payouts")).status_code == 200
        go_on.set()
        assert_problem(await slow, 400, "P003", field="recipient_address")


# ---- time ----


async def test_what_takes_too_long_is_cancelled_and_told() -> None:
    async with stuck_world(request_seconds=0.05) as (edge, stuck):
        answer = await edge.client.get("/payouts/stats")
        problem = assert_problem(answer, 503, "P015")
        assert (problem["retryable"], problem["recovery_action"]) == (True, "retry_same_request")
        assert "may or may not have happened" in problem["detail"]
        assert answer.headers["Retry-After"] == "5"
        assert answer.headers["Connection"] == "close"
        assert stuck.cancelled == 1
        assert await figure(edge, 'payout_overload_total{reason="time"}') == "1.0"


async def test_a_body_that_does_not_end_takes_too_long() -> None:
    async with stuck_world(request_seconds=0.05) as (edge, _):

        async def body() -> AsyncIterator[bytes]:
            yield b"{"
            await asyncio.Event().wait()

        answer = await edge.client.post(
            "/payouts", content=body(), headers={"Content-Type": "application/json"}
        )
        assert_problem(answer, 503, "P015")


async def test_a_time_out_within_a_request_is_a_fault_of_ours() -> None:
    async with stuck_world(request_seconds=3600) as (edge, _):
        edge.router.breaks_with = TimeoutError("something inside")
        assert_problem(await edge.client.get("/payouts"), 500, "P012")


async def call(edge: World, app: Any) -> list[Message]:
    """The messages of an answer that `app` makes inside of the middleware, as far as it came."""
    edge.app.add_route("/made", app)
    sent: list[Message] = []
    never = asyncio.Event()
    body = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if not body:
            await never.wait()
        return body.pop()

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/made",
        "raw_path": b"/made",
        "query_string": b"",
        "headers": [],
    }
    with pytest.raises(TimeoutError):
        await edge.app(scope, receive, send)
    return sent


class Endless:
    """An answer that begins, goes on for a few parts, and gets stuck."""

    def __init__(self, parts: int) -> None:
        self._parts = parts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(self._parts):
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await asyncio.Event().wait()


async def test_an_answer_that_gets_stuck_is_broken_off() -> None:
    async with stuck_world(request_seconds=0.05) as (edge, _):
        sent = await call(edge, Endless(3))
        # No second answer in the first one: the server ends the connection.
        assert [message["type"] for message in sent] == [
            "http.response.start",
            *["http.response.body"] * 3,
        ]
