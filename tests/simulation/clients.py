"""The platform's clients: they retry, repeat themselves, change their minds and hang up."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence, Set
from dataclasses import replace
from typing import Any

from models.batch import NewBatch
from models.errors import PayoutError
from models.order import NewPayout, Order
from models.payout import Payout
from services.assembly import Services
from services.batches import BatchReport, Item
from tests.simulation.oracle import Oracle
from tests.simulation.ports import Host
from tests.simulation.scenario import BatchWish, Wish

PATIENCE = 5.0
"""Seconds that a client waits for an answer."""

BATCH_PATIENCE = 25.0
"""And for that to a batch, which may take up to 20 s."""

TRIES = 25
PAUSED = "P017"
RETRYABLE = frozenset({"P006", "P700", "P701", PAUSED})
UNREACHED = frozenset({"P007", "P302"})
"""What is said of the payouts of a batch that were not reached."""

AGAIN = RETRYABLE | UNREACHED

Ask = Callable[[Services], Awaitable[Any]]
SomeHost = Callable[[], Awaitable[tuple[Host, Services]]]


class NoAnswerError(Exception):
    """The connection broke, or the client hung up."""


class Client:
    """Asks for one payout until it knows what became of it."""

    def __init__(self, wish: Wish, some_host: SomeHost, oracle: Oracle) -> None:
        self._wish = wish
        self._some_host = some_host
        self._oracle = oracle

    async def run(self) -> None:
        """Ask, perhaps several times at once, and perhaps cancel."""
        wish = self._wish
        await asyncio.sleep(wish.at)
        bodies = [wish.order] * wish.at_once
        if wish.other_body:
            bodies.append(replace(wish.order, amount=wish.order.amount + 1))
        found = await asyncio.gather(*(self._create(body) for body in bodies))
        first = next((payout for payout in found if payout is not None), None)
        if first is not None and wish.cancels_after is not None:
            await asyncio.sleep(wish.cancels_after)
            await self._cancel(first)

    async def _create(self, order: Order) -> Payout | None:
        """The accepted payout; None when it was refused, or nobody can know."""
        request = NewPayout(order, fingerprint=repr(order), idempotency_key=self._wish.key)
        for turn in range(TRIES):
            asked_at = asyncio.get_running_loop().time()
            try:
                created = await self._ask(
                    lambda services: services.router.create(self._wish.maker, request),
                    PATIENCE if turn or not self._wish.hangs_up else 0.05,
                )
            except PayoutError as error:
                if error.code == PAUSED:
                    self._oracle.was_paused(self._wish.maker, request, asked_at)
                if error.code not in RETRYABLE:
                    return None
            except Exception:
                # Without a key, asking again would ask for another payout.
                if request.idempotency_key is None:
                    return None
            else:
                payout: Payout = created.payout
                at = None if created.replayed else asked_at
                self._oracle.was_accepted(self._wish.maker, payout, order, at)
                return payout
            await asyncio.sleep(2)
        return None

    async def _cancel(self, payout: Payout) -> None:
        for _ in range(TRIES):
            try:
                await self._ask(
                    lambda s: s.router.cancel(self._wish.maker, payout.payout_id, None), PATIENCE
                )
            except PayoutError as error:
                if error.code not in RETRYABLE:
                    return
            except Exception:
                await asyncio.sleep(2)
                continue
            else:
                self._oracle.cancelled.add(payout.payout_id)
                return
            await asyncio.sleep(2)

    async def _ask(self, ask: Ask, patience: float) -> Any:
        return await answer_of(self._some_host, ask, patience, hangs_up=self._wish.hangs_up)


class BatchClient:
    """Asks for several payouts at once until it knows what became of each, and then once more."""

    def __init__(self, wish: BatchWish, some_host: SomeHost, oracle: Oracle) -> None:
        self._wish = wish
        self._some_host = some_host
        self._oracle = oracle
        self._known: dict[tuple[str, int], tuple[str, float]] = {}
        """What it was told of each payout of each body, and when."""

    async def run(self) -> None:
        """Ask, perhaps several times at once."""
        wish = self._wish
        await asyncio.sleep(wish.at)
        bodies = [wish.orders] * wish.at_once
        if wish.other_body:
            first = replace(wish.orders[0], amount=wish.orders[0].amount + 1)
            bodies.append((first, *wish.orders[1:]))
        await asyncio.gather(*(self._create(body) for body in bodies))
        await self._create(bodies[0])

    async def _create(self, orders: Sequence[Order]) -> None:
        wish = self._wish
        request = NewBatch(orders, repr(orders), wish.key)
        codes: Set[str]
        for turn in range(TRIES):
            asked_at = asyncio.get_running_loop().time()
            try:
                report = await answer_of(
                    self._some_host,
                    lambda s: s.router.create_batch(wish.maker, request, wish.seconds),
                    BATCH_PATIENCE if turn or not wish.hangs_up else 0.05,
                    hangs_up=wish.hangs_up,
                )
            except PayoutError as error:
                codes = {error.code}
            except Exception:
                codes = UNREACHED  # or nobody can know
            else:
                self._told(report, orders, asked_at)
                codes = {item.problem.code for item in report.items if item.problem is not None}
            if not codes & AGAIN:
                break
            await asyncio.sleep(2)

    def _told(self, report: BatchReport, orders: Sequence[Order], asked_at: float) -> None:
        made: dict[int, Payout] = {}
        fresh: list[Payout] = []
        for item in report.items:
            self._check_again(orders, item, asked_at)
            if item.payout is None:
                continue
            at = None if item.replayed else asked_at
            order = orders[item.number]
            self._oracle.was_accepted(self._wish.maker, item.payout, order, at, tuple(fresh))
            made[item.number] = item.payout
            fresh += [] if item.replayed else [item.payout]
        names = {number: payout.payout_id for number, payout in made.items()}
        if len(report.items) != len(orders) or len({*names.values()}) != len(names):
            self._oracle.breach(f"a batch of {len(orders)} payouts was answered with {names}")

    def _check_again(self, orders: Sequence[Order], item: Item, asked_at: float) -> None:
        """What it was told is taken, before it asked, is the same for ever, and never refused; it
        may be that it was not reached this time, or that a restored backup has forgotten it."""
        which, now = (repr(orders), item.number), asyncio.get_running_loop().time()
        known, told_at = self._known.get(which, ("", now))
        if told_at < asked_at and known in self._oracle.accepted:
            code = None if item.problem is None else item.problem.code
            same = item.payout is not None and item.payout.payout_id == known
            if not same and code not in UNREACHED:
                self._oracle.breach(f"{known} came in a batch, and then {item}")
        if item.payout is not None and item.payout.payout_id != known:
            self._known[which] = item.payout.payout_id, now


async def answer_of(
    some_host: SomeHost, ask: Ask, patience: float = PATIENCE, *, hangs_up: bool = False
) -> Any:
    """What some replica answers. Raises what it refused with, or NoAnswerError."""
    host, services = await some_host()
    task = host.serve(_answer(ask, services))
    done, _ = await asyncio.wait([task], timeout=patience)
    if not done:
        if hangs_up:
            task.cancel()  # the server notices, and stops in the middle
        raise NoAnswerError
    if task.cancelled():
        raise NoAnswerError
    return task.result()


async def _answer(ask: Ask, services: Services) -> Any:
    return await ask(services)
