"""A tenant is a wall: what carries another tenant is not there, whoever looks and by whatever."""

import asyncio
from itertools import product

import pytest

from models.payout import Payout, PayoutStatus
from ports.store import KeyTakenError, PayoutQuery, PayoutStore, Scope
from tests.contract.steps import inserted
from tests.factories import a_payout, an_order

TENANTS = (None, "north", "south")
CLIENTS = ("client-1", "client-2")
NODES = (None, "node-1")


async def everybodys(store: PayoutStore) -> list[Payout]:
    """A payout of every client of every tenant, of a node and of none."""
    return [
        await inserted(store, tenant=tenant, client=client, order=an_order(node_id=node))
        for tenant, client, node in product(TENANTS, CLIENTS, NODES)
    ]


SCOPES = {
    "everything": Scope(),
    "one client anywhere": Scope(client="client-1"),
    "without a tenant": Scope(any_tenant=False),
    "a tenant": Scope(tenant="north", any_tenant=False),
    "a client without a tenant": Scope(client="client-1", any_tenant=False),
    "a client of a tenant": Scope(client="client-1", tenant="north", any_tenant=False),
    "a node of a tenant": Scope(node_id="node-1", tenant="north", any_tenant=False),
    "a client or node of a tenant": Scope("client-2", "node-1", "south", any_tenant=False),
    "a tenant that is not there": Scope(tenant="west", any_tenant=False),
}
FOUND = {
    "everything": 12,
    "one client anywhere": 6,
    "without a tenant": 4,
    "a tenant": 4,
    "a client without a tenant": 2,
    "a client of a tenant": 2,
    "a node of a tenant": 2,
    "a client or node of a tenant": 3,
    "a tenant that is not there": 0,
}


def is_in(scope: Scope, payout: Payout) -> bool:
    """What a scope means, said once more."""
    if not scope.any_tenant and payout.tenant != scope.tenant:
        return False
    wanted = {scope.client, scope.node_id} - {None}
    return not wanted or bool(wanted & {payout.client, payout.order.node_id})


@pytest.mark.parametrize("name", SCOPES)
async def test_a_scope_shows_its_own(store: PayoutStore, name: str) -> None:
    payouts, scope = await everybodys(store), SCOPES[name]
    expected = [payout for payout in reversed(payouts) if is_in(scope, payout)]
    assert len(expected) == FOUND[name]
    assert await store.list(PayoutQuery(scope=scope), 20) == expected
    totals = await store.totals(scope)
    assert sum(total.count for total in totals) == len(expected)
    assert sum(total.amount for total in totals) == sum(one.order.amount for one in expected)


async def test_no_filter_looks_over_the_wall(store: PayoutStore) -> None:
    order = an_order(node_id="node-1", session_id="s", reference="r")
    payout = await inserted(
        store, tenant="south", txids=("ab" * 32,), batch_id="batch_1", order=order
    )
    filters = (
        {"status": PayoutStatus.PENDING},
        {"recipient": order.recipient_address},
        {"txid": "ab" * 32},
        {"session_id": "s"},
        {"node_id": "node-1"},
        {"reference": "r"},
        {"batch_id": "batch_1"},
    )
    scopes = {
        Scope(tenant="north", any_tenant=False): [],
        Scope(any_tenant=False): [],
        Scope(tenant="south", any_tenant=False): [payout],
    }
    for wanted in filters:
        for scope, found in scopes.items():
            assert await store.list(PayoutQuery(scope=scope, **wanted), 10) == found


async def test_a_page_of_a_tenant_ends_where_the_next_begins(store: PayoutStore) -> None:
    payouts = [one for one in await everybodys(store) if one.tenant == "north"]
    scope, after, seen = Scope(tenant="north", any_tenant=False), None, []
    while page := await store.list(PayoutQuery(scope=scope, after=after), 3):
        seen += page
        after = page[-1].payout_id
    assert seen == payouts[::-1]


async def test_idempotency_keys_are_per_tenant(store: PayoutStore) -> None:
    payouts = [await inserted(store, tenant=t, idempotency_key="key") for t in TENANTS]
    found = [await store.find_by_key("client-1", "key", tenant) for tenant in TENANTS]
    assert found == payouts
    assert await store.find_by_key("client-1", "key", "west") is None
    for tenant in TENANTS:
        with pytest.raises(KeyTakenError):
            await store.insert(a_payout(tenant=tenant, idempotency_key="key"))


@pytest.mark.parametrize("tenant", TENANTS)
async def test_of_concurrent_inserts_of_a_tenant_one_wins(
    store: PayoutStore, tenant: str | None
) -> None:
    payouts = [a_payout(tenant=tenant, idempotency_key="key") for _ in range(20)]
    other = a_payout(tenant="west", idempotency_key="key")
    results = await asyncio.gather(*map(store.insert, [*payouts, other]), return_exceptions=True)
    assert results.pop() is None
    assert sum(result is None for result in results) == 1
    assert sum(isinstance(result, KeyTakenError) for result in results) == 19
