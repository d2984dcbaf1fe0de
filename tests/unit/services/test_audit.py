"""Reading the log: what a list, a verification and an export show, and that reading is an act."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from models.audit import GENESIS, linked
from models.audit_check import FaultKind
from models.caller import Caller
from models.errors import PayoutError
from models.payout import PayoutStatus
from models.permission import Reach
from ports.audit import AuditQuery, UnreadableEntryError
from ports.store import StoreError
from services.acts import Acts
from services.audit import Audit, LogStanding
from services.audit_export import PAGE, verify_export
from tests.audit import an_act, history_of
from tests.contract.steps import moved
from tests.factories import a_payout
from tests.unit.services.test_sequencer import Desk

S = PayoutStatus
K = FaultKind
AUDITOR = Caller("ada", "APPROVER", {"audit:view": Reach.ALL}, request_id="r-1")


class Reader:
    """The service over a desk, whose log holds an act (entry 1) and two payouts (2 to 5)."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.numbers = iter(range(1_000))
        acts = Acts(self.desk.store, lambda: f"reading-{next(self.numbers)}")
        self.audit = Audit(self.desk.store, acts)

    async def forge(self, number: int, **fields: Any) -> None:
        """Change an entry in the log, and let all hashes from there on fit."""
        entries = self.desk.memory._entries
        records = [entries[each].record for each in sorted(entries)]
        records[number - 1] = replace(records[number - 1], **fields)
        entries.update({entry.number: entry for entry in linked(GENESIS, records)})

    async def payout_of(self, number: int) -> Any:
        """The payout that an entry speaks of."""
        entry = await self.desk.memory.audit_entry(number)
        assert entry is not None
        return self.desk.memory._payouts[entry.record.source]


async def a_reader() -> Reader:
    reader = Reader()
    await reader.desk.happen(payouts=2, acts=1)
    await reader.desk.sequencer().run()
    return reader


# ---- reading is an act ----


async def test_a_list_is_filtered_and_noted_before_it_is_read() -> None:
    reader = await a_reader()
    query = AuditQuery(by="ADMIN:ada", at_from=datetime(2020, 1, 1, tzinfo=UTC), action="gate:open")
    reader.desk.store.calls.clear()
    (found,) = await reader.audit.list(AUDITOR, query, 10)
    assert found.record.action == "gate:open"
    assert reader.desk.store.calls == ["now", "note_act", "list_entries"]
    (noted,) = await reader.desk.memory.unlogged(10)
    assert (noted.source, noted.n) == ("act_reading-0", 0)
    assert (noted.action, noted.subject, noted.by) == ("audit:view", "list", "APPROVER:ada")
    assert noted.after == "action=gate:open by=ADMIN:ada at_from=2020-01-01T00:00:00.000Z"
    assert (noted.request_id, noted.at) == ("r-1", reader.desk.clock())


async def test_who_may_not_read_reads_nothing_and_leaves_no_act() -> None:
    reader = await a_reader()
    nobody = replace(AUDITOR, grants={})
    of_tenant = replace(AUDITOR, tenant="north")
    for caller in (nobody, of_tenant):
        for reading in (
            reader.audit.list(caller, AuditQuery(), 10),
            reader.audit.verify(caller, 0, 10),
            reader.audit.export(caller, 0, 10, histories=False),
        ):
            with pytest.raises(PayoutError, match="P002"):
                await reading
    assert await reader.desk.memory.count_unlogged() == 0


async def test_what_cannot_be_noted_is_not_read() -> None:
    reader = await a_reader()
    reader.desk.store.fail("note_act", "before", times=3)
    reader.desk.store.calls.clear()
    for reading in (
        reader.audit.list(AUDITOR, AuditQuery(), 10),
        reader.audit.verify(AUDITOR, 0, 10),
        reader.audit.export(AUDITOR, 0, 10, histories=True),
    ):
        with pytest.raises(StoreError):
            await reading
    assert {*reader.desk.store.calls} == {"now", "note_act"}


# ---- verify ----


async def test_what_nobody_touched_verifies_page_by_page() -> None:
    reader = await a_reader()
    end = await reader.desk.memory.audit_head()
    report = await reader.audit.verify(AUDITOR, 0, 3)
    assert (report.start, report.head.number, report.log_head) == (GENESIS, 3, end)
    assert report.fault is None
    report = await reader.audit.verify(AUDITOR, report.head.number, 3)
    assert (report.start.number, report.head, report.fault) == (3, end, None)
    report = await reader.audit.verify(AUDITOR, end.number, 3)
    assert (report.start, report.head, report.fault) == (end, end, None)


async def test_what_is_happening_now_is_no_fault() -> None:
    reader = await a_reader()
    payout = a_payout(history=history_of(S.PENDING), outbox=(0,))
    await reader.desk.memory.insert(payout)
    await reader.desk.sequencer().run()

    async def goes_on() -> None:
        await moved(reader.desk.memory, payout, S.CANCELLED)

    async def is_logged() -> None:
        await reader.desk.sequencer().run()

    reader.desk.store.meanwhile("entries_after", "after", goes_on)
    reader.desk.store.meanwhile("stories", "after", is_logged)
    assert (await reader.audit.verify(AUDITOR, 0, 100)).fault is None


async def test_an_entry_that_is_not_in_the_log_is_no_place_to_begin() -> None:
    reader = await a_reader()
    for reading in (
        reader.audit.verify(AUDITOR, 99, 10),
        reader.audit.export(AUDITOR, 99, 10, histories=False),
    ):
        with pytest.raises(PayoutError, match="no entry 99") as caught:
            await reading
        assert (caught.value.code, caught.value.field) == ("P003", "after")


async def faults(reader: Reader) -> tuple[int, FaultKind, int]:
    """Number and kind of what verifying everything finds, and how far the chain is whole."""
    report = await reader.audit.verify(AUDITOR, 0, 100)
    assert report.fault is not None
    return report.fault.number, report.fault.kind, report.head.number


async def test_a_changed_entry_is_found() -> None:
    reader = await a_reader()
    entries = reader.desk.memory._entries
    entries[3] = replace(entries[3], record=replace(entries[3].record, by="SOMEBODY:else"))
    assert await faults(reader) == (3, K.CHANGED, 2)
    assert (await reader.audit.verify(AUDITOR, 3, 100)).fault is None


async def test_a_missing_entry_is_found() -> None:
    reader = await a_reader()
    del reader.desk.memory._entries[2]
    assert await faults(reader) == (2, K.MISSING, 1)


async def test_an_entry_that_cannot_be_read_is_found() -> None:
    reader = await a_reader()

    async def unreadable() -> None:
        raise UnreadableEntryError(4)

    reader.desk.store.meanwhile("entries_after", "before", unreadable)
    assert await faults(reader) == (4, K.CHANGED, 0)


async def test_a_rewritten_chain_that_contradicts_a_history_is_found() -> None:
    reader = await a_reader()
    await reader.forge(2, details="99.00 USDT to T…")
    assert await faults(reader) == (2, K.CONTRADICTION, 5)


async def test_a_history_that_was_changed_is_found() -> None:
    reader = await a_reader()
    payout = await reader.payout_of(2)
    forged = replace(payout.history[1], by="SOMEBODY:else")
    reader.desk.memory._payouts[payout.payout_id] = replace(
        payout, history=(payout.history[0], forged)
    )
    number, kind, _ = await faults(reader)
    entry = await reader.desk.memory.audit_entry(number)
    assert kind is K.CONTRADICTION
    assert entry is not None
    assert entry.record.key == (payout.payout_id, 1)


async def test_a_payout_that_is_gone_is_found() -> None:
    reader = await a_reader()
    payout = await reader.payout_of(2)
    del reader.desk.memory._payouts[payout.payout_id]
    assert await faults(reader) == (2, K.CONTRADICTION, 5)


async def test_of_several_contradictions_the_first_is_told() -> None:
    reader = await a_reader()
    for number in (1, 2, 3, 4):
        payouts = reader.desk.memory._payouts
        entry = await reader.desk.memory.audit_entry(number)
        assert entry is not None
        payouts.pop(entry.record.source, None)
    number, _, _ = await faults(reader)
    entries = await reader.desk.log()
    assert number == next(entry.number for entry in entries if not entry.record.is_act)


async def test_an_event_that_was_taken_off_the_end_of_the_log_is_found() -> None:
    reader = Reader()
    await reader.desk.happen(payouts=1, acts=0)
    await reader.desk.sequencer().run()
    payout = await reader.payout_of(2)
    del reader.desk.memory._entries[2]
    reader.desk.memory._keys.discard((payout.payout_id, 1))
    report = await reader.audit.verify(AUDITOR, 0, 100)
    assert report.fault is not None
    assert (report.fault.number, report.fault.kind) == (1, K.MISSING)
    assert f"event 1 of {payout.payout_id}" in report.fault.message


# ---- export ----


async def exported(reader: Reader, *span: int, histories: bool = False) -> list[str]:
    pages = await reader.audit.export(AUDITOR, *span, histories=histories)
    return [line for page in [page async for page in pages] for line in page.splitlines(True)]


async def test_an_export_is_a_span_of_the_log() -> None:
    reader = await a_reader()
    entries = await reader.desk.log()
    start, verdict = verify_export(await exported(reader, 0, 100))
    assert (start, verdict.head, verdict.fault) == (GENESIS, entries[-1].head, None)
    start, verdict = verify_export(await exported(reader, 2, 2))
    assert (start, verdict.head, verdict.fault) == (entries[1].head, entries[3].head, None)
    assert await exported(reader, 5, 10) == []


async def test_an_export_goes_on_over_pages() -> None:
    reader = Reader()
    await reader.desk.happen(payouts=PAGE // 2, acts=7)
    await reader.desk.sequencer(group_size=10_000).run()
    lines = await exported(reader, 0, PAGE + 5)
    assert len(lines) == PAGE + 5
    _, verdict = verify_export(lines)
    assert (verdict.head.number, verdict.fault) == (PAGE + 5, None)


async def test_an_export_with_histories_tells_of_each_payout_once_a_page() -> None:
    reader = await a_reader()
    lines = await exported(reader, 0, 100, histories=True)
    assert len(lines) == 5 + 2
    assert verify_export(lines)[1].fault is None
    payout = await reader.payout_of(2)
    del reader.desk.memory._payouts[payout.payout_id]
    fault = verify_export(await exported(reader, 0, 100, histories=True))[1].fault
    assert fault is not None
    assert fault.kind is K.CONTRADICTION


async def test_a_log_of_acts_has_no_histories() -> None:
    reader = Reader()
    await reader.desk.happen(payouts=0, acts=2)
    await reader.desk.sequencer().run()
    assert len(await exported(reader, 0, 100, histories=True)) == 2
    assert (await reader.audit.verify(AUDITOR, 0, 100)).fault is None


async def test_how_the_log_stands() -> None:
    reader = await a_reader()
    head = await reader.desk.memory.audit_head()
    assert await reader.audit.standing() == LogStanding(head, 0)
    await reader.desk.memory.note_act(an_act())
    assert await reader.audit.standing() == LogStanding(head, 1)
