"""Every index, the query that it serves, and the check that the server has exactly these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.errors import OperationFailure

from adapters.mongo.client import Collection, Database, Document
from adapters.mongo.documents import Kind
from adapters.mongo.expressions import TEXT
from models.payout import PayoutStatus, Reservation
from ports.store import UnfitStoreError

_UNFIT_CODES = frozenset({67, 85, 86, 11000})
"""CannotCreateIndex, IndexOptionsConflict, IndexKeySpecsConflict, DuplicateKey."""


@dataclass(frozen=True, slots=True)
class Index:
    """One index of a collection; `only` is its partial filter."""

    name: str
    keys: Sequence[tuple[str, int]]
    serves: str
    unique: bool = False
    only: Document = field(default_factory=dict)

    def model(self) -> IndexModel:
        """As the driver takes it."""
        options: dict[str, Any] = {"name": self.name}
        if self.unique:
            options["unique"] = True
        if self.only:
            options["partialFilterExpression"] = self.only
        return IndexModel(list(self.keys), **options)


def _newest_first(name: str, path: str, serves: str) -> Index:
    return Index(name, [(path, ASCENDING), ("_id", DESCENDING)], serves, only={path: TEXT})


def _of_entries(name: str, path: str) -> Index:
    serves = f"list_entries by {path}"
    return Index(name, [(path, ASCENDING), ("_id", DESCENDING)], serves, only={path: TEXT})


PAYOUT_INDEXES: Sequence[Index] = (
    Index(
        "txids_unique",
        [("txids", ASCENDING)],
        "no two documents share a txid; move_cursor finds a hit's document; list by txid",
        unique=True,
        only={"txids": TEXT},
    ),
    Index(
        "owner_key_unique",
        [("client", ASCENDING), ("idempotency_key", ASCENDING), ("tenant", ASCENDING)],
        "one payout per client, tenant and idempotency key; find_by_key",
        unique=True,
        only={"idempotency_key": TEXT},
    ),
    Index(
        "pending_by_rank",
        [
            ("order.currency", ASCENDING),
            ("wallet", ASCENDING),
            ("rank_at", ASCENDING),
            ("due_at", ASCENDING),
        ],
        "claim: candidates of some currencies and wallets by rank",
        only={"status": PayoutStatus.PENDING.value},
    ),
    Index(
        "pending_by_route",
        [
            ("route", ASCENDING),
            ("order.route", ASCENDING),
            ("created_at", ASCENDING),
            ("_id", ASCENDING),
        ],
        "waiting_on: the oldest payouts that wait on a route that they did not ask for",
        only={"status": PayoutStatus.PENDING.value},
    ),
    Index(
        "lease_token",
        [("lease.token", ASCENDING)],
        "recorded; exposure: what others are building; backlog: leases",
        only={"lease.token": TEXT},
    ),
    Index(
        "processing_by_expiration",
        [("live_attempt.expiration_ms", DESCENDING)],
        "live_to_review; exposure, which reads all that is processing",
        only={"status": PayoutStatus.PROCESSING.value},
    ),
    Index(
        "unsettled",
        [("kind", ASCENDING), ("unsettled", ASCENDING)],
        "to_settle",
        only={"unsettled": TEXT},
    ),
    Index(
        "reservation_held",
        [("status", ASCENDING)],
        "to_release",
        only={"reservation": Reservation.HELD.value},
    ),
    Index(
        "open_by_expiry",
        [("order.expires_at", ASCENDING), ("status", ASCENDING)],
        "expire_due",
        only={"order.expires_at": {"$type": "date"}},
    ),
    Index(
        "awaiting_by_timeout",
        [("approval.expires_at", ASCENDING)],
        "expire_due: those that nobody approved in time",
        only={"status": PayoutStatus.AWAITING_APPROVAL.value},
    ),
    Index(
        "scheduled_by_release",
        [("release_at", ASCENDING)],
        "release_due",
        only={"status": PayoutStatus.SCHEDULED.value},
    ),
    Index(
        "batched_by_window",
        [("order.payout_type", ASCENDING), ("order.batch_window", ASCENDING), ("_id", ASCENDING)],
        "full_batches",
        only={"status": PayoutStatus.SCHEDULED.value},
    ),
    Index(
        "ended_by_time",
        [("status", ASCENDING), ("updated_at", ASCENDING), ("_id", ASCENDING)],
        "ended: payouts of a day in a terminal state, in order",
    ),
    Index(
        "unlogged",
        [("kind", ASCENDING), ("outbox", ASCENDING)],
        "what the audit log has not got yet",
        only={"outbox": {"$gte": 0}},
    ),
    Index(
        "unexplained",
        [("explained_at", ASCENDING), ("hits.block.number", ASCENDING)],
        "unexplained, count_open_unexplained",
        only={"kind": Kind.UNEXPLAINED.value},
    ),
    _newest_first("by_client", "client", "list and totals: own payouts"),
    _newest_first("by_tenant", "tenant", "list and totals: payouts of a tenant"),
    _newest_first("by_node", "order.node_id", "list and totals: payouts of a node"),
    _newest_first("by_status", "status", "list by status; backlog: the oldest pending payout"),
    _newest_first("by_recipient", "order.recipient_address", "list by recipient"),
    _newest_first("by_session", "order.session_id", "list by session"),
    _newest_first("by_reference", "order.reference", "list by reference"),
    _newest_first("by_batch", "batch_id", "list by batch: the payouts of one request"),
    Index("by_created", [("created_at", DESCENDING)], "list by time of creation"),
    Index(
        "recipient_by_time",
        [("order.recipient_address", ASCENDING), ("created_at", DESCENDING)],
        "velocity: newest payouts to a recipient",
        only={"order.recipient_address": TEXT},
    ),
    Index(
        "owner_by_time",
        [("client", ASCENDING), ("tenant", ASCENDING), ("created_at", DESCENDING)],
        "velocity: newest payouts of a client",
        only={"client": TEXT},
    ),
    Index(
        "route_by_status",
        [("route", ASCENDING), ("status", ASCENDING), ("updated_at", DESCENDING)],
        "route_figures: what is open, what ended lately, what was completed last",
        only={"route": TEXT},
    ),
)


AUDIT_INDEXES: Sequence[Index] = (
    Index(
        "source_unique",
        [("source", ASCENDING), ("n", ASCENDING)],
        "each event and act is in the log once; logged",
        unique=True,
    ),
    _of_entries("by_subject", "subject"),
    _of_entries("by_action", "action"),
    _of_entries("by_who", "by"),
    _of_entries("by_request", "request_id"),
    Index("by_time", [("at", DESCENDING)], "list_entries by time"),
)

INDEXES: Mapping[str, Sequence[Index]] = {
    "payouts": PAYOUT_INDEXES,
    "audit_log": AUDIT_INDEXES,
    "audit_archive": AUDIT_INDEXES,
}

RETIRED: Sequence[str] = (
    "client_key_unique",
    "pending_by_urgency",
    "pending_by_currency",
    "pending_by_expiry",
)
"""Indexes of earlier versions that would refuse what is right now, or that serve nothing."""


async def ensure_indexes(database: Database) -> None:
    """Make what is missing, then read back what is there.

    Raises UnfitStoreError when an index can't be made (the data breaks a unique one, or another
    index is in its place) or is not as it must be.
    """
    for name, indexes in INDEXES.items():
        await _ensure(database[name], indexes)


async def _ensure(collection: Collection, indexes: Sequence[Index]) -> None:
    try:
        await collection.create_indexes([index.model() for index in indexes])
    except OperationFailure as error:
        if error.code in _UNFIT_CODES:
            problem = f"can't be made: {error.details or error}"
            raise UnfitStoreError(_message(collection.name, problem)) from error
        raise
    there = {found["name"]: _essence(found) async for found in collection.list_indexes()}
    for name in RETIRED:
        if name in there:
            await collection.drop_index(name)
    for index in indexes:
        if there.get(index.name) != _essence(index.model().document):
            problem = f"{index.name} is not as it must be"
            raise UnfitStoreError(_message(collection.name, problem))


def _essence(description: Any) -> Document:
    """What makes up an index, whichever server version describes it."""
    document = {name: part for name, part in dict(description).items() if name not in ("v", "ns")}
    return {**document, "key": list(dict(document["key"]).items())}


def _message(collection: str, problem: str) -> str:
    return (
        f"the indexes of the {collection} collection are unfit: {problem}. Without them a payout "
        "could be paid twice, or be in the audit log twice. Drop or rename the index that is in "
        "the way, or find the documents that break it, then start again"
    )
