"""The audit log's storage, over every implementation."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol

import pytest

from models.audit import GENESIS, Entry, Record, linked, record_of, story_of, unlogged_of
from models.errors import Reason
from models.payout import Payout, PayoutStatus
from ports.audit import AuditLog, AuditQuery
from ports.store import PayoutStore
from tests.audit import a_story, an_act, history_of, records_of
from tests.contract.steps import inserted, moved, stored
from tests.factories import LONG_AGO, a_payout

S = PayoutStatus
DAY = 86_400.0


class Store(PayoutStore, AuditLog, Protocol):
    """Both ports, as every implementation has them."""


async def created(store: Store, **overrides: Any) -> Payout:
    """A new payout as intake makes it."""
    return await inserted(store, **{"history": history_of(S.PENDING), "outbox": (0,)} | overrides)


async def logged(store: Store, *records: Record) -> Sequence[Entry]:
    """These records at the log's end."""
    entries = linked(await store.audit_head(), records)
    assert await store.append_entries(entries)
    return entries


# ---- outboxes ----


async def test_an_act_waits_until_it_is_logged(store: Store) -> None:
    act = an_act(why=Reason(None, "$reason"), by="$by", tenant="north", details="$d", txid="ab")
    await store.note_act(act)
    await store.note_act(replace(act, by="somebody else"))
    assert [*await store.unlogged(10)] == [act]
    await store.forget_logged([act])
    await store.forget_logged([act])
    assert not await store.unlogged(10)


async def test_what_happens_to_a_payout_waits_in_order(store: Store) -> None:
    payout = await created(store, tenant="north")
    done = await moved(store, payout, S.CANCELLED, why=Reason("P1", "$why"), request_id="r-9")
    first, second = await store.unlogged(10)
    assert [first, second] == [record_of(story_of(done), n) for n in (0, 1)]
    assert first.details == "12.50 USDT to TJRabPrwbZy45sbavfcjinPJC18kjpRTv8"
    assert first.tenant == "north"
    assert (second.before, second.after, second.request_id) == ("pending", "cancelled", "r-9")
    assert (second.by, second.why) == ("test", Reason("P1", "$why"))


async def test_only_what_was_logged_leaves_the_outbox(store: Store) -> None:
    payout = await created(store)
    done = await moved(store, payout, S.CANCELLED)
    first, second = unlogged_of(story_of(done))
    await store.forget_logged([first])
    assert [*await store.unlogged(10)] == [second]
    await store.forget_logged([first, second])
    await store.forget_logged([second])
    assert not await store.unlogged(10)
    # No guard of a change sees any of it.
    assert await stored(store, payout) == replace(done, outbox=())


async def test_what_happens_while_the_rest_is_logged_stays(store: Store) -> None:
    payout = await created(store)
    waiting = await store.unlogged(10)
    await moved(store, payout, S.CANCELLED)
    await store.forget_logged(waiting)
    assert [record.n for record in await store.unlogged(10)] == [1]


async def test_a_payout_that_is_put_off_has_nothing_to_log(store: Store) -> None:
    payout = await created(store)
    await store.forget_logged(await store.unlogged(10))
    await moved(store, payout, S.PENDING, due_in_seconds=5.0)
    assert not await store.unlogged(10)
    assert await store.count_unlogged() == 0


async def test_a_group_is_bounded_and_acts_go_first(store: Store) -> None:
    payouts = [await created(store) for _ in range(3)]
    acts = [an_act(at=LONG_AGO + timedelta(seconds=seconds)) for seconds in (3, 1, 2)]
    for act in acts:
        await store.note_act(act)
    assert await store.count_unlogged() == 6
    found = await store.unlogged(2)
    assert [*found[:2]] == [acts[1], acts[2]]
    assert len(found) == 4
    assert {record.source for record in found[2:]} < {payout.payout_id for payout in payouts}
    assert [*(await store.unlogged(10))[:3]] == [acts[1], acts[2], acts[0]]


async def test_forgetting_what_never_waited_is_harmless(store: Store) -> None:
    await store.forget_logged([an_act(), *records_of(a_story())])
    await store.forget_logged([])


# ---- the log ----


async def test_a_log_begins_empty(store: Store) -> None:
    assert await store.audit_head() == GENESIS
    assert await store.audit_entry(1) is None
    assert not await store.entries_after(0, 10)
    assert not await store.list_entries(AuditQuery(), 10)
    assert not await store.logged(["act_1"])


async def test_what_was_appended_is_read_back(store: Store) -> None:
    story = a_story(tenant="$tenant")
    records = [*records_of(story), an_act(details="ü \u2028 $x", why=None, after=None)]
    entries = await logged(store, *records)
    assert await store.audit_head() == entries[-1].head
    assert [*await store.entries_after(0, 10)] == entries
    assert [*await store.entries_after(1, 2)] == entries[1:3]
    assert await store.audit_entry(2) == entries[1]
    keys = {(story.payout_id, 0), (story.payout_id, 1), (story.payout_id, 2)}
    assert {*await store.logged([story.payout_id, "act_none"])} == keys


async def test_a_number_is_taken_once(store: Store) -> None:
    (first,) = await logged(store, an_act())
    other, after = linked(GENESIS, [an_act(), an_act()])
    assert not await store.append_entries([other, after])
    assert [*await store.entries_after(0, 10)] == [first]


async def test_a_record_is_logged_once(store: Store) -> None:
    act, another = an_act(), an_act()
    await logged(store, act)
    entries = linked(await store.audit_head(), [another, act, an_act()])
    assert not await store.append_entries(entries)
    # In order, and nothing beyond what was refused.
    assert [entry.record for entry in await store.entries_after(0, 10)] == [act, another]


async def test_of_racing_appends_one_wins_each_number(store: Store) -> None:
    rivals = [linked(GENESIS, [an_act(), an_act()]) for _ in range(6)]
    outcomes = await asyncio.gather(*(store.append_entries(entries) for entries in rivals))
    assert outcomes.count(True) == 1
    assert [*await store.entries_after(0, 20)] == rivals[outcomes.index(True)]


# ---- lists ----


async def test_lists_filter_and_go_on(store: Store) -> None:
    story = a_story()
    act = an_act(request_id="r-7", subject=story.payout_id)
    entries = await logged(store, *records_of(story), act, an_act(by="ADMIN:bob"))

    async def numbers(limit: int = 10, **filters: Any) -> list[int]:
        return [entry.number for entry in await store.list_entries(AuditQuery(**filters), limit)]

    assert await numbers() == [5, 4, 3, 2, 1]
    assert await numbers(2) == [5, 4]
    assert await numbers(2, before=4) == [3, 2]
    assert await numbers(subject=story.payout_id) == [4, 3, 2, 1]
    assert await numbers(subject=story.payout_id, action="gate:open") == [4]
    assert await numbers(action="payout:completed") == [3]
    assert await numbers(by="ADMIN:bob") == [5]
    assert await numbers(request_id="r-7") == [4]
    assert await numbers(request_id="none") == []
    second = entries[1].record.at
    assert await numbers(at_from=second) == [3, 2]
    assert await numbers(at_to=second) == [5, 4, 1]
    assert await numbers(at_from=second, at_to=second + timedelta(seconds=1), before=3) == [2]


async def test_payouts_tell_their_story(store: Store) -> None:
    payout = await created(store)
    done = await moved(store, payout, S.CANCELLED)
    found = await store.stories([payout.payout_id, "payout_none"])
    assert dict(found) == {payout.payout_id: story_of(done)}


# ---- the archive ----


async def test_old_entries_move_and_are_read_as_before(store: Store) -> None:
    records = [*records_of(a_story()), an_act(), an_act()]
    entries = await logged(store, *records)
    assert await store.archive_entries(DAY, 2) == 2
    assert await store.archive_entries(DAY, 10) == 2  # the log keeps its last entry
    assert await store.archive_entries(DAY, 10) == 0
    assert await store.audit_head() == entries[-1].head
    assert [*await store.entries_after(0, 10)] == entries
    assert [*await store.entries_after(1, 3)] == entries[1:4]
    assert [entry.number for entry in await store.list_entries(AuditQuery(), 3)] == [5, 4, 3]
    assert await store.audit_entry(1) == entries[0]
    assert {*await store.logged([record.source for record in records])} == {
        record.key for record in records
    }
    (more,) = await logged(store, an_act())
    assert more.number == 6


async def test_what_is_young_stays_and_so_does_what_comes_after_it(store: Store) -> None:
    young = await store.now()
    await logged(store, an_act(), an_act(at=young), an_act(), an_act())
    assert await store.archive_entries(DAY, 10) == 1
    assert await store.archive_entries(DAY, 10) == 0


async def test_an_empty_log_has_nothing_to_archive(store: Store) -> None:
    assert await store.archive_entries(DAY, 10) == 0


@pytest.mark.parametrize("text", ["", "$$NOW", "a.b", "ü\u2028"])
async def test_any_text_comes_back(store: Store, text: str) -> None:
    act = an_act(subject=text, by=text, before=text, why=Reason(text, text))
    await store.note_act(act)
    (waiting,) = await store.unlogged(1)
    await logged(store, waiting)
    assert (await store.entries_after(0, 1))[0].record == act == waiting


async def test_a_payout_without_a_history_tells_nothing(store: Store) -> None:
    payout = a_payout()
    await store.insert(payout)
    assert (await store.stories([payout.payout_id]))[payout.payout_id].history == ()
    assert not await store.unlogged(10)
