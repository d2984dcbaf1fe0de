"""The log's entries: what is in them, how they are hashed, and that no tampering escapes."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.audit import (
    GENESIS,
    Entry,
    Head,
    Record,
    Story,
    canonical,
    entry_fields,
    linked,
    lost_of,
    moment_text,
    story_of,
    unlogged_of,
)
from models.audit_check import FaultKind, Verdict, contradiction, verify
from models.errors import Reason
from models.payout import PayoutStatus
from tests.audit import a_log, a_story, an_act, history_of, logs, records_of, stories
from tests.factories import a_payout

S = PayoutStatus
K = FaultKind


# ---- what is in an entry ----


def test_an_event_of_a_history_becomes_a_record() -> None:
    history = history_of(S.PENDING, S.PROCESSING, why=Reason("P200", "low"), request_id="r")
    payout = a_payout(history=history, outbox=(1, 0), tenant="north")
    first, second = unlogged_of(story_of(payout))
    details = "12.50 USDT to TJRabPrwbZy45sbavfcjinPJC18kjpRTv8"
    assert first == Record(
        source=payout.payout_id,
        n=0,
        at=history[0].at,
        action="payout:pending",
        subject=payout.payout_id,
        by="SERVICE:platform",
        tenant="north",
        request_id="r",
        before=None,
        after="pending",
        why=Reason("P200", "low"),
        txid=None,
        details=details,
    )
    assert (second.n, second.action, second.before, second.after, second.details) == (
        *(1, "payout:processing", "pending", "processing"),
        None,
    )


def test_an_entry_is_hashed_as_the_documentation_says() -> None:
    """Computed here without the code of the service."""
    record = an_act(
        source="act_1", at=datetime(2026, 3, 1, 12, 30, 15, 678_999, UTC), why=Reason("P1", 'ü"\n')
    )
    (entry,) = linked(Head(41, "ab" * 32), [record])
    text = (
        '{"action":"gate:open","after":"open","at":"2026-03-01T12:30:15.678Z","before":"closed",'
        '"by":"ADMIN:ada","details":null,"n":0,"number":42,'
        f'"previous_hash":"{"ab" * 32}","request_id":"r-1","source":"act_1",'
        '"subject":"frozen","tenant":null,"txid":null,'
        '"why":{"code":"P1","message":"ü\\"\\n"}}'
    )
    assert entry.hash == hashlib.sha256(text.encode()).hexdigest()
    assert (entry.number, entry.previous_hash) == (42, "ab" * 32)
    assert entry_fields(entry) == json.loads(text) | {"hash": entry.hash}


def test_times_are_utc_to_the_millisecond() -> None:
    east = datetime(2026, 3, 1, 1, 0, 0, 999_999, timezone(timedelta(hours=2)))
    assert moment_text(east) == "2026-02-28T23:00:00.999Z"


def test_half_a_surrogate_pair_is_hashed_as_the_database_keeps_it() -> None:
    assert canonical({"a": "\ud800x"}) == '{"a":"?x"}'


@given(logs())
def test_entries_are_numbered_and_linked(log: list[Entry]) -> None:
    assert [entry.number for entry in log] == [*range(1, len(log) + 1)]
    assert [entry.previous_hash for entry in log] == [
        GENESIS.hash,
        *(entry.hash for entry in log[:-1]),
    ]


# ---- verify ----


@given(logs(), st.data())
def test_what_was_not_tampered_with_is_whole(log: list[Entry], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(log)))
    start = log[cut - 1].head if cut else GENESIS
    assert verify(log) == Verdict(log[-1].head)
    assert verify(log[cut:], start) == Verdict(log[-1].head)


CHANGES: dict[str, Callable[[Any], Any]] = {
    "n": lambda n: n + 1,
    "at": lambda at: at + timedelta(milliseconds=1),
    "why": lambda why: Reason("P9", "other") if why is None else None,
}


@given(logs(), st.data())
def test_any_change_of_any_field_is_found(log: list[Entry], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(log) - 1))
    name = data.draw(st.sampled_from([field.name for field in fields(Record)]))
    old = getattr(log[place].record, name)
    new = CHANGES.get(name, lambda text: f"{text}x" if text else "x")(old)
    log[place] = replace(log[place], record=replace(log[place].record, **{name: new}))
    verdict = verify(log)
    assert verdict.fault is not None
    assert (verdict.fault.number, verdict.fault.kind) == (place + 1, K.CHANGED)
    assert verdict.head.number == place


@given(logs(min_size=2), st.data())
def test_a_change_with_its_hash_made_anew_is_found_at_the_next_entry(
    log: list[Entry], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(log) - 2))
    (forged,) = linked(
        Head(place, log[place].previous_hash), [replace(log[place].record, by="SOMEBODY:else")]
    )
    fault = verify([*log[:place], forged, *log[place + 1 :]]).fault
    assert fault is not None
    assert (fault.number, fault.kind) == (place + 2, K.CHANGED)


@given(logs(min_size=2), st.data())
def test_any_removal_is_found(log: list[Entry], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(log) - 2))
    fault = verify([*log[:place], *log[place + 1 :]]).fault
    assert fault is not None
    assert (fault.number, fault.kind) == (place + 1, K.MISSING)


@given(logs(min_size=2), st.data())
def test_any_swap_is_found(log: list[Entry], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(log) - 2))
    second = data.draw(st.integers(first + 1, len(log) - 1))
    log[first], log[second] = log[second], log[first]
    fault = verify(log).fault
    assert fault is not None
    assert (fault.number, fault.kind) == (first + 1, K.REORDERED)


@given(logs(), st.data())
def test_any_repetition_is_found(log: list[Entry], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(log) - 1))
    later = data.draw(st.integers(place + 1, len(log)))
    fault = verify([*log[:later], log[place], *log[later:]]).fault
    assert fault is not None
    assert (fault.number, fault.kind) == (place + 1, K.DUPLICATE)


@given(logs(), st.data())
def test_any_insertion_is_found(log: list[Entry], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(log) - 1))
    (forged,) = linked(Head(place, log[place].previous_hash), [an_act()])
    fault = verify([*log[:place], forged, *log[place:]]).fault
    assert fault is not None
    assert (fault.number, fault.kind) == (place + 1, K.DUPLICATE)


@given(logs(), st.data())
def test_a_record_that_is_there_again_is_found_though_all_is_hashed_anew(
    log: list[Entry], data: st.DataObject
) -> None:
    records = [entry.record for entry in log]
    place = data.draw(st.integers(0, len(log) - 1))
    fault = verify(linked(GENESIS, [*records, records[place]])).fault
    assert fault is not None
    assert (fault.number, fault.kind) == (len(log) + 1, K.CONTRADICTION)


def test_an_empty_log_is_whole() -> None:
    assert verify([]) == Verdict(GENESIS)


def test_what_was_verified_up_to_a_head_goes_on_from_it_only() -> None:
    log = a_log()
    fault = verify(log[1:], Head(1, "0" * 64)).fault
    assert fault is not None
    assert (fault.number, fault.kind) == (2, K.CHANGED)


@pytest.mark.parametrize(
    "way",
    [
        (S.PENDING, S.FAILED),
        (S.PENDING, S.COMPLETED, S.PENDING),
        (S.PENDING, S.CANCELLED, S.PROCESSING),
        (S.PENDING, S.PROCESSING, S.CANCELLED),
        (S.PENDING, S.PENDING),
    ],
)
def test_an_illegal_move_is_found(way: Sequence[PayoutStatus]) -> None:
    fault = verify(a_log(*records_of(a_story(*way)))).fault
    assert fault is not None
    assert (fault.number, fault.kind) == (len(way), K.CONTRADICTION)
    assert f"cannot become {way[-1]}" in fault.message


def test_what_is_done_to_a_payout_where_it_stands_is_told_and_is_no_move() -> None:
    waiting = history_of(S.AWAITING_APPROVAL, S.AWAITING_APPROVAL, S.PENDING)
    history = (waiting[0], replace(waiting[1], act="approved"), waiting[2])
    log = a_log(*records_of(a_story(history=history)))
    assert verify(log).fault is None
    assert [entry.record.action for entry in log] == [
        *("payout:awaiting_approval", "payout:approved", "payout:pending")
    ]


def test_nothing_is_done_to_an_ended_payout() -> None:
    ended = history_of(S.PENDING, S.CANCELLED, S.CANCELLED)
    history = (*ended[:2], replace(ended[2], act="approved"))
    assert verify(a_log(*records_of(a_story(history=history)))).fault is not None


FIRST, SECOND, THIRD = records_of(a_story())


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([FIRST, THIRD], "n 2 of payout"),
        ([SECOND, FIRST], "n 0 of payout"),
        ([replace(FIRST, before="pending")], "comes from no status"),
        ([FIRST, replace(SECOND, before=None)], "comes from no status"),
        ([FIRST, replace(SECOND, before="processing")], "was pending, not processing"),
        ([SECOND, replace(THIRD, before="paid")], "was processing, not paid"),
        ([replace(SECOND, before="paid")], "a payout that is paid cannot become"),
        ([replace(SECOND, after="paid")], "cannot become paid"),
        ([replace(SECOND, after=None)], "cannot become None"),
        ([an_act(n=1)], "an act is in the log once"),
        ([an_act(source="act_x"), FIRST, an_act(source="act_x")], "an act is in the log once"),
    ],
)
def test_entries_that_cannot_follow_each_other_are_found(
    records: Sequence[Record], message: str
) -> None:
    fault = verify(a_log(*records)).fault
    assert fault is not None
    assert (fault.number, fault.kind) == (len(records), K.CONTRADICTION)
    assert message in fault.message


def test_a_log_may_begin_in_the_middle_of_a_payout() -> None:
    assert verify(a_log(SECOND, an_act(), THIRD)).fault is None


# ---- against the payouts' own histories ----


@given(stories(), stories())
def test_a_history_confirms_its_own_entries(story: Story, other: Story) -> None:
    log = a_log(*records_of(other, story))
    assert contradiction(story, log) is None


@given(stories(), st.data())
def test_a_history_that_was_changed_contradicts(story: Story, data: st.DataObject) -> None:
    log = a_log(an_act(), *records_of(story))
    place = data.draw(st.integers(0, len(story.history) - 1))
    forged = replace(story.history[place], by=story.history[place].by + "x")
    changed = replace(story, history=(*story.history[:place], forged, *story.history[place + 1 :]))
    fault = contradiction(changed, log)
    assert fault is not None
    assert (fault.number, fault.kind) == (place + 2, K.CONTRADICTION)
    cut = contradiction(replace(story, history=story.history[:place]), log)
    assert cut is not None
    assert cut.number == place + 2


def test_an_order_that_was_changed_contradicts() -> None:
    story = a_story()
    log = a_log(*records_of(story))
    for changed in (replace(story, details="99.00 USDT to T…"), replace(story, tenant="north")):
        fault = contradiction(changed, log)
        assert fault is not None
        assert fault.number == 1


@pytest.mark.parametrize(
    ("logged", "outbox", "lost"),
    [
        ({0, 1, 2}, (), None),
        ({0, 1}, (2,), None),
        ({0}, (2, 1), None),
        ({1, 2}, (), None),
        ({2}, (), None),
        ({1}, (2,), None),
        ({0, 2}, (), 1),
        ({0, 1}, (), 2),
        ({0}, (1,), 2),
        ((), (), 0),
        ((), (1, 2), None),
    ],
)
def test_what_is_neither_logged_nor_waiting_is_lost(
    logged: set[int], outbox: tuple[int, ...], lost: int | None
) -> None:
    assert lost_of(a_story(outbox=outbox), logged) == lost
