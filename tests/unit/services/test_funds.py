"""What several wallets can pay: each its own, and no more fees a day than all of them may burn."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from adapters.memory.store import MemoryPayoutStore
from adapters.signer.local import LocalSigner
from devnet.devnet import Devnet
from devnet.settings import DEVNET_KEYS, DevnetSettings
from models.chain import Balances
from models.money import BASE_UNITS, Currency
from models.order import RouteChoice, RouteName
from models.pause import Activity, Pause
from models.payout import Payout, PayoutStatus
from ports.chain import ChainUnavailableError
from services.gate import WALLET_GATE
from tests.factories import OWNER
from tests.harness import DECISIONS, POLICIES, SERVICE, SOLID_LAG, FakeClock, House, open_house
from tests.trouble import code_of
from tests.unit.services.faulty_store import FaultyStore

S = PayoutStatus
FIRST, SECOND = (LocalSigner(bytes.fromhex(key)) for key in DEVNET_KEYS[:2])
WALLETS = {RouteName.V0: FIRST.address, RouteName.KYC: SECOND.address}


async def a_house(
    *,
    signers: Sequence[LocalSigner] = (FIRST, SECOND),
    usdt: Sequence[int] = (1_000, 1_000),
    **fees: Any,
) -> House:
    """v0 pays from the first wallet, kyc from the second, which hold so much USDT."""
    routes = [
        replace(policy, enabled=policy.name in WALLETS, wallet=WALLETS.get(policy.name))
        for policy in DECISIONS.routes
    ]
    policies = replace(
        POLICIES,
        decisions=replace(DECISIONS, routes=routes),
        fees=replace(POLICIES.fees, **fees),
    )
    net = Devnet(DevnetSettings(nodes=1, solid_lag=SOLID_LAG, wallet_token_units=0))
    for signer, units in zip((FIRST, SECOND), usdt, strict=True):
        net.fund(signer.address, token_units=units * BASE_UNITS)
    clock = FakeClock()
    house = await open_house(
        net=net,
        store=FaultyStore(MemoryPayoutStore(clock)),
        clock=clock,
        policies=policies,
        signers=signers,
    )
    await house.start()
    return house


async def on_both(house: House, each: int) -> list[Payout]:
    """So many payouts on each route."""
    routes = [RouteChoice.V0, RouteChoice.KYC] * each
    return [await house.create(route=route) for route in routes]


async def standings(house: House, payouts: Sequence[Payout]) -> Counter[tuple[Any, Any]]:
    """How many payouts stand where, by route."""
    found = [await house.get(payout) for payout in payouts]
    return Counter((payout.route, payout.status) for payout in found)


async def test_two_wallets_pay_in_one_group_each_its_own() -> None:
    house = await a_house()
    payouts = await on_both(house, 2)
    await house.dispatch()
    await house.settle()
    assert await standings(house, payouts) == {
        (RouteName.V0, S.COMPLETED): 2,
        (RouteName.KYC, S.COMPLETED): 2,
    }
    for wallet in (FIRST, SECOND):
        recipients = {entry.recipient for entry in house.net.ledger(owner=wallet.address)}
        assert recipients == {
            payout.order.recipient_address for payout in payouts if payout.wallet == wallet.address
        }
    assert (await house.store.standing()).open_unexplained == 0


async def test_what_one_wallet_lacks_keeps_the_other_from_nothing() -> None:
    house = await a_house(usdt=(1_000, 12))
    payouts = await on_both(house, 2)
    await house.dispatch()
    assert await standings(house, payouts) == {
        (RouteName.V0, S.PROCESSING): 2,
        (RouteName.KYC, S.PENDING): 2,
    }
    assert {code_of(await house.get(payout)) for payout in payouts} == {None, "P200"}


async def test_the_closed_gate_of_one_wallet_leaves_the_other_open() -> None:
    """What is given to the closed one is not even claimed, until the wallet is funded again."""
    house = await a_house()
    payouts = await on_both(house, 1)
    name = WALLET_GATE + SECOND.address
    await house.store.close_gate(name, "the wallet ran short", needs_usdt=1_001 * BASE_UNITS)
    await house.dispatch()
    waiting = await house.get(payouts[1])
    assert (await house.get(payouts[0])).status is S.PROCESSING
    assert (waiting.status, waiting.lease, waiting.version) == (S.PENDING, None, 0)
    house.net.fund(SECOND.address, token_units=BASE_UNITS)
    house.mine(1)
    await house.read()
    await house.dispatch()
    assert (await house.get(payouts[1])).status is S.PROCESSING
    assert await house.store.gates() == []


async def test_a_wallet_that_is_short_is_looked_at_once_a_cursor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However often dispatch looks; a node that does not answer is asked again."""
    house = await a_house()
    name = WALLET_GATE + SECOND.address
    await house.store.close_gate(name, "the wallet ran short", needs_usdt=1_001 * BASE_UNITS)
    asked, balances = [], house.chain.balances

    async def counted(wallet: str) -> Balances:
        asked.append(wallet)
        if len(asked) == 1:
            raise ChainUnavailableError("no node answers")
        return await balances(wallet)

    monkeypatch.setattr(house.chain, "balances", counted)
    with pytest.raises(ChainUnavailableError):
        await house.dispatch()
    for _ in range(3):
        await house.dispatch()
    assert asked == [SECOND.address] * 2
    house.mine(1)
    await house.read()
    for _ in range(3):
        await house.dispatch()
    assert asked == [SECOND.address] * 3


async def test_dispatch_says_so_when_no_wallet_is_open() -> None:
    house = await a_house()
    await on_both(house, 1)
    for signer in (FIRST, SECOND):
        await house.store.close_gate(WALLET_GATE + signer.address, "for a person to open")
    house.store.calls.clear()
    await house.dispatch()
    assert {each.reason for each in house.services.dispatcher.closed} == {"for a person to open"}
    assert "claim" not in house.store.calls


async def test_a_gate_of_a_wallet_that_is_not_ours_keeps_nobody_waiting() -> None:
    house = await a_house()
    payouts = await on_both(house, 1)
    await house.store.close_gate(WALLET_GATE + OWNER, "of an earlier wallet", needs_usdt=1)
    await house.dispatch()
    assert {(await house.get(payout)).status for payout in payouts} == {S.PROCESSING}


async def test_a_wallet_that_is_paused_pays_nothing_and_the_other_goes_on() -> None:
    house = await a_house()
    payouts = await on_both(house, 1)
    pause = Pause(Activity.DISPATCH, wallet=FIRST.address)
    await house.services.control.pause(SERVICE, pause, "its key is being moved")
    await house.dispatch()
    assert await standings(house, payouts) == {
        (RouteName.V0, S.PENDING): 1,
        (RouteName.KYC, S.PROCESSING): 1,
    }


@pytest.mark.parametrize("in_flight", [0, 1])
async def test_all_wallets_together_burn_no_more_than_a_day_has(in_flight: int) -> None:
    """Fees for three payouts a day, two of them due on each wallet; those in flight count."""
    house = await a_house()
    cost = await cost_of_one(house)
    house = await a_house(daily_ceiling_sun=3 * cost)
    earlier = await on_both(house, in_flight)
    await house.dispatch()
    payouts = await on_both(house, 2)
    await house.dispatch()
    found = [await house.get(payout) for payout in [*earlier, *payouts]]
    assert sum(payout.status is S.PROCESSING for payout in found) == 3
    late = [payout for payout in found if payout.status is S.PENDING]
    assert {code_of(payout) for payout in late} == {"P201"}


async def cost_of_one(house: House) -> int:
    """The most that one payout of this house can burn."""
    payout = await house.create()
    await house.dispatch()
    live = (await house.get(payout)).live_attempt
    assert live is not None
    return live.max_cost_sun


async def test_what_others_are_building_counts_for_the_wallet_that_will_pay_it() -> None:
    house = await a_house(usdt=(13, 13))
    theirs = await house.create(route=RouteChoice.KYC)
    await house.store.claim(10, "replica-2", "theirs", 60)
    payouts = await on_both(house, 1)
    await house.dispatch()
    assert await standings(house, payouts) == {
        (RouteName.V0, S.PROCESSING): 1,
        (RouteName.KYC, S.PENDING): 1,
    }
    assert (await house.get(theirs)).lease is not None


async def test_what_is_of_a_wallet_without_a_key_here_is_left_to_others() -> None:
    house = await a_house(signers=[FIRST])
    payouts = await on_both(house, 1)
    assert payouts[1].wallet == SECOND.address
    await house.dispatch()
    assert [(await house.get(payout)).version for payout in payouts] == [1, 0]


@pytest.mark.parametrize("currency", Currency)
async def test_a_shortage_on_chain_closes_the_wallet_that_ran_short(currency: Currency) -> None:
    house = await a_house()
    payout = await house.create(route=RouteChoice.KYC, currency=currency)
    await house.services.dispatcher._funds.close_wallet("it ran short", await house.get(payout))
    (gate,) = await house.store.gates()
    assert gate.name == WALLET_GATE + SECOND.address
    in_trx = currency is Currency.TRX
    assert gate.needs_usdt == (0 if in_trx else payout.order.amount)
    assert gate.needs_trx_sun is not None
    assert gate.needs_trx_sun > (payout.order.amount if in_trx else 0)
