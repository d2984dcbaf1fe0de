"""The audit log's storage: two outboxes of records, and the log that only the sequencer writes.

The outboxes are those of the payouts (written with every transition) and that of the acts. The log
is numbered from 1 without gaps; old entries are moved into an archive, and every read spans both.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from models.audit import Entry, Head, Record, Story
from ports.store import StoreError


class UnreadableEntryError(StoreError):
    """An entry of the log is not as the service writes it; `number` says which."""

    def __init__(self, number: int) -> None:
        super().__init__(f"entry {number} of the audit log is not as the service writes it")
        self.number = number


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Filters of a list of entries, all of which must hold. `at_from` ≤ at < `at_to`.

    Newest first; `before` is the number at which the page before ended.
    """

    subject: str | None = None
    action: str | None = None
    by: str | None = None
    request_id: str | None = None
    at_from: datetime | None = None
    at_to: datetime | None = None
    before: int | None = None


class AuditLog(Protocol):
    """Every write is journaled by a majority, every read is a majority read. All of them raise
    StoreError, and what reads entries UnreadableEntryError."""

    async def now(self) -> datetime:
        """The store's clock, UTC."""

    # outboxes
    async def note_act(self, act: Record) -> None:
        """Keep a privileged act for the log. Idempotent by source."""

    async def unlogged(self, limit: int) -> Sequence[Record]:
        """The records of up to `limit` acts, by time, and then of up to `limit` payouts, each of
        which has its own in order. What cannot be read is left out."""

    async def count_unlogged(self) -> int:
        """Acts, and payouts with events, that are not known to be in the log."""

    async def forget_logged(self, records: Sequence[Record]) -> None:
        """Take records out of their outboxes. Idempotent; changes no payout's version."""

    # the log
    async def audit_head(self) -> Head:
        """Where the log ends; GENESIS while it is empty."""

    async def append_entries(self, entries: Sequence[Entry]) -> bool:
        """Add entries in order, the first ones at least, until one is refused.

        False when one was: its number, or its source and n, is in the log already.
        """

    async def logged(self, sources: Collection[str]) -> Collection[tuple[str, int]]:
        """(source, n) of every entry of these sources."""

    async def archive_entries(self, older_than_seconds: float, limit: int) -> int:
        """Move up to `limit` of the first entries to the archive, as far as all of them are that
        old; never the last one of the log. How many. Idempotent; an entry is in the archive before
        it leaves the log. Raises StoreError where the archive has another entry of that number.
        """

    # reading
    async def audit_entry(self, number: int) -> Entry | None:
        """One entry."""

    async def list_entries(self, query: AuditQuery, limit: int) -> Sequence[Entry]:
        """A page of entries, newest first."""

    async def entries_after(self, number: int, limit: int) -> Sequence[Entry]:
        """Up to `limit` entries that follow a number, oldest first."""

    async def stories(self, payout_ids: Collection[str]) -> Mapping[str, Story]:
        """What payouts say of their past, by id; none of those that are gone or unreadable."""
