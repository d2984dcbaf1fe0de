"""What the database does not know: a restored backup, and a key that others use too."""

import copy
from pathlib import Path

import pytest

from adapters.files.high_water import JsonHighWaterFile
from models.errors import PayoutError
from models.money import BASE_UNITS, Currency
from models.payout import Payout, PayoutStatus
from models.transaction import Attempt
from ports.store import PayoutQuery
from services.high_water import HighWater, recognise
from tests.harness import SERVICE, House
from tests.integration.test_trouble_restart import LONGEST_BLOCKS, QUARANTINED, closed_by
from tests.trouble import (
    FOREVER,
    all_paid_once,
    fault,
    outcome,
    replica_of,
    taken_from_outside,
    troubled,
    turns,
)


def backup_of(house: House) -> object:
    """A copy of the database as it is now; its clock goes on."""
    return copy.deepcopy(house.store, {id(house.clock): house.clock})


async def restored(house: House, backup: object) -> House:
    return await replica_of(house, store=backup, policies=QUARANTINED, replica="restored")


async def open_txids(house: House) -> set[str]:
    return {each.txid for each in await house.store.unexplained(only_open=True, limit=100)}


async def explain(house: House, txid: str, payout: Payout | None) -> None:
    payout_id = None if payout is None else payout.payout_id
    await house.services.router.explain(SERVICE, txid, payout_id, "from the lost days")


async def test_a_restored_backup_pays_nothing_again() -> None:
    house = await troubled()
    in_flight = await house.create()
    await house.dispatch()
    waiting = [await house.create() for _ in range(3)]
    backup = backup_of(house)
    forgotten = await house.create()
    payouts = [in_flight, *waiting, forgotten]
    for payout in payouts:
        assert (await outcome(house, payout)).status is PayoutStatus.COMPLETED
    paid_by = {payout.payout_id: (await house.get(payout)).txids[0] for payout in payouts}

    after = await restored(house, backup)
    await turns(after, 2 * LONGEST_BLOCKS)
    assert (await after.get(in_flight)).status is PayoutStatus.COMPLETED
    assert await closed_by(after) == ["unexplained"]
    assert await open_txids(after) == {paid_by[p.payout_id] for p in [*waiting, forgotten]}
    assert all_paid_once(after, payouts)

    for payout in waiting:
        await explain(after, paid_by[payout.payout_id], payout)
        assert (await after.get(payout)).status is PayoutStatus.COMPLETED
    await explain(after, paid_by[forgotten.payout_id], None)
    new = await after.create()
    assert (await outcome(after, new)).status is PayoutStatus.COMPLETED
    assert all_paid_once(after, [*payouts, new])


async def restarted(house: House, store: object, file: JsonHighWaterFile) -> House:
    """A replica that started over this database as the service does, without being told of it."""
    wallet = house.wallet
    await recognise(store, file, wallet, None)  # type: ignore[arg-type]
    return await replica_of(house, store=store, replica="restarted")


async def test_a_restored_backup_is_recognised_and_pays_nothing_again(tmp_path: Path) -> None:
    """The bytes are in no block yet, and the process that found the copy restarts within them."""
    house = await troubled()
    file = JsonHighWaterFile(tmp_path)
    payout = await house.create()
    backup = backup_of(house)
    fault(house, "swallow", count=FOREVER)
    await turns(house, 2)
    attempt = (await house.get(payout)).live_attempt
    assert isinstance(attempt, Attempt)
    mark = HighWater(house.store, house.store, file, house.wallet)
    await mark.run(await house.services.identity.ensure())
    house.net.faults.clear()

    after = await restarted(house, backup, file)
    assert await closed_by(after) == ["restored", "catching_up"]
    await turns(after, 7)
    after = await restarted(house, backup, file)
    await closed_by(after)
    await turns(after, 7)
    assert await closed_by(after) == ["restored", "quarantine"]
    assert (await after.get(payout)).txids == ()
    house.net.nodes[0].pool.entries.clear()
    assert await after.chain.broadcast(attempt) == "SUCCESS"
    await turns(after, 2 * LONGEST_BLOCKS)
    assert await closed_by(after) == ["unexplained"]
    await explain(after, attempt.txid, payout)
    new = await after.create()
    assert (await outcome(after, new)).status is PayoutStatus.COMPLETED
    assert all_paid_once(after, [payout, new])

    await mark.run(await house.services.identity.ensure())
    again = await restarted(house, backup, file)
    assert "restored" not in await closed_by(again)


async def test_bytes_that_a_backup_forgot_may_still_be_included_during_quarantine() -> None:
    """Sent after the backup, in no block yet when it is restored, and then in one after all."""
    house = await troubled()
    payout = await house.create()
    backup = backup_of(house)
    fault(house, "swallow", count=FOREVER)
    await house.dispatch()
    attempt = (await house.get(payout)).live_attempt
    assert isinstance(attempt, Attempt)
    house.net.faults.clear()

    after = await restored(house, backup)
    await turns(after, 15)
    assert (await after.get(payout)).txids == ()
    house.net.nodes[0].pool.entries.clear()
    assert await after.chain.broadcast(attempt) == "SUCCESS"
    await turns(after, 2 * LONGEST_BLOCKS)
    assert await open_txids(after) == {attempt.txid}
    assert (await after.get(payout)).txids == ()
    await explain(after, attempt.txid, payout)
    await turns(after, 5)
    assert (await after.get(payout)).status is PayoutStatus.COMPLETED
    assert after.paid(payout) == 1


async def test_what_the_backup_forgot_and_no_block_holds_is_paid_after_quarantine() -> None:
    house = await troubled()
    payout = await house.create()
    backup = backup_of(house)
    fault(house, "swallow", count=FOREVER)
    await house.dispatch()
    house.net.faults.clear()
    after = await restored(house, backup)
    done = await outcome(after, payout, blocks=2 * LONGEST_BLOCKS)
    assert done.status is PayoutStatus.COMPLETED
    assert after.paid(payout) == 1


async def test_a_payout_that_ended_after_the_restore_still_lets_its_transfer_be_explained() -> None:
    house = await troubled()
    payout = await house.create()
    backup = backup_of(house)
    assert (await outcome(house, payout)).status is PayoutStatus.COMPLETED
    txid = (await house.get(payout)).txids[0]
    after = await restored(house, backup)
    await after.services.router.cancel(SERVICE, payout.payout_id, "it was lost")
    await turns(after, 2 * LONGEST_BLOCKS)
    with pytest.raises(PayoutError, match="P500"):
        await explain(after, txid, payout)
    await explain(after, txid, None)
    await turns(after, 1)
    assert await closed_by(after) == []


@pytest.mark.parametrize("currency", list(Currency))
async def test_a_transfer_by_somebody_else_with_our_key_stops_everything(
    currency: Currency,
) -> None:
    house = await troubled()
    before = await house.create()
    await house.dispatch()
    txid = await taken_from_outside(house, 5 * BASE_UNITS, currency)
    await turns(house, 5)
    later = await house.create()
    await turns(house, 30)
    assert await closed_by(house) == ["unexplained"]
    assert await open_txids(house) == {txid}
    assert (await house.get(before)).status is PayoutStatus.COMPLETED
    assert (await house.get(later)).txids == ()
    await explain(house, txid, None)
    assert (await outcome(house, later)).status is PayoutStatus.COMPLETED
    assert all_paid_once(house, [before, later])


async def test_a_stolen_transfer_that_looks_like_a_payout_completes_none_by_itself() -> None:
    house = await troubled()
    payout = await house.create()
    order = payout.order
    await taken_from_outside(house, order.amount, order.currency, order.recipient_address)
    house.mine(5)
    await house.read()
    now = await house.get(payout)
    assert now.status is PayoutStatus.PENDING
    assert len(await house.store.list(PayoutQuery(), 10)) == 1
    assert await closed_by(house) == ["unexplained"]
