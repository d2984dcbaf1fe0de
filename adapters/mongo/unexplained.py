"""Transfers of our wallets that no payout knows."""

from collections.abc import Sequence

from adapters.mongo.client import Document
from adapters.mongo.documents import Kind, decode
from adapters.mongo.errors import confirmed
from adapters.mongo.expressions import NOW, literal
from adapters.mongo.part import StorePart
from models.chain import Hit
from ports.store import Unexplained

OPEN_UNEXPLAINED: Document = {"kind": Kind.UNEXPLAINED, "explained_at": None}


class UnexplainedTransfers(StorePart):
    """The alarm for a stolen key or a restored backup, and what people made of it."""

    @confirmed
    async def unexplained(self, *, only_open: bool, limit: int) -> Sequence[Unexplained]:
        wanted = OPEN_UNEXPLAINED if only_open else {"kind": Kind.UNEXPLAINED}
        oldest_first = [("hits.block.number", 1), ("_id", 1)]
        found = self._payouts.find(wanted, sort=oldest_first, limit=limit)
        return [_unexplained_of(document) async for document in found]

    @confirmed
    async def find_unexplained(self, txid: str) -> Unexplained | None:
        found = await self._payouts.find_one({"txids": txid, "kind": Kind.UNEXPLAINED})
        return _unexplained_of(found) if found else None

    @confirmed
    async def count_open_unexplained(self) -> int:
        return await self._payouts.count_documents(OPEN_UNEXPLAINED)

    @confirmed
    async def claim_unexplained(
        self, expected: Unexplained, payout_id: str | None, by: str, note: str
    ) -> bool:
        tied = {"payout_id": expected.payout_id, "explained_by": expected.explained_by}
        tie = {"payout_id": literal(payout_id), "explained_by": literal(by), "note": literal(note)}
        wanted = {"txids": expected.txid, **OPEN_UNEXPLAINED, **tied}
        return (await self._payouts.update_one(wanted, [{"$set": tie}])).matched_count == 1

    @confirmed
    async def close_unexplained(self, txid: str) -> None:
        tied = {"txids": txid, **OPEN_UNEXPLAINED, "explained_by": {"$ne": None}}
        await self._payouts.update_one(tied, [{"$set": {"explained_at": NOW}}])


def _unexplained_of(document: Document) -> Unexplained:
    """The newest hit counts: an older one is of a chain that was left."""
    return Unexplained(
        txid=document["txids"][0],
        hit=decode(Hit, document["hits"][-1]),
        payout_id=document["payout_id"],
        explained_by=document["explained_by"],
        explained_at=document["explained_at"],
        note=document["note"],
    )
