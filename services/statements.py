"""Daily statements for finance: the payouts that ended on a UTC day, once that day is over.

The day is that of the database's clock. A statement that is there is never written again.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, time, timedelta

import structlog

from models.money import format_amount
from models.payout import Payout, paid_hit
from ports.folders import Line, StatementFolder
from ports.store import PayoutStore

log = structlog.get_logger(__name__)

PAGE = 500
LATEST = timedelta(minutes=10)
"""How long after midnight a write of the day before may still show, and a new primary's clock may
be behind."""

ONE_DAY = timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Statements:
    """Writes one statement after another, from the day on which the first payout ended."""

    def __init__(self, store: PayoutStore, folder: StatementFolder) -> None:
        self._store = store
        self._folder = folder
        self._next: date | None = None

    async def run(self) -> bool:
        """Write at most one statement; True if another day may be due.

        Raises StoreError, FolderError.
        """
        now = await self._store.now()
        day = self._next or await self._first_day(now)
        if day is None or now < _start(day + ONE_DAY) + LATEST:
            return False
        if not await self._folder.has(day):
            await self._folder.write(day, self._pages(day))
            log.info("statement written", day=day.isoformat())
        self._next = day + ONE_DAY
        return True

    async def _first_day(self, now: datetime) -> date | None:
        first = await self._store.ended(EPOCH, now, None, 1)
        return first[0].updated_at.astimezone(UTC).date() if first else None

    async def _pages(self, day: date) -> AsyncIterator[Sequence[Line]]:
        last: Payout | None = None
        while page := await self._store.ended(_start(day), _start(day + ONE_DAY), last, PAGE):
            yield [statement_line(payout) for payout in page]
            last = page[-1]


def _start(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def statement_line(payout: Payout) -> Line:
    """A payout that has ended, as finance reads it: amounts and fees are decimal strings, fees in
    TRX; `failed_fees_trx` is what attempts burned that did not pay."""
    order, why, hit = payout.order, payout.status_reason, paid_hit(payout)
    return {
        "payout_id": payout.payout_id,
        "status": payout.status.value,
        "ended_at": _moment(payout.updated_at),
        "created_at": _moment(payout.created_at),
        "client": payout.client,
        "currency": order.currency.value,
        "amount": format_amount(order.amount),
        "recipient_address": order.recipient_address,
        "reason": order.reason.value,
        "reference": order.reference,
        "session_id": order.session_id,
        "node_id": order.node_id,
        "txid": hit and hit.txid,
        "block_number": hit and hit.block.number,
        "fee_trx": hit and format_amount(hit.fee_sun),
        "failed_fees_trx": format_amount(payout.burned_sun),
        "code": why and why.code,
        "why": why and why.message,
    }


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
