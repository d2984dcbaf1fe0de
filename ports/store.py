"""The payout store: everything that must survive, behind guarded single-document writes.

Every write returns only when a majority has journaled it; every read that decides something is
a majority read from the primary. "Now" is always the store's own clock.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, Self

from models.chain import Cursor, Hit
from models.limits import Used
from models.money import Currency
from models.order import PayoutType, RouteName
from models.payout import Change, Payout, PayoutStatus
from models.spending import SpendWindow
from models.transaction import BroadcastNote


class StoreError(Exception):
    """The store did not confirm: whatever was asked may or may not have happened."""


class KeyTakenError(Exception):
    """A payout of this client (of this tenant) with this idempotency key is there already."""


class PayoutGoneError(Exception):
    """This payout id was declared never to arrive (its reservation is undone)."""


class UnfitStoreError(Exception):
    """The database cannot carry the service; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose payouts a caller may see: those of `tenant` (None: of none) unless `any_tenant`, and
    of these all, or those of a client and those of a node (either)."""

    client: str | None = None
    node_id: str | None = None
    tenant: str | None = None
    any_tenant: bool = True

    @property
    def everybody(self) -> bool:
        """No restriction to a client or node."""
        return self.client is None and self.node_id is None


@dataclass(frozen=True, slots=True)
class PayoutQuery:
    """Filters of a list, all of which must hold. `created_from` ≤ created < `created_to`.

    Newest first; `after` is the payout id at which the page before ended.
    """

    scope: Scope = field(default_factory=Scope)
    status: PayoutStatus | None = None
    currency: Currency | None = None
    recipient: str | None = None
    txid: str | None = None
    session_id: str | None = None
    node_id: str | None = None
    reference: str | None = None
    route: RouteName | None = None
    payout_type: PayoutType | None = None
    batch_id: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class StatusTotal:
    """How many payouts of one currency are in one status, and their sum in base units."""

    status: PayoutStatus
    currency: Currency
    count: int
    amount: int

    @classmethod
    def of(cls, payouts: Iterable[Payout]) -> Sequence[Self]:
        """Those of some payouts, by status and currency."""
        counts: Counter[tuple[PayoutStatus, Currency]] = Counter()
        amounts: Counter[tuple[PayoutStatus, Currency]] = Counter()
        for payout in payouts:
            key = (payout.status, payout.order.currency)
            counts[key] += 1
            amounts[key] += payout.order.amount
        return [cls(*key, counts[key], amounts[key]) for key in sorted(counts)]


@dataclass(frozen=True, slots=True)
class Exposure:
    """What live attempts, and attempts that others are building now, may still take.

    Base units by asset; `cost_sun` is what fees may burn besides.
    """

    trx_sun: int = 0
    usdt: int = 0
    cost_sun: int = 0
    building: int = 0

    def __add__(self, other: "Exposure") -> "Exposure":
        return Exposure(
            self.trx_sun + other.trx_sun,
            self.usdt + other.usdt,
            self.cost_sun + other.cost_sun,
            self.building + other.building,
        )


@dataclass(frozen=True, slots=True)
class Unexplained:
    """A solid transaction of one of our wallets that no payout knows."""

    txid: str
    hit: Hit
    payout_id: str | None
    explained_by: str | None
    explained_at: datetime | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Gate:
    """A reason, kept in the store, why dispatch or intake (or a part of it) is closed.

    `needs_trx_sun` and `needs_usdt`: the balance that opens a wallet's gate again; both None
    for a gate that only a person opens. `closed_by` is the person who closed it, None where the
    service did.
    """

    name: str
    reason: str
    closed_at: datetime
    needs_trx_sun: int | None = None
    needs_usdt: int | None = None
    closed_by: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What decides whether dispatch is open, as one read found it."""

    cursor: Cursor | None
    gates: Sequence[Gate]
    open_unexplained: int


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim brought: the payouts under the new lease, the cursor, and the store's clock when
    they were leased; without payouts there is neither."""

    payouts: Sequence[Payout]
    cursor: Cursor | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Leased:
    """How many pending payouts a replica holds, and until when the longest of its leases lasts."""

    owner: str
    payouts: int
    until: datetime


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits to be paid: since when the oldest pending payout does (None if there is none), and
    the leases that have not run out, by owner."""

    oldest_pending_at: datetime | None
    leases: Sequence[Leased]


class PayoutStore(Protocol):
    """Payouts, the cursor, unexplained transfers, limit windows, gates and marks."""

    # lifecycle
    async def prepare(self) -> None:
        """Check the server, make what is missing (indexes). Raises UnfitStoreError, StoreError."""

    async def ping(self) -> None:
        """Raise StoreError unless a majority-capable primary answers."""

    async def now(self) -> datetime:
        """The store's clock, UTC."""

    # intake and reading
    async def insert(self, payout: Payout) -> None:
        """Keep a new payout; `created_at`, `updated_at`, `due_at` as given.

        Inserting the same payout id again changes nothing. Raises KeyTakenError,
        PayoutGoneError, StoreError (unknown).
        """

    async def find_by_key(self, client: str, key: str, tenant: str | None = None) -> Payout | None:
        """The payout of an idempotency key of a client, which is one of that tenant."""

    async def get(self, payout_id: str) -> Payout | None:
        """One payout."""

    async def list(self, query: PayoutQuery, limit: int) -> Sequence[Payout]:
        """A page of payouts, newest id first."""

    async def totals(self, scope: Scope) -> Sequence[StatusTotal]:
        """Counts and sums by status and currency."""

    # changes
    async def apply(self, changes: Sequence[Change]) -> int:
        """Write guarded changes, each to its own payout, in one unordered group.

        Returns how many matched their guard and are journaled by a majority. Raises StoreError
        when that is not known of the whole group.
        """

    # dispatch
    async def standing(self) -> Standing:
        """The cursor, the closed gates and the number of open unexplained transfers."""

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
        """Lease up to `limit` due pending payouts of these currencies to `token`, by rank; none
        with a hit that has not been judged. With `wallets`, only those that one of them, or none
        yet, was given; none on the routes `without_routes`."""

    async def backlog(self) -> Backlog:
        """What waits, and who has leased it."""

    async def waiting_on(
        self, route: RouteName, seconds: float, after: Payout | None, limit: int
    ) -> Sequence[Payout]:
        """Pending payouts on a route that they did not ask for by name, created so many seconds ago
        or longer, oldest first; beyond `after`, the last one of the page before."""

    async def recorded(self, token: str) -> Sequence[Payout]:
        """Payouts whose live attempt was recorded under this lease token (majority read)."""

    async def exposures(self, token: str) -> Mapping[str | None, Exposure]:
        """What live attempts, and claims of others than `token`, may still take, by wallet.

        A claim that is not built yet counts with its amount, under None where the payout was given
        to no wallet; `building` tells how many.
        """

    async def note_broadcasts(self, notes: Sequence[BroadcastNote]) -> None:
        """Add to the answer counts of live attempts; where `taken`, set `last_sent_at` to now."""

    # settlement
    async def cursor(self) -> Cursor | None:
        """How far solid blocks have been read; None before the first start."""

    async def move_cursor(self, expected: Cursor | None, new: Cursor, hits: Sequence[Hit]) -> bool:
        """Write every hit to the document that has its txid, then move the cursor.

        One ordered group: a hit goes to the payout with that txid, or to a new unexplained
        document; the cursor moves last, if it still is `expected`. False if it is not, unless
        it is `new` already: repeating the call after a lost answer is harmless. A hit raises the
        payout's `version`, so that no change decided without it can be written any more.
        """

    async def to_settle(self, limit: int) -> Sequence[Payout]:
        """Payouts with a hit that has not been judged yet."""

    async def mark_settled(self, payout_id: str, txids: Sequence[str]) -> None:
        """Note that these hits of a payout that needed no change have been judged."""

    async def live_to_review(
        self, cursor_time_ms: int, resend_seconds: float, unsent_seconds: float, limit: int
    ) -> Sequence[Payout]:
        """Payouts whose live attempt is at or past its expiration; or has no hit and was last
        sent longer ago than `resend_seconds`; or was recorded longer ago than `unsent_seconds`
        and no node took it yet. Latest expiration first."""

    async def oldest_doubtful_block(self) -> int | None:
        """The lowest reference block number among attempts that a false chain may have misjudged:
        live ones, and dead ones of payouts that have not ended."""

    # unexplained transfers
    async def unexplained(self, *, only_open: bool, limit: int) -> Sequence[Unexplained]:
        """Transfers that no payout knows, oldest first."""

    async def find_unexplained(self, txid: str) -> Unexplained | None:
        """One of them."""

    async def count_open_unexplained(self) -> int:
        """How many of them nobody has explained yet."""

    async def claim_unexplained(
        self, expected: Unexplained, payout_id: str | None, by: str, note: str
    ) -> bool:
        """Tie an open unexplained transfer to a payout (or to none), if it is still tied as in
        `expected`. False if it is not, or closed."""

    async def close_unexplained(self, txid: str) -> None:
        """Mark a tied transfer as explained."""

    # limits
    async def reserve(
        self, windows: Sequence[SpendWindow], payout_id: str, amount: int
    ) -> Sequence[SpendWindow]:
        """Count a payout in each of the windows unless that would exceed it; those that it would
        exceed, in the given order. Idempotent by payout id; repeating it renews its time."""

    async def used(self, window_ids: Sequence[str]) -> Mapping[str, Used]:
        """What windows hold; one that holds nothing may be missing."""

    async def release(
        self, window_ids: Sequence[str], payout_id: str, until: datetime | None = None
    ) -> None:
        """Take a payout out of windows again; with `until`, out of those in which it was last
        reserved at that moment or before. Idempotent."""

    async def settle_reservations(self, ended: Mapping[str, Sequence[str]]) -> None:
        """Keep what payouts, given by window, count for, and forget their ids."""

    async def to_release(self, limit: int) -> Sequence[Payout]:
        """Payouts in a terminal state whose reservation is still held."""

    async def mark_reservations(self, outcome: Mapping[str, str]) -> None:
        """Set the reservation state (`kept`, `released`) of payouts, by payout id."""

    async def orphans(self, older_than_seconds: float, limit: int) -> Sequence[tuple[str, str]]:
        """(window id, payout id) of reservations that old whose payout is not there, or counts in
        other windows."""

    async def bury(self, payout_id: str) -> bool:
        """Make it impossible for this payout id to arrive. False if it is there."""

    # time
    async def expire_due(self, limit: int) -> Sequence[Payout]:
        """Payouts without a live attempt whose `expires_at` has passed, and that may still end so:
        none that money may have moved for, and none with a hit that is not judged yet. Then those
        in `awaiting_approval` that nobody approved in time. Up to `limit` of both."""

    async def release_due(self, limit: int) -> Sequence[Payout]:
        """Scheduled payouts whose `release_at` has come."""

    async def full_batches(self, size: int) -> Sequence[Payout]:
        """Of each kind of batch window in which at least `size` scheduled payouts gather, the
        `size` oldest."""

    async def ended(
        self, since: datetime, until: datetime, after: Payout | None, limit: int
    ) -> Sequence[Payout]:
        """Payouts that came into a terminal state at `since` or later and before `until`, in the
        order of that moment (their `updated_at`) and id; beyond `after`, the last one of the page
        before."""

    # gates and marks
    async def gates(self) -> Sequence[Gate]:
        """All closed gates."""

    async def close_gate(
        self,
        name: str,
        reason: str,
        needs_trx_sun: int | None = None,
        needs_usdt: int | None = None,
        closed_by: str | None = None,
    ) -> None:
        """Close a gate (again: keeps the first time, takes the rest anew)."""

    async def open_gate(self, name: str) -> bool:
        """Open a gate; False if it was open."""

    async def remember_genesis(self, genesis_id: str) -> str:
        """Store the chain's genesis id at first start; returns the stored one."""

    async def remember_wallet(self, address: str) -> frozenset[str]:
        """Add a wallet to those ever used; returns all of them."""
