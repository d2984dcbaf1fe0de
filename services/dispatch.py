"""Dispatch: from due payouts to broadcast attempts, one group at a time.

Claim, build, check, sign, check, record, broadcast: in this order, and nothing is sent that the
store is not known to hold. Whatever goes wrong with one payout stays with it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from models.chain import Cursor
from models.errors import Reason
from models.funds import Cost
from models.order import RouteName
from models.payout import Change, Payout, PayoutStatus, move
from models.policy import AttemptPolicy, DispatchPolicy
from models.settlement import put_off, refuse, stop
from models.transaction import Attempt
from ports.observer import Observer
from ports.signer import SignerUnavailableError
from ports.store import PayoutStore, StoreError
from services.attempts import Anchor, AttemptBuilder, UnbuildableError
from services.broadcast import Broadcaster
from services.deciding import Deciding
from services.funds import Funds
from services.gate import Closed, DispatchGate, View
from services.heads import HeadWatch
from services.pauses import show_pauses
from services.transitions import Transitions

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
"""How long a look at the gates counts, from when it began: nothing is recorded upon an older one,
so that a pause holds on every replica within that and the time of one write."""

LOOK_TRIES = 3
"""How often the gates are looked at again for a group that is built; then it is handed back."""

Waiting = tuple[Payout, Reason]


class Dispatcher:
    """Pays one group of due payouts after another.

    `seconds` is a clock that only moves on, of which nothing but differences are used.
    """

    def __init__(
        self,
        *,
        store: PayoutStore,
        broadcaster: Broadcaster,
        transitions: Transitions,
        builder: AttemptBuilder,
        gate: DispatchGate,
        funds: Funds,
        deciding: Deciding,
        heads: HeadWatch,
        observer: Observer,
        attempts: AttemptPolicy,
        policy: DispatchPolicy,
        replica: str,
        new_token: Callable[[], str],
        seconds: Callable[[], float],
    ) -> None:
        self._store = store
        self._broadcaster = broadcaster
        self._transitions = transitions
        self._builder = builder
        self._gate = gate
        self._funds = funds
        self._deciding = deciding
        self._heads = heads
        self._observer = observer
        self._attempts = attempts
        self._policy = policy
        self._replica = replica
        self._new_token = new_token
        self.seconds = seconds
        self._shown: set[str] = set()
        self._rooms: Mapping[RouteName, int] = {}
        self.closed: Sequence[Closed] = (Closed("starting", "nobody has looked yet"),)

    async def run_group(self) -> bool:
        """Pay one group; True if a full group was claimed, so that more may be waiting.

        `closed` then says why nothing is built, if so. Raises StoreError, ChainUnavailableError;
        what was claimed is handed back, or its lease runs out.
        """
        looked_at = self.seconds()
        view = await self._look()
        if self.closed:
            return False
        wallets = view.wallets - set(await self._funds.reopen(view.gates, view.cursor))
        if not wallets:
            self._close([Closed("wallet", gate.reason) for gate in view.gates.values()])
            return False
        token = self._new_token()
        if self._rooms:  # else it is enough to look when something is due
            self._rooms = await self._deciding.rooms(self._policy.group_size)
        claim = await self._store.claim(
            self._policy.group_size,
            self._replica,
            token,
            self._policy.lease_seconds,
            view.currencies,
            wallets,
            [route for route, room in self._rooms.items() if room == 0],
        )
        if not claim.payouts or claim.cursor is None or claim.at is None:
            return False
        try:
            fitting = await self._fit(claim.payouts, token)
            ready = await self._prepare(fitting, claim.cursor, token, claim.at)
            built = {change.payout_id for change in ready}
            sending = [payout for payout in fitting if payout.payout_id in built]
            if ready and not await self._still_open(view, looked_at, sending, claim.at):
                await self._hand_back(claim.payouts, token)
                return not self.closed
        except BaseException:
            await asyncio.shield(self._hand_back(claim.payouts, token))
            raise
        await self._broadcaster.send(await self._record(ready, claim.payouts, token))
        return len(claim.payouts) == self._policy.group_size

    async def _fit(self, payouts: Sequence[Payout], token: str) -> Sequence[Payout]:
        """The payouts for which their routes have room; the others are put off."""
        self._rooms = self._rooms or await self._deciding.rooms(self._policy.group_size)
        left = dict(self._rooms)
        fitting: list[Payout] = []
        waiting: list[Waiting] = []
        for payout in payouts:
            if payout.route is None or payout.route not in left:
                fitting.append(payout)
            elif left[payout.route] > 0:
                left[payout.route] -= 1
                fitting.append(payout)
            else:
                waiting.append((payout, Reason("P401", f"the route {payout.route} is full now")))
        await self._put_off(waiting, token)
        return fitting

    async def _look(self) -> View:
        """Look at the gates, and show what is closed."""
        view = await self._gate.look()
        self._close(view.closed)
        show_pauses(self._observer, view.pauses)
        return view

    async def _still_open(
        self, view: View, looked_at: float, payouts: Sequence[Payout], now: datetime
    ) -> bool:
        """Whether what was open is open, and no list stops one of the payouts: a group that took
        long to build is not recorded upon an old look. False also when no look is answered in time.
        `now` is the store's at the claim."""
        tries = 0
        while self.seconds() - looked_at > LOOK_SECONDS:
            if tries == LOOK_TRIES:
                log.warning("not recorded: the store is slow to tell whether dispatch is open")
                return False
            tries, looked_at = tries + 1, self.seconds()
            seen = await self._look()
            if seen.closed or not (
                view.currencies <= seen.currencies and view.wallets <= seen.wallets
            ):
                return False
            if await self._deciding.screened(payouts, now, asks_token=False):
                return False
        return True

    async def _prepare(
        self, payouts: Sequence[Payout], cursor: Cursor, token: str, now: datetime
    ) -> Sequence[Change]:
        """Everything before the record: one guarded write for each payout that can be paid. `now`
        is the store's at the claim."""
        anchor = await self._anchor(cursor, now)
        if anchor is None:
            why = Reason("P401", self.closed[0].reason)
            await self._put_off([(payout, why) for payout in payouts], token)
            return ()
        clean = await self._screen(payouts, token, anchor.now)
        allotment = await self._funds.allot(clean, token, cursor)
        waiting = list(allotment.waiting)
        ready: list[Change] = []
        for payout, cost in allotment.paid:
            attempt = await self._build(payout, cost, anchor)
            if isinstance(attempt, Reason):
                waiting.append((payout, attempt))
            else:
                ready.append(recording(payout, attempt, token))
        await self._put_off(waiting, token)
        return ready

    async def _screen(
        self, payouts: Sequence[Payout], token: str, now: datetime
    ) -> Sequence[Payout]:
        """The payouts that no rule stops; those that one does are rejected or held."""
        said = await self._deciding.screened(payouts, now)
        if said:
            stopped = [payout for payout in payouts if payout.payout_id in said]
            changes = [stop(payout, token, said[payout.payout_id]) for payout in stopped]
            await self._transitions.apply(changes, stopped)
        return [payout for payout in payouts if payout.payout_id not in said]

    async def _build(self, payout: Payout, cost: Cost, anchor: Anchor) -> Attempt | Reason:
        """The next attempt, or why there is none: whatever that is, it stays with this payout."""
        try:
            return await self._builder.build(payout, cost, anchor)
        except (UnbuildableError, SignerUnavailableError) as error:
            log.warning("attempt not built", payout_id=payout.payout_id, error=str(error))
            return Reason("P206", str(error))
        except Exception:
            log.exception("attempt not built", payout_id=payout.payout_id)
            return Reason("P206", "the attempt could not be built")

    async def _anchor(self, cursor: Cursor, now: datetime) -> Anchor | None:
        """The common reference block and expiration; None while nothing may be built."""
        head = await self._heads.fresh()
        if head is None:
            self._close([Closed("head_stale", "the newest block is not getting newer")])
            return None
        expiration_ms = head.time_ms + self._attempts.life_ms
        if expiration_ms > cursor.block.time_ms + self._attempts.max_beyond_cursor_ms:
            text = "solid blocks lag too far behind the newest block"
            self._close([Closed("cursor_lag", text)])
            return None
        return Anchor(cursor.block, expiration_ms, now)

    async def _record(
        self, ready: Sequence[Change], payouts: Sequence[Payout], token: str
    ) -> Sequence[tuple[str, Attempt]]:
        """Store the attempts; what may be sent is what the store is known to hold."""
        if not ready:
            return ()
        try:
            written = await self._transitions.apply(ready, payouts)
        except StoreError as error:
            log.warning("record not confirmed", error=str(error), attempts=len(ready))
            written = -1
        if written == len(ready):
            held = [(change.payout_id, change.record) for change in ready]
        else:
            found = await self._store.recorded(token)
            held = [(payout.payout_id, payout.live_attempt) for payout in found]
        sent = {payout_id: attempt for payout_id, attempt in held if attempt is not None}
        self._deciding.let_through([payout for payout in payouts if payout.payout_id in sent])
        return [*sent.items()]

    async def _put_off(self, waiting: Sequence[Waiting], token: str) -> None:
        if waiting:
            changes = [self._waiting(payout, why, token) for payout, why in waiting]
            await self._transitions.apply(changes, [payout for payout, _ in waiting])

    def _waiting(self, payout: Payout, why: Reason, token: str) -> Change:
        """What becomes of a claimed payout that is not paid now."""
        seconds = self._policy.skip_seconds
        refusals = {"P207": self._policy.max_refusals, "P403": 1}.get(why.code or "")
        if refusals is None:
            return put_off(payout, token, why, seconds)
        return refuse(payout, token, why, seconds, refusals)

    def _close(self, reasons: Sequence[Closed]) -> None:
        """Keep and show why dispatch is closed; every reason ever shown stays, at 0."""
        self.closed = reasons
        now = {closed.name for closed in reasons}
        self._shown |= now
        for name in self._shown:
            self._observer.gauge("payout_dispatch_closed", float(name in now), reason=name)

    async def _hand_back(self, payouts: Sequence[Payout], token: str) -> None:
        """Give up the lease at once, so that another replica need not wait for it to run out."""
        changes = [put_off(payout, token, payout.status_reason, 0.0) for payout in payouts]
        try:
            await self._store.apply(changes)
        except StoreError as error:
            log.warning("claim not handed back", error=str(error))


def recording(payout: Payout, attempt: Attempt, token: str) -> Change:
    """The guarded write that makes an attempt the payout's live one."""
    change = move(payout, PayoutStatus.PROCESSING, by="dispatcher", record=attempt)
    guard = replace(change.guard, lease_token=token, fresh_txid=attempt.txid)
    return replace(change, guard=guard)
