"""A guarded change applied to a payout in memory: pure functions."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from models.payout import Change, Event, Guard, Payout, PayoutStatus


def guard_holds(payout: Payout, guard: Guard) -> bool:
    """Whether a payout is as a guard demands."""
    live_txid = payout.live_attempt.txid if payout.live_attempt else None
    token = payout.lease.token if payout.lease else None
    return (
        payout.status is guard.status
        and live_txid == guard.live_txid
        and guard.version in (None, payout.version)
        and guard.lease_token in (None, token)
        and (guard.fresh_txid is None or guard.fresh_txid not in payout.txids)
        and not (guard.unhit and any(hit.txid == guard.live_txid for hit in payout.hits))
    )


def changed(payout: Payout, change: Change, now: datetime) -> Payout:
    """The payout after a change whose guard holds."""
    assignments: dict[str, Any] = {
        "status": change.to_status,
        "status_reason": payout.status_reason if change.act else change.why,
        "updated_at": now,
        "version": payout.version + 1,
        "lease": payout.lease if change.record else None,
        **change.fields,
    }
    if change.is_told:
        assignments["history"] = (*payout.history, _event(change, now))
        assignments["outbox"] = (*payout.outbox, len(payout.history))
    if change.to_status is PayoutStatus.COMPLETED:
        assignments["completed_at"] = now
    if change.due_in_seconds is not None:
        assignments["due_at"] = now + timedelta(seconds=change.due_in_seconds)
    if change.close_as is not None and payout.live_attempt is not None:
        closed = replace(payout.live_attempt, state=change.close_as, closed_at=now, hit=change.hit)
        assignments |= {"attempts": (*payout.attempts, closed), "live_attempt": None}
    if change.record is not None:
        txids = (*payout.txids, change.record.txid)
        assignments |= {"live_attempt": change.record, "txids": txids}
    return replace(payout, **assignments)


def _event(change: Change, now: datetime) -> Event:
    return Event(
        at=now,
        by=change.by,
        from_status=change.guard.status,
        to_status=change.to_status,
        why=change.why,
        txid=change.event_txid,
        request_id=change.request_id,
        act=change.act,
    )
