"""Tenants and nodes at the façade: nobody reaches over the wall."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from models.caller import Caller
from models.errors import PayoutError
from models.payout import Payout, Resolution
from models.permission import Reach, grants_of, parse_permission
from ports.store import PayoutQuery
from tests.harness import EVERYTHING
from tests.unit.services.desk import Desk, a_desk

TENANTS = (None, "north", "south")


def caller(tenant: str | None, reach: Reach = Reach.ALL, subject: str = "shop") -> Caller:
    grants = grants_of([parse_permission(f"payout:*:{reach}")])
    return Caller(subject, "SERVICE", grants, tenant=tenant, node_id="n")


async def of_every_tenant(desk: Desk) -> dict[str | None, Payout]:
    return {tenant: (await desk.create(caller(tenant), node_id="n")).payout for tenant in TENANTS}


CALLS: dict[str, Callable[[Desk, Caller, str], Any]] = {
    "get": lambda desk, who, payout_id: desk.router.get(who, payout_id),
    "cancel": lambda desk, who, payout_id: desk.router.cancel(who, payout_id, None),
    "resolve": lambda desk, who, payout_id: desk.router.resolve(
        who, payout_id, Resolution.FAIL, "x"
    ),
}


@pytest.mark.parametrize(("reach", "tenant"), list(product(Reach, TENANTS)))
async def test_a_payout_of_another_tenant_does_not_exist(reach: Reach, tenant: str | None) -> None:
    desk = a_desk()
    payouts, who = await of_every_tenant(desk), caller(tenant, reach)
    reached = TENANTS if tenant is None and reach is Reach.ALL else (tenant,)
    for other, payout in payouts.items():
        if other in reached:
            assert await desk.router.get(who, payout.payout_id) == payout
            continue
        for call in CALLS.values():
            with pytest.raises(PayoutError) as refusal:
                await call(desk, who, payout.payout_id)
            assert refusal.value.code == "P501"
        assert await desk.memory.get(payout.payout_id) == payout
    expected = {payouts[each].payout_id for each in reached}
    for query in (PayoutQuery(), PayoutQuery(node_id="n")):
        assert {one.payout_id for one in await desk.router.list(who, query, 10)} == expected
    assert sum(total.count for total in await desk.router.stats(who)) == len(expected)


async def test_a_payout_carries_the_tenant_of_its_token() -> None:
    desk = a_desk()
    for tenant, payout in (await of_every_tenant(desk)).items():
        assert payout.tenant == tenant
        (event,) = payout.history
        assert event.by == ("SERVICE:shop" if tenant is None else f"SERVICE:{tenant}/shop")


async def test_an_idempotency_key_is_a_tenants() -> None:
    desk = a_desk()
    made = {t: await desk.create(caller(t), key="key", body=str(t)) for t in TENANTS}
    assert len({created.payout.payout_id for created in made.values()}) == 3
    for tenant, first in made.items():
        again = await desk.create(caller(tenant), key="key", body=str(tenant))
        assert (again.replayed, again.payout) == (True, first.payout)
        with pytest.raises(PayoutError) as refusal:
            await desk.create(caller(tenant), key="key", body="another")
        assert refusal.value.code == "P005"


async def test_what_belongs_to_no_tenant_is_for_nobody_of_one() -> None:
    desk = a_desk()
    who = replace(caller("north"), grants=EVERYTHING)
    for call in (
        desk.router.unexplained(who, only_open=True, limit=1),
        desk.router.explain(who, "x", None, "x"),
    ):
        with pytest.raises(PayoutError) as refusal:
            await call
        assert refusal.value.code == "P002"


async def test_a_token_of_a_node_pays_for_no_other() -> None:
    desk = a_desk()
    for reach in (Reach.OWN, Reach.NODE):
        who = caller("north", reach)
        assert (await desk.create(who, node_id="n")).payout.order.node_id == "n"
        assert (await desk.create(who)).payout.order.node_id is None
        with pytest.raises(PayoutError) as refusal:
            await desk.create(who, node_id="other")
        assert (refusal.value.code, refusal.value.field) == ("P002", "node_id")
    assert (await desk.create(caller("north"), node_id="other")).payout.order.node_id == "other"
