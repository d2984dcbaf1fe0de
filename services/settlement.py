"""Settlement: solid blocks are read in order, and what they hold decides every attempt.

Hits are found by writes: each transaction of ours becomes an update keyed on its txid, in one
ordered group that moves the cursor last. Only then are hits judged, and deaths declared.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from models.chain import BlockRef, Cursor, Hit, SolidBlock, follows
from models.money import Currency
from models.payout import Change, Payout
from models.policy import FeePolicy, SettlePolicy
from models.settlement import (
    SHORTAGE,
    FailureFacts,
    after_death,
    after_hit,
    after_wrong_death,
    burned_today,
    failed_hit,
    hit_on_dead,
    live_hit,
    utc_day,
)
from models.transaction import Attempt, is_dead
from ports.chain import BrokenLinkError, Chain, ChainUnavailableError
from ports.observer import Observer
from ports.store import PayoutStore
from services.broadcast import Broadcaster
from services.funds import Funds
from services.rescan import rescan, rewind
from services.transitions import Transitions

log = structlog.get_logger(__name__)

FROZEN_GATE = "frozen"

VOUCH_BLOCKS = 20
"""How far the cursor may get beyond the last block that more endpoints had than not."""


@dataclass(frozen=True, slots=True)
class Believed:
    """Blocks that may be written, the highest number that is vouched for then, and what endpoints
    say against the blocks after them, if anything."""

    run: Sequence[SolidBlock]
    vouched: int
    doubt: str


class Settlement:
    """Reads the chain and brings attempts to their end."""

    def __init__(
        self,
        *,
        store: PayoutStore,
        chain: Chain,
        funds: Funds,
        broadcaster: Broadcaster,
        transitions: Transitions,
        observer: Observer,
        wallets: frozenset[str],
        fees: FeePolicy,
        policy: SettlePolicy,
        max_deaths: int,
    ) -> None:
        self._store = store
        self._chain = chain
        self._funds = funds
        self._broadcaster = broadcaster
        self._transitions = transitions
        self._observer = observer
        self._wallets = wallets
        self._fees = fees
        self._policy = policy
        self._max_deaths = max_deaths
        self._cursor: Cursor | None = None
        self._seen: Cursor | None = None
        # A crash, or another replica, may have left hits that were written and not judged.
        self._unjudged = True

    def newest_seen(self) -> int:
        """The highest block number known here: of the chain, or of the replica that settles."""
        read = 0 if self._seen is None else self._seen.block.number
        return max(self._chain.newest_seen(), read)

    async def follow(self) -> None:
        """Only look how far the replica that settles has come. Raises StoreError."""
        self._cursor = None
        self._unjudged = True
        self._seen = await self._store.cursor()

    async def advance(self) -> bool:
        """Read the next run of solid blocks and judge their hits; True if more blocks may be
        there already.

        Raises StoreError, ChainUnavailableError. A link that does not fit moves nothing, closes
        dispatch and leads to a rescan.
        """
        cursor = await self._current()
        try:
            blocks = await self._chain.solid_blocks(
                cursor.block, self._policy.blocks_per_read, self._wallets
            )
            run = linked(cursor.block, blocks)
        except BrokenLinkError as error:
            self._cursor = await rescan(self._store, self._chain, cursor, str(error))
            return False
        believed = await self._believed(cursor, run)
        await self._write(cursor, believed)
        if self._unjudged:
            await self.settle_hits()
            self._unjudged = False
        if believed.doubt:
            raise ChainUnavailableError(believed.doubt)
        return len(run) == self._policy.blocks_per_read

    async def settle_hits(self) -> None:
        """Judge every hit that has not been judged yet, but for those that a second endpoint has
        to confirm and does not.

        Raises StoreError, ChainUnavailableError.
        """
        waiting: set[str] = set()
        while True:
            limit = self._policy.group_size + len(waiting)
            found = await self._store.to_settle(limit)
            payouts = [payout for payout in found if payout.payout_id not in waiting]
            waiting |= await self._unconfirmed(payouts)
            changes = await self._conclusions([p for p in payouts if p.payout_id not in waiting])
            if changes:
                await self._transitions.apply(changes, payouts)
            if len(found) < limit:
                return

    async def _unconfirmed(self, payouts: Sequence[Payout]) -> set[str]:
        """The payouts whose failed transaction no second endpoint has: like a death, a solid
        failure frees the payout for another attempt, so silence is not enough."""
        failed = [(payout, hit) for payout in payouts if (hit := failed_hit(payout)) is not None]
        confirmed = {hit.block: False for _, hit in failed}
        for block in confirmed:
            confirmed[block] = await self._chain.confirms(block)
        waiting = {payout.payout_id for payout, hit in failed if not confirmed[hit.block]}
        if waiting:
            log.warning("no second endpoint confirms failed transactions", payouts=len(waiting))
        return waiting

    async def _conclusions(self, payouts: Sequence[Payout]) -> Sequence[Change]:
        facts = await self._facts([p for p in payouts if failed_hit(p) is not None])
        concluded = [await self._conclude(p, facts.get(p.payout_id)) for p in payouts]
        return [change for change in concluded if change is not None]

    async def review(self) -> None:
        """Declare the deaths that are proven, and send again what has not been seen for long.

        Hits that nobody judged come first: a write that was given up may have arrived late.
        Raises StoreError, ChainUnavailableError.
        """
        await self.settle_hits()
        if self._seen is None:
            return
        payouts = await self._store.live_to_review(
            self._seen.block.time_ms,
            self._policy.resend_after_seconds,
            self._policy.unsent_after_seconds,
            self._policy.group_size,
        )
        # The store alone knows the cursor: another replica may have set it back since it was seen.
        cursor = await self._store.cursor() if payouts else None
        if cursor is None:
            return
        unseen = [(p, p.live_attempt) for p in payouts if p.live_attempt and live_hit(p) is None]
        oldest = min((a.ref_block.number for _, a in unseen), default=cursor.run_start)
        if oldest < cursor.run_start:
            # Claimed before a rescan and recorded after it: nothing read since can prove its death.
            self._cursor = None
            problem = f"an attempt began at block {oldest}, and reading at {cursor.run_start}"
            await rewind(self._store, self._chain, cursor, oldest, problem)
            return
        dead = [(p, a) for p, a in unseen if is_dead(a, cursor)]
        if dead:
            await self._bury(dead, cursor)
        again = [(p.payout_id, a) for p, a in unseen if cursor.block.time_ms < a.expiration_ms]
        await self._broadcaster.send(again)

    async def _current(self) -> Cursor:
        """The cursor; at first start it is put on the solid head."""
        if self._cursor is None:
            self._cursor = self._seen = await self._store.cursor()
        if self._cursor is None:
            head = await self._chain.solid_head()
            first = Cursor(block=head, run_start=head.number, vouched=head.number)
            if not await self._store.move_cursor(None, first, ()):
                return await self._current()
            self._cursor = self._seen = first
        return self._cursor

    async def _believed(self, cursor: Cursor, run: Sequence[SolidBlock]) -> Believed:
        """The part of a run that may be written, and what is said against the rest.

        Where there are several endpoints, one's word is not enough for a block with transactions
        of ours, nor for more than `VOUCH_BLOCKS` blocks in which it may have hidden some. A
        believed block vouches for all that it follows.
        """
        far = max(0, cursor.vouched + VOUCH_BLOCKS - cursor.block.number - 1)
        owned = [index for index, block in enumerate(run) if block.owned]
        asked = {*owned, far, len(run) - 1} if far < len(run) else {*owned}
        end, doubt = len(run), ""
        for index in sorted(asked, reverse=True):
            found = await self._chain.doubt(run[index].ref)
            if not found:
                return Believed(run[:end], run[index].ref.number, doubt)
            end, doubt = index, found
        return Believed(run[:end], cursor.vouched, doubt)

    async def _write(self, cursor: Cursor, believed: Believed) -> None:
        """Write hits and move the cursor: once for each block with hits, and once for the rest."""
        moved_to = cursor.block
        for block in believed.run:
            hits = await self._chain.hits(block) if block.owned else ()
            moved_to = block.ref
            if hits:
                self._unjudged = True  # also when the answer to the write is lost
                cursor = await self._move(cursor, moved_to, hits, believed.vouched)
        if moved_to != cursor.block:
            await self._move(cursor, moved_to, (), believed.vouched)

    async def _move(
        self, cursor: Cursor, block: BlockRef, hits: Sequence[Hit], vouched: int
    ) -> Cursor:
        burned = sum(hit.fee_sun for hit in hits)
        new = replace(
            cursor,
            block=block,
            vouched=min(block.number, vouched),
            fees=burned_today(cursor.fees, utc_day(block.time_ms), burned),
            broken=cursor.broken if block.number < cursor.reopen_at else "",
        )
        self._cursor = None  # until the write is known, the store alone knows where it is
        if not await self._store.move_cursor(cursor, new, hits):
            raise CursorMovedError(f"another replica moved the cursor from {cursor.block.number}")
        self._cursor = self._seen = new
        self._observer.count("payout_fees_burned_sun_total", burned)
        self._show_cursor(new)
        return new

    async def _facts(self, failed: Sequence[Payout]) -> dict[str, FailureFacts]:
        """Why solid transactions failed, as far as the wallet tells."""
        if not failed:
            return {}
        rates = await self._chain.fee_rates()
        facts: dict[str, FailureFacts] = {}
        for payout in failed:
            attempt = payout.live_attempt
            if attempt is None:
                continue
            balances = await self._chain.balances(attempt.owner)
            token = payout.order.currency is Currency.USDT
            held = balances.usdt if token else balances.trx_sun
            facts[payout.payout_id] = FailureFacts(rates.energy_sun, held < payout.order.amount)
        return facts

    async def _conclude(self, payout: Payout, facts: FailureFacts | None) -> Change | None:
        """The change that a payout's hits bring; those that bring none are marked as judged."""
        wrong = hit_on_dead(payout)
        if wrong is not None:
            text = f"{wrong.txid} of {payout.payout_id} was declared dead and is in a solid block"
            log.critical("a dead attempt was included", payout_id=payout.payout_id, txid=wrong.txid)
            await self._store.close_gate(FROZEN_GATE, text)
            review = after_wrong_death(payout, wrong)
            if review is not None:
                return review
        attempt, hit = payout.live_attempt, live_hit(payout)
        if attempt is None or hit is None:
            await self._store.mark_settled(payout.payout_id, [hit.txid for hit in payout.hits])
            return None
        change = after_hit(payout, attempt, hit, facts, self._fees)
        if change.why is not None and change.why.code == SHORTAGE:
            await self._funds.close_wallet(change.why.message, payout)
        return change

    async def _bury(self, dead: Sequence[tuple[Payout, Attempt]], cursor: Cursor) -> None:
        if not await self._chain.confirms(cursor.block):
            log.warning("no second endpoint confirms the block", block=cursor.block.number)
            return
        now = await self._store.now()
        changes = [after_death(p, a, cursor, now, self._max_deaths) for p, a in dead]
        await self._transitions.apply(changes, [payout for payout, _ in dead])

    def _show_cursor(self, cursor: Cursor) -> None:
        self._observer.gauge("tron_cursor_block_number", cursor.block.number)
        self._observer.gauge("tron_cursor_timestamp_seconds", cursor.block.time_ms / 1000)


class CursorMovedError(Exception):
    """Another replica settles too; its position is read at the next turn."""


def linked(after: BlockRef, blocks: Sequence[SolidBlock]) -> Sequence[SolidBlock]:
    """The blocks, if each follows the one before, the first one `after`.

    Raises BrokenLinkError.
    """
    parent = after
    for block in blocks:
        if not follows(parent, block):
            raise BrokenLinkError(
                f"block {block.ref.number} ({block.ref.block_id}) does not follow "
                f"{parent.number} ({parent.block_id})"
            )
        parent = block.ref
    return blocks
