"""What happens to the world as a whole, at moments that the seed draws."""

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from random import Random
from typing import Any, Final, Protocol

from adapters.signer.local import LocalSigner
from adapters.tron.codec import ProtobufCodec
from adapters.tron.protocol import transaction_bytes
from devnet.faults import CONTRACT_FAILURES, LOG_FAULTS, Fault
from devnet.network import Network
from devnet.node import Verdict
from devnet.refusal import BROADCAST_TEXTS
from devnet.transaction import Transaction
from models.chain import Transfer
from models.payout import PayoutStatus
from ports.chain import Draft
from tests.simulation.cache import Cache
from tests.simulation.checkers import Checkers
from tests.simulation.intruder import TOKENS, Intruder
from tests.simulation.liar import BROADCAST, FalseChain, Lies, Withholding
from tests.simulation.oracle import Oracle
from tests.simulation.person import Person
from tests.simulation.policies import RECIPIENTS
from tests.simulation.scenario import Scenario

CODES: Final = tuple(BROADCAST_TEXTS)


class World(Protocol):
    """What an event can change."""

    net: Network
    oracle: Oracle
    scenario: Scenario
    signers: Sequence[LocalSigner]
    locks: dict[str, tuple[str, float]]
    cache: Cache
    store_down_until: float
    nodes_down_until: list[float]
    lies: dict[int, Lies]
    chain_stops_until: float
    person: Person
    checkers: Checkers
    intruder: Intruder

    def let(self, work: Coroutine[Any, Any, Any]) -> None:
        """Let something go on by itself."""

    def back_up(self, returns_after: float) -> bool:
        """Copy the store, and let the copy come back after so many seconds."""


Event = Callable[[World, Random, float], bool]
"""Lets something happen at a moment; whether it did."""


def _no_majority(world: World, draw: Random, now: float) -> bool:
    world.store_down_until = now + draw.uniform(1, 15)
    return True


def _redis_flushed(world: World, draw: Random, now: float) -> bool:
    world.locks.clear()
    world.cache.values.clear()
    return True


def _endpoint_down(world: World, draw: Random, now: float) -> bool:
    node = draw.randrange(len(world.nodes_down_until))
    world.nodes_down_until[node] = now + draw.uniform(2, 20)
    return True


def _blackout(world: World, draw: Random, now: float) -> bool:
    """All endpoints down for longer than an attempt lives."""
    life = world.scenario.policies.attempts.life_ms / 1000
    until = now + draw.uniform(life, 2 * life)
    world.nodes_down_until[:] = [until] * len(world.nodes_down_until)
    return True


def _block_gap(world: World, draw: Random, now: float) -> bool:
    world.chain_stops_until = now + draw.uniform(4, 40)
    return True


def _false_chain(*outcomes: str | None) -> Event:
    """One of several nodes, and never two at once, serves another chain for a while."""

    def happen(world: World, draw: Random, now: float) -> bool:
        if len(world.net.nodes) < 2 or world.lies:
            return False
        liar = draw.randrange(len(world.net.nodes))
        world.lies[liar] = FalseChain(world.net.nodes[liar], draw.choice(outcomes))
        world.oracle.lied_to = True
        asyncio.get_running_loop().call_later(draw.uniform(5, 40), world.lies.pop, liar, None)
        return True

    return happen


def _withheld(world: World, draw: Random, now: float) -> bool:
    """A node leaves out all transactions for a while."""
    liar = draw.randrange(len(world.net.nodes))
    if liar in world.lies:
        return False
    world.lies[liar] = Withholding(world.net.nodes[liar])
    asyncio.get_running_loop().call_later(draw.uniform(5, 40), world.lies.pop, liar, None)
    return True


def _restored_backup(world: World, draw: Random, now: float) -> bool:
    """The store as it is now comes back later, and knows nothing of what was between."""
    return world.back_up(draw.uniform(1, 60))


def _click(*, in_review: bool) -> Event:
    """Somebody resolves some payout, whatever it is."""

    def happen(world: World, draw: Random, now: float) -> bool:
        stands = [p.status is PayoutStatus.NEEDS_REVIEW for p in world.oracle.payouts()]
        world.let(world.person.click(draw, in_review=in_review))
        return in_review in stands

    return happen


def _explains(world: World, draw: Random, now: float) -> bool:
    open_ones = world.oracle.open_unexplained()
    world.let(world.person.explain_all())
    return bool(open_ones)


def _pauses(world: World, draw: Random, now: float) -> bool:
    """Somebody stops something."""
    world.let(world.person.pause(draw.choice(world.person.pauses)))
    return True


def _pauses_midway(world: World, draw: Random, now: float) -> bool:
    """Somebody stops payouts that are being built."""
    world.let(world.person.pause_midway(draw.choice(world.person.dispatch_pauses)))
    return True


def _pauses_wallet(world: World, draw: Random, now: float) -> bool:
    """Somebody stops one wallet, and what waits for it may go by another route."""
    wallets = [pause for pause in world.person.dispatch_pauses if pause.wallet is not None]
    world.let(world.person.pause(draw.choice(wallets)))
    return True


def _resumes(world: World, draw: Random, now: float) -> bool:
    """Somebody lets something go on."""
    paused = world.oracle.paused(world.person.pauses)
    if paused:
        world.let(world.person.resume(draw.choice(paused)))
    return bool(paused)


def _opens_gate(world: World, draw: Random, now: float) -> bool:
    """Somebody opens a gate that was not closed by a person, or tries a pause's."""
    gates = world.oracle.gates()
    if gates:
        world.let(world.person.open_gate(draw.choice(gates).name))
    return bool(gates)


def _decides(
    act: Callable[[Checkers, Random], Coroutine[Any, Any, None]], *, of_batches: bool = False
) -> Event:
    """Somebody decides about a payout, or a batch, if any waits for that."""

    def happen(world: World, draw: Random, now: float) -> bool:
        waits = world.checkers.waits(of_batches=of_batches)
        if waits:
            world.let(act(world.checkers, draw))
        return waits

    return happen


def _reroutes(world: World, draw: Random, now: float) -> bool:
    if not world.oracle.payouts():
        return False
    world.let(world.checkers.reroute(draw))
    return True


def _lists(world: World, draw: Random, now: float) -> bool:
    world.let(world.checkers.list_one(draw))
    return True


def _lists_midway(world: World, draw: Random, now: float) -> bool:
    world.let(world.checkers.deny_midway())
    return True


def _verifies(world: World, draw: Random, now: float) -> bool:
    world.let(world.checkers.verify(draw))
    return True


def _trespasses(world: World, draw: Random, now: float) -> bool:
    world.let(world.checkers.trespass(draw))
    return True


def _revokes(world: World, draw: Random, now: float) -> bool:
    world.let(world.person.revoke(draw.choice(TOKENS), draw))
    return True


def _knocks(world: World, draw: Random, now: float) -> bool:
    world.let(world.intruder.knock(draw))
    return True


def _fork(share: float, reorder: bool) -> Event:
    def happen(world: World, draw: Random, now: float) -> bool:
        net = world.net
        deepest = net.head.number - net.chain.solid_number
        if deepest < 1:
            return False
        depth = draw.randint(1, deepest)
        txids = [i.tx.txid for b in net.chain.blocks[-depth:] for i in b.items]
        dropped = [txid for txid in txids if draw.random() < share]
        net.fork(depth, dropped, reorder=reorder, requeue=draw.random() < 0.5)
        return bool(dropped) or not share

    return happen


def _theft(world: World, draw: Random, now: float) -> bool:
    """Somebody else has the wallet's key, and pays with it."""
    net, usdt = world.net, world.scenario.policies.usdt_contract
    solid, head = net.solid, net.head
    contract = draw.choice((usdt, None))
    signer = draw.choice(world.signers)
    terms = Draft(
        transfer=Transfer(contract, signer.address, draw.choice(RECIPIENTS), 1_000_000),
        ref_block=solid.number.to_bytes(8, "big")[6:] + solid.id[8:16],
        expiration_ms=head.timestamp + 60_000,
        timestamp_ms=draw.getrandbits(40),
        fee_limit_sun=20_000_000 if contract else 0,
    )
    raw = ProtobufCodec().build(terms)
    signature = signer.sign(hashlib.sha256(raw).digest())
    signed = _result(signature)
    tx = Transaction.parse(transaction_bytes(raw, [signed]))
    world.oracle.thefts.add(tx.txid)
    return net.nodes[0].broadcast(tx, BROADCAST) == Verdict()


def _result(work: Any) -> Any:
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError("signing waits for nothing")


def _fault(kind: str, values: tuple[Any, ...] = (None,), path: str | None = None) -> Event:
    """A fault of the devnet's own, at one node or all, once or a few times."""

    def happen(world: World, draw: Random, now: float) -> bool:
        node = draw.choice((None, *range(len(world.net.nodes))))
        value, count = draw.choice(values), draw.choice((1, 1, 2, 4, 12))
        world.net.faults.add(Fault(kind=kind, value=value, node=node, count=count, path=path))
        return False  # the devnet counts what fired

    return happen


def _token_fault(kind: str, values: tuple[str, ...]) -> Event:
    def happen(world: World, draw: Random, now: float) -> bool:
        world.net.faults.add(Fault(kind=kind, value=draw.choice(values), count=1))
        return False

    return happen


def _busy_storm(world: World, draw: Random, now: float) -> bool:
    faults = world.net.faults
    faults.add(Fault(kind="refuse", value="SERVER_BUSY", count=draw.randint(5, 40)))
    return True


def _blacklist(world: World, draw: Random, now: float) -> bool:
    world.net.blacklist(draw.choice(RECIPIENTS))
    return True


def _token_pause(world: World, draw: Random, now: float) -> bool:
    """The token stands still, for a while."""
    loop = asyncio.get_running_loop()
    world.net.pause(True)
    loop.call_later(draw.uniform(3, 20), world.net.pause, False)
    return True


HAPPEN: Final[Mapping[str, Event]] = {
    "no_majority": _no_majority,
    "redis_flushed": _redis_flushed,
    "endpoint_down": _endpoint_down,
    "blackout": _blackout,
    "restored_backup": _restored_backup,
    "click_in_review": _click(in_review=True),
    "click_elsewhere": _click(in_review=False),
    "explains": _explains,
    "pauses": _pauses,
    "pauses_midway": _pauses_midway,
    "pauses_wallet": _pauses_wallet,
    "resumes": _resumes,
    "opens_gate": _opens_gate,
    "approves": _decides(Checkers.approve),
    "approves_batch": _decides(Checkers.approve_batch, of_batches=True),
    "rejects_batch": _decides(Checkers.reject_batch, of_batches=True),
    "rejects": _decides(Checkers.reject),
    "releases": _decides(Checkers.release),
    "reroutes": _reroutes,
    "lists": _lists,
    "lists_midway": _lists_midway,
    "verifies": _verifies,
    "trespasses": _trespasses,
    "revokes": _revokes,
    "knocks": _knocks,
    "fork": _fork(0.0, reorder=False),
    "fork_drops": _fork(0.7, reorder=False),
    "fork_reorders": _fork(0.0, reorder=True),
    "block_gap": _block_gap,
    "theft": _theft,
    "refuse": _fault("refuse", CODES, BROADCAST),
    "misreport": _fault("misreport", CODES, BROADCAST),
    "swallow": _fault("swallow", path=BROADCAST),
    "busy_storm": _busy_storm,
    "solid_lag": _fault("solid_lag", (1, 3, 10)),
    "solid_stall": _fault("solid_stall"),
    "head_stall": _fault("head_stall"),
    "hide_info": _fault("hide_info"),
    "info_block": _fault("info_block", (1, 2)),
    "info_result": _fault("info_result", ("REVERT", "SUCCESS", "OUT_OF_ENERGY")),
    "omit_transactions": _fault("omit_transactions"),
    "alter_result": _fault("alter_result", ("REVERT", "SUCCESS", "OUT_OF_ENERGY")),
    "break_parent": _fault("break_parent"),
    "false_chain": _false_chain(None),
    "made_up_inclusion": _false_chain("SUCCESS", "REVERT", "OUT_OF_ENERGY"),
    "withheld": _withheld,
    "force_result": _token_fault("force_result", CONTRACT_FAILURES),
    "transfer_log": _token_fault("transfer_log", LOG_FAULTS),
    "blacklist": _blacklist,
    "token_pause": _token_pause,
}
"""What each event of `faults.EVENTS` does."""
