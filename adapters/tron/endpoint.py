"""One TRON endpoint over HTTP: bounded in rate, size and time, with a breaker around it."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from ports.observer import Observer
from utils.circuit_breaker import CircuitBreaker, CircuitOpenError
from utils.rate_limiter import RateLimiter, RateLimiterFull

PLAIN = {"Accept-Encoding": "identity"}
"""A few hundred compressed bytes can stand for gigabytes; what is not compressed has a size."""


class EndpointError(Exception):
    """No usable answer. `kind` is TIMEOUT, UNREACHABLE, HTTP_ERROR or BAD_ANSWER."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


class TooLargeError(EndpointError):
    """The answer is longer than `max_answer_bytes`."""

    def __init__(self, path: str) -> None:
        super().__init__("BAD_ANSWER", f"{path}: the answer is too large")


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """Where a node is: base URLs of its full and its solid view, and the key for each, if any.

    `max_answer_bytes` and `timeout_seconds` bound one answer as a whole.
    """

    url: str
    solidity_url: str
    api_key: str | None
    solidity_api_key: str | None
    max_answer_bytes: int
    timeout_seconds: float


class Endpoint:
    """Calls to one node. Every failure becomes an EndpointError."""

    def __init__(
        self,
        settings: EndpointSettings,
        *,
        client: httpx.AsyncClient,
        breaker: CircuitBreaker,
        limiter: RateLimiter,
        observer: Observer,
    ) -> None:
        self._settings = settings
        self._client = client
        self._limiter = limiter
        self._observer = observer
        self.breaker = breaker
        # Without user and password, which a URL may hold: the name is shown to people.
        self.name = urlsplit(settings.url).netloc.rpartition("@")[2]
        self.problem = ""
        """Why this endpoint must not be used at all; empty if it may."""
        self.look_again_at = 0.0
        """The loop's time from which on it is asked again whether the problem still is there."""
        self.genesis_id: str | None = None

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON answer to a POST. Raises EndpointError."""
        started = time.monotonic()
        self._observer.count("tron_node_requests_total", endpoint=self.name, path=path)
        try:
            await self._limiter.acquire()
            return await self.breaker.call(lambda: self._post(path, body))
        except (CircuitOpenError, RateLimiterFull) as error:
            failure = EndpointError("UNREACHABLE", str(error))
        except EndpointError as error:
            failure = error
        finally:
            elapsed = time.monotonic() - started
            self._observer.observe(
                "tron_node_request_seconds", elapsed, endpoint=self.name, path=path
            )
        self._observer.count(
            "tron_node_errors_total", endpoint=self.name, path=path, kind=failure.kind
        )
        raise failure

    async def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        solid = path.startswith("/walletsolidity/")
        base = self._settings.solidity_url if solid else self._settings.url
        key = self._settings.solidity_api_key if solid else self._settings.api_key
        headers = {**PLAIN, "TRON-PRO-API-KEY": key} if key else PLAIN
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                content = await self._read(base.rstrip("/") + path, path, body, headers)
        except (httpx.TimeoutException, TimeoutError) as error:
            raise EndpointError("TIMEOUT", f"{path}: no answer in time") from error
        except (httpx.ConnectError, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise EndpointError("UNREACHABLE", f"{path}: {error}") from error
        except httpx.HTTPError as error:
            raise EndpointError("HTTP_ERROR", f"{path}: {type(error).__name__}") from error
        return _parse(path, content)

    async def _read(
        self, url: str, path: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> bytes:
        """The answer's bytes. Errors name the path alone: the URL may hold a provider's key."""
        async with self._client.stream("POST", url, json=body, headers=headers) as response:
            if response.status_code != 200:
                raise EndpointError("HTTP_ERROR", f"{path}: status {response.status_code}")
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise EndpointError("BAD_ANSWER", f"{path}: the answer is compressed")
            content = bytearray()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > self._settings.max_answer_bytes:
                    raise TooLargeError(path)
            return bytes(content)


def _parse(path: str, content: bytes) -> Any:
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise EndpointError("BAD_ANSWER", f"{path}: not JSON") from error
    # Nodes answer most errors with status 200.
    if isinstance(answer, dict) and "Error" in answer:
        raise EndpointError("BAD_ANSWER", f"{path}: {str(answer['Error'])[:200]}")
    return answer
