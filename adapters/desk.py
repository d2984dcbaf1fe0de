"""The running service over HTTP, for a command that asks it for payouts."""

from typing import Any, Final

import httpx

from ports.batches import Answer, DeskUnavailableError, Line, Outcome, TokenRefusedError
from utils.retry import RetryPolicy, retry

DESK_TIMEOUT_SECONDS: Final = 30.0
DESK_RETRY: Final = RetryPolicy(tries=5, base_seconds=0.5, max_seconds=5)

_ACCEPTED: Final = {200: Outcome.THERE_BEFORE, 201: Outcome.CREATED}
_OF_PAYOUT: Final = ("payout_id", "status", "recipient_address", "amount", "currency", "txid")
_OF_PROBLEM: Final = ("code", "detail", "retryable")


class HttpDesk:
    """ports.batches.Desk over a client that has the service's base URL and the token."""

    def __init__(self, client: httpx.AsyncClient, policy: RetryPolicy) -> None:
        self._client = client
        self._policy = policy

    async def create(self, body: Line, key: str) -> Answer:
        return await retry(
            lambda: self._ask(body, key),
            self._policy,
            retry_on=(DeskUnavailableError,),
            name="payout router",
        )

    async def _ask(self, body: Line, key: str) -> Answer:
        headers = {"Idempotency-Key": key}
        try:
            answer = await self._client.post("/payouts", json=body, headers=headers)
            return _read(answer.status_code, answer.json())
        # Something between us and the service may answer in its place.
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise DeskUnavailableError(f"no answer to be understood: {error!r}") from error


def _read(status: int, said: dict[str, Any]) -> Answer:
    if (outcome := _ACCEPTED.get(status)) is not None:
        return Answer(outcome, {name: said[name] for name in _OF_PAYOUT})
    problem = {name: said[name] for name in _OF_PROBLEM}
    told = f"{problem['code']}: {problem['detail']}"
    if status in (401, 403):
        raise TokenRefusedError(told)
    if status == 409 or status >= 500:
        raise DeskUnavailableError(told)
    return Answer(Outcome.REFUSED, problem)
