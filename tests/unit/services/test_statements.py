"""Daily statements: of which day, when, and what stands in them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from models.errors import Reason
from models.money import Currency
from models.payout import Payout, PayoutStatus
from models.transaction import AttemptState
from ports.folders import FolderError, Line
from ports.store import StoreError
from services.statements import LATEST, PAGE, Statements, statement_line
from tests.factories import a_hit, a_payout, an_attempt, an_order
from tests.unit.services.desk import Desk, a_desk
from tests.unit.services.faulty_store import FaultyStore

S = PayoutStatus
TODAY = date(2026, 3, 1)
"""The day of the store's clock."""


class Shelf:
    """Statements by day; `full` while the disk is."""

    def __init__(self) -> None:
        self.days: dict[date, list[Line]] = {}
        self.pages: list[int] = []
        self.full = False

    async def has(self, day: date) -> bool:
        return day in self.days

    async def write(self, day: date, pages: AsyncIterator[Sequence[Line]]) -> None:
        lines: list[Line] = []
        async for page in pages:
            self.pages.append(len(page))
            lines += page
        if self.full:
            raise FolderError("no space left")
        self.days[day] = lines


async def ended(desk: Desk, moment: datetime, **overrides: Any) -> Payout:
    payout = a_payout(**{"status": S.COMPLETED, "updated_at": moment} | overrides)
    await desk.memory.insert(payout)
    return payout


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


async def run(statements: Statements) -> None:
    while await statements.run():
        pass


def ids(shelf: Shelf) -> dict[int, list[Any]]:
    return {day.day: [line["payout_id"] for line in lines] for day, lines in shelf.days.items()}


async def test_a_day_is_stated_when_it_is_surely_over() -> None:
    desk, shelf = a_desk(), Shelf()
    payout = await ended(desk, desk.clock.at)
    statements = Statements(desk.store, shelf)
    over = datetime(2026, 3, 2, tzinfo=UTC) + LATEST
    desk.clock.tick((over - desk.clock.at).total_seconds() - 0.001)
    await run(statements)
    assert shelf.days == {}
    desk.clock.tick(0.001)
    await run(statements)
    assert ids(shelf) == {1: [payout.payout_id]}


async def test_nothing_ended_yet_means_no_statement_of_any_day() -> None:
    desk, shelf = a_desk(), Shelf()
    await desk.memory.insert(a_payout())
    desk.clock.tick(10 * 86_400)
    await run(Statements(desk.store, shelf))
    assert shelf.days == {}


async def test_days_that_were_missed_are_made_good_and_empty_ones_are_stated() -> None:
    desk, shelf = a_desk(), Shelf()
    first = await ended(desk, noon(TODAY))
    last = await ended(desk, noon(TODAY + timedelta(days=2)))
    await ended(desk, noon(TODAY + timedelta(days=3)))
    desk.clock.tick(3 * 86_400)
    await run(Statements(desk.store, shelf))
    assert ids(shelf) == {1: [first.payout_id], 2: [], 3: [last.payout_id]}


async def test_a_statement_that_is_there_is_never_written_again() -> None:
    desk, shelf = a_desk(), Shelf()
    shelf.days[TODAY] = [{"payout_id": "of a database that was lost"}]
    await ended(desk, noon(TODAY))
    later = await ended(desk, noon(TODAY + timedelta(days=1)))
    desk.clock.tick(2 * 86_400)
    await run(Statements(desk.store, shelf))
    assert ids(shelf) == {1: ["of a database that was lost"], 2: [later.payout_id]}


async def test_a_running_service_goes_on_day_by_day() -> None:
    desk, shelf = a_desk(), Shelf()
    statements = Statements(desk.store, shelf)
    for day in range(1, 4):
        await ended(desk, desk.clock.at)
        await run(statements)
        assert sorted(ids(shelf)) == [*range(1, day)]
        desk.clock.tick(86_400)


async def test_large_days_are_read_page_by_page() -> None:
    desk, shelf = a_desk(), Shelf()
    payouts = [await ended(desk, noon(TODAY)) for _ in range(2 * PAGE + 1)]
    desk.clock.tick(86_400)
    await run(Statements(desk.store, shelf))
    assert shelf.pages == [PAGE, PAGE, 1]
    assert ids(shelf) == {1: [payout.payout_id for payout in payouts]}


@pytest.mark.parametrize("trouble", ["store", "disk"])
async def test_what_failed_is_tried_again(trouble: str) -> None:
    desk, shelf = a_desk(FaultyStore), Shelf()
    await ended(desk, noon(TODAY))
    desk.clock.tick(86_400)
    statements = Statements(desk.store, shelf)
    shelf.full = trouble == "disk"
    if trouble == "store":
        desk.store.fail("ended", "before", skip=2)
    with pytest.raises((StoreError, FolderError)):
        await run(statements)
    assert shelf.days == {}
    shelf.full = False
    await run(statements)
    assert sorted(ids(shelf)) == [1]


def test_a_paid_payout_as_finance_reads_it() -> None:
    order = an_order(amount=12_345_678, reference="march-1", session_id="s", node_id="n")
    attempt = an_attempt(a_payout(order=order), state=AttemptState.SETTLED)
    hit = a_hit(attempt, fee_sun=13_000_000)
    payout = a_payout(
        order=order,
        status=S.COMPLETED,
        updated_at=noon(TODAY),
        attempts=(replace(attempt, hit=hit),),
        hits=(hit,),
        burned_sun=2_500_000,
    )
    assert statement_line(payout) == {
        "payout_id": payout.payout_id,
        "status": "completed",
        "ended_at": "2026-03-01T12:00:00.000Z",
        "created_at": "2024-01-01T00:00:00.000Z",
        "client": "client-1",
        "currency": "USDT",
        "amount": "12.345678",
        "recipient_address": order.recipient_address,
        "reason": "custom",
        "reference": "march-1",
        "session_id": "s",
        "node_id": "n",
        "txid": hit.txid,
        "block_number": 1_010,
        "fee_trx": "13.00",
        "failed_fees_trx": "2.50",
        "code": None,
        "why": None,
    }


def test_a_payout_that_was_not_paid_has_no_transaction() -> None:
    order = an_order(currency=Currency.TRX, amount=1_000_000)
    why = Reason("P503", "expired before it could be paid")
    attempt = an_attempt(state=AttemptState.DEAD)
    line = statement_line(
        a_payout(status=S.EXPIRED, order=order, status_reason=why, attempts=(attempt,))
    )
    unpaid = {"txid": None, "block_number": None, "fee_trx": None, "failed_fees_trx": "0.00"}
    told = {"status": "expired", "amount": "1.00", "currency": "TRX", "code": "P503"}
    assert line == line | unpaid | told | {"why": why.message}
