"""Revoked tokens: one document for each key, which is the `_id`; no other index is needed."""

from collections.abc import Collection, Mapping, Sequence

from pymongo import ReturnDocument

from adapters.mongo.client import Document
from adapters.mongo.documents import decode
from adapters.mongo.errors import confirmed
from adapters.mongo.expressions import NOW, literal
from adapters.mongo.part import StorePart
from models.token import NEVER, Revocation, Target
from ports.store import StoreError


class RevokedTokens(StorePart):
    """ports.tokens.Revocations. Documents are never removed."""

    @confirmed
    async def revoke(self, target: Target, by: str, reason: str) -> Revocation:
        new: Document = {
            "_id": "$_id",
            "target": literal(target),
            "revoked_by": literal(by),
            "revoked_at": NOW,
            "reason": literal(reason),
        }
        first = {"$eq": [{"$type": "$revoked_at"}, "missing"]}
        further = {"$gt": [literal(target.before), "$target.before"]}
        kept = {"$cond": [{"$or": [first, further]}, new, "$$ROOT"]}
        found = await self._revocations.find_one_and_update(
            {"_id": target.key},
            [{"$replaceWith": kept}],
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        if found is None:
            raise StoreError(f"MongoDB did not return the revocation {target.key}")
        return decode(Revocation, found)

    @confirmed
    async def cutoffs(self, keys: Collection[str]) -> Mapping[str, int]:
        found = self._revocations.find({"_id": {"$in": list(keys)}}, projection=["target"])
        known = {
            document["_id"]: decode(Target, document["target"]).cutoff_ms
            async for document in found
        }
        return {key: known.get(key, NEVER) for key in keys}

    @confirmed
    async def revocations(self, after: str | None, limit: int) -> Sequence[Revocation]:
        wanted: Document = {} if after is None else {"_id": {"$gt": after}}
        found = self._revocations.find(wanted, sort=[("_id", 1)], limit=limit)
        return [decode(Revocation, document) async for document in found]
