"""Whatever a node sends, it is an answer or an EndpointError: soon, and in little memory."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tron.endpoint import Endpoint, EndpointError, EndpointSettings
from tests.fuzz.hostile import WAYS, Answer, HostileNode, head
from tests.harness import RecordedFigures
from utils.circuit_breaker import BreakerPolicy, CircuitBreaker
from utils.rate_limiter import RateLimiter

PATH = "/walletsolidity/getnowblock"
MAX_ANSWER_BYTES = 2_000_000
ANSWER_SECONDS = 0.5
PATIENCE_SECONDS = 30.0
"""Many times what the endpoint allows itself: only a hang takes so long."""

MEMORY_BYTES = 10 * MAX_ANSWER_BYTES
"""An answer, its copies, and what it is parsed to."""


@asynccontextmanager
async def endpoint_of(
    answer: Answer, dressed: Callable[[str], str] = str
) -> AsyncIterator[Endpoint]:
    """The real endpoint on the real client, in front of a hostile node; `dressed` alters its URL
    as the settings have it."""
    client = httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False)
    async with HostileNode(answer).serving() as url, client:
        yield Endpoint(
            EndpointSettings(
                url=dressed(url),
                solidity_url=dressed(url),
                api_key=None,
                solidity_api_key=None,
                max_answer_bytes=MAX_ANSWER_BYTES,
                timeout_seconds=ANSWER_SECONDS,
            ),
            client=client,
            breaker=CircuitBreaker("hostile", BreakerPolicy(failure_threshold=1000)),
            limiter=RateLimiter(1e6, 1000),
            observer=RecordedFigures(),
        )


@pytest.mark.parametrize("way", WAYS)
async def test_what_is_no_answer_ends_soon_and_small(way: str) -> None:
    async with endpoint_of(WAYS[way]) as endpoint:
        tracemalloc.start()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                with pytest.raises(EndpointError):
                    await endpoint.post(PATH, {})
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most < MEMORY_BYTES


def saying(data: bytes) -> Answer:
    """A node that sends these bytes and hangs up."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return answer


HEADERS = st.sampled_from(
    (
        "Content-Length: 3",
        "Content-Length: -1",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: chunked",
        "Content-Encoding: gzip",
        "Content-Encoding: deflate",
        "Content-Type: text/html; charset=utf-16",
        "Location: http://127.0.0.1:1/",
        "Set-Cookie: a=b",
        ": ",
        "no colon",
        "X: \x00",
    )
)


async def outcome(data: bytes) -> object:
    async with endpoint_of(saying(data)) as endpoint, asyncio.timeout(PATIENCE_SECONDS):
        try:
            return await endpoint.post(PATH, {})
        except EndpointError:
            return EndpointError


@given(st.binary(max_size=300))
def test_any_bytes_on_the_wire_are_refused(data: bytes) -> None:
    assert asyncio.run(outcome(data)) is EndpointError


@given(st.lists(HEADERS, max_size=4), st.binary(max_size=50) | st.just(b'{"a": 1}'))
def test_any_headers_and_body_are_json_or_refused(headers: list[str], body: bytes) -> None:
    found = asyncio.run(outcome(head(*headers) + body))
    if found is not EndpointError:
        assert found == json.loads(body[:3] if "Content-Length: 3" in headers else body)


DRESSED = {
    "password": lambda url: url.replace("//", "//user:hunter2@"),
    "provider's key": lambda url: f"{url}/hunter2",
}


@pytest.mark.parametrize("dressed", DRESSED.values(), ids=DRESSED)
@pytest.mark.parametrize("answer", [WAYS["declared_huge"], WAYS["bomb"], WAYS["hang_up"]])
async def test_what_a_url_holds_is_in_no_error_and_no_name(
    dressed: Callable[[str], str], answer: Answer
) -> None:
    async with endpoint_of(answer, dressed) as endpoint:
        with pytest.raises(EndpointError) as caught:
            await endpoint.post(PATH, {})
    assert "hunter2" not in f"{caught.value} {endpoint.name}"
