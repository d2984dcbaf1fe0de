"""When a failure on chain closes the wallet, and when it is the payout's own."""

from typing import Any

import pytest

from adapters.memory.store import MemoryPayoutStore
from models.payout import Payout, PayoutStatus
from ports.store import StoreError
from services.gate import WALLET_GATE
from tests.factories import a_hit
from tests.harness import POLICIES, SOLID_LAG, FakeClock, House, open_house
from tests.unit.services.faulty_store import FaultyStore

LIMIT = POLICIES.fees.fee_limit_sun
ENERGY_SUN = 100


async def processing(house: House) -> Payout:
    """A payout whose bytes were sent, in no block yet."""
    payout = await house.create()
    await house.dispatch()
    return await house.get(payout)


async def failed(house: House, payout: Payout, **hit: Any) -> Payout:
    """Let the chain say that the live attempt failed; the payout as it then stands."""
    assert payout.live_attempt is not None
    cursor = await house.store.cursor()
    found = a_hit(payout.live_attempt, transfers=(), **hit)
    assert await house.store.move_cursor(cursor, cursor, [found])
    await house.services.settlement.settle_hits()
    return await house.get(payout)


@pytest.mark.parametrize(
    ("energy_used", "code", "closes"),
    [(LIMIT // ENERGY_SUN, "P201", False), (LIMIT // ENERGY_SUN // 2, "P200", True)],
    ids=["the fee limit was too low", "the wallet ran short"],
)
async def test_only_a_shortage_closes_the_wallet(energy_used: int, code: str, closes: bool) -> None:
    house = await open_house()
    await house.start()
    payout = await processing(house)
    after = await failed(
        house, payout, contract_ret="OUT_OF_ENERGY", energy_used=energy_used, fee_sun=energy_used
    )
    assert after.status is PayoutStatus.PENDING
    assert after.status_reason is not None
    assert after.status_reason.code == code
    names = [gate.name for gate in await house.store.gates()]
    assert names == ([WALLET_GATE + house.ports.signer.address] if closes else [])


async def test_a_revert_of_a_funded_wallet_closes_nothing() -> None:
    house = await open_house()
    await house.start()
    payout = await processing(house)
    after = await failed(house, payout, contract_ret="REVERT", message="blacklisted")
    assert after.status is PayoutStatus.FAILED
    assert await house.store.gates() == []


async def test_the_gate_of_a_wallet_opens_once_it_holds_what_was_missing() -> None:
    house = await open_house()
    await house.start()
    first = await processing(house)
    needs = first.order.amount
    rich = house.net.balance(house.ports.signer.address)
    assert rich[1] > needs
    await failed(house, first, contract_ret="OUT_OF_ENERGY", energy_used=1)
    (gate,) = await house.store.gates()
    assert gate.needs_usdt == needs
    assert gate.needs_trx_sun is not None
    await house.dispatch()
    assert await house.store.gates() == []


async def test_a_hit_whose_write_was_not_confirmed_is_judged_at_the_next_turn() -> None:
    clock = FakeClock()
    store = FaultyStore(MemoryPayoutStore(clock))
    house = await open_house(store=store, clock=clock)
    await house.start()
    payout = await processing(house)
    house.mine(SOLID_LAG + 2)
    store.fail("move_cursor", "after")
    with pytest.raises(StoreError):
        await house.services.settlement.advance()
    house.mine(1)
    await house.services.settlement.advance()
    assert (await house.get(payout)).status is PayoutStatus.COMPLETED


async def test_a_hit_that_is_written_again_late_keeps_no_payout_from_being_paid() -> None:
    house = await open_house()
    await house.start()
    payout = await processing(house)
    assert payout.live_attempt is not None
    hit = a_hit(payout.live_attempt, transfers=(), contract_ret="OUT_OF_ENERGY", energy_used=1)
    cursor = await house.store.cursor()
    await house.store.move_cursor(cursor, cursor, [hit])
    await house.services.settlement.settle_hits()
    await house.store.move_cursor(cursor, cursor, [hit])
    house.mine(1)
    await house.services.settlement.advance()
    await house.services.settlement.review()
    await house.dispatch()
    assert (await house.get(payout)).status is PayoutStatus.PROCESSING


async def test_figures_count_every_end() -> None:
    house = await open_house()
    await house.start()
    before = house.figures.counts.get("payout_transitions_total", 0)
    payout = await house.pay(await house.create())
    assert payout.status is PayoutStatus.COMPLETED
    # accepted, processing, completed
    assert house.figures.counts["payout_transitions_total"] == before + 3
