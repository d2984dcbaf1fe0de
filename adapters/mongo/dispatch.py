"""Leasing due payouts, and what live attempts may still take."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from pymongo import UpdateOne

from adapters.mongo.client import Document
from adapters.mongo.documents import CURSOR_ID, Kind, cursor_of, decode, payout_of
from adapters.mongo.errors import confirmed
from adapters.mongo.expressions import (
    NOT_TEXT,
    NOW,
    TEXT,
    Expression,
    after_now,
    has_passed,
    is_ahead,
    items,
    literal,
    without,
)
from adapters.mongo.part import StorePart
from adapters.mongo.unexplained import OPEN_UNEXPLAINED
from models.money import Currency
from models.order import RouteChoice, RouteName
from models.payout import Payout, PayoutStatus
from models.transaction import BroadcastNote
from ports.store import Backlog, Claim, Exposure, Gate, Leased, Standing

_CLAIMABLE: Document = {
    "status": PayoutStatus.PENDING,
    "live_attempt": None,
    "unsettled": NOT_TEXT,
    "$expr": {
        "$and": [
            {"$lte": ["$due_at", NOW]},
            {"$not": [is_ahead("$lease.until")]},
            {"$not": [has_passed("$order.expires_at")]},
        ]
    },
}


class Dispatch(StorePart):
    """What the dispatcher asks of the store."""

    @confirmed
    async def standing(self) -> Standing:
        unexplained = [{"$match": OPEN_UNEXPLAINED}, {"$count": "open_unexplained"}]
        gates = [{"$match": {"kind": "gate"}}, {"$sort": {"_id": 1}}]
        stages: list[Document] = [
            {"$match": {"_id": CURSOR_ID}},
            {"$unionWith": {"coll": self._payouts.name, "pipeline": unexplained}},
            {"$unionWith": {"coll": self._marks.name, "pipeline": gates}},
        ]
        found = [document async for document in self._payouts.aggregate(stages)]
        return Standing(
            cursor=next((cursor_of(each) for each in found if "cursor" in each), None),
            gates=[decode(Gate, each) for each in found if each.get("kind") == "gate"],
            open_unexplained=sum(each.get("open_unexplained", 0) for each in found),
        )

    @confirmed
    async def claim(
        self,
        limit: int,
        owner: str,
        token: str,
        lease_seconds: float,
        currencies: Collection[Currency] = tuple(Currency),
        wallets: Collection[str] | None = None,
        without_routes: Collection[RouteName] = (),
    ) -> Claim:
        wanted = {
            **_CLAIMABLE,
            "order.currency": {"$in": [each.value for each in currencies]},
            **({} if wallets is None else {"wallet": {"$in": [*sorted(wallets), None]}}),
            "route": {"$nin": [each.value for each in without_routes]},
        }
        urgency = [("rank_at", 1), ("due_at", 1)]
        candidates = [
            candidate["_id"]
            async for candidate in self._payouts.find(
                wanted, {"_id": 1}, sort=urgency, limit=limit, batch_size=limit
            )
        ]
        if not candidates:
            return Claim(())
        lease = {
            "owner": literal(owner),
            "token": literal(token),
            "until": after_now(lease_seconds),
        }
        await self._payouts.update_many(
            {"_id": {"$in": candidates}, **_CLAIMABLE}, [{"$set": {"lease": lease}}]
        )
        return await self._leased(candidates, token, lease_seconds)

    async def _leased(self, candidates: Sequence[str], token: str, lease_seconds: float) -> Claim:
        """Which candidates carry the token, and the cursor, in one command."""
        wanted = {
            "_id": {"$in": [*candidates, CURSOR_ID]},
            "$or": [{"_id": CURSOR_ID}, {"lease.token": token}],
        }
        limit = len(candidates) + 1
        documents = await self._payouts.find(wanted, limit=limit, batch_size=limit).to_list(limit)
        found = {document["_id"]: document for document in documents}
        cursor = found.pop(CURSOR_ID, None)
        payouts = [payout_of(found[each]) for each in candidates if each in found]
        lease = payouts[0].lease if payouts else None
        if lease is None:
            return Claim(())
        leased_at = lease.until - timedelta(seconds=lease_seconds)
        return Claim(payouts, cursor_of(cursor) if cursor else None, leased_at)

    @confirmed
    async def backlog(self) -> Backlog:
        leased: Document = {
            "status": PayoutStatus.PENDING,
            "lease.token": TEXT,
            "$expr": is_ahead("$lease.until"),
        }
        stages: list[Document] = [
            {"$match": leased},
            {"$group": _LEASED},
            {"$sort": {"_id": 1}},
            {"$project": {"_id": 0}},
        ]
        leases = [decode(Leased, each) async for each in self._payouts.aggregate(stages)]
        pending = {"status": PayoutStatus.PENDING, "kind": Kind.PAYOUT}
        oldest = await self._payouts.find_one(pending, {"created_at": 1}, sort=[("_id", 1)])
        return Backlog(oldest["created_at"] if oldest else None, leases)

    @confirmed
    async def waiting_on(
        self, route: RouteName, seconds: float, after: Payout | None, limit: int
    ) -> Sequence[Payout]:
        wanted: Document = {
            "status": PayoutStatus.PENDING,
            "route": route.value,
            "order.route": RouteChoice.SMART.value,
            "$expr": {"$lte": ["$created_at", after_now(-seconds)]},
        }
        if after is not None:
            beyond = [{"created_at": {"$gt": after.created_at}}, {"_id": {"$gt": after.payout_id}}]
            wanted |= {"created_at": {"$gte": after.created_at}, "$or": beyond}
        oldest_first = [("created_at", 1), ("_id", 1)]
        found = self._payouts.find(wanted, sort=oldest_first, limit=limit, batch_size=limit)
        return [payout_of(document) async for document in found]

    @confirmed
    async def recorded(self, token: str) -> Sequence[Payout]:
        found = self._payouts.find({"lease.token": token, "live_attempt": {"$ne": None}})
        return [payout_of(document) async for document in found]

    @confirmed
    async def exposures(self, token: str) -> Mapping[str | None, Exposure]:
        building: Document = {
            "status": PayoutStatus.PENDING,
            "lease.token": {**TEXT, "$ne": token},
            "$expr": is_ahead("$lease.until"),
        }
        stages = [
            {"$match": {"$or": [{"status": PayoutStatus.PROCESSING}, building]}},
            {"$group": _EXPOSURE},
        ]
        totals = self._payouts.aggregate(stages)
        return {total.pop("_id"): Exposure(**total) async for total in totals}

    @confirmed
    async def note_broadcasts(self, notes: Sequence[BroadcastNote]) -> None:
        if notes:
            await self._payouts.bulk_write([_noting(note) for note in notes], ordered=False)


def _sum_of(currency: Currency) -> Expression:
    is_it: Expression = {"$eq": ["$order.currency", currency.value]}
    return {"$sum": {"$cond": [is_it, "$order.amount", 0]}}


_LEASED: Document = {
    "_id": "$lease.owner",
    "owner": {"$first": "$lease.owner"},
    "payouts": {"$sum": 1},
    "until": {"$max": "$lease.until"},
}

_EXPOSURE: Document = {
    "_id": {"$ifNull": ["$live_attempt.owner", "$wallet"]},
    "trx_sun": _sum_of(Currency.TRX),
    "usdt": _sum_of(Currency.USDT),
    "cost_sun": {"$sum": {"$ifNull": ["$live_attempt.max_cost_sun", 0]}},
    "building": {"$sum": {"$cond": [{"$eq": ["$status", PayoutStatus.PENDING.value]}, 1, 0]}},
}


def _noting(note: BroadcastNote) -> UpdateOne:
    """Count one answer, kept as {k, v}, and where a node took the bytes the time of sending."""
    is_it: Expression = {"$eq": ["$$item.k", literal(note.answer)]}
    before = {"$filter": {"input": items("$live_attempt.answers"), "as": "item", "cond": is_it}}
    counted: Expression = {
        "k": literal(note.answer),
        "v": {"$add": [{"$sum": {"$map": {"input": before, "in": "$$this.v"}}}, 1]},
    }
    others = without("$live_attempt.answers", is_it)
    sent_at = {"live_attempt.last_sent_at": NOW} if note.taken else {}
    return UpdateOne(
        {"_id": note.payout_id, "live_attempt.txid": note.txid},
        [
            {
                "$set": {
                    "live_attempt.answers": {"$concatArrays": [others, [counted]]},
                    **sent_at,
                }
            }
        ],
    )
