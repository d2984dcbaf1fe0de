"""An export verifies offline, and no tampering with its lines escapes."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.audit import GENESIS, Entry, Head, Story, linked
from models.audit_check import FaultKind, Verdict
from services.audit_export import (
    PAGE,
    BadExportError,
    entry_line,
    story_line,
    verify_export,
)
from tests.audit import a_log, a_story, an_act, logs, records_of, stories

K = FaultKind


def lines_of(log: Sequence[Entry]) -> list[str]:
    return [f"{entry_line(entry)}\n" for entry in log]


def is_found(lines: Sequence[str]) -> bool:
    """Whether somebody who verifies these lines notices something."""
    try:
        _, verdict = verify_export(lines)
    except BadExportError:
        return True
    return verdict.fault is not None


@given(logs(), st.data())
def test_an_export_is_whole_from_wherever_it_begins(log: list[Entry], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(log) - 1))
    start = log[cut - 1].head if cut else GENESIS
    assert verify_export(lines_of(log)[cut:]) == (start, Verdict(log[-1].head))
    heads = [entry.head for entry in log[max(0, cut - 1) :]]
    assert verify_export(lines_of(log)[cut:], heads) == (start, Verdict(log[-1].head))


@given(logs(), st.data())
def test_any_other_character_on_any_line_is_found(log: list[Entry], data: st.DataObject) -> None:
    lines = lines_of(log)
    place = data.draw(st.integers(0, len(lines) - 1))
    line = lines[place]
    at = data.draw(st.integers(0, len(line) - 2))
    other = data.draw(st.characters(codec="utf-8").filter(lambda letter: letter != line[at]))
    lines[place] = f"{line[:at]}{other}{line[at + 1 :]}"
    assert is_found(lines)


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace('{"action"', '{ "action"'),
        lambda line: line.replace('"n":0', '"n":"0"'),
        lambda line: line.replace('"n":0', '"n":0,"x":1'),
        lambda line: line.replace('"n":0', '"n":0,"n":0'),
        lambda line: line.replace("00.000Z", "00.000+00:00"),
        lambda line: line.replace('"tenant":null,', ""),
    ],
)
def test_a_line_that_says_the_same_otherwise_is_a_change(change: Callable[[str], str]) -> None:
    lines = lines_of(a_log())
    lines[3] = change(lines[3])
    assert lines[3] != lines_of(a_log())[3]
    _, verdict = verify_export(lines)
    assert verdict.fault is not None
    assert (verdict.fault.number, verdict.fault.kind) == (4, K.CHANGED)
    assert verdict.head.number == 3


def test_lines_that_are_gone_moved_or_doubled_are_found() -> None:
    one, two, three, four = lines_of(a_log())
    for lines, number, kind in (
        ([one, three, four], 2, K.MISSING),
        ([one, three, two, four], 2, K.REORDERED),
        ([one, two, two, three, four], 2, K.DUPLICATE),
        ([two, one, three, four], 1, K.DUPLICATE),
    ):
        _, verdict = verify_export(lines)
        assert verdict.fault is not None
        assert (verdict.fault.number, verdict.fault.kind) == (number, kind)


def test_a_log_that_was_rewritten_from_scratch_is_told_by_a_published_head() -> None:
    log = a_log()
    records = [entry.record for entry in log]
    forged = linked(GENESIS, [replace(records[0], details="99.00 USDT to T…"), *records[1:]])
    lines = lines_of(forged)
    assert verify_export(lines) == (GENESIS, Verdict(forged[-1].head))
    for published in (log[1].head, log[-1].head):
        _, verdict = verify_export(lines, [published])
        assert verdict.fault is not None
        assert (verdict.fault.number, verdict.fault.kind) == (published.number, K.CHANGED)
        assert "published" in verdict.fault.message


def test_a_log_that_was_cut_off_is_told_by_a_published_head() -> None:
    log = a_log()
    _, verdict = verify_export(lines_of(log[:-1]), [log[1].head, log[-1].head])
    assert verdict.head == log[-2].head
    assert verdict.fault is not None
    assert (verdict.fault.number, verdict.fault.kind) == (4, K.MISSING)


def test_what_an_export_goes_on_from_is_held_against_a_published_head() -> None:
    log = a_log()
    _, verdict = verify_export(lines_of(log[2:]), [Head(2, "0" * 64)])
    assert verdict.fault is not None
    assert (verdict.fault.number, verdict.fault.kind) == (2, K.CHANGED)


# ---- histories ----


@given(stories())
def test_histories_confirm_the_entries_before_them(story: Story) -> None:
    log = a_log(an_act(), *records_of(story))
    lines = [*lines_of(log), f"{story_line(story)}\n"]
    assert verify_export(lines) == (GENESIS, Verdict(log[-1].head))


def test_an_entry_that_contradicts_a_history_is_found() -> None:
    story = a_story()
    log = a_log(an_act(), *records_of(story))
    line = story_line(story)
    for changed in (
        line.replace("settler", "somebody", 1),
        line.replace("12.50 USDT", "99.00 USDT"),
        story_line(replace(story, history=())),
    ):
        assert changed != line
        _, verdict = verify_export([*lines_of(log), changed])
        assert verdict.fault is not None
        assert verdict.fault.kind is K.CONTRADICTION
        assert verdict.head == log[-1].head


def test_a_history_speaks_of_the_page_before_it() -> None:
    story = a_story()
    acts = [an_act() for _ in range(PAGE - 3)]
    log = a_log(*records_of(story), *acts)
    gone = story_line(replace(story, history=()))
    assert verify_export([*lines_of(log), gone])[1].fault is not None
    assert verify_export([*lines_of(a_log(*records_of(story), *acts, an_act())), gone])[1].fault
    far = a_log(*records_of(story), *acts, *(an_act() for _ in range(3)))
    assert verify_export([*lines_of(far), gone])[1].fault is None


# ---- what is no export ----


@pytest.mark.parametrize(
    "line",
    [
        *("", "\n", "x", "1", "[]", "null", '"x"', "{}", '{"history":1}', '{"history":[]}'),
        '{"number":1}',
        "[" * 100_000,
        '{"number":"x","previous_hash":"","hash":""}',
    ],
)
def test_what_is_no_line_of_an_export_is_refused(line: str) -> None:
    good = lines_of(a_log())
    with pytest.raises(BadExportError, match="line 5 is no entry and no history"):
        verify_export([*good, line])


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(BadExportError, match="holds no entry"):
        verify_export([])
    with pytest.raises(BadExportError, match="holds no entry"):
        verify_export([story_line(a_story())])
