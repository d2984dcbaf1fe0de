"""One endpoint: whatever comes back, or does not, is an EndpointError and within bounds."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tron.endpoint import EndpointError
from tests.unit.tron.answers import anything
from tests.unit.tron.stub import Stub
from utils.circuit_breaker import BreakerPolicy, BreakerState
from utils.rate_limiter import RateLimiter

PATH = "/wallet/getnowblock"
SOLID_PATH = "/walletsolidity/getnowblock"
HEADER = "TRON-PRO-API-KEY"


async def kind_of_failure(stub: Stub, path: str = PATH) -> str:
    with pytest.raises(EndpointError) as caught:
        await stub.endpoint().post(path, {})
    return caught.value.kind


def raising(error: Exception) -> Any:
    def handler(request: httpx.Request) -> httpx.Response:
        raise error

    return handler


async def test_the_body_is_posted_as_json_and_the_answer_read() -> None:
    stub = Stub(lambda request: {"echo": json.loads(request.content)})
    assert await stub.endpoint().post(PATH, {"num": 7}) == {"echo": {"num": 7}}
    assert (stub.requests[0].method, str(stub.requests[0].url)) == (
        "POST",
        "http://node.test/wallet/getnowblock",
    )


@pytest.mark.parametrize(
    ("keys", "sent"),
    [
        ({}, [None, None]),
        ({"api_key": "k-1"}, ["k-1", None]),
        ({"solidity_api_key": "k-2"}, [None, "k-2"]),
        ({"api_key": "k-1", "solidity_api_key": "k-2"}, ["k-1", "k-2"]),
        ({"api_key": ""}, [None, None]),
    ],
)
async def test_a_key_goes_only_where_it_belongs(
    keys: dict[str, str], sent: list[str | None]
) -> None:
    stub = Stub(lambda request: {}, settings=keys)
    endpoint = stub.endpoint()
    await endpoint.post(PATH, {})
    await endpoint.post(SOLID_PATH, {})
    assert [request.headers.get(HEADER) for request in stub.requests] == sent
    hosts = [request.url.host for request in stub.requests]
    assert hosts == ["node.test", "node-solid.test"]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed_with_the_key(status: int) -> None:
    elsewhere = httpx.Response(status, headers={"Location": "http://elsewhere.test/"})
    stub = Stub(lambda request: elsewhere, settings={"api_key": "k-1"})
    assert await kind_of_failure(stub) == "HTTP_ERROR"
    assert [request.url.host for request in stub.requests] == ["node.test"]


async def test_a_key_is_in_no_error() -> None:
    stub = Stub(raising(httpx.ReadError("k-1 was here?")), settings={"api_key": "k-secret"})
    with pytest.raises(EndpointError) as caught:
        await stub.endpoint().post(PATH, {})
    assert "k-secret" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 429, 500, 502, 503, 504])
async def test_a_status_is_an_http_error(status: int) -> None:
    stub = Stub(lambda request: httpx.Response(status, json={"block": "x"}))
    assert await kind_of_failure(stub) == "HTTP_ERROR"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("refused"), "UNREACHABLE"),
        (httpx.UnsupportedProtocol("gopher"), "UNREACHABLE"),
        (httpx.InvalidURL("no host"), "UNREACHABLE"),
        (httpx.ConnectTimeout("slow"), "TIMEOUT"),
        (httpx.ReadTimeout("slow"), "TIMEOUT"),
        (httpx.PoolTimeout("busy"), "TIMEOUT"),
        (httpx.ReadError("reset"), "HTTP_ERROR"),
        (httpx.WriteError("reset"), "HTTP_ERROR"),
        (httpx.RemoteProtocolError("half an answer"), "HTTP_ERROR"),
        (httpx.DecodingError("not gzip"), "HTTP_ERROR"),
    ],
)
async def test_a_broken_connection_is_named(error: Exception, kind: str) -> None:
    assert await kind_of_failure(Stub(raising(error))) == kind


async def test_silence_ends_with_the_time_allowed() -> None:
    never = asyncio.Event()
    stub = Stub(lambda request: never.wait(), settings={"timeout_seconds": 0.01})
    assert await kind_of_failure(stub) == "TIMEOUT"


async def test_a_trickle_ends_with_the_time_allowed() -> None:
    never = asyncio.Event()

    class Trickle(httpx.AsyncByteStream):
        async def __aiter__(self) -> Any:
            yield b"{"
            await never.wait()

    stub = Stub(
        lambda request: httpx.Response(200, stream=Trickle()), settings={"timeout_seconds": 0.01}
    )
    assert await kind_of_failure(stub) == "TIMEOUT"


async def test_a_long_answer_is_left_at_the_limit() -> None:
    given_out = 0

    class Long(httpx.AsyncByteStream):
        async def __aiter__(self) -> Any:
            nonlocal given_out
            for _ in range(1_000):
                given_out += 1
                yield b" " * 1_000

    stub = Stub(
        lambda request: httpx.Response(200, stream=Long()), settings={"max_answer_bytes": 5_000}
    )
    assert await kind_of_failure(stub) == "BAD_ANSWER"
    assert given_out == 6


@pytest.mark.parametrize(("size", "fits"), [(9_998, True), (9_999, False)])
async def test_the_limit_is_exact(size: int, fits: bool) -> None:
    stub = Stub(lambda request: httpx.Response(200, content=b'"' + b"x" * size + b'"'))
    if fits:
        assert await stub.endpoint().post(PATH, {}) == "x" * size
    else:
        assert await kind_of_failure(stub) == "BAD_ANSWER"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"{",
        b"\xff\xfe",
        b"this API is closed because this node is a lite fullnode",
        b"[" * 5_000,
        b"1" * 5_000,
        b'{"Error": "class java.lang.NullPointerException : null"}',
        b'{"Error": null}',
        b'{"Error": {"a": [1]}, "block": []}',
    ],
)
async def test_what_is_no_answer_is_a_bad_answer(content: bytes) -> None:
    stub = Stub(lambda request: httpx.Response(200, content=content))
    assert await kind_of_failure(stub) == "BAD_ANSWER"


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_a_bad_answer(content: bytes) -> None:
    stub = Stub(lambda request: httpx.Response(200, content=content))
    try:
        expected = json.loads(content)
    except ValueError:
        assert asyncio.run(kind_of_failure(stub)) == "BAD_ANSWER"
    else:
        assert asyncio.run(stub.endpoint().post(PATH, {})) == expected


@given(anything)
def test_any_json_without_error_is_handed_on(answer: Any) -> None:
    async def ask() -> Any:
        return await Stub(lambda request: answer).endpoint().post(PATH, {})

    if isinstance(answer, dict) and "Error" in answer:
        return
    assert asyncio.run(ask()) == answer


async def test_a_breaker_stops_calling_and_says_so() -> None:
    policy = BreakerPolicy(failure_threshold=3, recovery_seconds=60)
    stub = Stub(lambda request: httpx.Response(503), breaker=policy)
    endpoint = stub.endpoint()
    for _ in range(3):
        with pytest.raises(EndpointError, match="HTTP_ERROR"):
            await endpoint.post(PATH, {})
    with pytest.raises(EndpointError, match="UNREACHABLE"):
        await endpoint.post(PATH, {})
    assert len(stub.requests) == 3
    assert endpoint.breaker.state is BreakerState.OPEN


async def test_a_breaker_lets_it_be_tried_again_and_closes() -> None:
    status = [503]
    policy = BreakerPolicy(failure_threshold=1, recovery_seconds=0, success_threshold=1)
    stub = Stub(lambda request: httpx.Response(status[0], json={}), breaker=policy)
    endpoint = stub.endpoint()
    with pytest.raises(EndpointError):
        await endpoint.post(PATH, {})
    status[0] = 200
    assert await endpoint.post(PATH, {}) == {}
    assert endpoint.breaker.state is BreakerState.CLOSED


async def test_too_many_waiting_calls_are_not_made() -> None:
    limiter = RateLimiter(0.001, 1, max_waiting=1)
    stub = Stub(lambda request: {}, limiter=limiter)
    endpoint = stub.endpoint()
    await endpoint.post(PATH, {})
    waiting = asyncio.create_task(endpoint.post(PATH, {}))
    await asyncio.sleep(0)
    with pytest.raises(EndpointError, match="UNREACHABLE"):
        await endpoint.post(PATH, {})
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(stub.requests) == 1


async def test_every_call_and_every_failure_is_counted() -> None:
    stub = Stub(lambda request: httpx.Response(500))
    await kind_of_failure(stub)
    assert stub.figures.counts == {
        "tron_node_requests_total": 1,
        "tron_node_request_seconds": 1,
        "tron_node_errors_total": 1,
    }
