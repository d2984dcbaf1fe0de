"""Revocations: which tokens no longer count, though they are signed and have not expired."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from models.caller import Caller

NEVER: Final = 0
ALWAYS: Final = 2**53
"""The largest whole number that a double holds: what Redis's Lua compares numbers as."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Target:
    """What is revoked: the token with a jti, or the tokens of a subject issued before a time.

    Either `token_id`, or `subject` with `before`; `tenant` None is the subject of tokens without
    a tenant.
    """

    token_id: str | None = None
    subject: str | None = None
    tenant: str | None = None
    before: datetime | None = None

    @property
    def key(self) -> str:
        """The natural key of a revocation: one for each token, and for each subject of a tenant."""
        if self.token_id is not None:
            return f"token:{self.token_id}"
        return f"subject:{self.tenant or ''}:{self.subject}"

    @property
    def cutoff_ms(self) -> int:
        """Tokens issued earlier than this (ms since 1970) do not count."""
        if self.before is None:
            return ALWAYS
        return (self.before - _EPOCH) // timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Revocation:
    """What was revoked, by whom, when (database clock) and why."""

    target: Target
    revoked_by: str
    revoked_at: datetime
    reason: str


def targets_of(caller: Caller) -> tuple[Target, ...]:
    """What could have been revoked so that the caller's token does not count."""
    subject = Target(subject=caller.subject, tenant=caller.tenant)
    return (subject,) if caller.token_id is None else (subject, Target(caller.token_id))
