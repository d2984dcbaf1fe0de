"""The breaker around MongoDB: outages open it, refusals don't, and callers hear at once."""

import pytest

from adapters.mongo.breaker import mongo_breaker
from adapters.mongo.client import majority_database, open_client
from adapters.mongo.store import MongoPayoutStore
from ports.store import KeyTakenError, StoreError
from tests.databases import fresh_database
from tests.factories import a_payout
from utils.circuit_breaker import BreakerPolicy, BreakerState

POLICY = BreakerPolicy(failure_threshold=2, recovery_seconds=3600)


async def test_an_outage_opens_it_and_then_no_call_is_tried() -> None:
    seen: list[BreakerState] = []
    client = open_client("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50", timeout_seconds=0.2)
    breaker = mongo_breaker(POLICY, lambda _, state: seen.append(state))
    store = MongoPayoutStore(majority_database(client, "none"), breaker)
    for _ in range(POLICY.failure_threshold):
        with pytest.raises(StoreError, match="did not confirm"):
            await store.cursor()
    with pytest.raises(StoreError, match="mongodb keeps failing"):
        await store.cursor()
    assert seen == [BreakerState.OPEN]
    client.close()


async def test_what_the_server_refuses_is_no_outage(mongodb_url: str) -> None:
    breaker = mongo_breaker(POLICY)
    async with fresh_database(mongodb_url) as database:
        store = MongoPayoutStore(database, breaker)
        await store.prepare()
        await store.insert(a_payout(idempotency_key="taken"))
        for _ in range(POLICY.failure_threshold + 1):
            with pytest.raises(KeyTakenError):
                await store.insert(a_payout(idempotency_key="taken"))
    assert breaker.state is BreakerState.CLOSED
