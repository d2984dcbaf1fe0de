"""Limit windows: reservations, and undoing those whose payout never arrived."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from adapters.mongo.client import Document
from adapters.mongo.documents import Kind, payout_of
from adapters.mongo.errors import confirmed, only_duplicates
from adapters.mongo.expressions import NOW, Expression, after_now, items, literal, pushed, without
from adapters.mongo.part import StorePart
from models.limits import Used
from models.payout import TERMINAL, Payout, Reservation
from models.spending import SpendWindow

_USED: Expression = {"$ifNull": ["$used", 0]}
_COUNT: Expression = {"$ifNull": ["$count", 0]}


class Limits(StorePart):
    """One document per window: what it holds, and the payouts in flight that hold it."""

    @confirmed
    async def reserve(
        self, windows: Sequence[SpendWindow], payout_id: str, amount: int
    ) -> Sequence[SpendWindow]:
        if not windows:
            return ()
        await self._upsert([_reserving(window, payout_id, amount) for window in windows])
        held = {"_id": {"$in": [window.window_id for window in windows]}, "entries.id": payout_id}
        taken = {found["_id"] async for found in self._windows.find(held, {"_id": 1})}
        return [window for window in windows if window.window_id not in taken]

    async def _upsert(self, updates: Sequence[UpdateOne]) -> None:
        """One unordered bulk; again when another request made a window's document first."""
        try:
            await self._windows.bulk_write(updates, ordered=False)
        except BulkWriteError as error:
            if not only_duplicates(error):
                raise
            await self._windows.bulk_write(updates, ordered=False)

    @confirmed
    async def used(self, window_ids: Sequence[str]) -> Mapping[str, Used]:
        found = self._windows.find({"_id": {"$in": list(window_ids)}}, {"used": 1, "count": 1})
        return {each["_id"]: Used(each["used"], each.get("count", 0)) async for each in found}

    @confirmed
    async def release(
        self, window_ids: Sequence[str], payout_id: str, until: datetime | None = None
    ) -> None:
        if window_ids:
            updates = [_releasing(window_id, payout_id, until) for window_id in window_ids]
            await self._windows.bulk_write(updates, ordered=False)

    @confirmed
    async def settle_reservations(self, ended: Mapping[str, Sequence[str]]) -> None:
        updates = [
            UpdateOne({"_id": window_id}, {"$pull": {"entries": {"id": {"$in": list(ids)}}}})
            for window_id, ids in ended.items()
        ]
        if updates:
            await self._windows.bulk_write(updates, ordered=False)

    @confirmed
    async def to_release(self, limit: int) -> Sequence[Payout]:
        wanted = {
            "status": {"$in": [status.value for status in TERMINAL]},
            "reservation": Reservation.HELD,
        }
        found = self._payouts.find(wanted, limit=limit, batch_size=limit)
        return [payout_of(document) async for document in found]

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
        windows = items({"$first": "$found.window_ids"})
        stages: list[Document] = [
            {"$unwind": "$entries"},
            {"$match": {"$expr": too_old}},
            {"$lookup": payout},
            {
                "$match": {
                    "$or": [
                        {"found.kind": {"$ne": Kind.PAYOUT}},
                        {"$expr": {"$not": [{"$in": ["$_id", windows]}]}},
                    ]
                }
            },
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


def _reserving(window: SpendWindow, payout_id: str, amount: int) -> UpdateOne:
    """Add the entry if it fits and is not there; renew the one that is."""
    return UpdateOne(
        {"_id": window.window_id},
        [{"$set": _reservation(window, payout_id, amount)}],
        upsert=True,
    )


def _reservation(window: SpendWindow, payout_id: str, amount: int) -> Document:
    held = {"$in": [literal(payout_id), items("$entries.id")]}
    bounds = ((_USED, amount, window.maximum), (_COUNT, 1, window.max_count))
    fits = [
        {"$lte": [{"$add": [so_far, more]}, bound]}
        for so_far, more, bound in bounds
        if bound is not None
    ]
    taken = {"$and": [{"$not": [held]}, *fits]}
    entry: Expression = {"id": literal(payout_id), "amount": amount, "at": NOW}
    is_it = {"$eq": ["$$this.id", literal(payout_id)]}
    again = {"$cond": [is_it, {"$mergeObjects": ["$$this", {"at": NOW}]}, "$$this"]}
    renewed = {"$map": {"input": items("$entries"), "in": again}}
    return {
        "used": {"$add": [_USED, {"$cond": [taken, amount, 0]}]},
        "count": {"$add": [_COUNT, {"$cond": [taken, 1, 0]}]},
        "entries": {"$cond": [taken, pushed("$entries", entry), renewed]},
        "ends_at": literal(window.ends_at),
    }


def _releasing(window_id: str, payout_id: str, until: datetime | None) -> UpdateOne:
    """Take the entry out, and what it counted for."""
    is_old = [] if until is None else [{"$lte": ["$$item.at", literal(until)]}]
    is_it: Expression = {"$and": [{"$eq": ["$$item.id", literal(payout_id)]}, *is_old]}
    freed = {"$filter": {"input": "$entries", "as": "item", "cond": is_it}}
    amount = {"$sum": {"$map": {"input": freed, "in": "$$this.amount"}}}
    return UpdateOne(
        {"_id": window_id, "entries.id": payout_id},
        [
            {
                "$set": {
                    "used": {"$subtract": ["$used", amount]},
                    "count": {"$subtract": [_COUNT, {"$size": freed}]},
                    "entries": without("$entries", is_it),
                }
            }
        ],
    )
