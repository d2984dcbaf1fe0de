"""What the tests of trouble share: how time goes on, and what must hold at every moment of it."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count
from typing import Any

from adapters.tron.protocol import transaction_bytes
from devnet.faults import Fault
from devnet.network import DEVNET_WALLETS
from devnet.node import Verdict
from devnet.transaction import Transaction
from models.chain import Transfer
from models.money import BASE_UNITS, Currency
from models.payout import TERMINAL, Payout, PayoutStatus
from models.transaction import Attempt, AttemptState
from ports.chain import ChainUnavailableError, Draft
from ports.store import PayoutQuery, StoreError
from services.settlement import CursorMovedError
from tests.harness import POLICIES, SOLID_LAG, House, open_house

BROADCAST = "/wallet/broadcasthex"
FOREVER = None

TROUBLE = replace(
    POLICIES, settle=replace(POLICIES.settle, resend_after_seconds=15, unsent_after_seconds=5)
)
"""Bytes are sent again well within the 20 blocks that an attempt lives."""

UNDER_WAY = frozenset({PayoutStatus.PENDING, PayoutStatus.PROCESSING})


def with_policies(**parts: dict[str, Any]) -> Any:
    """TROUBLE with some fields of its parts changed: `fees={"fee_limit_sun": 1}`."""
    changed = {name: replace(getattr(TROUBLE, name), **values) for name, values in parts.items()}
    return replace(TROUBLE, **changed)


async def troubled(**options: Any) -> House:
    """A started replica under the policies of TROUBLE."""
    house = await open_house(**{"policies": TROUBLE} | options)
    await house.start()
    return house


def fault(house: House, kind: str, value: Any = None, **where: Any) -> None:
    """Let something go wrong on the devnet."""
    house.net.faults.add(Fault(kind=kind, value=value, **where))


async def turn(*houses: House) -> None:
    """One turn of every loop of each replica, which outlives what a turn meets; then a block."""
    for house in houses:
        services = house.services
        for step in (house.dispatch, house.read, services.settlement.review):
            try:
                await services.identity.ensure()
                await step()
            except (StoreError, ChainUnavailableError, CursorMovedError):
                continue
        await services.housekeeping.run()
    await hold_promises(houses[0])
    houses[0].mine(1)


async def turns(house: House, count: int) -> None:
    """So many turns and blocks."""
    for _ in range(count):
        await turn(house)


async def outcome(house: House, payout: Payout, blocks: int = 80) -> Payout:
    """The payout when it is neither pending nor processing any more, or after so many blocks."""
    return await until(house, payout, lambda now: now.status not in UNDER_WAY, blocks)


async def until(
    house: House, payout: Payout, reached: Callable[[Payout], bool], blocks: int = 80
) -> Payout:
    """Let time go on until the payout is as wanted; fails after so many blocks."""
    for _ in range(blocks):
        now = await house.get(payout)
        if reached(now):
            return now
        await turn(house)
    now = await house.get(payout)
    assert reached(now), now
    return now


_stamps = count(1)


async def taken_from_outside(
    house: House, amount: int, currency: Currency = Currency.USDT, recipient: str | None = None
) -> str:
    """Somebody else uses the wallet's key: the txid of a transfer that is in the newest block."""
    solid, head = house.net.solid, house.net.head
    to = recipient or DEVNET_WALLETS[2].address
    contract = house.net.token if currency is Currency.USDT else None
    draft = Draft(
        transfer=Transfer(contract, house.wallet, to, amount),
        ref_block=solid.number.to_bytes(8, "big")[6:] + solid.id[8:16],
        expiration_ms=head.timestamp + 60_000,
        timestamp_ms=next(_stamps),
        fee_limit_sun=50 * BASE_UNITS if contract else 0,
    )
    raw = house.ports.codec.build(draft)
    signature = await house.ports.signers[0].sign(hashlib.sha256(raw).digest())
    tx = Transaction.parse(transaction_bytes(raw, [signature]))
    assert house.net.nodes[0].broadcast(tx, BROADCAST) == Verdict()
    house.mine(1)
    assert house.net.chain.find(tx.txid) is not None
    return tx.txid


async def hold_promises(house: House) -> None:
    """What must be true at every moment, held against the chain itself."""
    for payout in await house.store.list(PayoutQuery(), 10_000):
        attempts = [*payout.attempts, *([payout.live_attempt] if payout.live_attempt else [])]
        assert tuple(attempt.txid for attempt in attempts) == payout.txids
        assert sum(can_pay(house, attempt) for attempt in attempts) <= 1, payout
        assert (payout.live_attempt is not None) is (payout.status is PayoutStatus.PROCESSING)
        assert payout.status not in TERMINAL or code_of(payout) not in ("P202", "P203"), payout
        for attempt in payout.attempts:
            if attempt.state is AttemptState.DEAD:
                assert house.net.solid.timestamp >= attempt.expiration_ms, payout
        if payout.status is PayoutStatus.COMPLETED and payout.linked_hit is None:
            assert any(was_paid_by(house, payout, attempt) for attempt in attempts), payout


def can_pay(house: House, attempt: Attempt) -> bool:
    """Whether an attempt's bytes have paid, or still could."""
    found = house.net.chain.find(attempt.txid)
    if found is None:
        return house.net.head.timestamp < attempt.expiration_ms
    return found[1].receipt.contract_ret == "SUCCESS" or found[0].number > house.net.solid.number


def was_paid_by(house: House, payout: Payout, attempt: Attempt) -> bool:
    """Whether the ledger holds, for good, the very transfer that a payout asked for."""
    order = payout.order
    return any(
        entry.solid
        and (entry.txid, entry.recipient, entry.amount, entry.currency)
        == (attempt.txid, order.recipient_address, order.amount, order.currency)
        for entry in house.net.ledger(owner=attempt.owner)
    )


def code_of(payout: Payout) -> str | None:
    """The code of the reason shown."""
    return None if payout.status_reason is None else payout.status_reason.code


def states(payout: Payout) -> list[AttemptState]:
    """How the attempts that ended did so, in their order."""
    return [attempt.state for attempt in payout.attempts]


def all_paid_once(house: House, payouts: Iterable[Payout]) -> bool:
    """Whether the ledger shows exactly one transfer to each payout's recipient."""
    return [house.paid(payout) for payout in payouts] == [1 for _ in payouts]


async def replica_of(house: House, **options: Any) -> House:
    """A second replica over the same store, chain and clock, whose gate has not opened yet."""
    shared = {
        "net": house.net,
        "store": house.store,
        "clock": house.clock,
        "policies": house.policies,
        "replica": "replica-2",
    }
    return await open_house(**shared | options)


async def in_service(house: House) -> House:
    """The replica, once its gate is open."""
    await house.services.identity.ensure()
    await house.services.dispatcher.run_group()
    house.mine(SOLID_LAG + 1)
    await house.read()
    assert await house.services.dispatcher.run_group() is False
    assert house.services.dispatcher.closed == ()
    return house
