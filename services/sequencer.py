"""The sequencer: copies what happened from the outboxes into the audit log, each record once.

The log's unique keys are the fence: of two sequencers that number the same entry, or log the same
record, one is refused and looks again. So any number of them may run, and each may stop anywhere:
what was appended and not yet taken out of its outbox is found in the log and left out.
"""

from collections.abc import Sequence

from models.audit import Head, Record, linked
from ports.audit import AuditLog

ARCHIVE_GROUP = 500


class Sequencer:
    """The only one who writes to the log."""

    def __init__(self, audit: AuditLog, group_size: int, retention_seconds: float) -> None:
        self._audit = audit
        self._group_size = group_size
        self._retention_seconds = retention_seconds
        self._head: Head | None = None

    async def run(self) -> bool:
        """Log one group; True if there may be more. Raises StoreError."""
        # Known only after a turn that went well. Then what waits is not in the log, or else
        # somebody appended to it since, which the fence tells.
        known, self._head = self._head, None
        records = (await self._audit.unlogged(self._group_size))[: self._group_size]
        if not records:
            self._head = known
            return False
        fresh = records if known else await self._without_logged(records)
        head = known or await self._audit.audit_head()
        entries = linked(head, fresh)
        if entries and not await self._audit.append_entries(entries):
            return True
        await self._audit.forget_logged(records)
        self._head = entries[-1].head if entries else head
        return len(records) == self._group_size

    async def archive(self) -> bool:
        """Move entries that are old enough to the archive; True if there may be more.

        Raises StoreError.
        """
        moved = await self._audit.archive_entries(self._retention_seconds, ARCHIVE_GROUP)
        return moved == ARCHIVE_GROUP

    async def _without_logged(self, records: Sequence[Record]) -> Sequence[Record]:
        logged = await self._audit.logged({record.source for record in records})
        return [record for record in records if record.key not in logged]
