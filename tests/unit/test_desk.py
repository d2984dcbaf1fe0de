"""The running service as a command asks it."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from adapters.desk import HttpDesk
from ports.batches import Answer, DeskUnavailableError, Outcome, TokenRefusedError
from utils.retry import RetryPolicy

TWICE = RetryPolicy(tries=2, base_seconds=0, max_seconds=0)
PAYOUT = {
    "payout_id": "payout_1",
    "status": "pending",
    "recipient_address": "T1",
    "amount": "1.00",
    "currency": "USDT",
    "txid": None,
}
PROBLEM = {"code": "P102", "detail": "too much", "retryable": False}
BLOCKED = {"code": "P107", "detail": "on the deny list", "retryable": False}


def a_desk(answer: Callable[[httpx.Request], httpx.Response]) -> HttpDesk:
    transport = httpx.MockTransport(answer)
    return HttpDesk(httpx.AsyncClient(transport=transport, base_url="http://here"), TWICE)


async def ask(desk: HttpDesk) -> Answer:
    return await desk.create({"amount": "1"}, "march.csv:2:ff")


@pytest.mark.parametrize(
    ("status", "said", "outcome", "details"),
    [
        (201, PAYOUT | {"metadata": {}}, Outcome.CREATED, PAYOUT),
        (200, PAYOUT, Outcome.THERE_BEFORE, PAYOUT),
        (400, PROBLEM | {"title": "x"}, Outcome.REFUSED, PROBLEM),
        (422, PROBLEM, Outcome.REFUSED, PROBLEM),
        (429, PROBLEM, Outcome.REFUSED, PROBLEM),
        # It speaks of the recipient of this payout, not of the token.
        (403, BLOCKED, Outcome.REFUSED, BLOCKED),
    ],
)
async def test_answers(
    status: int, said: dict[str, Any], outcome: Outcome, details: dict[str, Any]
) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(status, json=said)

    assert await ask(a_desk(answer)) == Answer(outcome, details)
    (request,) = asked
    assert (request.url.path, request.content) == ("/payouts", b'{"amount":"1"}')
    assert request.headers["Idempotency-Key"] == "march.csv:2:ff"


@pytest.mark.parametrize(("status", "code"), [(401, "P001"), (403, "P002")])
async def test_a_token_that_is_refused_ends_it_at_once(status: int, code: str) -> None:
    asked: list[int] = []

    def answer(_: httpx.Request) -> httpx.Response:
        asked.append(status)
        return httpx.Response(status, json=PROBLEM | {"code": code})

    with pytest.raises(TokenRefusedError, match=f"{code}: too much"):
        await ask(a_desk(answer))
    assert len(asked) == 1


async def test_who_asks_too_often_waits_as_long_as_told_and_asks_again() -> None:
    refusal = {**PROBLEM, "code": "P004", "retryable": True}
    answers = [
        httpx.Response(429, json=refusal, headers={"Retry-After": "36"}),
        httpx.Response(429, json=refusal, headers={"Retry-After": "1"}),
        httpx.Response(201, json=PAYOUT),
    ]
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    transport = httpx.MockTransport(lambda _: answers.pop(0))
    desk = HttpDesk(httpx.AsyncClient(transport=transport, base_url="http://here"), TWICE, sleep)
    assert (await ask(desk)).outcome is Outcome.CREATED
    assert slept == [36, 1]


def broken(_: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("reset")


@pytest.mark.parametrize(
    "answer",
    [
        broken,
        lambda _: httpx.Response(409, json=PROBLEM),
        lambda _: httpx.Response(500, json=PROBLEM),
        lambda _: httpx.Response(503, json=PROBLEM),
        lambda _: httpx.Response(502, text="<html>"),
        lambda _: httpx.Response(200, json=[]),
        lambda _: httpx.Response(201, json={}),
    ],
)
async def test_what_is_unclear_is_asked_again_with_the_same_key(
    answer: Callable[[httpx.Request], httpx.Response],
) -> None:
    keys: list[str] = []

    def first_unclear(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        return answer(request) if len(keys) == 1 else httpx.Response(200, json=PAYOUT)

    assert await ask(a_desk(first_unclear)) == Answer(Outcome.THERE_BEFORE, PAYOUT)
    assert len(set(keys)) == 1
    with pytest.raises(DeskUnavailableError):
        await ask(a_desk(answer))
