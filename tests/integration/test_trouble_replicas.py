"""Two replicas on one database: whoever acts, each payout is paid once."""

import asyncio

import pytest

from adapters.signer.local import LocalSigner
from devnet.settings import DEVNET_KEYS
from models.money import Currency
from models.payout import PayoutStatus
from models.transaction import AttemptState
from ports.chain import ChainUnavailableError
from ports.store import PayoutQuery
from tests.harness import SERVICE, House
from tests.trouble import (
    BROADCAST,
    FOREVER,
    TROUBLE,
    all_paid_once,
    fault,
    in_service,
    outcome,
    replica_of,
    states,
    troubled,
    turn,
    until,
    with_policies,
)


class PausingSigner:
    """Signs as the wallet does, but only when it is told to go on."""

    def __init__(self) -> None:
        self._signer = LocalSigner(bytes.fromhex(DEVNET_KEYS[0]))
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()

    @property
    def address(self) -> str:
        return self._signer.address

    async def sign(self, digest: bytes) -> bytes:
        self.reached.set()
        await self.go_on.wait()
        return await self._signer.sign(digest)


async def two_replicas(**options: object) -> tuple[House, House]:
    first = await troubled(**options)
    return first, await in_service(await replica_of(first))


async def test_both_dispatch_the_same_payouts_at_once() -> None:
    first, second = await two_replicas(policies=with_policies(dispatch={"group_size": 7}))
    payouts = [
        await first.create(currency=Currency.TRX if number % 3 else Currency.USDT)
        for number in range(50)
    ]
    for _ in range(10):
        await asyncio.gather(first.dispatch(), second.dispatch())
        first.clock.tick(20)
    for payout in payouts:
        done = await outcome(first, payout)
        assert done.status is PayoutStatus.COMPLETED
        assert len(done.txids) == 1
    assert all_paid_once(first, payouts)


async def test_both_run_every_loop_side_by_side() -> None:
    first, second = await two_replicas(nodes=2)
    payouts = [await first.create() for _ in range(20)]
    fault(first, "refuse", "SERVER_BUSY", count=25)
    fault(first, "hang", path=BROADCAST, count=5)
    for number in range(30):
        await asyncio.gather(
            first.dispatch(),
            second.dispatch(),
            first.services.settlement.review(),
            second.services.settlement.review(),
        )
        await turn(*((first, second) if number % 2 else (second, first)))
    for payout in payouts:
        done = await first.get(payout)
        assert done.status is PayoutStatus.COMPLETED
    assert all_paid_once(first, payouts)


async def test_both_settle_at_once() -> None:
    first, second = await two_replicas()
    payouts = [await first.create() for _ in range(10)]
    await first.dispatch()
    for _ in range(10):
        first.mine(1)
        await asyncio.gather(first.read(), second.read(), return_exceptions=True)
    assert [(await first.get(p)).status for p in payouts] == [PayoutStatus.COMPLETED] * 10
    assert await first.store.count_open_unexplained() == 0
    assert all_paid_once(first, payouts)


async def paused_before_its_record(house: House) -> tuple[PausingSigner, "asyncio.Task[bool]"]:
    """Another replica that has claimed all due payouts and stands still while it signs."""
    signer = PausingSigner()
    paused = await in_service(await replica_of(house, signer=signer, replica="paused"))
    payout = await house.create()
    task = asyncio.create_task(paused.services.dispatcher.run_group())
    await signer.reached.wait()
    assert (await house.get(payout)).lease is not None
    return signer, task


async def past_the_lease(house: House) -> None:
    """The lease runs out, and whoever builds now builds other bytes."""
    house.clock.tick(TROUBLE.dispatch.lease_seconds + 1)
    house.mine(2)
    house.services.settlement._cursor = None
    await house.read()


async def test_a_replica_that_slept_past_its_lease_sends_nothing() -> None:
    house = await troubled()
    signer, task = await paused_before_its_record(house)
    (payout,) = await house.store.list(PayoutQuery(), 10)
    assert await house.services.dispatcher.run_group() is False
    assert (await house.get(payout)).txids == ()
    await past_the_lease(house)
    await house.dispatch()
    paid_by = (await house.get(payout)).txids
    assert len(paid_by) == 1
    house.net.reset_calls()
    signer.go_on.set()
    await task
    assert BROADCAST not in house.net.calls()["nodes"][0]
    assert (await house.get(payout)).txids == paid_by
    done = await outcome(house, payout)
    assert done.status is PayoutStatus.COMPLETED
    assert house.paid(payout) == 1


async def test_a_lease_that_another_one_holds_keeps_a_record_out() -> None:
    """Both have claimed in turn and neither has recorded: it is the later claim that counts."""
    house = await troubled()
    late = PausingSigner()
    other = await in_service(await replica_of(house, signer=late, replica="late"))
    early, first = await paused_before_its_record(house)
    (payout,) = await house.store.list(PayoutQuery(), 10)
    await past_the_lease(house)
    second = asyncio.create_task(other.services.dispatcher.run_group())
    await late.reached.wait()
    early.go_on.set()
    await first
    assert (await house.get(payout)).txids == ()
    late.go_on.set()
    await second
    done = await outcome(house, payout)
    assert done.status is PayoutStatus.COMPLETED
    assert len(done.txids) == 1
    assert house.paid(payout) == 1


async def test_a_replica_that_slept_until_the_payout_was_paid_sends_nothing() -> None:
    house = await troubled()
    signer, task = await paused_before_its_record(house)
    (payout,) = await house.store.list(PayoutQuery(), 10)
    await past_the_lease(house)
    assert (await outcome(house, payout)).status is PayoutStatus.COMPLETED
    signer.go_on.set()
    await task
    for _ in range(5):
        await turn(house)
    assert len((await house.get(payout)).txids) == 1
    assert house.paid(payout) == 1


async def test_a_replica_that_slept_through_a_death_sends_nothing() -> None:
    """The payout is pending again and without a lease: only the token tells the two apart."""
    house = await troubled()
    signer, task = await paused_before_its_record(house)
    (payout,) = await house.store.list(PayoutQuery(), 10)
    fault(house, "swallow", count=FOREVER)
    await past_the_lease(house)
    await until(house, payout, lambda now: states(now) == [AttemptState.DEAD])
    assert (await house.get(payout)).status is PayoutStatus.PENDING
    house.net.faults.clear()
    house.net.reset_calls()
    signer.go_on.set()
    await task
    assert BROADCAST not in house.net.calls()["nodes"][0]
    done = await outcome(house, payout)
    assert states(done) == [AttemptState.DEAD, AttemptState.SETTLED]
    assert house.paid(payout) == 1


async def test_a_cancelled_payout_is_not_recorded_by_who_slept() -> None:
    house = await troubled()
    signer, task = await paused_before_its_record(house)
    (payout,) = await house.store.list(PayoutQuery(), 10)
    await house.services.router.cancel(SERVICE, payout.payout_id, "in time")
    signer.go_on.set()
    await task
    house.mine(2)
    assert (await house.get(payout)).status is PayoutStatus.CANCELLED
    assert house.paid(payout) == 0


async def test_who_dies_between_record_and_broadcast_is_stood_in_for() -> None:
    first, second = await two_replicas()
    payout = await first.create()

    async def die(attempt: object) -> str:
        raise ConnectionError("this replica is no more")

    first.chain.broadcast = die  # type: ignore[assignment,method-assign]
    with pytest.raises(ConnectionError):
        await first.dispatch()
    now = await second.get(payout)
    assert now.status is PayoutStatus.PROCESSING
    assert second.paid(payout) == 0
    done = await outcome(second, payout)
    assert done.status is PayoutStatus.COMPLETED
    assert len(done.txids) == 1
    assert second.paid(payout) == 1


async def test_who_dies_while_building_leaves_its_payouts_to_others() -> None:
    house = await troubled()
    _, task = await paused_before_its_record(house)
    (payout,) = await house.store.list(PayoutQuery(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await house.dispatch()
    done = await outcome(house, payout)
    assert done.status is PayoutStatus.COMPLETED
    assert house.paid(payout) == 1


async def test_a_replica_without_endpoints_hands_its_claim_back_at_once() -> None:
    first, second = await two_replicas()
    payout = await first.create()

    async def no_head() -> object:
        raise ChainUnavailableError("none")

    first.chain.head = no_head  # type: ignore[assignment,method-assign]
    with pytest.raises(ChainUnavailableError):
        await first.dispatch()
    await second.dispatch()
    assert (await second.get(payout)).status is PayoutStatus.PROCESSING
