"""Watches whether the newest block keeps getting newer."""

import asyncio

from models.chain import BlockRef
from ports.chain import Chain


class HeadWatch:
    """Judges standstill by how long we have been looking, never by comparing clocks."""

    def __init__(self, chain: Chain, stale_seconds: float) -> None:
        self._chain = chain
        self._stale_seconds = stale_seconds
        self._newest: BlockRef | None = None
        self._seen_at = 0.0

    async def fresh(self) -> BlockRef | None:
        """The newest block, or None when it has not grown for `stale_seconds` of looking.

        Raises ChainUnavailableError.
        """
        head = await self._chain.head()
        looked_at = asyncio.get_running_loop().time()
        if self._newest is None or head.number > self._newest.number:
            self._newest, self._seen_at = head, looked_at
        elif looked_at - self._seen_at > self._stale_seconds:
            return None
        return head
