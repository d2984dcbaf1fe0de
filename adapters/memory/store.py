"""The payout store in memory: the same semantics as in MongoDB, without I/O.

It is the twin for tests and simulations: one thread, one process, deterministic. Time comes from
the function that it is given. Nothing survives the process.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

from adapters.memory.audit import MemoryAuditLog
from adapters.memory.changes import changed, guard_holds
from adapters.memory.compliance import MemoryCompliance
from adapters.memory.figures import MemoryFigures
from adapters.memory.queries import fits, in_scope
from adapters.memory.windows import LimitWindows
from models.chain import Cursor, Hit
from models.limits import Used
from models.money import Currency
from models.order import BatchWindow, PayoutType, RouteChoice, RouteName
from models.payout import (
    OPEN,
    TERMINAL,
    Change,
    Lease,
    Payout,
    PayoutStatus,
    Reservation,
    has_success,
)
from models.spending import SpendWindow
from models.transaction import Attempt, AttemptState, BroadcastNote
from ports.store import (
    Backlog,
    Claim,
    Exposure,
    Gate,
    KeyTakenError,
    Leased,
    PayoutGoneError,
    PayoutQuery,
    Scope,
    Standing,
    StatusTotal,
    StoreError,
    Unexplained,
)

_FIRST = datetime.min.replace(tzinfo=UTC)
"""Where a payout without a rank stands."""


class MemoryPayoutStore(MemoryAuditLog, MemoryCompliance, MemoryFigures):
    """ports.store.PayoutStore in dictionaries."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """`now` is the store's clock, UTC."""
        self._now = now
        self._payouts: dict[str, Payout] = {}
        MemoryAuditLog.__init__(self, self._payouts, now)
        MemoryCompliance.__init__(self, self._payouts, now)
        MemoryFigures.__init__(self, self._payouts, now)
        self._ids_by_key: dict[tuple[str | None, str, str], str] = {}
        self._ids_by_txid: dict[str, str] = {}
        self._unsettled: dict[str, frozenset[str]] = {}
        self._unexplained: dict[str, Unexplained] = {}
        self._buried: set[str] = set()
        self._windows = LimitWindows()
        self._cursor: Cursor | None = None
        self._gates: dict[str, Gate] = {}
        self._genesis_id: str | None = None
        self._wallets: frozenset[str] = frozenset()

    # lifecycle

    async def prepare(self) -> None:
        """Nothing is missing."""

    async def ping(self) -> None:
        """It is there."""

    async def now(self) -> datetime:
        return self._now()

    # intake and reading

    async def insert(self, payout: Payout) -> None:
        if payout.payout_id in self._buried:
            raise PayoutGoneError(payout.payout_id)
        if payout.payout_id in self._payouts:
            return
        if payout.idempotency_key is not None:
            key = (payout.tenant, payout.client, payout.idempotency_key)
            if key in self._ids_by_key:
                raise KeyTakenError(payout.idempotency_key)
            self._ids_by_key[key] = payout.payout_id
        self._payouts[payout.payout_id] = payout
        self._ids_by_txid |= dict.fromkeys(payout.txids, payout.payout_id)

    async def find_by_key(self, client: str, key: str, tenant: str | None = None) -> Payout | None:
        payout_id = self._ids_by_key.get((tenant, client, key))
        return None if payout_id is None else self._payouts[payout_id]

    async def get(self, payout_id: str) -> Payout | None:
        return self._payouts.get(payout_id)

    async def list(self, query: PayoutQuery, limit: int) -> Sequence[Payout]:
        newest_first = sorted(self._payouts, reverse=True)
        found = (self._payouts[each] for each in newest_first)
        return [*islice((payout for payout in found if fits(query, payout)), limit)]

    async def totals(self, scope: Scope) -> Sequence[StatusTotal]:
        return StatusTotal.of(each for each in self._payouts.values() if in_scope(scope, each))

    # changes

    async def apply(self, changes: Sequence[Change]) -> int:
        matched = 0
        taken = []
        for change in changes:
            payout = self._payouts.get(change.payout_id)
            if payout is None or not guard_holds(payout, change.guard):
                continue
            if change.record is not None and not self._take_txid(payout, change.record):
                taken.append(change.record.txid)
                continue
            self._payouts[payout.payout_id] = changed(payout, change, self._now())
            if change.hit is not None:
                self._settle(payout.payout_id, {change.hit.txid})
            matched += 1
        if taken:
            raise StoreError(f"another document has the txid {taken[0]}")
        return matched

    def _take_txid(self, payout: Payout, attempt: Attempt) -> bool:
        """Whether no other document has the txid; from now on this payout has it."""
        if attempt.txid in self._unexplained:
            return False
        owner = self._ids_by_txid.setdefault(attempt.txid, payout.payout_id)
        return owner == payout.payout_id

    # dispatch

    async def standing(self) -> Standing:
        return Standing(self._cursor, await self.gates(), await self.count_open_unexplained())

    async def claim(
        self,
        limit: int,
        owner: str,
        token: str,
        lease_seconds: float,
        currencies: Collection[Currency] = tuple(Currency),
        wallets: Collection[str] | None = None,
        without_routes: Collection[RouteName] = (),
    ) -> Claim:
        now = self._now()
        candidates = [
            payout
            for payout in self._judged_pending()
            if _due(payout, now)
            and payout.order.currency in currencies
            and (wallets is None or payout.wallet is None or payout.wallet in wallets)
            and payout.route not in without_routes
        ]
        candidates.sort(key=_rank)
        lease = Lease(owner, token, now + timedelta(seconds=lease_seconds))
        claimed = [replace(payout, lease=lease) for payout in candidates[:limit]]
        self._payouts.update({payout.payout_id: payout for payout in claimed})
        return Claim(claimed, self._cursor, now) if claimed else Claim(())

    async def backlog(self) -> Backlog:
        now = self._now()
        pending = [*self._with(PayoutStatus.PENDING)]
        leases: dict[str, Leased] = {}
        for lease in (payout.lease for payout in pending):
            if lease is not None and lease.until > now:
                held = leases.get(lease.owner, Leased(lease.owner, 0, lease.until))
                until = max(held.until, lease.until)
                leases[lease.owner] = replace(held, payouts=held.payouts + 1, until=until)
        oldest = min(pending, key=lambda payout: payout.payout_id, default=None)
        held_by = [leases[owner] for owner in sorted(leases)]
        return Backlog(oldest.created_at if oldest else None, held_by)

    async def waiting_on(
        self, route: RouteName, seconds: float, after: Payout | None, limit: int
    ) -> Sequence[Payout]:
        created_by = self._now() - timedelta(seconds=seconds)
        found = [
            payout
            for payout in self._with(PayoutStatus.PENDING)
            if payout.route is route
            and payout.order.route is RouteChoice.SMART
            and payout.created_at <= created_by
        ]
        found.sort(key=_creation)
        return [each for each in found if after is None or _creation(each) > _creation(after)][
            :limit
        ]

    async def recorded(self, token: str) -> Sequence[Payout]:
        return [
            payout
            for payout, _ in self._live()
            if payout.lease is not None and payout.lease.token == token
        ]

    async def exposures(self, token: str) -> Mapping[str | None, Exposure]:
        taken: dict[str | None, Exposure] = {}

        def add(wallet: str | None, payout: Payout, **more: int) -> None:
            asset = "trx_sun" if payout.order.currency is Currency.TRX else "usdt"
            amount = {asset: payout.order.amount}
            taken[wallet] = taken.get(wallet, Exposure()) + Exposure(**amount, **more)

        for payout, attempt in self._live():
            add(attempt.owner, payout, cost_sun=attempt.max_cost_sun)
        for payout in self._with(PayoutStatus.PENDING):
            lease = payout.lease
            if lease is not None and lease.token != token and lease.until > self._now():
                add(payout.wallet, payout, building=1)
        return taken

    async def note_broadcasts(self, notes: Sequence[BroadcastNote]) -> None:
        for note in notes:
            payout = self._payouts.get(note.payout_id)
            attempt = payout.live_attempt if payout else None
            if payout is None or attempt is None or attempt.txid != note.txid:
                continue
            answers = {**attempt.answers, note.answer: attempt.answers.get(note.answer, 0) + 1}
            sent_at = self._now() if note.taken else attempt.last_sent_at
            noted = replace(attempt, answers=answers, last_sent_at=sent_at)
            self._payouts[payout.payout_id] = replace(payout, live_attempt=noted)

    # settlement

    async def cursor(self) -> Cursor | None:
        return self._cursor

    async def move_cursor(self, expected: Cursor | None, new: Cursor, hits: Sequence[Hit]) -> bool:
        for hit in hits:
            payout_id = self._ids_by_txid.get(hit.txid)
            if payout_id is None:
                self._add_unexplained(hit)
            else:
                self._add_hit(payout_id, hit)
        if self._cursor == expected:
            self._cursor = new
        return self._cursor == new

    def _add_hit(self, payout_id: str, hit: Hit) -> None:
        """Raising the version keeps out any change that was decided without knowing the hit."""
        payout = self._payouts[payout_id]
        hits = payout.hits if hit in payout.hits else (*payout.hits, hit)
        self._payouts[payout_id] = replace(payout, hits=hits, version=payout.version + 1)
        self._unsettled[payout_id] = self._unsettled.get(payout_id, frozenset()) | {hit.txid}

    def _add_unexplained(self, hit: Hit) -> None:
        """The newest hit counts: an older one is of a chain that was left."""
        known = self._unexplained.get(hit.txid, Unexplained(hit.txid, hit, None, None, None, None))
        self._unexplained[hit.txid] = replace(known, hit=hit)

    async def to_settle(self, limit: int) -> Sequence[Payout]:
        return [self._payouts[payout_id] for payout_id in islice(self._unsettled, limit)]

    async def mark_settled(self, payout_id: str, txids: Sequence[str]) -> None:
        self._settle(payout_id, set(txids))

    def _settle(self, payout_id: str, txids: set[str]) -> None:
        left = self._unsettled.pop(payout_id, frozenset()) - txids
        if left:
            self._unsettled[payout_id] = left

    async def live_to_review(
        self, cursor_time_ms: int, resend_seconds: float, unsent_seconds: float, limit: int
    ) -> Sequence[Payout]:
        # Latest expiration first: what can't be proven dead yet keeps nothing from being re-sent.
        sent_by = self._now() - timedelta(seconds=resend_seconds)
        made_by = self._now() - timedelta(seconds=unsent_seconds)
        found = [
            (attempt.expiration_ms, payout)
            for payout, attempt in self._live()
            if attempt.expiration_ms <= cursor_time_ms or _silent(payout, attempt, sent_by, made_by)
        ]
        found.sort(key=lambda pair: -pair[0])
        return [payout for _, payout in found[:limit]]

    async def oldest_doubtful_block(self) -> int | None:
        attempts = (
            attempt
            for payout in self._with(*OPEN)
            for attempt in (payout.live_attempt, *payout.attempts)
            if attempt is not None and attempt.state in (AttemptState.LIVE, AttemptState.DEAD)
        )
        return min((attempt.ref_block.number for attempt in attempts), default=None)

    # unexplained transfers

    async def unexplained(self, *, only_open: bool, limit: int) -> Sequence[Unexplained]:
        found = [
            transfer
            for transfer in self._unexplained.values()
            if transfer.explained_at is None or not only_open
        ]
        return sorted(found, key=lambda each: (each.hit.block.number, each.txid))[:limit]

    async def find_unexplained(self, txid: str) -> Unexplained | None:
        return self._unexplained.get(txid)

    async def count_open_unexplained(self) -> int:
        return sum(transfer.explained_at is None for transfer in self._unexplained.values())

    async def claim_unexplained(
        self, expected: Unexplained, payout_id: str | None, by: str, note: str
    ) -> bool:
        transfer = self._unexplained.get(expected.txid)
        if transfer is None or transfer.explained_at is not None:
            return False
        if (transfer.payout_id, transfer.explained_by) != (
            expected.payout_id,
            expected.explained_by,
        ):
            return False
        self._unexplained[transfer.txid] = replace(
            transfer, payout_id=payout_id, explained_by=by, note=note
        )
        return True

    async def close_unexplained(self, txid: str) -> None:
        transfer = self._unexplained.get(txid)
        if transfer is None or transfer.explained_by is None or transfer.explained_at is not None:
            return
        self._unexplained[txid] = replace(transfer, explained_at=self._now())

    # limits

    async def reserve(
        self, windows: Sequence[SpendWindow], payout_id: str, amount: int
    ) -> Sequence[SpendWindow]:
        now = self._now()
        return [
            window
            for window in windows
            if not self._windows.reserve(window, payout_id, amount, now)
        ]

    async def used(self, window_ids: Sequence[str]) -> Mapping[str, Used]:
        return {window_id: self._windows.used(window_id) for window_id in window_ids}

    async def release(
        self, window_ids: Sequence[str], payout_id: str, until: datetime | None = None
    ) -> None:
        for window_id in window_ids:
            self._windows.release(window_id, payout_id, until)

    async def settle_reservations(self, ended: Mapping[str, Sequence[str]]) -> None:
        for window_id, payout_ids in ended.items():
            self._windows.keep(window_id, payout_ids)

    async def to_release(self, limit: int) -> Sequence[Payout]:
        held = (
            payout for payout in self._with(*TERMINAL) if payout.reservation is Reservation.HELD
        )
        return [*islice(held, limit)]

    async def mark_reservations(self, outcome: Mapping[str, str]) -> None:
        for payout_id, state in outcome.items():
            payout = self._payouts.get(payout_id)
            if payout is not None and payout.reservation is Reservation.HELD:
                self._payouts[payout_id] = replace(payout, reservation=Reservation(state))

    async def orphans(self, older_than_seconds: float, limit: int) -> Sequence[tuple[str, str]]:
        entries = self._windows.entries_until(self._now() - timedelta(seconds=older_than_seconds))
        return [*islice((entry for entry in entries if not self._counts(*entry)), limit)]

    def _counts(self, window_id: str, payout_id: str) -> bool:
        payout = self._payouts.get(payout_id)
        return payout is not None and window_id in payout.window_ids

    async def bury(self, payout_id: str) -> bool:
        if payout_id in self._payouts:
            return False
        self._buried.add(payout_id)
        return True

    # time

    async def expire_due(self, limit: int) -> Sequence[Payout]:
        waiting = (
            payout
            for payout in self._with(*(OPEN - {PayoutStatus.PROCESSING}))
            if payout.payout_id not in self._unsettled and not has_success(payout)
        )
        expired = self._passed(waiting, _ends_at, limit)
        unapproved = [
            payout
            for payout in self._with(PayoutStatus.AWAITING_APPROVAL)
            if (ends_at := _ends_at(payout)) is None or ends_at > self._now()
        ]
        return [*expired, *self._passed(unapproved, _consent_until, limit)][:limit]

    async def release_due(self, limit: int) -> Sequence[Payout]:
        waiting = self._with(PayoutStatus.SCHEDULED)
        return self._passed(waiting, lambda payout: payout.release_at, limit)

    def _passed(
        self,
        payouts: Iterable[Payout],
        time_of: Callable[[Payout], datetime | None],
        limit: int,
    ) -> Sequence[Payout]:
        """Those whose time is not in the future, earliest first."""
        timed = [(at, payout) for payout in payouts if (at := time_of(payout)) is not None]
        passed = sorted(
            (pair for pair in timed if pair[0] <= self._now()), key=lambda pair: pair[0]
        )
        return [payout for _, payout in passed[:limit]]

    async def full_batches(self, size: int) -> Sequence[Payout]:
        gathered: dict[BatchWindow, list[Payout]] = {}
        for payout in sorted(self._with(PayoutStatus.SCHEDULED), key=lambda each: each.payout_id):
            if payout.order.payout_type is PayoutType.BATCH:
                gathered.setdefault(payout.order.batch_window, []).append(payout)
        full = (batch[:size] for batch in gathered.values() if len(batch) >= size)
        return [payout for batch in full for payout in batch]

    async def ended(
        self, since: datetime, until: datetime, after: Payout | None, limit: int
    ) -> Sequence[Payout]:
        found = [each for each in self._with(*TERMINAL) if since <= each.updated_at < until]
        found.sort(key=_ending)
        return [each for each in found if after is None or _ending(each) > _ending(after)][:limit]

    # gates and marks

    async def gates(self) -> Sequence[Gate]:
        return [self._gates[name] for name in sorted(self._gates)]

    async def close_gate(
        self,
        name: str,
        reason: str,
        needs_trx_sun: int | None = None,
        needs_usdt: int | None = None,
        closed_by: str | None = None,
    ) -> None:
        closed_at = self._gates[name].closed_at if name in self._gates else self._now()
        self._gates[name] = Gate(name, reason, closed_at, needs_trx_sun, needs_usdt, closed_by)

    async def open_gate(self, name: str) -> bool:
        return self._gates.pop(name, None) is not None

    async def remember_genesis(self, genesis_id: str) -> str:
        self._genesis_id = self._genesis_id or genesis_id
        return self._genesis_id

    async def remember_wallet(self, address: str) -> frozenset[str]:
        self._wallets |= {address}
        return self._wallets

    # shared

    def _with(self, *statuses: PayoutStatus) -> Iterator[Payout]:
        return (payout for payout in self._payouts.values() if payout.status in statuses)

    def _judged_pending(self) -> Iterator[Payout]:
        pending = self._with(PayoutStatus.PENDING)
        return (payout for payout in pending if payout.payout_id not in self._unsettled)

    def _live(self) -> Iterator[tuple[Payout, Attempt]]:
        for payout in self._with(PayoutStatus.PROCESSING):
            if payout.live_attempt is not None:
                yield payout, payout.live_attempt


def _rank(payout: Payout) -> tuple[datetime, datetime]:
    return payout.rank_at or _FIRST, payout.due_at


def _due(payout: Payout, now: datetime) -> bool:
    expires_at = payout.order.expires_at
    return (
        payout.due_at <= now
        and (payout.lease is None or payout.lease.until <= now)
        and (expires_at is None or expires_at > now)
    )


def _ends_at(payout: Payout) -> datetime | None:
    return payout.order.expires_at


def _consent_until(payout: Payout) -> datetime | None:
    return None if payout.approval is None else payout.approval.expires_at


def _ending(payout: Payout) -> tuple[datetime, str]:
    return payout.updated_at, payout.payout_id


def _creation(payout: Payout) -> tuple[datetime, str]:
    return payout.created_at, payout.payout_id


def _silent(payout: Payout, attempt: Attempt, sent_by: datetime, made_by: datetime) -> bool:
    """Whether no block had the attempt, and sending it (or making it) is that long ago."""
    if any(hit.txid == attempt.txid for hit in payout.hits):
        return False
    sent_at = attempt.last_sent_at
    return attempt.created_at <= made_by if sent_at is None else sent_at <= sent_by
