"""What follows from a hit or a death: pure decisions that become guarded writes.

The caller has read the payout; every change is guarded on exactly what was read, so a decision
that is out of date writes nothing.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from models.chain import Cursor, FeeDay, Hit
from models.compliance import Screening
from models.errors import Reason
from models.payout import Change, Guard, Payout, PayoutStatus, hits_of, move
from models.policy import FeePolicy
from models.transaction import (
    Attempt,
    AttemptState,
    Verdict,
    death_counts,
    fee_limit_was_binding,
    judge,
)

SETTLER = "settler"
SHORTAGE = "P200"
"""The code of a failure that an empty wallet caused."""


@dataclass(frozen=True, slots=True)
class FailureFacts:
    """What is needed to tell why a solid transaction failed: the energy price in sun, and whether
    the wallet holds too little for the payout now."""

    energy_sun: int
    short: bool


def live_hit(payout: Payout) -> Hit | None:
    """The newest hit on the live attempt."""
    if payout.live_attempt is None:
        return None
    found = hits_of(payout, payout.live_attempt.txid)
    return found[-1] if found else None


def hit_on_dead(payout: Payout) -> Hit | None:
    """A hit on an attempt that was declared dead: the proof was wrong, somebody must look."""
    dead = {a.txid for a in payout.attempts if a.state is AttemptState.DEAD}
    return next((hit for hit in payout.hits if hit.txid in dead), None)


def after_wrong_death(payout: Payout, hit: Hit) -> Change | None:
    """The change that a hit on a dead attempt brings: a person looks before anything is paid again.

    None for a payout that is not pending: of it nothing new is built, or an attempt is live.
    """
    if payout.status is not PayoutStatus.PENDING:
        return None
    why = Reason("P203", "an attempt that was declared dead is in a solid block")
    return move(payout, PayoutStatus.NEEDS_REVIEW, by=SETTLER, why=why, hit=hit)


def failed_hit(payout: Payout) -> Hit | None:
    """The newest hit on the live attempt, if it is of a transaction that failed. Judging it takes
    FailureFacts, and frees the payout."""
    hit = live_hit(payout)
    return None if hit is None or hit.contract_ret == "SUCCESS" else hit


def after_hit(
    payout: Payout, attempt: Attempt, hit: Hit, facts: FailureFacts | None, fees: FeePolicy
) -> Change:
    """The change that a solid transaction of the live attempt brings.

    `facts` are needed unless the hit is a SUCCESS (see `failed_hit`).
    """
    verdict = judge(attempt, hit)
    if verdict is Verdict.PAID:
        return _close(payout, attempt, hit, PayoutStatus.COMPLETED, AttemptState.SETTLED, None)
    if verdict is Verdict.MISMATCH:
        why = Reason("P207", "solid and successful, but not the transfer that was asked for")
        return _close(payout, attempt, hit, PayoutStatus.NEEDS_REVIEW, AttemptState.SETTLED, why)
    if facts is None:
        raise ValueError("a failed transaction cannot be judged without facts")
    return _after_failure(payout, attempt, hit, facts, fees)


def _after_failure(
    payout: Payout, attempt: Attempt, hit: Hit, facts: FailureFacts, fees: FeePolicy
) -> Change:
    burned = payout.burned_sun + hit.fee_sun
    fields: dict[str, object] = {"burned_sun": burned}
    binding = hit.contract_ret == "OUT_OF_ENERGY" and fee_limit_was_binding(
        attempt, hit, facts.energy_sun
    )
    raised = min(attempt.fee_limit_sun * 3 // 2, fees.max_fee_limit_sun)
    if binding and raised > attempt.fee_limit_sun and burned + raised <= fees.cap_sun(payout.route):
        to, why = PayoutStatus.PENDING, Reason("P201", "the fee limit was too low; it is raised")
        fields["min_fee_limit_sun"] = raised
    elif _is_shortage(hit, facts) and not binding:
        to, why = PayoutStatus.PENDING, Reason(SHORTAGE, "the wallet ran short; it must be funded")
    else:
        said = f": {hit.message}" if hit.message else ""
        to, why = PayoutStatus.FAILED, Reason("P204", f"failed on chain, {hit.contract_ret}{said}")
    change = _close(payout, attempt, hit, to, AttemptState.FAILED_ON_CHAIN, why)
    return replace(change, fields=fields, due_in_seconds=0.0)


def _is_shortage(hit: Hit, facts: FailureFacts) -> bool:
    """Whether a solid failure came from an empty wallet: energy that neither stake nor balance
    could pay for, or a revert while the wallet holds less than the amount."""
    return hit.contract_ret == "OUT_OF_ENERGY" or (hit.contract_ret == "REVERT" and facts.short)


def after_death(
    payout: Payout, attempt: Attempt, cursor: Cursor, now: datetime, max_deaths: int
) -> Change:
    """The change that a proven death brings. `now` is the database's clock.

    The caller has proven it (`models.transaction.is_dead`, a second endpoint); the write itself
    demands that no hit is on the attempt.
    """
    deaths = payout.counted_deaths + (1 if death_counts(attempt, cursor) else 0)
    expires = payout.order.expires_at
    if expires is not None and expires <= now:
        to, why = PayoutStatus.EXPIRED, Reason("P503", "expired before it could be paid")
    elif deaths >= max_deaths:
        to, why = (
            PayoutStatus.NEEDS_REVIEW,
            Reason("P202", f"{deaths} attempts died without reaching a block"),
        )
    else:
        to, why = PayoutStatus.PENDING, Reason("P202", "the attempt died; another one follows")
    change = _close(payout, attempt, None, to, AttemptState.DEAD, why)
    return replace(
        change,
        guard=replace(change.guard, unhit=True),
        fields={"counted_deaths": deaths},
        due_in_seconds=0.0,
    )


def after_expiry(payout: Payout) -> Change:
    """The change that ends a payout without a live attempt whose time is over: its own, or that to
    approve it, of which the first one to end is the reason."""
    ends_at, approval = payout.order.expires_at, payout.approval
    awaited = approval if payout.status is PayoutStatus.AWAITING_APPROVAL else None
    if awaited is not None and (ends_at is None or awaited.expires_at < ends_at):
        why = Reason("P603", "nobody approved it in time")
    else:
        why = Reason("P503", "expired before it could be paid")
    return move(payout, PayoutStatus.EXPIRED, by="housekeeper", why=why)


def put_off(payout: Payout, token: str, reason: Reason | None, seconds: float) -> Change:
    """A claimed payout goes back to wait, with the reason shown: no transition, no history."""
    return Change(
        payout_id=payout.payout_id,
        guard=Guard(status=PayoutStatus.PENDING, version=payout.version, lease_token=token),
        to_status=PayoutStatus.PENDING,
        by="dispatcher",
        why=reason,
        due_in_seconds=seconds,
    )


def refuse(payout: Payout, token: str, reason: Reason, seconds: float, max_refusals: int) -> Change:
    """A preflight said that the transfer would revert: wait, and after `max_refusals` times let a
    person look. A node's word alone never ends a payout."""
    refusals = payout.refusals + 1
    waiting = put_off(payout, token, reason, seconds)
    to = PayoutStatus.PENDING if refusals < max_refusals else PayoutStatus.NEEDS_REVIEW
    return replace(waiting, to_status=to, fields={"refusals": refusals})


def stop(payout: Payout, token: str, said: Screening) -> Change:
    """What the rules that are asked again before a payout is sent make of it: one that refuses
    ends it, one that holds it leaves it to a person."""
    findings = (*payout.findings, *said.findings)
    refused, hold = said.refusal, said.hold
    guard = Guard(PayoutStatus.PENDING, version=payout.version, lease_token=token)
    if refused is not None:
        to, why = PayoutStatus.REJECTED, Reason(refused.code, refused.text)
    elif hold is not None:
        to, why = PayoutStatus.NEEDS_REVIEW, Reason(hold.code, hold.text)
    else:
        raise ValueError("no rule stops this payout")
    fields = {"findings": findings, "hold": None if refused else hold}
    return Change(payout.payout_id, guard, to, by="dispatcher", why=why, fields=fields)


def utc_day(time_ms: int) -> str:
    """The UTC day of a block time (ms), as 2026-01-31."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d")


def burned_today(fees: FeeDay, day: str, fee_sun: int) -> FeeDay:
    """The fee counter after a block of that UTC day burned `fee_sun` more of ours."""
    if day == fees.day:
        return FeeDay(day, fees.burned_sun + fee_sun)
    return FeeDay(day, fee_sun)


def _close(
    payout: Payout,
    attempt: Attempt,
    hit: Hit | None,
    to: PayoutStatus,
    state: AttemptState,
    why: Reason | None,
) -> Change:
    return move(payout, to, by=SETTLER, why=why, close=attempt, close_as=state, hit=hit)
