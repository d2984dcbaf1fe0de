"""Sizes, time-outs, opening, closing and health of the clients of HTTP, MongoDB and Redis."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, Field

ClientT = TypeVar("ClientT")


class _PoolSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_connections: int = Field(ge=1, le=1000)
    connect_timeout_seconds: float = Field(gt=0, le=120)


class HttpPoolSettings(_PoolSettings):
    """An httpx client: connections, and seconds to connect, to send or read, and for a free one."""

    read_timeout_seconds: float = Field(gt=0, le=300)

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments of `httpx.AsyncClient`."""
        return {
            "limits": httpx.Limits(
                max_connections=self.max_connections,
                max_keepalive_connections=self.max_connections,
            ),
            "timeout": httpx.Timeout(
                self.read_timeout_seconds, connect=self.connect_timeout_seconds
            ),
        }


class MongoPoolSettings(_PoolSettings):
    """A MongoDB client: connections, seconds to connect and find a primary, and for one answer."""

    socket_timeout_seconds: float = Field(gt=0, le=300)

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments of the driver's client; they go before those of the URL."""
        connect_ms = round(self.connect_timeout_seconds * 1000)
        return {
            "maxPoolSize": self.max_connections,
            "connectTimeoutMS": connect_ms,
            "serverSelectionTimeoutMS": connect_ms,
            "waitQueueTimeoutMS": connect_ms,
            "socketTimeoutMS": round(self.socket_timeout_seconds * 1000),
        }


class RedisPoolSettings(_PoolSettings):
    """A Redis client: connections, seconds to connect and for one answer."""

    socket_timeout_seconds: float = Field(gt=0, le=60)

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments of `redis.asyncio.Redis.from_url`."""
        return {
            "max_connections": self.max_connections,
            "socket_connect_timeout": self.connect_timeout_seconds,
            "socket_timeout": self.socket_timeout_seconds,
        }


@dataclass(frozen=True, slots=True)
class PoolHealth:
    """Whether the other side answered a ping, in how many seconds, and if not, why."""

    name: str
    healthy: bool
    detail: str
    latency_seconds: float


class ConnectionPool(Generic[ClientT]):
    """One client with its pool: opened once, closed once, pinged for its health.

    `async with pool as client: …`, or `open()` and `close()`. `opener` makes the client, `closer`
    ends it, `pinger` asks the other side something cheap and raises if there is no good answer.
    """

    def __init__(
        self,
        name: str,
        *,
        opener: Callable[[], Awaitable[ClientT]],
        closer: Callable[[ClientT], Awaitable[None]],
        pinger: Callable[[ClientT], Awaitable[object]],
        ping_timeout_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._opener = opener
        self._closer = closer
        self._pinger = pinger
        self._ping_timeout_seconds = ping_timeout_seconds
        self._monotonic = monotonic
        self._client: ClientT | None = None
        self._lock = asyncio.Lock()

    @property
    def client(self) -> ClientT:
        """The open client. Raises RuntimeError before `open()` and after `close()`."""
        if self._client is None:
            raise RuntimeError(f"the {self.name} pool is not open")
        return self._client

    async def open(self) -> ClientT:
        """Open the client, or return the one that is open. Raises what `opener` raises."""
        async with self._lock:
            if self._client is None:
                self._client = await self._opener()
            return self._client

    async def close(self) -> None:
        """Close the client; does nothing if it is not open."""
        async with self._lock:
            client, self._client = self._client, None
            if client is not None:
                await self._closer(client)

    async def check(self) -> PoolHealth:
        """Ping the other side; never raises for its troubles."""
        started = self._monotonic()
        try:
            async with asyncio.timeout(self._ping_timeout_seconds):
                await self._pinger(self.client)
            problem = ""
        except TimeoutError:
            problem = f"no answer within {self._ping_timeout_seconds:g} s"
        except Exception as error:  # whatever a driver raises: health is an answer
            problem = str(error) or type(error).__name__
        latency = self._monotonic() - started
        return PoolHealth(self.name, not problem, problem or "answers", latency)

    async def __aenter__(self) -> ClientT:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()
