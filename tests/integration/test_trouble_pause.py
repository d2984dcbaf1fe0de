"""Somebody stops everything while payouts are under way: nothing new, and nothing lost."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.money import Currency
from models.pause import Activity, Pause
from models.payout import Payout, PayoutStatus
from models.transaction import AttemptState
from ports.store import PayoutQuery
from services.dispatch import LOOK_SECONDS
from tests.harness import SERVICE, House
from tests.integration.test_trouble_replicas import PausingSigner, two_replicas
from tests.trouble import (
    BROADCAST,
    FOREVER,
    all_paid_once,
    fault,
    in_service,
    outcome,
    replica_of,
    states,
    troubled,
    turn,
    turns,
    with_policies,
)

S = PayoutStatus
DISPATCH = Pause(Activity.DISPATCH)
TRX = Pause(Activity.DISPATCH, Currency.TRX)


async def stop(house: House, pause: Pause = DISPATCH) -> None:
    await house.services.control.pause(SERVICE, pause, "stop")


async def go_on(house: House, pause: Pause = DISPATCH) -> None:
    await house.services.control.resume(SERVICE, pause, "go on")


async def statuses(house: House, *payouts: Payout) -> list[PayoutStatus]:
    return [(await house.get(payout)).status for payout in payouts]


async def test_live_attempts_go_on_to_their_end_while_dispatch_is_paused() -> None:
    house = await troubled()
    settles, resent = await house.create(), await house.create()
    await house.dispatch()
    (known,) = (await house.get(resent)).txids
    await stop(house)
    waits = await house.create()
    assert (await outcome(house, settles)).status is S.COMPLETED
    assert (await outcome(house, resent)).txids == (known,)
    await turns(house, 10)
    after = await house.get(waits)
    assert (after.status, after.txids, after.lease) == (S.PENDING, (), None)
    await go_on(house)
    assert (await outcome(house, waits)).status is S.COMPLETED
    assert all_paid_once(house, [settles, resent, waits])


async def test_bytes_that_no_node_took_are_sent_again_while_dispatch_is_paused() -> None:
    house = await troubled()
    fault(house, "http_status", 500, path=BROADCAST, count=1)
    payout = await house.create()
    await house.dispatch()
    assert house.paid(payout) == 0
    await stop(house)
    done = await outcome(house, payout)
    assert (done.status, len(done.txids), house.paid(payout)) == (S.COMPLETED, 1, 1)


async def test_a_death_is_proven_and_nothing_is_made_anew_while_dispatch_is_paused() -> None:
    house = await troubled()
    fault(house, "swallow", count=FOREVER)
    payout = await house.create()
    await house.dispatch()
    await stop(house)
    await turns(house, 40)
    now = await house.get(payout)
    assert (now.status, states(now)) == (S.PENDING, [AttemptState.DEAD])
    house.net.faults.clear()
    await turns(house, 10)
    assert (await house.get(payout)).txids == now.txids
    await go_on(house)
    done = await outcome(house, payout)
    assert (done.status, len(done.txids), house.paid(payout)) == (S.COMPLETED, 2, 1)


async def slow_group(house: House, signer: PausingSigner, seconds: float) -> asyncio.Task[bool]:
    """A group that has been looked at, claimed and half built when so many seconds have passed."""
    clock = [0.0]
    house.services.dispatcher.seconds = lambda: clock[0]
    group = asyncio.create_task(house.services.dispatcher.run_group())
    await signer.reached.wait()
    clock[0] += seconds
    return group


async def test_a_pause_in_the_middle_of_a_group_that_another_replica_builds() -> None:
    signer = PausingSigner()
    first = await troubled()
    second = await in_service(await replica_of(first, signer=signer))
    payouts = [await first.create() for _ in range(3)]
    group = await slow_group(second, signer, LOOK_SECONDS + 0.1)
    await stop(first)
    signer.go_on.set()
    assert not await group
    assert await statuses(first, *payouts) == [S.PENDING] * 3
    for _ in range(10):
        await turn(first, second)
    assert await statuses(first, *payouts) == [S.PENDING] * 3
    assert [first.paid(payout) for payout in payouts] == [0] * 3
    await go_on(second)
    for payout in payouts:
        assert (await outcome(first, payout)).status is S.COMPLETED
    assert all_paid_once(first, payouts)


async def test_a_group_that_is_recorded_right_after_a_pause_is_paid_once() -> None:
    """Quick enough to be recorded: from then on it is a live attempt like any other."""
    signer = PausingSigner()
    house = await troubled(signer=signer)
    payout = await house.create()
    group = await slow_group(house, signer, LOOK_SECONDS)
    await stop(house)
    signer.go_on.set()
    await group
    assert await statuses(house, payout) == [S.PROCESSING]
    done = await outcome(house, payout)
    assert (done.status, len(done.txids), house.paid(payout)) == (S.COMPLETED, 1, 1)


async def test_a_currency_that_is_paused_keeps_nothing_from_the_other() -> None:
    house = await troubled(policies=with_policies(dispatch={"group_size": 2}))
    paused = [await house.create(currency=Currency.TRX, priority=10) for _ in range(5)]
    await stop(house, TRX)
    others = [await house.create(priority=1) for _ in range(5)]
    for payout in others:
        assert (await outcome(house, payout)).status is S.COMPLETED
    assert await statuses(house, *paused) == [S.PENDING] * 5
    assert {(await house.get(payout)).version for payout in paused} == {0}
    await go_on(house, TRX)
    for payout in paused:
        assert (await outcome(house, payout)).status is S.COMPLETED
    assert all_paid_once(house, [*paused, *others])


async def test_a_wallet_that_is_paused_pays_nothing() -> None:
    house = await troubled()
    payout = await house.create()
    wallet = Pause(Activity.DISPATCH, wallet=house.wallet)
    await stop(house, wallet)
    await turns(house, 10)
    assert await statuses(house, payout) == [S.PENDING]
    await go_on(house, wallet)
    assert (await outcome(house, payout)).status is S.COMPLETED


async def test_a_pause_outlives_every_replica() -> None:
    first, second = await two_replicas()
    payout = await first.create()
    await stop(first)
    third = await replica_of(first, replica="replica-3")
    for _ in range(10):
        await turn(first, second, third)
    assert [closed.name for closed in third.services.dispatcher.closed] == ["pause:dispatch"]
    assert await statuses(first, payout) == [S.PENDING]
    await go_on(third)
    await turn(first, second, third)
    assert (await outcome(first, payout)).status is S.COMPLETED
    assert first.paid(payout) == 1


async def test_a_payout_that_was_paused_until_it_expired_is_not_paid() -> None:
    house = await troubled()
    payout = await house.create(expires_at=house.clock.at.replace(minute=1))
    await stop(house)
    await turns(house, 25)
    assert await statuses(house, payout) == [S.EXPIRED]
    await go_on(house)
    await turns(house, 10)
    assert house.paid(payout) == 0


async def pending(house: House) -> set[str]:
    found = await house.store.list(PayoutQuery(status=S.PENDING), 100)
    return {payout.payout_id for payout in found}


async def toggle(house: House, pause: Pause) -> None:
    paused = await house.services.control.pauses()
    await (go_on if pause in paused else stop)(house, pause)


ACTS: dict[str, Callable[[House], Awaitable[object]]] = {
    "stop or go on": lambda house: toggle(house, DISPATCH),
    "stop TRX or go on": lambda house: toggle(house, TRX),
    "create": lambda house: house.create(),
    "create TRX": lambda house: house.create(currency=Currency.TRX),
    "turn": turn,
}


@pytest.mark.parametrize("replicas", [1, 2])
@given(st.data())
async def test_whenever_somebody_stops_and_goes_on_each_payout_is_paid_once(
    replicas: int, data: st.DataObject
) -> None:
    houses = [await troubled()] if replicas == 1 else list(await two_replicas())
    for name in data.draw(st.lists(st.sampled_from(sorted(ACTS)), max_size=25)):
        house = houses[data.draw(st.integers(0, replicas - 1))]
        stopped, before = await house.services.control.pauses(), await pending(house)
        await ACTS[name](house)
        if name == "turn" and DISPATCH in stopped:
            assert await pending(house) == before
    stopped = await houses[0].services.control.pauses()
    for pause in stopped:
        await go_on(houses[0], pause)
    payouts = list(await houses[0].store.list(PayoutQuery(), 100))
    for payout in payouts:
        assert (await outcome(houses[0], payout)).status is S.COMPLETED
    assert all_paid_once(houses[0], payouts)
