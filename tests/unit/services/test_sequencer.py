"""The sequencer: each record once and in order, wherever it stops and however many there are."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest

from adapters.memory.store import MemoryPayoutStore
from models.audit import Entry, story_of
from models.audit_check import contradiction, verify
from models.payout import PayoutStatus
from ports.store import StoreError
from services.sequencer import ARCHIVE_GROUP, Sequencer
from tests.audit import an_act, history_of
from tests.contract.steps import moved
from tests.factories import a_payout
from tests.harness import FakeClock
from tests.unit.services.faulty_store import FaultyStore, SlowStore

S = PayoutStatus
DAY = 86_400.0
STEPS = ["unlogged", "logged", "audit_head", "append_entries", "forget_logged"]


class Desk:
    """A store with what happened in it, and sequencers over it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.memory = MemoryPayoutStore(self.clock)
        self.store = FaultyStore(self.memory)

    def sequencer(self, group_size: int = 10) -> Sequencer:
        return Sequencer(self.store, group_size, DAY)

    async def happen(self, payouts: int = 2, acts: int = 1) -> None:
        """Payouts that were created and cancelled, and acts."""
        for _ in range(payouts):
            payout = a_payout(history=history_of(S.PENDING), outbox=(0,))
            await self.memory.insert(payout)
            await moved(self.memory, payout, S.CANCELLED)
        for _ in range(acts):
            await self.memory.note_act(an_act(at=self.clock()))

    async def log(self) -> Sequence[Entry]:
        return await self.memory.entries_after(0, 100_000)

    async def check(self, records: int) -> None:
        """So many records are in the log, each once, nothing waits, and all is as it was."""
        log = await self.log()
        assert verify(log).fault is None
        assert Counter(entry.record.key for entry in log).most_common(1)[0][1] == 1
        assert len(log) == records
        assert await self.memory.count_unlogged() == 0
        for source in {entry.record.source for entry in log if not entry.record.is_act}:
            payout = await self.memory.get(source)
            assert payout is not None
            assert contradiction(story_of(payout), log) is None


async def drain(*sequencers: Sequencer, turns: int = 200) -> None:
    """Turns until nothing is left, whatever they meet."""
    for _ in range(turns):
        for sequencer in sequencers:
            try:
                await sequencer.run()
            except StoreError:
                continue


async def test_everything_is_logged_once() -> None:
    desk = Desk()
    await desk.happen(payouts=2, acts=1)
    sequencer = desk.sequencer()
    assert not await sequencer.run()
    await desk.check(records=5)
    assert not await sequencer.run()
    await desk.check(records=5)


async def test_nothing_to_log_is_found_with_one_read() -> None:
    desk = Desk()
    assert not await desk.sequencer().run()
    assert desk.store.calls == ["unlogged"]


async def test_a_turn_that_follows_a_good_one_needs_three_calls() -> None:
    desk = Desk()
    sequencer = desk.sequencer()
    await desk.happen()
    await sequencer.run()
    assert desk.store.calls == [
        "unlogged",
        "logged",
        "audit_head",
        "append_entries",
        "forget_logged",
    ]
    desk.store.calls.clear()
    await desk.happen()
    await sequencer.run()
    await sequencer.run()
    assert desk.store.calls == ["unlogged", "append_entries", "forget_logged", "unlogged"]
    await desk.check(records=10)


async def test_groups_are_bounded_and_go_on_at_once() -> None:
    desk = Desk()
    await desk.happen(payouts=5, acts=0)
    sequencer = desk.sequencer(group_size=4)
    turns = [await sequencer.run() for _ in range(3)]
    assert turns == [True, True, False]
    await desk.check(records=10)


async def test_events_of_one_payout_keep_their_order_across_groups() -> None:
    desk = Desk()
    await desk.happen(payouts=3, acts=0)
    await drain(desk.sequencer(group_size=1))
    await desk.check(records=6)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_crash_at_any_step_loses_and_doubles_nothing(step: str, when: str) -> None:
    desk = Desk()
    await desk.happen()
    desk.store.fail(step, when)  # type: ignore[arg-type]
    with pytest.raises(StoreError):
        await desk.sequencer().run()
    await desk.happen()
    await drain(desk.sequencer(group_size=3))
    await desk.check(records=10)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_answer_that_got_lost_is_looked_for(step: str, when: str) -> None:
    desk = Desk()
    await desk.happen()
    desk.store.fail(step, when, times=3)  # type: ignore[arg-type]
    await drain(desk.sequencer(group_size=2))
    await desk.check(records=5)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("trusting", [True, False])
async def test_another_sequencer_in_between_is_noticed(
    step: str, when: str, trusting: bool
) -> None:
    desk = Desk()
    ours, theirs = desk.sequencer(), Sequencer(desk.memory, 10, DAY)
    if trusting:
        await desk.happen()
        await ours.run()
    await desk.happen()
    desk.store.meanwhile(step, when, theirs.run)  # type: ignore[arg-type]
    await drain(ours)
    await desk.check(records=10 if trusting else 5)


async def test_a_record_that_another_logged_and_left_behind_is_left_out() -> None:
    desk = Desk()
    ours = desk.sequencer()
    await desk.happen()
    await ours.run()
    await desk.happen()
    theirs = FaultyStore(desk.memory)
    theirs.fail("forget_logged", "before")
    with pytest.raises(StoreError):
        await Sequencer(theirs, 10, DAY).run()
    assert await ours.run()  # refused by the fence: looks again at once
    assert not await ours.run()
    await desk.check(records=10)


@pytest.mark.parametrize("seed", range(20))
async def test_many_sequencers_at_once_log_everything_once(seed: int) -> None:
    desk = Desk()
    slow = SlowStore(desk.memory, seed)
    crowd = [Sequencer(slow, group_size, DAY) for group_size in (1, 2, 3, 7)]
    await desk.happen(payouts=4, acts=2)
    await asyncio.gather(*(drain(each, turns=30) for each in crowd))
    await desk.happen(payouts=1, acts=1)
    await asyncio.gather(*(drain(each, turns=30) for each in crowd))
    await desk.check(records=13)


async def test_old_entries_are_archived_in_groups() -> None:
    desk = Desk()
    await desk.happen(payouts=0, acts=ARCHIVE_GROUP + 3)
    sequencer = desk.sequencer(group_size=2_000)
    await sequencer.run()
    before = [*await desk.log()]
    assert not await sequencer.archive()
    desk.clock.tick(DAY)
    assert await sequencer.archive()
    assert not await sequencer.archive()
    assert [*await desk.log()] == before
    await desk.check(records=ARCHIVE_GROUP + 3)
