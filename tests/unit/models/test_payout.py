"""The table of legal moves, the guarded writes made from it, and what a payout's past allows."""

from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.approval import Approval, Consent
from models.chain import Hit
from models.errors import PayoutError, Reason
from models.findings import Hold
from models.payout import (
    LEGAL_MOVES,
    OPEN,
    TERMINAL,
    Change,
    Guard,
    Payout,
    PayoutStatus,
    all_attempts_unpaid,
    check_move,
    has_success,
    hits_of,
    move,
    next_status,
    paid_hit,
    told,
    untouched,
    waits_for,
)
from models.transaction import Attempt, AttemptState
from tests.factories import LONG_AGO, a_hit, a_payout, an_attempt

S = PayoutStatus
ENDS = {S.COMPLETED, S.FAILED, S.CANCELLED, S.REJECTED, S.EXPIRED}

statuses = st.sampled_from(PayoutStatus)


def standing(status: PayoutStatus, **fields: Any) -> Payout:
    """A payout in a status, with the live attempt that `processing` means."""
    live = an_attempt() if status is S.PROCESSING else None
    return a_payout(status=status, **{"live_attempt": live} | fields)


def closed(state: AttemptState, contract_ret: str | None = None) -> Attempt:
    """An attempt that has ended, by a hit of that result unless None."""
    attempt = an_attempt()
    hit = None if contract_ret is None else a_hit(attempt, contract_ret=contract_ret)
    return an_attempt(raw=attempt.raw, state=state, hit=hit)


def test_every_status_has_its_moves() -> None:
    assert set(LEGAL_MOVES) == set(PayoutStatus)


def test_terminal_states_have_no_exit_and_are_the_five() -> None:
    assert TERMINAL == ENDS
    assert all(not LEGAL_MOVES[status] for status in TERMINAL)


def test_every_status_can_be_reached_and_every_payout_can_end() -> None:
    reached, new = {S.PENDING}, {S.PENDING}
    while new:
        new = {to for status in new for to in LEGAL_MOVES[status]} - reached
        reached |= new
    assert reached == set(PayoutStatus)
    assert all(LEGAL_MOVES[status] & TERMINAL for status in OPEN)


def test_processing_is_never_cancelled_and_is_entered_from_pending_only() -> None:
    assert S.CANCELLED not in LEGAL_MOVES[S.PROCESSING]
    assert [status for status in PayoutStatus if S.PROCESSING in LEGAL_MOVES[status]] == [S.PENDING]


def ending(status: PayoutStatus) -> dict[str, AttemptState]:
    """What a move away from a status must say: from processing, how the live attempt ends."""
    return {"close_as": AttemptState.DEAD} if status is S.PROCESSING else {}


@pytest.mark.parametrize("to", sorted(LEGAL_MOVES[S.PROCESSING]))
def test_a_live_attempt_is_never_left_without_its_end(to: PayoutStatus) -> None:
    with pytest.raises(PayoutError) as refusal:
        move(standing(S.PROCESSING), to, by="x")
    assert refusal.value.code == "P500"


@given(statuses, statuses)
def test_the_table_alone_decides(current: PayoutStatus, to: PayoutStatus) -> None:
    if to in LEGAL_MOVES[current]:
        check_move(current, to)
        assert move(standing(current), to, by="x", **ending(current)).to_status is to
        return
    for refused in (
        lambda: check_move(current, to),
        lambda: move(standing(current), to, by="x"),
    ):
        with pytest.raises(PayoutError) as refusal:
            refused()
        assert refusal.value.code == "P500"


@given(statuses.filter(lambda status: status not in TERMINAL), st.integers(0, 10**6))
def test_the_guard_is_exactly_what_was_read(status: PayoutStatus, version: int) -> None:
    payout = standing(status, version=version)
    live = payout.live_attempt
    for to in LEGAL_MOVES[status]:
        change = move(payout, to, by="x", **ending(status))
        assert change.payout_id == payout.payout_id
        assert change.guard == Guard(
            status=status, live_txid=live.txid if live else None, version=version
        )


def test_details_go_into_the_change() -> None:
    why = Reason("P200", "short")
    change = move(standing(S.PENDING), S.EXPIRED, by="housekeeper", why=why, due_in_seconds=3.0)
    assert (change.by, change.why, change.due_in_seconds) == ("housekeeper", why, 3.0)


ATTEMPT, OTHER = an_attempt(), an_attempt()


@pytest.mark.parametrize(
    ("details", "txid"),
    [
        ({}, None),
        ({"record": ATTEMPT}, ATTEMPT.txid),
        ({"close": ATTEMPT, "hit": a_hit(OTHER)}, ATTEMPT.txid),
        ({"hit": a_hit(OTHER)}, OTHER.txid),
    ],
    ids=["none", "recorded", "closed", "linked"],
)
def test_history_names_the_transaction(details: dict[str, Any], txid: str | None) -> None:
    change = Change("payout_1", Guard(S.PENDING), S.PROCESSING, "x", **details)
    assert change.event_txid == txid


@pytest.mark.parametrize(
    ("attempts", "unpaid"),
    [
        ([], True),
        ([closed(AttemptState.DEAD)], True),
        ([closed(AttemptState.FAILED_ON_CHAIN, "REVERT")], True),
        ([closed(AttemptState.DEAD), closed(AttemptState.FAILED_ON_CHAIN, "REVERT")], True),
        ([closed(AttemptState.DEAD), closed(AttemptState.SETTLED, "SUCCESS")], False),
        ([closed(AttemptState.SETTLED)], False),
        ([closed(AttemptState.LIVE)], False),
    ],
)
def test_another_attempt_needs_proof_for_every_one_before(
    attempts: list[Attempt], unpaid: bool
) -> None:
    payout = standing(S.NEEDS_REVIEW, attempts=tuple(attempts))
    assert all_attempts_unpaid(payout) is unpaid


def test_a_live_attempt_is_not_proven_unpaid() -> None:
    assert not all_attempts_unpaid(standing(S.PROCESSING))


@pytest.mark.parametrize("contract_ret", ["SUCCESS", "REVERT", "OUT_OF_ENERGY"])
def test_a_success_on_a_dead_attempt_forbids_another_one(contract_ret: str) -> None:
    dead = closed(AttemptState.DEAD)
    payout = standing(S.PENDING, attempts=(dead,), hits=(a_hit(dead, contract_ret=contract_ret),))
    assert has_success(payout) is (contract_ret == "SUCCESS")
    assert all_attempts_unpaid(payout) is (contract_ret != "SUCCESS")


def test_hits_are_told_apart_by_txid() -> None:
    one, two = a_hit(ATTEMPT), a_hit(OTHER)
    payout = standing(S.PENDING, hits=(one, two))
    assert hits_of(payout, ATTEMPT.txid) == [one]
    assert hits_of(payout, "00" * 32) == []


PAID = closed(AttemptState.SETTLED, "SUCCESS")
LINKED = a_hit()


def mismatched() -> Attempt:
    """Settled by a solid transaction that moved nothing of what was asked."""
    attempt = closed(AttemptState.SETTLED)
    return an_attempt(raw=attempt.raw, state=attempt.state, hit=a_hit(attempt, transfers=()))


@pytest.mark.parametrize(
    ("fields", "hit"),
    [
        ({}, None),
        ({"attempts": (closed(AttemptState.DEAD), PAID)}, PAID.hit),
        ({"attempts": (closed(AttemptState.FAILED_ON_CHAIN, "REVERT"),)}, None),
        ({"attempts": (closed(AttemptState.SETTLED),)}, None),
        ({"attempts": (mismatched(),)}, None),
        ({"linked_hit": LINKED}, LINKED),
    ],
    ids=["none", "settled", "failed", "settled without a hit", "mismatch", "linked"],
)
def test_the_hit_that_paid(fields: dict[str, Any], hit: Hit | None) -> None:
    assert paid_hit(standing(S.COMPLETED, **fields)) == hit


# what a payout waits for

NOW = LONG_AGO + timedelta(days=1)
HOLD = Hold(("large",), "100000.00 USDT is looked at before it is paid", "P600", ("ADMIN",))
ADA = Consent("ada", "ADMIN", LONG_AGO, "fine")
MISSING = Approval("high_value", 1, ("ADMIN",), 1_800, LONG_AGO + timedelta(hours=1))
GIVEN = Approval("high_value", 1, ("ADMIN",), 1_800, LONG_AGO + timedelta(hours=1), (ADA,))
LATER = NOW + timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("hold", "approval", "release_at"),
    [*product((None, HOLD), (None, MISSING, GIVEN), (None, LONG_AGO, NOW, LATER))],
)
def test_a_hold_goes_before_an_approval_and_that_before_a_time(
    hold: Hold | None, approval: Approval | None, release_at: Any
) -> None:
    payout = a_payout(hold=hold, approval=approval, release_at=release_at)
    status, why = next_status(payout, NOW), waits_for(payout, NOW)
    if hold is not None:
        assert (status, why) == (S.NEEDS_REVIEW, Reason(HOLD.code, HOLD.text))
    elif approval is MISSING:
        assert (status, why) == (
            S.AWAITING_APPROVAL,
            Reason("P602", "needs 1 more approval (ADMIN) until 2024-01-01 01:00:00 UTC"),
        )
    elif release_at is LATER:
        assert (status, why) == (S.SCHEDULED, Reason(None, "waits until 2024-01-02 00:00:00 UTC"))
    else:
        assert (status, why) == (S.PENDING, None)


@pytest.mark.parametrize("status", sorted(OPEN - {S.PROCESSING}))
def test_what_is_told_stays_where_it_is(status: PayoutStatus) -> None:
    why = Reason(None, "fine")
    change = told(standing(status, version=3), "approved", by="ADMIN:ada", why=why)
    assert change.guard == Guard(status, version=3)
    assert (change.to_status, change.act, change.why) == (status, "approved", why)
    assert change.is_told


@pytest.mark.parametrize("status", sorted(OPEN))
def test_what_is_left_untouched_is_guarded_by_all_that_was_read(status: PayoutStatus) -> None:
    payout = standing(status, version=3, status_reason=Reason("P200", "short"))
    change = untouched(payout)
    live = payout.live_attempt
    assert change.guard == Guard(status, live.txid if live else None, version=3)
    assert (change.to_status, change.why) == (status, payout.status_reason)
    assert not change.is_told
    assert not change.fields
