"""Permissions: what may be done (`payout:create`), and how far that reaches (`own`).

In the policy file a permission is `noun:action:reach`; `*` stands for every noun or action.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Reach(StrEnum):
    """Whose objects: the caller's own, those of the token's node as well, or all of the tenant's.

    A token without a tenant reaches, with `all`, those of every tenant.
    """

    OWN = "own"
    NODE = "node"
    ALL = "all"


ACTIONS: Final[Mapping[str, frozenset[str]]] = {
    "payout": frozenset(
        {
            *("create", "quote", "list", "view", "stats", "cancel", "resolve"),
            *("urgent", "approve", "reject", "release", "route"),
        }
    ),
    "batch": frozenset({"create", "view"}),
    "route": frozenset({"view"}),
    "limit": frozenset({"view"}),
    "compliance": frozenset({"view", "edit"}),
    "unexplained": frozenset({"view", "explain"}),
    "gate": frozenset({"view", "open"}),
    "system": frozenset({"view", "pause"}),
    "token": frozenset({"view", "revoke"}),
    "audit": frozenset({"view"}),
}
"""Every noun and what can be done to it. Objects that belong to nobody are reached by `all`."""

OWNED: Final = frozenset({"payout", "batch", "limit"})
"""Nouns whose objects belong to somebody, so that `own` and `node` mean something."""

_WIDTH: Final = tuple(Reach)


@dataclass(frozen=True, slots=True)
class Permission:
    """One line of a role: some actions and how far they reach."""

    actions: frozenset[str]
    reach: Reach


def parse_permission(text: str) -> Permission:
    """The permission of `noun:action:reach`. Raises ValueError, with what is taken."""
    parts = text.split(":")
    noun, action, reach = parts if len(parts) == 3 else ("", "", "")
    actions = frozenset(
        f"{each}:{name}"
        for each, names in ACTIONS.items()
        for name in names
        if noun in (each, "*") and action in (name, "*")
    )
    if not actions or reach not in tuple(Reach):
        raise ValueError(
            "noun:action:reach such as payout:create:own, * for every noun or action; the nouns "
            f"are {', '.join(ACTIONS)}, the reaches {', '.join(Reach)}"
        )
    if reach != Reach.ALL and not all(each.partition(":")[0] in OWNED for each in actions):
        raise ValueError(f"the reach all, as only {', '.join(OWNED)} belongs to somebody")
    return Permission(actions, Reach(reach))


def grants_of(permissions: Iterable[Permission]) -> Mapping[str, Reach]:
    """How far each permitted action reaches: of several permissions the widest."""
    widest: dict[str, Reach] = {}
    for permission in permissions:
        for action in permission.actions:
            known = widest.get(action, permission.reach)
            widest[action] = max(known, permission.reach, key=_WIDTH.index)
    return widest
