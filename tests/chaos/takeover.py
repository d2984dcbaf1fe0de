"""How long it takes until the work of a killed service process is done by the other one."""

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import redis
from pymongo.errors import PyMongoError

from tests.chaos.cluster import Cluster, in_hands_of, replica_of
from tests.e2e.kit import Service

LOOK_SECONDS = 0.1
BUSY_SECONDS = 15.0

CURSOR = "cursor"


@dataclass
class Death:
    """A killed process: when, and the ids of what it held that nobody has taken over yet.

    `cursor` is where the chain had been read up to, if it was the process that reads.
    """

    since: float
    at: datetime
    held: set[str]
    cursor: Mapping[str, Any] | None

    def taken_over(self) -> Mapping[str, Any]:
        """The query for what somebody else has done."""
        sent = {"live_attempt.last_sent_at": {"$gt": self.at}}
        included = {"hits.0": {"$exists": True}}
        read_on = {"kind": CURSOR, "cursor": {"$ne": self.cursor}}
        return {"_id": {"$in": sorted(self.held)}, "$or": [sent, included, read_on]}


class TakeOvers:
    """Watches from a thread of its own, for the length of the block.

    `payouts`: for each payout that a killed process had leased or had not sent yet, the seconds
    until its bytes were sent. `blocks`: for each killed process that read the chain, the seconds
    until the other one read on.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._deaths: list[Death] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="take-overs", daemon=True)
        self.payouts: list[float] = []
        self.blocks: list[float] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def kills(self) -> int:
        """How many processes were killed."""
        return len(self._deaths)

    @property
    def open(self) -> int:
        """How much has not been taken over yet."""
        return sum(len(death.held) for death in self._deaths)

    def busy(self) -> Service:
        """A service process that has something in its hands; any, when none has for long."""
        deadline = time.monotonic() + BUSY_SECONDS
        with self._cluster.payouts() as payouts:
            while time.monotonic() < deadline:
                for service in self._cluster.services:
                    with suppress(PyMongoError):
                        if payouts.find_one(in_hands_of(replica_of(service))):
                            return service
                time.sleep(LOOK_SECONDS / 10)
        return self._cluster.services[0]

    def kill(self, service: Service) -> None:
        """`kill -9`, and from then on watch who takes over."""
        reads = self._reads(service)
        service.kill()
        since, at = time.monotonic(), datetime.now(UTC)
        with self._cluster.payouts() as payouts:
            held = payouts.find(in_hands_of(replica_of(service)), {"_id": 1})
            ids = {found["_id"] for found in held}
            cursor = payouts.find_one({"_id": CURSOR}) if reads else None
        if cursor is None:
            self._deaths.append(Death(since, at, ids, None))
        else:
            self._deaths.append(Death(since, at, ids | {CURSOR}, cursor["cursor"]))

    def _reads(self, service: Service) -> bool:
        with suppress(redis.RedisError):
            return self._cluster.settles(service)
        return False

    def _watch(self) -> None:
        with self._cluster.payouts() as payouts:
            while not self._over.wait(LOOK_SECONDS):
                for death in [one for one in self._deaths if one.held]:
                    with suppress(PyMongoError):
                        found = payouts.find(death.taken_over(), {"_id": 1})
                        self._note(death, {one["_id"] for one in found})

    def _note(self, death: Death, ids: set[str]) -> None:
        seconds = time.monotonic() - death.since
        for one in ids:
            (self.blocks if one == CURSOR else self.payouts).append(seconds)
        death.held -= ids
