"""The store of a world: the memory twin, which notes what breaks a rule at one call and could not
be seen of what it leaves behind."""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from copy import deepcopy
from datetime import datetime

from adapters.memory.store import MemoryPayoutStore
from models.chain import Cursor, Hit
from models.payout import Change
from ports.store import Claim, Standing
from services.gate import WALLET_GATE

asking: ContextVar[str] = ContextVar("asking", default="")
"""The name of the host whose call this is."""


class WatchedStore(MemoryPayoutStore):
    """`breach` says which rule was broken first; empty as long as none was.

    - An attempt is recorded under a claim only if the look at the gates before that claim showed
      none closed: no broken link, no unexplained transfer.
    - The cursor goes back only to begin anew after a broken link.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        """`now` is the store's clock, UTC."""
        super().__init__(now)
        self.breach = ""
        self.began_at: int | None = None
        """The block where reading began: what was before it is not looked for."""
        self._looks: dict[str, str] = {}
        self._claims: dict[str, str] = {}

    def copy(self) -> "WatchedStore":
        """A backup as of now, with the same clock."""
        return deepcopy(self, {id(self._now): self._now})

    async def standing(self) -> Standing:
        """What a replica is told of the gates; kept for its next claim."""
        standing = await super().standing()
        self._looks[asking.get()] = _closed(standing)
        return standing

    async def claim(self, limit: int, owner: str, token: str, lease_seconds: float) -> Claim:
        """A claim rests on the look before it."""
        self._claims[token] = self._looks.get(asking.get(), "nobody had looked")
        return await super().claim(limit, owner, token, lease_seconds)

    async def apply(self, changes: Sequence[Change]) -> int:
        """A record rests on its claim."""
        for change in changes:
            token = change.guard.lease_token
            if change.record is not None and token is not None and self._claims[token]:
                self._breached(f"{change.record.txid} was recorded while {self._claims[token]}")
        return await super().apply(changes)

    async def move_cursor(self, expected: Cursor | None, new: Cursor, hits: Sequence[Hit]) -> bool:
        """The cursor goes on, or back for a reason."""
        before = self._cursor
        moved = await super().move_cursor(expected, new, hits)
        if before is None and self._cursor is not None:
            self.began_at = self._cursor.block.number
        if before is not None and self._cursor is not before:
            if before != expected:
                self._breached(f"the cursor was taken from {before} by one who saw {expected}")
            if new.block.number < before.block.number and not new.broken:
                self._breached(f"the cursor went back from {before} to {new}")
        return moved

    def _breached(self, rule: str) -> None:
        self.breach = self.breach or rule


def _closed(standing: Standing) -> str:
    """Why dispatch must stand still, by what a look showed; empty if it need not."""
    if standing.cursor is None or standing.cursor.broken:
        return "the chain was in doubt"
    if standing.open_unexplained:
        return "a transfer was unexplained"
    shut = [gate.name for gate in standing.gates if not gate.name.startswith(WALLET_GATE)]
    return f"{shut[0]} was closed" if shut else ""
