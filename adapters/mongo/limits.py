"""Limit windows: reservations, and undoing those whose payout never arrived."""

from collections.abc import Mapping, Sequence

from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import DuplicateKeyError

from adapters.mongo.client import Document
from adapters.mongo.documents import Kind, payout_of
from adapters.mongo.errors import confirmed
from adapters.mongo.expressions import NOW, Expression, after_now, items, literal, pushed, without
from adapters.mongo.part import StorePart
from models.limits import Window
from models.payout import TERMINAL, Payout, Reservation

_USED: Expression = {"$ifNull": ["$used", 0]}


class Limits(StorePart):
    """One document per window: what it holds, and the payouts in flight that hold it."""

    @confirmed
    async def reserve(self, window: Window, payout_id: str, amount: int) -> bool:
        try:
            return await self._reserve(window, payout_id, amount)
        except DuplicateKeyError:  # another request made the window's document first
            return await self._reserve(window, payout_id, amount)

    async def _reserve(self, window: Window, payout_id: str, amount: int) -> bool:
        """One update that adds the entry if it fits and is not there; then it is there or not."""
        found = await self._windows.find_one_and_update(
            {"_id": window.window_id},
            [{"$set": _reservation(window, payout_id, amount)}],
            {"entries": {"$elemMatch": {"id": payout_id}}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        return bool(found and found.get("entries"))

    @confirmed
    async def used(self, window_id: str) -> int:
        found = await self._windows.find_one({"_id": window_id}, {"used": 1})
        return int(found["used"]) if found else 0

    @confirmed
    async def release(self, window_id: str, payout_id: str) -> None:
        is_it: Expression = {"$eq": ["$$item.id", literal(payout_id)]}
        freed = {"$filter": {"input": "$entries", "as": "item", "cond": is_it}}
        amount = {"$sum": {"$map": {"input": freed, "in": "$$this.amount"}}}
        await self._windows.update_one(
            {"_id": window_id, "entries.id": payout_id},
            [
                {
                    "$set": {
                        "used": {"$subtract": ["$used", amount]},
                        "entries": without("$entries", is_it),
                    }
                }
            ],
        )

    @confirmed
    async def settle_reservations(self, window_id: str, payout_ids: Sequence[str]) -> None:
        kept = {"$pull": {"entries": {"id": {"$in": list(payout_ids)}}}}
        await self._windows.update_one({"_id": window_id}, kept)

    @confirmed
    async def to_release(self, limit: int) -> Sequence[Payout]:
        wanted = {
            "status": {"$in": [status.value for status in TERMINAL]},
            "reservation": Reservation.HELD,
        }
        return [payout_of(document) async for document in self._payouts.find(wanted, limit=limit)]

    @confirmed
    async def mark_reservations(self, outcome: Mapping[str, str]) -> None:
        marks = [
            UpdateOne(
                {"_id": payout_id, "reservation": Reservation.HELD},
                {"$set": {"reservation": Reservation(state).value}},
            )
            for payout_id, state in outcome.items()
        ]
        if marks:
            await self._payouts.bulk_write(marks, ordered=False)

    @confirmed
    async def orphans(self, older_than_seconds: float, limit: int) -> Sequence[tuple[str, str]]:
        too_old = {"$lte": ["$entries.at", after_now(-older_than_seconds)]}
        payout = {
            "from": self._payouts.name,
            "localField": "entries.id",
            "foreignField": "_id",
            "as": "found",
        }
        stages: list[Document] = [
            {"$unwind": "$entries"},
            {"$match": {"$expr": too_old}},
            {"$lookup": payout},
            {"$match": {"found.kind": {"$ne": Kind.PAYOUT}}},
            {"$limit": limit},
            {"$project": {"entries.id": 1}},
        ]
        found = self._windows.aggregate(stages)
        return [(window["_id"], window["entries"]["id"]) async for window in found]

    @confirmed
    async def bury(self, payout_id: str) -> bool:
        try:
            await self._payouts.insert_one({"_id": payout_id, "kind": Kind.TOMBSTONE.value})
        except DuplicateKeyError:
            found = await self._payouts.find_one({"_id": payout_id}, {"kind": 1})
            return found is not None and found["kind"] == Kind.TOMBSTONE
        return True


def _reservation(window: Window, payout_id: str, amount: int) -> Document:
    held = {"$in": [literal(payout_id), items("$entries.id")]}
    fits = {"$lte": [{"$add": [_USED, amount]}, window.maximum]}
    taken = {"$and": [{"$not": [held]}, fits]}
    entry: Expression = {"id": literal(payout_id), "amount": amount, "at": NOW}
    return {
        "used": {"$add": [_USED, {"$cond": [taken, amount, 0]}]},
        "entries": {"$cond": [taken, pushed("$entries", entry), items("$entries")]},
        "ends_at": literal(window.ends_at),
    }
