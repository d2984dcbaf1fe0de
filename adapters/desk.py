"""The running service over HTTP, for a command that asks it for payouts."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx

from ports.batches import Answer, DeskUnavailableError, Line, Outcome, TokenRefusedError
from utils.retry import RetryPolicy, retry

DESK_TIMEOUT_SECONDS: Final = 30.0
DESK_RETRY: Final = RetryPolicy(tries=5, base_seconds=0.5, max_seconds=5)

_ACCEPTED: Final = {200: Outcome.THERE_BEFORE, 201: Outcome.CREATED}
_OF_PAYOUT: Final = ("payout_id", "status", "recipient_address", "amount", "currency", "txid")
_OF_PROBLEM: Final = ("code", "detail", "retryable")
_OF_TOKEN: Final = frozenset({"P001", "P002"})
"""Refusals that speak of whoever asks: a 403 can also speak of the recipient of one payout."""


class _TooOftenError(Exception):
    """The token may not create so many payouts; `seconds` until the next one."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class HttpDesk:
    """ports.batches.Desk over a client that has the service's base URL and the token.

    A service that is asked too often (P004) is asked again when it says so, however often.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        policy: RetryPolicy,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._policy = policy
        self._sleep = sleep

    async def create(self, body: Line, key: str) -> Answer:
        while True:
            try:
                return await retry(
                    lambda: self._ask(body, key),
                    self._policy,
                    retry_on=(DeskUnavailableError,),
                    name="payout router",
                )
            except _TooOftenError as refusal:
                await self._sleep(refusal.seconds)

    async def _ask(self, body: Line, key: str) -> Answer:
        headers = {"Idempotency-Key": key}
        try:
            answer = await self._client.post("/payouts", json=body, headers=headers)
            said = answer.json()
            if said.get("code") == "P004":
                raise _TooOftenError(int(answer.headers["Retry-After"]))
            return _read(answer.status_code, said)
        # Something between us and the service may answer in its place.
        except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DeskUnavailableError(f"no answer to be understood: {error!r}") from error


def _read(status: int, said: dict[str, Any]) -> Answer:
    if (outcome := _ACCEPTED.get(status)) is not None:
        return Answer(outcome, {name: said[name] for name in _OF_PAYOUT})
    problem = {name: said[name] for name in _OF_PROBLEM}
    told = f"{problem['code']}: {problem['detail']}"
    if problem["code"] in _OF_TOKEN:
        raise TokenRefusedError(told)
    if status == 409 or status >= 500:
        raise DeskUnavailableError(told)
    return Answer(Outcome.REFUSED, problem)
