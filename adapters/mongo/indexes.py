"""Every index, the query that it serves, and the check that the server has exactly these."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.errors import OperationFailure

from adapters.mongo.client import Database, Document
from adapters.mongo.documents import Kind
from adapters.mongo.expressions import TEXT
from models.payout import PayoutStatus, Reservation
from ports.store import UnfitStoreError

_UNFIT_CODES = frozenset({67, 85, 86, 11000})
"""CannotCreateIndex, IndexOptionsConflict, IndexKeySpecsConflict, DuplicateKey."""


@dataclass(frozen=True, slots=True)
class Index:
    """One index of the payouts collection; `only` is its partial filter."""

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


PAYOUT_INDEXES: Sequence[Index] = (
    Index(
        "txids_unique",
        [("txids", ASCENDING)],
        "no two documents share a txid; move_cursor finds a hit's document; list by txid",
        unique=True,
        only={"txids": TEXT},
    ),
    Index(
        "client_key_unique",
        [("client", ASCENDING), ("idempotency_key", ASCENDING)],
        "one payout per client and idempotency key; find_by_key",
        unique=True,
        only={"idempotency_key": TEXT},
    ),
    Index(
        "pending_by_urgency",
        [("order.priority", DESCENDING), ("due_at", ASCENDING)],
        "claim: candidates by (priority, due time)",
        only={"status": PayoutStatus.PENDING.value},
    ),
    Index(
        "lease_token",
        [("lease.token", ASCENDING)],
        "recorded; exposure: what others are building",
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
        "pending_by_expiry",
        [("order.expires_at", ASCENDING)],
        "expire_due",
        only={"status": PayoutStatus.PENDING.value},
    ),
    Index(
        "ended_by_time",
        [("status", ASCENDING), ("updated_at", ASCENDING), ("_id", ASCENDING)],
        "ended: payouts of a day in a terminal state, in order",
    ),
    Index(
        "unexplained",
        [("explained_at", ASCENDING), ("hits.block.number", ASCENDING)],
        "unexplained, count_open_unexplained",
        only={"kind": Kind.UNEXPLAINED.value},
    ),
    _newest_first("by_client", "client", "list and totals: own payouts"),
    _newest_first("by_node", "order.node_id", "list and totals: payouts of a node"),
    _newest_first("by_status", "status", "list by status"),
    _newest_first("by_recipient", "order.recipient_address", "list by recipient"),
    _newest_first("by_session", "order.session_id", "list by session"),
    _newest_first("by_reference", "order.reference", "list by reference"),
    Index("by_created", [("created_at", DESCENDING)], "list by time of creation"),
)


async def ensure_indexes(database: Database) -> None:
    """Make what is missing, then read back what is there.

    Raises UnfitStoreError when an index can't be made (the data breaks a unique one, or another
    index is in its place) or is not as it must be.
    """
    collection = database["payouts"]
    try:
        await collection.create_indexes([index.model() for index in PAYOUT_INDEXES])
    except OperationFailure as error:
        if error.code in _UNFIT_CODES:
            raise UnfitStoreError(_message(f"can't be made: {error.details or error}")) from error
        raise
    there = {found["name"]: _essence(found) async for found in collection.list_indexes()}
    for index in PAYOUT_INDEXES:
        if there.get(index.name) != _essence(index.model().document):
            raise UnfitStoreError(_message(f"{index.name} is not as it must be"))


def _essence(description: Any) -> Document:
    """What makes up an index, whichever server version describes it."""
    document = {name: part for name, part in dict(description).items() if name not in ("v", "ns")}
    return {**document, "key": list(dict(document["key"]).items())}


def _message(problem: str) -> str:
    return (
        f"the indexes of the payouts collection are unfit: {problem}. Without them a payout could "
        "be paid twice. Drop or rename the index that is in the way, or find the documents that "
        "break it, then start again"
    )
