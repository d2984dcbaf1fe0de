"""Steps that many tests of the store begin with."""

from typing import Any

from models.payout import Change, Guard, Payout, PayoutStatus
from models.transaction import Attempt
from ports.store import PayoutStore
from tests.factories import a_payout, an_attempt


async def stored(store: PayoutStore, payout: Payout) -> Payout:
    """What the store has of a payout; it must be there."""
    found = await store.get(payout.payout_id)
    assert found is not None
    return found


async def inserted(store: PayoutStore, **overrides: Any) -> Payout:
    """A new payout in the store."""
    payout = a_payout(**overrides)
    await store.insert(payout)
    return payout


async def put(store: PayoutStore, change: Change) -> None:
    """Write one change, whose guard must hold."""
    assert await store.apply([change]) == 1


def recording(payout: Payout, attempt: Attempt, **guard: Any) -> Change:
    """The change that makes an attempt live."""
    return Change(
        payout_id=payout.payout_id,
        guard=Guard(PayoutStatus.PENDING, **guard),
        to_status=PayoutStatus.PROCESSING,
        by="dispatcher",
        record=attempt,
    )


async def processing(
    store: PayoutStore, payout: Payout | None = None, **attempt: Any
) -> tuple[Payout, Attempt]:
    """A payout in the store with a live attempt."""
    payout = payout or a_payout()
    await store.insert(payout)
    live = an_attempt(payout, **attempt)
    await put(store, recording(payout, live))
    return await stored(store, payout), live


async def moved(store: PayoutStore, payout: Payout, to: PayoutStatus, **details: Any) -> Payout:
    """Move a payout, guarded by status and live attempt; what is stored then."""
    current = await stored(store, payout)
    live = current.live_attempt
    guard = Guard(current.status, live_txid=live.txid if live else None)
    await put(store, Change(payout.payout_id, guard, to, by="test", **details))
    return await stored(store, payout)
