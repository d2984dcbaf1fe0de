"""The payout: its states, the table of legal moves, and the one function that moves it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from models.approval import Approval, complete, missing
from models.chain import Hit
from models.errors import PayoutError, Reason
from models.findings import Finding, Hold
from models.order import Order, RouteName
from models.transaction import Attempt, AttemptState, Verdict, judge


class PayoutStatus(StrEnum):
    """Where a payout stands. `processing` means exactly: it has a live attempt.

    `scheduled` waits for a time, `awaiting_approval` and `needs_review` for a person.
    """

    SCHEDULED = "scheduled"
    AWAITING_APPROVAL = "awaiting_approval"
    PENDING = "pending"
    PROCESSING = "processing"
    NEEDS_REVIEW = "needs_review"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"


_S = PayoutStatus

LEGAL_MOVES: Mapping[PayoutStatus, frozenset[PayoutStatus]] = {
    # completed from a status without an attempt: a person links a transfer that a restored backup
    # forgot.
    _S.SCHEDULED: frozenset({_S.PENDING, _S.CANCELLED, _S.EXPIRED, _S.COMPLETED}),
    _S.AWAITING_APPROVAL: frozenset(
        {_S.SCHEDULED, _S.PENDING, _S.CANCELLED, _S.REJECTED, _S.EXPIRED, _S.COMPLETED}
    ),
    # rejected: a rule that was asked again refused it.
    _S.PENDING: frozenset(
        {
            *(_S.PROCESSING, _S.NEEDS_REVIEW, _S.COMPLETED),
            *(_S.CANCELLED, _S.REJECTED, _S.EXPIRED),
        }
    ),
    _S.PROCESSING: frozenset({_S.PENDING, _S.COMPLETED, _S.FAILED, _S.NEEDS_REVIEW, _S.EXPIRED}),
    _S.NEEDS_REVIEW: frozenset(
        {
            *(_S.SCHEDULED, _S.AWAITING_APPROVAL, _S.PENDING, _S.COMPLETED),
            *(_S.FAILED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED),
        }
    ),
    _S.COMPLETED: frozenset(),
    _S.FAILED: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.REJECTED: frozenset(),
    _S.EXPIRED: frozenset(),
}

TERMINAL = frozenset(status for status, moves in LEGAL_MOVES.items() if not moves)
OPEN = frozenset(PayoutStatus) - TERMINAL


class Reservation(StrEnum):
    """What a payout still holds of the limits: `held` until it ends, then `kept` or `released`."""

    HELD = "held"
    KEPT = "kept"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a payout's history: who moved it, when (database clock), from, to, why.

    `by` is "ROLE:subject" of a person or client, or the loop that did it; `request_id` is the
    request by which they did. `act` names what was done where the status stays, such as `approved`.
    """

    at: datetime
    by: str
    from_status: PayoutStatus | None
    to_status: PayoutStatus
    why: Reason | None
    txid: str | None = None
    request_id: str | None = None
    act: str | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to build an attempt, until a moment of the database's clock."""

    owner: str
    token: str
    until: datetime


class Resolution(StrEnum):
    """What a person decides about a payout in `needs_review`."""

    RETRY = "retry"
    COMPLETE = "complete"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Payout:
    """One payout, which is one document: the order, where it stands, and all that happened.

    `client` and `tenant` are those of the token that created it; idempotency keys are per client.
    `batch_id` is that of the request that it came in with others (models/batch.py).
    `outbox` numbers the entries of the history (from 0) that the audit log has not got yet.
    `txids` only grows. `counted_deaths` are the deaths that say something about the payout.
    `min_fee_limit_sun` is raised when a fee limit was binding. `burned_sun` is what failed
    attempts cost so far. `window_ids` are the limit windows it counts in. `linked_hit` is a
    transfer that a person declared to be this payout's (after a restored backup).
    `refusals` are the times that a preflight said the transfer would revert.
    `route` is the one that was chosen, `wallet` the hot wallet that pays on it; `findings` say why,
    and what other rules said. `hold` is what holds it back until a person decides, `released` the
    rules that a person has let it pass, `approval` the consents that it needs. It waits until
    `release_at`. Of what is due, the lowest `rank_at` is paid first (models/schedule.py).
    """

    payout_id: str
    client: str
    order: Order
    status: PayoutStatus
    created_at: datetime
    updated_at: datetime
    due_at: datetime
    window_ids: tuple[str, ...]
    fingerprint: str
    tenant: str | None = None
    route: RouteName | None = None
    wallet: str | None = None
    findings: tuple[Finding, ...] = ()
    hold: Hold | None = None
    released: tuple[str, ...] = ()
    approval: Approval | None = None
    release_at: datetime | None = None
    rank_at: datetime | None = None
    idempotency_key: str | None = None
    batch_id: str | None = None
    reservation: Reservation = Reservation.HELD
    status_reason: Reason | None = None
    completed_at: datetime | None = None
    lease: Lease | None = None
    live_attempt: Attempt | None = None
    attempts: tuple[Attempt, ...] = ()
    txids: tuple[str, ...] = ()
    hits: tuple[Hit, ...] = ()
    linked_hit: Hit | None = None
    history: tuple[Event, ...] = ()
    outbox: tuple[int, ...] = ()
    counted_deaths: int = 0
    refusals: int = 0
    min_fee_limit_sun: int = 0
    burned_sun: int = 0
    version: int = 0


@dataclass(frozen=True, slots=True)
class Guard:
    """What must still be true of the stored payout for a change to be written.

    `status` always; `version` where given. `live_txid` is the attempt that must be live, None
    means that there must be none. `unhit` demands that no hit is on that live attempt.
    `lease_token` demands that lease; `fresh_txid` that this txid is not among `txids`.
    """

    status: PayoutStatus
    live_txid: str | None = None
    version: int | None = None
    unhit: bool = False
    lease_token: str | None = None
    fresh_txid: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One guarded write to one payout: a move, its history entry, and the fields that go with it.

    Writing it sets status, `status_reason` (to `why`), `updated_at`, and `completed_at` where it
    completes, raises `version`, clears the lease unless it records, and appends to the history
    and the outbox unless the status stays (a payout that is put off is no transition). `by` and
    `request_id` are the history's. `close_as` ends the live
    attempt in that state and moves it to `attempts`, with `hit`.
    `record` sets a new live attempt and appends its txid. `due_in_seconds` counts from the
    database's clock. `fields` are plain values by field name of `Payout`.
    """

    payout_id: str
    guard: Guard
    to_status: PayoutStatus
    by: str
    why: Reason | None = None
    act: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    record: Attempt | None = None
    close: Attempt | None = None
    close_as: AttemptState | None = None
    hit: Hit | None = None
    due_in_seconds: float | None = None
    request_id: str | None = None

    @property
    def is_told(self) -> bool:
        """Whether the history tells of it."""
        return self.to_status is not self.guard.status or self.act is not None

    @property
    def event_txid(self) -> str | None:
        """The txid that the history entry speaks of, if any."""
        attempt = self.record or self.close
        if attempt is not None:
            return attempt.txid
        return self.hit.txid if self.hit is not None else None


def move(payout: Payout, to: PayoutStatus, *, by: str, **details: Any) -> Change:
    """The guarded write that takes a payout from where it stands to `to`.

    The guard is exact: same status, same live attempt, same version. Raises PayoutError P500
    when the table does not allow the move, or a live attempt would be left without its end.
    """
    check_move(payout.status, to)
    if payout.live_attempt is not None and details.get("close_as") is None:
        raise PayoutError("P500", "this payout has a live attempt, which must end first")
    live = payout.live_attempt
    return Change(
        payout_id=payout.payout_id,
        guard=Guard(
            status=payout.status,
            live_txid=None if live is None else live.txid,
            version=payout.version,
        ),
        to_status=to,
        by=by,
        **details,
    )


def told(payout: Payout, act: str, *, by: str, **details: Any) -> Change:
    """The guarded write that changes a payout where it stands, and tells of it in the history."""
    return Change(
        payout_id=payout.payout_id,
        guard=Guard(status=payout.status, version=payout.version),
        to_status=payout.status,
        by=by,
        act=act,
        **details,
    )


def untouched(payout: Payout) -> Change:
    """The guarded write that leaves a payout as it is, but for its version (and lease): whatever
    else was decided on what was read is written no more."""
    live = payout.live_attempt
    guard = Guard(payout.status, None if live is None else live.txid, payout.version)
    return Change(payout.payout_id, guard, payout.status, by="", why=payout.status_reason)


def next_status(payout: Payout, now: datetime) -> PayoutStatus:
    """Where a payout without an attempt stands, by what it still waits for. `now`: the store's."""
    if payout.hold is not None:
        return PayoutStatus.NEEDS_REVIEW
    if payout.approval is not None and not complete(payout.approval):
        return PayoutStatus.AWAITING_APPROVAL
    if payout.release_at is not None and payout.release_at > now:
        return PayoutStatus.SCHEDULED
    return PayoutStatus.PENDING


def waits_for(payout: Payout, now: datetime) -> Reason | None:
    """What `next_status` is for, in words; None where nothing is waited for."""
    match next_status(payout, now):
        case PayoutStatus.NEEDS_REVIEW if payout.hold is not None:
            return Reason(payout.hold.code, payout.hold.text)
        case PayoutStatus.AWAITING_APPROVAL if payout.approval is not None:
            return Reason("P602", missing(payout.approval))
        case PayoutStatus.SCHEDULED:
            return Reason(None, f"waits until {payout.release_at:%Y-%m-%d %H:%M:%S} UTC")
    return None


def check_move(current: PayoutStatus, to: PayoutStatus) -> None:
    """Raise PayoutError P500 unless the table allows to go from `current` to `to`."""
    if to not in LEGAL_MOVES[current]:
        raise PayoutError("P500", f"a payout that is {current} cannot become {to}")


def has_success(payout: Payout) -> bool:
    """Whether some solid transaction of this payout succeeded (money moved, or may have)."""
    return any(hit.contract_ret == "SUCCESS" for hit in payout.hits)


def all_attempts_unpaid(payout: Payout) -> bool:
    """Whether every attempt is proven dead or failed on chain: only then may another be made."""
    return (
        payout.live_attempt is None
        and not has_success(payout)
        and all(
            attempt.state in (AttemptState.DEAD, AttemptState.FAILED_ON_CHAIN)
            for attempt in payout.attempts
        )
    )


def hits_of(payout: Payout, txid: str) -> Sequence[Hit]:
    """The hits on one attempt; more than one only after a rescan of another chain."""
    return [hit for hit in payout.hits if hit.txid == txid]


def paid_hit(payout: Payout) -> Hit | None:
    """The solid transaction that paid this payout, if one did."""
    if payout.linked_hit is not None:
        return payout.linked_hit
    for attempt in payout.attempts:
        if attempt.state is AttemptState.SETTLED and attempt.hit is not None:
            return attempt.hit if judge(attempt, attempt.hit) is Verdict.PAID else None
    return None
