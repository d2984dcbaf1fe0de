"""Which payouts a list shows."""

from models.payout import Payout
from ports.store import PayoutQuery, Scope


def in_scope(scope: Scope, payout: Payout) -> bool:
    """Whether a scope lets one see a payout."""
    return (scope.any_tenant or payout.tenant == scope.tenant) and (
        scope.everybody
        or (scope.client is not None and payout.client == scope.client)
        or (scope.node_id is not None and payout.order.node_id == scope.node_id)
    )


def fits(query: PayoutQuery, payout: Payout) -> bool:
    """Whether a payout passes every filter of a query."""
    order = payout.order
    equal = (
        (query.status, payout.status),
        (query.currency, order.currency),
        (query.recipient, order.recipient_address),
        (query.session_id, order.session_id),
        (query.node_id, order.node_id),
        (query.reference, order.reference),
        (query.route, payout.route),
        (query.payout_type, order.payout_type),
        (query.batch_id, payout.batch_id),
    )
    return (
        in_scope(query.scope, payout)
        and all(wanted is None or wanted == found for wanted, found in equal)
        and (query.txid is None or query.txid in payout.txids)
        and (query.created_from is None or query.created_from <= payout.created_at)
        and (query.created_to is None or payout.created_at < query.created_to)
        and (query.after is None or payout.payout_id < query.after)
    )
