"""The service as it runs in earnest: two processes, three mongods, Valkey, two TRON endpoints."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pymongo
import redis

from config import SERVICE_NAME
from devnet.process import HOST, Server
from tests.chaos.proxy import Proxy
from tests.chaos.replica_set import ReplicaSet
from tests.e2e.kit import NODES, QUICK, REDIS_PASSWORD, Changes, Service, World

START_SECONDS = 180.0
"""Dispatch opens when what was the head at start is solid and read: a minute at the real pace."""

LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Pace:
    """How fast the world goes round.

    `hold_seconds` is how long a trouble lasts, `pause_seconds` how long a stopped service, which is
    longer than its lease. `election_seconds` is MongoDB's, `client_seconds` how long a client waits
    for an answer.
    """

    tick_ms: int
    solid_lag: int
    hold_seconds: float
    pause_seconds: float
    election_seconds: float
    client_seconds: float
    changes: Changes = field(default_factory=dict)


AS_SHIPPED = Pace(
    tick_ms=3_000,
    solid_lag=19,
    hold_seconds=6,
    pause_seconds=65,
    election_seconds=10,
    client_seconds=10,
)
"""The network's own pace, and the service's settings as they are shipped."""

FAST = Pace(
    tick_ms=50,
    solid_lag=5,
    hold_seconds=0.5,
    pause_seconds=3.3,
    election_seconds=1,
    client_seconds=2,
    changes=QUICK,
)
"""Chain time 60 times as fast as the clock on the wall, and the service's waits shrunk alike."""


def eventually(look: Callable[[], bool], seconds: float) -> None:
    """Wait until what is seen is true. Raises AssertionError when that takes longer."""
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, f"not so after {seconds:g} s"
        time.sleep(LOOK_SECONDS)


class Cluster(World):
    """All of it, running for the length of the block."""

    def __init__(self, folder: Path, mongod: ReplicaSet, pace: Pace) -> None:
        """`mongod` must be running."""
        super().__init__(folder, mongod.url, pace.changes)
        self.mongod = mongod
        self.pace = pace
        for option, value in (("--tick-ms", pace.tick_ms), ("--solid-lag", pace.solid_lag)):
            self.devnet.command[self.devnet.command.index(option) + 1] = str(value)
        self.proxies = [Proxy(folder, self.devnet.port + node) for node in range(NODES)]
        urls = ",".join(f"http://{HOST}:{proxy.port}" for proxy in self.proxies)
        self.services = [self.service(f"service-{n}", TRON_RPC_URL=urls) for n in range(2)]

    def __enter__(self) -> Self:
        super().__enter__()
        for proxy in self.proxies:
            self._parts.enter_context(proxy)
        for service in self.services:
            service.start()
        eventually(self._is_healthy, START_SECONDS)
        return self

    def _is_healthy(self) -> bool:
        return all(service.is_healthy() for service in self.services)

    def wait_for_dispatch(self) -> None:
        """Until both service processes pay: a restarted one has to catch up first."""
        eventually(lambda: all(map(pays, self.services)), START_SECONDS)

    # ---- what the database and Valkey say ----

    @contextmanager
    def payouts(self) -> Iterator[pymongo.collection.Collection[dict[str, Any]]]:
        """The collection of payouts, to look at."""
        with pymongo.MongoClient[dict[str, Any]](
            self.mongodb_url.geturl(), tz_aware=True
        ) as client:
            yield client.get_default_database()["payouts"]

    def settles(self, service: Service) -> bool:
        """Whether a service process holds the settler's lock."""
        with redis.Redis(HOST, self.valkey.port, password=REDIS_PASSWORD) as client:
            return bool(client.get(f"{SERVICE_NAME}:lock:settler") == replica_of(service).encode())

    @contextmanager
    def valkey_flushed(self) -> Iterator[None]:
        """It forgets everything at the beginning."""
        with redis.Redis(HOST, self.valkey.port, password=REDIS_PASSWORD) as client:
            client.flushall()
        yield

    @contextmanager
    def valkey_killed(self) -> Iterator[None]:
        """Dead, and back with nothing in it at the end."""
        self.valkey.kill()
        yield
        self.start_valkey()


def pays(service: Service) -> bool:
    """Whether a service process pays what is due, and finds endpoints that answer."""
    parts = service.health().json()["components"]
    sound = {part["name"] for part in parts if part["status"] == "healthy"}
    return {"tron", "loops", "dispatch"} <= sound


def replica_of(service: Service) -> str:
    """How the leases and locks name a service process."""
    return f"{socket.gethostname()}:{service.pid}"


def in_hands_of(replica: str) -> Mapping[str, Any]:
    """The payouts that a process has leased, or recorded and not yet said to be sent."""
    pending = {"status": "pending"}
    unsent = {"status": "processing", "live_attempt.last_sent_at": None}
    return {"kind": "payout", "lease.owner": replica, "$or": [pending, unsent]}


# ---- what can be done to a process ----


@contextmanager
def killed(server: Server) -> Iterator[None]:
    """`kill -9` at the beginning, started again at the end."""
    server.kill()
    yield
    server.start()


@contextmanager
def restarted(server: Server) -> Iterator[None]:
    """SIGTERM at the beginning, started again at the end."""
    server.stop()
    yield
    server.start()


@contextmanager
def paused(server: Server) -> Iterator[None]:
    """SIGSTOP at the beginning, SIGCONT at the end."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)
