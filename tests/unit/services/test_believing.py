"""Which blocks are read on one endpoint's word, and which others are asked about."""

from dataclasses import replace
from typing import Any

import pytest

from adapters.memory.store import MemoryPayoutStore
from models.chain import BlockRef, Cursor, SolidBlock
from models.payout import PayoutStatus
from ports.chain import BrokenLinkError, ChainUnavailableError
from services.settlement import VOUCH_BLOCKS, CursorMovedError, linked
from tests.factories import a_block, a_hit
from tests.harness import POLICIES, SOLID_LAG, FakeClock, House, open_house
from tests.trouble import replica_of
from tests.unit.services.faulty_store import FaultyStore

ALL_AT_ONCE = replace(POLICIES, settle=replace(POLICIES.settle, blocks_per_read=3 * VOUCH_BLOCKS))


class Others:
    """The other endpoints: what they were asked about, by how far it is past where reading began,
    and which of it they do not have."""

    def __init__(self, since: Cursor, doubted: set[int]) -> None:
        self.asked: list[int] = []
        self._since = since.block.number
        self._doubted = doubted

    async def doubt(self, block: BlockRef) -> str:
        steps = block.number - self._since
        self.asked.append(steps)
        return "not here" if steps in self._doubted else ""


async def a_house(monkeypatch: pytest.MonkeyPatch, *doubted: int) -> tuple[House, Others, Cursor]:
    """A house that has read up to where a block was last vouched for, and in whose further blocks
    nothing is ours."""
    house = await open_house(policies=ALL_AT_ONCE)
    house.mine(SOLID_LAG + 5)
    await house.read()
    cursor = await house.store.cursor()
    assert cursor.vouched == cursor.run_start == cursor.block.number > 1
    others = Others(cursor, {*doubted})
    monkeypatch.setattr(house.chain, "doubt", others.doubt)
    monkeypatch.setattr(house.chain, "hits", unasked)
    return house, others, cursor


async def unasked(*_: Any) -> Any:
    raise AssertionError("infos were asked for of a block that holds nothing of ours")


@pytest.mark.parametrize(
    ("blocks", "asked"),
    [
        (1, []),
        (VOUCH_BLOCKS - 1, []),
        (VOUCH_BLOCKS, [VOUCH_BLOCKS]),
        (VOUCH_BLOCKS + 5, [VOUCH_BLOCKS + 5]),
    ],
)
async def test_so_many_empty_blocks_are_read_on_one_endpoints_word(
    monkeypatch: pytest.MonkeyPatch, blocks: int, asked: list[int]
) -> None:
    house, others, start = await a_house(monkeypatch)
    house.mine(blocks)
    await house.services.settlement.advance()
    assert others.asked == asked
    cursor = await house.store.cursor()
    assert cursor.block.number == start.block.number + blocks
    assert cursor.vouched == start.block.number + (asked[0] if asked else 0)


async def test_the_bound_holds_over_several_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    house, others, _ = await a_house(monkeypatch)
    for _ in range(2 * VOUCH_BLOCKS):
        house.mine(1)
        await house.services.settlement.advance()
    assert others.asked == [VOUCH_BLOCKS, 2 * VOUCH_BLOCKS]


async def test_what_is_doubted_is_not_read_and_what_lies_before_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    last = VOUCH_BLOCKS + 5
    house, others, start = await a_house(monkeypatch, last)
    house.mine(last)
    with pytest.raises(ChainUnavailableError, match="not here"):
        await house.services.settlement.advance()
    assert others.asked == [last, VOUCH_BLOCKS]
    cursor = await house.store.cursor()
    assert cursor.block.number == start.block.number + last - 1
    assert cursor.vouched == start.block.number + VOUCH_BLOCKS


async def test_nothing_beyond_the_bound_is_read_when_all_of_it_is_doubted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    last = VOUCH_BLOCKS + 5
    house, _, start = await a_house(monkeypatch, last, VOUCH_BLOCKS)
    house.mine(last)
    with pytest.raises(ChainUnavailableError, match="not here"):
        await house.services.settlement.advance()
    cursor = await house.store.cursor()
    assert cursor.block.number == start.block.number + VOUCH_BLOCKS - 1
    assert cursor.vouched == start.block.number


def test_blocks_that_do_not_follow_each_other_are_named() -> None:
    blocks = [SolidBlock(a_block(n), a_block(n - 1).block_id, ()) for n in (1_001, 1_002)]
    assert linked(a_block(1_000), blocks) == blocks
    stranger = replace(blocks[1], parent_id=a_block(1_001, "another chain").block_id)
    with pytest.raises(BrokenLinkError, match=r"block 1002 \(.*\) does not follow 1001 \("):
        linked(a_block(1_000), [blocks[0], stranger])


async def test_a_cursor_that_another_replica_put_first_is_the_one_that_counts() -> None:
    clock = FakeClock()
    house = await open_house(store=FaultyStore(MemoryPayoutStore(clock)), clock=clock)
    house.mine(SOLID_LAG + 5)
    head = await house.chain.solid_head()
    before = await house.chain.solid_block(head.number - 1)
    first = Cursor(before, before.number, before.number)

    async def another() -> None:
        assert await house.store.move_cursor(None, first, ())

    house.store.meanwhile("cursor", "after", another)
    await house.services.settlement.advance()
    cursor = await house.store.cursor()
    assert (cursor.block, cursor.run_start) == (head, before.number)


async def test_a_cursor_that_another_replica_moved_is_left_to_it() -> None:
    house = await open_house()
    await house.start()
    other = await replica_of(house)
    await other.services.settlement.advance()
    house.mine(1)
    await house.services.settlement.advance()
    house.mine(1)
    with pytest.raises(CursorMovedError, match="another replica moved the cursor from"):
        await other.services.settlement.advance()
    assert await other.services.settlement.advance() is False
    assert (await house.store.cursor()).block.number == house.net.solid.number


async def test_failures_that_nobody_confirms_keep_no_other_hit_from_being_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one_by_one = replace(POLICIES, settle=replace(POLICIES.settle, group_size=1))
    house = await open_house(policies=one_by_one)
    await house.start()
    payouts = [await house.create() for _ in range(5)]
    await house.dispatch()
    live = [(await house.get(payout)).live_attempt for payout in payouts]
    results = ["REVERT", "SUCCESS", "REVERT", "SUCCESS", "SUCCESS"]
    hits = [
        a_hit(attempt, contract_ret=result) for attempt, result in zip(live, results, strict=True)
    ]
    cursor = await house.store.cursor()
    assert await house.store.move_cursor(cursor, cursor, hits)

    async def confirms(block: BlockRef) -> bool:
        return False

    monkeypatch.setattr(house.chain, "confirms", confirms)
    await house.services.settlement.settle_hits()
    ends = [(await house.get(payout)).status for payout in payouts]
    waiting, done = PayoutStatus.PROCESSING, PayoutStatus.COMPLETED
    assert ends == [waiting, done, waiting, done, done]
    monkeypatch.undo()
    await house.services.settlement.settle_hits()
    assert (await house.get(payouts[0])).status is PayoutStatus.FAILED
