"""Who has got hold of other people's tokens, and tries whether they still count."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from random import Random

from models.caller import Caller
from services.assembly import Services
from tests.harness import SERVICE
from tests.simulation.clients import SomeHost, answer_of
from tests.simulation.oracle import Oracle
from tests.simulation.ports import Host

TOKENS = tuple(
    replace(SERVICE, subject=f"robbed {number % 2}", token_id=f"token {number}")
    for number in range(4)
)

REVOKED_SECONDS = 2.0
"""So long after it was revoked no replica lets a token in, while Redis works."""

LATE_SECONDS = 60.0
"""And so long while it does not: longer than what was remembered before, or a frozen replica."""


class Intruder:
    """Knocks with stolen tokens."""

    def __init__(self, some_host: SomeHost, oracle: Oracle) -> None:
        self._some_host = some_host
        self._oracle = oracle

    async def knock(self, draw: Random) -> None:
        """Try one token at some replica."""
        await self._try(draw.choice(TOKENS), self._some_host, LATE_SECONDS)

    async def knock_everywhere(self, serving: Iterable[tuple[Host, Services]]) -> None:
        """Try every token at each of these replicas, while everything works."""
        for found in serving:

            async def this(found: tuple[Host, Services] = found) -> tuple[Host, Services]:
                return found

            for token in TOKENS:
                await self._try(token, this, REVOKED_SECONDS)

    async def _try(self, token: Caller, some_host: SomeHost, seconds: float) -> None:
        due = asyncio.get_running_loop().time() - seconds
        try:
            await answer_of(some_host, lambda services: services.tokens.check(token))
        except Exception:
            return  # refused, or nobody could tell
        for name in (token.token_id, token.subject):
            revoked_at = self._oracle.revoked.get(name or "")
            if revoked_at is not None and revoked_at <= due:
                self._oracle.breach(f"{token.token_id} was let in, though {name} was revoked")
