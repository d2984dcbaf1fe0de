"""The state of the chain at some block, as a mapping from keys to immutable values.

The head's state is one flat dict; a block, a pending pool or a transaction works on an overlay of
it; the solid state is the head's seen through the undo records of the blocks above solid. So every
view costs what differs, not what is there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from devnet.permissions import Permission, default_active, default_owner

Key = tuple[str | bytes, ...]
"""A kind, and the addresses that it is about."""

DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Usage:
    """A resource that is used up and recovers linearly within a day."""

    used: int = 0
    at: int = 0

    def now(self, moment: int) -> int:
        """Units still used at a moment of chain time (milliseconds)."""
        elapsed = moment - self.at
        return 0 if elapsed >= DAY_MS else self.used * (DAY_MS - max(elapsed, 0)) // DAY_MS

    def add(self, units: int, moment: int) -> "Usage":
        """The usage after taking more."""
        return Usage(self.now(moment) + units, moment)


@dataclass(frozen=True, slots=True)
class Account:
    """One activated account. Balance in sun; limits in bytes and units of energy a day."""

    created: int
    balance: int = 0
    free_net: Usage = Usage()
    net: Usage = Usage()
    net_limit: int = 0
    energy: Usage = Usage()
    energy_limit: int = 0
    owner: Permission | None = None
    actives: tuple[Permission, ...] | None = None

    def owner_permission(self, address: bytes) -> Permission:
        """The owner permission, which is the account's own key unless it was changed."""
        return self.owner or default_owner(address)

    def active_permissions(self, address: bytes) -> tuple[Permission, ...]:
        """The active permissions, by default one with the account's own key."""
        return self.actives if self.actives is not None else (default_active(address),)

    def credited(self, sun: int) -> "Account":
        """The account with so many sun more (or less)."""
        return replace(self, balance=self.balance + sun)


class Reader(Protocol):
    """Anything that state can be read from."""

    def read(self, key: Key) -> Any:
        """The value of a key, or None."""


def account_of(state: Reader, address: bytes) -> Account | None:
    """The account at an address, or None where it was never activated."""
    found: Account | None = state.read(("account", address))
    return found


class HeadState:
    """The state after the head block."""

    def __init__(self) -> None:
        """Start empty."""
        self._values: dict[Key, Any] = {}

    def read(self, key: Key) -> Any:
        """The value of a key, or None."""
        return self._values.get(key)

    def apply(self, changes: Mapping[Key, Any]) -> dict[Key, Any]:
        """Write changes and return what undoes them."""
        undo = {key: self._values.get(key) for key in changes}
        self._values.update(changes)
        return undo

    def amend(
        self, key: Key, change: Callable[[Any], Any], undos: Sequence[dict[Key, Any]]
    ) -> None:
        """Change a key in the head and in every older version that the undo records hold, as if it
        had always been so.
        """
        self._values[key] = change(self._values.get(key))
        for undo in undos:
            if key in undo:
                undo[key] = change(undo[key])


class Session:
    """A discardable overlay over another state."""

    def __init__(self, below: Reader) -> None:
        """Open over `below`, which is not changed before a commit."""
        self._below = below
        self.changes: dict[Key, Any] = {}

    def read(self, key: Key) -> Any:
        """The value of a key, or None."""
        return self.changes[key] if key in self.changes else self._below.read(key)

    def write(self, key: Key, value: Any) -> None:
        """Set a key in this overlay."""
        self.changes[key] = value

    def merge(self, above: "Session") -> None:
        """Take over the changes of an overlay of this one."""
        self.changes.update(above.changes)


class Rewound:
    """The state before some newest blocks."""

    def __init__(self, head: Reader, undos: Sequence[Mapping[Key, Any]]) -> None:
        """`undos` are the records of the blocks to look behind, oldest first."""
        self._head = head
        self._undos = undos

    def read(self, key: Key) -> Any:
        """The value of a key, or None."""
        for undo in self._undos:
            if key in undo:
                return undo[key]
        return self._head.read(key)
