"""Inserting, finding, listing and counting payouts."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from models.chain import BlockRef, FeeDay, Hit, Transfer
from models.errors import Reason
from models.money import Currency
from models.order import PayoutType, RouteName
from models.payout import Event, Lease, Payout, PayoutStatus, Reservation
from models.transaction import AttemptState
from ports.store import KeyTakenError, PayoutGoneError, PayoutQuery, PayoutStore, Scope
from tests.contract.steps import inserted, moved, processing, stored
from tests.factories import (
    LONG_AGO,
    a_cursor,
    a_hit,
    a_payout,
    an_attempt,
    an_order,
)

HOSTILE = "$$NOW"
METADATA = {
    "a.b": "1",
    "$set": "$$ROOT",
    "$ref": "payouts",
    "$id": "x",
    "": "empty",
    "snow ☃": "\x00",
}


def a_full_payout() -> Payout:
    """A payout with every field set to something that tempts a database."""
    attempt = an_attempt(
        state=AttemptState.DEAD,
        answers={"SUCCESS": 2, "$inc.x": 1},
        last_sent_at=LONG_AGO,
        closed_at=LONG_AGO,
    )
    hit = a_hit(attempt, message=HOSTILE, transfers=(Transfer("$c", "o", "r", 2**255),))
    order = an_order(
        reference=HOSTILE,
        description="$literal",
        metadata=METADATA,
        session_id="{$gt: ''}",
        node_id="a.b",
        priority=10,
        expires_at=LONG_AGO,
    )
    why = Reason("P200", "$status")
    return a_payout(
        client="$client",
        order=order,
        idempotency_key="$key",
        reservation=Reservation.KEPT,
        status_reason=why,
        completed_at=LONG_AGO,
        lease=Lease("$owner", "$token", LONG_AGO),
        live_attempt=an_attempt(),
        attempts=(replace(attempt, hit=hit),),
        txids=(attempt.txid,),
        hits=(hit,),
        linked_hit=hit,
        history=(Event(LONG_AGO, HOSTILE, None, PayoutStatus.PENDING, why, attempt.txid),),
        counted_deaths=1,
        refusals=2,
        min_fee_limit_sun=2**40,
        burned_sun=2**50,
        version=7,
    )


@pytest.mark.parametrize("payout", [a_payout(), a_full_payout()], ids=["plain", "full"])
async def test_a_payout_comes_back_as_it_went_in(store: PayoutStore, payout: Payout) -> None:
    await store.insert(payout)
    assert await store.get(payout.payout_id) == payout


async def test_an_unknown_payout_is_none(store: PayoutStore) -> None:
    assert await store.get("payout_unknown") is None
    assert await store.find_by_key("client-1", "unknown") is None


async def test_what_is_no_payout_is_not_found_as_one(store: PayoutStore) -> None:
    hit = a_hit()
    await store.move_cursor(None, a_cursor(), [hit])
    await store.bury("payout_buried")
    for other in ("cursor", "payout_buried", f"unexplained_{hit.txid}"):
        assert await store.get(other) is None
    assert not await store.list(PayoutQuery(), 10)
    assert not await store.totals(Scope())


async def test_inserting_again_changes_nothing(store: PayoutStore) -> None:
    payout = await inserted(store, idempotency_key="key")
    await moved(store, payout, PayoutStatus.CANCELLED)
    await store.insert(payout)
    assert (await stored(store, payout)).status is PayoutStatus.CANCELLED


async def test_a_key_is_taken_per_client_and_for_ever(store: PayoutStore) -> None:
    first = await inserted(store, idempotency_key="key")
    await moved(store, first, PayoutStatus.CANCELLED)
    with pytest.raises(KeyTakenError):
        await inserted(store, idempotency_key="key")
    other = await inserted(store, client="client-2", idempotency_key="key")
    found = [await store.find_by_key(client, "key") for client in ("client-1", "client-2")]
    assert [payout.payout_id for payout in found if payout] == [first.payout_id, other.payout_id]


async def test_payouts_without_a_key_do_not_collide(store: PayoutStore) -> None:
    await inserted(store)
    await inserted(store)
    assert len(await store.list(PayoutQuery(), 10)) == 2


async def test_of_concurrent_inserts_with_one_key_one_wins(store: PayoutStore) -> None:
    payouts = [a_payout(idempotency_key="key") for _ in range(50)]
    results = await asyncio.gather(*map(store.insert, payouts), return_exceptions=True)
    assert sum(result is None for result in results) == 1
    assert sum(isinstance(result, KeyTakenError) for result in results) == 49
    winner = payouts[results.index(None)]
    assert await store.find_by_key("client-1", "key") == winner


async def test_concurrent_inserts_of_one_payout_all_succeed(store: PayoutStore) -> None:
    payout = a_payout(idempotency_key="key")
    await asyncio.gather(*(store.insert(payout) for _ in range(20)))
    assert await store.list(PayoutQuery(), 10) == [payout]


async def test_a_buried_payout_never_arrives(store: PayoutStore) -> None:
    payout = a_payout(idempotency_key="key")
    assert await store.bury(payout.payout_id)
    assert await store.bury(payout.payout_id)
    with pytest.raises(PayoutGoneError):
        await store.insert(payout)
    assert await store.find_by_key("client-1", "key") is None


async def test_a_payout_that_is_there_cannot_be_buried(store: PayoutStore) -> None:
    payout = await inserted(store)
    assert not await store.bury(payout.payout_id)
    assert await stored(store, payout) == payout


FILTERS: list[dict[str, Any]] = [
    {"status": PayoutStatus.CANCELLED},
    {"currency": Currency.TRX},
    {"recipient": "$recipient"},
    {"session_id": "session"},
    {"node_id": "node"},
    {"reference": "$ref"},
    {"route": RouteName.KYC},
    {"payout_type": PayoutType.BATCH},
    {"batch_id": "$batch"},
    {"created_from": LONG_AGO + timedelta(days=1)},
    {"scope": Scope(client="client-2")},
    {"scope": Scope(node_id="node")},
]


@pytest.mark.parametrize("filters", FILTERS, ids=lambda filters: next(iter(filters)))
async def test_each_filter_of_a_list(store: PayoutStore, filters: dict[str, Any]) -> None:
    await inserted(store)
    other = await inserted(
        store,
        client="client-2",
        status=PayoutStatus.CANCELLED,
        created_at=LONG_AGO + timedelta(days=1),
        route=RouteName.KYC,
        batch_id="$batch",
        order=an_order(
            currency=Currency.TRX,
            payout_type=PayoutType.BATCH,
            recipient_address="$recipient",
            session_id="session",
            node_id="node",
            reference="$ref",
        ),
    )
    assert await store.list(PayoutQuery(**filters), 10) == [other]


async def test_a_list_ends_before_created_to(store: PayoutStore) -> None:
    early = await inserted(store)
    await inserted(store, created_at=LONG_AGO + timedelta(days=1))
    query = PayoutQuery(created_from=LONG_AGO, created_to=LONG_AGO + timedelta(days=1))
    assert await store.list(query, 10) == [early]


async def test_a_list_by_txid(store: PayoutStore) -> None:
    await processing(store)
    payout, attempt = await processing(store)
    assert await store.list(PayoutQuery(txid=attempt.txid), 10) == [payout]


async def test_all_filters_must_hold(store: PayoutStore) -> None:
    await inserted(store, order=an_order(reference="r"))
    both = await inserted(store, order=an_order(reference="r", session_id="s"))
    assert await store.list(PayoutQuery(reference="r", session_id="s"), 10) == [both]
    assert not await store.list(PayoutQuery(reference="r", session_id="t"), 10)


async def test_a_scope_of_client_and_node_shows_both(store: PayoutStore) -> None:
    own = await inserted(store)
    of_node = await inserted(store, client="client-2", order=an_order(node_id="node"))
    await inserted(store, client="client-2", order=an_order(node_id="other"))
    scope = Scope(client="client-1", node_id="node")
    assert await store.list(PayoutQuery(scope=scope), 10) == [of_node, own]
    assert sum(total.count for total in await store.totals(scope)) == 2


async def test_a_list_pages_newest_first_without_gap(store: PayoutStore) -> None:
    payouts = [await inserted(store) for _ in range(5)]
    pages, after = [], None
    while page := await store.list(PayoutQuery(after=after), 2):
        pages.append(page)
        after = page[-1].payout_id
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [payout for page in pages for payout in page] == payouts[::-1]


async def test_totals_by_status_and_currency(store: PayoutStore) -> None:
    for amount in (1, 2, 2**40):
        await inserted(store, order=an_order(amount=amount))
    await inserted(store, order=an_order(amount=5, currency=Currency.TRX), client="client-2")
    await inserted(store, status=PayoutStatus.COMPLETED, order=an_order(amount=7))
    totals = {
        (total.status, total.currency): (total.count, total.amount)
        for total in await store.totals(Scope())
    }
    assert totals == {
        (PayoutStatus.PENDING, Currency.USDT): (3, 2**40 + 3),
        (PayoutStatus.PENDING, Currency.TRX): (1, 5),
        (PayoutStatus.COMPLETED, Currency.USDT): (1, 7),
    }
    own = await store.totals(Scope(client="client-2"))
    assert [(total.currency, total.count) for total in own] == [(Currency.TRX, 1)]


async def test_text_with_a_lone_surrogate_can_be_kept(store: PayoutStore) -> None:
    hit: Hit = a_hit(message="\ud800")
    assert await store.move_cursor(None, a_cursor(fees=FeeDay("2024-01-01", 1)), [hit])
    block: BlockRef = (await store.unexplained(only_open=True, limit=1))[0].hit.block
    assert block == hit.block
