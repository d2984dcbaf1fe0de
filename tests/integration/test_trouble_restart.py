"""Restarts in the middle of payouts: dispatch opens only when nothing can have been forgotten."""

from dataclasses import replace

import pytest

from models.payout import Payout, PayoutStatus
from models.transaction import AttemptState
from tests.harness import SOLID_LAG, House
from tests.trouble import (
    FOREVER,
    TROUBLE,
    fault,
    hold_promises,
    outcome,
    replica_of,
    states,
    troubled,
    turn,
    turns,
)

LONGEST_BLOCKS = TROUBLE.attempts.max_beyond_cursor_ms // 3_000
QUARANTINED = replace(TROUBLE, quarantine=True)


async def closed_by(house: House) -> list[str]:
    await house.services.dispatcher.run_group()
    return [closed.name for closed in house.services.dispatcher.closed]


async def completed_by_one_attempt(house: House, *payouts: Payout) -> None:
    for payout in payouts:
        done = await outcome(house, payout, blocks=LONGEST_BLOCKS + 80)
        assert done.status is PayoutStatus.COMPLETED
        assert states(done) == [AttemptState.SETTLED]
        assert house.paid(payout) == 1


async def left_in_flight() -> tuple[House, Payout, Payout]:
    """A process that ended with one payout sent and one waiting."""
    house = await troubled()
    sent = await house.create()
    await house.dispatch()
    return house, sent, await house.create()


async def test_a_restart_dispatches_when_the_cursor_has_reached_the_head_of_then() -> None:
    house, sent, waiting = await left_in_flight()
    house.mine(4)
    head = house.net.head.number
    after = await replica_of(house)
    while house.net.solid.number < head:
        assert await closed_by(after) == ["catching_up"]
        assert (await after.get(waiting)).txids == ()
        after.mine(1)
        await after.read()
    assert await closed_by(after) == []
    assert (await after.get(waiting)).live_attempt is not None
    await completed_by_one_attempt(after, sent, waiting)


@pytest.mark.parametrize("reads_first", [False, True], ids=["looks first", "reads first"])
async def test_a_restart_after_long_waits_out_what_may_be_forgotten(reads_first: bool) -> None:
    """Whoever comes first, the dispatcher or the settler, the lag at the start counts."""
    house, sent, waiting = await left_in_flight()
    house.mine(LONGEST_BLOCKS + SOLID_LAG + 1)
    after = await replica_of(house)
    if reads_first:
        await after.read()
    assert await closed_by(after) != []
    opens_after = house.net.head.timestamp + TROUBLE.attempts.max_beyond_cursor_ms
    while house.net.solid.timestamp <= opens_after:
        await turn(after)
        assert (await after.get(waiting)).txids == ()
    await completed_by_one_attempt(after, sent, waiting)


async def test_a_restart_within_an_attempts_life_needs_no_quarantine() -> None:
    house, sent, waiting = await left_in_flight()
    house.mine(10)
    after = await replica_of(house)
    await turns(after, SOLID_LAG + 2)
    assert (await after.get(waiting)).live_attempt is not None
    await completed_by_one_attempt(after, sent, waiting)


async def test_quarantine_waits_however_short_the_stop_was() -> None:
    house, sent, waiting = await left_in_flight()
    after = await replica_of(house, policies=QUARANTINED)
    opens_after = house.net.head.timestamp + TROUBLE.attempts.max_beyond_cursor_ms
    await closed_by(after)
    while house.net.solid.timestamp <= opens_after:
        await turn(after)
        assert (await after.get(waiting)).txids == ()
    await completed_by_one_attempt(after, sent, waiting)


async def test_a_restart_while_no_endpoint_answers_stays_closed_until_they_do() -> None:
    house, sent, waiting = await left_in_flight()
    fault(house, "http_status", 503, count=FOREVER)
    after = await replica_of(house)
    await turns(after, 10)
    assert (await after.get(waiting)).txids == ()
    house.net.faults.clear()
    await completed_by_one_attempt(after, sent, waiting)


async def test_a_payout_paid_while_nobody_looked_is_settled() -> None:
    house, sent, waiting = await left_in_flight()
    house.mine(3 * LONGEST_BLOCKS)
    assert house.paid(sent) == 1
    after = await replica_of(house)
    await completed_by_one_attempt(after, sent, waiting)


async def test_an_attempt_that_died_while_nobody_looked_is_replaced_once() -> None:
    house = await troubled()
    fault(house, "swallow", count=FOREVER)
    lost = await house.create()
    await house.dispatch()
    house.net.faults.clear()
    house.mine(3 * LONGEST_BLOCKS)
    after = await replica_of(house)
    done = await outcome(after, lost, blocks=LONGEST_BLOCKS + 80)
    assert states(done) == [AttemptState.DEAD, AttemptState.SETTLED]
    assert after.paid(lost) == 1


async def test_restart_after_restart_pays_each_once() -> None:
    house = await troubled()
    payouts = []
    for _ in range(12):
        payouts += [await house.create() for _ in range(2)]
        await house.dispatch()
        house.mine(1)
        await house.read()
        house = await replica_of(house)
        await turns(house, SOLID_LAG + 2)
    await hold_promises(house)
    await completed_by_one_attempt(house, *payouts)
