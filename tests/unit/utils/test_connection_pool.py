import asyncio

import httpx
import pytest
from pydantic import ValidationError
from pymongo import MongoClient
from redis.asyncio import Redis

from utils.connection_pool import (
    ConnectionPool,
    HttpPoolSettings,
    MongoPoolSettings,
    RedisPoolSettings,
)


class Client:
    def __init__(self) -> None:
        self.closed = 0
        self.error: Exception | None = None
        self.answers = asyncio.Event()
        self.answers.set()

    async def ping(self) -> None:
        await self.answers.wait()
        if self.error:
            raise self.error

    async def close(self) -> None:
        self.closed += 1


def pool_of(client: Client, opened: list[int] | None = None) -> ConnectionPool[Client]:
    async def opener() -> Client:
        await asyncio.sleep(0)
        if opened is not None:
            opened.append(1)
        return client

    return ConnectionPool(
        "database",
        opener=opener,
        closer=Client.close,
        pinger=Client.ping,
        ping_timeout_seconds=0.01,
    )


async def test_opens_once_and_closes_once():
    client, opened = Client(), []
    pool = pool_of(client, opened)
    assert await asyncio.gather(pool.open(), pool.open()) == [client, client]
    assert pool.client is client
    assert len(opened) == 1
    await asyncio.gather(pool.close(), pool.close())
    assert client.closed == 1


async def test_there_is_no_client_before_opening_and_after_closing():
    pool = pool_of(Client())
    with pytest.raises(RuntimeError, match="database pool is not open"):
        _ = pool.client
    async with pool:
        assert pool.client
    with pytest.raises(RuntimeError, match="not open"):
        _ = pool.client


async def test_health_is_an_answer_whatever_happens():
    client = Client()
    pool = pool_of(client)
    assert (await pool.check()).detail == "the database pool is not open"
    async with pool:
        assert (await pool.check()).healthy
        client.error = ConnectionError("refused")
        refused = await pool.check()
        client.answers.clear()
        silent = await pool.check()
    assert (refused.healthy, refused.detail) == (False, "refused")
    assert (silent.healthy, silent.detail) == (False, "no answer within 0.01 s")
    assert silent.name == "database"


async def test_the_options_are_the_ones_that_the_clients_take():
    http = HttpPoolSettings(max_connections=7, connect_timeout_seconds=2, read_timeout_seconds=9)
    async with httpx.AsyncClient(**http.client_options()) as client:
        assert client.timeout == httpx.Timeout(9, connect=2)

    mongo = MongoPoolSettings(
        max_connections=7, connect_timeout_seconds=2, socket_timeout_seconds=9
    )
    with MongoClient("mongodb://127.0.0.1:1", connect=False, **mongo.client_options()) as database:
        assert database.options.pool_options.max_pool_size == 7
        assert database.options.pool_options.connect_timeout == 2
        assert database.options.pool_options.socket_timeout == 9
        assert database.options.server_selection_timeout == 2

    cache = RedisPoolSettings(
        max_connections=7, connect_timeout_seconds=2, socket_timeout_seconds=1
    )
    redis = Redis.from_url("redis://127.0.0.1:1", **cache.client_options())
    assert redis.connection_pool.max_connections == 7
    assert redis.connection_pool.connection_kwargs["socket_timeout"] == 1
    await redis.aclose()


def test_refuses_sizes_that_make_no_pool():
    with pytest.raises(ValidationError):
        HttpPoolSettings(max_connections=0, connect_timeout_seconds=2, read_timeout_seconds=9)
