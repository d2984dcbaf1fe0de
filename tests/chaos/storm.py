"""The storm: clients that never give up, a cluster that is never left alone, and the reckoning."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpx

from models.money import format_amount
from tests.chaos.cluster import Cluster, Pace, eventually
from tests.chaos.replica_set import ReplicaSet
from tests.chaos.takeover import TakeOvers
from tests.chaos.troubles import troubles
from tests.e2e.kit import WALLET, asked, everything, keyed, order

CLIENTS = 8
AGAIN_SECONDS = 0.1
ACCEPTED, GONE_ON = (200, 201), (409, 429, 500, 502, 503, 504)
TWIN = 10
"""Every so many payouts, one is asked for twice, and one asks for what the one before asked for."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Storm:
    """What to go through. `patience_seconds` is how long the rest may take when all is calm, `only`
    a part of the names of the troubles that are wanted."""

    payouts: int
    troubles: int
    seed: int
    pace: Pace
    patience_seconds: float
    only: str = ""


@dataclass(frozen=True)
class Figures:
    """What came of it; times in seconds."""

    payouts: int
    transfers: int
    attempts: int
    troubles: Counter[str]
    spoiled: Counter[str]
    kills: int
    payouts_taken_over: Sequence[float]
    blocks_taken_over: Sequence[float]
    acceptances: Sequence[float]
    minutes: float

    def __str__(self) -> str:
        """For a person, and for docs."""
        lines = (
            f"payouts accepted {self.payouts}, transfers on the chain {self.transfers}, "
            f"signed attempts {self.attempts}",
            f"troubles {self.troubles.total()} in {self.minutes:.1f} min, "
            f"service processes killed at work {self.kills}",
            f"pieces of traffic spoiled: {dict(self.spoiled)}",
            f"a killed process's payouts sent by the other: {spread(self.payouts_taken_over)}",
            f"a killed process's reading of blocks taken over: {spread(self.blocks_taken_over)}",
            f"a client's wait for its 2xx, retries included: {spread(self.acceptances)}",
        )
        return "\n".join(lines)


def spread(seconds: Sequence[float]) -> str:
    """Count, p50, p99 and the longest."""
    if len(seconds) < 2:
        return f"n={len(seconds)} {[round(one, 1) for one in seconds]}"
    parts = quantiles(seconds, n=100, method="inclusive")
    return f"n={len(seconds)} p50={parts[49]:.1f} p99={parts[98]:.1f} max={max(seconds):.1f} s"


class Clients:
    """Clients that ask until they hear a 2xx, with one key for each payout."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self._cluster = cluster
        self._run = f"storm-{seed}"
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._asked: list[Future[str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.seconds: list[float] = []

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """The block in which they ask."""
        try:
            yield
        finally:
            self._pool.shutdown(cancel_futures=True)

    def ask_for(self, count: int) -> None:
        """So many payouts more, without waiting for an answer."""
        for _ in range(count):
            number = len(self.bodies)
            self.bodies.append(self.bodies[-1] if number % TWIN == TWIN - 1 else body_of(number))
            self._asked.append(self._pool.submit(self._accepted, number))

    def accepted(self) -> list[str]:
        """The payout ids, in order, once every payout is accepted."""
        return [one.result() for one in self._asked]

    def replay(self, ids: Sequence[str]) -> None:
        """Some of the keys once more: each gives the payout that it gave at first."""
        for number in range(0, len(ids), TWIN):
            assert self._insist(number, 0) == ids[number]

    def _accepted(self, number: int) -> str:
        begun = time.monotonic()
        first = self._insist(number, number)
        self.seconds.append(time.monotonic() - begun)
        if number % TWIN == 0:
            again = self._insist(number, number + 1)
            assert again == first, f"one key, two payouts: {first} and {again}"
        return first

    def _insist(self, number: int, place: int) -> str:
        """Ask one process, then the other, until there is a 2xx."""
        while (payout_id := self._ask(number, place)) is None:
            place += 1
            time.sleep(AGAIN_SECONDS)
        return payout_id

    def _ask(self, number: int, place: int) -> str | None:
        service = self._cluster.services[place % len(self._cluster.services)]
        key = keyed(f"{self._run}-{number}")
        try:
            with service.api() as api:
                api.timeout = httpx.Timeout(self._cluster.pace.client_seconds)
                answer = api.post("/payouts", json=self.bodies[number], headers=key)
        except httpx.TransportError:
            return None
        if answer.status_code in ACCEPTED:
            return str(answer.json()["payout_id"])
        assert answer.status_code in GONE_ON, answer.text
        return None


def body_of(number: int) -> dict[str, Any]:
    """A payout of an amount of its own; two of five are USDT, which cost more in fees."""
    currency = "USDT" if number % 5 < 2 else "TRX"
    return order(amount=format_amount(1_000_000 + number), currency=currency)


def go_through(storm: Storm, folder: Path, say: Say = print) -> Figures:
    """Everything, from the start to the reckoning. Raises AssertionError where it doesn't fit."""
    begun = time.monotonic()
    with (
        ReplicaSet(folder, storm.pace.election_seconds) as mongod,
        Cluster(folder, mongod, storm.pace) as cluster,
        TakeOvers(cluster) as takeovers,
    ):
        clients = Clients(cluster, storm.seed)
        with clients.waiting():
            happened = rage(storm, cluster, takeovers, clients, say)
            ids = clients.accepted()
        say(f"{len(ids)} accepted; all is calm from here on")
        wait_for_the_end(storm, cluster, takeovers, say)
        clients.replay(ids)
        paid = reckon(cluster, clients.bodies, ids)
        return Figures(
            payouts=len(ids),
            transfers=len(cluster.transfers()),
            attempts=sum(one["attempts"] for one in paid),
            troubles=happened,
            spoiled=sum((proxy.spoiled() for proxy in cluster.proxies), Counter()),
            kills=takeovers.kills,
            payouts_taken_over=takeovers.payouts,
            blocks_taken_over=takeovers.blocks,
            acceptances=clients.seconds,
            minutes=(time.monotonic() - begun) / 60,
        )


def rage(
    storm: Storm, cluster: Cluster, takeovers: TakeOvers, clients: Clients, say: Say
) -> Counter[str]:
    """One trouble after another, all of them before one comes again, while payouts keep coming."""
    dice = random.Random(storm.seed)  # noqa: S311 - an order, not a secret
    table = {n: t for n, t in troubles(cluster, takeovers).items() if storm.only in n}
    plan: list[str] = []
    while len(plan) < storm.troubles:
        plan += dice.sample(sorted(table), len(table))
    del plan[storm.troubles :]
    begun = time.monotonic()
    for place, name in enumerate(plan):
        due = storm.payouts * (place + 1) // len(plan)
        clients.ask_for(due - len(clients.bodies))
        say(f"{time.monotonic() - begun:6.1f} s  {due:5} asked  {name}")
        with table[name]():
            time.sleep(storm.pace.hold_seconds)
    return Counter(plan)


def wait_for_the_end(storm: Storm, cluster: Cluster, takeovers: TakeOvers, say: Say) -> None:
    """Until every payout is completed and all work of the dead was taken over."""

    def is_over() -> bool:
        with cluster.services[0].api() as api:
            counts = Counter(one["status"] for one in everything(api))
        say(f"{dict(counts)}, not taken over yet: {takeovers.open}")
        return counts["completed"] == storm.payouts and not takeovers.open

    eventually(is_over, storm.patience_seconds)


def lasting(payout: dict[str, Any]) -> dict[str, Any]:
    """What of a payout does not change any more once it is completed."""
    return {name: value for name, value in payout.items() if name != "confirmations"}


def reckon(
    cluster: Cluster, bodies: Sequence[dict[str, Any]], ids: Sequence[str]
) -> list[dict[str, Any]]:
    """The API, the chain and the clients agree, and nobody had to mend anything."""
    with cluster.services[0].api("ADMIN") as first, cluster.services[1].api("ADMIN") as second:
        paid = everything(first)
        assert [lasting(one) for one in paid] == [lasting(one) for one in everything(second)]
        assert first.get("/unexplained?include_explained=true").json()["items"] == []
        assert first.get("/gates").json()["items"] == []
    by_id = {one["payout_id"]: one for one in paid}
    assert sorted(by_id) == sorted(ids), "accepted and listed are not the same"
    assert len(set(ids)) == len(bodies)
    assert {one["status"] for one in paid} == {"completed"}
    assert asked([by_id[one] for one in ids]) == asked(bodies) == sorted(cluster.transfers())
    ledger = cluster.control("GET", "ledger", **{"from": WALLET})["transfers"]
    on_chain = [(row["txid"], row["to"], row["block"]) for row in ledger]
    listed = [(one["txid"], one["recipient_address"], one["block_number"]) for one in paid]
    assert sorted(on_chain) == sorted(listed)
    return paid
