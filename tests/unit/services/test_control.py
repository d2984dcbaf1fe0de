"""Stopping, going on, opening gates: who may, what it leaves behind, and that it is noted first."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from models.audit import Record
from models.caller import Caller
from models.errors import PayoutError
from models.money import Currency
from models.pause import Activity, Pause
from models.permission import grants_of, parse_permission
from ports.store import StoreError
from services.gate import WALLET_GATE
from tests.factories import OWNER, RECIPIENT
from tests.unit.services.desk import Desk, a_desk
from tests.unit.services.faulty_store import FaultyStore

ALL = Pause(Activity.DISPATCH)
USDT = Pause(Activity.INTAKE, Currency.USDT)


def may(*permissions: str) -> Caller:
    return Caller("ada", "ADMIN", grants_of(map(parse_permission, permissions)), request_id="r-1")


ADA = may("system:*:all", "gate:*:all")
BOB = Caller("bob", "ADMIN", ADA.grants)


async def acts(desk: Desk) -> list[Record]:
    return [record for record in await desk.memory.unlogged(100) if record.source.startswith("act")]


def told(act: Record) -> tuple[Any, ...]:
    reason = act.why and act.why.message
    return act.action, act.subject, act.by, act.request_id, act.before, act.after, reason


async def test_a_pause_is_a_gate_with_a_name_to_it() -> None:
    desk = a_desk()
    pauses = await desk.control.pause(ADA, ALL, "balances do not add up")
    (gate,) = await desk.memory.gates()
    assert pauses == {ALL: gate}
    assert (gate.name, gate.reason, gate.closed_by, gate.closed_at) == (
        "pause:dispatch",
        "balances do not add up",
        "ADMIN:ada",
        desk.clock.at,
    )
    await desk.wakeups.wait(3_600)  # returns at once: every dispatcher looks now
    (act,) = await acts(desk)
    assert told(act) == (
        "system:pause",
        "pause:dispatch",
        "ADMIN:ada",
        "r-1",
        "open",
        "closed: balances do not add up",
        "balances do not add up",
    )


async def test_pausing_again_keeps_the_first_moment_and_takes_the_rest() -> None:
    desk = a_desk()
    first = (await desk.control.pause(ADA, ALL, "one"))[ALL]
    desk.clock.tick(60)
    again = (await desk.control.pause(BOB, ALL, "two"))[ALL]
    assert (again.closed_at, again.reason, again.closed_by) == (first.closed_at, "two", "ADMIN:bob")
    assert [(each.before, each.after) for each in await acts(desk)] == [
        ("open", "closed: one"),
        ("closed: one", "closed: two"),
    ]


async def test_resuming_ends_that_pause_alone() -> None:
    desk = a_desk()
    await desk.control.pause(ADA, ALL, "one")
    await desk.control.pause(ADA, USDT, "two")
    assert (await desk.control.resume(BOB, ALL, "all is well")).keys() == {USDT}
    assert [gate.name for gate in await desk.memory.gates()] == ["pause:intake:USDT"]
    await desk.wakeups.wait(3_600)
    assert told((await acts(desk))[-1]) == (
        "system:pause",
        "pause:dispatch",
        "ADMIN:bob",
        None,
        "closed: one",
        "open",
        "all is well",
    )


async def test_what_is_not_paused_cannot_be_resumed() -> None:
    desk = a_desk()
    await desk.control.pause(ADA, ALL, "one")
    with pytest.raises(PayoutError) as refusal:
        await desk.control.resume(ADA, Pause(Activity.DISPATCH, Currency.USDT), "why not")
    assert refusal.value.code == "P010"
    assert (await desk.control.pauses()).keys() == {ALL}
    assert len(await acts(desk)) == 1


async def test_a_wallet_that_ever_paid_here_can_be_paused_and_no_other() -> None:
    desk = a_desk()
    former = "TVj7RNVHy6thbM7BWdSe9G6gXwKhjhdNZS"
    await desk.memory.remember_wallet(former)
    for wallet in (OWNER, former):
        await desk.control.pause(ADA, Pause(Activity.DISPATCH, wallet=wallet), "stolen?")
    with pytest.raises(PayoutError) as refusal:
        await desk.control.pause(ADA, Pause(Activity.DISPATCH, wallet=RECIPIENT), "a slip")
    assert (refusal.value.code, refusal.value.field) == ("P003", "wallet")
    assert [gate.name for gate in await desk.memory.gates()] == sorted(
        [f"pause:dispatch:{OWNER}", f"pause:dispatch:{former}"]
    )


async def test_a_person_opens_a_gate() -> None:
    desk = a_desk()
    await desk.memory.close_gate("frozen", "a dead attempt was included")
    (gate,) = await desk.control.gates(ADA)
    assert (gate.name, gate.reason, gate.closed_by) == (
        "frozen",
        "a dead attempt was included",
        None,
    )
    await desk.control.open_gate(ADA, "frozen", "looked into it")
    assert await desk.control.gates(ADA) == []
    await desk.wakeups.wait(3_600)
    (act,) = await acts(desk)
    assert told(act) == (
        "gate:open",
        "frozen",
        "ADMIN:ada",
        "r-1",
        "closed: a dead attempt was included",
        "open",
        "looked into it",
    )
    with pytest.raises(PayoutError) as refusal:
        await desk.control.open_gate(ADA, "frozen", "again")
    assert (refusal.value.code, refusal.value.field) == ("P010", "name")


async def test_a_pause_is_no_gate_to_open() -> None:
    desk = a_desk()
    await desk.control.pause(ADA, ALL, "one")
    with pytest.raises(PayoutError, match="/admin/resume") as refusal:
        await desk.control.open_gate(ADA, ALL.gate, "quickly")
    assert (refusal.value.code, refusal.value.field) == ("P500", "name")
    assert len(await desk.memory.gates()) == len(await acts(desk)) == 1


@pytest.mark.parametrize(
    ("may_not", "call"),
    [
        (may("gate:open:all"), lambda control, who: control.gates(who)),
        (may("gate:view:all"), lambda control, who: control.open_gate(who, "frozen", "x")),
        (may("system:view:all"), lambda control, who: control.pause(who, ALL, "x")),
        (may("system:view:all"), lambda control, who: control.resume(who, ALL, "x")),
    ],
)
async def test_each_takes_its_permission(
    may_not: Caller, call: Callable[[Any, Caller], Awaitable[object]]
) -> None:
    desk = a_desk()
    await desk.memory.close_gate("frozen", "x")
    await desk.memory.close_gate(ALL.gate, "x")
    with pytest.raises(PayoutError) as refusal:
        await call(desk.control, may_not)
    assert refusal.value.code == "P002"
    assert len(await desk.memory.gates()) == 2
    assert await acts(desk) == []


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", ["pause", "resume", "open_gate"])
async def test_nothing_is_done_that_is_not_noted(call: str, when: Any) -> None:
    desk = a_desk(FaultyStore)
    await desk.memory.close_gate("frozen", "x")
    await desk.memory.close_gate(USDT.gate, "x")
    before = await desk.memory.gates()
    desk.store.fail("note_act", when)
    calls = {
        "pause": lambda: desk.control.pause(ADA, ALL, "stop"),
        "resume": lambda: desk.control.resume(ADA, USDT, "go on"),
        "open_gate": lambda: desk.control.open_gate(ADA, "frozen", "looked into it"),
    }
    with pytest.raises(StoreError):
        await calls[call]()
    assert await desk.memory.gates() == before
    await calls[call]()
    assert await desk.memory.gates() != before


async def test_pauses_are_shown_by_what_they_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = a_desk()
    shown: dict[tuple[str, str], float] = {}

    def gauge(name: str, /, value: float, **labels: str) -> None:
        assert name == "payout_paused"
        shown[labels["what"], labels["target"]] = value

    monkeypatch.setattr(desk.figures, "gauge", gauge)
    await desk.memory.close_gate("frozen", "x")
    await desk.memory.close_gate(WALLET_GATE + OWNER, "x", 1, 0)
    await desk.control.pauses()
    assert len(shown) == 7
    assert set(shown.values()) == {0}
    await desk.control.pause(ADA, USDT, "x")
    await desk.control.pause(ADA, Pause(Activity.DISPATCH, wallet=OWNER), "x")
    assert {labels for labels, value in shown.items() if value} == {
        ("intake", "USDT"),
        ("dispatch", "wallet"),
    }
    await desk.control.resume(ADA, USDT, "x")
    assert {labels for labels, value in shown.items() if value} == {("dispatch", "wallet")}
    assert len(shown) == 7
