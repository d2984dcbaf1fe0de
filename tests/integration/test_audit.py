"""The audit log in a real MongoDB: everything once, whatever races or breaks; forgery is found."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from adapters.mongo.store import MongoPayoutStore
from bench.counts import Commands
from models.audit import Entry, story_of
from models.audit_check import FaultKind, contradiction, verify
from models.caller import Caller
from models.payout import Change, Guard, Payout, PayoutStatus
from models.permission import Reach
from ports.audit import AuditQuery, UnreadableEntryError
from ports.store import PayoutQuery, StoreError, UnfitStoreError
from services.acts import Acts
from services.audit import Audit
from services.sequencer import Sequencer
from tests.audit import an_act, history_of
from tests.contract.steps import moved
from tests.databases import fresh_store
from tests.factories import a_payout
from tests.unit.services.faulty_store import FaultyStore

S = PayoutStatus
K = FaultKind
DAY = 86_400.0
AUDITOR = Caller("ada", "APPROVER", {"audit:view": Reach.ALL})


@pytest.fixture
async def store(mongodb_url: str) -> AsyncIterator[MongoPayoutStore]:
    async with fresh_store(mongodb_url) as store:
        yield store


async def create(store: MongoPayoutStore) -> Payout:
    payout = a_payout(history=history_of(S.PENDING), outbox=(0,))
    await store.insert(payout)
    return payout


async def whole_log(store: MongoPayoutStore) -> Sequence[Entry]:
    return await store.entries_after(0, 100_000)


async def check(store: MongoPayoutStore, records: int) -> None:
    """So many records, each once; the log and the payouts' histories say the same."""
    log = await whole_log(store)
    assert verify(log).fault is None
    assert len(log) == records
    assert await store.count_unlogged() == 0
    payouts = await store.list(PayoutQuery(), 100_000)
    events = Counter(entry.record.source for entry in log if not entry.record.is_act)
    assert events == {payout.payout_id: len(payout.history) for payout in payouts}
    entries: dict[str, list[Entry]] = {payout.payout_id: [] for payout in payouts}
    for entry in log:
        entries.get(entry.record.source, []).append(entry)
    for payout in payouts:
        assert contradiction(story_of(payout), entries[payout.payout_id]) is None


async def drain(sequencer: Sequencer, until: asyncio.Event) -> None:
    """Turns until `until` and then until nothing is left, whatever they meet."""
    while True:
        over = until.is_set()
        try:
            more = await sequencer.run()
        except StoreError:
            continue
        if over and not more:
            return
        await asyncio.sleep(0)


async def test_two_sequencers_log_a_thousand_payouts_as_they_happen(
    store: MongoPayoutStore,
) -> None:
    happened = asyncio.Event()
    rivals = [Sequencer(store, group_size, DAY) for group_size in (200, 37)]
    running = [asyncio.create_task(drain(each, happened)) for each in rivals]
    payouts: list[Payout] = []
    for _ in range(20):
        payouts += await asyncio.gather(*(create(store) for _ in range(50)))
        await store.note_act(an_act())
    way = [S.PENDING, S.NEEDS_REVIEW, S.PENDING, S.CANCELLED]
    for before, after in pairwise(way):
        for start in range(0, len(payouts), 100):
            group = [
                Change(payout.payout_id, Guard(before), after, by="test")
                for payout in payouts[start : start + 100]
            ]
            assert await store.apply(group) == len(group)
    happened.set()
    await asyncio.gather(*running)
    await check(store, records=4 * 1_000 + 20)


@pytest.mark.parametrize("step", ["append_entries", "forget_logged"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_crash_between_append_and_removal(
    store: MongoPayoutStore, step: str, when: str
) -> None:
    faulty = FaultyStore(store)
    for _ in range(3):
        await moved(store, await create(store), S.CANCELLED)
    await store.note_act(an_act())
    faulty.fail(step, when)  # type: ignore[arg-type]
    with pytest.raises(StoreError):
        await Sequencer(faulty, 5, DAY).run()  # type: ignore[arg-type]
    await create(store)
    after = Sequencer(store, 5, DAY)
    while await after.run():
        pass
    await check(store, records=8)


async def test_a_group_takes_few_commands(mongodb_url: str) -> None:
    commands = Commands()

    async def turn(payouts: int, acts: int) -> int:
        for _ in range(payouts):
            await moved(store, await create(store), S.CANCELLED)
        for _ in range(acts):
            await store.note_act(an_act())
        sent: Counter[str] = Counter()
        with commands.counted(sent):
            await sequencer.run()
        return sent.total()

    async with fresh_store(mongodb_url, [commands]) as store:
        sequencer = Sequencer(store, 400, DAY)
        assert await turn(0, 0) == 1
        assert await turn(120, 0) <= 5
        assert await turn(120, 0) <= 3
        assert await turn(1, 1) <= 4


# ---- tampering in the database ----


@pytest.fixture
async def audit(store: MongoPayoutStore) -> Audit:
    """The service over a log of an act (entry 1) and two payouts that were cancelled (2 to 5)."""
    await store.note_act(an_act())
    for _ in range(2):
        await moved(store, await create(store), S.CANCELLED)
    await Sequencer(store, 100, DAY).run()
    return Audit(store, Acts(store, lambda: uuid.uuid4().hex))


async def found(audit: Audit, limit: int = 100) -> tuple[int, FaultKind] | None:
    """What verifying finds, page by page as a client asks."""
    after = 0
    while True:
        report = await audit.verify(AUDITOR, after, limit)
        if report.fault is not None:
            return report.fault.number, report.fault.kind
        if report.head == report.log_head:
            return None
        after = report.head.number


@pytest.mark.parametrize(
    "update",
    [
        {"$set": {"by": "SOMEBODY:else"}},
        {"$set": {"at": datetime(2026, 1, 1)}},
        {"$set": {"at": "yesterday"}},
        {"$set": {"n": "x"}},
        {"$set": {"why": "because"}},
        {"$set": {"hash": None}},
        {"$unset": {"hash": 1}},
        {"$unset": {"source": 1}},
        {"$unset": {"after": 1}},
    ],
    ids=str,
)
async def test_a_changed_document_is_found(
    store: MongoPayoutStore, audit: Audit, update: dict[str, Any]
) -> None:
    assert await found(audit, limit=2) is None
    await store._log.update_one({"_id": 3}, update)
    assert await found(audit) == (3, K.CHANGED)


async def test_documents_that_are_gone_or_exchanged_are_found(
    store: MongoPayoutStore, audit: Audit
) -> None:
    third = await store._log.find_one_and_delete({"_id": 3})
    assert third is not None
    assert await found(audit) == (3, K.MISSING)
    fourth = await store._log.find_one_and_delete({"_id": 4})
    assert fourth is not None
    await store._log.insert_many([fourth | {"_id": 3}, third | {"_id": 4}])
    assert await found(audit) == (3, K.CHANGED)


@pytest.mark.parametrize(
    "update",
    [
        {"$set": {"history.1.by": "SOMEBODY:else"}},
        {"$set": {"history.0.to_status": "paid"}},
        {"$set": {"order.recipient_address": "T…"}},
        {"$set": {"order.amount": 1}},
        {"$unset": {"history": 1}},
        {"$pop": {"history": 1}},
    ],
)
async def test_a_changed_payout_is_found(
    store: MongoPayoutStore, audit: Audit, update: dict[str, Any]
) -> None:
    entry = await store.audit_entry(2)
    assert entry is not None
    await store._payouts.update_one({"_id": entry.record.source}, update)
    fault = await found(audit)
    assert fault is not None
    assert fault[1] is K.CONTRADICTION


async def test_a_payout_that_cannot_be_read_stops_no_other(store: MongoPayoutStore) -> None:
    broken, fine = await create(store), await create(store)
    await store._payouts.update_one(
        {"_id": broken.payout_id}, {"$set": {"history.0.to_status": "paid"}}
    )
    await Sequencer(store, 10, DAY).run()
    assert [entry.record.source for entry in await whole_log(store)] == [fine.payout_id]
    assert await store.count_unlogged() == 1


async def test_a_list_does_not_hide_what_it_cannot_read(
    store: MongoPayoutStore, audit: Audit
) -> None:
    await store._log.update_one({"_id": 2}, {"$unset": {"hash": 1}})
    with pytest.raises(UnreadableEntryError, match="entry 2 "):
        await audit.list(AUDITOR, AuditQuery(), 10)


# ---- the archive ----


async def numbers(store: MongoPayoutStore, collection: str) -> list[int]:
    found = store._database[collection].find({}, {"_id": 1}, sort=[("_id", 1)])
    return [document["_id"] async for document in found]


async def test_the_archive_is_verified_like_the_log(store: MongoPayoutStore, audit: Audit) -> None:
    log = [*await whole_log(store)]
    await store.archive_entries(0, 3)
    assert await numbers(store, "audit_archive") == [1, 2, 3]
    assert await numbers(store, "audit_log") == [4, 5]
    assert await found(audit, limit=2) is None
    assert [*await whole_log(store)] == log
    await store._archive.update_one({"_id": 2}, {"$set": {"by": "SOMEBODY:else"}})
    assert await found(audit) == (2, K.CHANGED)


async def test_a_move_that_stopped_half_way_goes_on(store: MongoPayoutStore, audit: Audit) -> None:
    log = [*await whole_log(store)]
    copies = await store._log.find({"_id": {"$lt": 3}}).to_list(None)
    await store._archive.insert_many(copies)
    assert [*await whole_log(store)] == log
    assert len(await store.list_entries(AuditQuery(), 10)) == 5
    assert await store.archive_entries(0, 3) == 3
    assert await numbers(store, "audit_archive") == [1, 2, 3]
    assert await numbers(store, "audit_log") == [4, 5]
    assert await found(audit) is None


async def test_an_archive_that_has_something_else_is_not_written_over(
    store: MongoPayoutStore, audit: Audit
) -> None:
    await store._archive.insert_one({"_id": 2, "source": "act_x", "n": 0, "hash": "other"})
    with pytest.raises(StoreError, match="other entries of these numbers"):
        await store.archive_entries(0, 3)
    assert await numbers(store, "audit_log") == [1, 2, 3, 4, 5]


async def test_racing_archivists_lose_nothing(store: MongoPayoutStore, audit: Audit) -> None:
    log = [*await whole_log(store)]
    moves = (store.archive_entries(0, limit) for limit in (1, 2, 3, 4))
    outcomes = await asyncio.gather(*moves, return_exceptions=True)
    assert all(isinstance(outcome, int | StoreError) for outcome in outcomes)
    assert [*await whole_log(store)] == log
    assert await found(audit) is None


async def test_an_index_in_the_way_is_refused(store: MongoPayoutStore) -> None:
    await store._log.drop_index("source_unique")
    await store._log.create_index("source", name="source_unique")
    with pytest.raises(UnfitStoreError, match="indexes of the audit_log collection are unfit"):
        await store.prepare()
