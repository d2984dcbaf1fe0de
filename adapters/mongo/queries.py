"""Filters of lists and totals."""

from typing import Any

from adapters.mongo.client import Document
from adapters.mongo.documents import Kind
from ports.store import PayoutQuery, Scope


def query_filter(query: PayoutQuery) -> Document:
    """The documents that a list shows, `after` included."""
    equal: dict[str, Any] = {
        "status": query.status,
        "order.currency": query.currency,
        "order.recipient_address": query.recipient,
        "txids": query.txid,
        "order.session_id": query.session_id,
        "order.node_id": query.node_id,
        "order.reference": query.reference,
        "route": query.route,
        "order.payout_type": query.payout_type,
        "batch_id": query.batch_id,
    }
    compared: dict[str, dict[str, Any]] = {
        "created_at": {"$gte": query.created_from, "$lt": query.created_to},
        "_id": {"$lt": query.after},
    }
    return {
        "$and": [
            scope_filter(query.scope),
            *({path: {"$eq": value}} for path, value in equal.items() if value is not None),
            *(
                {path: {operator: bound}}
                for path, bounds in compared.items()
                for operator, bound in bounds.items()
                if bound is not None
            ),
        ]
    }


def scope_filter(scope: Scope) -> Document:
    """The payouts that a scope lets one see."""
    payouts: Document = {"kind": Kind.PAYOUT}
    if not scope.any_tenant:
        payouts["tenant"] = scope.tenant
    if scope.everybody:
        return payouts
    paths = {"client": scope.client, "order.node_id": scope.node_id}
    own = [{path: {"$eq": value}} for path, value in paths.items() if value is not None]
    return {**payouts, "$or": own}
