"""A wallet runs dry with payouts waiting for it: the other route pays them, each once."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from adapters.memory.store import MemoryPayoutStore
from adapters.signer.local import LocalSigner
from devnet.devnet import Devnet
from devnet.settings import DEVNET_KEYS, DevnetSettings
from models.money import BASE_UNITS
from models.order import RouteChoice, RouteName
from models.pause import Activity, Pause
from models.payout import Payout, PayoutStatus
from models.routes import FallbackPolicy
from models.transaction import AttemptState
from ports.store import PayoutStore
from services.deciding import FIGURES_SECONDS
from tests.contract.conftest import mongo_store
from tests.harness import DECISIONS, SERVICE, SOLID_LAG, FakeClock, House
from tests.trouble import (
    all_paid_once,
    fault,
    in_service,
    replica_of,
    states,
    troubled,
    turn,
    until,
    with_policies,
)

__all__ = ["mongo_store"]

V0, KYC, _ = RouteName
FIRST, SECOND = (LocalSigner(bytes.fromhex(key)) for key in DEVNET_KEYS[:2])
AMOUNT = 12_500_000


def policies() -> Any:
    """v0, which is chosen first, pays from the first wallet and kyc from the second; what waits may
    leave at once, and is looked at again at once: two replicas that have claimed together more than
    a wallet holds both put all of it off."""
    v0, kyc, direct = DECISIONS.routes
    routes = (replace(v0, priority=6), replace(kyc, enabled=True, wallet=SECOND.address), direct)
    routing = replace(DECISIONS.routing, fallback=FallbackPolicy(after_seconds=0, times=2))
    decisions = {"routes": routes, "routing": routing}
    return with_policies(decisions=decisions, dispatch={"skip_seconds": 0})


@pytest.fixture
def clock() -> FakeClock:
    """The clock of the store in memory, which goes on with the chain's."""
    return FakeClock()


@pytest.fixture(params=["memory", "mongo"])
def store(request: pytest.FixtureRequest, clock: FakeClock) -> PayoutStore:
    """Every implementation of the port, empty and prepared."""
    if request.param == "memory":
        return MemoryPayoutStore(clock)
    mongo: PayoutStore = request.getfixturevalue("mongo_store")
    return mongo


async def a_house(store: PayoutStore, clock: FakeClock, units: int) -> House:
    """A replica in service; the first wallet holds so much USDT, and the second one enough."""
    net = Devnet(DevnetSettings(solid_lag=SOLID_LAG, wallet_token_units=0))
    for signer, held in ((FIRST, units), (SECOND, 10_000 * BASE_UNITS)):
        net.fund(signer.address, token_units=held)
    house = await troubled(
        net=net, store=store, clock=clock, policies=policies(), signers=(FIRST, SECOND)
    )
    look_anew(house)
    return house


def look_anew(house: House) -> None:
    """Figures are of the last block: they are looked at again after each."""
    house.services.deciding.seconds = lambda: house.clock.at.timestamp() * (FIGURES_SECONDS + 1)


async def time_goes_on(*houses: House) -> None:
    """A turn of every loop, the scheduler's included; then a block."""
    for each in houses:
        await each.services.fallback.run()
    await turn(*houses)


async def paid(house: House, payout: Payout) -> Payout:
    for _ in range(40):
        done = await house.get(payout)
        if done.status is PayoutStatus.COMPLETED:
            return done
        await time_goes_on(house)
    raise AssertionError(await house.get(payout))


async def test_what_the_dry_wallet_cannot_pay_the_other_route_pays_once(
    store: PayoutStore, clock: FakeClock
) -> None:
    """It had enough for each of them, and not for both."""
    house = await a_house(store, clock, AMOUNT + 1)
    first, second = await house.create(), await house.create()
    by_name = await house.create(route=RouteChoice.V0)
    assert {each.route for each in (first, second)} == {V0}
    done = [await paid(house, each) for each in (first, second)]
    assert [each.route for each in done] == [V0, KYC]
    owners = [each.attempts[-1].owner for each in done]
    assert owners == [FIRST.address, SECOND.address]
    assert all_paid_once(house, done)
    assert [each.rule for each in done[1].findings].count("routing.fallback") == 1
    waits = await house.get(by_name)
    assert (waits.status, waits.route, waits.txids) == (PayoutStatus.PENDING, V0, ())


async def test_two_replicas_at_once_move_and_pay_each_once(
    store: PayoutStore, clock: FakeClock
) -> None:
    house = await a_house(store, clock, AMOUNT)
    other = await replica_of(house, signers=(FIRST, SECOND), replica="other")
    look_anew(other)
    await in_service(other)
    payouts = [await house.create() for _ in range(12)]
    for _ in range(3):
        await asyncio.gather(
            *(each.services.fallback.run() for each in (house, other)),
            *(each.dispatch() for each in (house, other)),
        )
        house.mine(1)
    done = [await paid(house, payout) for payout in payouts]
    assert all_paid_once(house, done)
    assert [each.route for each in done].count(V0) == 1
    assert {each.attempts[-1].owner for each in done if each.route is KYC} == {SECOND.address}


async def test_a_live_attempt_keeps_its_route_until_the_chain_has_proved_it_dead(
    clock: FakeClock,
) -> None:
    house = await a_house(MemoryPayoutStore(clock), clock, AMOUNT)
    fault(house, "swallow", count=1)
    payout = await house.create()
    await house.dispatch()
    pause = Pause(Activity.DISPATCH, wallet=FIRST.address)
    await house.services.control.pause(SERVICE, pause, "the key leaked")
    for _ in range(10):
        await time_goes_on(house)
        assert (await house.get(payout)).route is V0
    await until(house, payout, lambda now: states(now) == [AttemptState.DEAD])
    done = await paid(house, payout)
    assert (done.route, len(done.txids)) == (KYC, 2)
    assert "the key leaked" in done.findings[-1].text
    assert all_paid_once(house, [done])
