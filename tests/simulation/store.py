"""The store of a world: the memory twin, which notes what breaks a rule at one call and could not
be seen of what it leaves behind."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from copy import deepcopy
from datetime import datetime, timedelta

from adapters.memory.store import MemoryPayoutStore
from adapters.memory.tokens import MemoryRevocations
from models.audit import Record
from models.chain import Cursor, Hit
from models.compliance import RuleKind
from models.figures import RouteFigures
from models.money import Currency
from models.order import RouteName
from models.payout import Change, Payout, PayoutStatus
from models.registry import AddressList, KycRecord
from ports.store import Claim, Standing, Unexplained
from services.gate import WALLET_GATE
from tests.simulation.rules import Rules
from tests.simulation.turns import Rooms, overtaking

asking: ContextVar[str] = ContextVar("asking", default="")
"""The name of the host whose call this is."""

asked_at: ContextVar[float] = ContextVar("asked_at", default=0.0)
"""When the host made this call; it may take effect much later."""

is_told: ContextVar[bool] = ContextVar("is_told", default=True)
"""Whether the host gets an answer to this call, if it lives on."""

PAUSE = "pause:"
PAUSE_SECONDS = DENIED_SECONDS = 2.0
"""So long after it is stored a pause, or an entry of the deny list, holds everywhere."""


KNOWN_SECONDS = 60.0
KNOWN = timedelta(seconds=KNOWN_SECONDS)
"""So old, at most, is what was known of a recipient when a payout is given another route."""


class WatchedStore(MemoryPayoutStore):
    """`breach` says which rule was broken first; empty as long as none was.

    - An attempt is recorded under a claim only if the look at the gates before that claim showed
      none closed: no broken link, no unexplained transfer.
    - The cursor goes back only to begin anew after a broken link.
    - Nobody asks for an attempt to be recorded more than two seconds after it was paused.
    - Nobody asks for an attempt to be recorded more than two seconds after its recipient was put
      on the deny list, unless somebody let that payout pass.
    - What is recorded, the policies allow: see `Rules`; and its route has room for it: see `Rooms`.
    - What is claimed overtakes nothing that could have been claimed.
    - What a person closes, opens, explains, lists or verifies was noted as an act before, each
      time.

    What is closed, since when, is by the time of the event loop.
    """

    def __init__(self, now: Callable[[], datetime], rules: Rules) -> None:
        """`now` is the store's clock, UTC."""
        super().__init__(now)
        self._rules = rules
        self._rooms = Rooms({route.name: route.capacity for route in rules.policy.routes})
        self._recorded: set[str] = set()
        self._first: dict[str, str] = {}
        """The first payout to each recipient."""
        self.denied: dict[str, float] = {}
        """Since when each address is on the deny list."""
        self.levels: dict[str, list[tuple[float, KycRecord | None]]] = defaultdict(list)
        """What the registry said of each address, from when on."""
        self.breach = ""
        self.began_at: int | None = None
        """The block where reading began: what was before it is not looked for."""
        self.revocations = MemoryRevocations(now)
        self.acts: dict[str, Record] = {}
        """Every act that was ever noted, by source."""
        self.arrived: dict[str, float] = {}
        """When each payout was inserted."""
        self.closed: dict[str, float] = {}
        """Since when each closed gate is."""
        self.opened: dict[str, float] = {}
        """When each gate was opened last."""
        self._noted: Counter[tuple[str, str | None]] = Counter()
        self._looks: dict[str, str] = {}
        self._claims: dict[str, str] = {}

    def copy(self) -> "WatchedStore":
        """A backup as of now, with the same clock."""
        return deepcopy(self, {id(each): each for each in (self._now, self._rules)})

    async def insert(self, payout: Payout) -> None:
        """When a payout is there first is kept."""
        await super().insert(payout)
        self.arrived.setdefault(payout.payout_id, _now())
        self._first.setdefault(payout.order.recipient_address, payout.payout_id)

    async def standing(self) -> Standing:
        """What a replica is told of the gates; kept for its next claim."""
        standing = await super().standing()
        self._looks[asking.get()] = _closed(standing)
        return standing

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
        """A claim rests on the look before it, and takes what comes first."""
        self._claims[token] = self._looks.get(asking.get(), "nobody had looked")
        self._rooms.claimed(token, asked_at.get())
        claim = await super().claim(
            limit, owner, token, lease_seconds, currencies, wallets, without_routes
        )
        left = [
            payout
            for payout in self._payouts.values()
            if self._can_be_claimed(payout)
            and payout.order.currency in currencies
            and (wallets is None or payout.wallet in wallets)
            and payout.route not in without_routes
        ]
        overtaken = overtaking(claim.payouts, left, self._rules)
        if overtaken:
            self._breached(overtaken)
        return claim

    def _can_be_claimed(self, payout: Payout) -> bool:
        now, order = self._now(), payout.order
        return (
            payout.status is PayoutStatus.PENDING
            and payout.payout_id not in self._unsettled
            and payout.due_at <= now
            and (payout.lease is None or payout.lease.until <= now)
            and (order.expires_at is None or order.expires_at > now)
        )

    async def route_figures(
        self, within_seconds: float, sample: int
    ) -> Mapping[RouteName, RouteFigures]:
        """What a replica is told of the routes; kept for its next claims."""
        if is_told.get():
            live = {attempt.txid for _, attempt in self._live()}
            self._rooms.looked(asking.get(), _now(), live)
        return await super().route_figures(within_seconds, sample)

    async def apply(self, changes: Sequence[Change]) -> int:
        """A record rests on its claim."""
        for change in changes:
            token = change.guard.lease_token
            if change.record is not None and token is not None and self._claims[token]:
                self._breached(f"{change.record.txid} was recorded while {self._claims[token]}")
            if change.record is not None:
                self._check_pauses(change)
        before = {change.payout_id: self._payouts.get(change.payout_id) for change in changes}
        written = await super().apply(changes)
        for change in changes:
            self._check_rules(change)
            self._check_room(change)
            self._check_move(before[change.payout_id])
        return written

    def paused_since(self, *targets: str) -> float:
        """Since when one of these (`dispatch`, `intake:USDT`, …) is paused; infinity if none is."""
        return min(self.closed.get(PAUSE + target, float("inf")) for target in targets)

    def known_before(self, moment: float) -> Sequence[Payout]:
        """The payouts that were there before that moment."""
        return [each for name, each in self._payouts.items() if self.arrived[name] < moment]

    def _check_pauses(self, change: Change) -> None:
        payout, attempt = self._payouts.get(change.payout_id), change.record
        if payout is None or attempt is None:
            return
        targets = ("dispatch", f"dispatch:{payout.order.currency}", f"dispatch:{attempt.owner}")
        since = self.paused_since(*targets)
        if asked_at.get() > since + PAUSE_SECONDS:
            self._breached(f"{attempt.txid} was recorded though that was paused at {since:.3f}")

    def _check_rules(self, change: Change) -> None:
        """If that attempt is what is live now, it was recorded by this call, or is known since."""
        payout, attempt = self._payouts.get(change.payout_id), change.record
        if payout is None or attempt is None or payout.live_attempt is not attempt:
            return
        first = self._first[payout.order.recipient_address] == payout.payout_id
        wrong = self._rules.against(payout, attempt, self._now(), first=first)
        if wrong:
            self._breached(f"{attempt.txid} of {payout.payout_id} was recorded, though {wrong}")
        if self.must_stop(payout, asked_at.get() - DENIED_SECONDS):
            self._breached(f"{attempt.txid} of {payout.payout_id} was recorded for a denied one")

    def _check_room(self, change: Change) -> None:
        """Whoever records an attempt knew of room for it on its route."""
        payout, attempt = self._payouts.get(change.payout_id), change.record
        token, host = change.guard.lease_token, asking.get()
        if payout is None or attempt is None or payout.live_attempt is not attempt:
            return
        if attempt.txid in self._recorded or token is None or payout.route is None:
            return
        self._recorded.add(attempt.txid)
        live = {other.txid for each, other in self._live() if each.route is payout.route}
        others = live - {attempt.txid}
        wrong = self._rooms.overfull(host, token, payout.route, asked_at.get(), others)
        if wrong:
            self._breached(f"{attempt.txid} of {payout.payout_id} was recorded, though {wrong}")
        if is_told.get():
            self._rooms.recorded(host, asked_at.get(), _now(), attempt.txid)

    def _check_move(self, before: Payout | None) -> None:
        """A payout that was given another route is one for it."""
        after = None if before is None else self._payouts[before.payout_id]
        if before is None or after is None or after.route in (None, before.route):
            return
        recipient, now = after.order.recipient_address, self._now()
        level = self.best_level(recipient, asked_at.get() - KNOWN_SECONDS, now - KNOWN)
        wrong = self._rules.not_for(after, after.route, level)
        if wrong or before.live_attempt is not None:
            live = "it had a live attempt" if before.live_attempt is not None else ""
            self._breached(f"{after.payout_id} was given {after.route}, though {wrong or live}")

    def must_stop(self, payout: Payout, since: float) -> bool:
        """Whether a rule must keep a payout back because its recipient was denied before then."""
        on = self.denied.get(payout.order.recipient_address, float("inf")) < since
        names = {r.name for r in self._rules.policy.rules if r.kind is RuleKind.DENY_LIST}
        return on and bool(names - {*payout.released})

    async def put_listed(
        self, list_name: AddressList, reasons: Mapping[str, str | None], by: str
    ) -> int:
        """Only people list."""
        self._done(f"list:{list_name}", f"added {len(reasons)}: {', '.join(sorted(reasons))}")
        for address in reasons:
            self.denied.setdefault(address, _now())
        return await super().put_listed(list_name, reasons, by)

    async def remove_listed(self, list_name: AddressList, addresses: Collection[str]) -> int:
        """And take off a list."""
        self._done(f"list:{list_name}", f"removed {len(addresses)}: {', '.join(addresses)}")
        for address in addresses:
            self.denied.pop(address, None)
        return await super().remove_listed(list_name, addresses)

    async def put_kyc(self, record: KycRecord) -> None:
        """Only people verify."""
        level = f"level {record.level} until {record.expires_at:%Y-%m-%d}"
        self._done(f"kyc:{record.address}", level)
        self.levels[record.address].append((_now(), record))
        await super().put_kyc(record)

    async def remove_kyc(self, address: str) -> bool:
        """And take that back."""
        self._done(f"kyc:{address}", "not verified")
        self.levels[address].append((_now(), None))
        return await super().remove_kyc(address)

    def best_level(self, address: str, since: float, at: datetime) -> int:
        """The highest level that the registry showed at some time since then, valid `at`."""
        known = self.levels[address]
        before = [record for when, record in known if when <= since][-1:]
        after = [record for when, record in known if when > since]
        return max((r.level for r in (*before, *after) if r and at < r.expires_at), default=0)

    async def move_cursor(self, expected: Cursor | None, new: Cursor, hits: Sequence[Hit]) -> bool:
        """The cursor goes on, or back for a reason."""
        before = self._cursor
        moved = await super().move_cursor(expected, new, hits)
        if before is None and self._cursor is not None:
            self.began_at = self._cursor.block.number
        if before is not None and self._cursor is not before:
            if before != expected:
                self._breached(f"the cursor was taken from {before} by one who saw {expected}")
            if new.block.number < before.block.number and not new.broken:
                self._breached(f"the cursor went back from {before} to {new}")
        return moved

    async def note_act(self, act: Record) -> None:
        """An act that is noted may be done once."""
        if act.source not in self.acts:
            self._noted[act.subject, act.after] += 1
        self.acts[act.source] = act
        await super().note_act(act)

    async def close_gate(
        self,
        name: str,
        reason: str,
        needs_trx_sun: int | None = None,
        needs_usdt: int | None = None,
        closed_by: str | None = None,
    ) -> None:
        """A person's closing is an act."""
        if closed_by is not None or name.startswith(PAUSE):
            self._done(name, f"closed: {reason}")
        self.closed.setdefault(name, _now())
        await super().close_gate(name, reason, needs_trx_sun, needs_usdt, closed_by)

    async def open_gate(self, name: str) -> bool:
        """The opening of what a person closed is an act."""
        if name.startswith(PAUSE):
            self._done(name, "open")
        self.closed.pop(name, None)
        self.opened[name] = _now()
        return await super().open_gate(name)

    async def claim_unexplained(
        self, expected: Unexplained, payout_id: str | None, by: str, note: str
    ) -> bool:
        """Only people explain."""
        self._done(expected.txid, payout_id or "known")
        return await super().claim_unexplained(expected, payout_id, by, note)

    def _done(self, subject: str, after: str) -> None:
        self._noted[subject, after] -= 1
        if self._noted[subject, after] < 0:
            self._breached(f"{subject} became {after!r}, and that was not noted before")

    def _breached(self, rule: str) -> None:
        self.breach = self.breach or rule


def _now() -> float:
    return asyncio.get_running_loop().time()


def _closed(standing: Standing) -> str:
    """Why dispatch must stand still, by what a look showed; empty if it need not."""
    if standing.cursor is None or standing.cursor.broken:
        return "the chain was in doubt"
    if standing.open_unexplained:
        return "a transfer was unexplained"
    shut = [gate.name for gate in standing.gates if not gate.name.startswith((WALLET_GATE, PAUSE))]
    return f"{shut[0]} was closed" if shut else ""
