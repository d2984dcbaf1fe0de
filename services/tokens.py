"""Revoking tokens, and whether a caller's token was revoked."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from models.caller import Caller
from models.errors import PayoutError
from models.token import ALWAYS, NEVER, Revocation, Target, targets_of
from ports.tokens import Revocations
from services.acts import Acts

MAX_AHEAD_SECONDS: Final = 300
"""How far in the future `before` may be: as far as the clock of an issuer may be ahead. A slip of
the year would lock a subject out for good, as no revocation is taken back."""


class Tokens:
    """Which tokens no longer count."""

    def __init__(
        self, revocations: Revocations, acts: Acts, now: Callable[[], Awaitable[datetime]]
    ) -> None:
        """`now` is the store's clock."""
        self._revocations = revocations
        self._acts = acts
        self._now = now

    async def check(self, caller: Caller) -> None:
        """Raise PayoutError P001 where the caller's token was revoked; StoreError where nobody
        can tell."""
        cutoffs = await self._revocations.cutoffs([one.key for one in targets_of(caller)])
        if caller.issued_at * 1000 < max(cutoffs.values()):
            raise PayoutError("P001", "the token has been revoked")

    async def revoke(self, caller: Caller, target: Target, reason: str) -> Revocation:
        """Revoke for good, and return the revocation that then holds: for a subject the one that
        reaches furthest. Without `before`, a subject's tokens until now are meant.

        Raises PayoutError P002, P003 (`before` in the future), StoreError.
        """
        caller.require("token:revoke")
        if target.token_id is None:
            target = await self._until_now(target)
        standing = (await self._revocations.cutoffs([target.key]))[target.key]
        await self._acts.note(
            caller,
            "token:revoke",
            target.key,
            reason=reason,
            before=_shown(standing),
            after=_shown(target.cutoff_ms),
        )
        return await self._revocations.revoke(target, caller.name, reason)

    async def revocations(
        self, caller: Caller, after: str | None, limit: int
    ) -> Sequence[Revocation]:
        """A page of revocations, in the order of their keys, beyond the key `after`."""
        caller.require("token:view")
        return await self._revocations.revocations(after, limit)

    async def _until_now(self, target: Target) -> Target:
        now = await self._now()
        before = target.before or now
        if before > now + timedelta(seconds=MAX_AHEAD_SECONDS):
            text = f"must be at most {MAX_AHEAD_SECONDS} seconds in the future"
            raise PayoutError("P003", text, field="before")
        return replace(target, before=before)


def _shown(cutoff_ms: int) -> str:
    """A cut-off as the audit log shows it."""
    if cutoff_ms in (NEVER, ALWAYS):
        return "valid" if cutoff_ms == NEVER else "revoked"
    return f"revoked if issued before {datetime.fromtimestamp(cutoff_ms / 1000, UTC).isoformat()}"
