"""Figures of routes, from the payouts that went over them."""

from collections.abc import Mapping

from adapters.mongo.client import Document
from adapters.mongo.errors import confirmed
from adapters.mongo.expressions import Expression, after_now, items, united
from adapters.mongo.part import StorePart
from models.figures import FEES_SECONDS, Fees, RouteFigures, latency_of
from models.money import Currency
from models.order import RouteName
from models.payout import PayoutStatus

_ROUTES = [route.value for route in RouteName]
_OPEN = (PayoutStatus.PENDING, PayoutStatus.PROCESSING)
_ENDED = (PayoutStatus.COMPLETED, PayoutStatus.FAILED)
_PARTS = (*_OPEN, *_ENDED, "sample")
_NONE: Document = {"count": 0, "last": None, "milliseconds": []}


class Figures(StorePart):
    """ports.figures.FiguresStore: one aggregation, whose counts are of index keys alone, and
    which reads the documents of the samples."""

    @confirmed
    async def route_figures(
        self, within_seconds: float, sample: int
    ) -> Mapping[RouteName, RouteFigures]:
        lately: Expression = {"$gte": ["$updated_at", after_now(-within_seconds)]}
        branches = [
            branch
            for route in _ROUTES
            for branch in (
                *(_counting(route, status, {}) for status in _OPEN),
                *(_counting(route, status, {"$expr": lately}) for status in _ENDED),
                _sampling(route, sample),
            )
        ]
        found = self._payouts.aggregate(united(self._payouts.name, branches))
        groups: dict[str, dict[str, Document]] = {route: {} for route in _ROUTES}
        async for group in found:
            groups[group["_id"]["route"]][group["_id"]["of"]] = group
        return {route: _figures_of(groups[route]) for route in RouteName}


def _counting(route: str, status: PayoutStatus, condition: Document) -> list[Document]:
    """How many payouts of a route are in a status, and when the last one came there.

    With equal route and status in each branch, the index that has both is the planner's choice.
    """
    group = {
        "_id": {"route": route, "of": status.value},
        "count": {"$sum": 1},
        "last": {"$max": "$updated_at"},
    }
    return [{"$match": {"route": route, "status": status.value, **condition}}, {"$group": group}]


def _sampling(route: str, sample: int) -> list[Document]:
    """What the last completed payouts of a route took and burned.

    Sorting by all three keeps the planner from an index that has only status and time: it would
    pass over all payouts of busier routes.
    """
    group = {
        "_id": {"route": route, "of": "sample"},
        "count": {"$sum": 1},
        "last": {"$max": "$updated_at"},
        "milliseconds": {"$push": {"$subtract": ["$updated_at", _READY_AT]}},
        **_FEES,
    }
    return [
        {"$match": {"route": route, "status": PayoutStatus.COMPLETED.value}},
        {"$sort": {"route": 1, "status": 1, "updated_at": -1}},
        {"$limit": sample},
        {"$group": group},
    ]


_INTO_PENDING: Expression = {
    "$filter": {
        "input": items("$history"),
        "as": "item",
        "cond": {"$eq": ["$$item.to_status", PayoutStatus.PENDING.value]},
    }
}
_READY_AT: Expression = {
    "$ifNull": [{"$min": {"$map": {"input": _INTO_PENDING, "in": "$$this.at"}}}, "$created_at"]
}
_BURNED_SUN: Expression = {
    "$sum": ["$linked_hit.fee_sun", {"$sum": "$attempts.hit.fee_sun"}],
}
"""$sum passes over what is missing, as `models.figures.burned_sun` does."""


def _lately(currency: Currency, value: Expression | int) -> Expression:
    """The sum of a value over the payouts of a currency whose fees still say something."""
    counts = [
        {"$eq": ["$order.currency", currency.value]},
        {"$gte": ["$updated_at", after_now(-FEES_SECONDS)]},
    ]
    return {"$sum": {"$cond": [{"$and": counts}, value, 0]}}


_FEES: Document = {
    **{f"paid_{each}": _lately(each, 1) for each in Currency},
    **{f"burned_{each}": _lately(each, _BURNED_SUN) for each in Currency},
}


def _fees_of(sample: Document) -> Mapping[Currency, Fees]:
    """The fees of a sample's group, which may be missing."""
    return {
        each: Fees(paid, sample[f"burned_{each}"] // paid)
        for each in Currency
        if (paid := sample.get(f"paid_{each}", 0))
    }


def _figures_of(groups: Mapping[str, Document]) -> RouteFigures:
    """The figures of a route whose groups are these, by status and "sample"."""
    pending, processing, completed, failed, sample = (groups.get(of, _NONE) for of in _PARTS)
    return RouteFigures(
        in_flight=processing["count"],
        waiting=pending["count"],
        ended=completed["count"] + failed["count"],
        failed=failed["count"],
        last_failed_at=failed["last"],
        sampled=sample["count"],
        latency=latency_of([each / 1000 for each in sample["milliseconds"]]),
        fees=_fees_of(sample),
        last_completed_at=sample["last"],
    )
