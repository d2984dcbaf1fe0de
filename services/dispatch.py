"""Dispatch: from due payouts to broadcast attempts, one group at a time.

Claim, build, check, sign, check, record, broadcast: in this order, and nothing is sent that the
store is not known to hold. Whatever goes wrong with one payout stays with it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from models.chain import Cursor
from models.errors import Reason
from models.funds import Cost
from models.payout import Change, Payout, PayoutStatus, move
from models.policy import AttemptPolicy, DispatchPolicy
from models.settlement import put_off, refuse
from models.transaction import Attempt
from ports.observer import Observer
from ports.signer import SignerUnavailableError
from ports.store import Gate, PayoutStore, StoreError
from services.attempts import Anchor, AttemptBuilder, UnbuildableError
from services.broadcast import Broadcaster
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
        self._heads = heads
        self._observer = observer
        self._attempts = attempts
        self._policy = policy
        self._replica = replica
        self._new_token = new_token
        self.seconds = seconds
        self._shown: set[str] = set()
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
        token = self._new_token()
        claim = await self._store.claim(
            self._policy.group_size,
            self._replica,
            token,
            self._policy.lease_seconds,
            view.currencies,
        )
        if not claim.payouts or claim.cursor is None:
            return False
        try:
            ready = await self._prepare(claim.payouts, claim.cursor, token, view.wallets)
            if ready and not await self._still_open(view, looked_at):
                await self._hand_back(claim.payouts, token)
                return not self.closed
        except BaseException:
            await asyncio.shield(self._hand_back(claim.payouts, token))
            raise
        await self._broadcaster.send(await self._record(ready, claim.payouts, token))
        return len(claim.payouts) == self._policy.group_size

    async def _look(self) -> View:
        """Look at the gates, and show what is closed."""
        view = await self._gate.look()
        self._close(view.closed)
        show_pauses(self._observer, view.pauses)
        return view

    async def _still_open(self, view: View, looked_at: float) -> bool:
        """Whether what was open is open: a group that took long to build is not recorded upon an
        old look. False also when no look is answered in time."""
        tries = 0
        while self.seconds() - looked_at > LOOK_SECONDS:
            if tries == LOOK_TRIES:
                log.warning("not recorded: the store is slow to tell whether dispatch is open")
                return False
            tries, looked_at = tries + 1, self.seconds()
            now = await self._look()
            if now.closed or not view.currencies <= now.currencies:
                return False
        return True

    async def _prepare(
        self, payouts: Sequence[Payout], cursor: Cursor, token: str, gates: Mapping[str, Gate]
    ) -> Sequence[Change]:
        """Everything before the record: one guarded write for each payout that can be paid."""
        anchor = await self._anchor(cursor)
        if anchor is None:
            why = Reason("P401", self.closed[0].reason)
            await self._put_off([(payout, why) for payout in payouts], token)
            return ()
        allotment = await self._funds.allot(payouts, token, cursor, gates)
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

    async def _anchor(self, cursor: Cursor) -> Anchor | None:
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
        return Anchor(cursor.block, expiration_ms, await self._store.now())

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
        return [(payout_id, attempt) for payout_id, attempt in held if attempt is not None]

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
