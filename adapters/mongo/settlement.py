"""The cursor, the hits that come with it, and what they leave to judge."""

from collections.abc import Sequence

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError
from pymongo.results import BulkWriteResult

from adapters.mongo.client import Document
from adapters.mongo.documents import CURSOR_ID, Kind, cursor_of, encode, payout_of
from adapters.mongo.errors import confirmed, only_duplicates
from adapters.mongo.expressions import TEXT, Expression, after_now, is_set, items
from adapters.mongo.part import StorePart
from models.chain import Cursor, Hit
from models.payout import OPEN, Payout, PayoutStatus
from models.transaction import AttemptState
from ports.store import StoreError


class Settlement(StorePart):
    """What the settler asks of the store."""

    @confirmed
    async def cursor(self) -> Cursor | None:
        found = await self._payouts.find_one({"_id": CURSOR_ID})
        return cursor_of(found) if found else None

    @confirmed
    async def move_cursor(self, expected: Cursor | None, new: Cursor, hits: Sequence[Hit]) -> bool:
        group = [*map(_hit_update, hits), _cursor_update(expected, new)]
        result = await self._write_in_order(group)
        # Every hit matches a document or makes one; the cursor moved if its update did so too.
        last = len(group) - 1
        moved = last in (result.upserted_ids or {})
        if expected is not None:
            moved = result.matched_count + result.upserted_count == len(group)
        return moved or await self.cursor() == new

    async def _write_in_order(self, group: Sequence[UpdateOne]) -> BulkWriteResult:
        """One ordered bulk; again when another replica makes a document of it first.

        It is there the next time, so that each update fails once at most.
        """
        for _ in range(len(group) + 1):
            try:
                return await self._payouts.bulk_write(group, ordered=True)
            except BulkWriteError as error:
                if not only_duplicates(error):
                    raise
        raise StoreError("MongoDB finds a duplicate key that nobody has")

    @confirmed
    async def to_settle(self, limit: int) -> Sequence[Payout]:
        wanted = {"kind": Kind.PAYOUT, "unsettled": TEXT}
        found = self._payouts.find(wanted, limit=limit)
        return [payout_of(document) async for document in found]

    @confirmed
    async def mark_settled(self, payout_id: str, txids: Sequence[str]) -> None:
        judged = {"$pull": {"unsettled": {"$in": list(txids)}}}
        await self._payouts.update_one({"_id": payout_id, "kind": Kind.PAYOUT}, judged)

    @confirmed
    async def live_to_review(
        self, cursor_time_ms: int, resend_seconds: float, unsent_seconds: float, limit: int
    ) -> Sequence[Payout]:
        # Latest expiration first: what can't be proven dead yet keeps nothing from being re-sent.
        expired = {"$lte": ["$live_attempt.expiration_ms", cursor_time_ms]}
        unhit = {"$not": [{"$in": ["$live_attempt.txid", items("$hits.txid")]}]}
        sent_at, made_at = "$live_attempt.last_sent_at", "$live_attempt.created_at"
        silent = {
            "$cond": [
                is_set(sent_at),
                {"$lte": [sent_at, after_now(-resend_seconds)]},
                {"$lte": [made_at, after_now(-unsent_seconds)]},
            ]
        }
        wanted = {
            "status": PayoutStatus.PROCESSING,
            "$expr": {"$or": [expired, {"$and": [unhit, silent]}]},
        }
        order = [("live_attempt.expiration_ms", -1)]
        found = self._payouts.find(wanted, sort=order, limit=limit)
        return [payout_of(document) async for document in found]

    @confirmed
    async def oldest_doubtful_block(self) -> int | None:
        is_dead: Expression = {"$eq": ["$$item.state", AttemptState.DEAD.value]}
        dead = {"$filter": {"input": items("$attempts"), "as": "item", "cond": is_dead}}
        lowest_dead = {"$min": {"$map": {"input": dead, "in": "$$this.ref_block.number"}}}
        # $min passes over what is missing.
        lowest = {"$min": ["$live_attempt.ref_block.number", lowest_dead]}
        stages: list[Document] = [
            {"$match": {"status": {"$in": [status.value for status in OPEN]}}},
            {"$group": {"_id": None, "lowest": {"$min": lowest}}},
        ]
        found = await self._payouts.aggregate(stages).to_list(1)
        return found[0]["lowest"] if found else None


def _hit_update(hit: Hit) -> UpdateOne:
    """Put a hit on the document that has its txid, or on a new unexplained one.

    Raising the version keeps out any change that was decided without knowing the hit.
    """
    return UpdateOne(
        {"txids": hit.txid},
        {
            "$addToSet": {"hits": encode(hit), "unsettled": hit.txid},
            "$inc": {"version": 1},
            "$setOnInsert": {
                "_id": f"unexplained_{hit.txid}",
                "txids": [hit.txid],
                "kind": Kind.UNEXPLAINED.value,
                "payout_id": None,
                "explained_by": None,
                "explained_at": None,
                "note": None,
            },
        },
        upsert=True,
    )


def _cursor_update(expected: Cursor | None, new: Cursor) -> UpdateOne:
    """Compare and set the whole cursor; None expects that there is none yet."""
    if expected is None:
        first = {"kind": Kind.CURSOR.value, "cursor": encode(new)}
        return UpdateOne({"_id": CURSOR_ID}, {"$setOnInsert": first}, upsert=True)
    return UpdateOne(
        {"_id": CURSOR_ID, "cursor": encode(expected)}, {"$set": {"cursor": encode(new)}}
    )
