"""Gates, the chain's genesis, and the wallets ever used."""

from collections.abc import Sequence
from typing import Any

from pymongo import ReturnDocument

from adapters.mongo.client import Document
from adapters.mongo.documents import decode
from adapters.mongo.errors import confirmed
from adapters.mongo.expressions import NOW, literal
from adapters.mongo.part import StorePart
from ports.store import Gate, StoreError


class Marks(StorePart):
    """Small facts that every replica must agree on."""

    @confirmed
    async def gates(self) -> Sequence[Gate]:
        found = self._marks.find({"kind": "gate"}, sort=[("_id", 1)])
        return [decode(Gate, document) async for document in found]

    @confirmed
    async def close_gate(
        self,
        name: str,
        reason: str,
        needs_trx_sun: int | None = None,
        needs_usdt: int | None = None,
        closed_by: str | None = None,
    ) -> None:
        gate = {
            "kind": "gate",
            "name": literal(name),
            "reason": literal(reason),
            "closed_at": {"$ifNull": ["$closed_at", NOW]},
            "needs_trx_sun": literal(needs_trx_sun),
            "needs_usdt": literal(needs_usdt),
            "closed_by": literal(closed_by),
        }
        await self._marks.update_one({"_id": f"gate:{name}"}, [{"$set": gate}], upsert=True)

    @confirmed
    async def open_gate(self, name: str) -> bool:
        return (await self._marks.delete_one({"_id": f"gate:{name}"})).deleted_count == 1

    @confirmed
    async def remember_genesis(self, genesis_id: str) -> str:
        first = {"$setOnInsert": {"kind": "genesis", "genesis_id": genesis_id}}
        return str((await self._remember("genesis", first))["genesis_id"])

    @confirmed
    async def remember_wallet(self, address: str) -> frozenset[str]:
        added = {"$addToSet": {"addresses": address}, "$setOnInsert": {"kind": "wallets"}}
        return frozenset((await self._remember("wallets", added))["addresses"])

    async def _remember(self, mark_id: str, update: dict[str, Any]) -> Document:
        """Update a mark, made when it is not there, and return it."""
        found = await self._marks.find_one_and_update(
            {"_id": mark_id}, update, upsert=True, return_document=ReturnDocument.AFTER
        )
        if found is None:
            raise StoreError(f"MongoDB did not return the mark {mark_id}")
        return found
