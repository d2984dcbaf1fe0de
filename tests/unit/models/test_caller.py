"""What a caller may do and see."""

import pytest

from models.caller import Caller
from models.errors import PayoutError
from models.payout import Payout
from tests.factories import a_payout, an_order

MINE = a_payout(client="me")
OF_NODE = a_payout(client="other", order=an_order(node_id="node-1"))
OF_OTHER_NODE = a_payout(client="other", order=an_order(node_id="node-2"))
OF_NOBODY = a_payout(client="other")


def caller(scope: str, node_id: str | None = None) -> Caller:
    return Caller(subject="me", role="USER", scope=scope, may=frozenset({"view"}), node_id=node_id)


@pytest.mark.parametrize(
    ("who", "visible"),
    [
        (caller("own"), [MINE]),
        (caller("own", "node-1"), [MINE]),
        (caller("node", "node-1"), [MINE, OF_NODE]),
        (caller("node"), [MINE]),
        (caller("all"), [MINE, OF_NODE, OF_OTHER_NODE, OF_NOBODY]),
        (caller("anything else", "node-1"), [MINE]),
    ],
    ids=["own", "own of a node", "node", "node without an id", "all", "unknown scope"],
)
def test_whose_payouts_a_caller_sees(who: Caller, visible: list[Payout]) -> None:
    everything = [MINE, OF_NODE, OF_OTHER_NODE, OF_NOBODY]
    assert [payout for payout in everything if who.sees(payout)] == visible


def test_a_role_may_do_what_it_lists_and_nothing_else() -> None:
    who = caller("all")
    who.require("view")
    with pytest.raises(PayoutError) as refusal:
        who.require("resolve")
    assert refusal.value.code == "P002"


def test_history_names_role_and_subject() -> None:
    assert caller("own").name == "USER:me"
