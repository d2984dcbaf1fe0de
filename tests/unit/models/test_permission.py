"""Lines of the policy file, and what a role may do by several of them."""

from itertools import permutations

import pytest

from models.permission import ACTIONS, OWNED, Permission, Reach, grants_of, parse_permission

EVERY_ACTION = frozenset(f"{noun}:{name}" for noun, names in ACTIONS.items() for name in names)


@pytest.mark.parametrize(
    ("text", "permission"),
    [
        ("payout:create:own", Permission(frozenset({"payout:create"}), Reach.OWN)),
        ("payout:view:node", Permission(frozenset({"payout:view"}), Reach.NODE)),
        ("gate:*:all", Permission(frozenset({"gate:view", "gate:open"}), Reach.ALL)),
        ("*:*:all", Permission(EVERY_ACTION, Reach.ALL)),
        (
            "*:view:all",
            Permission(frozenset(a for a in EVERY_ACTION if a.endswith(":view")), Reach.ALL),
        ),
    ],
)
def test_what_a_line_permits(text: str, permission: Permission) -> None:
    assert parse_permission(text) == permission


@pytest.mark.parametrize(
    "text",
    [
        "",
        "payout",
        "payout:create",
        "payout:create:own:own",
        "payout:steal:own",
        "money:create:own",
        "payout:create:everything",
        "payout:create:*",
        "payout:create:",
        "payout::own",
        ":create:own",
        "Payout:create:own",
        " payout:create:own",
    ],
)
def test_what_is_no_line(text: str) -> None:
    with pytest.raises(ValueError, match="noun:action:reach"):
        parse_permission(text)


@pytest.mark.parametrize("text", ["gate:open:own", "*:*:own", "*:view:node", "audit:view:node"])
def test_what_belongs_to_nobody_is_reached_by_all_only(text: str) -> None:
    with pytest.raises(ValueError, match="the reach all"):
        parse_permission(text)


def test_the_widest_reach_counts_in_any_order() -> None:
    lines = [parse_permission(f"payout:view:{reach}") for reach in Reach]
    for order in permutations(lines):
        assert grants_of(order) == {"payout:view": Reach.ALL}
    assert grants_of(lines[:2]) == {"payout:view": Reach.NODE}
    assert grants_of([]) == {}


def test_what_belongs_to_somebody_is_a_noun() -> None:
    assert set(ACTIONS) >= OWNED
