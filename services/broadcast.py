"""Sending stored attempts, as often as one likes: the same bytes can never pay twice."""

import asyncio
from collections.abc import Sequence

from models.transaction import Attempt, BroadcastNote
from ports.chain import Chain
from ports.observer import Observer
from ports.store import PayoutStore


class Broadcaster:
    """Sends attempts that the store holds, and notes what nodes said; that decides nothing."""

    def __init__(
        self, store: PayoutStore, chain: Chain, observer: Observer, concurrency: int
    ) -> None:
        self._store = store
        self._chain = chain
        self._observer = observer
        self._slots = asyncio.Semaphore(concurrency)

    async def send(self, attempts: Sequence[tuple[str, Attempt]]) -> None:
        """Send each (payout id, stored attempt), several at a time, and note the answers.

        Raises StoreError when the notes are not known to be kept, never for a node.
        """
        if not attempts:
            return
        notes = await asyncio.gather(*(self._send_one(*attempt) for attempt in attempts))
        await self._store.note_broadcasts(notes)

    async def _send_one(self, payout_id: str, attempt: Attempt) -> BroadcastNote:
        async with self._slots:
            answer = await self._chain.broadcast(attempt)
        self._observer.count("tron_broadcasts_total", code=answer)
        return BroadcastNote(payout_id, attempt.txid, answer)
