"""What follows from a hit, a death, or time."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.memory.changes import changed, guard_holds
from models.approval import Approval
from models.chain import Cursor, FeeDay, Hit
from models.compliance import Screening
from models.errors import PayoutError, Reason
from models.findings import Effect, Finding, Hold
from models.money import BASE_UNITS
from models.payout import OPEN, TERMINAL, Change, Guard, Payout, PayoutStatus
from models.policy import FeePolicy
from models.settlement import (
    FailureFacts,
    after_death,
    after_expiry,
    after_hit,
    after_wrong_death,
    burned_today,
    failed_hit,
    hit_on_dead,
    live_hit,
    put_off,
    refuse,
    stop,
    utc_day,
)
from models.transaction import Attempt, AttemptState, Verdict, judge
from tests.factories import LONG_AGO, a_block, a_cursor, a_hit, a_payout, an_attempt, an_order

S = PayoutStatus
FEES = FeePolicy(
    fee_limit_sun=20 * BASE_UNITS,
    max_fee_limit_sun=60 * BASE_UNITS,
    payout_cap_sun=100 * BASE_UNITS,
    daily_ceiling_sun=5_000 * BASE_UNITS,
)
FUNDED = FailureFacts(energy_sun=100, short=False)
SHORT = FailureFacts(energy_sun=100, short=True)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def processing(attempt: Attempt | None = None, **fields: Any) -> tuple[Payout, Attempt]:
    """A payout with a live attempt that nodes have taken."""
    attempt = attempt or an_attempt(answers={"SUCCESS": 1})
    payout = a_payout(
        status=S.PROCESSING, live_attempt=attempt, txids=(attempt.txid,), version=3, **fields
    )
    return payout, attempt


def out_of_energy(attempt: Attempt, energy_used: int, **fields: Any) -> Hit:
    return a_hit(
        attempt,
        contract_ret="OUT_OF_ENERGY",
        transfers=(),
        energy_used=energy_used,
        **{"fee_sun": energy_used * 100} | fields,
    )


def is_exact(change: Change, payout: Payout, attempt: Attempt) -> bool:
    """Whether a change closes that attempt, guarded on exactly what was read."""
    guard = Guard(status=payout.status, live_txid=attempt.txid, version=payout.version)
    return change.close == attempt and replace(change.guard, unhit=False) == guard


def test_the_very_transfer_completes() -> None:
    payout, attempt = processing()
    hit = a_hit(attempt)
    change = after_hit(payout, attempt, hit, None, FEES)
    assert (change.to_status, change.close_as) == (S.COMPLETED, AttemptState.SETTLED)
    assert (change.hit, change.by, change.why) == (hit, "settler", None)
    assert is_exact(change, payout, attempt)


def test_another_transfer_goes_to_a_person_and_is_settled() -> None:
    payout, attempt = processing()
    hit = a_hit(attempt, transfers=())
    change = after_hit(payout, attempt, hit, None, FEES)
    assert (change.to_status, change.close_as) == (S.NEEDS_REVIEW, AttemptState.SETTLED)
    assert change.hit == hit
    assert change.why is not None
    assert change.why.code == "P207"
    assert is_exact(change, payout, attempt)


@pytest.mark.parametrize(
    ("contract_ret", "energy_used", "facts", "burned", "to", "code", "raised"),
    [
        ("REVERT", 30_000, FUNDED, 0, S.FAILED, "P204", None),
        ("REVERT", 30_000, SHORT, 0, S.PENDING, "P200", None),
        ("OUT_OF_TIME", 30_000, SHORT, 0, S.FAILED, "P204", None),
        ("OUT_OF_ENERGY", 200_000, FUNDED, 0, S.PENDING, "P201", 30 * BASE_UNITS),
        ("OUT_OF_ENERGY", 200_000, SHORT, 0, S.PENDING, "P201", 30 * BASE_UNITS),
        ("OUT_OF_ENERGY", 50_000, FUNDED, 0, S.PENDING, "P200", None),
        ("OUT_OF_ENERGY", 50_000, SHORT, 0, S.PENDING, "P200", None),
        ("OUT_OF_ENERGY", 200_000, FUNDED, 50 * BASE_UNITS, S.PENDING, "P201", 30 * BASE_UNITS),
        ("OUT_OF_ENERGY", 200_000, FUNDED, 50 * BASE_UNITS + 1, S.FAILED, "P204", None),
    ],
    ids=[
        "revert",
        "revert while short",
        "other failure while short",
        "binding limit",
        "binding limit while short",
        "empty wallet",
        "empty wallet, short",
        "just under the fee cap",
        "over the fee cap",
    ],
)
def test_what_a_solid_failure_brings(
    contract_ret: str,
    energy_used: int,
    facts: FailureFacts,
    burned: int,
    to: PayoutStatus,
    code: str,
    raised: int | None,
) -> None:
    payout, attempt = processing(burned_sun=burned)
    hit = replace(out_of_energy(attempt, energy_used), contract_ret=contract_ret)
    change = after_hit(payout, attempt, hit, facts, FEES)
    assert (change.to_status, change.close_as) == (to, AttemptState.FAILED_ON_CHAIN)
    assert change.why is not None
    assert change.why.code == code
    assert change.fields["burned_sun"] == burned + hit.fee_sun
    assert change.fields.get("min_fee_limit_sun") == raised
    assert change.due_in_seconds == 0
    assert is_exact(change, payout, attempt)


@pytest.mark.parametrize(
    ("limit", "to", "raised"),
    [
        (20, S.PENDING, 30),
        (40, S.PENDING, 60),
        (59, S.PENDING, 60),
        (60, S.FAILED, None),
        (70, S.FAILED, None),
    ],
)
def test_a_binding_fee_limit_is_raised_by_half_up_to_the_highest(
    limit: int, to: PayoutStatus, raised: int | None
) -> None:
    payout, attempt = processing(an_attempt(fee_limit_sun=limit * BASE_UNITS))
    hit = out_of_energy(attempt, limit * BASE_UNITS // 100, fee_sun=0)
    change = after_hit(payout, attempt, hit, FUNDED, FEES)
    assert change.to_status is to
    expected = None if raised is None else raised * BASE_UNITS
    assert change.fields.get("min_fee_limit_sun") == expected


def test_a_failure_shows_what_the_contract_said() -> None:
    payout, attempt = processing()
    said = a_hit(attempt, contract_ret="REVERT", message="REVERT opcode executed")
    silent = replace(said, message="")
    assert after_hit(payout, attempt, said, FUNDED, FEES).why == Reason(
        "P204", "failed on chain, REVERT: REVERT opcode executed"
    )
    assert after_hit(payout, attempt, silent, FUNDED, FEES).why == Reason(
        "P204", "failed on chain, REVERT"
    )


def test_a_failure_is_not_judged_blindly() -> None:
    payout, attempt = processing()
    hit = a_hit(attempt, contract_ret="REVERT")
    assert failed_hit(replace(payout, hits=(hit,))) == hit
    assert failed_hit(replace(payout, hits=(a_hit(attempt),))) is None
    assert failed_hit(payout) is None
    with pytest.raises(ValueError, match="facts"):
        after_hit(payout, attempt, hit, None, FEES)


@given(
    st.sampled_from(["SUCCESS", "REVERT", "OUT_OF_ENERGY", "OUT_OF_TIME", "UNKNOWN", ""]),
    st.booleans(),
    st.integers(0, 10**6),
    st.booleans(),
    st.integers(0, 10**9),
)
def test_only_what_is_proven_unpaid_is_ever_paid_again(
    contract_ret: str, exact: bool, energy_used: int, short: bool, burned: int
) -> None:
    payout, attempt = processing(burned_sun=burned)
    hit = a_hit(
        attempt,
        contract_ret=contract_ret,
        energy_used=energy_used,
        transfers=(attempt.transfer,) if exact else (),
    )
    change = after_hit(payout, attempt, hit, FailureFacts(100, short), FEES)
    verdict = judge(attempt, hit)
    assert (change.to_status is S.COMPLETED) is (verdict is Verdict.PAID)
    assert (change.to_status is S.NEEDS_REVIEW) is (verdict is Verdict.MISMATCH)
    if change.to_status is S.PENDING:
        assert contract_ret in ("REVERT", "OUT_OF_ENERGY")
        assert change.close_as is AttemptState.FAILED_ON_CHAIN
    assert is_exact(change, payout, attempt)


DEATH = a_cursor(1_040)
"""Read past the expiration of every attempt of the factory, with a block in each slot."""


@pytest.mark.parametrize(
    ("expires_in", "deaths_before", "to", "code"),
    [
        (None, 0, S.PENDING, "P202"),
        (None, 1, S.PENDING, "P202"),
        (None, 2, S.NEEDS_REVIEW, "P202"),
        (1, 0, S.PENDING, "P202"),
        (0, 0, S.EXPIRED, "P503"),
        (-1, 0, S.EXPIRED, "P503"),
        (-1, 2, S.EXPIRED, "P503"),
        (1, 2, S.NEEDS_REVIEW, "P202"),
    ],
)
def test_what_a_death_brings(
    expires_in: int | None, deaths_before: int, to: PayoutStatus, code: str
) -> None:
    expires_at = None if expires_in is None else NOW + timedelta(seconds=expires_in)
    order = an_order(expires_at=expires_at)
    payout, attempt = processing(order=order, counted_deaths=deaths_before)
    change = after_death(payout, attempt, DEATH, NOW, max_deaths=3)
    assert (change.to_status, change.close_as) == (to, AttemptState.DEAD)
    assert change.why is not None
    assert change.why.code == code
    assert change.fields == {"counted_deaths": deaths_before + 1}
    assert change.guard.unhit
    assert change.hit is None
    assert change.due_in_seconds == 0
    assert is_exact(change, payout, attempt)


@pytest.mark.parametrize(
    ("answers", "cursor"),
    [
        ({}, DEATH),
        ({"TIMEOUT": 4}, DEATH),
        ({"BANDWITH_ERROR": 4}, DEATH),
        ({"SUCCESS": 1}, Cursor(replace(a_block(1_040), number=1_005), 900)),
    ],
    ids=["never sent", "never answered", "shortage", "halted chain"],
)
def test_deaths_that_say_nothing_never_need_a_person(
    answers: dict[str, int], cursor: Cursor
) -> None:
    payout, attempt = processing(an_attempt(answers=answers), counted_deaths=2)
    change = after_death(payout, attempt, cursor, NOW, max_deaths=3)
    assert change.to_status is S.PENDING
    assert change.fields == {"counted_deaths": 2}


def test_a_hit_keeps_a_death_from_being_written() -> None:
    payout, attempt = processing()
    change = after_death(payout, attempt, DEATH, NOW, max_deaths=3)
    assert guard_holds(payout, change.guard)
    assert not guard_holds(replace(payout, hits=(a_hit(attempt),)), change.guard)
    assert guard_holds(replace(payout, hits=(a_hit(),)), change.guard)


def test_hits_are_looked_for_on_the_right_attempt() -> None:
    payout, attempt = processing()
    dead = replace(an_attempt(), state=AttemptState.DEAD)
    failed = replace(an_attempt(), state=AttemptState.FAILED_ON_CHAIN)
    old, new = a_hit(attempt), a_hit(attempt, block=a_block(1_020))
    payout = replace(payout, attempts=(dead, failed))
    assert live_hit(payout) is None
    assert hit_on_dead(payout) is None
    assert live_hit(replace(payout, hits=(old, a_hit(dead), new))) == new
    assert hit_on_dead(replace(payout, hits=(old, a_hit(dead)))) == a_hit(dead)
    assert hit_on_dead(replace(payout, hits=(a_hit(failed), old))) is None
    assert live_hit(replace(payout, live_attempt=None, hits=(old,))) is None


@pytest.mark.parametrize("status", PayoutStatus)
def test_a_dead_attempt_that_was_included_keeps_a_payout_from_being_paid_again(
    status: PayoutStatus,
) -> None:
    dead = replace(an_attempt(), state=AttemptState.DEAD)
    payout = a_payout(status=status, attempts=(dead,), hits=(a_hit(dead),))
    change = after_wrong_death(payout, a_hit(dead))
    if status is not S.PENDING:
        assert change is None
        return
    assert change is not None
    assert (change.to_status, change.close, change.event_txid) == (S.NEEDS_REVIEW, None, dead.txid)
    assert change.by == "settler"
    assert change.why == Reason("P203", "an attempt that was declared dead is in a solid block")
    assert change.guard == Guard(S.PENDING, version=0)


@pytest.mark.parametrize("status", sorted(OPEN - {S.PROCESSING}))
def test_expiry_ends_a_payout_without_a_live_attempt(status: PayoutStatus) -> None:
    change = after_expiry(a_payout(version=4, status=status))
    assert (change.to_status, change.guard) == (S.EXPIRED, Guard(status, version=4))
    assert (change.by, change.why) == (
        "housekeeper",
        Reason("P503", "expired before it could be paid"),
    )


SOON, LATER = LONG_AGO + timedelta(hours=1), LONG_AGO + timedelta(hours=2)


@pytest.mark.parametrize(
    ("status", "approval_until", "expires_at", "code"),
    [
        (S.AWAITING_APPROVAL, SOON, None, "P603"),
        (S.AWAITING_APPROVAL, SOON, LATER, "P603"),
        (S.AWAITING_APPROVAL, SOON, SOON, "P503"),
        (S.AWAITING_APPROVAL, LATER, SOON, "P503"),
        (S.PENDING, SOON, LATER, "P503"),
    ],
    ids=["approval", "approval first", "both at once", "expiry first", "approved"],
)
def test_what_was_over_first_is_the_reason(
    status: PayoutStatus, approval_until: datetime, expires_at: datetime | None, code: str
) -> None:
    approval = Approval("high_value", 1, ("APPROVER",), 1_800, approval_until)
    order = an_order(expires_at=expires_at)
    change = after_expiry(a_payout(status=status, approval=approval, order=order))
    assert change.why is not None
    assert change.why.code == code


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_nothing_else_expires(status: PayoutStatus) -> None:
    with pytest.raises(PayoutError) as refusal:
        after_expiry(a_payout(status=status))
    assert refusal.value.code == "P500"


BEFORE = Finding("routing.optimal", Effect.NOTE, "the route v0 has 900 of 1000 points")
DENIED = Finding("deny_list", Effect.REFUSE, "the recipient is on the deny list", "P107")
LOOKED_AT = Finding("sanctions", Effect.HOLD, "the recipient is on the sanctions list", "P601")
HELD = Hold(("sanctions",), LOOKED_AT.text, "P601", ("ADMIN",))


@pytest.mark.parametrize(
    ("said", "to", "hold"),
    [
        (Screening((LOOKED_AT,), hold=HELD), S.NEEDS_REVIEW, HELD),
        (Screening((DENIED,), refusal=DENIED), S.REJECTED, None),
        (Screening((LOOKED_AT, DENIED), refusal=DENIED, hold=HELD), S.REJECTED, None),
    ],
    ids=["held", "refused", "both"],
)
def test_a_rule_that_is_asked_again_stops_a_claimed_payout(
    said: Screening, to: PayoutStatus, hold: Hold | None
) -> None:
    payout = a_payout(version=4, findings=(BEFORE,))
    change = stop(payout, "token", said)
    assert change.guard == Guard(S.PENDING, version=4, lease_token="token")
    assert (change.to_status, change.by) == (to, "dispatcher")
    stopped = DENIED if said.refusal else LOOKED_AT
    assert change.why == Reason(stopped.code, stopped.text)
    assert change.fields == {"findings": (BEFORE, *said.findings), "hold": hold}


def test_what_no_rule_stops_is_not_stopped() -> None:
    with pytest.raises(ValueError, match="no rule stops"):
        stop(a_payout(), "token", Screening((BEFORE,)))


WHY = Reason("P200", "the wallet's USDT balance is too low")


def test_putting_off_is_no_transition() -> None:
    payout = a_payout(version=4)
    change = put_off(payout, "token", WHY, 15.0)
    assert change.guard == Guard(S.PENDING, version=4, lease_token="token")
    assert (change.to_status, change.why, change.due_in_seconds) == (S.PENDING, WHY, 15.0)
    after = changed(payout, change, NOW)
    assert after.history == payout.history
    assert after.lease is None
    assert after.due_at == NOW + timedelta(seconds=15)


@pytest.mark.parametrize(
    ("before", "to"), [(0, S.PENDING), (1, S.PENDING), (2, S.NEEDS_REVIEW), (7, S.NEEDS_REVIEW)]
)
def test_a_person_looks_after_so_many_refusals(before: int, to: PayoutStatus) -> None:
    payout = a_payout(refusals=before)
    change = refuse(payout, "token", WHY, 15.0, max_refusals=3)
    assert (change.to_status, change.fields) == (to, {"refusals": before + 1})
    assert change.guard == Guard(S.PENDING, version=0, lease_token="token")
    assert (change.by, change.why, change.due_in_seconds) == ("dispatcher", WHY, 15.0)
    assert len(changed(payout, change, NOW).history) == (to is S.NEEDS_REVIEW)


@pytest.mark.parametrize(
    ("time_ms", "day"),
    [(0, "1970-01-01"), (86_399_999, "1970-01-01"), (86_400_000, "1970-01-02")],
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Lima"])
def test_days_are_those_of_utc_wherever_the_host_is(
    monkeypatch: pytest.MonkeyPatch, zone: str, time_ms: int, day: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert utc_day(time_ms) == day
    finally:
        monkeypatch.undo()
        time.tzset()


@given(st.lists(st.tuples(st.sampled_from(["d1", "d2", "d3"]), st.integers(0, 100)), max_size=20))
def test_fees_are_counted_by_day(burns: list[tuple[str, int]]) -> None:
    burns.sort(key=lambda burn: burn[0])
    fees = FeeDay()
    for day, fee_sun in burns:
        fees = burned_today(fees, day, fee_sun)
    last = burns[-1][0] if burns else ""
    assert fees == FeeDay(last, sum(fee for day, fee in burns if day == last))
