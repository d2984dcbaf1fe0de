"""An answer to a broadcast decides nothing: the chain alone tells, and each payout is paid once."""

from typing import Any

import pytest

from devnet.refusal import BROADCAST_TEXTS
from models.payout import PayoutStatus
from models.transaction import NOT_TAKEN, SHORTAGE_ANSWERS, UNANSWERED, AttemptState
from tests.harness import House
from tests.trouble import BROADCAST, FOREVER, fault, outcome, states, troubled, until

CODES = sorted(BROADCAST_TEXTS)
SILENCES: list[tuple[str, Any]] = [
    ("http_status", 500),
    ("http_status", 502),
    ("http_status", 429),
    ("http_status", 403),
    ("reset", None),
    ("hang", None),
    ("nonsense", None),
    ("huge", 5_000_000),
]
"""Broken answers to a request that the node never saw."""
LOSSES = ["status", "hang", "reset"]


async def paid_by_the_first_attempt(house: House) -> None:
    payout = await house.create()
    done = await outcome(house, payout)
    assert done.status is PayoutStatus.COMPLETED
    assert states(done) == [AttemptState.SETTLED]
    assert done.counted_deaths == 0
    assert house.paid(payout) == 1


async def paid_after_a_proven_death(house: House, kind: str, *, counts: bool) -> None:
    """The fault holds until the first attempt is dead, and then goes."""
    payout = await house.create()
    waiting = await until(house, payout, lambda now: bool(now.attempts))
    assert states(waiting) == [AttemptState.DEAD]
    assert waiting.counted_deaths == (1 if counts else 0)
    assert house.paid(payout) == 0
    house.net.faults.clear(kind)
    done = await outcome(house, payout)
    assert done.status is PayoutStatus.COMPLETED
    assert states(done) == [AttemptState.DEAD, AttemptState.SETTLED]
    assert house.paid(payout) == 1


@pytest.mark.parametrize("code", CODES)
async def test_a_refusal_once_costs_nothing(code: str) -> None:
    house = await troubled()
    fault(house, "refuse", code, count=1)
    await paid_by_the_first_attempt(house)


@pytest.mark.parametrize("code", CODES)
async def test_a_refusal_for_ever_is_a_death_only_by_proof(code: str) -> None:
    house = await troubled()
    fault(house, "refuse", code, count=FOREVER)
    await paid_after_a_proven_death(house, "refuse", counts=code not in SHORTAGE_ANSWERS)


@pytest.mark.parametrize("code", CODES)
async def test_a_refusal_of_what_was_taken_pays_once(code: str) -> None:
    house = await troubled()
    fault(house, "misreport", code, count=FOREVER)
    await paid_by_the_first_attempt(house)


@pytest.mark.parametrize("code", CODES)
async def test_a_refusal_here_is_taken_there(code: str) -> None:
    house = await troubled(nodes=2)
    fault(house, "refuse", code, node=0, count=FOREVER)
    await paid_by_the_first_attempt(house)


@pytest.mark.parametrize(("kind", "value"), SILENCES)
async def test_a_broken_answer_once_costs_nothing(kind: str, value: Any) -> None:
    house = await troubled()
    fault(house, kind, value, path=BROADCAST, count=1)
    await paid_by_the_first_attempt(house)


@pytest.mark.parametrize(("kind", "value"), SILENCES)
async def test_no_answer_for_ever_is_a_death_that_says_nothing(kind: str, value: Any) -> None:
    house = await troubled()
    fault(house, kind, value, path=BROADCAST, count=FOREVER)
    await paid_after_a_proven_death(house, kind, counts=False)


@pytest.mark.parametrize("count", [1, FOREVER])
@pytest.mark.parametrize("how", LOSSES)
async def test_an_answer_lost_after_acceptance_pays_once(how: str, count: int | None) -> None:
    house = await troubled()
    fault(house, "lost_answer", how, path=BROADCAST, count=count)
    await paid_by_the_first_attempt(house)


@pytest.mark.parametrize("how", LOSSES)
async def test_answers_lost_at_two_endpoints_pay_once(how: str) -> None:
    house = await troubled(nodes=2)
    fault(house, "lost_answer", how, path=BROADCAST, count=FOREVER)
    await paid_by_the_first_attempt(house)


async def test_success_of_a_node_that_swallows_is_sent_through_another_one() -> None:
    house = await troubled(nodes=2)
    fault(house, "swallow", node=0, count=FOREVER)
    await paid_by_the_first_attempt(house)


async def test_success_of_the_only_node_that_swallows_dies_by_proof() -> None:
    house = await troubled()
    fault(house, "swallow", count=FOREVER)
    await paid_after_a_proven_death(house, "swallow", counts=True)


async def test_a_storm_of_busy_answers_loses_none_of_many() -> None:
    house = await troubled(nodes=2)
    fault(house, "refuse", "SERVER_BUSY", count=300)
    payouts = [await house.create() for _ in range(40)]
    for payout in payouts:
        done = await outcome(house, payout)
        assert done.status is PayoutStatus.COMPLETED
        assert house.paid(payout) == 1


@pytest.mark.parametrize("code", sorted(NOT_TAKEN - UNANSWERED))
async def test_what_no_node_took_is_sent_again_at_the_next_review(code: str) -> None:
    house = await troubled()
    fault(house, "refuse", code, count=1)
    payout = await house.create()
    await house.dispatch()
    house.clock.tick(house.policies.settle.unsent_after_seconds)
    await house.services.settlement.review()
    house.mine(1)
    assert house.paid(payout) == 1


async def test_the_same_bytes_sent_again_and_again_pay_once() -> None:
    house = await troubled(nodes=2)
    payout = await house.create()
    await house.dispatch()
    attempt = (await house.get(payout)).live_attempt
    assert attempt is not None
    answers = [await house.chain.broadcast(attempt) for _ in range(3)]
    house.mine(1)
    answers += [await house.chain.broadcast(attempt)]
    assert answers == ["DUP_TRANSACTION_ERROR"] * 4
    done = await outcome(house, payout)
    assert done.status is PayoutStatus.COMPLETED
    assert house.paid(payout) == 1


async def test_what_nodes_said_is_kept_for_people() -> None:
    house = await troubled()
    fault(house, "hang", path=BROADCAST, count=1)
    payout = await house.create()
    done = await outcome(house, payout)
    assert done.attempts[0].answers == {"TIMEOUT": 1, "SUCCESS": 1}
