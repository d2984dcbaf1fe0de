"""Every reason for which nothing may be built."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.memory.store import MemoryPayoutStore
from models.chain import BlockRef, Cursor
from models.money import Currency
from models.policy import AttemptPolicy
from services.gate import RESTORED, WALLET_GATE, DispatchGate, OpensAt, opening
from tests.factories import OWNER, RECIPIENT, a_block, a_cursor, a_hit
from tests.harness import SERVICE, FakeClock
from tests.unit.services.desk import a_desk

POLICY = AttemptPolicy(life_ms=60_000, max_beyond_cursor_ms=180_000)
LONGEST = POLICY.max_beyond_cursor_ms


class Head:
    """A chain of which only the head is asked, and what is said against a block; `number` moves
    it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.against = ""

    async def doubt(self, block: BlockRef) -> str:
        return self.against

    async def head(self) -> BlockRef:
        return a_block(self.number)


def a_gate(
    store: MemoryPayoutStore,
    head: int = 1_000,
    *,
    quarantine: bool = False,
    wallets: Sequence[str] = (OWNER,),
) -> DispatchGate:
    return DispatchGate(store, Head(head), POLICY, wallets=wallets, quarantine=quarantine)  # type: ignore[arg-type]


async def at(store: MemoryPayoutStore, cursor: Cursor) -> None:
    assert await store.move_cursor(await store.cursor(), cursor, ())


async def names(gate: DispatchGate) -> list[str]:
    return [closed.name for closed in (await gate.look()).closed]


@pytest.fixture
def store() -> MemoryPayoutStore:
    return MemoryPayoutStore(FakeClock())


async def test_closed_until_a_solid_block_was_read(store: MemoryPayoutStore) -> None:
    assert await names(a_gate(store)) == ["starting"]


async def test_opens_when_the_cursor_reaches_the_head_of_the_start(
    store: MemoryPayoutStore,
) -> None:
    gate = a_gate(store, head=1_003)
    for number, expected in [(1_000, ["catching_up"]), (1_002, ["catching_up"]), (1_003, [])]:
        await at(store, a_cursor(number))
        assert await names(gate) == expected


async def test_the_head_of_the_start_is_asked_once(store: MemoryPayoutStore) -> None:
    chain = Head(1_000)
    gate = DispatchGate(store, chain, POLICY, wallets=[OWNER], quarantine=False)  # type: ignore[arg-type]
    await at(store, a_cursor(1_000))
    assert await names(gate) == []
    chain.number = 2_000  # the chain goes on while solid blocks lag
    assert await names(gate) == []


async def test_opens_only_on_a_block_that_nobody_doubts(store: MemoryPayoutStore) -> None:
    chain = Head(1_000)
    gate = DispatchGate(store, chain, POLICY, wallets=[OWNER], quarantine=False)  # type: ignore[arg-type]
    await at(store, a_cursor(1_000))
    chain.against = "the other one has another block"
    assert await names(gate) == ["unconfirmed"]
    chain.against = ""
    assert await names(gate) == []
    chain.against = "asked once is enough"
    assert await names(gate) == []


async def test_a_head_that_no_chain_of_ours_has_is_forgotten(store: MemoryPayoutStore) -> None:
    chain = Head(10**9)
    gate = DispatchGate(store, chain, POLICY, wallets=[OWNER], quarantine=False)  # type: ignore[arg-type]
    await at(store, a_cursor(1_000))
    assert await names(gate) == ["catching_up"]
    chain.number = 1_001
    assert await names(gate) == ["catching_up"]
    await at(store, a_cursor(1_001))
    assert await names(gate) == []


async def test_a_fork_brings_dispatch_forward_by_nothing(store: MemoryPayoutStore) -> None:
    chain = Head(1_100)
    gate = DispatchGate(store, chain, POLICY, wallets=[OWNER], quarantine=False)  # type: ignore[arg-type]
    await at(store, a_cursor(1_000))
    assert await names(gate) == ["catching_up"]
    chain.number = 1_000
    assert await names(gate) == ["catching_up"]


@pytest.mark.parametrize(
    ("head", "quarantine", "opens_at_ms"),
    [
        (1_000, False, None),
        (1_060, False, None),
        (1_061, False, a_block(1_061).time_ms + LONGEST),
        (5_000, False, a_block(5_000).time_ms + LONGEST),
        (1_000, True, a_block(1_000).time_ms + LONGEST),
        (1_060, True, a_block(1_060).time_ms + LONGEST),
    ],
    ids=["no lag", "lag of a life", "more than a life", "long away", "restored", "restored, lag"],
)
def test_where_dispatch_opens(head: int, quarantine: bool, opens_at_ms: int | None) -> None:
    target = opening(a_block(head), a_cursor(1_000), POLICY, quarantine=quarantine)
    assert target == OpensAt(head, opens_at_ms)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.booleans())
def test_no_forgotten_attempt_can_be_included_once_open(
    cursor_ms: int, head_ms: int, quarantine: bool
) -> None:
    """An attempt that the store forgot was built before the start, on a head of then at most, and
    expires within `max_beyond_cursor_ms` of a cursor that was no newer than that head."""
    head, cursor = BlockRef(9, "", head_ms), Cursor(BlockRef(5, "", cursor_ms), 0)
    target = opening(head, cursor, POLICY, quarantine=quarantine)
    latest_expiration = cursor_ms + LONGEST  # of what this very store recorded
    if quarantine:
        latest_expiration = head_ms + LONGEST  # of what a later copy of it did
    if target.after_ms is None:
        assert head_ms <= latest_expiration
    else:
        assert target.after_ms >= latest_expiration


async def test_quarantine_ends_after_the_longest_life_of_what_was_forgotten(
    store: MemoryPayoutStore,
) -> None:
    gate = a_gate(store, quarantine=True)
    last = 1_000 + LONGEST // 3_000
    for number, expected in [(1_000, ["quarantine"]), (last, ["quarantine"]), (last + 1, [])]:
        await at(store, a_cursor(number))
        assert await names(gate) == expected


async def test_a_replica_that_finds_a_restored_copy_waits_and_then_opens_it_for_all(
    store: MemoryPayoutStore,
) -> None:
    await at(store, a_cursor(1_000))
    running = a_gate(store)
    assert await names(running) == []
    await store.close_gate(RESTORED, "a copy")
    gate = a_gate(store)
    last = 1_000 + LONGEST // 3_000
    for number in (1_000, last):
        await at(store, a_cursor(number))
        assert await names(gate) == ["restored", "quarantine"]
        assert await names(running) == ["restored"]
    await at(store, a_cursor(last + 1))
    assert await names(gate) == ["restored"]
    assert await names(gate) == await names(running) == []


async def test_quarantine_begins_anew_in_a_process_that_starts_within_it(
    store: MemoryPayoutStore,
) -> None:
    await at(store, a_cursor(1_000))
    await store.close_gate(RESTORED, "a copy")
    assert await names(a_gate(store)) == ["restored", "quarantine"]
    await at(store, a_cursor(1_050))
    restarted = a_gate(store, head=1_050)
    last = 1_050 + LONGEST // 3_000
    for number in (1_050, last):
        await at(store, a_cursor(number))
        assert await names(restarted) == ["restored", "quarantine"]
    await at(store, a_cursor(last + 1))
    await restarted.look()
    assert await names(restarted) == []


async def test_who_has_opened_a_restored_copy_does_not_open_the_next_one(
    store: MemoryPayoutStore,
) -> None:
    await at(store, a_cursor(1_000))
    await store.close_gate(RESTORED, "a copy")
    gate = a_gate(store)
    await gate.look()
    await at(store, a_cursor(2_000))
    await gate.look()
    assert await names(gate) == []
    await store.close_gate(RESTORED, "another copy")
    for _ in range(2):
        assert await names(gate) == ["restored"]


async def test_a_broken_link_closes_until_it_is_mended(store: MemoryPayoutStore) -> None:
    gate = a_gate(store)
    broken = a_cursor(1_000, broken="block 1001 does not follow 1000")
    await at(store, broken)
    (closed,) = (await gate.look()).closed
    assert (closed.name, closed.reason) == ("broken_link", "block 1001 does not follow 1000")
    await at(store, replace(broken, broken=""))
    assert await names(gate) == []


async def test_a_stored_gate_closes_and_that_of_a_wallet_does_not(
    store: MemoryPayoutStore,
) -> None:
    gate = a_gate(store)
    await at(store, a_cursor(1_000))
    await store.close_gate(WALLET_GATE + "T1", "empty", 1, 0)
    assert await names(gate) == []
    await store.close_gate("frozen", "a dead attempt was included")
    (closed,) = (await gate.look()).closed
    assert (closed.name, closed.reason) == ("frozen", "a dead attempt was included")
    await store.open_gate("frozen")
    assert await names(gate) == []


async def test_an_unexplained_transfer_closes_until_somebody_explains_it() -> None:
    desk = a_desk()
    gate = a_gate(desk.memory)
    await at(desk.memory, a_cursor(999))
    hit = a_hit()
    assert await desk.memory.move_cursor(a_cursor(999), a_cursor(1_000), [hit])
    (closed,) = (await gate.look()).closed
    assert closed.name == "unexplained"
    assert closed.reason.startswith("1 ")
    await desk.router.explain(SERVICE, hit.txid, None, "paid by hand")
    assert await names(gate) == []


async def test_all_reasons_are_told(store: MemoryPayoutStore) -> None:
    gate = a_gate(store, head=2_000)
    await store.move_cursor(None, a_cursor(1_000, broken="torn"), [a_hit()])
    await store.close_gate("frozen", "why")
    assert await names(gate) == ["broken_link", "frozen", "unexplained", "catching_up"]


ALL = frozenset(Currency)
USDT_ONLY, TRX_ONLY = frozenset({Currency.USDT}), frozenset({Currency.TRX})


@pytest.mark.parametrize(
    ("gates", "closed", "currencies"),
    [
        (["pause:dispatch"], ["pause:dispatch"], ALL),
        (["pause:intake", "pause:intake:USDT"], [], ALL),
        (["pause:dispatch:USDT"], [], TRX_ONLY),
        (["pause:dispatch:TRX", "pause:intake"], [], USDT_ONLY),
        (
            ["pause:dispatch:TRX", "pause:dispatch:USDT"],
            ["pause:dispatch:TRX", "pause:dispatch:USDT"],
            frozenset(),
        ),
        ([f"pause:dispatch:{OWNER}"], ["pause:dispatch:wallet"], ALL),
        (["pause:dispatch:TSomeOtherWallet"], [], ALL),
        (["pause:dispatch", "pause:dispatch:USDT"], ["pause:dispatch"], TRX_ONLY),
        (["pause:dispatch", "frozen"], ["frozen", "pause:dispatch"], ALL),
        (["pause:of-a-later-version"], ["pause:of-a-later-version"], ALL),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else "",
)
async def test_what_a_person_paused_is_closed(
    store: MemoryPayoutStore, gates: list[str], closed: list[str], currencies: frozenset[Currency]
) -> None:
    await at(store, a_cursor(1_000))
    gate = a_gate(store)
    assert await names(gate) == []
    for name in gates:
        await store.close_gate(name, "because", closed_by="ADMIN:ada")
    view = await gate.look()
    assert [each.name for each in view.closed] == closed
    assert view.currencies == currencies
    assert [each.gate for each in view.pauses] == sorted(
        name for name in gates if name.startswith("pause:") and "later" not in name
    )
    for name in gates:
        await store.open_gate(name)
    assert (await gate.look()).closed == ()


TWO = (OWNER, RECIPIENT)


@pytest.mark.parametrize(
    ("gates", "closed", "wallets"),
    [
        ([], [], {*TWO}),
        ([OWNER], [], {RECIPIENT}),
        ([RECIPIENT, "TSomeOtherWallet"], [], {OWNER}),
        ([*TWO], ["pause:dispatch:wallet"] * 2, set()),
    ],
    ids=["none", "one", "the other", "both"],
)
async def test_a_wallet_that_is_paused_leaves_the_others_open(
    store: MemoryPayoutStore, gates: list[str], closed: list[str], wallets: set[str]
) -> None:
    await at(store, a_cursor(1_000))
    for wallet in gates:
        await store.close_gate(f"pause:dispatch:{wallet}", "because", closed_by="ADMIN:ada")
    view = await a_gate(store, wallets=TWO).look()
    assert [each.name for each in view.closed] == closed
    assert view.wallets == wallets


async def test_the_closed_gates_of_wallets_are_told_by_wallet(store: MemoryPayoutStore) -> None:
    await at(store, a_cursor(1_000))
    await store.close_gate(WALLET_GATE + RECIPIENT, "empty", needs_usdt=5)
    view = await a_gate(store, wallets=TWO).look()
    assert {wallet: gate.needs_usdt for wallet, gate in view.gates.items()} == {RECIPIENT: 5}
    assert view.wallets == {*TWO}


async def test_a_pause_says_what_and_why(store: MemoryPayoutStore) -> None:
    await at(store, a_cursor(1_000))
    await store.close_gate("pause:dispatch", "balances do not add up", closed_by="ADMIN:ada")
    (closed,) = (await a_gate(store).look()).closed
    assert closed.reason == "dispatch is paused: balances do not add up"
