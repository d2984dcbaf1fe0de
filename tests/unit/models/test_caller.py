"""What a caller may do, and whose payouts that reaches."""

from dataclasses import replace

import pytest

from models.caller import Caller
from models.errors import PayoutError
from models.payout import Payout
from models.permission import Reach
from tests.factories import a_payout, an_order

MINE = a_payout(client="me")
OF_NODE = a_payout(client="other", order=an_order(node_id="node-1"))
OF_OTHER_NODE = a_payout(client="other", order=an_order(node_id="node-2"))
OF_NOBODY = a_payout(client="other")
AT_HOME = (MINE, OF_NODE, OF_OTHER_NODE, OF_NOBODY)
ABROAD = tuple(replace(payout, tenant="abroad") for payout in AT_HOME)
"""The same subjects and nodes, of another tenant."""


def caller(reach: Reach, node_id: str | None = None, tenant: str | None = None) -> Caller:
    grants = {"payout:view": reach, "gate:open": Reach.ALL}
    return Caller("me", "USER", grants, tenant=tenant, node_id=node_id)


REACHED = [
    (caller(Reach.OWN), [MINE]),
    (caller(Reach.OWN, "node-1"), [MINE]),
    (caller(Reach.NODE, "node-1"), [MINE, OF_NODE]),
    (caller(Reach.NODE), [MINE]),
    (caller(Reach.ALL), [*AT_HOME, *ABROAD]),
    (caller(Reach.OWN, tenant="abroad"), [ABROAD[0]]),
    (caller(Reach.NODE, "node-1", "abroad"), [ABROAD[0], ABROAD[1]]),
    (caller(Reach.ALL, tenant="abroad"), [*ABROAD]),
    (caller(Reach.ALL, tenant="elsewhere"), []),
]


@pytest.mark.parametrize(
    ("who", "reached"),
    REACHED,
    ids=[
        "own",
        "own of a node",
        "node",
        "node without an id",
        "all",
        "own of a tenant",
        "node of a tenant",
        "all of a tenant",
        "all of another tenant",
    ],
)
def test_whose_payouts_a_caller_reaches(who: Caller, reached: list[Payout]) -> None:
    everything = [*AT_HOME, *ABROAD]
    assert [payout for payout in everything if who.reaches(payout, "payout:view")] == reached


def test_what_is_not_granted_reaches_nothing() -> None:
    assert not caller(Reach.ALL).reaches(MINE, "payout:cancel")


def test_a_role_may_do_what_it_lists_and_nothing_else() -> None:
    who = caller(Reach.ALL)
    who.require("payout:view")
    who.require("gate:open")
    with pytest.raises(PayoutError) as refusal:
        who.require("payout:resolve")
    assert refusal.value.code == "P002"


def test_what_belongs_to_no_tenant_is_not_for_a_tenants_token() -> None:
    who = caller(Reach.ALL, tenant="abroad")
    who.require("payout:view")
    with pytest.raises(PayoutError) as refusal:
        who.require("gate:open")
    assert refusal.value.code == "P002"


@pytest.mark.parametrize(
    ("who", "node_id", "allowed"),
    [
        (caller(Reach.OWN, "node-1"), None, True),
        (caller(Reach.OWN, "node-1"), "node-1", True),
        (caller(Reach.OWN, "node-1"), "node-2", False),
        (caller(Reach.NODE, "node-1"), "node-2", False),
        (caller(Reach.OWN), "node-1", False),
        (caller(Reach.ALL), "node-1", True),
    ],
)
def test_a_token_speaks_for_its_own_node(who: Caller, node_id: str | None, allowed: bool) -> None:
    if allowed:
        who.require_node(node_id, "payout:view")
        return
    with pytest.raises(PayoutError) as refusal:
        who.require_node(node_id, "payout:view")
    assert (refusal.value.code, refusal.value.field) == ("P002", "node_id")


def test_history_names_role_tenant_and_subject() -> None:
    assert caller(Reach.OWN).name == "USER:me"
    assert caller(Reach.OWN, tenant="abroad").name == "USER:abroad/me"
