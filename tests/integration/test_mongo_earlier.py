"""Documents of an earlier version of the service: without routes, wallets, ranks and counts."""

from collections.abc import AsyncIterator

import pytest

from adapters.mongo.client import Document
from adapters.mongo.documents import payout_document
from adapters.mongo.store import MongoPayoutStore
from models.limits import Used
from models.payout import PayoutStatus
from tests.contract.steps import recording, stored
from tests.databases import fresh_store
from tests.factories import LONG_AGO, OWNER, RECIPIENT, a_payout, a_window, an_attempt

NEW_FIELDS = (
    *("route", "wallet", "findings", "hold", "released", "approval", "release_at", "rank_at"),
    *("order.payout_type", "order.scheduled_at", "order.batch_window", "order.route"),
)


@pytest.fixture
async def store(mongodb_url: str) -> AsyncIterator[MongoPayoutStore]:
    async with fresh_store(mongodb_url) as store:
        yield store


def as_before(document: Document) -> Document:
    """A payout's document without what came later."""
    order = document["order"]
    for path in NEW_FIELDS:
        head, _, tail = path.partition(".")
        del (order if tail else document)[tail or head]
    return document


async def test_an_earlier_payout_is_claimed_first_and_paid(store: MongoPayoutStore) -> None:
    """Whichever wallets pay now: it is the default one's, on no route."""
    earlier, later = a_payout(), a_payout(rank_at=LONG_AGO, wallet=RECIPIENT)
    await store.insert(later)
    await store._payouts.insert_one(as_before(payout_document(earlier)))
    assert await stored(store, earlier) == earlier
    claim = await store.claim(10, "owner", "token", 60, wallets=[RECIPIENT])
    assert [payout.payout_id for payout in claim.payouts] == [earlier.payout_id, later.payout_id]
    assert (await store.exposures("other"))[None].building == 1
    attempt = an_attempt(earlier)
    assert await store.apply([recording(earlier, attempt)]) == 1
    after = await stored(store, earlier)
    assert (after.status, after.live_attempt) == (PayoutStatus.PROCESSING, attempt)
    assert (await store.exposures("token"))[OWNER].usdt == earlier.order.amount


async def test_an_earlier_window_goes_on_where_it_stood(store: MongoPayoutStore) -> None:
    window = a_window(maximum=100)
    entry = {"id": "before", "amount": 60, "at": LONG_AGO}
    await store._windows.insert_one({"_id": window.window_id, "used": 60, "entries": [entry]})
    assert await store.used([window.window_id]) == {window.window_id: Used(60, 0)}
    assert list(await store.reserve([window], "a", 41)) == [window]
    assert list(await store.reserve([window], "b", 40)) == []
    assert await store.used([window.window_id]) == {window.window_id: Used(100, 1)}
    await store.release([window.window_id], "before")
    assert (await store.used([window.window_id]))[window.window_id].amount == 40
