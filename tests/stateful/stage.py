"""The whole service in this process, over either store, on a clock that only the test moves.

The edge, the services, the adapters and the devnet are real. Every "now" is the same: the store's,
the event loop's, and MongoDB's `$$NOW`, in whose place stands the moment that the test is at.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from datetime import datetime
from functools import cache
from itertools import count
from typing import Any, TypeVar
from unittest import mock

import httpx
from fastapi import FastAPI

from adapters.memory.store import MemoryPayoutStore
from adapters.mongo import changes, compliance, dispatch, expressions, limits, marks, unexplained
from adapters.mongo.store import MongoPayoutStore
from api.app import Edge, build_app
from devnet.devnet import Devnet
from devnet.network import Transfer
from models.limits import Used
from models.payout import PayoutStatus
from ports.store import PayoutQuery
from services.ids import payout_id
from tests.databases import lent_store
from tests.front import BASE_URL, container_of, token, usual_settings
from tests.harness import FakeClock, House, open_house
from tests.stateful.policies import FROZEN, NET, TIGHT, WALLETS, Person
from tests.throttles import OpenDoor

T = TypeVar("T")

Opener = Callable[[FakeClock], AbstractAsyncContextManager[Any]]
"""An empty store on that clock."""


class StillLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is the test's. Nothing here waits for a timer."""

    clock = FakeClock()

    def time(self) -> float:
        """Seconds, which pass only where the test lets them."""
        return self.clock.at.timestamp()


class Stage:
    """A started replica behind its edge; `ask` is a request of somebody."""

    def __init__(self, loop: StillLoop, opener: Opener) -> None:
        self._loop = loop
        self._opener = opener
        self.clock = loop.clock = FakeClock()
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(edge()), base_url=BASE_URL)
        self.house: House = self.run(self._open())

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        """Let something happen."""
        return self._loop.run_until_complete(step)

    async def _open(self) -> House:
        self._store = self._opener(self.clock)
        store = await self._store.__aenter__()
        net = Devnet(NET)
        net.blacklist(FROZEN)
        numbers = count()
        house = await open_house(
            net=net,
            store=store,
            clock=self.clock,
            policies=TIGHT,
            signers=WALLETS,
            new_id=lambda now: payout_id(now, lambda bits: next(numbers)),
        )
        edge().state.container = container_of(house, usual_settings(), OpenDoor())
        await house.start()
        return house

    def close(self) -> None:
        """Nothing is left open."""
        self.run(self._closed())

    async def _closed(self) -> None:
        await self._client.aclose()
        await self._store.__aexit__(None, None, None)

    async def ask(self, who: Person, method: str, path: str, **request: Any) -> httpx.Response:
        """One request with a token of that person."""
        headers = {"Authorization": f"Bearer {bearer(who)}", **request.pop("headers", {})}
        return await self._client.request(method, path, headers=headers, **request)

    async def ask_at_once(
        self, who: Person, method: str, path: str, body: Any, keys: Sequence[str]
    ) -> Sequence[httpx.Response]:
        """The same request with each of these idempotency keys, all at the same moment."""
        asked = [
            self.ask(who, method, path, json=body, headers={"Idempotency-Key": key}) for key in keys
        ]
        return await asyncio.gather(*asked)

    async def keep_time(self) -> None:
        """A turn of the loops that have nothing to do with the chain."""
        services = self.house.services
        while await services.scheduling.run():
            pass
        await services.fallback.run()
        await services.housekeeping.run()
        while await services.sequencer.run():
            pass

    def transfers(self, after: int) -> Sequence[Transfer]:
        """What left our wallets in the blocks after that one."""
        ours = {wallet.address for wallet in WALLETS}
        ledger = self.house.net.ledger()
        return [each for each in ledger if each.block > after and each.sender in ours]

    async def check_windows(self) -> None:
        """Every window that a payout ever counted in holds the paid ones, and nothing else."""
        payouts = await self.house.store.list(PayoutQuery(), 1_000)
        held: dict[str, list[int]] = {}
        for payout in payouts:
            for window in payout.window_ids:
                paid = payout.status is PayoutStatus.COMPLETED
                held.setdefault(window, []).extend([payout.order.amount] if paid else [])
        used = await self.house.store.used([*held])
        for window, amounts in held.items():
            found = used.get(window, Used())
            assert (found.amount, found.count) == (sum(amounts), len(amounts)), window

    def pass_time(self, seconds: float) -> None:
        """The store's clock and the chain's go on by so much, and solid blocks come after."""
        self.clock.tick(seconds)
        net = self.house.net
        net.mine(1, net.head.timestamp + round(seconds * 1000))
        self.house.mine(NET.solid_lag + 1)


@cache
def edge() -> Edge:
    """The application, whose container is that of the stage that was opened last."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield

    return build_app(lifespan)


def bearer(who: Person) -> str:
    """A token of a person, made anew every half hour."""
    return _signed(who, int(time.time()) // 1800)


@cache
def _signed(who: Person, _: int) -> str:
    return token(who.role, who.subject, tenant=who.tenant)


@asynccontextmanager
async def in_memory(clock: FakeClock) -> AsyncIterator[MemoryPayoutStore]:
    """A store in memory."""
    yield MemoryPayoutStore(clock)


def in_mongodb(url: str) -> Opener:
    """Stores in databases of a server, which each one finds empty."""

    @asynccontextmanager
    async def opened(clock: FakeClock) -> AsyncIterator[MongoPayoutStore]:
        async with lent_store(url, _Still) as store:
            store.clock = clock
            with _server_on(clock):
                yield store

    return opened


class _Still(MongoPayoutStore):
    """Tells the time of the test's clock."""

    clock: FakeClock

    async def now(self) -> datetime:
        return self.clock()


class _Now(Mapping[str, Any]):
    """An aggregation expression: the moment at which it is sent."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock

    def __getitem__(self, name: str) -> Any:
        return {"$literal": self._clock()}[name]

    def __iter__(self) -> Iterator[str]:
        return iter(("$literal",))

    def __len__(self) -> int:
        return 1


@contextmanager
def _server_on(clock: FakeClock) -> Iterator[None]:
    """Whoever asks the server for its time gets the clock's."""
    with ExitStack() as stack:
        for module in (expressions, changes, compliance, dispatch, limits, marks, unexplained):
            stack.enter_context(mock.patch.object(module, "NOW", _Now(clock)))
        yield
