"""When a failure on chain closes the wallet, and when it is the payout's own."""

from dataclasses import replace
from typing import Any

import pytest

from adapters.memory.store import MemoryPayoutStore
from devnet.faults import Fault
from models.chain import Balances, BlockRef
from models.money import Currency
from models.payout import Payout, PayoutStatus
from ports.chain import ChainUnavailableError
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
    assert names == ([WALLET_GATE + house.wallet] if closes else [])


async def test_a_revert_of_a_funded_wallet_closes_nothing() -> None:
    house = await open_house()
    await house.start()
    payout = await processing(house)
    after = await failed(house, payout, contract_ret="REVERT", message="blacklisted")
    assert after.status is PayoutStatus.FAILED
    assert await house.store.gates() == []


@pytest.mark.parametrize(
    ("currency", "missing", "to"),
    [
        (Currency.USDT, 0, PayoutStatus.FAILED),
        (Currency.USDT, 1, PayoutStatus.PENDING),
        (Currency.TRX, 0, PayoutStatus.FAILED),
        (Currency.TRX, 1, PayoutStatus.PENDING),
    ],
)
async def test_a_revert_is_a_shortage_when_the_wallet_holds_less_than_the_amount(
    monkeypatch: pytest.MonkeyPatch, currency: Currency, missing: int, to: PayoutStatus
) -> None:
    house = await open_house()
    await house.start()
    payout = await house.create(currency=currency)
    await house.dispatch()
    held = payout.order.amount - missing
    plenty = 10**12
    in_trx = currency is Currency.TRX

    async def balances(owner: str) -> Balances:
        assert owner == house.wallet
        return Balances(held if in_trx else plenty, plenty if in_trx else held)

    monkeypatch.setattr(house.chain, "balances", balances)
    after = await failed(house, await house.get(payout), contract_ret="REVERT")
    assert after.status is to


async def test_the_gate_of_a_wallet_opens_once_it_holds_what_was_missing() -> None:
    house = await open_house()
    await house.start()
    first = await processing(house)
    needs = first.order.amount
    rich = house.net.balance(house.wallet)
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


@pytest.mark.parametrize(("reopens_in", "still"), [(1, ""), (2, "a link did not fit")])
async def test_a_broken_link_is_over_at_the_very_block_that_was_the_head(
    reopens_in: int, still: str
) -> None:
    house = await open_house()
    await house.start()
    cursor = await house.store.cursor()
    broken = replace(
        cursor, broken="a link did not fit", reopen_at=cursor.block.number + reopens_in
    )
    assert await house.store.move_cursor(cursor, broken, ())
    await house.services.settlement.follow()
    house.mine(1)
    await house.services.settlement.advance()
    after = await house.store.cursor()
    assert (after.block.number, after.broken) == (cursor.block.number + 1, still)


async def test_a_broken_link_says_which_block_does_not_follow() -> None:
    house = await open_house()
    await house.start()
    cursor = (await house.store.cursor()).block
    house.net.faults.add(Fault(kind="break_parent", count=1))
    house.mine(1)
    await house.services.settlement.advance()
    after = await house.store.cursor()
    assert after.block == cursor
    assert f"block {cursor.number + 1} " in after.broken


async def test_a_block_that_pays_and_is_doubted_is_not_read_and_the_doubt_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = await open_house()
    await house.start()
    payout = await processing(house)
    house.mine(SOLID_LAG + 2)
    before = await house.store.cursor()

    async def doubt(block: BlockRef) -> str:
        return f"block {block.number} is not believed"

    monkeypatch.setattr(house.chain, "doubt", doubt)
    with pytest.raises(ChainUnavailableError, match=r"block \d+ is not believed"):
        await house.services.settlement.advance()
    assert (await house.get(payout)).hits == ()
    monkeypatch.undo()
    await house.services.settlement.advance()
    assert (await house.get(payout)).status is PayoutStatus.COMPLETED
    assert (await house.store.cursor()).block.number > before.block.number


async def test_what_is_dead_is_not_sent_again() -> None:
    house = await open_house()
    await house.start()
    house.net.faults.add(Fault(kind="swallow"))
    payout = await processing(house)
    assert payout.live_attempt is not None
    expiration = payout.live_attempt.expiration_ms
    while (await house.store.cursor()).block.time_ms < expiration:
        house.mine(1)
        await house.read()
    assert (await house.store.cursor()).block.time_ms == expiration
    sent = house.figures.counts["tron_broadcasts_total"]
    await house.services.settlement.review()
    assert (await house.get(payout)).status is PayoutStatus.PENDING
    assert house.figures.counts["tron_broadcasts_total"] == sent


async def test_a_review_with_nothing_to_do_asks_the_store_for_that_alone() -> None:
    clock = FakeClock()
    house = await open_house(store=FaultyStore(MemoryPayoutStore(clock)), clock=clock)
    await house.start()
    house.store.calls.clear()
    await house.services.settlement.review()
    assert house.store.calls == ["to_settle", "live_to_review"]


async def test_a_turn_without_hits_asks_for_none_to_judge() -> None:
    clock = FakeClock()
    house = await open_house(store=FaultyStore(MemoryPayoutStore(clock)), clock=clock)
    await house.start()
    house.mine(1)
    house.store.calls.clear()
    await house.services.settlement.advance()
    assert house.store.calls == ["move_cursor"]


async def test_figures_show_how_far_was_read_and_what_was_burned() -> None:
    house = await open_house()
    await house.start()
    await house.pay(await house.create())
    cursor = (await house.store.cursor()).block
    shown = house.figures.counts
    assert shown["tron_cursor_block_number"] == cursor.number
    assert shown["tron_cursor_timestamp_seconds"] == cursor.time_ms / 1000
    burned = shown["payout_fees_burned_sun_total"]
    assert burned == (await house.store.cursor()).fees.burned_sun > 0
