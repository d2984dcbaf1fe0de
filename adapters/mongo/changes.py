"""A guarded change as one update of one document."""

from typing import Any

from pymongo import UpdateOne

from adapters.mongo.client import Document
from adapters.mongo.expressions import NOW, Expression, after_now, items, literal, pushed, without
from models.payout import Change, Guard, PayoutStatus
from models.transaction import Attempt, AttemptState


def update_of(change: Change) -> UpdateOne:
    """The update that writes a change if its guard holds; times come from the server's clock."""
    return UpdateOne(guard_filter(change.payout_id, change.guard), [{"$set": _assignments(change)}])


def guard_filter(payout_id: str, guard: Guard) -> Document:
    """What the stored document must look like for the change to be written."""
    live = (
        {"live_attempt": None}
        if guard.live_txid is None
        else {"live_attempt.txid": guard.live_txid}
    )
    demands: list[tuple[bool, Document]] = [
        (guard.version is not None, {"version": guard.version}),
        (guard.unhit, {"hits": {"$not": {"$elemMatch": {"txid": guard.live_txid}}}}),
        (guard.lease_token is not None, {"lease.token": guard.lease_token}),
        (guard.fresh_txid is not None, {"txids": {"$ne": guard.fresh_txid}}),
    ]
    wanted: Document = {"_id": payout_id, "status": guard.status.value, **live}
    for demanded, condition in demands:
        if demanded:
            wanted.update(condition)
    return wanted


def _assignments(change: Change) -> dict[str, Any]:
    """The fields that a change sets, each by an expression over the document as it is."""
    assignments: dict[str, Any] = {
        "status": literal(change.to_status),
        "updated_at": NOW,
        "version": {"$add": ["$version", 1]},
        **{name: literal(value) for name, value in change.fields.items()},
    }
    if change.act is None:
        assignments["status_reason"] = literal(change.why)
    if change.is_told:
        assignments["history"] = pushed("$history", _event(change))
        assignments["outbox"] = pushed("$outbox", {"$size": items("$history")})
    if change.to_status is PayoutStatus.COMPLETED:
        assignments["completed_at"] = NOW
    if change.due_in_seconds is not None:
        assignments["due_at"] = after_now(change.due_in_seconds)
    if change.hit is not None:
        judged: Expression = {"$eq": ["$$item", literal(change.hit.txid)]}
        assignments["unsettled"] = without("$unsettled", judged)
    if change.close_as is not None:
        assignments |= _closing(change, change.close_as)
    return assignments | (_recording(change.record) if change.record else {"lease": None})


def _event(change: Change) -> Expression:
    return {
        "at": NOW,
        "by": literal(change.by),
        "from_status": literal(change.guard.status),
        "to_status": literal(change.to_status),
        "why": literal(change.why),
        "txid": literal(change.event_txid),
        "request_id": literal(change.request_id),
        "act": literal(change.act),
    }


def _closing(change: Change, state: AttemptState) -> dict[str, Any]:
    end: Expression = {"state": literal(state), "closed_at": NOW, "hit": literal(change.hit)}
    closed: Expression = {"$mergeObjects": ["$live_attempt", end]}
    return {"attempts": pushed("$attempts", closed), "live_attempt": None}


def _recording(attempt: Attempt) -> dict[str, Any]:
    return {
        "live_attempt": literal(attempt),
        "txids": pushed("$txids", literal(attempt.txid)),
    }
