"""From the 201 to the broadcast while nothing else is going on.

The application runs in this process, with its loops, over a real MongoDB, a real Valkey and a
devnet; the moment of the broadcast is when the signed bytes are handed to the HTTP client.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from unittest.mock import patch

import httpx

import payout_router_main
from adapters.redis.signals import RedisWakeups
from models.transaction import Attempt
from tests.e2e.kit import World, order, token

POLL_SECONDS = 2.0
"""Between polls of the dispatcher: less than as shipped, so that the baseline takes less time."""

SEED = 20260301
OPENING_SECONDS = 60.0


class DeafWakeups(RedisWakeups):
    """No wake-ups: what is left is the poll."""

    def start(self) -> None:
        """Listen to nobody."""

    async def signal(self) -> None:
        """Tell nobody."""


class Broadcasts:
    """When the first broadcast to each recipient began, in seconds of the event loop's clock."""

    def __init__(self, container: payout_router_main.Container) -> None:
        self._begun: dict[str, asyncio.Future[float]] = {}
        self._send = container.chain.broadcast
        container.chain.broadcast = self._noted  # type: ignore[method-assign]

    def to(self, recipient: str) -> asyncio.Future[float]:
        """The moment of the broadcast to a recipient."""
        return self._begun.setdefault(recipient, asyncio.get_running_loop().create_future())

    async def _noted(self, attempt: Attempt) -> str:
        begun = self.to(attempt.transfer.recipient)
        if not begun.done():
            begun.set_result(asyncio.get_running_loop().time())
        return await self._send(attempt)


async def latencies(world: World, samples: int, *, wakeups: bool) -> Sequence[float]:
    """Seconds from each 201 to its broadcast, sorted."""
    dice = random.Random(SEED)  # noqa: S311 - pauses, not keys
    found = []
    async with application(world, wakeups=wakeups) as container, client() as api:
        broadcasts = Broadcasts(container)
        for _ in range(samples):
            # At any moment between two polls, and never so often that the rate limiter matters.
            await asyncio.sleep(dice.uniform(0.5, 0.5 + POLL_SECONDS))
            body = order(amount="0.01")
            begun = broadcasts.to(body["recipient_address"])
            answer = await api.post("/payouts", json=body)
            answered = asyncio.get_running_loop().time()
            if answer.status_code != httpx.codes.CREATED:
                raise RuntimeError(answer.text)
            found.append(await begun - answered)
    return sorted(found)


@asynccontextmanager
async def application(
    world: World, *, wakeups: bool
) -> AsyncIterator[payout_router_main.Container]:
    """The application with its loops, once dispatch is open."""
    environment = world.environment(SERVICE_NAME="tron-payout-router", LOG_LEVEL="ERROR")
    kind = RedisWakeups if wakeups else DeafWakeups
    app = payout_router_main.app
    with patch.dict(os.environ, environment), patch("payout_router_main.RedisWakeups", kind):
        async with app.router.lifespan_context(app):
            container: payout_router_main.Container = app.state.container
            async with asyncio.timeout(OPENING_SECONDS):
                while not await is_open(container):  # noqa: ASYNC110 - nothing tells when
                    await asyncio.sleep(POLL_SECONDS / 10)
            yield container


async def is_open(container: payout_router_main.Container) -> bool:
    """Whether the dispatcher has taken a turn and found nothing closed."""
    status = await container.status()
    turns = {loop.name: loop.turns for loop in status.loops}
    return turns["dispatcher"] > 0 and not status.dispatch_closed_by


def client() -> httpx.AsyncClient:
    """A client of the application in this process."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(payout_router_main.app),
        base_url="http://service",
        headers={"Authorization": f"Bearer {token()}"},
    )
