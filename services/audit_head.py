"""The log's head, told to the outside: who rewrites the log in the database cannot unsay it."""

import structlog

from ports.audit import AuditLog
from ports.observer import Observer

log = structlog.get_logger(__name__)

QUIET_ROUNDS = 10
"""A head that stays the same is logged once in so many rounds."""

FINGERPRINT_DIGITS = 12
"""Hex digits of the hash that a metric's value, a 64-bit float, holds exactly."""


class HeadPublisher:
    """Publishes, on every replica, where the log ends and how much waits for it."""

    def __init__(self, audit: AuditLog, observer: Observer) -> None:
        self._audit = audit
        self._observer = observer
        self._rounds = 0
        self._hash = ""

    async def run(self) -> None:
        """One round: the metrics always, a log line where the head is new or was long ago.

        Raises StoreError.
        """
        head = await self._audit.audit_head()
        waiting = await self._audit.count_unlogged()
        fingerprint = int(head.hash[:FINGERPRINT_DIGITS], 16)
        self._observer.gauge("payout_audit_head_number", head.number)
        self._observer.gauge("payout_audit_head_fingerprint", fingerprint)
        self._observer.gauge("payout_audit_waiting", waiting)
        if head.hash != self._hash or self._rounds % QUIET_ROUNDS == 0:
            log.info("audit head", number=head.number, hash=head.hash, waiting=waiting)
            self._rounds, self._hash = 0, head.hash
        self._rounds += 1
