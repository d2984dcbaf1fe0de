"""Revoked tokens, remembered in Redis: what it answers spares a question to MongoDB."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from redis.asyncio import Redis

from adapters.redis.client import BestEffort
from models.token import ALWAYS, NEVER, Revocation, Target
from ports.tokens import Revocations

FOUND_SECONDS: Final = 3600
"""How long a revocation is remembered; then MongoDB is asked again, and it forgets none."""

NOT_FOUND_SECONDS: Final = 5
"""How long it is remembered that there was none: a revocation whose overwriting of this answer was
lost holds on every replica after so long."""

_DIGITS: Final = len(str(ALWAYS))

_RAISE: Final = """
for number, key in ipairs(KEYS) do
  local known = tonumber(redis.call('GET', key) or nil)
  if not known or known < tonumber(ARGV[2 * number - 1]) then
    redis.call('SET', key, ARGV[2 * number - 1], 'EX', ARGV[2 * number])
  end
end
"""
"""A later cut-off overwrites an earlier one and never the other way round: an answer that was on
its way while somebody revoked cannot bring the token back."""


class CachedRevocations:
    """ports.tokens.Revocations over another one. Without Redis that one is asked each time."""

    def __init__(
        self, kept: Revocations, client: Redis, prefix: str, calls: BestEffort | None = None
    ) -> None:
        self._kept = kept
        self._client = client
        self._prefix = prefix
        self._calls = calls or BestEffort()
        # A revocation takes its time, and tries even just after another call failed.
        self._telling = BestEffort(timeout_seconds=1.0, pause_seconds=0)
        self._raise = client.register_script(_RAISE)

    async def revoke(self, target: Target, by: str, reason: str) -> Revocation:
        revocation = await self._kept.revoke(target, by, reason)
        standing = revocation.target
        await self._tell({standing.key: standing.cutoff_ms}, self._telling)
        return revocation

    async def cutoffs(self, keys: Collection[str]) -> Mapping[str, int]:
        known = await self._remembered(list(keys))
        unknown = [key for key in keys if key not in known]
        if not unknown:
            return known
        asked = await self._kept.cutoffs(unknown)
        await self._tell(asked, self._calls)
        return {**known, **asked}

    async def revocations(self, after: str | None, limit: int) -> Sequence[Revocation]:
        return await self._kept.revocations(after, limit)

    async def _remembered(self, keys: Sequence[str]) -> dict[str, int]:
        names = [self._prefix + key for key in keys]
        answers = await self._calls.call(lambda: self._client.mget(names)) or ()
        return {
            key: int(answer)
            for key, answer in zip(keys, answers, strict=False)
            if answer is not None and answer.isdigit() and len(answer) <= _DIGITS
        }

    async def _tell(self, cutoffs: Mapping[str, int], calls: BestEffort) -> None:
        names = [self._prefix + key for key in cutoffs]
        arguments = [
            argument
            for cutoff in cutoffs.values()
            for argument in (cutoff, NOT_FOUND_SECONDS if cutoff == NEVER else FOUND_SECONDS)
        ]
        await calls.call(lambda: self._raise(keys=names, args=arguments))
