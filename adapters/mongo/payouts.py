"""Intake, reading, and guarded changes."""

from collections.abc import Sequence
from datetime import datetime

from pymongo.errors import DuplicateKeyError

from adapters.mongo.changes import update_of
from adapters.mongo.client import Document
from adapters.mongo.documents import Kind, payout_document, payout_of
from adapters.mongo.errors import confirmed
from adapters.mongo.part import StorePart
from adapters.mongo.queries import query_filter, scope_filter
from models.money import Currency
from models.payout import TERMINAL, Change, Payout, PayoutStatus
from ports.store import KeyTakenError, PayoutGoneError, PayoutQuery, Scope, StatusTotal, StoreError


class Payouts(StorePart):
    """The payouts themselves."""

    @confirmed
    async def insert(self, payout: Payout) -> None:
        try:
            await self._payouts.insert_one(payout_document(payout))
        except DuplicateKeyError as error:
            await self._explain_duplicate(payout, error)

    async def _explain_duplicate(self, payout: Payout, error: DuplicateKeyError) -> None:
        """Return if it is the very payout; else raise why it can't be inserted.

        Which index complained first says little: a repeated insert breaks both.
        """
        there = await self._payouts.find_one({"_id": payout.payout_id}, {"kind": 1})
        if there is not None:
            if there["kind"] == Kind.TOMBSTONE:
                raise PayoutGoneError(payout.payout_id) from error
            return
        if "idempotency_key" in (error.details or {}).get("keyPattern", {}):
            raise KeyTakenError(payout.idempotency_key) from error
        raise StoreError(f"MongoDB refused to insert {payout.payout_id}") from error

    @confirmed
    async def find_by_key(self, client: str, key: str, tenant: str | None = None) -> Payout | None:
        wanted = {"client": client, "tenant": tenant, "idempotency_key": key}
        found = await self._payouts.find_one(wanted)
        return payout_of(found) if found else None

    @confirmed
    async def get(self, payout_id: str) -> Payout | None:
        found = await self._payouts.find_one({"_id": payout_id, "kind": Kind.PAYOUT})
        return payout_of(found) if found else None

    @confirmed
    async def list(self, query: PayoutQuery, limit: int) -> Sequence[Payout]:
        found = self._payouts.find(query_filter(query), sort=[("_id", -1)], limit=limit)
        return [payout_of(document) async for document in found]

    @confirmed
    async def totals(self, scope: Scope) -> Sequence[StatusTotal]:
        group = {
            "_id": {"status": "$status", "currency": "$order.currency"},
            "count": {"$sum": 1},
            "amount": {"$sum": "$order.amount"},
        }
        stages = [{"$match": scope_filter(scope)}, {"$group": group}, {"$sort": {"_id": 1}}]
        return [
            StatusTotal(
                status=PayoutStatus(total["_id"]["status"]),
                currency=Currency(total["_id"]["currency"]),
                count=total["count"],
                amount=total["amount"],
            )
            async for total in self._payouts.aggregate(stages)
        ]

    @confirmed
    async def apply(self, changes: Sequence[Change]) -> int:
        if not changes:
            return 0
        updates = [update_of(change) for change in changes]
        return (await self._payouts.bulk_write(updates, ordered=False)).matched_count

    @confirmed
    async def ended(
        self, since: datetime, until: datetime, after: Payout | None, limit: int
    ) -> Sequence[Payout]:
        wanted: Document = {
            "status": {"$in": sorted(TERMINAL)},
            "updated_at": {"$gte": after.updated_at if after else since, "$lt": until},
        }
        if after is not None:
            beyond = [{"updated_at": {"$gt": after.updated_at}}, {"_id": {"$gt": after.payout_id}}]
            wanted["$or"] = beyond
        found = self._payouts.find(wanted, sort=[("updated_at", 1), ("_id", 1)], limit=limit)
        return [payout_of(document) async for document in found]
