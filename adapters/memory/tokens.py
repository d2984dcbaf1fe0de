"""Revoked tokens in a dictionary."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from models.token import NEVER, Revocation, Target


class MemoryRevocations:
    """ports.tokens.Revocations."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """`now` is the store's clock, UTC."""
        self._now = now
        self._revocations: dict[str, Revocation] = {}

    async def revoke(self, target: Target, by: str, reason: str) -> Revocation:
        known = self._revocations.get(target.key)
        if known is None or known.target.cutoff_ms < target.cutoff_ms:
            self._revocations[target.key] = Revocation(target, by, self._now(), reason)
        return self._revocations[target.key]

    async def cutoffs(self, keys: Collection[str]) -> Mapping[str, int]:
        found = {key: self._revocations.get(key) for key in keys}
        return {key: one.target.cutoff_ms if one else NEVER for key, one in found.items()}

    async def revocations(self, after: str | None, limit: int) -> Sequence[Revocation]:
        keys = sorted(key for key in self._revocations if after is None or key > after)
        return [self._revocations[key] for key in keys[:limit]]
