"""Recovery from a broken link: solid blocks that do not continue what was read.

Either an endpoint lies now, or one lied before. Dispatch closes first. If the chain, as its
endpoints agree on it, still holds the cursor block, nothing was wrong with what we read, and the
answer is only waited out. Otherwise the cursor goes back to the last block that most endpoints had,
and to a block at or below the reference block of every attempt that is live, or that died while its
payout has not ended. Reading starts anew from there: what the false chain hid, a payment, a theft
or a transfer that a restored copy forgot, shows before anything more is paid.
"""

from dataclasses import replace

import structlog

from models.chain import Cursor
from ports.chain import Chain
from ports.store import PayoutStore

log = structlog.get_logger(__name__)


async def rescan(store: PayoutStore, chain: Chain, cursor: Cursor, problem: str) -> Cursor | None:
    """Close dispatch and, where the cursor block is not on the chain, rewind.

    The cursor as it is now, or None when another replica moved it. Raises StoreError,
    ChainUnavailableError.
    """
    log.error("solid blocks do not link", cursor=cursor.block.number, problem=problem)
    closed = replace(cursor, broken=problem)
    if closed != cursor and not await store.move_cursor(cursor, closed, ()):
        return None
    ours = await chain.solid_block(cursor.block.number)
    if ours.block_id == cursor.block.block_id:
        return closed
    oldest = await store.oldest_doubtful_block()
    vouched = max(cursor.vouched, cursor.run_start)
    back_to = vouched if oldest is None else min(oldest, vouched)
    return await rewind(store, chain, closed, back_to, problem)


async def rewind(
    store: PayoutStore, chain: Chain, cursor: Cursor, number: int, problem: str
) -> Cursor | None:
    """Begin reading anew at a block, with dispatch closed until that is made up for.

    The cursor as it is now, or None when another replica moved it. Raises StoreError,
    ChainUnavailableError.
    """
    base = await chain.solid_block(number)
    head = await chain.solid_head()
    rewound = Cursor(
        block=base,
        run_start=base.number,
        vouched=base.number,
        reopen_at=head.number,
        broken=problem,
        fees=cursor.fees,
    )
    log.error("rescan", back_to=base.number, dispatch_reopens_at=head.number, problem=problem)
    return rewound if await store.move_cursor(cursor, rewound, ()) else None
