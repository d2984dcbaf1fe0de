"""What time alone brings: payouts that expire or waited too long for consent, or are released."""

from collections.abc import Sequence

from adapters.mongo.client import Document
from adapters.mongo.documents import payout_of
from adapters.mongo.errors import confirmed
from adapters.mongo.expressions import NOT_TEXT, has_passed, united
from adapters.mongo.part import StorePart
from models.order import BatchWindow, PayoutType
from models.payout import OPEN, Payout, PayoutStatus

_MAY_EXPIRE: Document = {
    "status": {"$in": sorted(OPEN - {PayoutStatus.PROCESSING})},
    "live_attempt": None,
    "unsettled": NOT_TEXT,
    "hits": {"$not": {"$elemMatch": {"contract_ret": "SUCCESS"}}},
}
_UNAPPROVED: Document = {
    "status": PayoutStatus.AWAITING_APPROVAL,
    "$expr": {"$not": [has_passed("$order.expires_at")]},
}
"""Of those whose approval is over; what has expired besides is found as such."""


class Times(StorePart):
    """Payouts whose time has come, by the server's clock."""

    @confirmed
    async def expire_due(self, limit: int) -> Sequence[Payout]:
        expired = _passed("order.expires_at", _MAY_EXPIRE, limit)
        unapproved = _passed("approval.expires_at", _UNAPPROVED, limit)
        return await self._read([*united(self._payouts.name, [expired, unapproved])], limit)

    @confirmed
    async def release_due(self, limit: int) -> Sequence[Payout]:
        waiting = {"status": PayoutStatus.SCHEDULED}
        return await self._read(_passed("release_at", waiting, limit), limit)

    async def _read(self, stages: Sequence[Document], limit: int) -> Sequence[Payout]:
        found = self._payouts.aggregate([*stages, {"$limit": limit}], batchSize=limit)
        return [payout_of(document) async for document in found]

    @confirmed
    async def full_batches(self, size: int) -> Sequence[Payout]:
        counts = [_counted(window, size) for window in BatchWindow]
        found = self._payouts.aggregate(united(self._payouts.name, counts))
        full = [each["_id"] async for each in found if each["count"] == size]
        return [payout for window in full for payout in await self._oldest(window, size)]

    async def _oldest(self, window: str, size: int) -> Sequence[Payout]:
        gathering = _gathering(window)
        found = self._payouts.find(gathering, sort=[("_id", 1)], limit=size, batch_size=size)
        return [payout_of(document) async for document in found]


def _passed(path: str, wanted: Document, limit: int) -> Sequence[Document]:
    """The documents whose time at `path` is not in the future, earliest first."""
    passed = {"$and": [has_passed(f"${path}"), wanted.get("$expr", True)]}
    return [
        {"$match": {**wanted, path: {"$type": "date"}, "$expr": passed}},
        {"$sort": {path: 1}},
        {"$limit": limit},
    ]


def _counted(window: BatchWindow, size: int) -> Sequence[Document]:
    """How many payouts gather in a kind of window, counted no further than `size`."""
    return [
        {"$match": _gathering(window.value)},
        {"$limit": size},
        {"$group": {"_id": window.value, "count": {"$sum": 1}}},
    ]


def _gathering(window: str) -> Document:
    return {
        "status": PayoutStatus.SCHEDULED,
        "order.payout_type": PayoutType.BATCH.value,
        "order.batch_window": window,
    }
