"""Revoked tokens."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from models.token import Revocation, Target


class Revocations(Protocol):
    """What was revoked. Nothing is ever taken back or forgotten; all raise StoreError."""

    async def revoke(self, target: Target, by: str, reason: str) -> Revocation:
        """Keep a revocation, journaled by a majority, and return the one that then holds.

        Of a subject that is the one with the latest `before`, of a token the first one.
        """

    async def cutoffs(self, keys: Collection[str]) -> Mapping[str, int]:
        """For each key the time (ms since 1970) before which a token must have been issued not to
        count: NEVER where nothing was revoked, ALWAYS for a token."""

    async def revocations(self, after: str | None, limit: int) -> Sequence[Revocation]:
        """A page of revocations in the order of their keys, beyond the key `after`."""
