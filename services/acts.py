"""Privileged acts: each is kept for the audit log before it is done."""

from collections.abc import Callable

from models.audit import ACT_PREFIX, Record
from models.caller import Caller
from models.errors import Reason
from ports.audit import AuditLog


class Acts:
    """Notes who is about to do what. An act that then fails, or is refused, stays noted."""

    def __init__(self, log: AuditLog, new_token: Callable[[], str]) -> None:
        """`new_token` gives a text that nobody else gets."""
        self._log = log
        self._new_token = new_token

    async def note(
        self,
        caller: Caller,
        action: str,
        subject: str,
        *,
        reason: str | None = None,
        before: str | None = None,
        after: str | None = None,
    ) -> None:
        """Keep an act, durably. Raises StoreError: then it must not be done.

        `action` is the permission that it takes, `subject` what it is done to (a gate, a txid, a
        token); `before` and `after` are the states that it leads from and to, as short text.
        """
        await self._log.note_act(
            Record(
                source=f"{ACT_PREFIX}{self._new_token()}",
                n=0,
                at=await self._log.now(),
                action=action,
                subject=subject,
                by=caller.name,
                tenant=caller.tenant,
                request_id=caller.request_id,
                before=before,
                after=after,
                why=None if reason is None else Reason(None, reason),
            )
        )
