"""The platform's clients: they retry, repeat themselves, change their minds and hang up."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from models.errors import PayoutError
from models.order import NewPayout, Order
from models.payout import Payout
from services.assembly import Services
from tests.simulation.oracle import Oracle
from tests.simulation.ports import Host
from tests.simulation.scenario import Wish

PATIENCE = 5.0
"""Seconds that a client waits for an answer."""

TRIES = 25
PAUSED = "P017"
RETRYABLE = frozenset({"P006", "P700", "P701", PAUSED})

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
                    self._oracle.was_paused(self._wish.maker.subject, request, asked_at)
                if error.code not in RETRYABLE:
                    return None
            except Exception:
                # Without a key, asking again would ask for another payout.
                if request.idempotency_key is None:
                    return None
            else:
                payout: Payout = created.payout
                self._oracle.was_accepted(payout, order, None if created.replayed else asked_at)
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
